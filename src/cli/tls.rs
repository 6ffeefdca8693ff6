//! `leveret tls`: certificates for trying TLS.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use crate::protocol::Printable;
use crate::tls::make_self_signed;

/// What to do about certificates.
#[derive(Subcommand)]
pub(super) enum Args {
    /// Make a CA of your own, a certificate for the server and one for a client, for trying TLS; overwrites nothing
    SelfSigned {
        /// Where to put them; made if it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// A name or an address by which clients call the server; may be given several times
        /// [default: this machine]
        #[arg(long = "host", value_name = "NAME")]
        hosts: Vec<String>,
        /// Common name of the client's certificate
        #[arg(long, value_name = "NAME", default_value = "guest")]
        client: String,
    },
}

/// Makes them, and says how they are used.
pub(super) fn run(args: &Args) -> ExitCode {
    let Args::SelfSigned { folder, hosts, client } = args;
    match make_self_signed(folder, hosts, client) {
        Ok(files) => {
            for file in &files {
                println!("{}", file.display());
            }
            let file = |name: &str| folder.join(name).display().to_string();
            println!(
                "leveret serve --amqps-listen 5671 --tls-cert {} --tls-key {}",
                file("server_certificate.pem"),
                file("server_key.pem")
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("leveret: {}", Printable::new(error).cut_at(usize::MAX));
            ExitCode::FAILURE
        }
    }
}

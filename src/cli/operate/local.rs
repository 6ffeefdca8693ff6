//! What takes no broker: hashes of passwords, completions for shells, manual pages.

use std::{io, path::PathBuf};

use clap::Subcommand;
use clap_complete::Shell;
use secrecy::{ExposeSecret, SecretString};

use super::{
    error::Error,
    options::ask_password,
    output::{print, say},
    reference,
};
use crate::auth::{new_hash, write_hash};
use crate::config::PasswordHashing;

/// What is made here.
#[derive(Subcommand)]
pub enum Command {
    /// Make the hash of a password, for definitions and leveret add-user --pre-hashed-password
    HashPassword {
        /// The password; asked for, or read from standard input, if it is not given
        password: Option<SecretString>,
        /// How: RabbitMQ reads sha256 only; definitions call the other `leveret_password_hashing_argon2id`
        #[arg(long, value_name = "NAME", default_value = "argon2id")]
        algorithm: PasswordHashing,
    },
    /// Make the completions of a shell for this program
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Make the manual page of this program, or a page of each command
    Man {
        /// The folder that gets the pages of all commands
        #[arg(long, value_name = "DIR", conflicts_with = "markdown")]
        dir: Option<PathBuf>,
        /// Make the list of the operators' commands in Markdown
        #[arg(long)]
        markdown: bool,
    },
}

/// Makes it. `root` is the whole command line.
pub fn run(command: &Command, mut root: clap::Command) -> Result<(), Error> {
    match command {
        Command::HashPassword { password, algorithm } => {
            let password = match password {
                Some(password) => password.clone(),
                None => ask_password("password: ")?,
            };
            let bytes = password.expose_secret().as_bytes().to_vec().into();
            say(write_hash(&new_hash(*algorithm, &bytes)))
        }
        Command::Completions { shell } => {
            let mut bytes = Vec::new();
            clap_complete::generate(*shell, &mut root, "leveret", &mut bytes);
            print(&text(bytes)?)
        }
        Command::Man { dir: Some(dir), .. } => {
            std::fs::create_dir_all(dir).map_err(Error::file(dir))?;
            clap_mangen::generate_to(root, dir).map_err(Error::file(dir))
        }
        Command::Man { dir: None, markdown: true } => print(&reference::markdown(root)),
        Command::Man { dir: None, markdown: false } => {
            let mut bytes = Vec::new();
            clap_mangen::Man::new(root).render(&mut bytes)?;
            print(&text(bytes)?)
        }
    }
}

fn text(bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| Error::Terminal(io::Error::other(error)))
}

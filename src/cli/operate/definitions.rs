//! Definitions: out to a file, and in from one.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::Value;
use tempfile::NamedTempFile;

use super::{
    client::Address,
    error::{Error, usage},
    options::Context,
    output::{json, print},
};
use crate::limits::DEFINITIONS_BYTES_MAX;

/// What is done with definitions.
#[derive(Subcommand)]
pub enum Command {
    /// Write everything that is declared and set to a file in RabbitMQ's form; with -p only what is in one virtual host
    ExportDefinitions {
        /// The file, which others cannot read: it has hashes of passwords; - for standard output
        file: PathBuf,
    },
    /// Make everything that a file of RabbitMQ's form has; with -p in one virtual host. What is there and not in the file stays
    ImportDefinitions {
        /// The file; - for standard input
        file: PathBuf,
    },
}

fn address(context: &Context) -> Address {
    match &context.vhost_said {
        None => Address::new(&["definitions"], "definitions"),
        Some(vhost) => Address::new(&["definitions", vhost], format!("virtual host '{vhost}'")),
    }
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::ExportDefinitions { file } => {
            let text = json(&context.client.get(&address(context))?)?;
            if is_standard(file) { print(&text) } else { write(file, &text).map_err(Error::file(file)) }
        }
        Command::ImportDefinitions { file } => {
            let document = read(file)?;
            context.client.post(&address(context), &document).map(drop)
        }
    }
}

fn is_standard(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The file is there as a whole, or as it was.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn read(path: &Path) -> Result<Value, Error> {
    let mut bytes = Vec::new();
    let limit = DEFINITIONS_BYTES_MAX as u64 + 1;
    if is_standard(path) {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        let file = File::open(path).map_err(Error::file(path))?;
        file.take(limit).read_to_end(&mut bytes).map_err(Error::file(path))?;
    }
    if bytes.len() > DEFINITIONS_BYTES_MAX {
        return Err(usage(format!("{} has more than {DEFINITIONS_BYTES_MAX} bytes", path.display())));
    }
    serde_json::from_slice(&bytes).map_err(|error| usage(format!("{} is no JSON: {error}", path.display())))
}

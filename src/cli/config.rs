//! `leveret config`: what is configured, whether it can be, and files of configuration made from others.

use std::{
    env,
    fmt::Display,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ArgMatches, Args as Arguments, Subcommand, ValueEnum};
use tokio::runtime::Builder;

use crate::auth::{Tokens, http::HttpBackend};
use crate::broker::{Document, configured_policies};
use crate::config::{self, Config, ConfigError, Settings, Shown, read_bounded};
use crate::limits::{DEFINITIONS_BYTES_MAX, RABBITMQ_CONF_BYTES_MAX};
use crate::protocol::Printable;
use crate::tls::Acceptor;

/// What to do about the configuration.
#[derive(Subcommand)]
pub(super) enum Args {
    /// Tell whether the broker could start with these flags, the environment and the file; changes nothing
    Check(Box<Settings>),
    /// Show each setting with its value and where that comes from: flag, environment, file or default
    Show(Box<Show>),
    /// Print a file that lists every key with its default, its unit and its meaning
    Example,
    /// Translate a rabbitmq.conf: the file goes to standard output, what could not be translated to standard error too
    FromRabbitmq {
        /// RabbitMQ's configuration file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// What to show.
#[derive(Arguments)]
pub(super) struct Show {
    /// Form of the list: table, or json, a list of objects
    #[arg(long, value_name = "FORM", default_value = "table", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Does it. `matches` is what the parser found behind `config`.
pub(super) fn run(args: Args, matches: &ArgMatches) -> ExitCode {
    let by_variable = matches.subcommand().map(|(_, own)| config::by_variable(own)).unwrap_or_default();
    let done = match args {
        Args::Check(settings) => check(Settings { by_variable, ..*settings }),
        Args::Show(show) => load(Settings { by_variable, ..show.settings })
            .and_then(|config| listed(&config.shown(), show.format)),
        Args::FromRabbitmq { file } => translated(&file),
        Args::Example => config::example().map_err(|error| error.to_string()),
    };
    match done {
        Ok(text) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("leveret: {error}");
            ExitCode::FAILURE
        }
    }
}

/// An error is what people are shown.
fn load(settings: Settings) -> Result<Config, String> {
    Config::load_in(settings, |name| env::var_os(name)).map_err(|error| match error {
        // It shows the lines of the file.
        ConfigError::Malformed { .. } => error.to_string(),
        error => one_line(&error),
    })
}

fn one_line(error: &impl Display) -> String {
    Printable::new(error).cut_at(usize::MAX).to_string()
}

/// What a start would refuse, but for the data folder, the addresses, and what only comes over the network.
fn check(settings: Settings) -> Result<String, String> {
    let config = load(settings)?;
    configured_policies(&config).map_err(|error| one_line(&error))?;
    if let Some(tls) = config.tls.clone() {
        Acceptor::load(tls).map_err(|error| one_line(&error))?;
    }
    if let Some(oauth) = &config.oauth {
        let tokens = Tokens::new(oauth).map_err(|error| one_line(&error))?;
        if !tokens.is_remote() {
            let runtime = Builder::new_current_thread().build().map_err(|error| one_line(&error))?;
            runtime.block_on(tokens.renew()).map_err(|error| one_line(&error))?;
        }
    }
    if let Some(http) = &config.backends.http {
        HttpBackend::new(http, [0; 32]).map_err(|error| one_line(&error))?;
    }
    if let Some(file) = &config.load_definitions {
        let of_file = |why: &dyn Display| one_line(&format!("definitions {}: {why}", file.display()));
        let json = read_bounded(file, DEFINITIONS_BYTES_MAX as u64).map_err(|error| of_file(&error))?;
        Document::read(&json).map_err(|error| of_file(&error))?;
    }
    let file = config.file().map(|file| format!("{}: ", file.display())).unwrap_or_default();
    Ok(format!("{file}the configuration can be used"))
}

fn translated(file: &Path) -> Result<String, String> {
    let failed = |why: &dyn Display| one_line(&format!("{}: {why}", file.display()));
    let bytes = read_bounded(file, RABBITMQ_CONF_BYTES_MAX).map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8"))?;
    let translation = config::from_rabbitmq(&text);
    for left in &translation.left {
        eprintln!("# not translated: {}", Printable::new(left).cut_at(usize::MAX));
    }
    Ok(translation.toml)
}

fn listed(shown: &[Shown], format: Format) -> Result<String, String> {
    match format {
        Format::Json => serde_json::to_string_pretty(shown).map_err(|error| error.to_string()),
        Format::Table => Ok(table(shown)),
    }
}

fn table(shown: &[Shown]) -> String {
    let width = shown.iter().map(|it| it.name.len()).max().unwrap_or(0);
    let line = |name: &str, from: &str, value: &str| format!("{name:width$}  {from:11}  {value}\n");
    let lines = shown.iter().map(|it| {
        let text = Printable::new(it.text()).cut_at(usize::MAX).to_string();
        line(it.name, &it.from.to_string(), &text)
    });
    std::iter::once(line("name", "from", "value")).chain(lines).collect()
}

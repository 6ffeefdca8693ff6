//! Where the broker is, who asks it, and how answers are written: flags, then the environment, then a profile.

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Read},
    path::PathBuf,
};

use clap::{ArgMatches, Args, FromArgMatches, parser::ValueSource};
use console::Term;
use secrecy::SecretString;

use super::{
    client::Client,
    credentials::{Credentials, Found, Place, find},
    error::{Error, usage},
    output::{Format, Output},
    profile::{self, Profile},
};
use crate::limits::PASSWORD_FILE_BYTES_MAX;

// What every command that asks the broker understands. It has no docstring: the parser would take that for the command's.
#[derive(Args)]
#[command(next_help_heading = "Where, who and how")]
pub struct Options {
    /// Where the HTTP API is [default: http://127.0.0.1:15672]
    #[arg(id = "login-url", long = "url", global = true, env = "LEVERET_URL", value_name = "URL")]
    url: Option<String>,
    /// Who asks [default: guest]
    #[arg(id = "login-user", long = "user", global = true, env = "LEVERET_USER", value_name = "NAME")]
    user: Option<String>,
    /// Its password; everybody on the machine can read it in the list of processes
    #[arg(
        id = "login-password",
        long = "password",
        global = true,
        env = "LEVERET_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    password: Option<SecretString>,
    /// A file with its password
    #[arg(
        id = "login-password-file",
        long = "password-file",
        global = true,
        env = "LEVERET_PASSWORD_FILE",
        value_name = "FILE"
    )]
    password_file: Option<PathBuf>,
    /// An OAuth token in the place of user and password
    #[arg(
        id = "login-token",
        long = "token",
        global = true,
        env = "LEVERET_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    token: Option<SecretString>,
    /// Who signs the broker's certificate, in PEM [default: who this machine trusts]
    #[arg(id = "login-cacert", long = "cacert", global = true, env = "LEVERET_CACERT", value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// The virtual host that the command is for [default: /]
    #[arg(id = "in-vhost", short = 'p', long = "vhost", global = true, value_name = "NAME")]
    vhost: Option<String>,
    /// How the answer is written [default: table]
    #[arg(id = "as-format", long = "format", global = true, value_name = "FORMAT")]
    format: Option<Format>,
    /// Leave the names of columns out
    #[arg(id = "without-headers", long = "no-headers", global = true, alias = "no-table-headers")]
    without_headers: bool,
    /// The profile that counts [default: default]
    #[arg(id = "of-profile", long = "profile", global = true, env = "LEVERET_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// The file of profiles [default: ~/.config/leveret/profiles.toml]
    #[arg(
        id = "of-profiles",
        long = "profiles",
        global = true,
        env = "LEVERET_PROFILES",
        value_name = "FILE"
    )]
    profiles: Option<PathBuf>,
}

/// What a command works with.
pub struct Context {
    /// Who asks the broker.
    pub client: Client,
    /// The virtual host that it is for.
    pub vhost: String,
    /// The same, if it stands on the command line.
    pub vhost_said: Option<String>,
    /// How answers are written.
    pub output: Output,
}

/// Whether somebody has to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The usual thing: as guest, if nobody is named.
    Always,
    /// Nobody, if nobody is named.
    IfSaid,
}

impl Context {
    /// What the matches of a command, the environment and the profile say.
    pub fn of(matches: &ArgMatches, login: Login) -> Result<Self, Error> {
        let options = Options::from_arg_matches(matches).map_err(|error| usage(error.to_string()))?;
        let profile = options.profile()?;
        let credentials = options.credentials(matches, &profile, login)?;
        let url = options.url.or(profile.url).unwrap_or_else(|| URL.into());
        let cacert = options.cacert.or(profile.cacert);
        Ok(Self {
            client: Client::new(&url, &credentials, cacert.as_deref())?,
            vhost: options.vhost.clone().or(profile.vhost).unwrap_or_else(|| "/".into()),
            vhost_said: options.vhost,
            output: Output {
                format: options.format.or(profile.format).unwrap_or_default(),
                without_headers: options.without_headers,
            },
        })
    }
}

impl Options {
    fn profile(&self) -> Result<Profile, Error> {
        let path = self.profiles.clone().or_else(|| profile::usual_place(|name| env::var_os(name)));
        match (path, &self.profile) {
            (Some(path), name) => profile::read(&path, name.as_deref()),
            (None, None) => Ok(Profile::default()),
            (None, Some(name)) => Err(usage(format!(
                "there is no profile '{name}': without HOME nobody knows where profiles are, but for --profiles"
            ))),
        }
    }

    /// What was said on the command line, or in the environment.
    fn place(&self, matches: &ArgMatches, source: ValueSource) -> Result<Place, Error> {
        let is_from = |id: &str| matches.value_source(id) == Some(source);
        let password = self.password.clone().filter(|_| is_from("login-password"));
        let file = self.password_file.clone().filter(|_| is_from("login-password-file"));
        Ok(Place {
            user: self.user.clone().filter(|_| is_from("login-user")),
            password: one_of(password, file)?,
            token: self.token.clone().filter(|_| is_from("login-token")),
        })
    }

    fn credentials(
        &self,
        matches: &ArgMatches,
        profile: &Profile,
        login: Login,
    ) -> Result<Credentials, Error> {
        let places = [
            self.place(matches, ValueSource::CommandLine)?,
            self.place(matches, ValueSource::EnvVariable)?,
            Place {
                user: profile.user.clone(),
                password: one_of(profile.password.clone(), profile.password_file.clone())?,
                token: profile.token.clone(),
            },
        ];
        match find(&places)? {
            Found::Credentials(credentials) => Ok(credentials),
            Found::Nothing if login == Login::IfSaid => Ok(Credentials::Nobody),
            Found::Nothing => Ok(Credentials::of_guest()),
            Found::PasswordOf(name) if !somebody_is_there() => Err(usage(format!(
                "the password of user '{name}' is not given: --password-file, LEVERET_PASSWORD or a profile"
            ))),
            Found::PasswordOf(name) => {
                let password = ask_password(&format!("password of {name}: "))?;
                Ok(Credentials::User { name, password })
            }
        }
    }
}

/// A password, from where it is said.
fn one_of(said: Option<SecretString>, file: Option<PathBuf>) -> Result<Option<SecretString>, Error> {
    match (said, file) {
        (Some(_), Some(_)) => {
            Err(usage("a password and a file with one are both given: only one of them can count"))
        }
        (Some(said), None) => Ok(Some(said)),
        (None, Some(path)) => {
            let file = File::open(&path).map_err(Error::file(&path))?;
            first_line(file, &path.display().to_string()).map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// A password without the end of its line.
fn first_line(from: impl Read, place: &str) -> Result<SecretString, Error> {
    let mut text = zeroize::Zeroizing::new(String::new());
    from.take(PASSWORD_FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    if text.len() > PASSWORD_FILE_BYTES_MAX {
        return Err(usage(format!("{place} has more than {PASSWORD_FILE_BYTES_MAX} bytes")));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(usage(format!("{place} has no password")));
    }
    Ok(line.into())
}

/// Asks for a password at the terminal, or reads it from standard input if that is none.
pub fn ask_password(prompt: &str) -> Result<SecretString, Error> {
    let terminal = Term::stderr();
    if !somebody_is_there() {
        return first_line(io::stdin(), "standard input");
    }
    terminal.write_str(prompt)?;
    Ok(terminal.read_secure_line()?.into())
}

/// Whether there is a terminal to ask at. What is read from a pipe is for the command: it may be a payload.
fn somebody_is_there() -> bool {
    Term::stderr().is_term() && io::stdin().is_terminal()
}

/// Where the HTTP API is, if nobody says otherwise.
const URL: &str = "http://127.0.0.1:15672";

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_password_is_read_without_the_end_of_its_line() {
        for (text, wanted) in [
            ("secret\n", Some("secret")),
            ("secret\r\n", Some("secret")),
            (" se cret ", Some(" se cret ")),
            ("", None),
            ("\n", None),
        ] {
            let read = first_line(text.as_bytes(), "here").ok();
            assert_eq!(read.as_ref().map(|password| password.expose_secret()), wanted, "{text:?}");
        }
        let long = "x".repeat(PASSWORD_FILE_BYTES_MAX + 1);
        assert!(first_line(long.as_bytes(), "here").is_err());
        assert!(first_line(&long.as_bytes()[1..], "here").is_ok());
    }
}

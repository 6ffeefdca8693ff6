//! Passwords in the configuration: they are wiped when they are dropped, and neither a `Debug` output nor an error shows them.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::{ConfigError, spelling};
use crate::limits::PASSWORD_FILE_BYTES_MAX;

/// How new passwords are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PasswordHashing {
    /// As RabbitMQ does, which can take such users over.
    Sha256,
    /// Costly to guess. RabbitMQ cannot read it.
    #[default]
    Argon2id,
}

impl PasswordHashing {
    /// As it is configured.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Argon2id => "argon2id",
        }
    }
}

/// The password of the default user, from where it was said.
pub(super) fn default_pass(
    said: Option<SecretString>,
    file: Option<PathBuf>,
) -> Result<SecretSlice<u8>, ConfigError> {
    let (name, password) = match (said, file) {
        (Some(_), Some(_)) => {
            return Err(invalid("default-pass-file", "default-pass is set too: only one of them can count"));
        }
        (None, Some(path)) => ("default-pass-file", from_file(&path)?),
        (Some(said), None) => ("default-pass", said.expose_secret().as_bytes().to_vec().into()),
        (None, None) => ("default-pass", b"guest".to_vec().into()),
    };
    match password.expose_secret() {
        // RabbitMQ refuses it at each login.
        [] => Err(invalid(name, "is empty")),
        bytes if bytes.contains(&0) => Err(invalid(name, "has a zero octet, which no client can send")),
        _ => Ok(password),
    }
}

/// What is in a file, without the end of its line.
fn from_file(path: &Path) -> Result<SecretSlice<u8>, ConfigError> {
    let failed =
        |error: io::Error| invalid("default-pass-file", format!("cannot read {}: {error}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSWORD_FILE_BYTES_MAX + 1));
    File::open(path)
        .and_then(|file| file.take(PASSWORD_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() > PASSWORD_FILE_BYTES_MAX {
        let text = format!("{} has more than {PASSWORD_FILE_BYTES_MAX} bytes", path.display());
        return Err(invalid("default-pass-file", text));
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(line.to_vec().into())
}

/// A password of the configuration file. What else stands there is not shown.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text")]
    enum Text {
        Text(SecretString),
    }
    let Text::Text(text) = Text::deserialize(deserializer)?;
    Ok(Some(text))
}

/// What is wrong with a configuration file, with the line where it is, unless that has a password.
pub(super) fn malformed(text: &str, error: &toml::de::Error) -> String {
    let why = spelling::unknown_key(error.message()).unwrap_or_else(|| error.message().to_owned());
    let shown = || error.to_string().trim_end().replace(error.message().trim_end(), &why);
    let Some(span) = error.span() else { return shown() };
    let line = text.get(..span.start).unwrap_or(text).matches('\n').count();
    if has_password(text).nth(line).unwrap_or(true) {
        return format!("line {}, which is not shown because it may have a password: {why}", line + 1);
    }
    shown()
}

/// For each line whether a password may stand there.
fn has_password(text: &str) -> impl Iterator<Item = bool> {
    let mut open: Option<&str> = None;
    text.split('\n').map(move |line| {
        if let Some(quotes) = open {
            if line.contains(quotes) {
                open = None;
            }
            return true;
        }
        let key = line.split('=').next().unwrap_or_default().trim();
        let is_its = line.to_ascii_lowercase().contains("pass") && !HARMLESS.contains(&key);
        let opens = |quotes: &&str| line.matches(quotes).count() == 1;
        open = ["\"\"\"", "'''"].into_iter().find(opens).filter(|_| is_its);
        is_its
    })
}

/// Keys about passwords that hold none.
const HARMLESS: [&str; 2] = ["default-pass-file", "password-hashing"];

fn invalid(name: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { name, message: message.into() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::config::Settings;

    const SECRET: &str = "geheim";

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let file = file(bytes);
        let read = default_pass(None, Some(file.path().into()));
        read.map(|password| password.expose_secret().to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_has_a_password_and_perhaps_the_end_of_a_line() {
        for (bytes, password) in [
            (b"secret".as_slice(), b"secret".as_slice()),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b" se cret \n\n", b" se cret \n"),
            (b"\xFF", b"\xFF"),
            (&[b'x'; PASSWORD_FILE_BYTES_MAX], &[b'x'; PASSWORD_FILE_BYTES_MAX]),
        ] {
            assert_eq!(read(bytes).as_deref(), Ok(password));
        }
    }

    #[test]
    fn what_cannot_be_a_password_is_refused_without_being_shown() {
        for (bytes, words) in [
            (b"".as_slice(), "default-pass-file: is empty"),
            (b"\n", "default-pass-file: is empty"),
            (b"geheim\0\n", "has a zero octet"),
            (&SECRET.repeat(PASSWORD_FILE_BYTES_MAX).into_bytes(), "has more than 4096 bytes"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(words) && !error.contains(SECRET), "{error}");
        }
        let missing = default_pass(None, Some("/no/such/file".into())).unwrap_err().to_string();
        assert!(missing.starts_with("default-pass-file: cannot read /no/such/file: "), "{missing}");
        let both = default_pass(Some(SECRET.into()), Some("/no/such/file".into())).unwrap_err().to_string();
        assert!(both.contains("only one of them") && !both.contains(SECRET), "{both}");
    }

    #[test]
    fn an_error_in_the_file_does_not_show_a_password() {
        for text in [
            "default-pass = 'geheim",
            "default-pass = geheim",
            "default-pass = ['geheim']",
            "default-pass = { geheim = 1 }",
            "default-pass = \"geheim\\q\"",
            "default-pass = 'geheim' 'geheim'",
            "default-pass = 'geheim'\ndefault-pass = 'geheim'",
            "defualt-pass = 'geheim'",
            "DEFAULT-PASS = 'geheim'",
            "default-pass = \"\"\"x\ngeheim\n",
            "default-pass = \"\"\"x\ngeheim\\q\n\"\"\"\nheartbeat = 1",
            "default-pass = '''x\ngeheim'''x\n",
        ] {
            let file = file(format!("heartbeat = 1\n{text}").as_bytes());
            let settings = Settings { config: Some(file.path().into()), ..Settings::default() };
            let error = crate::config::Config::load(settings).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(SECRET), "{text}: {shown}");
            assert!(shown.contains("line "), "{text}: {shown}");
        }
        let number = file(b"default-pass = 4711");
        let settings = Settings { config: Some(number.path().into()), ..Settings::default() };
        let shown = crate::config::Config::load(settings).unwrap_err().to_string();
        assert!(shown.contains("expected a text") && !shown.contains("4711"), "{shown}");
    }

    #[test]
    fn neither_settings_nor_a_configuration_show_a_password() {
        let settings = Settings { default_pass: Some(SECRET.into()), ..Settings::default() };
        let shown = format!("{settings:?} {:?}", crate::config::Config::load(settings.clone()).unwrap());
        assert!(!shown.contains(SECRET) && !shown.contains("103, 101, 104"), "{shown}");
    }
}

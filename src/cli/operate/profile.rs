//! The file of profiles: for each broker that somebody works with, where it is and who asks.
//!
//! ```toml
//! [default]                 # counts where no other profile is named
//! url = "http://127.0.0.1:15672"
//!
//! [production]
//! url = "https://broker.example.org:15672"
//! user = "ann"
//! password-file = "/home/ann/.leveret-production"
//! ```

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    error::{Error, usage},
    output::Format,
};
use crate::limits::PROFILES_BYTES_MAX;

/// One of them. What it does not say is as if there were none.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// Where the HTTP API is.
    pub url: Option<String>,
    /// Who asks.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretString>,
    /// A file with its password.
    pub password_file: Option<PathBuf>,
    /// A bearer token in the place of both.
    pub token: Option<SecretString>,
    /// Who signs the broker's certificate.
    pub cacert: Option<PathBuf>,
    /// The virtual host that commands are for.
    pub vhost: Option<String>,
    /// How answers are written.
    pub format: Option<Format>,
}

/// The profile of a name in a file, or the one that counts where none is named. A file that is not there has none.
pub fn read(path: &Path, name: Option<&str>) -> Result<Profile, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return match name {
                None => Ok(Profile::default()),
                Some(name) => {
                    Err(usage(format!("there is no profile '{name}': {} is not there", path.display())))
                }
            };
        }
        Err(error) => return Err(Error::file(path)(error)),
    };
    let others_read_it = file.metadata().map_err(Error::file(path))?.permissions().mode() & 0o077 != 0;
    let mut text = Zeroizing::new(String::new());
    let limit = PROFILES_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_string(&mut text).map_err(Error::file(path))?;
    if text.len() > PROFILES_BYTES_MAX {
        return Err(usage(format!("{} has more than {PROFILES_BYTES_MAX} bytes", path.display())));
    }
    let profile = parse(&text, name).map_err(|why| usage(format!("{}: {why}", path.display())))?;
    if others_read_it && (profile.password.is_some() || profile.token.is_some()) {
        return Err(usage(format!(
            "{path}: others can read it, and it has a password or a token: chmod 600 {path}",
            path = path.display()
        )));
    }
    Ok(profile)
}

/// What went wrong is told without the text: a password may stand in it.
fn parse(text: &str, name: Option<&str>) -> Result<Profile, String> {
    let mut all: BTreeMap<String, Profile> = toml::from_str(text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        format!("line {line}: {}", error.message())
    })?;
    let Some(name) = name else { return Ok(all.remove(DEFAULT).unwrap_or_default()) };
    all.remove(name).ok_or_else(|| {
        let names: Vec<_> = all.keys().map(String::as_str).collect();
        format!("there is no profile '{name}'; those that there are: {}", names.join(", "))
    })
}

/// Where profiles are, if nobody says otherwise. `read` reads a variable of the environment.
pub fn usual_place(read: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let folder = |name| read(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))?;
    Some(config.join("leveret").join("profiles.toml"))
}

/// The profile that counts where none is named.
const DEFAULT: &str = "default";

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    const TEXT: &str =
        "[default]\nurl = 'http://a'\n[other]\nuser = 'ann'\npassword = 'geheim'\nformat = 'csv'\n";

    #[test]
    fn a_profile_is_found_by_its_name_and_one_counts_without() {
        assert_eq!(parse(TEXT, None).unwrap().url.as_deref(), Some("http://a"));
        let other = parse(TEXT, Some("other")).unwrap();
        assert_eq!((other.user.as_deref(), other.format, other.url), (Some("ann"), Some(Format::Csv), None));
        assert!(parse("", None).unwrap().url.is_none());
        let error = parse(TEXT, Some("third")).unwrap_err();
        assert_eq!(error, "there is no profile 'third'; those that there are: default, other");
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_line_and_without_its_text() {
        for (text, words) in [
            ("[a]\nurll = 'x'", "line 2: unknown field `urll`"),
            ("[a]\npassword = 'geheim", "line 2: "),
            ("[a]\nformat = 'xml'", "line 2: unknown variant `xml`"),
            ("url = 'x'", "line 1: "),
        ] {
            let error = parse(text, None).unwrap_err();
            assert!(error.starts_with(words) && !error.contains("geheim"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_that_others_can_read_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(TEXT.as_bytes()).unwrap();
        let mode = |mode| fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        assert!(read(file.path(), Some("other")).is_ok());
        mode(0o644);
        let error = read(file.path(), Some("other")).unwrap_err().to_string();
        assert!(error.contains("others can read it") && error.contains("chmod 600"), "{error}");
        assert!(read(file.path(), None).is_ok(), "there is no password in it");
    }

    #[test]
    fn a_file_that_is_not_there_has_no_profile_and_one_that_is_too_long_is_refused() {
        let path = Path::new("/no/such/file");
        assert!(read(path, None).unwrap().url.is_none());
        let error = read(path, Some("a")).unwrap_err().to_string();
        assert_eq!(error, "there is no profile 'a': /no/such/file is not there");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![b'\n'; PROFILES_BYTES_MAX]).unwrap();
        assert!(read(file.path(), None).is_ok());
        file.write_all(b"\n").unwrap();
        let error = read(file.path(), None).unwrap_err().to_string();
        assert!(error.contains("has more than"), "{error}");
    }

    #[test]
    fn profiles_are_in_the_folder_of_the_user() {
        let with = |xdg: &str, home: &str| {
            usual_place(|name| {
                let value = if name == "HOME" { home } else { xdg };
                (!value.is_empty()).then(|| value.into())
            })
        };
        assert_eq!(with("/x", "/h"), Some("/x/leveret/profiles.toml".into()));
        assert_eq!(with("", "/h"), Some("/h/.config/leveret/profiles.toml".into()));
        assert_eq!(
            with("x", "/h"),
            Some("/h/.config/leveret/profiles.toml".into()),
            "XDG: only absolute ones"
        );
        assert_eq!(with("", ""), None);
    }
}

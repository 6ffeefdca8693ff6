//! Why a command fails, what to do about it, and the exit code that says so.

use std::{io, path::PathBuf, process::ExitCode};

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, the environment or the profile makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There is nobody at the address, or nobody who speaks HTTP.
    #[error(
        "cannot reach {url}: {why}; is the broker there, with its HTTP API (--http-listen)? --url or LEVERET_URL names another address"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// 401: who asks has not proven who that is.
    #[error(
        "{who} is not let in at {url} ({reason}); log in as somebody else with --user and --password-file, --token, LEVERET_USER and LEVERET_PASSWORD, or --profile"
    )]
    NotLetIn {
        /// Who asked.
        who: String,
        /// The address.
        url: String,
        /// What the broker says.
        reason: String,
    },
    /// 401: who asks may not.
    #[error(
        "{who} may not do this ({reason}): it takes a permission in the virtual host or a tag (management, policymaker, monitoring, administrator); --user names somebody else"
    )]
    NotPermitted {
        /// Who asked.
        who: String,
        /// What the broker says.
        reason: String,
    },
    /// 404.
    #[error("there is no {0}")]
    Missing(String),
    /// Any other status that is no success.
    #[error("{what}: the broker answers {status}: {reason}")]
    Refused {
        /// What was asked about.
        what: String,
        /// Status of the answer.
        status: u16,
        /// What the broker says.
        reason: String,
    },
    /// An answer that this program does not understand.
    #[error("{url} answers with what is not the HTTP API's ({why}): does --url name Leveret's HTTP API?")]
    Strange {
        /// The address.
        url: String,
        /// What is strange.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The terminal or a pipe cannot be read or written.
    #[error("{0}")]
    Terminal(#[from] io::Error),
    /// It was done, and the result is not the wished one.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// 2 for usage, 69 (`EX_UNAVAILABLE`) if the broker cannot be reached, 1 for the rest.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Unreachable { .. } => ExitCode::from(69),
            _ => ExitCode::FAILURE,
        }
    }

    /// A file that cannot be read or written.
    pub fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}

/// The command line makes no sense.
pub fn usage(text: impl Into<String>) -> Error {
    Error::Usage(text.into())
}

//! Who has logged in.

use std::sync::Arc;

use super::{http::HttpUser, oauth::Token};
use crate::core::access::UserSpec;
use crate::protocol::ShortString;

/// Who has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub user: ShortString,
    /// What says what it may do.
    pub authority: Authority,
}

/// What says what somebody may do who has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// The broker's permissions.
    Own,
    /// The token with which it has come.
    Token(Arc<Token>),
    /// The HTTP service, which is asked.
    Http(Arc<HttpUser>),
}

impl Identity {
    /// One of the broker's own users, with the broker's permissions.
    pub fn own(user: ShortString) -> Self {
        Self { user, authority: Authority::Own }
    }
}

impl Authority {
    /// Whether the user is one of the broker's own: it ends with that.
    pub fn is_of_own_user(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Token(_) => false,
            Self::Http(user) => user.is_own,
        }
    }

    /// Its tags, if the broker does not have them.
    pub fn tags(&self) -> Option<&[ShortString]> {
        match self {
            Self::Own => None,
            Self::Token(token) => Some(&token.tags),
            Self::Http(user) => Some(&user.tags),
        }
    }
}

impl From<Arc<UserSpec>> for Identity {
    fn from(spec: Arc<UserSpec>) -> Self {
        Self::own(spec.name.clone())
    }
}

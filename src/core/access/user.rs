//! A user as it is set and shown.

use std::fmt;

use super::Limits;
use crate::protocol::ShortString;

/// How a password was hashed. The names are those of RabbitMQ's definitions, where RabbitMQ knows the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// Four octets of salt, then SHA-256 of salt and password.
    Sha256,
    /// Four octets of salt, then SHA-512 of salt and password.
    Sha512,
    /// Four octets of salt, then MD5 of salt and password. Such a hash is kept, and lets nobody in.
    Md5,
    /// A PHC string (`$argon2id$v=19$...`).
    Argon2id,
}

impl HashAlgorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Sha512, Self::Md5, Self::Argon2id];

    /// By its name in definitions.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its name in definitions (`hashing_algorithm`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "rabbit_password_hashing_sha256",
            Self::Sha512 => "rabbit_password_hashing_sha512",
            Self::Md5 => "rabbit_password_hashing_md5",
            Self::Argon2id => "leveret_password_hashing_argon2id",
        }
    }
}

/// The hash of a password. Its text form shows the algorithm alone.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// How it was made.
    pub algorithm: HashAlgorithm,
    /// Salt and hash as the algorithm lays them out; empty if no password fits (RabbitMQ's users without a password).
    pub bytes: Box<[u8]>,
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({:?})", self.algorithm)
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// Unique.
    pub name: ShortString,
    /// What its password is compared with.
    pub password: PasswordHash,
    /// What it may see and change beyond its permissions, such as `administrator`; others may be made up.
    pub tags: Vec<ShortString>,
    /// Its limits, over all virtual hosts.
    pub limits: Limits,
}

impl UserSpec {
    /// Whether it has a tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|one| **one == *tag.as_bytes())
    }
}

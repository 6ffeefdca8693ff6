//! Password hashes in RabbitMQ's format: a 4-byte salt, then SHA-256 of salt and password.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A salted hash; the password itself is not kept.
#[derive(Clone)]
pub(super) struct PasswordHash {
    salt: [u8; 4],
    digest: [u8; 32],
}

impl PasswordHash {
    /// The hash of `password` under `salt`.
    pub(super) fn new(salt: [u8; 4], password: &[u8]) -> Self {
        Self { salt, digest: digest(salt, password) }
    }

    /// Whether this is the password; takes the same time whether or not.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        digest(self.salt, password).ct_eq(&self.digest).into()
    }
}

fn digest(salt: [u8; 4], password: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(password).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_rabbitmqs() {
        // The published test vector: password test12, salt 908DC60A.
        let hash = PasswordHash::new([0x90, 0x8D, 0xC6, 0x0A], b"test12");
        assert_eq!(hash.digest[..4], [0xA5, 0xB9, 0x24, 0xB3]);
        assert!(hash.matches(b"test12") && !hash.matches(b"test13"));
    }
}

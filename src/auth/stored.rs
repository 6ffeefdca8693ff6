//! Password hashes as definitions write them (`password_hash`).

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::core::access::{HashAlgorithm, PasswordHash};

/// Octets of salt in front of the hashes that RabbitMQ makes.
const SALT_BYTES: usize = 4;

/// Reads a hash. `None` if it is none of that algorithm. An empty one is that of a user whom no password lets in.
pub fn read_hash(algorithm: HashAlgorithm, text: &str) -> Option<PasswordHash> {
    let digest_bytes = match algorithm {
        HashAlgorithm::Md5 => 16,
        HashAlgorithm::Sha256 => 32,
        HashAlgorithm::Sha512 => 64,
        HashAlgorithm::Argon2id => {
            let is_one = text.is_empty() || text.starts_with("$argon2id$");
            return is_one.then(|| PasswordHash { algorithm, bytes: text.as_bytes().into() });
        }
    };
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let fits = bytes.is_empty() || bytes.len() == SALT_BYTES + digest_bytes;
    fits.then(|| PasswordHash { algorithm, bytes: bytes.into() })
}

/// The text of a hash.
pub fn write_hash(hash: &PasswordHash) -> String {
    match hash.algorithm {
        HashAlgorithm::Argon2id => String::from_utf8_lossy(&hash.bytes).into_owned(),
        HashAlgorithm::Sha256 | HashAlgorithm::Sha512 | HashAlgorithm::Md5 => {
            BASE64_STANDARD.encode(&hash.bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_and_written_as_rabbitmq_does() {
        let digests = [
            (HashAlgorithm::Sha256, BASE64_STANDARD.encode([7; 36])),
            (HashAlgorithm::Sha512, BASE64_STANDARD.encode([7; 68])),
            (HashAlgorithm::Md5, BASE64_STANDARD.encode([7; 20])),
            (HashAlgorithm::Argon2id, "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA".into()),
        ];
        for (algorithm, text) in &digests {
            for (other, its) in &digests {
                let read = read_hash(*algorithm, its);
                assert_eq!(read.is_some(), algorithm == other, "{its} as {algorithm:?}");
                assert_eq!(read.map(|hash| write_hash(&hash)).unwrap_or(text.clone()), *text);
            }
            assert_eq!(read_hash(*algorithm, "").map(|hash| hash.bytes.len()), Some(0));
            assert_eq!(read_hash(*algorithm, "no hash"), None);
        }
    }
}

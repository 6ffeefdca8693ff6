//! Hashes of passwords: RabbitMQ's are verified as they are, new ones are made by argon2id or, where that is asked for, as RabbitMQ
//! makes them.
//!
//! Whoever calls does the work, and of argon2id that is tens of milliseconds and 19 MiB: [`is_cheap`] tells.

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, Version,
    password_hash::phc::{self, Output, ParamsString, Salt},
};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::config::PasswordHashing;
use crate::core::access::{HashAlgorithm, PasswordHash};
use crate::limits::{
    ARGON2_LANES, ARGON2_LANES_MAX, ARGON2_MEMORY_KIB, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES,
    ARGON2_PASSES_MAX,
};

/// Why a hash lets nobody in, whatever the password; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHash {
    /// RabbitMQ kept it from versions before 3.6.
    #[error("its password was hashed by MD5, which is not accepted any more: set a new password")]
    Md5,
    /// It is not laid out as its algorithm says.
    #[error("its password hash cannot be read: set a new password")]
    Malformed,
    /// It would take more than `limits.rs` allows.
    #[error("its password hash takes more memory or time than is allowed: set a new password")]
    TooCostly,
    /// There is not as much memory as it takes.
    #[error("there is no memory for checking its password")]
    OutOfMemory,
}

/// Whether this is the password; takes the same time whether or not. No password fits a hash without bytes.
pub fn verify(hash: &PasswordHash, password: &[u8]) -> Result<bool, BadHash> {
    if hash.bytes.is_empty() {
        return Ok(false);
    }
    match hash.algorithm {
        HashAlgorithm::Sha256 => salted::<Sha256>(&hash.bytes, password),
        HashAlgorithm::Sha512 => salted::<Sha512>(&hash.bytes, password),
        HashAlgorithm::Md5 => Err(BadHash::Md5),
        HashAlgorithm::Argon2id => argon2id(&hash.bytes, password),
    }
}

/// Whether it takes so little to verify that it may be done where others wait: a microsecond.
pub fn is_cheap(hash: &PasswordHash) -> bool {
    hash.algorithm != HashAlgorithm::Argon2id || hash.bytes.is_empty()
}

/// The hash of a new password. `salt` is random.
pub fn hash(hashing: PasswordHashing, password: &[u8], salt: &[u8; SALT_BYTES]) -> PasswordHash {
    match hashing {
        PasswordHashing::Sha256 => {
            let salt = &salt[..RABBITMQ_SALT_BYTES];
            let digest = Sha256::new().chain_update(salt).chain_update(password).finalize();
            let bytes = [salt, &digest[..]].concat().into();
            PasswordHash { algorithm: HashAlgorithm::Sha256, bytes }
        }
        PasswordHashing::Argon2id => {
            let mut digest = [0; ARGON2_DIGEST_BYTES];
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params())
                .hash_password_into(password, salt, &mut digest)
                .expect("the parameters are within argon2's ranges, and there are 19 MiB");
            phc_string(salt, &digest)
        }
    }
}

/// A hash that no password has, as costly to verify as a new one.
pub fn decoy(hashing: PasswordHashing, random: &[u8; SALT_BYTES + ARGON2_DIGEST_BYTES]) -> PasswordHash {
    match hashing {
        PasswordHashing::Sha256 => {
            let bytes = random[..RABBITMQ_SALT_BYTES + ARGON2_DIGEST_BYTES].into();
            PasswordHash { algorithm: HashAlgorithm::Sha256, bytes }
        }
        PasswordHashing::Argon2id => {
            let (salt, digest) = random.split_at(SALT_BYTES);
            phc_string(salt, digest)
        }
    }
}

/// RabbitMQ's layout: four octets of salt, then the digest of salt and password.
fn salted<D: Digest>(bytes: &[u8], password: &[u8]) -> Result<bool, BadHash> {
    let (salt, expected) = bytes.split_at_checked(RABBITMQ_SALT_BYTES).ok_or(BadHash::Malformed)?;
    let actual = D::new().chain_update(salt).chain_update(password).finalize();
    if actual.len() != expected.len() {
        return Err(BadHash::Malformed);
    }
    Ok(actual.as_slice().ct_eq(expected).into())
}

fn argon2id(phc: &[u8], password: &[u8]) -> Result<bool, BadHash> {
    let text = std::str::from_utf8(phc).map_err(|_| BadHash::Malformed)?;
    let hash = phc::PasswordHash::new(text).map_err(|_| BadHash::Malformed)?;
    let is_known = hash.algorithm == ARGON2ID_IDENT && hash.version == Some(Version::V0x13.into());
    let (true, Some(salt), Some(expected)) = (is_known, &hash.salt, &hash.hash) else {
        return Err(BadHash::Malformed);
    };
    let params = Params::try_from(&hash).map_err(|_| BadHash::Malformed)?;
    if params.m_cost() > ARGON2_MEMORY_KIB_MAX
        || params.t_cost() > ARGON2_PASSES_MAX
        || params.p_cost() > ARGON2_LANES_MAX
    {
        return Err(BadHash::TooCostly);
    }
    let mut actual = vec![0; expected.len()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    match argon2.hash_password_into(password, salt, &mut actual) {
        Ok(()) => Ok(actual.ct_eq(expected.as_bytes()).into()),
        Err(argon2::Error::OutOfMemory) => Err(BadHash::OutOfMemory),
        Err(_) => Err(BadHash::Malformed),
    }
}

fn params() -> Params {
    Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(ARGON2_DIGEST_BYTES))
        .expect("limits.rs has checked them")
}

fn phc_string(salt: &[u8], digest: &[u8]) -> PasswordHash {
    let text = phc::PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params()).expect("three numbers fit"),
        salt: Some(Salt::new(salt).expect("16 octets fit")),
        hash: Some(Output::new(digest).expect("32 octets fit")),
    };
    PasswordHash { algorithm: HashAlgorithm::Argon2id, bytes: text.to_string().into_bytes().into() }
}

/// Salt of a new hash; RabbitMQ's layout takes the first four octets.
pub const SALT_BYTES: usize = 16;
/// Digest of argon2id, and of SHA-256.
pub const ARGON2_DIGEST_BYTES: usize = 32;
const RABBITMQ_SALT_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// The password that is published with it is test12.
    const PUBLISHED: &[u8] =
        b"\x90\x8D\xC6\x0A\xA5\xB9\x24\xB3\x09\x6B\x88\x97\xD6\x5A\x3B\x5F\x80\xFA\x5D\xB6\
        \x2A\x94\xB8\x31\x22\xCD\xF4\xF8\xFE\xAD\x10\xD5\x15\xD8\xF3\x91";

    fn with(algorithm: HashAlgorithm, bytes: &[u8]) -> PasswordHash {
        PasswordHash { algorithm, bytes: bytes.into() }
    }

    fn new(hashing: PasswordHashing, password: &[u8]) -> PasswordHash {
        hash(hashing, password, &[7; SALT_BYTES])
    }

    fn sha512(password: &[u8]) -> PasswordHash {
        let digest = Sha512::new().chain_update(b"salt").chain_update(password).finalize();
        with(HashAlgorithm::Sha512, &[b"salt", &digest[..]].concat())
    }

    #[test]
    fn the_published_hash_of_rabbitmq_is_verified_and_made() {
        let published = with(HashAlgorithm::Sha256, PUBLISHED);
        assert_eq!(verify(&published, b"test12"), Ok(true));
        let mut salt = [0; SALT_BYTES];
        salt[..4].copy_from_slice(&PUBLISHED[..4]);
        assert_eq!(hash(PasswordHashing::Sha256, b"test12", &salt), published);
    }

    #[test]
    fn each_algorithm_lets_its_password_in_and_no_other() {
        let hashes = [
            new(PasswordHashing::Sha256, b"right"),
            sha512(b"right"),
            new(PasswordHashing::Argon2id, b"right"),
        ];
        for hash in &hashes {
            for (password, fits) in [
                (b"right".as_slice(), true),
                (b"wrong", false),
                (b"", false),
                (b"right\0", false),
                (b"righ", false),
            ] {
                assert_eq!(verify(hash, password), Ok(fits), "{hash:?} {password:?}");
            }
        }
        // An empty password has a hash like any other; that nobody logs in with it is not decided here.
        for hash in [new(PasswordHashing::Sha256, b""), sha512(b""), new(PasswordHashing::Argon2id, b"")] {
            assert_eq!(verify(&hash, b""), Ok(true), "{hash:?}");
        }
    }

    #[test]
    fn no_password_fits_a_hash_without_bytes() {
        for algorithm in HashAlgorithm::ALL {
            for password in [b"".as_slice(), b"x"] {
                assert_eq!(verify(&with(algorithm, b""), password), Ok(false), "{algorithm:?}");
            }
        }
    }

    #[test]
    fn md5_is_never_accepted_and_says_what_to_do() {
        let error = verify(&with(HashAlgorithm::Md5, &[1; 20]), b"x").unwrap_err();
        assert_eq!(error, BadHash::Md5);
        assert!(error.to_string().contains("set a new password"));
    }

    #[test]
    fn a_hash_of_another_layout_is_malformed() {
        for length in [1, 3, 4, 35, 37, 67, 69] {
            for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
                let hash = with(algorithm, &vec![1; length]);
                assert_eq!(verify(&hash, b"x"), Err(BadHash::Malformed), "{algorithm:?} {length}");
            }
        }
        let good = String::from_utf8(new(PasswordHashing::Argon2id, b"x").bytes.to_vec()).unwrap();
        assert!(good.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{good}");
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("argon2id", "argon2d"),
            ("argon2id", "scrypt"),
            ("$v=19", ""),
            ("v=19", "v=16"),
            ("m=64", "m=7"),
            ("m=64", "m=a"),
            ("m=64", "z=64"),
            ("t=2", "t=0"),
            ("p=1", "p=0"),
            ("p=1", "p=9"),
            ("$argon2id", "argon2id"),
            ("$", "$$"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_eq!(
                verify(&with(HashAlgorithm::Argon2id, bad.as_bytes()), b"x"),
                Err(BadHash::Malformed),
                "{bad}"
            );
        }
        for end in 1..good.len() {
            let cut = with(HashAlgorithm::Argon2id, &good.as_bytes()[..end]);
            assert_ne!(verify(&cut, b"x"), Ok(true), "{end}");
        }
        assert_eq!(verify(&with(HashAlgorithm::Argon2id, b"\xFF"), b"x"), Err(BadHash::Malformed));
    }

    #[test]
    fn a_hash_that_asks_for_more_than_the_bounds_is_not_computed() {
        let good = String::from_utf8(new(PasswordHashing::Argon2id, b"x").bytes.to_vec()).unwrap();
        for (from, to) in [
            ("m=64", format!("m={}", ARGON2_MEMORY_KIB_MAX + 1)),
            ("m=64", "m=4294967295".into()),
            ("t=2", format!("t={}", ARGON2_PASSES_MAX + 1)),
            ("m=64,t=2,p=1", format!("m=1024,t=2,p={}", ARGON2_LANES_MAX + 1)),
        ] {
            let bad = good.replacen(from, &to, 1);
            assert_eq!(
                verify(&with(HashAlgorithm::Argon2id, bad.as_bytes()), b"x"),
                Err(BadHash::TooCostly),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_decoy_looks_like_a_new_hash_and_no_password_fits() {
        for hashing in [PasswordHashing::Sha256, PasswordHashing::Argon2id] {
            let decoy = decoy(hashing, &[3; SALT_BYTES + ARGON2_DIGEST_BYTES]);
            let new = new(hashing, b"x");
            assert_eq!((decoy.algorithm, decoy.bytes.len()), (new.algorithm, new.bytes.len()));
            assert_eq!(verify(&decoy, b"x"), Ok(false));
            assert_eq!(is_cheap(&decoy), hashing == PasswordHashing::Sha256);
        }
    }
}

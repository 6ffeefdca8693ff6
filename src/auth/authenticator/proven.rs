//! What was proven lately: that a password fits a hash, for a user. A client that connects for each request is not made to hash
//! its password each time.
//!
//! Neither password nor hash is kept, but a keyed hash of both and the user: when a user gets another password, the old one is not
//! proven any more. The key is the process's own.

use hmac::{Hmac, KeyInit, Mac};
use lru::LruCache;
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::{sync::Notify, time::Instant};

use crate::auth::bounded::at_most;
use crate::core::access::PasswordHash;
use crate::limits::{PASSWORD_PROVEN_FOR, PASSWORDS_PROVEN_MAX};

/// Stands for a user, a hash and a password that fits it.
pub(super) type Proof = [u8; 32];

/// The proofs of the last seconds: those that were used last, if there are too many.
pub(super) struct Proven {
    key: [u8; 32],
    /// With the moment from which on they do not count.
    proofs: Mutex<LruCache<Proof, Instant>>,
    /// Wakes whoever waits for a proof, of whatever it is: one comes in some tens of milliseconds at most.
    added: Notify,
}

impl Proven {
    /// Nothing is proven. `key` is random.
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key, proofs: Mutex::new(at_most(PASSWORDS_PROVEN_MAX)), added: Notify::new() }
    }

    /// What would prove that a password is a user's.
    pub(super) fn proof(&self, user: &[u8], hash: &PasswordHash, password: &[u8]) -> Proof {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        // Lengths in front, so that nothing passes for a part of its neighbour.
        for part in [user, hash.algorithm.name().as_bytes(), &hash.bytes, password] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether it was proven so lately that it counts.
    pub(super) fn has(&self, proof: &Proof, now: Instant) -> bool {
        let mut proofs = self.proofs.lock();
        match proofs.get(proof) {
            Some(until) if now < *until => true,
            Some(_) => {
                proofs.pop(proof);
                false
            }
            None => false,
        }
    }

    /// It is proven now, and counts for [`PASSWORD_PROVEN_FOR`].
    pub(super) fn add(&self, proof: Proof, now: Instant) {
        self.proofs.lock().put(proof, now + PASSWORD_PROVEN_FOR);
        self.added.notify_waiters();
    }

    /// Waits until it is proven, by somebody else.
    pub(super) async fn comes(&self, proof: &Proof) {
        loop {
            let added = self.added.notified();
            if self.has(proof, Instant::now()) {
                return;
            }
            added.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::access::HashAlgorithm;

    fn hash(algorithm: HashAlgorithm, bytes: &[u8]) -> PasswordHash {
        PasswordHash { algorithm, bytes: bytes.into() }
    }

    #[test]
    fn a_proof_is_of_one_user_one_hash_and_one_password() {
        let sha256 = hash(HashAlgorithm::Sha256, b"hash");
        let proven = Proven::new([1; 32]);
        let proof = proven.proof(b"user", &sha256, b"password");
        assert_eq!(proof, proven.proof(b"user", &sha256, b"password"));
        for (user, hash, password) in [
            (b"other".as_slice(), sha256.clone(), b"password".as_slice()),
            (b"user", hash(HashAlgorithm::Sha512, b"hash"), b"password"),
            (b"user", hash(HashAlgorithm::Sha256, b"hasH"), b"password"),
            (b"user", sha256.clone(), b"other"),
            (b"user", hash(HashAlgorithm::Sha256, b"hashp"), b"assword"),
            (b"user", hash(HashAlgorithm::Sha256, b""), b"hashpassword"),
            (b"", sha256.clone(), b"password"),
        ] {
            assert_ne!(proof, proven.proof(user, &hash, password), "{user:?} {hash:?} {password:?}");
        }
        assert_ne!(proof, Proven::new([2; 32]).proof(b"user", &sha256, b"password"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_proof_counts_for_its_time_and_is_not_kept_longer() {
        let (proven, start) = (Proven::new([1; 32]), Instant::now());
        assert!(!proven.has(&[0; 32], start));
        proven.add([0; 32], start);
        assert!(proven.has(&[0; 32], start));
        assert!(!proven.has(&[1; 32], start));
        let end = start + PASSWORD_PROVEN_FOR;
        assert!(proven.has(&[0; 32], end.checked_sub(std::time::Duration::from_nanos(1)).unwrap()));
        assert!(!proven.has(&[0; 32], end));
        assert_eq!(proven.proofs.lock().len(), 0);
    }

    #[test]
    fn proofs_are_bounded_and_the_one_that_was_used_last_stays() {
        let (proven, now) = (Proven::new([1; 32]), Instant::now());
        let proof = |n: usize| {
            let mut proof = [0; 32];
            proof[..8].copy_from_slice(&n.to_be_bytes());
            proof
        };
        for n in 0..=PASSWORDS_PROVEN_MAX {
            proven.add(proof(n), now);
            assert!(n == 0 || proven.has(&proof(1), now));
        }
        assert_eq!(proven.proofs.lock().len(), PASSWORDS_PROVEN_MAX);
        assert!(!proven.has(&proof(0), now) && proven.has(&proof(1), now));
    }
}

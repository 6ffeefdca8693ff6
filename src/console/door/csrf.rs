//! What a form carries so that no page of others can send it: a code of the session, or of who comes by basic authentication, by a key that
//! only this process has.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Makes and checks codes.
pub struct Csrf {
    key: [u8; 32],
}

impl Default for Csrf {
    fn default() -> Self {
        Self { key: rand::random() }
    }
}

impl Csrf {
    /// The code of a session, by its number.
    pub fn of_session(&self, number: &[u8]) -> String {
        self.code(b"session", number)
    }

    /// The code of somebody who comes by basic authentication.
    pub fn of_user(&self, name: &str) -> String {
        self.code(b"user", name.as_bytes())
    }

    fn code(&self, kind: &[u8], of: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key may have any length");
        for part in [kind, b"\0", of] {
            mac.update(part);
        }
        mac.finalize().into_bytes().iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
    }
}

/// Whether a form carries the code that it should. It takes as long whatever is wrong.
pub fn is_same(wanted: &str, carried: &str) -> bool {
    wanted.as_bytes().ct_eq(carried.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_of_one_session_or_user_and_of_one_process() {
        let csrf = Csrf::default();
        let code = csrf.of_session(b"1");
        assert!(is_same(&code, &csrf.of_session(b"1")) && code.len() == 64);
        for other in
            [csrf.of_session(b"2"), csrf.of_user("1"), Csrf::default().of_session(b"1"), String::new()]
        {
            assert!(!is_same(&code, &other), "{other}");
        }
    }
}

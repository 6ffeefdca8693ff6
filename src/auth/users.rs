//! The users that the broker knows.

use std::{collections::HashMap, net::IpAddr};

use super::password::PasswordHash;

/// Users by name, and who of them must come from this machine.
pub struct Users {
    hashes: HashMap<String, PasswordHash>,
    loopback_only: Vec<String>,
}

/// Why a login is refused; for the log, the client only hears that it was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Unknown user or wrong password.
    #[error("user '{0}' - invalid credentials")]
    InvalidCredentials(String),
    /// RabbitMQ's `loopback_users`.
    #[error("user '{0}' can only connect via localhost")]
    LoopbackOnly(String),
}

impl Users {
    /// One user with a password; `salt` should be random.
    pub fn new(user: &str, password: &str, loopback_only: Vec<String>, salt: [u8; 4]) -> Self {
        let hash = PasswordHash::new(salt, password.as_bytes());
        Self { hashes: HashMap::from([(user.to_owned(), hash)]), loopback_only }
    }

    /// Checks a password, and that the user may come from `peer`.
    pub fn login(&self, user: &[u8], password: &[u8], peer: IpAddr) -> Result<(), LoginError> {
        let name = String::from_utf8_lossy(user).into_owned();
        if !self.hashes.get(&name).is_some_and(|hash| hash.matches(password)) {
            return Err(LoginError::InvalidCredentials(name));
        }
        if self.loopback_only.contains(&name) && !peer.to_canonical().is_loopback() {
            return Err(LoginError::LoopbackOnly(name));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_may_only_come_from_loopback() {
        let users = Users::new("guest", "guest", vec!["guest".into()], [1; 4]);
        let login = |peer: &str| users.login(b"guest", b"guest", peer.parse().unwrap());
        assert_eq!(login("127.0.0.1"), Ok(()));
        assert_eq!(login("::ffff:127.0.0.1"), Ok(()));
        assert_eq!(login("192.0.2.1"), Err(LoginError::LoopbackOnly("guest".into())));
    }

    #[test]
    fn a_wrong_password_and_an_unknown_user_look_the_same() {
        let users = Users::new("guest", "guest", vec![], [1; 4]);
        let refused = |name: &str| LoginError::InvalidCredentials(name.into());
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(users.login(b"guest", b"", peer), Err(refused("guest")));
        assert_eq!(users.login(b"nobody", b"guest", peer), Err(refused("nobody")));
    }
}

//! SASL: which mechanisms a connection is offered, and what a `connection.start-ok` response says, by mechanism.
//!
//! A password is held in a [`Secret`] from here on: it is wiped when it is dropped, and no `Debug` shows it.

use std::fmt;

use secrecy::{ExposeSecret, SecretSlice};

use crate::protocol::{FieldTable, ShortString, TableView};

/// Bytes that are wiped when they are dropped, and not shown.
pub type Secret = SecretSlice<u8>;

/// What one connection is offered beside passwords.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offered<'a> {
    /// Who the client is by the certificate that it has shown, if it has: then there is EXTERNAL.
    pub certified: Option<&'a str>,
    /// As whom a client comes in that does not say who it is (`anonymous-login-user`), if it may: then there is ANONYMOUS.
    pub anonymous: Option<&'a ShortString>,
}

/// What a client says of itself.
#[derive(Debug)]
pub enum Claim {
    /// It is this user, and knows its password.
    Password {
        /// User name.
        user: Vec<u8>,
        /// Password.
        password: Secret,
    },
    /// It is this user, by its certificate or by the configuration.
    Vouched {
        /// User name.
        user: Vec<u8>,
    },
}

impl Claim {
    /// Who it says it is. Any bytes.
    pub fn user(&self) -> &[u8] {
        match self {
            Self::Password { user, .. } | Self::Vouched { user } => user,
        }
    }
}

/// Why a response cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// Not one that the connection was offered.
    #[error("unknown authentication mechanism '{0}'")]
    UnknownMechanism(String),
    /// The response is not what the mechanism says.
    #[error("response does not fit mechanism {0}")]
    Malformed(&'static str),
}

/// The mechanisms as `connection.start` lists them.
impl fmt::Display for Offered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PLAIN AMQPLAIN")?;
        if self.certified.is_some() {
            f.write_str(" EXTERNAL")?;
        }
        if self.anonymous.is_some() {
            f.write_str(" ANONYMOUS")?;
        }
        Ok(())
    }
}

impl Offered<'_> {
    /// Reads the response of `mechanism`.
    ///
    /// PLAIN is `authzid NUL user NUL password` (RFC 4616; the authorization identity is ignored, as in RabbitMQ), AMQPLAIN a
    /// field table without its length, with LOGIN and PASSWORD. What is sent with EXTERNAL (RFC 4422) and ANONYMOUS (RFC 4505)
    /// is ignored, as in RabbitMQ.
    pub fn claim(&self, mechanism: &[u8], response: &Secret) -> Result<Claim, SaslError> {
        let response = response.expose_secret();
        let vouched = |user: &[u8]| Claim::Vouched { user: user.into() };
        match (mechanism, self.certified, self.anonymous) {
            (b"PLAIN", ..) => plain(response).ok_or(SaslError::Malformed("PLAIN")),
            (b"AMQPLAIN", ..) => amqplain(response).ok_or(SaslError::Malformed("AMQPLAIN")),
            (b"EXTERNAL", Some(user), _) => Ok(vouched(user.as_bytes())),
            (b"ANONYMOUS", _, Some(user)) => Ok(vouched(user)),
            _ => Err(SaslError::UnknownMechanism(String::from_utf8_lossy(mechanism).into_owned())),
        }
    }
}

fn plain(response: &[u8]) -> Option<Claim> {
    let mut parts = response.split(|&byte| byte == 0);
    let (_authzid, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then(|| known_by_password(user, password))
}

/// The table is looked at where it stands: no copy of the password is left behind.
fn amqplain(response: &[u8]) -> Option<Claim> {
    FieldTable::validate(response).ok()?;
    let table = TableView::new(response);
    let text = |name: &str| table.get(name)?.as_str_bytes();
    Some(known_by_password(text("LOGIN")?, text("PASSWORD")?))
}

fn known_by_password(user: &[u8], password: &[u8]) -> Claim {
    Claim::Password { user: user.into(), password: password.to_vec().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// User and password, or user alone.
    type Read = Result<(Vec<u8>, Option<Vec<u8>>), SaslError>;

    fn read(offered: &Offered<'_>, mechanism: &str, response: &[u8]) -> Read {
        Ok(match offered.claim(mechanism.as_bytes(), &response.to_vec().into())? {
            Claim::Password { user, password } => (user, Some(password.expose_secret().to_vec())),
            Claim::Vouched { user } => (user, None),
        })
    }

    fn table(entries: &[(&'static str, &str)]) -> Vec<u8> {
        let mut bytes = vec![];
        let table = entries.iter().fold(FieldTable::new(), |table, (name, value)| table.with(name, *value));
        table.encode(&mut bytes);
        bytes.split_off(4)
    }

    #[test]
    fn plain_and_amqplain_give_the_same_claim() {
        let guest = || Ok((b"guest".to_vec(), Some(b"secret".to_vec())));
        let amqplain = table(&[("LOGIN", "guest"), ("PASSWORD", "secret")]);
        let other_order = table(&[("PASSWORD", "secret"), ("x", ""), ("LOGIN", "guest")]);
        for (mechanism, response) in [
            ("PLAIN", b"\0guest\0secret".as_slice()),
            ("PLAIN", b"somebody\0guest\0secret"),
            ("AMQPLAIN", &amqplain),
            ("AMQPLAIN", &other_order),
        ] {
            assert_eq!(read(&Offered::default(), mechanism, response), guest(), "{mechanism}");
        }
    }

    #[test]
    fn a_response_of_another_shape_is_refused() {
        for response in [b"".as_slice(), b"guest", b"\0guest", b"\0a\0b\0c"] {
            assert_eq!(read(&Offered::default(), "PLAIN", response), Err(SaslError::Malformed("PLAIN")));
        }
        let mut number = vec![];
        FieldTable::new().with("LOGIN", 1).with("PASSWORD", "x").encode(&mut number);
        for response in [
            b"".as_slice(),
            b"\x05LOGIN",
            &table(&[("LOGIN", "guest")]),
            &table(&[("PASSWORD", "x")]),
            &number[4..],
            &[table(&[("LOGIN", "guest"), ("PASSWORD", "x")]), vec![9]].concat(),
        ] {
            assert_eq!(
                read(&Offered::default(), "AMQPLAIN", response),
                Err(SaslError::Malformed("AMQPLAIN"))
            );
        }
    }

    #[test]
    fn what_is_offered_can_be_used_and_nothing_else() {
        let somebody = ShortString::from_static("somebody");
        for certified in [None, Some("by certificate")] {
            for anonymous in [None, Some(&somebody)] {
                let offered = Offered { certified, anonymous };
                let listed = offered.to_string();
                let listed: Vec<&str> = listed.split(' ').collect();
                assert_eq!(listed[..2], ["PLAIN", "AMQPLAIN"]);
                for (mechanism, user) in [
                    ("EXTERNAL", certified),
                    ("ANONYMOUS", anonymous.map(|_| "somebody")),
                    ("RABBIT-CR-DEMO", None),
                    ("plain", None),
                    ("", None),
                ] {
                    let claim = read(&offered, mechanism, b"anything");
                    let expected = match user {
                        Some(user) => Ok((user.as_bytes().to_vec(), None)),
                        None => Err(SaslError::UnknownMechanism(mechanism.into())),
                    };
                    assert_eq!(claim, expected, "{listed:?}");
                    assert_eq!(listed.contains(&mechanism), user.is_some(), "{listed:?}");
                }
            }
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let claim = Offered::default().claim(b"PLAIN", &b"\0guest\0secret".to_vec().into()).unwrap();
        let shown = format!("{claim:?}");
        assert!(!shown.contains("secret") && !shown.contains("115, 101"), "{shown}");
    }
}

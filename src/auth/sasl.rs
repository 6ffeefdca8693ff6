//! SASL: what a `connection.start-ok` response says, by mechanism.

use crate::protocol::FieldTable;

/// Mechanisms that we offer, as `connection.start` lists them.
pub const MECHANISMS: &str = "PLAIN AMQPLAIN";

/// A user's claim.
#[derive(Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: Vec<u8>,
    /// Password.
    pub password: Vec<u8>,
}

/// Why a response cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// Not one of [`MECHANISMS`].
    #[error("unknown authentication mechanism '{0}'")]
    UnknownMechanism(String),
    /// The response is not what the mechanism says.
    #[error("response does not fit mechanism {0}")]
    Malformed(&'static str),
}

/// Reads the response of `mechanism`.
///
/// PLAIN is `authzid NUL user NUL password` (RFC 4616; the authorization identity is ignored, as in RabbitMQ), AMQPLAIN a
/// field table without its length, with LOGIN and PASSWORD.
pub fn credentials(mechanism: &[u8], response: &[u8]) -> Result<Credentials, SaslError> {
    match mechanism {
        b"PLAIN" => plain(response).ok_or(SaslError::Malformed("PLAIN")),
        b"AMQPLAIN" => amqplain(response).ok_or(SaslError::Malformed("AMQPLAIN")),
        _ => Err(SaslError::UnknownMechanism(String::from_utf8_lossy(mechanism).into_owned())),
    }
}

fn plain(response: &[u8]) -> Option<Credentials> {
    let mut parts = response.split(|&byte| byte == 0);
    let (_authzid, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then(|| Credentials { user: user.into(), password: password.into() })
}

fn amqplain(response: &[u8]) -> Option<Credentials> {
    let table = FieldTable::decode(response).ok()?;
    let text = |name: &str| table.get(name)?.as_str_bytes().map(<[u8]>::to_vec);
    Some(Credentials { user: text("LOGIN")?, password: text("PASSWORD")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_amqplain_give_the_same_claim() {
        let guest = Credentials { user: b"guest".into(), password: b"secret".into() };
        assert_eq!(credentials(b"PLAIN", b"\0guest\0secret").as_ref(), Ok(&guest));
        let mut table = vec![];
        FieldTable::new().with("LOGIN", "guest").with("PASSWORD", "secret").encode(&mut table);
        assert_eq!(credentials(b"AMQPLAIN", &table[4..]).as_ref(), Ok(&guest));
    }

    #[test]
    fn a_response_of_another_shape_is_refused() {
        assert_eq!(credentials(b"PLAIN", b"guest"), Err(SaslError::Malformed("PLAIN")));
        assert_eq!(credentials(b"PLAIN", b"\0a\0b\0c"), Err(SaslError::Malformed("PLAIN")));
        assert_eq!(credentials(b"AMQPLAIN", b"\x05LOGIN"), Err(SaslError::Malformed("AMQPLAIN")));
        assert_eq!(credentials(b"EXTERNAL", b""), Err(SaslError::UnknownMechanism("EXTERNAL".into())));
    }
}

//! AMQP URIs: `amqp://user:password@host:port/vhost`, every part after the scheme optional (RabbitMQ URI
//! Specification); `amqps://` is AMQP over TLS.
//!
//! One deviation: a path of `/` alone is the default virtual host `/`, not the virtual host without a name, because
//! nobody means the latter. Of a query what TLS takes is heeded, as in RabbitMQ's clients: `cacertfile`, `certfile`, `keyfile`, and
//! `verify`, which is `verify_peer` or `verify_none`.

use std::{path::PathBuf, str::FromStr};

use crate::protocol::DEFAULT_PORT;

/// Where the broker is, and who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// Name or address, an IPv6 address without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// For SASL PLAIN.
    pub user: String,
    /// For SASL PLAIN.
    pub password: String,
    /// The virtual host's name, decoded.
    pub vhost: String,
    /// With TLS: whom to trust, and what to show.
    pub tls: Option<TlsFiles>,
}

/// Files for TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whose certificates a broker may show.
    pub ca: Option<PathBuf>,
    /// Whether its certificate is looked at (`verify_peer` or `verify_none`). If this is not said, it is where a file says whose count.
    pub verify: Option<bool>,
    /// The certificate to show,
    pub cert: Option<PathBuf>,
    /// and its key.
    pub key: Option<PathBuf>,
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once("://").ok_or(UriError::Scheme)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "amqp" => false,
            "amqps" => true,
            _ => return Err(UriError::Scheme),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let tls = if is_tls { Some(tls_files(query)?) } else { None };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address, if is_tls { DEFAULT_TLS_PORT } else { DEFAULT_PORT })?;
        let (user, password) = user_and_password(login)?;
        let vhost = if path.is_empty() { "/".to_owned() } else { decoded(path)? };
        Ok(Self { host, port, user, password, vhost, tls })
    }
}

/// Why a text is not an AMQP URI that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Something other than `amqp://` and `amqps://`.
    #[error("a URI begins with amqp:// or amqps://")]
    Scheme,
    /// A certificate without its key, or a key without its certificate.
    #[error("certfile and keyfile go together")]
    Certificate,
    /// Something other than `verify_peer` and `verify_none`.
    #[error("verify is verify_peer or verify_none")]
    Verify,
    /// The port is no number, or too large.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A bracket is not closed.
    #[error("the host is malformed")]
    Host,
    /// Two hexadecimal digits do not follow a percent sign, or they do not make UTF-8.
    #[error("a percent-encoding is malformed")]
    Percent,
}

fn tls_files(query: &str) -> Result<TlsFiles, UriError> {
    let mut files = TlsFiles::default();
    for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        let file = match name {
            "cacertfile" => &mut files.ca,
            "certfile" => &mut files.cert,
            "keyfile" => &mut files.key,
            "verify" => {
                files.verify = Some(match value {
                    "verify_peer" => true,
                    "verify_none" => false,
                    _ => return Err(UriError::Verify),
                });
                continue;
            }
            _ => continue,
        };
        *file = Some(decoded(value)?.into());
    }
    if files.cert.is_some() == files.key.is_some() { Ok(files) } else { Err(UriError::Certificate) }
}

fn host_and_port(address: &str, default: u16) -> Result<(String, u16), UriError> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(UriError::Host)?;
            let port = if after.is_empty() { "" } else { after.strip_prefix(':').ok_or(UriError::Host)? };
            (host, port)
        }
        None => address.split_once(':').unwrap_or((address, "")),
    };
    let port = match port {
        "" => default,
        digits => digits.parse().ok().filter(|port| *port != 0).ok_or(UriError::Port)?,
    };
    let host = if host.is_empty() { "localhost".to_owned() } else { decoded(host)? };
    Ok((host, port))
}

fn user_and_password(login: Option<&str>) -> Result<(String, String), UriError> {
    let Some(login) = login else { return Ok(("guest".to_owned(), "guest".to_owned())) };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Ok((decoded(user)?, decoded(password)?))
}

/// Undoes the percent-encoding (RFC 3986, 2.1).
fn decoded(text: &str) -> Result<String, UriError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let (digits, after) = after.split_first_chunk::<2>().ok_or(UriError::Percent)?;
            bytes.push(hex(digits[0])? << 4 | hex(digits[1])?);
            rest = after;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).map_err(|_| UriError::Percent)
}

fn hex(digit: u8) -> Result<u8, UriError> {
    char::from(digit).to_digit(16).map(|value| value as u8).ok_or(UriError::Percent)
}

/// The TCP port by custom, with TLS.
const DEFAULT_TLS_PORT: u16 = 5671;

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(user: &str, password: &str, host: &str, port: u16, vhost: &str) -> Uri {
        let [user, password, host, vhost] = [user, password, host, vhost].map(str::to_owned);
        Uri { host, port, user, password, vhost, tls: None }
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        for text in
            ["amqp://", "amqp://localhost", "AMQP://localhost:5672/", "amqp://guest:guest@/%2F?heartbeat=5"]
        {
            assert_eq!(text.parse(), Ok(uri("guest", "guest", "localhost", 5672, "/")), "{text}");
        }
    }

    #[test]
    fn every_part_is_percent_decoded() {
        assert_eq!(
            "amqp://us%40er:p%3Aa%2Fss@10.0.0.1:5673/a%2fb".parse(),
            Ok(uri("us@er", "p:a/ss", "10.0.0.1", 5673, "a/b"))
        );
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        assert_eq!("amqp://u@[::1]:99/v".parse(), Ok(uri("u", "", "::1", 99, "v")));
        assert_eq!("amqp://[::1]".parse::<Uri>().map(|uri| uri.port), Ok(5672));
        assert_eq!("amqp://[::1".parse::<Uri>(), Err(UriError::Host));
    }

    #[test]
    fn with_tls_the_query_names_files() {
        let plain = uri("guest", "guest", "h", 5671, "/");
        let with = |files| Ok(Uri { tls: Some(files), ..plain.clone() });
        assert_eq!("amqps://h".parse(), with(TlsFiles::default()));
        let [ca, cert, key] = ["/a b", "c", "k"].map(|path| Some(path.into()));
        let text = "amqps://h/?cacertfile=/a%20b&verify=verify_peer&certfile=c&keyfile=k";
        assert_eq!(text.parse(), with(TlsFiles { ca, cert, key, verify: Some(true) }));
        let none = TlsFiles { verify: Some(false), ..TlsFiles::default() };
        assert_eq!("amqps://h?verify=verify_none".parse(), with(none));
        assert_eq!("amqps://h?verify=no".parse::<Uri>(), Err(UriError::Verify));
        assert_eq!("amqps://h?certfile=c".parse::<Uri>(), Err(UriError::Certificate));
        assert_eq!("amqp://h?certfile=c".parse::<Uri>().map(|uri| uri.tls), Ok(None));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        assert_eq!("http://h".parse::<Uri>(), Err(UriError::Scheme));
        assert_eq!("localhost".parse::<Uri>(), Err(UriError::Scheme));
        assert_eq!("amqp://h:0".parse::<Uri>(), Err(UriError::Port));
        assert_eq!("amqp://h:65536".parse::<Uri>(), Err(UriError::Port));
        assert_eq!("amqp://h/%2".parse::<Uri>(), Err(UriError::Percent));
        assert_eq!("amqp://h/%zz".parse::<Uri>(), Err(UriError::Percent));
        assert_eq!("amqp://h/%ff".parse::<Uri>(), Err(UriError::Percent));
    }
}

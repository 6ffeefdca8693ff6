//! The RabbitMQ that is moved from: where it is, who comes to it, and how its failures are told.

use std::path::Path;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::cli::amqp::{client::Client as AmqpClient, error::Error as AmqpError, uri::Uri};
use crate::cli::operate::{
    client::{Address, Client},
    credentials::Credentials,
    error::{Error, usage},
};

/// A RabbitMQ, by its management and by AMQP.
pub struct Peer {
    management: Client,
    amqp: Uri,
}

/// A user and a password.
type Login = (String, SecretString);

impl Peer {
    /// The one at these addresses. Of both, one may leave the user and its password to the other.
    pub fn of(management: &SecretString, amqp: &SecretString, cacert: Option<&Path>) -> Result<Self, Error> {
        let (url, of_management) =
            without_login(management.expose_secret()).map_err(|why| usage(format!("--management: {why}")))?;
        let amqp = amqp.expose_secret();
        let mut uri: Uri = amqp.parse().map_err(|error| usage(format!("--amqp: {error}")))?;
        let of_amqp = has_login(amqp).then(|| (uri.user.clone(), SecretString::from(uri.password.clone())));
        let guest = || (GUEST.to_owned(), SecretString::from(GUEST));
        let (name, password) = of_management.clone().or_else(|| of_amqp.clone()).unwrap_or_else(guest);
        let (user, secret) = of_amqp.or(of_management).unwrap_or_else(guest);
        secret.expose_secret().clone_into(&mut uri.password);
        uri.user = user;
        if let Some(files) = &mut uri.tls {
            files.verify.get_or_insert(true);
            files.ca = files.ca.take().or_else(|| cacert.map(Path::to_owned));
        }
        let management =
            Client::new(&url, &Credentials::User { name, password }, cacert).map_err(in_our_words)?;
        Ok(Self { management, amqp: uri })
    }

    /// What its management says at an address.
    pub fn get(&self, address: &Address) -> Result<Value, Error> {
        self.management.get(address).map_err(told)
    }

    /// A connection to a virtual host.
    pub fn connect(&self, vhost: &str) -> Result<AmqpClient, AmqpError> {
        let uri = Uri { vhost: vhost.into(), ..self.amqp.clone() };
        AmqpClient::connect(&uri, "leveret import-from-rabbitmq")
    }
}

/// What is wrong with an address or a file is told with the names that these have here.
fn in_our_words(error: Error) -> Error {
    match error {
        Error::Usage(text) => {
            usage(text.replacen("--url", "--management", 1).replacen("--cacert", "--rabbitmq-cacert", 1))
        }
        other => other,
    }
}

/// The advice that goes with failures of our own broker is none for RabbitMQ's.
fn told(error: Error) -> Error {
    Error::Failed(match error {
        Error::Unreachable { url, why } => format!("cannot reach RabbitMQ's management at {url}: {why}"),
        Error::NotLetIn { who, url, reason } => {
            format!("{who} is not let in at RabbitMQ's management at {url} ({reason})")
        }
        Error::NotPermitted { who, reason } => {
            format!("{who} may not do this at RabbitMQ ({reason}): it takes the tag administrator")
        }
        Error::Missing(what) => format!("RabbitMQ has no {what}"),
        Error::Refused { what, status, reason } => {
            format!("{what}: RabbitMQ's management answers {status}: {reason}")
        }
        Error::Strange { url, why } => {
            format!("{url} answers with what is not RabbitMQ's management ({why})")
        }
        other => return other,
    })
}

/// An address of HTTP without user and password, and these. An error says nothing of them.
fn without_login(url: &str) -> Result<(String, Option<Login>), &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or(NO_URL)?;
    if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err(NO_URL);
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    let login = login.map(user_and_password).transpose()?;
    Ok((format!("{scheme}://{host}{path}"), login))
}

fn user_and_password(login: &str) -> Result<Login, &'static str> {
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map_err(|_| "a percent-encoding is malformed")?;
        Ok::<_, &'static str>(text.into_owned())
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Ok((decoded(user)?, decoded(password)?.into()))
}

/// Whether an AMQP URI says who comes.
fn has_login(uri: &str) -> bool {
    let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default().contains('@')
}

/// Name and password of RabbitMQ's default user.
const GUEST: &str = "guest";
const NO_URL: &str = "is no address such as http://user:password@host:15672";

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(management: &str, amqp: &str) -> Result<Peer, Error> {
        Peer::of(&management.into(), &amqp.into(), None)
    }

    #[test]
    fn an_address_is_taken_apart_from_who_comes() {
        for (url, wanted, login) in [
            ("http://h:15672", "http://h:15672", None),
            ("https://ann:geheim@h/api/", "https://h/api/", Some(("ann", "geheim"))),
            ("http://a%40b:p%3A%2F@h", "http://h", Some(("a@b", "p:/"))),
            ("http://ann:a@b@h:1/x", "http://h:1/x", Some(("ann", "a@b"))),
            ("http://ann@[::1]:15672", "http://[::1]:15672", Some(("ann", ""))),
            ("http://h/a@b", "http://h/a@b", None),
        ] {
            let (without, found) = without_login(url).unwrap();
            let found = found.as_ref().map(|(user, password)| (&**user, password.expose_secret()));
            assert_eq!((&*without, found), (wanted, login), "{url}");
        }
    }

    #[test]
    fn what_one_address_does_not_say_of_who_comes_the_other_does() {
        for (management, amqp, at_management, by_amqp) in [
            ("http://h", "amqp://h", "guest", ("guest", "guest")),
            ("http://ann:a@h", "amqp://h", "ann", ("ann", "a")),
            ("http://h", "amqp://ann:a@h/", "ann", ("ann", "a")),
            ("http://ann:a@h", "amqp://ben:b@h/v", "ann", ("ben", "b")),
        ] {
            let peer = peer(management, amqp).unwrap();
            assert_eq!((&*peer.amqp.user, &*peer.amqp.password), by_amqp, "{management} {amqp}");
            let refused = peer.management.done(
                &Address::new(&["x"], "x"),
                crate::cli::operate::client::Answer { status: 401, body: Value::Null },
            );
            let told = refused.unwrap_err().to_string();
            assert!(told.contains(&format!("user '{at_management}'")), "{told}");
        }
    }

    #[test]
    fn a_password_stands_in_no_error() {
        for (management, amqp) in [
            ("ann:geheim@h:15672", "amqp://h"),
            ("ftp://ann:geheim@h", "amqp://h"),
            ("http://ann:geheim%FF@h", "amqp://h"),
            ("http://ann:geheim@h x", "amqp://h"),
            ("http://ann:geheim@h?x", "amqp://h"),
            ("http://h", "ann:geheim@h"),
            ("http://h", "amqp://ann:geheim%FF@h"),
            ("http://h", "amqp://ann:geheim@h:0"),
        ] {
            let error = peer(management, amqp).err().unwrap_or_else(|| panic!("{management} {amqp}"));
            let told = format!("{error} {error:?}");
            assert!(!told.contains("geheim"), "{told}");
            assert!(matches!(error, Error::Usage(_)), "{told}");
        }
    }

    #[test]
    fn with_tls_rabbitmq_s_certificate_is_looked_at_unless_the_uri_says_otherwise() {
        let tls = |amqp: &str| peer("http://h", amqp).unwrap().amqp.tls.unwrap();
        assert_eq!(tls("amqps://h").verify, Some(true));
        assert_eq!(tls("amqps://h?verify=verify_none").verify, Some(false));
        let ca = Path::new("/ca.pem");
        let peer =
            |amqp: &str| Peer::of(&"http://h".into(), &amqp.into(), Some(ca)).unwrap().amqp.tls.unwrap();
        assert_eq!(peer("amqps://h").ca.as_deref(), Some(ca));
        assert_eq!(peer("amqps://h?cacertfile=/own.pem").ca.as_deref(), Some(Path::new("/own.pem")));
    }
}

//! A client of the HTTP API: what is asked, and what an answer means.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::crypto::ring;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Request, Response, Uri, request::Builder},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{
    credentials::Credentials,
    error::{Error, usage},
};
use crate::limits::{
    ANSWER_BYTES_MAX, ANSWER_TIMEOUT, CONNECT_TIMEOUT, EVENT_BYTES_MAX, HTTP_BODY_BYTES_MAX,
};
use crate::outside;

/// What is asked about: where it is, and what it is called when it is not there.
#[derive(Debug, Clone)]
pub struct Address {
    path: String,
    what: String,
}

impl Address {
    /// The thing below `/api/` that these words lead to. `what` says what it is: "queue 'jobs' in virtual host '/'".
    pub fn new(words: &[&str], what: impl Into<String>) -> Self {
        let words: Vec<_> =
            words.iter().map(|word| utf8_percent_encode(word, UNRESERVED).to_string()).collect();
        Self { path: words.join("/"), what: what.into() }
    }

    /// The same with a parameter.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        let mark = if self.path.contains('?') { '&' } else { '?' };
        self.path = format!("{}{mark}{key}={}", self.path, utf8_percent_encode(value, UNRESERVED));
        self
    }

    /// The same with a parameter, if there is a value for it.
    #[must_use]
    pub fn with_some(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(key, &value.to_string()),
            None => self,
        }
    }
}

/// A thing of a virtual host, for people: "queue 'jobs' in virtual host '/'".
pub fn named(kind: &str, name: &str, vhost: &str) -> String {
    format!("{kind} '{name}' in virtual host '{vhost}'")
}

/// An answer: its status, and its body (null if it has none).
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// Somebody who asks the HTTP API.
pub struct Client {
    agent: Agent,
    url: String,
    authorization: Option<SecretString>,
    who: String,
}

impl Client {
    /// At an address, as somebody. With `cacert` only certificates count that one of that file's has signed.
    pub fn new(url: &str, credentials: &Credentials, cacert: Option<&Path>) -> Result<Self, Error> {
        let (url, is_tls) = checked(url)?;
        let mut config = outside::asking()
            .max_idle_connections_per_host(CONNECTIONS_KEPT)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT));
        if is_tls {
            config = config.tls_config(tls(cacert)?);
        }
        Ok(Self {
            agent: config.build().into(),
            url,
            authorization: credentials.header(),
            who: credentials.who(),
        })
    }

    /// What there is at an address.
    pub fn get(&self, address: &Address) -> Result<Value, Error> {
        let answer = self.ask("GET", address, &Value::Null, None)?;
        self.done(address, answer)
    }

    /// The list at an address.
    pub fn list(&self, address: &Address) -> Result<Vec<Value>, Error> {
        match self.get(address)? {
            Value::Array(items) => Ok(items),
            _ => Err(self.strange("a list is expected")),
        }
    }

    /// Whether there is something at an address, and what.
    pub fn find(&self, address: &Address) -> Result<Option<Value>, Error> {
        match self.get(address) {
            Err(Error::Missing(_)) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Puts something there.
    pub fn put(&self, address: &Address, body: &Value) -> Result<(), Error> {
        let answer = self.ask("PUT", address, body, None)?;
        self.done(address, answer).map(drop)
    }

    /// Has something done; the answer to it.
    pub fn post(&self, address: &Address, body: &Value) -> Result<Value, Error> {
        let answer = self.ask("POST", address, body, None)?;
        self.done(address, answer)
    }

    /// Takes something away, for a reason if one is given.
    pub fn delete(&self, address: &Address, reason: Option<&str>) -> Result<(), Error> {
        let answer = self.ask("DELETE", address, &Value::Null, reason)?;
        self.done(address, answer).map(drop)
    }

    /// Sends a request and takes the answer to it, whatever its status is.
    pub fn ask(
        &self,
        method: &str,
        address: &Address,
        body: &Value,
        reason: Option<&str>,
    ) -> Result<Answer, Error> {
        let mut request = self.request(method, address);
        if let Some(reason) = reason {
            request = request.header("x-reason", reason);
        }
        if body.is_null() {
            return self.send(request, &[]);
        }
        self.send(request.header("content-type", "application/json"), body.to_string().as_bytes())
    }

    /// Has something done with bytes that are no JSON; the answer to it, whatever its status is.
    pub fn post_bytes(&self, address: &Address, bytes: &[u8]) -> Result<Answer, Error> {
        let mut request = self.request("POST", address).header("content-type", "application/octet-stream");
        if bytes.len() > HTTP_BODY_BYTES_MAX {
            // If that is too much, it is heard before all is sent into a connection that is closed.
            request = request.header("expect", "100-continue");
        }
        self.send(request, bytes)
    }

    /// Gets events (server-sent ones) as they come: each with its kind and its data. Ends with the answer, or when `each` wants no more.
    pub fn events(
        &self,
        address: &Address,
        mut each: impl FnMut(&str, Value) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let request = self.request("GET", address).body(Vec::new());
        let request = request.map_err(|error| usage(format!("cannot be asked for: {error}")))?;
        let request = self.agent.configure_request(request).timeout_global(None).build();
        let response = self.agent.run(request).map_err(|error| self.unreachable(error))?;
        if response.status() != 200 {
            let answer = self.answer(response)?;
            return self.done(address, answer).map(drop);
        }
        let mut lines = BufReader::new(response.into_body().into_reader());
        let (mut kind, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            let read = (&mut lines).take(EVENT_BYTES_MAX).read_line(&mut line);
            if read.map_err(|error| self.unreachable(ureq::Error::Io(error)))? == 0 {
                return Err(self.strange("it has ended without a word"));
            }
            match line.trim_end().split_once(": ") {
                Some(("event", its)) => its.clone_into(&mut kind),
                Some(("data", data)) => {
                    let data =
                        serde_json::from_str(data).map_err(|error| self.strange(&error.to_string()))?;
                    if !each(&kind, data)? {
                        return Ok(());
                    }
                }
                _ => {} // comments, and lines between events
            }
        }
    }

    fn request(&self, method: &str, address: &Address) -> Builder {
        let request = Request::builder().method(method).uri(format!("{}/api/{}", self.url, address.path));
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization.expose_secret()),
            None => request,
        }
    }

    fn send(&self, request: Builder, body: &[u8]) -> Result<Answer, Error> {
        let request = request.body(body).map_err(|error| usage(format!("cannot be asked for: {error}")))?;
        self.answer(self.agent.run(request).map_err(|error| self.unreachable(error))?)
    }

    fn answer(&self, mut response: Response<Body>) -> Result<Answer, Error> {
        let status = response.status().as_u16();
        let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let bytes = read.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => self.strange("the answer is too long"),
            error => self.unreachable(error),
        })?;
        let body = match serde_json::from_slice(&bytes) {
            _ if bytes.is_empty() => Value::Null,
            Ok(body) => body,
            // A proxy in between may have words of its own for a failure.
            Err(_) if status >= 300 => Value::Null,
            Err(error) => return Err(self.strange(&error.to_string())),
        };
        Ok(Answer { status, body })
    }

    /// The body of an answer that says that it was done.
    pub fn done(&self, address: &Address, Answer { status, body }: Answer) -> Result<Value, Error> {
        let reason = body["reason"].as_str().unwrap_or("no reason is given").to_owned();
        let what = address.what.clone();
        match status {
            200..=299 => Ok(body),
            300..=399 => Err(self.strange(&format!("it leads elsewhere, with status {status}"))),
            401 if body["error"] == "not_authorised" => {
                Err(Error::NotPermitted { who: self.who.clone(), reason })
            }
            401 => Err(Error::NotLetIn { who: self.who.clone(), url: self.url.clone(), reason }),
            404 if matches!(&*reason, "Not Found" | "no reason is given") => Err(Error::Missing(what)),
            404 => Err(Error::Missing(format!("{what} ({reason})"))),
            _ => Err(Error::Refused { what, status, reason }),
        }
    }

    fn strange(&self, why: &str) -> Error {
        Error::Strange { url: self.url.clone(), why: why.into() }
    }

    fn unreachable(&self, error: ureq::Error) -> Error {
        let why = match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                return usage(format!("--url {}: {error}", self.url));
            }
            ureq::Error::Protocol(_) => return self.strange(&error.to_string()),
            ureq::Error::Timeout(_) => "it does not answer in time".into(),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "connection refused".into()
            }
            ureq::Error::Io(error) => {
                match error.get_ref().and_then(|its| its.downcast_ref::<rustls::Error>()) {
                    Some(error) => untrusted(error),
                    None => error.to_string(),
                }
            }
            ureq::Error::Rustls(error) => untrusted(&error),
            error => error.to_string(),
        };
        Error::Unreachable { url: self.url.clone(), why }
    }
}

fn untrusted(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            format!("{error}: --cacert names the file of who has signed it")
        }
        error => format!("TLS: {error}"),
    }
}

/// The address without what follows the place, and whether it is TLS.
fn checked(url: &str) -> Result<(String, bool), Error> {
    let wrong = |why: &str| usage(format!("--url {url}: {why}"));
    let uri: Uri = url.parse().map_err(|_| wrong("is no address such as http://127.0.0.1:15672"))?;
    let is_tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong("does not begin with http:// or https://")),
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(usage(
            "--url: a user and a password do not stand in the address: --user, --password-file",
        ));
    }
    if uri.query().is_some() {
        return Err(wrong("has a question mark"));
    }
    let url = url.trim_end_matches('/');
    Ok((url.strip_suffix("/api").unwrap_or(url).to_owned(), is_tls))
}

fn tls(cacert: Option<&Path>) -> Result<TlsConfig, Error> {
    let certificates: Vec<Certificate<'static>> = if let Some(path) = cacert {
        let pem = std::fs::read(path).map_err(Error::file(path))?;
        let certificate = |item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        };
        parse_pem(&pem).filter_map(certificate).collect()
    } else {
        // What of them cannot be read does not count.
        let found = rustls_native_certs::load_native_certs().certs;
        found.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
    };
    if certificates.is_empty() {
        let place = cacert.map_or_else(|| "this machine".into(), |path| path.display().to_string());
        return Err(usage(format!("{place} has no certificate: --cacert names a file with some, in PEM")));
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

/// Connections that are kept for the next request: some commands ask from several threads.
const CONNECTIONS_KEPT: usize = 16;
/// What stays as it is in an address.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_made_of_words_and_parameters() {
        let address = Address::new(&["queues", "/", "a b/ü?"], "queue");
        assert_eq!(address.path, "queues/%2F/a%20b%2F%C3%BC%3F");
        let address =
            address.with("if-empty", "true").with_some("name", Some("a&b")).with_some("x", None::<u8>);
        assert_eq!(address.path, "queues/%2F/a%20b%2F%C3%BC%3F?if-empty=true&name=a%26b");
        assert_eq!(named("queue", "q", "/"), "queue 'q' in virtual host '/'");
    }

    #[test]
    fn an_address_is_checked_before_anybody_is_asked() {
        for (url, wanted) in [
            ("http://a:1", Ok(("http://a:1".into(), false))),
            ("https://a/", Ok(("https://a".into(), true))),
            ("http://a:1/api/", Ok(("http://a:1".into(), false))),
            ("http://a/prefix", Ok(("http://a/prefix".into(), false))),
            ("localhost:15672", Err("does not begin with")),
            ("ftp://a", Err("does not begin with")),
            ("http://ann:geheim@a", Err("do not stand in the address")),
            ("http://a?b", Err("question mark")),
            ("http://a b", Err("is no address")),
            ("", Err("is no address")),
        ] {
            match (checked(url), wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(found, wanted, "{url}"),
                (Err(error), Err(words)) => {
                    let error = error.to_string();
                    assert!(error.contains(words) && !error.contains("geheim"), "{url}: {error}");
                }
                (found, wanted) => panic!("{url}: {found:?} and not {wanted:?}"),
            }
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = tls(Some(file.path())).err().unwrap().to_string();
        assert!(error.contains("has no certificate"), "{error}");
        assert!(matches!(tls(Some(Path::new("/no/such/file"))), Err(Error::File { .. })));
    }

    #[test]
    fn answers_are_understood_by_status_and_reason() {
        let client = Client::new("http://a", &Credentials::of_guest(), None).unwrap();
        let address = Address::new(&["queues"], "queue 'q'");
        for (status, body, words) in [
            (
                401,
                serde_json::json!({ "error": "not_authorized", "reason": "Login failed" }),
                "user 'guest' is not let in at http://a (Login failed)",
            ),
            (
                401,
                serde_json::json!({ "error": "not_authorised", "reason": "Not administrator" }),
                "user 'guest' may not do this (Not administrator)",
            ),
            (401, Value::Null, "is not let in"),
            (404, serde_json::json!({ "reason": "Not Found" }), "there is no queue 'q'"),
            (
                404,
                serde_json::json!({ "reason": "user_not_found" }),
                "there is no queue 'q' (user_not_found)",
            ),
            (404, Value::Null, "there is no queue 'q'"),
            (400, serde_json::json!({ "reason": "406 no" }), "queue 'q': the broker answers 400: 406 no"),
            (502, Value::Null, "the broker answers 502: no reason is given"),
            (302, Value::Null, "it leads elsewhere, with status 302"),
        ] {
            let error = client.done(&address, Answer { status, body }).unwrap_err().to_string();
            assert!(error.contains(words), "{status}: {error}");
        }
        let body = serde_json::json!([1]);
        assert_eq!(client.done(&address, Answer { status: 200, body: body.clone() }).unwrap(), body);
    }
}

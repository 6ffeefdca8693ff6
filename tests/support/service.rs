//! An HTTP service that knows users and what they may do, as the broker asks one: it says what the test tells it to.
#![allow(dead_code, reason = "each test crate uses its own part of the support code")]

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::TcpListener,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{broker::DEADLINE, tls::Identity};

/// What it does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// Answers with 200 and this.
    Says(String),
    /// Answers with this status and `allow`.
    Status(u16),
    /// Sends something that is no HTTP.
    Babbles,
    /// Closes the connection.
    Leaves,
    /// Answers when it is told something else.
    Waits,
}

impl Does {
    pub fn allow() -> Self {
        Self::Says("allow".into())
    }

    pub fn deny() -> Self {
        Self::Says("deny".into())
    }
}

/// What it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `user`, `vhost`, `resource` or `topic`.
    pub path: String,
    pub parameters: BTreeMap<String, String>,
}

impl Asked {
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// `permission kind name`, behind them the key if there is one.
    pub fn in_short(&self) -> String {
        let words = ["permission", "resource", "name", "routing_key"].map(|name| self.parameter(name));
        words.join(" ").trim().to_owned()
    }
}

type Rule = Box<dyn Fn(&Asked) -> Does + Send>;

#[derive(Default)]
struct State {
    rule: Option<Rule>,
    asked: Vec<Asked>,
    is_over: bool,
}

/// The service. It ends with the test.
pub struct Service {
    pub base: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Service {
    /// One that allows everything.
    pub fn new() -> Self {
        Self::over(None)
    }

    /// One that shows this certificate.
    pub fn with_tls(identity: &Identity) -> Self {
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let private = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], private)
            .unwrap();
        Self::over(Some(Arc::new(config)))
    }

    fn over(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let service = Self { base, state: state.clone() };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (state, tls) = (state.clone(), tls.clone());
                thread::spawn(move || {
                    // A broker that has enough leaves, or does not like the certificate.
                    let _left = match tls.map(ServerConnection::new) {
                        None => serve(client, &state),
                        Some(session) => serve(StreamOwned::new(session.unwrap(), client), &state),
                    };
                });
            }
        });
        service
    }

    /// From now on it does this.
    pub fn rule(&self, rule: impl Fn(&Asked) -> Does + Send + 'static) -> &Self {
        self.state.0.lock().unwrap().rule = Some(Box::new(rule));
        self.state.1.notify_all();
        self
    }

    /// The same for one path; everything else is allowed.
    pub fn at(&self, path: &'static str, does: Does) -> &Self {
        self.rule(move |asked| if asked.path == path { does.clone() } else { Does::allow() })
    }

    /// What it was asked since this was last looked at.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.0.lock().unwrap().asked)
    }

    /// The same of a path, in short.
    pub fn take_asked_at(&self, path: &str) -> Vec<String> {
        self.take_asked().iter().filter(|asked| asked.path == path).map(Asked::in_short).collect()
    }

    /// Waits until it is asked something like this.
    pub fn expect(&self, is_it: impl Fn(&Asked) -> bool) {
        let (state, changed) = &*self.state;
        let waited = changed
            .wait_timeout_while(state.lock().unwrap(), DEADLINE, |state| !state.asked.iter().any(&is_it));
        let (state, late) = waited.unwrap();
        assert!(!late.timed_out(), "it was asked {:#?}", state.asked);
    }

    /// Flags of a broker that asks it, with its users first in line.
    pub fn flags(&self, more: &[&str]) -> Vec<String> {
        let mut flags: Vec<String> = ["user", "vhost", "resource", "topic"]
            .iter()
            .flat_map(|path| [format!("--auth-http-{path}-path"), format!("{}/{path}", self.base)])
            .collect();
        flags.extend(more.iter().map(ToString::to_string));
        if !flags.iter().any(|flag| flag == "--auth-backends") {
            flags.extend(["--auth-backends", "http,internal"].map(String::from));
        }
        flags
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.state.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_over = true;
        self.state.1.notify_all();
    }
}

fn serve(mut client: impl Read + Write, state: &(Mutex<State>, Condvar)) -> io::Result<()> {
    let (state, changed) = state;
    loop {
        let asked = read(&mut client)?;
        let mut now = state.lock().unwrap();
        now.asked.push(asked.clone());
        changed.notify_all();
        let does = loop {
            let does = now.rule.as_ref().map_or_else(Does::allow, |rule| rule(&asked));
            if does != Does::Waits || now.is_over {
                break does;
            }
            now = changed.wait_timeout(now, Duration::from_secs(1)).unwrap().0;
        };
        drop(now);
        match does {
            Does::Says(text) => answer(&mut client, 200, &text)?,
            Does::Status(status) => answer(&mut client, status, "allow")?,
            Does::Babbles => return client.write_all(b"allow allow allow\r\n\r\n"),
            Does::Leaves | Does::Waits => return Ok(()),
        }
    }
}

fn answer(client: &mut impl Write, status: u16, text: &str) -> io::Result<()> {
    let length = text.len();
    client
        .write_all(format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n\r\n{text}").as_bytes())?;
    client.flush()
}

fn read(client: &mut impl Read) -> io::Result<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        client.read_exact(&mut octet)?;
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body)?;
    let form =
        if query.is_empty() { String::from_utf8(body).map_err(io::Error::other)? } else { query.into() };
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let parameters = form.split('&').filter_map(|pair| pair.split_once('='));
    let parameters = parameters.map(|(name, value)| (decoded(name), decoded(value))).collect();
    Ok(Asked { path: path.trim_start_matches('/').to_owned(), parameters })
}

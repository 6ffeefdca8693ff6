//! Keys that sign tokens, from an address.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use jsonwebtoken::{Algorithm, Header, encode, jwk::Jwk};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{json, to_value};
use tempfile::TempDir;

use crate::{
    assert_refused,
    broker::{Broker, DEADLINE},
    oauth::{claims, key, logged_in, try_login},
    own, serve, signal,
    tls::{Ca, text},
    wire::{Args, METHOD, frame, method, queue_declare},
};

/// Somebody who issues tokens, and says by HTTPS which keys sign them.
struct Issuer {
    ca: Ca,
    url: String,
    /// The whole answer that it gives; none, and it never answers.
    answer: Arc<Mutex<Option<Vec<u8>>>>,
    asked: Arc<AtomicUsize>,
    folder: TempDir,
}

impl Issuer {
    fn new() -> Self {
        let ca = Ca::new();
        let identity = ca.server();
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let private = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/keys", listener.local_addr().unwrap().port());
        let issuer =
            Self { ca, url, answer: Arc::default(), asked: Arc::default(), folder: TempDir::new().unwrap() };
        std::fs::write(issuer.ca_file(), issuer.ca.pem()).unwrap();
        let (answer, asked, config) = (issuer.answer.clone(), issuer.asked.clone(), Arc::new(config));
        thread::spawn(move || {
            let mut unanswered = Vec::new();
            for client in listener.incoming().map_while(Result::ok) {
                let answer = answer.lock().unwrap().clone();
                asked.fetch_add(1, Ordering::SeqCst);
                match answer {
                    // A client that does not like the certificate, or too long an answer, leaves.
                    Some(answer) => drop(tell(&config, client, &answer)),
                    None => unanswered.push(client),
                }
            }
        });
        issuer
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// From now on it signs with the key of this seed.
    fn signs_with(&self, seed: u8) -> &Self {
        let mut public = to_value(Jwk::from_encoding_key(&key(seed), Algorithm::EdDSA).unwrap()).unwrap();
        public["kid"] = json!(format!("key {seed}"));
        self.says("200 OK", &json!({ "keys": [public] }).to_string())
    }

    fn says(&self, status: &str, body: &str) -> &Self {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        *self.answer.lock().unwrap() = Some(answer.into());
        self
    }

    /// From now on it takes requests and does not answer.
    fn signs_no_more(&self) {
        *self.answer.lock().unwrap() = None;
    }

    /// Waits until it was asked so often.
    fn is_asked(&self, times: usize) {
        let start = Instant::now();
        while self.asked() < times {
            assert!(start.elapsed() < DEADLINE, "it was asked {} times", self.asked());
            thread::yield_now();
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn broker(&self) -> Option<Arc<Broker>> {
        let ca = self.ca_file();
        own(&[
            "--oauth-resource-server-id",
            "broker",
            "--oauth-jwks-url",
            &self.url,
            "--oauth-jwks-ca",
            text(&ca),
        ])
    }
}

/// Answers one request.
fn tell(config: &Arc<ServerConfig>, client: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let session = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
    let mut client = StreamOwned::new(session, client);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        client.read_exact(&mut octet)?;
        request.push(octet[0]);
    }
    client.write_all(answer)?;
    client.conn.send_close_notify();
    client.flush()
}

/// A token of alice that the key of this seed has signed, and that names it.
fn token(seed: u8) -> String {
    let header = Header { kid: Some(format!("key {seed}")), ..Header::new(Algorithm::EdDSA) };
    encode(&header, &claims(3_600), &key(seed)).unwrap()
}

fn is_let_in(broker: &Arc<Broker>, seed: u8) -> bool {
    let frame = try_login(broker, &token(seed)).next_frame().unwrap();
    frame.payload[..4] == [0, 10, 0, 30]
}

#[test]
fn keys_come_from_an_address_and_new_ones_with_the_first_token_that_names_one() {
    let issuer = Issuer::new();
    issuer.signs_with(1);
    let Some(broker) = issuer.broker() else { return };
    logged_in(&broker, &token(1));
    assert_eq!(issuer.asked(), 1, "they were read at the start");
    issuer.signs_with(2);
    logged_in(&broker, &token(2));
    assert!(!is_let_in(&broker, 1), "the old key is gone, and it is too soon to ask again");
    assert_eq!(issuer.asked(), 2);
}

/// `connection.update-secret` with a token that the key of this seed has signed.
fn update(seed: u8) -> Args {
    method(10, 70).long(token(seed).as_bytes()).short("")
}

#[test]
fn a_renewed_token_of_a_new_key_waits_for_the_keys_and_so_does_what_comes_behind_it() {
    let issuer = Issuer::new();
    issuer.signs_with(1);
    let Some(broker) = issuer.broker() else { return };
    let mut client = logged_in(&broker, &token(1));
    issuer.signs_with(2);
    let behind = [frame(METHOD, 0, &update(2).0), frame(METHOD, 1, &queue_declare("q1", 0).0)].concat();
    client.raw(&behind).expect(0, 10, 71);
    client.expect(1, 50, 11);
    assert_eq!(issuer.asked(), 2);
    client.send(0, &update(2)).expect(0, 10, 71);
    issuer.signs_with(3);
    let mut closed = client.send(0, &update(3)).expect(0, 10, 50);
    let text = "NOT_ALLOWED - New secret was refused by one of the backends";
    assert_eq!((closed.u16(), closed.short().as_str()), (530, text), "it is too soon to ask again");
    client.send(0, &method(10, 51)).expect_eof();
    assert_eq!(issuer.asked(), 2);
}

#[test]
fn an_address_that_does_not_answer_holds_up_the_renewed_connection_alone() {
    let issuer = Issuer::new();
    issuer.signs_with(1);
    let Some(broker) = issuer.broker() else { return };
    let mut client = logged_in(&broker, &token(1));
    issuer.signs_no_more();
    client.send(0, &update(2));
    issuer.is_asked(2);
    logged_in(&broker, &token(1)).send(1, &queue_declare("q1", 0)).expect(1, 50, 11);
    let mut closed = client.expect(0, 10, 50);
    assert_eq!(closed.u16(), 530);
    broker.log().expect(&["ERROR", "the keys that sign tokens stay what they were", "timeout"]);
}

#[test]
fn keys_of_an_address_are_read_again_at_sighup_and_a_failure_keeps_the_last_ones() {
    let issuer = Issuer::new();
    issuer.signs_with(1);
    let Some(broker) = issuer.broker() else { return };
    issuer.signs_with(2);
    signal(&broker, "-HUP");
    broker.log().expect(&["the keys that sign tokens are read again"]);
    logged_in(&broker, &token(2));
    let too_large = format!("{{ \"keys\": [] }}{}", " ".repeat(1 << 20));
    for (status, body, why) in [
        ("500 Internal Server Error", "", "500"),
        ("200 OK", "no keys", "not a set of JSON Web Keys"),
        ("200 OK", "{ \"keys\": [] }", "no key for RS256"),
        ("200 OK", &too_large, "limit"),
        ("302 Found\r\nlocation: http://localhost/keys", "", "https only"),
    ] {
        let before = issuer.says(status, body).asked();
        signal(&broker, "-HUP");
        broker.log().expect(&["ERROR", "the keys that sign tokens stay what they were", &issuer.url, why]);
        assert_eq!(issuer.asked(), before + 1, "{status}");
        logged_in(&broker, &token(2));
    }
}

#[test]
fn a_broker_starts_without_the_address_and_takes_tokens_when_it_answers() {
    let issuer = Issuer::new();
    // It is waited for no longer than a while.
    let Some(broker) = issuer.broker() else { return };
    broker.log().expect(&["ERROR", "there are no keys yet that sign tokens", &issuer.url]);
    crate::Wire::open_to(broker.clone()).assert_alive();
    issuer.signs_with(1);
    logged_in(&broker, &token(1));
}

#[test]
fn nobody_else_can_pretend_to_be_the_address() {
    let issuer = Issuer::new();
    issuer.signs_with(1);
    std::fs::write(issuer.ca_file(), Ca::new().pem()).unwrap();
    let Some(broker) = issuer.broker() else { return };
    broker.log().expect(&["there are no keys yet that sign tokens", "certificate"]);
    assert!(!is_let_in(&broker, 1));
}

#[test]
fn what_cannot_be_an_address_or_its_ca_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (flags, words) in [
        (&["--oauth-jwks-url", "http://issuer/keys"][..], "oauth-jwks-url: does not begin with https://"),
        (
            &["--oauth-jwks-url", "https://issuer/keys", "--oauth-jwks-file", "keys"],
            "oauth-jwks-file is set too",
        ),
        (
            &["--oauth-jwks-url", "https://issuer/keys", "--oauth-jwks-ca", "missing.pem"],
            "oauth-jwks-ca missing.pem",
        ),
        (
            &["--oauth-jwks-url", "https://issuer/keys", "--oauth-jwks-ca", text(&empty)],
            "has no certificate in it",
        ),
    ] {
        let data = folder.path().join("data");
        let common = ["--oauth-resource-server-id", "broker", "--data-dir", text(&data), "--log", "off"];
        assert_refused(&serve(&[flags, &common].concat()), &[words]);
    }
}

//! The HTTP API over TLS.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::{
    broker::Broker,
    tls::{Files, Tls},
};

const REQUEST: &[u8] = b"GET /api/leveret/alive HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn head(mut socket: impl Read + Write) -> String {
    socket.write_all(REQUEST).unwrap();
    let mut answer = Vec::new();
    // The end may come without a farewell of TLS.
    drop(socket.read_to_end(&mut answer));
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    answer.split("\r\n\r\n").next().unwrap().to_owned()
}

/// Where the broker has its API over TLS, as it says in its log or its announcement.
fn over_tls(broker: &Broker, files: &Files) -> Tls {
    Tls::on(TcpStream::connect(broker.https_address.as_ref().unwrap()).unwrap(), &files.client())
}

#[test]
fn browsers_are_told_to_come_by_tls_where_they_do_and_if_it_is_configured() {
    let files = Files::new();
    let listen = ["--https-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
    let policy = "max-age=31536000; includeSubDomains";
    let Some(broker) = files.broker(&[&listen[..], &["--http-hsts", policy]].concat()) else { return };
    let said = "strict-transport-security: max-age=31536000; includesubdomains";
    assert!(head(over_tls(&broker, &files)).contains(said));
    let plain = head(TcpStream::connect(broker.http_address.as_ref().unwrap()).unwrap());
    assert!(!plain.contains("strict-transport-security"), "RFC 6797, 7.2: {plain}");
    let Some(broker) = files.broker(&listen) else { return };
    assert!(!head(over_tls(&broker, &files)).contains("strict-transport-security"));
}

//! Requests that make no sense, or are too much.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::json;

use crate::api::Api;

#[test]
fn what_makes_no_sense_is_answered_with_400_404_or_405_and_why() {
    let Some(api) = Api::start(&[]) else { return };
    for (method, path, body, status) in [
        ("GET", "no-such", "", 404),
        ("GET", "queues/none", "", 404),
        ("GET", "queues/none/q", "", 404),
        ("PUT", "queues/%2F/q", "{", 400),
        ("PUT", "queues/%2F/q", "[]", 400),
        ("PUT", "queues/%2F/q", r#"{"durable": 7}"#, 400),
        ("PUT", "queues/%2F/q", r#"{"arguments": {"x-max-length": "many"}}"#, 400),
        ("PUT", "queues/%2F/amq.mine", "{}", 401),
        ("PUT", "queues/none/q", "{}", 404),
        ("POST", "queues/%2F/none/get", "{}", 404),
        ("POST", "exchanges/%2F/amq.default/publish", "{}", 400),
        (
            "POST",
            "exchanges/%2F/amq.default/publish",
            r#"{"routing_key":"a","payload":"x","payload_encoding":"y"}"#,
            400,
        ),
        (
            "POST",
            "exchanges/%2F/amq.default/publish",
            r#"{"routing_key":"a","payload":"!","payload_encoding":"base64"}"#,
            400,
        ),
        ("POST", "exchanges/%2F/none/publish", "{}", 404),
        ("DELETE", "overview", "", 405),
        ("POST", "definitions", r#"{"queues": [{"name": "q", "vhost": "none"}]}"#, 400),
        ("POST", "definitions", "nonsense", 400),
        ("GET", "queues/%FF%FE", "", 400),
        ("GET", "queues/%FF", "", 400),
        ("GET", "queues?page=1&page=2", "", 400),
        ("GET", "health/checks/certificate-expiration/soon/days", "", 400),
        ("GET", "leveret/redrives/first", "", 400),
        ("GET", "leveret/queues/%2F/q/messages?limit=many", "", 400),
    ] {
        let mut response = api.send(method, path, body.as_bytes());
        let text = response.body_mut().read_to_string().unwrap();
        assert_eq!(response.status(), status, "{method} {path} {body}: {text}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(json["error"].is_string() && json["reason"].is_string(), "{method} {path}: {text}");
    }
    let long = "q".repeat(256);
    assert_eq!(api.ask("PUT", &format!("queues/%2F/{long}"), &json!({})).0, 400);
    assert_eq!(api.get("queues"), json!([]));
}

#[test]
fn bytes_that_are_no_request_end_their_connection_alone() {
    let Some(api) = Api::start(&[]) else { return };
    let address = api.broker.http_address.clone().unwrap();
    let endless = [b"GET / HTTP/1.1\r\n".to_vec(), b"x: y\r\n".repeat(100_000)].concat();
    for bytes in [&b"AMQP\x00\x00\x09\x01"[..], b"\x16\x03\x01\x02\x00", b"GET", &[0xFF; 10_000], &endless] {
        let mut socket = TcpStream::connect(&address).unwrap();
        // It may be closed before all of it is sent.
        drop(socket.write_all(bytes));
        drop(socket.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        drop(socket.read_to_end(&mut answer));
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(api.get("whoami")["name"], "guest");
}

#[test]
fn a_page_of_another_origin_changes_nothing_and_a_body_comes_from_nobody_unknown() {
    let Some(api) = Api::start(&["--http-cors-origins", "https://ops.example"]) else { return };
    let address = api.broker.http_address.clone().unwrap();
    let put = |path: &str, headers: &str, body: &str| {
        let mut socket = TcpStream::connect(&address).unwrap();
        let head = format!(
            "PUT /api/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len(),
        );
        socket.write_all(head.as_bytes()).unwrap();
        drop(socket.write_all(body.as_bytes()));
        let mut answer = String::new();
        drop(socket.read_to_string(&mut answer));
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let known = "authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n";
    for (origin, status) in [
        ("origin: https://evil.example\r\n".to_owned(), "401"),
        ("sec-fetch-site: cross-site\r\n".to_owned(), "401"),
        ("origin: null\r\n".to_owned(), "401"),
        ("origin: https://ops.example\r\n".to_owned(), "201"),
        (format!("origin: http://{address}\r\n"), "204"),
        (String::new(), "204"),
    ] {
        assert_eq!(put("vhosts/v", &format!("{known}{origin}"), "{}"), status, "{origin}");
    }
    assert_eq!(put("vhosts/w", "content-type: application/json\r\n", "{}"), "401");
    let large = format!("{{\"description\": \"{}\"}}", "x".repeat(2 << 20));
    assert_eq!(put("vhosts/v", known, &large), "413");
    assert_eq!(api.status("health/checks/certificate-expiration/18446744073709551615/years"), 200);
    assert_eq!(api.status(&format!("queues?use_regex=true&name={}", "a".repeat(300))), 400);
}

#[test]
fn one_address_has_so_many_connections_and_no_more() {
    let Some(api) = Api::start(&[]) else { return };
    let address = api.broker.http_address.clone().unwrap();
    let mut silent: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    // Those beyond its bound are closed at once.
    let last = silent.last_mut().unwrap();
    assert_eq!(last.read(&mut [0; 1]).unwrap_or_default(), 0);
    drop(silent);
    let is_served = || {
        let mut socket = TcpStream::connect(&address).unwrap();
        let request = "GET /api/leveret/alive HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let mut answer = String::new();
        // Until the places are free again it is closed without a word.
        drop(socket.write_all(request.as_bytes()));
        drop(socket.read_to_string(&mut answer));
        answer.starts_with("HTTP/1.1 200")
    };
    while !is_served() {}
}

//! OAuth tokens in the place of passwords.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    assert_refused,
    broker::Broker,
    own, serve,
    wire::{
        CLIENT_CAPABILITIES, NO_ACK, PASSIVE, PROTOCOL_HEADER, Wire, basic_consume, connection_open, method,
        queue_declare, start_ok, tune_ok,
    },
};

/// A private key of Ed25519 as RFC 5958 lays it out, from its octets alone.
pub fn key(seed: u8) -> EncodingKey {
    let before =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    EncodingKey::from_ed_der(&[&before[..], &[seed; 32]].concat())
}

fn key_file(file: &Path, seed: u8) {
    let public = Jwk::from_encoding_key(&key(seed), Algorithm::EdDSA).unwrap();
    fs::write(file, json!({ "keys": [public] }).to_string()).unwrap();
}

/// What a token says of alice, who may configure and write what begins with `q` in `/`, for so many seconds from now on.
pub fn claims(seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({
        "sub": "alice", "aud": "broker", "exp": now.saturating_add_signed(seconds),
        "scope": "broker.configure:%2F/q* broker.write:%2F/q* broker.write:%2F/amq.default broker.read:%2F/q*",
    })
}

/// A token that says so, or what `more` says in its place; without what is null there.
fn token(seed: u8, seconds: i64, more: &Value) -> String {
    let mut claims = claims(seconds);
    let all = claims.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    encode(&Header::new(Algorithm::EdDSA), &claims, &key(seed)).unwrap()
}

/// A broker that takes tokens signed by the key of seed 1, and the file with its keys.
fn with_keys() -> Option<(Arc<Broker>, TempDir, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    key_file(&file, 1);
    let broker = own(&["--oauth-resource-server-id", "broker", "--oauth-jwks-file", file.to_str().unwrap()])?;
    Some((broker, folder, file))
}

/// Tries to log in with a token and whatever name.
pub fn try_login(broker: &Arc<Broker>, token: &str) -> Wire {
    let mut wire = Wire::connect_to(broker.clone());
    wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
    let response = format!("\0whoever\0{token}");
    wire.send(0, &start_ok(&CLIENT_CAPABILITIES.table(), "PLAIN", response.as_bytes()));
    wire
}

pub fn logged_in(broker: &Arc<Broker>, token: &str) -> Wire {
    let mut wire = try_login(broker, token);
    wire.expect(0, 10, 30);
    wire.send(0, &tune_ok((2047, 131_072, 0))).send(0, &connection_open("/")).expect(0, 10, 41);
    wire.channel(1);
    wire
}

#[test]
fn a_token_lets_in_and_permits_what_its_scopes_say() {
    let Some((broker, ..)) = with_keys() else { return };
    let mut client = logged_in(&broker, &token(1, 3_600, &json!({})));
    broker.log().expect(&["login", "user=alice"]);
    client.send(1, &queue_declare("q1", 0)).expect(1, 50, 11);
    client.publish(1, "", "q1", 0, b"m");
    let mut declared = client.send(1, &queue_declare("q1", PASSIVE)).expect(1, 50, 11);
    assert_eq!((declared.short().as_str(), declared.u32()), ("q1", 1));
    let mut closed = client.send(1, &queue_declare("other", 0)).expect(1, 20, 40);
    let text = "ACCESS_REFUSED - configure access to queue 'other' in vhost '/' refused for user 'alice'";
    assert_eq!((closed.u16(), closed.short().as_str()), (403, text));
    // Users with passwords are there as before.
    Wire::open_to(broker).channel(1);
}

#[test]
fn a_wrong_token_lets_nobody_in() {
    let Some((broker, ..)) = with_keys() else { return };
    for (wrong, why) in [
        (token(2, 3_600, &json!({})), "the token's signature is wrong"),
        (token(1, -3_600, &json!({})), "the token has expired"),
        (token(1, 3_600, &json!({ "aud": "another" })), "the token is for another audience"),
    ] {
        let mut closed = try_login(&broker, &wrong).expect(0, 10, 50);
        assert_eq!(closed.u16(), 403, "{why}");
        broker.log().expect(&["login-refused", why]);
    }
    let elsewhere = token(1, 3_600, &json!({ "scope": "broker.read:other/*" }));
    let mut wire = try_login(&broker, &elsewhere);
    wire.expect(0, 10, 30);
    let mut closed =
        wire.send(0, &tune_ok((2047, 131_072, 0))).send(0, &connection_open("/")).expect(0, 10, 50);
    let text = "NOT_ALLOWED - access to vhost '/' refused for user 'alice'";
    assert_eq!((closed.u16(), closed.short().as_str()), (530, text));
}

#[test]
fn an_expired_token_closes_its_connection_unless_it_is_renewed() {
    let Some((broker, ..)) = with_keys() else { return };
    let mut renewed = logged_in(&broker, &token(1, 2, &json!({})));
    let mut left_alone = logged_in(&broker, &token(1, 2, &json!({})));
    let narrower = token(1, 3_600, &json!({ "scope": "broker.read:%2F/q*" }));
    let update = method(10, 70).long(narrower.as_bytes()).short("it expires");
    renewed.send(0, &update).expect(0, 10, 71);
    let mut closed = left_alone.expect(0, 10, 50);
    assert_eq!((closed.u16(), closed.short().as_str()), (320, "CONNECTION_FORCED - credential expired"));
    let mut closed = renewed.send(1, &queue_declare("q1", 0)).expect(1, 20, 40);
    assert_eq!(closed.u16(), 403, "what the new token says counts");
    renewed.send(1, &method(20, 41));
    let of_another = token(1, 3_600, &json!({ "sub": "bob" }));
    let update = method(10, 70).long(of_another.as_bytes()).short("it expires");
    let mut closed = renewed.send(0, &update).expect(0, 10, 50);
    let text = "NOT_ALLOWED - New secret was refused by one of the backends";
    assert_eq!((closed.u16(), closed.short().as_str()), (530, text));
}

#[test]
fn what_a_new_token_does_not_permit_any_more_ends_for_consumers_and_known_routes() {
    let Some((broker, ..)) = with_keys() else { return };
    let mut client = logged_in(&broker, &token(1, 3_600, &json!({})));
    for queue in ["q1", "q2"] {
        client.send(1, &queue_declare(queue, 0)).expect(1, 50, 11);
        client.send(1, &basic_consume(queue, &format!("of {queue}"), NO_ACK)).expect(1, 60, 21);
    }
    client.publish(1, "", "q1", 0, b"by a new route").expect_delivery(1, b"by a new route");
    let narrower = "broker.read:%2F/q1 broker.configure:%2F/q*";
    let update = method(10, 70).long(token(1, 3_600, &json!({ "scope": narrower })).as_bytes()).short("");
    client.send(0, &update).expect(0, 10, 71);
    assert_eq!(client.expect(1, 60, 30).short(), "of q2", "basic.cancel");
    broker.log().expect(&["consumers cancelled", "cancelled=1"]);
    // The other one goes on.
    let mut other = Wire::open_to(broker.clone());
    other.channel(1).publish(1, "", "q2", 0, b"for nobody").publish(1, "", "q1", 0, b"for the other");
    client.expect_delivery(1, b"for the other");
    let mut closed = client.publish(1, "", "q1", 0, b"by the known route").expect(1, 20, 40);
    let text =
        "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'alice'";
    assert_eq!((closed.u16(), closed.short().as_str()), (403, text));
}

#[test]
fn a_token_that_says_nothing_of_it_never_expires() {
    let Some((broker, ..)) = with_keys() else { return };
    let mut client = logged_in(&broker, &token(1, 0, &json!({ "exp": null })));
    client.send(1, &queue_declare("q1", 0)).expect(1, 50, 11);
    // One that expires can take its place, and be replaced.
    let mut short = logged_in(&broker, &token(1, 2, &json!({})));
    for renewed in [token(1, 0, &json!({ "exp": null })), token(1, 1, &json!({}))] {
        let update = method(10, 70).long(renewed.as_bytes()).short("renewed");
        short.send(0, &update).expect(0, 10, 71);
    }
    let mut closed = short.expect(0, 10, 50);
    assert_eq!((closed.u16(), closed.short().as_str()), (320, "CONNECTION_FORCED - credential expired"));
    client.send(1, &queue_declare("q1", PASSIVE)).expect(1, 50, 11);
}

#[test]
fn keys_are_read_again_at_sighup() {
    let Some((broker, _folder, file)) = with_keys() else { return };
    key_file(&file, 2);
    let pid = broker.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    broker.log().expect(&["the keys that sign tokens are read again"]);
    logged_in(&broker, &token(2, 3_600, &json!({})));
    try_login(&broker, &token(1, 3_600, &json!({}))).expect(0, 10, 50);
    fs::write(&file, "{}").unwrap();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    broker.log().expect(&["the keys that sign tokens stay what they were"]);
    logged_in(&broker, &token(2, 3_600, &json!({})));
}

#[test]
fn keys_and_settings_that_cannot_be_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("jwks.json"), folder.path().join("data"));
    fs::write(&file, r#"{ "keys": [] }"#).unwrap();
    let large = folder.path().join("large.json");
    fs::File::create(&large).unwrap().set_len((1 << 20) + 1).unwrap();
    let [file, data, large] = [&file, &data, &large].map(|path| path.to_str().unwrap());
    for (flags, words) in [
        (
            &["--oauth-resource-server-id", "broker", "--oauth-jwks-file", large][..],
            &["oauth-jwks-file", "large.json", "more than 1048576 bytes"][..],
        ),
        (&["--oauth-jwks-file", file], &["oauth-resource-server-id: has to be set"]),
        (&["--oauth-resource-server-id", "broker"], &["oauth-jwks-file: has to be set"]),
        (&["--oauth-issuer", "https://issuer"], &["oauth-resource-server-id: has to be set"]),
        (
            &["--oauth-resource-server-id", "broker", "--oauth-jwks-file", file],
            &["oauth-jwks-file", "no key for"],
        ),
        (
            &["--oauth-resource-server-id", "broker", "--oauth-jwks-file", "missing"],
            &["oauth-jwks-file missing"],
        ),
    ] {
        let common = ["--data-dir", data, "--amqp-listen", "127.0.0.1:0", "--log", "off"];
        assert_refused(&serve(&[flags, &common].concat()), words);
    }
}

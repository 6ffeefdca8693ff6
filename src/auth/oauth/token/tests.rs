use std::sync::LazyLock;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use rsa::{PrivateKey, pkcs1::EncodeRsaPrivateKey};
use serde_json::{Value, json};

use super::*;
use crate::auth::oauth::BadKeys;
use crate::limits::{OAUTH_KEYS_MAX, OAUTH_LEEWAY_SECONDS, OAUTH_SCOPES_MAX, OAUTH_TOKEN_BYTES_MAX};

const NOW: u64 = 1_900_000_000;

/// Made once: it takes a while.
static RSA: LazyLock<EncodingKey> = LazyLock::new(|| rsa(2_048));

fn rsa(bits: usize) -> EncodingKey {
    let key = PrivateKey::new(&mut getrandom::SysRng, bits).unwrap();
    EncodingKey::from_rsa_der(key.to_pkcs1_der().unwrap().as_bytes())
}

/// A private key as RFC 5958 lays it out, from its octets alone.
fn pkcs8(before: &str, secret: &[u8]) -> Vec<u8> {
    let digits: Vec<u32> = before.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    let before = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8);
    before.chain(secret.iter().copied()).collect()
}

fn p256(seed: u8) -> EncodingKey {
    let before = "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420";
    EncodingKey::from_ec_der(&pkcs8(before, &[seed; 32]))
}

fn p384(seed: u8) -> EncodingKey {
    let before = "304e020100301006072a8648ce3d020106052b81040022043730350201010430";
    EncodingKey::from_ec_der(&pkcs8(before, &[seed; 48]))
}

fn ed25519(seed: u8) -> EncodingKey {
    EncodingKey::from_ed_der(&pkcs8("302e020100300506032b657004220420", &[seed; 32]))
}

/// The public key as it stands in a set, with `more` entries, and without those that are null.
fn public(key: &EncodingKey, algorithm: Algorithm, more: Value) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
    let entries = jwk.as_object_mut().unwrap();
    let Value::Object(more) = more else { panic!("{more}") };
    entries.extend(more);
    entries.retain(|_, value| !value.is_null());
    jwk
}

fn keys(keys: impl IntoIterator<Item = Value>) -> Result<Keys, BadKeys> {
    let keys: Vec<_> = keys.into_iter().collect();
    Keys::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn claims() -> Value {
    json!({
        "sub": "alice", "aud": "broker", "iss": "https://issuer", "exp": NOW + 60, "nbf": NOW - 60,
        "scope": "broker.read:%2F/q* broker.tag:monitoring other.write:*/* openid",
    })
}

fn signed(key: &EncodingKey, algorithm: Algorithm, id: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: id.map(String::from), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

fn server() -> ResourceServer {
    ResourceServer { issuer: Some("https://issuer".into()), ..ResourceServer::new("broker") }
}

/// What comes of claims that are properly signed.
fn read_by(server: &ResourceServer, claims: &Value) -> Result<Token, BadToken> {
    let keys = keys([public(&ed25519(1), Algorithm::EdDSA, json!({}))]).unwrap();
    server.read(signed(&ed25519(1), Algorithm::EdDSA, None, claims).as_bytes(), &keys, NOW)
}

/// The claims with one of them set, or taken away by null.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let entries = claims.as_object_mut().unwrap();
    if value.is_null() {
        entries.remove(name);
    } else {
        entries.insert(name.into(), value);
    }
    claims
}

#[test]
fn each_algorithm_is_taken_from_its_key() {
    for (key, algorithm) in [
        (RSA.clone(), Algorithm::RS256),
        (RSA.clone(), Algorithm::RS384),
        (RSA.clone(), Algorithm::RS512),
        (p256(1), Algorithm::ES256),
        (p384(1), Algorithm::ES384),
        (ed25519(1), Algorithm::EdDSA),
    ] {
        for more in [json!({}), json!({"kid": "a", "use": "sig"}), json!({ "alg": null })] {
            let keys = keys([public(&key, algorithm, more.clone())]).unwrap();
            let id = more.get("kid").and_then(Value::as_str);
            for id in [id, None] {
                let token = server().read(signed(&key, algorithm, id, &claims()).as_bytes(), &keys, NOW);
                assert_eq!(
                    token.map(|token| token.user.to_string()),
                    Ok("alice".into()),
                    "{algorithm:?} {more}"
                );
            }
        }
    }
}

#[test]
fn a_token_of_another_key_or_algorithm_is_refused() {
    use BadToken::{Key, Malformed, Signature, UnknownKey};
    let set = keys([
        public(&RSA, Algorithm::RS256, json!({"kid": "rsa", "alg": null})),
        public(&RSA, Algorithm::RS512, json!({"kid": "rsa 512"})),
        public(&p256(1), Algorithm::ES256, json!({"kid": "ec", "alg": null})),
        public(&ed25519(1), Algorithm::EdDSA, json!({"kid": "ed", "alg": null})),
    ])
    .unwrap();
    let modulus = public(&RSA, Algorithm::RS256, json!({}))["n"].as_str().unwrap().to_owned();
    let by_public_key = EncodingKey::from_secret(modulus.as_bytes()).unwrap();
    for (key, algorithm, id, why) in [
        (by_public_key.clone(), Algorithm::HS256, Some("rsa"), Key),
        (by_public_key, Algorithm::HS512, None, Key),
        (RSA.clone(), Algorithm::PS256, Some("rsa"), Key),
        (RSA.clone(), Algorithm::RS256, Some("rsa 512"), Key),
        (RSA.clone(), Algorithm::RS256, Some("ec"), Key),
        (RSA.clone(), Algorithm::RS256, Some("unknown"), UnknownKey),
        (p256(2), Algorithm::ES256, Some("ec"), Signature),
        (p256(2), Algorithm::ES256, None, Signature),
        (p256(1), Algorithm::ES256, Some("ed"), Key),
        (p384(1), Algorithm::ES384, None, Key),
        (ed25519(2), Algorithm::EdDSA, Some("ed"), Signature),
        (ed25519(1), Algorithm::EdDSA, Some(""), UnknownKey),
    ] {
        let token = signed(&key, algorithm, id, &claims());
        assert_eq!(server().read(token.as_bytes(), &set, NOW), Err(why), "{algorithm:?} {id:?}");
    }
    for id in [Some("ed"), None] {
        let token = signed(&ed25519(1), Algorithm::EdDSA, id, &claims());
        assert_eq!(server().read(token.as_bytes(), &Keys::none(), NOW), Err(UnknownKey), "{id:?}");
    }
    let good = signed(&ed25519(1), Algorithm::EdDSA, Some("ed"), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{good}") };
    // {"alg":"none"}, {"alg":"None"}
    for none in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIn0"] {
        for token in [format!("{none}.{payload}."), format!("{none}.{payload}.{signature}")] {
            assert_eq!(server().read(token.as_bytes(), &set, NOW), Err(Malformed));
        }
    }
    let other = signed(&ed25519(1), Algorithm::EdDSA, Some("ed"), &with("sub", json!("root")));
    let forged = format!("{header}.{}.{signature}", other.split('.').nth(1).unwrap());
    assert_eq!(server().read(forged.as_bytes(), &set, NOW), Err(Signature));
    let critical = Header { crit: Some(vec!["exp".into()]), ..Header::new(Algorithm::EdDSA) };
    let critical = encode(&critical, &claims(), &ed25519(1)).unwrap();
    assert!(server().read(critical.as_bytes(), &set, NOW).is_err(), "what must be understood is not");
}

#[test]
fn what_is_no_token_is_refused_wherever_it_is_cut() {
    let keys = keys([public(&ed25519(1), Algorithm::EdDSA, json!({}))]).unwrap();
    let good = signed(&ed25519(1), Algorithm::EdDSA, None, &claims());
    assert!(server().read(good.as_bytes(), &keys, NOW).is_ok());
    for end in 0..good.len() {
        assert!(server().read(&good.as_bytes()[..end], &keys, NOW).is_err(), "{end}");
    }
    for at in 0..good.len() {
        let mut wrong = good.clone().into_bytes();
        wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
        // The last letter has bits that stand for nothing: a decoder may pass over them.
        let read = server().read(&wrong, &keys, NOW);
        assert!(read.is_err() || at + 1 == good.len(), "{at}");
    }
    for text in [b"".as_slice(), b".", b"..", b"...", b"a.b.c", b"\xFF.\xFF.\xFF", b"guest"] {
        assert_eq!(server().read(text, &keys, NOW), Err(BadToken::Malformed));
    }
    let long = with("padding", json!("x".repeat(OAUTH_TOKEN_BYTES_MAX)));
    assert_eq!(read_by(&server(), &long), Err(BadToken::Malformed));
    assert_eq!(read_by(&server(), &json!([1])).unwrap_err(), BadToken::Signature, "its claims are no object");
}

#[test]
fn claims_are_for_this_server_of_its_issuer_and_of_now() {
    use BadToken::{Audience, Claim, Expired, Issuer, NotYet, User};
    let leeway = OAUTH_LEEWAY_SECONDS;
    for (name, value, outcome) in [
        ("exp", json!(NOW - leeway + 1), Ok(())),
        ("exp", json!(NOW - leeway), Err(Expired)),
        ("exp", json!(0), Err(Expired)),
        ("exp", json!(u64::MAX), Ok(())),
        ("exp", json!((NOW + 60) as f64 + 0.5), Ok(())),
        ("exp", Value::Null, Ok(())),
        ("exp", json!("1"), Err(Claim("exp"))),
        ("exp", json!(-1), Err(Claim("exp"))),
        ("exp", json!(1e300), Err(Claim("exp"))),
        ("nbf", json!(NOW + leeway), Ok(())),
        ("nbf", json!(NOW + leeway + 1), Err(NotYet)),
        ("nbf", json!(u64::MAX), Err(NotYet)),
        ("nbf", Value::Null, Ok(())),
        ("nbf", json!("x"), Err(Claim("nbf"))),
        ("iss", json!("https://other"), Err(Issuer)),
        ("iss", json!(["https://issuer"]), Err(Issuer)),
        ("iss", json!(1), Err(Issuer)),
        ("iss", Value::Null, Err(Issuer)),
        ("aud", json!(["other", "broker"]), Ok(())),
        ("aud", json!("other broker"), Ok(())),
        ("aud", json!("brokers"), Err(Audience)),
        ("aud", json!([]), Err(Audience)),
        ("aud", json!({"broker": 1}), Err(Audience)),
        ("aud", Value::Null, Err(Audience)),
        ("sub", Value::Null, Err(User)),
        ("sub", json!(""), Err(User)),
        ("sub", json!(7), Err(User)),
        ("sub", json!("x".repeat(255)), Ok(())),
        ("sub", json!("x".repeat(256)), Err(User)),
    ] {
        let read = read_by(&server(), &with(name, value.clone()));
        assert_eq!(read.map(drop), outcome, "{name} {value}");
    }
    let any_issuer = ResourceServer::new("broker");
    assert!(read_by(&any_issuer, &with("iss", Value::Null)).is_ok());
    for (said, expires) in [(json!(NOW + 7), Some(NOW + 7)), (Value::Null, None)] {
        assert_eq!(read_by(&server(), &with("exp", said)).unwrap().expires, expires);
    }
}

#[test]
fn the_user_is_named_by_the_first_claim_that_has_a_name() {
    let by_mail = ResourceServer { user_claims: vec!["mail".into(), "sub".into()], ..server() };
    for (server, claims, user) in [
        (&server(), claims(), Some("alice")),
        (&server(), with("client_id", json!("app")), Some("alice")),
        (&by_mail, claims(), Some("alice")),
        (&by_mail, with("mail", json!("a@b")), Some("a@b")),
        (&by_mail, with("mail", json!("")), Some("alice")),
        (&by_mail, with("mail", json!(["a@b"])), Some("alice")),
        (&by_mail, with("sub", Value::Null), None),
    ] {
        let read = read_by(server, &claims).ok().map(|token| token.user.to_string());
        assert_eq!(read.as_deref(), user, "{claims}");
    }
    let mut service = with("sub", Value::Null);
    service["client_id"] = json!("app");
    assert_eq!(read_by(&server(), &service).unwrap().user, "app");
}

#[test]
fn scopes_are_words_or_a_list_and_those_of_others_are_left_out() {
    let own_key = ResourceServer { scope_key: Some("roles".into()), ..server() };
    let without_prefix = ResourceServer { scope_prefix: String::new(), ..server() };
    let other_prefix = ResourceServer { scope_prefix: "mq:".into(), ..server() };
    let read_q = "broker.read:%2F/q";
    for (server, scope, roles, permits) in [
        (&server(), json!(read_q), Value::Null, true),
        (&server(), json!(format!("openid  {read_q} email")), Value::Null, true),
        (&server(), json!([read_q]), Value::Null, true),
        (&server(), json!(["openid", read_q]), Value::Null, true),
        (&server(), json!([format!("a {read_q}")]), Value::Null, true),
        (&server(), json!([[read_q]]), Value::Null, false),
        (&server(), json!({ "scope": read_q }), Value::Null, false),
        (&server(), json!("read:%2F/q"), Value::Null, false),
        (&server(), json!("brokerXread:%2F/q"), Value::Null, false),
        (&server(), json!("other.broker.read:%2F/q"), Value::Null, false),
        (&server(), json!("broker.write:%2F/q"), Value::Null, false),
        (&server(), Value::Null, Value::Null, false),
        (&server(), Value::Null, json!(read_q), false),
        (&own_key, Value::Null, json!(read_q), true),
        (&own_key, json!("openid"), json!(["x", read_q]), true),
        (&own_key, json!(read_q), json!(7), true),
        (&without_prefix, json!("read:%2F/q"), Value::Null, true),
        (&without_prefix, json!(read_q), Value::Null, false),
        (&other_prefix, json!("mq:read:%2F/q"), Value::Null, true),
        (&other_prefix, json!(read_q), Value::Null, false),
    ] {
        let mut claims = with("scope", scope.clone());
        claims["roles"] = roles.clone();
        let token = read_by(server, &claims).unwrap();
        assert_eq!(token.permits(Permission::Read, b"/", b"q"), permits, "{scope} {roles}");
        assert_eq!(token.permits_vhost(b"/"), permits || scope == "broker.write:%2F/q", "{scope} {roles}");
    }
}

#[test]
fn a_token_permits_what_any_of_its_scopes_does() {
    let scopes = "broker.read:%2F/q* broker.write:%2F/x/a.* broker.configure:tenant-*/* broker.tag:monitoring broker.tag:policymaker";
    let token = read_by(&server(), &with("scope", json!(scopes))).unwrap();
    let tags: Vec<_> = token.tags.iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["monitoring", "policymaker"]);
    for (vhost, may) in [("/", true), ("tenant-1", true), ("tenant", false), ("", false)] {
        assert_eq!(token.permits_vhost(vhost.as_bytes()), may, "{vhost}");
    }
    for (permission, vhost, name, may) in [
        (Permission::Read, "/", "q1", true),
        (Permission::Read, "/", "x", false),
        (Permission::Read, "tenant-1", "q1", false),
        (Permission::Write, "/", "x", true),
        (Permission::Write, "/", "q1", false),
        (Permission::Write, "/", "amq.default", false),
        (Permission::Configure, "tenant-1", "anything", true),
        (Permission::Configure, "/", "q1", false),
    ] {
        assert_eq!(
            token.permits(permission, vhost.as_bytes(), name.as_bytes()),
            may,
            "{permission:?} {vhost} {name}"
        );
    }
    for (permission, name, key, may) in [
        (Permission::Write, "x", "a.b", true),
        (Permission::Write, "x", "b", false),
        (Permission::Read, "q", "any", true),
        (Permission::Read, "x", "a.b", false),
    ] {
        assert_eq!(
            token.permits_topic(permission, b"/", name.as_bytes(), key.as_bytes()),
            may,
            "{name} {key}"
        );
    }
}

#[test]
fn scopes_are_bounded_and_those_of_others_do_not_count() {
    let scopes = |prefix: &str, count: usize| json!(vec![format!("{prefix}.read:a/b"); count].join(" "));
    assert!(read_by(&server(), &with("scope", scopes("broker", OAUTH_SCOPES_MAX))).is_ok());
    let too_many = read_by(&server(), &with("scope", scopes("broker", OAUTH_SCOPES_MAX + 1)));
    assert_eq!(too_many, Err(BadToken::TooManyScopes));
    assert!(read_by(&server(), &with("scope", scopes("o", OAUTH_SCOPES_MAX + 1))).is_ok());
}

#[test]
fn a_set_without_keys_for_signatures_is_refused() {
    let good = || public(&ed25519(1), Algorithm::EdDSA, json!({}));
    let secret = json!({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ", "alg": "HS256"});
    let weak = public(&rsa(1_024), Algorithm::RS256, json!({}));
    for (set, outcome) in [
        (vec![], Err(BadKeys::None)),
        (vec![secret.clone()], Err(BadKeys::None)),
        (vec![weak.clone()], Err(BadKeys::None)),
        (vec![public(&ed25519(1), Algorithm::EdDSA, json!({"use": "enc"}))], Err(BadKeys::None)),
        (vec![public(&RSA, Algorithm::RS256, json!({"alg": "PS256"}))], Err(BadKeys::None)),
        (vec![public(&RSA, Algorithm::RS256, json!({"alg": "HS256"}))], Err(BadKeys::None)),
        (vec![public(&p256(1), Algorithm::ES256, json!({"alg": "ES384"}))], Err(BadKeys::None)),
        (vec![json!(1), json!({}), json!({"kty": "unknown"})], Err(BadKeys::None)),
        (vec![json!(1), secret, weak, good()], Ok(())),
        (vec![good(); OAUTH_KEYS_MAX], Ok(())),
        (vec![good(); OAUTH_KEYS_MAX + 1], Err(BadKeys::TooMany)),
    ] {
        assert_eq!(keys(set.clone()).map(drop), outcome, "{set:?}");
    }
    for text in ["", "{}", "[]", "{\"keys\": 1}", "-----BEGIN PUBLIC KEY-----"] {
        assert!(matches!(Keys::parse(text.as_bytes()), Err(BadKeys::Malformed(_))), "{text}");
    }
}

#[test]
fn a_token_without_a_key_id_is_tried_with_each_key_that_fits() {
    let set = (1..=3).map(|seed| public(&ed25519(seed), Algorithm::EdDSA, json!({"kid": seed.to_string()})));
    let keys = keys(set).unwrap();
    for seed in 1..=3 {
        let token = signed(&ed25519(seed), Algorithm::EdDSA, None, &claims());
        assert!(server().read(token.as_bytes(), &keys, NOW).is_ok());
    }
    let token = signed(&ed25519(1), Algorithm::EdDSA, Some("2"), &claims());
    assert_eq!(server().read(token.as_bytes(), &keys, NOW), Err(BadToken::Signature));
}

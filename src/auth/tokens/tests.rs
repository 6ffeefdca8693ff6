//! When keys are read again, with a clock that does not wait, and a source that is told what to give.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::json;
use tokio::time::{advance, sleep};

use super::*;
use crate::auth::oauth::BadKeys;

/// The number of the key that the source has, and how often it was asked. Zero: it has none, and fails.
#[derive(Default)]
struct Issuer {
    key: AtomicU64,
    asked: AtomicUsize,
}

impl Issuer {
    fn with(key: u64) -> Arc<Self> {
        let issuer = Self::default();
        issuer.key.store(key, Relaxed);
        Arc::new(issuer)
    }

    async fn tokens(self: &Arc<Self>) -> Arc<Tokens> {
        let issuer = self.clone();
        let source: Source = Arc::new(move || {
            issuer.asked.fetch_add(1, Relaxed);
            match issuer.key.load(Relaxed) {
                0 => Err(BadKeySource::UnusableThere { url: "https://there".into(), source: BadKeys::None }),
                key => Ok(keys(key)),
            }
        });
        let tokens = Tokens::from(ResourceServer::new("broker"), source, true);
        // A failure is one of the beginnings.
        let _failed = tokens.renew().await;
        tokens
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

fn signing(key: u64) -> EncodingKey {
    let before = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    EncodingKey::from_ed_der(&[&before[..], &[key as u8; 32]].concat())
}

fn keys(key: u64) -> Keys {
    let mut public =
        serde_json::to_value(Jwk::from_encoding_key(&signing(key), Algorithm::EdDSA).unwrap()).unwrap();
    public["kid"] = json!(key.to_string());
    Keys::parse(json!({ "keys": [public] }).to_string().as_bytes()).unwrap()
}

fn token(key: u64) -> Vec<u8> {
    let header = Header { kid: Some(key.to_string()), ..Header::new(Algorithm::EdDSA) };
    encode(&header, &json!({ "sub": "alice", "aud": "broker" }), &signing(key)).unwrap().into_bytes()
}

/// What a login does.
async fn log_in(tokens: &Arc<Tokens>, key: u64) -> bool {
    let seen = tokens.keys();
    let read = tokens.read_by(&seen, &token(key));
    if read == Err(BadToken::UnknownKey) && tokens.renew_for_token(&seen).await {
        return tokens.read_by(&tokens.keys(), &token(key)).is_ok();
    }
    read.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_new_key_has_the_keys_read_again_but_only_once_in_a_while() {
    let issuer = Issuer::with(1);
    let tokens = issuer.tokens().await;
    assert!(log_in(&tokens, 1).await && issuer.asked() == 1);
    issuer.key.store(2, Relaxed);
    assert!(log_in(&tokens, 2).await && issuer.asked() == 2);
    issuer.key.store(3, Relaxed);
    for _ in 0..10 {
        assert!(!log_in(&tokens, 3).await && issuer.asked() == 2);
    }
    advance(OAUTH_KEYS_PAUSE).await;
    assert!(log_in(&tokens, 3).await && issuer.asked() == 3);
}

#[tokio::test(start_paused = true)]
async fn many_that_come_with_a_new_key_wait_for_the_same_reading() {
    let issuer = Issuer::with(1);
    let tokens = issuer.tokens().await;
    issuer.key.store(2, Relaxed);
    let logins: Vec<_> = (0..50)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { log_in(&tokens, 2).await })
        })
        .collect();
    for login in logins {
        assert!(login.await.unwrap());
    }
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_last_keys() {
    let issuer = Issuer::with(1);
    let tokens = issuer.tokens().await;
    issuer.key.store(0, Relaxed);
    assert!(tokens.renew().await.is_err());
    assert!(!log_in(&tokens, 2).await);
    assert!(log_in(&tokens, 1).await);
}

#[tokio::test(start_paused = true)]
async fn keys_are_read_again_now_and_then_and_soon_after_a_failure() {
    let issuer = Issuer::with(0);
    let tokens = issuer.tokens().await;
    let keeping = tokio::spawn(tokens.clone().keep_current());
    for (key, span, asked) in [
        (0, OAUTH_KEYS_RETRY_INTERVAL, 2),
        (1, OAUTH_KEYS_RETRY_INTERVAL, 3),
        (1, OAUTH_KEYS_RETRY_INTERVAL, 3),
        (0, OAUTH_KEYS_INTERVAL.saturating_sub(OAUTH_KEYS_RETRY_INTERVAL), 4),
        (1, OAUTH_KEYS_RETRY_INTERVAL, 5),
        (1, OAUTH_KEYS_INTERVAL, 6),
    ] {
        issuer.key.store(key, Relaxed);
        sleep(span + Duration::from_millis(2)).await;
        assert_eq!(issuer.asked(), asked, "{key} {span:?}");
    }
    keeping.abort();
}

#[tokio::test]
async fn keys_of_a_file_are_not_read_again_for_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, "{").unwrap();
    let at = JwksAt::File(file);
    let source = source(&at).unwrap();
    let tokens = Tokens::from(ResourceServer::new("broker"), source, false);
    assert!(tokens.renew().await.is_err() && !tokens.renew_for_token(&tokens.keys()).await);
}

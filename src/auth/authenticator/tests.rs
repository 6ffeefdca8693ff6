use std::sync::Mutex as StdMutex;

use futures_lite::future::poll_once;
use tokio::task::unconstrained;

use super::*;
use crate::config::Settings;
use crate::core::access::{HashAlgorithm, Limits};
use crate::limits::{
    LOGIN_DELAY_MIN, LOGIN_FAILURES_FREE, PASSWORD_PROVEN_FOR, PASSWORDS_WAITING_MAX,
    PASSWORDS_WAITING_PER_ADDRESS_MAX,
};

const HERE: &str = "127.0.0.1";
const ELSEWHERE: &str = "192.0.2.1";

fn authenticator(settings: Settings) -> Authenticator {
    Authenticator::new(&Config::load(settings).unwrap())
}

fn by_default() -> Authenticator {
    authenticator(Settings::default())
}

fn user(name: &'static str, password: PasswordHash) -> Arc<UserSpec> {
    let name = ShortString::from_static(name);
    Arc::new(UserSpec { name, password, tags: vec![], limits: Limits::default() })
}

fn hashed(hashing: PasswordHashing, password: &str) -> PasswordHash {
    new_hash(hashing, &secret(password))
}

fn bytes(algorithm: HashAlgorithm, bytes: &[u8]) -> PasswordHash {
    PasswordHash { algorithm, bytes: bytes.into() }
}

fn secret(text: &str) -> Secret {
    text.as_bytes().to_vec().into()
}

fn known(user: &str, password: &str) -> Claim {
    Claim::Password { user: user.into(), password: secret(password) }
}

fn vouched(user: &str) -> Claim {
    Claim::Vouched { user: user.into() }
}

/// Users with the password `right`, where they have one.
fn users() -> Vec<Arc<UserSpec>> {
    vec![
        user("argon2id", hashed(PasswordHashing::Argon2id, "right")),
        user("sha256", hashed(PasswordHashing::Sha256, "right")),
        user("guest", hashed(PasswordHashing::Sha256, "right")),
        user("blank", hashed(PasswordHashing::Sha256, "")),
        user("none", bytes(HashAlgorithm::Sha256, b"")),
        user("md5", bytes(HashAlgorithm::Md5, &[1; 20])),
        user("broken", bytes(HashAlgorithm::Argon2id, b"$argon2id$")),
    ]
}

fn find_in(users: &[Arc<UserSpec>]) -> impl Fn(&[u8]) -> Option<Arc<UserSpec>> + '_ {
    move |name| users.iter().find(|user| *user.name == *name).cloned()
}

async fn log_in(authenticator: &Authenticator, claim: &Claim, peer: &str) -> Result<String, LoginError> {
    let users = users();
    let outcome = authenticator.log_in(claim, peer.parse().unwrap(), find_in(&users)).await;
    outcome.map(|identity| identity.user.to_string()).map_err(|refused| refused.why)
}

#[tokio::test(start_paused = true)]
async fn each_user_is_let_in_by_its_password_alone() {
    let invalid = |user: &str| Err(LoginError::InvalidCredentials(user.into()));
    let blank = |user: &str| Err(LoginError::BlankPassword(user.into()));
    let bad = |user: &str, why| Err(LoginError::BadHash { user: user.into(), why });
    let loopback_only = |user: &str| Err(LoginError::LoopbackOnly(user.into()));
    for hashing in [PasswordHashing::Argon2id, PasswordHashing::Sha256] {
        let authenticator =
            authenticator(Settings { password_hashing: Some(hashing), ..Settings::default() });
        for (claim, peer, outcome) in [
            (known("argon2id", "right"), ELSEWHERE, Ok("argon2id".into())),
            (known("argon2id", "wrong"), ELSEWHERE, invalid("argon2id")),
            (known("argon2id", ""), ELSEWHERE, blank("argon2id")),
            (known("sha256", "right"), ELSEWHERE, Ok("sha256".into())),
            (known("sha256", "wrong"), ELSEWHERE, invalid("sha256")),
            (known("sha256", ""), ELSEWHERE, blank("sha256")),
            (known("guest", "right"), HERE, Ok("guest".into())),
            (known("guest", "right"), "::1", Ok("guest".into())),
            (known("guest", "right"), "::ffff:127.0.0.1", Ok("guest".into())),
            (known("guest", "right"), ELSEWHERE, loopback_only("guest")),
            (known("guest", "wrong"), HERE, invalid("guest")),
            (known("guest", "wrong"), ELSEWHERE, invalid("guest")),
            (known("nobody", "right"), ELSEWHERE, invalid("nobody")),
            (known("", "right"), ELSEWHERE, invalid("")),
            (known("", ""), ELSEWHERE, blank("")),
            (known("nobody", ""), ELSEWHERE, blank("nobody")),
            (known("blank", ""), ELSEWHERE, blank("blank")),
            (known("none", "right"), ELSEWHERE, invalid("none")),
            (known("md5", "right"), ELSEWHERE, bad("md5", BadHash::Md5)),
            (known("broken", "right"), ELSEWHERE, bad("broken", BadHash::Malformed)),
            (vouched("argon2id"), ELSEWHERE, Ok("argon2id".into())),
            (vouched("none"), ELSEWHERE, Ok("none".into())),
            (vouched("guest"), HERE, Ok("guest".into())),
            (vouched("guest"), ELSEWHERE, loopback_only("guest")),
            (vouched("nobody"), ELSEWHERE, invalid("nobody")),
        ] {
            assert_eq!(log_in(&authenticator, &claim, peer).await, outcome, "{hashing:?} {claim:?} {peer}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_name_that_is_no_text_or_too_long_is_unknown() {
    let authenticator = by_default();
    for name in [vec![0xFF], vec![b'x'; 5_000]] {
        let claim = Claim::Password { user: name.clone(), password: secret("right") };
        let outcome = log_in(&authenticator, &claim, HERE).await;
        assert_eq!(outcome, Err(LoginError::InvalidCredentials(String::from_utf8_lossy(&name).into())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_answered_the_later_the_more_there_were_and_a_success_at_once() {
    let authenticator = by_default();
    let took = async |claim: Claim, peer: &str| {
        let began = Instant::now();
        let outcome = log_in(&authenticator, &claim, peer).await;
        (outcome.is_ok(), began.elapsed())
    };
    for _ in 0..LOGIN_FAILURES_FREE {
        assert_eq!(took(known("sha256", "wrong"), ELSEWHERE).await, (false, Duration::ZERO));
    }
    for doubled in 0..3 {
        // The timer counts milliseconds.
        let (_, delay) = took(known("sha256", "wrong"), ELSEWHERE).await;
        assert!(
            delay >= LOGIN_DELAY_MIN * (1 << doubled) && delay < LOGIN_DELAY_MIN * (2 << doubled),
            "{delay:?}"
        );
    }
    assert_eq!(took(known("sha256", "wrong"), "192.0.2.2").await.1, Duration::ZERO, "another address");
    assert_eq!(took(known("sha256", "right"), "192.0.2.2").await, (true, Duration::ZERO));
    let (_, delay) = took(known("nobody", "wrong"), ELSEWHERE).await;
    assert!(delay >= LOGIN_DELAY_MIN * 8, "another user's success, elsewhere, takes nothing back: {delay:?}");
    assert_eq!(took(known("sha256", "right"), ELSEWHERE).await, (true, Duration::ZERO));
    assert_eq!(
        took(known("nobody", "wrong"), ELSEWHERE).await.1,
        Duration::ZERO,
        "its own failures are forgiven"
    );
}

#[tokio::test(start_paused = true)]
async fn the_right_password_at_the_wrong_place_counts_as_a_failure() {
    let authenticator = by_default();
    let users = users();
    for n in 1..=4 {
        let claim = known("guest", "right");
        let refused =
            authenticator.log_in(&claim, ELSEWHERE.parse().unwrap(), find_in(&users)).await.unwrap_err();
        assert_eq!(refused.failures, Some(Figures { of_address: n, of_user: n }));
        assert_eq!(refused.to_string().contains("failed lately"), n > 1, "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_within_half_of_the_handshakes_time() {
    let authenticator = authenticator(Settings { handshake_timeout_ms: Some(100), ..Settings::default() });
    for _ in 0..20 {
        let began = Instant::now();
        assert!(log_in(&authenticator, &known("nobody", "x"), HERE).await.is_err());
        assert!(began.elapsed() <= Duration::from_millis(51), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_proven_lately_is_not_hashed_again_and_a_changed_password_is() {
    let authenticator = by_default();
    let (old, new) = (
        user("u", hashed(PasswordHashing::Argon2id, "old")),
        user("u", hashed(PasswordHashing::Argon2id, "new")),
    );
    let log_in = async |spec: &Arc<UserSpec>, password: &str| {
        let claim = known("u", password);
        authenticator.log_in(&claim, HERE.parse().unwrap(), |_: &[u8]| Some(spec.clone())).await.is_ok()
    };
    assert!(log_in(&old, "old").await);
    // Nothing can be hashed now.
    let all = authenticator.checks.turn(None).await.unwrap();
    assert!(log_in(&old, "old").await);
    drop(all);
    assert!(!log_in(&new, "old").await);
    assert!(log_in(&new, "new").await);
    assert!(!log_in(&old, "new").await);
    tokio::time::advance(PASSWORD_PROVEN_FOR).await;
    let all = authenticator.checks.turn(None).await.unwrap();
    let mut waits = Box::pin(log_in(&new, "new"));
    assert!(poll_once(waits.as_mut()).await.is_none(), "it is hashed again");
    drop(all);
    assert!(waits.await);
}

#[tokio::test(start_paused = true)]
async fn of_many_that_come_with_one_password_one_pays() {
    let authenticator = by_default();
    let spec = user("u", hashed(PasswordHashing::Argon2id, "right"));
    let claim = known("u", "right");
    let find = |_: &[u8]| Some(spec.clone());
    let all = authenticator.checks.turn(None).await.unwrap();
    let mut first = Box::pin(authenticator.log_in(&claim, HERE.parse().unwrap(), find));
    let mut second = Box::pin(authenticator.log_in(&claim, HERE.parse().unwrap(), find));
    assert!(poll_once(first.as_mut()).await.is_none());
    assert!(poll_once(second.as_mut()).await.is_none());
    drop(all);
    assert!(first.await.is_ok());
    // It has its turn, and the proof is there: nothing is left to wait for.
    assert!(matches!(poll_once(second.as_mut()).await, Some(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_changed_while_the_old_one_is_checked_lets_nobody_in() {
    let authenticator = by_default();
    for later in [None, Some(user("u", hashed(PasswordHashing::Argon2id, "new")))] {
        let now = StdMutex::new(Some(user("u", hashed(PasswordHashing::Argon2id, "old"))));
        let claim = known("u", "old");
        let all = authenticator.checks.turn(None).await.unwrap();
        let find = |_: &[u8]| now.lock().unwrap().clone();
        let mut login = Box::pin(authenticator.log_in(&claim, HERE.parse().unwrap(), find));
        assert!(poll_once(login.as_mut()).await.is_none());
        *now.lock().unwrap() = later;
        drop(all);
        assert_eq!(login.await.unwrap_err().why, LoginError::InvalidCredentials("u".into()));
    }
}

/// A check has a turn exactly when it is costly: with all turns taken, what costs nothing is answered.
#[tokio::test(start_paused = true)]
async fn whatever_is_wrong_costs_the_check_of_a_new_hash() {
    for (hashing, costs) in [(PasswordHashing::Argon2id, true), (PasswordHashing::Sha256, false)] {
        let authenticator =
            authenticator(Settings { password_hashing: Some(hashing), ..Settings::default() });
        let users = users();
        let all = authenticator.checks.turn(None).await.unwrap();
        for name in ["sha256", "nobody", "none", "md5", "broken"] {
            // From an address of its own: no answer waits for its delay.
            let peer = IpAddr::V4([10, 0, 0, name.len() as u8 + name.as_bytes()[0]].into());
            let claim = known(name, "wrong");
            let mut login = Box::pin(authenticator.log_in(&claim, peer, find_in(&users)));
            let answered = poll_once(login.as_mut()).await.is_some();
            assert_eq!(answered, !costs && name != "broken", "{hashing:?} {name}");
        }
        let claim = known("sha256", "right");
        let right = Box::pin(authenticator.log_in(&claim, HERE.parse().unwrap(), find_in(&users)));
        let answered = poll_once(right).await;
        assert!(matches!(answered, Some(Ok(_))), "a cheap hash is checked where it is");
        drop(all);
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_the_line_full_is_refused_and_that_is_no_failure() {
    let authenticator = by_default();
    let all = authenticator.checks.turn(None).await.unwrap();
    let (users, claim) = (users(), known("argon2id", "right"));
    let mut line: Vec<_> = (1..PASSWORDS_WAITING_MAX)
        .map(|n| IpAddr::from([10, 0, 0, (n / PASSWORDS_WAITING_PER_ADDRESS_MAX) as u8]))
        .map(|peer| Box::pin(authenticator.log_in(&claim, peer, find_in(&users))))
        .collect();
    for login in &mut line {
        assert!(unconstrained(poll_once(login.as_mut())).await.is_none());
    }
    for _ in 0..10 {
        let refused = authenticator.log_in(&claim, HERE.parse().unwrap(), find_in(&users)).await.unwrap_err();
        assert_eq!(refused, Refused { why: LoginError::Busy, failures: None });
    }
    drop(all);
    for login in line {
        assert!(login.await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn all_clients_of_one_address_get_in_however_many_come_at_once() {
    let authenticator = by_default();
    let all = authenticator.checks.turn(None).await.unwrap();
    let (users, claim) = (users(), known("argon2id", "right"));
    let mut logins: Vec<_> = (0..2 * PASSWORDS_WAITING_MAX)
        .map(|_| Box::pin(authenticator.log_in(&claim, HERE.parse().unwrap(), find_in(&users))))
        .collect();
    for login in &mut logins {
        assert!(unconstrained(poll_once(login.as_mut())).await.is_none());
    }
    drop(all);
    assert!(logins.remove(0).await.is_ok());
    for mut login in logins {
        // The first one has paid for all: nothing is left to wait for.
        assert!(matches!(unconstrained(poll_once(login.as_mut())).await, Some(Ok(_))));
    }
}

#[tokio::test]
async fn a_new_hash_is_of_the_algorithm_that_is_configured() {
    for (hashing, algorithm) in [
        (PasswordHashing::Sha256, HashAlgorithm::Sha256),
        (PasswordHashing::Argon2id, HashAlgorithm::Argon2id),
    ] {
        let authenticator =
            authenticator(Settings { password_hashing: Some(hashing), ..Settings::default() });
        let first = authenticator.hash(secret("x")).await.unwrap();
        assert_eq!(first.algorithm, algorithm);
        assert_eq!(password::verify(&first, b"x"), Ok(true));
        assert_ne!(Some(first), authenticator.hash(secret("x")).await, "salts differ");
    }
}

#[test]
fn anonymous_is_offered_when_a_user_is_named_for_it() {
    assert!(by_default().offered(None).anonymous.is_none());
    for (name, offered) in [("none", false), ("somebody", true)] {
        let settings = Settings { anonymous_login_user: Some(name.into()), ..Settings::default() };
        assert_eq!(authenticator(settings).offered(Some("cn")).anonymous.is_some(), offered);
    }
}

//! How fast somebody may ask, as it is configured.

use std::time::Instant;

use serde_json::Value;

use crate::{api::Api, broker::DEADLINE};

/// Asks until there were too many requests; what is answered then.
fn refused(asking: &Api) -> (String, Value) {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        let mut response = asking.send("GET", "whoami", b"");
        if response.status() == 429 {
            let wait = response.headers()["retry-after"].to_str().unwrap().to_owned();
            return (wait, serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap());
        }
        assert_eq!(response.status(), 200);
    }
    panic!("nobody was refused");
}

#[test]
fn an_address_that_asks_too_often_hears_429_and_when_to_come_again_but_a_probe_always_gets_its_answer() {
    let Some(api) = Api::start(&["--http-rate-per-address", "1"]) else { return };
    let (wait, answer) = refused(&api);
    assert_eq!((&*wait, &answer["error"]), ("1", &"too_many_requests".into()), "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("try again in 1 s"), "{answer}");
    for _ in 0..20 {
        assert_eq!(api.nobody().status("leveret/alive"), 200);
        assert_eq!(api.nobody().status("leveret/alive/"), 200);
    }
    refused(&api);
    assert!(
        matches!(api.being("guest", "wrong").status("whoami"), 401 | 429),
        "who is refused for the number of its requests is not asked for a password"
    );
}

#[test]
fn a_user_that_asks_too_often_is_refused_and_the_others_at_its_address_are_not() {
    let Some(api) = Api::start(&["--http-rate-per-user", "2"]) else { return };
    let made = api.put("users/ann", &serde_json::json!({ "password": "secret", "tags": "management" }));
    assert_eq!(made, 201);
    assert_eq!(refused(&api).0, "1");
    assert_eq!(api.being("ann", "secret").status("whoami"), 200);
}

#[test]
fn without_a_limit_nobody_is_refused() {
    let Some(api) = Api::start(&[]) else { return };
    for _ in 0..100 {
        assert_eq!(api.status("whoami"), 200);
    }
}

//! A message's deaths, told in words.

use maud::{Markup, html};
use serde_json::Value;

use crate::console::view::text;

/// What a message went through before it came here, the first thing first; nothing if it never died.
pub fn story(headers: &Value) -> Option<Markup> {
    let deaths = headers.get("x-death")?.as_array().filter(|deaths| !deaths.is_empty())?;
    Some(html! {
        h3 { "How it came here" }
        ol.story { @for death in deaths.iter().rev() { li { (told(death)) } } }
    })
}

fn told(death: &Value) -> Markup {
    let word = |key: &str| death.get(key).and_then(Value::as_str).unwrap_or_default();
    let count = death.get("count").and_then(Value::as_u64).unwrap_or(1);
    let keys = death.get("routing-keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let time = death.get("time").and_then(Value::as_u64);
    html! {
        "In queue " (text::name(word("queue"))) " it " (why(word("reason")))
        @if count > 1 { ", " (text::count(count)) " times" }
        @if let Some(seconds) = time { ", " @if count > 1 { "first " } "at " (text::moment(seconds.saturating_mul(1_000))) }
        ". It had come by " (text::exchange(word("exchange")))
        @if !keys.is_empty() {
            " with key "
            @for (at, key) in keys.iter().enumerate() { @if at > 0 { ", " } (text::name(key.as_str().unwrap_or_default())) }
        }
        "."
        @if let Some(span) = death.get("original-expiration").and_then(Value::as_str) { " Its own time to live was " (text::shown(span)) " ms." }
    }
}

/// What each reason means.
fn why(reason: &str) -> String {
    match reason {
        "rejected" => "was rejected by its consumer".into(),
        "expired" => "waited longer than it may".into(),
        "maxlen" => "had to make room: the queue was full".into(),
        "delivery_limit" => "came back more often than it may".into(),
        other => format!("died ({})", text::shown(other)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn deaths_are_told_in_the_order_in_which_they_came() {
        let headers = json!({ "x-death": [
            { "queue": "retry", "reason": "expired", "count": 3, "time": 0, "exchange": "", "routing-keys": ["retry"], "original-expiration": "500" },
            { "queue": "work", "reason": "rejected", "count": 1, "time": 0, "exchange": "jobs", "routing-keys": ["a", "b"] },
        ]});
        let told = story(&headers).unwrap().into_string();
        let (work, retry) = (
            told.find("rejected by its consumer").unwrap(),
            told.find("waited longer than it may, 3 times").unwrap(),
        );
        assert!(work < retry, "{told}");
        assert!(told.contains("Its own time to live was 500 ms") && told.contains("(default)"), "{told}");
    }

    #[test]
    fn what_is_no_history_is_none_and_hostile_ones_are_text() {
        for headers in [json!(null), json!({}), json!({ "x-death": "x" }), json!({ "x-death": [] })] {
            assert!(story(&headers).is_none(), "{headers}");
        }
        let hostile = json!({ "x-death": [7, { "queue": "<b>", "reason": "<i>", "count": "many", "routing-keys": [1, "<u>"], "time": "x" }, { "time": u64::MAX }] });
        let told = story(&hostile).unwrap().into_string();
        assert!(!told.contains("<b>") && !told.contains("<i>") && !told.contains("<u>"), "{told}");
    }
}

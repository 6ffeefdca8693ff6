//! The log, the audit, the history of messages, and what comes in live.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::{
    api::Api,
    browser::Browser,
    pages::{encoded, hostile, is_safe},
};

const NULL: Value = Value::Null;

fn publish(api: &Api, queue: &str, id: &str) {
    let message = json!({
        "properties": { "message_id": id }, "routing_key": queue, "payload": id, "payload_encoding": "string",
    });
    api.post("exchanges/%2F/amq.default/publish", &message);
}

#[test]
fn the_audit_tells_who_came_and_who_was_refused_whatever_names_they_give() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    for name in hostile() {
        Browser::at(&api).log_in(&name, "wrong", "/");
    }
    for path in ["/audit", "/log", "/audit?level=warn", "/audit?find=%3Cscript%3E"] {
        is_safe(path, &browser.page(path));
    }
    browser.page("/audit").shows(&["console login", "login refused", "&lt;script&gt;"]);
    let errors = browser.page("/audit?level=error");
    errors.shows(&["None."]);
    browser.page("/log").shows(&["INFO", "lines kept in memory"]);
}

#[test]
fn the_log_is_for_monitors_and_traces_are_for_policymakers_and_monitors() {
    let Some(api) = Api::start(&[]) else { return };
    let everything = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    for (tag, log, traces, may_begin) in
        [("management", 403, 403, false), ("policymaker", 403, 200, true), ("monitoring", 200, 200, false)]
    {
        api.put(&format!("users/{tag}"), &json!({ "password": "secret", "tags": tag }));
        api.put(&format!("permissions/%2F/{tag}"), &everything);
        let browser = Browser::logged_in(&api, tag, "secret");
        let answers = ["/log", "/audit", "/traces"].map(|path| browser.get(path).status);
        assert_eq!(answers, [log, log, traces], "{tag}");
        let overview = browser.page("/").body;
        assert_eq!(
            (overview.contains("href=\"/log\""), overview.contains("href=\"/traces\"")),
            (log == 200, traces == 200),
            "{tag}"
        );
        if traces == 200 {
            assert_eq!(browser.page("/traces").body.contains("Keep a history"), may_begin, "{tag}");
        }
    }
}

#[test]
fn a_history_is_begun_shown_ended_and_forgotten() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    for name in hostile() {
        api.put(&format!("queues/%2F/{}", encoded(&name)), &NULL);
        let subject = [("vhost", "/"), ("kind", "queues"), ("name", &*name)];
        browser.done("/traces/begin", &subject).shows(&["The history is kept from now on."]);
        publish(&api, &name, &name);
    }
    is_safe("/traces", &browser.page("/traces?vhost=%2F"));
    api.put("queues/%2F/q", &NULL);
    let subject = [("vhost", "/"), ("kind", "messages"), ("name", "order-7")];
    browser.done("/traces/begin", &subject);
    publish(&api, "q", "order-6");
    publish(&api, "q", "order-7");
    let page = browser.page("/traces?vhost=%2F&message_id=order-7");
    page.shows(&["published", "enqueued", "order-7", "/queue?vhost=%2F&amp;name=q"]);
    assert!(!page.body.contains("order-6"), "{}", page.body);
    browser.done("/traces/end", &subject).shows(&["The history is kept no more"]);
    assert!(!browser.page("/traces").body.contains("End the history of message"), "it has ended");
    browser.done("/traces/forget", &[("vhost", "/")]).shows(&["Nothing that was to be kept."]);
    let missing = browser.post("/traces/begin", &[("vhost", "/"), ("kind", "nothing"), ("name", "q")]);
    assert_eq!(missing.status, 404);
}

#[test]
fn a_page_shows_live_what_comes_to_a_queue_as_long_as_the_session_lasts() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    for name in hostile() {
        let its = encoded(&name);
        for kind in ["queues", "exchanges"] {
            let path = format!("/tail?vhost=%2F&kind={kind}&name={its}");
            is_safe(&path, &browser.page(&path));
        }
    }
    assert_eq!(browser.get("/tail?vhost=%2F&kind=users&name=q").status, 400);
    assert_eq!(browser.get("/tail/events?vhost=%2F&kind=queues&name=none&per_second=10").status, 404);
    api.put("queues/%2F/q", &NULL);
    let mut events = BufReader::new(browser.open("/tail/events?vhost=%2F&kind=queues&name=q&per_second=10"));
    let mut next = |kind: &str| {
        let mut line = String::new();
        while line.trim_end() != format!("event: {kind}") {
            line.clear();
            assert_ne!(events.read_line(&mut line).unwrap(), 0, "it ends before {kind}");
        }
        line.clear();
        events.read_line(&mut line).unwrap();
        line
    };
    next("begin");
    publish(&api, "q", "first");
    assert!(next("message").contains("\"payload\":\"first\""));
    assert_eq!(browser.post("/logout", &[]).status, 303);
    publish(&api, "q", "second");
    let mut rest = String::new();
    while events.read_line(&mut rest).unwrap() > 0 {}
    assert!(!rest.contains("second"), "{rest}");
    assert_eq!(Browser::at(&api).get("/tail/events?vhost=%2F&kind=queues&name=q").status, 303);
}

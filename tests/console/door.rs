//! Who gets in, for how long, and which forms count.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::{api::Api, browser::Browser};

const NULL: Value = Value::Null;
const FORM: [(&str, &str); 4] = [("vhost", "/"), ("name", "made"), ("durable", "true"), ("kind", "classic")];

fn is_made(api: &Api) -> bool {
    api.status("queues/%2F/made") == 200
}

/// How the cookie of a session begins: cookies are a host's, so its name has the port.
fn session(api: &Api) -> String {
    let (_, port) = api.broker.http_address.as_ref().unwrap().rsplit_once(':').unwrap();
    format!("leveret-session-{port}=")
}

#[test]
fn who_is_not_in_is_led_to_the_login_and_from_there_to_where_it_wanted() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::at(&api);
    let answer = browser.get("/queue?vhost=%2F&name=q");
    assert_eq!(answer.status, 303);
    assert_eq!(answer.location, "/login?next=%2Fqueue%3Fvhost%3D%252F%26name%3Dq");
    let login = browser.page(&answer.location);
    assert_eq!(login.hidden("next"), "/queue?vhost=%2F&amp;name=q");
    let answer = browser.log_in("guest", "guest", "/queue?vhost=%2F&name=q");
    assert_eq!((answer.status, &*answer.location), (303, "/queue?vhost=%2F&name=q"));
    let cookie = &answer.set_cookie[0];
    for part in [&*session(&api), "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "that is for TLS: {cookie}");
    browser.page("/").shows(&["guest", "Log out"]);
    let answer = browser.get("/login");
    assert_eq!((answer.status, &*answer.location), (303, "/"), "it is in already");
    api.broker.log().expect(&["console-login", "guest"]);
}

#[test]
fn an_address_elsewhere_is_not_followed_after_the_login() {
    let Some(api) = Api::start(&[]) else { return };
    for next in ["//evil.example", "https://evil.example", "/\\evil.example", "evil", ""] {
        assert_eq!(Browser::at(&api).log_in("guest", "guest", next).location, "/", "{next}");
    }
}

#[test]
fn a_wrong_login_is_refused_without_saying_what_was_wrong_and_told_in_the_audit() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::at(&api);
    for (user, password) in [("guest", "wrong"), ("nobody", "guest"), ("", ""), ("<script>", "x")] {
        let answer = browser.log_in(user, password, "/");
        assert_eq!(answer.status, 401, "{user}");
        assert!(answer.set_cookie.is_empty() && !answer.body.contains("<script>"), "{}", answer.body);
        answer.shows(&["There is no such user, or that is not its password."]);
    }
    api.broker.log().expect(&["login-refused", "nobody"]);
    assert_eq!(browser.get("/").status, 303);
}

#[test]
fn a_user_without_a_tag_is_told_so() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("users/app", &json!({ "password": "secret", "tags": "" }));
    let answer = Browser::at(&api).log_in("app", "secret", "/");
    assert_eq!((answer.status, answer.set_cookie.len()), (403, 0));
    answer.shows(&["none of the tags below"]);
}

#[test]
fn a_session_ends_by_the_button_with_another_password_without_its_tag_and_with_its_user() {
    let Some(api) = Api::start(&[]) else { return };
    let make =
        |password: &str, tags: &str| api.put("users/ann", &json!({ "password": password, "tags": tags }));
    make("one", "monitoring");
    let browser = Browser::logged_in(&api, "ann", "one");
    let answer = browser.post("/logout", &[]);
    assert_eq!((answer.status, &*answer.location, browser.get("/").status), (303, "/login", 303));
    let browser = Browser::logged_in(&api, "ann", "one");
    make("two", "monitoring");
    assert_eq!(browser.get("/").status, 303, "another password");
    let browser = Browser::logged_in(&api, "ann", "two");
    make("two", "");
    assert_eq!(browser.get("/").status, 303, "no tag any more");
    make("two", "monitoring");
    let browser = Browser::logged_in(&api, "ann", "two");
    browser.page("/");
    api.delete("users/ann");
    assert_eq!(browser.get("/").status, 303, "no such user any more");
    make("two", "monitoring");
    assert_eq!(browser.get("/").status, 303, "what has ended does not come back");
}

#[test]
fn a_cookie_that_is_none_of_ours_lets_nobody_in() {
    let Some(api) = Api::start(&[]) else { return };
    for cookie in ["", "x", &"0".repeat(64), &"f".repeat(64), "%00"] {
        let mut browser = Browser::at(&api);
        browser.headers.push(("cookie".into(), format!("{}{cookie}", session(&api))));
        assert_eq!(browser.get("/").status, 303, "{cookie}");
    }
}

#[test]
fn basic_authentication_is_as_good_as_a_session() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::basic(&api, "guest", "guest");
    let page = browser.page("/");
    page.shows(&["guest"]);
    assert!(!page.body.contains("Log out"), "there is nothing to log out of");
    browser.done("/queues/declare", &FORM).shows(&["The queue is there."]);
    assert!(is_made(&api));
    let refused = Browser::basic(&api, "guest", "wrong").get("/");
    assert_eq!(refused.status, 401);
    assert!(refused.headers["www-authenticate"].starts_with("Basic"));
}

#[test]
fn forms_without_the_code_of_the_session_change_nothing() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    let others = Browser::logged_in(&api, "guest", "guest").page("/publish").hidden("csrf");
    let basics = Browser::basic(&api, "guest", "guest").page("/publish").hidden("csrf");
    for csrf in [None, Some(""), Some("x"), Some(&*others), Some(&*basics)] {
        let fields: Vec<_> = csrf.map(|code| ("csrf", code)).into_iter().chain(FORM).collect();
        let answer = browser.send("POST", "/queues/declare", &fields);
        assert_eq!(answer.status, 403, "{csrf:?}");
        assert!(!is_made(&api), "{csrf:?}");
    }
    assert_eq!(browser.post("/queues/declare", &FORM).status, 303);
    assert!(is_made(&api));
}

#[test]
fn forms_on_pages_of_other_origins_change_nothing_and_let_nobody_in() {
    let Some(api) = Api::start(&["--http-cors-origins", "https://friend.example"]) else { return };
    let address = api.broker.http_address.clone().unwrap();
    for (header, value, counts) in [
        ("origin", "https://evil.example", false),
        ("origin", "null", false),
        ("origin", "https://friend.example", false),
        ("sec-fetch-site", "cross-site", false),
        ("origin", &*format!("http://{address}"), true),
        ("sec-fetch-site", "same-origin", true),
    ] {
        let mut browser = Browser::logged_in(&api, "guest", "guest");
        let csrf = browser.page("/publish").hidden("csrf");
        browser.headers.push((header.into(), value.into()));
        let answer = browser.send("POST", "/queues/declare", &[&[("csrf", &*csrf)], &FORM[..]].concat());
        assert_eq!((answer.status == 303, is_made(&api)), (counts, counts), "{header}: {value}");
        api.delete("queues/%2F/made");
        browser.forget();
        let login = browser.log_in("guest", "guest", "/");
        assert_eq!(login.set_cookie.len(), usize::from(counts), "{header}: {value}");
    }
}

/// The status with which a form is answered that says that it has so many bytes; none of them is sent.
pub fn announced(api: &Api, path: &str, bytes: usize) -> String {
    let mut socket = TcpStream::connect(api.broker.http_address.as_ref().unwrap()).unwrap();
    let basic = "Basic Z3Vlc3Q6Z3Vlc3Q=";
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: {basic}\r\ncontent-length: {bytes}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

#[test]
fn a_form_that_is_too_large_or_makes_no_sense_is_refused() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    assert_eq!(announced(&api, "/login", 2 << 20), "413");
    assert_eq!(announced(&api, "/publish", 2 << 20), "413");
    assert_eq!(browser.post("/redrives/stop", &[("id", "many")]).status, 400);
    assert_eq!(
        browser.post("/queues/declare", &[("vhost", "/"), ("name", "q"), ("arguments", "{")]).status,
        400
    );
    assert_eq!(api.get("queues"), json!([]));
}

#[test]
fn what_tags_and_permissions_do_not_allow_is_neither_shown_nor_done() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("vhosts/shop", &NULL);
    for (vhost, queue) in [("%2F", "hidden"), ("shop", "seen"), ("shop", "locked")] {
        api.put(&format!("queues/{vhost}/{queue}"), &NULL);
    }
    api.put("users/ann", &json!({ "password": "secret", "tags": "management" }));
    api.put("permissions/shop/ann", &json!({ "configure": "^seen$", "write": "", "read": "" }));
    let hidden =
        json!({ "properties": {}, "routing_key": "hidden", "payload": "x", "payload_encoding": "string" });
    api.post("exchanges/%2F/amq.default/publish", &hidden);
    assert_eq!(api.get("leveret/attention")["total"], 1);
    assert_eq!(api.being("ann", "secret").get("leveret/attention")["total"], 0);
    let ann = Browser::logged_in(&api, "ann", "secret");
    let overview = ann.page("/");
    assert!(!overview.body.contains("File descriptors"), "the node is for monitors");
    assert!(!overview.body.contains("hidden</bdi>"), "what is wrong elsewhere is not told");
    Browser::logged_in(&api, "guest", "guest").page("/").shows(&["File descriptors"]);
    let list = ann.page("/queues");
    list.shows(&["seen", "locked"]);
    assert!(!list.body.contains(">hidden</bdi>"));
    assert_eq!(ann.get("/queue?vhost=%2F&name=hidden").status, 403);
    assert_eq!(ann.get("/queue/messages?vhost=shop&name=locked").status, 403, "no read permission");
    assert_eq!(ann.post("/queue/delete", &[("vhost", "shop"), ("name", "locked")]).status, 403);
    assert_eq!(ann.post("/queue/delete", &[("vhost", "shop"), ("name", "seen")]).status, 303);
    ann.page("/me").shows(&["You see the virtual hosts in which you have permissions"]);
}

#[test]
fn two_brokers_on_one_host_do_not_end_each_others_sessions() {
    let (Some(one), Some(other)) = (Api::start(&[]), Api::start(&[])) else { return };
    let [first, second] = [&one, &other].map(|api| Browser::logged_in(api, "guest", "guest"));
    let (name, value) = second.cookies().pop_first().unwrap();
    first.keep(&name, &value);
    first.page("/").shows(&["guest", "Log out"]);
}

#[test]
fn requests_of_a_session_count_as_those_of_its_user() {
    let Some(api) = Api::start(&["--http-rate-per-user", "3"]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    let start = std::time::Instant::now();
    let refused = loop {
        assert!(start.elapsed() < crate::broker::DEADLINE, "nobody was refused");
        let answer = browser.get("/me");
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status, &*refused.headers["retry-after"]), (429, "1"));
    refused.shows(&["Not now", "too many requests"]);
}

#[test]
fn the_story_of_a_dead_letter_is_told_to_who_may_read_its_queue() {
    let Some(api) = Api::start(&[]) else { return };
    let work = json!({ "arguments": { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" } });
    api.put("queues/%2F/secret-work", &work);
    api.put("queues/%2F/dead", &NULL);
    let message = json!({ "properties": {}, "routing_key": "secret-work", "payload": "x", "payload_encoding": "string" });
    api.post("exchanges/%2F/amq.default/publish", &message);
    let get = json!({ "count": 1, "ackmode": "reject_requeue_false", "encoding": "auto" });
    api.post("queues/%2F/secret-work/get", &get);
    while api.get("queues/%2F/dead")["messages_ready"] != 1 {
        std::thread::yield_now();
    }
    for (user, read) in [("ann", "^dead$"), ("bob", "")] {
        api.put(&format!("users/{user}"), &json!({ "password": "secret", "tags": "management" }));
        let permissions = json!({ "configure": "", "write": "", "read": read });
        api.put(&format!("permissions/%2F/{user}"), &permissions);
        let words = api.being(user, "secret").get("leveret/attention")["queues"][0]["words"].clone();
        let words = words.as_str().unwrap();
        assert!(words.contains("1 dead letter waits"), "{user}: {words}");
        assert_eq!(words.contains("rejected in queue secret-work"), !read.is_empty(), "{user}: {words}");
    }
}

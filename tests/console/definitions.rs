//! Definitions: taken out, looked at, brought in.

use serde_json::{Value, json};

use crate::{
    api::Api,
    browser::Browser,
    pages::{hostile, is_safe},
};

const NULL: Value = Value::Null;

#[test]
fn definitions_are_downloaded_as_a_file() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    api.put("queues/%2F/q", &NULL);
    browser.page("/definitions").shows(&["Download", "See what would change"]);
    for (path, of) in [
        ("/definitions/download", "definitions"),
        ("/definitions/download?vhost=", "definitions"),
        ("/definitions/download?vhost=%2F", "definitions/%2F"),
    ] {
        let answer = browser.page(path);
        assert_eq!(answer.headers["content-type"], "application/json");
        assert!(answer.headers["content-disposition"].starts_with("attachment"));
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), api.get(of), "{path}");
    }
    assert_eq!(browser.get("/definitions/download?vhost=none").status, 404);
}

#[test]
fn a_document_is_imported_after_a_look_at_what_it_would_change() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    api.put("queues/%2F/old", &json!({ "durable": true }));
    api.put("policies/%2F/p", &json!({ "pattern": "a", "definition": { "max-length": 1 } }));
    let document = json!({
        "vhosts": [{ "name": "/" }, { "name": "shop" }],
        "queues": [
            { "vhost": "/", "name": "old", "durable": false, "auto_delete": false, "arguments": {} },
            { "vhost": "shop", "name": "new", "durable": true, "auto_delete": false, "arguments": {} },
        ],
        "policies": [{ "vhost": "/", "name": "p", "pattern": "b", "definition": { "max-length": 1 } }],
    })
    .to_string();
    let before = api.get("definitions");
    for field in ["file", "document"] {
        let looked = browser.upload("/definitions/look", &[("vhost", ""), (field, &document)]);
        assert_eq!(looked.status, 200, "{}", looked.body);
        looked.shows(&[
            ">shop</bdi>",
            "is made",
            "is changed",
            "stays as it is",
            ">pattern</bdi>: <code><bdi>a</bdi></code> → <code><bdi>b</bdi></code>",
        ]);
    }
    assert_eq!(api.get("definitions"), before, "looking changes nothing");
    let import = [("vhost", ""), ("document", &*document)];
    assert_eq!(browser.send_parts("/definitions/import", &import).status, 403, "without the code");
    assert_eq!(browser.send_parts("/definitions/look", &import).status, 403, "without the code");
    assert_eq!(api.get("definitions"), before);
    let imported = browser.upload("/definitions/import", &import);
    assert_eq!((imported.status, &*imported.location), (303, "/definitions"), "{}", imported.body);
    browser.page("/definitions").shows(&["The definitions are imported."]);
    assert_eq!(api.status("queues/shop/new"), 200);
    assert_eq!(api.get("policies/%2F/p")["pattern"], "b");
    assert_eq!(api.get("queues/%2F/old")["durable"], true);
    let exported = api.get("definitions").to_string();
    browser
        .upload("/definitions/look", &[("document", &exported)])
        .shows(&["Nothing: everything is as the document says."]);
    let of_vhost =
        json!({ "queues": [{ "name": "more", "durable": true, "auto_delete": false, "arguments": {} }] });
    let of_vhost = [("vhost", "shop"), ("document", &of_vhost.to_string())];
    browser.upload("/definitions/look", &of_vhost).shows(&[">more</bdi>", "is made"]);
    assert_eq!(browser.upload("/definitions/import", &of_vhost).location, "/vhost?name=shop");
    assert_eq!(api.status("queues/shop/more"), 200);
}

#[test]
fn what_is_no_document_is_refused_and_so_is_who_is_no_administrator() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    for (document, status) in [("", 400), ("[]", 400), ("{", 400), ("{}", 200)] {
        assert_eq!(
            browser.upload("/definitions/look", &[("document", document)]).status,
            status,
            "{document}"
        );
    }
    let wrong = json!({ "users": [{ "name": "x", "tags": 7 }] }).to_string();
    assert_eq!(browser.upload("/definitions/import", &[("document", &wrong)]).status, 400);
    assert_eq!(browser.post("/definitions/look", &[("document", "{}")]).status, 400, "it is not in parts");
    let many: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let many: Vec<_> = many.iter().map(|name| (&**name, "x")).collect();
    assert_eq!(browser.upload("/definitions/look", &many).status, 413);
    // More than what a form has, and less than what definitions have.
    let large = json!({ "global_parameters": [{ "name": "x", "value": "y".repeat(3 << 20) }] }).to_string();
    browser.upload("/definitions/look", &[("document", &large)]).shows(&["is made"]);
    assert_eq!(crate::door::announced(&api, "/definitions/look", 9 << 20), "413");
    for (user, tags) in [("ann", "management"), ("bob", "policymaker"), ("cleo", "monitoring")] {
        api.put(&format!("users/{user}"), &json!({ "password": "x", "tags": tags }));
        let browser = Browser::logged_in(&api, user, "x");
        assert!(!browser.page("/").body.contains("href=\"/definitions\""), "{tags}");
        for path in ["/definitions", "/definitions/download"] {
            assert_eq!(browser.get(path).status, 403, "{tags} {path}");
        }
        for path in ["/definitions/look", "/definitions/import"] {
            assert_eq!(browser.upload(path, &[("document", "{}")]).status, 403, "{tags} {path}");
        }
    }
}

#[test]
fn a_document_with_hostile_names_is_shown_as_text() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    for name in hostile() {
        api.put("policies/%2F/p", &json!({ "pattern": "<script>", "definition": { "max-length": 1 } }));
        let document = json!({
            "vhosts": [{ "name": name, "description": name }],
            "users": [{ "name": name, "tags": [name] }, { "name": "guest", "tags": [name] }],
            "queues": [{ "vhost": name, "name": name, "arguments": { "x": name } }],
            "bindings": [{ "vhost": name, "source": name, "destination": name, "arguments": { "x": name } }],
            "policies": [{ "vhost": "/", "name": "p", "pattern": name, "definition": { "dead-letter-exchange": name } }],
        });
        let looked = browser.upload("/definitions/look", &[("document", &document.to_string())]);
        assert_eq!(looked.status, 200, "{}", looked.body);
        is_safe("/definitions/look", &looked);
    }
    is_safe("/definitions", &browser.page("/definitions"));
}

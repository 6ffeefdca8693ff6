//! Virtual hosts, users, permissions, policies: what pages show of them, to whom, and what forms change.

use serde_json::{Value, json};

use crate::{
    api::Api,
    browser::Browser,
    pages::{encoded, hostile, is_safe},
};

const NULL: Value = Value::Null;

#[test]
fn pages_of_administrators_show_hostile_names_as_text() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    for name in hostile() {
        let its = encoded(&name);
        let described = json!({ "description": name, "tags": [name] });
        assert_eq!(api.ask("PUT", &format!("vhosts/{its}"), &described).0, 201, "{name}");
        assert_eq!(api.ask("PUT", &format!("users/{its}"), &json!({ "tags": [name] })).0, 201, "{name}");
        let all = json!({ "configure": "<script>", "write": "\u{202e}", "read": "" });
        assert_eq!(api.ask("PUT", &format!("permissions/{its}/{its}"), &all).0, 201, "{name}");
        let topic = json!({ "exchange": name, "write": "<script>", "read": "" });
        assert_eq!(api.ask("PUT", &format!("topic-permissions/{its}/{its}"), &topic).0, 201, "{name}");
        assert_eq!(api.ask("PUT", &format!("queues/{its}/{its}"), &NULL).0, 201, "{name}");
        let policy = json!({ "pattern": "<img|", "definition": { "dead-letter-exchange": name } });
        assert_eq!(api.ask("PUT", &format!("policies/{its}/{its}"), &policy).0, 201, "{name}");
        for path in [
            "/vhosts",
            &format!("/vhosts?name={its}"),
            &format!("/vhost?name={its}"),
            &format!("/vhost/delete?name={its}"),
            "/users",
            &format!("/users?name={its}"),
            &format!("/user?name={its}"),
            &format!("/user/delete?name={its}"),
            "/permissions/try",
            &format!("/permissions/try?user={its}&vhost={its}&kind=exchange&name={its}&key={its}"),
            "/policies",
            &format!("/policies?vhost={its}"),
            &format!("/policy?vhost={its}"),
            &format!("/policy?vhost={its}&name={its}"),
            &format!("/policy/delete?vhost={its}&name={its}"),
        ] {
            is_safe(path, &browser.page(path));
        }
        let look = [("vhost", &*name), ("name", &*name), ("pattern", ""), ("definition", "{\"expires\": 9}")];
        let looked = browser.post("/policy/look", &look);
        assert_eq!(looked.status, 200, "{}", looked.body);
        is_safe("/policy/look", &looked);
        for path in ["/vhost?name=no", "/user?name=no", "/policy?vhost=%2F&name=no"] {
            let answer = browser.get(&format!("{path}{its}"));
            assert_eq!(answer.status, 404, "{path}");
            is_safe(path, &answer);
        }
        assert_eq!(api.delete(&format!("users/{its}")), 204);
        assert_eq!(api.delete(&format!("vhosts/{its}")), 204);
    }
}

/// Every form of these pages.
const FORMS: [&str; 14] = [
    "/vhosts/set",
    "/vhost/limit",
    "/vhost/delete",
    "/users/add",
    "/user/tags",
    "/user/password",
    "/user/limit",
    "/user/delete",
    "/permissions/set",
    "/permissions/clear",
    "/permissions/set-topic",
    "/permissions/clear-topic",
    "/policy/set",
    "/policy/delete",
];

#[test]
fn forms_of_administrators_need_the_code_of_the_session_and_the_tag() {
    let Some(api) = Api::start(&[]) else { return };
    let policy = json!({ "pattern": "", "definition": { "expires": 99_999_999 } });
    api.put("policies/%2F/u", &policy);
    api.put("users/u", &json!({ "password": "u", "tags": "monitoring" }));
    api.put("permissions/%2F/u", &json!({ "configure": "", "write": "", "read": "" }));
    let before = api.get("definitions");
    let fields = [
        ("name", "u"),
        ("user", "u"),
        ("vhost", "/"),
        ("limit", "max-connections"),
        ("value", "7"),
        ("tags", "administrator"),
        ("password", "x"),
        ("pattern", "x"),
        ("definition", "{\"expires\": 7}"),
    ];
    let guest = Browser::logged_in(&api, "guest", "guest");
    let monitor = Browser::logged_in(&api, "u", "u");
    for form in FORMS {
        assert_eq!(guest.send("POST", form, &[&[("csrf", "x")], &fields[..]].concat()).status, 403, "{form}");
        let refused = monitor.post(form, &fields);
        assert!(matches!(refused.status, 403 | 404), "{form}: {} {}", refused.status, refused.body);
    }
    assert_eq!(guest.send("POST", "/policy/look", &fields).status, 403);
    assert_eq!(monitor.post("/policy/look", &fields).status, 403);
    assert_eq!(api.get("definitions"), before);
}

#[test]
fn tags_decide_which_of_these_pages_are_shown() {
    let Some(api) = Api::start(&[]) else { return };
    for (user, tags, vhosts, users, policies, new_policy) in [
        ("ann", "management", false, false, false, false),
        ("bob", "policymaker", false, false, true, true),
        ("cleo", "monitoring", true, false, true, false),
        ("dan", "administrator", true, true, true, true),
    ] {
        api.put(&format!("users/{user}"), &json!({ "password": "x", "tags": tags }));
        api.put(&format!("permissions/%2F/{user}"), &json!({ "configure": "", "write": "", "read": "" }));
        let browser = Browser::logged_in(&api, user, "x");
        let overview = browser.page("/");
        let is_listed = |path: &str| overview.body.contains(&format!("href=\"{path}\""));
        assert_eq!(
            (is_listed("/vhosts"), is_listed("/users"), is_listed("/policies")),
            (vhosts, users, policies),
            "{tags}"
        );
        assert_eq!(browser.get("/users").status == 200, users, "{tags}");
        assert_eq!(browser.get("/user?name=guest").status == 200, users, "{tags}");
        let tried = browser.get("/permissions/try?user=guest&vhost=%2F&kind=queue&name=q");
        assert_eq!(tried.status == 200, users, "{tags}");
        let list = browser.page("/policies");
        assert_eq!(list.body.contains("New policy"), new_policy, "{tags}");
        assert_eq!(list.body.contains("New operator policy"), users, "{tags}");
        let vhost = browser.page("/vhost?name=%2F");
        assert_eq!(vhost.body.contains("Change it"), users, "{tags}");
        assert_eq!(vhost.body.contains("Who may do what"), users, "{tags}");
        assert_eq!(browser.page("/vhosts").body.contains("Add a virtual host"), users, "{tags}");
    }
}

#[test]
fn a_virtual_host_is_added_changed_limited_and_deleted() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    let made = [
        ("name", "shop"),
        ("is_new", "true"),
        ("description", "orders"),
        ("tags", "a, b"),
        ("queue_type", "quorum"),
    ];
    browser.done("/vhosts/set", &made).shows(&["The virtual host is there", "Virtual host shop"]);
    let vhost = api.get("vhosts/shop");
    assert_eq!(
        (&vhost["description"], &vhost["tags"], &vhost["default_queue_type"], &vhost["tracing"]),
        (&json!("orders"), &json!(["a", "b"]), &json!("quorum"), &json!(false))
    );
    assert_eq!(api.get("permissions/shop/guest")["configure"], ".*");
    let again = browser.post("/vhosts/set", &made);
    assert_eq!(again.status, 400);
    again.shows(&["There is a virtual host of that name already."]);
    browser.done("/vhosts/set", &[("name", "shop"), ("description", "more"), ("tracing", "true")]);
    let vhost = api.get("vhosts/shop");
    assert_eq!(
        (&vhost["description"], &vhost["tags"], &vhost["default_queue_type"], &vhost["tracing"]),
        (&json!("more"), &json!([]), &json!("quorum"), &json!(true))
    );
    let limit = |value| [("name", "shop"), ("limit", "max-queues"), ("value", value)];
    browser.done("/vhost/limit", &limit("7")).shows(&["The limit counts.", "value=\"7\""]);
    assert_eq!(api.get("vhost-limits/shop")[0]["value"], json!({ "max-queues": 7 }));
    browser.page("/vhosts").shows(&["max-queues 7", "traced"]);
    for wrong in ["-1", "many", "1.5", "99999999999999999999"] {
        assert_eq!(browser.post("/vhost/limit", &limit(wrong)).status, 400, "{wrong}");
    }
    let unknown = [("name", "shop"), ("limit", "max-cats"), ("value", "1")];
    assert_eq!(browser.post("/vhost/limit", &unknown).status, 400);
    browser.done("/vhost/limit", &limit("")).shows(&["The limit is gone."]);
    assert_eq!(api.get("vhost-limits/shop"), json!([]));
    api.put("queues/shop/q", &NULL);
    browser.page("/vhost/delete?name=shop").shows(&["<strong>1 queue</strong>"]);
    browser.done("/vhost/delete", &[("name", "shop")]).shows(&["The virtual host is gone."]);
    assert_eq!(api.status("vhosts/shop"), 404);
}

#[test]
fn a_user_is_added_changed_limited_and_deleted() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    let made = [("name", "ann"), ("password", "one"), ("tags", "management")];
    browser.done("/users/add", &made).shows(&["The user is there.", "User ann"]);
    let again = browser.post("/users/add", &made);
    assert_eq!(again.status, 400);
    again.shows(&["There is a user of that name already."]);
    assert_eq!(browser.post("/users/add", &[("name", "")]).status, 400);
    let whoami = |password: &str| api.being("ann", password).ask("GET", "whoami", &NULL).0;
    assert_eq!(whoami("one"), 200);
    browser.done("/user/tags", &[("name", "ann"), ("tags", "monitoring, x")]).shows(&["The tags count."]);
    assert_eq!(api.get("users/ann")["tags"], json!(["monitoring", "x"]));
    assert_eq!(whoami("one"), 200, "the password stays");
    let limit = |value| [("name", "ann"), ("limit", "max-channels"), ("value", value)];
    browser.done("/user/limit", &limit("3")).shows(&["The limit counts.", "value=\"3\""]);
    assert_eq!(api.get("user-limits/ann")[0]["value"], json!({ "max-channels": 3 }));
    browser
        .done("/user/password", &[("name", "ann"), ("password", "two")])
        .shows(&["The new password counts."]);
    assert_eq!((whoami("one"), whoami("two")), (401, 200));
    let user = api.get("users/ann");
    assert_eq!(
        (&user["tags"], &user["limits"]),
        (&json!(["monitoring", "x"]), &json!({ "max-channels": 3 })),
        "tags and limits stay"
    );
    assert_eq!(browser.post("/user/password", &[("name", "ann")]).status, 400);
    let both = [("name", "ann"), ("password", "x"), ("none", "true")];
    assert_eq!(browser.post("/user/password", &both).status, 400);
    browser.done("/user/password", &[("name", "ann"), ("none", "true")]).shows(&["no password any more"]);
    assert_eq!(api.get("users/ann")["password_hash"], "");
    browser.done("/user/limit", &limit(" ")).shows(&["The limit is gone."]);
    assert_eq!(api.get("user-limits/ann"), json!([]));
    browser.page("/user/delete?name=guest").shows(&["That is you"]);
    browser.done("/user/delete", &[("name", "ann")]).shows(&["The user is gone."]);
    assert_eq!(api.status("users/ann"), 404);
}

#[test]
fn permissions_are_set_tried_and_cleared() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    api.put("users/ann", &json!({ "password": "x", "tags": "" }));
    let none = browser.page("/permissions/try?user=ann&vhost=%2F&kind=queue&name=orders");
    assert_eq!(none.body.matches("there is none").count(), 3);
    let said = [("user", "ann"), ("vhost", "/"), ("configure", ""), ("write", "^amq\\."), ("read", "^ord")];
    browser.done("/permissions/set", &said).shows(&["The permissions count", "^ord"]);
    let set = api.get("permissions/%2F/ann");
    assert_eq!(
        (&set["configure"], &set["write"], &set["read"]),
        (&json!(""), &json!("^amq\\."), &json!("^ord"))
    );
    let bad = [("user", "ann"), ("vhost", "/"), ("configure", "("), ("write", ""), ("read", "")];
    assert_eq!(browser.post("/permissions/set", &bad).status, 400);
    let topic = [
        ("user", "ann"),
        ("vhost", "/"),
        ("exchange", "amq.topic"),
        ("write", "^{username}\\."),
        ("read", ""),
    ];
    browser.done("/permissions/set-topic", &topic).shows(&["The topic permissions count"]);
    // Configure, write, read, and with a key: publish, bind.
    for (kind, name, key, words) in [
        ("queue", "orders", "", "no no yes"),
        ("queue", "amq.gen-1", "", "no yes no"),
        ("exchange", "", "", "no yes no"),
        ("exchange", "amq.topic", "ann.1", "no yes no yes no"),
        ("exchange", "amq.topic", "bob.1", "no yes no no no"),
        ("exchange", "amq.fanout", "bob.1", "no yes no yes yes"),
        ("queue", "amq.topic", "bob.1", "no yes no"),
    ] {
        let key = encoded(key);
        let path = format!("/permissions/try?user=ann&vhost=%2F&kind={kind}&name={name}&key={key}");
        let page = browser.page(&path);
        let tags = page.body.split("<span class=\"tag ").skip(1);
        let answers = tags.filter_map(|tag| Some(tag.split_once('>')?.1.split_once('<')?.0));
        assert_eq!(answers.collect::<Vec<_>>().join(" "), words, "{path}");
    }
    assert_eq!(browser.get("/permissions/try?user=nobody&vhost=%2F&name=q").status, 404);
    browser.page("/vhost?name=%2F").shows(&["ann", "^ord", "amq.topic"]);
    let whose = [("user", "ann"), ("vhost", "/"), ("exchange", "amq.topic")];
    browser.done("/permissions/clear-topic", &whose).shows(&["The topic permissions are gone."]);
    assert_eq!(api.get("users/ann/topic-permissions"), json!([]));
    browser.done("/permissions/clear", &whose).shows(&["no permissions there any more"]);
    assert_eq!(api.get("users/ann/permissions"), json!([]));
}

#[test]
fn a_policy_shows_what_it_would_hit_before_it_is_set() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    for queue in ["orders", "orders-old", "other"] {
        api.put(&format!("queues/%2F/{queue}"), &NULL);
    }

    api.put(
        "policies/%2F/first",
        &json!({ "pattern": "^orders-", "priority": 9, "definition": { "expires": 99_999_999 } }),
    );
    let written = [
        ("vhost", "/"),
        ("name", "cap"),
        ("pattern", "^orders"),
        ("apply_to", "queues"),
        ("priority", "5"),
        ("definition", "{\"max-length\": 9}"),
    ];
    let looked = browser.post("/policy/look", &written);
    assert_eq!(looked.status, 200, "{}", looked.body);
    looked.shows(&[
        "<strong>1 object</strong>",
        "another one comes first",
        ">orders-old</bdi>",
        ">first</bdi>",
    ]);
    assert!(!looked.body.contains(">other</bdi>"));
    assert_eq!(api.status("policies/%2F/cap"), 404, "looking sets nothing");
    browser.done("/policy/set", &written).shows(&["The policy counts.", ">cap</bdi>"]);
    assert_eq!(api.get("policies/%2F/cap")["definition"], json!({ "max-length": 9 }));
    assert_eq!(api.get("queues/%2F/orders")["policy"], "cap");
    browser.page("/policy?vhost=%2F&name=cap").shows(&["&quot;max-length&quot;: 9", "value=\"^orders\""]);
    let moved =
        [("vhost", "/"), ("name", "cap"), ("pattern", "^other$"), ("definition", "{\"max-length\": 9}")];
    browser.post("/policy/look", &moved).shows(&["counts now and would not any more", "counts no more"]);
    for (field, wrong) in [
        ("pattern", "("),
        ("definition", "{"),
        ("definition", "{\"cats\": 1}"),
        ("priority", "x"),
        ("name", ""),
    ] {
        let fields: Vec<_> = written
            .into_iter()
            .map(|(name, value)| (name, if name == field { wrong } else { value }))
            .collect();
        assert_eq!(browser.post("/policy/look", &fields).status, 400, "{field} {wrong}");
    }
    browser.page("/policy/delete?vhost=%2F&name=cap").shows(&["max-length"]);
    let whose = [("vhost", "/"), ("name", "cap")];
    browser.done("/policy/delete", &whose).shows(&["The policy is gone."]);
    assert_eq!(api.status("policies/%2F/cap"), 404);
    // The same of an operator's.
    let operators = [&written[..], &[("operator", "true")]].concat();
    browser.post("/policy/look", &operators).shows(&["<strong>2 objects</strong>"]);
    browser.done("/policy/set", &operators).shows(&["The operator policy counts."]);
    assert_eq!(api.get("operator-policies/%2F/cap")["definition"], json!({ "max-length": 9 }));
    let whose = [("vhost", "/"), ("name", "cap"), ("operator", "true")];
    browser.done("/policy/delete", &whose).shows(&["The operator policy is gone."]);
    assert_eq!(api.get("operator-policies"), json!([]));
}

#[test]
fn what_a_policy_would_hit_is_bounded_and_for_who_may_set_it() {
    let Some(api) = Api::start(&[]) else { return };
    for number in 0..201 {
        api.put(&format!("queues/%2F/q{number:03}"), &NULL);
    }
    let body = json!({ "name": "p", "pattern": "^q", "definition": { "max-length": 1 } });
    let hits = api.post("leveret/policies/%2F/hits", &body);
    assert_eq!((&hits["counts"], hits["objects"].as_array().unwrap().len()), (&json!(201), 200));
    assert_eq!(
        hits["objects"][0],
        json!({ "effect": "counts", "kind": "queue", "name": "q000", "policy": NULL })
    );
    let long = json!({ "name": "p", "pattern": "x".repeat(4097), "definition": { "max-length": 1 } });
    assert_eq!(api.ask("POST", "leveret/policies/%2F/hits", &long).0, 400);
    api.put("users/ann", &json!({ "password": "x", "tags": "management" }));
    api.put("permissions/%2F/ann", &json!({ "configure": ".*", "write": ".*", "read": ".*" }));
    let ann = api.being("ann", "x");
    assert_eq!(ann.ask("POST", "leveret/policies/%2F/hits", &body).0, 401);
    assert_eq!(ann.ask("GET", "leveret/permitted/%2F/guest", &NULL).0, 401);
    api.put("users/bob", &json!({ "password": "x", "tags": "policymaker" }));
    assert_eq!(
        api.being("bob", "x").ask("POST", "leveret/policies/%2F/hits", &body).0,
        401,
        "no permissions there"
    );
    assert_eq!(api.status("leveret/permitted/%2F/nobody"), 404);
    assert_eq!(api.status("leveret/permitted/none/guest"), 404);
}

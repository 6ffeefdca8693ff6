//! Who is let in, and what which tag permits.

use serde_json::{Value, json};

use crate::api::Api;

const NULL: Value = Value::Null;

#[test]
fn who_does_not_prove_who_that_is_hears_401_and_how_to_do_it() {
    let Some(api) = Api::start(&[]) else { return };
    for asking in [api.nobody(), api.being("guest", "wrong"), api.being("nobody", "guest"), api.being("", "")]
    {
        let response = asking.send("GET", "overview", b"");
        assert_eq!(response.status(), 401);
        let how = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(how.starts_with("Basic realm="), "{how}");
    }
    assert_eq!(api.nobody().get("leveret/alive"), json!({ "status": "ok" }), "a probe on the same machine");
}

/// The tag, and the status of each request.
type Row = (&'static str, [u16; 9]);

#[test]
fn each_tag_permits_what_rabbitmq_lets_it_do() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("vhosts/shop", &NULL);
    api.put("queues/%2F/hidden", &NULL);
    let policy = json!({ "pattern": "x", "definition": { "max-length": 1 } });
    // overview, nodes, users, a queue of a foreign virtual host, connections, policies of its own, set a policy, set an operator's, make a
    // virtual host
    let rows: [Row; 5] = [
        ("", [401, 401, 401, 401, 401, 401, 401, 401, 401]),
        ("management", [200, 401, 401, 401, 200, 200, 401, 401, 401]),
        ("policymaker", [200, 401, 401, 401, 200, 200, 201, 401, 401]),
        ("monitoring", [200, 200, 401, 200, 200, 200, 401, 401, 401]),
        ("administrator", [200, 200, 200, 200, 200, 200, 201, 201, 201]),
    ];
    for (tag, wanted) in rows {
        let user = format!("user-{tag}");
        api.put(&format!("users/{user}"), &json!({ "password": "secret", "tags": tag }));
        api.put(
            &format!("permissions/shop/{user}"),
            &json!({ "configure": ".*", "write": ".*", "read": ".*" }),
        );
        let visitor = api.being(&user, "secret");
        let policy_of = |kind: &str| visitor.ask("PUT", &format!("{kind}/shop/{user}"), &policy).0;
        let got = [
            visitor.status("overview"),
            visitor.status("nodes"),
            visitor.status("users"),
            visitor.status("queues/%2F/hidden"),
            visitor.status("connections"),
            visitor.status("policies/shop"),
            policy_of("policies"),
            policy_of("operator-policies"),
            visitor.ask("PUT", &format!("vhosts/of-{tag}"), &json!({})).0,
        ];
        assert_eq!(got, wanted, "{tag}");
    }
}

#[test]
fn lists_show_only_the_virtual_hosts_in_which_one_has_permissions() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("vhosts/shop", &NULL);
    api.put("queues/%2F/hidden", &NULL);
    api.put("queues/shop/seen", &NULL);
    api.put("users/ann", &json!({ "password": "secret", "tags": "management" }));
    api.put("permissions/shop/ann", &json!({ "configure": "", "write": "", "read": "" }));
    let ann = api.being("ann", "secret");
    assert_eq!(ann.get("queues?columns=name"), json!([{ "name": "seen" }]));
    assert_eq!(ann.get("vhosts?columns=name"), json!([{ "name": "shop" }]));
    assert_eq!(ann.get("overview")["object_totals"]["queues"], 1);
    assert!(ann.get("overview").get("listeners").is_none());
    let hidden =
        json!({ "properties": {}, "routing_key": "hidden", "payload": "x", "payload_encoding": "string" });
    api.post("exchanges/%2F/amq.default/publish", &hidden);
    assert_eq!(ann.get("overview")["message_stats"], json!({}), "of others nothing is counted");
    assert_eq!(api.get("overview")["message_stats"]["publish"], 1);
    assert_eq!(api.get("queues").as_array().unwrap().len(), 2);
}

#[test]
fn passwords_are_hashed_for_administrators_alone() {
    let Some(api) = Api::start(&[]) else { return };
    for (tag, wanted) in [
        ("", [401, 401]),
        ("management", [401, 401]),
        ("policymaker", [401, 401]),
        ("monitoring", [401, 401]),
        ("administrator", [200, 200]),
    ] {
        let user = format!("user-{tag}");
        api.put(&format!("users/{user}"), &json!({ "password": "secret", "tags": tag }));
        let visitor = api.being(&user, "secret");
        let by_body = visitor.ask("POST", "auth/hash_password", &json!({ "password": "word" })).0;
        assert_eq!([visitor.status("auth/hash_password/word"), by_body], wanted, "{tag}");
    }
    let hash = api.post("auth/hash_password", &json!({ "password": "word" }))["ok"].clone();
    api.put("users/hashed", &json!({ "password_hash": hash, "tags": "management" }));
    assert_eq!(api.being("hashed", "word").status("whoami"), 200);
    for wrong in [json!({}), json!({ "password": 7 })] {
        assert_eq!(api.ask("POST", "auth/hash_password", &wrong).0, 400, "{wrong}");
    }
}

#[test]
fn who_makes_a_virtual_host_may_do_everything_there() {
    let Some(api) = Api::start(&[]) else { return };
    assert_eq!(api.put("vhosts/shop", &json!({ "description": "orders" })), 201);
    let all = json!({ "user": "guest", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*" });
    assert_eq!(api.get("permissions/shop/guest"), all);
    api.delete("permissions/shop/guest");
    assert_eq!(api.put("vhosts/shop", &json!({ "description": "changed" })), 204);
    assert_eq!(api.status("permissions/shop/guest"), 404, "it is not made anew");
}

//! The API's own document: what it says is answered is answered, and who it says may ask may.

use serde_json::{Value, json};

use crate::api::Api;

/// A request that the document tells of.
struct Told {
    method: String,
    /// Below `/`, with something in the place of each name.
    path: String,
    /// The tag that it takes; none for anybody.
    tag: Option<String>,
}

/// What somebody might ask for. Where names of users stand there is its own: one may do more with what is one's own.
fn told(document: &Value, user: &str) -> Vec<Told> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // What goes on as long as somebody looks is for other tests.
            if operation["responses"]["200"]["content"].get("text/event-stream").is_some() {
                continue;
            }
            let tag = operation["security"][0]["basic"][0].as_str().map(str::to_owned);
            let path = path.replace("{vhost}", "%2F").replace("{limit}", "max-connections");
            let path = path.replace("username/{user}", &format!("username/{user}"));
            let words = path.split('/').map(|word| if word.starts_with('{') { "1" } else { word });
            let path = words.collect::<Vec<_>>().join("/");
            all.push(Told { method: method.to_uppercase(), path, tag });
        }
    }
    all
}

/// The status, and the answer if it is JSON.
fn asked(asking: &Api, told: &Told) -> (u16, Value) {
    let body: &[u8] = if matches!(&*told.method, "PUT" | "POST") { b"{}" } else { b"" };
    let mut response = asking.send_to(&told.method, &told.path, body);
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
}

#[test]
fn the_tag_that_the_document_names_is_the_one_that_is_asked_for() {
    let Some(api) = Api::start(&[]) else { return };
    let document = api.get("leveret/openapi.json");
    let ranks = |of: &str| match of {
        "management" => vec!["management"],
        "policymaker" => vec!["management", "policymaker"],
        _ => vec!["management", "monitoring"],
    };
    for tag in ["management", "policymaker", "monitoring"] {
        let user = format!("user-{tag}");
        api.put(&format!("users/{user}"), &json!({ "password": "secret", "tags": tag }));
        let everything = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        api.put(&format!("permissions/%2F/{user}"), &everything);
        let visitor = api.being(&user, "secret");
        let all = told(&document, &user);
        assert!(all.len() > 130, "{}", all.len());
        for told in &all {
            let may = told.tag.as_ref().is_none_or(|needed| ranks(tag).contains(&&**needed));
            let (status, answer) = asked(&visitor, told);
            let reason = answer["reason"].as_str().unwrap_or_default();
            let lacks_tag = ["User not administrator", "User not monitor", "User not policymaker"];
            let is_refused = status == 401 && lacks_tag.contains(&reason);
            assert_eq!(is_refused, !may, "{tag}: {} {}: {status} {answer}", told.method, told.path);
        }
    }
}

#[test]
fn what_the_document_tells_is_there_and_other_methods_are_not() {
    let Some(api) = Api::start(&[]) else { return };
    let document = api.get("leveret/openapi.json");
    for (path, item) in document["paths"].as_object().unwrap() {
        let at = path.replace("{vhost}", "none");
        let at: Vec<_> = at.split('/').map(|word| if word.starts_with('{') { "1" } else { word }).collect();
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
            let told = Told { method: method.into(), path: at.join("/"), tag: None };
            let is_told = item.get(method.to_lowercase()).is_some();
            // What is asked here may change nothing that other requests need.
            if is_told && method != "GET" {
                continue;
            }
            let (status, answer) = asked(&api, &told);
            assert_eq!(status == 405, !is_told, "{method} {path}: {status} {answer}");
        }
    }
    assert_eq!(api.nobody().send("GET", "leveret/openapi.json", b"").status(), 401);
}

#[test]
fn whatever_cannot_be_read_of_an_address_is_answered_as_json() {
    let Some(api) = Api::start(&[]) else { return };
    let document = api.get("leveret/openapi.json");
    for (path, item) in document["paths"].as_object().unwrap() {
        let words: Vec<_> = path.split('/').collect();
        let has_names = words.iter().any(|word| word.starts_with('{'));
        let unreadable: Vec<_> =
            words.iter().map(|word| if word.starts_with('{') { "%FF" } else { word }).collect();
        for method in item.as_object().unwrap().keys() {
            let told = Told { method: method.to_uppercase(), path: unreadable.join("/"), tag: None };
            if !has_names {
                continue;
            }
            let (status, answer) = asked(&api, &told);
            // One of them is not looked at.
            assert!(
                status == 400 || path.contains("healthchecks/node"),
                "{method} {path}: {status} {answer}"
            );
            assert!(answer.is_object(), "{method} {path}: {answer}");
        }
        if item["get"]["parameters"]
            .as_array()
            .is_some_and(|all| all.iter().any(|it| it["name"] == "columns"))
        {
            let told = Told { method: "GET".into(), path: format!("{path}?columns=a&columns=b"), tag: None };
            let path = told.path.replace(['{', '}'], "");
            let (status, answer) = asked(&api, &Told { path, ..told });
            assert_eq!(status, 400, "{path_of}: {answer}", path_of = item["get"]["operationId"]);
            assert!(answer["reason"].is_string(), "{answer}");
        }
    }
}

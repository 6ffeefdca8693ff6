//! What an import of definitions would change: the document against what is there. Nothing is ever deleted by an import.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A kind of things in definitions.
struct List {
    name: &'static str,
    /// What one of them is called.
    one: &'static str,
    /// The fields by which one is known.
    keys: &'static [&'static str],
    /// What is there stays as it is, whatever the document says (RabbitMQ).
    stays: bool,
}

const LISTS: [List; 10] = [
    List { name: "vhosts", one: "virtual host", keys: &["name"], stays: false },
    List { name: "users", one: "user", keys: &["name"], stays: false },
    List { name: "permissions", one: "permissions", keys: &["vhost", "user"], stays: false },
    List {
        name: "topic_permissions",
        one: "topic permissions",
        keys: &["vhost", "user", "exchange"],
        stays: false,
    },
    List { name: "global_parameters", one: "global parameter", keys: &["name"], stays: false },
    List { name: "parameters", one: "parameter", keys: &["vhost", "component", "name"], stays: false },
    List { name: "policies", one: "policy", keys: &["vhost", "name"], stays: false },
    List { name: "exchanges", one: "exchange", keys: &["vhost", "name"], stays: true },
    List { name: "queues", one: "queue", keys: &["vhost", "name"], stays: true },
    List {
        name: "bindings",
        one: "binding",
        keys: &["vhost", "source", "destination_type", "destination", "routing_key", "arguments"],
        stays: true,
    },
];

/// Everything in which a document differs from what is there.
#[derive(Debug, Default, PartialEq)]
pub struct Diff {
    /// In the order in which an import goes.
    pub differences: Vec<Difference>,
    /// Things that are there as the document says.
    pub same: usize,
    /// Things that are there, and of which the document says nothing.
    pub not_said: usize,
}

/// Something in which they differ.
#[derive(Debug, PartialEq)]
pub struct Difference {
    /// What it is.
    pub one: &'static str,
    /// By what it is known.
    pub name: String,
    /// What an import does.
    pub what: What,
}

/// What an import does with something.
#[derive(Debug, PartialEq)]
pub enum What {
    /// It makes it.
    Makes,
    /// It changes these fields.
    Changes(Vec<Field>),
    /// It leaves it as it is, though these fields differ.
    Leaves(Vec<Field>),
}

/// A field that differs.
#[derive(Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What is there.
    pub before: String,
    /// What the document says.
    pub after: String,
}

/// Compares a document with what is there.
pub fn diff(there: &Value, document: &Value) -> Diff {
    let mut diff = Diff::default();
    for list in &LISTS {
        let before = by_key(list, there);
        let after = by_key(list, document);
        diff.not_said += before.keys().filter(|key| !after.contains_key(*key)).count();
        for (key, thing) in &after {
            let what = match before.get(key) {
                None => What::Makes,
                Some(was) => match (fields(was, thing), list.stays) {
                    (fields, _) if fields.is_empty() => {
                        diff.same += 1;
                        continue;
                    }
                    (fields, true) => What::Leaves(fields),
                    (fields, false) => What::Changes(fields),
                },
            };
            diff.differences.push(Difference { one: list.one, name: known_by(list, thing), what });
        }
    }
    diff
}

/// The things of a list; what is no object is for the import to refuse.
fn by_key<'a>(list: &List, document: &'a Value) -> BTreeMap<String, &'a Map<String, Value>> {
    let things = document.get(list.name).and_then(Value::as_array).into_iter().flatten();
    let things = things.filter_map(Value::as_object);
    let key = |thing: &Map<String, Value>| {
        let parts =
            list.keys.iter().map(|key| usual(key, thing.get(*key).unwrap_or(&Value::Null)).to_string());
        parts.collect::<Vec<_>>().join("\u{0}")
    };
    // Every queue is bound to the exchange without a name, whether a document says so or not.
    let is_implied = |thing: &Map<String, Value>| {
        list.name == "bindings" && thing.get("source").is_some_and(|source| source == "")
    };
    things.filter(|thing| !is_implied(thing)).map(|thing| (key(thing), thing)).collect()
}

/// By what people know something.
fn known_by(list: &List, thing: &Map<String, Value>) -> String {
    let text = |key: &&str| match thing.get(*key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) if *usual(key, other) == Value::Object(Map::new()) => None,
        Some(other) => Some(other.to_string()),
    };
    list.keys.iter().filter_map(text).collect::<Vec<_>>().join(" · ")
}

/// The fields of what the document says that differ. What it does not say is not compared.
fn fields(was: &Map<String, Value>, thing: &Map<String, Value>) -> Vec<Field> {
    let differs = |(name, after): (&String, &Value)| {
        let before = was.get(name).unwrap_or(&Value::Null);
        if usual(name, before) == usual(name, after) {
            return None;
        }
        let is_secret = name.starts_with("password");
        let shown = |value: &Value| match value {
            _ if is_secret => "(not shown)".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(Field { name: name.clone(), before: shown(before), after: shown(after) })
    };
    thing.iter().filter_map(differs).collect()
}

/// A value in the one of the ways of writing it that counts here: tags as a list, no arguments as an empty object, nothing as null.
fn usual<'a>(name: &str, value: &'a Value) -> std::borrow::Cow<'a, Value> {
    use std::borrow::Cow;
    match (name, value) {
        ("tags", Value::String(words)) => {
            let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
            Cow::Owned(words.map(Value::from).collect())
        }
        ("arguments" | "limits", Value::Null) => Cow::Owned(Value::Object(Map::new())),
        ("arguments" | "limits", Value::Array(list)) if list.is_empty() => {
            Cow::Owned(Value::Object(Map::new()))
        }
        _ => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(there: &Value, document: &Value) -> Vec<String> {
        let told = |it: &Difference| {
            let fields = |fields: &[Field]| {
                let told = |field: &Field| format!(" {}:{}->{}", field.name, field.before, field.after);
                fields.iter().map(told).collect::<String>()
            };
            match &it.what {
                What::Makes => format!("+ {} {}", it.one, it.name),
                What::Changes(its) => format!("~ {} {}{}", it.one, it.name, fields(its)),
                What::Leaves(its) => format!("= {} {}{}", it.one, it.name, fields(its)),
            }
        };
        diff(there, document).differences.iter().map(told).collect()
    }

    #[test]
    fn each_kind_of_thing_is_compared_by_what_it_is_known_by() {
        for (list, there, document, wanted) in [
            ("users", json!({ "name": "a", "tags": ["x"] }), json!({ "name": "a", "tags": "x" }), None),
            (
                "users",
                json!({ "name": "a", "tags": [], "password_hash": "1" }),
                json!({ "name": "a", "tags": "x", "password_hash": "2" }),
                Some("~ user a password_hash:(not shown)->(not shown) tags:[]->x"),
            ),
            ("users", json!({ "name": "a" }), json!({ "name": "b" }), Some("+ user b")),
            (
                "vhosts",
                json!({ "name": "a" }),
                json!({ "name": "a", "description": "d" }),
                Some("~ virtual host a description:null->d"),
            ),
            (
                "permissions",
                json!({ "user": "a", "vhost": "/", "read": "" }),
                json!({ "user": "a", "vhost": "/", "read": ".*" }),
                Some("~ permissions / · a read:->.*"),
            ),
            (
                "permissions",
                json!({ "user": "a", "vhost": "/", "read": "" }),
                json!({ "user": "a", "vhost": "v", "read": "" }),
                Some("+ permissions v · a"),
            ),
            (
                "queues",
                json!({ "vhost": "/", "name": "q", "durable": true, "arguments": {} }),
                json!({ "vhost": "/", "name": "q", "durable": false, "arguments": [] }),
                Some("= queue / · q durable:true->false"),
            ),
            (
                "bindings",
                json!({ "source": "e", "destination": "q", "arguments": {} }),
                json!({ "source": "e", "destination": "q", "arguments": { "x": 1 } }),
                Some("+ binding e · q · {\"x\":1}"),
            ),
            (
                "bindings",
                json!({ "source": "e", "destination": "q" }),
                json!({ "source": "e", "destination": "q", "arguments": [] }),
                None,
            ),
            ("bindings", json!({}), json!({ "source": "", "destination": "q" }), None),
            ("cats", json!({}), json!({ "name": "a" }), None),
            ("users", json!({}), json!(7), None),
        ] {
            let (there, document) = (json!({ list: [there] }), json!({ list: [document] }));
            let wanted: Vec<_> = wanted.into_iter().map(str::to_owned).collect();
            assert_eq!(told(&there, &document), wanted, "{there} {document}");
        }
    }

    #[test]
    fn what_is_the_same_and_what_is_not_said_is_counted() {
        let there = json!({ "users": [{ "name": "a" }, { "name": "b" }], "queues": [{ "name": "q" }] });
        let document = json!({ "users": [{ "name": "a" }, { "name": "c" }] });
        let diff = diff(&there, &document);
        assert_eq!((diff.same, diff.not_said, diff.differences.len()), (1, 2, 1));
    }

    #[test]
    fn what_was_exported_differs_in_nothing() {
        let document = json!({ "users": [{ "name": "a", "tags": ["x"] }], "bindings": [{ "source": "e", "destination": "q" }] });
        let diff = diff(&document, &document);
        assert_eq!((diff.same, diff.not_said, diff.differences), (2, 0, vec![]));
    }
}

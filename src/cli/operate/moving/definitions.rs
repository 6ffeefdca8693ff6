//! Definitions on their way from RabbitMQ: what of them can be here, and what is left out and why.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::peer::Peer;
use crate::cli::operate::{
    client::{Address, Client, named},
    error::Error,
    options::Context,
};
use crate::limits::MOVED_PASSES_MAX;

/// Something that the administrator should know of definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about: "queue 'jobs' in virtual host '/'".
    pub what: String,
    /// What is to be known.
    pub why: String,
    /// It is missing here.
    pub is_left: bool,
}

/// What counts of the broker here.
pub struct Here {
    /// Who moves: this user must stay what it is.
    user: String,
    /// The types of exchanges that there are.
    exchange_types: Vec<String>,
}

impl Here {
    fn of(client: &Client) -> Result<Self, Error> {
        let user = client.get(&Address::new(&["whoami"], "user"))?;
        let overview = client.get(&Address::new(&["overview"], "overview"))?;
        let types = overview["exchange_types"].as_array().into_iter().flatten();
        Ok(Self {
            user: user["name"].as_str().unwrap_or_default().into(),
            exchange_types: types.filter_map(|kind| Some(kind["name"].as_str()?.to_owned())).collect(),
        })
    }
}

/// Imports here what RabbitMQ exports: everything, or what one virtual host has. With `dry_run` only says what would be left out.
pub fn take_over(peer: &Peer, context: &Context, dry_run: bool) -> Result<Vec<Note>, Error> {
    let vhost = context.vhost_said.as_deref();
    let words: Vec<_> = ["definitions"].into_iter().chain(vhost).collect();
    let what = vhost.map_or_else(|| "definitions".into(), |vhost| format!("virtual host '{vhost}'"));
    let address = Address::new(&words, what);
    let document = peer.get(&address)?;
    if !document.is_object() {
        return Err(Error::Failed("RabbitMQ's management answers with what are no definitions".into()));
    }
    let (mut document, mut notes) = fit(document, &Here::of(&context.client)?, vhost);
    if dry_run {
        return Ok(notes);
    }
    if let Some(vhost) = vhost {
        make_vhost(&context.client, vhost)?;
    }
    for _ in 0..MOVED_PASSES_MAX {
        let answer = context.client.ask("POST", &address, &document, None)?;
        let problems = answer.body["problems"].as_array().cloned().unwrap_or_default();
        let left_out = without(&mut document, &problems, vhost);
        if left_out.is_empty() {
            context.client.done(&address, answer)?;
            return Ok(notes);
        }
        notes.extend(left_out);
    }
    Err(Error::Failed("the definitions are refused again and again".into()))
}

fn make_vhost(client: &Client, vhost: &str) -> Result<(), Error> {
    let address = Address::new(&["vhosts", vhost], format!("virtual host '{vhost}'"));
    match client.find(&address)? {
        Some(_) => Ok(()),
        None => client.put(&address, &json!({})),
    }
}

/// The document without what cannot be here, or must not. Things that do not say their virtual host are in `vhost`.
pub fn fit(mut document: Value, here: &Here, vhost: Option<&str>) -> (Value, Vec<Note>) {
    let vhost = vhost.unwrap_or_default();
    let mut notes = Vec::new();
    retain(&mut document, "users", |user| {
        let is_own = user["name"] == here.user.as_str();
        if is_own {
            let what = format!("user '{}'", here.user);
            notes.push(Note { what, why: "stays as it is here: it is who moves".into(), is_left: false });
        }
        !is_own
    });
    for host in list(&mut document, "vhosts") {
        queue_type_of_vhost(host, &mut notes);
    }
    // It names the cluster's data, which is another one's here.
    retain(&mut document, "global_parameters", |parameter| parameter["name"] != "internal_cluster_id");
    tell_of_parameters(&mut document, vhost, &mut notes);
    let mut missing = HashSet::new();
    retain(&mut document, "queues", |queue| {
        let kind = queue["arguments"]["x-queue-type"].as_str().or(queue["type"].as_str());
        let kind = kind.unwrap_or("classic");
        let is_known = QUEUE_TYPES.contains(&kind);
        if !is_known {
            notes.push(left(queue, "queue", vhost, format!("there are no queues of type {kind} here")));
            missing.insert(("queue", place(queue, "name", vhost)));
        }
        is_known
    });
    retain(&mut document, "exchanges", |exchange| {
        let kind = exchange["type"].as_str().unwrap_or_default();
        if kind == DELAYED {
            let why =
                "what waits in it cannot be seen from outside: it comes to RabbitMQ's queues when it is due"
                    .into();
            notes.push(Note { is_left: false, ..left(exchange, "exchange", vhost, why) });
        }
        let is_known = here.exchange_types.iter().any(|known| known == kind);
        if !is_known {
            notes.push(left(
                exchange,
                "exchange",
                vhost,
                format!("there are no exchanges of type {kind} here"),
            ));
            missing.insert(("exchange", place(exchange, "name", vhost)));
        }
        is_known
    });
    retain(&mut document, "bindings", |binding| {
        let to = if binding["destination_type"] == "exchange" { "exchange" } else { "queue" };
        let ends =
            [("exchange", place(binding, "source", vhost)), (to, place(binding, "destination", vhost))];
        !ends.iter().any(|end| missing.contains(end))
    });
    (document, notes)
}

fn queue_type_of_vhost(host: &mut Value, notes: &mut Vec<Note>) {
    let name = host["name"].as_str().unwrap_or_default().to_owned();
    for place in ["", "/metadata"] {
        let Some(Value::Object(settings)) = host.pointer_mut(place) else { continue };
        let Some(kind) = settings.get("default_queue_type").and_then(Value::as_str).map(str::to_owned) else {
            continue;
        };
        if QUEUE_TYPES.contains(&&*kind) || matches!(&*kind, "" | "undefined") {
            continue;
        }
        settings.remove("default_queue_type");
        let what = format!("default queue type of virtual host '{name}'");
        let note = Note { what, why: format!("there are no queues of type {kind} here"), is_left: true };
        if notes.last() != Some(&note) {
            notes.push(note);
        }
    }
}

fn tell_of_parameters(document: &mut Value, vhost: &str, notes: &mut Vec<Note>) {
    for parameter in list(document, "parameters") {
        let component = parameter["component"].as_str().unwrap_or_default();
        if !matches!(component, "operator_policy" | "vhost-limits") {
            let why = format!("is kept, but nothing here acts on parameters of {component}");
            notes.push(Note { is_left: false, ..left(parameter, "parameter", vhost, why) });
        }
    }
}

/// Takes out what the broker here has refused, by the places that it names (`queues[3]`).
fn without(document: &mut Value, problems: &[Value], vhost: Option<&str>) -> Vec<Note> {
    let mut found = Vec::new();
    for problem in problems {
        let place = problem["place"].as_str().unwrap_or_default().trim_end_matches(']');
        let Some((key, at)) = place.split_once('[') else { continue };
        if let Ok(at) = at.parse::<usize>() {
            found.push((key.to_owned(), at, problem["why"].as_str().unwrap_or_default().to_owned()));
        }
    }
    // From behind, so that places stay what they are.
    found.sort_by(|one, other| (&one.0, other.1).cmp(&(&other.0, one.1)));
    found.dedup_by(|one, other| (&one.0, one.1) == (&other.0, other.1));
    let mut notes = Vec::new();
    for (key, at, why) in found {
        let things = list(document, &key);
        if at < things.len() {
            notes.push(left(&things.remove(at), kind(&key), vhost.unwrap_or_default(), why));
        }
    }
    notes
}

/// What one of a list is called.
fn kind(list: &str) -> &str {
    match list {
        "policies" => "policy",
        "topic_permissions" => "topic permissions of",
        "permissions" => "permissions of",
        "bindings" => "binding to",
        "vhosts" => "virtual host",
        "global_parameters" => "global parameter",
        other => other.strip_suffix('s').unwrap_or(other),
    }
}

/// Something that is left out.
fn left(thing: &Value, kind: &str, vhost: &str, why: String) -> Note {
    let name = ["name", "destination", "user"].into_iter().find_map(|key| thing[key].as_str());
    let name = name.unwrap_or_default();
    let vhost = thing["vhost"].as_str().unwrap_or(vhost);
    let what = match vhost {
        "" => format!("{kind} '{name}'"),
        vhost => named(kind, name, vhost),
    };
    Note { what, why, is_left: true }
}

/// Virtual host and name.
fn place(thing: &Value, key: &str, vhost: &str) -> (String, String) {
    let text = |key: &str| thing[key].as_str().map(str::to_owned);
    (text("vhost").unwrap_or_else(|| vhost.into()), text(key).unwrap_or_default())
}

fn list<'a>(document: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    if !document[key].is_array() {
        document[key] = json!([]);
    }
    document[key].as_array_mut().expect("it is a list")
}

fn retain(document: &mut Value, key: &str, keep: impl FnMut(&Value) -> bool) {
    list(document, key).retain(keep);
}

/// The types of queues that there are here.
const QUEUE_TYPES: [&str; 2] = ["classic", "quorum"];
/// The plugin's type.
const DELAYED: &str = "x-delayed-message";

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Here {
        let exchange_types = ["direct", "fanout", "topic", "headers", DELAYED].map(String::from).to_vec();
        Here { user: "mover".into(), exchange_types }
    }

    fn lines(notes: &[Note]) -> Vec<String> {
        notes.iter().map(|note| format!("{} {}: {}", u8::from(note.is_left), note.what, note.why)).collect()
    }

    #[test]
    fn what_can_be_here_goes_over_as_it_is() {
        let document = json!({
            "rabbit_version": "3.10.8",
            "users": [{ "name": "ann", "password_hash": "x", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "" }],
            "vhosts": [{ "name": "/", "default_queue_type": "quorum" }, { "name": "v", "metadata": { "description": "" } }],
            "permissions": [{ "user": "ann", "vhost": "/", "configure": "", "write": "", "read": "" }],
            "topic_permissions": [], "parameters": [{ "vhost": "/", "component": "vhost-limits", "name": "limits", "value": {} }],
            "global_parameters": [{ "name": "cluster_name", "value": "rabbit@a" }],
            "policies": [{ "vhost": "/", "name": "p", "pattern": "", "definition": { "max-length": 1 } }],
            "queues": [
                { "name": "a", "vhost": "/", "arguments": {} },
                { "name": "b", "vhost": "/", "arguments": { "x-queue-type": "quorum" }, "type": "quorum" },
            ],
            "exchanges": [{ "name": "x", "vhost": "/", "type": "topic" }],
            "bindings": [{ "source": "x", "vhost": "/", "destination": "a", "destination_type": "queue" }],
        });
        let (found, notes) = fit(document.clone(), &here(), None);
        assert_eq!((found, notes), (document, vec![]));
    }

    #[test]
    fn what_there_is_none_of_here_is_left_out_with_the_bindings_that_lead_to_it() {
        let document = json!({
            "queues": [
                { "name": "s", "vhost": "/", "arguments": { "x-queue-type": "stream" } },
                { "name": "s", "vhost": "v", "arguments": {} },
                { "name": "t", "vhost": "/", "type": "stream", "arguments": {} },
            ],
            "exchanges": [
                { "name": "j", "vhost": "/", "type": "x-jms-topic" },
                { "name": "s", "vhost": "/", "type": "fanout" },
                { "name": "d", "vhost": "/", "type": DELAYED },
            ],
            "bindings": [
                { "source": "s", "vhost": "/", "destination": "s", "destination_type": "queue" },
                { "source": "s", "vhost": "v", "destination": "s", "destination_type": "queue" },
                { "source": "s", "vhost": "/", "destination": "s", "destination_type": "exchange" },
                { "source": "j", "vhost": "/", "destination": "s", "destination_type": "exchange" },
                { "source": "s", "vhost": "/", "destination": "j", "destination_type": "exchange" },
            ],
        });
        let (found, notes) = fit(document.clone(), &here(), None);
        assert_eq!(found["queues"], json!([document["queues"][1]]));
        assert_eq!(found["exchanges"], json!([document["exchanges"][1], document["exchanges"][2]]));
        assert_eq!(found["bindings"], json!([document["bindings"][1], document["bindings"][2]]));
        let told = lines(&notes);
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(told[0], "1 queue 's' in virtual host '/': there are no queues of type stream here");
        assert_eq!(
            told[2],
            "1 exchange 'j' in virtual host '/': there are no exchanges of type x-jms-topic here"
        );
        assert!(told[3].starts_with("0 exchange 'd' in virtual host '/': what waits in it"), "{told:?}");
    }

    #[test]
    fn who_moves_stays_and_what_has_no_meaning_here_is_told() {
        let document = json!({
            "users": [{ "name": "mover" }, { "name": "ann" }],
            "vhosts": [{ "name": "v", "default_queue_type": "stream", "metadata": { "default_queue_type": "stream" } }],
            "global_parameters": [{ "name": "internal_cluster_id", "value": "rabbitmq-cluster-id-x" }],
            "parameters": [{ "vhost": "v", "component": "shovel", "name": "s", "value": {} }],
        });
        let (found, notes) = fit(document, &here(), None);
        assert_eq!(found["users"], json!([{ "name": "ann" }]));
        assert_eq!(found["vhosts"], json!([{ "name": "v", "metadata": {} }]));
        assert_eq!(found["global_parameters"], json!([]));
        assert_eq!(found["parameters"].as_array().unwrap().len(), 1);
        let told = lines(&notes);
        assert_eq!(
            told,
            [
                "0 user 'mover': stays as it is here: it is who moves",
                "1 default queue type of virtual host 'v': there are no queues of type stream here",
                "0 parameter 's' in virtual host 'v': is kept, but nothing here acts on parameters of shovel",
            ]
        );
    }

    #[test]
    fn the_document_of_one_virtual_host_does_not_name_it() {
        let document = json!({
            "queues": [{ "name": "s", "type": "stream", "arguments": {} }],
            "bindings": [{ "source": "x", "destination": "s", "destination_type": "queue" }],
        });
        let (found, notes) = fit(document, &here(), Some("v"));
        assert_eq!((&found["queues"], &found["bindings"]), (&json!([]), &json!([])));
        assert_eq!(notes[0].what, "queue 's' in virtual host 'v'");
    }

    #[test]
    fn what_was_refused_is_taken_out_by_its_place() {
        let mut document = json!({
            "queues": [{ "name": "a", "vhost": "/" }, { "name": "b", "vhost": "/" }, { "name": "c", "vhost": "/" }],
            "policies": [{ "name": "p", "vhost": "/" }],
            "users": [{ "name": "ann" }],
        });
        let problem = |place: &str, why: &str| json!({ "place": place, "name": "x", "why": why });
        let problems = [
            problem("queues[0]", "one"),
            problem("queues[2]", "two"),
            problem("policies[0]", "three"),
            problem("users[0]", "four"),
            problem("queues[2]", "again"),
            problem("queues[9]", "no"),
            problem("nonsense", "no"),
        ];
        let mut told = lines(&without(&mut document, &problems, None));
        told.sort();
        assert_eq!(
            told,
            [
                "1 policy 'p' in virtual host '/': three",
                "1 queue 'a' in virtual host '/': one",
                "1 queue 'c' in virtual host '/': two",
                "1 user 'ann': four",
            ]
        );
        assert_eq!(document["queues"], json!([{ "name": "b", "vhost": "/" }]));
        assert!(without(&mut document, &[], None).is_empty());
    }
}

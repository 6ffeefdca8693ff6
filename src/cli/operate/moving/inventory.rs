//! The queues of the RabbitMQ: which ones are emptied, and which are not and why.

use std::{collections::HashMap, thread};

use serde_json::Value;

use super::peer::Peer;
use crate::cli::operate::{client::Address, error::Error};
use crate::limits::{MOVED_HELD_ASKED_EVERY, MOVED_HELD_ASKED_TIMES_MAX, MOVED_QUEUES_LISTED_AT_ONCE};

/// A queue of the RabbitMQ, and what became of its messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    /// The virtual host, here as there.
    pub vhost: String,
    /// Its name, here as there.
    pub name: String,
    /// Messages that its management says it had before.
    pub messages: u64,
    /// Those of them that clients held.
    pub held: u64,
    /// Why it is not emptied, if it is not.
    pub skipped: Option<String>,
    /// Messages that were moved.
    pub moved: u64,
    /// Messages that cannot be here, and are left there.
    pub refused: u64,
    /// Why the first of these cannot.
    pub refusal: Option<String>,
    /// Messages that are left there, the refused ones among them; unknown before somebody has looked.
    pub left: Option<u64>,
    /// Why.
    pub why: Option<String>,
}

impl Queue {
    /// As the management shows it.
    fn of(item: &Value) -> Self {
        let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
        let held = item["messages_unacknowledged"].as_u64().unwrap_or_default();
        let messages = item["messages"].as_u64().unwrap_or_default();
        let skipped = skipped(item);
        let left = skipped.is_some().then_some(messages);
        Self { vhost: text("vhost"), name: text("name"), messages, held, skipped, left, ..Self::default() }
    }

    /// "queue 'jobs' in virtual host '/'".
    pub fn named(&self) -> String {
        crate::cli::operate::client::named("queue", &self.name, &self.vhost)
    }
}

/// Why a queue is not emptied.
fn skipped(item: &Value) -> Option<String> {
    let is = |key: &str| item[key].as_bool() == Some(true);
    let kind = item["arguments"]["x-queue-type"].as_str().or(item["type"].as_str()).unwrap_or("classic");
    match kind {
        _ if is("exclusive") || item["owner_pid_details"].is_object() => {
            Some("it belongs to one connection and goes with that".into())
        }
        _ if is("auto_delete") => {
            Some("it is auto-delete: it would go when the last consumer leaves it".into())
        }
        "classic" | "quorum" => None,
        "stream" => Some("it is a stream; there are none here".into()),
        other => Some(format!("it is of type {other}; there is none here")),
    }
}

/// All queues that there are, or those of one virtual host; those of a virtual host together, the longest first.
pub fn queues(peer: &Peer, vhost: Option<&str>) -> Result<Vec<Queue>, Error> {
    let mut all = Vec::new();
    for page in 1.. {
        let words = ["queues"].into_iter().chain(vhost).collect::<Vec<_>>();
        let what = vhost.map_or_else(|| "queues".into(), |vhost| format!("virtual host '{vhost}'"));
        let address = Address::new(&words, what)
            .with("page", &page.to_string())
            .with("page_size", &MOVED_QUEUES_LISTED_AT_ONCE.to_string())
            .with("columns", COLUMNS);
        let answer = peer.get(&address)?;
        // Old ones know no pages.
        let items = answer["items"].as_array().or(answer.as_array());
        all.extend(items.into_iter().flatten().map(Queue::of));
        if page >= answer["page_count"].as_u64().unwrap_or_default() {
            break;
        }
    }
    all.sort_by(|one, other| {
        (&one.vhost, other.messages, &one.name).cmp(&(&other.vhost, one.messages, &other.name))
    });
    all.dedup_by(|one, other| (&one.vhost, &one.name) == (&other.vhost, &other.name));
    Ok(all)
}

/// Notes what clients of the RabbitMQ still hold of the queues. Its management is asked until nothing is held, or several times:
/// its figures are some seconds old, and what was moved may stand in them as held.
pub fn note_held(peer: &Peer, vhost: Option<&str>, queues: &mut [Queue]) -> Result<(), Error> {
    let mut held = HashMap::new();
    for _ in 0..MOVED_HELD_ASKED_TIMES_MAX {
        thread::sleep(MOVED_HELD_ASKED_EVERY);
        let now = self::queues(peer, vhost)?.into_iter().filter(|queue| queue.skipped.is_none());
        held =
            now.map(|queue| ((queue.vhost, queue.name), queue.held)).filter(|(_, held)| *held > 0).collect();
        if held.is_empty() {
            break;
        }
    }
    for queue in queues {
        if let Some(held) = held.get(&(queue.vhost.clone(), queue.name.clone())) {
            queue.left = Some(queue.left.unwrap_or_default() + held);
            let why = format!("clients hold {held} of its messages in RabbitMQ");
            queue.why = Some(queue.why.take().map_or(why.clone(), |before| format!("{before}; {why}")));
        }
    }
    Ok(())
}

const COLUMNS: &str =
    "vhost,name,type,arguments,auto_delete,exclusive,owner_pid_details,messages,messages_unacknowledged";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn queues_that_cannot_be_emptied_are_skipped_with_a_reason() {
        let of = |more: Value| {
            let mut item = json!({ "vhost": "/", "name": "q", "messages": 5, "messages_unacknowledged": 2 });
            item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Queue::of(&item)
        };
        for (more, reason) in [
            (json!({}), None),
            (json!({ "type": "classic", "auto_delete": false, "exclusive": false }), None),
            (json!({ "type": "quorum", "arguments": { "x-queue-type": "quorum" } }), None),
            (json!({ "arguments": { "x-queue-mode": "lazy" } }), None),
            (json!({ "exclusive": true }), Some("one connection")),
            (json!({ "owner_pid_details": { "name": "c" }, "auto_delete": true }), Some("one connection")),
            (json!({ "auto_delete": true }), Some("auto-delete")),
            (json!({ "arguments": { "x-queue-type": "stream" } }), Some("a stream")),
            (json!({ "type": "stream" }), Some("a stream")),
            (json!({ "type": "rabbit_mqtt_qos0_queue" }), Some("of type rabbit_mqtt_qos0_queue")),
        ] {
            let queue = of(more.clone());
            assert_eq!((queue.messages, queue.held), (5, 2));
            assert_eq!(queue.left, reason.map(|_| 5), "{more}");
            match (queue.skipped, reason) {
                (None, None) => {}
                (Some(why), Some(words)) => assert!(why.contains(words), "{more}: {why}"),
                (why, _) => panic!("{more}: {why:?}"),
            }
        }
    }

    #[test]
    fn what_the_management_does_not_say_is_none() {
        let queue = Queue::of(&json!({ "vhost": "v", "name": "q" }));
        assert_eq!((queue.messages, queue.held, queue.skipped.clone()), (0, 0, None));
        assert_eq!(queue.named(), "queue 'q' in virtual host 'v'");
    }
}

//! What needs attention first: queues that are stuck or grow, and why, in words.
//!
//! [`rules`] decides, and knows nothing of the broker. Here it is found out what they need to know: of each queue that has messages how it
//! went lately, and of those that stand out a look at their consumers and at the first message. Nothing is found out while nobody asks, and
//! once for all who ask within a few seconds.

mod rules;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Mutex;

pub use rules::Concern;
use rules::{Death, Look, Rates};

use super::{
    Api, json,
    samples::{Figures, Subject},
};
use crate::broker::Vhost;
use crate::core::{
    clock::Millis,
    counts::MessageCounts,
    queue::{Cursor, QueueStatus, SharedQueue},
};
use crate::limits::{
    ATTENTION_AGE_MAX, ATTENTION_LOOKED_INTO_MAX, ATTENTION_SPAN, SAMPLED_AT_ONCE_MAX, SHOWN_CHARS_MAX,
};
use crate::protocol::{Properties, ShortString};

/// What was found last.
#[derive(Default)]
pub struct Watch(Mutex<Option<Arc<Found>>>);

/// What was found at one time.
pub struct Found {
    at: Millis,
    /// The worst first.
    pub queues: Vec<Of>,
}

/// What is wrong with a queue.
#[derive(Debug, Clone)]
pub struct Of {
    /// Its virtual host.
    pub vhost: ShortString,
    /// Its name.
    pub queue: ShortString,
    /// Messages in it.
    pub messages: u64,
    /// What it is.
    pub concern: Concern,
}

impl Of {
    /// As it is answered, with what its messages tell or without.
    pub fn shown(&self, with_story: bool) -> Value {
        let Concern { kind, severity, words, story } = &self.concern;
        let story = story.as_ref().filter(|_| with_story);
        let words = story.map_or_else(|| words.clone(), |story| format!("{words} {story}"));
        json!({
            "vhost": json::text(&self.vhost),
            "queue": json::text(&self.queue),
            "messages": self.messages,
            "kind": kind.name(),
            "severity": severity.name(),
            "words": words,
        })
    }
}

impl Watch {
    /// What needs attention: found out now, or a few seconds ago.
    pub async fn found(&self, api: &Api) -> Arc<Found> {
        let mut last = self.0.lock().await;
        let now = api.broker.clock.now();
        if let Some(found) = last
            .as_ref()
            .filter(|found| now.saturating_sub(found.at) < ATTENTION_AGE_MAX.as_millis() as Millis)
        {
            return found.clone();
        }
        let found = Arc::new(Found { at: now, queues: all(api, now).await });
        *last = Some(found.clone());
        found
    }
}

async fn all(api: &Api, now: Millis) -> Vec<Of> {
    let (mut found, mut looked_into, mut passed) = (Vec::new(), 0, 0);
    for vhost in api.broker.vhosts.all() {
        let queues: Vec<_> = vhost.read(|topology| topology.named_queues().cloned().collect());
        for queue in &queues {
            let looked_into_before = looked_into;
            found.extend(of(api, &vhost, queue, now, &mut looked_into));
            passed += 1;
            // A look goes through what all connections hold.
            if looked_into > looked_into_before || passed == SAMPLED_AT_ONCE_MAX {
                passed = 0;
                tokio::task::yield_now().await;
            }
        }
    }
    found.sort_by(|one, other| {
        let key = |of: &Of| (of.concern.severity, std::cmp::Reverse(of.messages));
        key(one).cmp(&key(other)).then_with(|| (&one.vhost, &one.queue).cmp(&(&other.vhost, &other.queue)))
    });
    found
}

fn of(
    api: &Api,
    vhost: &Vhost,
    queue: &Arc<SharedQueue>,
    now: Millis,
    looked_into: &mut usize,
) -> Option<Of> {
    let status = queue.status();
    if status.ready + status.unacked == 0 {
        return None;
    }
    let mut look = Look {
        now,
        ready: status.ready as u64,
        unacked: status.unacked as u64,
        consumers: status.consumers as u64,
        used_at: status.used_at,
        rates: rates(api, queue, &status),
        ..Look::default()
    };
    if look.may_stand_out() && *looked_into < ATTENTION_LOOKED_INTO_MAX {
        *looked_into += 1;
        look_into(api, vhost, queue, &mut look);
    }
    let concern = look.concern()?;
    let messages = look.ready + look.unacked;
    Some(Of { vhost: vhost.name.clone(), queue: queue.spec.name.clone(), messages, concern })
}

/// How it went lately: from the sample of a while ago until now.
fn rates(api: &Api, queue: &SharedQueue, status: &QueueStatus) -> Rates {
    let Some((from, to, took)) = api.samples.over(&Subject::Queue(queue.id), ATTENTION_SPAN) else {
        return Rates::default();
    };
    let now = Figures::of_queue(status);
    let since = to.counts.since(&from.counts);
    let settled = |counts: &MessageCounts| counts.ack + counts.deliver_no_ack + counts.get_no_ack;
    Rates {
        took,
        came: since.publish,
        delivered: since.deliver_get(),
        settled: settled(&since) + settled(&now.counts.since(&to.counts)),
        redelivered: since.redeliver,
        grown: (to.ready + to.unacked) - (from.ready + from.unacked),
    }
}

/// What only a look at its messages and consumers can tell.
fn look_into(api: &Api, vhost: &Vhost, queue: &Arc<SharedQueue>, look: &mut Look) {
    if look.consumers == 0 {
        let peek = queue.peek_ready(Cursor::default(), 1);
        look.death = peek.messages.first().and_then(|first| {
            let properties = Properties::decode(first.entry.message.view().properties()).ok()?;
            death(&json::table(properties.headers.as_ref()?))
        });
    } else {
        let consumers = queue.consumers_shown();
        let full = consumers
            .iter()
            .filter(|consumer| consumer.prefetch > 0 && consumer.unacked >= consumer.prefetch);
        look.full_consumers = full.count() as u64;
    }
    if look.unacked > 0 {
        let peek = api.broker.peek_unacked(vhost, queue, Cursor::default(), 1);
        look.held_since = peek.messages.first().and_then(|first| first.held).map(|held| held.since);
    }
}

/// How a message died last, if it did.
fn death(headers: &Value) -> Option<Death> {
    let last = headers.get("x-death")?.get(0)?;
    let word = |key: &str| {
        let said = last.get(key).and_then(Value::as_str).unwrap_or_default();
        said.chars().take(SHOWN_CHARS_MAX).collect()
    };
    let at = last.get("time").and_then(Value::as_u64).unwrap_or_default();
    Some(Death { reason: word("reason"), queue: word("queue"), at: at.saturating_mul(1_000) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_message_died_is_read_from_its_headers_whatever_is_in_them() {
        let headers = json!({ "x-death": [{ "reason": "rejected", "queue": "q", "time": 3 }, { "reason": "expired" }] });
        let wanted = Death { reason: "rejected".into(), queue: "q".into(), at: 3_000 };
        assert_eq!(death(&headers), Some(wanted));
        for headers in [json!({}), json!({ "x-death": [] }), json!({ "x-death": 7 })] {
            assert_eq!(death(&headers), None, "{headers}");
        }
        let long = death(&json!({ "x-death": [{ "queue": "q".repeat(10 * SHOWN_CHARS_MAX) }] }));
        assert_eq!(
            long.map(|death| death.queue.len()),
            Some(SHOWN_CHARS_MAX),
            "a client may have written it"
        );
        assert_eq!(
            death(&json!({ "x-death": [{ "time": u64::MAX, "queue": 1 }] })).map(|death| death.at),
            Some(u64::MAX)
        );
    }
}

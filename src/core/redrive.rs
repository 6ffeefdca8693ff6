//! Redriving: which messages of a queue an operator wants elsewhere, and what they look like there.
//!
//! A redriven message is published anew: with its own headers, `x-death` and the like included, so that its consumer
//! sees what it went through; its attempts, its age and its `redelivered` flag begin again.
//!
//! Who takes messages out and routes them is not known here.

use std::num::NonZeroU32;

use crate::core::{
    clock::Millis,
    dead_letter::{self, Reason},
    message::{Layout, Message, View},
    rewrite,
    routing::{Topic, equal, extra_keys},
};
use crate::protocol::{FieldTable, FieldValue, Properties, PropertiesView, ShortString};

/// What an operator orders.
#[derive(Debug, Clone, PartialEq)]
pub struct Redrive {
    /// Where messages go.
    pub to: Target,
    /// Which ones.
    pub filter: Filter,
    /// How many at most; `None`: all that are there when it begins.
    pub limit: Option<u64>,
    /// How many in a second at most.
    pub per_second: Option<NonZeroU32>,
    /// They stay where they are as well.
    pub copy: bool,
}

/// Where redriven messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Where they were published before they first died, with all their routing keys then, but never to the queue that
    /// they come from. One without a death goes to its own exchange and keys, unless that has led to this queue.
    Origin,
    /// A queue, by way of the default exchange.
    Queue(ShortString),
    /// An exchange.
    Exchange {
        /// Its name.
        name: ShortString,
        /// The routing key; `None`: the message's own, and those in its `CC` header.
        key: Option<ShortString>,
    },
}

/// Which messages are meant: those for which all of it holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Headers and their values, compared as a headers exchange compares them.
    pub headers: Vec<(ShortString, FieldValue)>,
    /// The routing key that it came to the queue with, as a pattern of a topic exchange.
    pub routing_key: Option<ShortString>,
    /// Published, dead-lettered or redriven at least so many milliseconds ago. Of messages from before version 2 of the
    /// log the time is not known: they are old enough.
    pub older_than_ms: Option<Millis>,
    /// What it last died of, by what the broker has written.
    pub reason: Option<Reason>,
}

/// A filter that is ready to be asked.
pub struct Matcher<'a> {
    filter: &'a Filter,
    routing_key: Option<Topic<()>>,
}

impl Filter {
    /// Makes it ready.
    pub fn matcher(&self) -> Matcher<'_> {
        let routing_key = self.routing_key.as_ref().map(|pattern| {
            let mut topic = Topic::default();
            topic.bind(pattern, ());
            topic
        });
        Matcher { filter: self, routing_key }
    }
}

impl Matcher<'_> {
    /// Whether a message is meant.
    pub fn matches(&self, message: &Message, now: Millis) -> bool {
        let view = message.view();
        let is_old = |age| message.published_at().saturating_add(age) <= now;
        self.filter.older_than_ms.is_none_or(is_old)
            && self.matches_key(view.routing_key())
            && self.matches_headers(&view)
            && self.filter.reason.is_none_or(|reason| dead_letter::last_reason(&view) == Some(reason))
    }

    fn matches_key(&self, key: &[u8]) -> bool {
        let Some(topic) = &self.routing_key else { return true };
        let mut matches = false;
        topic.route(key, &mut |()| matches = true);
        matches
    }

    fn matches_headers(&self, view: &View<'_>) -> bool {
        if self.filter.headers.is_empty() {
            return true;
        }
        let Some(headers) = headers(view) else { return false };
        let has = |(name, value): &(ShortString, FieldValue)| {
            headers.iter().any(|(its, other)| its == name && equal(other, value))
        };
        self.filter.headers.iter().all(has)
    }
}

/// A message as it is to be published anew.
pub struct Redriven {
    /// Where the parts of the image lie.
    pub layout: Layout,
    /// The message.
    pub image: Vec<u8>,
    /// Routing keys beside the one in the image.
    pub extra_keys: Vec<Box<[u8]>>,
    /// It goes back to where it was before it died.
    pub goes_back: bool,
}

/// Addresses a message to `target`.
pub fn redriven(view: &View<'_>, target: &Target) -> Redriven {
    match target {
        Target::Queue(name) => with_key(view, b"", name),
        Target::Exchange { name, key: Some(key) } => with_key(view, name, key),
        Target::Exchange { name, key: None } => with_own_keys(view, name),
        Target::Origin => match dead_letter::origin(view) {
            None => with_own_keys(view, view.exchange()),
            Some(dead_letter::Origin { exchange, mut routing_keys }) => {
                let extra_keys = routing_keys.split_off(1);
                let (layout, image) = addressed(view, &exchange, &routing_keys[0], view.properties());
                Redriven { layout, image, extra_keys, goes_back: true }
            }
        },
    }
}

/// With one key, and without others that would count when the message dies the next time (as a dead letter exchange's
/// own routing key does).
fn with_key(view: &View<'_>, exchange: &[u8], key: &[u8]) -> Redriven {
    let (layout, image) = match without_copies(view) {
        Some(properties) => addressed(view, exchange, key, &properties),
        None => addressed(view, exchange, key, view.properties()),
    };
    Redriven { layout, image, extra_keys: Vec::new(), goes_back: false }
}

fn with_own_keys(view: &View<'_>, exchange: &[u8]) -> Redriven {
    let headers = headers(view);
    let extra_keys = extra_keys(headers.as_ref()).unwrap_or_default().into_iter().map(Box::from).collect();
    let (layout, image) = addressed(view, exchange, view.routing_key(), view.properties());
    Redriven { layout, image, extra_keys, goes_back: false }
}

fn addressed(view: &View<'_>, exchange: &[u8], key: &[u8], properties: &[u8]) -> (Layout, Vec<u8>) {
    rewrite::rewritten(view, exchange, key, properties, rewrite::marks_anew(view))
}

fn without_copies(view: &View<'_>) -> Option<Vec<u8>> {
    headers(view)?.get(CC)?;
    let mut properties = Properties::decode(view.properties()).ok()?;
    properties.headers.as_mut()?.remove(CC);
    Some(rewrite::encoded(&properties))
}

fn headers(view: &View<'_>) -> Option<FieldTable> {
    FieldTable::decode(PropertiesView::parse(view.properties()).ok()?.headers?).ok()
}

const CC: &str = "CC";

#[cfg(test)]
mod tests;

//! Dead-lettering: what a message looks like after it has died in a queue (RabbitMQ's `x-death` and its company).
//!
//! The deaths of a message are a list, the most recent first, with one entry for each pair of queue and reason.
//! They live in the message's own headers, so that they go wherever it goes and survive what it survives. Headers
//! of that kind that came from a client are no history (RabbitMQ since 3.13): a consumer that publishes a message
//! again with its headers would else continue counts that mean nothing. The broker knows its own by the mark that
//! [`rewrite`] puts on a message; what bears none is delivered as it came, and replaced when the message dies here
//! for the first time. Those of a message that moves in from another broker's queue are believed ([`believe`]).
//!
//! A message may have died a thousand times, so a death only adds to what is encoded: the headers are copied, the entry of
//! this death is put before the others, and other entries are read only if they have to be.
//!
//! Routing the result is the broker's work, and so is what becomes of a dead letter that no queue takes.

mod deaths;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use deaths::Deaths;

use crate::core::message::{Layout, View};
use crate::core::rewrite::{self, DEAD_LETTERED};
use crate::limits::{LETTER_COPIES_BYTES_MAX, LETTER_COPIES_LOG2_MAX, LETTER_HEADER_FRAME_BYTES_MAX};
use crate::protocol::{ArrayWriter, PropertiesView, TableView, TableWriter};
use deaths::{COUNT, EXCHANGE, QUEUE, REASON, ROUTING_KEYS};

/// Why a message died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A consumer refused it for good: `basic.reject` or `basic.nack` without `requeue`.
    Rejected,
    /// It had waited for longer than its own `expiration` or its queue's `x-message-ttl`.
    Expired,
    /// Its queue was full.
    MaxLen,
    /// It had failed more often than its queue's `x-delivery-limit`.
    DeliveryLimit,
}

impl Reason {
    /// Each of them, in the order in which they are counted.
    pub const ALL: [Self; 4] = [Self::Rejected, Self::Expired, Self::MaxLen, Self::DeliveryLimit];

    /// RabbitMQ's word for it in headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLen => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }

    /// The reason of that name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name().as_bytes() == name)
    }
}

/// One death of a message.
#[derive(Debug, Clone, Copy)]
pub struct Death<'a> {
    /// The queue that it died in.
    pub queue: &'a [u8],
    /// What of.
    pub reason: Reason,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The exchange that it goes to: the queue's `x-dead-letter-exchange`, at most 255 bytes.
    pub exchange: &'a [u8],
    /// The routing key that it goes with: the queue's `x-dead-letter-routing-key`, at most 255 bytes. Without one
    /// it goes with those that it came with.
    pub routing_key: Option<&'a [u8]>,
}

/// A message that died, as it is to be routed.
#[derive(Debug)]
pub struct DeadLetter {
    /// Where the parts of the image lie.
    pub layout: Layout,
    /// The message, published to the dead letter exchange.
    pub image: Vec<u8>,
    /// Routing keys beside the one in the image: those in its `CC` header.
    pub extra_keys: Vec<Box<[u8]>>,
}

impl DeadLetter {
    /// The message.
    pub fn view(&self) -> View<'_> {
        View::new(self.layout, &self.image)
    }

    /// It goes to so many queues. An error if dead-lettering alone has multiplied the message before, and so often now that it
    /// must not go on: each way through a graph of queues is another one, and there may be n! of them.
    pub fn multiply(&mut self, copies: usize) -> Result<(), TooManyCopies> {
        let before = rewrite::copies_log2(&self.view());
        let after = before + (usize::BITS - copies.saturating_sub(1).leading_zeros());
        let is_over = after > LETTER_COPIES_LOG2_MAX || self.image.len() << after > LETTER_COPIES_BYTES_MAX;
        if copies > 1 && before > 0 && is_over {
            return Err(TooManyCopies);
        }
        rewrite::set_copies_log2(&self.layout, &mut self.image, after);
        Ok(())
    }

    /// All its deaths, this one included.
    pub fn deaths(&self) -> Deaths<'_> {
        Deaths::of(&self.view())
    }
}

/// The headers of a dead-lettered message would no longer fit a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a content header of {header_frame_bytes} bytes is too large for a dead-lettered message")]
pub struct TooManyDeaths {
    /// What its content header frame would have come to.
    pub header_frame_bytes: usize,
}

/// Dead-lettering alone would make more copies of one message than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a dead-lettered message would have too many copies")]
pub struct TooManyCopies;

/// Where a message was published that has died since: before all its deaths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The exchange.
    pub exchange: Box<[u8]>,
    /// Its routing key, then those in its `CC` header.
    pub routing_keys: Vec<Box<[u8]>>,
}

/// Where a message was before its first death; `None` if the broker knows of no death.
///
/// The headers about the first death name the entry of it, which stands anywhere in a list that is ordered by the last
/// deaths.
pub fn origin(view: &View<'_>) -> Option<Origin> {
    let headers = TableView::new(PropertiesView::of_checked(view.properties()).ok()?.headers?);
    let [reason, queue, _] = X_FIRST_DEATH.map(|name| headers.get(name).and_then(|it| it.as_str_bytes()));
    let is_first = |entry: &TableView<'_>| {
        let its = [QUEUE, REASON].map(|name| entry.get(name).and_then(|it| it.as_str_bytes()));
        its == [queue, reason]
    };
    let mut entries = Deaths::of(view).entries();
    let entry = entries.clone().find(is_first).or_else(|| entries.by_ref().last())?;
    let keys = entry.get(ROUTING_KEYS)?.as_array()?.filter_map(|key| key.as_str_bytes());
    let routing_keys: Vec<Box<[u8]>> = keys.map(Box::from).collect();
    let exchange = entry.get(EXCHANGE)?.as_str_bytes()?.into();
    (!routing_keys.is_empty()).then_some(Origin { exchange, routing_keys })
}

/// What a message last died of; `None` if the broker knows of no death.
pub fn last_reason(view: &View<'_>) -> Option<Reason> {
    Deaths::of(view).iter().next().map(|(_, reason)| reason)
}

/// Has the deaths in the headers of a message count, as if they had happened here: another broker has written them. Its
/// properties must be checked. Without a death that can be read it stays as it is.
pub fn believe(layout: Layout, image: &mut [u8]) {
    let bits_at = layout.bits_at();
    image[bits_at] |= DEAD_LETTERED;
    if last_reason(&View::new(layout, image)).is_none() {
        image[bits_at] &= !DEAD_LETTERED;
    }
}

/// Makes the message in `view` a dead letter.
pub fn dead_lettered(view: &View<'_>, death: &Death<'_>) -> Result<DeadLetter, TooManyDeaths> {
    let is_known = rewrite::marks(view) & DEAD_LETTERED != 0;
    // What the broker has written need not be checked again, and may be long.
    let take_apart = if is_known { PropertiesView::of_checked } else { PropertiesView::parse };
    // Only a message that rotted on disk has properties that cannot be read, and nobody else could read them
    // either.
    let properties = take_apart(view.properties()).unwrap_or_default();
    let headers = TableView::new(properties.headers.unwrap_or_default());
    let dying = Dying { view, death, headers, expiration: properties.expiration };

    let routing_key = death.routing_key.unwrap_or(view.routing_key());
    let properties = PropertiesView { expiration: None, ..properties };
    // A rejection is a client's doing: what becomes of the message then is not the broker's alone.
    let marks =
        if death.reason == Reason::Rejected { rewrite::marks_anew(view) } else { rewrite::marks(view) };
    let marks = marks | DEAD_LETTERED;
    let (layout, image) = rewrite::rewritten_with(view, [death.exchange, routing_key], marks, |image| {
        properties
            .encode_with_headers(image, |image| TableWriter::table(image, |headers| dying.write(headers)));
    });
    let header_frame_bytes = layout.header_frame_bytes as usize;
    if header_frame_bytes >= LETTER_HEADER_FRAME_BYTES_MAX {
        return Err(TooManyDeaths { header_frame_bytes });
    }
    let extra_keys = match death.routing_key {
        None => dying.carbon_copies().map(Box::from).collect(),
        Some(_) => Vec::new(),
    };
    Ok(DeadLetter { layout, image, extra_keys })
}

/// A message at the moment of its death.
struct Dying<'a> {
    view: &'a View<'a>,
    death: &'a Death<'a>,
    headers: TableView<'a>,
    expiration: Option<&'a [u8]>,
}

impl<'a> Dying<'a> {
    /// The headers that it has from now on: those about the first death stay, those about the last one and the list of all
    /// stand at the end.
    fn write(&self, headers: &mut TableWriter<'_>) {
        let past = Deaths::of(self.view);
        let is_first = past.is_empty();
        // What stays is copied in as few pieces as possible: there may be a thousand headers.
        let (all, mut kept_from, mut at) = (self.headers.rest(), 0, 0);
        for entry in self.headers.clone() {
            let end = at + entry.encoded.len();
            if self.replaces(entry.key, is_first) {
                headers.encoded(&all[kept_from..at]);
                kept_from = end;
            }
            at = end;
        }
        headers.encoded(&all[kept_from..at]);
        let names = [X_FIRST_DEATH, X_LAST_DEATH];
        let values = [self.death.reason.name().as_bytes(), self.death.queue, self.view.exchange()];
        for names in &names[usize::from(!is_first)..] {
            for (name, value) in names.iter().zip(values) {
                headers.long_string(name, value);
            }
        }
        headers.array(X_DEATH, |entries| self.write_deaths(&past, entries));
    }

    fn replaces(&self, name: &[u8], is_first: bool) -> bool {
        if !name.starts_with(b"x-") && name != CC.as_bytes() {
            return false;
        }
        let is_one_of = |names: &[&str]| names.iter().any(|its| its.as_bytes() == name);
        is_one_of(&[X_DEATH])
            || is_one_of(&X_LAST_DEATH)
            || (is_first && is_one_of(&X_FIRST_DEATH))
            || (self.death.routing_key.is_some() && is_one_of(&[CC]))
    }

    /// The entry of this death's kind in front, counted once more; a new one if there is none.
    fn write_deaths(&self, past: &Deaths<'_>, entries: &mut ArrayWriter<'_>) {
        let Some(same) = past.find(self.death.queue, self.death.reason) else {
            entries.table(|entry| self.write_first_of_its_kind(entry));
            return entries.encoded(past.encoded());
        };
        entries.table(|entry| {
            for part in same.entry {
                if part.key == COUNT.as_bytes() {
                    entry.long(COUNT, same.count.saturating_add(1));
                } else {
                    entry.encoded(part.encoded);
                }
            }
        });
        entries.encoded(same.before);
        entries.encoded(same.after);
    }

    /// An entry in RabbitMQ's order and types. Only the first death of its kind says when, from where, and with which
    /// keys.
    fn write_first_of_its_kind(&self, entry: &mut TableWriter<'_>) {
        if let Some(expiration) = self.expiration {
            entry.long_string("original-expiration", &plain_number(expiration));
        }
        entry.long(COUNT, 1);
        entry.long_string(REASON, self.death.reason.name().as_bytes());
        entry.long_string(QUEUE, self.death.queue);
        entry.timestamp("time", self.death.at_ms / 1_000);
        entry.long_string(EXCHANGE, self.view.exchange());
        entry.array(ROUTING_KEYS, |keys| {
            keys.long_string(self.view.routing_key());
            self.carbon_copies().for_each(|key| keys.long_string(key));
        });
    }

    /// The routing keys in `CC` (RabbitMQ's sender-selected distribution).
    fn carbon_copies(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let keys = self.headers.get(CC).and_then(|it| it.as_array());
        keys.into_iter().flatten().filter_map(|key| key.as_str_bytes())
    }
}

/// An expiration as RabbitMQ writes it back: without sign and leading zeros.
fn plain_number(expiration: &[u8]) -> Cow<'_, [u8]> {
    let number = std::str::from_utf8(expiration).ok().and_then(|text| text.parse::<i64>().ok());
    number.map_or(Cow::Borrowed(expiration), |number| Cow::Owned(number.to_string().into_bytes()))
}

const X_DEATH: &str = "x-death";
const X_FIRST_DEATH: [&str; 3] = ["x-first-death-reason", "x-first-death-queue", "x-first-death-exchange"];
const X_LAST_DEATH: [&str; 3] = ["x-last-death-reason", "x-last-death-queue", "x-last-death-exchange"];
const CC: &str = "CC";

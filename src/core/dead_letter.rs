//! Dead-lettering: what a message looks like after it has died in a queue (RabbitMQ's `x-death` and its company).
//!
//! The deaths of a message are a list, the most recent first, with one entry for each pair of queue and reason.
//! They live in the message's own headers, so that they go wherever it goes and survive what it survives. Headers
//! of that kind that came from a client are no history (RabbitMQ since 3.13): a consumer that publishes a message
//! again with its headers would else continue counts that mean nothing. The broker knows its own by the mark that
//! [`rewrite`] puts on a message; what bears none is delivered as it came, and replaced when the message dies here
//! for the first time.
//!
//! Who routes the result, and what happens to those that nobody can take, is not known here.

#[cfg(test)]
mod tests;

use crate::core::message::{Layout, View};
use crate::core::rewrite::{self, DEAD_LETTERED};
use crate::limits::FRAME_SIZE_BYTES_MAX;
use crate::protocol::frame::FRAME_OVERHEAD_BYTES;
use crate::protocol::{FieldTable, FieldValue, Properties, ShortString};

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
    const ALL: [Self; 4] = [Self::Rejected, Self::Expired, Self::MaxLen, Self::DeliveryLimit];

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
    /// All its deaths, this one included.
    pub deaths: Deaths,
}

/// The headers of a dead-lettered message would no longer fit a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a content header of {header_frame_bytes} bytes is too large for a dead-lettered message")]
pub struct TooManyDeaths {
    /// What its content header frame would have come to.
    pub header_frame_bytes: usize,
}

/// Where a message died and what of: the most recent death first, each pair once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deaths(Vec<(Box<[u8]>, Reason)>);

impl Deaths {
    /// The queues that it died in, the most recent first; a queue stands there once for each reason.
    pub fn queues(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.iter().map(|(queue, _)| &**queue)
    }

    /// The pairs of queue and reason, the most recent first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Reason)> {
        self.0.iter().map(|(queue, reason)| (&**queue, *reason))
    }

    /// Whether a message with these deaths, the last of which was of `reason`, goes round in circles if it now goes
    /// to the queue `target`: then it must not get there.
    ///
    /// RabbitMQ's rule: it has died there before, and since then, that death included, nobody has rejected it. A
    /// rejection is a decision from outside the broker, which may well end the circle the next time.
    pub fn is_cycle(&self, target: &[u8], reason: Reason) -> bool {
        let Some(last_there) = self.queues().position(|queue| queue == target) else { return false };
        reason != Reason::Rejected && self.iter().take(last_there + 1).all(|(_, of)| of != Reason::Rejected)
    }
}

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
    let mut headers = Properties::decode(view.properties()).ok()?.headers?;
    let history = take_history(view, &mut headers);
    let [reason, queue, _] = X_FIRST_DEATH.map(|name| headers.get(name).and_then(FieldValue::as_str_bytes));
    let is_first = |entry: &&FieldTable| {
        entry.get(QUEUE).and_then(FieldValue::as_str_bytes) == queue
            && entry.get(REASON).and_then(FieldValue::as_str_bytes) == reason
    };
    let entry = history.iter().find(is_first).or(history.last())?;
    let keys = entry.get(ROUTING_KEYS)?.as_array()?.iter().filter_map(FieldValue::as_str_bytes);
    let routing_keys: Vec<Box<[u8]>> = keys.map(Box::from).collect();
    let exchange = entry.get(EXCHANGE)?.as_str_bytes()?.into();
    (!routing_keys.is_empty()).then_some(Origin { exchange, routing_keys })
}

/// What a message last died of; `None` if the broker knows of no death.
pub fn last_reason(view: &View<'_>) -> Option<Reason> {
    let mut headers = Properties::decode(view.properties()).ok()?.headers?;
    take_history(view, &mut headers).first().and_then(pair).map(|(_, reason)| reason)
}

/// Makes the message in `view` a dead letter.
pub fn dead_lettered(view: &View<'_>, death: &Death<'_>) -> Result<DeadLetter, TooManyDeaths> {
    // Only a message that rotted on disk has properties that cannot be read, and nobody else could read them
    // either.
    let mut properties = Properties::decode(view.properties()).unwrap_or_default();
    let mut headers = properties.headers.take().unwrap_or_default();
    let expiration = properties.expiration.take();

    let mut history = take_history(view, &mut headers);
    write_first_and_last(&mut headers, history.is_empty(), view, death);
    record(&mut history, death, || first_of_its_kind(view, death, &headers, expiration.as_deref()));
    let deaths =
        Deaths(history.iter().filter_map(pair).map(|(queue, reason)| (queue.into(), reason)).collect());
    headers.insert(
        ShortString::from_static(X_DEATH),
        history.into_iter().map(FieldValue::Table).collect::<Vec<_>>(),
    );

    if death.routing_key.is_some() {
        headers.remove(CC);
    }
    let extra_keys = carbon_copies(&headers).map(Box::from).collect();
    properties.headers = Some(headers);
    let (layout, image) = moved(view, death, &properties)?;
    Ok(DeadLetter { layout, image, extra_keys, deaths })
}

/// Removes `x-death`. Its entries count if the broker wrote them.
fn take_history(view: &View<'_>, headers: &mut FieldTable) -> Vec<FieldTable> {
    let Some(FieldValue::Array(entries)) = headers.remove(X_DEATH) else { return Vec::new() };
    if rewrite::marks(view) & DEAD_LETTERED == 0 {
        return Vec::new();
    }
    let table = |entry| if let FieldValue::Table(table) = entry { Some(table) } else { None };
    entries.into_iter().filter_map(table).filter(is_sound).collect()
}

/// Whether an entry says what must be known of it.
fn is_sound(entry: &FieldTable) -> bool {
    pair(entry).is_some() && count(entry).is_some()
}

fn pair(entry: &FieldTable) -> Option<(&[u8], Reason)> {
    Some((entry.get(QUEUE)?.as_str_bytes()?, Reason::parse(entry.get(REASON)?.as_str_bytes()?)?))
}

fn count(entry: &FieldTable) -> Option<i64> {
    entry.get(COUNT)?.as_i64()
}

/// Puts the entry of this death's kind in front, counted once more; `first` makes one if there is none.
fn record(history: &mut Vec<FieldTable>, death: &Death<'_>, first: impl FnOnce() -> FieldTable) {
    let entry = match history.iter().position(|entry| pair(entry) == Some((death.queue, death.reason))) {
        Some(at) => {
            let mut entry = history.remove(at);
            let count = count(&entry).unwrap_or(0).saturating_add(1);
            entry.insert(ShortString::from_static(COUNT), count);
            entry
        }
        None => first(),
    };
    history.insert(0, entry);
}

/// An entry in RabbitMQ's order and types. Only the first death of its kind says when, from where, and with which
/// keys.
fn first_of_its_kind(
    view: &View<'_>,
    death: &Death<'_>,
    headers: &FieldTable,
    expiration: Option<&[u8]>,
) -> FieldTable {
    let keys = std::iter::once(view.routing_key()).chain(carbon_copies(headers));
    let mut entry = FieldTable::new();
    if let Some(expiration) = expiration {
        entry = entry.with("original-expiration", plain_number(expiration));
    }
    entry
        .with(COUNT, 1_i64)
        .with(REASON, death.reason.name())
        .with(QUEUE, FieldValue::long_string(death.queue))
        .with("time", FieldValue::Timestamp(death.at_ms / 1_000))
        .with(EXCHANGE, FieldValue::long_string(view.exchange()))
        .with(ROUTING_KEYS, keys.map(FieldValue::long_string).collect::<Vec<_>>())
}

/// An expiration as RabbitMQ writes it back: without sign and leading zeros.
fn plain_number(expiration: &[u8]) -> FieldValue {
    let number = std::str::from_utf8(expiration).ok().and_then(|text| text.parse::<i64>().ok());
    number
        .map_or_else(|| FieldValue::long_string(expiration), |number| FieldValue::from(&*number.to_string()))
}

/// The headers about the first death, which stay, and about the last.
fn write_first_and_last(headers: &mut FieldTable, is_first: bool, view: &View<'_>, death: &Death<'_>) {
    let values = [death.reason.name().as_bytes(), death.queue, view.exchange()];
    let names = [X_FIRST_DEATH, X_LAST_DEATH];
    for names in &names[usize::from(!is_first)..] {
        for (name, value) in names.iter().zip(values) {
            set(headers, name, FieldValue::long_string(value));
        }
    }
}

/// The routing keys in `CC` (RabbitMQ's sender-selected distribution).
fn carbon_copies(headers: &FieldTable) -> impl Iterator<Item = &[u8]> {
    let keys = headers.get(CC).and_then(FieldValue::as_array).unwrap_or_default();
    keys.iter().filter_map(FieldValue::as_str_bytes)
}

/// The message with these properties on its way to the dead letter exchange.
fn moved(
    view: &View<'_>,
    death: &Death<'_>,
    properties: &Properties,
) -> Result<(Layout, Vec<u8>), TooManyDeaths> {
    let properties = rewrite::encoded(properties);
    let header_frame_bytes = FRAME_OVERHEAD_BYTES + CONTENT_HEADER_BYTES + properties.len();
    if header_frame_bytes >= HEADER_FRAME_BYTES_MAX {
        return Err(TooManyDeaths { header_frame_bytes });
    }
    let routing_key = death.routing_key.unwrap_or(view.routing_key());
    let marks = rewrite::marks(view) | DEAD_LETTERED;
    Ok(rewrite::rewritten(view, death.exchange, routing_key, &properties, marks))
}

/// Sets a header, which a client may have sent more than once.
fn set(headers: &mut FieldTable, name: &'static str, value: impl Into<FieldValue>) {
    headers.remove(name);
    headers.insert(ShortString::from_static(name), value);
}

/// A dead letter's content header frame stays below this, so that what is added on the way (an entry, a delay) fits
/// too.
const HEADER_FRAME_BYTES_MAX: usize = FRAME_SIZE_BYTES_MAX as usize - 4_096;

/// Class, weight and body size, which stand before the properties.
const CONTENT_HEADER_BYTES: usize = 12;

const X_DEATH: &str = "x-death";
const X_FIRST_DEATH: [&str; 3] = ["x-first-death-reason", "x-first-death-queue", "x-first-death-exchange"];
const X_LAST_DEATH: [&str; 3] = ["x-last-death-reason", "x-last-death-queue", "x-last-death-exchange"];
const CC: &str = "CC";
const COUNT: &str = "count";
const REASON: &str = "reason";
const QUEUE: &str = "queue";
const EXCHANGE: &str = "exchange";
const ROUTING_KEYS: &str = "routing-keys";

//! Deduplication: a queue or an exchange that was declared with `x-message-deduplication` takes each message once
//! (RabbitMQ's deduplication plugin, LavinMQ).
//!
//! What tells messages apart is the value of one of their headers; those without it pass. [`RecentKeys`] are the values
//! that an owner has taken, [`Seen`] those of all owners of a virtual host. A value is remembered when its message was taken,
//! not when it was asked for: what was refused, or went nowhere, may come again. The time is an argument.

mod recent_keys;
mod seen;

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

pub use recent_keys::RecentKeys;
pub use seen::{Cut, SEEN_QUEUE, Seen};

use crate::core::{
    clock::Millis,
    declared::{Keeps, QueueSpec},
    message::View,
    numbers,
    placement::QueueId,
};
use crate::limits::{DEDUPLICATION_ENTRIES_DEFAULT, DEDUPLICATION_ENTRIES_MAX};
use crate::protocol::{FieldTable, FieldValue, PropertiesView, ShortString, TableView};

/// The argument that turns it on.
pub const X_MESSAGE_DEDUPLICATION: &str = "x-message-deduplication";

/// The argument that names the header that tells messages apart, and that header's name where nothing is said.
pub const X_DEDUPLICATION_HEADER: &str = "x-deduplication-header";

/// The argument that says how many values are remembered; the oldest go first.
pub const X_CACHE_SIZE: &str = "x-cache-size";

/// The argument that says for how many milliseconds; and a message's own header, which counts more.
pub const X_CACHE_TTL: &str = "x-cache-ttl";

/// The arguments of deduplication.
pub const ARGUMENTS: [&str; 4] = [X_MESSAGE_DEDUPLICATION, X_DEDUPLICATION_HEADER, X_CACHE_SIZE, X_CACHE_TTL];

/// The first of [`ARGUMENTS`] whose value makes no sense, and Erlang's term for what is wrong with it. Numbers may be
/// texts, as with RabbitMQ's plugin.
pub fn complaint(arguments: &FieldTable) -> Option<(&'static str, String)> {
    ARGUMENTS.into_iter().find_map(|name| {
        let value = arguments.get(name)?;
        let is_of_type = match name {
            X_MESSAGE_DEDUPLICATION => value.as_bool().is_some(),
            X_DEDUPLICATION_HEADER => value.as_str_bytes().is_some(),
            _ => numbers::integer(value).is_some(),
        };
        if !is_of_type {
            return Some((name, format!("{{unacceptable_type,{}}}", value.type_name())));
        }
        let number = numbers::integer(value).filter(|_| matches!(name, X_CACHE_SIZE | X_CACHE_TTL))?;
        let what = match number {
            ..0 => "value_negative",
            0 if name == X_CACHE_SIZE => "value_zero",
            _ if name == X_CACHE_SIZE
                && usize::try_from(number).is_ok_and(|size| size > DEDUPLICATION_ENTRIES_MAX) =>
            {
                "value_out_of_range"
            }
            _ => return None,
        };
        Some((name, format!("{{{what},{number}}}")))
    })
}

/// Who takes each message once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A queue, by its name in the journal: another queue of the same name has other messages.
    Queue(QueueId),
    /// An exchange.
    Exchange(ShortString),
}

/// What tells messages apart: the first 16 octets of the SHA-256 of the header's value.
///
/// Integers are the same when their value is, whatever their width, as in RabbitMQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub u128);

impl Key {
    /// The key of a header's value; none if it has none.
    pub fn of(value: &FieldValue) -> Option<Self> {
        let mut hash = Sha256::new();
        match (value, value.as_i64(), value.as_str_bytes()) {
            (FieldValue::Void, ..) => return None,
            (_, Some(number), _) => hash.update([&b"l"[..], &number.to_be_bytes()].concat()),
            (_, _, Some(text)) => {
                hash.update(b"S");
                hash.update(text);
            }
            (other, ..) => {
                let mut encoded = Vec::new();
                FieldTable::new().with("", other.clone()).encode(&mut encoded);
                hash.update(b"F");
                hash.update(&encoded);
            }
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (first, _) = digest.split_first_chunk()?;
        Some(Self(u128::from_be_bytes(*first)))
    }
}

/// What deduplication knows of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// What it is told apart by.
    pub key: Key,
    /// It is forgotten then; [`Millis::MAX`]: it is not.
    pub until: Millis,
}

/// What the arguments of a declaration ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    header: Box<[u8]>,
    /// So many values are remembered at most.
    pub size: usize,
    /// For so many milliseconds; `None`: for ever.
    pub ttl: Option<Millis>,
}

impl Rule {
    /// The rule in these arguments, if they turn it on. A value that makes no sense counts as none.
    pub fn of(arguments: &FieldTable) -> Option<Self> {
        if arguments.get(X_MESSAGE_DEDUPLICATION)?.as_bool() != Some(true) {
            return None;
        }
        let number = |name| arguments.get(name).and_then(numbers::integer);
        let header = arguments.get(X_DEDUPLICATION_HEADER).and_then(FieldValue::as_str_bytes);
        let size = number(X_CACHE_SIZE).and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
        Some(Self {
            header: header.unwrap_or(X_DEDUPLICATION_HEADER.as_bytes()).into(),
            size: size.unwrap_or(DEDUPLICATION_ENTRIES_DEFAULT).min(DEDUPLICATION_ENTRIES_MAX),
            ttl: number(X_CACHE_TTL).and_then(|ttl| Millis::try_from(ttl).ok()),
        })
    }

    /// What tells a message apart that is published `now`; none if it lacks the header.
    pub fn identify(&self, view: &View<'_>, now: Millis) -> Option<Identity> {
        let headers = TableView::new(PropertiesView::parse(view.properties()).ok()?.headers?);
        let value = |name: &[u8]| headers.get(name).and_then(|entry| entry.decode().ok());
        let key = Key::of(&value(&self.header)?)?;
        let own = value(X_CACHE_TTL.as_bytes()).as_ref().and_then(numbers::integer);
        let ttl = own.and_then(|ttl| Millis::try_from(ttl).ok()).or(self.ttl);
        Some(Identity { key, until: ttl.map_or(Millis::MAX, |ttl| now.saturating_add(ttl)) })
    }
}

/// A queue or an exchange that takes each message once: by which rule, and how many it has turned away.
#[derive(Debug)]
pub struct Deduplicator {
    /// Whose it is.
    pub owner: Owner,
    /// What was asked for.
    pub rule: Rule,
    /// Of which messages that it has seen survives a restart.
    pub keeps: Keeps,
    /// What clients call the owner.
    pub name: ShortString,
    duplicates: AtomicU64,
    forgotten_early: AtomicU64,
}

impl Deduplicator {
    /// The deduplicator that the arguments of an exchange ask for.
    pub fn of_exchange(name: &ShortString, arguments: &FieldTable, durable: bool) -> Option<Self> {
        Self::of(Owner::Exchange(name.clone()), name, arguments, Keeps::of(durable))
    }

    /// The deduplicator that a queue asks for.
    pub fn of_queue(spec: &QueueSpec, id: QueueId) -> Option<Self> {
        Self::of(Owner::Queue(id), &spec.name, &spec.arguments, spec.keeps())
    }

    fn of(owner: Owner, name: &ShortString, arguments: &FieldTable, keeps: Keeps) -> Option<Self> {
        let rule = Rule::of(arguments)?;
        let (duplicates, forgotten_early) = Default::default();
        Some(Self { owner, rule, keeps, name: name.clone(), duplicates, forgotten_early })
    }

    /// A duplicate has come to an exchange; queues have counters of their own.
    pub fn count_duplicate(&self) {
        self.duplicates.fetch_add(1, Ordering::Relaxed);
    }

    /// How many have come since the broker was started.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// So many values were forgotten for want of memory. True if they are the first.
    fn count_forgotten_early(&self, count: u64) -> bool {
        count > 0 && self.forgotten_early.fetch_add(count, Ordering::Relaxed) == 0
    }

    /// How many values were forgotten since the broker was started although there were fewer than [`Rule::size`] and their
    /// time was not over: the memory for deduplication was used up.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;

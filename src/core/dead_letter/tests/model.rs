//! The straightforward way to write a death down: everything is decoded, changed and encoded again.

use super::super::{
    CC, COUNT, Death, EXCHANGE, QUEUE, REASON, ROUTING_KEYS, Reason, X_DEATH, X_FIRST_DEATH, X_LAST_DEATH,
};
use crate::core::{
    message::View,
    rewrite::{self, DEAD_LETTERED},
};
use crate::protocol::{FieldTable, FieldValue, Properties, ShortString};

/// The properties of a dead letter.
pub fn dead_lettered(view: &View<'_>, death: &Death<'_>) -> Properties {
    // Only a message that rotted on disk has properties that cannot be read, and nobody else could read them
    // either.
    let mut properties = Properties::decode(view.properties()).unwrap_or_default();
    let mut headers = properties.headers.take().unwrap_or_default();
    let expiration = properties.expiration.take();

    let mut history = take_history(view, &mut headers);
    write_first_and_last(&mut headers, history.is_empty(), view, death);
    record(&mut history, death, || first_of_its_kind(view, death, &headers, expiration.as_deref()));
    headers.insert(
        ShortString::from_static(X_DEATH),
        history.into_iter().map(FieldValue::Table).collect::<Vec<_>>(),
    );

    if death.routing_key.is_some() {
        headers.remove(CC);
    }
    properties.headers = Some(headers);
    properties
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

pub fn pair(entry: &FieldTable) -> Option<(&[u8], Reason)> {
    Some((entry.get(QUEUE)?.as_str_bytes()?, Reason::parse(entry.get(REASON)?.as_str_bytes()?)?))
}

pub fn count(entry: &FieldTable) -> Option<i64> {
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
pub fn carbon_copies(headers: &FieldTable) -> impl Iterator<Item = &[u8]> {
    let keys = headers.get(CC).and_then(FieldValue::as_array).unwrap_or_default();
    keys.iter().filter_map(FieldValue::as_str_bytes)
}

/// Sets a header, which a client may have sent more than once.
fn set(headers: &mut FieldTable, name: &'static str, value: impl Into<FieldValue>) {
    headers.remove(name);
    headers.insert(ShortString::from_static(name), value);
}

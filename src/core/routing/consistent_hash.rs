//! `x-consistent-hash`: each message goes to one destination, chosen by a hash and by weights (RabbitMQ's plugin).
//!
//! Weighted rendezvous hashing. Each destination draws a number from its own hash and the message's, and the best draw wins,
//! where a draw `u` in (0, 1) with weight `w` is worth `ln(u) / w`: that makes a destination's share of the messages
//! its share of the weight. A draw depends on nothing but the two, so a binding that comes or goes moves only the messages
//! that it gets or had; and neither the order in which bindings were made nor a restart makes a difference.
//!
//! A route looks at every destination (those of one weight are compared by the draw itself, without a logarithm). That is
//! what exact shares cost that take no memory for large weights. Routes by key are remembered by channels.

use std::collections::BTreeMap;
use std::hash::Hash;

use foldhash::fast::RandomState;
use griddle::HashMap;

use super::destinations::Destinations;
use super::{
    addressing::Addressing,
    errors::{ArgumentError, BindingError},
    header_value::ErlangTerm,
};
use super::{
    hashing::{HashOn, hash_of},
    stable_hash::mix,
};
use crate::protocol::{FieldTable, FieldValue};

/// The bindings of a consistent hash exchange. The binding key is the weight; bindings of one destination add up.
#[derive(Debug)]
pub struct ConsistentHash<D> {
    on: HashOn,
    weights: HashMap<D, u64, RandomState>,
    by_weight: BTreeMap<u64, Destinations<Hashed<D>>>,
}

/// A destination and its own hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Hashed<D> {
    hash: u64,
    destination: D,
}

impl<D: Clone + Eq + Hash> ConsistentHash<D> {
    /// An exchange with these arguments, which [`validate_arguments`] has seen.
    pub(super) fn new(arguments: &FieldTable) -> Self {
        let on = HashOn::parse(arguments).unwrap_or(HashOn::Key);
        Self { on, weights: HashMap::default(), by_weight: BTreeMap::new() }
    }

    /// Adds one binding of `destination` with the weight that `key` says.
    pub fn bind(&mut self, key: &[u8], destination: D) {
        let before = self.weights.get(&destination).copied().unwrap_or(0);
        self.weigh(destination, before, before + weight_of(key));
    }

    /// Takes one such binding away; false if the destination has none.
    pub fn unbind(&mut self, key: &[u8], destination: &D) -> bool {
        let Some(&before) = self.weights.get(destination) else { return false };
        self.weigh(destination.clone(), before, before.saturating_sub(weight_of(key)));
        true
    }

    /// Calls `found` with the destination of a message, if there is any binding.
    pub fn route(&self, message: &Addressing<'_>, found: &mut dyn FnMut(&D)) {
        let hash = self.on.hash(message);
        let of_each_weight = self.by_weight.iter().filter_map(|(weight, equals)| {
            let (draw, destination) = best_draw(equals, hash)?;
            Some((unit_interval(draw).ln() / *weight as f64, destination))
        });
        if let Some((_, destination)) = of_each_weight.max_by(|one, other| one.0.total_cmp(&other.0)) {
            found(destination);
        }
    }

    /// Whether a message's key alone says where it goes.
    pub fn is_by_key(&self) -> bool {
        self.on == HashOn::Key
    }

    /// How many destinations there are.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    fn weigh(&mut self, destination: D, before: u64, after: u64) {
        let hashed = Hashed { hash: hash_of(&destination), destination: destination.clone() };
        if let Some(equals) = self.by_weight.get_mut(&before) {
            equals.remove(&hashed);
            if equals.is_empty() {
                self.by_weight.remove(&before);
            }
        }
        if after == 0 {
            self.weights.remove(&destination);
            super::shrink(&mut self.weights);
        } else {
            self.by_weight.entry(after).or_default().add(hashed);
            self.weights.insert(destination, after);
        }
    }
}

/// Of destinations of the same weight the one that draws best.
fn best_draw<D: Clone + Eq + Hash>(equals: &Destinations<Hashed<D>>, message: u64) -> Option<(u64, &D)> {
    let draws = equals.iter().map(|item| (mix(message ^ item.hash), &item.destination));
    draws.max_by_key(|(draw, _)| *draw)
}

/// What the kind demands of an exchange's arguments.
pub(super) fn validate_arguments(arguments: &FieldTable) -> Result<(), ArgumentError> {
    HashOn::parse(arguments).map(drop)
}

/// What the kind demands of a binding: a weight of at least one.
pub(super) fn validate_key(key: &[u8]) -> Result<(), BindingError> {
    match parse_weight(key) {
        None => {
            let value = ErlangTerm(&FieldValue::long_string(key)).to_string();
            Err(BindingError::WeightNotInteger { value })
        }
        Some(0) => Err(BindingError::WeightNotPositive),
        Some(_) => Ok(()),
    }
}

fn weight_of(key: &[u8]) -> u64 {
    parse_weight(key).unwrap_or(1).max(1)
}

/// Decimal digits with or without a sign, as Erlang reads an integer. Negative ones count as 0; those above 2^32 - 1 as that, so
/// that no number of bindings overflows a sum.
fn parse_weight(key: &[u8]) -> Option<u64> {
    let (is_negative, digits) = match key {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| (sum * 10 + u64::from(digit - b'0')).min(u64::from(u32::MAX));
    Some(if is_negative { 0 } else { digits.iter().fold(0, add) })
}

/// A number strictly between 0 and 1, from the upper 52 bits: with one more the largest would be rounded to 1.
fn unit_interval(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

#[cfg(test)]
mod tests;

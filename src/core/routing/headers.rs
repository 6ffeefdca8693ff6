//! The headers exchange: a message's headers against the arguments of bindings (AMQP 0-9-1, 3.1.3.4; RabbitMQ).
//!
//! `x-match` says how: `all` (also when absent) or `any` of the pairs must match; pairs whose name begins with
//! `x-` are left out unless it says `all-with-x` or `any-with-x`, and `x-match` itself always is. A pair with a
//! void value asks only that the header is there; see `header_value` for the others. Without any pair `all`
//! matches every message and `any` none (RabbitMQ). Of a header sent twice the last value counts (RabbitMQ).
//!
//! Bindings whose arguments ask for the same share one rule. A rule that needs all of its pairs is indexed under
//! one of them, the rarest when it was made; a rule that needs any, under each. Invariant: a rule stands in the index
//! exactly under its triggers, so only rules that agree with a message in at least one pair are looked at.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use griddle::HashMap;
use smallvec::SmallVec;

use super::destinations::Destinations;
use super::errors::BindingError;
use super::header_value::{self, ErlangTerm};
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// The bindings of a headers exchange.
///
/// Hashes are keyed anew in each process. They only find candidates, which are then compared in full, so
/// a collision costs time and never a wrong destination.
#[derive(Debug)]
pub struct Headers<D> {
    rules: Vec<Option<Rule<D>>>,
    free_rules: Vec<RuleId>,
    /// From the hash of what a rule asks for to the rule.
    by_condition: HashMap<u64, Destinations<RuleId>, RandomState>,
    /// From the hash of a pair to the rules that it triggers.
    index: HashMap<u64, Destinations<RuleId>, RandomState>,
    /// The rules that ask for nothing and match everything.
    unconditional: Destinations<RuleId>,
    hashing: RandomState,
}

#[derive(Debug)]
struct Rule<D> {
    condition: Condition,
    /// Hashes of the pairs it is indexed under.
    triggers: SmallVec<[u64; 1]>,
    destinations: Destinations<D>,
}

/// What a binding's arguments ask for.
#[derive(Debug)]
struct Condition {
    quantity: Quantity,
    /// In the order of names, then hashes, so that the order of arguments makes no difference.
    pairs: Box<[Pair]>,
    hash: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Quantity {
    All,
    Any,
}

#[derive(Debug)]
struct Pair {
    name: ShortString,
    /// Void: any value.
    value: FieldValue,
    hash: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RuleId(u32);

impl<D: Clone + Eq + Hash> Headers<D> {
    /// Adds one binding of `destination` with these arguments. An `x-match` that
    /// [`validate_binding`](super::ExchangeKind::validate_binding) rejects counts as `all` (RabbitMQ).
    pub fn bind(&mut self, arguments: &FieldTable, destination: D) {
        let condition = Condition::new(arguments, &self.hashing);
        let id = match self.find(&condition) {
            Some(id) => id,
            None => self.insert(condition),
        };
        self.rule_mut(id).destinations.add(destination);
    }

    /// Takes one such binding away; false if there is none.
    ///
    /// Arguments that ask for the same (another width of integer, an `x-` pair that is left out) are not told
    /// apart: it makes no difference which of two such bindings goes first.
    pub fn unbind(&mut self, arguments: &FieldTable, destination: &D) -> bool {
        let Some(id) = self.find(&Condition::new(arguments, &self.hashing)) else { return false };
        let rule = self.rule_mut(id);
        let removed = rule.destinations.remove(destination);
        if rule.destinations.is_empty() {
            self.forget(id);
        }
        removed
    }

    /// Calls `found` with each destination of a message with these headers: once for each of its rules that match.
    pub fn route(&self, headers: Option<&FieldTable>, found: &mut dyn FnMut(&D)) {
        self.look(headers, found);
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.rules.len() == self.free_rules.len()
    }

    /// Returns how many rules it compared with the message.
    fn look(&self, headers: Option<&FieldTable>, found: &mut dyn FnMut(&D)) -> usize {
        for &id in self.unconditional.iter() {
            self.rule(id).destinations.iter().for_each(&mut *found);
        }
        let Some(headers) = headers.filter(|_| !self.index.is_empty()) else { return 0 };
        let headers = Sorted::new(headers);
        let mut compared = 0;
        let mut found_any = HashSet::<RuleId, RandomState>::default();
        for &(name, value) in &headers.entries {
            for trigger in triggers(&self.hashing, name, value) {
                let Some(candidates) = self.index.get(&trigger) else { continue };
                for &id in candidates.iter() {
                    let rule = self.rule(id);
                    // Several headers may lead to a rule that needs any one of them.
                    if rule.triggers.len() > 1 && !found_any.insert(id) {
                        continue;
                    }
                    compared += 1;
                    if rule.condition.holds(&headers) {
                        rule.destinations.iter().for_each(&mut *found);
                    }
                }
            }
        }
        compared
    }

    fn find(&self, condition: &Condition) -> Option<RuleId> {
        let candidates = self.by_condition.get(&condition.hash)?;
        candidates.iter().copied().find(|id| self.rule(*id).condition.says_the_same(condition))
    }

    fn insert(&mut self, condition: Condition) -> RuleId {
        let id = self.free_rules.pop().unwrap_or_else(|| {
            self.rules.push(None);
            RuleId(self.rules.len() as u32 - 1)
        });
        let triggers = self.choose_triggers(&condition);
        for trigger in &triggers {
            self.index.entry(*trigger).or_default().add(id);
        }
        if condition.always_holds() {
            self.unconditional.add(id);
        }
        self.by_condition.entry(condition.hash).or_default().add(id);
        self.rules[id.0 as usize] = Some(Rule { condition, triggers, destinations: Destinations::default() });
        id
    }

    fn forget(&mut self, id: RuleId) {
        let Some(rule) = self.rules[id.0 as usize].take() else { return };
        for trigger in &rule.triggers {
            remove(&mut self.index, *trigger, id);
        }
        if rule.condition.always_holds() {
            self.unconditional.remove(&id);
        }
        remove(&mut self.by_condition, rule.condition.hash, id);
        self.free_rules.push(id);
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// For a rule that needs all pairs the one with the fewest rules so far, one with a value if there is a choice:
    /// of bindings that share a pair and differ in another, only the first is indexed under what they share.
    fn choose_triggers(&self, condition: &Condition) -> SmallVec<[u64; 1]> {
        let hashes = condition.pairs.iter().map(|pair| pair.hash);
        match condition.quantity {
            Quantity::Any => hashes.collect(),
            Quantity::All => {
                let rules = |hash: &u64| self.index.get(hash).map_or(0, Destinations::len);
                let cost = |pair: &&Pair| (rules(&pair.hash), pair.value == FieldValue::Void);
                condition.pairs.iter().min_by_key(cost).map(|pair| pair.hash).into_iter().collect()
            }
        }
    }

    fn rule(&self, id: RuleId) -> &Rule<D> {
        self.rules[id.0 as usize].as_ref().expect("a rule that is referred to is there")
    }

    fn rule_mut(&mut self, id: RuleId) -> &mut Rule<D> {
        self.rules[id.0 as usize].as_mut().expect("a rule that is referred to is there")
    }
}

impl<D> Default for Headers<D> {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            free_rules: Vec::new(),
            by_condition: HashMap::default(),
            index: HashMap::default(),
            unconditional: Destinations::default(),
            hashing: RandomState::default(),
        }
    }
}

impl Condition {
    fn new(arguments: &FieldTable, hashing: &RandomState) -> Self {
        let (quantity, with_x) = parse_match(arguments.get(X_MATCH)).unwrap_or((Quantity::All, false));
        let counts = |name: &[u8]| if with_x { name != X_MATCH } else { !name.starts_with(b"x-") };
        let mut pairs: Box<[Pair]> = arguments
            .iter()
            .filter(|(name, _)| counts(name))
            .map(|(name, value)| Pair {
                name: name.clone(),
                value: value.clone(),
                hash: trigger(hashing, name, value),
            })
            .collect();
        pairs.sort_by(|one, other| (&*one.name, one.hash).cmp(&(&*other.name, other.hash)));
        let mut state = hashing.build_hasher();
        quantity.hash(&mut state);
        pairs.iter().for_each(|pair| pair.hash.hash(&mut state));
        Self { quantity, pairs, hash: state.finish() }
    }

    fn always_holds(&self) -> bool {
        self.quantity == Quantity::All && self.pairs.is_empty()
    }

    fn holds(&self, headers: &Sorted<'_>) -> bool {
        match self.quantity {
            Quantity::All => self.pairs.iter().all(|pair| headers.satisfy(pair)),
            Quantity::Any => self.pairs.iter().any(|pair| headers.satisfy(pair)),
        }
    }

    fn says_the_same(&self, other: &Self) -> bool {
        let same = |(one, other): (&Pair, &Pair)| {
            one.name == other.name && header_value::equal(&one.value, &other.value)
        };
        self.quantity == other.quantity
            && self.pairs.len() == other.pairs.len()
            && self.pairs.iter().zip(&other.pairs).all(same)
    }
}

/// A message's headers in the order of their names, each once.
struct Sorted<'a> {
    entries: SmallVec<[(&'a [u8], &'a FieldValue); 16]>,
}

impl<'a> Sorted<'a> {
    fn new(headers: &'a FieldTable) -> Self {
        let mut entries: SmallVec<[_; 16]> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value)).collect();
        entries.sort_by_key(|(name, _)| *name);
        entries.dedup_by(|later, kept| {
            let twice = later.0 == kept.0;
            if twice {
                kept.1 = later.1;
            }
            twice
        });
        Self { entries }
    }

    fn satisfy(&self, pair: &Pair) -> bool {
        let Ok(at) = self.entries.binary_search_by_key(&&*pair.name, |(name, _)| name) else { return false };
        pair.value == FieldValue::Void || header_value::equal(&pair.value, self.entries[at].1)
    }
}

/// What the headers kind demands of a binding's arguments.
pub(super) fn validate_arguments(arguments: &FieldTable) -> Result<(), BindingError> {
    let Some(value) = arguments.get(X_MATCH) else { return Ok(()) };
    if parse_match(Some(value)).is_some() {
        return Ok(());
    }
    let text = ErlangTerm(value).to_string();
    Err(match value {
        FieldValue::LongString(_) => BindingError::MatchValue { value: text },
        other => BindingError::MatchType { type_name: other.type_name(), value: text },
    })
}

/// What `x-match` says, and whether names that begin with `x-` count.
fn parse_match(value: Option<&FieldValue>) -> Option<(Quantity, bool)> {
    match value?.as_str_bytes()? {
        b"all" => Some((Quantity::All, false)),
        b"any" => Some((Quantity::Any, false)),
        b"all-with-x" => Some((Quantity::All, true)),
        b"any-with-x" => Some((Quantity::Any, true)),
        _ => None,
    }
}

/// The hash of a binding's pair; of the name alone, in effect, if its value is void.
fn trigger(hashing: &RandomState, name: &[u8], value: &FieldValue) -> u64 {
    let mut state = hashing.build_hasher();
    name.hash(&mut state);
    header_value::hash(value, &mut state);
    state.finish()
}

/// The hashes of the pairs that a header answers: its name with any value, and with this one.
fn triggers(hashing: &RandomState, name: &[u8], value: &FieldValue) -> impl Iterator<Item = u64> {
    let exact = (*value != FieldValue::Void).then(|| trigger(hashing, name, value));
    [trigger(hashing, name, &FieldValue::Void)].into_iter().chain(exact)
}

fn remove(map: &mut HashMap<u64, Destinations<RuleId>, RandomState>, hash: u64, id: RuleId) {
    let Some(rules) = map.get_mut(&hash) else { return };
    rules.remove(&id);
    if rules.is_empty() {
        map.remove(&hash);
        super::shrink(map);
    }
}

const X_MATCH: &[u8] = b"x-match";

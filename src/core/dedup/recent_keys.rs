//! What one owner has taken: keys in the order in which they came, as many as fit, each until its time.

use std::collections::{BTreeMap, HashMap};

use foldhash::quality::RandomState;
use smallvec::SmallVec;

use super::{Identity, Key};
use crate::core::clock::Millis;

/// The keys that one owner has taken, oldest first. `T` is what is noted with each key.
pub struct RecentKeys<T> {
    size: usize,
    next_turn: u64,
    entries: HashMap<Key, Entry<T>, RandomState>,
    /// Keys by when they came.
    order: BTreeMap<u64, Key>,
}

struct Entry<T> {
    note: T,
    until: Millis,
    turn: u64,
}

/// Notes of keys that were forgotten, oldest first.
pub type Forgotten<T> = SmallVec<[T; 1]>;

impl<T> RecentKeys<T> {
    /// Room for `size` keys, at least one.
    pub fn new(size: usize) -> Self {
        Self { size: size.max(1), next_turn: 0, entries: HashMap::default(), order: BTreeMap::new() }
    }

    /// How many keys it has; some of them may be over.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is noted with a key that has been seen and is not over.
    pub fn find(&self, key: Key, now: Millis) -> Option<&T> {
        self.entries.get(&key).filter(|entry| entry.until > now).map(|entry| &entry.note)
    }

    /// The same, to change it, over or not.
    pub fn note_mut(&mut self, key: Key) -> Option<&mut T> {
        self.entries.get_mut(&key).map(|entry| &mut entry.note)
    }

    /// Remembers a key as the latest. Gives back what is forgotten for that: what was noted with it before, the oldest
    /// that are over, and the oldest one if there is no room.
    pub fn remember(&mut self, identity: Identity, note: T, now: Millis) -> Forgotten<T> {
        let mut forgotten = Forgotten::new();
        forgotten.extend(self.forget(identity.key));
        while let Some((_, key)) = self.order.first_key_value()
            && (self.entries.len() >= self.size || self.is_over(*key, now))
        {
            let key = *key;
            forgotten.extend(self.forget(key));
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        self.entries.insert(identity.key, Entry { note, until: identity.until, turn });
        self.order.insert(turn, identity.key);
        forgotten
    }

    /// Forgets the oldest key; gives what was noted with it.
    pub fn forget_oldest(&mut self) -> Option<T> {
        let (_, key) = self.order.pop_first()?;
        self.entries.remove(&key).map(|entry| entry.note)
    }

    fn is_over(&self, key: Key, now: Millis) -> bool {
        self.entries.get(&key).is_none_or(|entry| entry.until <= now)
    }

    fn forget(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.remove(&key)?;
        self.order.remove(&entry.turn);
        Some(entry.note)
    }
}

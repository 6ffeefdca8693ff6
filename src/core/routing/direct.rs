//! The direct exchange: a message goes where its key was bound, octet by octet (AMQP 0-9-1, 3.1.3.1).

use std::hash::Hash;

use foldhash::fast::RandomState;
use griddle::HashMap;

use super::destinations::Destinations;

/// The bindings of a direct exchange: a route is one hash look-up.
///
/// Hashes are keyed anew in each process, so that a client cannot prepare keys that collide.
#[derive(Debug)]
pub struct Direct<D> {
    by_key: HashMap<Box<[u8]>, Destinations<D>, RandomState>,
}

impl<D: Clone + Eq + Hash> Direct<D> {
    /// Adds one binding of `destination` under `key`, which may be empty.
    pub fn bind(&mut self, key: &[u8], destination: D) {
        match self.by_key.get_mut(key) {
            Some(destinations) => destinations.add(destination),
            None => self.by_key.entry(key.into()).or_default().add(destination),
        }
    }

    /// Takes one such binding away; false if there is none.
    pub fn unbind(&mut self, key: &[u8], destination: &D) -> bool {
        let Some(destinations) = self.by_key.get_mut(key) else { return false };
        let removed = destinations.remove(destination);
        if destinations.is_empty() {
            self.by_key.remove(key);
            super::shrink(&mut self.by_key);
        }
        removed
    }

    /// Calls `found` once with each destination bound under `key`.
    pub fn route(&self, key: &[u8], found: &mut dyn FnMut(&D)) {
        if let Some(destinations) = self.by_key.get(key) {
            destinations.iter().for_each(found);
        }
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

impl<D> Default for Direct<D> {
    fn default() -> Self {
        Self { by_key: HashMap::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(direct: &Direct<u32>, key: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        direct.route(key, &mut |destination| found.push(*destination));
        found.sort_unstable();
        found
    }

    #[test]
    fn only_the_equal_key_matches_and_wildcards_are_plain_text() {
        let mut direct = Direct::default();
        direct.bind(b"a.b", 1_u32);
        direct.bind(b"a.*", 2);
        direct.bind(b"#", 3);
        direct.bind(b"", 4);
        assert_eq!(routed(&direct, b"a.b"), [1]);
        assert_eq!(routed(&direct, b"a.*"), [2]);
        assert_eq!(routed(&direct, b""), [4]);
        assert_eq!(routed(&direct, b"A.B"), [0_u32; 0]);
    }

    #[test]
    fn keys_need_not_be_text() {
        let mut direct = Direct::default();
        direct.bind(b"\xFF\0", 1_u32);
        assert_eq!(routed(&direct, b"\xFF\0"), [1]);
        assert_eq!(routed(&direct, b"\xFF"), [0_u32; 0]);
    }

    #[test]
    fn many_keys_of_one_destination_and_many_destinations_of_one_key_come_and_go() {
        let mut direct = Direct::default();
        for n in 0..10_000_u32 {
            direct.bind(&n.to_be_bytes(), 1);
            direct.bind(b"shared", n);
        }
        assert_eq!(routed(&direct, &77_u32.to_be_bytes()), [1]);
        assert_eq!(routed(&direct, b"shared").len(), 10_000);
        for n in 0..10_000_u32 {
            assert!(direct.unbind(&n.to_be_bytes(), &1));
            assert!(direct.unbind(b"shared", &n));
        }
        assert!(direct.is_empty());
    }

    #[test]
    fn a_key_without_bindings_left_is_forgotten() {
        let mut direct = Direct::default();
        direct.bind(b"a", 1_u32);
        direct.bind(b"b", 1);
        assert!(direct.unbind(b"a", &1));
        assert_eq!(direct.by_key.len(), 1);
    }
}

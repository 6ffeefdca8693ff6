//! The fanout exchange: a message goes everywhere, whatever its key (AMQP 0-9-1, 3.1.3.2).

use std::hash::Hash;

use super::destinations::Destinations;

/// The bindings of a fanout exchange: each destination once, with the number of its bindings.
#[derive(Debug)]
pub struct Fanout<D> {
    destinations: Destinations<D>,
}

impl<D: Clone + Eq + Hash> Fanout<D> {
    /// Adds one binding of `destination`; its key makes it another binding but means nothing here.
    pub fn bind(&mut self, destination: D) {
        self.destinations.add(destination);
    }

    /// Takes one binding of `destination` away; false if there is none.
    pub fn unbind(&mut self, destination: &D) -> bool {
        self.destinations.remove(destination)
    }

    /// Calls `found` once with each destination.
    pub fn route(&self, found: &mut dyn FnMut(&D)) {
        self.destinations.iter().for_each(found);
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.destinations.is_empty()
    }
}

impl<D> Default for Fanout<D> {
    fn default() -> Self {
        Self { destinations: Destinations::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_bound_twice_gets_a_message_once_until_both_bindings_are_gone() {
        let mut fanout = Fanout::default();
        fanout.bind(1_u32);
        fanout.bind(1);
        fanout.bind(2);
        let routed = |fanout: &Fanout<u32>| {
            let mut found = Vec::new();
            fanout.route(&mut |destination| found.push(*destination));
            found.sort_unstable();
            found
        };
        assert_eq!(routed(&fanout), [1, 2]);
        assert!(fanout.unbind(&1));
        assert_eq!(routed(&fanout), [1, 2]);
        assert!(fanout.unbind(&1));
        assert_eq!(routed(&fanout), [2]);
        assert!(!fanout.unbind(&1));
        assert!(fanout.unbind(&2));
        assert!(fanout.is_empty());
    }
}

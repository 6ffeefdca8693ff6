//! Exchanges that send each message to one of their bindings, all alike: `x-modulus-hash` by the routing key's hash,
//! `x-random` and `x-local-random` by the message's lot (RabbitMQ 4).

use super::{Addressing, hashing::hash_of};

/// Destinations in their order, one as often as it is bound (RabbitMQ counts bindings here), so that neither the order of
/// bindings nor a restart makes a difference. A binding moves those after it: a memory move, however many there are.
#[derive(Debug)]
pub struct OneOf<D> {
    destinations: Vec<D>,
}

impl<D: Ord> OneOf<D> {
    /// Adds one binding of `destination`.
    pub fn bind(&mut self, destination: D) {
        let at = self.destinations.partition_point(|other| *other < destination);
        self.destinations.insert(at, destination);
    }

    /// Takes one binding of `destination` away; false if there is none.
    pub fn unbind(&mut self, destination: &D) -> bool {
        let Ok(at) = self.destinations.binary_search(destination) else { return false };
        self.destinations.remove(at);
        if self.destinations.len() < self.destinations.capacity() / 4 {
            self.destinations.shrink_to(self.destinations.len() * 2);
        }
        true
    }

    /// Calls `found` with the destination that the hash of the routing key leads to, modulo their number.
    pub fn route_by_key(&self, message: &Addressing<'_>, found: &mut dyn FnMut(&D)) {
        if let Some(at) = hash_of(message.key()).checked_rem(self.destinations.len() as u64) {
            found(&self.destinations[at as usize]);
        }
    }

    /// Calls `found` with the destination that the message's lot leads to.
    pub fn route_by_lot(&self, message: &Addressing<'_>, found: &mut dyn FnMut(&D)) {
        // Scaled, not modulo: every destination has its exact share of the lots.
        let at = (u128::from(message.lot) * self.destinations.len() as u128) >> 64;
        if let Some(destination) = self.destinations.get(at as usize) {
            found(destination);
        }
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.destinations.is_empty()
    }
}

impl<D> Default for OneOf<D> {
    fn default() -> Self {
        Self { destinations: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(destinations: &[u32]) -> OneOf<u32> {
        let mut router = OneOf::default();
        for destination in destinations {
            router.bind(*destination);
        }
        router
    }

    fn by_key(router: &OneOf<u32>, key: u32) -> Vec<u32> {
        let (mut found, key) = (Vec::new(), key.to_string());
        let message = [key.as_bytes()];
        router.route_by_key(&Addressing::by_keys(&message), &mut |destination| found.push(*destination));
        found
    }

    fn by_lot(router: &OneOf<u32>, lot: u64) -> Vec<u32> {
        let mut found = Vec::new();
        let message = Addressing { lot, ..Addressing::default() };
        router.route_by_lot(&message, &mut |destination| found.push(*destination));
        found
    }

    #[test]
    fn a_key_leads_to_one_destination_whatever_the_order_of_bindings() {
        let (one, other) = (bound(&[3, 1, 2]), bound(&[2, 3, 1]));
        let mut counts = [0; 4];
        for key in 0..3_000 {
            let found = by_key(&one, key);
            assert_eq!(found, by_key(&other, key));
            assert_eq!(found.len(), 1);
            counts[found[0] as usize] += 1;
        }
        assert!(counts[1..].iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn lots_are_shared_evenly_by_bindings() {
        let router = bound(&[7, 8, 8]);
        let third = u64::MAX / 3;
        assert_eq!(by_lot(&router, 0), [7]);
        assert_eq!(by_lot(&router, third), [7]);
        assert_eq!(by_lot(&router, third + 1), [8]);
        assert_eq!(by_lot(&router, u64::MAX), [8]);
    }

    #[test]
    fn each_binding_is_unbound_by_itself_and_without_any_nothing_is_found() {
        let mut router = bound(&[5, 5]);
        assert!(router.unbind(&5));
        assert_eq!((by_key(&router, 1), by_lot(&router, 1)), (vec![5], vec![5]));
        assert!(!router.unbind(&6));
        assert!(router.unbind(&5));
        assert!(router.is_empty());
        assert_eq!((by_key(&router, 1), by_lot(&router, 1)), (vec![], vec![]));
    }
}

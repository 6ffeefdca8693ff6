//! Routing: from an exchange's bindings and a message to the destinations it goes to (AMQP 0-9-1, 3.1.3).
//!
//! Owns one matcher for each kind of exchange. Invariant: the cost of a route follows the message (its key, its
//! headers) and what matches it, never the number of bindings that do not match; a binding costs the same to
//! make and to undo however many others there are. The kinds that choose one destination of all say themselves what
//! they cost.
//!
//! Deliberately unknown here: what a destination is (queue or exchange, any small handle will do), exchanges that
//! feed exchanges, alternate exchanges, and whether a binding already exists. A route may name one destination
//! more than once; who asks removes the duplicates, because only it knows whether more than one can come.

use std::hash::{BuildHasher, Hash};

use griddle::HashMap;

use crate::protocol::FieldTable;

mod addressing;
mod consistent_hash;
mod destinations;
mod direct;
mod errors;
mod fanout;
mod hashing;
mod header_value;
mod headers;
mod kind;
mod one_of;
mod stable_hash;
mod topic;

pub use addressing::{Addressing, UnacceptableHeader, extra_keys};
pub use consistent_hash::ConsistentHash;
pub use direct::Direct;
pub use errors::{ArgumentError, BindingError};
pub use fanout::Fanout;
pub use header_value::equal;
pub use headers::Headers;
pub use kind::{ExchangeKind, recent_history_length};
pub use one_of::OneOf;
pub use topic::Topic;

/// The bindings of one exchange, arranged for its kind.
///
/// `D` is a handle of a destination that is cheap to clone: an `Arc` or a small id. Its order and its hash decide where the
/// kinds that choose one destination send a message, so both should be of what it names.
#[derive(Debug)]
pub enum Router<D> {
    /// Bindings of a direct exchange.
    Direct(Direct<D>),
    /// Bindings of a fanout exchange, or of one that keeps its recent history.
    Fanout(Fanout<D>),
    /// Bindings of a topic exchange.
    Topic(Topic<D>),
    /// Bindings of a headers exchange.
    Headers(Headers<D>),
    /// Bindings of a consistent hash exchange.
    ConsistentHash(ConsistentHash<D>),
    /// Bindings of a modulus hash exchange.
    ModulusHash(OneOf<D>),
    /// Bindings of a random or local random exchange.
    Random(OneOf<D>),
}

impl<D: Clone + Ord + Hash> Router<D> {
    /// A router without bindings, for an exchange with these arguments.
    pub fn new(kind: ExchangeKind, arguments: &FieldTable) -> Self {
        match kind.routes_as(arguments) {
            ExchangeKind::Direct | ExchangeKind::DelayedMessage => Self::Direct(Direct::default()),
            ExchangeKind::Fanout | ExchangeKind::RecentHistory => Self::Fanout(Fanout::default()),
            ExchangeKind::Topic => Self::Topic(Topic::default()),
            ExchangeKind::Headers => Self::Headers(Headers::default()),
            ExchangeKind::ConsistentHash => Self::ConsistentHash(ConsistentHash::new(arguments)),
            ExchangeKind::ModulusHash => Self::ModulusHash(OneOf::default()),
            ExchangeKind::Random | ExchangeKind::LocalRandom => Self::Random(OneOf::default()),
        }
    }

    /// Adds one binding, which [`ExchangeKind::validate_binding`] has seen.
    ///
    /// A binding is identified by key, arguments and destination (RabbitMQ; AMQP 0-9-1 leaves arguments out of
    /// it). The caller never adds the identical one twice. Bindings that differ only in what this kind of
    /// exchange does not read are counted, so that each of them has to be unbound.
    pub fn bind(&mut self, key: &[u8], arguments: &FieldTable, destination: D) {
        match self {
            Self::Direct(direct) => direct.bind(key, destination),
            Self::Fanout(fanout) => fanout.bind(destination),
            Self::Topic(topic) => topic.bind(key, destination),
            Self::Headers(headers) => headers.bind(arguments, destination),
            Self::ConsistentHash(hash) => hash.bind(key, destination),
            Self::ModulusHash(one_of) | Self::Random(one_of) => one_of.bind(destination),
        }
    }

    /// Takes exactly one binding away; false, and nothing changes, if there is none like it.
    pub fn unbind(&mut self, key: &[u8], arguments: &FieldTable, destination: &D) -> bool {
        match self {
            Self::Direct(direct) => direct.unbind(key, destination),
            Self::Fanout(fanout) => fanout.unbind(destination),
            Self::Topic(topic) => topic.unbind(key, destination),
            Self::Headers(headers) => headers.unbind(arguments, destination),
            Self::ConsistentHash(hash) => hash.unbind(key, destination),
            Self::ModulusHash(one_of) | Self::Random(one_of) => one_of.unbind(destination),
        }
    }

    /// Calls `found` with each destination of a message, at times more than once with the same. Of several keys each
    /// counts where keys are matched; where one destination is chosen, the first does. Gives how many places it looked at
    /// beyond those that it found.
    pub fn route(&self, message: &Addressing<'_>, found: &mut dyn FnMut(&D)) -> usize {
        match self {
            Self::Topic(topic) => return message.keys.iter().map(|key| topic.route(key, found)).sum(),
            Self::ConsistentHash(hash) => {
                hash.route(message, found);
                return hash.len();
            }
            Self::Direct(direct) => message.keys.iter().for_each(|key| direct.route(key, found)),
            Self::Fanout(fanout) => fanout.route(found),
            Self::Headers(by_headers) => by_headers.route(message.headers, found),
            Self::ModulusHash(one_of) => one_of.route_by_key(message, found),
            Self::Random(one_of) => one_of.route_by_lot(message, found),
        }
        message.keys.len()
    }

    /// Whether messages with the same keys may go to different destinations: a route by keys alone says nothing then.
    pub fn looks_beyond_key(&self) -> bool {
        match self {
            Self::Headers(_) | Self::Random(_) => true,
            Self::ConsistentHash(hash) => !hash.is_by_key(),
            Self::Direct(_) | Self::Fanout(_) | Self::Topic(_) | Self::ModulusHash(_) => false,
        }
    }

    /// Whether a message goes to one of the bindings, whichever there are.
    pub fn chooses_one(&self) -> bool {
        match self {
            Self::ConsistentHash(_) | Self::ModulusHash(_) | Self::Random(_) => true,
            Self::Direct(_) | Self::Fanout(_) | Self::Topic(_) | Self::Headers(_) => false,
        }
    }

    /// Whether there is no binding (what `auto-delete` and `if-unused` ask).
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Direct(direct) => direct.is_empty(),
            Self::Fanout(fanout) => fanout.is_empty(),
            Self::Topic(topic) => topic.is_empty(),
            Self::Headers(headers) => headers.is_empty(),
            Self::ConsistentHash(hash) => hash.is_empty(),
            Self::ModulusHash(one_of) | Self::Random(one_of) => one_of.is_empty(),
        }
    }
}

/// Gives memory back once a map is mostly empty. A map shrinks only after it lost as many entries as it keeps,
/// so that the cost stays constant over many removals.
fn shrink<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.capacity() > MAP_CAPACITY_KEPT && map.len() < map.capacity() / 4 {
        map.shrink_to(map.len() * 2);
    }
}

/// A map of this capacity, in entries, is too small to be worth shrinking.
const MAP_CAPACITY_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{FieldValue, ShortString};

    fn arguments(value: i32) -> FieldTable {
        [(ShortString::from_static("n"), FieldValue::I32(value))].into_iter().collect()
    }

    fn router(kind: ExchangeKind) -> Router<u32> {
        Router::new(kind, &FieldTable::new())
    }

    fn routed(router: &Router<u32>, key: &[u8], headers: Option<&FieldTable>) -> Vec<u32> {
        let mut found = Vec::new();
        let keys = [key];
        let message = Addressing { headers, ..Addressing::by_keys(&keys) };
        router.route(&message, &mut |destination| found.push(*destination));
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn bindings_that_differ_only_in_arguments_are_unbound_one_by_one() {
        for kind in ExchangeKind::ALL {
            let mut router = router(kind);
            let headers = arguments(1);
            router.bind(b"a", &arguments(1), 7_u32);
            router.bind(b"a", &arguments(2), 7);
            assert!(router.unbind(b"a", &arguments(2), &7), "{kind:?}");
            assert_eq!(routed(&router, b"a", Some(&headers)), [7], "{kind:?}");
            assert!(router.unbind(b"a", &arguments(1), &7), "{kind:?}");
            assert_eq!(routed(&router, b"a", Some(&headers)), [0_u32; 0], "{kind:?}");
            assert!(router.is_empty(), "{kind:?}");
            assert!(!router.unbind(b"a", &arguments(1), &7), "{kind:?}");
        }
    }

    #[test]
    fn bindings_that_differ_only_in_key_are_unbound_one_by_one() {
        for kind in ExchangeKind::ALL {
            let mut router = router(kind);
            let headers = arguments(1);
            router.bind(b"a", &headers, 7_u32);
            router.bind(b"b", &headers, 7);
            assert!(router.unbind(b"b", &headers, &7), "{kind:?}");
            assert_eq!(routed(&router, b"a", Some(&headers)), [7], "{kind:?}");
            assert!(!router.is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn unbinding_what_is_not_bound_changes_nothing() {
        for kind in ExchangeKind::ALL {
            let mut router = router(kind);
            let headers = arguments(1);
            router.bind(b"a", &headers, 7_u32);
            assert!(!router.unbind(b"a", &headers, &8), "{kind:?}");
            assert_eq!(routed(&router, b"a", Some(&headers)), [7], "{kind:?}");
        }
    }

    #[test]
    fn only_the_key_matters_where_routes_may_be_remembered() {
        let (one, other) = (arguments(1), arguments(2));
        for kind in ExchangeKind::ALL {
            let mut router = router(kind);
            for destination in 0..32_u32 {
                let arguments = if destination < 16 { &one } else { &other };
                router.bind(b"1", arguments, destination);
            }
            let message = |headers, lot| Addressing { headers, lot, ..Addressing::by_keys(&[b"1"]) };
            let targets = |message| {
                let mut found = Vec::new();
                router.route(&message, &mut |destination| found.push(*destination));
                found
            };
            let differs = targets(message(Some(&one), 1)) != targets(message(Some(&other), u64::MAX));
            assert_eq!(differs, router.looks_beyond_key(), "{kind:?}");
        }
        let by_header = FieldTable::new().with("hash-header", "n");
        assert!(Router::<u32>::new(ExchangeKind::ConsistentHash, &by_header).looks_beyond_key());
    }

    #[test]
    fn a_delayed_exchange_has_the_router_of_its_inner_kind() {
        let arguments = FieldTable::new().with("x-delayed-type", "topic");
        let router = Router::<u32>::new(ExchangeKind::DelayedMessage, &arguments);
        assert!(matches!(router, Router::Topic(_)));
    }

    #[test]
    fn each_key_is_matched_but_only_the_first_is_hashed() {
        let (routing_key, copied): ([&[u8]; 1], [&[u8]; 2]) = ([b"a"], [b"a", b"b"]);
        for kind in [ExchangeKind::ConsistentHash, ExchangeKind::ModulusHash] {
            let mut router = router(kind);
            (0..32_u32).for_each(|destination| router.bind(b"1", &FieldTable::new(), destination));
            let targets = |keys| {
                let mut found = Vec::new();
                router.route(&Addressing::by_keys(keys), &mut |destination| found.push(*destination));
                found
            };
            assert_eq!(targets(&copied), targets(&routing_key), "{kind:?}");
            assert_eq!(targets(&copied).len(), 1);
        }
    }

    #[test]
    fn a_map_gives_memory_back_when_most_of_it_is_gone() {
        let mut map: HashMap<u32, u32, foldhash::fast::RandomState> =
            (0..10_000).map(|key| (key, key)).collect();
        for key in 1..10_000 {
            map.remove(&key);
            shrink(&mut map);
        }
        assert!(map.capacity() <= MAP_CAPACITY_KEPT * 2);
    }
}

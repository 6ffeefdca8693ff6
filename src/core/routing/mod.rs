//! Routing: from an exchange's bindings and a message to the destinations it goes to (AMQP 0-9-1, 3.1.3).
//!
//! Owns one matcher for each kind of exchange. Invariant: the cost of a route follows the message (its key, its
//! headers) and what matches it, never the number of bindings that do not match; a binding costs the same to
//! make and to undo however many others there are.
//!
//! Deliberately unknown here: what a destination is (queue or exchange, any small handle will do), exchanges that
//! feed exchanges, alternate exchanges, and whether a binding already exists. A route may name one destination
//! more than once; who asks removes the duplicates, because only it knows whether more than one can come.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use crate::protocol::FieldTable;

mod destinations;
mod direct;
mod fanout;
mod header_value;
mod headers;
mod topic;

pub use direct::Direct;
pub use fanout::Fanout;
pub use header_value::equal;
pub use headers::{BindingError, Headers};
pub use topic::Topic;

/// The kinds of exchange that are built in (AMQP 0-9-1, 3.1.3.1 to 3.1.3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// To the bindings whose key equals the message's.
    Direct,
    /// To every binding.
    Fanout,
    /// To the bindings whose pattern of words matches the message's key.
    Topic,
    /// To the bindings whose arguments match the message's headers.
    Headers,
}

impl ExchangeKind {
    /// Every kind, in the order in which RabbitMQ lists them.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Fanout, Self::Topic, Self::Headers];

    /// The kind of a name on the wire, the `type` of exchange.declare. Names are compared octet by octet.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }

    /// Whether an exchange of this kind takes a binding with these arguments. Only the headers kind reads them:
    /// `x-match` has to be one of its four words, or absent (RabbitMQ answers 406 otherwise).
    pub fn validate_binding(self, arguments: &FieldTable) -> Result<(), BindingError> {
        match self {
            Self::Headers => headers::validate_arguments(arguments),
            Self::Direct | Self::Fanout | Self::Topic => Ok(()),
        }
    }
}

/// The bindings of one exchange, arranged for its kind.
///
/// `D` is a handle of a destination that is cheap to clone: an `Arc` or a small id.
#[derive(Debug)]
pub enum Router<D> {
    /// Bindings of a direct exchange.
    Direct(Direct<D>),
    /// Bindings of a fanout exchange.
    Fanout(Fanout<D>),
    /// Bindings of a topic exchange.
    Topic(Topic<D>),
    /// Bindings of a headers exchange.
    Headers(Headers<D>),
}

impl<D: Clone + Eq + Hash> Router<D> {
    /// A router without bindings.
    pub fn new(kind: ExchangeKind) -> Self {
        match kind {
            ExchangeKind::Direct => Self::Direct(Direct::default()),
            ExchangeKind::Fanout => Self::Fanout(Fanout::default()),
            ExchangeKind::Topic => Self::Topic(Topic::default()),
            ExchangeKind::Headers => Self::Headers(Headers::default()),
        }
    }

    /// The kind it was made for.
    pub fn kind(&self) -> ExchangeKind {
        match self {
            Self::Direct(_) => ExchangeKind::Direct,
            Self::Fanout(_) => ExchangeKind::Fanout,
            Self::Topic(_) => ExchangeKind::Topic,
            Self::Headers(_) => ExchangeKind::Headers,
        }
    }

    /// Adds one binding.
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
        }
    }

    /// Takes exactly one binding away; false, and nothing changes, if there is none like it.
    pub fn unbind(&mut self, key: &[u8], arguments: &FieldTable, destination: &D) -> bool {
        match self {
            Self::Direct(direct) => direct.unbind(key, destination),
            Self::Fanout(fanout) => fanout.unbind(destination),
            Self::Topic(topic) => topic.unbind(key, destination),
            Self::Headers(headers) => headers.unbind(arguments, destination),
        }
    }

    /// Calls `found` with each destination of a message with this routing key and these headers, at times more
    /// than once with the same. A message without headers has an empty table of them.
    pub fn route(&self, key: &[u8], headers: Option<&FieldTable>, found: &mut dyn FnMut(&D)) {
        match self {
            Self::Direct(direct) => direct.route(key, found),
            Self::Fanout(fanout) => fanout.route(found),
            Self::Topic(topic) => topic.route(key, found),
            Self::Headers(by_headers) => by_headers.route(headers, found),
        }
    }

    /// [`ExchangeKind::validate_binding`].
    pub fn validate_binding(kind: ExchangeKind, arguments: &FieldTable) -> Result<(), BindingError> {
        kind.validate_binding(arguments)
    }

    /// Whether there is no binding (what `auto-delete` and `if-unused` ask).
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Direct(direct) => direct.is_empty(),
            Self::Fanout(fanout) => fanout.is_empty(),
            Self::Topic(topic) => topic.is_empty(),
            Self::Headers(headers) => headers.is_empty(),
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

    fn routed(router: &Router<u32>, key: &[u8], headers: Option<&FieldTable>) -> Vec<u32> {
        let mut found = Vec::new();
        router.route(key, headers, &mut |destination| found.push(*destination));
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn the_four_kinds_go_by_their_wire_names_and_no_other() {
        for kind in ExchangeKind::ALL {
            assert_eq!(ExchangeKind::parse(kind.name().as_bytes()), Some(kind));
            assert_eq!(Router::<u32>::new(kind).kind(), kind);
        }
        for name in ["", "Direct", "direct ", "x-delayed-message", "match"] {
            assert_eq!(ExchangeKind::parse(name.as_bytes()), None);
        }
    }

    #[test]
    fn bindings_that_differ_only_in_arguments_are_unbound_one_by_one() {
        for kind in ExchangeKind::ALL {
            let mut router = Router::new(kind);
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
            let mut router = Router::new(kind);
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
            let mut router = Router::new(kind);
            let headers = arguments(1);
            router.bind(b"a", &headers, 7_u32);
            assert!(!router.unbind(b"a", &headers, &8), "{kind:?}");
            assert_eq!(routed(&router, b"a", Some(&headers)), [7], "{kind:?}");
        }
    }

    #[test]
    fn only_a_headers_exchange_reads_binding_arguments() {
        let wrong: FieldTable =
            [(ShortString::from_static("x-match"), FieldValue::I32(1))].into_iter().collect();
        for kind in ExchangeKind::ALL {
            let accepted = Router::<u32>::validate_binding(kind, &wrong).is_ok();
            assert_eq!(accepted, kind != ExchangeKind::Headers);
        }
    }

    #[test]
    fn a_map_gives_memory_back_when_most_of_it_is_gone() {
        let mut map: HashMap<u32, u32> = (0..10_000).map(|key| (key, key)).collect();
        for key in 1..10_000 {
            map.remove(&key);
            shrink(&mut map);
        }
        assert!(map.capacity() <= MAP_CAPACITY_KEPT * 2);
    }
}

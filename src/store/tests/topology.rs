//! Exchanges, queues and bindings for tests.

use proptest::prelude::*;

use crate::core::{
    journal::{QueueId, TopologyChange},
    routing::ExchangeKind,
    topology::{Binding, Destination, ExchangeSpec},
};
use crate::protocol::{FieldTable, ShortString, arbitrary};

/// A durable one, of no particular kind.
pub(in crate::store) fn exchange(name: ShortString) -> ExchangeSpec {
    ExchangeSpec {
        name,
        kind: ExchangeKind::Topic,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: FieldTable::new(),
    }
}

/// Any change.
pub(in crate::store) fn change() -> impl Strategy<Value = TopologyChange> {
    use TopologyChange as Change;
    let name = arbitrary::short_string;
    let exchange =
        (name(), prop::sample::select(&ExchangeKind::ALL[..]), any::<[bool; 3]>(), arbitrary::table())
            .prop_map(|(name, kind, [durable, auto_delete, internal], arguments)| {
                Change::ExchangeDeclared(ExchangeSpec {
                    name,
                    kind,
                    durable,
                    auto_delete,
                    internal,
                    arguments,
                })
            });
    let queue = (any::<u64>(), name(), any::<bool>(), arbitrary::table()).prop_map(
        |(id, name, auto_delete, arguments)| Change::QueueDeclared {
            id: QueueId(id),
            name,
            auto_delete,
            arguments,
        },
    );
    prop_oneof![
        exchange,
        queue,
        name().prop_map(Change::ExchangeDeleted),
        (any::<u64>(), name()).prop_map(|(id, name)| Change::QueueDeleted { id: QueueId(id), name }),
        binding().prop_map(Change::Bound),
        binding().prop_map(Change::Unbound),
    ]
}

fn binding() -> impl Strategy<Value = Binding> {
    let name = arbitrary::short_string;
    (name(), name(), name(), any::<bool>(), arbitrary::table()).prop_map(
        |(source, destination, key, to_exchange, arguments)| {
            let to = if to_exchange { Destination::Exchange } else { Destination::Queue };
            Binding { source, destination: to(destination), key, arguments }
        },
    )
}

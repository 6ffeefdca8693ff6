//! Exchanges, queues and bindings for tests.

use proptest::prelude::*;

use super::access::limits;

use crate::core::{
    change::TopologyChange,
    declared::{
        ApplyTo, Binding, Destination, ExchangeSpec, PolicyKind, PolicySpec, QueueType, VhostSettings,
    },
    placement::QueueId,
    routing::ExchangeKind,
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
        policy().prop_map(|(kind, spec)| Change::PolicySet { kind, spec }),
        policy().prop_map(|(kind, spec)| Change::PolicyDeleted { kind, name: spec.name }),
        settings().prop_map(Change::VhostSet),
        Just(Change::VhostDeleted),
        Just(Change::VhostCleared),
        (name(), name(), any::<String>()).prop_map(|(component, name, value)| Change::ParameterSet {
            component,
            name,
            value
        }),
        (name(), name()).prop_map(|(component, name)| Change::ParameterDeleted { component, name }),
    ]
}

fn policy() -> impl Strategy<Value = (PolicyKind, PolicySpec)> {
    let kind = prop::sample::select(vec![PolicyKind::User, PolicyKind::Operator]);
    let apply_to = prop::sample::select(&ApplyTo::ALL[..]);
    (kind, arbitrary::short_string(), any::<String>(), apply_to, any::<i64>(), arbitrary::table()).prop_map(
        |(kind, name, pattern, apply_to, priority, definition)| {
            (kind, PolicySpec { name, pattern, apply_to, priority, definition })
        },
    )
}

pub(in crate::store) fn settings() -> impl Strategy<Value = VhostSettings> {
    let queue_type = prop::sample::select(vec![None, Some(QueueType::Classic), Some(QueueType::Quorum)]);
    let tags = prop::collection::vec(arbitrary::short_string(), 0..3);
    (any::<String>(), tags, queue_type, any::<bool>(), limits()).prop_map(
        |(description, tags, default_queue_type, tracing, limits)| VhostSettings {
            description,
            tags,
            default_queue_type,
            tracing,
            limits,
        },
    )
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

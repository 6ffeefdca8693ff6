//! The payload of a topology record: one change, and the virtual host where it happened.
//!
//! Names, texts, lists, tables and limits are laid out as `fields.rs` says.
//!
//! ```text
//! u8 tag, name of the vhost, then by tag:
//!  1 exchange declared   name, u8 kind (1 direct, 2 fanout, 3 topic, 4 headers, 5 consistent hash,
//!                        6 modulus hash, 7 random, 8 local random, 9 recent history, 10 delayed message),
//!                        u8 bits (1 durable, 2 auto-delete, 4 internal), table of arguments
//!  2 exchange deleted    name
//!  3 queue declared      u64 id, name, u8 bits (2 auto-delete), table of arguments
//!  4 queue deleted       u64 id, name
//!  5 bound, 6 unbound    name of the source, u8 destination (1 queue, 2 exchange), its name, routing key as a
//!                        name, table of arguments
//!  7 policy set          u8 whose (1 user's, 2 operator's), name, u8 applies to (1 all, 2 exchanges, 3 queues,
//!                        4 classic queues, 5 quorum queues, 6 streams), i64 priority, text of the pattern, table of what
//!                        it says
//!  8 policy deleted      u8 whose, name
//!  9 virtual host set    u8 default type of queues (0 none, 1 classic, 2 quorum); of versions 1 and 2, not written any more
//! 10 virtual host set    u8 default type of queues, u8 bits (1 tracing), text of the description, names of tags, limits
//! 11 virtual host deleted
//! 12 virtual host cleared
//! 13 parameter set       component, name, text (JSON)
//! 14 parameter deleted   component, name
//! ```

use crate::core::{
    change::TopologyChange,
    declared::{
        ApplyTo, Binding, Destination, ExchangeSpec, PolicyKind, PolicySpec, QueueType, VhostSettings,
    },
    placement::QueueId,
    routing::ExchangeKind,
};
use crate::protocol::ShortString;

use super::{
    bytes::{Bytes, Damage, require},
    fields::{
        put_limits, put_name, put_names, put_text, take_limits, take_name, take_names, take_table, take_text,
    },
};

/// A change of topology and where it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct TopologyRecord {
    /// The virtual host.
    pub vhost: ShortString,
    /// What changed.
    pub change: TopologyChange,
}

impl TopologyRecord {
    /// Appends the payload of the record.
    pub fn encode(out: &mut Vec<u8>, vhost: &ShortString, change: &TopologyChange) {
        out.push(tag(change));
        put_name(out, vhost);
        match change {
            TopologyChange::ExchangeDeclared(spec) => put_exchange(out, spec),
            TopologyChange::ExchangeDeleted(name) => put_name(out, name),
            TopologyChange::QueueDeclared { id, name, auto_delete, arguments } => {
                put_queue(out, *id, name);
                out.push(if *auto_delete { AUTO_DELETE } else { 0 });
                arguments.encode(out);
            }
            TopologyChange::QueueDeleted { id, name } => put_queue(out, *id, name),
            TopologyChange::Bound(binding) | TopologyChange::Unbound(binding) => put_binding(out, binding),
            TopologyChange::PolicySet { kind, spec } => put_policy(out, *kind, spec),
            TopologyChange::PolicyDeleted { kind, name } => {
                out.push(policy_kind(*kind));
                put_name(out, name);
            }
            TopologyChange::VhostSet(settings) => put_settings(out, settings),
            TopologyChange::VhostDeleted | TopologyChange::VhostCleared => {}
            TopologyChange::ParameterSet { component, name, value } => {
                put_name(out, component);
                put_name(out, name);
                put_text(out, value);
            }
            TopologyChange::ParameterDeleted { component, name } => {
                put_name(out, component);
                put_name(out, name);
            }
        }
    }

    /// Reads the payload of the record.
    pub fn decode(payload: &[u8]) -> Result<Self, Damage> {
        let mut fields = Bytes(payload);
        let tag = fields.u8()?;
        let vhost = take_name(&mut fields)?;
        let change = Self::take_change(tag, &mut fields)?;
        fields.end()?;
        Ok(Self { vhost, change })
    }

    fn take_change(tag: u8, fields: &mut Bytes<'_>) -> Result<TopologyChange, Damage> {
        Ok(match tag {
            EXCHANGE_DECLARED => TopologyChange::ExchangeDeclared(take_exchange(fields)?),
            EXCHANGE_DELETED => TopologyChange::ExchangeDeleted(take_name(fields)?),
            QUEUE_DECLARED => take_queue(fields)?,
            QUEUE_DELETED => {
                TopologyChange::QueueDeleted { id: QueueId(fields.u64()?), name: take_name(fields)? }
            }
            BOUND => TopologyChange::Bound(take_binding(fields)?),
            UNBOUND => TopologyChange::Unbound(take_binding(fields)?),
            POLICY_SET => take_policy(fields)?,
            POLICY_DELETED => {
                let kind = take_policy_kind(fields)?;
                TopologyChange::PolicyDeleted { kind, name: take_name(fields)? }
            }
            VHOST_SET_V1 => TopologyChange::VhostSet(VhostSettings {
                default_queue_type: take_queue_type(fields)?,
                ..VhostSettings::default()
            }),
            VHOST_SET => TopologyChange::VhostSet(take_settings(fields)?),
            VHOST_DELETED => TopologyChange::VhostDeleted,
            VHOST_CLEARED => TopologyChange::VhostCleared,
            PARAMETER_SET => TopologyChange::ParameterSet {
                component: take_name(fields)?,
                name: take_name(fields)?,
                value: take_text(fields)?,
            },
            PARAMETER_DELETED => {
                TopologyChange::ParameterDeleted { component: take_name(fields)?, name: take_name(fields)? }
            }
            _ => return Err(Damage::Malformed("unknown change of topology")),
        })
    }
}

fn tag(change: &TopologyChange) -> u8 {
    match change {
        TopologyChange::ExchangeDeclared(_) => EXCHANGE_DECLARED,
        TopologyChange::ExchangeDeleted(_) => EXCHANGE_DELETED,
        TopologyChange::QueueDeclared { .. } => QUEUE_DECLARED,
        TopologyChange::QueueDeleted { .. } => QUEUE_DELETED,
        TopologyChange::Bound(_) => BOUND,
        TopologyChange::Unbound(_) => UNBOUND,
        TopologyChange::PolicySet { .. } => POLICY_SET,
        TopologyChange::PolicyDeleted { .. } => POLICY_DELETED,
        TopologyChange::VhostSet(_) => VHOST_SET,
        TopologyChange::VhostDeleted => VHOST_DELETED,
        TopologyChange::VhostCleared => VHOST_CLEARED,
        TopologyChange::ParameterSet { .. } => PARAMETER_SET,
        TopologyChange::ParameterDeleted { .. } => PARAMETER_DELETED,
    }
}

fn put_exchange(out: &mut Vec<u8>, spec: &ExchangeSpec) {
    put_name(out, &spec.name);
    let marks = [(spec.durable, DURABLE), (spec.auto_delete, AUTO_DELETE), (spec.internal, INTERNAL)];
    let bits = marks.iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum();
    out.extend_from_slice(&[kind_octet(spec.kind), bits]);
    spec.arguments.encode(out);
}

fn take_exchange(fields: &mut Bytes<'_>) -> Result<ExchangeSpec, Damage> {
    let name = take_name(fields)?;
    let octet = fields.u8()?;
    let kind = ExchangeKind::ALL.into_iter().find(|kind| kind_octet(*kind) == octet);
    let kind = kind.ok_or(Damage::Malformed("unknown kind of exchange"))?;
    let bits = fields.u8()?;
    require(bits & !(DURABLE | AUTO_DELETE | INTERNAL) == 0, "unknown marks of an exchange")?;
    Ok(ExchangeSpec {
        name,
        kind,
        durable: bits & DURABLE != 0,
        auto_delete: bits & AUTO_DELETE != 0,
        internal: bits & INTERNAL != 0,
        arguments: take_table(fields)?,
    })
}

fn kind_octet(kind: ExchangeKind) -> u8 {
    match kind {
        ExchangeKind::Direct => 1,
        ExchangeKind::Fanout => 2,
        ExchangeKind::Topic => 3,
        ExchangeKind::Headers => 4,
        ExchangeKind::ConsistentHash => 5,
        ExchangeKind::ModulusHash => 6,
        ExchangeKind::Random => 7,
        ExchangeKind::LocalRandom => 8,
        ExchangeKind::RecentHistory => 9,
        ExchangeKind::DelayedMessage => 10,
    }
}

fn put_queue(out: &mut Vec<u8>, id: QueueId, name: &ShortString) {
    out.extend_from_slice(&id.0.to_le_bytes());
    put_name(out, name);
}

fn take_queue(fields: &mut Bytes<'_>) -> Result<TopologyChange, Damage> {
    let (id, name) = (QueueId(fields.u64()?), take_name(fields)?);
    let bits = fields.u8()?;
    require(bits & !AUTO_DELETE == 0, "unknown marks of a queue")?;
    let arguments = take_table(fields)?;
    Ok(TopologyChange::QueueDeclared { id, name, auto_delete: bits != 0, arguments })
}

fn put_binding(out: &mut Vec<u8>, binding: &Binding) {
    put_name(out, &binding.source);
    let (kind, destination) = match &binding.destination {
        Destination::Queue(name) => (TO_QUEUE, name),
        Destination::Exchange(name) => (TO_EXCHANGE, name),
    };
    out.push(kind);
    put_name(out, destination);
    put_name(out, &binding.key);
    binding.arguments.encode(out);
}

fn take_binding(fields: &mut Bytes<'_>) -> Result<Binding, Damage> {
    let source = take_name(fields)?;
    let destination = match fields.u8()? {
        TO_QUEUE => Destination::Queue(take_name(fields)?),
        TO_EXCHANGE => Destination::Exchange(take_name(fields)?),
        _ => return Err(Damage::Malformed("unknown kind of destination")),
    };
    Ok(Binding { source, destination, key: take_name(fields)?, arguments: take_table(fields)? })
}

fn put_policy(out: &mut Vec<u8>, kind: PolicyKind, spec: &PolicySpec) {
    out.push(policy_kind(kind));
    put_name(out, &spec.name);
    out.push(apply_to_number(spec.apply_to));
    out.extend_from_slice(&spec.priority.to_le_bytes());
    put_text(out, &spec.pattern);
    spec.definition.encode(out);
}

fn take_policy(fields: &mut Bytes<'_>) -> Result<TopologyChange, Damage> {
    let (kind, name) = (take_policy_kind(fields)?, take_name(fields)?);
    let number = fields.u8()?;
    let apply_to = ApplyTo::ALL
        .into_iter()
        .find(|known| apply_to_number(*known) == number)
        .ok_or(Damage::Malformed("a policy applies to something unknown"))?;
    let priority = i64::from_le_bytes(fields.array()?);
    let pattern = take_text(fields)?;
    let definition = take_table(fields)?;
    let spec = PolicySpec { name, pattern, apply_to, priority, definition };
    Ok(TopologyChange::PolicySet { kind, spec })
}

fn apply_to_number(apply_to: ApplyTo) -> u8 {
    match apply_to {
        ApplyTo::All => 1,
        ApplyTo::Exchanges => 2,
        ApplyTo::Queues => 3,
        ApplyTo::ClassicQueues => 4,
        ApplyTo::QuorumQueues => 5,
        ApplyTo::Streams => 6,
    }
}

fn policy_kind(kind: PolicyKind) -> u8 {
    match kind {
        PolicyKind::User => 1,
        PolicyKind::Operator => 2,
    }
}

fn take_policy_kind(fields: &mut Bytes<'_>) -> Result<PolicyKind, Damage> {
    match fields.u8()? {
        1 => Ok(PolicyKind::User),
        2 => Ok(PolicyKind::Operator),
        _ => Err(Damage::Malformed("unknown kind of policy")),
    }
}

fn queue_type(queue_type: Option<QueueType>) -> u8 {
    match queue_type {
        None => 0,
        Some(QueueType::Classic) => 1,
        Some(QueueType::Quorum) => 2,
    }
}

fn take_queue_type(fields: &mut Bytes<'_>) -> Result<Option<QueueType>, Damage> {
    match fields.u8()? {
        0 => Ok(None),
        1 => Ok(Some(QueueType::Classic)),
        2 => Ok(Some(QueueType::Quorum)),
        _ => Err(Damage::Malformed("unknown type of queues")),
    }
}

fn put_settings(out: &mut Vec<u8>, settings: &VhostSettings) {
    let VhostSettings { description, tags, default_queue_type, tracing, limits } = settings;
    out.push(queue_type(*default_queue_type));
    out.push(if *tracing { TRACING } else { 0 });
    put_text(out, description);
    put_names(out, tags);
    put_limits(out, limits);
}

fn take_settings(fields: &mut Bytes<'_>) -> Result<VhostSettings, Damage> {
    let default_queue_type = take_queue_type(fields)?;
    let bits = fields.u8()?;
    require(bits & !TRACING == 0, "unknown marks of a virtual host")?;
    Ok(VhostSettings {
        default_queue_type,
        tracing: bits & TRACING != 0,
        description: take_text(fields)?,
        tags: take_names(fields)?,
        limits: take_limits(fields)?,
    })
}

const EXCHANGE_DECLARED: u8 = 1;
const EXCHANGE_DELETED: u8 = 2;
const QUEUE_DECLARED: u8 = 3;
const QUEUE_DELETED: u8 = 4;
const BOUND: u8 = 5;
const UNBOUND: u8 = 6;
const POLICY_SET: u8 = 7;
const POLICY_DELETED: u8 = 8;
const VHOST_SET_V1: u8 = 9;
const VHOST_SET: u8 = 10;
const VHOST_DELETED: u8 = 11;
const VHOST_CLEARED: u8 = 12;
const PARAMETER_SET: u8 = 13;
const PARAMETER_DELETED: u8 = 14;

const DURABLE: u8 = 1;
const AUTO_DELETE: u8 = 2;
const INTERNAL: u8 = 4;

const TRACING: u8 = 1;

const TO_QUEUE: u8 = 1;
const TO_EXCHANGE: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::access::Limit;
    use crate::protocol::{FieldTable, arbitrary::short_string};
    use crate::store::tests::topology::change;

    fn encoded(record: &TopologyRecord) -> Vec<u8> {
        let mut out = vec![];
        TopologyRecord::encode(&mut out, &record.vhost, &record.change);
        out
    }

    fn records() -> impl Strategy<Value = TopologyRecord> {
        (short_string(), change()).prop_map(|(vhost, change)| TopologyRecord { vhost, change })
    }

    #[test]
    fn changes_are_laid_out_as_documented() {
        let name = ShortString::from_static;
        let declared = TopologyChange::ExchangeDeclared(ExchangeSpec {
            name: name("ex"),
            kind: ExchangeKind::Topic,
            durable: true,
            auto_delete: false,
            internal: true,
            arguments: FieldTable::new(),
        });
        let bound = TopologyChange::Bound(Binding {
            source: name("ex"),
            destination: Destination::Exchange(name("e")),
            key: name("k"),
            arguments: FieldTable::new().with("a", true),
        });
        let queue = TopologyChange::QueueDeclared {
            id: QueueId(9),
            name: name("q"),
            auto_delete: true,
            arguments: FieldTable::new(),
        };
        let policy = TopologyChange::PolicySet {
            kind: PolicyKind::Operator,
            spec: PolicySpec {
                name: name("p"),
                pattern: "^é".into(),
                apply_to: ApplyTo::ClassicQueues,
                priority: -2,
                definition: FieldTable::new().with("a", true),
            },
        };
        let gone = TopologyChange::PolicyDeleted { kind: PolicyKind::User, name: name("p") };
        let settings = VhostSettings {
            description: "é".into(),
            tags: vec![name("a"), name("bc")],
            default_queue_type: Some(QueueType::Quorum),
            tracing: true,
            limits: [(Limit::MaxQueues, 9), (Limit::MaxConnections, 258)].into_iter().collect(),
        };
        let (component, parameter) = (name("shovel"), name("s"));
        let set = TopologyChange::ParameterSet {
            component: component.clone(),
            name: parameter.clone(),
            value: "{}".into(),
        };
        let expected: [(_, &[u8]); 10] = [
            (declared, b"\x01\x01/\x02ex\x03\x05\0\0\0\0"),
            (queue, b"\x03\x01/\x09\0\0\0\0\0\0\0\x01q\x02\0\0\0\0"),
            (
                policy,
                b"\x07\x01/\x02\x01p\x04\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x03\0\0\0^\xC3\xA9\0\0\0\x04\x01at\x01",
            ),
            (gone, b"\x08\x01/\x01\x01p"),
            (
                TopologyChange::VhostSet(settings),
                b"\x0A\x01/\x02\x01\x02\0\0\0\xC3\xA9\x02\0\0\0\x01a\x02bc\x02\
                  \x01\x02\x01\0\0\0\0\0\0\x03\x09\0\0\0\0\0\0\0",
            ),
            (TopologyChange::VhostDeleted, b"\x0B\x01/"),
            (TopologyChange::VhostCleared, b"\x0C\x01/"),
            (set, b"\x0D\x01/\x06shovel\x01s\x02\0\0\0{}"),
            (TopologyChange::ParameterDeleted { component, name: parameter }, b"\x0E\x01/\x06shovel\x01s"),
            (bound, b"\x05\x01/\x02ex\x02\x01e\x01k\0\0\0\x04\x01at\x01"),
        ];
        for (change, bytes) in expected {
            assert_eq!(encoded(&TopologyRecord { vhost: name("/"), change }), bytes);
        }
    }

    #[test]
    fn settings_of_versions_1_and_2_are_read() {
        for (octet, default_queue_type) in
            [(0, None), (1, Some(QueueType::Classic)), (2, Some(QueueType::Quorum))]
        {
            let change =
                TopologyChange::VhostSet(VhostSettings { default_queue_type, ..VhostSettings::default() });
            let record = TopologyRecord { vhost: ShortString::from_static("/"), change };
            assert_eq!(TopologyRecord::decode(&[9, 1, b'/', octet]), Ok(record));
        }
        assert!(TopologyRecord::decode(b"\x09\x01/\x03").is_err());
        assert!(TopologyRecord::decode(b"\x09\x01/\x02\0\0\0\0\0\0\0\0\0\0").is_err());
    }

    #[test]
    fn kinds_keep_their_octets() {
        let octets: Vec<u8> = ExchangeKind::ALL.into_iter().map(kind_octet).collect();
        assert_eq!(octets, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        for octet in [0, 11] {
            let bytes = [&b"\x01\x01/\x02ex"[..], &[octet], b"\0\0\0\0\0"].concat();
            assert!(TopologyRecord::decode(&bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(record in records()) {
            let mut bytes = encoded(&record);
            prop_assert_eq!(TopologyRecord::decode(&bytes), Ok(record));
            bytes.push(0);
            prop_assert!(TopologyRecord::decode(&bytes).is_err());
        }

        #[test]
        fn no_bytes_panic(
            record in records(), at in any::<prop::sample::Index>(), octet: u8, noise: Vec<u8>,
        ) {
            let mut bytes = encoded(&record);
            let at = at.index(bytes.len());
            bytes[at] = octet;
            let _ = TopologyRecord::decode(&bytes);
            let _ = TopologyRecord::decode(&bytes[..at]);
            let _ = TopologyRecord::decode(&noise);
        }
    }
}

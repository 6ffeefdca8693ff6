//! The payload of a topology record: one change, and the virtual host where it happened.
//!
//! A name is a length octet and its bytes, a table is AMQP's with its big-endian `u32` length in front.
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
//!                        4 classic queues, 5 quorum queues, 6 streams), i64 priority, u32 length of the pattern, the pattern in
//!                        UTF-8, table of what it says
//!  8 policy deleted      u8 whose, name
//!  9 virtual host set    u8 default type of queues (0 none, 1 classic, 2 quorum)
//! ```

use crate::core::{
    change::TopologyChange,
    declared::{
        ApplyTo, Binding, Destination, ExchangeSpec, PolicyKind, PolicySpec, QueueType, VhostSettings,
    },
    placement::QueueId,
    routing::ExchangeKind,
};
use crate::protocol::{FieldTable, ShortString};

use super::bytes::{Bytes, Damage, require};

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
            TopologyChange::VhostSet(settings) => out.push(queue_type(settings.default_queue_type)),
        }
    }

    /// Reads the payload of the record.
    pub fn decode(payload: &[u8]) -> Result<Self, Damage> {
        let mut fields = Bytes(payload);
        let tag = fields.u8()?;
        let vhost = take_name(&mut fields)?;
        let change = match tag {
            EXCHANGE_DECLARED => TopologyChange::ExchangeDeclared(take_exchange(&mut fields)?),
            EXCHANGE_DELETED => TopologyChange::ExchangeDeleted(take_name(&mut fields)?),
            QUEUE_DECLARED => take_queue(&mut fields)?,
            QUEUE_DELETED => {
                TopologyChange::QueueDeleted { id: QueueId(fields.u64()?), name: take_name(&mut fields)? }
            }
            BOUND => TopologyChange::Bound(take_binding(&mut fields)?),
            UNBOUND => TopologyChange::Unbound(take_binding(&mut fields)?),
            POLICY_SET => take_policy(&mut fields)?,
            POLICY_DELETED => {
                let kind = take_policy_kind(&mut fields)?;
                TopologyChange::PolicyDeleted { kind, name: take_name(&mut fields)? }
            }
            VHOST_SET => TopologyChange::VhostSet(take_settings(&mut fields)?),
            _ => return Err(Damage::Malformed("unknown change of topology")),
        };
        fields.end()?;
        Ok(Self { vhost, change })
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
    out.extend_from_slice(&(spec.pattern.len() as u32).to_le_bytes());
    out.extend_from_slice(spec.pattern.as_bytes());
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
    let length = u32::from_le_bytes(fields.array()?);
    let pattern = String::from_utf8(fields.take(length as usize)?.to_vec())
        .map_err(|_| Damage::Malformed("a pattern is not UTF-8"))?;
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

fn take_settings(fields: &mut Bytes<'_>) -> Result<VhostSettings, Damage> {
    let default_queue_type = match fields.u8()? {
        0 => None,
        1 => Some(QueueType::Classic),
        2 => Some(QueueType::Quorum),
        _ => return Err(Damage::Malformed("unknown type of queues")),
    };
    Ok(VhostSettings { default_queue_type })
}

fn put_name(out: &mut Vec<u8>, name: &ShortString) {
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

fn take_name(fields: &mut Bytes<'_>) -> Result<ShortString, Damage> {
    let length = fields.u8()?;
    let bytes = fields.take(usize::from(length))?;
    ShortString::try_from(bytes).map_err(|_| Damage::Malformed("a name is too long"))
}

fn take_table(fields: &mut Bytes<'_>) -> Result<FieldTable, Damage> {
    let length = u32::from_be_bytes(fields.array()?);
    let bytes = fields.take(length as usize)?;
    FieldTable::decode(bytes).map_err(|_| Damage::Malformed("arguments are not a field table"))
}

const EXCHANGE_DECLARED: u8 = 1;
const EXCHANGE_DELETED: u8 = 2;
const QUEUE_DECLARED: u8 = 3;
const QUEUE_DELETED: u8 = 4;
const BOUND: u8 = 5;
const UNBOUND: u8 = 6;
const POLICY_SET: u8 = 7;
const POLICY_DELETED: u8 = 8;
const VHOST_SET: u8 = 9;

const DURABLE: u8 = 1;
const AUTO_DELETE: u8 = 2;
const INTERNAL: u8 = 4;

const TO_QUEUE: u8 = 1;
const TO_EXCHANGE: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::arbitrary::short_string;
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
        let settings = VhostSettings { default_queue_type: Some(QueueType::Quorum) };
        let expected: [(_, &[u8]); 6] = [
            (declared, b"\x01\x01/\x02ex\x03\x05\0\0\0\0"),
            (queue, b"\x03\x01/\x09\0\0\0\0\0\0\0\x01q\x02\0\0\0\0"),
            (
                policy,
                b"\x07\x01/\x02\x01p\x04\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x03\0\0\0^\xC3\xA9\0\0\0\x04\x01at\x01",
            ),
            (gone, b"\x08\x01/\x01\x01p"),
            (TopologyChange::VhostSet(settings), b"\x09\x01/\x02"),
            (bound, b"\x05\x01/\x02ex\x02\x01e\x01k\0\0\0\x04\x01at\x01"),
        ];
        for (change, bytes) in expected {
            assert_eq!(encoded(&TopologyRecord { vhost: name("/"), change }), bytes);
        }
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

//! What a change costs: whether it takes room, and about how much of it.
//!
//! The writer asks before it encodes; an answer may be too large and is never too small. It does not know how much room there is.

use crate::core::{
    access::AccessChange,
    change::{Change, TopologyChange},
    message::Stage,
};
use crate::store::format::{TopologyRecord, access};

/// Around the payload of a record: its header and padding, and its place in the footer.
const RECORD_BYTES: usize = 64;

/// Whether it may not overtake another one.
pub(super) fn is_ordered(change: &Change) -> bool {
    matches!(change, Change::Topology { .. } | Change::Access(_))
}

/// Whether a change takes room and frees none.
pub(super) fn brings(change: &Change) -> bool {
    match change {
        Change::Publish { message, .. } => message.stage() != Stage::Skipped,
        Change::Topology { change, .. } => match change {
            TopologyChange::QueueDeleted { .. }
            | TopologyChange::ExchangeDeleted(_)
            | TopologyChange::Unbound(_)
            | TopologyChange::PolicyDeleted { .. }
            | TopologyChange::VhostDeleted
            | TopologyChange::VhostCleared
            | TopologyChange::ParameterDeleted { .. } => false,
            TopologyChange::QueueDeclared { .. }
            | TopologyChange::ExchangeDeclared(_)
            | TopologyChange::Bound(_)
            | TopologyChange::PolicySet { .. }
            | TopologyChange::VhostSet(_)
            | TopologyChange::ParameterSet { .. } => true,
        },
        Change::Access(change) => match &**change {
            AccessChange::UserDeleted(_)
            | AccessChange::PermissionsDeleted { .. }
            | AccessChange::TopicPermissionsDeleted { .. }
            | AccessChange::GlobalParameterDeleted(_) => false,
            AccessChange::UserSet(_)
            | AccessChange::PermissionsSet(_)
            | AccessChange::TopicPermissionsSet(_)
            | AccessChange::GlobalParameterSet { .. } => true,
        },
        Change::Settle { .. } | Change::SettleRange { .. } | Change::Return { .. } => false,
    }
}

/// About how many bytes its record takes, and not less.
pub(super) fn size_of(change: &Change) -> usize {
    let mut payload = Vec::new();
    match change {
        Change::Publish { message, .. } if message.stage() == Stage::Skipped => return 0,
        Change::Publish { message, placements, .. } => {
            return message.view().image().len() + 16 * placements.len() + RECORD_BYTES;
        }
        Change::Settle { .. } | Change::Return { .. } | Change::SettleRange { .. } => return RECORD_BYTES,
        // They are seldom, and their fields many.
        Change::Topology { vhost, change } => TopologyRecord::encode(&mut payload, vhost, change),
        Change::Access(change) => access::encode(&mut payload, change),
    }
    payload.len() + RECORD_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::arbitrary::short_string;
    use crate::store::{
        log::encode::{AppendPoint, Encoder},
        tests::{access, topology},
    };

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (short_string(), topology::change())
                .prop_map(|(vhost, change)| Change::Topology { vhost, change }),
            access::change().prop_map(Change::from),
        ]
    }

    proptest! {
        #[test]
        fn no_record_of_what_is_declared_takes_more_than_was_said(change in change()) {
            let said = size_of(&change);
            let mut encoder = Encoder::default();
            encoder.single(change, AppendPoint { salt: 1, offset: 32 });
            let footer_bytes = 4;
            prop_assert!(encoder.bytes.len() + footer_bytes <= said);
        }
    }
}

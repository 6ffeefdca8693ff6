//! What a change costs: whether it takes room, and about how much of it.
//!
//! The writer asks before it encodes; an answer may be too large and is never too small. It does not know how much room there is.

use crate::core::{
    change::{Change, TopologyChange},
    message::Stage,
};

/// Whether it may not overtake another one.
pub(super) fn is_topology(change: &Change) -> bool {
    matches!(change, Change::Topology { .. })
}

/// Whether a change takes room and frees none.
pub(super) fn brings(change: &Change) -> bool {
    match change {
        Change::Publish { message, .. } => message.stage() != Stage::Skipped,
        Change::Topology { change, .. } => !matches!(
            change,
            TopologyChange::QueueDeleted { .. }
                | TopologyChange::ExchangeDeleted(_)
                | TopologyChange::Unbound(_)
                | TopologyChange::PolicyDeleted { .. }
        ),
        Change::Settle { .. } | Change::SettleRange { .. } | Change::Return { .. } => false,
    }
}

/// About how many bytes its record takes, and not less.
pub(super) fn size_of(change: &Change) -> usize {
    match change {
        Change::Publish { message, .. } if message.stage() == Stage::Skipped => 0,
        Change::Publish { message, placements, .. } => {
            message.view().image().len() + 16 * placements.len() + 64
        }
        Change::Settle { .. } | Change::Return { .. } | Change::SettleRange { .. } => 64,
        Change::Topology { change, .. } => topology_size(change),
    }
}

fn topology_size(change: &TopologyChange) -> usize {
    let (table, text) = match change {
        TopologyChange::ExchangeDeclared(spec) => (&spec.arguments, ""),
        TopologyChange::QueueDeclared { arguments, .. } => (arguments, ""),
        TopologyChange::Bound(binding) | TopologyChange::Unbound(binding) => (&binding.arguments, ""),
        TopologyChange::PolicySet { spec, .. } => (&spec.definition, &*spec.pattern),
        TopologyChange::ExchangeDeleted(_)
        | TopologyChange::QueueDeleted { .. }
        | TopologyChange::PolicyDeleted { .. }
        | TopologyChange::VhostSet(_) => return 1_024,
    };
    let mut encoded = Vec::new();
    table.encode(&mut encoded);
    1_200 + encoded.len() + text.len()
}

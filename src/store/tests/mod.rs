//! The store on a disk that loses power, fails and fills up, at every single operation.
//!
//! `machine` is the disk, the key-value store and the parts of the store, moved step by step without threads. `model` says
//! what must and what may be there; `story` does things at random to both. The facts are in `crashes`, `faults`, `figures`
//! and `versions`. Everything follows from a seed, which each failure prints; `LEVERET_CRASHES=1000` plays that many
//! times more stories.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

pub(in crate::store) mod access;
mod crashes;
pub(in crate::store) mod declared;
mod defaults;
mod faults;
mod figures;
mod logged;
mod machine;
mod model;
mod story;
pub(in crate::store) mod topology;
mod versions;

use proptest::prelude::*;

use super::checkpoint::Entity;
use crate::protocol::arbitrary::short_string;

/// Any change of what is declared or set.
pub(in crate::store) fn entity() -> impl Strategy<Value = Entity> {
    prop_oneof![
        3 => (short_string(), topology::change())
            .prop_map(|(vhost, change)| Entity::Topology { vhost, change }),
        3 => access::change().prop_map(Entity::Access),
        1 => Just(Entity::UsersSetUp),
    ]
}

/// `count` in the normal run; more if the environment says so.
fn cases(count: u64) -> u64 {
    let more = std::env::var("LEVERET_CRASHES").ok().and_then(|more| more.parse().ok());
    count * more.unwrap_or(1).max(1)
}

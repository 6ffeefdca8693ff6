//! A queue that is being purged.

use crate::core::queue::Purged;

/// A purge that is under way.
pub(in crate::connection) struct Purging {
    pub number: u16,
    pub purged: Purged,
    pub no_wait: bool,
}

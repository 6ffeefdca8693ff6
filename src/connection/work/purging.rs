//! A queue that is being purged.

use crate::core::queue::Purged;

/// A purge that is under way.
pub(in crate::connection) struct Purging {
    pub(in crate::connection) number: u16,
    pub(in crate::connection) purged: Purged,
    pub(in crate::connection) no_wait: bool,
}

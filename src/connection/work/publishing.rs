//! A message that has come frame by frame, and of which it is not known yet whether its client may publish it.

use crate::connection::assembly::Assembled;
use crate::core::memory::Held;

/// A message that waits for that.
pub(in crate::connection) struct Publishing {
    pub number: u16,
    pub message: Assembled,
    /// Counts it meanwhile.
    pub held: Held,
}

//! Work that one frame can ask for without bound: it is done in pieces, as many in each turn as the turn has steps for.
//!
//! Its states are plain values that know no session: each file has one kind of work, and what is left of it. The session keeps
//! them in a row, and [`super::resuming`] has the turns that resume them. While there is any, no further frame is handled, so
//! answers come in order; what comes to an end meanwhile, the connection too, comes after it: a commit that has begun is
//! carried through.

mod clearing;
mod committing;
mod fan_out;
mod leaving;
mod publishing;
mod purging;
mod revoking;
mod settling;

pub(super) use clearing::{Answer, Clearing};
pub(super) use committing::Committing;
pub(super) use fan_out::FanOut;
pub(super) use leaving::{Leaving, Left, Then, Who};
pub(super) use publishing::Publishing;
pub(super) use purging::Purging;
pub(super) use revoking::{Revoking, Why};
pub(super) use settling::Settling;

use crate::core::queue::Deleted;

/// One piece of work that is under way.
pub(super) enum Work {
    /// A message that waits until it is known whether it may be published.
    Publish(Box<Publishing>),
    /// A message for many queues.
    FanOut(Box<FanOut>),
    /// Many messages that a client settles at once.
    Settle(Settling),
    /// `tx.commit`.
    Commit(Box<Committing>),
    /// `queue.purge`.
    Purge(Box<Purging>),
    /// A channel or the connection ends.
    Leave(Box<Leaving>),
    /// Consumers of a channel that its prefetch had turned away.
    Feed(u16),
    /// `queue.delete` or `exchange.delete` with many bindings.
    Clear(Clearing),
    /// Consumers that may not go on.
    Revoke(Box<Revoking>),
    /// What a queue leaves behind that is gone.
    LetGo(Box<Deleted>),
}

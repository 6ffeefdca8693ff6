//! A transaction that is being committed.

use std::{collections::VecDeque, vec};

use crate::connection::channel::{RunOutcome, Settlement, Transaction};
use crate::core::{
    clock::Millis, commit::Commits, confirms::Outcome, effects::Effects, message::Message, source::Unacked,
};

/// A commit that is under way. Consumers may have some of its messages already; the journal gets all of it at the end.
pub(in crate::connection) struct Committing {
    pub number: u16,
    /// When the client sent `tx.commit`.
    pub now: Millis,
    pub publishes: vec::IntoIter<(Message, bool)>,
    pub settlements: VecDeque<(Settlement, Vec<Unacked>)>,
    /// Where its messages are duplicates: the commits of the messages that came first. `None` if a queue refused one of its messages.
    pub firsts: Option<Commits>,
    pub effects: Effects,
    pub may_be_seen: bool,
    /// The rest of the transaction, which counts its memory.
    pub transaction: Transaction,
}

impl Committing {
    /// Notes what became of one of its messages.
    pub(in crate::connection) fn note(&mut self, run: RunOutcome) {
        match run.outcome {
            Outcome::Refused => self.firsts = None,
            _ if !run.refused.is_empty() => self.firsts = None,
            Outcome::After(commits) => self.firsts = self.firsts.take().map(|firsts| firsts.and(&commits)),
            Outcome::Taken | Outcome::Journaled => {}
        }
    }
}

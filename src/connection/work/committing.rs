//! A transaction that is being committed.

use std::{collections::VecDeque, vec};

use crate::connection::channel::{Outcome, Settlement, Transaction};
use crate::core::{
    clock::Millis, commit::Commits, confirms::Fate, effects::Effects, message::Message, source::Unacked,
};

/// A commit that is under way. Consumers may have some of its messages already; the journal has nothing of it before the end.
pub(in crate::connection) struct Committing {
    pub number: u16,
    /// When it was asked for.
    pub now: Millis,
    pub publishes: vec::IntoIter<(Message, bool)>,
    pub settlements: VecDeque<(Settlement, Vec<Unacked>)>,
    /// The commits of the first ones that its messages are duplicates of; nothing if a queue had no room for one of them.
    pub firsts: Option<Commits>,
    pub effects: Effects,
    pub may_be_seen: bool,
    /// What is left of the transaction: its share of memory.
    pub transaction: Transaction,
}

impl Committing {
    /// Notes what became of one of its messages.
    pub(in crate::connection) fn note(&mut self, outcome: Outcome) {
        match outcome.fate {
            Fate::Refused => self.firsts = None,
            _ if !outcome.refused.is_empty() => self.firsts = None,
            Fate::After(commits) => self.firsts = self.firsts.take().map(|firsts| firsts.and(&commits)),
            Fate::Taken | Fate::Journaled => {}
        }
    }
}

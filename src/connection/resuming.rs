//! Resumes [work](super::work) that is under way, as far as each turn allows.
//!
//! A handler *begins* work, which is kept as a value; each turn *resumes* it, oldest first, before it handles frames. The
//! `resume_...` functions stand beside the handlers that begin such work, and give what is left when the turn is over.

use super::{session::Session, work::Work};
use crate::core::{
    outbox::{feed_by_channel, send},
    turn::Turn,
};
use crate::limits::DELETED_MESSAGES_AT_ONCE_MAX;

impl Session {
    /// Resumes what is under way, as far as this turn allows. Whether nothing is left of it.
    pub(super) fn resume(&mut self) -> bool {
        while let Some(work) = self.works.pop_front() {
            if self.turn.is_over() || self.is_asking() {
                self.works.push_front(work);
                return false;
            }
            if let Some(rest) = self.resume_one(work) {
                self.works.push_front(rest);
            }
        }
        true
    }

    /// Takes a turn in which work is resumed and no frame handled. Whether no work is left.
    pub(super) fn finish(&mut self) -> bool {
        self.turn = Turn::of(self.turn_steps);
        let done = self.resume();
        self.flush();
        send(&self.outbox);
        done
    }

    /// Resumes one piece of work; gives what is left of it when the turn is over.
    fn resume_one(&mut self, work: Work) -> Option<Work> {
        match work {
            Work::Publish(publishing) => {
                self.resume_publishing(*publishing).map(|rest| Work::Publish(Box::new(rest)))
            }
            Work::FanOut(fan_out) => self.resume_fan_out(fan_out).map(Work::FanOut),
            Work::Settle(settling) => self.resume_settling(settling).map(Work::Settle),
            Work::Commit(committing) => self.resume_committing(committing).map(Work::Commit),
            Work::Purge(purging) => self.resume_purging(purging).map(Work::Purge),
            Work::Leave(leaving) => self.resume_leaving(leaving).map(Work::Leave),
            Work::Feed(channel) => {
                let Self { outbox, effects, turn, .. } = self;
                feed_by_channel(outbox, channel, effects, turn).then_some(Work::Feed(channel))
            }
            Work::Clear(clearing) => self.resume_clearing(clearing).map(Work::Clear),
            Work::Revoke(revoking) => self.resume_revoking(revoking).map(Work::Revoke),
            Work::LetGo(mut deleted) => {
                while !self.turn.is_over() {
                    let share = self.turn.share(DELETED_MESSAGES_AT_ONCE_MAX, 1);
                    self.turn.spend(share);
                    if !deleted.let_go(share) {
                        return None;
                    }
                }
                Some(Work::LetGo(deleted))
            }
        }
    }

    /// Feeds consumers that had to wait for memory, on all channels for which there is some now.
    pub(super) fn feed_starved(&mut self) {
        self.turn = Turn::of(self.turn_steps);
        let channels: Vec<_> = self.outbox.lock().channels_to_feed().collect();
        for channel in channels {
            self.feed(channel);
        }
    }
}

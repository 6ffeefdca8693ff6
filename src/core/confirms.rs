//! Publisher confirms of one channel that are on their way out (RabbitMQ's `confirm.select`).
//!
//! Sequence numbers start at 1. What needs no disk is confirmed at once, everything else when the last of its commits is
//! complete, whatever the order in which commits become complete; what becomes due together is confirmed by one ack with
//! `multiple`. What was published later waits for what was published before it.

use std::collections::VecDeque;

use crate::core::commit::{Commit, Commits, Done};
use crate::protocol::basic;

/// Publishes in a row on one channel, and what has to happen before the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRange {
    /// The first one's sequence number.
    pub first: u64,
    /// The last one's.
    pub last: u64,
    /// What became of them.
    pub outcome: Outcome,
}

/// What became of publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing of them is for the journal: they are confirmed at once.
    Taken,
    /// They are part of the publisher's next commit.
    Journaled,
    /// They are safe when all of these commits are complete; there is at least one.
    After(Commits),
    /// A queue had no room: they are answered by `basic.nack`, at once.
    Refused,
}

impl Outcome {
    /// The outcome of what waits for these commits, and for nothing else.
    pub fn after(commits: Commits) -> Self {
        if commits.is_empty() { Self::Taken } else { Self::After(commits) }
    }
}

/// What tells a publisher.
#[derive(Debug)]
pub enum Answer {
    /// Its messages are safe.
    Ack(basic::Ack),
    /// Its messages were refused.
    Nack(basic::Nack),
}

/// The confirms of a channel that wait.
#[derive(Debug, Default)]
pub struct Confirms {
    /// In order of sequence number.
    waiting: VecDeque<Waiting>,
    /// How many were confirmed so far.
    confirmed: u64,
}

/// Publishes in a row, and the commits that they still wait for.
#[derive(Debug)]
struct Waiting {
    first: u64,
    last: u64,
    commits: Commits,
}

impl Confirms {
    /// Publishes that wait for their confirm.
    pub fn count(&self) -> usize {
        self.waiting.iter().map(|its| (its.last - its.first + 1) as usize).sum()
    }

    /// Publishes that were confirmed so far; what was refused does not count.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Notes what was published; `next` is the commit that journaled messages are part of. `tell` gets what is answered now.
    /// Gives the commits that have to be waited for.
    pub fn published(
        &mut self,
        published: PublishRange,
        next: Commit,
        tell: &mut impl FnMut(Answer),
    ) -> Commits {
        let PublishRange { first, last, outcome } = published;
        let refused = outcome == Outcome::Refused;
        let commits = match outcome {
            Outcome::After(commits) => commits,
            Outcome::Journaled => next.into(),
            Outcome::Taken | Outcome::Refused => Commits::default(),
        };
        if !commits.is_empty() {
            self.waiting.push_back(Waiting { first, last, commits: commits.clone() });
            return commits;
        }
        if !refused {
            self.confirmed += last - first + 1;
        }
        let mut answer = |delivery_tag, multiple| {
            tell(if refused {
                Answer::Nack(basic::Nack { delivery_tag, multiple, requeue: false })
            } else {
                Answer::Ack(basic::Ack { delivery_tag, multiple })
            });
        };
        if self.waiting.is_empty() {
            answer(last, last > first);
        } else {
            // `multiple` would speak for those that still wait.
            (first..=last).for_each(|delivery_tag| answer(delivery_tag, false));
        }
        commits
    }

    /// Commits are complete: the ack that is due, if any.
    pub fn committed(&mut self, done: &Done) -> Option<basic::Ack> {
        let mut due: Option<(u64, u64)> = None;
        while let Some(next) = self.waiting.pop_front_if(|next| next.commits.forget_done(done)) {
            self.confirmed += next.last - next.first + 1;
            due = Some((due.map_or(next.first, |(first, _)| first), next.last));
        }
        let (first, last) = due?;
        if self.waiting.is_empty() && self.waiting.capacity() > 1_024 {
            self.waiting = VecDeque::new();
        }
        Some(basic::Ack { delivery_tag: last, multiple: last > first })
    }

    /// Whether anything waits for a commit.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(confirms: &mut Confirms, first: u64, last: u64, commit: Option<u64>) -> Vec<(u64, bool)> {
        let mut acks = Vec::new();
        let outcome = if commit.is_some() { Outcome::Journaled } else { Outcome::Taken };
        let published = PublishRange { first, last, outcome };
        confirms.published(published, Commit(commit.unwrap_or_default()), &mut |answer| {
            let Answer::Ack(ack) = answer else { panic!("nothing was refused") };
            acks.push((ack.delivery_tag, ack.multiple));
        });
        acks
    }

    fn committed(confirms: &mut Confirms, commit: u64) -> Option<(u64, bool)> {
        confirms.committed(&Done::up_to(Commit(commit))).map(|ack| (ack.delivery_tag, ack.multiple))
    }

    #[test]
    fn what_needs_no_disk_is_confirmed_at_once() {
        let mut confirms = Confirms::default();
        assert_eq!(publish(&mut confirms, 1, 1, None), [(1, false)]);
        assert_eq!(publish(&mut confirms, 2, 9, None), [(9, true)]);
        assert!(!confirms.is_waiting());
    }

    #[test]
    fn what_needs_the_disk_is_confirmed_by_its_commit_and_together() {
        let mut confirms = Confirms::default();
        assert!(publish(&mut confirms, 1, 5, Some(1)).is_empty());
        assert!(publish(&mut confirms, 6, 6, Some(2)).is_empty());
        assert!(publish(&mut confirms, 7, 7, Some(3)).is_empty());
        assert_eq!(committed(&mut confirms, 0), None);
        assert_eq!(committed(&mut confirms, 2), Some((6, true)));
        assert_eq!(committed(&mut confirms, 3), Some((7, false)));
        assert_eq!(committed(&mut confirms, 4), None);
    }

    #[test]
    fn an_ack_for_several_never_names_one_that_waits() {
        let mut confirms = Confirms::default();
        assert!(publish(&mut confirms, 1, 2, Some(1)).is_empty());
        assert_eq!(publish(&mut confirms, 3, 5, None), [(3, false), (4, false), (5, false)]);
        assert!(publish(&mut confirms, 6, 6, Some(2)).is_empty());
        assert_eq!(committed(&mut confirms, 1), Some((2, true)));
        assert_eq!(committed(&mut confirms, 2), Some((6, false)));
    }

    #[test]
    fn what_has_several_commits_is_confirmed_after_the_last_of_them_in_any_order() {
        for order in [[2, 5], [5, 2]] {
            let mut confirms = Confirms::default();
            let mut commits = Commits::from(Commit(5));
            commits.add(Commit(2));
            let outcome = Outcome::After(commits.clone());
            let waits =
                confirms.published(PublishRange { first: 1, last: 1, outcome }, Commit(9), &mut |_| {
                    panic!("early")
                });
            assert_eq!(waits, commits);
            let other = Commit(7 - order[0]);
            assert!(confirms.committed(&Done::except(Commit(6), &[other])).is_none(), "{order:?}");
            let ack = confirms.committed(&Done::up_to(Commit(6)));
            assert_eq!(ack.map(|ack| (ack.delivery_tag, ack.multiple)), Some((1, false)));
        }
    }

    #[test]
    fn what_is_held_back_holds_up_what_was_published_after_it_on_the_channel() {
        let mut confirms = Confirms::default();
        assert!(publish(&mut confirms, 1, 1, Some(1)).is_empty());
        assert!(publish(&mut confirms, 2, 2, Some(2)).is_empty());
        assert!(publish(&mut confirms, 3, 3, Some(3)).is_empty());
        let ack = confirms.committed(&Done::except(Commit(3), &[Commit(2)]));
        assert_eq!(ack.map(|ack| ack.delivery_tag), Some(1));
        assert_eq!(committed(&mut confirms, 3), Some((3, true)));
    }
}

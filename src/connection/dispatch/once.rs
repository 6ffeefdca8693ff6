//! Publishing to exchanges and queues that take each message once: see [`crate::core::dedup`].
//!
//! A duplicate counts as taken: it is confirmed when the message that came first is durable. An exchange looks for duplicates
//! before it routes a message, a queue when a message is about to enter it. A delayed message is looked for when it is
//! published, not again when it is due; for queues it is a duplicate only if all of its queues have seen it. Dead letters are
//! not looked for, because a duplicate among them would be lost.

use std::{slice, sync::Arc};

use super::enqueuing::Destined;
use crate::connection::session::Session;
use crate::core::{
    commit::Commits,
    confirms::Outcome,
    dedup::{Deduplicator, Identity, Seen},
    message::Publication,
    observing::DropReason,
    queue::SharedQueue,
};

/// What is remembered if a message is taken.
type Remembered = (Arc<Deduplicator>, Identity);

/// A queue that has not seen a message, and what it remembers of it.
type Fresh = (Arc<SharedQueue>, Option<Remembered>);

/// What became of a message, apart from what the journal gets of it.
#[derive(Default)]
struct Became {
    /// If it is a duplicate: the commits with which the messages that came first are durable.
    firsts: Commits,
    /// A queue had no room for it.
    refused: bool,
}

impl Became {
    fn outcome(self) -> Outcome {
        if self.refused { Outcome::Refused } else { Outcome::after(self.firsts) }
    }
}

impl Session {
    /// Puts a message into the queues that have not seen it.
    ///
    /// `held` is the record of what was seen, if a transaction has locked it; the transaction appends everything at its end.
    /// Otherwise the record is locked and the change appended here, so that no other connection finds an entry that the journal
    /// does not have yet. Tells what became of the message; in a transaction, apart from what its commit has.
    pub(super) fn enqueue_once(
        &mut self,
        destined: &Destined<'_>,
        publication: &mut Publication<'_>,
        held: Option<&mut Seen>,
    ) -> Outcome {
        if let Some(seen) = held {
            return self.enqueue_unseen(destined, publication, seen).outcome();
        }
        self.append_and_confirm(); // what came before has a commit of its own
        let vhost = self.vhost.clone();
        let mut seen = vhost.seen();
        self.effects.defer_reads();
        let mut became = self.enqueue_unseen(destined, publication, &mut seen);
        let commit = self.append(true);
        seen.committed(commit);
        vhost.release_seen(seen);
        self.effects.read_deferred();
        became.firsts.add(commit);
        became.outcome()
    }

    fn enqueue_unseen(
        &mut self,
        destined: &Destined<'_>,
        publication: &mut Publication<'_>,
        seen: &mut Seen,
    ) -> Became {
        let run = slice::from_mut(publication);
        self.count_routed(destined.route, destined.number, destined.mandatory, run);
        let view = publication.view();
        let now = self.broker.clock.now();
        let identify = |deduplicator: &Arc<Deduplicator>| {
            Some((deduplicator.clone(), deduplicator.rule.identify(&view, now)?))
        };
        let find = |(deduplicator, identity): &Remembered| seen.find(&deduplicator.owner, identity.key, now);
        let of_exchange = destined.route.deduplicator().and_then(identify);
        if let Some((deduplicator, _)) = &of_exchange
            && let Some(first) = of_exchange.as_ref().and_then(find)
        {
            deduplicator.count_duplicate();
            self.vhost.note_dropped(DropReason::Duplicate, None, &view);
            return Became { firsts: first.into(), refused: false };
        }
        let mut firsts = Vec::new();
        let mut fresh: Vec<Fresh> = Vec::new();
        for queue in &destined.route.queues {
            let remembered = queue.deduplicator.as_ref().and_then(identify);
            match remembered.as_ref().and_then(find) {
                Some(first) => firsts.push((queue, first)),
                None => fresh.push((queue.clone(), remembered)),
            }
        }
        let is_duplicate = fresh.is_empty() && !firsts.is_empty();
        if destined.due.is_none() || is_duplicate {
            for (queue, _) in &firsts {
                queue.count_duplicate(&view);
            }
        }
        let mut became = Became::default();
        for (_, first) in &firsts {
            became.firsts.add(*first);
        }
        if is_duplicate {
            return became;
        }
        let (taken, refused) = self.enqueue_fresh(destined, publication, fresh, of_exchange);
        let persistent = publication.view().layout.persistent;
        for (deduplicator, identity) in taken {
            seen.remember(&deduplicator, identity, persistent, now, &mut self.effects.changes);
        }
        became.refused = refused;
        became
    }

    /// Enqueues or delays a message; gives what is to be remembered, and whether a queue refused it. The exchange remembers
    /// nothing if a queue refused the message or there was no queue, so that its publisher may try again.
    fn enqueue_fresh(
        &mut self,
        destined: &Destined<'_>,
        publication: &mut Publication<'_>,
        fresh: Vec<Fresh>,
        of_exchange: Option<Remembered>,
    ) -> (Vec<Remembered>, bool) {
        let mut taken: Vec<Remembered> = Vec::new();
        let goes_nowhere = destined.route.queues.is_empty();
        if let Some(due) = destined.due
            && !(goes_nowhere && destined.mandatory)
        {
            self.delay(publication, due);
            taken.extend(of_exchange);
            taken.extend(fresh.into_iter().filter_map(|(_, remembered)| remembered));
            return (taken, false);
        }
        let run = std::slice::from_mut(publication);
        let mut enqueued = self.begin_run();
        for (queue, remembered) in fresh {
            let refused = enqueued.refused.len();
            self.enqueue_to(&queue, run, &mut enqueued);
            if enqueued.refused.len() == refused {
                taken.extend(remembered);
            }
        }
        let refused = !self.end_run(run, enqueued).refused.is_empty();
        if goes_nowhere {
            self.return_or_drop(destined.mandatory, destined.number, &publication.view());
        } else if !refused {
            taken.extend(of_exchange);
        }
        (taken, refused)
    }
}

//! Class basic: the end of a published message's way. It is put into queues, held until it is due, or returned.

use std::sync::Arc;

use crate::connection::{
    channel::RunOutcome,
    session::{Brought, Session, text},
};
use crate::core::{
    change::note_published,
    clock::Millis,
    confirms::Outcome,
    message::{Publication, View},
    observing::{DropReason, Event, What},
    queue::{Enqueued, Origin, SharedQueue},
    topology::Route,
    turn::steps_of_bytes,
};
use crate::protocol::{ReplyCode, ShortString, basic};

/// Where a message goes, when, and on which channel it came.
pub(super) struct Destined<'a> {
    pub(super) route: &'a Route,
    pub(super) number: u16,
    pub(super) mandatory: bool,
    pub(super) due: Option<Millis>,
}

impl Session {
    pub(super) fn enqueue(
        &mut self,
        route: &Route,
        number: u16,
        mandatory: bool,
        run: &mut [Publication<'_>],
    ) -> RunOutcome {
        self.count_routed(route, number, mandatory, run);
        let mut enqueued = self.begin_run();
        for queue in &route.queues {
            self.enqueue_to(queue, run, &mut enqueued);
        }
        if route.queues.is_empty() {
            self.turn.spend(run.len());
            for publication in &mut *run {
                self.return_or_drop(mandatory, number, &publication.view());
            }
        }
        self.end_run(run, enqueued)
    }

    /// Counts messages that a client has published and that take this route, and tells who looks.
    #[inline]
    pub(super) fn count_routed(
        &mut self,
        route: &Route,
        number: u16,
        mandatory: bool,
        run: &mut [Publication<'_>],
    ) {
        let messages = run.len();
        route.count(messages);
        if self.vhost.observers.is_anybody() {
            self.tell_published(route, number, run);
        }
        if let Some(channel) = self.channel_slot(number) {
            channel.tally.published(messages);
            if route.queues.is_empty() {
                channel.tally.unroutable(messages, mandatory);
            }
        }
    }

    /// Begins a run, which [`Self::enqueue_to`] then puts into queues.
    pub(super) fn begin_run(&mut self) -> Enqueued {
        Enqueued { placed: std::mem::take(&mut self.placed), ..Enqueued::default() }
    }

    #[inline]
    pub(super) fn enqueue_to(
        &mut self,
        queue: &Arc<SharedQueue>,
        run: &mut [Publication<'_>],
        enqueued: &mut Enqueued,
    ) {
        self.turn.spend(run.len() * steps_of_enqueuing(run));
        if queue.publish(run, Origin::Client, enqueued, &mut self.effects) {
            self.congested = Some(queue.clone());
        }
    }

    /// Ends a run: notes for the journal where its messages lie, and tells what became of them.
    pub(super) fn end_run(&mut self, run: &mut [Publication<'_>], mut enqueued: Enqueued) -> RunOutcome {
        let outcome = if enqueued.placed.is_empty() { Outcome::Taken } else { Outcome::Journaled };
        if outcome == Outcome::Journaled {
            self.brought = Brought::ForTheJournal;
        }
        note_published(run, &mut enqueued.placed, &mut self.effects.changes);
        self.placed = enqueued.placed;
        RunOutcome { outcome, refused: enqueued.refused }
    }

    /// Keeps a message until it is due. It is routed then.
    pub(super) fn delay(&mut self, publication: &mut Publication<'_>, due: Millis) -> Outcome {
        let mut enqueued = self.begin_run();
        let placement = self.vhost.delay_queue().hold_until(publication, due);
        enqueued.placed.extend(placement.map(|placement| (0, placement)));
        self.end_run(std::slice::from_mut(publication), enqueued).outcome
    }

    /// What becomes of a message for which there is no queue: `basic.return`, which goes out before the confirm, if it is mandatory.
    pub(super) fn return_or_drop(&self, mandatory: bool, number: u16, view: &View<'_>) {
        if !mandatory {
            self.vhost.note_dropped(DropReason::Unrouted, None, view);
            return;
        }
        self.vhost.tell(|| Event::of(What::Returned, *view).by(self.effects.by.as_ref()).on(number));
        let method = basic::Return {
            reply_code: ReplyCode::NoRoute.code(),
            reply_text: text(ReplyCode::NoRoute.name()),
            exchange: ShortString::try_from(view.exchange()).unwrap_or_default(),
            routing_key: ShortString::try_from(view.routing_key()).unwrap_or_default(),
        };
        self.outbox.lock().send_content(number, &method, view);
    }
}

/// Steps that each message of a run takes for each of its queues. The first message's size is taken for that of all.
#[inline]
pub(super) fn steps_of_enqueuing(run: &[Publication<'_>]) -> usize {
    1 + run.first().map_or(0, |first| steps_of_bytes(first.view().image().len()))
}

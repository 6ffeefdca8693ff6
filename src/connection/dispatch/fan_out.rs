//! One message for more queues than a turn has steps for: a few queues in each turn.

use std::{slice, sync::Arc};

use crate::connection::{
    session::Session,
    work::{FanOut, Work},
};
use crate::core::{message::Publication, topology::Route};

impl Session {
    /// Puts a message into the queues of a route, now or in the next turns. Its confirm is due when all of them have it.
    pub(super) fn fan_out(&mut self, number: u16, route: &Arc<Route>, publication: &mut Publication<'_>) {
        let message = publication.keep(self.broker.gauge, || self.broker.clock.now());
        self.count_routed(route, number, false, slice::from_mut(publication));
        let enqueued = self.begin_run();
        let fan_out = FanOut { number, route: route.clone(), next: 0, message, enqueued };
        self.begin(Work::FanOut(Box::new(fan_out)));
    }

    /// Gives what is left when the turn is over.
    pub(in crate::connection) fn resume_fan_out(&mut self, mut fan_out: Box<FanOut>) -> Option<Box<FanOut>> {
        let mut run = [Publication::kept(fan_out.message.clone())];
        while let Some(queue) = fan_out.route.queues.get(fan_out.next) {
            if self.turn.is_over() {
                return Some(fan_out);
            }
            fan_out.next += 1;
            self.enqueue_to(queue, &mut run, &mut fan_out.enqueued);
        }
        let outcome = self.end_run(&mut run, fan_out.enqueued);
        self.note_outcome(fan_out.number, 1, outcome);
        // The turn ends, so that the reader checks for memory before the next message.
        self.turn.end();
        None
    }
}

//! What becomes of consumers that may not go on: when a client renews its token, those of queues that the new one does not permit to
//! read (RabbitMQ 4.3); when a virtual host is deleted, all of its. They are cancelled, and the client is told if it understands that.
//! What they hold stays with their channel.

use super::{
    session::Session,
    work::{Revoking, Why, Work},
};
use crate::core::source::ConsumerRef;
use crate::limits::{CONSUMER_STEPS, PATTERN_STEPS};
use crate::protocol::ShortString;

impl Session {
    /// Begins to look at all consumers again.
    pub(super) fn look_at_consumers_again(&mut self, why: Why) {
        let channels = self.outbox.lock().channels().map(|(number, _)| number).collect();
        let revoking = Revoking { why, channels, consumers: (0, Vec::new()), cancelled: 0 };
        self.begin(Work::Revoke(Box::new(revoking)));
    }

    /// Gives what is left when the turn is over.
    pub(super) fn resume_revoking(&mut self, mut revoking: Box<Revoking>) -> Option<Box<Revoking>> {
        while !self.turn.is_over() {
            self.turn.spend(PATTERN_STEPS + CONSUMER_STEPS);
            let (number, consumers) = &mut revoking.consumers;
            let Some((tag, who)) = consumers.pop() else {
                let Some(next) = revoking.channels.pop_front() else {
                    self.tell_of_revoked(&revoking);
                    return None;
                };
                revoking.consumers = (next, self.consumers_of(next));
                continue;
            };
            let (source, id) = &who;
            if revoking.why == Why::TokenRenewed && self.may_go_on_reading(source.name()) {
                continue;
            }
            self.outbox.lock().cancel_consumer(*number, &tag, &who);
            revoking.cancelled += 1;
            if source.clone().cancel(*id, &mut self.effects) {
                self.last_consumer_left(source);
            }
        }
        Some(revoking)
    }

    fn consumers_of(&self, number: u16) -> Vec<(ShortString, ConsumerRef)> {
        let mut outbox = self.outbox.lock();
        let Some(window) = outbox.window(number) else { return Vec::new() };
        window.consumers().map(|(tag, who)| (tag.clone(), who.clone())).collect()
    }

    fn tell_of_revoked(&self, revoking: &Revoking) {
        let cancelled = revoking.cancelled;
        if cancelled > 0 && revoking.why == Why::TokenRenewed {
            tracing::info!(
                parent: &self.span(),
                cancelled,
                "consumers cancelled: the new token does not permit to read their queues"
            );
        }
    }
}

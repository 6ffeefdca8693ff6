//! The end of a deletion: the bindings of the queue or exchange are taken out in pieces, between which other connections have
//! their turn; then the client is answered.

use crate::connection::{
    session::Session,
    work::{Answer, Clearing, Work},
};
use crate::limits::BINDINGS_CLEARED_STEPS;

impl Session {
    /// Takes out what is left of a queue or exchange, now or in the next turns, and then tells the client that it is gone.
    pub(super) fn clear(&mut self, clearing: Clearing) {
        if self.vhost.is_clearing(&clearing.name) {
            self.begin(Work::Clear(clearing));
        } else {
            self.answer_deletion(clearing);
        }
    }

    /// Gives what is left when the turn is over.
    pub(in crate::connection) fn resume_clearing(&mut self, clearing: Clearing) -> Option<Clearing> {
        while self.vhost.is_clearing(&clearing.name) {
            if self.turn.is_over() {
                return Some(clearing);
            }
            self.vhost.clear_away();
            self.turn.spend(BINDINGS_CLEARED_STEPS);
        }
        self.answer_deletion(clearing);
        None
    }

    fn answer_deletion(&mut self, clearing: Clearing) {
        match clearing.answer {
            Some(Answer::Queue(answer)) => self.reply(clearing.channel, &answer),
            Some(Answer::Exchange(answer)) => self.reply(clearing.channel, &answer),
            None => {}
        }
    }
}

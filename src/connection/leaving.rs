//! The end of a channel or of a connection: what it holds goes back, piece by piece.
//!
//! First the messages that its client has not settled, then its consumers, so that a successor gets what was held in its order;
//! then the queues that are deleted with them. The client is answered when all of that is done.
//!
//! To *release* a channel or connection is to do all of that; to *give back* is to return messages to their queues.

use std::sync::Arc;

use super::{
    channel::Channel,
    session::{Phase, Session},
    work::{Leaving, Left, Then, Who},
};
use crate::core::{
    outbox::send,
    source::{Comeback, Source, settle_by_source},
    window::Window,
};
use crate::limits::{CONSUMER_STEPS, RETURN_STEPS, TOPOLOGY_STEPS};
use crate::protocol::{channel, connection};

impl Session {
    /// Gives what is left when the turn is over.
    pub(super) fn resume_leaving(&mut self, mut leaving: Box<Leaving>) -> Option<Box<Leaving>> {
        let mut left = leaving.left.take().unwrap_or_else(|| self.begin_leaving(leaving.who));
        while !self.turn.is_over() {
            if self.give_back_some(&mut left) {
                continue;
            }
            self.flush();
            if let Who::Connection = leaving.who {
                self.broker.connections.disconnected(self.id);
            }
            self.last_words(leaving.then);
            return None;
        }
        leaving.left = Some(left);
        Some(leaving)
    }

    fn begin_leaving(&mut self, who: Who) -> Left {
        self.settle_acked();
        match who {
            Who::Channel(number) => {
                let memory = self.memory.clone();
                if let Some(channel) = self.channel_slot(number) {
                    let closing = channel.closing;
                    let ended = std::mem::replace(channel, Channel::new(&memory));
                    channel.closing = closing;
                    self.end_channel(number, ended);
                }
                let window = self.outbox.lock().close_window(number);
                self.keep_counts(window.as_deref());
                Left { windows: window.into_iter().map(|window| *window).collect(), ..Left::default() }
            }
            Who::Connection => {
                for (number, channel) in self.channels.take_all() {
                    self.end_channel(number, *channel);
                }
                let windows = self.outbox.lock().close_windows();
                self.keep_counts(&windows);
                let windows = windows.into();
                let owned = std::mem::take(&mut self.exclusive_queues).into_values().collect();
                Left { windows, owned, ..Left::default() }
            }
        }
    }

    /// The virtual host keeps what was counted on channels that end.
    fn keep_counts<'a>(&self, windows: impl IntoIterator<Item = &'a Window>) {
        for window in windows {
            self.vhost.keep_counts(&window.counts());
            self.broker.connections.churn.channel_closed();
        }
    }

    /// Makes what an uncommitted transaction had settled unacknowledged again.
    fn end_channel(&mut self, number: u16, channel: Channel) {
        let returned = channel.into_unsettled();
        if let Some(window) = self.outbox.lock().window(number) {
            window.restore(returned);
        }
    }

    /// Gives back one piece; false if nothing is left.
    fn give_back_some(&mut self, left: &mut Left) -> bool {
        if let Some(mut window) = left.windows.pop_front() {
            if self.give_back_unacked(&mut window, left) {
                left.windows.push_front(window);
                return true;
            }
            if let Some(reply) = &window.reply {
                self.broker.reply_consumers.remove(&reply.token);
            }
            left.consumers.push_back(window.into_consumers());
        } else if let Some(consumers) = left.consumers.front_mut() {
            self.turn.spend(CONSUMER_STEPS);
            match consumers.next() {
                Some((source, id)) => {
                    if source.clone().cancel(id, &mut self.effects) {
                        left.abandoned.push_back(source);
                    }
                }
                None => drop(left.consumers.pop_front()),
            }
        } else if let Some((_, source)) = left.returned_to.pop_first() {
            self.turn.spend(CONSUMER_STEPS);
            source.dispatch(&mut self.effects);
        } else if let Some(source) = left.abandoned.pop_front() {
            self.turn.spend(TOPOLOGY_STEPS);
            self.last_consumer_left(&source);
        } else if let Some(queue) = left.owned.pop() {
            self.turn.spend(TOPOLOGY_STEPS);
            let deleted = self.vhost.owner_left(&queue);
            self.let_go(deleted);
        } else {
            return false;
        }
        true
    }

    /// Gives back some of what a window holds; whether there may be more.
    fn give_back_unacked(&mut self, window: &mut Window, left: &mut Left) -> bool {
        let mut taken = Vec::new();
        let more = window.take_up_to(u64::MAX, self.turn.share(usize::MAX, RETURN_STEPS), &mut taken);
        self.turn.spend(taken.len() * RETURN_STEPS);
        settle_by_source(taken, |source, unacked| {
            source.clone().give_back(unacked, Comeback::Failed, &mut self.effects);
            left.returned_to.entry(source.id()).or_insert(source);
        });
        more
    }

    /// Deletes a queue that is to go with its last consumer, unless it has another one by now.
    pub(super) fn last_consumer_left(&mut self, source: &Arc<dyn Source>) {
        let (name, id) = (source.name(), source.id());
        let queue = self.vhost.read(|topology| topology.queue(name).filter(|queue| queue.id == id).cloned());
        let deleted = queue.as_ref().map(|queue| self.vhost.last_consumer_left(queue));
        if queue.is_none_or(|queue| queue.is_deleted())
            && self.exclusive_queues.get(name).is_some_and(|queue| queue.id == id)
        {
            self.exclusive_queues.remove(name);
        }
        self.let_go(deleted.unwrap_or_default());
    }

    fn last_words(&mut self, then: Then) {
        match then {
            Then::AnswerChannelClose(number) => {
                self.channels.remove(number);
                self.reply(number, &channel::CloseOk {});
            }
            Then::CloseChannel(number, close) => self.reply(number, &close),
            Then::AnswerConnectionClose => {
                self.reply(0, &connection::CloseOk {});
                self.phase = Phase::Left;
            }
            // The client may have closed, and been answered, while this waited for its turn.
            Then::CloseConnection(close) if self.phase != Phase::Left => {
                self.reply(0, &close);
                send(&self.outbox);
            }
            Then::Nothing | Then::CloseConnection(_) => {}
        }
    }
}

//! Who looks at what, as one value: it is replaced as a whole when somebody comes or goes, so that looking it up waits for nobody.

use std::{collections::HashSet, sync::Arc};

use foldhash::fast::RandomState;

use super::{Event, Subject, Tail, What};
use crate::core::{dead_letter, message::View};
use crate::limits::TRACES_MAX;
use crate::protocol::ShortString;

/// Who looks at messages of a virtual host.
#[derive(Clone, Default)]
pub struct Lookouts {
    traced: Traced,
    tails: Vec<Arc<Tail>>,
    taps: bool,
}

/// Names of one kind.
type Names = HashSet<ShortString, RandomState>;

/// Of what the history is kept.
#[derive(Clone, Default)]
struct Traced {
    queues: Names,
    exchanges: Names,
    messages: Names,
}

impl Traced {
    fn names(&mut self, subject: &Subject) -> &mut Names {
        match subject {
            Subject::Queue(_) => &mut self.queues,
            Subject::Exchange(_) => &mut self.exchanges,
            Subject::Message(_) => &mut self.messages,
        }
    }

    fn count(&self) -> usize {
        self.queues.len() + self.exchanges.len() + self.messages.len()
    }

    /// Whether it depends on the message, and not on the queue alone, if it is traced.
    fn asks_messages(&self) -> bool {
        !self.exchanges.is_empty() || !self.messages.is_empty()
    }

    fn has_message(&self, message: &View<'_>) -> bool {
        let is_of_exchange = || {
            self.exchanges.contains(message.exchange())
                || dead_letter::origin(message)
                    .is_some_and(|origin| self.exchanges.contains(&*origin.exchange))
        };
        (!self.exchanges.is_empty() && is_of_exchange())
            || (!self.messages.is_empty()
                && message.message_id().is_some_and(|id| self.messages.contains(id)))
    }
}

/// As many subjects are traced as may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{TRACES_MAX} traces are on in this virtual host, and no more may be")]
pub struct TooManyTraces;

impl Lookouts {
    /// Whether nobody looks.
    pub(super) fn is_empty(&self) -> bool {
        self.traced.count() == 0 && self.tails.is_empty() && !self.taps
    }

    /// Whether somebody may want to know what happens in a queue.
    pub(super) fn may_want(&self, queue: &[u8]) -> bool {
        self.taps
            || self.traced.asks_messages()
            || self.traced.queues.contains(queue)
            || self.tails.iter().any(|tail| matches!(&tail.subject, Subject::Queue(name) if **name == *queue))
    }

    /// Whether published and delivered messages are also sent to `amq.rabbitmq.trace`.
    pub fn taps(&self) -> bool {
        self.taps
    }

    pub(super) fn set_taps(&mut self, are_on: bool) {
        self.taps = are_on;
    }

    /// What is traced, in order.
    pub(super) fn traced(&self) -> Vec<Subject> {
        let Traced { queues, exchanges, messages } = &self.traced;
        let queues = queues.iter().cloned().map(Subject::Queue);
        let exchanges = exchanges.iter().cloned().map(Subject::Exchange);
        let mut all: Vec<_> =
            queues.chain(exchanges).chain(messages.iter().cloned().map(Subject::Message)).collect();
        all.sort();
        all
    }

    /// Traces something more. False if it was traced already.
    pub(super) fn trace(&mut self, subject: &Subject) -> Result<bool, TooManyTraces> {
        let (name, is_full) = (subject.parts().1, self.traced.count() >= TRACES_MAX);
        let names = self.traced.names(subject);
        match names.contains(name) {
            true => Ok(false),
            false if is_full => Err(TooManyTraces),
            false => Ok(names.insert(name.clone())),
        }
    }

    /// Traces something no more. False if it was not traced.
    pub(super) fn untrace(&mut self, subject: &Subject) -> bool {
        self.traced.names(subject).remove(subject.parts().1)
    }

    /// Whether an event is for the history.
    pub(super) fn traces(&self, event: &Event<'_>) -> bool {
        let of_queue = || event.queue.is_some_and(|queue| self.traced.queues.contains(queue));
        let of_message = || match &event.message {
            Some(message) => self.traced.has_message(message),
            // It may be one that is traced.
            None => event.what.is_of_queue() && self.traced.asks_messages(),
        };
        of_queue() || (self.traced.asks_messages() && of_message())
    }

    /// Whether a publish is for the history: the message is traced, or one of the queues to which it goes.
    pub(super) fn traces_publish<'a>(
        &self,
        message: &View<'_>,
        mut queues: impl Iterator<Item = &'a ShortString>,
    ) -> bool {
        (!self.traced.queues.is_empty() && queues.any(|queue| self.traced.queues.contains(queue)))
            || self.traced.has_message(message)
    }

    /// Somebody sees from now on what comes in.
    pub(super) fn add_tail(&mut self, tail: Arc<Tail>) {
        self.tails.push(tail);
    }

    /// Somebody does so no more.
    pub(super) fn remove_tail(&mut self, tail: &Arc<Tail>) {
        self.tails.retain(|other| !Arc::ptr_eq(other, tail));
    }

    /// Who sees what comes in where this has happened.
    pub(super) fn tails_of<'a>(&'a self, event: &'a Event<'_>) -> impl Iterator<Item = &'a Arc<Tail>> {
        self.tails.iter().filter(|tail| match (&tail.subject, &event.what) {
            (Subject::Queue(name), What::Enqueued | What::QueueDeleted(_)) => event.queue == Some(name),
            (Subject::Exchange(name), What::Published(_)) => {
                event.message.is_some_and(|message| message.exchange() == &**name)
            }
            _ => false,
        })
    }
}

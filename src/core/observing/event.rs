//! What happens to a message, as it is told to who looks.

use std::sync::Arc;

use super::DropReason;
use crate::core::{client::Client, clock::Millis, dead_letter::Reason, message::View};
use crate::limits::EVENT_QUEUES_MAX;
use crate::protocol::ShortString;

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was published to an exchange, by a client or, having left a queue, by the broker.
    Published(Routed),
    /// It was published, mandatory, and there was no queue for it: it has gone back to its publisher.
    Returned,
    /// It has come to a queue.
    Enqueued,
    /// It was published with a delay, and waits.
    Delayed {
        /// Until then.
        until: Millis,
    },
    /// The delay is over: it is published now.
    Due,
    /// It was delivered to a consumer.
    Delivered {
        /// The consumer's tag.
        consumer: ShortString,
        /// The delivery says that there may have been one before.
        redelivered: bool,
        /// It is gone with that.
        no_ack: bool,
    },
    /// A client has got it by `basic.get`.
    Got {
        /// See [`What::Delivered`].
        redelivered: bool,
        /// See [`What::Delivered`].
        no_ack: bool,
    },
    /// Who had it acknowledged it: it is gone.
    Acknowledged,
    /// Who had it refused it for good.
    Rejected,
    /// It has come back to its queue.
    Requeued {
        /// How often it has come back by now.
        attempts: u32,
    },
    /// It has come back, and is delivered again later.
    Waiting {
        /// Then.
        until: Millis,
    },
    /// It has waited long enough.
    Ready,
    /// It has left its queue for the dead-letter exchange.
    DeadLettered(Reason),
    /// It is gone.
    Dropped(DropReason),
    /// An operator has moved it elsewhere.
    Redriven,
    /// It waited, and an operator has cancelled it.
    Cancelled,
    /// It waits, and an operator has set another time.
    Rescheduled {
        /// Until then.
        until: Millis,
    },
    /// A queue was purged of so many messages.
    Purged(usize),
    /// A queue was deleted with so many messages.
    QueueDeleted(usize),
}

/// Where a message goes that was published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routed {
    /// Queues, the first [`EVENT_QUEUES_MAX`] of them.
    pub queues: Vec<ShortString>,
    /// How many there are.
    pub count: usize,
}

impl Routed {
    /// To these queues.
    pub fn to<'a>(queues: impl ExactSizeIterator<Item = &'a ShortString>) -> Self {
        let count = queues.len();
        Self { queues: queues.take(EVENT_QUEUES_MAX).cloned().collect(), count }
    }
}

impl What {
    /// A word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Published(_) => "published",
            Self::Returned => "returned",
            Self::Enqueued => "enqueued",
            Self::Delayed { .. } => "delayed",
            Self::Due => "due",
            Self::Delivered { .. } => "delivered",
            Self::Got { .. } => "got",
            Self::Acknowledged => "acknowledged",
            Self::Rejected => "rejected",
            Self::Requeued { .. } => "requeued",
            Self::Waiting { .. } => "waiting",
            Self::Ready => "ready",
            Self::DeadLettered(_) => "dead_lettered",
            Self::Dropped(_) => "dropped",
            Self::Redriven => "redriven",
            Self::Cancelled => "cancelled",
            Self::Rescheduled { .. } => "rescheduled",
            Self::Purged(_) => "purged",
            Self::QueueDeleted(_) => "queue_deleted",
        }
    }

    /// Whether a message to which it happens in a queue is there afterwards, and then whether a client holds it.
    pub(super) fn stays_held(&self) -> Option<bool> {
        match self {
            Self::Enqueued
            | Self::Requeued { .. }
            | Self::Waiting { .. }
            | Self::Ready
            | Self::Rescheduled { .. }
            | Self::Delayed { .. } => Some(false),
            Self::Delivered { no_ack, .. } | Self::Got { no_ack, .. } => (!no_ack).then_some(true),
            Self::Published(_)
            | Self::Returned
            | Self::Due
            | Self::Acknowledged
            | Self::Rejected
            | Self::DeadLettered(_)
            | Self::Dropped(_)
            | Self::Redriven
            | Self::Cancelled
            | Self::Purged(_)
            | Self::QueueDeleted(_) => None,
        }
    }

    /// Whether it happens to all messages of a queue, and is told without saying which they are.
    pub fn is_of_queue(&self) -> bool {
        matches!(self, Self::Purged(_) | Self::QueueDeleted(_))
    }
}

/// Something that happens to a message.
pub struct Event<'a> {
    /// What it is.
    pub what: What,
    /// The queue in which it happens.
    pub queue: Option<&'a ShortString>,
    /// The message's position there, if it has one.
    pub position: Option<u64>,
    /// The message, where it is known.
    pub message: Option<View<'a>>,
    /// Who has done it, or got it.
    pub by: Option<&'a Arc<Client>>,
    /// On which channel.
    pub channel: Option<u16>,
}

impl<'a> Event<'a> {
    /// It happens to a message.
    pub fn of(what: What, message: View<'a>) -> Self {
        Self { message: Some(message), ..Self::without_message(what) }
    }

    /// It happens to what is not looked at.
    pub fn without_message(what: What) -> Self {
        Self { what, queue: None, position: None, message: None, by: None, channel: None }
    }

    /// It happens in a queue, at a position if the message has one.
    #[must_use]
    pub fn within(self, queue: &'a ShortString, position: Option<u64>) -> Self {
        Self { queue: Some(queue), position, ..self }
    }

    /// A client has done it, or got the message.
    #[must_use]
    pub fn by(self, by: Option<&'a Arc<Client>>) -> Self {
        Self { by, ..self }
    }

    /// On a channel.
    #[must_use]
    pub fn on(self, channel: u16) -> Self {
        Self { channel: Some(channel), ..self }
    }
}

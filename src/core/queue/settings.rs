//! What may change while a queue lives: its arguments, merged with the policies that apply to it.

use super::retry::Retry;
use crate::core::clock::Millis;
use crate::protocol::ShortString;

/// What a queue does with a message for which it has no room (`x-overflow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It makes room by dropping its oldest messages.
    #[default]
    DropHead,
    /// It refuses the message; a publisher in confirm mode gets `basic.nack`.
    RejectPublish,
    /// The same, and the refused message is dead-lettered.
    RejectPublishDlx,
}

/// See the module's text. Times in milliseconds, sizes in bytes of bodies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueueSettings {
    /// How long a message waits at most.
    pub message_ttl: Option<Millis>,
    /// How long the queue lives without being used.
    pub expires: Option<Millis>,
    /// Where dead messages go.
    pub dead_letter_exchange: Option<ShortString>,
    /// The routing key of dead messages, if not their own.
    pub dead_letter_routing_key: Option<ShortString>,
    /// Ready messages at most.
    pub max_length: Option<u64>,
    /// Bytes of the bodies of ready messages at most.
    pub max_length_bytes: Option<u64>,
    /// What happens beyond either.
    pub overflow: Overflow,
    /// Failed deliveries of a message at most; more than that, and it is dead.
    pub delivery_limit: Option<u32>,
    /// How long a consumer may hold a message; the broker's own setting counts if there is none.
    pub consumer_timeout: Option<Millis>,
    /// When returned messages come again.
    pub retry: Retry,
}

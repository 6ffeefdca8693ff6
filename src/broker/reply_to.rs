//! Direct reply-to (RabbitMQ): a consumer of the pseudo-queue `amq.rabbitmq.reply-to` gets what is published to
//! the default exchange under the name that its own requests carry; no queue is made.

use dashmap::DashMap;

use super::draw_name;
use crate::core::{message::View, outbox::SharedOutbox, outgoing::Outgoing};
use crate::protocol::ShortString;

/// The pseudo-queue's name.
pub const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// The token in a generated reply name `amq.rabbitmq.reply-to.<token>`.
pub fn reply_token(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(REPLY_TO.as_bytes())?.strip_prefix(b".")
}

/// Where replies go, by token.
#[derive(Default)]
pub struct ReplyConsumers {
    by_token: DashMap<ShortString, (SharedOutbox, u16)>,
}

impl ReplyConsumers {
    /// Registers a channel's reply consumer; gives its token.
    pub fn register(&self, outbox: &SharedOutbox, channel: u16) -> ShortString {
        let token = draw_name("");
        self.by_token.insert(token.clone(), (outbox.clone(), channel));
        token
    }

    /// Forgets a reply consumer.
    pub fn remove(&self, token: &[u8]) {
        self.by_token.remove(token);
    }

    /// Whether a reply consumer still waits under this token.
    pub fn exists(&self, token: &[u8]) -> bool {
        self.by_token.contains_key(token)
    }

    /// Hands a reply over, to be sent with what is outgoing; false if no consumer waits for it.
    pub fn deliver(&self, token: &[u8], view: &View<'_>, outgoing: &mut Outgoing) -> bool {
        let Some((outbox, channel)) = self.by_token.get(token).map(|entry| entry.value().clone()) else {
            return false;
        };
        let delivered = outbox.lock().deliver_reply(channel, token, view);
        outgoing.add(outbox);
        delivered
    }
}

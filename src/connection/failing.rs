//! What becomes of a channel or connection after an error: it is closed, and what it holds goes back.

use std::time::Instant;

use super::{
    session::{MethodIds, Phase, Session, text},
    sparing::Sparing,
    work::Then,
};
use crate::core::error::AmqpError;
use crate::limits::{CHANNEL_ERRORS_LOGGED_MAX, CHANNEL_ERRORS_LOGGED_REFILL};
use crate::protocol::{ReplyCode, channel, connection};

impl Session {
    /// Answers an error: a hard one, or one without a channel, ends the connection, any other the channel.
    pub(super) fn fail(&mut self, number: u16, error: &AmqpError, (class_id, method_id): MethodIds) {
        self.flush();
        if error.code.is_hard() || number == 0 {
            self.close(error, (class_id, method_id), number);
            return;
        }
        self.log_channel_error(number, error);
        if let Some(channel) = self.channel_slot(number) {
            channel.closing = true;
        }
        let close = channel::Close {
            reply_code: error.code.code(),
            reply_text: text(&error.reply_text()),
            class_id,
            method_id,
        };
        self.release_channel(number, Then::CloseChannel(number, close));
    }

    /// Logs an error, so sparingly that a client which repeats it for ever does not fill the log.
    fn log_channel_error(&mut self, channel: u16, error: &AmqpError) {
        let sparing = self.errors_logged.get_or_insert_with(|| {
            Box::new(Sparing::new(CHANNEL_ERRORS_LOGGED_MAX, CHANNEL_ERRORS_LOGGED_REFILL))
        });
        match sparing.take(Instant::now()) {
            None => {}
            Some(0) => tracing::warn!(parent: &self.span(), channel, %error, "channel closed"),
            Some(left_out) => {
                tracing::warn!(parent: &self.span(), channel, %error, left_out, "channel closed, as others before it");
            }
        }
    }

    /// How many errors on channels the log was spared.
    pub(super) fn unlogged_errors(&self) -> u64 {
        self.errors_logged.as_ref().map_or(0, |sparing| sparing.left_out())
    }

    /// Begins to release everything, after which `connection.close` is sent. The client's answer is still awaited.
    pub(super) fn close(&mut self, error: &AmqpError, (class_id, method_id): MethodIds, number: u16) {
        if self.phase != Phase::Open {
            return;
        }
        self.closed_for = Some(Box::new((number, error.clone())));
        self.phase = Phase::Closing;
        self.replies_full = false; // of what follows only the answer counts
        let close = connection::Close {
            reply_code: error.code.code(),
            reply_text: text(&error.reply_text()),
            class_id,
            method_id,
        };
        self.release_everything(Then::CloseConnection(close));
    }

    /// Closes a connection whose bytes are no frames: nothing that follows can be understood, not even an answer.
    pub(super) fn lose_place(&mut self, error: &AmqpError) {
        self.close(error, (0, 0), 0);
        self.phase = Phase::Lost;
    }
}

/// The error for a panic in what belongs to one connection alone.
pub(super) fn internal_error() -> AmqpError {
    AmqpError::new(ReplyCode::InternalError, "the broker failed on what this connection sent")
}

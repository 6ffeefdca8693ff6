//! Class channel and class confirm (AMQP 1.5; RabbitMQ's publisher confirms).

use crate::connection::{
    channel::{Mode, Unconfirmed},
    leaving::Then,
    session::Session,
};
use crate::core::error::{AmqpError, not_implemented, precondition_failed};
use crate::protocol::{channel, confirm};

impl Session {
    pub(super) fn channel_close(&mut self, number: u16) {
        self.release_channel(number, Then::AnswerChannelClose(number));
    }

    /// RabbitMQ slows consumers by prefetch, and has no `active=false`.
    pub(super) fn channel_flow(&mut self, number: u16, flow: &channel::Flow) -> Result<(), AmqpError> {
        if !flow.active {
            return Err(not_implemented("active=false"));
        }
        self.reply(number, &channel::FlowOk { active: true });
        Ok(())
    }

    pub(super) fn confirm_select(&mut self, number: u16, select: &confirm::Select) -> Result<(), AmqpError> {
        let channel = self.channel(number);
        match &channel.mode {
            Mode::Plain => channel.mode = Mode::Confirm(Unconfirmed::default()),
            Mode::Confirm(_) => {}
            Mode::Transaction(_) => return Err(precondition_failed("cannot switch from tx to confirm mode")),
        }
        if !select.no_wait {
            self.reply(number, &confirm::SelectOk {});
        }
        Ok(())
    }
}

//! Class channel and class confirm (AMQP 1.5; RabbitMQ's publisher confirms).

use crate::connection::{
    channel::{Channel, ChannelPlace, Mode, Unconfirmed},
    session::Session,
    work::Then,
};
use crate::core::{
    access::Limit,
    error::{AmqpError, channel_error, not_allowed, not_implemented, precondition_failed},
};
use crate::protocol::{channel, confirm};

impl Session {
    pub(super) fn open_channel(&mut self, number: u16) -> Result<(), AmqpError> {
        if self.channel_slot(number).is_some() {
            return Err(channel_error("second 'channel.open' seen"));
        }
        // RabbitMQ limits how many channels are open, not their numbers.
        let opened = self.channels.len();
        if opened >= usize::from(self.channel_max) {
            return Err(not_allowed(format!(
                "number of channels opened ({opened}) has reached the negotiated channel_max ({})",
                self.channel_max
            )));
        }
        let limits = self.broker.access.user(&self.user);
        let max = limits.and_then(|user| user.limits.get(Limit::MaxChannels));
        let place = ChannelPlace::take(&self.usage, max).ok_or_else(|| {
            let (user, max) = (&self.user, max.unwrap_or_default());
            not_allowed(format!(
                "number of channels opened for user '{user}' has reached the maximum allowed user limit of {max}"
            ))
        })?;
        let channel = Channel::open(&self.memory, opened, place)?;
        let mut outbox = self.outbox.lock();
        outbox.open_window(number);
        if let Some(window) = outbox.window(number) {
            window.count_by(&channel.tally);
        }
        self.channels.insert(number, Box::new(channel));
        self.broker.connections.churn.channel_opened();
        outbox.send(number, &channel::OpenOk {});
        Ok(())
    }

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
            Mode::Plain => {
                channel.tally.set_confirms();
                channel.mode = Mode::Confirm(Unconfirmed::default());
            }
            Mode::Confirm(_) => {}
            Mode::Transaction(_) => return Err(precondition_failed("cannot switch from tx to confirm mode")),
        }
        if !select.no_wait {
            self.reply(number, &confirm::SelectOk {});
        }
        Ok(())
    }
}

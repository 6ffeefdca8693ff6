//! Class connection, once it is open (AMQP 1.4).

use crate::connection::{
    session::{Phase, Session},
    work::{Then, Why},
};
use crate::core::error::{AmqpError, channel_error};
use crate::protocol::{Method, connection};

/// RabbitMQ's text for a method that makes no sense on channel 0 of an open connection.
pub(super) const UNEXPECTED_ON_ZERO: &str = "unexpected method in connection state running";

impl Session {
    pub(super) fn connection_method(&mut self, method: &Method) -> Result<(), AmqpError> {
        match method {
            Method::ConnectionClose(_) => {
                self.release_everything(Then::AnswerConnectionClose);
            }
            Method::ConnectionUpdateSecret(update) => {
                let has_changed = self.renew_secret(&update.new_secret)?;
                self.reply(0, &connection::UpdateSecretOk {});
                if has_changed {
                    self.look_at_consumers_again(Why::TokenRenewed);
                }
            }
            Method::ConnectionCloseOk(_) => self.phase = Phase::Closed,
            _ => return Err(channel_error(UNEXPECTED_ON_ZERO)),
        }
        Ok(())
    }
}

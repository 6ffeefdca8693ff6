//! What consumers see of a message, where that is not as it came.

use crate::core::{
    entry::{Entry, Shown},
    policy::{QueueSettings, retry::RetryWhen},
};

/// How a message is to be delivered, if not as it came: one that came back says how often it did, in quorum queues (RabbitMQ, so
/// `always`) and wherever a limit or a wait depends on that.
#[inline]
pub(super) fn shown(always: bool, settings: &QueueSettings, entry: &Entry) -> Option<Shown> {
    if entry.attempts.returned == 0 {
        return None;
    }
    let counts = always
        || settings.delivery_limit.is_some()
        || settings.retry_of(&entry.message.view()).when != RetryWhen::Disabled;
    if counts { entry.with_attempts() } else { None }
}

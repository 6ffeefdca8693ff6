//! Heartbeats (AMQP 4.2.7): we send one in each half of an interval in which nothing else is sent, and give a client up from
//! which nothing came in two whole intervals. As in RabbitMQ any byte counts, the handshake's too, so that a client that never says a
//! word is given up after three intervals. The time in which a client is not read from does not count as silence.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Ticks at the agreed interval, or never when it is zero.
pub(super) struct Ticks(Option<Interval>);

impl Ticks {
    pub(super) fn every(interval: Duration) -> Self {
        Self((!interval.is_zero()).then(|| {
            let mut ticks = interval_at(Instant::now() + interval, interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        }))
    }

    pub(super) async fn tick(&mut self) {
        match &mut self.0 {
            Some(ticks) => {
                ticks.tick().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Counts the intervals in which a client was silent.
pub(super) struct Silence {
    heard: bool,
    silent_intervals: u8,
}

impl Default for Silence {
    /// The handshake counts as heard.
    fn default() -> Self {
        Self { heard: true, silent_intervals: 0 }
    }
}

impl Silence {
    /// Something came.
    pub(super) fn broken(&mut self) {
        self.heard = true;
    }

    /// An interval is over; true when the client is to be given up.
    pub(super) fn interval_over(&mut self) -> bool {
        self.silent_intervals = if std::mem::take(&mut self.heard) { 0 } else { self.silent_intervals + 1 };
        self.silent_intervals >= 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_given_up_after_two_silent_intervals_in_a_row() {
        let mut silence = Silence::default();
        assert!(!silence.interval_over(), "the handshake");
        assert!(!silence.interval_over());
        silence.broken();
        assert!(!silence.interval_over());
        assert!(!silence.interval_over());
        assert!(silence.interval_over());
    }
}

//! The reader task of a connection: reads, has the session handle it in turns, and waits in between for whatever must not be
//! overrun: memory, the disk, a slow client, consumers that cannot keep up.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    ending::Ending,
    heartbeat::{Silence, Ticks},
    inbound::Inbound,
    session::{Brought, Phase, Session, text},
    work::Why,
};
use crate::broker::Attention;
use crate::core::{error::AmqpError, outbox::send, turn::steps_of_bytes};
use crate::limits::{FLOW_PAUSE_MAX, READ_ON_STEPS_MAX, SLOWED_AT_ONCE_MAX};
use crate::protocol::{ReplyCode, connection};

/// The reader task's state.
pub(super) struct Reading {
    pub(super) inbound: Inbound,
    pub(super) session: Session,
    wants_blocked: bool,
    silence: Silence,
    /// Notified when the client holds a message for too long, or when there is memory again for what it waits for.
    attention: Arc<Attention>,
    /// Cancelled when the writer has given up: the client is gone, whatever the reader still waits for. A child of the token by which
    /// the broker stops: one future of both is polled with each read.
    gone: CancellationToken,
    /// Whether bytes that were left over may be handled now.
    unhandled: bool,
    /// Steps that this task has taken since others had their turn, over however many reads.
    steps: usize,
}

impl Reading {
    /// The reader of a client that has logged in. The broker notifies `attention`, the writer cancels `gone`.
    pub(super) fn new(
        inbound: Inbound,
        session: Session,
        attention: Arc<Attention>,
        gone: CancellationToken,
        wants_blocked: bool,
    ) -> Self {
        Self {
            inbound,
            session,
            wants_blocked,
            silence: Silence::default(),
            attention,
            gone,
            unhandled: true,
            steps: 0,
        }
    }

    /// Reads until the connection is no longer in use.
    pub(super) async fn run(&mut self, heartbeat: Duration, shutdown: &CancellationToken) -> Ending {
        let mut ticks = Ticks::every(heartbeat);
        // It is polled with each read: it is made once.
        let gone = self.gone.clone();
        let mut gone = pin!(gone.cancelled());
        while self.session.phase == Phase::Open {
            let busy = self.unhandled || self.session.is_busy();
            let bytes_read = tokio::select! {
                biased;
                () = &mut gone => {
                    if !shutdown.is_cancelled() {
                        return Ending::Unwritable;
                    }
                    self.session.close(&shutdown_error(), (0, 0), 0);
                    return Ending::Shutdown;
                }
                () = ticks.tick() => {
                    if self.silence.interval_over() {
                        return Ending::Silent;
                    }
                    continue;
                }
                () = self.attention.called(), if !self.session.is_working() => {
                    if self.attend() {
                        return Ending::Closed;
                    }
                    continue;
                }
                () = yield_now(), if busy => {
                    self.unhandled = false;
                    self.inbound.resume(|bytes| self.session.handle(bytes));
                    self.steps = self.session.steps_taken();
                    0
                }
                read = self.inbound.read(|bytes| self.session.handle(bytes)), if !busy => match read {
                    Ok(0) => return Ending::Gone,
                    Ok(bytes) => {
                        self.attention.received(bytes);
                        if self.inbound.has_waited() {
                            self.steps = 0;
                        }
                        self.steps += self.session.steps_taken() + steps_of_bytes(bytes);
                        bytes
                    }
                    Err(error) => return Ending::Broken(error),
                },
            };
            self.silence.broken();
            if self.session.is_asking() {
                Box::pin(self.find_out()).await;
            }
            if std::mem::take(&mut self.session.departed) && !self.session.vhost.has_room_for_departures() {
                self.wait_for_departures().await;
            }
            // Work that is under way is never held up for memory: it frees some, or holds some until it is done.
            if self.session.phase == Phase::Open && !self.session.is_working() {
                self.between_turns(bytes_read).await;
            }
        }
        Ending::Closed
    }

    /// Waits for whatever must not be overrun. A client that is silent meanwhile is not given up (RabbitMQ): its heartbeats may
    /// stand behind what is not read; one that has closed its socket is.
    async fn between_turns(&mut self, bytes_read: usize) {
        let brought = std::mem::take(&mut self.session.brought);
        if brought > Brought::Nothing {
            if self.session.must_be_held_up() {
                Box::pin(self.hold_up()).await;
            }
            if self.session.count_rates(bytes_read) && self.session.phase == Phase::Open {
                Box::pin(self.slow_down()).await;
            }
        }
        // A client that brought nothing for the journal need not wait for the disk.
        if brought == Brought::ForTheJournal {
            let journal = self.session.broker.journal.clone();
            if !self.wait_for(poll_fn(|cx| journal.poll_room(cx))).await {
                return;
            }
        }
        if std::mem::take(&mut self.session.replies_full) || self.session.outbox.lock().over_reply_budget() {
            self.unhandled = true;
            let outbox = self.session.outbox.clone();
            if !self.wait_for(poll_fn(|cx| outbox.lock().poll_room(cx))).await {
                return;
            }
        }
        if let Some(queue) = self.session.congested.take()
            && timeout(FLOW_PAUSE_MAX, poll_fn(|cx| queue.poll_drained(cx))).await.is_err()
        {
            queue.stalled();
        }
        // A socket that has more again and again would keep this worker busy for ever, and consumers would have no turn.
        if self.steps >= READ_ON_STEPS_MAX {
            yield_now().await;
            self.steps = 0;
        }
    }

    /// Finds out what the session has to know to go on, in a bounded time: whether the client has gone meanwhile makes no difference, for
    /// what it has sent before is still handled.
    async fn find_out(&mut self) {
        let Some(asking) = self.session.wants() else { return };
        let mut asking = pin!(asking);
        loop {
            tokio::select! {
                biased;
                found = &mut asking => {
                    self.session.found(found);
                    self.unhandled = true;
                    return;
                }
                () = self.attention.called() => {
                    if self.attend() {
                        return;
                    }
                }
                () = self.gone.cancelled() => return,
            }
        }
    }

    /// Waits until messages that leave their queues have gone where they go, so that the client does not cause more departures
    /// than the broker can carry out.
    async fn wait_for_departures(&mut self) {
        let vhost = self.session.vhost.clone();
        // Without it, there is nothing more to wait for either.
        let _is_room = self.wait_for(vhost.room_for_departures()).await;
    }

    /// Waits for room. False, and there may be none, if the client has gone or its connection is to be closed. Mostly there is some at
    /// once, so an idle connection holds no memory for what else there is to wait for.
    async fn wait_for(&mut self, room: impl Future<Output = ()>) -> bool {
        let mut room = pin!(room);
        if poll_fn(|cx| Poll::Ready(room.as_mut().poll(cx).is_ready())).await {
            return true;
        }
        let Self { gone, attention, inbound, .. } = self;
        Box::pin(async {
            tokio::select! {
                biased;
                () = room => true,
                () = gone.cancelled() => false,
                () = attention.to_be_closed() => false,
                () = inbound.gone() => false,
            }
        })
        .await
    }

    /// The user or the virtual host publishes faster than it may: the client is not read from until that is made up for. It is told
    /// nothing, as when a consumer is slow.
    async fn slow_down(&mut self) {
        loop {
            // Its limits may have changed meanwhile.
            self.session.renew_grant();
            let wait = Duration::from_millis(self.session.rate_wait_ms()).min(SLOWED_AT_ONCE_MAX);
            if wait.is_zero() {
                self.unhandled = true;
                return;
            }
            self.attention.slowed(wait.as_millis() as u64);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.attention.called() => {
                    if self.attend() {
                        return;
                    }
                }
                () = self.gone.cancelled() => return,
                () = self.inbound.gone() => return,
            }
            while !self.session.finish() {
                yield_now().await;
            }
        }
    }

    /// Does what the broker has called for. Whether that is the end of the connection.
    fn attend(&mut self) -> bool {
        if let Some(reason) = self.attention.closing() {
            if self.session.vhost.is_leaving() {
                // Its queues are deleted, and their consumers hear that first (RabbitMQ).
                self.session.look_at_consumers_again(Why::VhostDeleted);
            }
            self.session.close(&forced(reason), (0, 0), 0);
            return true;
        }
        self.session.feed_starved();
        self.session.return_overdue();
        false
    }

    /// The memory alarm is raised: the client is told, and not read from until it is cleared.
    async fn hold_up(&mut self) {
        let mut alarm = self.session.broker.alarm.subscribe();
        let mut share = self.session.vhost.share.subscribe();
        let Some(reason) = (*alarm.borrow_and_update()).or(*share.borrow_and_update()) else { return };
        self.attention.blocked(true);
        if self.wants_blocked {
            self.session.tell(&connection::Blocked { reason: text(reason) });
            send(&self.session.outbox);
        }
        // The sender lives as long as the broker, so an error means that the broker has ended.
        while alarm.borrow_and_update().is_some() || share.borrow_and_update().is_some() {
            tokio::select! {
                changed = alarm.changed() => if changed.is_err() { return },
                changed = share.changed() => if changed.is_err() { return },
                () = self.attention.called() => {
                    if self.attend() {
                        return;
                    }
                }
                () = self.gone.cancelled() => return,
                () = self.inbound.gone() => return,
            }
            while !self.session.finish() {
                yield_now().await;
            }
        }
        self.attention.blocked(false);
        if self.wants_blocked {
            self.session.tell(&connection::Unblocked {});
            send(&self.session.outbox);
        }
        self.unhandled = true;
    }
}

/// What clients hear when the broker stops (RabbitMQ).
fn shutdown_error() -> AmqpError {
    forced("broker forced connection closure with reason 'shutdown'")
}

/// What a client hears whose connection is closed from outside.
fn forced(reason: &str) -> AmqpError {
    AmqpError::new(ReplyCode::ConnectionForced, reason)
}

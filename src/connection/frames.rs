//! What the client's bytes make happen.
//!
//! Synchronous throughout: the frames of one read are handled in one go, or in several *turns* if they make for much work;
//! what a turn leaves over is handled in the next one. Publishes in a row to the same place are gathered and done at once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    assembly::EXPECTED_METHOD,
    failing::internal_error,
    scan::{Scan, Scanned, bytes_of_publish, scan},
    session::{Phase, Session},
};
use crate::containment::own;
use crate::core::{
    error::{frame_error, unexpected_frame},
    message::Publication,
    outbox::send,
    turn::{Turn, steps_of_bytes},
};
use crate::limits::{FRAME_STEPS, LEFTOVER_BYTES_MAX};
use crate::protocol::{
    FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, RawFrame, connection, frame::split,
};

impl Session {
    /// Handles complete frames at the front of `bytes`, as many as there are or as this turn allows; gives how many bytes they
    /// took. A panic while they are decoded ends the connection.
    pub(super) fn handle(&mut self, bytes: &[u8]) -> usize {
        if let Ok(used) = catch_unwind(AssertUnwindSafe(|| self.take_turn(bytes))) {
            return used;
        }
        self.lose_place(&internal_error());
        bytes.len()
    }

    fn take_turn(&mut self, bytes: &[u8]) -> usize {
        self.turn = Turn::of(self.turn_steps);
        let at = if self.resume() { self.frames(bytes) } else { 0 };
        // Work that the last frame has begun.
        self.resume();
        self.settle_acked();
        self.flush();
        send(&self.outbox);
        at
    }

    /// Whether this turn handles another frame: not before what is under way is done.
    fn takes_another(&mut self) -> bool {
        !self.phase.is_over()
            && !self.is_asking()
            && !self.replies_full
            && (self.works.is_empty() || self.resume())
            && !self.turn.is_over()
    }

    fn frames(&mut self, bytes: &[u8]) -> usize {
        let body_bytes_max = self.broker.config.max_message_size;
        let mut at = 0;
        let mut run = Run::default();
        while self.takes_another() {
            let rest = &bytes[at..];
            match own(|| scan(rest, run.method, self.frame_bytes_max, body_bytes_max)) {
                Scan::Complete(scanned) => {
                    if !run.takes(&scanned) {
                        at -= self.publish_run(&mut run);
                        if !self.takes_another() {
                            break;
                        }
                        run.begin(&scanned);
                    }
                    at += scanned.bytes;
                    run.items.push(Publication::new(scanned.view));
                    continue;
                }
                Scan::Partial if rest.len() <= LEFTOVER_BYTES_MAX && self.may_begin_message(rest) => {
                    self.brings_a_message();
                    break;
                }
                Scan::Partial | Scan::Other => {
                    at -= self.publish_run(&mut run);
                    if !self.takes_another() {
                        break;
                    }
                }
            }
            match own(|| split(&bytes[at..], self.frame_bytes_max)) {
                Ok(Some((frame, frame_bytes))) => {
                    if !self.frame(&frame) {
                        break;
                    }
                    at += frame_bytes;
                }
                Ok(None) => break,
                Err(error) => {
                    at = bytes.len();
                    self.lose_place(&frame_error(error.explanation()));
                }
            }
        }
        at - self.publish_run(&mut run)
    }

    /// Whether the channel of the frame at the front of `bytes` is open and between messages.
    fn may_begin_message(&mut self, bytes: &[u8]) -> bool {
        let number = u16::from_be_bytes([bytes[1], bytes[2]]);
        self.channel_slot(number).is_some_and(|channel| channel.assembly.expect_method().is_ok())
    }

    /// Handles one frame that is not part of a publish run. Whether it has: it may have to be put off.
    fn frame(&mut self, frame: &RawFrame<'_>) -> bool {
        if self.phase == Phase::Closing {
            self.turn.spend(1);
            self.frame_while_closing(frame);
            return true;
        }
        if let [0, 60, 0, 80, tag @ .., bits] = frame.payload
            && frame.kind == FRAME_METHOD
            && let Ok(tag) = <[u8; 8]>::try_from(tag)
        {
            self.turn.spend(1);
            let result = self.ack(frame.channel, u64::from_be_bytes(tag), bits & 1 == 1);
            if let Err(error) = result {
                self.fail(frame.channel, &error, (60, 80));
            }
            return true;
        }
        self.turn.spend(FRAME_STEPS + steps_of_bytes(frame.payload.len()));
        self.settle_acked();
        self.append_and_confirm();
        match frame.kind {
            FRAME_HEARTBEAT if frame.channel == 0 => {}
            FRAME_HEARTBEAT => {
                self.fail(0, &unexpected_frame(frame.describe()), (0, 0));
            }
            FRAME_HEADER | FRAME_BODY => self.content_frame(frame),
            _ => return self.method_frame(frame),
        }
        true
    }

    /// Handles a content header or body frame of a message that did not come in one piece.
    fn content_frame(&mut self, frame: &RawFrame<'_>) {
        let body_bytes_max = self.broker.config.max_message_size;
        let Some(channel) = self.channel_slot(frame.channel) else {
            self.fail(frame.channel, &unexpected_frame(EXPECTED_METHOD), (0, 0));
            return;
        };
        if channel.closing {
            return;
        }
        let ids = channel.assembly.method_ids();
        let result = channel.assemble(frame, body_bytes_max);
        self.brings_a_message();
        match result {
            Ok(None) => {}
            Ok(Some(message)) => self.publish_assembled(frame.channel, message),
            Err(error) => self.fail(frame.channel, &error, ids),
        }
    }

    /// Frames after our `connection.close`: all but the answer are ignored (AMQP 1.4.2.10).
    fn frame_while_closing(&mut self, frame: &RawFrame<'_>) {
        if frame.channel != 0 || frame.kind != FRAME_METHOD {
            return;
        }
        match frame.payload.first_chunk() {
            Some([0, 10, 0, 51]) => self.phase = Phase::Closed,
            Some([0, 10, 0, 50]) => {
                self.reply(0, &connection::CloseOk {});
                self.phase = Phase::Left;
            }
            _ => {}
        }
    }

    /// Publishes the messages that were gathered, as far as this turn allows. Gives how many bytes the others take: these bytes are
    /// left for the next turn.
    fn publish_run(&mut self, run: &mut Run<'_>) -> usize {
        if run.items.is_empty() {
            return 0;
        }
        let mut items = std::mem::take(&mut run.items);
        run.method = &[];
        if self.phase != Phase::Open {
            return 0;
        }
        self.settle_acked();
        let taken = self.publish(run.channel, run.bits, &mut items);
        if taken < items.len() {
            self.turn.end();
        }
        items[taken..].iter().map(|put_off| bytes_of_publish(&put_off.view())).sum()
    }
}

/// Publishes in a row with equal method frames.
#[derive(Default)]
struct Run<'a> {
    channel: u16,
    bits: u8,
    method: &'a [u8],
    items: Vec<Publication<'a>>,
}

impl<'a> Run<'a> {
    /// Whether a publish goes the way of those before it; it was looked for with their method frame.
    fn takes(&self, next: &Scanned<'a>) -> bool {
        !self.items.is_empty() && next.repeats
    }

    fn begin(&mut self, first: &Scanned<'a>) {
        self.channel = first.channel;
        self.bits = first.bits;
        self.method = first.method;
    }
}

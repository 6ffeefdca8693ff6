//! Publishes encoded ahead: one message's frames many times over, of which only the times in the bodies change.

use super::plan::Publishing;
use crate::protocol::properties::DELIVERY_MODE_PERSISTENT;
use crate::protocol::{
    FRAME_HEADER_BYTES, Properties, ShortString, basic, write_bodies, write_header, write_method,
};

use crate::cli::amqp::client::CHANNEL;

/// Octets of a body that hold its time.
pub(super) const TIME_BYTES: usize = 8;
/// Octets of a body that hold time and run: bodies this long show which run they belong to.
pub(super) const STAMP_BYTES: usize = 16;

/// Frames of equal messages, back to back.
pub(super) struct Batch {
    frames: Vec<u8>,
    message_bytes: usize,
    time_at: Option<usize>,
}

impl Batch {
    /// As many messages as fit [`WRITE_BYTES_MAX`], at least one. `run_id` follows the time in each body.
    pub(super) fn new(
        plan: &Publishing,
        exchange: ShortString,
        routing_key: ShortString,
        run_id: u64,
        frame_size_bytes_max: usize,
    ) -> Self {
        let mut message = Vec::new();
        let publish = basic::Publish { exchange, routing_key, mandatory: plan.mandatory, immediate: false };
        write_method(&mut message, CHANNEL, &publish);
        let body_size = plan.body_size_bytes as u64;
        write_header(&mut message, CHANNEL, basic::CLASS_ID, body_size, &properties(plan.persistent));
        let time_at = (plan.body_size_bytes >= TIME_BYTES).then_some(message.len() + FRAME_HEADER_BYTES);
        write_bodies(&mut message, CHANNEL, &body(plan.body_size_bytes, run_id), frame_size_bytes_max);
        let count = (WRITE_BYTES_MAX / message.len()).max(1);
        Self { message_bytes: message.len(), frames: message.repeat(count), time_at }
    }

    /// How many messages one write can hold.
    pub(super) fn capacity(&self) -> u64 {
        (self.frames.len() / self.message_bytes) as u64
    }

    /// The frames of as many messages as there are times, no more than [`capacity`](Self::capacity).
    pub(super) fn stamped(&mut self, times_ns: impl ExactSizeIterator<Item = u64>) -> &[u8] {
        let size = times_ns.len() * self.message_bytes;
        if let Some(time_at) = self.time_at {
            for (message, time_ns) in self.frames.chunks_exact_mut(self.message_bytes).zip(times_ns) {
                message[time_at..time_at + TIME_BYTES].copy_from_slice(&time_ns.to_be_bytes());
            }
        }
        &self.frames[..size]
    }
}

/// When the message was due, if the body says so and belongs to this run. `head` are its first octets.
#[inline]
pub(super) fn due_time_ns(head: &[u8], run_id: u64) -> Option<u64> {
    let (time, rest) = head.split_first_chunk::<TIME_BYTES>()?;
    match rest.first_chunk::<TIME_BYTES>() {
        Some(run) if u64::from_be_bytes(*run) != run_id => None,
        _ => Some(u64::from_be_bytes(*time)),
    }
}

fn body(size_bytes: usize, run_id: u64) -> Vec<u8> {
    let mut body = vec![b'x'; size_bytes];
    if let Some(run) = body.get_mut(TIME_BYTES..STAMP_BYTES) {
        run.copy_from_slice(&run_id.to_be_bytes());
    }
    body
}

fn properties(persistent: bool) -> Vec<u8> {
    let delivery_mode = persistent.then_some(DELIVERY_MODE_PERSISTENT);
    let mut out = Vec::new();
    Properties { delivery_mode, ..Default::default() }.encode(&mut out);
    out
}

/// One write holds no more, unless a single message is larger.
const WRITE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{FRAME_BODY, split};

    fn batch(body_size_bytes: usize) -> Batch {
        let plan = Publishing {
            body_size_bytes,
            persistent: false,
            mandatory: false,
            window: None,
            rate: None,
            messages: None,
        };
        Batch::new(&plan, ShortString::new(), ShortString::from_static("q"), 77, 4096)
    }

    fn bodies(mut frames: &[u8]) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        while let Some((frame, used)) = split(frames, 4096).unwrap() {
            if frame.kind == FRAME_BODY {
                bodies.push(frame.payload.to_vec());
            }
            frames = &frames[used..];
        }
        assert!(frames.is_empty());
        bodies
    }

    #[test]
    fn each_message_carries_its_own_time() {
        let mut batch = batch(20);
        assert!(batch.capacity() > 500);
        let bodies = bodies(batch.stamped([5, 6, 7].into_iter()));
        let times: Vec<_> = bodies.iter().map(|body| due_time_ns(body, 77)).collect();
        assert_eq!(times, [Some(5), Some(6), Some(7)]);
        assert_eq!(bodies[0].len(), 20);
    }

    #[test]
    fn a_body_of_another_run_or_without_room_for_a_time_has_none() {
        let other = batch(16).stamped([5].into_iter()).to_vec();
        assert_eq!(due_time_ns(&bodies(&other)[0], 78), None);
        let short = batch(7).stamped([5].into_iter()).to_vec();
        assert_eq!(due_time_ns(&bodies(&short)[0], 77), None);
        assert!(bodies(batch(0).stamped([5].into_iter())).is_empty());
    }

    #[test]
    fn a_body_larger_than_a_frame_is_cut_and_goes_out_alone() {
        let mut batch = batch(100_000);
        assert_eq!(batch.capacity(), 1);
        let bodies = bodies(batch.stamped([9].into_iter()));
        assert_eq!(bodies.concat().len(), 100_000);
        assert_eq!(due_time_ns(&bodies[0], 77), Some(9));
    }
}

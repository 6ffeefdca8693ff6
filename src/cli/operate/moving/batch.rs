//! Messages on the way: deliveries of RabbitMQ, as they came, until they are safe here and acknowledged there.

use std::collections::HashSet;

use serde_json::Value;

use crate::cli::amqp::error::Error;
use crate::limits::{MOVED_BATCH_BYTES, MOVED_BATCH_MESSAGES};
use crate::protocol::{
    ContentHeader, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, Method, RawFrame, basic, write_frame,
};

/// Deliveries, the last of which may have come in part.
#[derive(Default)]
pub struct Batch {
    /// Their frames.
    bytes: Vec<u8>,
    /// Those that are there as a whole.
    whole: Vec<Whole>,
    coming: Coming,
    /// Messages that have come at all.
    received: u64,
    /// Messages that stay with RabbitMQ: an acknowledgement must not mean them.
    kept_there: bool,
}

/// A delivery that is there as a whole.
struct Whole {
    tag: u64,
    /// Where its frames end.
    end: usize,
}

/// What of a delivery is expected next.
#[derive(Default, Clone, Copy)]
enum Coming {
    #[default]
    Method,
    Header {
        tag: u64,
    },
    Body {
        tag: u64,
        missing: u64,
    },
}

/// What the broker here says to a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// So many are safe, the first ones of those that are not refused.
    pub taken: u64,
    /// Tags of messages that cannot be here.
    pub refused: HashSet<u64>,
    /// Why the first of these cannot.
    pub reason: Option<String>,
    /// Why the others were not taken.
    pub stopped: Option<String>,
}

impl Taken {
    /// What an answer says.
    pub fn of(answer: &Value) -> Self {
        let refused = || answer["refused"].as_array().into_iter().flatten();
        Self {
            taken: answer["taken"].as_u64().unwrap_or_default(),
            refused: refused().filter_map(|one| one["delivery_tag"].as_u64()).collect(),
            reason: refused().next().and_then(|one| Some(one["reason"].as_str()?.to_owned())),
            stopped: answer["stopped"].as_str().map(str::to_owned),
        }
    }
}

impl Batch {
    /// Takes in a frame of the channel. Gives the method that it is, unless that is a delivery.
    pub fn take(&mut self, frame: &RawFrame<'_>) -> Result<Option<Method>, Error> {
        match (self.coming, frame.kind) {
            (Coming::Method, FRAME_METHOD) => match Method::decode(frame.payload)? {
                Method::BasicDeliver(deliver) => self.coming = Coming::Header { tag: deliver.delivery_tag },
                other => return Ok(Some(other)),
            },
            (Coming::Header { tag }, FRAME_HEADER) => {
                let header = ContentHeader::parse(frame.payload);
                let header = header.map_err(|_| Error::Unexpected("a content header that cannot be read"))?;
                self.coming = Coming::Body { tag, missing: header.body_size };
            }
            (Coming::Body { tag, missing }, FRAME_BODY) => {
                let missing = missing.checked_sub(frame.payload.len() as u64);
                let missing = missing.ok_or(Error::Unexpected("a body that is too long"))?;
                self.coming = Coming::Body { tag, missing };
            }
            // On channel 0.
            (_, FRAME_METHOD) if frame.channel == 0 => return Ok(Some(Method::decode(frame.payload)?)),
            (_, FRAME_METHOD | FRAME_HEADER | FRAME_BODY) => {
                return Err(Error::Unexpected("a frame of another kind than was due"));
            }
            _ => return Ok(None),
        }
        write_frame(&mut self.bytes, frame.kind, frame.channel, frame.payload);
        if let Coming::Body { tag, missing: 0 } = self.coming {
            self.whole.push(Whole { tag, end: self.bytes.len() });
            self.received += 1;
            self.coming = Coming::Method;
        }
        Ok(None)
    }

    /// Whether no message is there as a whole.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }

    /// Messages that have come in all.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether it should be brought here now: it is large enough, or the message that comes is, which then comes alone.
    pub fn is_due(&self) -> bool {
        let comes = match self.coming {
            Coming::Body { missing, .. } => missing as usize,
            Coming::Method | Coming::Header { .. } => 0,
        };
        !self.is_empty()
            && (self.whole.len() >= MOVED_BATCH_MESSAGES || self.bytes().len() + comes >= MOVED_BATCH_BYTES)
    }

    /// The frames of the messages that are there as a whole.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.whole.last().map_or(0, |last| last.end)]
    }

    /// All of them are refused.
    pub fn refused(&self, reason: &str) -> Taken {
        let refused = self.whole.iter().map(|message| message.tag).collect();
        Taken { refused, reason: Some(reason.into()), ..Taken::default() }
    }

    /// Lets go of what was taken or refused. Gives what RabbitMQ is told of what was taken.
    pub fn settle(&mut self, taken: &Taken) -> Vec<basic::Ack> {
        let (mut acked, mut left) = (Vec::new(), Vec::new());
        let mut bytes = Vec::new();
        let mut begin = 0;
        for Whole { tag, end } in std::mem::take(&mut self.whole) {
            if taken.refused.contains(&tag) {
                self.kept_there = true;
            } else if (acked.len() as u64) < taken.taken {
                acked.push(tag);
            } else {
                bytes.extend_from_slice(&self.bytes[begin..end]);
                left.push(Whole { tag, end: bytes.len() });
            }
            begin = end;
        }
        if left.is_empty() {
            self.bytes.drain(..begin);
        } else {
            bytes.extend_from_slice(&self.bytes[begin..]);
            self.bytes = bytes;
        }
        self.whole = left;
        self.acks(acked)
    }

    fn acks(&self, tags: Vec<u64>) -> Vec<basic::Ack> {
        match tags.last() {
            Some(&delivery_tag) if !self.kept_there => vec![basic::Ack { delivery_tag, multiple: true }],
            _ => tags.into_iter().map(|delivery_tag| basic::Ack { delivery_tag, multiple: false }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::{
        FRAME_HEARTBEAT, Properties, queue, split, write_bodies, write_header_with, write_method,
    };

    const FRAME_MAX: usize = 1 << 17;

    fn delivery(tag: u64, body_bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        write_method(&mut out, 1, &basic::Deliver { delivery_tag: tag, ..basic::Deliver::default() });
        write_header_with(&mut out, 1, basic::CLASS_ID, body_bytes as u64, |out| {
            Properties::default().encode(out);
        });
        write_bodies(&mut out, 1, &vec![7; body_bytes], FRAME_MAX);
        out
    }

    /// Takes frames in; gives the methods that are no deliveries.
    fn take(batch: &mut Batch, mut bytes: &[u8]) -> Vec<Method> {
        let mut others = Vec::new();
        while let Some((frame, size)) = split(bytes, FRAME_MAX).unwrap() {
            others.extend(batch.take(&frame).unwrap());
            bytes = &bytes[size..];
        }
        others
    }

    fn of(tags: impl IntoIterator<Item = u64>) -> Batch {
        let mut batch = Batch::default();
        tags.into_iter().for_each(|tag| drop(take(&mut batch, &delivery(tag, 5))));
        batch
    }

    fn ack(delivery_tag: u64, multiple: bool) -> basic::Ack {
        basic::Ack { delivery_tag, multiple }
    }

    fn taken(taken: u64, refused: &[u64]) -> Taken {
        Taken { taken, refused: refused.iter().copied().collect(), ..Taken::default() }
    }

    #[test]
    fn what_is_brought_here_is_what_came_but_for_what_is_not_whole() {
        let mut batch = Batch::default();
        assert!(batch.is_empty() && batch.bytes().is_empty());
        let (whole, part) = ([delivery(1, 0), delivery(2, 300_000)].concat(), delivery(3, 300_000));
        let mut ok = Vec::new();
        write_method(&mut ok, 1, &queue::DeclareOk::default());
        let others = take(&mut batch, &[&ok[..], &whole, &part[..200_000]].concat());
        assert!(matches!(others[..], [Method::QueueDeclareOk(_)]));
        assert_eq!((batch.bytes(), batch.received()), (&whole[..], 2));
        assert_eq!(batch.settle(&taken(2, &[])), [ack(2, true)]);
        assert!(batch.is_empty());
        // The rest of the third.
        let cut = split(&part, FRAME_MAX).unwrap().unwrap().1;
        let cut = cut + split(&part[cut..], FRAME_MAX).unwrap().unwrap().1;
        let cut = cut + split(&part[cut..], FRAME_MAX).unwrap().unwrap().1;
        take(&mut batch, &part[cut..]);
        assert_eq!((batch.bytes(), batch.received()), (&part[..], 3));
    }

    #[test]
    fn what_was_taken_is_acknowledged_and_the_rest_stays() {
        for (answer, acks, left) in [
            (taken(4, &[]), vec![ack(4, true)], vec![]),
            (taken(2, &[]), vec![ack(2, true)], vec![3, 4]),
            (taken(0, &[]), vec![], vec![1, 2, 3, 4]),
            (taken(3, &[1]), vec![ack(2, false), ack(3, false), ack(4, false)], vec![]),
            (taken(1, &[1, 3]), vec![ack(2, false)], vec![4]),
            (taken(0, &[1, 2, 3, 4]), vec![], vec![]),
        ] {
            let mut batch = of(1..=4);
            assert_eq!(batch.settle(&answer), acks, "{answer:?}");
            let frames: Vec<u8> = left.iter().flat_map(|tag| delivery(*tag, 5)).collect();
            assert_eq!(batch.bytes(), frames, "{answer:?}");
        }
    }

    #[test]
    fn once_a_message_was_refused_nothing_is_acknowledged_together_with_it() {
        let mut batch = of(1..=2);
        batch.settle(&taken(1, &[1]));
        take(&mut batch, &[delivery(3, 5), delivery(4, 5)].concat());
        assert_eq!(batch.settle(&taken(2, &[])), [ack(3, false), ack(4, false)]);
    }

    #[test]
    fn a_batch_is_due_when_it_is_long_or_large_and_a_large_message_comes_alone() {
        let mut batch = of(1..MOVED_BATCH_MESSAGES as u64);
        assert!(!batch.is_due());
        take(&mut batch, &delivery(MOVED_BATCH_MESSAGES as u64, 5));
        assert!(batch.is_due());
        let mut batch = of(1..=1);
        let large = delivery(2, MOVED_BATCH_BYTES);
        let head = large.len() - MOVED_BATCH_BYTES;
        take(&mut batch, &large[..head]);
        assert!(batch.is_due());
        batch.settle(&taken(1, &[]));
        assert!(!batch.is_due(), "nothing is there as a whole");
        take(
            &mut batch,
            &large[{
                let method = split(&large, FRAME_MAX).unwrap().unwrap().1;
                method + split(&large[method..], FRAME_MAX).unwrap().unwrap().1
            }..],
        );
        assert!(batch.is_due() && batch.bytes() == large);
        assert!(!Batch::default().is_due());
    }

    #[test]
    fn an_answer_is_understood() {
        let answer = json!({
            "taken": 3, "refused": [{ "delivery_tag": 5, "reason": "too large" }, { "delivery_tag": 7, "reason": "x" }],
            "stopped": "full",
        });
        let reason = Some("too large".into());
        let wanted = Taken { taken: 3, refused: [5, 7].into(), reason, stopped: Some("full".into()) };
        assert_eq!(Taken::of(&answer), wanted);
        assert_eq!(Taken::of(&json!({ "taken": 1, "refused": [], "stopped": null })), taken(1, &[]));
        let all = of(1..=2).refused("too large");
        assert_eq!((all.refused, all.reason.as_deref()), ([1, 2].into(), Some("too large")));
    }

    #[test]
    fn frames_out_of_turn_are_an_error_and_heartbeats_are_nothing() {
        let mut batch = Batch::default();
        let body = RawFrame { kind: FRAME_BODY, channel: 1, payload: b"x" };
        assert!(batch.take(&body).is_err());
        let heartbeat = RawFrame { kind: FRAME_HEARTBEAT, channel: 0, payload: b"" };
        assert_eq!(batch.take(&heartbeat).unwrap(), None);
        let first = delivery(1, 5);
        let method = split(&first, FRAME_MAX).unwrap().unwrap();
        assert_eq!(batch.take(&method.0).unwrap(), None);
        assert!(batch.take(&method.0).is_err(), "a content header is due");
    }
}

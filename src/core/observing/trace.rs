//! The history of messages that are traced: the last things that happened to them.

use std::{collections::VecDeque, sync::Arc};

use super::{Event, What};
use crate::core::{
    client::Client,
    clock::Millis,
    memory::{Held, Holder, Kind},
};
use crate::limits::{TRACE_BYTES_MAX, TRACE_RECORDS_MAX};
use crate::protocol::ShortString;

/// Something that has happened to a message that is traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which one: they are numbered in the order in which they happened.
    pub number: u64,
    /// When.
    pub at: Millis,
    /// What.
    pub what: What,
    /// In which queue.
    pub queue: Option<ShortString>,
    /// Where it stood there.
    pub position: Option<u64>,
    /// To which message; `None` where it is not known.
    pub message: Option<Named>,
    /// Who has done it, or got the message.
    pub by: Option<Arc<Client>>,
    /// On which channel.
    pub channel: Option<u16>,
}

/// What a message is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The exchange that it was published to.
    pub exchange: ShortString,
    /// Its routing key.
    pub routing_key: ShortString,
    /// Its property `message-id`.
    pub message_id: Option<ShortString>,
    /// Bytes of its body.
    pub body_bytes: u32,
}

/// Which records are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those of messages with this `message-id`, and what happened to queues as a whole in which they were.
    pub message_id: Option<ShortString>,
    /// Those in this queue, or of messages that were published to it.
    pub queue: Option<ShortString>,
    /// Those that come behind this number.
    pub after: u64,
    /// So many, the last ones.
    pub limit: usize,
}

impl Record {
    fn of(number: u64, at: Millis, event: &Event<'_>) -> Self {
        let name = |bytes| ShortString::try_from(bytes).unwrap_or_default();
        Self {
            number,
            at,
            what: event.what.clone(),
            queue: event.queue.cloned(),
            position: event.position,
            message: event.message.map(|message| Named {
                exchange: name(message.exchange()),
                routing_key: name(message.routing_key()),
                message_id: message.message_id().map(name),
                body_bytes: message.layout.body_bytes,
            }),
            by: event.by.cloned(),
            channel: event.channel,
        }
    }

    fn size_bytes(&self) -> usize {
        let names = self.message.as_ref().map_or(0, |message| {
            let id = message.message_id.as_ref().map_or(0, |id| id.len());
            message.exchange.len() + message.routing_key.len() + id + 3 * SHARED_BYTES
        });
        let queues = if let What::Published(routed) = &self.what { routed.queues.capacity() } else { 0 };
        2 * size_of::<usize>() + size_of::<Self>() + names + queues * size_of::<ShortString>()
    }

    fn message_id(&self) -> Option<&ShortString> {
        self.message.as_ref()?.message_id.as_ref()
    }

    fn is_of(&self, queue: &ShortString) -> bool {
        self.queue.as_ref() == Some(queue)
            || matches!(&self.what, What::Published(routed) if routed.queues.contains(queue))
    }
}

/// What a name takes beside its bytes.
const SHARED_BYTES: usize = 16;

/// The last records of a virtual host.
pub(super) struct Trace {
    records: VecDeque<Arc<Record>>,
    last_number: u64,
    forgotten: u64,
    bytes: usize,
    held: Held,
}

impl Trace {
    /// Nothing has happened. The records count on `holder`.
    pub(super) fn new(holder: &Arc<Holder>) -> Self {
        let held = Held::new(holder, Kind::Observing);
        Self { records: VecDeque::new(), last_number: 0, forgotten: 0, bytes: 0, held }
    }

    /// Notes an event; the oldest ones are forgotten where there is no room.
    pub(super) fn note(&mut self, at: Millis, event: &Event<'_>) {
        self.last_number += 1;
        let record = Record::of(self.last_number, at, event);
        self.bytes += record.size_bytes();
        self.records.push_back(Arc::new(record));
        while self.records.len() > TRACE_RECORDS_MAX
            || self.bytes > TRACE_BYTES_MAX
            || self.held.try_set(self.bytes).is_err()
        {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.size_bytes();
            self.forgotten += 1;
        }
        self.held.set(self.bytes);
    }

    /// How many records there are, and how many there were besides.
    pub(super) fn counts(&self) -> (usize, u64) {
        (self.records.len(), self.forgotten)
    }

    /// All of them, in the order in which they happened.
    pub(super) fn all(&self) -> Vec<Arc<Record>> {
        self.records.iter().cloned().collect()
    }

    /// Forgets what has happened. Numbers go on, so that who asks for what comes behind one of them misses nothing.
    pub(super) fn forget(&mut self) {
        self.records = VecDeque::new();
        (self.bytes, self.forgotten) = (0, 0);
        self.held.set(0);
    }
}

impl Wanted {
    /// Those of `records` that are wanted, in the same order.
    pub(super) fn of(&self, records: &[Arc<Record>]) -> Vec<Arc<Record>> {
        let (mut stands, mut latest) = (Vec::new(), VecDeque::new());
        for record in records {
            let is_wanted = self.message_id.as_ref().is_none_or(|id| concerns(record, id, &mut stands))
                && self.queue.as_ref().is_none_or(|queue| record.is_of(queue))
                && record.number > self.after;
            if is_wanted {
                latest.push_back(record);
                if latest.len() > self.limit {
                    latest.pop_front();
                }
            }
        }
        latest.into_iter().cloned().collect()
    }
}

/// Whether something has happened to a message, perhaps with all of its queue. `stands` are the queues in which it is by then, each with
/// whether a client holds it.
fn concerns<'a>(
    record: &'a Record,
    message_id: &ShortString,
    stands: &mut Vec<(&'a ShortString, bool)>,
) -> bool {
    let in_queue = |(queue, _): &(&ShortString, bool)| record.queue.as_ref() == Some(*queue);
    match record.what {
        What::Purged(_) => return stands.iter().any(|it| in_queue(it) && !it.1),
        What::QueueDeleted(_) => return stands.iter().any(in_queue),
        _ => {}
    }
    if record.message_id() != Some(message_id) {
        return false;
    }
    if let Some(queue) = &record.queue {
        stands.retain(|it| !in_queue(it));
        if let Some(is_held) = record.what.stays_held() {
            stands.push((queue, is_held));
        }
    }
    true
}

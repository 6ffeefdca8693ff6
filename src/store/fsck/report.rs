//! What a check says, as values: figures, and one flaw for each place that is not as it should be.
//!
//! What a crash leaves behind is counted and is no flaw. How a report is printed is for `cli`.

use super::declared::Declared;
use crate::core::placement::QueueId;
use crate::protocol::ShortString;
use crate::store::{
    checkpoint::definitions::DefinitionsError,
    format::Damage,
    position::{LogPosition, SegmentId},
};

/// What a broker would find.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The last broker was stopped in order.
    pub clean: bool,
    /// Segments and their bytes.
    pub sizes: Sizes,
    /// Sound records.
    pub records: Records,
    /// The key-value store.
    pub checkpoint: Checkpoint,
    /// How many entities the definitions file has; `None` if it is missing or damaged.
    pub definitions: Option<usize>,
    /// Users, permissions, virtual hosts, and what else is declared.
    pub declared: Declared,
    /// Durable queues, the one with the most messages first.
    pub queues: Vec<QueueReport>,
    /// Sound records of groups that are not whole: they do not count.
    pub dropped_records: u64,
    /// Bytes at the end of unsealed segments that were never finished.
    pub torn_bytes: u64,
    /// Everything that is not as it was written.
    pub flaws: Vec<Flaw>,
    /// Files with damaged bytes that brokers have set aside.
    pub quarantined: Vec<String>,
}

/// Segments of the log and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Segments with a footer.
    pub sealed: usize,
    /// Segments without one.
    pub unsealed: usize,
    /// Files that were made ready and never written to.
    pub blank: usize,
    /// Bytes of their files.
    pub file_bytes: u64,
    /// Bytes of records of messages that are in a queue.
    pub live_bytes: u64,
    /// All other bytes that were written.
    pub dead_bytes: u64,
}

impl Sizes {
    /// Bytes of unsealed segments that nothing was written to.
    pub fn reserved_bytes(&self) -> u64 {
        self.file_bytes.saturating_sub(self.live_bytes + self.dead_bytes)
    }
}

/// Sound records by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Records {
    /// Messages.
    pub publish: u64,
    /// Of these, written to make room in memory only.
    pub transient: u64,
    /// Of these, written again by reclaiming.
    pub moved: u64,
    /// Settlements.
    pub settle: u64,
    /// Returns.
    pub returned: u64,
    /// Changes of topology.
    pub topology: u64,
    /// Changes of users, permissions and global parameters.
    pub access: u64,
    /// Orderly ends.
    pub shutdown: u64,
}

/// What the key-value store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Checkpoint {
    /// Nothing, and the log has everything.
    #[default]
    None,
    /// Everything before this place in the log.
    Whole(LogPosition),
    /// Nothing that can be used.
    Lost,
}

/// A durable queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueReport {
    /// Its virtual host.
    pub vhost: String,
    /// Its name.
    pub name: String,
    /// Its name in the journal.
    pub id: QueueId,
    /// Messages that come back.
    pub messages: u64,
    /// Bytes of their records; of a message in several queues, in each of them.
    pub bytes: u64,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The file does not begin as a segment does.
    #[error("segment {segment}: {} does not begin as it should; no broker starts with it", .segment.file_name())]
    NotASegment {
        /// The segment.
        segment: SegmentId,
    },
    /// The header has a wrong bit.
    #[error("segment {segment}: one bit of the header is wrong; it can be told which")]
    Header {
        /// The segment.
        segment: SegmentId,
    },
    /// Bytes that are no record.
    #[error("segment {segment}: damaged record at {offset}, {length} bytes, {live} messages in queues")]
    Record {
        /// The segment.
        segment: SegmentId,
        /// Where the bytes begin.
        offset: u32,
        /// How many there are.
        length: u32,
        /// Messages in queues that are lost with it, as far as that is known.
        live: u64,
    },
    /// A record that checks out and makes no sense.
    #[error("segment {segment}: senseless record at {offset}, {length} bytes: {damage}")]
    Payload {
        /// The segment.
        segment: SegmentId,
        /// Where it begins.
        offset: u32,
        /// Its length.
        length: u32,
        /// What is wrong.
        damage: Damage,
    },
    /// The footer record is damaged.
    #[error("segment {segment}: damaged footer: {damage}")]
    Footer {
        /// The segment.
        segment: SegmentId,
        /// What is wrong.
        damage: Damage,
    },
    /// The footer does not say what the records say.
    #[error("segment {segment}: the footer is wrong about the record at {offset}")]
    FooterDiffers {
        /// The segment.
        segment: SegmentId,
        /// The record.
        offset: u32,
    },
    /// The footer is there, and the trailer behind it is not.
    #[error("segment {segment}: damaged trailer at {offset}")]
    Trailer {
        /// The segment.
        segment: SegmentId,
        /// Where it begins.
        offset: u64,
    },
    /// The segment ends in bytes that are no record, though the log goes on in another one.
    #[error("segment {segment}: damaged end at {offset}, {length} bytes")]
    End {
        /// The segment.
        segment: SegmentId,
        /// Where it begins.
        offset: u32,
        /// How many bytes there are.
        length: u64,
    },
    /// Messages that are in queues, and of which there is no record.
    #[error("segment {segment}: no record of {messages} messages that are in queues")]
    Missing {
        /// Where their records should be.
        segment: SegmentId,
        /// How many.
        messages: u64,
    },
    /// The key-value store is lost.
    #[error("key-value store: {why}")]
    State {
        /// What is wrong.
        why: String,
    },
    /// The definitions file is lost.
    #[error("definitions file: {0}")]
    Definitions(DefinitionsError),
    /// It is of the same moment as the key-value store and says something else.
    #[error("definitions file: it does not say what the key-value store says")]
    DefinitionsDiffer,
}

impl Report {
    /// Whether nothing is damaged.
    pub fn is_whole(&self) -> bool {
        self.flaws.is_empty()
    }

    pub(super) fn name_queue(&mut self, id: QueueId, vhost: &ShortString, name: &ShortString) {
        let text = |name: &ShortString| String::from_utf8_lossy(name).into_owned();
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.id == id) {
            (queue.vhost, queue.name) = (text(vhost), text(name));
        }
    }
}

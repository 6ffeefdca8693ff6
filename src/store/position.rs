//! Where something stands in the log: in which segment, and at which byte of it.
//!
//! Log positions are ordered as the log was written, and the number of a segment is never used again. This file does not know what stands
//! there.

use std::fmt;

/// A segment of the log: from 1, increasing, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The name of its file.
    pub fn file_name(self) -> String {
        format!("{:016x}.seg", self.0)
    }

    /// The segment of a file, if it is one.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".seg")?;
        let id = u64::from_str_radix(digits, 16).ok()?;
        (digits.len() == 16 && id > 0).then_some(Self(id))
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A position in the log: everything before it lies in earlier segments, or before `offset` in this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct LogPosition {
    /// The segment.
    pub segment: SegmentId,
    /// Bytes from the start of its file.
    pub offset: u32,
}

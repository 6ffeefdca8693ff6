//! A piece of a file in memory that moves along with its reader.
//!
//! A read is never larger than a step, unless one record is; and nothing is allocated for bytes that the file
//! does not have.

use std::io;

use super::Segment;
use crate::store::files::File;

/// Reads ahead in steps of `step_bytes`.
pub(super) struct ReadAhead<'a> {
    file: &'a dyn File,
    /// Length of the file.
    file_bytes: u64,
    step_bytes: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> ReadAhead<'a> {
    pub(super) fn new(segment: &'a Segment, step_bytes: usize) -> io::Result<Self> {
        let file_bytes = segment.file.len()?.min(super::FILE_BYTES_MAX);
        Ok(Self { file: &*segment.file, file_bytes, step_bytes, start: 0, bytes: Vec::new() })
    }

    /// Another one of the same file.
    pub(super) fn another(&self, step_bytes: usize) -> Self {
        Self { file: self.file, file_bytes: self.file_bytes, step_bytes, start: 0, bytes: Vec::new() }
    }

    /// Length of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Up to `count` bytes at `offset`: fewer only where the file ends.
    pub(super) fn at(&mut self, offset: u64, count: u64) -> io::Result<&[u8]> {
        let end = (offset + count).min(self.file_bytes);
        if offset >= end {
            return Ok(&[]);
        }
        let held = self.start..=self.start + self.bytes.len() as u64;
        if !held.contains(&offset) || !held.contains(&end) {
            self.load(offset, end)?;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..from + (end - offset) as usize])
    }

    fn load(&mut self, offset: u64, end: u64) -> io::Result<()> {
        let step_end = (offset + self.step_bytes as u64).min(self.file_bytes);
        self.start = offset;
        self.bytes.clear();
        self.bytes.resize((end.max(step_end) - offset) as usize, 0);
        let read = self.file.read_at(&mut self.bytes, offset);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }
}

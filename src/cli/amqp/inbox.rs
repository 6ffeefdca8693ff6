//! What has been read from a socket and not been looked at yet.
//!
//! Invariant: the buffer can hold any frame that was negotiated, so [`fill`](Inbox::fill) always has room once all
//! complete frames have been taken.

use std::io::ErrorKind;

use super::error::Error;
use super::stream::Stream;
use crate::limits::{FRAME_SIZE_BYTES_MAX, HANDSHAKE_FRAME_SIZE_BYTES_MAX};
use crate::protocol::{RawFrame, split};

/// A read buffer that hands out frames.
pub struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    frame_size_bytes_max: usize,
}

impl Inbox {
    /// An empty one for the handshake; it grows when it must.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER_BYTES_MIN],
            start: 0,
            end: 0,
            frame_size_bytes_max: HANDSHAKE_FRAME_SIZE_BYTES_MAX,
        }
    }

    /// The negotiated `frame_max`, at most ours.
    pub fn allow_frames_of(&mut self, frame_size_bytes_max: usize) {
        self.frame_size_bytes_max = frame_size_bytes_max.min(FRAME_SIZE_BYTES_MAX as usize);
    }

    /// What [`allow_frames_of`](Self::allow_frames_of) set.
    pub fn frame_size_bytes_max(&self) -> usize {
        self.frame_size_bytes_max
    }

    /// Makes reads as large as they get.
    pub fn widen(&mut self) {
        self.buffer.resize(BUFFER_BYTES_MAX, 0);
    }

    /// The next complete frame, if there is one.
    #[inline]
    pub fn next(&mut self) -> Result<Option<RawFrame<'_>>, Error> {
        let Some((frame, used)) = split(&self.buffer[self.start..self.end], self.frame_size_bytes_max)?
        else {
            return Ok(None);
        };
        self.start += used;
        Ok(Some(frame))
    }

    /// Reads once. False when the socket's read timeout passed first; the end of the stream is an error.
    pub fn fill(&mut self, stream: &Stream) -> Result<bool, Error> {
        self.make_room();
        match stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => Err(Error::Disconnected),
            Ok(size) => {
                self.end += size;
                Ok(true)
            }
            Err(error) if is_timeout(error.kind()) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.widen();
        }
    }
}

/// Whether a socket's operation only ran into its timeout, or into a signal.
pub fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

const BUFFER_BYTES_MIN: usize = 2 * HANDSHAKE_FRAME_SIZE_BYTES_MAX;
const BUFFER_BYTES_MAX: usize = 256 * 1024;
const _: () = assert!(BUFFER_BYTES_MAX > FRAME_SIZE_BYTES_MAX as usize + 16);

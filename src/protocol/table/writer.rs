//! Tables piece by piece, without owned values.

pub(super) fn tagged(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    out.extend_from_slice(value);
}

pub(super) fn tagged_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    tagged(out, tag, &(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Writes a table piece by piece, without owned values. A piece may be what a [`TableEntry`](super::TableEntry) has as `encoded`.
pub struct TableWriter<'a>(&'a mut Vec<u8>);

impl<'a> TableWriter<'a> {
    /// Appends to `out`, the table's `u32` length in front.
    pub fn table(out: &'a mut Vec<u8>, write: impl FnOnce(&mut TableWriter<'_>)) {
        with_length(out, |out| write(&mut TableWriter(out)));
    }

    /// What is already encoded.
    pub fn encoded(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A long string. Names are literals of at most 255 bytes.
    pub fn long_string(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        tagged_bytes(self.0, b'S', value);
    }

    /// A signed number of 64 bits.
    pub fn long(&mut self, name: &str, value: i64) {
        self.name(name);
        tagged(self.0, b'l', &value.to_be_bytes());
    }

    /// Seconds since the epoch.
    pub fn timestamp(&mut self, name: &str, value: u64) {
        self.name(name);
        tagged(self.0, b'T', &value.to_be_bytes());
    }

    /// An array.
    pub fn array(&mut self, name: &str, write: impl FnOnce(&mut ArrayWriter<'_>)) {
        self.name(name);
        self.0.push(b'A');
        with_length(self.0, |out| write(&mut ArrayWriter(out)));
    }

    fn name(&mut self, name: &str) {
        self.0.push(name.len() as u8);
        self.0.extend_from_slice(name.as_bytes());
    }
}

/// Writes an array piece by piece.
pub struct ArrayWriter<'a>(&'a mut Vec<u8>);

impl ArrayWriter<'_> {
    /// What is already encoded.
    pub fn encoded(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A long string.
    pub fn long_string(&mut self, value: &[u8]) {
        tagged_bytes(self.0, b'S', value);
    }

    /// A table.
    pub fn table(&mut self, write: impl FnOnce(&mut TableWriter<'_>)) {
        self.0.push(b'F');
        TableWriter::table(self.0, write);
    }
}

/// Puts the length of what `write` appends in front of it.
pub(super) fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

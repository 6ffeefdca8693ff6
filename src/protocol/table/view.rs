//! Looks at tables that stay where they are, in the bytes of a peer.

use crate::limits::TABLE_DEPTH_MAX;

/// A look at the top level of a table's bytes (without the length in front), which it iterates over.
///
/// Values are passed over by their length, not checked. Iteration stops where the bytes stop making sense, so use
/// it on bytes that [`FieldTable::validate`](super::FieldTable::validate) has accepted.
#[derive(Debug, Clone)]
pub struct TableView<'a> {
    rest: &'a [u8],
}

impl<'a> TableView<'a> {
    /// A view of `bytes`; nothing is read yet.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes of what has not been passed yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The first entry called `name` that has not been passed yet.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<TableEntry<'a>> {
        let name = name.as_ref();
        self.clone().find(|entry| entry.key == name)
    }
}

impl<'a> Iterator for TableView<'a> {
    type Item = TableEntry<'a>;

    fn next(&mut self) -> Option<TableEntry<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let Ok((entry, rest)) = split_entry(self.rest) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some(entry)
    }
}

/// One entry as it stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableEntry<'a> {
    /// The name, at most 255 bytes; empty for what stands in an array.
    pub key: &'a [u8],
    /// The type's letter.
    pub tag: u8,
    /// The value's bytes, big-endian, without the tag. For `S`, `x`, `A` and `F` without the length too: text,
    /// bytes, or what [`ArrayView`] and [`TableView`] take.
    pub value: &'a [u8],
    /// All of it as it stands there, name and tag included.
    pub encoded: &'a [u8],
}

impl<'a> TableEntry<'a> {
    /// The bytes of a long string.
    pub fn as_str_bytes(&self) -> Option<&'a [u8]> {
        (self.tag == b'S').then_some(self.value)
    }

    /// What is in an array.
    pub fn as_array(&self) -> Option<ArrayView<'a>> {
        (self.tag == b'A').then_some(ArrayView::new(self.value))
    }

    /// What is in a table.
    pub fn as_table(&self) -> Option<TableView<'a>> {
        (self.tag == b'F').then_some(TableView::new(self.value))
    }
}

/// A look at an array's bytes (without the length in front), which it iterates over; as [`TableView`], with empty keys.
#[derive(Debug, Clone)]
pub struct ArrayView<'a> {
    rest: &'a [u8],
}

impl<'a> ArrayView<'a> {
    /// A view of `bytes`; nothing is read yet.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes of what has not been passed yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for ArrayView<'a> {
    type Item = TableEntry<'a>;

    fn next(&mut self) -> Option<TableEntry<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let Ok((tag, value, rest)) = split_value(self.rest) else {
            self.rest = &[];
            return None;
        };
        let encoded = passed(self.rest, rest);
        self.rest = rest;
        Some(TableEntry { key: &[], tag, value, encoded })
    }
}

pub(super) fn split_entry(bytes: &[u8]) -> Result<(TableEntry<'_>, &[u8]), TableError> {
    let (&key_length, rest) = bytes.split_first().ok_or(TableError::Truncated)?;
    let (key, rest) = rest.split_at_checked(usize::from(key_length)).ok_or(TableError::Truncated)?;
    let (tag, value, rest) = split_value(rest)?;
    Ok((TableEntry { key, tag, value, encoded: passed(bytes, rest) }, rest))
}

/// What stands before the rest.
fn passed<'a>(bytes: &'a [u8], rest: &[u8]) -> &'a [u8] {
    &bytes[..bytes.len() - rest.len()]
}

/// Tag, the value's bytes (without a length in front), and what follows the value.
pub(super) fn split_value(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), TableError> {
    let (&tag, rest) = bytes.split_first().ok_or(TableError::Truncated)?;
    let (length, rest) = match tag {
        b'S' | b'x' | b'A' | b'F' => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or(TableError::Truncated)?;
            (u32::from_be_bytes(*length) as usize, rest)
        }
        b'V' => (0, rest),
        b't' | b'b' | b'B' => (1, rest),
        b's' | b'u' => (2, rest),
        b'I' | b'i' | b'f' => (4, rest),
        b'D' => (5, rest),
        b'l' | b'L' | b'd' | b'T' => (8, rest),
        tag => return Err(TableError::UnknownType { tag }),
    };
    let (value, rest) = rest.split_at_checked(length).ok_or(TableError::Truncated)?;
    Ok((tag, value, rest))
}

/// Why bytes are not a field table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A name or a value reaches beyond the end of what holds it.
    #[error("field table ends inside an entry")]
    Truncated,
    /// No type has this tag.
    #[error("unknown field type {tag}")]
    UnknownType {
        /// The octet that stands where a type tag should.
        tag: u8,
    },
    /// Tables and arrays lie more than [`TABLE_DEPTH_MAX`] deep.
    #[error("field table nested more than {TABLE_DEPTH_MAX} deep")]
    TooDeep,
}

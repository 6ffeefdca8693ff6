//! Field tables in RabbitMQ's dialect of the type letters (AMQP 0-9-1, 4.2.5.5; errata of RabbitMQ).
//!
//! Three ways in, from cheap to dear: [`TableView`] finds a name at the top level without looking inside the values,
//! [`FieldTable::validate`] walks everything and keeps nothing, [`FieldTable::decode`] builds owned values.
//!
//! Invariant: every length is compared with the bytes that are present before it is used, and tables and arrays may
//! nest [`TABLE_DEPTH_MAX`] deep, so no input can allocate much more than its own size or exhaust the stack.
//! This module does not know what any key means.

use std::fmt;
use std::sync::Arc;

use super::short_string::ShortString;

use crate::limits::TABLE_DEPTH_MAX;

/// Named values in the order in which they came.
///
/// A peer may send a name twice; both are kept, the first one is found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldTable {
    entries: Vec<(ShortString, FieldValue)>,
}

impl FieldTable {
    /// A table without entries. Does not allocate.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// About how many bytes of memory its entries take: many times what they took on the wire, if they are small.
    pub fn memory_bytes(&self) -> usize {
        let values = self.entries.iter().map(|(name, value)| name.len() + value.memory_bytes());
        self.entries.capacity() * size_of::<(ShortString, FieldValue)>() + values.sum::<usize>()
    }

    /// Keeps entries, the first ones first, as long as all of them take no more memory than this. Small ones take many times what they
    /// took on the wire.
    pub fn keep_first(&mut self, bytes_max: usize) {
        // The name's allocation has two counters in front.
        const ENTRY_BYTES: usize = size_of::<(ShortString, FieldValue)>() + 2 * size_of::<usize>();
        let mut left = bytes_max;
        let fits = self.entries.iter().take_while(|(name, value)| {
            let bytes = ENTRY_BYTES + name.len() + value.memory_bytes();
            left.checked_sub(bytes).is_some_and(|rest| {
                left = rest;
                true
            })
        });
        let fits = fits.count();
        self.entries.truncate(fits);
        self.entries.shrink_to_fit();
    }

    /// The value under `name`.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&FieldValue> {
        let name = name.as_ref();
        self.entries.iter().find(|(key, _)| key.as_bytes() == name).map(|(_, value)| value)
    }

    /// Replaces the value under `name`, or appends it. Answers the value that was replaced.
    pub fn insert(&mut self, name: ShortString, value: impl Into<FieldValue>) -> Option<FieldValue> {
        let value = value.into();
        if let Some((_, current)) = self.entries.iter_mut().find(|(key, _)| *key == name) {
            return Some(std::mem::replace(current, value));
        }
        self.entries.push((name, value));
        None
    }

    /// The table with `name` set to `value`; for tables that the program writes itself.
    ///
    /// # Panics
    ///
    /// If the literal is longer than 255 bytes.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<FieldValue>) -> Self {
        self.insert(ShortString::from_static(name), value);
        self
    }

    /// Removes every entry of that name, keeps the order of the others, and answers the first value removed.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> Option<FieldValue> {
        let name = name.as_ref();
        let at = self.entries.iter().position(|(key, _)| key.as_bytes() == name)?;
        let (_, value) = self.entries.remove(at);
        self.entries.retain(|(key, _)| key.as_bytes() != name);
        Some(value)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ShortString, &FieldValue)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads a table from its bytes WITHOUT the length in front; all of them must belong to it.
    pub fn decode(bytes: &[u8]) -> Result<Self, TableError> {
        decode_table(bytes, 1)
    }

    /// Appends the table, its `u32` length in front.
    pub fn encode(&self, out: &mut Vec<u8>) {
        with_length(out, |out| {
            for (name, value) in &self.entries {
                out.push(name.len() as u8);
                out.extend_from_slice(name);
                value.encode(out);
            }
        });
    }

    /// Accepts exactly what [`decode`](Self::decode) accepts, without allocating.
    pub fn validate(bytes: &[u8]) -> Result<(), TableError> {
        validate_table(bytes, 1)
    }
}

impl FromIterator<(ShortString, FieldValue)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (ShortString, FieldValue)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

impl IntoIterator for FieldTable {
    type Item = (ShortString, FieldValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// One value of a table or an array. The letter in each line is the tag on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// `t`: one octet, true if it is not 0.
    Bool(bool),
    /// `b`: signed octet.
    I8(i8),
    /// `B`: unsigned octet.
    U8(u8),
    /// `s`: signed 16 bits.
    I16(i16),
    /// `u`: unsigned 16 bits.
    U16(u16),
    /// `I`: signed 32 bits.
    I32(i32),
    /// `i`: unsigned 32 bits.
    U32(u32),
    /// `l`, and `L` on input: signed 64 bits. RabbitMQ reads both as signed.
    I64(i64),
    /// `f`: IEEE 754, 32 bits.
    F32(f32),
    /// `d`: IEEE 754, 64 bits.
    F64(f64),
    /// `D`: `value` divided by ten to the power of `scale`. RabbitMQ reads the value as unsigned.
    Decimal {
        /// How many decimal digits stand after the point.
        scale: u8,
        /// All digits.
        value: u32,
    },
    /// `S`: bytes behind a `u32` length, UTF-8 by custom only.
    LongString(Arc<[u8]>),
    /// `A`: values without names.
    Array(Vec<FieldValue>),
    /// `T`: seconds since 1970-01-01 UTC.
    Timestamp(u64),
    /// `F`: a table inside the table.
    Table(FieldTable),
    /// `V`: no value.
    Void,
    /// `x`: bytes behind a `u32` length that are not meant as text.
    Bytes(Arc<[u8]>),
}

impl FieldValue {
    /// About how many bytes it takes beside itself.
    fn memory_bytes(&self) -> usize {
        match self {
            Self::LongString(bytes) | Self::Bytes(bytes) => bytes.len() + 2 * size_of::<usize>(),
            Self::Array(values) => {
                values.capacity() * size_of::<Self>() + values.iter().map(Self::memory_bytes).sum::<usize>()
            }
            Self::Table(table) => table.memory_bytes(),
            _ => 0,
        }
    }

    /// A long string of these bytes.
    pub fn long_string(bytes: impl AsRef<[u8]>) -> Self {
        Self::LongString(Arc::from(bytes.as_ref()))
    }

    /// The number, if the value is of an integer type; which one does not matter, as in RabbitMQ.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I8(value) => Some(i64::from(value)),
            Self::U8(value) => Some(i64::from(value)),
            Self::I16(value) => Some(i64::from(value)),
            Self::U16(value) => Some(i64::from(value)),
            Self::I32(value) => Some(i64::from(value)),
            Self::U32(value) => Some(i64::from(value)),
            Self::I64(value) => Some(value),
            _ => None,
        }
    }

    /// The bytes of a long string.
    pub fn as_str_bytes(&self) -> Option<&[u8]> {
        if let Self::LongString(bytes) = self { Some(bytes) } else { None }
    }

    /// The value of a bool.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = *self { Some(value) } else { None }
    }

    /// The values of an array.
    pub fn as_array(&self) -> Option<&[FieldValue]> {
        if let Self::Array(values) = self { Some(values) } else { None }
    }

    /// The table.
    pub fn as_table(&self) -> Option<&FieldTable> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    /// The type's name as RabbitMQ writes it in error texts: `longstr`, `signedint`, `long`, `bool`, ...
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongString(_) => "longstr",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
            Self::Bytes(_) => "binary",
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => out.extend_from_slice(&[b't', u8::from(*value)]),
            Self::I8(value) => tagged(out, b'b', &value.to_be_bytes()),
            Self::U8(value) => tagged(out, b'B', &value.to_be_bytes()),
            Self::I16(value) => tagged(out, b's', &value.to_be_bytes()),
            Self::U16(value) => tagged(out, b'u', &value.to_be_bytes()),
            Self::I32(value) => tagged(out, b'I', &value.to_be_bytes()),
            Self::U32(value) => tagged(out, b'i', &value.to_be_bytes()),
            Self::I64(value) => tagged(out, b'l', &value.to_be_bytes()),
            Self::F32(value) => tagged(out, b'f', &value.to_be_bytes()),
            Self::F64(value) => tagged(out, b'd', &value.to_be_bytes()),
            Self::Timestamp(value) => tagged(out, b'T', &value.to_be_bytes()),
            Self::Decimal { scale, value } => {
                tagged(out, b'D', &[*scale]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Self::LongString(bytes) => tagged_bytes(out, b'S', bytes),
            Self::Bytes(bytes) => tagged_bytes(out, b'x', bytes),
            Self::Array(values) => {
                out.push(b'A');
                with_length(out, |out| values.iter().for_each(|value| value.encode(out)));
            }
            Self::Table(table) => {
                out.push(b'F');
                table.encode(out);
            }
            Self::Void => out.push(b'V'),
        }
    }
}

/// The value as it stands in error texts: numbers in decimal, strings bare, what is not UTF-8 replaced.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::F32(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Timestamp(value) => value.fmt(f),
            Self::Decimal { scale, value } => write!(f, "{{{scale},{value}}}"),
            Self::LongString(bytes) | Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Void => f.write_str("undefined"),
            Self::Array(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Table(table) => {
                f.write_str("[")?;
                for (at, (name, value)) in table.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{{{name},{},{value}}}", value.type_name())?;
                }
                f.write_str("]")
            }
            integer => integer.as_i64().unwrap_or_default().fmt(f),
        }
    }
}

impl From<bool> for FieldValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for FieldValue {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<i64> for FieldValue {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self::long_string(text)
    }
}

impl From<FieldTable> for FieldValue {
    fn from(table: FieldTable) -> Self {
        Self::Table(table)
    }
}

impl From<Vec<FieldValue>> for FieldValue {
    fn from(values: Vec<FieldValue>) -> Self {
        Self::Array(values)
    }
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

/// A look at the top level of a table's bytes (without the length in front), which it iterates over.
///
/// Values are passed over by their length, not checked. Iteration stops where the bytes stop making sense, so use
/// it on bytes that [`FieldTable::validate`] has accepted.
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

impl TableEntry<'_> {
    /// The owned value. Lengths inside are checked.
    pub fn decode(&self) -> Result<FieldValue, TableError> {
        decode_value(self.tag, self.value, 1)
    }
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

fn split_entry(bytes: &[u8]) -> Result<(TableEntry<'_>, &[u8]), TableError> {
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
fn split_value(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), TableError> {
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

fn decode_table(mut bytes: &[u8], depth: usize) -> Result<FieldTable, TableError> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (entry, rest) = split_entry(bytes)?;
        let name = ShortString::try_from(entry.key).map_err(|_| TableError::Truncated)?;
        entries.push((name, decode_value(entry.tag, entry.value, depth)?));
        bytes = rest;
    }
    Ok(FieldTable { entries })
}

fn decode_array(mut bytes: &[u8], depth: usize) -> Result<Vec<FieldValue>, TableError> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (tag, value, rest) = split_value(bytes)?;
        values.push(decode_value(tag, value, depth)?);
        bytes = rest;
    }
    Ok(values)
}

/// `depth` is the level of the table or array in which the value stands.
fn decode_value(tag: u8, bytes: &[u8], depth: usize) -> Result<FieldValue, TableError> {
    Ok(match tag {
        b't' => FieldValue::Bool(u8::from_be_bytes(fixed(bytes)?) != 0),
        b'b' => FieldValue::I8(i8::from_be_bytes(fixed(bytes)?)),
        b'B' => FieldValue::U8(u8::from_be_bytes(fixed(bytes)?)),
        b's' => FieldValue::I16(i16::from_be_bytes(fixed(bytes)?)),
        b'u' => FieldValue::U16(u16::from_be_bytes(fixed(bytes)?)),
        b'I' => FieldValue::I32(i32::from_be_bytes(fixed(bytes)?)),
        b'i' => FieldValue::U32(u32::from_be_bytes(fixed(bytes)?)),
        b'l' | b'L' => FieldValue::I64(i64::from_be_bytes(fixed(bytes)?)),
        b'f' => FieldValue::F32(f32::from_be_bytes(fixed(bytes)?)),
        b'd' => FieldValue::F64(f64::from_be_bytes(fixed(bytes)?)),
        b'T' => FieldValue::Timestamp(u64::from_be_bytes(fixed(bytes)?)),
        b'D' => {
            let [scale, a, b, c, d] = fixed(bytes)?;
            FieldValue::Decimal { scale, value: u32::from_be_bytes([a, b, c, d]) }
        }
        b'S' => FieldValue::LongString(Arc::from(bytes)),
        b'x' => FieldValue::Bytes(Arc::from(bytes)),
        b'A' => FieldValue::Array(decode_array(bytes, deeper(depth)?)?),
        b'F' => FieldValue::Table(decode_table(bytes, deeper(depth)?)?),
        b'V' => FieldValue::Void,
        tag => return Err(TableError::UnknownType { tag }),
    })
}

fn validate_table(mut bytes: &[u8], depth: usize) -> Result<(), TableError> {
    while !bytes.is_empty() {
        let (entry, rest) = split_entry(bytes)?;
        validate_value(entry.tag, entry.value, depth)?;
        bytes = rest;
    }
    Ok(())
}

fn validate_array(mut bytes: &[u8], depth: usize) -> Result<(), TableError> {
    while !bytes.is_empty() {
        let (tag, value, rest) = split_value(bytes)?;
        validate_value(tag, value, depth)?;
        bytes = rest;
    }
    Ok(())
}

/// Only what holds other values needs a look: the length of everything else was checked when it was split off.
fn validate_value(tag: u8, bytes: &[u8], depth: usize) -> Result<(), TableError> {
    match tag {
        b'A' => validate_array(bytes, deeper(depth)?),
        b'F' => validate_table(bytes, deeper(depth)?),
        _ => Ok(()),
    }
}

fn deeper(depth: usize) -> Result<usize, TableError> {
    if depth < TABLE_DEPTH_MAX { Ok(depth + 1) } else { Err(TableError::TooDeep) }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], TableError> {
    <[u8; N]>::try_from(bytes).map_err(|_| TableError::Truncated)
}

fn tagged(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    out.extend_from_slice(value);
}

fn tagged_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    tagged(out, tag, &(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Writes a table piece by piece, without owned values. A piece may be what a [`TableEntry`] has as `encoded`.
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
fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::arbitrary;

    fn encoded(table: &FieldTable) -> Vec<u8> {
        let mut out = Vec::new();
        table.encode(&mut out);
        out
    }

    fn nested(levels: usize, tag: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        for level in 0..levels {
            let mut outer = if tag == b'F' || level + 1 == levels { vec![1, b'n', tag] } else { vec![tag] };
            outer.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            outer.append(&mut bytes);
            bytes = outer;
        }
        bytes
    }

    #[test]
    fn the_first_entries_are_kept_as_far_as_there_is_memory_for_them() {
        let entry = |name: &str, value: &str| (ShortString::try_from(name).unwrap(), FieldValue::from(value));
        let table = || {
            FieldTable::from_iter([entry("a", "first"), entry("b", &"x".repeat(1_000)), entry("c", "last")])
        };
        for (bytes_max, kept) in [(0, 0), (1_000, 1), (1_500, 3), (usize::MAX, 3)] {
            let mut some = table();
            some.keep_first(bytes_max);
            assert_eq!(some.len(), kept, "{bytes_max}");
            assert!(some.iter().eq(table().iter().take(kept)), "{bytes_max}");
            assert!(some.memory_bytes() <= bytes_max, "{bytes_max}");
        }
        // As many as a frame can have.
        let mut many = FieldTable::decode(&[0, b'V'].repeat(4_000)).unwrap();
        many.keep_first(16 * 1024);
        assert!(many.len() > 100 && many.memory_bytes() <= 16 * 1024, "{}", many.len());
    }

    #[test]
    fn every_type_keeps_its_letter_on_the_wire() {
        let values: [(u8, FieldValue); 17] = [
            (b't', true.into()),
            (b'b', FieldValue::I8(-1)),
            (b'B', FieldValue::U8(255)),
            (b's', FieldValue::I16(-1)),
            (b'u', FieldValue::U16(65535)),
            (b'I', (-1).into()),
            (b'i', FieldValue::U32(u32::MAX)),
            (b'l', (-1_i64).into()),
            (b'f', FieldValue::F32(0.5)),
            (b'd', FieldValue::F64(0.25)),
            (b'D', FieldValue::Decimal { scale: 2, value: 314 }),
            (b'S', "text".into()),
            (b'A', vec![FieldValue::Void].into()),
            (b'T', FieldValue::Timestamp(1)),
            (b'F', FieldTable::new().with("a", 1).into()),
            (b'V', FieldValue::Void),
            (b'x', FieldValue::Bytes(Arc::from([0, 1].as_slice()))),
        ];
        for (tag, value) in values {
            let table = FieldTable::new().with("k", value);
            let bytes = encoded(&table);
            assert_eq!((bytes[4], bytes[5], bytes[6]), (1, b'k', tag));
            assert_eq!(FieldTable::decode(&bytes[4..]), Ok(table));
        }
    }

    #[test]
    fn capital_l_is_read_as_a_signed_64_bit_number() {
        let bytes = [&[1, b'k', b'L'], [0xFF; 8].as_slice()].concat();
        assert_eq!(FieldTable::decode(&bytes).unwrap().get("k"), Some(&FieldValue::I64(-1)));
    }

    #[test]
    fn any_octet_but_zero_is_true() {
        let table = FieldTable::decode(&[1, b'k', b't', 7]).unwrap();
        assert_eq!(table.get("k").and_then(FieldValue::as_bool), Some(true));
    }

    #[test]
    fn insert_replaces_in_place_and_remove_keeps_the_order() {
        let mut table = FieldTable::new().with("a", 1).with("b", 2).with("c", 3);
        assert_eq!(table.insert(ShortString::from_static("b"), 9), Some(FieldValue::I32(2)));
        assert_eq!(table.remove("a"), Some(FieldValue::I32(1)));
        assert_eq!(table.remove("a"), None);
        let names: Vec<_> = table.iter().map(|(name, value)| (name.to_string(), value.as_i64())).collect();
        assert_eq!(names, [("b".to_owned(), Some(9)), ("c".to_owned(), Some(3))]);
    }

    #[test]
    fn a_name_sent_twice_is_kept_and_the_first_is_found() {
        let bytes = [1, b'k', b'b', 1, 1, b'k', b'b', 2];
        let mut table = FieldTable::decode(&bytes).unwrap();
        assert_eq!((table.len(), table.get("k")), (2, Some(&FieldValue::I8(1))));
        assert_eq!(encoded(&table)[4..], bytes);
        table.remove("k");
        assert!(table.is_empty());
    }

    #[test]
    fn sixty_four_levels_are_read_and_sixty_five_are_not() {
        for tag in [b'F', b'A'] {
            let allowed = nested(TABLE_DEPTH_MAX - 1, tag);
            assert!(FieldTable::decode(&allowed).is_ok() && FieldTable::validate(&allowed).is_ok());
            let deep = nested(TABLE_DEPTH_MAX, tag);
            assert_eq!(FieldTable::decode(&deep), Err(TableError::TooDeep));
            assert_eq!(FieldTable::validate(&deep), Err(TableError::TooDeep));
        }
    }

    #[test]
    fn ten_thousand_levels_do_not_overflow_the_stack() {
        for tag in [b'F', b'A'] {
            let bytes = nested(10_000, tag);
            assert_eq!(FieldTable::decode(&bytes), Err(TableError::TooDeep));
            assert_eq!(FieldTable::validate(&bytes), Err(TableError::TooDeep));
        }
    }

    #[test]
    fn a_length_of_four_gib_is_refused_before_anything_is_allocated() {
        for tag in *b"SxAF" {
            let bytes = [1, b'k', tag, 0xFF, 0xFF, 0xFF, 0xFF, 0];
            assert_eq!(FieldTable::decode(&bytes), Err(TableError::Truncated));
            assert_eq!(FieldTable::validate(&bytes), Err(TableError::Truncated));
            assert_eq!(TableView::new(&bytes).count(), 0);
        }
    }

    #[test]
    fn an_unknown_tag_is_named_in_the_error() {
        assert_eq!(FieldTable::decode(&[1, b'k', b'?']), Err(TableError::UnknownType { tag: b'?' }));
    }

    #[test]
    fn a_view_finds_names_at_the_top_level_only() {
        let inner = FieldTable::new().with("BCC", "hidden");
        let cc = vec![FieldValue::from("a"), FieldValue::from("b")];
        let table = FieldTable::new().with("inner", inner).with("CC", cc).with("x-delay", 500);
        let bytes = encoded(&table);
        let view = TableView::new(&bytes[4..]);
        assert_eq!(view.get("BCC"), None);
        assert_eq!(view.get("x-delay").unwrap().decode(), Ok(FieldValue::I32(500)));
        let cc = view.get(b"CC").unwrap();
        assert_eq!(cc.tag, b'A');
        let keys: Vec<_> = ArrayView::new(cc.value).map(|entry| (entry.tag, entry.value)).collect();
        assert_eq!(keys, [(b'S', b"a".as_slice()), (b'S', b"b".as_slice())]);
    }

    #[test]
    fn values_are_shown_as_error_texts_show_them() {
        assert_eq!(FieldValue::I64(5).to_string(), "5");
        assert_eq!(FieldValue::from("lazy").to_string(), "lazy");
        assert_eq!(FieldValue::from(vec![FieldValue::I8(1), FieldValue::Void]).to_string(), "[1,undefined]");
        assert_eq!(FieldValue::from(FieldTable::new().with("a", 1)).to_string(), "[{a,signedint,1}]");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(table in arbitrary::table()) {
            let bytes = encoded(&table);
            prop_assert_eq!(bytes.len(), 4 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize);
            prop_assert_eq!(FieldTable::validate(&bytes[4..]), Ok(()));
            prop_assert_eq!(TableView::new(&bytes[4..]).count(), table.len());
            prop_assert_eq!(FieldTable::decode(&bytes[4..]), Ok(table));
        }

        #[test]
        fn validate_and_decode_agree_on_mutated_bytes(
            table in arbitrary::table(), at in any::<prop::sample::Index>(), octet: u8, cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encoded(&table).split_off(4);
            if !bytes.is_empty() {
                let index = at.index(bytes.len());
                bytes[index] = octet;
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            let decoded = FieldTable::decode(&bytes);
            prop_assert_eq!(FieldTable::validate(&bytes), decoded.map(|_| ()));
            for entry in TableView::new(&bytes) {
                let _ = entry.decode();
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            prop_assert_eq!(FieldTable::validate(&bytes), FieldTable::decode(&bytes).map(|_| ()));
        }
    }
}

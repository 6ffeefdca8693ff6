//! Tables and values that own what they hold.

use std::fmt;
use std::sync::Arc;

use super::writer::{tagged, tagged_bytes, with_length};
use crate::protocol::short_string::ShortString;

/// Named values in the order in which they came.
///
/// A peer may send a name twice; both are kept, the first one is found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldTable {
    pub(super) entries: Vec<(ShortString, FieldValue)>,
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

//! Owned values from bytes, and whether bytes are a table at all.

use std::sync::Arc;

use super::{
    value::{FieldTable, FieldValue},
    view::{TableEntry, TableError, split_entry, split_value},
};
use crate::limits::TABLE_DEPTH_MAX;
use crate::protocol::short_string::ShortString;

impl FieldTable {
    /// Reads a table from its bytes WITHOUT the length in front; all of them must belong to it.
    pub fn decode(bytes: &[u8]) -> Result<Self, TableError> {
        decode_table(bytes, 1)
    }

    /// Accepts exactly what [`decode`](Self::decode) accepts, without allocating.
    pub fn validate(bytes: &[u8]) -> Result<(), TableError> {
        validate_table(bytes, 1)
    }
}

impl TableEntry<'_> {
    /// The owned value. Lengths inside are checked.
    pub fn decode(&self) -> Result<FieldValue, TableError> {
        decode_value(self.tag, self.value, 1)
    }
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

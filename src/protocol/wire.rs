//! The few shapes of which method arguments and properties are made, as nom parsers over complete slices, and their
//! counterparts that append to a buffer. They know nothing of methods.

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use super::{FieldTable, ShortString};

/// What is left, and the value. The error carries nothing: whoever asked knows what it was reading.
pub(crate) type Parsed<'a, T> = nom::IResult<&'a [u8], T, ()>;

pub(crate) fn octet(input: &[u8]) -> Parsed<'_, u8> {
    be_u8(input)
}

pub(crate) fn short(input: &[u8]) -> Parsed<'_, u16> {
    be_u16(input)
}

pub(crate) fn long(input: &[u8]) -> Parsed<'_, u32> {
    be_u32(input)
}

pub(crate) fn long_long(input: &[u8]) -> Parsed<'_, u64> {
    be_u64(input)
}

/// Up to 255 bytes behind an octet, borrowed.
pub(crate) fn short_bytes(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, length) = be_u8(input)?;
    take(usize::from(length))(input)
}

/// Bytes behind a `u32`, borrowed; the length is checked against what is there.
pub(crate) fn long_bytes(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, length) = be_u32(input)?;
    take(length as usize)(input)
}

pub(crate) fn short_string(input: &[u8]) -> Parsed<'_, ShortString> {
    let (input, bytes) = short_bytes(input)?;
    Ok((input, ShortString::try_from(bytes).map_err(|_| nom::Err::Failure(()))?))
}

pub(crate) fn long_string(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    let (input, bytes) = long_bytes(input)?;
    Ok((input, bytes.to_vec()))
}

pub(crate) fn table(input: &[u8]) -> Parsed<'_, FieldTable> {
    let (input, bytes) = long_bytes(input)?;
    Ok((input, FieldTable::decode(bytes).map_err(|_| nom::Err::Failure(()))?))
}

/// The value, if the parser reads all of `input` and not less.
pub(crate) fn complete<'a, T>(input: &'a [u8], parse: impl FnOnce(&'a [u8]) -> Parsed<'a, T>) -> Option<T> {
    match parse(input) {
        Ok(([], value)) => Some(value),
        _ => None,
    }
}

pub(crate) fn put_short(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_long(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_long_long(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_short_string(out: &mut Vec<u8>, text: &ShortString) {
    out.push(text.len() as u8);
    out.extend_from_slice(text);
}

pub(crate) fn put_long_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

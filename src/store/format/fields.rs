//! Fields that records of several kinds have: names, texts, tables, limits.
//!
//! A name is a length octet and its bytes; a text a `u32` length and UTF-8; a list of names a `u32` count and names; a table is
//! AMQP's with its big-endian `u32` length in front. Limits are a `u8` count and, for each in ascending order, its number
//! and a `u64`.

use super::bytes::{Bytes, Damage, require};
use crate::core::access::{Limit, Limits};
use crate::protocol::{FieldTable, ShortString};

pub(super) fn put_name(out: &mut Vec<u8>, name: &ShortString) {
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

pub(super) fn take_name(fields: &mut Bytes<'_>) -> Result<ShortString, Damage> {
    let length = fields.u8()?;
    let bytes = fields.take(usize::from(length))?;
    ShortString::try_from(bytes).map_err(|_| Damage::Malformed("a name is too long"))
}

pub(super) fn put_names(out: &mut Vec<u8>, names: &[ShortString]) {
    out.extend_from_slice(&(names.len() as u32).to_le_bytes());
    for name in names {
        put_name(out, name);
    }
}

pub(super) fn take_names(fields: &mut Bytes<'_>) -> Result<Vec<ShortString>, Damage> {
    let count = fields.u32()?;
    (0..count).map(|_| take_name(fields)).collect()
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn take_bytes<'a>(fields: &mut Bytes<'a>) -> Result<&'a [u8], Damage> {
    let length = fields.u32()?;
    fields.take(length as usize)
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

pub(super) fn take_text(fields: &mut Bytes<'_>) -> Result<String, Damage> {
    let bytes = take_bytes(fields)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Damage::Malformed("a text is not UTF-8"))
}

pub(super) fn take_table(fields: &mut Bytes<'_>) -> Result<FieldTable, Damage> {
    let length = u32::from_be_bytes(fields.array()?);
    let bytes = fields.take(length as usize)?;
    FieldTable::decode(bytes).map_err(|_| Damage::Malformed("arguments are not a field table"))
}

pub(super) fn put_limits(out: &mut Vec<u8>, limits: &Limits) {
    out.push(limits.iter().len() as u8);
    for (limit, max) in limits.iter() {
        out.push(limit_number(limit));
        out.extend_from_slice(&max.to_le_bytes());
    }
}

pub(super) fn take_limits(fields: &mut Bytes<'_>) -> Result<Limits, Damage> {
    let mut limits = Limits::default();
    let mut before = 0;
    for _ in 0..fields.u8()? {
        let number = fields.u8()?;
        require(number > before, "limits are out of order")?;
        before = number;
        let limit = Limit::ALL.into_iter().find(|limit| limit_number(*limit) == number);
        limits.set(limit.ok_or(Damage::Malformed("unknown limit"))?, Some(fields.u64()?));
    }
    Ok(limits)
}

/// They ascend as [`Limit::ALL`] does.
fn limit_number(limit: Limit) -> u8 {
    match limit {
        Limit::MaxConnections => 1,
        Limit::MaxChannels => 2,
        Limit::MaxQueues => 3,
        Limit::MaxMessagesPerSecond => 4,
        Limit::MaxBytesPerSecond => 5,
        Limit::MaxMemoryBytes => 6,
        Limit::MaxDiskBytes => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_keep_their_numbers() {
        let all: Limits = Limit::ALL.into_iter().zip(10..).collect();
        let mut out = vec![];
        put_limits(&mut out, &all);
        let numbers: Vec<u8> = out[1..].chunks(9).map(|limit| limit[0]).collect();
        assert_eq!((out[0], numbers), (7, vec![1, 2, 3, 4, 5, 6, 7]));
        assert_eq!(take_limits(&mut Bytes(&out)), Ok(all));
    }

    #[test]
    fn limits_that_are_unknown_or_out_of_order_are_damage() {
        let taken = |numbers: &[u8]| {
            let mut bytes = vec![numbers.len() as u8];
            for &number in numbers {
                bytes.extend_from_slice(&[number, 1, 0, 0, 0, 0, 0, 0, 0]);
            }
            take_limits(&mut Bytes(&bytes))
        };
        assert!(taken(&[1, 7]).is_ok());
        for wrong in [&[0][..], &[8], &[2, 1], &[1, 1]] {
            assert!(taken(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn counts_and_lengths_beyond_the_bytes_are_damage() {
        let huge = u32::MAX.to_le_bytes();
        assert_eq!(take_names(&mut Bytes(&huge)), Err(Damage::Truncated));
        assert_eq!(take_text(&mut Bytes(&huge)), Err(Damage::Truncated));
        assert_eq!(take_text(&mut Bytes(b"\x01\0\0\0\xFF")), Err(Damage::Malformed("a text is not UTF-8")));
    }
}

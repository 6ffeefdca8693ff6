//! Messages that say who they are and whether they are whole. The message-id names publisher, sequence and size; the
//! body is a function of those three (long enough ones carry the identity and a checksum too), so a torn, mixed-up or
//! padded body never passes.

use crate::{
    link::Content,
    wire::{Args, Table},
};

/// One publisher's n-th message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    pub publisher: u32,
    pub sequence: u64,
}

/// Property flags and list: delivery-mode and message-id.
pub fn properties(id: Id, size: usize) -> Vec<u8> {
    let name = format!("{}-{}-{size}", id.publisher, id.sequence);
    let mut bytes = FLAGS.to_be_bytes().to_vec();
    bytes.push(PERSISTENT);
    bytes.push(name.len() as u8);
    bytes.extend(name.as_bytes());
    bytes
}

/// Property flags and list: delivery-mode, and the header `x-deliver-at` in milliseconds.
pub fn due_at(moment_ms: u64) -> Vec<u8> {
    let headers = Table::new().entry("x-deliver-at", b'l', &moment_ms.to_be_bytes());
    Args(Vec::new()).u16(1 << 13 | 1 << 12).table(&headers).u8(PERSISTENT).0
}

pub fn body(id: Id, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 8);
    if size >= CHECKED_BYTES_MIN {
        bytes.extend(id.publisher.to_be_bytes());
        bytes.extend(id.sequence.to_be_bytes());
    }
    let mut state = (id.sequence ^ (u64::from(id.publisher) << 40) ^ size as u64) | 1 << 63;
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    if size >= CHECKED_BYTES_MIN {
        let end = size - 4;
        let sum = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// Which message this is; an error when it is not, to the last byte, what was published.
pub fn identify(content: &Content) -> Result<Id, String> {
    let text = content.properties.get(4..).map(String::from_utf8_lossy).unwrap_or_default();
    let numbers: Vec<u64> = text.split('-').filter_map(|part| part.parse().ok()).collect();
    let &[publisher, sequence, size] = numbers.as_slice() else {
        return Err(format!("properties {:?} name no message", content.properties));
    };
    let (id, size) = (Id { publisher: publisher as u32, sequence }, size as usize);
    if content.properties != properties(id, size) {
        return Err(format!("{id:?} has properties {:?}", content.properties));
    }
    if content.body.len() != size {
        return Err(format!("{id:?} has {} of {size} bytes", content.body.len()));
    }
    let wanted = body(id, size);
    if content.body == wanted {
        return Ok(id);
    }
    let at = (0..size).find(|&at| content.body[at] != wanted[at]);
    Err(format!("{id:?} of {size} bytes is wrong from byte {at:?} on"))
}

/// Which message has this body, of [`CHECKED_BYTES_MIN`] or more; an error when it is not, to the last byte, what was
/// published.
pub fn identify_body(found: &[u8]) -> Result<Id, String> {
    let (Some(publisher), Some(sequence)) =
        (found.first_chunk(), found.get(4..).and_then(<[u8]>::first_chunk))
    else {
        return Err(format!("{found:?} names no message"));
    };
    let id = Id { publisher: u32::from_be_bytes(*publisher), sequence: u64::from_be_bytes(*sequence) };
    if found == body(id, found.len()) { Ok(id) } else { Err(format!("{id:?} has another body")) }
}

const FLAGS: u16 = 1 << 12 | 1 << 7;
const PERSISTENT: u8 = 2;
/// Identity and checksum fit.
pub const CHECKED_BYTES_MIN: usize = 24;

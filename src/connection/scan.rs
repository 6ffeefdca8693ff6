//! The common publish, recognised in the read buffer: `basic.publish`, content header and all body frames, one after
//! another on one channel. Everything else (interleaved channels, bodies larger than the buffer, malformed frames)
//! takes the general way, frame by frame, which also finds the right error.

use crate::core::{
    message::{Layout, View},
    rewrite::bits_of_client,
};
use crate::protocol::frame::{FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_METHOD, FRAME_OVERHEAD_BYTES};
use crate::protocol::properties::PropertiesView;

/// A publish that is complete in the buffer.
pub(super) struct Scanned<'a> {
    pub(super) channel: u16,
    /// The whole method frame: two publishes with equal ones go the same way.
    pub(super) method: &'a [u8],
    /// Whether the method frame before was equal.
    pub(super) repeats: bool,
    pub(super) view: View<'a>,
    pub(super) bits: u8,
    /// Bytes of all its frames.
    pub(super) bytes: usize,
}

/// Where the image of a message begins: with the length of the exchange's name in the method frame.
const IMAGE_AT: usize = 13;

/// Bytes of all frames of a publish.
pub(super) fn bytes_of_publish(view: &View<'_>) -> usize {
    IMAGE_AT + view.image().len()
}

/// What stands at the front of the buffer.
pub(super) enum Scan<'a> {
    /// A publish.
    Complete(Scanned<'a>),
    /// The start of a publish.
    Partial,
    /// Something else, or a publish that needs the general way.
    Other,
}

/// Looks at the front of `buffer`.
#[inline]
pub(super) fn scan<'a>(
    buffer: &'a [u8],
    previous_method: &[u8],
    frame_bytes_max: usize,
    body_bytes_max: u64,
) -> Scan<'a> {
    let repeats = !previous_method.is_empty() && buffer.starts_with(previous_method);
    let method = if repeats { Some(&buffer[..previous_method.len()]) } else { method_frame(buffer) };
    let Some(method) = method else { return Scan::Other };
    let channel = [method[1], method[2]];
    match content(&buffer[method.len()..], channel, frame_bytes_max, body_bytes_max) {
        Content::Complete { header_frame_bytes, body_bytes, bytes, persistent } => {
            let exchange_bytes = method[IMAGE_AT];
            let key_bytes = method[14 + usize::from(exchange_bytes)];
            let layout = Layout {
                header_frame_bytes: header_frame_bytes as u32,
                body_bytes: body_bytes as u32,
                exchange_bytes,
                key_bytes,
                persistent,
            };
            let bytes = method.len() + bytes;
            Scan::Complete(Scanned {
                channel: u16::from_be_bytes(channel),
                method,
                repeats,
                view: View::new(layout, &buffer[IMAGE_AT..bytes]),
                bits: method[method.len() - 2],
                bytes,
            })
        }
        Content::Partial => Scan::Partial,
        Content::Other => Scan::Other,
    }
}

/// A complete, well-formed `basic.publish` frame at the front.
fn method_frame(buffer: &[u8]) -> Option<&[u8]> {
    let head = buffer.first_chunk::<14>()?;
    let is_publish = head[0] == FRAME_METHOD && head[1..3] != [0, 0] && head[7..11] == [0, 60, 0, 40];
    if !is_publish {
        return None;
    }
    let bytes = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize + FRAME_OVERHEAD_BYTES;
    let method = buffer.get(..bytes)?;
    let key_at = 14 + usize::from(head[13]);
    let key_bytes = usize::from(*method.get(key_at)?);
    let fits = bytes == key_at + 1 + key_bytes + 2 && method[bytes - 1] == FRAME_END;
    (fits && bits_of_client(method[bytes - 2])).then_some(method)
}

enum Content {
    Complete { header_frame_bytes: usize, body_bytes: u64, bytes: usize, persistent: bool },
    Partial,
    Other,
}

/// The content header and body frames that must follow.
#[inline]
fn content(buffer: &[u8], channel: [u8; 2], frame_bytes_max: usize, body_bytes_max: u64) -> Content {
    let header = match frame(buffer, FRAME_HEADER, channel, frame_bytes_max) {
        Frame::Complete(frame) => frame,
        Frame::Partial => return Content::Partial,
        Frame::Other => return Content::Other,
    };
    let payload = &header[7..header.len() - 1];
    let Some(([0, 60, 0, 0, size @ ..], properties)) = payload.split_first_chunk::<12>() else {
        return Content::Other;
    };
    let body_bytes = u64::from_be_bytes(*size);
    if body_bytes > body_bytes_max {
        return Content::Other;
    }
    let persistent = match properties {
        [0, 0] => false,
        [0x10, 0, mode] => *mode == 2,
        _ => match PropertiesView::parse(properties) {
            Ok(view) => view.is_persistent(),
            Err(_) => return Content::Other,
        },
    };
    let mut at = header.len();
    let mut missing = body_bytes;
    while missing > 0 {
        match frame(&buffer[at..], FRAME_BODY, channel, frame_bytes_max) {
            Frame::Complete(frame) => {
                let bytes = (frame.len() - FRAME_OVERHEAD_BYTES) as u64;
                if bytes > missing || bytes == 0 {
                    return Content::Other;
                }
                missing -= bytes;
                at += frame.len();
            }
            Frame::Partial => return Content::Partial,
            Frame::Other => return Content::Other,
        }
    }
    Content::Complete { header_frame_bytes: header.len(), body_bytes, bytes: at, persistent }
}

enum Frame<'a> {
    Complete(&'a [u8]),
    Partial,
    Other,
}

#[inline]
fn frame(buffer: &[u8], kind: u8, channel: [u8; 2], frame_bytes_max: usize) -> Frame<'_> {
    let Some(head) = buffer.first_chunk::<7>() else { return Frame::Partial };
    let bytes = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize + FRAME_OVERHEAD_BYTES;
    if head[0] != kind || head[1..3] != channel || bytes > frame_bytes_max {
        return Frame::Other;
    }
    match buffer.get(..bytes) {
        Some(frame) if frame[bytes - 1] == FRAME_END => Frame::Complete(frame),
        Some(_) => Frame::Other,
        None => Frame::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ShortString, basic, frame::write_method, write_bodies, write_header};

    const FRAME_BYTES_MAX: usize = 4096;

    fn published(channel: u16, key: &'static str, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let publish = basic::Publish { routing_key: ShortString::from_static(key), ..Default::default() };
        write_method(&mut out, channel, &publish);
        write_header(&mut out, channel, 60, body.len() as u64, &[0x10, 0, 2]);
        write_bodies(&mut out, channel, body, 64);
        out
    }

    fn complete<'a>(buffer: &'a [u8], previous: &[u8]) -> Scanned<'a> {
        match scan(buffer, previous, FRAME_BYTES_MAX, 1_000) {
            Scan::Complete(scanned) => scanned,
            Scan::Partial => panic!("partial"),
            Scan::Other => panic!("other"),
        }
    }

    #[test]
    fn a_publish_is_recognised_where_it_stands_and_the_next_one_by_its_method_frame() {
        let body = [7; 150];
        let bytes =
            [published(3, "key", &body), published(3, "key", b""), published(3, "other", b"x")].concat();
        let first = complete(&bytes, &[]);
        assert_eq!(
            (first.channel, first.view.routing_key(), first.view.body()),
            (3, &b"key"[..], body.to_vec())
        );
        assert!(first.view.layout.persistent);
        let second = complete(&bytes[first.bytes..], first.method);
        assert_eq!((second.method, second.view.body()), (first.method, vec![]));
        let third = complete(&bytes[first.bytes + second.bytes..], first.method);
        assert_ne!(third.method, first.method);
        assert_eq!(first.bytes + second.bytes + third.bytes, bytes.len());
    }

    #[test]
    fn every_cut_of_a_publish_is_partial_or_too_short_to_tell() {
        let bytes = published(1, "key", &[7; 150]);
        let method_bytes = complete(&bytes, &[]).method.len();
        for cut in 0..bytes.len() {
            let scanned = scan(&bytes[..cut], &[], FRAME_BYTES_MAX, 1_000);
            let expected_partial = cut >= method_bytes;
            assert_eq!(matches!(scanned, Scan::Partial), expected_partial, "cut at {cut}");
            assert!(!matches!(scanned, Scan::Complete(_)));
        }
    }

    #[test]
    fn what_is_not_plain_takes_the_general_way() {
        let whole = published(1, "key", b"body");
        let method_bytes = complete(&whole, &[]).method.len();
        let with = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            bytes
        };
        let header_at = method_bytes;
        for (what, bytes) in [
            ("channel 0", with(2, 0)),
            ("another class", with(8, 50)),
            ("a method frame without its end", with(method_bytes - 1, 0)),
            ("a header for another channel", with(header_at + 2, 9)),
            ("a header for another class", with(header_at + 8, 50)),
            ("a body that is too large", with(header_at + 7 + 4 + 5, 255)),
            ("unknown property flags", with(header_at + 7 + 13, 1)),
            ("a body frame that is too long", with(header_at + 7 + 4 + 7, 2)),
            ("no frame end behind the body", with(whole.len() - 1, 0)),
        ] {
            assert!(matches!(scan(&bytes, &[], FRAME_BYTES_MAX, 1_000), Scan::Other), "{what}");
        }
    }
}

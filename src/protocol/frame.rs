//! Frames: kind, channel, length, payload, end octet (AMQP 0-9-1, 4.2.3).
//!
//! [`split`] takes one frame off the front of a buffer without copying; the writers append frames to a buffer.
//! Invariant: a frame that is larger than allowed is refused as soon as its seven header octets are there, so nobody
//! ever waits for, or makes room for, a payload that will not be accepted.
//! This module does not look into payloads, except for the lengths that each kind of frame needs.

use std::fmt;

use super::method::Encode;

/// The frame carries a method: class, method and arguments.
pub const FRAME_METHOD: u8 = 1;
/// The frame carries a content header: class, body size and properties.
pub const FRAME_HEADER: u8 = 2;
/// The frame carries a piece of a body.
pub const FRAME_BODY: u8 = 3;
/// The frame only says that its sender lives.
pub const FRAME_HEARTBEAT: u8 = 8;
/// The octet that ends each frame.
pub const FRAME_END: u8 = 0xCE;
/// Octets of a frame in front of its payload: kind, channel, payload length.
pub const FRAME_HEADER_BYTES: usize = 7;
/// Octets of a frame that are not payload: the header's seven and the end.
pub const FRAME_OVERHEAD_BYTES: usize = 8;
/// The least `frame_max` that peers may agree upon (AMQP 0-9-1, 1.2: frame-min-size); larger in RabbitMQ.
pub const FRAME_SIZE_BYTES_MIN: usize = 4096;
/// How far RabbitMQ lets a payload exceed `frame_max - 8`, for clients that forget the overhead.
pub const FRAME_SIZE_FUDGE_BYTES: usize = 8;
/// A whole heartbeat frame. It goes out on channel 0.
pub const HEARTBEAT_FRAME: [u8; 8] = [FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END];
/// What a client says first: the letters, a zero, and version 0-9-1 (AMQP 0-9-1, 4.2.2).
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

const METHOD_PAYLOAD_BYTES_MIN: usize = 4;
const HEADER_PAYLOAD_BYTES_MIN: usize = 12;
const SNIPPET_BYTES_MAX: usize = 16;

/// The four kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Kind 1.
    Method = FRAME_METHOD,
    /// Kind 2.
    Header = FRAME_HEADER,
    /// Kind 3.
    Body = FRAME_BODY,
    /// Kind 8.
    Heartbeat = FRAME_HEARTBEAT,
}

impl FrameKind {
    /// The kind with that number.
    pub fn from_octet(kind: u8) -> Option<Self> {
        match kind {
            FRAME_METHOD => Some(Self::Method),
            FRAME_HEADER => Some(Self::Header),
            FRAME_BODY => Some(Self::Body),
            FRAME_HEARTBEAT => Some(Self::Heartbeat),
            _ => None,
        }
    }
}

/// One complete frame, its payload still in the buffer it was read into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// [`FRAME_METHOD`], [`FRAME_HEADER`], [`FRAME_BODY`] or [`FRAME_HEARTBEAT`]; nothing else leaves [`split`].
    pub kind: u8,
    /// The channel; 0 is the connection itself.
    pub channel: u16,
    /// Between header and end. At least 4 octets in a method, 12 in a content header, none in a heartbeat.
    pub payload: &'a [u8],
}

impl RawFrame<'_> {
    /// The frame as RabbitMQ names it where it was not expected (505): `type 3, first 16 octets = <<...>>`.
    pub fn describe(&self) -> String {
        Snippet::new(self.kind, self.payload).to_string()
    }
}

/// Takes one frame off the front of `buf`.
///
/// `frame_size_bytes_max` is the negotiated `frame_max`, counted with the overhead; RabbitMQ's tolerance of
/// [`FRAME_SIZE_FUDGE_BYTES`] is added here. It is taken literally: zero allows empty payloads only, so whoever
/// negotiates puts a limit of its own in the place of a zero.
///
/// Answers the frame and how many octets of `buf` it takes, or `None` while it is incomplete. After an error the
/// stream has lost its place and must not be read further.
#[inline]
pub fn split(buf: &[u8], frame_size_bytes_max: usize) -> Result<Option<(RawFrame<'_>, usize)>, FrameError> {
    let Some((header, rest)) = buf.split_first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
    let &[kind, channel_high, channel_low, size_a, size_b, size_c, size_d] = header;
    let channel = u16::from_be_bytes([channel_high, channel_low]);
    let size = u32::from_be_bytes([size_a, size_b, size_c, size_d]) as usize;
    if size > payload_bytes_max(frame_size_bytes_max) {
        return Err(too_large(kind, channel, size, frame_size_bytes_max));
    }
    let Some((payload, rest)) = rest.split_at_checked(size) else { return Ok(None) };
    let Some(&end) = rest.first() else { return Ok(None) };
    if end != FRAME_END {
        return Err(FrameError::BadEnd { channel, end, snippet: Snippet::new(kind, payload) });
    }
    if !is_known(kind, payload) {
        return Err(FrameError::UnknownKind { channel, snippet: Snippet::new(kind, payload) });
    }
    Ok(Some((RawFrame { kind, channel, payload }, size + FRAME_OVERHEAD_BYTES)))
}

/// Why the octets are not frames. Always fatal for the connection: 501 `FRAME_ERROR`.
///
/// `Display` is the whole reply text as RabbitMQ writes it, `FRAME_ERROR - ` in front;
/// [`explanation`](Self::explanation) is the part after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The header announces a larger payload than agreed upon.
    TooLarge {
        /// The channel it came on.
        channel: u16,
        /// Announced payload.
        payload_size_bytes: usize,
        /// `frame_max` without the frame's overhead.
        payload_size_bytes_max: usize,
        /// The kind; no octets of the payload.
        snippet: Snippet,
    },
    /// The octet after the payload is not [`FRAME_END`].
    BadEnd {
        /// The channel it came on.
        channel: u16,
        /// The octet that stands there.
        end: u8,
        /// Kind and first octets.
        snippet: Snippet,
    },
    /// No such kind, or a payload that this kind of frame cannot have: a method of fewer than 4 octets, a content
    /// header of fewer than 12, a heartbeat with any.
    UnknownKind {
        /// The channel it came on.
        channel: u16,
        /// Kind and first octets.
        snippet: Snippet,
    },
}

impl FrameError {
    /// The text without the constant's name in front.
    pub fn explanation(&self) -> String {
        match self {
            Self::TooLarge { payload_size_bytes, payload_size_bytes_max, snippet, .. } => {
                format!("{snippet}: {{frame_too_large,{payload_size_bytes},{payload_size_bytes_max}}}")
            }
            Self::BadEnd { end, snippet, .. } => format!("{snippet}: {{invalid_frame_end_marker,{end}}}"),
            Self::UnknownKind { snippet, .. } => format!("{snippet}: unknown_frame"),
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FRAME_ERROR - {}", self.explanation())
    }
}

impl std::error::Error for FrameError {}

/// A frame's kind and up to 16 octets of its payload, kept for an error text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snippet {
    kind: u8,
    octets: [u8; SNIPPET_BYTES_MAX],
    kept: u8,
    is_whole: bool,
}

impl Snippet {
    fn new(kind: u8, payload: &[u8]) -> Self {
        let kept = payload.len().min(SNIPPET_BYTES_MAX);
        let mut octets = [0; SNIPPET_BYTES_MAX];
        octets[..kept].copy_from_slice(&payload[..kept]);
        Self { kind, octets, kept: kept as u8, is_whole: kept == payload.len() }
    }
}

/// `type 1, all octets = <<0,10>>`, the octets in the notation of [`ErlangBinary`].
impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extent = if self.is_whole { "all" } else { "first 16" };
        let octets = ErlangBinary(&self.octets[..usize::from(self.kept)]);
        write!(f, "type {}, {extent} octets = {octets}", self.kind)
    }
}

/// Octets in Erlang's notation, which RabbitMQ's error texts use: `<<"text">>` if all are printable ASCII, else
/// `<<1,2,3>>`.
#[derive(Debug, Clone, Copy)]
pub struct ErlangBinary<'a>(pub &'a [u8]);

impl fmt::Display for ErlangBinary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<<")?;
        if !self.0.is_empty() && self.0.iter().all(|octet| matches!(octet, b' '..=b'~')) {
            let text = String::from_utf8_lossy(self.0).replace('\\', "\\\\").replace('"', "\\\"");
            write!(f, "\"{text}\"")?;
        } else {
            for (at, octet) in self.0.iter().enumerate() {
                write!(f, "{}{octet}", if at == 0 { "" } else { "," })?;
            }
        }
        f.write_str(">>")
    }
}

/// Appends one frame.
#[inline]
pub fn write_frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    out.reserve(payload.len() + FRAME_OVERHEAD_BYTES);
    write_frame_header(out, kind, channel, payload.len() as u32);
    out.extend_from_slice(payload);
    out.push(FRAME_END);
}

/// Appends a method frame.
#[inline]
pub fn write_method(out: &mut Vec<u8>, channel: u16, method: &impl Encode) {
    let at = out.len();
    write_frame_header(out, FRAME_METHOD, channel, 0);
    method.encode(out);
    let size = (out.len() - at - FRAME_HEADER_BYTES) as u32;
    out[at + 3..at + FRAME_HEADER_BYTES].copy_from_slice(&size.to_be_bytes());
    out.push(FRAME_END);
}

/// Appends a content header frame (AMQP 0-9-1, 4.2.6.1). `properties` are the encoded flags and values.
#[inline]
pub fn write_header(out: &mut Vec<u8>, channel: u16, class_id: u16, body_size: u64, properties: &[u8]) {
    out.reserve(properties.len() + HEADER_PAYLOAD_BYTES_MIN + FRAME_OVERHEAD_BYTES);
    write_header_with(out, channel, class_id, body_size, |out| out.extend_from_slice(properties));
}

/// The same; `properties` appends them.
pub fn write_header_with(
    out: &mut Vec<u8>,
    channel: u16,
    class_id: u16,
    body_size: u64,
    properties: impl FnOnce(&mut Vec<u8>),
) {
    let at = out.len();
    write_frame_header(out, FRAME_HEADER, channel, 0);
    out.extend_from_slice(&class_id.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&body_size.to_be_bytes());
    properties(out);
    let payload_size_bytes = (out.len() - at - FRAME_HEADER_BYTES) as u32;
    out[at + 3..at + FRAME_HEADER_BYTES].copy_from_slice(&payload_size_bytes.to_be_bytes());
    out.push(FRAME_END);
}

/// Appends `body` in as many body frames as it takes, none for an empty one. No frame is larger than
/// `frame_size_bytes_max`, overhead included; a limit that leaves no room for a payload is read as room for one octet.
#[inline]
pub fn write_bodies(out: &mut Vec<u8>, channel: u16, body: &[u8], frame_size_bytes_max: usize) {
    for piece in body.chunks(frame_size_bytes_max.saturating_sub(FRAME_OVERHEAD_BYTES).max(1)) {
        write_frame(out, FRAME_BODY, channel, piece);
    }
}

#[inline]
fn write_frame_header(out: &mut Vec<u8>, kind: u8, channel: u16, payload_size_bytes: u32) {
    let [channel_high, channel_low] = channel.to_be_bytes();
    let [a, b, c, d] = payload_size_bytes.to_be_bytes();
    out.extend_from_slice(&[kind, channel_high, channel_low, a, b, c, d]);
}

#[inline]
fn payload_bytes_max(frame_size_bytes_max: usize) -> usize {
    match frame_size_bytes_max {
        0 => 0,
        max => max.saturating_sub(FRAME_OVERHEAD_BYTES).saturating_add(FRAME_SIZE_FUDGE_BYTES),
    }
}

#[cold]
fn too_large(kind: u8, channel: u16, payload_size_bytes: usize, frame_size_bytes_max: usize) -> FrameError {
    FrameError::TooLarge {
        channel,
        payload_size_bytes,
        payload_size_bytes_max: frame_size_bytes_max.saturating_sub(FRAME_OVERHEAD_BYTES),
        snippet: Snippet::new(kind, &[]),
    }
}

#[inline]
fn is_known(kind: u8, payload: &[u8]) -> bool {
    match kind {
        FRAME_METHOD => payload.len() >= METHOD_PAYLOAD_BYTES_MIN,
        FRAME_HEADER => payload.len() >= HEADER_PAYLOAD_BYTES_MIN,
        FRAME_BODY => true,
        FRAME_HEARTBEAT => payload.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 4096;

    fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(&mut out, kind, channel, payload);
        out
    }

    #[test]
    fn a_frame_is_incomplete_until_its_last_octet() {
        let bytes = frame(FRAME_BODY, 7, b"hello");
        for length in 0..bytes.len() {
            assert_eq!(split(&bytes[..length], MAX), Ok(None));
        }
        let expected = RawFrame { kind: FRAME_BODY, channel: 7, payload: b"hello" };
        assert_eq!(split(&bytes, MAX), Ok(Some((expected, bytes.len()))));
    }

    #[test]
    fn a_payload_may_exceed_the_limit_by_eight_octets_and_no_more() {
        assert!(matches!(split(&frame(FRAME_BODY, 1, &[0; MAX]), MAX), Ok(Some(_))));
        assert!(split(&frame(FRAME_BODY, 1, &[0; MAX + 1]), MAX).is_err());
    }

    #[test]
    fn too_large_is_seen_in_the_header_alone() {
        let error = split(&[b'A', 0, 1, 0xFF, 0xFF, 0xFF, 0xFF], 131_072).unwrap_err();
        assert_eq!(
            error.to_string(),
            "FRAME_ERROR - type 65, all octets = <<>>: {frame_too_large,4294967295,131064}"
        );
    }

    #[test]
    fn a_limit_of_zero_is_not_unlimited() {
        assert!(split(&frame(FRAME_BODY, 1, &[0]), 0).is_err());
        assert!(matches!(split(&HEARTBEAT_FRAME, 0), Ok(Some(_))));
    }

    #[test]
    fn a_wrong_end_octet_is_named_with_the_first_octets() {
        let mut bytes = frame(FRAME_METHOD, 1, &[0; 20]);
        *bytes.last_mut().unwrap() = 0;
        assert_eq!(
            split(&bytes, MAX).unwrap_err().to_string(),
            "FRAME_ERROR - type 1, first 16 octets = <<0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0>>: {invalid_frame_end_marker,0}"
        );
    }

    #[test]
    fn unknown_kinds_and_impossible_payloads_are_unknown_frames() {
        let error = split(&frame(4, 0, b"say \"hi\\"), MAX).unwrap_err();
        assert_eq!(error.explanation(), r#"type 4, all octets = <<"say \"hi\\">>: unknown_frame"#);
        for (kind, payload) in [(FRAME_METHOD, 3), (FRAME_HEADER, 11), (FRAME_HEARTBEAT, 1), (0, 0), (255, 9)]
        {
            let error = split(&frame(kind, 0, &vec![0; payload]), MAX).unwrap_err();
            assert!(matches!(error, FrameError::UnknownKind { .. }), "{error}");
        }
    }

    #[test]
    fn a_frame_that_was_not_expected_is_described_for_the_text() {
        let frame = RawFrame { kind: FRAME_BODY, channel: 1, payload: b"it's here" };
        assert_eq!(frame.describe(), "type 3, all octets = <<\"it's here\">>");
    }

    #[test]
    fn bodies_are_cut_to_the_limit_and_an_empty_body_has_no_frame() {
        let mut out = Vec::new();
        write_bodies(&mut out, 3, b"", MAX);
        assert!(out.is_empty());
        write_bodies(&mut out, 3, b"abcde", FRAME_OVERHEAD_BYTES + 2);
        let expected = [frame(3, 3, b"ab"), frame(3, 3, b"cd"), frame(3, 3, b"e")].concat();
        assert_eq!(out, expected);
        out.clear();
        write_bodies(&mut out, 3, b"ab", 0);
        assert_eq!(out, [frame(3, 3, b"a"), frame(3, 3, b"b")].concat());
    }

    #[test]
    fn a_content_header_has_a_weight_of_zero() {
        let mut out = Vec::new();
        write_header(&mut out, 1, 60, 5, &[0x10, 0, 2]);
        let (frame, _) = split(&out, MAX).unwrap().unwrap();
        assert_eq!(frame.payload, [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0x10, 0, 2]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_split_again(channel: u16, payload in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut bytes = frame(FRAME_BODY, channel, &payload);
            let size = bytes.len();
            bytes.extend_from_slice(&HEARTBEAT_FRAME);
            let (frame, used) = split(&bytes, MAX).unwrap().unwrap();
            prop_assert_eq!((frame.channel, frame.payload, used), (channel, payload.as_slice(), size));
            prop_assert_eq!(split(&bytes[used..], MAX).unwrap().unwrap().0.kind, FRAME_HEARTBEAT);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, max in 0_usize..5000) {
            if let Err(error) = split(&bytes, max) {
                prop_assert!(error.to_string().starts_with("FRAME_ERROR - type "));
            }
        }
    }
}

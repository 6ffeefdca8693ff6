//! The content header and the fourteen properties of class basic (AMQP 0-9-1, 4.2.6.1).
//!
//! [`PropertiesView`] checks all bytes in one pass and only borrows; [`Properties`] owns, for messages that the
//! program builds or changes. Both accept the same bytes. A bit in the flags says which values follow, in the order of
//! the bits from the highest down. No property means anything here.

use super::short_string::ShortString;
use super::table::{FieldTable, TableError};
use super::wire::{self, Parsed};

/// `content-type` follows.
pub const FLAG_CONTENT_TYPE: u16 = 1 << 15;
/// `content-encoding` follows.
pub const FLAG_CONTENT_ENCODING: u16 = 1 << 14;
/// `headers` follows.
pub const FLAG_HEADERS: u16 = 1 << 13;
/// `delivery-mode` follows.
pub const FLAG_DELIVERY_MODE: u16 = 1 << 12;
/// `priority` follows.
pub const FLAG_PRIORITY: u16 = 1 << 11;
/// `correlation-id` follows.
pub const FLAG_CORRELATION_ID: u16 = 1 << 10;
/// `reply-to` follows.
pub const FLAG_REPLY_TO: u16 = 1 << 9;
/// `expiration` follows.
pub const FLAG_EXPIRATION: u16 = 1 << 8;
/// `message-id` follows.
pub const FLAG_MESSAGE_ID: u16 = 1 << 7;
/// `timestamp` follows.
pub const FLAG_TIMESTAMP: u16 = 1 << 6;
/// `type` follows.
pub const FLAG_TYPE: u16 = 1 << 5;
/// `user-id` follows.
pub const FLAG_USER_ID: u16 = 1 << 4;
/// `app-id` follows.
pub const FLAG_APP_ID: u16 = 1 << 3;
/// `cluster-id` (reserved in 0-9-1) follows.
pub const FLAG_CLUSTER_ID: u16 = 1 << 2;
/// Another word of flags follows. No class needs more than one, so it is an error.
pub const FLAG_CONTINUATION: u16 = 1;

/// The value of `delivery-mode` that asks for the message to be kept on disk.
pub const DELIVERY_MODE_PERSISTENT: u8 = 2;

/// The payload of a content header frame, taken apart but not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// The class the content belongs to; 60 is basic.
    pub class_id: u16,
    /// How many bytes of body follow in body frames.
    pub body_size: u64,
    /// Flags and values: what [`PropertiesView::parse`] takes.
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Takes a header frame's payload apart; the properties are not checked.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, PropertiesError> {
        let (class_id, weight, body_size, properties) = parse_content_header(payload)?;
        if weight == 0 {
            Ok(Self { class_id, body_size, properties })
        } else {
            Err(PropertiesError::Weight { weight })
        }
    }
}

/// Why bytes are not a content header or not properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// The flags promise a value that is not there, or it ends early.
    #[error("properties end inside a value")]
    Truncated,
    /// Bytes follow the last value.
    #[error("{size_bytes} bytes follow the last property")]
    Trailing {
        /// How many.
        size_bytes: usize,
    },
    /// The lowest bit promises a second word of flags.
    #[error("property flags continue in a second word")]
    Continuation,
    /// The headers are not a field table.
    #[error("headers: {0}")]
    Headers(#[from] TableError),
    /// The weight, which is not used and must be zero.
    #[error("content header weight is {weight}, not 0")]
    Weight {
        /// As sent.
        weight: u16,
    },
}

/// The flags in front of properties; `None` if there are fewer than two bytes.
#[inline]
pub fn property_flags(properties: &[u8]) -> Option<u16> {
    properties.first_chunk::<2>().map(|flags| u16::from_be_bytes(*flags))
}

/// Checked properties, still in the bytes they came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PropertiesView<'a> {
    /// MIME type of the body, at most 255 bytes.
    pub content_type: Option<&'a [u8]>,
    /// MIME encoding of the body, at most 255 bytes.
    pub content_encoding: Option<&'a [u8]>,
    /// The headers: a valid table's bytes without the length in front.
    pub headers: Option<&'a [u8]>,
    /// 1 transient, 2 persistent; other values are let through.
    pub delivery_mode: Option<u8>,
    /// The message's priority, by custom 0 to 9.
    pub priority: Option<u8>,
    /// What a reply refers to, at most 255 bytes.
    pub correlation_id: Option<&'a [u8]>,
    /// Where a reply should go, at most 255 bytes.
    pub reply_to: Option<&'a [u8]>,
    /// Time to live in milliseconds, as decimal digits, at most 255 bytes, unchecked.
    pub expiration: Option<&'a [u8]>,
    /// The publisher's name for the message, at most 255 bytes.
    pub message_id: Option<&'a [u8]>,
    /// Seconds since 1970-01-01 UTC.
    pub timestamp: Option<u64>,
    /// The application's name for the kind of message, at most 255 bytes.
    pub type_: Option<&'a [u8]>,
    /// The publishing user, at most 255 bytes; RabbitMQ compares it with the connection's.
    pub user_id: Option<&'a [u8]>,
    /// The publishing application, at most 255 bytes.
    pub app_id: Option<&'a [u8]>,
    /// Reserved in 0-9-1, passed on, at most 255 bytes.
    pub cluster_id: Option<&'a [u8]>,
}

impl<'a> PropertiesView<'a> {
    /// Checks and takes apart flags and values. Does not allocate.
    pub fn parse(properties: &'a [u8]) -> Result<Self, PropertiesError> {
        let view = Self::of_checked(properties)?;
        FieldTable::validate(view.headers.unwrap_or_default())?;
        Ok(view)
    }

    /// Takes properties apart that were checked before: the same, but nobody looks into the headers, however long they are.
    pub fn of_checked(properties: &'a [u8]) -> Result<Self, PropertiesError> {
        let (flags, values) = properties.split_first_chunk::<2>().ok_or(PropertiesError::Truncated)?;
        let flags = u16::from_be_bytes(*flags);
        if flags & FLAG_CONTINUATION != 0 {
            return Err(PropertiesError::Continuation);
        }
        let (rest, view) = parse_values(flags, values).map_err(|_| PropertiesError::Truncated)?;
        if !rest.is_empty() {
            return Err(PropertiesError::Trailing { size_bytes: rest.len() });
        }
        Ok(view)
    }

    /// Appends flags and values, with the headers that `write` appends (their `u32` length in front) in place of its own.
    pub fn encode_with_headers(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        self.encode_values(out, Some(write));
    }

    fn encode_values(&self, out: &mut Vec<u8>, headers: Option<impl FnOnce(&mut Vec<u8>)>) {
        let at = out.len();
        let mut flags = 0;
        out.extend_from_slice(&[0; 2]);
        let mut writer = Writer { flags: &mut flags, out };
        writer.text(FLAG_CONTENT_TYPE, self.content_type);
        writer.text(FLAG_CONTENT_ENCODING, self.content_encoding);
        writer.value(FLAG_HEADERS, headers, |out, write| write(out));
        writer.value(FLAG_DELIVERY_MODE, self.delivery_mode, Vec::push);
        writer.value(FLAG_PRIORITY, self.priority, Vec::push);
        writer.text(FLAG_CORRELATION_ID, self.correlation_id);
        writer.text(FLAG_REPLY_TO, self.reply_to);
        writer.text(FLAG_EXPIRATION, self.expiration);
        writer.text(FLAG_MESSAGE_ID, self.message_id);
        writer.value(FLAG_TIMESTAMP, self.timestamp, wire::put_long_long);
        writer.text(FLAG_TYPE, self.type_);
        writer.text(FLAG_USER_ID, self.user_id);
        writer.text(FLAG_APP_ID, self.app_id);
        writer.text(FLAG_CLUSTER_ID, self.cluster_id);
        out[at..at + 2].copy_from_slice(&flags.to_be_bytes());
    }

    /// Whether the message asks to be kept on disk (`delivery-mode` 2).
    pub fn is_persistent(&self) -> bool {
        self.delivery_mode == Some(DELIVERY_MODE_PERSISTENT)
    }
}

/// Properties that own their values. The fields are those of [`PropertiesView`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    /// MIME type of the body.
    pub content_type: Option<ShortString>,
    /// MIME encoding of the body.
    pub content_encoding: Option<ShortString>,
    /// The headers.
    pub headers: Option<FieldTable>,
    /// 1 transient, 2 persistent.
    pub delivery_mode: Option<u8>,
    /// The message's priority, by custom 0 to 9.
    pub priority: Option<u8>,
    /// What a reply refers to.
    pub correlation_id: Option<ShortString>,
    /// Where a reply should go.
    pub reply_to: Option<ShortString>,
    /// Time to live in milliseconds, as decimal digits.
    pub expiration: Option<ShortString>,
    /// The publisher's name for the message.
    pub message_id: Option<ShortString>,
    /// Seconds since 1970-01-01 UTC.
    pub timestamp: Option<u64>,
    /// The application's name for the kind of message.
    pub type_: Option<ShortString>,
    /// The publishing user.
    pub user_id: Option<ShortString>,
    /// The publishing application.
    pub app_id: Option<ShortString>,
    /// Reserved in 0-9-1.
    pub cluster_id: Option<ShortString>,
}

impl Properties {
    /// Reads flags and values; accepts what [`PropertiesView::parse`] accepts.
    pub fn decode(properties: &[u8]) -> Result<Self, PropertiesError> {
        Self::try_from(PropertiesView::parse(properties)?)
    }

    /// Appends flags and values: what follows the body size in a content header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let headers = self.headers.as_ref().map(|table| |out: &mut Vec<u8>| table.encode(out));
        self.without_headers().encode_values(out, headers);
    }

    fn without_headers(&self) -> PropertiesView<'_> {
        PropertiesView {
            content_type: self.content_type.as_deref(),
            content_encoding: self.content_encoding.as_deref(),
            headers: None,
            delivery_mode: self.delivery_mode,
            priority: self.priority,
            correlation_id: self.correlation_id.as_deref(),
            reply_to: self.reply_to.as_deref(),
            expiration: self.expiration.as_deref(),
            message_id: self.message_id.as_deref(),
            timestamp: self.timestamp,
            type_: self.type_.as_deref(),
            user_id: self.user_id.as_deref(),
            app_id: self.app_id.as_deref(),
            cluster_id: self.cluster_id.as_deref(),
        }
    }
}

impl TryFrom<PropertiesView<'_>> for Properties {
    type Error = PropertiesError;

    /// Fails only on a view that was put together by hand.
    fn try_from(view: PropertiesView<'_>) -> Result<Self, PropertiesError> {
        Ok(Self {
            content_type: owned(view.content_type)?,
            content_encoding: owned(view.content_encoding)?,
            headers: view.headers.map(FieldTable::decode).transpose()?,
            delivery_mode: view.delivery_mode,
            priority: view.priority,
            correlation_id: owned(view.correlation_id)?,
            reply_to: owned(view.reply_to)?,
            expiration: owned(view.expiration)?,
            message_id: owned(view.message_id)?,
            timestamp: view.timestamp,
            type_: owned(view.type_)?,
            user_id: owned(view.user_id)?,
            app_id: owned(view.app_id)?,
            cluster_id: owned(view.cluster_id)?,
        })
    }
}

/// Appends the values that are there and notes their flags.
struct Writer<'a> {
    flags: &'a mut u16,
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn value<T>(&mut self, flag: u16, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
        if let Some(value) = value {
            *self.flags |= flag;
            put(self.out, value);
        }
    }

    fn text(&mut self, flag: u16, text: Option<&[u8]>) {
        self.value(flag, text, |out, text| {
            out.push(text.len() as u8);
            out.extend_from_slice(text);
        });
    }
}

fn owned(bytes: Option<&[u8]>) -> Result<Option<ShortString>, PropertiesError> {
    bytes.map(ShortString::try_from).transpose().map_err(|_| PropertiesError::Truncated)
}

#[inline]
fn parse_content_header(payload: &[u8]) -> Result<(u16, u16, u64, &[u8]), PropertiesError> {
    fn parts(input: &[u8]) -> Parsed<'_, (u16, u16, u64)> {
        let (input, class_id) = wire::short(input)?;
        let (input, weight) = wire::short(input)?;
        let (input, body_size) = wire::long_long(input)?;
        Ok((input, (class_id, weight, body_size)))
    }
    let (properties, (class_id, weight, body_size)) =
        parts(payload).map_err(|_| PropertiesError::Truncated)?;
    Ok((class_id, weight, body_size, properties))
}

fn parse_values(flags: u16, input: &[u8]) -> Parsed<'_, PropertiesView<'_>> {
    let (input, content_type) = optional(flags & FLAG_CONTENT_TYPE, wire::short_bytes, input)?;
    let (input, content_encoding) = optional(flags & FLAG_CONTENT_ENCODING, wire::short_bytes, input)?;
    let (input, headers) = optional(flags & FLAG_HEADERS, wire::long_bytes, input)?;
    let (input, delivery_mode) = optional(flags & FLAG_DELIVERY_MODE, wire::octet, input)?;
    let (input, priority) = optional(flags & FLAG_PRIORITY, wire::octet, input)?;
    let (input, correlation_id) = optional(flags & FLAG_CORRELATION_ID, wire::short_bytes, input)?;
    let (input, reply_to) = optional(flags & FLAG_REPLY_TO, wire::short_bytes, input)?;
    let (input, expiration) = optional(flags & FLAG_EXPIRATION, wire::short_bytes, input)?;
    let (input, message_id) = optional(flags & FLAG_MESSAGE_ID, wire::short_bytes, input)?;
    let (input, timestamp) = optional(flags & FLAG_TIMESTAMP, wire::long_long, input)?;
    let (input, type_) = optional(flags & FLAG_TYPE, wire::short_bytes, input)?;
    let (input, user_id) = optional(flags & FLAG_USER_ID, wire::short_bytes, input)?;
    let (input, app_id) = optional(flags & FLAG_APP_ID, wire::short_bytes, input)?;
    let (input, cluster_id) = optional(flags & FLAG_CLUSTER_ID, wire::short_bytes, input)?;
    let view = PropertiesView {
        content_type,
        content_encoding,
        headers,
        delivery_mode,
        priority,
        correlation_id,
        reply_to,
        expiration,
        message_id,
        timestamp,
        type_,
        user_id,
        app_id,
        cluster_id,
    };
    Ok((input, view))
}

/// The value if its flag is set.
#[inline]
fn optional<'a, T>(
    flag: u16,
    parse: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
    input: &'a [u8],
) -> Parsed<'a, Option<T>> {
    if flag == 0 {
        return Ok((input, None));
    }
    let (input, value) = parse(input)?;
    Ok((input, Some(value)))
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::arbitrary::{short_string, table};

    fn encoded(properties: &Properties) -> Vec<u8> {
        let mut out = Vec::new();
        properties.encode(&mut out);
        out
    }

    fn properties() -> impl Strategy<Value = Properties> {
        let texts = proptest::array::uniform10(option::of(short_string()));
        let numbers = (option::of(any::<u8>()), option::of(any::<u8>()), option::of(any::<u64>()));
        (texts, option::of(table()), numbers).prop_map(
            |(texts, headers, (delivery_mode, priority, timestamp))| {
                let [
                    content_type,
                    content_encoding,
                    correlation_id,
                    reply_to,
                    expiration,
                    message_id,
                    type_,
                    user_id,
                    app_id,
                    cluster_id,
                ] = texts;
                Properties {
                    content_type,
                    content_encoding,
                    headers,
                    delivery_mode,
                    priority,
                    correlation_id,
                    reply_to,
                    expiration,
                    message_id,
                    timestamp,
                    type_,
                    user_id,
                    app_id,
                    cluster_id,
                }
            },
        )
    }

    #[test]
    fn a_view_borrows_what_the_flags_announce() {
        let bytes = [0x90, 0, 2, b'a', b'b', 2];
        let view = PropertiesView::parse(&bytes).unwrap();
        assert_eq!(view.content_type, Some(b"ab".as_slice()));
        assert!(view.is_persistent());
        assert_eq!(view.headers, None);
        assert_eq!(property_flags(&bytes), Some(FLAG_CONTENT_TYPE | FLAG_DELIVERY_MODE));
        assert_eq!(property_flags(&[0]), None);
    }

    #[test]
    fn no_properties_are_two_zero_octets() {
        assert_eq!(encoded(&Properties::default()), [0, 0]);
        assert_eq!(PropertiesView::parse(&[0, 0]), Ok(PropertiesView::default()));
        assert_eq!(PropertiesView::parse(&[0]), Err(PropertiesError::Truncated));
    }

    #[test]
    fn the_continuation_bit_is_refused_and_the_unused_bit_ignored() {
        assert_eq!(PropertiesView::parse(&[0, 1, 0, 0]), Err(PropertiesError::Continuation));
        assert_eq!(PropertiesView::parse(&[0, 2]), Ok(PropertiesView::default()));
    }

    #[test]
    fn bytes_after_the_last_property_are_refused() {
        assert_eq!(PropertiesView::parse(&[0x10, 0, 2, 9]), Err(PropertiesError::Trailing { size_bytes: 1 }));
    }

    #[test]
    fn headers_are_checked_to_the_bottom() {
        let inner = [1, b'k', b'?'];
        let outer = [&[1, b'n', b'F', 0, 0, 0, 3], inner.as_slice()].concat();
        let bytes = [&[0x20, 0, 0, 0, 0, 10], outer.as_slice()].concat();
        let expected = PropertiesError::Headers(TableError::UnknownType { tag: b'?' });
        assert_eq!(PropertiesView::parse(&bytes), Err(expected));
        assert_eq!(
            PropertiesView::parse(&[0x20, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
            Err(PropertiesError::Truncated)
        );
    }

    #[test]
    fn a_content_header_needs_twelve_octets_and_a_weight_of_zero() {
        let payload = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x10, 0, 2];
        let header = ContentHeader::parse(&payload).unwrap();
        assert_eq!(header, ContentHeader { class_id: 60, body_size: 256, properties: &[0x10, 0, 2] });
        assert_eq!(ContentHeader::parse(&payload[..11]), Err(PropertiesError::Truncated));
        assert_eq!(
            ContentHeader::parse(&[0, 60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(PropertiesError::Weight { weight: 1 })
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(properties in properties()) {
            let bytes = encoded(&properties);
            prop_assert_eq!(Properties::decode(&bytes), Ok(properties));
        }

        #[test]
        fn view_and_owned_agree_on_mutated_bytes(
            properties in properties(), at in any::<prop::sample::Index>(), octet: u8, cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encoded(&properties);
            let index = at.index(bytes.len());
            bytes[index] = octet;
            bytes.truncate(cut.index(bytes.len() + 1));
            let owned = Properties::decode(&bytes);
            prop_assert_eq!(PropertiesView::parse(&bytes).map(|_| ()), owned.map(|_| ()));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = PropertiesView::parse(&bytes);
            let _ = ContentHeader::parse(&bytes);
        }
    }
}

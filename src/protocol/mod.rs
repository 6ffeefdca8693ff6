//! The wire format of AMQP 0-9-1: bytes to frames, methods, properties and field tables, and back.
//!
//! Everything here works on complete slices: [`split`] finds a frame by its length first, and only then is its
//! payload parsed. Nothing is allocated from a length that a peer claims before that length is checked against the
//! bytes that are really there, nesting is bounded, and no input panics.
//!
//! This layer knows no connection, no channel state and no rule of the broker; it does no I/O and reads no clock.
//! The methods are generated from `protocol-spec/amqp-0-9-1.toml`, whose README describes the format in words.

pub mod frame;
#[rustfmt::skip] // laid out by the generator
#[allow(clippy::struct_excessive_bools, clippy::too_many_lines)] // methods have the bits and the number they have
pub mod generated;
pub mod method;
pub mod printable;
pub mod properties;
pub mod short_string;
pub mod table;
mod wire;

#[cfg(test)]
pub(crate) mod arbitrary;

pub use frame::{
    ErlangBinary, FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEADER_BYTES, FRAME_HEARTBEAT, FRAME_METHOD,
    FRAME_OVERHEAD_BYTES, FRAME_SIZE_BYTES_MIN, FrameError, FrameKind, HEARTBEAT_FRAME, PROTOCOL_HEADER,
    RawFrame, split, write_bodies, write_frame, write_header, write_header_with, write_method,
};
pub use generated::{
    CLIENT_CAPABILITIES, DEFAULT_PORT, Method, ReplyCode, SERVER_CAPABILITIES, access, basic, channel,
    confirm, connection, exchange, method_name, queue, tx,
};
pub use method::{Encode, MethodError};
pub use printable::Printable;
pub use properties::{ContentHeader, Properties, PropertiesError, PropertiesView, property_flags};
pub use short_string::{SHORT_STRING_BYTES_MAX, ShortString, TooLong};
pub use table::{
    ArrayView, ArrayWriter, FieldTable, FieldValue, TableEntry, TableError, TableView, TableWriter,
};

//! The bytes of the log, version 3: slices in, values out.
//!
//! A segment is a [header](envelope), [records](record) and, when it is sealed, a [footer] and a trailer. Every
//! decoder checks each length against the bytes that are there before it uses it or allocates by it, so no bytes make
//! it panic. All integers are little endian, except inside field tables and message images, which are AMQP's.
//!
//! What is written here is a contract: `tests/fixtures` holds files of each version that every later one must open. Of
//! version 1 are publish records that do not say when, and [`Kind::ReturnV1`]; of versions 1 and 2 are settings of virtual hosts
//! that are a type of queues alone. A record says by itself which one it is.
//! Nothing here knows a file.

pub mod access;
mod bytes;
pub mod envelope;
mod fields;
pub mod footer;
pub mod publish;
pub mod record;
pub mod settle;
pub mod topology;

pub use bytes::Damage;
pub use envelope::{SegmentHeader, SegmentHeaderError, Trailer};
pub use footer::{Footer, Slot};
pub use publish::Publish;
pub use record::{Flags, Kind, Record};
pub use settle::{Return, Returned, Settle};
pub use topology::TopologyRecord;

//! Field tables in RabbitMQ's dialect of the type letters (AMQP 0-9-1, 4.2.5.5; errata of RabbitMQ).
//!
//! Three ways in, from cheap to dear: [`TableView`] finds a name at the top level without looking inside the values,
//! [`FieldTable::validate`] walks everything and keeps nothing, [`FieldTable::decode`] builds owned values.
//!
//! Invariant: every length is compared with the bytes that are present before it is used, and tables and arrays may
//! nest [`TABLE_DEPTH_MAX`](crate::limits::TABLE_DEPTH_MAX) deep, so no input can allocate much more than its own size or exhaust the stack.
//! This module does not know what any key means.

mod decoding;
#[cfg(test)]
mod tests;
mod value;
mod view;
mod writer;

pub use value::{FieldTable, FieldValue};
pub use view::{ArrayView, TableEntry, TableError, TableView};
pub use writer::{ArrayWriter, TableWriter};

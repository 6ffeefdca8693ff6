//! RabbitMQ's definitions: users, virtual hosts, permissions, policies, exchanges, queues and bindings as one JSON document.
//!
//! `document` reads the JSON, `values` makes of it what the core knows, and `import` carries it out. Nothing is changed before all
//! of it could be read.

mod document;
mod import;
mod json;
mod values;

pub use document::Document;
pub use import::{Imported, Problem};
pub use json::{name as json_name, table as json_table};

#[cfg(test)]
mod tests;

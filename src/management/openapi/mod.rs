//! The API's table of routes, and the `OpenAPI` document that is made of it.
//!
//! Each file of `routes/` gives a part of the table ([`Routes`]): an address, a method, the handler, what it does and who may. The router is
//! made of the same rows, so that nothing is answered that the document does not have. What a handler takes, its types say (`inputs`).

mod document;
mod inputs;
mod table;

pub use document::document;
pub use table::{Field, Kind, Routes, may, must};

//! What pages are made of. Nothing here knows where its values come from.
//!
//! `frame` is what a page knows of its visitor, `layout` the page round its content, `nav` the list of pages; `text` writes names, numbers
//! and times, `link` addresses, `list` what a list shows and in which order, `form` what changes something, `chart` lines over time, `graph` bindings.

mod chart;
mod form;
mod frame;
mod graph;
mod layout;
pub mod link;
mod list;
mod nav;
mod refusal;
pub mod text;

pub use chart::{Line, chart, rates};
pub use form::{Confirmation, check, choice, confirm, csrf, field, note};
pub use frame::Frame;
pub use graph::{graph, nodes};
pub use layout::{document, facts, page, panel};
pub use list::{Listed, Listing, pager, search, sorted};
pub use nav::Section;
pub use refusal::Refusal;

//! The folders that the store works in, and the file beside the log that says what is declared.
//!
//! The file is replaced whole, so it is always as one checkpoint left it. This file does not know when it is written, nor what is
//! done when it is damaged or missing.

use std::{io, sync::Arc};

use super::{
    checkpoint::definitions::{Definitions, DefinitionsError},
    files::Files,
    kv,
};

/// The file beside the log that says what is declared.
pub(super) const DEFINITIONS: &str = "definitions";

/// The folders that the store uses.
pub(super) struct Folders {
    /// Segments.
    pub(super) log: Arc<dyn Files>,
    /// The definitions file.
    pub(super) root: Arc<dyn Files>,
    /// Damaged bytes.
    pub(super) quarantine: Arc<dyn Files>,
    /// Of the key-value store.
    pub(super) state: Box<dyn kv::Home>,
}

/// What the definitions file says, or why it says nothing; `None` if there is none.
pub(super) type Found = Option<Result<Definitions, DefinitionsError>>;

/// Reads the definitions file.
pub(super) fn read_definitions(root: &dyn Files) -> io::Result<Found> {
    Ok(root.read(DEFINITIONS)?.map(|bytes| Definitions::decode(&bytes)))
}

/// Puts a definitions file in the place of the one that is there.
pub(super) fn write_definitions(root: &dyn Files, definitions: &Definitions) -> io::Result<()> {
    root.replace(DEFINITIONS, &definitions.encode())
}

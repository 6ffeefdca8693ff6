//! Durable state. So far the data folder alone: messages and topology live in memory.

mod data_dir;

pub use data_dir::{DataDir, DataDirError};

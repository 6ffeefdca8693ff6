//! Durable state: the data folder, the log of everything that must outlive the process, and what is derived from it.

mod data_dir;
mod position;

pub use data_dir::{DataDir, DataDirError};
pub use position::{LogPosition, SegmentId};

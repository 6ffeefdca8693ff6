//! Durable state: the data folder, the log of everything that must outlive the process, and what is derived from it.
//!
//! The log is the only truth. `format` has its bytes and `segment` its files, `log` writes and `pager` reads, `keeper` keeps the
//! folder in order, `recovery` brings everything back and `fsck` only looks. `index` says what is live, `kv` and `checkpoint` keep that where the
//! log can be replayed from. `files` is the disk, and `assembly` puts the parts together.
//! docs/format.md has the format byte by byte.

mod assembly;
mod bell;
mod catalog;
pub mod checkpoint;
mod data_dir;
mod failure;
pub mod files;
mod folders;
pub mod format;
pub mod fsck;
pub mod index;
mod keeper;
pub mod kv;
mod log;
mod metrics;
mod opened;
mod pager;
mod position;
mod recorded;
mod recovery;
mod replay;
mod reserve;
pub mod segment;
mod spares;
#[cfg(test)]
mod tests;
mod worker;

pub use assembly::Store;
pub use data_dir::{DataDir, DataDirError};
pub use failure::Failure;
pub use kv::is_engine_thread;
pub use metrics::{Distribution, Metrics, Snapshot};
pub use opened::{Opened, Restored};
pub use position::{LogPosition, SegmentId};
pub use recovery::RecoveryError;

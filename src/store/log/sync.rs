//! The locks of what waits for the log's writer: in a file of their own, so that a test can put others in their place.

pub(super) use parking_lot::{Condvar, Mutex, MutexGuard};

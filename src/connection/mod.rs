//! One client connection: handshake, then a reader and a writer task.
//!
//! Reader and writer are separate, so that a client that publishes without reading blocks neither itself nor others. The reader
//! handles the frames of a read in turns, and lets others have theirs in between; after each it waits for what the session says:
//! memory, a slow client, consumers that cannot keep up.

mod arrival;
mod assembly;
mod channel;
mod client;
mod dispatch;
mod ending;
mod failing;
mod farewell;
mod frames;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gate;
mod handshake;
mod heartbeat;
mod inbound;
mod leaving;
mod listener;
#[cfg(test)]
mod mutations;
mod newcomers;
mod overdue;
mod peer;
mod proxy;
mod reading;
mod resuming;
mod revoking;
mod scan;
mod session;
mod socket;
mod sparing;
#[cfg(test)]
mod tests;
mod within;
mod work;
mod writer;

pub use gate::Gate;
pub use handshake::COMPATIBLE_VERSION;
pub use listener::listen;
pub use sparing::Sparing;
pub use within::{Got, Within};

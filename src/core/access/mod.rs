//! Who may do what: users, their permissions in virtual hosts, and limits, as operators set them.
//!
//! `user`, `limits` and `permissions` are values, as they were said; `grant` makes of them what one user may do in one virtual
//! host, and `registry` has all of them. How a user proves who it is, is not known here: see [`auth`](crate::auth).

mod bucket;
mod grant;
mod limits;
mod permissions;
mod registry;
mod user;

pub use bucket::Bucket;
pub use grant::{Grant, Permission};
pub use limits::{Limit, Limits};
pub use permissions::{PermissionsSpec, TopicPermissionsSpec};
pub use registry::{AccessChange, Registry};
pub use user::{HashAlgorithm, PasswordHash, UserSpec};

#[cfg(test)]
mod tests;

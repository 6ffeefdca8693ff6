//! Who comes in: by a session that a login has begun, or by basic authentication with each request.
//!
//! `sessions` remembers who has logged in, `csrf` makes what forms carry, `visit` is a request by somebody who is in, `change` one that
//! changes something, `upload` one that brings a file, `login` is the page with the form.

mod change;
mod cookies;
mod csrf;
mod login;
mod sessions;
mod upload;
mod visit;

pub use change::Change;
pub use cookies::{forget_told, keep};
pub use csrf::Csrf;
pub use login::routes;
pub use sessions::Sessions;
pub use upload::Upload;
pub use visit::{Keeper, Visit};

//! The users that the broker knows.

use std::sync::Arc;

use super::authenticator::new_hash;
use crate::config::Config;
use crate::core::access::{AccessChange, Limits, PermissionsSpec, Registry, UserSpec};
use crate::protocol::ShortString;

/// Users by name, with what they may do.
pub struct Users(Registry);

impl Users {
    /// The one user that is configured; it may do everything in the default virtual host.
    pub fn new(config: &Config) -> Self {
        let name = config.default_user.clone();
        let user = UserSpec {
            name: name.clone(),
            password: new_hash(config.password_hashing, &config.default_pass),
            tags: vec![ShortString::from_static("administrator")],
            limits: Limits::default(),
        };
        let [configure, write, read] = [".*"; 3].map(String::from);
        let vhost = config.default_vhost.clone();
        let mut registry = Registry::default();
        for change in [
            AccessChange::UserSet(user),
            AccessChange::PermissionsSet(PermissionsSpec { user: name, vhost, configure, write, read }),
        ] {
            registry.apply(change).expect("`.*` is an expression");
        }
        Self(registry)
    }

    /// A user by name.
    pub fn find(&self, name: &[u8]) -> Option<Arc<UserSpec>> {
        self.0.user(name).cloned()
    }
}

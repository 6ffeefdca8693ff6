//! The audit: who came in, who was refused, what was changed of users, permissions and virtual hosts, and which alarms were raised.
//!
//! One function for each event, so that its fields have one form; SECURITY.md has the table. All have the target
//! [`TARGET`] and the field `event`. What somebody is known by (passwords, their hashes, tokens) is in none of them. A change is told when it
//! holds, which is before it is on the disk.

use std::{fmt::Display, net::SocketAddr};

use tracing::{Span, field::display};

use crate::core::{
    access::{AccessChange, Limits, PermissionsSpec, TopicPermissionsSpec, UserSpec},
    declared::VhostSettings,
};
use crate::limits::CLAIMED_USER_SHOWN_CHARS_MAX;
use crate::protocol::{Printable, ShortString};

/// The target of all records of the audit: `--log leveret::audit=off` is without them.
pub const TARGET: &str = "leveret::audit";

/// Who has come in, and how.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// The user.
    pub user: &'a ShortString,
    /// The virtual host that it has opened.
    pub vhost: &'a ShortString,
    /// Where its client is.
    pub peer: SocketAddr,
    /// How it has proven who it is: the mechanism of SASL.
    pub mechanism: &'a ShortString,
    /// Whether its client speaks TLS.
    pub tls: bool,
    /// The name in the certificate that its client has shown, if it has.
    pub certificate: Option<&'a str>,
}

/// A client has logged in and opened a virtual host. `connection` is the span of its connection.
pub fn login(connection: &Span, login: &Login<'_>) {
    let Login { user, vhost, peer, mechanism, tls, certificate } = login;
    let certificate = certificate.map(display);
    tracing::info!(
        target: TARGET, parent: connection, event = display("login"),
        %user, %vhost, %peer, %mechanism, tls, certificate, "connection opened"
    );
}

/// Somebody has logged in on the web console.
pub fn console_login(user: &ShortString, peer: SocketAddr) {
    tracing::info!(target: TARGET, event = display("console-login"), %user, %peer, "session of the console opened");
}

/// A client was not let in. `user` is who it says it is, if it has said so; `left_out` counts refusals that were not told before this one.
pub fn refused(peer: SocketAddr, user: Option<&dyn Display>, why: &dyn Display, left_out: u64) {
    let cut = |user| display(Printable::new(user).cut_at(CLAIMED_USER_SHOWN_CHARS_MAX));
    let (user, left_out) = (user.map(cut), (left_out > 0).then_some(left_out));
    tracing::warn!(
        target: TARGET, event = display("login-refused"), %peer, user, %why, left_out, "connection refused"
    );
}

/// Something of users and permissions was changed. Global parameters are no part of it.
pub fn access_changed(change: &AccessChange) {
    match change {
        AccessChange::UserSet(user) => user_set(user),
        AccessChange::UserDeleted(user) => {
            tracing::info!(target: TARGET, event = display("user-deleted"), %user, "user deleted");
        }
        AccessChange::PermissionsSet(permissions) => permissions_set(permissions),
        AccessChange::PermissionsDeleted { user, vhost } => {
            tracing::info!(
                target: TARGET, event = display("permissions-deleted"), %user, %vhost, "permissions deleted"
            );
        }
        AccessChange::TopicPermissionsSet(permissions) => topic_permissions_set(permissions),
        AccessChange::TopicPermissionsDeleted { user, vhost, exchange } => {
            tracing::info!(
                target: TARGET, event = display("topic-permissions-deleted"),
                %user, %vhost, %exchange, "topic permissions deleted"
            );
        }
        AccessChange::GlobalParameterSet { .. } | AccessChange::GlobalParameterDeleted(_) => {}
    }
}

fn user_set(user: &UserSpec) {
    let UserSpec { name, password: _, tags, limits } = user;
    let (tags, limits) = (listed(tags), shown(limits));
    tracing::info!(target: TARGET, event = display("user-set"), user = %name, %tags, %limits, "user set");
}

fn permissions_set(permissions: &PermissionsSpec) {
    let PermissionsSpec { user, vhost, configure, write, read } = permissions;
    tracing::info!(
        target: TARGET, event = display("permissions-set"),
        %user, %vhost, %configure, %write, %read, "permissions set"
    );
}

fn topic_permissions_set(permissions: &TopicPermissionsSpec) {
    let TopicPermissionsSpec { user, vhost, exchange, write, read } = permissions;
    tracing::info!(
        target: TARGET, event = display("topic-permissions-set"),
        %user, %vhost, %exchange, %write, %read, "topic permissions set"
    );
}

/// A virtual host was made.
pub fn vhost_made(vhost: &ShortString, settings: &VhostSettings) {
    vhost_set("vhost-made", vhost, settings, "virtual host made");
}

/// What is set for a virtual host as a whole is other than before.
pub fn vhost_changed(vhost: &ShortString, settings: &VhostSettings) {
    vhost_set("vhost-changed", vhost, settings, "virtual host changed");
}

fn vhost_set(event: &str, vhost: &ShortString, settings: &VhostSettings, words: &str) {
    let VhostSettings { description, tags, default_queue_type, tracing: is_traced, limits } = settings;
    let (tags, limits) = (listed(tags), shown(limits));
    let default_queue_type = default_queue_type.map(|kind| display(kind.name()));
    tracing::info!(
        target: TARGET, event = display(event),
        %vhost, %description, %tags, default_queue_type, tracing = is_traced, %limits, "{words}"
    );
}

/// A virtual host was deleted: nobody gets into it any more.
pub fn vhost_deleted(vhost: &ShortString) {
    tracing::info!(target: TARGET, event = display("vhost-deleted"), %vhost, "virtual host deleted");
}

/// There are more messages in memory than there may be.
pub fn memory_alarm_raised(used_bytes: usize, limit_bytes: usize) {
    tracing::warn!(
        target: TARGET, event = display("alarm-raised"), alarm = display("memory"),
        used_bytes, limit_bytes, "memory alarm: publishers are blocked"
    );
}

/// There are fewer again.
pub fn memory_alarm_cleared(used_bytes: usize) {
    tracing::info!(
        target: TARGET, event = display("alarm-cleared"), alarm = display("memory"),
        used_bytes, "memory alarm cleared"
    );
}

/// The disk has less room than it should; `full` if a write has failed for that.
pub fn disk_alarm_raised(free_bytes: u64, limit_bytes: u64, full: bool) {
    tracing::warn!(
        target: TARGET, event = display("alarm-raised"), alarm = display("disk"),
        free_bytes, limit_bytes, full, "disk alarm: publishers are blocked"
    );
}

/// It has more again.
pub fn disk_alarm_cleared(free_bytes: u64) {
    tracing::info!(
        target: TARGET, event = display("alarm-cleared"), alarm = display("disk"),
        free_bytes, "disk alarm cleared"
    );
}

/// A virtual host has more messages in memory or on the disk than it may; `reason` is one of RabbitMQ's words for alarms.
pub fn vhost_alarm_raised(vhost: &ShortString, reason: &str, memory_bytes: u64, disk_bytes: u64) {
    tracing::warn!(
        target: TARGET, event = display("alarm-raised"), alarm = display("vhost"),
        %vhost, %reason, memory_bytes, disk_bytes, "virtual host alarm: its publishers are blocked"
    );
}

/// It has fewer again.
pub fn vhost_alarm_cleared(vhost: &ShortString, memory_bytes: u64, disk_bytes: u64) {
    tracing::info!(
        target: TARGET, event = display("alarm-cleared"), alarm = display("vhost"),
        %vhost, memory_bytes, disk_bytes, "virtual host alarm cleared"
    );
}

fn listed(tags: &[ShortString]) -> String {
    tags.iter().map(|tag| tag.as_str_lossy()).collect::<Vec<_>>().join(",")
}

/// `max-connections=3,max-queues=5`.
fn shown(limits: &Limits) -> String {
    limits.iter().map(|(limit, max)| format!("{}={max}", limit.name())).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
pub(crate) mod captured;
#[cfg(test)]
mod tests;

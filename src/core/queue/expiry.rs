//! When messages expire (RabbitMQ: `x-message-ttl`, `expiration`; the earlier one counts).

use crate::core::{
    clock::Millis,
    message::{Message, View},
};
use crate::protocol::{
    PropertiesView,
    properties::{FLAG_EXPIRATION, FLAG_PRIORITY},
    property_flags,
};

/// When a message expires in a queue whose messages live `ttl`; `None` if never.
///
/// Both times begin with its publishing. A message whose time of publishing is not known does not expire by them.
#[inline]
pub fn deadline(message: &Message, ttl: Option<Millis>) -> Option<Millis> {
    let lifetime = match (expiration(&message.view()), ttl) {
        (Some(its), Some(ttl)) => its.min(ttl),
        (its, ttl) => its.or(ttl)?,
    };
    let published_at = message.published_at();
    (published_at > 0).then(|| published_at.saturating_add(lifetime))
}

/// Its own `expiration`, checked when it was published.
pub fn expiration(view: &View<'_>) -> Option<Millis> {
    let properties = view.properties();
    property_flags(properties).filter(|flags| flags & FLAG_EXPIRATION != 0)?;
    let text = PropertiesView::of_checked(properties).ok()?.expiration?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Its `priority`, if it has one.
pub fn priority(view: &View<'_>) -> Option<u8> {
    let properties = view.properties();
    property_flags(properties).filter(|flags| flags & FLAG_PRIORITY != 0)?;
    PropertiesView::of_checked(properties).ok()?.priority
}

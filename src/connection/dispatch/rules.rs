//! Properties and headers of published messages that the broker looks at: where a message goes, when, and for how long.

use crate::containment::own;
use crate::core::{
    clock::Millis,
    delay::{self, X_DELAY, X_DELIVER_AT},
    error::{AmqpError, precondition_failed},
    message::View,
};
use crate::limits::EXPIRATION_MS_MAX;
use crate::protocol::{
    FieldTable, PropertiesView, TableView,
    properties::{FLAG_EXPIRATION, FLAG_HEADERS, FLAG_REPLY_TO, FLAG_USER_ID},
    property_flags,
};

/// The routing key, on the default exchange, by which a consumer asks for more time: this and a delivery tag, or 0 for all
/// that its channel holds. RabbitMQ drops such a message as unroutable.
const RENEW_PREFIX: &str = "amq.renew.";
/// Properties that a rule of the broker looks at.
const FLAGS_WITH_RULES: u16 = FLAG_HEADERS | FLAG_EXPIRATION | FLAG_USER_ID | FLAG_REPLY_TO;

#[inline]
pub(super) fn has_rules(view: &View<'_>) -> bool {
    property_flags(view.properties()).is_some_and(|flags| flags & FLAGS_WITH_RULES != 0)
}

pub(super) fn properties<'a>(view: &View<'a>) -> Result<PropertiesView<'a>, AmqpError> {
    own(|| PropertiesView::parse(view.properties())).map_err(invalid_message)
}

pub(super) fn headers(view: &View<'_>) -> Result<Option<FieldTable>, AmqpError> {
    let headers = properties(view)?.headers;
    own(|| headers.map(FieldTable::decode)).transpose().map_err(invalid_message)
}

/// Whether its headers say where or when it goes.
#[inline]
pub(super) fn has_telling_headers(view: &View<'_>) -> bool {
    has_rules(view) && names_telling_headers(view)
}

#[inline(never)] // So that the test before it is inlined: most messages need no more.
fn names_telling_headers(view: &View<'_>) -> bool {
    PropertiesView::parse(view.properties()).ok().and_then(|it| it.headers).is_some_and(|headers| {
        let headers = TableView::new(headers);
        ["CC", "BCC", X_DELAY, X_DELIVER_AT].iter().any(|name| headers.get(name).is_some())
    })
}

/// When a message is due that was published with a delay; 406 if that is too far ahead.
pub(super) fn due_ms(view: &View<'_>, now: Millis) -> Result<Option<Millis>, AmqpError> {
    let Some(headers) = properties(view)?.headers else { return Ok(None) };
    delay::due_ms(&TableView::new(headers), now).map_err(|invalid| precondition_failed(invalid.to_string()))
}

/// `expiration` must be milliseconds as decimal digits, at most ten years (RabbitMQ).
pub(super) fn check_expiration(properties: &PropertiesView<'_>) -> Result<(), AmqpError> {
    let Some(bytes) = properties.expiration else { return Ok(()) };
    let text = String::from_utf8_lossy(bytes);
    let invalid = |why: String| Err(precondition_failed(format!("invalid expiration '{text}': {why}")));
    let (sign, unsigned) = text.strip_prefix('-').map_or((1, &*text), |rest| (-1, rest));
    let unsigned = if sign == 1 { unsigned.strip_prefix('+').unwrap_or(unsigned) } else { unsigned };
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return invalid("no_integer".into());
    }
    let (number, rest) = unsigned.split_at(digits);
    if !rest.is_empty() {
        return invalid(format!("{{leftover_string,\"{rest}\"}}"));
    }
    match number.parse::<u64>() {
        Ok(value) if sign < 0 && value > 0 => invalid(format!("{{value_negative,-{value}}}")),
        Ok(value) if value <= EXPIRATION_MS_MAX => Ok(()),
        _ => invalid(format!("{{value_too_large,{number}}}")),
    }
}

/// The tag of a delivery whose consumer says that it is still at work; see `protocol-spec/work-queues.md`.
pub(super) fn renewed_tag(view: &View<'_>) -> Option<u64> {
    let tag = view.routing_key().strip_prefix(RENEW_PREFIX.as_bytes())?;
    std::str::from_utf8(tag).ok()?.parse().ok()
}

pub(super) fn invalid_message(error: impl std::fmt::Display) -> AmqpError {
    precondition_failed(format!("invalid message: {error}"))
}

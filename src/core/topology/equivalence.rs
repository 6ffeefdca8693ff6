//! What "the same declaration" means, in RabbitMQ's words.

use std::fmt::Display;

use crate::core::error::{AmqpError, Named, precondition_failed};
use crate::protocol::{FieldTable, FieldValue};

/// A property must be what it is.
pub(super) fn check<T: Display, U: Display>(
    what: &str,
    named: &Named<'_>,
    received: T,
    current: U,
) -> Result<(), AmqpError> {
    let (received, current) = (received.to_string(), current.to_string());
    if received == current {
        return Ok(());
    }
    Err(precondition_failed(format!(
        "inequivalent arg '{what}' for {named}: received '{received}' but current is '{current}'"
    )))
}

/// An argument must be equal to the one that is there: integers compare by value whatever their width.
pub(super) fn check_argument(
    name: &str,
    named: &Named<'_>,
    received: &FieldTable,
    current: &FieldTable,
) -> Result<(), AmqpError> {
    let (received, current) = (received.get(name), current.get(name));
    let same = match (received, current) {
        (None, None) => true,
        (Some(a), Some(b)) => a == b || (a.as_i64().is_some() && a.as_i64() == b.as_i64()),
        _ => false,
    };
    if same {
        return Ok(());
    }
    let (received, current) = match (received, current) {
        (Some(a), Some(b)) if a.type_name() == b.type_name() => {
            (format!("'{}'", plain(a)), format!("'{}'", plain(b)))
        }
        _ => (describe(received), describe(current)),
    };
    Err(precondition_failed(format!(
        "inequivalent arg '{name}' for {named}: received {received} but current is {current}"
    )))
}

fn describe(value: Option<&FieldValue>) -> String {
    value.map_or_else(
        || "none".into(),
        |value| format!("the value '{}' of type '{}'", plain(value), value.type_name()),
    )
}

fn plain(value: &FieldValue) -> String {
    match value.as_str_bytes() {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => value.to_string(),
    }
}

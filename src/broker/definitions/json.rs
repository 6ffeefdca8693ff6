//! JSON as field tables (RabbitMQ's `to_amqp_table`), and texts as names.

use serde_json::{Map, Value};

use crate::limits::{DEFINED_TABLE_BYTES_MAX, TABLE_DEPTH_MAX};
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// A text as a name of at most 255 bytes.
pub fn name(text: &str) -> Result<ShortString, String> {
    ShortString::try_from(text).map_err(|error| format!("'{text:.40}...' is no name: {error}"))
}

/// A text of at most so many bytes.
pub(super) fn text(what: &str, text: &str, bytes_max: usize) -> Result<String, String> {
    bounded(what, text.len(), bytes_max)?;
    Ok(text.to_owned())
}

/// An object as a field table, no larger and no deeper than a client could send it.
pub fn table(what: &str, object: &Map<String, Value>) -> Result<FieldTable, String> {
    let table = nested(object, 1)?;
    let mut encoded = Vec::new();
    table.encode(&mut encoded);
    bounded(what, encoded.len(), DEFINED_TABLE_BYTES_MAX)?;
    Ok(table)
}

fn bounded(what: &str, bytes: usize, bytes_max: usize) -> Result<(), String> {
    if bytes > bytes_max {
        return Err(format!("{what} may have {bytes_max} bytes and not {bytes}"));
    }
    Ok(())
}

/// `depth` is its own: the outermost table has 1.
fn nested(object: &Map<String, Value>, depth: usize) -> Result<FieldTable, String> {
    // No key of an object comes twice.
    object.iter().map(|(key, value)| Ok((name(key)?, field(value, depth)?))).collect()
}

/// A value as one of a field table that lies so deep: whole numbers have 64 bits, texts are long strings.
fn field(value: &Value, depth: usize) -> Result<FieldValue, String> {
    if depth == TABLE_DEPTH_MAX && matches!(value, Value::Array(_) | Value::Object(_)) {
        return Err(format!("tables and lists lie more than {TABLE_DEPTH_MAX} deep in each other"));
    }
    Ok(match value {
        Value::Null => FieldValue::Void,
        Value::Bool(is) => FieldValue::from(*is),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => FieldValue::from(whole),
            None => FieldValue::F64(number.as_f64().ok_or_else(|| format!("{number} is too large"))?),
        },
        Value::String(text) => FieldValue::from(text.as_str()),
        Value::Array(values) => {
            FieldValue::Array(values.iter().map(|value| field(value, depth + 1)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => FieldValue::from(nested(object, depth + 1)?),
    })
}

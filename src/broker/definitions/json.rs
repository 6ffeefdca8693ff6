//! JSON as field tables (RabbitMQ's `to_amqp_table`), and texts as names.

use serde_json::{Map, Value};

use crate::protocol::{FieldTable, FieldValue, ShortString};

/// A text as a name of at most 255 bytes.
pub fn name(text: &str) -> Result<ShortString, String> {
    ShortString::try_from(text).map_err(|error| format!("'{text:.40}...' is no name: {error}"))
}

/// An object as a field table.
pub fn table(object: &Map<String, Value>) -> Result<FieldTable, String> {
    let mut table = FieldTable::new();
    for (key, value) in object {
        table.insert(name(key)?, field(value)?);
    }
    Ok(table)
}

/// A value as one of a field table: whole numbers have 64 bits, texts are long strings.
pub(super) fn field(value: &Value) -> Result<FieldValue, String> {
    Ok(match value {
        Value::Null => FieldValue::Void,
        Value::Bool(is) => FieldValue::from(*is),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => FieldValue::from(whole),
            None => FieldValue::F64(number.as_f64().ok_or_else(|| format!("{number} is too large"))?),
        },
        Value::String(text) => FieldValue::from(text.as_str()),
        Value::Array(values) => FieldValue::Array(values.iter().map(field).collect::<Result<_, _>>()?),
        Value::Object(object) => FieldValue::from(table(object)?),
    })
}

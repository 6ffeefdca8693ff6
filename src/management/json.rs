//! Values of AMQP as JSON, and back.

use serde_json::{Map, Value, json};

use crate::protocol::{FieldTable, FieldValue, Properties, ShortString};

/// A name or key. What is no text is shown as far as it is.
pub fn text(name: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(name).into_owned())
}

/// A field table.
pub fn table(table: &FieldTable) -> Value {
    Value::Object(table.iter().map(|(key, value)| (key.to_string(), field(value))).collect())
}

/// A value of a field table. Times are seconds since the Unix epoch; a decimal is a number.
pub fn field(value: &FieldValue) -> Value {
    match value {
        FieldValue::Bool(is) => json!(is),
        FieldValue::F32(number) => json!(number),
        FieldValue::F64(number) => json!(number),
        FieldValue::Decimal { scale, value } => json!(f64::from(*value) / 10f64.powi((*scale).into())),
        FieldValue::LongString(bytes) | FieldValue::Bytes(bytes) => text(bytes),
        FieldValue::Array(values) => Value::Array(values.iter().map(field).collect()),
        FieldValue::Timestamp(seconds) => json!(seconds),
        FieldValue::Table(inner) => table(inner),
        FieldValue::Void => Value::Null,
        number => json!(number.as_i64()),
    }
}

/// A list of texts.
pub fn texts<'a>(texts: impl IntoIterator<Item = &'a ShortString>) -> Value {
    Value::Array(texts.into_iter().map(|its| text(its)).collect())
}

/// A message's properties, those that it has (RabbitMQ: `props` and `properties`).
pub fn properties(properties: &Properties) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            shown.insert(key.into(), value);
        }
    };
    let short = |value: &Option<ShortString>| value.as_ref().map(|its| text(its));
    put("content_type", short(&properties.content_type));
    put("content_encoding", short(&properties.content_encoding));
    put("headers", properties.headers.as_ref().map(table));
    put("delivery_mode", properties.delivery_mode.map(|mode| json!(mode)));
    put("priority", properties.priority.map(|priority| json!(priority)));
    put("correlation_id", short(&properties.correlation_id));
    put("reply_to", short(&properties.reply_to));
    put("expiration", short(&properties.expiration));
    put("message_id", short(&properties.message_id));
    put("timestamp", properties.timestamp.map(|seconds| json!(seconds)));
    put("type", short(&properties.type_));
    put("user_id", short(&properties.user_id));
    put("app_id", short(&properties.app_id));
    put("cluster_id", short(&properties.cluster_id));
    Value::Object(shown)
}

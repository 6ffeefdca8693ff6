//! What a request brings: a JSON object, read field by field.

use axum::body::Bytes;
use serde_json::{Map, Value};

use super::failure::{Answered, bad_request};
use crate::broker::{json_name, json_table};
use crate::protocol::{FieldTable, ShortString};

/// The object in the body of a request; an empty body is an empty one.
#[derive(Debug, Default)]
pub struct Body(Map<String, Value>);

impl Body {
    /// Reads it.
    pub fn read(bytes: &Bytes) -> Answered<Self> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            Ok(_) => Err(bad_request("body is no JSON object")),
            Err(_) => Err(bad_request("Invalid JSON")),
        }
    }

    /// An object inside of a request.
    pub fn of(value: &Value) -> Answered<Self> {
        let object = value.as_object().ok_or_else(|| bad_request("what should be an object is none"))?;
        Ok(Self(object.clone()))
    }

    /// A field as it is.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub fn required(&self, key: &str) -> Answered<&Value> {
        self.0.get(key).ok_or_else(|| bad_request(format!("key_missing: {key}")))
    }

    /// A text.
    pub fn text(&self, key: &str) -> Answered<Option<&str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| bad_request(format!("{key} is no text: {value}")))
    }

    /// A text that must be there.
    pub fn required_text(&self, key: &str) -> Answered<&str> {
        self.required(key)?;
        self.text(key)?.ok_or_else(|| bad_request(format!("{key} is no text")))
    }

    /// A truth value, in RabbitMQ's ways to write one.
    pub fn flag(&self, key: &str, default: bool) -> Answered<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(is)) => Ok(*is),
            Some(Value::String(word)) if word == "true" => Ok(true),
            Some(Value::String(word)) if word == "false" => Ok(false),
            Some(value) => Err(bad_request(format!("{key} is neither true nor false: {value}"))),
        }
    }

    /// A whole number, perhaps written as a text.
    pub fn whole(&self, key: &str) -> Answered<Option<i64>> {
        let wrong = |value: &Value| bad_request(format!("{key} is no whole number: {value}"));
        match self.get(key) {
            None => Ok(None),
            Some(value @ Value::String(text)) => text.parse().map(Some).map_err(|_| wrong(value)),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| wrong(value)),
        }
    }

    /// A field table.
    pub fn table(&self, key: &str) -> Answered<FieldTable> {
        match self.get(key) {
            None => Ok(FieldTable::new()),
            Some(Value::Object(object)) => json_table("arguments", object).map_err(bad_request),
            Some(Value::Array(list)) if list.is_empty() => Ok(FieldTable::new()),
            Some(_) => Err(bad_request(format!("{key} is no object"))),
        }
    }

    /// A name of at most 255 bytes.
    pub fn name(&self, key: &str) -> Answered<Option<ShortString>> {
        self.text(key)?.map(name).transpose()
    }

    /// Tags: a list, or a text with commas.
    pub fn tags(&self, key: &str) -> Answered<Vec<ShortString>> {
        let wrong = || bad_request(format!("{key} is neither a list of texts nor a text with commas"));
        let words: Vec<&str> = match self.get(key) {
            None => Vec::new(),
            Some(Value::String(text)) => text.split(',').map(str::trim).collect(),
            Some(Value::Array(list)) => {
                list.iter().map(|word| word.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(wrong()),
        };
        words.into_iter().filter(|word| !word.is_empty()).map(name).collect()
    }
}

/// A text as a name of at most 255 bytes.
pub fn name(text: &str) -> Answered<ShortString> {
    json_name(text).map_err(bad_request)
}

//! Values on the command line.

use serde_json::{Map, Value};

/// `NAME=VALUE`. A value that is JSON is taken as that, anything else as a text.
pub fn pair(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("is not NAME=VALUE")?;
    if name.is_empty() {
        return Err("is not NAME=VALUE".into());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
    Ok((name.into(), value))
}

/// Any JSON.
pub fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))
}

/// A JSON object.
pub fn object(text: &str) -> Result<Value, String> {
    match json(text)? {
        value @ Value::Object(_) => Ok(value),
        _ => Err("is no JSON object, such as {\"max-length\": 10}".into()),
    }
}

/// Pairs as one object.
pub fn table(pairs: &[(String, Value)]) -> Value {
    Value::Object(pairs.iter().cloned().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pair_is_json_if_it_can_be_and_text_otherwise() {
        for (text, value) in [
            ("n=1", json!(1)),
            ("n=\"1\"", json!("1")),
            ("n=true", json!(true)),
            ("n=abc", json!("abc")),
            ("n=a=b", json!("a=b")),
            ("n=", json!("")),
            ("n=[1]", json!([1])),
            ("n={\"a\":", json!("{\"a\":")),
        ] {
            assert_eq!(pair(text), Ok(("n".into(), value)), "{text}");
        }
        assert!(pair("n").is_err() && pair("=1").is_err() && pair("").is_err());
        let pairs = [pair("a=1").unwrap(), pair("b=x").unwrap()];
        assert_eq!(table(&pairs), json!({ "a": 1, "b": "x" }));
    }

    #[test]
    fn an_object_is_one() {
        assert_eq!(object("{\"a\": 1}"), Ok(json!({ "a": 1 })));
        assert!(object("[1]").unwrap_err().contains("is no JSON object"));
        assert!(object("{a: 1}").unwrap_err().contains("is no JSON: "));
    }
}

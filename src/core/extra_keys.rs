//! Further routing keys in a message's headers `CC` and `BCC` (RabbitMQ's sender-selected distribution).

use crate::core::{
    error::{AmqpError, precondition_failed},
    message::{Layout, View},
};
use crate::protocol::{FieldTable, Properties};

/// The keys: both headers must be arrays, of which the long strings count. 406 if one is not (RabbitMQ).
pub fn extra_keys(headers: Option<&FieldTable>) -> Result<Vec<Box<[u8]>>, AmqpError> {
    let Some(headers) = headers else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    for name in ["CC", "BCC"] {
        let Some(value) = headers.get(name) else { continue };
        let array = value.as_array().ok_or_else(|| {
            let (kind, name) = (value.type_name(), format!("<<\"{name}\">>"));
            precondition_failed(format!("invalid message: {{unacceptable_type_in_header,{kind},{name}}}"))
        })?;
        keys.extend(array.iter().filter_map(|key| key.as_str_bytes()).map(Box::from));
    }
    Ok(keys)
}

/// The message without its `BCC` header, if it has one: consumers must not see it.
pub fn without_bcc(view: &View<'_>, headers: Option<FieldTable>) -> Option<(Layout, Vec<u8>)> {
    let mut headers = headers?;
    headers.remove("BCC")?;
    let mut owned = Properties::decode(view.properties()).ok()?;
    owned.headers = Some(headers);
    Some(view.with_properties(&owned))
}

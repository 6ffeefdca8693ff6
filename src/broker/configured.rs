//! Policies that the configuration file names: set in the default virtual host at each start, as if an
//! operator did it. One that leaves the file is not deleted.

use crate::config::{Config, PolicySettings};
use crate::core::{
    declared::{ApplyTo, PolicyKind, PolicySpec},
    policy::Policy,
};
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// A policy of the configuration file that cannot be; one line for stderr.
#[derive(Debug, thiserror::Error)]
#[error("policy '{name}': {why}")]
pub struct BadPolicy {
    name: String,
    why: String,
}

/// Reads the configured policies, and checks them.
pub fn configured_policies(config: &Config) -> Result<Vec<(PolicyKind, PolicySpec)>, BadPolicy> {
    let users = config.policies.iter().map(|settings| (PolicyKind::User, settings));
    let operators = config.operator_policies.iter().map(|settings| (PolicyKind::Operator, settings));
    let checked = |(kind, settings): (PolicyKind, &PolicySettings)| {
        let bad = |why: String| {
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            BadPolicy { name: settings.name.clone(), why }
        };
        let spec = policy(settings).map_err(bad)?;
        Policy::new(kind, spec.clone()).map_err(|error| bad(error.in_plain_words()))?;
        Ok((kind, spec))
    };
    users.chain(operators).map(checked).collect()
}

fn policy(settings: &PolicySettings) -> Result<PolicySpec, String> {
    let mut definition = FieldTable::new();
    for (key, value) in &settings.definition {
        let key = ShortString::try_from(key.as_str()).map_err(|error| error.to_string())?;
        definition.insert(key, field_value(value)?);
    }
    let apply_to = ApplyTo::parse(settings.apply_to.as_bytes()).ok_or_else(|| {
        let known = ApplyTo::ALL.map(ApplyTo::name).join(", ");
        format!("apply-to cannot be '{}': it is one of {known}", settings.apply_to)
    })?;
    Ok(PolicySpec {
        name: ShortString::try_from(settings.name.as_str()).map_err(|error| error.to_string())?,
        pattern: settings.pattern.clone(),
        apply_to,
        priority: settings.priority,
        definition,
    })
}

fn field_value(value: &toml::Value) -> Result<FieldValue, String> {
    match value {
        toml::Value::String(text) => Ok(FieldValue::from(text.as_str())),
        toml::Value::Integer(number) => Ok(FieldValue::from(*number)),
        toml::Value::Float(number) => Ok(FieldValue::F64(*number)),
        toml::Value::Boolean(is) => Ok(FieldValue::from(*is)),
        other => Err(format!("a value cannot be of the type {}", other.type_str())),
    }
}

//! What a document says, as the core's values, checked as far as that goes without a broker.

use serde_json::{Map, Value};

use super::{
    document as written,
    json::{name, table, text},
};
use crate::auth::read_hash;
use crate::core::{
    access::{
        AccessChange, Grant, HashAlgorithm, Limit, Limits, PermissionsSpec, TopicPermissionsSpec, UserSpec,
    },
    declared::{ApplyTo, Binding, Destination, PolicyKind, PolicySpec, QueueType, VhostSettings},
    policy::Policy,
    topology::{ExchangeDeclaration, QueueDeclaration},
};
use crate::limits::{
    DESCRIPTION_BYTES_MAX, PARAMETER_BYTES_MAX, PASSWORD_HASH_BYTES_MAX, PATTERN_BYTES_MAX, TAGS_MAX,
};
use crate::protocol::{FieldValue, ShortString};

/// The component of parameters that are operator policies.
const OPERATOR_POLICY: &str = "operator_policy";
/// The component of parameters that are limits of a virtual host.
const VHOST_LIMITS: &str = "vhost-limits";

/// A change in a virtual host.
pub(super) enum Declaration {
    Limits(Limits),
    Parameter { component: ShortString, name: ShortString, value: String },
    Policy(PolicyKind, PolicySpec),
    Exchange(ExchangeDeclaration),
    Queue(QueueDeclaration),
    Binding(Binding),
}

pub(super) fn user(user: &written::User) -> Result<AccessChange, String> {
    let algorithm = match &user.hashing_algorithm {
        None => HashAlgorithm::Sha256,
        Some(named) => {
            HashAlgorithm::parse(named).ok_or_else(|| format!("unknown hashing_algorithm '{named}'"))?
        }
    };
    let hash =
        text("password_hash", user.password_hash.as_deref().unwrap_or_default(), PASSWORD_HASH_BYTES_MAX)?;
    let password = read_hash(algorithm, &hash).ok_or("password_hash is not one of its hashing_algorithm")?;
    Ok(AccessChange::UserSet(UserSpec {
        name: name(&user.name)?,
        password,
        tags: self::tags(&user.tags)?,
        limits: match &user.limits {
            written::Limits::Some(limits) => self::limits(limits, Limit::is_of_users)?,
            written::Limits::None | written::Limits::Empty(_) => Limits::default(),
        },
    }))
}

pub(super) fn vhost(vhost: &written::Vhost) -> Result<(ShortString, VhostSettings), String> {
    let metadata = &vhost.metadata;
    let tags = if vhost.tags.is_empty() { &metadata.tags } else { &vhost.tags };
    let description = vhost.description.as_ref().or(metadata.description.as_ref());
    let queue_type = vhost.default_queue_type.as_ref().or(metadata.default_queue_type.as_ref());
    let default_queue_type = match queue_type.map(String::as_str) {
        None | Some("undefined" | "") => None,
        Some(named) => Some(
            QueueType::parse(named.as_bytes())
                .ok_or_else(|| format!("default_queue_type '{named}' is not known here"))?,
        ),
    };
    let settings = VhostSettings {
        description: text(
            "description",
            description.map(String::as_str).unwrap_or_default(),
            DESCRIPTION_BYTES_MAX,
        )?,
        tags: self::tags(tags)?,
        default_queue_type,
        tracing: vhost.tracing,
        limits: Limits::default(),
    };
    Ok((name(&vhost.name)?, settings))
}

pub(super) fn permissions(permissions: &written::Permissions) -> Result<AccessChange, String> {
    let spec = PermissionsSpec {
        user: name(&permissions.user)?,
        vhost: name(&permissions.vhost)?,
        configure: pattern(&permissions.configure)?,
        write: pattern(&permissions.write)?,
        read: pattern(&permissions.read)?,
    };
    Grant::new(&spec, &[]).map_err(|error| format!("an expression cannot be read: {error}"))?;
    Ok(AccessChange::PermissionsSet(spec))
}

pub(super) fn topic_permissions(topics: &written::TopicPermissions) -> Result<AccessChange, String> {
    let spec = TopicPermissionsSpec {
        user: name(&topics.user)?,
        vhost: name(&topics.vhost)?,
        exchange: name(&topics.exchange)?,
        write: pattern(&topics.write)?,
        read: pattern(&topics.read)?,
    };
    spec.check().map_err(|error| format!("an expression cannot be read: {error}"))?;
    Ok(AccessChange::TopicPermissionsSet(spec))
}

pub(super) fn global_parameter(parameter: &written::GlobalParameter) -> Result<AccessChange, String> {
    let value = text("value", &parameter.value.to_string(), PARAMETER_BYTES_MAX)?;
    Ok(AccessChange::GlobalParameterSet { name: name(&parameter.name)?, value })
}

/// Operator policies and limits are written as parameters.
pub(super) fn parameter(parameter: &written::Parameter) -> Result<Declaration, String> {
    match (&*parameter.component, &parameter.value) {
        (OPERATOR_POLICY, Value::Object(value)) => {
            let text = |key: &str| value.get(key).and_then(Value::as_str);
            let written = written::Policy {
                vhost: parameter.vhost.clone(),
                name: parameter.name.clone(),
                pattern: text("pattern").ok_or("an operator policy without a pattern")?.to_owned(),
                apply_to: text("apply-to").unwrap_or("all").to_owned(),
                priority: value.get("priority").and_then(Value::as_i64).unwrap_or_default(),
                definition: value.get("definition").and_then(Value::as_object).cloned().unwrap_or_default(),
            };
            policy(PolicyKind::Operator, &written)
        }
        (VHOST_LIMITS, Value::Object(value)) => Ok(Declaration::Limits(limits(value, Limit::is_of_vhosts)?)),
        (component, value) => Ok(Declaration::Parameter {
            component: name(component)?,
            name: name(&parameter.name)?,
            value: text("value", &value.to_string(), PARAMETER_BYTES_MAX)?,
        }),
    }
}

pub(super) fn policy(kind: PolicyKind, policy: &written::Policy) -> Result<Declaration, String> {
    let known = || ApplyTo::ALL.map(ApplyTo::name).join(", ");
    let spec = PolicySpec {
        name: name(&policy.name)?,
        pattern: pattern(&policy.pattern)?,
        apply_to: ApplyTo::parse(policy.apply_to.as_bytes())
            .ok_or_else(|| format!("apply-to cannot be '{}': it is one of {}", policy.apply_to, known()))?,
        priority: policy.priority,
        definition: table("definition", &policy.definition)?,
    };
    Policy::new(kind, spec.clone()).map_err(|error| error.in_plain_words())?;
    Ok(Declaration::Policy(kind, spec))
}

pub(super) fn exchange(exchange: &written::Exchange) -> Result<Declaration, String> {
    Ok(Declaration::Exchange(ExchangeDeclaration {
        name: name(&exchange.name)?,
        kind: name(&exchange.kind)?,
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        arguments: table("arguments", &exchange.arguments)?,
    }))
}

pub(super) fn queue(queue: &written::Queue) -> Result<Declaration, String> {
    let mut arguments = table("arguments", &queue.arguments)?;
    if let Some(named) = queue.kind.as_deref()
        && named != QueueType::Classic.name()
        && arguments.get("x-queue-type").is_none()
    {
        arguments.insert(ShortString::from_static("x-queue-type"), FieldValue::from(named));
    }
    Ok(Declaration::Queue(QueueDeclaration {
        name: name(&queue.name)?,
        server_named: queue.name.starts_with("amq.gen-"),
        durable: queue.durable,
        exclusive: false,
        auto_delete: queue.auto_delete,
        arguments,
    }))
}

pub(super) fn binding(binding: &written::Binding) -> Result<Declaration, String> {
    let destination = name(&binding.destination)?;
    Ok(Declaration::Binding(Binding {
        source: name(&binding.source)?,
        destination: match binding.destination_type {
            written::DestinationType::Queue => Destination::Queue(destination),
            written::DestinationType::Exchange => Destination::Exchange(destination),
        },
        key: name(&binding.routing_key)?,
        arguments: table("arguments", &binding.arguments)?,
    }))
}

/// Negative ones are none (RabbitMQ).
fn limits(object: &Map<String, Value>, suits: impl Fn(Limit) -> bool) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for (key, value) in object {
        let limit = Limit::parse(key).filter(|limit| suits(*limit));
        let limit = limit.ok_or_else(|| format!("there is no limit '{key}' here"))?;
        let max = value.as_i64().ok_or_else(|| format!("{key} is no whole number"))?;
        limits.set(limit, u64::try_from(max).ok());
    }
    Ok(limits)
}

fn tags(texts: &[String]) -> Result<Vec<ShortString>, String> {
    if texts.len() > TAGS_MAX {
        return Err(format!("there may be {TAGS_MAX} tags and not {}", texts.len()));
    }
    texts.iter().map(|text| name(text)).collect()
}

fn pattern(expression: &str) -> Result<String, String> {
    text("an expression", expression, PATTERN_BYTES_MAX)
}

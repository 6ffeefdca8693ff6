//! The document: `OpenAPI` 3.1, made of the table.

use axum::http::Method;
use utoipa::openapi::{
    ComponentsBuilder, Content, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, ObjectBuilder,
    OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder, Responses, ResponsesBuilder, Schema,
    path::{
        Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths, PathsBuilder,
    },
    request_body::{RequestBody, RequestBodyBuilder},
    schema::{ArrayBuilder, SchemaType, Type},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

use super::table::{Field, Form, Kind, Routes, Row, Who};
use crate::management::{extract::Asked, listing::Listing};

/// What the names in addresses mean.
const NAMES: &[(&str, &str)] = &[
    ("channel", "The name of a channel, such as 127.0.0.1:1 -> 127.0.0.1:5672 (1)"),
    ("component", "What parameters are for, such as shovel"),
    ("connection", "The name of a connection, such as 127.0.0.1:1 -> 127.0.0.1:5672"),
    ("cursor", "Where a message stands, as lists of messages say it"),
    ("destination", "The queue or exchange that is bound"),
    ("exchange", "The name of an exchange; amq.default is the one without a name"),
    ("flag", "The name of a feature flag"),
    ("kind", "q for a queue, e for an exchange"),
    ("limit", "The name of a limit, such as max-connections"),
    ("node", "The name of the node"),
    ("number", "The number of a redrive"),
    ("parameter", "The name of a parameter"),
    ("password", "A password"),
    ("policy", "The name of a policy"),
    ("port", "The number of a port"),
    ("properties", "The properties_key of a binding"),
    ("protocol", "The name of a protocol, such as amqp or http"),
    ("queue", "The name of a queue"),
    ("source", "The exchange that a binding begins at"),
    ("subject", "The name of what is traced, or a message-id"),
    ("traced", "queues, exchanges or messages"),
    ("unit", "days, weeks, months or years"),
    ("user", "The name of a user"),
    ("vhost", "The name of a virtual host; / is written %2F"),
    ("within", "How many of them"),
];

/// What may be said of how a single thing is shown; the other parameters of lists are of no use there.
const OF_ONE: [&str; 7] = [
    "columns",
    "lengths_age",
    "lengths_incr",
    "msg_rates_age",
    "msg_rates_incr",
    "data_rates_age",
    "data_rates_incr",
];

/// The document of a table.
pub fn document(routes: &Routes) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Leveret")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "RabbitMQ's management API, and what Leveret has beyond it under /api/leveret/. \
             Who may ask stands at each request as the tag that a user must have.",
        ))
        .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build()));
    let tag =
        |(kind, meaning): &(&str, &str)| TagBuilder::new().name(*kind).description(Some(*meaning)).build();
    let components = ComponentsBuilder::new()
        .schema("Failure", failure())
        .security_scheme("basic", scheme(HttpAuthScheme::Basic))
        .security_scheme("bearer", scheme(HttpAuthScheme::Bearer));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths(routes.rows()))
        .components(Some(components.build()))
        .tags(Some(routes.kinds().iter().map(tag)))
        .build()
}

fn scheme(scheme: HttpAuthScheme) -> SecurityScheme {
    SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build())
}

/// What is answered when something cannot be done.
fn failure() -> Schema {
    let text = || of_type(Type::String);
    let fields = ObjectBuilder::new().property("error", text()).property("reason", text());
    fields.required("error").required("reason").into()
}

fn of_type(kind: Type) -> Schema {
    ObjectBuilder::new().schema_type(kind).into()
}

fn paths(rows: &[Row]) -> Paths {
    let mut paths = PathsBuilder::new();
    for row in rows {
        let method = match row.method {
            Method::PUT => HttpMethod::Put,
            Method::POST => HttpMethod::Post,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        // Those of one address are put together.
        paths = paths.path(row.path, PathItem::new(method, operation(row)));
    }
    paths.build()
}

fn operation(row: &Row) -> Operation {
    let mut operation = OperationBuilder::new()
        .tag(row.kind)
        .summary(Some(row.summary))
        .description(Some(who(row.who)))
        .operation_id(Some(id(row)))
        .parameters(Some(parameters(row)))
        .responses(responses(row));
    if row.takes_bytes {
        operation = operation.request_body(Some(bytes()));
    } else if row.inputs.has_body {
        operation = operation.request_body(Some(body(&row.fields)));
    }
    let tag = match row.who {
        Who::Anybody => None,
        Who::Visitors => Some("management"),
        Who::Policymakers => Some("policymaker"),
        Who::Monitors => Some("monitoring"),
        Who::Administrators => Some("administrator"),
    };
    if let Some(tag) = tag {
        operation = operation.security(SecurityRequirement::new("basic", [tag]));
        operation = operation.security(SecurityRequirement::new("bearer", [tag]));
    }
    operation.build()
}

fn who(who: Who) -> &'static str {
    match who {
        Who::Anybody => "For anybody on the broker's machine; from elsewhere for each user with a tag.",
        Who::Visitors => "For each user with a tag, as far as its permissions go.",
        Who::Policymakers => "For users with the tag policymaker.",
        Who::Monitors => "For users with the tag monitoring.",
        Who::Administrators => "For users with the tag administrator.",
    }
}

/// A word for programs that are made of the document: the method and the words of the address.
fn id(row: &Row) -> String {
    let words = row.path.split(['/', '-', '.']).filter(|word| !matches!(*word, "" | "api"));
    let words: Vec<_> = words.map(|word| word.trim_matches(['{', '}'])).collect();
    format!("{}_{}", row.method.as_str().to_lowercase(), words.join("_"))
}

/// The names in an address, in order.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'))
}

fn parameters(row: &Row) -> Vec<Parameter> {
    let parameter = |at: ParameterIn, name: &str, meaning: &str| {
        let required = if at == ParameterIn::Path { Required::True } else { Required::False };
        let text = RefOr::T(of_type(Type::String));
        let builder = ParameterBuilder::new().name(name).parameter_in(at).required(required);
        builder.description(Some(meaning)).schema(Some(text)).build()
    };
    let in_path = names(row.path).map(|name| {
        let meaning = NAMES.iter().find(|(its, _)| *its == name).map_or("", |(_, meaning)| *meaning);
        parameter(ParameterIn::Path, name, meaning)
    });
    let of_use = |(name, _): &&(&str, &str)| {
        let is_of_lists = Listing::PARAMETERS.iter().any(|(its, _)| its == name);
        row.form == Form::List || !is_of_lists || OF_ONE.contains(name)
    };
    let in_query = row.inputs.parameters.iter().filter(of_use);
    let in_query = in_query.map(|(name, meaning)| parameter(ParameterIn::Query, name, meaning));
    let reason = row
        .inputs
        .has_reason
        .then(|| parameter(ParameterIn::Header, "x-reason", "Why: the client is told, and the log"));
    in_path.chain(in_query).chain(reason).collect()
}

fn bytes() -> RequestBody {
    RequestBodyBuilder::new()
        .content("application/octet-stream", content(of_type(Type::String)))
        .required(Some(Required::True))
        .build()
}

fn body(fields: &[Field]) -> RequestBody {
    let mut object = ObjectBuilder::new();
    for field in fields {
        object = object.property(field.name, value_of(field.kind));
        if field.is_required {
            object = object.required(field.name);
        }
    }
    let required =
        if fields.iter().any(|field| field.is_required) { Required::True } else { Required::False };
    RequestBodyBuilder::new()
        .content("application/json", content(object.into()))
        .required(Some(required))
        .build()
}

fn value_of(kind: Kind) -> Schema {
    match kind {
        Kind::Text => of_type(Type::String),
        Kind::Flag => of_type(Type::Boolean),
        Kind::Whole => of_type(Type::Integer),
        Kind::Object => of_type(Type::Object),
        Kind::Texts => ArrayBuilder::new().items(RefOr::T(of_type(Type::String))).into(),
        Kind::Objects => ArrayBuilder::new().items(RefOr::T(of_type(Type::Object))).into(),
        Kind::Any => anything(),
    }
}

fn anything() -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
}

fn content(schema: Schema) -> Content {
    ContentBuilder::new().schema(Some(RefOr::T(schema))).build()
}

fn responses(row: &Row) -> Responses {
    let mut responses = ResponsesBuilder::new();
    for status in row.statuses {
        let answer = ResponseBuilder::new().description(meaning(*status));
        let answer = match (status, row.form) {
            (204, _) => answer,
            (201, _) if row.method != Method::POST => answer,
            // A page of a list is an object.
            (_, Form::Json | Form::List) => answer.content("application/json", content(anything())),
            (_, Form::Text) => answer.content("text/plain", content(of_type(Type::String))),
            (_, Form::Events) => answer.content("text/event-stream", content(of_type(Type::String))),
        };
        responses = responses.response(status.to_string(), answer.build());
    }
    for status in failures(row) {
        let failure = Ref::from_schema_name("Failure");
        let content = ContentBuilder::new().schema(Some(failure)).build();
        let answer = ResponseBuilder::new().description(meaning(status)).content("application/json", content);
        responses = responses.response(status.to_string(), answer.build());
    }
    responses.build()
}

/// Statuses of what cannot be done.
fn failures(row: &Row) -> Vec<u16> {
    let mut failures = vec![401, 429];
    let has_names = names(row.path).next().is_some();
    if has_names || row.inputs.has_body || !row.inputs.parameters.is_empty() {
        failures.push(400);
    }
    if has_names {
        failures.push(404);
    }
    if row.inputs.has_body {
        failures.push(413);
    }
    failures.retain(|status| !row.statuses.contains(status));
    failures
}

fn meaning(status: u16) -> &'static str {
    match status {
        200 => "What was asked for",
        201 => "It was made",
        202 => "It has begun",
        204 => "It is done",
        400 => "The request makes no sense",
        401 => "Who asks has not proven who that is, or may not",
        404 => "What the address names is not there",
        413 => "The body is too large",
        429 => "There were too many requests; Retry-After says how many seconds to wait",
        503 => "A check has failed, or the broker has too much to do",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;
    use crate::management::routes;

    #[test]
    fn each_name_in_an_address_means_something_and_nothing_is_explained_that_is_not_there() {
        let table = routes::all();
        let used: HashSet<_> = table.rows().iter().flat_map(|row| names(row.path)).collect();
        let explained: HashSet<_> = NAMES.iter().map(|(name, _)| *name).collect();
        assert_eq!(used, explained);
        assert!(NAMES.is_sorted(), "by name");
    }

    #[test]
    fn each_row_is_told_apart_and_says_what_it_does() {
        let table = routes::all();
        let ids: HashSet<_> = table.rows().iter().map(id).collect();
        assert_eq!(ids.len(), table.rows().len());
        let kinds: HashSet<_> = table.kinds().iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds.len(), table.kinds().len());
        for row in table.rows() {
            let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            assert!(letters(&id(row)), "{}", id(row));
            assert!(row.summary.starts_with(char::is_uppercase) && !row.summary.ends_with('.'), "{row:?}");
            assert!(kinds.contains(row.kind), "{row:?}");
            assert!(row.statuses.iter().all(|status| !meaning(*status).is_empty()), "{row:?}");
            let fields: HashSet<_> = row.fields.iter().map(|field| field.name).collect();
            assert_eq!(fields.len(), row.fields.len(), "{row:?}");
            let may_have_body = matches!(row.method, Method::PUT | Method::POST);
            assert!(row.inputs.has_body || row.fields.is_empty(), "{row:?}");
            assert!(may_have_body || !row.inputs.has_body, "{row:?}");
        }
    }

    #[test]
    fn the_document_has_each_row_of_the_table_once_and_nothing_else() {
        let table = routes::all();
        let document = serde_json::to_value(document(&table)).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let mut told: Vec<_> = paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(move |method| (path.clone(), method.to_uppercase()))
            })
            .collect();
        let mut rows: Vec<_> =
            table.rows().iter().map(|row| (row.path.to_owned(), row.method.to_string())).collect();
        told.sort();
        rows.sort();
        assert_eq!(told, rows);
    }

    #[test]
    fn a_row_tells_what_its_handler_takes_and_how_it_answers() {
        let document = serde_json::to_value(document(&routes::all())).unwrap();
        let put = &document["paths"]["/api/policies/{vhost}/{policy}"]["put"];
        assert_eq!(put["tags"], json!(["policies"]));
        assert_eq!(put["security"], json!([{ "basic": ["policymaker"] }, { "bearer": ["policymaker"] }]));
        assert_eq!(put["operationId"], "put_policies_vhost_policy");
        let schema = &put["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(schema["required"], json!(["pattern", "definition"]));
        assert_eq!(schema["properties"]["priority"]["type"], "integer");
        let statuses: Vec<_> = put["responses"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(statuses, ["201", "204", "400", "401", "404", "413", "429"]);
        let named = |operation: &serde_json::Value| -> Vec<String> {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            parameters.iter().map(|its| its["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(named(put), ["vhost", "policy"]);
        let list = named(&document["paths"]["/api/queues/{vhost}"]["get"]);
        assert!(list.contains(&"vhost".into()) && list.contains(&"page_size".into()), "{list:?}");
        let one = named(&document["paths"]["/api/queues/{vhost}/{queue}"]["get"]);
        assert!(one.contains(&"columns".into()) && !one.contains(&"page".into()), "{one:?}");
        let close = named(&document["paths"]["/api/connections/{connection}"]["delete"]);
        assert_eq!(close, ["connection", "x-reason"]);
        let move_in = &document["paths"]["/api/leveret/queues/{vhost}/{queue}/move-in"]["post"];
        assert!(move_in["requestBody"]["content"]["application/octet-stream"].is_object(), "{move_in}");
        let alive = &document["paths"]["/api/leveret/alive"]["get"];
        assert!(alive.get("security").is_none());
        let check = &document["paths"]["/api/health/checks/alarms"]["get"]["responses"];
        assert!(check["503"].is_object() && check["200"].is_object());
        assert_eq!(document["openapi"], "3.1.0");
    }
}

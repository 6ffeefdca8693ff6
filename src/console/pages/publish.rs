//! Publishes one message, to an exchange or by the default exchange to a queue.

use std::sync::Arc;

use axum::{Router, extract::Query, http::Method, routing::get};
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shown, object, page};
use crate::console::{
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Section, choice, csrf, field, link, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/publish", get(show).post(publish))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    vhost: String,
    /// Empty for the default exchange.
    exchange: String,
    key: String,
}

impl Target {
    /// The page that one comes from.
    fn back(&self) -> String {
        if self.exchange.is_empty() && !self.key.is_empty() {
            return link::queue(&self.vhost, &self.key);
        }
        link::exchange(&self.vhost, &self.exchange)
    }
}

async fn show(visit: Visit, Query(target): Query<Target>) -> Shown {
    let content = html! {
        p.crumbs { "Virtual host " (text::name(&target.vhost)) " · exchange " (text::exchange(&target.exchange)) }
        form.panel method="post" action="/publish" {
            (csrf(&visit.frame))
            input type="hidden" name="vhost" value=(target.vhost);
            input type="hidden" name="exchange" value=(target.exchange);
            (field("Routing key", "key", &target.key, if target.exchange.is_empty() { "the name of a queue" } else { "" }))
            label.field { span { "Body" } textarea name="payload" spellcheck="false" {} }
            div.fields {
                (choice("The body is", "encoding", &[("string", "the text above"), ("base64", "what the base64 above stands for")], "string"))
                (choice("Delivery", "persistent", &[("2", "persistent"), ("1", "transient")], "2"))
                (field("Content type", "content_type", "", "such as application/json"))
                (field("Time to live", "expiration", "", "milliseconds"))
                (field("Priority", "priority", "", "0 to 255"))
                (field("Headers", "headers", "", "a JSON object"))
            }
            div.buttons { button.primary type="submit" { "Publish" } a.button href=(target.back()) { "Cancel" } }
        }
    };
    page(&visit, Section::Other, "Publish a message", &content)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Letter {
    #[serde(flatten)]
    target: Target,
    payload: String,
    encoding: String,
    persistent: String,
    content_type: String,
    expiration: String,
    priority: String,
    headers: String,
}

async fn publish(change: Change<Letter>) -> Shown {
    let Change { visit, form } = change;
    let mut properties = json!({ "delivery_mode": form.persistent });
    let headers = object(&visit.frame, &form.headers)?;
    if !headers.is_empty() {
        properties["headers"] = Value::Object(headers);
    }
    for (name, value) in
        [("content_type", &form.content_type), ("expiration", &form.expiration), ("priority", &form.priority)]
    {
        if !value.trim().is_empty() {
            properties[name] = json!(value.trim());
        }
    }
    let body = json!({
        "routing_key": form.target.key,
        "payload": form.payload,
        "payload_encoding": if form.encoding == "base64" { "base64" } else { "string" },
        "properties": properties,
    });
    let exchange = if form.target.exchange.is_empty() { "amq.default" } else { &form.target.exchange };
    let answer =
        visit.send(Method::POST, api(&["exchanges", &form.target.vhost, exchange, "publish"]), &body).await?;
    let told = if answer["routed"] == true {
        "The message was published, and at least one queue has it."
    } else {
        "The message was published, but no queue is bound for it: it is gone."
    };
    Ok(visit.done(&form.target.back(), told))
}

//! Moves or copies messages elsewhere, above all from a queue of dead ones back to work: first it looks how many are meant, then it moves.

use std::sync::Arc;

use axum::{Router, extract::Query, http::Method, routing::get};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{Named, Shown, object, page, parts, whole};
use crate::console::{
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Frame, Refusal, Section, check, choice, csrf, field, link, note, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/queue/move", get(ask).post(act))
}

/// Why a message died, in AMQP's words and in ours.
const REASONS: [(&str, &str); 5] = [
    ("", "whatever"),
    ("rejected", "it was rejected"),
    ("expired", "it had waited too long"),
    ("maxlen", "the queue was full"),
    ("delivery_limit", "it had come back too often"),
];

/// What the form says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Order {
    vhost: String,
    name: String,
    /// `look` or `move`.
    step: String,
    /// `origin`, `queue` or `exchange`.
    to: String,
    queue: String,
    exchange: String,
    key: String,
    reason: String,
    routing_key: String,
    older_than_minutes: String,
    headers: String,
    limit: String,
    per_second: String,
    copy: String,
}

impl Order {
    /// What the API is asked for.
    fn body(&self, frame: &Frame) -> Result<Value, Refusal> {
        let mut to = match &*self.to {
            "queue" => json!({ "queue": self.queue }),
            "exchange" => json!({ "exchange": self.exchange }),
            _ => json!({ "origin": true }),
        };
        if self.to == "exchange" && !self.key.is_empty() {
            to["routing_key"] = json!(self.key);
        }
        let mut filter = Map::new();
        let headers = object(frame, &self.headers)?;
        if !headers.is_empty() {
            filter.insert("headers".into(), Value::Object(headers));
        }
        for (name, word) in [("reason", &self.reason), ("routing_key", &self.routing_key)] {
            if !word.is_empty() {
                filter.insert(name.into(), json!(word));
            }
        }
        if !self.older_than_minutes.trim().is_empty() {
            let minutes = whole(frame, "the age", &self.older_than_minutes)?;
            filter.insert("older_than_ms".into(), json!(minutes.saturating_mul(60_000).min(i64::MAX as u64)));
        }
        let mut body = json!({ "to": to, "filter": filter, "copy": self.copy == "true" });
        for (name, number) in [("limit", &self.limit), ("per_second", &self.per_second)] {
            if !number.trim().is_empty() {
                body[name] = json!(whole(frame, name, number)?);
            }
        }
        Ok(body)
    }

    /// Where messages go, in words.
    fn target(&self) -> Markup {
        match &*self.to {
            "queue" => html! { "to queue " (text::name(&self.queue)) },
            "exchange" => html! { "to exchange " (text::exchange(&self.exchange)) },
            _ => html! { "back to where each of them was before it died" },
        }
    }
}

async fn ask(visit: Visit, Query(Named { vhost, name }): Query<Named>) -> Shown {
    let order = Order { vhost, name, to: "origin".into(), ..Order::default() };
    shown(
        &visit,
        &order,
        &html! {
            p { "Messages of " (text::name(&order.name)) " that are ready now are moved, the oldest first. First it is only counted how many are meant." }
        },
    )
}

fn shown(visit: &Visit, order: &Order, above: &Markup) -> Shown {
    let content = html! {
        (parts::crumbs("Queues", "/queues", &order.vhost))
        (above)
        (form(&visit.frame, order))
    };
    page(visit, Section::Queues, &format!("Move messages of {}", order.name), &content)
}

async fn act(change: Change<Order>) -> Shown {
    let Change { visit, form: order } = change;
    let mut body = order.body(&visit.frame)?;
    let address = api(&["leveret", "queues", &order.vhost, &order.name, "redrive"]);
    if order.step == "move" {
        let begun = visit.send(Method::POST, address, &body).await?;
        let number = begun["id"].as_u64().unwrap_or_default();
        return Ok(visit.done("/redrives", format!("Redrive {number} has begun.")));
    }
    body["dry_run"] = json!(true);
    let found = visit.send(Method::POST, address, &body).await?;
    let number = |key: &str| found[key].as_u64().unwrap_or_default();
    let (matched, looked_at) = (number("matched"), number("looked_at"));
    let is_complete = found["complete"] == true;
    let verb = if order.copy == "true" { "be copied" } else { "move" };
    let above = note(
        if matched == 0 { "warn" } else { "calm" },
        &html! {
            p { "Nothing was moved yet. " strong { (text::counted(matched, "message")) " of " (text::count(looked_at)) }
                " that were looked at would " (verb) " " (order.target()) "."
                @if !is_complete { " There are more, which were not looked at." } }
            @if matched > 0 {
                form method="post" action="/queue/move" {
                    (csrf(&visit.frame))
                    (carried(&order))
                    div.buttons { button.danger type="submit" name="step" value="move" {
                        (if order.copy == "true" { "Copy" } else { "Move" }) " " (if matched == 1 { "it" } else { "them" }) } }
                }
            }
        },
    );
    shown(&visit, &order, &above)
}

/// Everything that the form says but the step.
fn carried(order: &Order) -> Markup {
    let values = [
        ("vhost", &order.vhost),
        ("name", &order.name),
        ("to", &order.to),
        ("queue", &order.queue),
        ("exchange", &order.exchange),
        ("key", &order.key),
        ("reason", &order.reason),
        ("routing_key", &order.routing_key),
        ("older_than_minutes", &order.older_than_minutes),
        ("headers", &order.headers),
        ("limit", &order.limit),
        ("per_second", &order.per_second),
        ("copy", &order.copy),
    ];
    html! { @for (name, value) in values { input type="hidden" name=(name) value=(value); } }
}

fn form(frame: &Frame, order: &Order) -> Markup {
    let target = |value: &str, label: &str, more: &Markup| {
        html! { div.field { label { input type="radio" name="to" value=(value) checked[order.to == value]; (label) } (more) } }
    };
    html! {
        form.panel method="post" action="/queue/move" {
            (csrf(frame))
            input type="hidden" name="vhost" value=(order.vhost);
            input type="hidden" name="name" value=(order.name);
            fieldset { legend { "Where to" }
                (target("origin", "back to where each of them was before it died", &html! {}))
                (target("queue", "to a queue", &html! {
                    input name="queue" value=(order.queue) aria-label="Queue" autocomplete="off" spellcheck="false";
                }))
                (target("exchange", "to an exchange", &html! { div.fields {
                    input name="exchange" value=(order.exchange) aria-label="Exchange" autocomplete="off" spellcheck="false" placeholder="exchange";
                    input name="key" value=(order.key) aria-label="Routing key" autocomplete="off" spellcheck="false"
                        placeholder="routing key, if not its own";
                } }))
            }
            fieldset { legend { "Which" }
                div.fields {
                    (choice("Died because", "reason", &REASONS, &order.reason))
                    (field("Routing key like", "routing_key", &order.routing_key, "a topic pattern: orders.*, #.failed"))
                    (field("Older than minutes", "older_than_minutes", &order.older_than_minutes, ""))
                    (field("Headers", "headers", &order.headers, "a JSON object: {\"kind\": \"invoice\"}"))
                    (field("At most", "limit", &order.limit, "messages"))
                    (field("A second at most", "per_second", &order.per_second, "messages"))
                }
                (check("copy them, and leave them here", "copy", order.copy == "true"))
            }
            div.buttons {
                button.primary type="submit" name="step" value="look" { "Count what is meant" }
                a.button href=(link::queue(&order.vhost, &order.name)) { "Cancel" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_what_the_api_is_asked_for() {
        let frame = Frame::default();
        let order = Order { to: "origin".into(), ..Order::default() };
        assert_eq!(
            order.body(&frame).unwrap(),
            json!({ "to": { "origin": true }, "filter": {}, "copy": false })
        );
        let order = Order {
            to: "exchange".into(),
            exchange: "x".into(),
            key: "k".into(),
            queue: "ignored".into(),
            reason: "rejected".into(),
            older_than_minutes: "2".into(),
            headers: "{\"a\": 1}".into(),
            limit: " 7 ".into(),
            copy: "true".into(),
            ..Order::default()
        };
        let wanted = json!({
            "to": { "exchange": "x", "routing_key": "k" }, "copy": true, "limit": 7,
            "filter": { "reason": "rejected", "older_than_ms": 120_000, "headers": { "a": 1 } },
        });
        assert_eq!(order.body(&frame).unwrap(), wanted);
        for wrong in [
            Order { limit: "many".into(), ..Order::default() },
            Order { headers: "[]".into(), ..Order::default() },
            Order { older_than_minutes: "-1".into(), ..Order::default() },
        ] {
            assert!(wrong.body(&frame).is_err(), "{wrong:?}");
        }
    }
}

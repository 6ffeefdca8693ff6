//! Empties and deletes a queue, after saying what that means.

use std::sync::Arc;

use axum::{Router, extract::Query, http::Method, routing::get};
use maud::html;
use serde::Deserialize;
use serde_json::Value;

use super::super::{Named, Shown, page};
use crate::console::{
    answers::{Binding, Queue},
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Confirmation, Section, check, confirm, link, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/queue/purge", get(ask_purge).post(purge))
        .route("/queue/delete", get(ask_delete).post(delete))
}

async fn ask_purge(visit: Visit, Query(Named { vhost, name }): Query<Named>) -> Shown {
    let queue: Queue = visit.get(api(&["queues", &vhost, &name])).await?;
    let ready = queue.messages_ready.saturating_sub(queue.messages_delayed);
    let happens = html! {
        p { "The " strong { (text::counted(ready, "ready message")) } " of " (text::name(&name)) " will be gone for good, without dead-lettering." }
        @if queue.messages_unacknowledged > 0 { p { (text::counted(queue.messages_unacknowledged, "message")) " that consumers hold stay theirs." } }
        @if queue.messages_delayed > 0 { p { (text::counted(queue.messages_delayed, "message")) " that wait for their time stay, too." } }
    };
    let asked = confirm(
        &visit.frame,
        &Confirmation {
            action: "/queue/purge",
            fields: &[("vhost", &vhost), ("name", &name)],
            happens,
            more: html! {},
            button: "Purge",
            back: &link::queue(&vhost, &name),
        },
    );
    page(&visit, Section::Queues, &format!("Purge {name}?"), &asked)
}

async fn purge(change: Change<Named>) -> Shown {
    let Change { visit, form: Named { vhost, name } } = change;
    visit.send(Method::DELETE, api(&["queues", &vhost, &name, "contents"]), &Value::Null).await?;
    Ok(visit.done(&link::queue(&vhost, &name), "The ready messages are gone."))
}

async fn ask_delete(visit: Visit, Query(Named { vhost, name }): Query<Named>) -> Shown {
    let queue: Queue = visit.get(api(&["queues", &vhost, &name])).await?;
    let bindings: Vec<Binding> = visit.get(api(&["queues", &vhost, &name, "bindings"])).await?;
    let bindings = bindings.iter().filter(|binding| !binding.source.is_empty()).count() as u64;
    let happens = html! {
        p { "The queue " (text::name(&name)) " will be gone for good, with its " strong { (text::counted(queue.messages, "message")) } "." }
        @if queue.consumers > 0 { p { (text::counted(queue.consumers, "consumer")) " will be cancelled." } }
        @if bindings > 0 { p { (text::counted(bindings, "binding")) " will be gone: what is published there finds no way to it any more." } }
    };
    let more = html! {
        (check("only if it is empty", "if_empty", true))
        (check("only if nobody consumes", "if_unused", true))
    };
    let asked = confirm(
        &visit.frame,
        &Confirmation {
            action: "/queue/delete",
            fields: &[("vhost", &vhost), ("name", &name)],
            happens,
            more,
            button: "Delete",
            back: &link::queue(&vhost, &name),
        },
    );
    page(&visit, Section::Queues, &format!("Delete {name}?"), &asked)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Deletion {
    vhost: String,
    name: String,
    if_empty: String,
    if_unused: String,
}

async fn delete(change: Change<Deletion>) -> Shown {
    let Change { visit, form: Deletion { vhost, name, if_empty, if_unused } } = change;
    let conditions = [("if-empty", &*if_empty), ("if-unused", &*if_unused)];
    visit.send(Method::DELETE, api(&["queues", &vhost, &name]).with(&conditions), &Value::Null).await?;
    Ok(visit.done("/queues", "The queue is gone."))
}

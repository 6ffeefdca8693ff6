//! A queue's page: how it goes, what counts for it and why, who consumes, where its messages come from. What can be done with it has files of
//! its own.

mod dispose;
mod messages;
mod moving;
mod story;

use std::{collections::HashMap, sync::Arc};

use axum::{Router, extract::Query, routing::get};
use maud::{Markup, html};

use super::{Named, Shown, exchange::unbind, page, parts};
use crate::console::{
    answers::{Attention, Binding, Messages, Queue, Setting},
    ask::api,
    door::{Keeper, Visit},
    view::{Line, Section, chart, link, panel, rates, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/queue", get(show))
        .merge(dispose::routes())
        .merge(messages::routes())
        .merge(moving::routes())
}

/// Ten minutes in steps of five seconds: what is kept of a queue.
const PAST: [(&str, &str); 4] =
    [("msg_rates_age", "600"), ("msg_rates_incr", "5"), ("lengths_age", "600"), ("lengths_incr", "5")];
/// Of so many held messages the page looks for the oldest of each consumer.
const HELD: [(&str, &str); 3] = [("state", "unacked"), ("limit", "200"), ("payload_bytes", "0")];

async fn show(visit: Visit, Query(named): Query<Named>) -> Shown {
    let Named { vhost, name } = &named;
    let queue: Queue = visit.get(api(&["queues", vhost, name]).with(&PAST)).await?;
    let bindings: Vec<Binding> = visit.get(api(&["queues", vhost, name, "bindings"])).await?;
    let attention: Attention =
        visit.get(api(&["leveret", "attention"]).with(&[("vhost", vhost), ("queue", name)])).await?;
    let held: Option<Messages> = if queue.messages_unacknowledged > 0 {
        visit.find(api(&["leveret", "queues", vhost, name, "messages"]).with(&HELD)).await?
    } else {
        None
    };
    let held = oldest(&held.unwrap_or_default());
    let now = visit.now();
    let content = html! {
        (parts::crumbs("Queues", "/queues", vhost))
        (actions(&queue))
        div #concerns data-live {
            @if !attention.queues.is_empty() {
                section.panel aria-label="What is wrong" {
                    ul.attention { @for concern in &attention.queues { (parts::concern(concern)) } }
                }
            }
        }
        (tiles(&queue))
        div.grid { (depth(&queue)) (flow(&queue)) }
        (panel("consumers", "Consumers", &parts::consumers(&queue.consumer_details, false, |consumer| {
            let channel = &consumer.channel_details;
            let key = (channel.number, consumer.consumer_tag.clone(), channel.connection_name.clone());
            held.get(&key).map(|since| text::ago(*since, now))
        })))
        div.grid {
            (panel("settings", "What counts for it", &settings(&queue)))
            (panel("bindings", "Where its messages come from", &parts::bindings(
                &bindings,
                |binding| source(vhost, binding),
                |binding| unbind(&visit, binding),
            )))
        }
    };
    page(&visit, Section::Queues, &format!("Queue {name}"), &content)
}

/// A consumer: its channel's number, its tag, its connection.
type ConsumerKey = (u64, String, String);

/// Since when each consumer holds the oldest of its messages.
fn oldest(held: &Messages) -> HashMap<ConsumerKey, u64> {
    let mut oldest = HashMap::new();
    for holder in held.messages.iter().filter_map(|message| message.held_by.as_ref()) {
        let (tag, connection) = (holder.consumer_tag.clone(), holder.connection.clone());
        let since = oldest
            .entry((holder.channel, tag.unwrap_or_default(), connection.unwrap_or_default()))
            .or_insert(holder.since);
        *since = holder.since.min(*since);
    }
    oldest
}

fn source(vhost: &str, binding: &Binding) -> Markup {
    if binding.source.is_empty() {
        return html! { span.quiet { "the default exchange, by its name" } };
    }
    html! { a href=(link::exchange(vhost, &binding.source)) { (text::name(&binding.source)) } }
}

fn actions(queue: &Queue) -> Markup {
    let query = [("vhost", &*queue.vhost), ("name", &*queue.name)];
    let publish = link::to("/publish", &[("vhost", &queue.vhost), ("exchange", ""), ("key", &queue.name)]);
    html! {
        nav.actions aria-label="What can be done" {
            a.button href=(link::to("/queue/messages", &query)) { "Look at messages" }
            @if !queue.exclusive { a.button href=(link::tail(&queue.vhost, "queues", &queue.name)) { "Watch live" } }
            a.button href=(publish) { "Publish" }
            a.button href=(link::to("/queue/move", &query)) { "Move or redrive" }
            a.button.danger href=(link::to("/queue/purge", &query)) { "Purge" }
            a.button.danger href=(link::to("/queue/delete", &query)) { "Delete" }
        }
    }
}

fn tiles(queue: &Queue) -> Markup {
    let stats = &queue.message_stats;
    let numbers = [
        ("Ready", text::count(queue.messages_ready.saturating_sub(queue.messages_delayed))),
        ("Unacked", text::count(queue.messages_unacknowledged)),
        ("Delayed", text::count(queue.messages_delayed)),
        ("Come in", text::rate(stats.publish_details.rate)),
        ("Delivered", text::rate(stats.deliver_get_details.rate)),
        ("Acknowledged", text::rate(stats.ack_details.rate)),
        ("Redelivered", text::rate(stats.redeliver_details.rate)),
        ("Consumers", text::count(queue.consumers)),
        ("Bytes", text::bytes(queue.message_bytes)),
        ("In memory", text::bytes(queue.memory)),
    ];
    html! {
        dl.tiles #figures data-live { @for (name, number) in numbers { div { dt { (name) } dd { (number) } } } }
    }
}

fn depth(queue: &Queue) -> Markup {
    let lines = [
        Line { label: "ready", points: queue.messages_ready_details.levels() },
        Line { label: "unacknowledged", points: queue.messages_unacknowledged_details.levels() },
    ];
    chart("depth", "Messages in it, last ten minutes", &lines, |value| text::count(text::rounded(value)))
}

fn flow(queue: &Queue) -> Markup {
    let stats = &queue.message_stats;
    let lines = [
        Line { label: "come in", points: rates(&stats.publish_details.pairs()) },
        Line { label: "delivered", points: rates(&stats.deliver_get_details.pairs()) },
        Line { label: "acknowledged", points: rates(&stats.ack_details.pairs()) },
        Line { label: "redelivered", points: rates(&stats.redeliver_details.pairs()) },
    ];
    chart("flow", "Messages a second, last ten minutes", &lines, text::rate)
}

fn settings(queue: &Queue) -> Markup {
    html! {
        p { (queue.kind) ", " (if queue.durable { "durable" } else { "transient: it goes with the broker" })
            @if queue.exclusive { ", of one connection alone" }
            @if queue.auto_delete { ", goes with its last consumer" } "." }
        @if queue.leveret.settings.is_empty() { p.quiet { "Nothing beyond that: no arguments, no policies." } }
        @else { (parts::scroll(&html! { table {
            thead { tr { th scope="col" { "Setting" } th scope="col" { "Value" } th scope="col" { "Comes from" } } }
            tbody { @for setting in &queue.leveret.settings { (setting_row(setting)) } }
        } })) }
    }
}

fn setting_row(setting: &Setting) -> Markup {
    html! {
        tr {
            th scope="row" { (text::name(&setting.name)) }
            td { (parts::value(&setting.value)) }
            td { (setting.from) @if let Some(policy) = &setting.policy { " " (text::name(policy)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::answers::{Holder, Message};

    #[test]
    fn a_consumer_is_shown_with_the_oldest_that_it_holds() {
        let held = |channel, tag: Option<&str>, since| Message {
            held_by: Some(Holder {
                connection: Some("c".into()),
                channel,
                consumer_tag: tag.map(str::to_owned),
                since,
            }),
            ..Message::default()
        };
        let messages = vec![
            held(1, Some("a"), 30),
            held(1, Some("a"), 10),
            held(2, Some("a"), 20),
            held(1, None, 5),
            Message::default(),
        ];
        let oldest = oldest(&Messages { messages, next: None });
        let of = |channel, tag: &str| oldest.get(&(channel, tag.to_owned(), "c".to_owned())).copied();
        assert_eq!((of(1, "a"), of(2, "a"), of(1, ""), of(3, "a")), (Some(10), Some(20), Some(5), None));
    }
}

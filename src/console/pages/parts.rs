//! What several pages show in the same way.

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::console::{
    answers::{Binding, Concern, Consumer},
    view::{link, text},
};

/// What is wrong with a queue, in words, and the way there.
pub fn concern(concern: &Concern) -> Markup {
    html! {
        li data-key={ (concern.vhost) "/" (concern.queue) } {
            span.tag.(concern.severity) { (concern.kind.replace('_', " ")) }
            span.what { a href=(link::queue(&concern.vhost, &concern.queue)) { (text::name(&concern.queue)) }
                @if concern.vhost != "/" { span.quiet { " in " (text::name(&concern.vhost)) } } }
            span.depth { (text::counted(concern.messages, "message")) }
            span.why { (text::shown(&concern.words)) }
        }
    }
}

/// A cell with a number, which is quiet where it is nothing.
pub fn number(value: u64) -> Markup {
    html! { td.number.zero[value == 0] { (text::count(value)) } }
}

/// A cell with a rate.
pub fn rate(value: f64) -> Markup {
    html! { td.number.zero[value.abs() < 0.05] { (text::rate(value)) } }
}

/// A value of a field table or a setting, on a line.
pub fn value(value: &Value) -> Markup {
    match value {
        Value::String(text) => text::name(text),
        Value::Number(number) => html! { (number.as_u64().map_or_else(|| number.to_string(), text::count)) },
        other => html! { code { (text::shown(&other.to_string())) } },
    }
}

/// A field table on a line.
pub fn table(table: &Map<String, Value>) -> Markup {
    html! {
        @for (at, (name, value)) in table.iter().enumerate() {
            @if at > 0 { ", " }
            (text::name(name)) " = " (self::value(value))
        }
    }
}

/// What lists are shown in.
pub fn scroll(table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label="Table" { (table) } }
}

/// Consumers. Those of one queue do not name it.
pub fn consumers(
    consumers: &[Consumer],
    with_queue: bool,
    since: impl Fn(&Consumer) -> Option<Markup>,
) -> Markup {
    html! {
        @if consumers.is_empty() { p.empty { "Nobody consumes." } }
        @else { (scroll(&html! { table {
            thead { tr {
                th scope="col" { "Consumer" }
                @if with_queue { th scope="col" { "Queue" } }
                th scope="col" { "Channel" } th scope="col" { "User" } th scope="col" { "State" }
                th.number scope="col" { "Holds" } th.number scope="col" { "Prefetch" } th scope="col" { "Oldest held" }
                th.number scope="col" { "Priority" } th scope="col" { "Acknowledges" }
            } }
            tbody { @for consumer in consumers { (row(consumer, with_queue, since(consumer))) } }
        } })) }
    }
}

fn row(consumer: &Consumer, with_queue: bool, since: Option<Markup>) -> Markup {
    let channel = &consumer.channel_details;
    let is_full = consumer.prefetch_count > 0 && consumer.messages_unacknowledged >= consumer.prefetch_count;
    html! {
        tr data-key={ (channel.name) " " (consumer.consumer_tag) } {
            th scope="row" { (text::name(&consumer.consumer_tag)) @if consumer.exclusive { " " span.tag { "exclusive" } } }
            @if with_queue { td { a href=(link::queue(&consumer.queue.vhost, &consumer.queue.name)) { (text::name(&consumer.queue.name)) } } }
            td { a href=(link::connection(&channel.connection_name)) { (text::name(&channel.name)) } }
            td { (text::name(&channel.user)) }
            td { @match (&*consumer.activity_status, is_full) {
                ("waiting", _) => { "waits: another one is active" }
                (_, true) => { span.tag.warn { "full" } " holds as much as its prefetch allows" }
                ("single_active", _) => { "single active" }
                _ => { "takes messages" }
            } }
            (number(consumer.messages_unacknowledged))
            td.number { @if consumer.prefetch_count == 0 { "no limit" } @else { (text::count(consumer.prefetch_count)) } }
            td { @if let Some(since) = since { (since) } }
            td.number { (consumer.priority) }
            td { (text::yes(consumer.ack_required)) }
        }
    }
}

/// Bindings, with what stands at the other end.
pub fn bindings(
    bindings: &[Binding],
    other: impl Fn(&Binding) -> Markup,
    act: impl Fn(&Binding) -> Markup,
) -> Markup {
    html! {
        @if bindings.is_empty() { p.empty { "None." } }
        @else { (scroll(&html! { table {
            thead { tr {
                th scope="col" { "Exchange or queue" } th scope="col" { "Routing key" } th scope="col" { "Arguments" }
                th scope="col" { span.hidden { "Actions" } }
            } }
            tbody { @for binding in bindings {
                tr {
                    th scope="row" { (other(binding)) }
                    td { (text::name(&binding.routing_key)) }
                    td { (table(&binding.arguments)) }
                    td { (act(binding)) }
                }
            } }
        } })) }
    }
}

/// The way between the lists of clients and of what they have; `here` is the address of this one.
pub fn clients(here: &str) -> Markup {
    html! {
        nav.tabs aria-label="Clients" {
            @for (href, label) in [("/connections", "Connections"), ("/channels", "Channels"), ("/consumers", "Consumers")] {
                a href=(href) aria-current=[(href == here).then_some("page")] { (label) }
            }
        }
    }
}

/// The way back up.
pub fn crumbs(list: &str, href: &str, vhost: &str) -> Markup {
    html! {
        p.crumbs { a href=(href) { (list) } @if !vhost.is_empty() { " · virtual host " (text::name(vhost)) } }
    }
}

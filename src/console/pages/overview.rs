//! What goes on in all, and what needs attention first.

use std::sync::Arc;

use axum::{Router, routing::get};
use maud::{Markup, html};

use super::{Shown, page, parts};
use crate::console::{
    answers::{Attention, Node, Overview},
    ask::api,
    door::{Keeper, Visit},
    view::{Line, Section, chart, note, panel, rates, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/", get(show))
}

/// The past that is shown.
struct Past {
    /// What the API is asked for.
    ages: [(&'static str, &'static str); 4],
    /// What was before this time is none of it, in milliseconds.
    since: u64,
    words: &'static str,
}

impl Past {
    /// An hour in steps of half a minute, which is how far apart the samples of the past are; of a broker that was just started, which is
    /// known of one whose node may be seen, the time since then in steps of five seconds.
    fn of(node: Option<&Node>, now: u64) -> Self {
        let since = node.map_or(0, |node| now.saturating_sub(node.uptime));
        let (age, step, words) =
            if now - since < 600_000 { ("600", "5", "since the start") } else { ("3600", "30", "last hour") };
        let ages =
            [("msg_rates_age", age), ("msg_rates_incr", step), ("lengths_age", age), ("lengths_incr", step)];
        Self { ages, since, words }
    }

    fn line(&self, label: &'static str, mut points: Vec<(u64, f64)>) -> Line {
        points.retain(|(at, _)| *at >= self.since);
        Line { label, points }
    }
}

async fn show(visit: Visit) -> Shown {
    let nodes: Option<Vec<Node>> = visit.find(api(&["nodes"])).await?;
    let node = nodes.as_ref().and_then(|nodes| nodes.first());
    let past = Past::of(node, visit.now());
    let overview: Overview = visit.get(api(&["overview"]).with(&past.ages)).await?;
    let attention: Attention = visit.get(api(&["leveret", "attention"])).await?;
    let content = html! {
        div #alarms data-live {
            @for alarm in &attention.alarms { (note("bad", &html! { p { strong { (alarm.alarm) } " " (alarm.words) } })) }
        }
        (panel("attention", "Needs attention first", &concerns(&attention)))
        (tiles(&overview))
        div.grid {
            (chart("rates", &format!("Messages a second, {}", past.words), &message_rates(&overview, &past), text::rate))
            (chart("depths", &format!("Messages in queues, {}", past.words), &depths(&overview, &past), |value| text::count(text::rounded(value))))
        }
        @if let Some(node) = node { (panel("node", "Node", &shown(&overview, node))) }
        @else { p.quiet { "Leveret " (overview.product_version) } }
    };
    page(&visit, Section::Overview, "Overview", &content)
}

fn concerns(attention: &Attention) -> Markup {
    html! {
        @if attention.queues.is_empty() {
            p.good { "Nothing stands out: every queue with messages has consumers that keep up." }
        } @else {
            ul.attention { @for concern in &attention.queues { (parts::concern(concern)) } }
            @if attention.total > attention.queues.len() as u64 {
                p.quiet { "and " (text::counted(attention.total - attention.queues.len() as u64, "more queue")) "." }
            }
        }
    }
}

fn tiles(overview: &Overview) -> Markup {
    let (stats, totals, objects) = (&overview.message_stats, &overview.queue_totals, &overview.object_totals);
    let numbers = [
        ("Ready", text::count(totals.messages_ready), "/queues?sort=messages_ready&reverse=true"),
        (
            "Unacked",
            text::count(totals.messages_unacknowledged),
            "/queues?sort=messages_unacknowledged&reverse=true",
        ),
        ("Published", text::rate(stats.publish_details.rate), ""),
        ("Delivered", text::rate(stats.deliver_get_details.rate), ""),
        ("Acknowledged", text::rate(stats.ack_details.rate), ""),
        ("Redelivered", text::rate(stats.redeliver_details.rate), ""),
        ("Queues", text::count(objects.queues), "/queues"),
        ("Exchanges", text::count(objects.exchanges), "/exchanges"),
        ("Connections", text::count(objects.connections), "/connections"),
        ("Channels", text::count(objects.channels), "/channels"),
        ("Consumers", text::count(objects.consumers), "/consumers"),
    ];
    html! {
        dl.tiles #totals data-live {
            @for (name, number, href) in numbers {
                div { dt { (name) } dd { @if href.is_empty() { (number) } @else { a href=(href) { (number) } } } }
            }
        }
    }
}

fn message_rates(overview: &Overview, past: &Past) -> Vec<Line> {
    let stats = &overview.message_stats;
    let line = |label, rate: &crate::console::answers::Rate| past.line(label, rates(&rate.pairs()));
    vec![
        line("published", &stats.publish_details),
        line("delivered", &stats.deliver_get_details),
        line("acknowledged", &stats.ack_details),
        line("redelivered", &stats.redeliver_details),
        line("unroutable", &stats.drop_unroutable_details),
    ]
}

fn depths(overview: &Overview, past: &Past) -> Vec<Line> {
    let totals = &overview.queue_totals;
    vec![
        past.line("ready", totals.messages_ready_details.levels()),
        past.line("unacknowledged", totals.messages_unacknowledged_details.levels()),
    ]
}

fn shown(overview: &Overview, node: &Node) -> Markup {
    let free = node.disk_free.saturating_sub(node.disk_free_limit);
    html! {
        dl.facts {
            div { dt { "Memory of messages" } dd {
                (text::bytes(node.mem_messages)) " of " (text::bytes(node.mem_limit))
                (text::bar("Memory of messages", node.mem_messages, node.mem_limit)) } }
            div { dt { "Memory of the process" } dd { (text::bytes(node.mem_used)) } }
            div { dt { "Disk" } dd {
                (text::bytes(node.disk_free)) " free"
                @if node.disk_free_alarm { " " span.tag.bad { "too little" } }
                @else { ", " (text::bytes(free)) " above the alarm" } } }
            div { dt { "Sync to disk (fdatasync)" } dd {
                @if node.io_sync_count == 0 { "none yet" }
                @else { "half in " (millis(node.io_sync_avg_time)) ", 99 of 100 in " (millis(node.leveret.sync_p99_ms)) } } }
            (share("Sockets", node.sockets_used, node.sockets_total))
            (share("File descriptors", node.fd_used, node.fd_total))
            div { dt { "Running for" } dd { (text::span(node.uptime)) } }
            div { dt { "Node" } dd { (text::name(&overview.node)) } }
            div { dt { "Version" } dd { "Leveret " (overview.product_version) ", as RabbitMQ " (overview.rabbitmq_version) } }
            div { dt { "Listens on" } dd {
                @for (at, listener) in overview.listeners.iter().enumerate() {
                    @if at > 0 { ", " } (listener.protocol) " " (listener.ip_address) ":" (listener.port)
                } } }
        }
    }
}

fn share(label: &str, part: u64, of: u64) -> Markup {
    html! { div { dt { (label) } dd { (text::count(part)) " of " (text::count(of)) (text::bar(label, part, of)) } } }
}

fn millis(span: f64) -> String {
    format!("{span:.2} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_of_the_time_before_the_broker_was_started() {
        let now = 10_000_000;
        let points = vec![(now - 700_000, 1.0), (now - 500_000, 2.0), (now, 3.0)];
        for (uptime, step, shown) in
            [(Some(599_999), "5", 2), (Some(600_000), "30", 2), (Some(700_000), "30", 3), (None, "30", 3)]
        {
            let node = uptime.map(|uptime| Node { uptime, ..Node::default() });
            let past = Past::of(node.as_ref(), now);
            assert_eq!(
                (past.ages[1].1, past.line("x", points.clone()).points.len()),
                (step, shown),
                "{uptime:?}"
            );
        }
    }
}

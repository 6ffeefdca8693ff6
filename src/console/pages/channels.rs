//! The list of channels.

use std::sync::Arc;

use axum::{Router, extract::Query, routing::get};
use maud::{Markup, html};

use super::{Shown, page, parts};
use crate::console::{
    answers::Channel,
    ask::api,
    door::{Keeper, Visit},
    view::{Listing, Section, link, pager, search, sorted, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/channels", get(show))
}

async fn show(visit: Visit, Query(list): Query<Listing>) -> Shown {
    let list = list.sorted_by("name", false);
    let channels = visit.list::<Channel>(api(&["channels"]), &list, "").await?;
    let head = |column: &str, label: &str| sorted(&list, "/channels", column, label, true);
    let heads = html! {
        (sorted(&list, "/channels", "name", "Channel", false))
        (sorted(&list, "/channels", "user", "User", false))
        th scope="col" { "Mode" }
        (head("consumer_count", "Consumers"))
        (head("messages_unacknowledged", "Unacked"))
        (head("prefetch_count", "Prefetch"))
        (head("messages_unconfirmed", "Unconfirmed"))
        (head("message_stats.publish_details.rate", "Publishes"))
        (head("message_stats.deliver_get_details.rate", "Gets"))
        (head("message_stats.ack_details.rate", "Acks"))
    };
    let content = html! {
        (parts::clients("/channels"))
        (search(&list, "/channels", "channels", &[]))
        div #channels data-live {
            section.panel aria-label="Channels" { (with_heads(&heads, &channels.items)) }
            (pager(&list, "/channels", &channels, "channel"))
        }
    };
    page(&visit, Section::Connections, "Channels", &content)
}

/// The channels of one connection.
pub fn table(channels: &[Channel]) -> Markup {
    let heads = html! {
        th scope="col" { "Channel" } th scope="col" { "User" } th scope="col" { "Mode" }
        @for label in ["Consumers", "Unacked", "Prefetch", "Unconfirmed", "Publishes", "Gets", "Acks"] { th.number scope="col" { (label) } }
    };
    with_heads(&heads, channels)
}

fn with_heads(heads: &Markup, channels: &[Channel]) -> Markup {
    html! {
        @if channels.is_empty() { p.empty { "None." } }
        @else { (parts::scroll(&html! { table { thead { tr { (heads) } } tbody { @for channel in channels { (row(channel)) } } } })) }
    }
}

fn row(channel: &Channel) -> Markup {
    let stats = &channel.message_stats;
    html! {
        tr data-key=(channel.name) {
            th scope="row" { a href=(link::connection(&channel.connection_details.name)) { (text::name(&channel.name)) } }
            td { (text::name(&channel.user)) }
            td { @if channel.confirm { "confirms" } @else if channel.transactional { "transactions" } @else { span.quiet { "plain" } } }
            (parts::number(channel.consumer_count))
            (parts::number(channel.messages_unacknowledged))
            td.number {
                @if channel.prefetch_count == 0 { span.quiet { "no limit" } } @else { (text::count(channel.prefetch_count)) }
                @if channel.global_prefetch_count > 0 { ", all " (text::count(channel.global_prefetch_count)) }
            }
            (parts::number(channel.messages_unconfirmed))
            (parts::rate(stats.publish_details.rate)) (parts::rate(stats.deliver_get_details.rate)) (parts::rate(stats.ack_details.rate))
        }
    }
}

//! Messages that were dropped, by queue, with the reason in words.

use std::sync::Arc;

use axum::{Router, extract::Query, routing::get};
use maud::{Markup, html};

use super::{Shown, page, parts};
use crate::console::{
    answers::Drop,
    ask::api,
    door::{Keeper, Visit},
    view::{Listed, Listing, Section, link, pager, sorted, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/drops", get(show))
}

async fn show(visit: Visit, Query(list): Query<Listing>) -> Shown {
    let list = list.sorted_by("count", true);
    let drops: Listed<Drop> = visit.list(api(&["leveret", "drops"]), &list, "").await?;
    let content = html! {
        p.quiet { "Since the broker was started. What has a dead-letter exchange is not dropped: it goes there." }
        div #drops data-live {
            section.panel aria-label="Dropped messages" {
                @if drops.items.is_empty() { p.empty { "No message was dropped." } }
                @else { (parts::scroll(&table(&list, &drops))) }
            }
            (pager(&list, "/drops", &drops, "reason"))
        }
    };
    page(&visit, Section::Drops, "Dropped messages", &content)
}

fn table(list: &Listing, drops: &Listed<Drop>) -> Markup {
    let head = |column, label, is_number| sorted(list, "/drops", column, label, is_number);
    html! { table {
        thead { tr { (head("queue", "Queue", false)) (head("vhost", "Virtual host", false)) (head("count", "Messages", true)) (head("reason", "Why", false)) } }
        tbody { @for drop in &drops.items {
            tr data-key={ (drop.vhost) "/" (drop.queue.as_deref().unwrap_or_default()) "/" (drop.reason) } {
                th scope="row" { @match &drop.queue {
                    Some(queue) => { a href=(link::queue(&drop.vhost, queue)) { (text::name(queue)) } }
                    None => { span.quiet { "between queues" } }
                } }
                td { (text::name(&drop.vhost)) }
                (parts::number(drop.count))
                td { span.tag { (text::shown(&drop.reason.replace('_', " "))) } " " (text::shown(&drop.words)) }
            }
        } }
    } }
}

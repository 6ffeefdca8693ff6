//! The list of consumers.

use std::sync::Arc;

use axum::{Router, extract::Query, routing::get};
use maud::html;

use super::{Shown, page, parts};
use crate::console::{
    answers::Consumer,
    ask::api,
    door::{Keeper, Visit},
    view::{Listing, Section, pager},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/consumers", get(show))
}

async fn show(visit: Visit, Query(list): Query<Listing>) -> Shown {
    let list = list.sorted_by("messages_unacknowledged", true);
    let consumers = visit.list::<Consumer>(api(&["consumers"]), &list, "").await?;
    let content = html! {
        (parts::clients("/consumers"))
        div #consumers data-live {
            section.panel aria-label="Consumers" { (parts::consumers(&consumers.items, true, |_| None)) }
            (pager(&list, "/consumers", &consumers, "consumer"))
        }
    };
    page(&visit, Section::Connections, "Consumers", &content)
}

//! Messages that were dropped, and why.

use axum::extract::State;
use serde_json::{Value, json};

use crate::broker::{Lost, Vhost};
use crate::core::dead_letter::Reason;
use crate::management::{
    Api, extract::Query, failure::Answered, json::text, listing::Listing, openapi::Routes, visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("drops", "Messages that were dropped").list(
        "/api/leveret/drops",
        all,
        "List what was dropped, by queue and reason",
    )
}

/// What was dropped in a virtual host: by queues, which have no dead-letter exchange, and on the way between queues.
fn of(vhost: &Vhost) -> Vec<Value> {
    let mut drops = Vec::new();
    let mut add = |queue: Option<&[u8]>, reason: &str, count: u64| {
        if count > 0 {
            drops.push(json!({
                "vhost": text(&vhost.name), "queue": queue.map(text), "reason": reason, "count": count,
            }));
        }
    };
    for lost in Lost::ALL {
        add(None, lost.name(), vhost.drops.of(lost));
    }
    let queues: Vec<_> = vhost.read(|topology| topology.named_queues().cloned().collect());
    for queue in queues {
        let (name, rare) = (&queue.spec.name, queue.status().rare);
        for reason in Reason::ALL {
            add(Some(name), reason.name(), rare.dropped[reason as usize]);
        }
        add(Some(name), "refused", rare.refused);
        add(Some(name), "duplicate", rare.duplicates);
    }
    drops
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    listing.answer(visitor.all_seen(&api).await.iter().flat_map(|vhost| of(vhost)).collect::<Vec<_>>())
}

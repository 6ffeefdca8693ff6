//! The list of virtual hosts, and a new one.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    extract::Query,
    http::Method,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::{
    super::{Shown, page, parts},
    limits, tags,
};
use crate::console::{
    answers::admin::{Bounds, Limited, VirtualHost},
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Listed, Listing, Section, check, choice, csrf, field, link, pager, search, sorted, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/vhosts", get(show)).route("/vhosts/set", post(set))
}

/// The types that queues can have which say none.
const QUEUE_TYPES: [(&str, &str); 3] =
    [("", "as it is, at first classic"), ("classic", "classic"), ("quorum", "quorum")];

async fn show(visit: Visit, Query(list): Query<Listing>) -> Shown {
    let list = list.sorted_by("name", false);
    let vhosts: Listed<VirtualHost> = visit.list(api(&["vhosts"]), &list, "").await?;
    let limited: Vec<Limited> = visit.get(api(&["vhost-limits"])).await?;
    let limited: HashMap<_, _> = limited.into_iter().map(|it| (it.vhost, it.value)).collect();
    let content = html! {
        (search(&list, "/vhosts", "virtual hosts", &[]))
        div #vhosts data-live {
            section.panel aria-label="Virtual hosts" {
                @if vhosts.items.is_empty() { p.empty { "No virtual host has such a name." } }
                @else { (parts::scroll(&table(&list, &vhosts, &limited))) }
            }
            (pager(&list, "/vhosts", &vhosts, "virtual host"))
        }
        @if visit.frame.is_administrator {
            details.panel {
                summary { "Add a virtual host" }
                form method="post" action="/vhosts/set" {
                    (csrf(&visit.frame))
                    input type="hidden" name="is_new" value="true";
                    (field("Name", "name", "", ""))
                    (settings(&VirtualHost::default()))
                    button.primary type="submit" { "Add" }
                }
            }
        }
    };
    page(&visit, Section::Vhosts, "Virtual hosts", &content)
}

fn table(list: &Listing, vhosts: &Listed<VirtualHost>, limited: &HashMap<String, Bounds>) -> Markup {
    let head = |column, label, is_number| sorted(list, "/vhosts", column, label, is_number);
    html! { table {
        thead { tr {
            (head("name", "Name", false)) th scope="col" { "Description" } th scope="col" { "Tags" }
            (head("messages_ready", "Ready", true)) (head("messages_unacknowledged", "Unacknowledged", true))
            th scope="col" { "Limits" }
        } }
        tbody { @for vhost in &vhosts.items {
            tr data-key=(vhost.name) {
                th scope="row" { a href=(link::to("/vhost", &[("name", &vhost.name)])) { (text::name(&vhost.name)) }
                    @if vhost.tracing { " " span.tag.warn { "traced" } }
                    @if vhost.leveret.publishers_blocked { " " span.tag.bad { "publishers wait" } } }
                td { (text::shown(&vhost.description)) }
                td { (tags(&vhost.tags)) }
                (parts::number(vhost.messages_ready)) (parts::number(vhost.messages_unacknowledged))
                td { (limits::line(limited.get(&vhost.name).unwrap_or(&Bounds::default()))) }
            }
        } }
    } }
}

/// The fields of what is set of a virtual host.
pub fn settings(vhost: &VirtualHost) -> Markup {
    html! {
        div.fields {
            (field("Description", "description", &vhost.description, ""))
            (field("Tags", "tags", &super::commas(&vhost.tags), "with commas"))
            (choice("Type of queues that say none", "queue_type", &QUEUE_TYPES, &vhost.default_queue_type))
        }
        (check("trace: copies of all messages go to amq.rabbitmq.trace", "tracing", vhost.tracing))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    name: String,
    /// `true`: there must be none of this name.
    is_new: String,
    description: String,
    tags: String,
    queue_type: String,
    tracing: String,
}

async fn set(change: Change<Settings>) -> Shown {
    let Change { visit, form } = change;
    let address = || api(&["vhosts", &form.name]);
    let is_new = form.is_new == "true";
    if is_new && visit.find::<VirtualHost>(address()).await?.is_some() {
        return Err(visit.bad("There is a virtual host of that name already."));
    }
    let mut body = json!({
        "description": form.description,
        "tags": form.tags,
        "tracing": form.tracing == "true",
    });
    if !form.queue_type.is_empty() {
        body["default_queue_type"] = json!(form.queue_type);
    }
    visit.send(Method::PUT, address(), &body).await?;
    let told = if is_new {
        "The virtual host is there, and you have all permissions in it."
    } else {
        "That counts for the virtual host now."
    };
    Ok(visit.done(&link::to("/vhost", &[("name", &form.name)]), told))
}

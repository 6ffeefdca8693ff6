//! A virtual host's page: what is set, its limits, who may do what there; and its end.

use std::sync::Arc;

use axum::{Router, extract::Query, http::Method, routing::get};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    super::{Named, Shown, page},
    limits, permissions, tags, vhosts,
};
use crate::console::{
    answers::{
        Queue,
        admin::{Limited, Permissions, TopicPermissions, VirtualHost},
    },
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Confirmation, Listed, Refusal, Section, confirm, csrf, facts, link, panel, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/vhost", get(show)).route("/vhost/delete", get(ask_delete).post(delete))
}

async fn show(visit: Visit, Query(Named { name, .. }): Query<Named>) -> Shown {
    let vhost: VirtualHost = visit.get(api(&["vhosts", &name])).await?;
    let limited: Vec<Limited> = visit.get(api(&["vhost-limits", &name])).await?;
    let bounds = limited.into_iter().next().unwrap_or_default().value;
    let is_administrator = visit.frame.is_administrator;
    let content = html! {
        p.crumbs { a href="/vhosts" { "Virtual hosts" } }
        nav.actions aria-label="What can be done" {
            a.button href=(link::to("/queues", &[("vhost", &name)])) { "Its queues" }
            a.button href=(link::to("/exchanges", &[("vhost", &name)])) { "Its exchanges" }
            a.button href=(link::to("/policies", &[("vhost", &name)])) { "Its policies" }
            @if is_administrator { a.button.danger href=(link::to("/vhost/delete", &[("name", &name)])) { "Delete" } }
        }
        (panel("facts", "What it is", &shown(&vhost)))
        @if is_administrator {
            details.panel {
                summary { "Change it" }
                form method="post" action="/vhosts/set" {
                    (csrf(&visit.frame))
                    input type="hidden" name="name" value=(name);
                    (vhosts::settings(&vhost))
                    button.primary type="submit" { "Change" }
                }
            }
            section.panel aria-labelledby="limits-title" {
                h2 #limits-title { "Limits" }
                (limits::table(&visit, "/vhost/limit", &name, &limits::OF_VHOSTS, &bounds))
            }
            (who(&visit, &name).await?)
        } @else {
            (panel("limits", "Limits", &html! { p { (limits::line(&bounds)) } }))
        }
    };
    page(&visit, Section::Vhosts, &format!("Virtual host {name}"), &content)
}

fn shown(vhost: &VirtualHost) -> Markup {
    facts(&[
        ("Description", text::name(if vhost.description.is_empty() { "none" } else { &vhost.description })),
        ("Tags", tags(&vhost.tags)),
        ("Queues that say no type are", text::name(&vhost.default_queue_type)),
        ("Traced", html! { (text::yes(vhost.tracing)) }),
        ("Ready", html! { (text::count(vhost.messages_ready)) }),
        ("Unacknowledged", html! { (text::count(vhost.messages_unacknowledged)) }),
        (
            "Publishers wait",
            html! { @if vhost.leveret.publishers_blocked { span.tag.bad { "yes" } } @else { "no" } },
        ),
    ])
}

/// Who may do what there.
async fn who(visit: &Visit, vhost: &str) -> Result<Markup, Refusal> {
    let all: Vec<Permissions> = visit.get(api(&["vhosts", vhost, "permissions"])).await?;
    let topics: Vec<TopicPermissions> = visit.get(api(&["vhosts", vhost, "topic-permissions"])).await?;
    Ok(html! {
        section.panel aria-labelledby="permissions-title" {
            h2 #permissions-title { "Who may do what" }
            (permissions::table(visit, &all, false))
        }
        section.panel aria-labelledby="topics-title" {
            h2 #topics-title { "Topic permissions" }
            (permissions::topic_table(visit, &topics, false))
        }
    })
}

async fn ask_delete(visit: Visit, Query(Named { name, .. }): Query<Named>) -> Shown {
    let vhost: VirtualHost = visit.get(api(&["vhosts", &name])).await?;
    let one = [("page", "1"), ("page_size", "1"), ("columns", "name")];
    let queues: Listed<Queue> = visit.get(api(&["queues", &name]).with(&one)).await?;
    let messages = vhost.messages_ready + vhost.messages_unacknowledged;
    let happens = html! {
        p { "The virtual host " (text::name(&name)) " will be gone for good, with " strong { (text::counted(queues.total_count, "queue")) }
            " and " strong { (text::counted(messages, "message")) } ", its exchanges, bindings, policies and permissions. Its connections end." }
    };
    let asked = confirm(
        &visit.frame,
        &Confirmation {
            action: "/vhost/delete",
            fields: &[("name", &name)],
            happens,
            more: html! {},
            button: "Delete",
            back: &link::to("/vhost", &[("name", &name)]),
        },
    );
    page(&visit, Section::Vhosts, &format!("Delete virtual host {name}?"), &asked)
}

async fn delete(change: Change<Named>) -> Shown {
    let Change { visit, form: Named { name, .. } } = change;
    visit.send(Method::DELETE, api(&["vhosts", &name]), &Value::Null).await?;
    Ok(visit.done("/vhosts", "The virtual host is gone."))
}

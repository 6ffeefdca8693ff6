//! A user's page: tags, password, limits, permissions; and its end.

use std::sync::Arc;

use axum::{
    Router,
    extract::Query,
    http::Method,
    routing::{get, post},
};
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{Named, Shown, page, vhosts},
    commas, limits, permissions, tags,
    users::{TAGS, password_field},
};
use crate::console::{
    answers::admin::{Permissions, TopicPermissions, User},
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Confirmation, Section, check, confirm, csrf, facts, field, link, panel, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/user", get(show))
        .route("/user/tags", post(set_tags))
        .route("/user/password", post(set_password))
        .route("/user/delete", get(ask_delete).post(delete))
}

fn to(name: &str) -> String {
    link::to("/user", &[("name", name)])
}

async fn show(visit: Visit, Query(Named { name, .. }): Query<Named>) -> Shown {
    let user: User = visit.get(api(&["users", &name])).await?;
    let all: Vec<Permissions> = visit.get(api(&["users", &name, "permissions"])).await?;
    let topics: Vec<TopicPermissions> = visit.get(api(&["users", &name, "topic-permissions"])).await?;
    let vhosts = vhosts(&visit).await?;
    let content = html! {
        p.crumbs { a href="/users" { "Users" } }
        nav.actions aria-label="What can be done" {
            a.button href=(link::to("/permissions/try", &[("user", &name)])) { "Try its permissions" }
            a.button.danger href=(link::to("/user/delete", &[("name", &name)])) { "Delete" }
        }
        (panel("facts", "What it is", &facts(&[
            ("Tags", tags(&user.tags)),
            ("Password", html! { @if user.password_hash.is_empty() { "none: nobody logs in by one" } @else { "set" } }),
        ])))
        section.panel aria-labelledby="permissions-title" {
            h2 #permissions-title { "Permissions" }
            (permissions::table(&visit, &all, true))
        }
        section.panel aria-labelledby="topics-title" {
            h2 #topics-title { "Topic permissions" }
            (permissions::topic_table(&visit, &topics, true))
        }
        (permissions::setting(&visit, &name, &vhosts))
        section.panel aria-labelledby="limits-title" {
            h2 #limits-title { "Limits" }
            (limits::table(&visit, "/user/limit", &name, &limits::OF_USERS, &user.limits))
        }
        details.panel {
            summary { "Change its tags" }
            form method="post" action="/user/tags" {
                (csrf(&visit.frame)) input type="hidden" name="name" value=(name);
                (field("Tags", "tags", &commas(&user.tags), TAGS))
                button.primary type="submit" { "Change" }
            }
        }
        details.panel {
            summary { "Change its password" }
            form method="post" action="/user/password" {
                (csrf(&visit.frame)) input type="hidden" name="name" value=(name);
                (password_field())
                (check("take its password away", "none", false))
                button.primary type="submit" { "Change" }
            }
        }
    };
    page(&visit, Section::Users, &format!("User {name}"), &content)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Changed {
    name: String,
    tags: String,
    password: String,
    /// `true`: it shall have no password.
    none: String,
}

/// Its password stays what it is.
async fn set_tags(change: Change<Changed>) -> Shown {
    let Change { visit, form } = change;
    let user: User = visit.get(api(&["users", &form.name])).await?;
    let body = json!({
        "tags": form.tags,
        "password_hash": user.password_hash,
        "hashing_algorithm": user.hashing_algorithm,
    });
    visit.send(Method::PUT, api(&["users", &form.name]), &body).await?;
    Ok(visit.done(&to(&form.name), "The tags count."))
}

/// Its tags stay what they are.
async fn set_password(change: Change<Changed>) -> Shown {
    let Change { visit, form } = change;
    let has_none = form.none == "true";
    if has_none != form.password.is_empty() {
        return Err(visit.bad("Either type a password, or say that it shall be taken away."));
    }
    let user: User = visit.get(api(&["users", &form.name])).await?;
    let mut body = json!({ "tags": user.tags });
    if has_none {
        body["password_hash"] = json!("");
    } else {
        body["password"] = json!(form.password);
    }
    visit.send(Method::PUT, api(&["users", &form.name]), &body).await?;
    let told = if has_none { "The user has no password any more." } else { "The new password counts." };
    Ok(visit.done(&to(&form.name), told))
}

async fn ask_delete(visit: Visit, Query(Named { name, .. }): Query<Named>) -> Shown {
    let all: Vec<Permissions> = visit.get(api(&["users", &name, "permissions"])).await?;
    let happens = html! {
        p { "The user " (text::name(&name)) " will be gone for good, with its permissions in "
            strong { (text::counted(all.len() as u64, "virtual host")) } " and its limits. Its connections end. Queues and messages stay." }
        @if name == visit.frame.user { p { strong { "That is you: " } "you will be logged out." } }
    };
    let asked = confirm(
        &visit.frame,
        &Confirmation {
            action: "/user/delete",
            fields: &[("name", &name)],
            happens,
            more: html! {},
            button: "Delete",
            back: &to(&name),
        },
    );
    page(&visit, Section::Users, &format!("Delete user {name}?"), &asked)
}

async fn delete(change: Change<Named>) -> Shown {
    let Change { visit, form: Named { name, .. } } = change;
    visit.send(Method::DELETE, api(&["users", &name]), &Value::Null).await?;
    Ok(visit.done("/users", "The user is gone."))
}

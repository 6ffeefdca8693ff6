//! The list of users, and a new one.

use std::sync::Arc;

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
    answers::admin::User,
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Listed, Listing, Section, csrf, field, link, pager, search, sorted, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/users", get(show)).route("/users/add", post(add))
}

async fn show(visit: Visit, Query(list): Query<Listing>) -> Shown {
    let list = list.sorted_by("name", false);
    let users: Listed<User> = visit.list(api(&["users"]), &list, "").await?;
    let content = html! {
        (search(&list, "/users", "users", &[]))
        nav.actions aria-label="What can be done" { a.button href="/permissions/try" { "Try permissions" } }
        div #users data-live {
            section.panel aria-label="Users" {
                @if users.items.is_empty() { p.empty { "No user has such a name." } }
                @else { (parts::scroll(&table(&list, &users))) }
            }
            (pager(&list, "/users", &users, "user"))
        }
        details.panel {
            summary { "Add a user" }
            form method="post" action="/users/add" {
                (csrf(&visit.frame))
                div.fields {
                    (field("Name", "name", "", ""))
                    (password_field())
                    (field("Tags", "tags", "", TAGS))
                }
                button.primary type="submit" { "Add" }
            }
        }
    };
    page(&visit, Section::Users, "Users", &content)
}

/// What tags mean.
pub const TAGS: &str = "with commas: management, policymaker, monitoring, administrator; none for clients";

/// Where a new password is typed.
pub fn password_field() -> Markup {
    html! {
        label.field { span { "Password" } input type="password" name="password" autocomplete="new-password";
            small { "without one nobody logs in by a password" } }
    }
}

fn table(list: &Listing, users: &Listed<User>) -> Markup {
    html! { table {
        thead { tr {
            (sorted(list, "/users", "name", "Name", false)) th scope="col" { "Tags" } th scope="col" { "Password" } th scope="col" { "Limits" }
        } }
        tbody { @for user in &users.items {
            tr data-key=(user.name) {
                th scope="row" { a href=(link::to("/user", &[("name", &user.name)])) { (text::name(&user.name)) } }
                td { (tags(&user.tags)) }
                td { @if user.password_hash.is_empty() { span.quiet { "none" } } @else { "set" } }
                td { (limits::line(&user.limits)) }
            }
        } }
    } }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Added {
    name: String,
    password: String,
    tags: String,
}

async fn add(change: Change<Added>) -> Shown {
    let Change { visit, form } = change;
    let address = || api(&["users", &form.name]);
    if form.name.is_empty() {
        return Err(visit.bad("A user has a name."));
    }
    if visit.find::<User>(address()).await?.is_some() {
        return Err(visit.bad("There is a user of that name already."));
    }
    visit.send(Method::PUT, address(), &json!({ "tags": form.tags, "password": form.password })).await?;
    let told = "The user is there. It can do nothing yet: give it permissions.";
    Ok(visit.done(&link::to("/user", &[("name", &form.name)]), told))
}

//! Permissions and topic permissions: tables for the pages of users and virtual hosts, what sets and clears them, and the page that tries
//! them.

use std::sync::Arc;

use axum::{
    Router,
    extract::Query,
    http::Method,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Shown, page, parts, vhost_field, vhosts};
use crate::console::{
    answers::admin::{Permissions, TopicPermissions, Verdict, Verdicts},
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Section, choice, csrf, field, link, note, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/permissions/set", post(set))
        .route("/permissions/clear", post(clear))
        .route("/permissions/set-topic", post(set_topic))
        .route("/permissions/clear-topic", post(clear_topic))
        .route("/permissions/try", get(try_them))
}

/// The button that takes something away.
fn clearing(visit: &Visit, action: &str, label: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        form method="post" action=(action) {
            (csrf(&visit.frame))
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button type="submit" aria-label=(label) { "Clear" }
        }
    }
}

/// A pattern; an empty one permits nothing.
fn pattern(pattern: &str) -> Markup {
    html! { @if pattern.is_empty() { span.quiet { "nothing" } } @else { code { bdi { (text::shown(pattern)) } } } }
}

/// Permissions of one user in all virtual hosts, or of all users in one.
pub fn table(visit: &Visit, all: &[Permissions], is_of_user: bool) -> Markup {
    html! {
        @if all.is_empty() { p.empty { "None." } }
        @else { (parts::scroll(&html! { table {
            thead { tr {
                th scope="col" { @if is_of_user { "Virtual host" } @else { "User" } }
                th scope="col" { "Configure" } th scope="col" { "Write" } th scope="col" { "Read" }
                th scope="col" { span.hidden { "Actions" } }
            } }
            tbody { @for it in all {
                tr data-key={ (it.vhost) "/" (it.user) } {
                    th scope="row" { (whose(&it.user, &it.vhost, is_of_user)) }
                    td { (pattern(&it.configure)) } td { (pattern(&it.write)) } td { (pattern(&it.read)) }
                    td { (clearing(visit, "/permissions/clear", "Clear these permissions", &[("user", &it.user), ("vhost", &it.vhost)])) }
                }
            } }
        } })) }
    }
}

fn whose(user: &str, vhost: &str, is_of_user: bool) -> Markup {
    let (path, name) = if is_of_user { ("/vhost", vhost) } else { ("/user", user) };
    html! { a href=(link::to(path, &[("name", name)])) { (text::name(name)) } }
}

/// The same of topic permissions.
pub fn topic_table(visit: &Visit, all: &[TopicPermissions], is_of_user: bool) -> Markup {
    html! {
        @if all.is_empty() { p.empty { "None: every routing key may be used where an exchange may." } }
        @else { (parts::scroll(&html! { table {
            thead { tr {
                th scope="col" { @if is_of_user { "Virtual host" } @else { "User" } } th scope="col" { "Exchange" }
                th scope="col" { "Publish with" } th scope="col" { "Bind with" } th scope="col" { span.hidden { "Actions" } }
            } }
            tbody { @for it in all {
                tr data-key={ (it.vhost) "/" (it.user) "/" (it.exchange) } {
                    th scope="row" { (whose(&it.user, &it.vhost, is_of_user)) }
                    td { (text::exchange(&it.exchange)) } td { (pattern(&it.write)) } td { (pattern(&it.read)) }
                    td { (clearing(visit, "/permissions/clear-topic", "Clear these topic permissions",
                        &[("user", &it.user), ("vhost", &it.vhost), ("exchange", &it.exchange)])) }
                }
            } }
        } })) }
    }
}

/// The form that sets permissions of a user.
pub fn setting(visit: &Visit, user: &str, vhosts: &[String]) -> Markup {
    html! {
        details.panel {
            summary { "Set permissions" }
            form method="post" action="/permissions/set" {
                (csrf(&visit.frame))
                input type="hidden" name="user" value=(user);
                p.quiet { "Regular expressions that are looked for anywhere in a name; an empty one permits nothing." }
                div.fields {
                    (vhost_field(vhosts))
                    (field("Configure", "configure", ".*", "declare, change and delete"))
                    (field("Write", "write", ".*", "publish to exchanges, bind queues"))
                    (field("Read", "read", ".*", "consume from queues, bind exchanges"))
                }
                button.primary type="submit" { "Set" }
            }
        }
        details.panel {
            summary { "Set topic permissions" }
            form method="post" action="/permissions/set-topic" {
                (csrf(&visit.frame))
                input type="hidden" name="user" value=(user);
                p.quiet { "Of routing keys, besides the permissions of the exchange. {username} and {vhost} stand for the names." }
                div.fields {
                    (vhost_field(vhosts))
                    (field("Topic exchange", "exchange", "amq.topic", ""))
                    (field("Publish with", "write", ".*", ""))
                    (field("Bind with", "read", ".*", ""))
                }
                button.primary type="submit" { "Set" }
            }
        }
    }
}

/// What forms here say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    user: String,
    vhost: String,
    exchange: String,
    configure: String,
    write: String,
    read: String,
}

impl Said {
    fn back(&self) -> String {
        link::to("/user", &[("name", &self.user)])
    }
}

async fn set(change: Change<Said>) -> Shown {
    let Change { visit, form } = change;
    let body = json!({ "configure": form.configure, "write": form.write, "read": form.read });
    visit.send(Method::PUT, api(&["permissions", &form.vhost, &form.user]), &body).await?;
    Ok(visit.done(&form.back(), "The permissions count, for connections that are open, too."))
}

async fn clear(change: Change<Said>) -> Shown {
    let Change { visit, form } = change;
    visit.send(Method::DELETE, api(&["permissions", &form.vhost, &form.user]), &Value::Null).await?;
    Ok(visit.done(&form.back(), "The user has no permissions there any more."))
}

async fn set_topic(change: Change<Said>) -> Shown {
    let Change { visit, form } = change;
    let body = json!({ "exchange": form.exchange, "write": form.write, "read": form.read });
    visit.send(Method::PUT, api(&["topic-permissions", &form.vhost, &form.user]), &body).await?;
    Ok(visit.done(&form.back(), "The topic permissions count."))
}

async fn clear_topic(change: Change<Said>) -> Shown {
    let Change { visit, form } = change;
    // An exchange without a name cannot stand in an address: there is at most one such entry, and it goes with all of the user's.
    let address = if form.exchange.is_empty() {
        api(&["topic-permissions", &form.vhost, &form.user])
    } else {
        api(&["topic-permissions", &form.vhost, &form.user, &form.exchange])
    };
    visit.send(Method::DELETE, address, &Value::Null).await?;
    Ok(visit.done(&form.back(), "The topic permissions are gone."))
}

/// What is tried.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tried {
    user: String,
    vhost: String,
    /// `queue` or `exchange`.
    kind: String,
    name: String,
    /// Empty for none.
    key: String,
}

async fn try_them(visit: Visit, Query(tried): Query<Tried>) -> Shown {
    let vhosts = vhosts(&visit).await?;
    let verdicts: Option<Verdicts> = if tried.user.is_empty() || tried.vhost.is_empty() {
        None
    } else {
        let mut query = vec![("name", &*tried.name)];
        if tried.kind == "exchange" && !tried.key.is_empty() {
            query.push(("routing_key", &tried.key));
        }
        Some(visit.get(api(&["leveret", "permitted", &tried.vhost, &tried.user]).with(&query)).await?)
    };
    let content = html! {
        p.crumbs { a href="/users" { "Users" } }
        p.quiet { "What the permissions of a user say to a queue or an exchange, whether it is there or not. Who logs in by a token has the permissions of that." }
        form.panel method="get" action="/permissions/try" {
            div.fields {
                (field("User", "user", &tried.user, ""))
                @if vhosts.is_empty() { (field("Virtual host", "vhost", &tried.vhost, "")) }
                @else {
                    @let choices: Vec<_> = vhosts.iter().map(|vhost| (&**vhost, text::shown(vhost))).collect();
                    @let choices: Vec<_> = choices.iter().map(|(vhost, shown)| (*vhost, &**shown)).collect();
                    (choice("Virtual host", "vhost", &choices, &tried.vhost))
                }
                (choice("Kind", "kind", &[("queue", "queue"), ("exchange", "exchange")], &tried.kind))
                (field("Name", "name", &tried.name, "an exchange without a name is the default one"))
                (field("Routing key", "key", &tried.key, "only for topic exchanges"))
            }
            button.primary type="submit" { "Try" }
        }
        @if let Some(verdicts) = &verdicts { (answer(&tried, verdicts)) }
    };
    page(&visit, Section::Users, "Try permissions", &content)
}

fn answer(tried: &Tried, verdicts: &Verdicts) -> Markup {
    let is_exchange = tried.kind == "exchange";
    let words = if is_exchange {
        [
            "declare it, delete it",
            "publish to it, bind it to another exchange",
            "bind queues and exchanges to it",
        ]
    } else {
        ["declare it, delete it", "bind it to an exchange", "consume, get, purge"]
    };
    html! {
        section.panel #verdicts aria-label="Answer" {
            @if !is_exchange && tried.name.is_empty() { (note("warn", &html! { p { "A queue has a name." } })) }
            @else { (parts::scroll(&html! { table {
                thead { tr { th scope="col" { "Permission" } th scope="col" { "Lets it" } th scope="col" { "Permitted" } th scope="col" { "By which pattern" } } }
                tbody {
                    (verdict("configure", words[0], &verdicts.configure))
                    (verdict("write", words[1], &verdicts.write))
                    (verdict("read", words[2], &verdicts.read))
                    @if let Some(topic) = &verdicts.topic {
                        (verdict("topic write", "publish with the key", &topic.write))
                        (verdict("topic read", "bind with the key", &topic.read))
                    }
                }
            } })) }
        }
    }
}

fn verdict(label: &str, words: &str, verdict: &Verdict) -> Markup {
    html! {
        tr {
            th scope="row" { (label) }
            td { (words) }
            td { @if verdict.permitted { span.tag.good { "yes" } } @else { span.tag.bad { "no" } } }
            td { @match &verdict.pattern { Some(its) => { (pattern(its)) } None => { span.quiet { "there is none" } } } }
        }
    }
}

//! Definitions: everything that is declared and set, as one document: taken out, and brought in after a look at what that would change.

mod diff;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Query},
    http::{Method, header},
    response::IntoResponse,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{Shown, page, parts, vhosts};
use crate::console::{
    ask::{Address, api},
    door::{Keeper, Upload, Visit},
    view::{Frame, Refusal, Section, csrf, link, text},
};
use crate::limits::CONSOLE_DIFFERENCES_SHOWN_MAX;
use diff::{Diff, Difference, Field, What, diff};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/definitions", get(show))
        .route("/definitions/download", get(download))
        .route("/definitions/look", post(look))
        .route("/definitions/import", post(import))
        // Uploads have a bound of their own.
        .layer(DefaultBodyLimit::disable())
}

/// Of a virtual host; of all if there is none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Of {
    vhost: String,
}

fn address(vhost: &str) -> Address {
    if vhost.is_empty() { api(&["definitions"]) } else { api(&["definitions", vhost]) }
}

/// Where it is chosen of what.
fn of_field(vhosts: &[String]) -> Markup {
    html! {
        label.field { span { "Of" }
            select name="vhost" {
                option value="" { "everything: users, virtual hosts and what is in them" }
                @for vhost in vhosts { option value=(vhost) { "virtual host " (text::shown(vhost)) } }
            }
        }
    }
}

async fn show(visit: Visit) -> Shown {
    if !visit.frame.is_administrator {
        return Err(Refusal::forbidden(&visit.frame, "Definitions are for administrators."));
    }
    let vhosts = vhosts(&visit).await?;
    let content = html! {
        section.panel aria-labelledby="download-title" {
            h2 #download-title { "Take out" }
            p.quiet { "Virtual hosts, users with the hashes of their passwords, permissions, policies, exchanges, queues and bindings; no messages." }
            form method="get" action="/definitions/download" {
                (of_field(&vhosts))
                button.primary type="submit" { "Download" }
            }
        }
        section.panel aria-labelledby="upload-title" {
            h2 #upload-title { "Bring in" }
            p.quiet { "First it is shown what would change. An import makes and changes things, and deletes nothing." }
            form method="post" action="/definitions/look" enctype="multipart/form-data" {
                (csrf(&visit.frame))
                (of_field(&vhosts))
                label.field { span { "File" } input type="file" name="file" accept=".json,application/json"; }
                label.field { span { "Or the document itself" } textarea name="document" spellcheck="false" {} }
                button.primary type="submit" { "See what would change" }
            }
        }
    };
    page(&visit, Section::Definitions, "Definitions", &content)
}

async fn download(visit: Visit, Query(Of { vhost }): Query<Of>) -> Shown {
    let document: Value = visit.get(address(&vhost)).await?;
    let written = serde_json::to_string_pretty(&document).map_err(|error| visit.bad(&error.to_string()))?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"definitions.json\""),
    ];
    Ok((headers, written).into_response())
}

/// The document that was brought: the file, or what was typed.
fn document(upload: &Upload) -> Result<Value, Refusal> {
    let written = match upload.field("file") {
        "" => upload.field("document"),
        file => file,
    };
    let document: Value = serde_json::from_str(written)
        .map_err(|error| upload.visit.bad(&format!("That is no JSON document: {error}")))?;
    if document.is_object() { Ok(document) } else { Err(upload.visit.bad("Definitions are a JSON object.")) }
}

async fn look(upload: Upload) -> Shown {
    let document = document(&upload)?;
    let (visit, vhost) = (&upload.visit, upload.field("vhost"));
    let there: Value = visit.get(address(vhost)).await?;
    let diff = diff(&there, &document);
    let content = html! {
        p.crumbs { a href="/definitions" { "Definitions" } @if !vhost.is_empty() { " · virtual host " (text::name(vhost)) } }
        (shown(&diff))
        (confirmation(&visit.frame, vhost, &document))
    };
    page(visit, Section::Definitions, "Import definitions?", &content)
}

fn shown(diff: &Diff) -> Markup {
    let total = diff.differences.len();
    html! {
        section.panel #differences aria-label="What would change" {
            @if total == 0 { p { "Nothing: everything is as the document says." } }
            @else { (parts::scroll(&html! { table {
                thead { tr { th scope="col" { "Kind" } th scope="col" { "Name" } th scope="col" { "What happens" } th scope="col" { "Here, and in the document" } } }
                tbody { @for difference in diff.differences.iter().take(CONSOLE_DIFFERENCES_SHOWN_MAX) { (row(difference)) } }
            } })) }
            @if total > CONSOLE_DIFFERENCES_SHOWN_MAX {
                p.quiet { "The first " (text::count(CONSOLE_DIFFERENCES_SHOWN_MAX as u64)) " of " (text::count(total as u64)) "." }
            }
            p.quiet { (text::counted(diff.same as u64, "thing")) " are as the document says. "
                (text::count(diff.not_said as u64)) " of which it says nothing stay." }
        }
    }
}

fn row(difference: &Difference) -> Markup {
    html! {
        tr {
            td { (difference.one) }
            th scope="row" { (text::name(&difference.name)) }
            @match &difference.what {
                What::Makes => { td { span.tag.good { "is made" } } td {} }
                What::Changes(fields) => { td { span.tag.warn { "is changed" } } td { (changed(fields)) } }
                What::Leaves(fields) => { td { span.tag { "stays as it is" } } td { (changed(fields)) } }
            }
        }
    }
}

fn changed(fields: &[Field]) -> Markup {
    html! {
        @for field in fields {
            div { (text::name(&field.name)) ": " code { bdi { (text::shown(&field.before)) } } " → " code { bdi { (text::shown(&field.after)) } } }
        }
    }
}

fn confirmation(frame: &Frame, vhost: &str, document: &Value) -> Markup {
    html! {
        form.confirm method="post" action="/definitions/import" enctype="multipart/form-data" {
            (csrf(frame))
            input type="hidden" name="vhost" value=(vhost);
            input type="hidden" name="document" value=(document.to_string());
            p { "What is refused is told, and everything else is carried out." }
            div.buttons { button.danger type="submit" { "Import" } a.button href="/definitions" { "Cancel" } }
        }
    }
}

async fn import(upload: Upload) -> Shown {
    let document = document(&upload)?;
    let vhost = upload.field("vhost");
    upload.visit.send(Method::POST, address(vhost), &document).await?;
    let to =
        if vhost.is_empty() { "/definitions".to_owned() } else { link::to("/vhost", &[("name", vhost)]) };
    Ok(upload.visit.done(&to, "The definitions are imported."))
}

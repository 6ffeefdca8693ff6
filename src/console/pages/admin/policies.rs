//! The policies of users and those of operators.

use std::sync::Arc;

use axum::{Router, extract::Query, routing::get};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    super::{Shown, page, parts, vhosts},
    policy::link_to,
};
use crate::console::{
    answers::admin::Policy,
    ask::api,
    door::{Keeper, Visit},
    view::{Section, link, panel, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/policies", get(show))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chosen {
    /// Empty for all.
    vhost: String,
}

async fn show(visit: Visit, Query(Chosen { vhost }): Query<Chosen>) -> Shown {
    let of = |list| if vhost.is_empty() { api(&[list]) } else { api(&[list, &vhost]) };
    let users: Vec<Policy> = visit.get(of("policies")).await?;
    let operators: Vec<Policy> = visit.get(of("operator-policies")).await?;
    let vhosts = vhosts(&visit).await?;
    let frame = &visit.frame;
    let content = html! {
        nav.actions aria-label="What can be done" {
            @if frame.is_policymaker { a.button href=(link::to("/policy", &[("vhost", &vhost)])) { "New policy" } }
            @if frame.is_administrator { a.button href=(link::to("/policy", &[("vhost", &vhost), ("operator", "true")])) { "New operator policy" } }
            @if vhosts.len() > 1 {
                form.search method="get" action="/policies" {
                    label { span.hidden { "Virtual host" }
                        select name="vhost" { option value="" { "all virtual hosts" }
                            @for one in &vhosts { option value=(one) selected[*one == vhost] { (text::shown(one)) } } } }
                    button type="submit" { "Show" }
                }
            }
        }
        (panel("policies", "Policies", &table(&users, false, frame.is_policymaker)))
        (panel("operator-policies", "Operator policies", &html! {
            p.quiet { "They bound what policies and arguments ask for: of two limits the lower one counts." }
            (table(&operators, true, frame.is_administrator))
        }))
    };
    page(&visit, Section::Policies, "Policies", &content)
}

fn table(policies: &[Policy], is_operators: bool, may_change: bool) -> Markup {
    html! {
        @if policies.is_empty() { p.empty { "None." } }
        @else { (parts::scroll(&html! { table {
            thead { tr {
                th scope="col" { "Name" } th scope="col" { "Virtual host" } th scope="col" { "Pattern" } th scope="col" { "Applies to" }
                th.number scope="col" { "Priority" } th scope="col" { "Says" } th scope="col" { span.hidden { "Actions" } }
            } }
            tbody { @for policy in policies {
                tr data-key={ (policy.vhost) "/" (policy.name) } {
                    th scope="row" {
                        @if may_change { a href=(link_to("/policy", &policy.vhost, &policy.name, is_operators)) { (text::name(&policy.name)) } }
                        @else { (text::name(&policy.name)) }
                    }
                    td { (text::name(&policy.vhost)) }
                    td { code { bdi { (text::shown(&policy.pattern)) } } }
                    td { (policy.apply_to.replace('_', " ")) }
                    td.number { (policy.priority) }
                    td { (parts::table(&policy.definition)) }
                    td { @if may_change { a.button.danger href=(link_to("/policy/delete", &policy.vhost, &policy.name, is_operators)) { "Delete" } } }
                }
            } }
        } })) }
    }
}

//! The page round a page's content, and the boxes in it.

use maud::{DOCTYPE, Markup, html};

use super::{Frame, Section, csrf, text};

/// A page for somebody who has logged in. Parts of the content that are `data-live` and have an id are kept current.
pub fn page(frame: &Frame, section: Section, title: &str, content: &Markup) -> Markup {
    let body = html! {
        a.skip href="#content" { "Skip to content" }
        header.top {
            a.brand href="/" { "Leveret" }
            nav aria-label="Pages" { (pages(frame, section)) }
            div.who {
                span #live role="status" aria-live="off" {}
                button #pause type="button" hidden aria-pressed="false" { "Pause" }
                @if !frame.user.is_empty() {
                    a href="/me" title="Who am I" { (text::name(&frame.user)) }
                }
                @if frame.has_session {
                    form method="post" action="/logout" { (csrf(frame)) button type="submit" { "Log out" } }
                }
            }
        }
        main #content tabindex="-1" {
            @if let Some(told) = &frame.told {
                p.told role="status" { (text::shown(told)) }
            }
            h1 { (text::shown(title)) }
            (content)
        }
        (help())
    };
    document(title, true, &body)
}

fn pages(frame: &Frame, here: Section) -> Markup {
    html! {
        ul {
            @for section in Section::ALL.into_iter().filter(|section| section.is_for(frame)) {
                @let (label, href) = section.shown();
                li { a href=(href) aria-current=[(section == here).then_some("page")] { (label) } }
            }
        }
    }
}

/// The document round a page.
pub fn document(title: &str, is_live: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (text::shown(title)) " · Leveret" }
                link rel="stylesheet" href="/assets/console.css";
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                script type="module" src="/assets/console.js" {}
            }
            body data-refresh=[is_live.then_some("5000")] { (body) }
        }
    }
}

fn help() -> Markup {
    html! {
        dialog #help aria-labelledby="help-title" {
            h2 #help-title { "Keys" }
            dl.keys {
                dt { kbd { "/" } } dd { "search" }
                dt { kbd { "?" } } dd { "this list" }
                dt { kbd { "p" } } dd { "pause or go on" }
                dt { kbd { "g" } " then " kbd { "o" } } dd { "overview" }
                dt { kbd { "g" } " then " kbd { "q" } } dd { "queues" }
                dt { kbd { "g" } " then " kbd { "e" } } dd { "exchanges" }
                dt { kbd { "g" } " then " kbd { "c" } } dd { "connections" }
                dt { kbd { "Esc" } } dd { "close" }
            }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// A box with a heading. With an id it is kept current.
pub fn panel(id: &str, heading: &str, content: &Markup) -> Markup {
    html! {
        section.panel id=(id) data-live aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (heading) }
            (content)
        }
    }
}

/// Names with what they stand for.
pub fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

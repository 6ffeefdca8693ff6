//! Forms that change something.

use maud::{Markup, html};

use super::Frame;

/// What shows that a form is one of ours.
pub fn csrf(frame: &Frame) -> Markup {
    html! { input type="hidden" name="csrf" value=(frame.csrf); }
}

/// A labelled input of one line.
pub fn field(label: &str, name: &str, value: &str, hint: &str) -> Markup {
    html! {
        div.field {
            label { span { (label) } input name=(name) value=(value) autocomplete="off" spellcheck="false"; }
            @if !hint.is_empty() { small { (hint) } }
        }
    }
}

/// A labelled choice of one value, each with its words.
pub fn choice(label: &str, name: &str, values: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        label.field {
            span { (label) }
            select name=(name) {
                @for (value, words) in values {
                    option value=(value) selected[*value == chosen] { (words) }
                }
            }
        }
    }
}

/// Something that is wanted or not.
pub fn check(words: &str, name: &str, is_wanted: bool) -> Markup {
    html! { label.field { input type="checkbox" name=(name) value="true" checked[is_wanted]; (words) } }
}

/// A note that stands out: `calm`, `warn` or `bad`.
pub fn note(kind: &str, content: &Markup) -> Markup {
    html! { div.note.(kind) { (content) } }
}

/// A question before something that cannot be taken back.
pub struct Confirmation<'a> {
    /// Where the form goes.
    pub action: &'a str,
    /// Hidden fields.
    pub fields: &'a [(&'a str, &'a str)],
    /// What will happen.
    pub happens: Markup,
    /// More fields that can be changed.
    pub more: Markup,
    /// On the button.
    pub button: &'a str,
    /// Where to go instead.
    pub back: &'a str,
}

/// The form that asks.
pub fn confirm(frame: &Frame, confirmation: &Confirmation<'_>) -> Markup {
    let Confirmation { action, fields, happens, more, button, back } = confirmation;
    html! {
        form.confirm method="post" action=(action) {
            (csrf(frame))
            @for (name, value) in *fields {
                input type="hidden" name=(name) value=(value);
            }
            div.happens { (happens) }
            (more)
            div.buttons {
                button.danger type="submit" { (button) }
                a.button href=(back) { "Cancel" }
            }
        }
    }
}

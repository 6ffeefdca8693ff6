//! Names, numbers, sizes, spans and times as people read them.

use maud::{Markup, html};

use crate::limits::CONSOLE_NAME_CHARS_MAX;
use crate::management::iso;
pub use crate::management::words::{byte_rate, bytes, count, counted, rate, rounded, span};
use crate::protocol::Printable;

/// A name that somebody has chosen, whatever is in it: control characters are escaped, and its direction of writing stays its own.
pub fn name(name: &str) -> Markup {
    html! { bdi.name { (shown(name)) } }
}

/// The same of an exchange, one of which has no name.
pub fn exchange(exchange: &str) -> Markup {
    if exchange.is_empty() {
        html! { span.quiet { "(default)" } }
    } else {
        name(exchange)
    }
}

/// A text with what misleads escaped, and not too long.
pub fn shown(text: &str) -> String {
    Printable::new(text).cut_at(CONSOLE_NAME_CHARS_MAX).to_string()
}

/// A moment in milliseconds since the Unix epoch. The page's module shows it in the zone of the viewer; UTC stands in its title.
pub fn moment(at: u64) -> Markup {
    let written = iso(at);
    let plain = written.get(..19).unwrap_or_default().replace('T', " ");
    html! { time datetime=(written) title={ (plain) " UTC" } { (plain) " UTC" } }
}

/// How long ago something was, with the moment in its title.
pub fn ago(at: u64, now: u64) -> Markup {
    let (written, plain) = (iso(at), span(now.saturating_sub(at)));
    html! { time.ago datetime=(written) data-ago title={ (written) } { (plain) " ago" } }
}

/// Yes or no.
pub fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// How much of what there may be is used, as a bar: it warns when it is nearly all.
pub fn bar(label: &str, part: u64, of: u64) -> Markup {
    let percent = percent(part, of);
    let class = if percent >= 90.0 {
        "bar full"
    } else if percent >= 70.0 {
        "bar high"
    } else {
        "bar"
    };
    drawn(class, label, percent)
}

/// A share of a whole as a bar.
pub fn share(label: &str, part: u64, of: u64) -> Markup {
    drawn("bar", label, percent(part, of))
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { (part as f64 * 100.0 / of as f64).clamp(0.0, 100.0) }
}

fn drawn(class: &str, label: &str, percent: f64) -> Markup {
    html! {
        svg class=(class) role="img" aria-label={ (label) ": " (format!("{percent:.0}")) " %" } {
            rect.of width="100%" height="100%" {}
            rect.part width=(format!("{percent:.1}%")) height="100%" {}
        }
    }
}

/// JSON that can be changed, with what cannot be seen or turns text around as JSON escapes it.
pub fn json(value: &serde_json::Value) -> String {
    let written = serde_json::to_string_pretty(value).unwrap_or_default();
    let turns = |it: char| matches!(it, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let escaped = |it: char| if turns(it) { format!("\\u{:04x}", u32::from(it)) } else { it.to_string() };
    written.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_text() {
        let hostile = "<b onclick='x'>\"&\u{202e}\n\u{0}";
        let written = name(hostile).into_string();
        assert_eq!(written, r#"<bdi class="name">&lt;b onclick='x'&gt;&quot;&amp;\u{202e}\n\u{0}</bdi>"#);
        assert_eq!(shown(&"x".repeat(600)).len(), CONSOLE_NAME_CHARS_MAX + 3);
    }

    #[test]
    fn a_bar_is_never_wider_than_the_whole() {
        for (part, of, width) in [(0, 0, "0.0%"), (5, 10, "50.0%"), (30, 10, "100.0%")] {
            assert!(bar("x", part, of).into_string().contains(width), "{part} of {of}");
        }
    }
}

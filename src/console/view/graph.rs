//! What an exchange is bound to, as a drawing: what brings it messages on the left, what it sends them to on the right. The same stands in
//! tables beside it, with links: the drawing is for the look of it.

use maud::{Markup, html};

use super::text;
use crate::limits::CONSOLE_DRAWN_MAX;

const WIDTH: u32 = 960;
const BOX_WIDTH: u32 = 220;
const BOX_HEIGHT: u32 = 26;
const ROW: u32 = 36;
/// Letters of a name in a box.
const NAME_CHARS: usize = 30;
/// Letters of keys on a line.
const KEYS_CHARS: usize = 22;

/// What stands at the other end of bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// It is a queue, or else an exchange.
    pub is_queue: bool,
    /// Its name.
    pub name: String,
    /// The keys of the bindings between.
    pub keys: Vec<String>,
    /// Whether the message that is tried takes this way; none if there is none, or nobody knows.
    pub is_taken: Option<bool>,
}

/// Puts bindings to the same end together, in the order in which they come: whether the end is a queue, its name, the key, whether the
/// binding is taken.
pub fn nodes<'a>(bindings: impl Iterator<Item = (bool, &'a str, &'a str, Option<bool>)>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for (is_queue, name, key, is_taken) in bindings {
        let last = nodes.last_mut().filter(|node| node.is_queue == is_queue && node.name == name);
        if let Some(node) = last {
            node.keys.push(key.into());
            node.is_taken = match (node.is_taken, is_taken) {
                (Some(one), Some(other)) => Some(one || other),
                (one, other) => one.or(other),
            };
        } else {
            nodes.push(Node { is_queue, name: name.into(), keys: vec![key.into()], is_taken });
        }
    }
    nodes
}

/// A text of at most so many letters.
fn cut(text: &str, chars: usize) -> String {
    let shown = text::shown(text);
    if shown.chars().count() <= chars {
        return shown;
    }
    let mut cut: String = shown.chars().take(chars - 1).collect();
    cut.push('…');
    cut
}

/// The drawing round an exchange; nothing if nothing is bound.
pub fn graph(exchange: &str, from: &[Node], to: &[Node]) -> Markup {
    if from.is_empty() && to.is_empty() {
        return html! {};
    }
    let (left, right) = (&from[..from.len().min(CONSOLE_DRAWN_MAX)], &to[..to.len().min(CONSOLE_DRAWN_MAX)]);
    let rows = left.len().max(right.len()) as u32;
    let height = rows * ROW;
    let middle = height / 2;
    let told = format!(
        "Messages come from {} and go to {}",
        text::counted(from.len() as u64, "exchange"),
        text::counted(to.len() as u64, "destination"),
    );
    // A side on which there is nothing takes no room.
    let center = (WIDTH - BOX_WIDTH) / 2;
    let begin = if left.is_empty() { center } else { 0 };
    let end = if right.is_empty() { center + BOX_WIDTH } else { WIDTH };
    let width = end - begin;
    let not_drawn = (from.len() - left.len()) + (to.len() - right.len());
    html! {
        figure.graph {
            div.scroll tabindex="0" role="region" aria-label="Drawing of the bindings" {
                svg viewBox={ (begin) " 0 " (width) " " (height) } width=(width) height=(height) role="img" aria-label=(told) {
                    @for (at, node) in left.iter().enumerate() { (side(node, at, height, left.len(), true)) }
                    @for (at, node) in right.iter().enumerate() { (side(node, at, height, right.len(), false)) }
                    (boxed("center", center, middle, if exchange.is_empty() { "(default)" } else { exchange }))
                }
            }
            @if not_drawn > 0 { figcaption.quiet { (text::count(not_drawn as u64)) " more stand in the tables only." } }
        }
    }
}

/// The middle of a row, when the rows of a side stand in the middle of the drawing.
fn row_middle(at: usize, height: u32, rows: usize) -> u32 {
    let above = (height - rows as u32 * ROW) / 2;
    above + at as u32 * ROW + ROW / 2
}

fn side(node: &Node, at: usize, height: u32, rows: usize, is_left: bool) -> Markup {
    let y = row_middle(at, height, rows);
    let middle = height / 2;
    let center = (WIDTH - BOX_WIDTH) / 2;
    let (x, begin, end) = if is_left {
        (0, (BOX_WIDTH, y), (center, middle))
    } else {
        (WIDTH - BOX_WIDTH, (center + BOX_WIDTH, middle), (WIDTH - BOX_WIDTH, y))
    };
    let half = begin.0.midpoint(end.0);
    let keys = node.keys.join(", ");
    let class = match node.is_taken {
        Some(true) => "taken",
        Some(false) => "left",
        None => "open",
    };
    let label_x = if is_left { BOX_WIDTH + 4 } else { WIDTH - BOX_WIDTH - 4 };
    html! {
        g class=(class) {
            path d={ "M" (begin.0) " " (begin.1) " C" (half) " " (begin.1) " " (half) " " (end.1) " " (end.0) " " (end.1) } {}
            (boxed(if node.is_queue { "queue" } else { "exchange" }, x, y, &node.name))
            text.key x=(label_x) y=(y - 4) text-anchor=(if is_left { "start" } else { "end" }) {
                title { (text::shown(&keys)) } (cut(&keys, KEYS_CHARS))
            }
        }
    }
}

fn boxed(class: &str, x: u32, middle: u32, name: &str) -> Markup {
    let radius = if class == "queue" { 3 } else { 13 };
    html! {
        rect class=(class) x=(x) y=(middle.saturating_sub(BOX_HEIGHT / 2)) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx=(radius) {}
        text x=(x + BOX_WIDTH / 2) y=(middle + 4) text-anchor="middle" { title { (text::shown(name)) } (cut(name, NAME_CHARS)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_to_the_same_end_are_one_line() {
        let bindings = [
            (true, "q", "a", Some(false)),
            (true, "q", "b", Some(true)),
            (false, "q", "c", None),
            (true, "r", "", Some(false)),
        ];
        let nodes = nodes(bindings.into_iter());
        let shown: Vec<_> = nodes
            .iter()
            .map(|node| (node.is_queue, &*node.name, node.keys.join(","), node.is_taken))
            .collect();
        assert_eq!(
            shown,
            [
                (true, "q", "a,b".into(), Some(true)),
                (false, "q", "c".into(), None),
                (true, "r", String::new(), Some(false))
            ]
        );
    }

    #[test]
    fn hostile_names_are_text_in_a_drawing() {
        let hostile = "</text><script>\u{202e}\n\"";
        let node =
            Node { is_queue: true, name: hostile.into(), keys: vec![hostile.into()], is_taken: Some(true) };
        let drawn = graph(hostile, std::slice::from_ref(&node), std::slice::from_ref(&node)).into_string();
        assert!(
            !drawn.contains("<script") && !drawn.contains('\u{202e}') && !drawn.contains('\n'),
            "{drawn}"
        );
        assert_eq!(drawn.matches("<rect").count(), 3);
    }

    #[test]
    fn a_drawing_has_a_bound_and_says_what_it_leaves_out() {
        let node = |at: usize| Node {
            is_queue: true,
            name: format!("q{at}"),
            keys: vec!["é".repeat(300)],
            is_taken: None,
        };
        let many: Vec<_> = (0..CONSOLE_DRAWN_MAX + 7).map(node).collect();
        let drawn = graph("x", &[], &many).into_string();
        assert_eq!(drawn.matches("<rect").count(), CONSOLE_DRAWN_MAX + 1);
        assert!(drawn.contains("7 more"), "{drawn}");
        assert!(drawn.contains(&format!("{}…", "é".repeat(KEYS_CHARS - 1))));
        assert_eq!(graph("x", &[], &[]).into_string(), "");
        for rows in 1..=CONSOLE_DRAWN_MAX {
            let height = CONSOLE_DRAWN_MAX as u32 * ROW;
            assert!(row_middle(0, height, rows) >= ROW / 2);
            assert!(row_middle(rows - 1, height, rows) <= height - ROW / 2);
        }
    }
}

//! What the log says of the storage when the broker starts and stops.

use crate::{
    client::Ch,
    node::{Node, Stop},
};

/// The last line on stderr with these words.
fn last_line(node: &Node, words: &str) -> String {
    let stderr = node.stderr();
    let line = stderr.lines().rfind(|line| line.contains(words));
    line.unwrap_or_else(|| panic!("{words:?} is not in\n{stderr}")).to_owned()
}

#[track_caller]
fn assert_told(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.split([' ', ',']).any(|part| part == *word), "{word} in {line}");
    }
}

async fn keep_five(ch: &Ch) {
    ch.durable("q").await;
    ch.keep("", "q", ["1", "2", "3", "4", "5"]).await;
}

#[tokio::test]
async fn a_start_says_what_was_recovered() {
    let mut node = Node::new();
    assert_told(&last_line(&node, "storage recovered"), &["INFO", "segments=0", "messages=0", "clean=true"]);
    keep_five(&node.channel().await).await;
    node.restart(Stop::Kill);
    let line = last_line(&node, "storage recovered");
    assert_told(&line, &["queues=1", "messages=5", "clean=false", "state_lost=false", "damaged=0"]);
    assert!(line.contains("took_ms="), "{line}");
    node.restart(Stop::Term);
    assert_told(&last_line(&node, "storage recovered"), &["queues=1", "messages=5", "clean=true"]);
}

#[tokio::test]
async fn a_stop_says_what_the_storage_did() {
    let mut node = Node::new();
    keep_five(&node.channel().await).await;
    node.stop(Stop::Term);
    let line = last_line(&node, "storage: commits");
    // The queue and its messages; the user, its permissions and the virtual host that a new broker begins with.
    assert_told(&line, &["INFO", "records", "9", "quarantined", "0"]);
    assert!(line.contains("a sync ") && line.contains("for a body byte"), "{line}");
}

//! What was moved, what was not, and why.

use std::time::Duration;

use indicatif::HumanCount;
use serde_json::{Value, json};

use super::{definitions::Note, inventory::Queue};
use crate::cli::operate::{
    error::Error,
    output::{Output, plain},
};
use crate::protocol::Printable;

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// What is to be known of definitions.
    pub definitions: Vec<Note>,
    /// The queues of the RabbitMQ.
    pub queues: Vec<Queue>,
}

impl Report {
    /// Messages that can be moved, by what RabbitMQ's management says.
    pub fn to_move(&self) -> u64 {
        let open = self.queues.iter().filter(|queue| queue.skipped.is_none());
        open.map(|queue| queue.messages).sum()
    }

    /// Whether clients of the RabbitMQ held messages before anything was moved.
    pub fn is_held(&self) -> bool {
        self.queues.iter().any(|queue| queue.skipped.is_none() && queue.held > 0)
    }

    /// Tells what is to be known of definitions, a line for each.
    pub fn tell_definitions(&self) {
        for Note { what, why, is_left } in &self.definitions {
            let what_of_it = if *is_left { " is left out" } else { "" };
            eprintln!("{}", Printable::new(format!("{what}{what_of_it}: {why}")).cut_at(usize::MAX));
        }
    }

    /// Writes a row for each queue.
    pub fn write(&self, output: Output) -> Result<(), Error> {
        let rows: Vec<_> = self.queues.iter().map(row).collect();
        output.rows(&plain(&COLUMNS), &rows)
    }

    /// Says how many messages were moved, in what time.
    pub fn tell_messages(&self, took: Duration) {
        let moved: u64 = self.queues.iter().map(|queue| queue.moved).sum();
        let seconds = took.as_secs_f64();
        let rate = u64::try_from(u128::from(moved) * 1_000 / took.as_millis().max(1)).unwrap_or(u64::MAX);
        let queues = self.queues.iter().filter(|queue| queue.moved > 0).count();
        eprintln!(
            "moved {} messages of {} in {seconds:.1} s: {} in a second",
            HumanCount(moved),
            counted(queues as u64, "queue"),
            HumanCount(rate)
        );
    }

    /// An error if something is left in RabbitMQ, or missing here.
    pub fn verdict(&self) -> Result<(), Error> {
        let mut words = Vec::new();
        let (mut messages, mut queues, mut unknown) = (0, 0, 0);
        for queue in &self.queues {
            messages += queue.left.unwrap_or_default();
            queues += u64::from(queue.left.unwrap_or_default() > 0);
            unknown += u64::from(queue.left.is_none() && queue.why.is_some());
        }
        if messages > 0 {
            words.push(format!(
                "in RabbitMQ are left: {} of {}",
                counted(messages, "message"),
                counted(queues, "queue")
            ));
        }
        if unknown > 0 {
            words.push(format!("it is not known what is left of {}", counted(unknown, "queue")));
        }
        let definitions = self.definitions.iter().filter(|note| note.is_left).count() as u64;
        if definitions > 0 {
            words.push(format!("left out: {}", counted(definitions, "definition")));
        }
        if words.is_empty() { Ok(()) } else { Err(Error::Failed(words.join("; "))) }
    }
}

/// "1 queue", "2 queues".
fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn row(queue: &Queue) -> Value {
    let why = [&queue.skipped, &queue.why, &queue.refusal];
    let why: Vec<_> = why.into_iter().flatten().map(String::as_str).collect();
    json!({
        "vhost": queue.vhost,
        "name": queue.name,
        "messages": queue.messages,
        "moved": queue.moved,
        "refused": queue.refused,
        "left": queue.left,
        "why": why.join("; "),
    })
}

/// What is shown of a queue.
const COLUMNS: [&str; 7] = ["vhost", "name", "messages", "moved", "refused", "left", "why"];

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(left: Option<u64>, why: Option<&str>) -> Queue {
        Queue { left, why: why.map(str::to_owned), ..Queue::default() }
    }

    fn verdict(queues: Vec<Queue>, definitions: Vec<Note>) -> String {
        Report { definitions, queues }.verdict().map_or_else(|error| error.to_string(), |()| "done".into())
    }

    #[test]
    fn whatever_is_left_is_no_success() {
        let note = |is_left| Note { what: "queue 'q'".into(), why: "w".into(), is_left };
        for (queues, definitions, wanted) in [
            (vec![], vec![], "done"),
            (vec![queue(Some(0), None), queue(None, None)], vec![note(false)], "done"),
            (
                vec![queue(Some(3), Some("w")), queue(Some(1), None), queue(Some(0), None)],
                vec![],
                "in RabbitMQ are left: 4 messages of 2 queues",
            ),
            (vec![queue(None, Some("w"))], vec![], "it is not known what is left of 1 queue"),
            (vec![], vec![note(true)], "left out: 1 definition"),
        ] {
            assert_eq!(verdict(queues, definitions), wanted);
        }
    }

    #[test]
    fn a_row_says_why_something_is_left() {
        let of = |skipped: Option<&str>, why: Option<&str>, refusal: Option<&str>| {
            let [skipped, why, refusal] = [skipped, why, refusal].map(|text| text.map(str::to_owned));
            row(&Queue { skipped, refusal, why, ..Queue::default() })["why"].as_str().unwrap().to_owned()
        };
        assert_eq!(of(None, None, None), "");
        assert_eq!(of(Some("a stream"), None, None), "a stream");
        assert_eq!(of(None, Some("full"), Some("too large")), "full; too large");
    }

    #[test]
    fn what_can_be_moved_is_what_is_not_skipped() {
        let with = |messages, skipped: Option<&str>| Queue {
            messages,
            skipped: skipped.map(str::to_owned),
            ..Queue::default()
        };
        let queues = vec![with(5, None), with(7, Some("a stream")), with(1, None)];
        assert_eq!(Report { queues, ..Report::default() }.to_move(), 6);
    }
}

//! What is told of sampled messages as spans.

use std::sync::{Arc, Mutex};

use super::{Client, Comeback, FieldTable, NOW, Properties, Q, ShortString, Wish};
use crate::core::observing::{Span, SpanCounts, SpanId, SpanSink, Spans, Step};
use crate::core::{clock::Clock as _, memory::Kind, queue::Tick};
use crate::limits::SPAN_MARKS_MAX;

/// Keeps spans. They are numbered.
#[derive(Default)]
struct Kept {
    spans: Mutex<Vec<Span>>,
    drawn: Mutex<u64>,
}

impl SpanSink for Kept {
    fn draw(&self) -> SpanId {
        let mut drawn = self.drawn.lock().unwrap();
        *drawn += 1;
        drawn.to_be_bytes()
    }

    fn take(&self, span: Span) {
        self.spans.lock().unwrap().push(span);
    }

    fn counts(&self) -> SpanCounts {
        SpanCounts::default()
    }
}

impl Kept {
    /// In words: what, from when to when, and whether its parent is the publisher's.
    fn told(&self) -> Vec<String> {
        let told = |span: Span| {
            let (word, how) = match &span.step {
                Step::Publish(_) => ("publish", ""),
                Step::Wait(how) => ("wait", *how),
                Step::Deliver { .. } => ("deliver", ""),
                Step::Settle(how) => ("settle", *how),
            };
            let whose = if span.is_of_publisher { " of publisher" } else { "" };
            format!("{word} {how} {}..{}{whose}", span.start - NOW, span.end - NOW)
        };
        self.spans.lock().unwrap().drain(..).map(told).collect()
    }
}

fn followed(arguments: FieldTable) -> (Q, Arc<Kept>) {
    let (queue, kept) = (Q::new(false, arguments), Arc::new(Kept::default()));
    let spans = Spans::new(kept.clone(), ShortString::from_static("/"));
    queue.shared.surroundings.observers.send_spans(spans);
    (queue, kept)
}

fn sampled() -> Properties {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = Some(FieldTable::new().with("traceparent", parent));
    Properties { headers, ..Properties::default() }
}

#[test]
fn each_wait_begins_where_a_client_gave_the_message_back() {
    let (queue, kept) = followed(FieldTable::new());
    let client = Client::new();
    queue.publish_with(0..1, &sampled());
    queue.pass(5);
    queue.get(&client, false).unwrap();
    queue.pass(7);
    queue.give_all_back(&client);
    queue.pass(2);
    queue.consume(&client, "c", Wish::default());
    queue.pass(1);
    queue.ack(&client, 0, true);
    let wanted = [
        "wait delivered 0..5 of publisher",
        "deliver  5..5",
        "settle requeued 5..12",
        "wait delivered 12..14 of publisher",
        "deliver  14..14",
        "settle acknowledged 14..15",
    ];
    assert_eq!(kept.told(), wanted);
}

#[test]
fn of_more_messages_than_there_is_room_for_only_the_times_are_not_known() {
    let (queue, kept) = followed(FieldTable::new());
    let client = Client::new();
    let count = SPAN_MARKS_MAX as u64 + 1;
    queue.publish_with(0..count, &sampled());
    queue.consume(&client, "c", Wish::default());
    assert_eq!(kept.told().len() as u64, 2 * count);
    queue.pass(3);
    queue.ack(&client, 0, true);
    let mut wanted = vec!["settle acknowledged 0..3"; SPAN_MARKS_MAX];
    wanted.push("settle acknowledged 3..3 of publisher");
    assert_eq!(kept.told(), wanted);
    // There is room again.
    queue.publish_with(0..1, &sampled());
    queue.pass(3);
    queue.ack(&client, 0, true);
    assert_eq!(kept.told().last().unwrap(), "settle acknowledged 3..6");
}

#[test]
fn what_is_noted_of_messages_counts_as_memory_until_they_are_gone() {
    let (queue, _kept) = followed(FieldTable::new());
    let (client, before) = (Client::new(), queue.gauge.used_bytes_of(Kind::Observing));
    queue.publish_with(0..2, &sampled());
    queue.consume(&client, "c", Wish::default());
    let of_two = queue.gauge.used_bytes_of(Kind::Observing) - before;
    assert!(of_two > 0);
    queue.ack(&client, 1, false);
    assert_eq!(queue.gauge.used_bytes_of(Kind::Observing) - before, of_two / 2);
    queue.ack(&client, 0, true);
    assert_eq!(queue.gauge.used_bytes_of(Kind::Observing), before);
}

#[test]
fn what_is_not_sampled_is_told_nothing_of() {
    let (queue, kept) = followed(FieldTable::new().with("x-message-ttl", 4));
    let client = Client::new();
    queue.publish(0..3);
    queue.get(&client, false).unwrap();
    queue.give_all_back(&client);
    queue.pass(4);
    queue.publish(0..1);
    queue.consume(&client, "c", Wish::default());
    queue.ack(&client, 0, true);
    assert_eq!(kept.told(), [""; 0]);
}

#[test]
fn what_leaves_a_queue_otherwise_makes_room_for_others() {
    let ways: [fn(&Q); 2] =
        [|queue| assert!(queue.purge() > 0), |queue| assert_eq!(queue.pass(9), Tick::Done)];
    for leave in ways {
        let (queue, kept) = followed(FieldTable::new().with("x-message-ttl", 9));
        let client = Client::new();
        queue.publish_with(0..SPAN_MARKS_MAX as u64, &sampled());
        (0..SPAN_MARKS_MAX).for_each(|_| queue.get(&client, false).unwrap());
        queue.give_all_back(&client);
        leave(&queue);
        kept.told();
        queue.publish_with(0..1, &sampled());
        queue.get(&client, false).unwrap();
        let began = queue.clock.now() - NOW;
        queue.pass(3);
        queue.ack(&client, 0, true);
        let settled = format!("settle acknowledged {began}..{}", began + 3);
        assert_eq!(kept.told().last(), Some(&settled));
    }
}

impl Q {
    fn give_all_back(&self, client: &Client) {
        let returned = client.settle(1, 0, true).unwrap();
        self.shared.requeue(returned, Comeback::Failed, &mut self.effects.borrow_mut());
    }
}

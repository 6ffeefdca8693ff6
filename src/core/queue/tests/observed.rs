//! What is told of messages by each way in which they come to a queue and leave it.

use std::sync::Arc;

use super::{
    Client, Comeback, Cursor, FieldTable, NOW, Properties, Publication, Q, ShortString, View, Wish,
    build_image,
};
use crate::core::{
    client::Client as Somebody,
    declared::DELAY_QUEUE,
    effects::Effects,
    observing::{DropReason, Observers, Record, Subject, Tapped, Wanted, What},
};

fn table() -> FieldTable {
    FieldTable::new()
}

impl Q {
    fn observers(&self) -> &Observers {
        &self.shared.surroundings.observers
    }

    fn records(&self) -> Vec<Arc<Record>> {
        self.observers().records(&Wanted { limit: usize::MAX, ..Wanted::default() })
    }

    /// What was told, in words.
    fn told(&self) -> Vec<String> {
        self.records().into_iter().map(|record| told(&record)).collect()
    }

    fn rejected(&self, client: &Client) {
        let rejected = client.settle(1, 0, true).unwrap();
        self.shared.reject(rejected, &mut self.effects.borrow_mut());
    }

    fn hold(&self, due: u64) {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[&[0; 8]], false);
        self.shared.hold_until(&mut Publication::new(View::new(layout, &image)), due);
    }
}

fn told(record: &Record) -> String {
    let word = record.what.name();
    match &record.what {
        What::Delivered { redelivered, no_ack, .. } | What::Got { redelivered, no_ack } => {
            let [again, gone] = [(redelivered, " again"), (no_ack, " and gone")]
                .map(|(is, word)| if *is { word } else { "" });
            format!("{word}{again}{gone}")
        }
        What::Requeued { attempts } => format!("{word} {attempts}"),
        What::Waiting { until } | What::Delayed { until } | What::Rescheduled { until } => {
            format!("{word} {}", until - NOW)
        }
        What::DeadLettered(reason) => format!("{word} {}", reason.name()),
        What::Dropped(reason) => format!("{word} {}", reason.name()),
        What::Purged(messages) | What::QueueDeleted(messages) => format!("{word} {messages}"),
        _ => word.to_owned(),
    }
}

/// Arguments of a queue, what happens, and what is told of that.
type Way = (FieldTable, fn(&Q, &mut Client), &'static [&'static str]);

fn expiring() -> Properties {
    Properties { expiration: Some(ShortString::from_static("10")), ..Properties::default() }
}

fn dying() -> FieldTable {
    table().with("x-dead-letter-exchange", "dlx")
}

fn ways_of_consuming() -> Vec<Way> {
    vec![
        (
            table(),
            |q, client| {
                q.consume(client, "c", Wish { no_ack: true, ..Wish::default() });
                q.publish(0..1);
            },
            &["enqueued", "delivered and gone"],
        ),
        (
            table(),
            |q, client| {
                q.consume(client, "c", Wish::default());
                q.publish(0..1);
                q.ack(client, 1, false);
            },
            &["enqueued", "delivered", "acknowledged"],
        ),
        (
            table(),
            |q, client| {
                q.publish(0..1);
                q.consume(client, "c", Wish { no_ack: true, ..Wish::default() });
            },
            &["enqueued", "delivered and gone"],
        ),
        (
            table(),
            |q, client| {
                q.publish(0..1);
                q.consume(client, "c", Wish::default());
                q.requeue(client, 1, false);
            },
            &["enqueued", "delivered", "requeued 1", "delivered again"],
        ),
        (
            table(),
            |q, client| {
                q.publish(0..1);
                q.get(client, true).unwrap();
            },
            &["enqueued", "got and gone"],
        ),
        (
            table(),
            |q, client| {
                q.publish(0..1);
                q.bounce(client, Comeback::Returned);
                q.get(client, false).unwrap();
                q.ack(client, 2, false);
            },
            &["enqueued", "got", "requeued 1", "got again", "acknowledged"],
        ),
    ]
}

fn ways_of_dying() -> Vec<Way> {
    vec![
        (
            table(),
            |q, client| {
                q.publish(0..1);
                q.get(client, false).unwrap();
                q.rejected(client);
            },
            &["enqueued", "got", "rejected", "dropped rejected"],
        ),
        (
            dying(),
            |q, client| {
                q.publish(0..1);
                q.get(client, false).unwrap();
                q.rejected(client);
            },
            &["enqueued", "got", "rejected", "dead_lettered rejected"],
        ),
        (
            table(),
            |q, _| {
                q.publish_with(0..1, &expiring());
                q.pass(10);
            },
            &["enqueued", "dropped expired"],
        ),
        (
            dying().with("x-message-ttl", 10),
            |q, _| {
                q.publish(0..1);
                q.pass(10);
            },
            &["enqueued", "dead_lettered expired"],
        ),
        (
            table().with("x-delivery-limit", 0),
            |q, client| {
                q.publish(0..1);
                q.bounce(client, Comeback::Failed);
            },
            &["enqueued", "got", "requeued 1", "dropped delivery_limit"],
        ),
        (
            dying().with("x-delivery-limit", 0),
            |q, client| {
                q.publish(0..1);
                q.bounce(client, Comeback::Failed);
            },
            &["enqueued", "got", "requeued 1", "dead_lettered delivery_limit"],
        ),
        (
            table(),
            |q, _| {
                let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"body"], false);
                q.shared.count_duplicate(&View::new(layout, &image));
            },
            &["dropped duplicate"],
        ),
    ]
}

fn ways_of_overflowing() -> Vec<Way> {
    vec![
        (
            table().with("x-max-length", 1),
            |q, _| q.publish(0..2),
            &["enqueued", "enqueued", "dropped maxlen"],
        ),
        (
            dying().with("x-max-length", 1),
            |q, _| q.publish(0..2),
            &["enqueued", "enqueued", "dead_lettered maxlen"],
        ),
        (
            table().with("x-max-length", 1).with("x-overflow", "reject-publish"),
            |q, _| q.publish(0..2),
            &["enqueued", "dropped refused"],
        ),
        (
            table().with("x-max-length", 1).with("x-overflow", "reject-publish-dlx"),
            |q, _| q.publish(0..2),
            &["enqueued", "dropped maxlen"],
        ),
        (
            dying().with("x-max-length", 1).with("x-overflow", "reject-publish-dlx"),
            |q, _| q.publish(0..2),
            &["enqueued", "dead_lettered maxlen"],
        ),
    ]
}

fn ways_of_waiting_and_operators() -> Vec<Way> {
    vec![
        (
            table().with("x-delayed-retry-type", "all").with("x-delayed-retry-min", 10),
            |q, client| {
                q.publish(0..1);
                q.bounce(client, Comeback::Failed);
                q.pass(10);
            },
            &["enqueued", "got", "requeued 1", "waiting 10", "ready"],
        ),
        (
            table(),
            |q, _| {
                q.hold(NOW + 10);
                let waiting = q.shared.peek_delayed(Cursor::default(), 1).messages;
                q.shared.cancel_delayed(NOW + 10, waiting[0].entry.position, &mut q.effects.borrow_mut());
            },
            &["delayed 10", "cancelled"],
        ),
        (
            table(),
            |q, _| {
                q.hold(NOW + 10);
                let waiting = q.shared.peek_delayed(Cursor::default(), 1).messages;
                let at = (NOW + 10, waiting[0].entry.position);
                q.shared.reschedule_delayed(at, NOW + 5, &mut q.effects.borrow_mut());
                q.pass(5);
            },
            &["delayed 10", "rescheduled 5", "ready"],
        ),
        (
            table(),
            |q, _| {
                q.publish(0..3);
                q.purge();
                q.publish(0..2);
                q.shared.delete(|_| true).unwrap();
            },
            &["enqueued", "enqueued", "enqueued", "purged 3", "enqueued", "enqueued", "queue_deleted 2"],
        ),
        (
            table(),
            |q, _| {
                q.publish(0..1);
                let seen = q.shared.peek_ready(Cursor::default(), 1).messages;
                let taken = q.shared.take_out(&seen[0].entry).unwrap();
                q.shared.put_back(taken, &mut q.effects.borrow_mut());
            },
            &["enqueued", "redriven", "requeued 0"],
        ),
    ]
}

#[test]
fn each_way_in_which_a_message_comes_and_leaves_is_told() {
    let ways = [ways_of_consuming(), ways_of_dying(), ways_of_overflowing(), ways_of_waiting_and_operators()]
        .concat();
    for (arguments, happens, wanted) in ways {
        let (queue, mut client) = (Q::new(false, arguments.clone()), Client::new());
        queue.observers().trace(&Subject::Exchange(ShortString::new())).unwrap();
        happens(&queue, &mut client);
        assert_eq!(queue.told(), wanted, "{arguments:?}");
        assert!(queue.records().iter().all(|record| record.queue.as_deref() == Some(b"q")));
        // Nobody looks: the same happens, and nothing is told.
        let (queue, mut client) = (Q::new(false, arguments), Client::new());
        happens(&queue, &mut client);
        assert_eq!(queue.records(), []);
    }
}

#[test]
fn a_delayed_message_is_told_of_when_it_comes_and_when_it_is_due() {
    let queue = Q::named(DELAY_QUEUE, true, false, table());
    queue.observers().trace(&Subject::Exchange(ShortString::new())).unwrap();
    queue.hold(NOW + 10);
    queue.pass(10);
    assert_eq!(queue.told(), ["delayed 10", "due"]);
}

#[test]
fn who_got_a_message_and_who_settled_it_is_told() {
    let (queue, client) = (Q::plain(), Client::new());
    let somebody = |connection: &str| {
        std::sync::Arc::new(Somebody { connection: connection.into(), user: ShortString::from_static("ann") })
    };
    client.outbox.lock().belong_to(somebody("consumer"));
    *queue.effects.borrow_mut() = Effects::by(Some(somebody("acting")));
    queue.observers().trace(&Subject::Queue(ShortString::from_static("q"))).unwrap();
    queue.consume(&client, "c", Wish { channel: Some(2), ..Wish::default() });
    queue.publish(0..1);
    let mut settled = Vec::new();
    client.outbox.lock().window(2).unwrap().settle(1, false, 1, &mut settled).unwrap();
    queue.settle(&client, settled);
    let by = |record: &Record| record.by.as_ref().map(|by| by.connection.clone());
    let told: Vec<_> =
        queue.records().iter().map(|record| (record.what.name(), by(record), record.channel)).collect();
    let wanted = [
        ("enqueued", None, None),
        ("delivered", Some("consumer".to_owned()), Some(2)),
        ("acknowledged", Some("acting".to_owned()), None),
    ];
    assert_eq!(told, wanted);
    let what = &queue.records()[1].what;
    assert!(matches!(what, What::Delivered { consumer, .. } if **consumer == *b"c"));
}

#[test]
fn who_looks_at_another_queue_is_told_nothing_and_taps_nothing() {
    let (queue, client) = (Q::plain(), Client::new());
    queue.observers().trace(&Subject::Queue(ShortString::from_static("other"))).unwrap();
    queue.publish(0..2);
    queue.get(&client, true).unwrap();
    assert_eq!(queue.records(), []);
    assert!(queue.effects.borrow().taps.is_empty());
}

#[test]
fn each_delivery_of_a_virtual_host_with_tracing_is_tapped() {
    let (queue, client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish { no_ack: true, ..Wish::default() });
    queue.publish(0..1);
    assert!(queue.effects.borrow().taps.is_empty(), "it is off");
    queue.observers().set_taps(true);
    queue.publish(1..2);
    let other = Client::new();
    let queue_with_acks = Q::plain();
    queue_with_acks.observers().set_taps(true);
    queue_with_acks.publish(2..3);
    queue_with_acks.consume(&other, "c", Wish::default());
    queue_with_acks.requeue(&other, 1, false);
    queue_with_acks.publish(3..4);
    queue_with_acks.ack(&other, 0, true);
    queue_with_acks.cancel(&other, "c", queue_with_acks.shared.consumers_shown()[0].id);
    queue_with_acks.publish(4..5);
    queue_with_acks.get(&other, false).unwrap();
    let tapped = |queue: &Q| {
        let taps = std::mem::take(&mut queue.effects.borrow_mut().taps);
        let of = |tap: crate::core::observing::Tap| {
            let body = tap.message.view().body();
            let Tapped::Delivered { queue, redelivered } = tap.what else { panic!("it is a delivery") };
            assert_eq!((&*queue, tap.channel), (&b"q"[..], 1));
            (body[7], redelivered)
        };
        taps.into_iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(tapped(&queue), [(1, false)]);
    assert_eq!(tapped(&queue_with_acks), [(2, false), (2, true), (3, false), (4, false)]);
    queue.observers().set_taps(false);
    queue.publish(5..6);
    assert_eq!(tapped(&queue), []);
}

#[test]
fn deliveries_of_messages_about_messages_are_not_tapped() {
    let (queue, client) = (Q::plain(), Client::new());
    queue.observers().set_taps(true);
    let (layout, image) = build_image(b"amq.rabbitmq.trace", b"publish.x", &[0, 0], &[&[0; 8]], false);
    let mut run = [Publication::new(View::new(layout, &image))];
    let mut effects = Effects::default();
    queue.shared.publish(&mut run, super::Origin::Broker, &mut super::Enqueued::default(), &mut effects);
    queue.get(&client, true).unwrap();
    assert!(effects.taps.is_empty() && queue.effects.borrow().taps.is_empty());
}

#[test]
fn what_is_dropped_is_kept_with_its_reason_and_queue_whoever_looks() {
    let queue = Q::new(false, table().with("x-max-length", 1));
    queue.publish(0..3);
    let latest = queue.observers().drops.latest();
    let told: Vec<_> =
        latest.iter().map(|dropped| (dropped.reason, dropped.queue.clone(), dropped.payload[7])).collect();
    let name = || Some(ShortString::from_static("q"));
    assert_eq!(told, [(DropReason::MaxLen, name(), 1), (DropReason::MaxLen, name(), 0)]);
}

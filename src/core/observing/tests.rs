//! Who looks sees what concerns that one and nothing else, within bounds, and slows nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::{
    Event, News, Observers, Record, Routed, Subject, TRACE_EXCHANGE, Tap, Tapped, TooManyTraces, Wanted,
    What, is_about_messages,
};
use crate::core::{
    client::Client,
    dead_letter::{Death, Reason, dead_lettered},
    memory::{Gauge, Holder, Kind},
    message::{Layout, Message, View, build_image},
};
use crate::limits::{
    EVENT_QUEUES_MAX, LETTER_HEADER_FRAME_BYTES_MAX, TAIL_BYTES_MAX, TRACE_RECORDS_MAX, TRACES_MAX,
};
use crate::protocol::{FieldTable, FieldValue, Properties, ShortString};

fn name(text: &str) -> ShortString {
    ShortString::try_from(text).unwrap()
}

fn image(exchange: &str, id: &str, body: &[u8]) -> (Layout, Vec<u8>) {
    let message_id = (!id.is_empty()).then(|| name(id));
    let mut properties = Vec::new();
    Properties { message_id, ..Properties::default() }.encode(&mut properties);
    build_image(exchange.as_bytes(), b"key", &properties, &[body], false)
}

fn observers() -> (Observers, Arc<Holder>) {
    let holder = Holder::new(Gauge::new(usize::MAX));
    (Observers::new(&holder), holder)
}

/// Tells of something in a queue, if somebody may want to know that.
fn tell(observers: &Observers, queue: &str, what: What, (exchange, id): (&str, &str)) {
    let queue = name(queue);
    if let Some(lookouts) = observers.looks_at(&queue) {
        let (layout, image) = image(exchange, id, b"body");
        observers.tell(&lookouts, 1, &Event::of(what, View::new(layout, &image)).within(&queue, Some(7)));
    }
}

fn publish(observers: &Observers, at: u64, (exchange, id, body): (&str, &str, &[u8]), queues: &[&str]) {
    if let Some(lookouts) = observers.looks() {
        let (layout, image) = image(exchange, id, body);
        let queues: Vec<_> = queues.iter().map(|queue| name(queue)).collect();
        observers.tell_published(&lookouts, at, (View::new(layout, &image), queues.iter()), (None, Some(1)));
    }
}

fn all(observers: &Observers) -> Vec<Arc<Record>> {
    observers.records(&Wanted { limit: usize::MAX, ..Wanted::default() })
}

fn words(records: &[Arc<Record>]) -> Vec<&'static str> {
    records.iter().map(|record| record.what.name()).collect()
}

// ---- traces ----

#[test]
fn each_subject_has_the_events_that_concern_it_and_no_others() {
    let dead = {
        let (layout, image) = image("x", "m", b"");
        let death =
            Death { queue: b"q", reason: Reason::Expired, at_ms: 1, exchange: b"dlx", routing_key: None };
        dead_lettered(&View::new(layout, &image), &death).unwrap()
    };
    for (subject, wanted) in [
        (Subject::Queue(name("q")), ["published", "enqueued", "purged"].as_slice()),
        (Subject::Exchange(name("x")), &["published", "enqueued", "acknowledged", "purged", "purged"]),
        (Subject::Message(name("m")), &["published", "enqueued", "acknowledged", "purged", "purged"]),
        (Subject::Queue(name("other")), &["acknowledged", "purged"]),
        (Subject::Exchange(name("y")), &["purged", "purged"]),
        (Subject::Message(name("n")), &["purged", "purged"]),
    ] {
        let (observers, _) = observers();
        assert!(observers.looks().is_none());
        assert_eq!(observers.trace(&subject), Ok(true));
        publish(&observers, 1, ("x", "m", b""), &["q", "third"]);
        tell(&observers, "q", What::Enqueued, ("x", "m"));
        for queue in ["q", "other"] {
            if let Some(lookouts) = observers.looks_at(queue.as_bytes()) {
                let queue = name(queue);
                if *queue == *b"other" {
                    let event = Event::of(What::Acknowledged, dead.view()).within(&queue, None);
                    observers.tell(&lookouts, 1, &event);
                }
                let event = Event::without_message(What::Purged(3)).within(&queue, None);
                observers.tell(&lookouts, 1, &event);
            }
        }
        let (got, mut wanted) = (words(&all(&observers)), wanted.to_vec());
        wanted.sort_unstable();
        let mut sorted = got.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, wanted, "{subject:?}: {got:?}");
        assert!(observers.untrace(&subject) && !observers.untrace(&subject));
        assert!(observers.looks().is_none());
        assert_eq!(all(&observers).len(), got.len(), "what has happened stays");
        observers.forget_records();
        assert_eq!(all(&observers), []);
    }
}

#[test]
fn a_record_says_when_what_where_and_who() {
    let (observers, _) = observers();
    observers.trace(&Subject::Message(name("m"))).unwrap();
    let client = Arc::new(Client { connection: "a -> b".into(), user: name("ann") });
    let (layout, image) = image("x", "m", b"body");
    let lookouts = observers.looks().unwrap();
    let queue = name("q");
    let event = Event::of(What::Acknowledged, View::new(layout, &image)).within(&queue, Some(7));
    observers.tell(&lookouts, 99, &event.by(Some(&client)).on(3));
    let [record] = &all(&observers)[..] else { panic!("one has happened") };
    assert_eq!((record.number, record.at, record.position, record.channel), (1, 99, Some(7), Some(3)));
    assert_eq!((&record.what, &record.queue, &record.by), (&What::Acknowledged, &Some(queue), &Some(client)));
    let message = record.message.as_ref().unwrap();
    assert_eq!((&message.exchange, &message.routing_key), (&name("x"), &name("key")));
    assert_eq!((&message.message_id, message.body_bytes), (&Some(name("m")), 4));
}

#[test]
fn the_history_of_one_message_has_what_happened_to_its_queue_while_it_was_there() {
    let (observers, _) = observers();
    observers.trace(&Subject::Exchange(name("x"))).unwrap();
    let delivered = || What::Delivered { consumer: name("c"), redelivered: false, no_ack: false };
    let of_queue = |what: What| {
        let queue = name("q");
        let event = Event::without_message(what).within(&queue, None);
        observers.tell(&observers.looks_at(&queue).unwrap(), 1, &event);
    };
    of_queue(What::Purged(1)); // before it came
    for what in [What::Enqueued, delivered()] {
        tell(&observers, "q", what, ("x", "m"));
    }
    of_queue(What::Purged(2)); // a client had it
    tell(&observers, "q", What::Requeued { attempts: 1 }, ("x", "m"));
    of_queue(What::Purged(3));
    tell(&observers, "q", What::Enqueued, ("x", "m"));
    tell(&observers, "q", delivered(), ("x", "m"));
    tell(&observers, "q", What::Enqueued, ("x", "other"));
    of_queue(What::QueueDeleted(4));
    let history =
        |id: &str| observers.records(&Wanted { message_id: Some(name(id)), limit: 100, ..Wanted::default() });
    let mine: Vec<_> = history("m").iter().map(|record| record.what.clone()).collect();
    assert_eq!(
        mine,
        [
            What::Enqueued,
            delivered(),
            What::Requeued { attempts: 1 },
            What::Purged(3),
            What::Enqueued,
            delivered(),
            What::QueueDeleted(4),
        ]
    );
    assert_eq!(words(&history("other")), ["enqueued", "queue_deleted"]);
    assert_eq!(history("none"), []);
}

#[test]
fn the_last_records_of_a_queue_or_behind_a_number_are_given_in_order() {
    let (observers, _) = observers();
    observers.trace(&Subject::Exchange(name("x"))).unwrap();
    publish(&observers, 1, ("x", "m", b""), &["a", "b"]);
    for queue in ["a", "b", "a"] {
        tell(&observers, queue, What::Enqueued, ("x", "m"));
    }
    let numbers =
        |wanted: Wanted| observers.records(&wanted).iter().map(|record| record.number).collect::<Vec<_>>();
    let any = || Wanted { limit: 9, ..Wanted::default() };
    assert_eq!(numbers(any()), [1, 2, 3, 4]);
    assert_eq!(numbers(Wanted { limit: 2, ..any() }), [3, 4]);
    assert_eq!(numbers(Wanted { limit: 0, ..any() }), [0_u64; 0]);
    assert_eq!(numbers(Wanted { queue: Some(name("a")), ..any() }), [1, 2, 4]);
    assert_eq!(numbers(Wanted { queue: Some(name("b")), after: 1, ..any() }), [3]);
    assert_eq!(numbers(Wanted { after: 4, ..any() }), [0_u64; 0]);
}

#[test]
fn records_are_bounded_and_counted_as_memory_until_they_are_forgotten() {
    let (observers, holder) = observers();
    observers.trace(&Subject::Queue(name("q"))).unwrap();
    for at in 0..TRACE_RECORDS_MAX + 10 {
        publish(&observers, at as u64, ("x", "m", b""), &["q"]);
    }
    assert_eq!(observers.record_counts(), (TRACE_RECORDS_MAX, 10));
    assert_eq!(all(&observers)[0].number, 11);
    assert!(holder.bytes(Kind::Observing) > TRACE_RECORDS_MAX * 100);
    observers.forget_records();
    assert_eq!((observers.record_counts(), holder.bytes(Kind::Observing)), ((0, 0), 0));
    // Who follows goes on behind the last number that was seen.
    publish(&observers, 1, ("x", "m", b""), &["q"]);
    let after = TRACE_RECORDS_MAX as u64 + 10;
    let behind = observers.records(&Wanted { after, limit: 9, ..Wanted::default() });
    assert_eq!(behind.iter().map(|record| record.number).collect::<Vec<_>>(), [after + 1]);
    // Where memory is short fewer are kept.
    let short = Observers::new(&Holder::new(Gauge::new(100_000)));
    short.trace(&Subject::Queue(name("q"))).unwrap();
    (0..100).for_each(|at| publish(&short, at, ("x", "m", b""), &["q"]));
    let (kept, forgotten) = short.record_counts();
    assert!(kept > 0 && forgotten > 0, "{kept}, {forgotten}");
}

#[test]
fn so_many_traces_may_be_on_and_one_that_is_off_makes_room() {
    let (observers, _) = observers();
    let subject = |at: usize| Subject::Message(name(&at.to_string()));
    for at in 0..TRACES_MAX {
        assert_eq!(observers.trace(&subject(at)), Ok(true));
    }
    assert_eq!(observers.trace(&subject(0)), Ok(false), "it is on");
    assert_eq!(observers.trace(&Subject::Queue(name("q"))), Err(TooManyTraces));
    assert!(observers.untrace(&subject(5)));
    assert_eq!(observers.trace(&Subject::Queue(name("q"))), Ok(true));
    assert_eq!((observers.traced().len(), &observers.traced()[0]), (TRACES_MAX, &Subject::Queue(name("q"))));
}

#[test]
fn a_wide_route_is_told_by_its_first_queues_and_their_number() {
    let queues: Vec<_> = (0..100).map(|at| name(&at.to_string())).collect();
    let routed = Routed::to(queues.iter());
    assert_eq!((routed.queues.len(), routed.count), (EVENT_QUEUES_MAX, 100));
}

// ---- tails ----

/// Counts how often somebody was called.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_tail_of_a_queue_sees_what_comes_to_it_and_one_of_an_exchange_what_is_published_to_it() {
    let (observers, _) = observers();
    let of_queue = observers.tail(Subject::Queue(name("q")), 10, 2);
    let of_exchange = observers.tail(Subject::Exchange(name("x")), 10, 100);
    publish(&observers, 5, ("x", "m", b"body"), &["q"]);
    publish(&observers, 6, ("y", "m", b"body"), &["q"]);
    tell(&observers, "q", What::Enqueued, ("y", "m"));
    tell(&observers, "q", What::Acknowledged, ("y", "m"));
    tell(&observers, "other", What::Enqueued, ("x", "m"));
    let [of_queue, of_exchange] = [of_queue, of_exchange].map(|tail| {
        let news = tail.news();
        observers.end_tail(&tail);
        news.messages
    });
    let [seen] = &of_queue[..] else { panic!("one has come: {of_queue:?}") };
    assert_eq!((&seen.exchange, &*seen.payload, seen.body_bytes), (&name("y"), &b"bo"[..], 4));
    let [seen] = &of_exchange[..] else { panic!("one was published: {of_exchange:?}") };
    assert_eq!((seen.at, &seen.routing_key, &*seen.payload), (5, &name("key"), &b"body"[..]));
    assert_eq!(Properties::decode(&seen.properties).unwrap().message_id, Some(name("m")));
    assert!(observers.looks().is_none(), "nobody looks any more");
}

#[test]
fn of_what_comes_in_a_second_the_first_ones_are_seen_and_the_others_are_counted() {
    let (observers, _) = observers();
    let tail = observers.tail(Subject::Exchange(name("x")), 3, 0);
    for at in [1_000, 1_001, 1_500, 1_999, 1_999, 2_000] {
        publish(&observers, at, ("x", "m", b"body"), &[]);
    }
    let news = tail.news();
    let times: Vec<_> = news.messages.iter().map(|seen| seen.at).collect();
    assert_eq!((times, news.sampled_out, news.lost), (vec![1_000, 1_001, 1_500, 2_000], 2, 0));
    assert_eq!(tail.news(), News::default(), "it was told");
}

#[test]
fn who_does_not_take_what_comes_loses_the_rest_with_its_count_and_keeps_a_bounded_part_that_is_counted() {
    let (observers, holder) = observers();
    let tail = observers.tail(Subject::Exchange(name("x")), u32::MAX, 100);
    (0..1_000).for_each(|_| publish(&observers, 1, ("x", "m", &[7; 1_000]), &[]));
    let held = holder.bytes(Kind::Observing);
    assert!(held > TAIL_BYTES_MAX / 2 && held <= TAIL_BYTES_MAX, "{held}");
    let news = tail.news();
    assert_eq!(news.messages.len() as u64 + news.lost, 1_000);
    assert_eq!(holder.bytes(Kind::Observing), 0);
    publish(&observers, 1, ("x", "m", b""), &[]);
    assert_eq!(tail.news().messages.len(), 1, "there is room again");
}

#[test]
fn a_sleeping_listener_is_called_once_until_it_looks_again() {
    let (observers, _) = observers();
    let tail = observers.tail(Subject::Queue(name("q")), 10, 0);
    let calls = Arc::new(Calls::default());
    let waker = Waker::from(calls.clone());
    let mut context = Context::from_waker(&waker);
    let count = || calls.0.load(Ordering::SeqCst);
    assert!(tail.poll_news(&mut context).is_pending());
    tell(&observers, "q", What::Acknowledged, ("x", "m"));
    assert_eq!(count(), 0, "nothing has come");
    tell(&observers, "q", What::Enqueued, ("x", "m"));
    tell(&observers, "q", What::Enqueued, ("x", "m"));
    assert_eq!(count(), 1);
    let Poll::Ready(news) = tail.poll_news(&mut context) else { panic!("two have come") };
    assert_eq!((news.messages.len(), news.is_over), (2, false));
    assert!(tail.poll_news(&mut context).is_pending());
    let queue = name("q");
    let event = Event::without_message(What::QueueDeleted(2)).within(&queue, None);
    observers.tell(&observers.looks_at(&queue).unwrap(), 1, &event);
    assert_eq!(count(), 2);
    assert!(matches!(tail.poll_news(&mut context), Poll::Ready(News { is_over: true, .. })));
}

// ---- taps ----

fn tap(what: Tapped, properties: &Properties) -> Tap {
    let mut encoded = Vec::new();
    properties.encode(&mut encoded);
    let (layout, image) = build_image(b"orders", b"new", &encoded, &[b"bo", b"dy"], true);
    let by = Some(Arc::new(Client { connection: "a -> b".into(), user: name("ann") }));
    Tap { message: Message::uncounted(View::new(layout, &image), 0), by, channel: 3, what }
}

fn headers_of((layout, image): &(Layout, Vec<u8>)) -> FieldTable {
    Properties::decode(View::new(*layout, image).properties()).unwrap().headers.unwrap()
}

#[test]
fn what_is_told_of_a_publish_has_rabbitmqs_headers() {
    let properties = Properties {
        content_type: Some(name("text/plain")),
        delivery_mode: Some(2),
        timestamp: Some(5),
        headers: Some(FieldTable::new().with("CC", vec![FieldValue::from("copy")])),
        ..Properties::default()
    };
    let tap = tap(Tapped::Published(vec![name("q")]), &properties);
    let made = tap.image(&name("/"), "leveret@here");
    let view = View::new(made.0, &made.1);
    assert_eq!((view.exchange(), view.routing_key()), (TRACE_EXCHANGE.as_bytes(), &b"publish.orders"[..]));
    assert_eq!((view.body(), view.layout.persistent), (b"body".to_vec(), false));
    let its = FieldTable::new()
        .with("content_type", "text/plain")
        .with("headers", FieldTable::new().with("CC", vec![FieldValue::from("copy")]))
        .with("delivery_mode", 2_i32)
        .with("timestamp", 5_i32);
    let wanted = FieldTable::new()
        .with("vhost", "/")
        .with("connection", "a -> b")
        .with("channel", 3_i32)
        .with("user", "ann")
        .with("routed_queues", vec![FieldValue::from("q")])
        .with("exchange_name", "orders")
        .with("routing_keys", vec![FieldValue::from("new"), FieldValue::from("copy")])
        .with("properties", its)
        .with("node", "leveret@here");
    assert_eq!(headers_of(&made), wanted);
    assert!(is_about_messages(&view) && !is_about_messages(&tap.message.view()));
}

#[test]
fn what_is_told_of_a_delivery_has_rabbitmqs_headers() {
    for redelivered in [false, true] {
        let made = tap(Tapped::Delivered { queue: name("q"), redelivered }, &Properties::default())
            .image(&name("/"), "leveret@here");
        assert_eq!(View::new(made.0, &made.1).routing_key(), b"deliver.q");
        let headers = headers_of(&made);
        assert_eq!(headers.get("redelivered"), Some(&FieldValue::I32(redelivered.into())));
        assert!(headers.get("routed_queues").is_none());
    }
}

#[test]
fn what_does_not_fit_a_frame_is_left_out() {
    let long = "x".repeat(LETTER_HEADER_FRAME_BYTES_MAX);
    let properties =
        Properties { headers: Some(FieldTable::new().with("long", &*long)), ..Properties::default() };
    let queues = (0..100).map(|at| name(&at.to_string())).collect();
    let made = tap(Tapped::Published(queues), &properties).image(&name("/"), "leveret@here");
    assert!((made.0.header_frame_bytes as usize) < LETTER_HEADER_FRAME_BYTES_MAX);
    let headers = headers_of(&made);
    assert_eq!(headers.get("properties"), Some(&FieldValue::Table(FieldTable::new())));
    assert!(
        matches!(headers.get("routed_queues"), Some(FieldValue::Array(its)) if its.len() == EVENT_QUEUES_MAX)
    );
    let exchange = "x".repeat(255);
    let (layout, image) = image(&exchange, "", b"");
    let message = Message::uncounted(View::new(layout, &image), 0);
    let tap = Tap { message, by: None, channel: 1, what: Tapped::Published(Vec::new()) };
    assert_eq!(tap.routing_key().len(), 255);
}

#[test]
fn a_message_about_a_message_is_known_as_that_after_it_has_died() {
    let made = tap(Tapped::Published(Vec::new()), &Properties::default()).image(&name("/"), "leveret@here");
    let death = Death { queue: b"q", reason: Reason::MaxLen, at_ms: 1, exchange: b"dlx", routing_key: None };
    let letter = dead_lettered(&View::new(made.0, &made.1), &death).unwrap();
    assert!(letter.view().exchange() == b"dlx" && is_about_messages(&letter.view()));
}

//! When deliveries leave that go straight to a socket.

use std::io;

use super::*;
use crate::core::{
    change::Changes,
    commit::{Commit, Done, Waiter},
    journal::Journal,
    outbox::Socket,
    outgoing::Outgoing,
};

/// A journal and a socket that note what happens first.
#[derive(Default)]
struct Diary(Mutex<Vec<&'static str>>);

impl Diary {
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Journal for Diary {
    fn append(&self, changes: &mut Changes, _atomic: bool) -> Commit {
        if !changes.is_empty() {
            self.0.lock().push("journal");
        }
        changes.clear();
        Commit::default()
    }

    fn notify(&self, commit: Commit, waiter: Arc<dyn Waiter>) {
        waiter.committed(&Done::up_to(commit), &mut Outgoing::default());
    }

    fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Socket for Diary {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().push("sent");
        Ok(bytes.len())
    }
}

/// A consumer of the durable queue `q` whose writer sleeps, and whose socket keeps the diary.
fn idle_consumer(host: &TestHost, diary: &Arc<Diary>) -> Client {
    let mut client = opened(host);
    client.declare("q", queue::Declare { durable: true, ..queue::Declare::default() });
    client.consume("q", "consumer");
    client.sleep();
    client.outbox.lock().set_socket(diary.clone());
    diary.take();
    client
}

impl Client {
    /// Its writer has sent everything.
    fn sleep(&mut self) {
        while !self.drain().is_empty() {}
    }
}

#[test]
fn a_delivery_leaves_before_the_journal_hears_of_its_message() {
    let diary = Arc::new(Diary::default());
    let host = host_on(diary.clone());
    let (consumer, mut publisher) = (idle_consumer(&host, &diary), opened(&host));
    let mut bytes = Vec::new();
    let routing_key = ShortString::from_static("q");
    frame::write_method(&mut bytes, 1, &basic::Publish { routing_key, ..basic::Publish::default() });
    let persistent = [0x10, 0x00, 2];
    frame::write_header(&mut bytes, 1, basic::CLASS_ID, 1, &persistent);
    frame::write_bodies(&mut bytes, 1, b"m", publisher.frame_bytes_max);
    assert!(publisher.feed(&bytes));
    assert_eq!(diary.take(), ["sent", "journal"]);
    publisher.leave();
    consumer.leave();
}

#[test]
fn what_a_read_full_of_nacks_gives_to_a_consumer_is_sent_once() {
    let diary = Arc::new(Diary::default());
    let host = host_on(diary.clone());
    let mut first = opened(&host);
    first.declare("q", queue::Declare { durable: true, ..queue::Declare::default() });
    first.consume("q", "first");
    for _ in 0..5 {
        first.publish(1, "", "q", b"m");
    }
    first.sleep();
    let consumer = idle_consumer(&host, &diary);
    let mut bytes = Vec::new();
    let cancel = basic::Cancel { consumer_tag: ShortString::from_static("first"), no_wait: true };
    frame::write_method(&mut bytes, 1, &cancel);
    for delivery_tag in 1..=5 {
        let nack = basic::Nack { delivery_tag, requeue: true, ..basic::Nack::default() };
        frame::write_method(&mut bytes, 1, &nack);
    }
    assert!(first.feed(&bytes));
    assert_eq!(diary.take().into_iter().filter(|it| *it == "sent").count(), 1);
    assert_eq!(consumer.outbox.lock().window(1).map(|window| window.unacked().count()), Some(5));
    first.leave();
    consumer.leave();
}

//! Who sends what: the thread that has something to send, or the writer.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Wake, Waker},
    thread,
};

use parking_lot::Mutex;

use super::*;
use crate::core::{
    commit::{Commit, Done},
    outbox::Socket,
    outgoing::Outgoing,
    wakes::tests::Count,
};
use crate::limits::{DIRECT_BYTES_MAX, DIRECT_OUTBOXES_MAX};
use crate::protocol::HEARTBEAT_FRAME;

/// A socket that takes what it has room for.
struct Wire {
    sent: Mutex<Vec<u8>>,
    room: AtomicUsize,
}

impl Wire {
    fn with_room(bytes: usize) -> Arc<Self> {
        Arc::new(Self { sent: Mutex::default(), room: AtomicUsize::new(bytes) })
    }

    fn sent(&self) -> Vec<u8> {
        self.sent.lock().clone()
    }
}

impl Socket for Wire {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room.load(Ordering::Relaxed));
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.sent.lock().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }
}

/// A socket that is gone.
struct Broken;

impl Socket for Broken {
    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

struct Connection {
    outbox: SharedOutbox,
    wire: Arc<Wire>,
    writer: Arc<Count>,
}

impl Connection {
    /// Its writer sleeps, and its socket has room for so much.
    fn idle(room: usize) -> Self {
        let wire = Wire::with_room(room);
        let connection = Self {
            outbox: Arc::new(Mutex::new(Outbox::new(4_096, true))),
            wire: wire.clone(),
            writer: Arc::default(),
        };
        connection.outbox.lock().set_socket(wire);
        assert_eq!(connection.poll(), None);
        connection
    }

    /// What the writer gets; `None` if it sleeps.
    fn poll(&self) -> Option<Vec<u8>> {
        let waker = Waker::from(self.writer.clone());
        let mut bytes = Vec::new();
        match self.outbox.lock().poll_take(&mut bytes, &mut Context::from_waker(&waker)) {
            Poll::Ready(_) => Some(bytes),
            Poll::Pending => None,
        }
    }

    fn has(&self, frames: &[u8]) -> &Self {
        self.outbox.lock().send_frames(frames);
        self
    }

    fn was_woken(&self) -> bool {
        self.writer.take() > 0
    }
}

#[test]
fn what_is_little_goes_straight_to_the_socket_and_the_writer_sleeps_on() {
    let idle = Connection::idle(usize::MAX);
    for frame in [b"one ", b"two "] {
        send(&idle.has(frame).outbox);
    }
    assert_eq!((idle.wire.sent(), idle.was_woken()), (b"one two ".to_vec(), false));
    assert_eq!(idle.outbox.lock().pending_bytes(), 0);
}

#[test]
fn what_was_sent_straight_stands_for_a_heartbeat_and_a_heartbeat_does_not() {
    let idle = Connection::idle(usize::MAX);
    send(&idle.has(b"something").outbox);
    let beat = || {
        let before = idle.wire.sent().len();
        idle.outbox.lock().beat();
        send(&idle.outbox);
        idle.wire.sent().split_off(before) == HEARTBEAT_FRAME
    };
    assert!(beat(), "the first one, in any case");
    send(&idle.has(b"something").outbox);
    assert_eq!([beat(), beat(), beat()], [false, true, true]);
}

#[test]
fn what_is_much_is_the_writers() {
    let idle = Connection::idle(usize::MAX);
    let much = vec![7; DIRECT_BYTES_MAX + 1];
    send(&idle.has(&much).outbox);
    assert_eq!((idle.wire.sent(), idle.was_woken()), (Vec::new(), true));
    assert_eq!(idle.poll(), Some(much));
}

#[test]
fn while_the_writer_is_awake_nothing_overtakes_it() {
    let busy = Connection::idle(usize::MAX);
    send(&busy.has(&vec![7; DIRECT_BYTES_MAX + 1]).outbox);
    assert!(busy.poll().is_some());
    send(&busy.has(b"after").outbox);
    assert_eq!((busy.wire.sent(), busy.poll()), (Vec::new(), Some(b"after".to_vec())));
}

#[test]
fn a_writer_that_was_woken_by_something_else_is_awake_all_the_same() {
    let busy = Connection::idle(usize::MAX);
    assert_eq!(busy.has(b"first").poll(), Some(b"first".to_vec()));
    send(&busy.has(b"second").outbox);
    assert_eq!((busy.wire.sent(), busy.poll()), (Vec::new(), Some(b"second".to_vec())));
}

#[test]
fn what_the_socket_does_not_take_is_left_to_the_writer_in_its_place() {
    for (room, sent, left) in [(3, "one", " two"), (0, "", "one two")] {
        let slow = Connection::idle(room);
        send(&slow.has(b"one two").outbox);
        assert_eq!((slow.wire.sent(), slow.was_woken()), (sent.into(), true));
        assert_eq!(slow.poll(), Some(left.into()));
    }
}

#[test]
fn what_comes_while_another_thread_sends_is_the_writers_and_comes_after_it() {
    let idle = Connection::idle(usize::MAX);
    let (socket, loan) = idle.has(b"one ").outbox.lock().pipe.lend().unwrap();
    send(&idle.has(b"two ").outbox);
    assert_eq!(idle.poll(), None, "the writer must wait, whatever it was woken for");
    send(&idle.outbox);
    assert!(idle.wire.sent().is_empty(), "nobody else may send, though the writer sleeps again");
    assert_eq!(idle.poll(), None);
    assert_eq!(idle.outbox.lock().pending_bytes(), 8);
    let sent = socket.try_write(&loan[..2]).unwrap();
    let wakes = idle.outbox.lock().pipe.take_back(loan, sent);
    wake_all(wakes.into_iter().flatten());
    assert!(idle.was_woken());
    assert_eq!((idle.wire.sent(), idle.poll()), (b"on".to_vec(), Some(b"e two ".to_vec())));
}

#[test]
fn what_is_held_back_stays_so_and_in_its_place_behind_what_the_socket_did_not_take() {
    let slow = Connection::idle(1);
    let (socket, loan) = slow.has(b"free ").outbox.lock().pipe.lend().unwrap();
    slow.outbox.lock().hold_back(Commit(1));
    slow.has(b"answer");
    let sent = socket.try_write(&loan).unwrap();
    slow.outbox.lock().pipe.take_back(loan, sent);
    send(&slow.outbox);
    assert_eq!((slow.wire.sent(), slow.poll(), slow.poll()), (b"f".to_vec(), Some(b"ree ".to_vec()), None));
    send(&slow.outbox);
    assert_eq!(slow.wire.sent(), b"f");
    slow.wire.room.store(usize::MAX, Ordering::Relaxed);
    slow.outbox.lock().committed(&Done::up_to(Commit(1)));
    send(&slow.outbox);
    assert_eq!(slow.wire.sent(), b"fanswer");
}

#[test]
fn a_socket_that_fails_is_left_for_the_writer_to_find_out() {
    let broken = Connection::idle(usize::MAX);
    broken.outbox.lock().set_socket(Arc::new(Broken));
    send(&broken.has(b"frame").outbox);
    assert!(broken.was_woken());
    assert_eq!(broken.poll(), Some(b"frame".to_vec()));
}

#[test]
fn a_connection_that_ends_while_another_thread_sends_keeps_nothing() {
    let ending = Connection::idle(0);
    let (_, loan) = ending.has(b"frame").outbox.lock().pipe.lend().unwrap();
    ending.outbox.lock().abandon();
    ending.outbox.lock().pipe.take_back(loan, 0);
    assert_eq!(ending.outbox.lock().pending_bytes(), 0);
    send(&ending.has(b"frame").outbox);
    assert!(ending.wire.sent().is_empty());
}

#[test]
fn what_waits_when_a_connection_closes_is_the_writers_last_work() {
    let closing = Connection::idle(usize::MAX);
    let woken = closing.has(b"farewell").outbox.lock().close();
    wake_all(woken);
    send(&closing.outbox);
    assert_eq!((closing.wire.sent(), closing.was_woken()), (Vec::new(), true));
    assert_eq!((closing.poll(), closing.poll()), (Some(b"farewell".to_vec()), Some(Vec::new())));
}

#[test]
fn each_of_a_few_connections_is_sent_to_once_and_the_writers_of_others_are_woken() {
    let connections: Vec<_> = (0..=DIRECT_OUTBOXES_MAX).map(|_| Connection::idle(usize::MAX)).collect();
    let mut outgoing = Outgoing::default();
    for connection in connections.iter().chain(&connections) {
        outgoing.add(connection.has(b".").outbox.clone());
    }
    assert!(connections.iter().all(|connection| connection.wire.sent().is_empty()));
    drop(outgoing);
    let (last, others) = connections.split_last().unwrap();
    assert!(others.iter().all(|one| one.wire.sent() == b".." && !one.was_woken()));
    assert!(last.wire.sent().is_empty() && last.was_woken());
}

/// What a thread sleeps for.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Sends numbered pairs of octets from three threads, directly or by a writer that other things wake too, over a socket
/// with little room.
#[test]
fn whoever_sends_it_everything_arrives_once_and_in_order() {
    const EACH: u8 = 250;
    const ROUNDS: usize = 20;
    let wire = Wire::with_room(0);
    let outbox: SharedOutbox = Arc::new(Mutex::new(Outbox::new(4_096, true)));
    outbox.lock().set_socket(wire.clone());
    let writer = thread::spawn({
        let (outbox, wire) = (outbox.clone(), wire.clone());
        move || {
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            let mut bytes = Vec::new();
            loop {
                let taken = outbox.lock().poll_take(&mut bytes, &mut Context::from_waker(&waker));
                match taken {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => return,
                    Poll::Pending => {
                        thread::park();
                        continue;
                    }
                }
                wire.sent.lock().append(&mut bytes);
                outbox.lock().written();
            }
        }
    });
    let publishers: Vec<_> = (0..3_u8)
        .map(|publisher| {
            let (outbox, wire, timer) = (outbox.clone(), wire.clone(), writer.thread().clone());
            thread::spawn(move || {
                for number in (0..ROUNDS).flat_map(|_| 0..EACH) {
                    outbox.lock().send_frames(&[publisher, number]);
                    wire.room.store(usize::from(number % 8), Ordering::Relaxed);
                    if number % 2 == publisher % 2 {
                        timer.unpark();
                    }
                    send(&outbox);
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    let woken = outbox.lock().close();
    wake_all(woken);
    writer.join().unwrap();
    let sent = wire.sent();
    for publisher in 0..3 {
        let its = sent.chunks(2).filter(|pair| pair[0] == publisher).map(|pair| pair[1]);
        assert!(its.eq((0..ROUNDS).flat_map(|_| 0..EACH)), "publisher {publisher}");
    }
    assert_eq!(sent.len(), 3 * 2 * ROUNDS * usize::from(EACH));
}

//! One small request with a large number behind it: whatever it sets off, everybody else goes on, and SIGTERM is obeyed.

mod consumers;
mod dead_letters;
mod queues;
mod routes;
mod settling;

use std::io;

use crate::{
    methods::{bind, consume, dead_letter_to, exchange, publish, queue},
    peer::Peer,
    scene::{Scene, size},
    wire::{Table, method},
};

/// A queue `q` whose dead letters come to the queue `dead`.
pub fn with_dead_letters(scene: &Scene) -> io::Result<Peer> {
    let mut peer = scene.peer()?;
    peer.method(1, &exchange("deaths", "fanout", &Table::new()))?;
    peer.method(1, &queue("dead", 0, &Table::new()))?;
    peer.method(1, &bind("dead", "deaths", ""))?;
    peer.method(1, &queue("q", 0, &dead_letter_to("deaths")))?;
    peer.barrier()?;
    Ok(peer)
}

/// A peer that holds so many messages of the queue `q`, and no longer consumes.
pub fn holding(scene: &Scene, count: usize) -> io::Result<Vec<Peer>> {
    let (mut publisher, mut consumer) = (with_dead_letters(scene)?, scene.peer()?);
    consumer.method(1, &consume("q", "c", 0, &Table::new()))?;
    publisher.repeat(count, &publish("", "q", b"x"))?;
    consumer.take(count, (60, 60))?;
    consumer.call(1, &method(60, 30).short("c").u8(0), (60, 31))?;
    Ok(vec![consumer])
}

/// `q`, filled.
pub fn filled(scene: &Scene, count: usize, arguments: &Table, message: &[u8]) -> io::Result<Peer> {
    let mut peer = scene.peer()?;
    peer.method(1, &queue("q", 0, arguments))?;
    peer.repeat(count, message)?;
    peer.barrier()?;
    Ok(peer)
}

/// As many as the rows reject or requeue at once.
pub fn rejected() -> usize {
    size(2_000_000, 30_000)
}

//! Methods in the form that wants no answer, so that an attacker can send any number of them and read nothing.

use crate::wire::{Args, BODY, HEADER, METHOD, Table, basic_publish, content_header, frame, method};

pub fn queue(name: &str, bits: u8, arguments: &Table) -> Args {
    method(50, 10).u16(0).short(name).u8(bits | 16).table(arguments)
}

pub fn delete_queue(name: &str) -> Args {
    method(50, 40).u16(0).short(name).u8(4)
}

pub fn delete_exchange(name: &str) -> Args {
    method(40, 20).u16(0).short(name).u8(2)
}

pub fn exchange(name: &str, kind: &str, arguments: &Table) -> Args {
    method(40, 10).u16(0).short(name).short(kind).u8(16).table(arguments)
}

/// One that goes with its last binding.
pub fn auto_delete_exchange(name: &str, kind: &str) -> Args {
    method(40, 10).u16(0).short(name).short(kind).u8(4 | 16).table(&Table::new())
}

pub fn bind(queue: &str, exchange: &str, key: &str) -> Args {
    bind_with(queue, exchange, key, &Table::new())
}

pub fn bind_with(queue: &str, exchange: &str, key: &str, arguments: &Table) -> Args {
    method(50, 20).u16(0).short(queue).short(exchange).short(key).u8(1).table(arguments)
}

/// It has an answer all the same: AMQP knows no other form.
pub fn unbind(queue: &str, exchange: &str, key: &str) -> Args {
    method(50, 50).u16(0).short(queue).short(exchange).short(key).table(&Table::new())
}

pub fn bind_exchange(destination: &str, source: &str, key: &str) -> Args {
    method(40, 30).u16(0).short(destination).short(source).short(key).u8(1).table(&Table::new())
}

pub fn consume(queue: &str, tag: &str, bits: u8, arguments: &Table) -> Args {
    method(60, 20).u16(0).short(queue).short(tag).u8(bits | 8).table(arguments)
}

/// Rejects all that the channel holds.
pub fn nack_all(requeue: bool) -> Args {
    method(60, 120).u64(0).u8(1 | u8::from(requeue) << 1)
}

pub fn dead_letter_to(exchange: &str) -> Table {
    Table::new().text("x-dead-letter-exchange", exchange)
}

/// The frames of one publish on channel 1 with these property flags and list.
pub fn publish_with(exchange: &str, key: &str, properties: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = frame(METHOD, 1, &basic_publish(exchange, key, 0).0);
    let mut header = content_header(body.len() as u64);
    header.truncate(header.len() - 2);
    header.extend(properties);
    bytes.extend(frame(HEADER, 1, &header));
    for part in body.chunks(131_072 - 8) {
        bytes.extend(frame(BODY, 1, part));
    }
    bytes
}

pub fn publish(exchange: &str, key: &str, body: &[u8]) -> Vec<u8> {
    publish_with(exchange, key, &[0, 0], body)
}

/// Property flags and list of a message that has headers and nothing else.
pub fn headers(table: &Table) -> Vec<u8> {
    Args(vec![0x20, 0]).table(table).0
}

//! Limits that are settings.

use crate::{
    own,
    wire::{NO_ACK, Wire, basic_consume, method, queue_declare},
};

/// `basic.consume-ok`.
const CONSUME_OK: (u16, u16) = (60, 21);

fn consume(client: &mut Wire, channel: u16, queue: &str, tag: &str) {
    let (class, id) = CONSUME_OK;
    client.send(channel, &basic_consume(queue, tag, NO_ACK)).expect(channel, class, id);
}

#[test]
fn a_channel_has_as_many_consumers_as_it_may_and_each_that_is_cancelled_makes_room() {
    let Some(broker) = own(&["--consumers-per-channel-max", "2"]) else { return };
    let mut client = Wire::open_to(broker.clone());
    client.channel(1).channel(2).send(1, &queue_declare("q", 0)).expect(1, 50, 11);
    for channel in [1, 2] {
        for tag in ["a", "b"] {
            consume(&mut client, channel, "q", tag);
        }
    }
    client.send(1, &method(60, 30).short("a").u8(0)).expect(1, 60, 31);
    consume(&mut client, 1, "q", "c");
    let text = "NOT_ALLOWED - attempt to reuse consumer tag 'c'";
    client.send(1, &basic_consume("q", "c", NO_ACK)).expect_close(530, text);
    // One of direct reply-to does not count, but it is not let in either where there are enough.
    for queue in ["q", "amq.rabbitmq.reply-to"] {
        let mut client = Wire::open_to(broker.clone());
        client.channel(1);
        consume(&mut client, 1, "amq.rabbitmq.reply-to", "replies");
        for tag in ["a", ""] {
            consume(&mut client, 1, "q", tag);
        }
        client.send(1, &basic_consume(queue, "one more", NO_ACK));
        client.expect_close(530, "NOT_ALLOWED - reached maximum (2) of consumers per channel");
    }
}

#[test]
fn without_a_limit_or_with_0_a_channel_has_any_number_of_consumers() {
    for args in [&[][..], &["--consumers-per-channel-max", "0"]] {
        let Some(broker) = own(args) else { return };
        let mut client = Wire::open_to(broker);
        client.channel(1).send(1, &queue_declare("q", 0)).expect(1, 50, 11);
        for _ in 0..1_000 {
            consume(&mut client, 1, "q", "");
        }
        client.assert_alive();
    }
}

//! What a client holds, and gives back.

use crate::{
    fairness::{holding, rejected},
    methods::{nack_all, publish_with, queue},
    scene::{Row, rows_and_stops, size},
    wire::{DURABLE, Table, basic_ack, method},
};

rows_and_stops! {
    a_requeue_of_all
    a_recovery_of_all
    an_ack_of_all
    acks_from_the_last_to_the_first
    rejections_in_a_random_order
    a_channel_closed_with_unacked_messages
    a_connection_lost_with_unacked_messages
    a_commit_of_many_acks
    a_rollback_of_many_acks
    a_large_commit
}

fn a_requeue_of_all() -> Row {
    Row {
        name: "a nack of 2 M with requeue",
        set_up: |scene| holding(scene, rejected()),
        attack: |_, peers| {
            peers[0].method(1, &nack_all(true))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("q", (rejected() as u32, 0)),
        ..Row::USUAL
    }
}

fn a_recovery_of_all() -> Row {
    Row {
        name: "basic.recover of 1 M",
        set_up: |scene| holding(scene, held()),
        attack: |_, peers| peers[0].call(1, &method(60, 110).u8(1), (60, 111)).map(drop),
        after: |scene| scene.await_counts("q", (held() as u32, 0)),
        ..Row::USUAL
    }
}

fn an_ack_of_all() -> Row {
    Row {
        name: "basic.ack of 1 M, multiple",
        set_up: |scene| holding(scene, held()),
        attack: |_, peers| {
            peers[0].method(1, &basic_ack(0, true))?;
            peers[0].barrier()
        },
        ..Row::USUAL
    }
}

fn acks_from_the_last_to_the_first() -> Row {
    Row {
        name: "500,000 acks from the last to the first",
        set_up: |scene| holding(scene, size(500_000, 10_000)),
        attack: |_, peers| {
            let n = size(500_000, 10_000);
            peers[0].each(0..n, |i| basic_ack((n - i) as u64, false))?;
            peers[0].barrier()
        },
        ..Row::USUAL
    }
}

fn rejections_in_a_random_order() -> Row {
    Row {
        name: "500,000 rejections with requeue in a scattered order",
        set_up: |scene| holding(scene, size(500_000, 10_000)),
        attack: |_, peers| {
            let n = size(500_000, 10_000);
            peers[0].each(0..n, |i| method(60, 90).u64((i * 7919 % n) as u64 + 1).u8(1))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("q", (size(500_000, 10_000) as u32, 0)),
        ..Row::USUAL
    }
}

fn a_channel_closed_with_unacked_messages() -> Row {
    Row {
        name: "channel.close with 1 M unacked",
        set_up: |scene| holding(scene, held()),
        attack: |_, peers| peers[0].call(1, &method(20, 40).u16(200).short("").u32(0), (20, 41)).map(drop),
        after: |scene| scene.await_counts("q", (held() as u32, 0)),
        ..Row::USUAL
    }
}

fn a_connection_lost_with_unacked_messages() -> Row {
    Row {
        name: "a connection lost with 1 M unacked",
        set_up: |scene| holding(scene, held()),
        attack: |_, peers| {
            peers.clear();
            Ok(())
        },
        after: |scene| scene.await_counts("q", (held() as u32, 0)),
        ..Row::USUAL
    }
}

fn a_commit_of_many_acks() -> Row {
    Row {
        name: "tx.commit of 1 M acks",
        set_up: |scene| {
            let mut peers = holding(scene, held())?;
            peers[0].call(1, &method(90, 10), (90, 11))?;
            peers[0].each(0..held(), |n| basic_ack(n as u64 + 1, false))?;
            peers[0].barrier()?;
            Ok(peers)
        },
        attack: |_, peers| peers[0].call(1, &method(90, 20), (90, 21)).map(drop),
        ..Row::USUAL
    }
}

fn a_rollback_of_many_acks() -> Row {
    Row {
        name: "tx.rollback of 1 M acks",
        set_up: |scene| {
            let mut peers = holding(scene, held())?;
            peers[0].call(1, &method(90, 10), (90, 11))?;
            peers[0].method(1, &basic_ack(0, true))?;
            peers[0].barrier()?;
            Ok(peers)
        },
        attack: |_, peers| peers[0].call(1, &method(90, 30), (90, 31)).map(drop),
        after: |scene| scene.await_counts("q", (held() as u32, 0)),
        ..Row::USUAL
    }
}

fn a_large_commit() -> Row {
    fn count() -> usize {
        size(180, 8)
    }
    Row {
        name: "tx.commit of 180 MB",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &queue("q", DURABLE, &Table::new()))?;
            peer.call(1, &method(90, 10), (90, 11))?;
            peer.repeat(count(), &publish_with("", "q", b"\x10\x00\x02", &[b'x'; 1_000_000]))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| peers[0].call(1, &method(90, 20), (90, 21)).map(drop),
        after: |scene| scene.await_counts("q", (count() as u32, 0)),
        ..Row::USUAL
    }
}

fn held() -> usize {
    size(1_000_000, 20_000)
}

//! Heartbeats in both directions. Times are those of heartbeat = 1 s, the smallest.

use std::time::{Duration, Instant};

use crate::wire::{CLIENT_CAPABILITIES, HEARTBEAT, Table, Wire, frame};

#[test]
fn the_broker_sends_heartbeats_on_channel_0() {
    let mut wire = Wire::open_with(&Table::new(), (2047, 131_072, 1));
    for _ in 0..2 {
        assert_eq!(wire.expect_frame(HEARTBEAT, 0).payload, b"");
        wire.raw(&frame(HEARTBEAT, 0, b""));
    }
}

#[test]
fn a_silent_client_is_dropped_without_a_close_method() {
    let mut wire = Wire::open_with(&Table::new(), (2047, 131_072, 1));
    let start = Instant::now();
    wire.expect_eof();
    let took = start.elapsed();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn a_client_that_only_sends_heartbeats_stays() {
    let mut wire = Wire::open_with(&Table::new(), (2047, 131_072, 1));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        wire.expect_frame(HEARTBEAT, 0);
        wire.raw(&frame(HEARTBEAT, 0, b""));
    }
    wire.assert_alive();
}

#[test]
fn any_traffic_counts_as_a_heartbeat() {
    let mut wire = Wire::open_with(&Table::new(), (2047, 131_072, 1));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        wire.assert_alive();
        wire.expect_frame(HEARTBEAT, 0);
    }
}

#[test]
fn no_heartbeats_are_sent_or_missed_when_zero_was_negotiated() {
    let mut wire = Wire::open_with(&Table::new(), (2047, 131_072, 0));
    let mut neighbour = Wire::open_with(&Table::new(), (2047, 131_072, 1));
    neighbour.expect_eof(); // the clock of this test: a heartbeat of 1 s has been missed by now
    wire.assert_alive();
}

#[test]
fn a_heartbeat_on_another_channel_is_an_unexpected_frame() {
    let mut wire = Wire::open_with(&CLIENT_CAPABILITIES.table(), (2047, 131_072, 60));
    wire.raw(&frame(HEARTBEAT, 1, b"")).expect_close(505, "UNEXPECTED_FRAME - ");
}

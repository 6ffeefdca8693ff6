//! The end of the store, on disks that keep it waiting.

use std::time::Duration;

use super::*;
use crate::{
    config::StoreConfig,
    core::journal::Journal,
    limits::STORE_CLOSE_TIMEOUT,
    store::{
        Metrics, Store, recovery,
        tests::logged::{count, logged},
    },
};

/// A store with its threads.
fn store(machine: &Machine) -> (Store, Arc<dyn Journal>) {
    let recovered = recovery::recover(&machine.folders()).unwrap();
    let config = StoreConfig { segment_bytes: SEGMENT_BYTES, disk_free_limit: 0 };
    let (store, opened) =
        Store::start(machine.folders(), recovered, &config, Arc::new(Metrics::default())).unwrap();
    (store, opened.journal)
}

#[test]
fn a_store_whose_disk_takes_nothing_ends_at_its_deadline_and_says_what_is_not_safe() {
    let machine = Machine::new(SEGMENT_BYTES);
    let (store, journal) = store(&machine);
    machine.disk.stall();
    let message = message(10);
    let bytes = message.size_bytes();
    journal.append(&mut vec![declare(QUEUE), publish(&message, 0, &[QUEUE])], true);
    let mut closed = Ok(());
    let lines = logged(|| closed = store.close(Duration::from_millis(20)));
    let reason = closed.unwrap_err();
    assert!(reason.contains(&format!("{bytes} bytes of messages")), "{reason}");
    assert_eq!(count(&lines, &["ERROR", "the disk has not taken everything in time"]), 1, "{lines:#?}");
    machine.disk.heal();
}

#[test]
fn a_store_whose_disk_is_slow_ends_when_everything_is_safe() {
    let machine = Machine::new(SEGMENT_BYTES);
    let (store, journal) = store(&machine);
    machine.disk.stall();
    journal.append(&mut vec![declare(QUEUE), publish(&message(10), 0, &[QUEUE])], true);
    let disk = machine.disk.clone();
    let healing = std::thread::spawn(move || disk.heal());
    store.close(STORE_CLOSE_TIMEOUT).unwrap();
    healing.join().unwrap();
    assert_eq!(after_power_cut(&machine), [0]);
}

#[test]
fn what_clients_held_when_the_store_was_cut_short_says_redelivered() {
    for (cut_short, redelivered) in [(false, false), (true, true)] {
        let machine = Machine::new(SEGMENT_BYTES);
        let (store, journal) = store(&machine);
        journal.append(&mut vec![declare(QUEUE), publish(&message(10), 0, &[QUEUE])], true);
        if cut_short {
            store.cut_short();
        }
        store.close(STORE_CLOSE_TIMEOUT).unwrap();
        let loaded = restarted(&machine.power_cut(1)).0.load(QUEUE, 1_000);
        assert_eq!(loaded.iter().map(|loaded| loaded.redelivered).collect::<Vec<_>>(), [redelivered]);
    }
}

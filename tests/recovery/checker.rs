//! The checker finds what it is there to find: histories of brokers that lose, repeat, tear and disorder messages.

use crate::{
    history::{History, Rule},
    link::{Content, Delivery},
    message::{self, Id},
};

const Q: [&str; 1] = ["q"];

fn id(sequence: u64) -> Id {
    Id { publisher: 1, sequence }
}

fn delivery(sequence: u64, redelivered: bool) -> Delivery {
    let (id, size) = (id(sequence), 100);
    let content = Content { properties: message::properties(id, size), body: message::body(id, size) };
    Delivery { broker: 1, tag: 1, redelivered, content }
}

/// Messages 1 to 3 are in the queue and confirmed.
fn three_confirmed() -> History {
    let mut history = History::default();
    for n in 1..=3 {
        history.sent(id(n), &Q);
        history.confirmed(id(n), &Q);
    }
    history
}

fn deliver(history: &mut History, sequence: u64, redelivered: bool) {
    let delivery = delivery(sequence, redelivered);
    assert_eq!(history.delivered("q", 1, &delivery), Some(id(sequence)));
}

fn deliver_and_ack(history: &mut History, sequence: u64, redelivered: bool) {
    deliver(history, sequence, redelivered);
    history.acked("q", id(sequence));
}

/// Nothing but this rule was broken, once.
#[track_caller]
fn assert_found(mut history: History, rule: Option<Rule>) {
    history.finish();
    assert_eq!(history.is_clean(), rule.is_none(), "{history}");
    if let Some(rule) = rule {
        assert_eq!(history.count(rule), 1, "{history}");
        assert_eq!(history.to_string().lines().count(), 3, "{history}");
    }
}

#[test]
fn a_perfect_history_is_clean() {
    let mut history = three_confirmed();
    for n in 1..=3 {
        deliver_and_ack(&mut history, n, false);
    }
    history.proven("q", &[id(1), id(2), id(3)]);
    assert_eq!(history.open(), 0);
    assert_found(history, None);
}

#[test]
fn a_lost_message_is_found() {
    let mut history = three_confirmed();
    deliver_and_ack(&mut history, 1, false);
    deliver_and_ack(&mut history, 3, false);
    assert_found(history, Some(Rule::ConfirmedAndMissing));
}

#[test]
fn a_message_that_was_delivered_but_not_acked_and_never_came_again_is_lost() {
    let mut history = three_confirmed();
    for n in 1..=3 {
        deliver(&mut history, n, false);
    }
    history.acked("q", id(1));
    history.acked("q", id(3));
    assert_found(history, Some(Rule::ConfirmedAndMissing));
}

#[test]
fn a_message_missing_in_one_queue_of_a_fan_out_is_lost() {
    let mut history = History::default();
    history.sent(id(1), &["q", "other"]);
    history.confirmed(id(1), &["q", "other"]);
    deliver_and_ack(&mut history, 1, false);
    assert_found(history, Some(Rule::ConfirmedAndMissing));
}

#[test]
fn what_was_not_confirmed_or_was_refused_may_be_missing_or_come() {
    let mut history = History::default();
    for n in 1..=4 {
        history.sent(id(n), &Q);
    }
    history.refused(id(3), &Q);
    history.refused(id(4), &Q);
    deliver_and_ack(&mut history, 2, false);
    deliver_and_ack(&mut history, 4, false);
    assert_found(history, None);
}

#[test]
fn an_unflagged_duplicate_is_found_and_a_flagged_one_is_right() {
    for flagged in [false, true] {
        let mut history = three_confirmed();
        for n in 1..=3 {
            deliver(&mut history, n, false);
        }
        for n in 1..=3 {
            deliver_and_ack(&mut history, n, n != 2 || flagged);
        }
        assert_eq!(history.totals.duplicates_flagged, if flagged { 3 } else { 2 });
        assert_found(history, (!flagged).then_some(Rule::UnflaggedDuplicate));
    }
}

#[test]
fn an_acked_message_that_came_back_is_found_once_its_ack_was_proven() {
    for proven in [false, true] {
        let mut history = three_confirmed();
        for n in 1..=3 {
            deliver_and_ack(&mut history, n, false);
        }
        if proven {
            history.proven("q", &[id(1), id(2), id(3)]);
        }
        deliver_and_ack(&mut history, 2, true);
        assert_found(history, proven.then_some(Rule::SettledCameBack));
    }
}

#[test]
fn a_purged_message_that_came_back_is_found_once_the_purge_was_answered() {
    for answered in [false, true] {
        let mut history = three_confirmed();
        history.clearing("q");
        if answered {
            history.cleared("q");
        }
        deliver_and_ack(&mut history, 3, false);
        assert_found(history, answered.then_some(Rule::SettledCameBack));
    }
}

#[test]
fn wrong_order_is_found_but_not_among_redelivered_or_for_two_consumers() {
    let mut history = three_confirmed();
    for n in [1, 3, 2] {
        deliver_and_ack(&mut history, n, false);
    }
    assert_found(history, Some(Rule::WrongOrder));
    let mut history = three_confirmed();
    for n in [3, 1] {
        deliver_and_ack(&mut history, n, n == 1);
    }
    assert_eq!(history.delivered("q", 2, &delivery(2, false)), Some(id(2)));
    history.acked("q", id(2));
    assert_found(history, None);
}

#[test]
fn a_torn_padded_or_changed_body_is_found() {
    for size in [1, 10, 24, 5_000] {
        let whole = message::body(id(7), size);
        let cut = whole[..size - 1].to_vec();
        let padded = [whole.as_slice(), &[0]].concat();
        let mut changed = whole.clone();
        changed[size / 2] ^= 1;
        let zeros = [&whole[..size / 2], &vec![0; size - size / 2]].concat();
        for body in [cut, padded, changed, zeros] {
            let mut history = History::default();
            history.sent(id(7), &Q);
            let content = Content { properties: message::properties(id(7), size), body };
            let torn = Delivery { broker: 1, tag: 1, redelivered: false, content };
            assert_eq!(history.delivered("q", 1, &torn), None);
            assert_found(history, Some(Rule::TornMessage));
        }
        let content = Content { properties: message::properties(id(7), size), body: whole };
        assert_eq!(message::identify(&content), Ok(id(7)));
    }
}

#[test]
fn a_message_that_nobody_sent_here_is_found() {
    let mut history = three_confirmed();
    for n in 1..=3 {
        deliver_and_ack(&mut history, n, false);
    }
    deliver(&mut history, 4, false);
    assert_found(history, Some(Rule::StrangeMessage));
}

#[test]
fn a_transaction_without_an_answer_is_whole_or_absent() {
    for (seen, torn) in [(0, false), (1, true), (2, true), (3, false)] {
        let mut history = History::default();
        let members: Vec<_> = (1..=3).map(|n| ("q".to_owned(), id(n))).collect();
        for n in 1..=3 {
            history.sent(id(n), &Q);
        }
        history.undecided(1, members);
        for n in 1..=seen {
            deliver_and_ack(&mut history, n, false);
            history.proven("q", &[id(n)]);
        }
        assert_found(history, torn.then_some(Rule::TornTransaction));
    }
}

#[test]
fn a_part_of_a_transaction_that_was_seen_before_the_crash_alone_says_nothing() {
    for (broker, torn) in [(1, false), (2, true)] {
        let mut history = History::default();
        for n in 1..=2 {
            history.sent(id(n), &Q);
        }
        history.undecided(1, (1..=2).map(|n| ("q".to_owned(), id(n))).collect());
        history.delivered("q", 1, &Delivery { broker, ..delivery(1, false) });
        history.acked("q", id(1));
        assert_found(history, torn.then_some(Rule::TornTransaction));
    }
}

#[test]
fn a_message_of_a_transaction_that_was_rolled_back_is_found() {
    let mut history = History::default();
    history.sent(id(1), &Q);
    history.forbidden(&[("q".to_owned(), id(1))]);
    deliver(&mut history, 1, false);
    assert_found(history, Some(Rule::SettledCameBack));
}

//! What clients hold, as it is settled: singly and out of turn, and up to a tag, a part at a time.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{Client, Q, Wish};
use crate::limits::WINDOW_PIECE_DELIVERIES;

proptest! {
    #[test]
    fn what_is_taken_up_to_a_tag_a_part_at_a_time_is_the_oldest_that_is_held(
        count in 1..6 * WINDOW_PIECE_DELIVERIES,
        singly in vec(any::<Index>(), 0..80),
        parts in vec((any::<Index>(), 0..3 * WINDOW_PIECE_DELIVERIES), 0..12),
    ) {
        let (queue, client) = (Q::plain(), Client::new());
        queue.consume(&client, "c", Wish::default());
        queue.publish(0..count as u64);
        let mut held: BTreeSet<u64> = (1..=count as u64).collect();
        for index in singly {
            let tag = 1 + index.index(count) as u64;
            let settled = client.settle(1, tag, false);
            prop_assert_eq!(settled.is_ok(), held.remove(&tag));
            queue.settle(&client, settled.unwrap_or_default());
        }
        for (index, max) in parts {
            let up_to = index.index(count + 2) as u64;
            let mut taken = Vec::new();
            let more = client.outbox.lock().window(1).unwrap().take_up_to(up_to, max, &mut taken);
            let tags: Vec<u64> = taken.iter().map(|unacked| unacked.tag).collect();
            let oldest: Vec<u64> = held.range(..=up_to).take(tags.len()).copied().collect();
            prop_assert_eq!(&tags, &oldest);
            prop_assert!(tags.len() <= max);
            held.retain(|tag| !oldest.contains(tag));
            prop_assert!(more || held.range(..=up_to).next().is_none(), "{:?} are held", held);
            queue.settle(&client, taken);
            prop_assert_eq!(queue.status().unacked, held.len());
        }
    }
}

//! Whose question is put next: so many at once, and fewer of one user, who may have thousands of connections and keeps nobody else waiting.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{
    AUTH_HTTP_QUESTIONS_AT_ONCE, AUTH_HTTP_QUESTIONS_OF_USER_AT_ONCE, AUTH_HTTP_USERS_IN_LINE_KEPT,
};
use crate::protocol::ShortString;

/// Those who wait for their turn, in the order in which they came.
pub(super) struct Line {
    all: Arc<Semaphore>,
    of_users: Mutex<HashMap<ShortString, Arc<Semaphore>, RandomState>>,
}

/// May put a question, until it is dropped.
pub(super) struct Turn {
    _of_user: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Line {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(AUTH_HTTP_QUESTIONS_AT_ONCE)), of_users: Mutex::default() }
    }

    /// Waits for a turn of this user.
    pub(super) async fn turn(&self, user: &ShortString) -> Turn {
        let open = "nobody closes it";
        let of_user = self.of_user(user).acquire_owned().await.expect(open);
        let of_all = self.all.clone().acquire_owned().await.expect(open);
        Turn { _of_user: of_user, _of_all: of_all }
    }

    fn of_user(&self, user: &ShortString) -> Arc<Semaphore> {
        let mut of_users = self.of_users.lock();
        if of_users.len() >= AUTH_HTTP_USERS_IN_LINE_KEPT && !of_users.contains_key(user) {
            // Of those that are left somebody waits or asks.
            of_users.retain(|_, its| Arc::strong_count(its) > 1);
        }
        let its = || Arc::new(Semaphore::new(AUTH_HTTP_QUESTIONS_OF_USER_AT_ONCE));
        of_users.entry(user.clone()).or_insert_with(its).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn name(number: usize) -> ShortString {
        ShortString::try_from(number.to_string().as_str()).unwrap()
    }

    fn turn_now(line: &Line, user: &ShortString) -> Option<Turn> {
        match pin!(line.turn(user)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_user_with_many_questions_leaves_turns_for_others_and_all_have_so_many() {
        let line = Line::new();
        let mut turns = Vec::new();
        for user in 0..AUTH_HTTP_QUESTIONS_AT_ONCE / AUTH_HTTP_QUESTIONS_OF_USER_AT_ONCE {
            let of_user = || turn_now(&line, &name(user));
            turns.extend((0..AUTH_HTTP_QUESTIONS_OF_USER_AT_ONCE).map(|_| of_user().expect("a turn")));
            assert!(of_user().is_none(), "{user} has all that it may have");
        }
        assert!(turn_now(&line, &name(99)).is_none(), "all are taken");
        turns.pop();
        assert!(turn_now(&line, &name(99)).is_some());
    }

    #[test]
    fn users_who_ask_nothing_are_forgotten() {
        let line = Line::new();
        let kept = turn_now(&line, &name(0));
        for user in 1..3 * AUTH_HTTP_USERS_IN_LINE_KEPT {
            assert!(turn_now(&line, &name(user)).is_some());
        }
        let of_users = line.of_users.lock();
        assert!(of_users.len() <= AUTH_HTTP_USERS_IN_LINE_KEPT && of_users.contains_key(&name(0)));
        drop(kept);
    }
}

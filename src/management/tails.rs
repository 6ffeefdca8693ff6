//! Those who see live what comes in, and how many of them there may be.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::failure::{Answered, Failure};
use crate::limits::{TAILS_MAX, TAILS_OF_USER_MAX};
use crate::protocol::ShortString;

/// How many there are of each user.
#[derive(Default)]
pub struct Tails(Arc<Mutex<HashMap<ShortString, usize>>>);

/// One of them; another one may come when it is dropped.
pub struct TailPlace {
    of_users: Arc<Mutex<HashMap<ShortString, usize>>>,
    user: ShortString,
}

impl Tails {
    /// A place for one more of a user: 503 if there are as many as may be.
    pub fn take(&self, user: &ShortString) -> Answered<TailPlace> {
        let mut of_users = self.0.lock();
        if of_users.values().sum::<usize>() >= TAILS_MAX {
            return Err(Failure::Unavailable("too many see live what comes in".into()));
        }
        let its = of_users.entry(user.clone()).or_default();
        if *its >= TAILS_OF_USER_MAX {
            return Err(Failure::Unavailable("this user sees live what comes in too many times".into()));
        }
        *its += 1;
        drop(of_users);
        Ok(TailPlace { of_users: self.0.clone(), user: user.clone() })
    }
}

impl Drop for TailPlace {
    fn drop(&mut self) {
        let mut of_users = self.of_users.lock();
        if let Some(count) = of_users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                of_users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_some_places_and_all_users_have_some_more_and_each_comes_back() {
        let tails = Tails::default();
        let user = |number: usize| ShortString::try_from(number.to_string().as_str()).unwrap();
        let mut taken: Vec<_> =
            (0..TAILS_MAX).map(|at| tails.take(&user(at / TAILS_OF_USER_MAX)).unwrap()).collect();
        assert!(matches!(tails.take(&user(99)), Err(Failure::Unavailable(_))), "all are taken");
        taken.truncate(TAILS_OF_USER_MAX);
        assert!(
            matches!(tails.take(&user(0)), Err(Failure::Unavailable(_))),
            "this one has as many as it may"
        );
        assert!(tails.take(&user(99)).is_ok());
        drop(taken);
        assert!(tails.take(&user(0)).is_ok() && tails.0.lock().is_empty());
    }
}

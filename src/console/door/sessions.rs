//! Sessions: who has logged in, by a random number that a cookie holds. They live in memory alone, so a restart ends them.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::limits::{
    CONSOLE_SESSION_AGE_MAX, CONSOLE_SESSION_IDLE_MAX, CONSOLE_SESSIONS_MAX, CONSOLE_SESSIONS_OF_USER_MAX,
};

/// What a cookie holds: 256 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// One that nobody can guess.
    pub fn draw() -> Self {
        Self(rand::random())
    }

    /// As a cookie writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 64 {
            return None;
        }
        let mut id = [0; 32];
        for (octet, pair) in id.iter_mut().zip(bytes.chunks_exact(2)) {
            let digit = |digit: u8| (digit as char).to_digit(16);
            *octet = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Some(Self(id))
    }

    /// See [`Self::parse`].
    pub fn written(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |text, octet| text + &format!("{octet:02x}"))
    }

    /// Its bits.
    pub fn bits(&self) -> &[u8] {
        &self.0
    }
}

struct Session<P> {
    user: String,
    pass: P,
    began: u64,
    used: u64,
}

/// All of them, each with what proves its login. As many as there may be; the one that was used least lately gives way, a user's own first.
pub struct Sessions<P>(Mutex<HashMap<SessionId, Session<P>>>);

impl<P> Default for Sessions<P> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P: Clone> Sessions<P> {
    /// Begins one.
    pub fn begin(&self, id: SessionId, user: &str, pass: P, now: u64) {
        let mut all = self.0.lock();
        all.retain(|_, session| session.lives(now));
        let its = all.values().filter(|session| session.user == user).count();
        if its >= CONSOLE_SESSIONS_OF_USER_MAX {
            remove_oldest(&mut all, |session| session.user == user);
        } else if all.len() >= CONSOLE_SESSIONS_MAX {
            remove_oldest(&mut all, |_| true);
        }
        all.insert(id, Session { user: user.into(), pass, began: now, used: now });
    }

    /// What proves the login of a session that goes on.
    pub fn find(&self, id: &SessionId, now: u64) -> Option<P> {
        let mut all = self.0.lock();
        let session = all.get_mut(id)?;
        if !session.lives(now) {
            all.remove(id);
            return None;
        }
        session.used = now;
        Some(session.pass.clone())
    }

    /// Ends one.
    pub fn end(&self, id: &SessionId) {
        self.0.lock().remove(id);
    }
}

impl<P> Session<P> {
    fn lives(&self, now: u64) -> bool {
        let within =
            |since: u64, span: std::time::Duration| u128::from(now.saturating_sub(since)) < span.as_millis();
        within(self.began, CONSOLE_SESSION_AGE_MAX) && within(self.used, CONSOLE_SESSION_IDLE_MAX)
    }
}

fn remove_oldest<P>(all: &mut HashMap<SessionId, Session<P>>, among: impl Fn(&Session<P>) -> bool) {
    let oldest = all.iter().filter(|(_, session)| among(session)).min_by_key(|(_, session)| session.used);
    if let Some(id) = oldest.map(|(id, _)| *id) {
        all.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: u64 = CONSOLE_SESSION_IDLE_MAX.as_millis() as u64;
    const AGE: u64 = CONSOLE_SESSION_AGE_MAX.as_millis() as u64;

    fn begun(sessions: &Sessions<u32>, user: &str, pass: u32, now: u64) -> SessionId {
        let id = SessionId::draw();
        sessions.begin(id, user, pass, now);
        id
    }

    #[test]
    fn a_session_ends_when_it_rests_too_long_is_too_old_or_is_ended() {
        let sessions = Sessions::default();
        let id = begun(&sessions, "ann", 7, 0);
        assert_eq!(sessions.find(&id, IDLE - 1), Some(7));
        assert_eq!(sessions.find(&id, 2 * IDLE - 2), Some(7), "it was used meanwhile");
        assert_eq!(sessions.find(&id, 3 * IDLE), None);
        assert!(sessions.0.lock().is_empty(), "what has ended takes no memory");
        let id = begun(&sessions, "ann", 7, 0);
        let mut now = 0;
        while now + IDLE / 2 < AGE {
            now += IDLE / 2;
            assert_eq!(sessions.find(&id, now), Some(7), "{now}");
        }
        assert_eq!(sessions.find(&id, AGE), None);
        let id = begun(&sessions, "ann", 7, 0);
        sessions.end(&id);
        assert_eq!(sessions.find(&id, 0), None);
        assert_eq!(sessions.find(&SessionId::draw(), 0), None);
    }

    #[test]
    fn a_users_sessions_and_all_of_them_are_bounded_and_the_one_that_rested_longest_gives_way() {
        let sessions = Sessions::default();
        let other = begun(&sessions, "bob", 0, 0);
        let its: Vec<_> = (1..=CONSOLE_SESSIONS_OF_USER_MAX as u64)
            .map(|at| begun(&sessions, "ann", at as u32, at))
            .collect();
        sessions.find(&its[0], 100);
        let one_more = begun(&sessions, "ann", 99, 101);
        assert_eq!(sessions.find(&its[1], 102), None, "the first was used later");
        for id in [&other, &its[0], &its[2], &one_more] {
            assert!(sessions.find(id, 102).is_some());
        }
        let sessions = Sessions::default();
        let first = begun(&sessions, "first", 1, 0);
        for user in 0..CONSOLE_SESSIONS_MAX {
            begun(&sessions, &format!("user {user}"), 2, 1);
        }
        assert_eq!(sessions.find(&first, 2), None);
        assert_eq!(sessions.0.lock().len(), CONSOLE_SESSIONS_MAX);
    }

    #[test]
    fn a_cookie_holds_the_number_and_nothing_else_is_one() {
        let id = SessionId::draw();
        assert!(SessionId::parse(&id.written()) == Some(id));
        assert_eq!(id.written().len(), 64);
        for wrong in ["", "00", &"g".repeat(64), &"0".repeat(65), &"ü".repeat(32)] {
            assert!(SessionId::parse(wrong).is_none(), "{wrong}");
        }
    }
}

//! When a queue needs attention, and the words for it. Pure: what is known of the queue is given.

use crate::core::clock::Millis;
use crate::limits::{ATTENTION_HELD_MAX, ATTENTION_READY_MIN};
use crate::management::words::{count, counted, rate, span};

/// What is known of a queue.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// When it is.
    pub now: Millis,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that clients hold.
    pub unacked: u64,
    /// How many consume.
    pub consumers: u64,
    /// How many of them hold as much as their prefetch allows.
    pub full_consumers: u64,
    /// When a client last used it.
    pub used_at: Millis,
    /// How it went lately.
    pub rates: Rates,
    /// Since when the oldest message that is held is.
    pub held_since: Option<Millis>,
    /// How its first message died, if it did.
    pub death: Option<Death>,
}

/// What has happened lately.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// In how many milliseconds.
    pub took: Millis,
    /// Messages that came.
    pub came: u64,
    /// Messages that were handed out.
    pub delivered: u64,
    /// Messages that are done with: acknowledged, or handed out without that.
    pub settled: u64,
    /// Messages that were handed out once more.
    pub redelivered: u64,
    /// How many more there are.
    pub grown: i64,
}

/// How a message died.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Death {
    /// Why: AMQP's word.
    pub reason: String,
    /// Where.
    pub queue: String,
    /// When; zero if that is not known.
    pub at: Millis,
}

/// What is wrong with a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// What it is.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// What is to be seen, and why.
    pub words: String,
    /// What a message tells, for who may read the queue: how it died.
    pub story: Option<String>,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages that died elsewhere wait for somebody.
    DeadLetters,
    /// Messages wait, and nobody consumes.
    NoConsumers,
    /// Messages are held, and none is acknowledged.
    Stuck,
    /// The same messages are handed out again and again.
    Redelivered,
    /// More come than are done with.
    Growing,
}

impl Kind {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeadLetters => "dead_letters",
            Self::NoConsumers => "no_consumers",
            Self::Stuck => "stuck",
            Self::Redelivered => "redelivered",
            Self::Growing => "growing",
        }
    }
}

/// How bad it is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It gets worse.
    Bad,
    /// It does not get better.
    Warn,
}

impl Severity {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
        }
    }
}

impl Rates {
    fn per_second(&self, number: u64) -> f64 {
        if self.took == 0 { 0.0 } else { number as f64 * 1_000.0 / self.took as f64 }
    }

    /// How fast it grows; below zero if it shrinks.
    fn growth(&self) -> f64 {
        let size = self.per_second(self.grown.unsigned_abs());
        if self.grown < 0 { -size } else { size }
    }
}

impl Look {
    /// Whether it is worth a closer look.
    pub fn may_stand_out(&self) -> bool {
        let Rates { settled, redelivered, grown, .. } = self.rates;
        (self.consumers == 0 && self.ready > 0)
            || (self.unacked > 0 && settled == 0)
            || redelivered > 0
            || grown > 0
    }

    /// The worst that is wrong with it.
    pub fn concern(&self) -> Option<Concern> {
        self.unconsumed().or_else(|| self.redelivered()).or_else(|| self.stuck()).or_else(|| self.growing())
    }

    /// Nobody consumes: of dead letters that is usual, and their number tells that something is wrong elsewhere.
    fn unconsumed(&self) -> Option<Concern> {
        if self.consumers > 0 || self.ready == 0 || self.rates.delivered > 0 {
            return None;
        }
        let coming = if self.rates.came > 0 {
            format!(", and {} come in", rate(self.rates.per_second(self.rates.came)))
        } else {
            String::new()
        };
        let Some(death) = &self.death else {
            let unused = span(self.now.saturating_sub(self.used_at));
            let since =
                if coming.is_empty() { format!("; it was last used {unused} ago") } else { String::new() };
            let wait = if self.ready == 1 { "waits" } else { "wait" };
            return Some(Concern {
                kind: Kind::NoConsumers,
                severity: if coming.is_empty() { Severity::Warn } else { Severity::Bad },
                words: format!(
                    "{} {wait} and nobody consumes{coming}{since}.",
                    counted(self.ready, "message")
                ),
                story: None,
            });
        };
        let ago = if death.at == 0 {
            String::new()
        } else {
            format!(" {} ago", span(self.now.saturating_sub(death.at)))
        };
        Some(Concern {
            kind: Kind::DeadLetters,
            severity: if coming.is_empty() { Severity::Warn } else { Severity::Bad },
            words: format!(
                "{} for somebody to look at{coming}.",
                if self.ready == 1 {
                    "1 dead letter waits".into()
                } else {
                    format!("{} dead letters wait", count(self.ready))
                },
            ),
            story: Some(format!("The first one {} in queue {}{ago}.", died(&death.reason), death.queue)),
        })
    }

    /// The same messages come again: whoever takes them gives them back.
    fn redelivered(&self) -> Option<Concern> {
        let Rates { redelivered, settled, delivered, .. } = self.rates;
        if redelivered < 10 || redelivered <= settled || redelivered * 2 < delivered {
            return None;
        }
        let (again, done) = (rate(self.rates.per_second(redelivered)), rate(self.rates.per_second(settled)));
        Some(Concern {
            kind: Kind::Redelivered,
            severity: Severity::Bad,
            words: format!(
                "The same messages come again and again: {again} are delivered once more, {done} are acknowledged. Its consumers give them back."
            ),
            story: None,
        })
    }

    /// Messages are held for long, and none is acknowledged.
    fn stuck(&self) -> Option<Concern> {
        let held_for = self.now.saturating_sub(self.held_since?);
        if self.unacked == 0 || self.rates.settled > 0 || held_for < ATTENTION_HELD_MAX.as_millis() as Millis
        {
            return None;
        }
        let behind = if self.ready > 0 {
            format!(", and {} wait behind them", count(self.ready))
        } else {
            String::new()
        };
        Some(Concern {
            kind: Kind::Stuck,
            severity: if self.ready > 0 { Severity::Bad } else { Severity::Warn },
            words: format!(
                "No acknowledgement: {} held, the oldest for {}{behind}.{}",
                if self.unacked == 1 {
                    "1 message is".into()
                } else {
                    format!("{} messages are", count(self.unacked))
                },
                span(held_for),
                self.consumers_full(),
            ),
            story: None,
        })
    }

    /// More come than are done with.
    fn growing(&self) -> Option<Concern> {
        if self.ready < ATTENTION_READY_MIN || self.rates.growth() < 1.0 || self.consumers == 0 {
            return None;
        }
        let (came, settled) =
            (self.rates.per_second(self.rates.came), self.rates.per_second(self.rates.settled));
        let why = match self.consumers_full() {
            full if !full.is_empty() => full,
            _ => format!(" Its {} not take messages as fast as they come.", do_not(self.consumers)),
        };
        Some(Concern {
            kind: Kind::Growing,
            severity: if came > 2.0 * settled { Severity::Bad } else { Severity::Warn },
            words: format!(
                "Grows by {}: {} come in, {} are done with.{why}",
                rate(self.rates.growth()),
                rate(came),
                rate(settled)
            ),
            story: None,
        })
    }

    /// Why consumers do not take more, if that is why.
    fn consumers_full(&self) -> String {
        if self.consumers == 0 || self.full_consumers < self.consumers {
            return String::new();
        }
        match self.consumers {
            1 => " Its consumer holds as much as its prefetch allows.".into(),
            more => format!(" All of its {} consumers hold as much as their prefetch allows.", count(more)),
        }
    }
}

fn do_not(consumers: u64) -> String {
    if consumers == 1 { "consumer does".into() } else { format!("{} consumers do", count(consumers)) }
}

fn died(reason: &str) -> String {
    match reason {
        "rejected" => "was rejected".into(),
        "expired" => "had waited too long".into(),
        "maxlen" => "had to make room".into(),
        "delivery_limit" => "had come back too often".into(),
        other => format!("died ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 10_000_000;

    fn look(ready: u64, unacked: u64, consumers: u64) -> Look {
        Look { now: NOW, ready, unacked, consumers, used_at: NOW - 300_000, ..Look::default() }
    }

    fn went(took: Millis, came: u64, settled: u64, grown: i64) -> Rates {
        Rates { took, came, settled, grown, delivered: settled, ..Rates::default() }
    }

    fn told(look: &Look) -> Option<(Kind, Severity, String)> {
        look.concern().map(|concern| (concern.kind, concern.severity, concern.words))
    }

    #[test]
    fn messages_that_nobody_consumes_need_attention_the_more_when_more_come() {
        let words = "5 messages wait and nobody consumes; it was last used 5 min ago.";
        assert_eq!(told(&look(5, 0, 0)), Some((Kind::NoConsumers, Severity::Warn, words.into())));
        let growing = Look { rates: went(60_000, 600, 0, 600), ..look(1, 0, 0) };
        let words = "1 message waits and nobody consumes, and 10/s come in.";
        assert_eq!(told(&growing), Some((Kind::NoConsumers, Severity::Bad, words.into())));
        let got = Look { rates: Rates { delivered: 3, ..went(60_000, 5, 3, 2) }, ..look(5, 0, 0) };
        assert_eq!(told(&got), None, "somebody gets them one by one");
    }

    #[test]
    fn dead_letters_tell_how_the_first_of_them_died() {
        let death = Some(Death { reason: "rejected".into(), queue: "work".into(), at: NOW - 120_000 });
        let dead = Look { death, ..look(1_204, 0, 0) };
        let words = "1,204 dead letters wait for somebody to look at.";
        assert_eq!(told(&dead), Some((Kind::DeadLetters, Severity::Warn, words.into())));
        let story = dead.concern().and_then(|concern| concern.story);
        assert_eq!(story.as_deref(), Some("The first one was rejected in queue work 2 min ago."));
        let fills = Look { rates: went(10_000, 30, 0, 30), ..dead };
        assert_eq!(told(&fills).map(|(_, severity, _)| severity), Some(Severity::Bad));
    }

    #[test]
    fn what_is_held_long_without_an_acknowledgement_is_stuck() {
        let held = Look { held_since: Some(NOW - 420_000), full_consumers: 1, ..look(300, 10, 1) };
        let words = "No acknowledgement: 10 messages are held, the oldest for 7 min, and 300 wait behind them. Its consumer holds as much as its \
                     prefetch allows.";
        assert_eq!(told(&held), Some((Kind::Stuck, Severity::Bad, words.into())));
        let alone = Look { held_since: Some(NOW - 60_000), ..look(0, 1, 2) };
        assert_eq!(told(&alone).map(|(_, severity, _)| severity), Some(Severity::Warn));
        assert_eq!(told(&Look { held_since: Some(NOW - 59_999), ..alone.clone() }), None, "not long");
        assert_eq!(told(&Look { rates: went(60_000, 0, 1, -1), ..alone }), None, "one was acknowledged");
    }

    #[test]
    fn messages_that_come_back_again_and_again_are_told() {
        let rates = Rates { took: 10_000, came: 1, delivered: 400, settled: 0, redelivered: 400, grown: 0 };
        let again = Look { rates, ..look(3, 1, 1) };
        assert_eq!(
            told(&again).map(|(kind, severity, _)| (kind, severity)),
            Some((Kind::Redelivered, Severity::Bad))
        );
        let seldom = Look { rates: Rates { delivered: 4_000, settled: 3_600, ..rates }, ..look(3, 1, 1) };
        assert_eq!(told(&seldom), None);
    }

    #[test]
    fn a_queue_grows_if_more_comes_than_is_done_with_and_it_is_deep() {
        let grows =
            Look { rates: went(60_000, 30_000, 6_000, 24_000), full_consumers: 3, ..look(24_000, 30, 3) };
        let words = "Grows by 400/s: 500/s come in, 100/s are done with. All of its 3 consumers hold as much as their prefetch allows.";
        assert_eq!(told(&grows), Some((Kind::Growing, Severity::Bad, words.into())));
        let slower = Look { rates: went(60_000, 30_000, 20_000, 10_000), full_consumers: 0, ..grows.clone() };
        let (_, severity, words) = told(&slower).unwrap();
        assert_eq!(severity, Severity::Warn);
        assert!(words.ends_with("Its 3 consumers do not take messages as fast as they come."), "{words}");
        for calm in [
            Look { ready: ATTENTION_READY_MIN - 1, ..grows.clone() },
            Look { rates: went(60_000, 100, 100, 59), ..grows.clone() },
            Look { rates: went(60_000, 100, 200, -100), ..grows.clone() },
            look(1_000_000, 10, 1),
        ] {
            assert_eq!(told(&calm), None, "{calm:?}");
        }
    }

    #[test]
    fn whatever_needs_attention_was_worth_a_look() {
        let numbers = [0, 1, 200];
        for ready in numbers {
            for unacked in numbers {
                for consumers in numbers {
                    for (came, settled, redelivered, grown) in
                        [(0, 0, 0, 0), (90, 0, 0, 90), (90, 50, 80, 40), (0, 9, 0, -9)]
                    {
                        let rates = Rates {
                            took: 10_000,
                            came,
                            delivered: settled + redelivered,
                            settled,
                            redelivered,
                            grown,
                        };
                        let look = Look { rates, held_since: Some(0), ..look(ready, unacked, consumers) };
                        assert!(look.concern().is_none() || look.may_stand_out(), "{look:?}");
                    }
                }
            }
        }
    }
}

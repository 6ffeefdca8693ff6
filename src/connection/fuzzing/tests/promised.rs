//! No answer before what it promises: every kind of exchange, way of deduplication, order of messages in a read and order of
//! commits, judged by what the journal was given and not by what the session thinks of it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::core::{
    change::{Change, Changes},
    commit::{Commit, Done, Waiter},
    dedup::{X_DEDUPLICATION_HEADER, X_MESSAGE_DEDUPLICATION},
    journal::Journal,
    outgoing::Outgoing,
    routing::ExchangeKind,
};
use crate::protocol::{Properties, confirm};

/// A journal whose commits become complete one by one, when the test says so and in any order.
#[derive(Default)]
struct Held(Mutex<Ledger>);

#[derive(Default)]
struct Ledger {
    last: u64,
    held_back: BTreeSet<u64>,
    waiting: Vec<(Commit, Arc<dyn Waiter>)>,
    /// By its body, the commits that a message is part of.
    parts: BTreeMap<Vec<u8>, BTreeSet<u64>>,
}

impl Ledger {
    fn done(&self) -> Done {
        let held_back: Vec<Commit> = self.held_back.iter().copied().map(Commit).collect();
        Done::except(Commit(self.last), &held_back)
    }
}

impl Held {
    fn open_commits(&self) -> Vec<u64> {
        self.0.lock().held_back.iter().copied().collect()
    }

    fn complete(&self, commit: u64) {
        let mut ledger = self.0.lock();
        assert!(ledger.held_back.remove(&commit));
        let done = ledger.done();
        let (due, waiting) = std::mem::take(&mut ledger.waiting).into_iter().partition(|it| it.0.0 == commit);
        ledger.waiting = waiting;
        drop(ledger);
        let due: Vec<(Commit, Arc<dyn Waiter>)> = due;
        for (_, waiter) in due {
            waiter.committed(&done, &mut Outgoing::default());
        }
    }

    fn complete_all(&self) {
        self.open_commits().into_iter().for_each(|commit| self.complete(commit));
    }

    /// The commits that messages are part of.
    fn commits_of(&self, sent: &[Sent]) -> BTreeSet<u64> {
        let ledger = self.0.lock();
        sent.iter().filter_map(|sent| ledger.parts.get(&sent.body)).flatten().copied().collect()
    }

    /// Whether a message was given to the journal, and whether some of that is not complete.
    fn journaled(&self, body: &[u8]) -> (bool, bool) {
        let ledger = self.0.lock();
        let parts = ledger.parts.get(body);
        (parts.is_some(), parts.is_some_and(|parts| !parts.is_disjoint(&ledger.held_back)))
    }
}

impl Journal for Held {
    fn append(&self, changes: &mut Changes, _atomic: bool) -> Commit {
        if changes.is_empty() {
            return Commit::default();
        }
        let mut ledger = self.0.lock();
        ledger.last += 1;
        let commit = ledger.last;
        ledger.held_back.insert(commit);
        for change in changes.drain(..) {
            if let Change::Publish { message, .. } = change {
                ledger.parts.entry(message.view().body()).or_default().insert(commit);
            }
        }
        Commit(commit)
    }

    fn notify(&self, commit: Commit, waiter: Arc<dyn Waiter>) {
        let mut ledger = self.0.lock();
        let done = ledger.done();
        if !done.contains(commit) {
            return ledger.waiting.push((commit, waiter));
        }
        drop(ledger);
        waiter.committed(&done, &mut Outgoing::default());
    }

    fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dedup {
    Nowhere,
    Exchange,
    Queues,
    OneQueue,
}

/// What a second queue is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Missing,
    Plain,
    /// It has room for one message and refuses the others.
    Refusing,
}

#[derive(Debug, Clone, Copy)]
struct Scene {
    kind: ExchangeKind,
    /// The exchange has no binding, and the queues are bound to its alternate.
    alternate: bool,
    delayed: bool,
    dedup: Dedup,
    second: Second,
    transaction: bool,
    /// A letter for each message of the read: `P` and `T` are persistent and transient without a key; `k` and `u` with a new
    /// one; `d` and `D` duplicates of what another client published before; `s` of the one before it in the read.
    read: &'static str,
}

/// A message of the read.
#[derive(Clone)]
struct Sent {
    body: Vec<u8>,
    persistent: bool,
    key: Option<Vec<u8>>,
    /// Those with the same key that came before it, by body, and whether each was persistent.
    before: Vec<(Vec<u8>, bool)>,
}

/// A debug build takes one of so many reads for each scene, another one for the next.
const READS_STEP: usize = if cfg!(debug_assertions) { 4 } else { 1 };
const LETTERS: [char; 7] = ['P', 'T', 'k', 'u', 'd', 'D', 's'];
const LONGER: [&str; 10] = ["PTP", "TPT", "PPT", "kuk", "uku", "dPT", "TPd", "kTs", "ksd", "PkTudDs"];

impl Scene {
    fn declare(&self, client: &mut Client) {
        let once = |on: bool| {
            let arguments = FieldTable::new();
            if on { arguments.with(X_MESSAGE_DEDUPLICATION, true) } else { arguments }
        };
        let mut arguments = once(self.dedup == Dedup::Exchange);
        if self.kind == ExchangeKind::DelayedMessage {
            arguments = arguments.with("x-delayed-type", "fanout");
        }
        if self.alternate {
            arguments = arguments.with("alternate-exchange", "a");
        }
        for (name, kind, arguments) in
            [("a", ExchangeKind::Fanout, FieldTable::new()), ("x", self.kind, arguments)]
        {
            let (exchange, type_) = (ShortString::from_static(name), ShortString::from_static(kind.name()));
            let durable = true;
            client.send(
                1,
                &exchange::Declare { exchange, type_, durable, arguments, ..exchange::Declare::default() },
            );
        }
        self.declare_queue(client, "q", once(matches!(self.dedup, Dedup::Queues | Dedup::OneQueue)));
        let second = once(self.dedup == Dedup::Queues);
        match self.second {
            Second::Missing => {}
            Second::Plain => self.declare_queue(client, "r", second),
            Second::Refusing => {
                let second = second.with("x-max-length", 1).with("x-overflow", "reject-publish");
                self.declare_queue(client, "r", second);
            }
        }
    }

    fn declare_queue(&self, client: &mut Client, name: &'static str, arguments: FieldTable) {
        client.declare(name, queue::Declare { durable: true, arguments, ..queue::Declare::default() });
        let key = match self.kind {
            ExchangeKind::ConsistentHash => "1",
            ExchangeKind::LocalRandom => "",
            ExchangeKind::Topic => "#",
            _ => "k",
        };
        client.send(
            1,
            &queue::Bind {
                queue: ShortString::from_static(name),
                exchange: ShortString::from_static(if self.alternate { "a" } else { "x" }),
                routing_key: ShortString::from_static(key),
                ..queue::Bind::default()
            },
        );
    }

    fn write(&self, body: &[u8], key: Option<&[u8]>, persistent: bool, out: &mut Vec<u8>) {
        let mut headers = FieldTable::new();
        if let Some(key) = key {
            headers = headers.with(X_DEDUPLICATION_HEADER, std::str::from_utf8(key).unwrap());
        }
        if self.delayed {
            headers = headers.with("x-delay", 3_600_000);
        }
        let headers = Some(headers).filter(|headers| !headers.is_empty());
        let delivery_mode = Some(if persistent { 2 } else { 1 });
        let mut properties = Vec::new();
        Properties { headers, delivery_mode, ..Properties::default() }.encode(&mut properties);
        let (exchange, routing_key) = (ShortString::from_static("x"), ShortString::from_static("k"));
        frame::write_method(out, 1, &basic::Publish { exchange, routing_key, ..basic::Publish::default() });
        frame::write_header(out, 1, basic::CLASS_ID, body.len() as u64, &properties);
        frame::write_bodies(out, 1, body, 4_096);
    }

    /// Whether an answer to this one should not have come yet.
    fn is_early(&self, sent: &Sent, journal: &Held) -> bool {
        let Sent { body, persistent, before, .. } = sent;
        let (journaled, waits) = journal.journaled(body);
        let Some((first, _)) = before.first().filter(|_| self.dedup != Dedup::Nowhere) else {
            assert!(journaled || !persistent, "{self:?} {}", String::from_utf8_lossy(body));
            return waits;
        };
        let safe_with = |(body, persistent): &(Vec<u8>, bool)| !persistent || journal.journaled(body).0;
        assert!(journaled || !persistent || before.iter().any(safe_with), "{self:?}");
        let any_queue = matches!(
            self.kind,
            ExchangeKind::ConsistentHash
                | ExchangeKind::ModulusHash
                | ExchangeKind::Random
                | ExchangeKind::LocalRandom
        );
        if self.dedup == Dedup::Exchange || self.alternate || !any_queue {
            return waits || journal.journaled(first).1;
        }
        // Each message goes to one queue, which may have seen any of them.
        let is_duplicate = *persistent && !journaled;
        waits || is_duplicate && before.iter().all(|(body, _)| journal.journaled(body).1)
    }

    /// The bytes of the read, and what is in it.
    fn read(&self, first: &[u8]) -> (Vec<u8>, Vec<Sent>) {
        let (mut bytes, mut sent) = (Vec::new(), Vec::<Sent>::new());
        for (index, letter) in self.read.chars().enumerate() {
            let body = [first, format!(" {letter}{index}").as_bytes()].concat();
            let key = match letter {
                'P' | 'T' => None,
                'd' | 'D' => Some(first.to_vec()),
                's' => sent.last().and_then(|before| before.key.clone()).or_else(|| Some(body.clone())),
                _ => Some(body.clone()),
            };
            let persistent = !matches!(letter, 'T' | 'u' | 'D');
            self.write(&body, key.as_deref(), persistent, &mut bytes);
            let of_other = key.as_deref().filter(|key| *key == first).map(|key| (key.to_vec(), true));
            let same = sent.iter().filter(|before| before.key.is_some() && before.key == key);
            let same = same.map(|before| (before.body.clone(), before.persistent));
            let before = of_other.into_iter().chain(same).collect();
            sent.push(Sent { body, persistent, key, before });
        }
        if self.transaction {
            frame::write_method(&mut bytes, 1, &tx::Commit {});
        }
        (bytes, sent)
    }

    /// On a host where it is declared; gives how many answers came early.
    fn run(&self, host: &TestHost, journal: &Held, turn: usize) -> usize {
        let (mut before, mut client) = (opened(host), opened(host));
        if self.transaction {
            client.send(1, &tx::Select {});
        } else {
            client.send(1, &confirm::Select { no_wait: true });
        }
        for name in ["q", "r"].into_iter().take(if self.second == Second::Missing { 1 } else { 2 }) {
            client.send(1, &queue::Purge { queue: ShortString::from_static(name), no_wait: true });
        }
        journal.complete_all();
        while !client.drain().is_empty() {}
        let (first, mut bytes) = (turn.to_string().into_bytes(), Vec::new());
        self.write(&first, Some(&first), true, &mut bytes);
        assert!(before.feed(&bytes));

        let (bytes, sent) = self.read(&first);
        assert!(client.feed(&bytes));
        let commits = journal.commits_of(&sent);
        assert!(!self.transaction || commits.len() <= 1, "{self:?}: a transaction is whole or not at all");
        let mut answered = Answered::default();
        let mut early = answered.take(&mut client, &sent, |sent| self.is_early(sent, journal));
        let mut commits = journal.open_commits();
        if turn.is_multiple_of(2) {
            commits.reverse();
        } else {
            commits.rotate_left(1);
        }
        for commit in commits {
            journal.complete(commit);
            early += answered.take(&mut client, &sent, |sent| self.is_early(sent, journal));
        }
        assert!(answered.is_whole(&sent, self.transaction), "{self:?}: {answered:?}");
        client.leave();
        before.leave();
        early
    }
}

/// What the client has heard.
#[derive(Debug, Default)]
struct Answered {
    acked: BTreeSet<u64>,
    nacked: BTreeSet<u64>,
    committed: bool,
    closed: bool,
}

impl Answered {
    /// Reads what came; gives how much of it should not have come yet.
    fn take(&mut self, client: &mut Client, sent: &[Sent], is_early: impl Fn(&Sent) -> bool) -> usize {
        let mut promised = Vec::new();
        for method in client.methods() {
            match method {
                Method::BasicAck(ack) => promised.extend(self.note(ack.delivery_tag, ack.multiple, false)),
                Method::BasicNack(nack) => drop(self.note(nack.delivery_tag, nack.multiple, true)),
                Method::TxCommitOk(_) => {
                    self.committed = true;
                    promised.extend(1..=sent.len() as u64);
                }
                Method::ChannelClose(close) => {
                    assert_eq!(close.reply_code, 406);
                    self.closed = true;
                }
                other => panic!("{other:?}"),
            }
        }
        promised.iter().filter(|number| is_early(&sent[**number as usize - 1])).count()
    }

    fn note(&mut self, last: u64, multiple: bool, refused: bool) -> Vec<u64> {
        let first = if multiple { 1 } else { last };
        let open = |number: &u64| !self.acked.contains(number) && !self.nacked.contains(number);
        let numbers: Vec<u64> = (first..=last).filter(open).collect();
        assert!(numbers.contains(&last), "{last} is answered twice");
        let whose = if refused { &mut self.nacked } else { &mut self.acked };
        whose.extend(&numbers);
        numbers
    }

    fn is_whole(&self, sent: &[Sent], transaction: bool) -> bool {
        if transaction {
            return self.committed != self.closed;
        }
        self.acked.len() + self.nacked.len() == sent.len()
    }
}

fn reads() -> Vec<&'static str> {
    let ones = LETTERS.iter().map(char::to_string);
    let twos = LETTERS.iter().flat_map(|one| LETTERS.iter().map(move |other| format!("{one}{other}")));
    let all = ones.chain(twos).map(|read| &*read.leak());
    all.chain(LONGER).collect()
}

/// All that is declared before a read, in each combination.
fn scenes() -> Vec<Scene> {
    let kinds = ExchangeKind::ALL.into_iter().map(|kind| (kind, false));
    let mut scenes = Vec::new();
    for (kind, delayed) in kinds.chain([(ExchangeKind::DelayedMessage, true)]) {
        for (alternate, transaction) in [(false, false), (false, true), (true, false), (true, true)] {
            for dedup in [Dedup::Nowhere, Dedup::Exchange, Dedup::Queues, Dedup::OneQueue] {
                for second in [Second::Missing, Second::Plain, Second::Refusing] {
                    scenes.push(Scene { kind, alternate, delayed, dedup, second, transaction, read: "" });
                }
            }
        }
    }
    scenes
}

#[test]
fn no_answer_comes_before_the_last_commit_of_what_it_promises() {
    let (mut combinations, mut early) = (0, 0);
    for (number, scene) in scenes().into_iter().enumerate() {
        let journal = Arc::new(Held::default());
        let host = host_on(journal.clone());
        let mut client = opened(&host);
        scene.declare(&mut client);
        journal.complete_all();
        let reads = reads().into_iter().enumerate();
        for (turn, read) in reads.skip(number % READS_STEP).step_by(READS_STEP) {
            let scene = Scene { read, ..scene };
            let its = scene.run(&host, &journal, turn);
            assert_eq!(its, 0, "{scene:?}");
            combinations += 1;
            early += its;
        }
        client.leave();
    }
    println!("combinations: {combinations}, early answers: {early}");
}

//! Turns of newcomers, clients that have not logged in: whoever has does not stand behind a thousand of them.
//!
//! A worker thread runs its tasks in the order in which they became ready. When very many newcomers say something at once, a
//! client's task would wait behind all of theirs, TLS handshakes included. So a newcomer's task does nothing before it is called. Each
//! millisecond so many are called, first come first served, as have time in it: together half of the processors'. That is in time
//! and not in tasks, so they are let in at the same pace while all workers are busy with clients.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::limits::{NEWCOMERS_PAUSE, NEWCOMERS_PROCESSORS_PERCENT};

/// Calls newcomers. One for all listeners.
pub(super) struct Newcomers {
    line: Mutex<Line>,
    /// Somebody waits who has to be called.
    waited: Notify,
}

/// Who waits to be called, and how much time there is for them. Times are nanoseconds of one processor.
struct Line {
    /// What they may take now; below zero if they have taken more.
    left: i64,
    /// At most.
    left_max: i64,
    /// Comes in for each hundred that pass.
    percent: i64,
    filled: Instant,
    /// What one call takes: as much as any has of late.
    each: i64,
    /// Those with lower numbers have been called.
    called_below: u64,
    /// `None` has gone.
    waiting: VecDeque<Option<Waker>>,
}

impl Newcomers {
    /// Nobody yet, on so many processors.
    fn on(processors: usize) -> Self {
        let percent = processors as i64 * NEWCOMERS_PROCESSORS_PERCENT;
        let left_max = NEWCOMERS_PAUSE.as_nanos() as i64 * percent / 100;
        let line = Line {
            left: left_max,
            left_max,
            percent,
            filled: Instant::now(),
            each: CALL_MIN,
            called_below: 0,
            waiting: VecDeque::new(),
        };
        Self { line: Mutex::new(line), waited: Notify::new() }
    }

    /// Does a newcomer's work, each time that it is called.
    pub(super) fn in_turn<F: Future + Unpin>(&self, work: F) -> InTurn<'_, F> {
        InTurn { newcomers: self, number: None, work }
    }

    /// Calls those who wait, for ever. Not to be run where clients are served: it must not wait itself. If several do this, that is the
    /// same.
    pub(super) async fn call(&self) -> Infallible {
        loop {
            self.waited.notified().await;
            loop {
                sleep(NEWCOMERS_PAUSE).await;
                if !self.call_some() {
                    break;
                }
            }
        }
    }

    /// Calls as many as there is time for. Whether others wait.
    fn call_some(&self) -> bool {
        let mut line = self.line.lock();
        let called = line.next();
        let others_wait = !line.waiting.is_empty();
        drop(line);
        called.into_iter().for_each(Waker::wake);
        others_wait
    }

    /// Whether a newcomer may go on, who waits with this number or does not wait yet.
    fn is_called(&self, number: &mut Option<u64>, waker: &Waker) -> bool {
        let mut line = self.line.lock();
        if let Some(waits) = *number {
            let Some(at) = waits.checked_sub(line.called_below) else {
                *number = None;
                return true;
            };
            line.waiting[at as usize] = Some(waker.clone());
            return false;
        }
        line.fill();
        if line.waiting.is_empty() && line.left > 0 {
            line.left -= line.each;
            return true;
        }
        *number = Some(line.called_below + line.waiting.len() as u64);
        line.waiting.push_back(Some(waker.clone()));
        drop(line);
        self.waited.notify_one();
        false
    }

    /// Who waits with this number has gone.
    fn leave(&self, number: u64) {
        let mut line = self.line.lock();
        if let Some(at) = number.checked_sub(line.called_below) {
            line.waiting[at as usize] = None;
        }
    }

    /// A call has taken so much of a processor.
    fn took(&self, time: Duration) {
        let time = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let mut line = self.line.lock();
        line.left += line.each - time;
        // Too few of them are called rather than too many: a handshake of TLS takes a hundred times what an octet takes.
        line.each = if time > line.each { time } else { line.each - (line.each - time) / 16 }.max(CALL_MIN);
    }
}

impl Default for Newcomers {
    fn default() -> Self {
        Self::on(thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Line {
    /// Time has passed.
    fn fill(&mut self) {
        let now = Instant::now();
        let passed = i64::try_from((now - self.filled).as_nanos()).unwrap_or(i64::MAX);
        self.filled = now;
        self.left = self.left.saturating_add(passed.saturating_mul(self.percent) / 100).min(self.left_max);
    }

    /// Those who are called now.
    fn next(&mut self) -> Vec<Waker> {
        self.fill();
        let mut called = Vec::new();
        while self.left > 0
            && let Some(waker) = self.waiting.pop_front()
        {
            self.called_below += 1;
            if let Some(waker) = waker {
                self.left -= self.each;
                called.push(waker);
            }
        }
        called
    }
}

/// What a newcomer does; see [`Newcomers::in_turn`].
pub(super) struct InTurn<'a, F> {
    newcomers: &'a Newcomers,
    /// Its number in the line, while it waits there.
    number: Option<u64>,
    work: F,
}

impl<F: Future + Unpin> Future for InTurn<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { newcomers, number, work } = &mut *self;
        if !newcomers.is_called(number, context.waker()) {
            return Poll::Pending;
        }
        let began = processor_time();
        let polled = Pin::new(work).poll(context);
        newcomers.took(processor_time().saturating_sub(began));
        polled
    }
}

impl<F> Drop for InTurn<'_, F> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.newcomers.leave(number);
        }
    }
}

/// What this thread has had of a processor. Not the time that has passed: what the machine does meanwhile is not a newcomer's doing.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("no thread has had less than nothing")
}

/// Nanoseconds that a call is thought to take at least.
const CALL_MIN: i64 = 2_000;

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use futures_lite::future::poll_once;
    use tokio::time::advance;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A newcomer as the line sees it.
    struct Comer {
        number: Option<u64>,
        woken: Arc<Woken>,
    }

    impl Comer {
        fn new() -> Self {
            Self { number: None, woken: Arc::default() }
        }

        /// Whether it may go on.
        fn asks(&mut self, newcomers: &Newcomers) -> bool {
            newcomers.is_called(&mut self.number, &self.woken.clone().into())
        }

        fn is_woken(&self) -> bool {
            self.woken.0.load(Ordering::Relaxed) > 0
        }
    }

    /// What each call takes.
    const CALL: Duration = Duration::from_micros(100);

    /// On two processors, which have a millisecond in each. All of that has been taken, and each call is known to take [`CALL`].
    fn exhausted() -> Newcomers {
        let newcomers = Newcomers::on(2);
        for _ in 0..10 {
            assert!(Comer::new().asks(&newcomers), "there is time at the beginning");
            newcomers.took(CALL);
        }
        newcomers
    }

    fn comers(count: usize, newcomers: &Newcomers) -> Vec<Comer> {
        let mut comers: Vec<Comer> = (0..count).map(|_| Comer::new()).collect();
        assert!(comers.iter_mut().all(|comer| !comer.asks(newcomers)));
        comers
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_the_time_is_used_up_is_called_in_order_as_there_is_more() {
        let newcomers = exhausted();
        let mut comers = comers(101, &newcomers);
        for ms in 1..=10 {
            advance(Duration::from_millis(1)).await;
            assert!(newcomers.call_some());
            for comer in &mut comers[10 * (ms - 1)..10 * ms] {
                assert!(comer.is_woken() && comer.asks(&newcomers));
                newcomers.took(CALL);
            }
            assert!(comers[10 * ms..].iter().all(|comer| !comer.is_woken()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_called_as_often_while_none_of_them_gets_its_turn() {
        let newcomers = exhausted();
        let comers = comers(100, &newcomers);
        for ms in 1..=10 {
            advance(Duration::from_millis(1)).await;
            assert_eq!(newcomers.call_some(), ms < 10);
            assert_eq!(comers.iter().filter(|comer| comer.is_woken()).count(), 10 * ms);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_long_has_fewer_called_for_a_while() {
        let newcomers = exhausted();
        let mut comers = comers(100, &newcomers);
        advance(Duration::from_millis(1)).await;
        newcomers.call_some();
        for (at, comer) in comers[..10].iter_mut().enumerate() {
            assert!(comer.asks(&newcomers));
            newcomers.took(if at == 9 { 10 * CALL } else { CALL });
        }
        // Each is thought to take as long.
        for woken in [11, 12] {
            advance(Duration::from_millis(1)).await;
            newcomers.call_some();
            assert_eq!(comers.iter().filter(|comer| comer.is_woken()).count(), woken);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_gone_takes_no_turn() {
        let newcomers = exhausted();
        let mut gone: Vec<_> = (0..1_000).map(|_| newcomers.in_turn(Box::pin(pending::<()>()))).collect();
        for comer in &mut gone {
            assert!(poll_once(comer).await.is_none());
        }
        let mut last = Comer::new();
        assert!(!last.asks(&newcomers));
        drop(gone);
        advance(Duration::from_millis(1)).await;
        assert!(!newcomers.call_some() && last.is_woken() && last.asks(&newcomers));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_rest_there_is_no_more_time_than_for_one_millisecond() {
        let newcomers = exhausted();
        advance(Duration::from_hours(1)).await;
        let mut at_once = 0;
        while Comer::new().asks(&newcomers) {
            newcomers.took(CALL);
            at_once += 1;
        }
        assert_eq!(at_once, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_from_call_to_call_until_it_is_done() {
        let newcomers = Arc::new(exhausted());
        let calling = tokio::spawn({
            let newcomers = newcomers.clone();
            async move { newcomers.call().await }
        });
        let mut polls = 0;
        let work = poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls < 100 { Poll::Pending } else { Poll::Ready(7) }
        });
        assert_eq!(newcomers.in_turn(work).await, 7);
        calling.abort();
    }
}

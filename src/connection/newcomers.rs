//! Turns of newcomers, clients that have not logged in: whoever has does not stand behind a thousand of them.
//!
//! A worker thread runs its tasks in the order in which they became ready. When very many newcomers say something at once, a
//! client's task would wait behind all of theirs, TLS handshakes included. So a newcomer's task does nothing before it is called, and
//! they are called, first come first served, for as much time as they may take: together half of the processors'. It is
//! counted in time and not in tasks, so they are let in at the same pace while all workers are busy with clients.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::limits::{NEWCOMERS_AT_ONCE, NEWCOMERS_PROCESSORS_PERCENT};

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
    /// What one call takes, as it has turned out of late.
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
        let left_max = NEWCOMERS_AT_ONCE.as_nanos() as i64 * percent / 100;
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

    /// Calls those who wait, for ever. Not to be run where clients are served: it must not wait itself. If several do this, that is the same.
    pub(super) async fn call(&self) -> Infallible {
        loop {
            self.waited.notified().await;
            loop {
                sleep(NEWCOMERS_AT_ONCE).await;
                let (called, nobody_waits) = self.line.lock().next();
                called.into_iter().for_each(Waker::wake);
                if nobody_waits {
                    break;
                }
            }
        }
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

    /// A call has taken so long.
    fn took(&self, time: Duration) {
        let time = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).min(CALL_MAX);
        let mut line = self.line.lock();
        line.left += line.each - time;
        line.each = (line.each + (time - line.each) / 8).max(CALL_MIN);
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

    /// Those who are called now, and whether nobody else waits.
    fn next(&mut self) -> (Vec<Waker>, bool) {
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
        (called, self.waiting.is_empty())
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
        let began = Instant::now();
        let polled = Pin::new(work).poll(context);
        newcomers.took(began.elapsed());
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

/// Nanoseconds that a call is thought to take at least,
const CALL_MIN: i64 = 2_000;
/// and that are counted at most: a machine that has stood still is nobody's doing.
const CALL_MAX: i64 = 10_000_000;

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        pin::pin,
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

    /// On two processors, which have just given out all that there was.
    fn exhausted() -> Newcomers {
        let newcomers = Newcomers::on(2);
        let mut first = Comer::new();
        assert!(first.asks(&newcomers), "there is time at the beginning");
        newcomers.took(NEWCOMERS_AT_ONCE);
        newcomers
    }

    fn call(newcomers: &Newcomers) -> bool {
        let (called, nobody_waits) = newcomers.line.lock().next();
        called.into_iter().for_each(Waker::wake);
        nobody_waits
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_the_time_is_used_up_is_called_in_order_as_there_is_more() {
        let newcomers = exhausted();
        let mut comers: Vec<Comer> = (0..100).map(|_| Comer::new()).collect();
        assert!(comers.iter_mut().all(|comer| !comer.asks(&newcomers)));
        // Each is thought to take 126,750 ns: an eighth of the one call that took a millisecond, and seven of what was thought before.
        let mut called = 0;
        for _ in 0..10 {
            advance(Duration::from_millis(1)).await;
            assert!(!call(&newcomers));
            let woken = comers.iter().position(|comer| !comer.is_woken()).unwrap();
            assert!((called + 7..=called + 8).contains(&woken), "{called} {woken}");
            assert!(comers[woken..].iter().all(|comer| !comer.is_woken()));
            for comer in &mut comers[called..woken] {
                assert!(comer.asks(&newcomers));
                newcomers.took(Duration::from_nanos(126_750));
            }
            called = woken;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_called_as_often_while_none_of_them_gets_its_turn() {
        let newcomers = exhausted();
        let mut comers: Vec<Comer> = (0..100).map(|_| Comer::new()).collect();
        assert!(comers.iter_mut().all(|comer| !comer.asks(&newcomers)));
        for _ in 0..20 {
            advance(Duration::from_millis(1)).await;
            call(&newcomers);
        }
        assert!(comers.iter().all(Comer::is_woken));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_gone_takes_no_turn() {
        let newcomers = exhausted();
        let mut last = Comer::new();
        for _ in 0..1_000 {
            let mut gone = pin!(newcomers.in_turn(pending::<()>()));
            assert!(poll_once(gone.as_mut()).await.is_none());
        }
        assert!(!last.asks(&newcomers));
        advance(Duration::from_millis(1)).await;
        assert!(call(&newcomers) && last.is_woken() && last.asks(&newcomers));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_rest_there_is_no_more_time_than_is_given_out_at_once() {
        let newcomers = exhausted();
        advance(Duration::from_secs(3_600)).await;
        let mut comers: Vec<Comer> = (0..100).map(|_| Comer::new()).collect();
        let at_once = comers.iter_mut().map(|comer| comer.asks(&newcomers)).filter(|called| *called).count();
        assert_eq!(at_once, 8);
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

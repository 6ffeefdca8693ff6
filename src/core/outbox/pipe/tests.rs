//! A pipe in every order of steps: all states are gone through that a few frames and commits can lead to.
//!
//! Beside the pipe stands a model, which knows in which order the frames have to go out and what each of them waits for. The
//! steps are those of the threads around a pipe: a thread that has appended something calls `wake_writer` or `lend` some
//! steps later, the writer polls when it was woken or for reasons of its own (a heartbeat is due), and so on. From each new
//! state all steps are tried that are possible in it; a state that was seen before need not be gone through again, however it
//! was reached. So there is no bound on the number of steps, only on frames and commits.

use std::{
    collections::HashSet,
    panic::{self, AssertUnwindSafe},
};

use super::*;

/// A frame is one byte, and each is another one.
const FRAMES: u8 = 3;
const COMMITS: [Commit; 2] = [Commit(1), Commit(2)];
const HOLDS: u8 = 2;

struct Nowhere;

impl Socket for Nowhere {
    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Ok(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// Some thread appends a frame.
    Append,
    /// Some thread sends a frame before everything that is held back.
    SendNow,
    /// Some thread lets everything that is appended from now on wait.
    HoldBack(Commit),
    /// The journal tells that a commit is complete.
    Complete(Commit),
    /// A thread that has changed something wakes the writer for it.
    Wake,
    /// It would rather send by itself.
    Lend,
    /// The socket has taken so many bytes of what was lent.
    TakeBack(usize),
    /// The writer looks for something to send.
    Poll,
    /// The writer has sent what it got.
    Written,
    /// The writer has had nothing to send for some time.
    Release,
    Close,
    Abandon,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Task {
    /// It will poll.
    Awake,
    /// It will poll when it is woken, or for a reason of its own.
    Waiting,
    Woken,
    Sending(Vec<u8>),
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Item {
    Frame(u8),
    Wait(Commit),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Model {
    /// What has to go out next, and what is waited for in between.
    items: VecDeque<Item>,
    frames: u8,
    holds: u8,
    complete: Vec<Commit>,
    task: Task,
    lent: Option<Vec<u8>>,
    /// Some thread has changed something, and has yet to call `wake_writer` or `lend`.
    owes_wake: bool,
    abandoned: bool,
}

/// A pipe and its model.
struct Stage {
    pipe: Pipe,
    model: Model,
}

/// Everything that what a stage does next depends on.
type State = (Model, Vec<u8>, usize, Vec<(usize, u64)>, u8, bool, bool);

impl Stage {
    fn new() -> Self {
        let mut pipe = Pipe::new();
        pipe.set_socket(Arc::new(Nowhere));
        let model = Model {
            items: VecDeque::new(),
            frames: 0,
            holds: 0,
            complete: Vec::new(),
            task: Task::Awake,
            lent: None,
            owes_wake: false,
            abandoned: false,
        };
        Self { pipe, model }
    }

    fn copy(&self) -> Self {
        let its = &self.pipe;
        let pipe = Pipe {
            bytes: its.bytes.clone(),
            in_flight_bytes: its.in_flight_bytes,
            held_back: its.held_back.clone(),
            writer: match &its.writer {
                Writer::Awake => Writer::Awake,
                Writer::Asleep(waker) => Writer::Asleep(waker.clone()),
                Writer::Relieved(waker) => Writer::Relieved(waker.clone()),
            },
            socket: its.socket.clone(),
            closed: its.closed,
            ..Pipe::new()
        };
        Self { pipe, model: self.model.clone() }
    }

    fn state(&self) -> State {
        let its = &self.pipe;
        let writer = match &its.writer {
            Writer::Awake => 0,
            Writer::Asleep(_) => 1,
            Writer::Relieved(_) => 2,
        };
        let held_back = its.held_back.iter().map(|(at, commit)| (*at, commit.0)).collect();
        let (closed, has_socket) = (its.closed, its.socket.is_some());
        (self.model.clone(), its.bytes.clone(), its.in_flight_bytes, held_back, writer, closed, has_socket)
    }

    /// What may happen next.
    fn steps(&self) -> Vec<Step> {
        let model = &self.model;
        let mut steps = Vec::new();
        // What is appended late is not accepted; once is enough to see that.
        if model.frames < FRAMES {
            steps.extend([Step::Append, Step::SendNow]);
        }
        if model.holds < HOLDS && !model.abandoned {
            steps.extend(COMMITS.map(Step::HoldBack));
        }
        let is_awaited =
            |commit: &Commit| !model.complete.contains(commit) || model.items.contains(&Item::Wait(*commit));
        steps.extend(COMMITS.into_iter().filter(is_awaited).map(Step::Complete));
        steps.extend([Step::Wake, Step::Lend]);
        if let Some(lent) = &model.lent {
            steps.extend((0..=lent.len()).map(Step::TakeBack));
        }
        match model.task {
            Task::Awake | Task::Waiting | Task::Woken => steps.extend([Step::Poll, Step::Release]),
            Task::Sending(_) => steps.push(Step::Written),
            Task::Ended => {}
        }
        if !self.pipe.closed {
            steps.push(Step::Close);
        }
        if !model.abandoned {
            steps.push(Step::Abandon);
        }
        steps
    }

    fn run(&mut self, step: Step) {
        let Self { pipe, model } = self;
        match step {
            Step::Append | Step::SendNow => {
                let accepted = !pipe.closed;
                let frame = model.frames;
                model.frames += 1;
                model.owes_wake = true;
                let at = if step == Step::Append {
                    assert_eq!(pipe.tail().is_some(), accepted);
                    pipe.tail().into_iter().for_each(|out| out.push(frame));
                    model.items.len()
                } else {
                    pipe.send_now(&[frame]);
                    model.first_wait()
                };
                if accepted {
                    model.items.insert(at, Item::Frame(frame));
                }
            }
            Step::HoldBack(commit) => {
                model.holds += 1;
                pipe.hold_back(commit);
                let last = model.items.iter().rfind(|item| matches!(item, Item::Wait(_)));
                if last != Some(&Item::Wait(commit)) {
                    model.items.push_back(Item::Wait(commit));
                }
            }
            Step::Complete(commit) => {
                if !model.complete.contains(&commit) {
                    model.complete.push(commit);
                    model.complete.sort_unstable();
                }
                let missing: Vec<Commit> =
                    COMMITS.into_iter().filter(|commit| !model.complete.contains(commit)).collect();
                pipe.committed(&Done::except(COMMITS[1], &missing));
                while let Some(Item::Wait(commit)) = model.items.get(model.first_wait())
                    && model.complete.contains(commit)
                {
                    model.items.remove(model.first_wait());
                }
                model.owes_wake = true;
            }
            Step::Wake => {
                model.owes_wake = false;
                let woken = pipe.wake_writer();
                assert!(woken.is_none() || model.first_wait() > 0 || pipe.closed, "woken for nothing");
                model.wake(woken);
            }
            Step::Lend => {
                model.owes_wake = false;
                if let Some((_, bytes)) = pipe.lend() {
                    assert!(model.lent.is_none() && model.task != Task::Ended, "two send at a time");
                    assert!(!matches!(model.task, Task::Sending(_)), "two send at a time");
                    assert_eq!(bytes, model.take(), "what is lent is what may go out, in order");
                    model.lent = Some(bytes);
                } else {
                    model.wake(pipe.wake_writer());
                }
            }
            Step::TakeBack(sent) => {
                let lent = model.lent.take().unwrap();
                if !model.abandoned {
                    lent[sent..].iter().rev().for_each(|frame| model.items.push_front(Item::Frame(*frame)));
                }
                let [writer, reader] = pipe.take_back(lent, sent);
                assert!(reader.is_none());
                model.wake(writer);
            }
            Step::Poll | Step::Written | Step::Release => self.run_writer(step),
            Step::Close => model.wake(pipe.close()),
            Step::Abandon => {
                // Whoever abandons has stopped a writer that sleeps.
                model.abandoned = true;
                model.items.clear();
                let was_asleep = matches!(pipe.writer, Writer::Asleep(_));
                drop(pipe.abandon());
                if was_asleep {
                    model.task = Task::Ended;
                }
            }
        }
    }

    fn run_writer(&mut self, step: Step) {
        let Self { pipe, model } = self;
        match step {
            Step::Poll => {
                let mut bytes = Vec::new();
                model.task = match pipe.poll_take(&mut bytes, &mut Context::from_waker(Waker::noop())) {
                    Poll::Pending => Task::Waiting,
                    Poll::Ready(true) => {
                        assert!(model.lent.is_none(), "two send at a time");
                        assert!(!bytes.is_empty(), "nothing is sent");
                        assert_eq!(bytes, model.take(), "what is taken is what may go out, in order");
                        Task::Sending(bytes)
                    }
                    Poll::Ready(false) => {
                        assert!(pipe.closed && model.lent.is_none(), "the writer ends too early");
                        assert!(
                            !model.items.iter().any(|item| matches!(item, Item::Frame(_))),
                            "lost at the end"
                        );
                        Task::Ended
                    }
                };
            }
            Step::Written => {
                pipe.written();
                model.task = Task::Awake;
            }
            Step::Release => pipe.release_buffer(),
            _ => unreachable!("a step of another thread"),
        }
    }

    /// What holds between any two steps.
    fn check(&self) {
        let Self { pipe, model } = self;
        let frames: Vec<u8> = model.frames_before(model.items.len());
        assert_eq!(pipe.bytes, frames, "lost, doubled or out of order");
        let free = model.frames_before(model.first_wait());
        assert_eq!(pipe.free_bytes(), free.len());
        let sending = match (&model.task, &model.lent) {
            _ if model.abandoned => None,
            (Task::Sending(bytes), _) => Some(bytes),
            (_, lent) => lent.as_ref(),
        };
        if !model.abandoned {
            assert_eq!(pipe.pending_bytes(), frames.len() + sending.map_or(0, Vec::len));
        }
        assert_eq!(matches!(pipe.writer, Writer::Relieved(_)), model.lent.is_some());
        let has_something = !free.is_empty() || (pipe.closed && frames.is_empty());
        if has_something && model.task == Task::Waiting {
            assert!(model.lent.is_some() || model.owes_wake, "the writer sleeps for ever");
        }
    }
}

impl Model {
    fn first_wait(&self) -> usize {
        self.items.iter().position(|item| matches!(item, Item::Wait(_))).unwrap_or(self.items.len())
    }

    fn frames_before(&self, end: usize) -> Vec<u8> {
        let frame = |item: &Item| if let Item::Frame(frame) = item { Some(*frame) } else { None };
        self.items.range(..end).filter_map(frame).collect()
    }

    /// Takes all frames that may go out.
    fn take(&mut self) -> Vec<u8> {
        let end = self.first_wait();
        let frames = self.frames_before(end);
        self.items.drain(..end);
        frames
    }

    fn wake(&mut self, woken: Option<Waker>) {
        if let Some(waker) = woken {
            waker.wake();
            assert_eq!(self.task, Task::Waiting, "a waker is left from before");
            self.task = Task::Woken;
        }
    }
}

#[test]
fn in_every_order_of_steps_all_goes_out_once_in_order_after_its_commit_and_the_writer_is_woken_for_it() {
    let mut seen = HashSet::new();
    let mut open = VecDeque::from([(Stage::new(), 0)]);
    // Each step with the one before it.
    let mut steps: Vec<(usize, Step)> = Vec::new();
    let mut ends = 0;
    while let Some((stage, before)) = open.pop_front() {
        for step in stage.steps() {
            let mut next = stage.copy();
            let went_well = panic::catch_unwind(AssertUnwindSafe(|| {
                next.run(step);
                next.check();
            }));
            if let Err(why) = went_well {
                eprintln!("the steps were: {:?}", path(&steps, before, step));
                panic::resume_unwind(why);
            }
            if seen.insert(next.state()) {
                ends += usize::from(next.model.task == Task::Ended);
                steps.push((before, step));
                open.push_back((next, steps.len()));
            }
        }
    }
    assert!(seen.len() > 10_000 && ends > 100, "{} states, {ends} ends: the stage is too small", seen.len());
}

fn path(steps: &[(usize, Step)], mut before: usize, last: Step) -> Vec<Step> {
    let mut path = vec![last];
    while before > 0 {
        let (at, step) = steps[before - 1];
        path.push(step);
        before = at;
    }
    path.reverse();
    path
}

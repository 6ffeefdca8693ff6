//! Attackers and clients usually have machines of their own. Here they share the broker's, and the kernel lets a thread run for some
//! milliseconds (4 at 250 Hz) before another gets its core: victims would feel that without the broker's doing. So attackers get what
//! is left, and victims run as soon as they have something to do. What is left is not nothing: a thread of theirs that has waited
//! for long enough gets a core although the broker wants it, three of them for about a hundredth of the time, and that is what a p99
//! shows. So they step aside behind each piece of what they do.

use std::{io, thread};

use thread_priority::{
    NormalThreadSchedulePolicy::Idle, RealtimeThreadSchedulePolicy::RoundRobin, ThreadPriority,
    ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// Does this in a thread, and in threads of its, that run only where nobody else wants to.
pub fn behind_others<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let patient = || {
        let nobody_waits = set_thread_priority_and_policy(
            thread_native_id(),
            ThreadPriority::Min,
            ThreadSchedulePolicy::Normal(Idle),
        );
        nobody_waits.expect("a thread may be put behind others");
        work()
    };
    thread::scope(|scope| scope.spawn(patient).join().expect("who is behind others does not panic"))
}

/// From now on this thread runs before all others, where the kernel permits it: to root. It must rest most of the time.
pub fn before_others() -> io::Result<()> {
    let policy = ThreadSchedulePolicy::Realtime(RoundRobin);
    match set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy) {
        Ok(()) | Err(thread_priority::Error::OS(EPERM)) => Ok(()),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

/// Others get the core now, if somebody wants it.
pub fn step_aside() {
    thread::yield_now();
}

const EPERM: i32 = 1;

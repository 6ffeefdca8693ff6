//! Numbers of gauges: two bytes in a message where a pointer would take eight, or a reference count that all threads share.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use super::Gauge;

use crate::limits::GAUGES_MAX;

/// Names a gauge for as long as the process lives. Zero names none: such messages count on no budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Number(u16);

static GAUGES: [OnceLock<Box<Gauge>>; GAUGES_MAX] = [const { OnceLock::new() }; GAUGES_MAX];
static GIVEN: AtomicUsize = AtomicUsize::new(1);

/// Makes a gauge with the next number.
pub(super) fn give(make: impl FnOnce(Number) -> Gauge) -> &'static Gauge {
    let number = GIVEN.fetch_add(1, Ordering::Relaxed);
    let slot = GAUGES.get(number).expect("a process has one broker; tests have a few thousand");
    slot.get_or_init(|| Box::new(make(Number(number as u16))))
}

impl Number {
    /// The gauge of that number.
    #[inline]
    pub(in crate::core) fn gauge(self) -> Option<&'static Gauge> {
        GAUGES[usize::from(self.0)].get().map(|gauge| &**gauge)
    }
}

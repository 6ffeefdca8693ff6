//! Has the task of a virtual host begin with the first thing that there is to do. Most virtual hosts never need one.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// The bell of one virtual host.
#[derive(Default)]
pub struct Bell {
    is_rung: AtomicBool,
    begin: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Bell {
    /// There is something to do. What that is has been noted before, where the task finds it.
    #[inline]
    pub fn ring(&self) {
        if !self.is_rung.load(Ordering::Relaxed) {
            self.ring_first();
        }
    }

    /// From now on the first ring calls `begin`; if there was one before, it is called now. For whoever makes the virtual host, before
    /// others know it.
    pub fn hang(&self, begin: impl Fn() + Send + Sync + 'static) {
        let begin = self.begin.get_or_init(|| Box::new(begin));
        if self.is_rung.load(Ordering::Relaxed) {
            begin();
        }
    }

    #[cold]
    fn ring_first(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel)
            && let Some(begin) = self.begin.get()
        {
            begin();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use super::*;

    #[test]
    fn a_task_begins_once_with_the_first_ring_even_if_that_came_before_the_bell_was_hung() {
        for rings_before in [0, 1, 3] {
            let (bell, begun) = (Bell::default(), Arc::new(AtomicUsize::new(0)));
            (0..rings_before).for_each(|_| bell.ring());
            let counter = begun.clone();
            bell.hang(move || {
                counter.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(begun.load(Ordering::Relaxed), usize::from(rings_before > 0));
            (0..3).for_each(|_| bell.ring());
            assert_eq!(begun.load(Ordering::Relaxed), 1);
        }
    }
}

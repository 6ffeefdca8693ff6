//! What one client holds of each kind.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Gauge, Kind, kind::KINDS};

/// One client, or the broker itself, and how many bytes it holds of each kind.
#[derive(Debug)]
pub struct Holder {
    gauge: &'static Gauge,
    bytes: [AtomicUsize; KINDS],
}

/// The share of a kind is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    kind: Kind,
    share_bytes: usize,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, share_bytes } = self;
        write!(f, "the memory for {} is used up: {share_bytes} bytes are for all of them", kind.name())
    }
}

impl Holder {
    /// Somebody who holds nothing yet.
    pub fn new(gauge: &'static Gauge) -> Arc<Self> {
        Arc::new(Self { gauge, bytes: Default::default() })
    }

    /// The gauge on which it counts.
    pub fn gauge(&self) -> &'static Gauge {
        self.gauge
    }

    /// Bytes that it holds of a kind.
    pub fn bytes(&self, kind: Kind) -> usize {
        self.bytes[kind as usize].load(Ordering::Relaxed)
    }

    /// Whether it may hold so many bytes more of a kind.
    pub fn may_have(&self, kind: Kind, more: usize) -> Result<(), Exceeded> {
        let before = self.bytes(kind);
        if self.gauge.admits(kind, before, before.saturating_add(more)) {
            Ok(())
        } else {
            Err(Exceeded { kind, share_bytes: self.gauge.share_bytes(kind) })
        }
    }

    fn change(&self, kind: Kind, before: usize, after: usize) {
        if before == after {
            return;
        }
        let its = &self.bytes[kind as usize];
        let all = its.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        let holders = &self.gauge.others[kind as usize].holders;
        if all == 0 {
            holders.fetch_add(1, Ordering::Relaxed);
        } else if all.wrapping_add(after).wrapping_sub(before) == 0 {
            holders.fetch_sub(1, Ordering::Relaxed);
        }
        self.gauge.change(kind, before, after);
    }
}

/// Bytes of one kind that count as long as this lives.
#[derive(Debug)]
pub struct Held {
    holder: Arc<Holder>,
    kind: Kind,
    bytes: usize,
}

impl Held {
    /// Nothing yet.
    pub fn new(holder: &Arc<Holder>, kind: Kind) -> Self {
        Self { holder: holder.clone(), kind, bytes: 0 }
    }

    /// So many, whatever the share.
    #[must_use]
    pub fn of(holder: &Arc<Holder>, kind: Kind, bytes: usize) -> Self {
        let mut held = Self::new(holder, kind);
        held.set(bytes);
        held
    }

    /// So many, whatever the share: for what cannot be refused.
    #[inline]
    pub fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.holder.change(self.kind, self.bytes, bytes);
            self.bytes = bytes;
        }
    }

    /// So many, if there is room for what is more than before.
    pub fn try_set(&mut self, bytes: usize) -> Result<(), Exceeded> {
        if bytes > self.bytes {
            self.holder.may_have(self.kind, bytes - self.bytes)?;
        }
        self.set(bytes);
        Ok(())
    }

    /// How many there are.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who holds them.
    pub fn holder(&self) -> &Arc<Holder> {
        &self.holder
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

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
    /// A holder that holds nothing yet.
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
    what: What,
}

/// A kind and a number of bytes below 2^56, in one word: each connection has many of them.
#[derive(Debug, Clone, Copy)]
struct What(u64);

impl What {
    const BYTES_BITS: u32 = 56;

    #[inline]
    fn new(kind: Kind, bytes: usize) -> Self {
        Self((kind as u64) << Self::BYTES_BITS | bytes as u64)
    }

    #[inline]
    fn bytes(self) -> usize {
        (self.0 & ((1 << Self::BYTES_BITS) - 1)) as usize
    }

    #[inline]
    fn kind(self) -> Kind {
        let number = (self.0 >> Self::BYTES_BITS) as usize;
        Kind::ALL.get(number.wrapping_sub(1)).copied().unwrap_or(Kind::Messages)
    }
}

impl Held {
    /// Nothing yet.
    pub fn new(holder: &Arc<Holder>, kind: Kind) -> Self {
        Self { holder: holder.clone(), what: What::new(kind, 0) }
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
        if bytes != self.bytes() {
            let kind = self.what.kind();
            self.holder.change(kind, self.bytes(), bytes);
            self.what = What::new(kind, bytes);
        }
    }

    /// So many, if there is room for what is more than before.
    pub fn try_set(&mut self, bytes: usize) -> Result<(), Exceeded> {
        if bytes > self.bytes() {
            self.holder.may_have(self.what.kind(), bytes - self.bytes())?;
        }
        self.set(bytes);
        Ok(())
    }

    /// How many there are.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.what.bytes()
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

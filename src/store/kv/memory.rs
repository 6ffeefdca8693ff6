//! A key-value store for tests that crashes when it is told to.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::{Batch, Home, Key, KeyKind, KeyValue, KvError, Pairs};
use crate::store::files::sim::SimDisk;

type Image = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keeps what was flushed apart from what was only written.
#[derive(Debug, Default, Clone)]
pub(crate) struct MemoryKv {
    written: Image,
    durable: Image,
    /// Not flushed yet.
    pending: Vec<Batch>,
    fails: bool,
}

impl MemoryKv {
    /// Loses what was not flushed, but for the first `kept` batches, which happened to reach the disk.
    pub(crate) fn crash(&mut self, kept: usize) {
        let kept: Vec<Batch> = self.pending.drain(..).take(kept).collect();
        for batch in &kept {
            apply(&mut self.durable, batch);
        }
        self.written = self.durable.clone();
    }

    /// From now on every write fails, or none.
    pub(crate) fn set_failing(&mut self, fails: bool) {
        self.fails = fails;
    }

    /// Everything that was written, to be looked at or damaged.
    pub(crate) fn image(&mut self) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        &mut self.written
    }

    fn check(&self) -> Result<(), KvError> {
        if self.fails { Err(KvError::Failed) } else { Ok(()) }
    }
}

impl KeyValue for MemoryKv {
    fn apply(&mut self, batch: Batch) -> Result<(), KvError> {
        self.check()?;
        apply(&mut self.written, &batch);
        self.pending.push(batch);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), KvError> {
        self.check()?;
        self.pending.drain(..).for_each(|batch| apply(&mut self.durable, &batch));
        Ok(())
    }

    fn get(&self, key: &Key<'_>) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.written.get(&key.to_bytes()).cloned())
    }

    fn scan(&self, kind: KeyKind) -> Pairs<'_> {
        let of_kind = self.written.iter().filter(move |(key, _)| key.starts_with(&kind.prefix()));
        Box::new(of_kind.map(|(key, value)| Ok((key.clone(), value.clone()))))
    }
}

fn apply(image: &mut Image, batch: &Batch) {
    for (key, value) in batch.iter() {
        match value {
            Some(value) => image.insert(key.into(), value.into()),
            None => image.remove(key),
        };
    }
}

/// A store that loses power together with a disk.
#[derive(Clone, Default)]
pub(crate) struct MemoryHome {
    pub(crate) store: Arc<Mutex<MemoryKv>>,
    disk: SimDisk,
}

impl MemoryHome {
    /// An empty store.
    pub(crate) fn new(disk: SimDisk) -> Self {
        Self { store: Arc::default(), disk }
    }

    /// What is left on `disk` after a power cut; see [`MemoryKv::crash`].
    pub(crate) fn crash(&self, kept: usize, disk: SimDisk) -> Self {
        let mut store = self.store.lock().clone();
        store.crash(kept);
        Self { store: Arc::new(Mutex::new(store)), disk }
    }
}

impl Home for MemoryHome {
    fn open(&self) -> Result<Box<dyn KeyValue>, KvError> {
        Ok(Box::new(self.clone()))
    }

    fn reset(&self) -> Result<Box<dyn KeyValue>, KvError> {
        self.disk.other_operation()?;
        let mut store = self.store.lock();
        let fails = store.fails;
        *store = MemoryKv { fails, ..MemoryKv::default() };
        Ok(Box::new(self.clone()))
    }
}

impl KeyValue for MemoryHome {
    fn apply(&mut self, batch: Batch) -> Result<(), KvError> {
        let mut store = self.store.lock();
        let done = self.disk.other_operation();
        // What was on its way when the power went may have arrived.
        store.apply(batch)?;
        Ok(done?)
    }

    fn flush(&mut self) -> Result<(), KvError> {
        self.disk.other_operation()?;
        self.store.lock().flush()
    }

    fn get(&self, key: &Key<'_>) -> Result<Option<Vec<u8>>, KvError> {
        self.store.lock().get(key)
    }

    fn scan(&self, kind: KeyKind) -> Pairs<'_> {
        let pairs: Vec<_> = self.store.lock().scan(kind).collect();
        Box::new(pairs.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::placement::QueueId;

    fn put(queue: u64) -> Batch {
        let mut batch = Batch::default();
        batch.put(&Key::Queue(QueueId(queue)), vec![1]);
        batch
    }

    fn queues(kv: &MemoryKv) -> usize {
        kv.scan(KeyKind::Queue).count()
    }

    #[test]
    fn a_crash_loses_what_was_not_flushed() {
        let mut kv = MemoryKv::default();
        kv.apply(put(1)).unwrap();
        kv.flush().unwrap();
        (2..6).for_each(|queue| kv.apply(put(queue)).unwrap());
        assert_eq!(queues(&kv), 5);
        kv.crash(1);
        assert_eq!(queues(&kv), 2);
        kv.set_failing(true);
        assert!(kv.apply(put(9)).is_err() && kv.flush().is_err());
    }
}

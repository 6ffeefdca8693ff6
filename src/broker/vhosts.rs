//! The virtual hosts that there are. They come and go while the broker runs, each with a task of its own as soon as it needs one.

#[cfg(feature = "opentelemetry")]
use std::sync::OnceLock;
use std::{collections::HashMap, sync::Arc};

use dashmap::{DashMap, Entry};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Calls, Totals, Vhost};
use crate::audit;
#[cfg(feature = "opentelemetry")]
use crate::core::observing::{SpanCounts, SpanSink, Spans};
use crate::core::{
    change::{Changes, TopologyChange},
    clock::Clock,
    commit::Commit,
    declared::VhostSettings,
    journal::Journal,
    memory::{Gauge, Holder},
    observing::Observers,
    pager::{Pager, RestoredQueue},
    placement::{QueueId, QueueIds},
    queue::Surroundings,
    topology::Topology,
};
use crate::protocol::ShortString;

/// What all virtual hosts share.
pub(super) struct Common {
    pub(super) gauge: &'static Gauge,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) pager: Arc<dyn Pager>,
    pub(super) ids: Arc<QueueIds>,
    pub(super) clock: Arc<dyn Clock>,
}

/// The virtual hosts by name.
pub struct Vhosts {
    common: Common,
    by_name: DashMap<ShortString, Arc<Vhost>>,
    /// Those that are deleted, and not empty yet: their names are taken.
    leaving: Mutex<HashMap<ShortString, Arc<Vhost>>>,
    /// One of them is empty.
    has_left: Notify,
    begun: Arc<Beginnings>,
    /// What those have counted that are gone. Its lock is taken within that of `leaving`.
    past: Mutex<Totals>,
    /// What takes the spans of all of them.
    #[cfg(feature = "opentelemetry")]
    spans: OnceLock<Arc<dyn SpanSink>>,
}

/// What has to begin.
#[derive(Default)]
struct Beginnings {
    list: Mutex<Vec<Begun>>,
    has_some: Notify,
}

impl Beginnings {
    fn add(&self, begun: Begun) {
        self.list.lock().push(begun);
        self.has_some.notify_one();
    }
}

/// What has to begin for a virtual host.
pub enum Begun {
    /// There is something to do for it: its task.
    Serving(Arc<Vhost>),
    /// It was deleted: what is left of it is to be cleared away.
    Leaving(Arc<Vhost>),
}

/// A virtual host of that name is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is a virtual host of that name")]
pub struct Exists;

impl Vhosts {
    pub(super) fn new(common: Common) -> Self {
        Self {
            common,
            by_name: DashMap::new(),
            leaving: Mutex::default(),
            has_left: Notify::new(),
            begun: Arc::default(),
            past: Mutex::default(),
            #[cfg(feature = "opentelemetry")]
            spans: OnceLock::new(),
        }
    }

    /// From now on spans of sampled messages go there; to be called once.
    #[cfg(feature = "opentelemetry")]
    pub fn send_spans(&self, sink: Arc<dyn SpanSink>) {
        let _ = self.spans.set(sink);
        self.all().iter().for_each(|vhost| self.follow(vhost));
    }

    #[cfg(feature = "opentelemetry")]
    fn follow(&self, vhost: &Vhost) {
        if let Some(sink) = self.spans.get() {
            vhost.observers.send_spans(Spans::new(sink.clone(), vhost.name.clone()));
        }
    }

    /// What has become of spans, if they are followed.
    #[cfg(feature = "opentelemetry")]
    pub fn span_counts(&self) -> Option<SpanCounts> {
        self.spans.get().map(|sink| sink.counts())
    }

    /// Makes one again that the journal remembers.
    pub(super) fn restore(
        &self,
        name: ShortString,
        changes: Vec<TopologyChange>,
        contents: &mut HashMap<QueueId, RestoredQueue>,
    ) {
        let is_deleted = changes.contains(&TopologyChange::VhostDeleted);
        let (mut topology, calls) = self.empty(&name);
        let unrestored = topology.restore(changes, contents);
        for binding in unrestored.bindings {
            tracing::error!(vhost = %name, ?binding, "binding without ends is left out");
        }
        for (policy, error) in unrestored.policies {
            tracing::error!(vhost = %name, ?policy, %error, "policy that cannot be read is left out");
        }
        let vhost = self.vhost(name.clone(), topology, calls);
        vhost.restore_seen(&*self.common.pager);
        if is_deleted {
            // A crash has cut its end short.
            vhost.leave();
            self.leaving.lock().insert(name, vhost.clone());
            self.begun.add(Begun::Leaving(vhost));
        } else {
            self.by_name.insert(name, vhost);
        }
    }

    /// Makes a virtual host, durably. Waits until one of this name that was deleted is empty. Its task begins when there
    /// is something to do for it: see [`next_begun`](Self::next_begun).
    pub async fn open(
        &self,
        name: &ShortString,
        settings: VhostSettings,
    ) -> Result<(Arc<Vhost>, Option<Commit>), Exists> {
        let made = self.when_free(name, || self.make(name, settings.clone(), Changes::new())).await?;
        audit::vhost_made(name, &settings);
        Ok(made)
    }

    /// Makes one when none of this name is being deleted any more. Nobody deletes one of this name meanwhile.
    pub(super) async fn when_free<T>(&self, name: &ShortString, make: impl FnOnce() -> T) -> T {
        loop {
            let left = self.has_left.notified();
            {
                let leaving = self.leaving.lock();
                if !leaving.contains_key(name) {
                    return make();
                }
            }
            left.await;
        }
    }

    /// Makes one, when none of this name is being deleted. The journal gets `others` in the same group. The audit is told by the
    /// caller, when it holds no lock.
    pub(super) fn make(
        &self,
        name: &ShortString,
        settings: VhostSettings,
        others: Changes,
    ) -> Result<(Arc<Vhost>, Option<Commit>), Exists> {
        let Entry::Vacant(vacant) = self.by_name.entry(name.clone()) else { return Err(Exists) };
        let (topology, calls) = self.empty(name);
        let vhost = self.vhost(name.clone(), topology, calls);
        vacant.insert(vhost.clone());
        let commit = vhost.begin(settings, others);
        Ok((vhost, commit))
    }

    /// Begins the end of one: nobody finds it from now on. `None` if there is none, else it and the commit to wait for. Its connections
    /// are for the caller to close; when they are gone, what is in it is cleared away.
    pub(super) fn delete(&self, name: &[u8]) -> Option<(Arc<Vhost>, Option<Commit>)> {
        let mut leaving = self.leaving.lock();
        let (name, vhost) = self.by_name.remove(name)?;
        leaving.insert(name, vhost.clone());
        drop(leaving);
        let commit = vhost.leave();
        audit::vhost_deleted(&vhost.name);
        self.begun.add(Begun::Leaving(vhost.clone()));
        Some((vhost, commit))
    }

    /// The end of one that is empty: its task ends, and its name is free.
    pub(super) fn close(&self, vhost: &Vhost) {
        vhost.close();
        let totals = vhost.counted().totals();
        {
            let mut leaving = self.leaving.lock();
            *self.past.lock() += totals;
            leaving.remove(&vhost.name);
        }
        self.has_left.notify_waiters();
    }

    /// What virtual hosts have counted that are gone.
    pub fn past(&self) -> Totals {
        *self.past.lock()
    }

    /// The same, and all that go on counting: those that are there, and those that are being deleted. Each virtual host is in one of
    /// both.
    pub fn counted(&self) -> (Totals, Vec<Arc<Vhost>>) {
        let leaving = self.leaving.lock();
        let mut all = self.all();
        all.extend(leaving.values().cloned());
        (self.past(), all)
    }

    /// One by name.
    pub fn find(&self, name: &[u8]) -> Option<Arc<Vhost>> {
        self.by_name.get(name).map(|vhost| vhost.clone())
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Vhost>> {
        self.by_name.iter().map(|vhost| vhost.value().clone()).collect()
    }

    /// How often policies were changed in all of them.
    pub fn policies_changed(&self) -> u64 {
        self.by_name.iter().map(|vhost| vhost.policies_changed()).sum()
    }

    /// What must begin next. For one task.
    pub async fn next_begun(&self) -> Begun {
        loop {
            let next = self.begun.list.lock().pop();
            match next {
                Some(begun) => return begun,
                None => self.begun.has_some.notified().await,
            }
        }
    }

    fn empty(&self, name: &ShortString) -> (Topology, Arc<Calls>) {
        let calls = Arc::new(Calls::default());
        let Common { gauge, pager, ids, clock, .. } = &self.common;
        let memory = Holder::new(gauge);
        let surroundings = Arc::new(Surroundings {
            observers: Arc::new(Observers::new(&memory)),
            memory,
            pager: pager.clone(),
            ids: ids.clone(),
            clock: clock.clone(),
            timetable: calls.clone(),
        });
        (Topology::new(name.clone(), surroundings), calls)
    }

    fn vhost(&self, name: ShortString, topology: Topology, calls: Arc<Calls>) -> Arc<Vhost> {
        let Common { journal, clock, .. } = &self.common;
        let limits = topology.settings().limits.clone();
        let vhost = Vhost::new(name, topology, journal.clone(), clock.clone(), calls);
        vhost.rates.set(&limits);
        #[cfg(feature = "opentelemetry")]
        self.follow(&vhost);
        let vhost = Arc::new(vhost);
        let (weak, begun) = (Arc::downgrade(&vhost), self.begun.clone());
        vhost.calls.bell.hang(move || {
            if let Some(vhost) = weak.upgrade() {
                begun.add(Begun::Serving(vhost));
            }
        });
        vhost
    }
}

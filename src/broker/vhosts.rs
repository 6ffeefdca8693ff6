//! The virtual hosts that there are. They come and go while the broker runs, each with tasks of its own.

use std::{collections::HashMap, sync::Arc};

use dashmap::{DashMap, Entry};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Calls, Vhost};
use crate::core::{
    change::TopologyChange,
    clock::Clock,
    journal::Journal,
    memory::{Gauge, Holder},
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
    /// Those whose tasks have not begun yet.
    begun: Mutex<Vec<Arc<Vhost>>>,
    has_begun: Notify,
}

impl Vhosts {
    pub(super) fn new(common: Common) -> Self {
        Self { common, by_name: DashMap::new(), begun: Mutex::default(), has_begun: Notify::new() }
    }

    /// Makes one again that the journal remembers.
    pub(super) fn restore(
        &self,
        name: ShortString,
        changes: Vec<TopologyChange>,
        contents: &mut HashMap<QueueId, RestoredQueue>,
    ) {
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
        self.by_name.insert(name, vhost.clone());
        self.begin(vhost);
    }

    /// The virtual host of this name; makes it if there is none. Its tasks begin when [`next_begun`](Self::next_begun) is asked.
    pub fn open(&self, name: &ShortString) -> Arc<Vhost> {
        match self.by_name.entry(name.clone()) {
            Entry::Occupied(there) => there.get().clone(),
            Entry::Vacant(vacant) => {
                let (topology, calls) = self.empty(name);
                let vhost = self.vhost(name.clone(), topology, calls);
                vacant.insert(vhost.clone());
                self.begin(vhost.clone());
                vhost
            }
        }
    }

    /// Takes one out, and ends its tasks. Its sessions must have ended before: without its tasks nothing departs from its queues, and a
    /// session that waits for that would wait for ever.
    pub fn close(&self, name: &[u8]) -> Option<Arc<Vhost>> {
        let (_, vhost) = self.by_name.remove(name)?;
        vhost.close();
        Some(vhost)
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

    /// The next one whose tasks must begin. For one task.
    pub async fn next_begun(&self) -> Arc<Vhost> {
        loop {
            let next = self.begun.lock().pop();
            match next {
                Some(vhost) => return vhost,
                None => self.has_begun.notified().await,
            }
        }
    }

    fn begin(&self, vhost: Arc<Vhost>) {
        self.begun.lock().push(vhost);
        self.has_begun.notify_one();
    }

    fn empty(&self, name: &ShortString) -> (Topology, Arc<Calls>) {
        let calls = Arc::new(Calls::default());
        let Common { gauge, pager, ids, clock, .. } = &self.common;
        let surroundings = Arc::new(Surroundings {
            memory: Holder::new(gauge),
            pager: pager.clone(),
            ids: ids.clone(),
            clock: clock.clone(),
            timetable: calls.clone(),
        });
        (Topology::new(name.clone(), surroundings), calls)
    }

    fn vhost(&self, name: ShortString, topology: Topology, calls: Arc<Calls>) -> Arc<Vhost> {
        let Common { journal, clock, .. } = &self.common;
        Arc::new(Vhost::new(name, topology, journal.clone(), clock.clone(), calls))
    }
}

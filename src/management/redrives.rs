//! Redrives that operators have begun: what they have done, and how one is stopped.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Api,
    failure::{Answered, Failure},
    json::text,
    visitor::Visitor,
};
use crate::broker::{Ended, Progress, Vhost};
use crate::core::redrive::Redrive;
use crate::limits::{REDRIVES_MAX, REDRIVES_OF_USER_MAX};
use crate::protocol::ShortString;

/// Redrives by number, those that have ended too, as far as they are remembered.
#[derive(Default)]
pub struct Redrives(Mutex<All>);

#[derive(Default)]
struct All {
    last: u64,
    by_number: BTreeMap<u64, Running>,
}

struct Running {
    owner: ShortString,
    vhost: ShortString,
    queue: ShortString,
    stop: CancellationToken,
    progress: watch::Receiver<Progress>,
    /// Why it could not begin.
    error: Arc<Mutex<Option<String>>>,
}

impl Running {
    fn has_ended(&self) -> bool {
        self.progress.borrow().ended.is_some() || self.error.lock().is_some()
    }

    fn shown(&self, number: u64) -> Value {
        let progress = *self.progress.borrow();
        let error = self.error.lock().clone();
        let ended = match (progress.ended, &error) {
            (_, Some(_)) => Some("failed"),
            (Some(Ended::AtEnd), None) => Some("at_end"),
            (Some(Ended::AtLimit), None) => Some("at_limit"),
            (Some(Ended::Stopped), None) => Some("stopped"),
            (None, None) => None,
        };
        json!({
            "id": number,
            "vhost": text(&self.vhost),
            "queue": text(&self.queue),
            "looked_at": progress.looked_at,
            "sent": progress.sent,
            "unmatched": progress.unmatched,
            "unroutable": progress.unroutable,
            "missed": progress.missed,
            "ended": ended,
            "error": error,
        })
    }
}

impl Redrives {
    /// Begins one; gives its number. 503 if as many run as are remembered, or as one user may have.
    pub fn begin(
        &self,
        api: &Api,
        vhost: Arc<Vhost>,
        visitor: &Visitor,
        queue: ShortString,
        order: Redrive,
    ) -> Answered<u64> {
        let mut all = self.0.lock();
        let owner = visitor.name();
        let its = all.by_number.values().filter(|running| running.owner == *owner && !running.has_ended());
        if its.count() >= REDRIVES_OF_USER_MAX {
            return Err(Failure::Unavailable("too many redrives of this user are under way".into()));
        }
        if all.by_number.len() >= REDRIVES_MAX {
            let oldest =
                all.by_number.iter().find(|(_, running)| running.has_ended()).map(|(number, _)| *number);
            let oldest =
                oldest.ok_or_else(|| Failure::Unavailable("too many redrives are under way".into()))?;
            all.by_number.remove(&oldest);
        }
        all.last += 1;
        let number = all.last;
        let (told, progress) = watch::channel(Progress::default());
        let (stop, error) = (api.node.shutdown.child_token(), Arc::new(Mutex::new(None)));
        let running = Running {
            owner: owner.clone(),
            vhost: vhost.name.clone(),
            queue: queue.clone(),
            stop: stop.clone(),
            progress,
            error: error.clone(),
        };
        all.by_number.insert(number, running);
        drop(all);
        api.broker.operations.spawn(async move {
            if let Err(failed) = vhost.redrive(&queue, &order, &stop, &told).await {
                *error.lock() = Some(failed.to_string());
            }
        });
        Ok(number)
    }

    /// Those in virtual hosts that are chosen, by number.
    pub fn all(&self, chosen: impl Fn(&ShortString) -> bool) -> Vec<Value> {
        let all = self.0.lock();
        let seen = all.by_number.iter().filter(|(_, running)| chosen(&running.vhost));
        seen.map(|(number, running)| running.shown(*number)).collect()
    }

    /// Looks at one; 404 if there is none.
    pub fn one(&self, number: u64, chosen: impl Fn(&ShortString) -> bool) -> Answered<Value> {
        let all = self.0.lock();
        let running = all.by_number.get(&number).filter(|running| chosen(&running.vhost));
        running.map(|running| running.shown(number)).ok_or(Failure::NotFound)
    }

    /// Stops one: who has begun it may, and administrators.
    pub fn stop(&self, number: u64, visitor: &Visitor) -> Answered<Value> {
        let all = self.0.lock();
        let running = all.by_number.get(&number).ok_or(Failure::NotFound)?;
        if running.owner != *visitor.name() {
            visitor.require_administrator()?;
        }
        running.stop.cancel();
        Ok(running.shown(number))
    }
}

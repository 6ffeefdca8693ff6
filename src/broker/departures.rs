//! Messages on their way from one queue to others: dead ones, and those whose delay is over.
//!
//! A work list and no recursion: what a target drops in turn joins the list, so chains of any length take bounded stack. Each
//! message enters its targets before it is settled where it was, and the journal gets both in one group.

use std::{collections::VecDeque, sync::Arc};

use super::{Lost, Vhost};
use crate::core::{
    dead_letter::{self, Death, Reason},
    delay,
    effects::{Cause, Departure, Effects},
    journal::{Commit, note_published},
    message::{Layout, Message, Publication, View},
    queue::{Origin, Published, SharedQueue},
    rewrite::without_bcc,
    routing::{Addressing, extra_keys},
};
use crate::protocol::{FieldTable, PropertiesView};

impl Vhost {
    /// Sends on what left its queue for another one, then gives the journal all that changed.
    pub fn append(&self, effects: &mut Effects, atomic: bool) -> Commit {
        let moved = !effects.departures.is_empty();
        if moved {
            self.carry_out(effects);
        }
        if effects.changes.is_empty() {
            return Commit::default();
        }
        self.journal.append(&mut effects.changes, atomic || moved)
    }

    fn carry_out(&self, effects: &mut Effects) {
        let mut waiting = VecDeque::new();
        let mut published = Published::default();
        loop {
            waiting.extend(effects.departures.drain(..));
            let Some(departure) = waiting.pop_front() else { return };
            self.depart(&departure, &mut published, effects);
            let Departure { queue, entry, .. } = departure;
            entry.settle(queue.id, &mut effects.changes);
        }
    }
}

impl Vhost {
    fn depart(&self, departure: &Departure, published: &mut Published, effects: &mut Effects) {
        let Departure { queue, entry, cause } = departure;
        let view = entry.message.view();
        let sent = match cause {
            Cause::Dead(reason) => self.dead_letter(queue, &view, *reason, published, effects),
            Cause::Due => self.release(&view, published, effects),
        };
        if let Err(lost) = sent {
            self.drop_counted(queue, lost);
        }
    }

    fn dead_letter(
        &self,
        queue: &SharedQueue,
        view: &View<'_>,
        reason: Reason,
        published: &mut Published,
        effects: &mut Effects,
    ) -> Result<(), Lost> {
        let settings = queue.settings();
        let Some(exchange) = &settings.dead_letter_exchange else { return Err(Lost::NoExchange) };
        let death = Death {
            queue: &queue.spec.name,
            reason,
            at_ms: self.clock.now(),
            exchange,
            routing_key: settings.dead_letter_routing_key.as_deref(),
        };
        let dead = dead_letter::dead_lettered(view, &death).map_err(|_| Lost::TooManyDeaths)?;
        let mut targets = self.targets(&dead.view(), &dead.extra_keys)?;
        let found = targets.len();
        dead.deaths().retain_forward(&mut targets, reason, |target| &target.spec.name);
        if targets.len() < found {
            self.drop_counted(queue, Lost::Cycle);
            if targets.is_empty() {
                return Ok(());
            }
        }
        self.deliver(&targets, dead.layout, &dead.image, published, effects);
        Ok(())
    }

    fn drop_counted(&self, queue: &SharedQueue, lost: Lost) {
        if self.drops.count(lost) {
            let total = self.drops.of(lost);
            tracing::warn!(vhost = %self.name, queue = %queue.spec.name, ?lost, total, "messages dropped");
        }
    }

    /// A delay is over: the message goes where it would go if it were published now.
    fn release(&self, view: &View<'_>, published: &mut Published, effects: &mut Effects) -> Result<(), Lost> {
        let (layout, image) = delay::released(view);
        let view = View::new(layout, &image);
        let headers = headers(&view);
        let targets = self.targets(&view, &extra_keys(headers.as_ref()).unwrap_or_default())?;
        match without_bcc(&view, headers.as_ref()) {
            Some((layout, image)) => self.deliver(&targets, layout, &image, published, effects),
            None => self.deliver(&targets, layout, &image, published, effects),
        }
        Ok(())
    }

    /// Publishes a message to queues.
    pub(super) fn deliver(
        &self,
        targets: &[Arc<SharedQueue>],
        layout: Layout,
        image: &[u8],
        published: &mut Published,
        effects: &mut Effects,
    ) {
        let mut run = [Publication::kept(Message::new(View::new(layout, image), self.clock.now()))];
        for target in targets {
            target.publish(&mut run, Origin::Broker, published, effects);
        }
        note_published(&mut run, &mut published.placed, &mut effects.changes, || self.clock.now());
    }
}

impl Vhost {
    /// The queues that a message goes to that the broker itself sends on, by its key and `extra` ones.
    pub(super) fn targets(
        &self,
        view: &View<'_>,
        extra: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Arc<SharedQueue>>, Lost> {
        let mut keys = vec![view.routing_key()];
        keys.extend(extra.iter().map(AsRef::as_ref));
        let by_keys = Addressing::by_keys(&keys);
        let route = self.read(|topology| topology.route_within(view.exchange(), &by_keys));
        let mut route = route.map_err(|_| Lost::NoExchange)?;
        if route.needs_message() {
            let headers = headers(view);
            // Both were checked when it was published.
            let properties = PropertiesView::of_checked(view.properties()).unwrap_or_default();
            let addressing = Addressing::new(&keys, &properties, headers.as_ref());
            let addressing = Addressing { lot: rand::random(), ..addressing };
            route = self.route_within(view, &addressing).map_err(|_| Lost::NoExchange)?;
        }
        if route.queues.is_empty() { Err(Lost::Unroutable) } else { Ok(route.queues.into_vec()) }
    }
}

/// A message's headers. They were checked when it was published.
fn headers(view: &View<'_>) -> Option<FieldTable> {
    let headers = PropertiesView::of_checked(view.properties()).ok()?.headers?;
    FieldTable::decode(headers).ok()
}

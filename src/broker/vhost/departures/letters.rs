//! Where a message goes that departs, and what it looks like there.

use std::sync::Arc;

use crate::broker::{Lost, Vhost};
use crate::core::{
    change::note_published,
    dead_letter::{self, Death, Reason},
    delay,
    effects::{Cause, Departure, Effects},
    message::{Layout, Message, Publication, View},
    queue::{Enqueued, Origin, SharedQueue},
    rewrite::without_bcc,
    routing::{Addressing, extra_keys},
};
use crate::protocol::{FieldTable, PropertiesView, ShortString};

impl Vhost {
    /// Publishes a message to where it goes; gives how many queues that are. One that cannot go anywhere is dropped.
    pub(super) fn depart(
        &self,
        departure: &Departure,
        enqueued: &mut Enqueued,
        effects: &mut Effects,
    ) -> usize {
        let sent = match departure.cause {
            Cause::Dead(reason) => self.dead_letter(departure, reason, enqueued, effects),
            Cause::Due => self.release(&departure.entry.message.view(), enqueued, effects),
        };
        sent.unwrap_or_else(|lost| {
            self.drop_counted(&departure.name, lost, &departure.entry.message.view());
            0
        })
    }

    fn dead_letter(
        &self,
        Departure { name, settings, entry, .. }: &Departure,
        reason: Reason,
        enqueued: &mut Enqueued,
        effects: &mut Effects,
    ) -> Result<usize, Lost> {
        let Some(exchange) = &settings.dead_letter_exchange else { return Err(Lost::NoExchange) };
        let death = Death {
            queue: name,
            reason,
            at_ms: self.clock.now(),
            exchange,
            routing_key: settings.dead_letter_routing_key.as_deref(),
        };
        let mut letter =
            dead_letter::dead_lettered(&entry.message.view(), &death).map_err(|_| Lost::TooManyDeaths)?;
        let mut targets = self.targets(&letter.view(), &letter.extra_keys)?;
        let found = targets.len();
        letter.deaths().retain_forward(&mut targets, reason, |target| &target.spec.name);
        if targets.len() < found {
            self.drop_counted(name, Lost::Cycle, &entry.message.view());
        }
        letter.multiply(targets.len()).map_err(|_| Lost::TooManyCopies)?;
        if !targets.is_empty() {
            self.deliver(&targets, letter.layout, &letter.image, enqueued, effects);
        }
        Ok(targets.len())
    }

    fn drop_counted(&self, queue: &ShortString, lost: Lost, message: &View<'_>) {
        self.note_dropped(lost.into(), Some(queue), message);
        if self.drops.count(lost) {
            let total = self.drops.of(lost);
            tracing::warn!(vhost = %self.name, %queue, ?lost, total, "messages dropped");
        }
    }

    /// A delay is over: the message goes where it would go if it were published now.
    fn release(
        &self,
        view: &View<'_>,
        enqueued: &mut Enqueued,
        effects: &mut Effects,
    ) -> Result<usize, Lost> {
        let (layout, image) = delay::released(view);
        let view = View::new(layout, &image);
        let headers = headers(&view);
        let targets = self.targets(&view, &extra_keys(headers.as_ref()).unwrap_or_default())?;
        match without_bcc(&view, headers.as_ref()) {
            Some((layout, image)) => self.deliver(&targets, layout, &image, enqueued, effects),
            None => self.deliver(&targets, layout, &image, enqueued, effects),
        }
        Ok(targets.len())
    }

    /// Publishes a message to queues.
    pub(in crate::broker) fn deliver(
        &self,
        targets: &[Arc<SharedQueue>],
        layout: Layout,
        image: &[u8],
        enqueued: &mut Enqueued,
        effects: &mut Effects,
    ) {
        let mut run =
            [Publication::kept(Message::new(View::new(layout, image), self.clock.now(), self.gauge))];
        #[cfg(feature = "opentelemetry")]
        if let Some(spans) = self.observers.spans() {
            let [publication] = &run;
            let queues = targets.iter().map(|target| &target.spec.name);
            spans.published(|| self.clock.now(), &publication.view(), queues, None);
        }
        if let Some(lookouts) = self.observers.looks() {
            let names = targets.iter().map(|target| &target.spec.name);
            let [publication] = &run;
            let what = (publication.view(), names);
            self.observers.tell_published(&lookouts, self.clock.now(), what, (None, None));
        }
        for target in targets {
            target.publish(&mut run, Origin::Broker, enqueued, effects);
        }
        note_published(&mut run, &mut enqueued.placed, &mut effects.changes);
    }
}

impl Vhost {
    /// The queues that a message goes to that the broker itself sends on, by its key and `extra` ones.
    pub(in crate::broker) fn targets(
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

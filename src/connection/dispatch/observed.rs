//! What is told of published messages to who looks.

use crate::connection::session::Session;
use crate::core::{
    message::Publication,
    observing::{Lookouts, Tap, Tapped, is_about_messages},
    topology::Route,
};

impl Session {
    /// Messages were published that take this route.
    #[cold]
    pub(super) fn tell_published(&mut self, route: &Route, number: u16, run: &mut [Publication<'_>]) {
        #[cfg(feature = "opentelemetry")]
        if let Some(spans) = self.vhost.observers.spans() {
            for publication in &*run {
                let queues = route.queues.iter().map(|queue| &queue.spec.name);
                let at = || self.broker.clock.now();
                spans.published(at, &publication.view(), queues, self.effects.by.as_ref());
            }
        }
        if let Some(lookouts) = self.vhost.observers.looks() {
            self.tell_lookouts(&lookouts, route, number, run);
        }
    }

    fn tell_lookouts(
        &mut self,
        lookouts: &Lookouts,
        route: &Route,
        number: u16,
        run: &mut [Publication<'_>],
    ) {
        let now = self.broker.clock.now();
        let names = route.queues.iter().map(|queue| &queue.spec.name);
        for publication in run {
            let by = (self.effects.by.as_ref(), Some(number));
            let what = (publication.view(), names.clone());
            self.vhost.observers.tell_published(lookouts, now, what, by);
            if lookouts.taps() && !is_about_messages(&publication.view()) {
                self.effects.taps.push(Tap {
                    message: publication.keep(self.broker.gauge, || now),
                    by: self.effects.by.clone(),
                    channel: number,
                    what: Tapped::Published(names.clone().cloned().collect()),
                });
            }
        }
    }
}

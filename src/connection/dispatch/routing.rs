//! Class basic: which way published messages go.

use std::{slice, sync::Arc};

use super::{
    enqueuing::Destined,
    rules::{due_ms, has_rules, has_telling_headers, headers, invalid_message, properties, renewed_tag},
};
use crate::broker::{Vhost, reply_token};
use crate::connection::{
    channel::RunOutcome,
    session::{
        Session,
        permission::{Permission, Resource},
    },
};
use crate::core::{
    confirms::Outcome,
    dedup::Seen,
    error::AmqpError,
    message::{Publication, View},
    rewrite::without_bcc,
    routing::{Addressing, extra_keys},
    topology::Route,
};

/// Where the messages of one run go.
pub(super) enum Way {
    /// All of them to these queues.
    Queues(Arc<Route>),
    /// Each message to those of these queues that have not seen it.
    Once(Arc<Route>),
    /// Each message by a route of its own.
    OfItsOwn,
    /// To the reply consumer that their key names.
    Reply,
    /// Nowhere: they ask for more time for the delivery with this tag.
    Renewal(u64),
    /// Nowhere: there is no message.
    Nowhere,
}

/// Whether the client was asked for its permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Not yet.
    Now,
    /// When it published: a transaction that is committed is not asked again (RabbitMQ), and is carried out as a whole.
    Before,
}

impl Way {
    /// Whether all messages of a run take it together.
    pub(super) fn is_shared(&self) -> bool {
        !matches!(self, Self::Once(_) | Self::OfItsOwn)
    }
}

impl Session {
    /// Finds the way of a run, by its first message and by what the others ask for.
    pub(super) fn way(
        &mut self,
        number: u16,
        run: &[Publication<'_>],
        asked: Asked,
    ) -> Result<Way, AmqpError> {
        let Some(first) = run.first().map(Publication::view) else { return Ok(Way::Nowhere) };
        if first.exchange().is_empty() {
            let shortcut = match renewed_tag(&first) {
                Some(tag) => Some(Way::Renewal(tag)),
                None => reply_token(first.routing_key()).map(|_token| Way::Reply),
            };
            if let Some(way) = shortcut {
                if asked == Asked::Before {
                    return Ok(way);
                }
                self.may(Permission::Write, Resource::Exchange(first.exchange()))?;
                return Ok(way);
            }
        }
        let vhost = self.vhost.clone();
        let route = self.find_route(number, &first, &vhost, asked)?;
        if route.needs_message() || run.iter().any(|item| has_telling_headers(&item.view())) {
            return Ok(Way::OfItsOwn);
        }
        let may_be_seen = run.iter().any(|item| may_be_seen(&route, item));
        Ok(if may_be_seen { Way::Once(route) } else { Way::Queues(route) })
    }

    /// The route of a message by its exchange and key. One that has to be worked out asks whether the connection may write to the
    /// exchange, and takes its share of the turn.
    pub(super) fn find_route(
        &mut self,
        number: u16,
        view: &View<'_>,
        vhost: &Vhost,
        asked: Asked,
    ) -> Result<Arc<Route>, AmqpError> {
        self.renew_grant();
        if let Some((route, steps)) = self.channel(number).routes.recall(view) {
            self.turn.spend(steps);
            return Ok(route);
        }
        // A commit waits for nobody.
        let is_asked = asked == Asked::Before && self.asks_service();
        let permitted = if is_asked { Ok(()) } else { self.may_publish(view) };
        if asked == Asked::Before && (is_asked || permitted.is_err()) {
            // Not remembered: what is remembered was permitted.
            let route = vhost.route_by_key(view.exchange(), view.routing_key())?;
            self.turn.spend(route.steps());
            return Ok(route);
        }
        permitted?;
        let (route, steps) = self.channel(number).routes.work_out(view, vhost)?;
        self.turn.spend(steps);
        Ok(route)
    }

    fn may_publish(&mut self, view: &View<'_>) -> Result<(), AmqpError> {
        self.may(Permission::Write, Resource::Exchange(view.exchange()))?;
        self.may_use_topics(Permission::Write, view.exchange(), [view.routing_key()])
    }

    /// Sends messages their way: a run, if its way [is shared](Way::is_shared), otherwise one. Tells what became of them. `seen` is
    /// the record of what was seen, if a transaction has locked it.
    pub(super) fn follow(
        &mut self,
        way: &Way,
        number: u16,
        mandatory: bool,
        run: &mut [Publication<'_>],
        seen: Option<&mut Seen>,
    ) -> Result<RunOutcome, AmqpError> {
        match (way, run) {
            (Way::Queues(route), run) => return Ok(self.enqueue(route, number, mandatory, run)),
            (Way::Once(route), [publication]) => {
                let destined = Destined { route, number, mandatory, due: None };
                return Ok(self.enqueue_or_delay(&destined, publication, seen));
            }
            (Way::OfItsOwn, [publication]) => return self.route_alone(number, mandatory, publication, seen),
            (Way::Reply, run) => {
                if self.vhost.observers.is_anybody() {
                    self.tell_published(&Route::default(), number, run);
                }
                for view in run.iter().map(|item| item.view()) {
                    let taken = reply_token(view.routing_key()).is_some_and(|token| {
                        self.broker.reply_consumers.deliver(token, &view, &mut self.effects.outgoing)
                    });
                    if !taken {
                        self.return_or_drop(mandatory, number, &view);
                    }
                }
            }
            (Way::Renewal(tag), _) => {
                let now = self.broker.clock.now();
                if let Some(window) = self.outbox.lock().window(number) {
                    window.renew(*tag, now);
                }
            }
            (Way::Nowhere | Way::Once(_) | Way::OfItsOwn, _) => {}
        }
        Ok(Outcome::Taken.into())
    }

    /// Routes and enqueues one message whose headers or exchange type count as well as exchange and key.
    fn route_alone(
        &mut self,
        number: u16,
        mandatory: bool,
        publication: &mut Publication<'_>,
        seen: Option<&mut Seen>,
    ) -> Result<RunOutcome, AmqpError> {
        let view = publication.view();
        let (properties, headers) = (properties(&view)?, headers(&view)?);
        let mut keys = vec![view.routing_key()];
        keys.extend(extra_keys(headers.as_ref()).map_err(invalid_message)?);
        self.turn.spend(keys.len());
        let addressing = Addressing::new(&keys, &properties, headers.as_ref());
        let addressing = Addressing { lot: rand::random(), ..addressing };
        if let Some(due) = due_ms(&view, self.broker.clock.now())? {
            // It is routed again when it is due: then BCC counts, and exchanges with a history keep it.
            let route = self.vhost.read(|topology| topology.route(view.exchange(), &addressing))?;
            self.turn.spend(route.steps());
            let destined = Destined { route: &route, number, mandatory, due: Some(due) };
            return Ok(self.enqueue_or_delay(&destined, publication, seen));
        }
        let changed = without_bcc(&view, headers.as_ref());
        let outgoing = changed.as_ref().map_or(view, |(layout, image)| View::new(*layout, image));
        let route = self.vhost.route(&outgoing, &addressing)?;
        self.turn.spend(route.steps());
        let destined = Destined { route: &route, number, mandatory, due: None };
        Ok(if changed.is_some() {
            self.enqueue_or_delay(&destined, &mut Publication::new(outgoing), seen)
        } else {
            self.enqueue_or_delay(&destined, publication, seen)
        })
    }

    fn enqueue_or_delay(
        &mut self,
        destined: &Destined<'_>,
        publication: &mut Publication<'_>,
        seen: Option<&mut Seen>,
    ) -> RunOutcome {
        let Destined { route, number, mandatory, due } = *destined;
        if may_be_seen(route, publication) {
            return self.enqueue_once(destined, publication, seen).into();
        }
        match due {
            Some(due) if !(route.queues.is_empty() && mandatory) => {
                self.count_routed(route, number, mandatory, slice::from_mut(publication));
                self.delay(publication, due).into()
            }
            Some(_) => {
                self.count_routed(route, number, mandatory, slice::from_mut(publication));
                self.return_or_drop(mandatory, number, &publication.view());
                Outcome::Taken.into()
            }
            None => self.enqueue(route, number, mandatory, std::slice::from_mut(publication)),
        }
    }
}

/// Whether a message may be a duplicate for an exchange or queue on its route. One without headers is not.
fn may_be_seen(route: &Route, publication: &Publication<'_>) -> bool {
    route.deduplicates() && has_rules(&publication.view())
}

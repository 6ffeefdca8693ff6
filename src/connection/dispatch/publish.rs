//! Class basic: publishing (AMQP 1.8.3.7; RabbitMQ's confirms, CC and BCC, direct reply-to, user-id).

use std::sync::Arc;

use crate::broker::{REPLY_TO, Vhost, reply_token};
use crate::connection::{
    channel::{Mode, Outcome},
    session::{Brought, Session, text},
};
use crate::containment::own;
use crate::core::{
    change::note_published,
    clock::Millis,
    confirms::Fate,
    dedup::Seen,
    delay::{self, X_DELAY, X_DELIVER_AT},
    error::{AmqpError, not_implemented, precondition_failed},
    message::{Layout, Publication, View},
    queue::{Origin, Published, SharedQueue},
    rewrite::without_bcc,
    routing::{Addressing, extra_keys},
    topology::Route,
    turn::steps_of_bytes,
};
use crate::limits::EXPIRATION_MS_MAX;
use crate::protocol::{
    FieldTable, Properties, PropertiesView, ReplyCode, ShortString, TableView, basic,
    properties::{FLAG_EXPIRATION, FLAG_HEADERS, FLAG_REPLY_TO, FLAG_USER_ID},
    property_flags,
};

/// The routing key, on the default exchange, by which a consumer asks for more time: this and a delivery tag, or 0 for all
/// that its channel holds. RabbitMQ drops such a message as unroutable.
const RENEW_PREFIX: &str = "amq.renew.";
const MANDATORY: u8 = 1;
const IMMEDIATE: u8 = 2;
/// Steps of a message whose properties are looked at.
const RULES_STEPS: usize = 2;
/// Bytes of them that are decoded in one step.
const PROPERTIES_BYTES_PER_STEP: usize = 64;
/// Properties that a rule of the broker looks at.
const FLAGS_WITH_RULES: u16 = FLAG_HEADERS | FLAG_EXPIRATION | FLAG_USER_ID | FLAG_REPLY_TO;

/// Where a message goes, when, and on which channel it came.
pub(super) struct Destined<'a> {
    pub(super) route: &'a Route,
    pub(super) number: u16,
    pub(super) mandatory: bool,
    pub(super) due: Option<Millis>,
}

/// How messages of one run go on.
pub(super) enum Way {
    /// All of them to these queues.
    Queues(Arc<Route>),
    /// Each to those of these queues that have not seen it.
    Once(Arc<Route>),
    /// Each by a route of its own.
    OfItsOwn,
    /// To the reply consumer that their key names.
    Reply,
    /// They ask for more time for this delivery.
    Renewal(u64),
    /// There is none.
    Nowhere,
}

impl Way {
    /// Whether all messages of a run take it together.
    fn is_shared(&self) -> bool {
        !matches!(self, Self::Once(_) | Self::OfItsOwn)
    }
}

impl Session {
    /// The client has sent at least a part of a message: it is held up while the memory alarm is raised.
    #[inline]
    pub(in crate::connection) fn brings_a_message(&mut self) {
        self.brought = self.brought.max(Brought::Messages);
    }

    /// A publish whose content did not come with it: it is put together frame by frame.
    pub(super) fn begin_publish(&mut self, number: u16, publish: &basic::Publish) -> Result<(), AmqpError> {
        self.brings_a_message();
        self.channel(number).begin_assembly(publish)
    }

    /// Messages in a row with the same exchange, key and bits. Gives how many of them are done with: one at least, the others
    /// are for the next turn.
    pub(in crate::connection) fn publish(
        &mut self,
        number: u16,
        bits: u8,
        run: &mut [Publication<'_>],
    ) -> usize {
        let result = match self.channel_slot(number) {
            None => Err(crate::core::error::channel_error("expected 'channel.open'")),
            Some(channel) if channel.closing => {
                self.turn.spend(run.len());
                return run.len();
            }
            Some(channel) => channel.assembly.expect_method(),
        };
        let result = result.and_then(|()| self.publish_on_open_channel(number, bits, run));
        result.unwrap_or_else(|error| {
            self.fail(number, &error, (basic::CLASS_ID, basic::Publish::METHOD_ID));
            run.len()
        })
    }

    fn publish_on_open_channel(
        &mut self,
        number: u16,
        bits: u8,
        run: &mut [Publication<'_>],
    ) -> Result<usize, AmqpError> {
        if bits & IMMEDIATE != 0 {
            return Err(not_implemented("immediate=true"));
        }
        let mandatory = bits & MANDATORY != 0;
        let plain = run.iter().all(|publication| !has_rules(&publication.view()));
        if plain {
            return self.accept(number, mandatory, run);
        }
        let mut taken = 0;
        for publication in run {
            if taken > 0 && (self.turn.is_over() || self.is_working()) {
                break;
            }
            let properties_bytes = publication.view().properties().len();
            self.turn.spend(RULES_STEPS + properties_bytes / PROPERTIES_BYTES_PER_STEP);
            self.publish_with_rules(number, mandatory, publication)?;
            taken += 1;
        }
        Ok(taken)
    }

    /// A message with properties that rules look at.
    fn publish_with_rules(
        &mut self,
        number: u16,
        mandatory: bool,
        publication: &mut Publication<'_>,
    ) -> Result<(), AmqpError> {
        let view = publication.view();
        let properties = properties(&view)?;
        self.check_user_id(&properties)?;
        check_expiration(&properties)?;
        let changed = self.rewritten(number, &view, &properties)?;
        match changed {
            None => self.accept(number, mandatory, std::slice::from_mut(publication))?,
            Some((layout, image)) => {
                let mut publication = [Publication::new(View::new(layout, &image))];
                self.accept(number, mandatory, &mut publication)?
            }
        };
        Ok(())
    }

    /// Delivers now, or with the transaction; then the confirm is due. Gives how many of them, like [`Self::publish`].
    fn accept(
        &mut self,
        number: u16,
        mandatory: bool,
        run: &mut [Publication<'_>],
    ) -> Result<usize, AmqpError> {
        self.brings_a_message();
        if let Mode::Transaction(_) = self.channel(number).mode {
            return self.publish_in_transaction(number, mandatory, run);
        }
        let way = self.way(number, run)?;
        let mut taken = 0;
        while taken < run.len() {
            if taken > 0 && self.turn.is_over() {
                break;
            }
            let rest = &mut run[taken..];
            if let Way::Queues(route) = &way
                && route.queues.len() * steps_of_delivery(rest) > self.turn_steps
            {
                self.fan_out(number, route, &mut rest[0]);
                return Ok(taken + 1);
            }
            let share = self.share(&way, rest);
            let outcome = self.hand_on(&way, number, mandatory, &mut rest[..share], None)?;
            self.published_run(number, share, outcome);
            taken += share;
            if way.is_shared() {
                break;
            }
        }
        Ok(taken)
    }

    /// What is wrong with it is told at once, the rest waits for the commit.
    fn publish_in_transaction(
        &mut self,
        number: u16,
        mandatory: bool,
        run: &mut [Publication<'_>],
    ) -> Result<usize, AmqpError> {
        let vhost = self.vhost.clone();
        let clock = self.broker.clock.clone();
        let mut taken = 0;
        for publication in run {
            if taken > 0 && self.turn.is_over() {
                break;
            }
            let view = publication.view();
            self.find_route(number, &view, &vhost)?;
            self.turn.spend(1 + steps_of_bytes(view.image().len()));
            taken += 1;
            let channel = self.channel(number);
            if has_telling_headers(&view) {
                extra_keys(headers(&view)?.as_ref()).map_err(invalid_message)?;
                due_ms(&view, clock.now())?;
            }
            if let Mode::Transaction(transaction) = &mut channel.mode {
                transaction.publish(&view, mandatory)?;
            }
        }
        Ok(taken)
    }

    /// The route of a message by its exchange and key. One that had to be worked out takes its share of the turn.
    fn find_route(&mut self, number: u16, view: &View<'_>, vhost: &Vhost) -> Result<Arc<Route>, AmqpError> {
        let (route, steps) = self.channel(number).routes.find(view, vhost)?;
        self.turn.spend(steps);
        Ok(route)
    }

    /// How many messages of a run are handed on at once: one, or as many as this turn allows, where the first one's size is
    /// taken for that of all.
    fn share(&self, way: &Way, run: &[Publication<'_>]) -> usize {
        match way {
            Way::Queues(route) => {
                self.turn.share(run.len(), route.queues.len().max(1) * steps_of_delivery(run))
            }
            Way::Once(_) | Way::OfItsOwn => 1,
            Way::Reply | Way::Renewal(_) | Way::Nowhere => run.len(),
        }
    }

    /// Finds out how a run goes on, by its first message and by what the others ask for.
    pub(super) fn way(&mut self, number: u16, run: &[Publication<'_>]) -> Result<Way, AmqpError> {
        let Some(first) = run.first().map(Publication::view) else { return Ok(Way::Nowhere) };
        if first.exchange().is_empty() {
            if reply_token(first.routing_key()).is_some() {
                return Ok(Way::Reply);
            }
            if let Some(tag) = renewed_tag(&first) {
                return Ok(Way::Renewal(tag));
            }
        }
        let vhost = self.vhost.clone();
        let route = self.find_route(number, &first, &vhost)?;
        if route.needs_message() || run.iter().any(|item| has_telling_headers(&item.view())) {
            return Ok(Way::OfItsOwn);
        }
        let may_be_seen = run.iter().any(|item| may_be_seen(&route, item));
        Ok(if may_be_seen { Way::Once(route) } else { Way::Queues(route) })
    }

    /// Hands messages on: a run, if its way [is shared](Way::is_shared), else one. Tells what became of them. `seen` is what was
    /// seen, if a transaction has locked it.
    pub(super) fn hand_on(
        &mut self,
        way: &Way,
        number: u16,
        mandatory: bool,
        run: &mut [Publication<'_>],
        seen: Option<&mut Seen>,
    ) -> Result<Outcome, AmqpError> {
        match (way, run) {
            (Way::Queues(route), run) => return Ok(self.deliver(route, number, mandatory, run)),
            (Way::Once(route), [publication]) => {
                let destined = Destined { route, number, mandatory, due: None };
                return Ok(self.hand_over(&destined, publication, seen));
            }
            (Way::OfItsOwn, [publication]) => return self.deliver_one(number, mandatory, publication, seen),
            (Way::Reply, run) => {
                for view in run.iter().map(|item| item.view()) {
                    let taken = reply_token(view.routing_key()).is_some_and(|token| {
                        self.broker.reply_consumers.deliver(token, &view, &mut self.effects.outgoing)
                    });
                    self.return_if(mandatory && !taken, number, &view);
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
        Ok(Fate::Taken.into())
    }

    /// A message that has more say in where it goes than its exchange and key.
    fn deliver_one(
        &mut self,
        number: u16,
        mandatory: bool,
        publication: &mut Publication<'_>,
        seen: Option<&mut Seen>,
    ) -> Result<Outcome, AmqpError> {
        let view = publication.view();
        let (properties, headers) = (properties(&view)?, headers(&view)?);
        let mut keys = vec![view.routing_key()];
        keys.extend(extra_keys(headers.as_ref()).map_err(invalid_message)?);
        self.turn.spend(keys.len());
        let addressing = Addressing::new(&keys, &properties, headers.as_ref());
        let addressing = Addressing { lot: rand::random(), ..addressing };
        if let Some(due) = due_ms(&view, self.broker.clock.now())? {
            // It is routed again when it is due, by BCC as well, and exchanges that keep messages get it then.
            let route = self.vhost.read(|topology| topology.route(view.exchange(), &addressing))?;
            self.turn.spend(route.steps());
            let destined = Destined { route: &route, number, mandatory, due: Some(due) };
            return Ok(self.hand_over(&destined, publication, seen));
        }
        let changed = without_bcc(&view, headers.as_ref());
        let outgoing = changed.as_ref().map_or(view, |(layout, image)| View::new(*layout, image));
        let route = self.vhost.route(&outgoing, &addressing)?;
        self.turn.spend(route.steps());
        let destined = Destined { route: &route, number, mandatory, due: None };
        Ok(if changed.is_some() {
            self.hand_over(&destined, &mut Publication::new(outgoing), seen)
        } else {
            self.hand_over(&destined, publication, seen)
        })
    }

    fn hand_over(
        &mut self,
        destined: &Destined<'_>,
        publication: &mut Publication<'_>,
        seen: Option<&mut Seen>,
    ) -> Outcome {
        let Destined { route, number, mandatory, due } = *destined;
        if may_be_seen(route, publication) {
            return self.deliver_once(destined, publication, seen).into();
        }
        match due {
            Some(due) if !(route.queues.is_empty() && mandatory) => self.delay(publication, due).into(),
            Some(_) => {
                self.return_if(mandatory, number, &publication.view());
                Fate::Taken.into()
            }
            None => self.deliver(route, number, mandatory, std::slice::from_mut(publication)),
        }
    }

    /// Keeps a message until it is due; where it goes is found out then.
    pub(super) fn delay(&mut self, publication: &mut Publication<'_>, due: Millis) -> Fate {
        let mut published = self.begin_run();
        let placement = self.vhost.delay_queue().hold_until(publication, due);
        published.placed.extend(placement.map(|placement| (0, placement)));
        self.end_run(std::slice::from_mut(publication), published).fate
    }

    fn deliver(
        &mut self,
        route: &Route,
        number: u16,
        mandatory: bool,
        run: &mut [Publication<'_>],
    ) -> Outcome {
        let mut published = self.begin_run();
        for queue in &route.queues {
            self.deliver_to(queue, run, &mut published);
        }
        if route.queues.is_empty() {
            self.turn.spend(run.len());
            for publication in &mut *run {
                self.return_if(mandatory, number, &publication.view());
            }
        }
        self.end_run(run, published)
    }

    /// Before a run is handed to queues by [`Self::deliver_to`].
    pub(super) fn begin_run(&mut self) -> Published {
        Published { placed: std::mem::take(&mut self.placed), ..Published::default() }
    }

    #[inline]
    pub(super) fn deliver_to(
        &mut self,
        queue: &Arc<SharedQueue>,
        run: &mut [Publication<'_>],
        published: &mut Published,
    ) {
        self.turn.spend(run.len() * steps_of_delivery(run));
        if queue.publish(run, Origin::Client, published, &mut self.effects) {
            self.congested = Some(queue.clone());
        }
    }

    /// Notes what the queues have of a run for the journal, and tells what became of it.
    pub(super) fn end_run(&mut self, run: &mut [Publication<'_>], mut published: Published) -> Outcome {
        let fate = if published.placed.is_empty() { Fate::Taken } else { Fate::Journaled };
        if fate == Fate::Journaled {
            self.brought = Brought::ForTheJournal;
        }
        note_published(run, &mut published.placed, &mut self.effects.changes);
        self.placed = published.placed;
        Outcome { fate, refused: published.refused }
    }

    /// `basic.return`, which goes out before the confirm.
    pub(super) fn return_if(&self, due: bool, number: u16, view: &View<'_>) {
        if due {
            let method = basic::Return {
                reply_code: ReplyCode::NoRoute.code(),
                reply_text: text(ReplyCode::NoRoute.name()),
                exchange: ShortString::try_from(view.exchange()).unwrap_or_default(),
                routing_key: ShortString::try_from(view.routing_key()).unwrap_or_default(),
            };
            self.outbox.lock().send_content(number, &method, view);
        }
    }

    fn check_user_id(&self, properties: &PropertiesView<'_>) -> Result<(), AmqpError> {
        match properties.user_id {
            Some(claimed) if *claimed != *self.user => Err(precondition_failed(format!(
                "user_id property set to '{}' but authenticated user was '{}'",
                String::from_utf8_lossy(claimed),
                self.user
            ))),
            _ => Ok(()),
        }
    }

    /// Direct reply-to: a request that names the pseudo-queue leaves with the name that replies will find.
    fn rewritten(
        &self,
        number: u16,
        view: &View<'_>,
        properties: &PropertiesView<'_>,
    ) -> Result<Option<(Layout, Vec<u8>)>, AmqpError> {
        if properties.reply_to != Some(REPLY_TO.as_bytes()) {
            return Ok(None);
        }
        let token = self
            .outbox
            .lock()
            .window(number)
            .and_then(|window| window.reply.as_ref().map(|reply| reply.token.clone()))
            .ok_or_else(|| precondition_failed("fast reply consumer does not exist"))?;
        let mut owned = Properties::decode(view.properties()).map_err(invalid_message)?;
        owned.reply_to = ShortString::try_from(format!("{REPLY_TO}.{token}")).ok();
        Ok(Some(view.with_properties(&owned)))
    }
}

/// Steps that a message takes for each of its queues; the first one of a run stands for all.
#[inline]
fn steps_of_delivery(run: &[Publication<'_>]) -> usize {
    1 + run.first().map_or(0, |first| steps_of_bytes(first.view().image().len()))
}

/// Whether a message may be a duplicate for somebody on its route. One without headers is nobody's.
fn may_be_seen(route: &Route, publication: &Publication<'_>) -> bool {
    route.deduplicates() && has_rules(&publication.view())
}

#[inline]
pub(super) fn has_rules(view: &View<'_>) -> bool {
    property_flags(view.properties()).is_some_and(|flags| flags & FLAGS_WITH_RULES != 0)
}

fn properties<'a>(view: &View<'a>) -> Result<PropertiesView<'a>, AmqpError> {
    own(|| PropertiesView::parse(view.properties())).map_err(invalid_message)
}

fn invalid_message(error: impl std::fmt::Display) -> AmqpError {
    precondition_failed(format!("invalid message: {error}"))
}

fn headers(view: &View<'_>) -> Result<Option<FieldTable>, AmqpError> {
    let headers = properties(view)?.headers;
    own(|| headers.map(FieldTable::decode)).transpose().map_err(invalid_message)
}

/// When a message is due that was published with a delay; 406 if that is too far ahead.
fn due_ms(view: &View<'_>, now: Millis) -> Result<Option<Millis>, AmqpError> {
    let Some(headers) = properties(view)?.headers else { return Ok(None) };
    delay::due_ms(&TableView::new(headers), now).map_err(|invalid| precondition_failed(invalid.to_string()))
}

/// Whether its headers say where or when it goes.
fn has_telling_headers(view: &View<'_>) -> bool {
    has_rules(view)
        && PropertiesView::parse(view.properties()).ok().and_then(|it| it.headers).is_some_and(|headers| {
            let headers = TableView::new(headers);
            ["CC", "BCC", X_DELAY, X_DELIVER_AT].iter().any(|name| headers.get(name).is_some())
        })
}

/// The tag of a delivery whose consumer says that it is still at work; see `protocol-spec/work-queues.md`.
fn renewed_tag(view: &View<'_>) -> Option<u64> {
    let tag = view.routing_key().strip_prefix(RENEW_PREFIX.as_bytes())?;
    std::str::from_utf8(tag).ok()?.parse().ok()
}

/// `expiration` must be milliseconds as decimal digits, at most ten years (RabbitMQ).
fn check_expiration(properties: &PropertiesView<'_>) -> Result<(), AmqpError> {
    let Some(bytes) = properties.expiration else { return Ok(()) };
    let text = String::from_utf8_lossy(bytes);
    let invalid = |why: String| Err(precondition_failed(format!("invalid expiration '{text}': {why}")));
    let (sign, unsigned) = text.strip_prefix('-').map_or((1, &*text), |rest| (-1, rest));
    let unsigned = if sign == 1 { unsigned.strip_prefix('+').unwrap_or(unsigned) } else { unsigned };
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return invalid("no_integer".into());
    }
    let (number, rest) = unsigned.split_at(digits);
    if !rest.is_empty() {
        return invalid(format!("{{leftover_string,\"{rest}\"}}"));
    }
    match number.parse::<u64>() {
        Ok(value) if sign < 0 && value > 0 => invalid(format!("{{value_negative,-{value}}}")),
        Ok(value) if value <= EXPIRATION_MS_MAX => Ok(()),
        _ => invalid(format!("{{value_too_large,{number}}}")),
    }
}

//! Class basic: publishing (AMQP 1.8.3.7; RabbitMQ's confirms, CC and BCC, direct reply-to, user-id).

use super::{
    enqueuing::steps_of_enqueuing,
    routing::{Asked, Way},
    rules::{check_expiration, due_ms, has_rules, has_telling_headers, headers, invalid_message, properties},
};
use crate::broker::REPLY_TO;
use crate::connection::{
    assembly::Assembled,
    channel::Mode,
    session::{Brought, Session, permission::Permission},
    work::{Publishing, Work},
};
use crate::core::{
    error::{AmqpError, channel_error, not_implemented, precondition_failed},
    memory::{Held, Kind},
    message::{Layout, Publication, View},
    routing::extra_keys,
    turn::steps_of_bytes,
};
use crate::limits::{PROPERTIES_STEPS, STEP_PROPERTIES_BYTES};
use crate::protocol::{Properties, PropertiesView, ShortString, basic};

const MANDATORY: u8 = 1;
const IMMEDIATE: u8 = 2;

impl Session {
    /// Notes that the client has sent at least a part of a message, so that the reader holds it up while the memory alarm is raised.
    #[inline]
    pub(in crate::connection) fn brings_a_message(&mut self) {
        self.brought = self.brought.max(Brought::Messages);
    }

    /// A publish whose content did not come with it: it is put together frame by frame.
    pub(super) fn begin_publish(&mut self, number: u16, publish: &basic::Publish) -> Result<(), AmqpError> {
        self.brings_a_message();
        self.channel(number).begin_assembly(publish)
    }

    /// Publishes messages in a row that have the same exchange, key and bits. Gives how many of them this turn has handled, at least
    /// one; the others are for the next turn.
    pub(in crate::connection) fn publish(
        &mut self,
        number: u16,
        bits: u8,
        run: &mut [Publication<'_>],
    ) -> usize {
        let published = match self.channel_slot(number) {
            None => Err(channel_error("expected 'channel.open'")),
            Some(channel) if channel.closing => {
                self.turn.spend(run.len());
                Ok(run.len())
            }
            Some(channel) => channel
                .assembly
                .expect_method()
                .and_then(|()| self.publish_on_open_channel(number, bits, run)),
        };
        if published.is_err() && self.is_asking() {
            // They are put off.
            return 0;
        }
        self.forget_what_was_found();
        published.unwrap_or_else(|error| {
            self.fail(number, &error, (basic::CLASS_ID, basic::Publish::METHOD_ID));
            run.len()
        })
    }

    /// Publishes a message that did not come in one piece. If it has to wait for what the HTTP service says, that is work under way.
    pub(in crate::connection) fn publish_assembled(&mut self, number: u16, message: Assembled) {
        if let Some(waiting) = self.publish_or_wait(number, message) {
            let held = Held::of(&self.memory, Kind::Assemblies, waiting.size_bytes());
            self.begin(Work::Publish(Box::new(Publishing { number, message: waiting, held })));
        }
    }

    /// Gives what has to wait longer.
    pub(in crate::connection) fn resume_publishing(&mut self, publishing: Publishing) -> Option<Publishing> {
        let Publishing { number, message, held } = publishing;
        let message = self.publish_or_wait(number, message)?;
        Some(Publishing { number, message, held })
    }

    /// Gives the message back if it has to wait.
    fn publish_or_wait(&mut self, number: u16, message: Assembled) -> Option<Assembled> {
        // A single message is never put off, but for that.
        self.publish(number, message.bits, &mut [Publication::new(message.view())]);
        self.is_asking().then_some(message)
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
            self.turn.spend(PROPERTIES_STEPS + properties_bytes / STEP_PROPERTIES_BYTES);
            match self.publish_with_rules(number, mandatory, publication) {
                // Those before it are published.
                Err(_) if self.is_asking() && taken > 0 => break,
                published => published?,
            }
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
        if has_telling_headers(&view) && self.heeds_topics() {
            let headers = headers(&view)?;
            let keys = extra_keys(headers.as_ref()).map_err(invalid_message)?;
            self.may_use_topics(Permission::Write, view.exchange(), keys)?;
        }
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

    /// Routes and enqueues messages that the rules allow, now or with the transaction, and counts them. Gives how many, like
    /// [`Self::publish`].
    fn accept(
        &mut self,
        number: u16,
        mandatory: bool,
        run: &mut [Publication<'_>],
    ) -> Result<usize, AmqpError> {
        let taken = self.accept_some(number, mandatory, run)?;
        self.brought_messages += taken;
        self.sizes.note(run[..taken].iter().map(|publication| publication.view().layout.body_bytes));
        Ok(taken)
    }

    fn accept_some(
        &mut self,
        number: u16,
        mandatory: bool,
        run: &mut [Publication<'_>],
    ) -> Result<usize, AmqpError> {
        self.brings_a_message();
        if let Mode::Transaction(_) = self.channel(number).mode {
            return self.publish_in_transaction(number, mandatory, run);
        }
        let way = self.way(number, run, Asked::Now)?;
        let mut taken = 0;
        while taken < run.len() {
            if taken > 0 && self.turn.is_over() {
                break;
            }
            let rest = &mut run[taken..];
            if let Way::Queues(route) = &way
                && route.queues.len() * steps_of_enqueuing(rest) > self.turn_steps
            {
                self.fan_out(number, route, &mut rest[0]);
                return Ok(taken + 1);
            }
            let share = self.share(&way, rest);
            let outcome = self.follow(&way, number, mandatory, &mut rest[..share], None)?;
            self.note_outcome(number, share, outcome);
            taken += share;
            if way.is_shared() {
                break;
            }
        }
        Ok(taken)
    }

    /// Checks messages at once, and keeps them for the commit.
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
            match self.find_route(number, &view, &vhost, Asked::Now) {
                Err(_) if self.is_asking() && taken > 0 => break,
                found => drop(found?),
            }
            self.turn.spend(1 + steps_of_bytes(view.image().len()));
            taken += 1;
            if has_telling_headers(&view) {
                extra_keys(headers(&view)?.as_ref()).map_err(invalid_message)?;
                due_ms(&view, clock.now())?;
            }
            if let Mode::Transaction(transaction) = &mut self.channel(number).mode {
                transaction.publish(&view, mandatory)?;
            }
        }
        Ok(taken)
    }

    /// How many messages of a run are enqueued at once: one, or as many as this turn allows, where the first one's size is
    /// taken for that of all.
    fn share(&self, way: &Way, run: &[Publication<'_>]) -> usize {
        match way {
            Way::Queues(route) => {
                self.turn.share(run.len(), route.queues.len().max(1) * steps_of_enqueuing(run))
            }
            Way::Once(_) | Way::OfItsOwn => 1,
            Way::Reply | Way::Renewal(_) | Way::Nowhere => run.len(),
        }
    }

    fn check_user_id(&self, properties: &PropertiesView<'_>) -> Result<(), AmqpError> {
        match properties.user_id {
            Some(claimed) if *claimed != *self.user && !self.may_impersonate() => {
                Err(precondition_failed(format!(
                    "user_id property set to '{}' but authenticated user was '{}'",
                    String::from_utf8_lossy(claimed),
                    self.user
                )))
            }
            _ => Ok(()),
        }
    }

    /// Direct reply-to: if a request names the pseudo-queue, gives it with the name by which replies find the consumer.
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

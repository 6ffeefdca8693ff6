//! Empties one queue of the RabbitMQ into the queue of the same name here.
//!
//! It goes in *rounds*: ask how many messages are ready, consume as many, bring them here batch by batch, acknowledge each batch
//! when it is safe here, leave. What RabbitMQ says at the beginning of a round is what is left of the one before; a round that
//! finds nothing ready is the last one. Messages that cannot be here, or for which there is no room, are never acknowledged:
//! RabbitMQ puts them back to where they were when the channel is closed.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use super::{
    batch::{Batch, Taken},
    inventory::Queue,
    peer::Peer,
};
use crate::cli::amqp::{
    client::{CHANNEL, Client as AmqpClient, refuse_close},
    error::Error as AmqpError,
};
use crate::cli::operate::{
    client::{Address, Client},
    error::Error,
};
use crate::limits::{
    MOVED_ANSWER_TIMEOUT, MOVED_BATCH_MESSAGES, MOVED_HELD_UP_TIMES_MAX, MOVED_HELD_UP_WAIT, MOVED_PATIENCE,
    MOVED_POLL, MOVED_PREFETCH, MOVED_ROUNDS_MAX,
};
use crate::protocol::{Method, ShortString, basic, queue, write_method};

/// From where to where.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The RabbitMQ.
    pub peer: &'a Peer,
    /// The broker here.
    pub here: &'a Client,
    /// Called with the number of messages that have come.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Rises when no more is to be moved.
    pub stop: &'a AtomicBool,
}

/// Somebody who empties queues, one after the other, over a connection that is kept from one to the next.
pub struct Emptying<'a> {
    way: Way<'a>,
    connection: Option<Connection>,
}

/// A connection to a virtual host of the RabbitMQ.
struct Connection {
    vhost: String,
    client: AmqpClient,
}

/// Why a queue is not emptied any further.
enum Failed {
    /// RabbitMQ, as far as it concerns the queue or its virtual host.
    There(AmqpError),
    /// There is no way to RabbitMQ.
    Nowhere(AmqpError),
    /// The broker here.
    Here(Error),
}

impl From<AmqpError> for Failed {
    fn from(error: AmqpError) -> Self {
        Self::There(error)
    }
}

impl<'a> Emptying<'a> {
    /// Nothing so far.
    pub fn new(way: Way<'a>) -> Self {
        Self { way, connection: None }
    }

    /// Empties a queue, and notes in it what was done and what is left. An error means that no other queue can be emptied either:
    /// the broker here fails, or nobody is let in at RabbitMQ.
    pub fn empty(&mut self, queue: &mut Queue) -> Result<(), Error> {
        let Err(failed) = self.rounds(queue) else { return Ok(()) };
        self.connection = None;
        let (why, error) = match failed {
            Failed::There(error) => (format!("RabbitMQ: {error}"), None),
            Failed::Nowhere(error) => {
                let why = format!("RabbitMQ: {error}");
                (why.clone(), Some(Error::Failed(why)))
            }
            Failed::Here(error) => (error.to_string(), Some(error)),
        };
        queue.why = Some(why);
        error.map_or(Ok(()), Err)
    }

    /// Says goodbye to RabbitMQ. Everything is done by then: how it answers changes nothing.
    pub fn leave(self) {
        if let Some(connection) = self.connection {
            let _answer = connection.client.close();
        }
    }

    fn rounds(&mut self, queue: &mut Queue) -> Result<(), Failed> {
        let way = self.way;
        for _ in 0..MOVED_ROUNDS_MAX {
            let connection = self.connection(&queue.vhost)?;
            let ready = connection.ready(queue)?;
            queue.left = Some(ready.max(queue.refused));
            if queue.left == Some(0) {
                queue.why = None;
                return Ok(());
            }
            if ready == 0 || queue.why.is_some() {
                return Ok(());
            }
            let before = queue.moved;
            Round::new(way, connection, queue, ready)?.run()?;
            if queue.refused > 0 {
                queue.why.get_or_insert_with(|| "some of its messages cannot be here".into());
            } else if queue.moved == before {
                queue.why.get_or_insert_with(|| NOT_GIVEN.into());
            }
        }
        queue.why.get_or_insert_with(|| "clients still publish to it in RabbitMQ".into());
        Ok(())
    }

    fn connection(&mut self, vhost: &str) -> Result<&mut Connection, Failed> {
        let connection = match self.connection.take() {
            Some(connection) if connection.vhost == vhost => connection,
            other => {
                if let Some(other) = other {
                    // It has done all that it was for.
                    let _answer = other.client.close();
                }
                let mut client = self.way.peer.connect(vhost).map_err(|error| match error {
                    error @ AmqpError::ConnectionClosed { code: NOT_ALLOWED, .. } => Failed::There(error),
                    error => Failed::Nowhere(error),
                })?;
                client.wait_at_most(MOVED_ANSWER_TIMEOUT)?;
                client.open_channel()?;
                Connection { vhost: vhost.into(), client }
            }
        };
        Ok(self.connection.insert(connection))
    }
}

impl Connection {
    /// How many messages RabbitMQ could give away.
    fn ready(&mut self, queue: &Queue) -> Result<u64, AmqpError> {
        match self.client.call(&passive(queue)?, "queue.declare")? {
            Method::QueueDeclareOk(ok) => Ok(ok.message_count.into()),
            other => Err(AmqpError::Unexpected(other.name())),
        }
    }

    /// A new channel in the place of the one that was used: what was not acknowledged goes back.
    fn renew(&mut self) -> Result<(), AmqpError> {
        self.client.close_channel()?;
        self.client.open_channel()
    }
}

/// Consuming as many messages as were ready.
struct Round<'a> {
    way: Way<'a>,
    connection: &'a mut Connection,
    queue: &'a mut Queue,
    /// Messages to wait for.
    ready: u64,
    address: Address,
    batch: Batch,
    /// When something last came.
    heard_at: Instant,
}

impl<'a> Round<'a> {
    fn new(
        way: Way<'a>,
        connection: &'a mut Connection,
        queue: &'a mut Queue,
        ready: u64,
    ) -> Result<Self, Failed> {
        let qos = basic::Qos { prefetch_count: MOVED_PREFETCH, ..basic::Qos::default() };
        connection.client.call(&qos, "basic.qos")?;
        let consumer_tag = ShortString::from_static(TAG);
        let consume = basic::Consume { queue: name(queue)?, consumer_tag, ..basic::Consume::default() };
        connection.client.call(&consume, "basic.consume")?;
        let address =
            Address::new(&["leveret", "queues", &queue.vhost, &queue.name, "move-in"], queue.named());
        let (batch, heard_at) = (Batch::default(), Instant::now());
        Ok(Self { way, connection, queue, ready, address, batch, heard_at })
    }

    fn run(mut self) -> Result<(), Failed> {
        self.connection.client.wait_at_most(MOVED_POLL)?;
        while self.batch.received() < self.ready && self.queue.why.is_none() {
            if !self.hear()? {
                if !self.batch.is_empty() {
                    self.bring()?;
                } else if !self.expects_more()? {
                    break;
                }
            }
            if self.batch.is_due() {
                self.bring()?;
            }
            if self.way.stop.load(Ordering::Relaxed) {
                self.queue.why.get_or_insert_with(|| "it was stopped before its end".into());
            }
        }
        self.connection.client.wait_at_most(MOVED_ANSWER_TIMEOUT)?;
        let cancel = basic::Cancel { consumer_tag: ShortString::from_static(TAG), no_wait: false };
        self.connection.client.send(CHANNEL, &cancel)?;
        self.hear_until(|method| matches!(method, Method::BasicCancelOk(_)), "basic.cancel")?;
        if self.queue.why.is_none() {
            self.bring()?;
        }
        Ok(self.connection.renew()?)
    }

    /// Takes the next frame in. False if none comes for a moment.
    fn hear(&mut self) -> Result<bool, AmqpError> {
        let batch = &mut self.batch;
        let Some(method) = self.connection.client.next_frame(|frame| batch.take(frame))? else {
            return Ok(false);
        };
        self.heard_at = Instant::now();
        if let Some(method) = method {
            self.note(method)?;
        }
        Ok(true)
    }

    /// Takes in what comes before a method, and that.
    fn hear_until(
        &mut self,
        is_meant: impl Fn(&Method) -> bool,
        waiting_for: &'static str,
    ) -> Result<Method, AmqpError> {
        loop {
            let batch = &mut self.batch;
            match self.connection.client.next_frame(|frame| batch.take(frame))? {
                Some(Some(method)) if is_meant(&method) => return Ok(method),
                Some(Some(method)) => self.note(method)?,
                Some(None) => {}
                None => {
                    let seconds = MOVED_ANSWER_TIMEOUT.as_secs();
                    return Err(AmqpError::NoAnswer { waiting_for, seconds });
                }
            }
        }
    }

    /// A method that nobody waits for.
    fn note(&mut self, method: Method) -> Result<(), AmqpError> {
        if let Method::BasicCancel(_) = refuse_close(method)? {
            self.queue.why = Some("it was deleted in RabbitMQ, or is not served there any more".into());
        }
        Ok(())
    }

    /// Nothing has come for a moment: whether there is something to wait for.
    fn expects_more(&mut self) -> Result<bool, AmqpError> {
        if self.heard_at.elapsed() > MOVED_PATIENCE {
            return Ok(false);
        }
        self.connection.client.wait_at_most(MOVED_ANSWER_TIMEOUT)?;
        self.connection.client.send(CHANNEL, &passive(self.queue)?)?;
        let answer =
            self.hear_until(|method| matches!(method, Method::QueueDeclareOk(_)), "queue.declare")?;
        self.connection.client.wait_at_most(MOVED_POLL)?;
        Ok(!self.batch.is_empty() || matches!(answer, Method::QueueDeclareOk(ok) if ok.message_count > 0))
    }

    /// Brings here what has come, and acknowledges what was taken.
    fn bring(&mut self) -> Result<(), Failed> {
        let mut held_up = 0;
        while !self.batch.is_empty() && self.queue.why.is_none() {
            let taken = self.ask()?;
            let mut acks = Vec::new();
            for ack in self.batch.settle(&taken) {
                write_method(&mut acks, CHANNEL, &ack);
            }
            self.connection.client.write(&acks)?;
            self.queue.moved += taken.taken;
            (self.way.progress)(taken.taken);
            self.queue.refused += taken.refused.len() as u64;
            // They are held until the channel is closed; more would fill what may be on the way.
            if self.queue.refused >= MOVED_BATCH_MESSAGES as u64 {
                self.queue.why = Some("too many of its messages cannot be here".into());
            }
            if let Some(reason) = taken.reason {
                self.queue.refusal.get_or_insert(reason);
            }
            match taken.stopped.as_deref() {
                None => {}
                Some("held_up") if held_up < MOVED_HELD_UP_TIMES_MAX => held_up += 1,
                Some("held_up") => {
                    self.queue.why = Some("publishers are held up here: memory, disk or requests".into());
                }
                Some("full") => self.queue.why = Some("the queue here has as many messages as it may".into()),
                Some(_) => self.queue.why = Some("the queue here was deleted".into()),
            }
        }
        Ok(())
    }

    fn ask(&mut self) -> Result<Taken, Failed> {
        let answer = self.way.here.post_bytes(&self.address, self.batch.bytes()).map_err(Failed::Here)?;
        match answer.status {
            413 => {
                let reason = answer.body["reason"].as_str().unwrap_or("it is too large").to_owned();
                Ok(self.batch.refused(&reason))
            }
            404 => {
                self.queue.why = Some("there is no such queue here".into());
                Ok(Taken::default())
            }
            429 => {
                thread::sleep(MOVED_HELD_UP_WAIT);
                Ok(Taken { stopped: Some("held_up".into()), ..Taken::default() })
            }
            400 => {
                let reason = answer.body["reason"].as_str().unwrap_or("no reason is given").to_owned();
                self.queue.why = Some(format!("it is refused here: {reason}"));
                Ok(Taken::default())
            }
            _ => {
                let done = self.way.here.done(&self.address, answer).map_err(Failed::Here)?;
                Ok(Taken::of(&done))
            }
        }
    }
}

fn name(queue: &Queue) -> Result<ShortString, AmqpError> {
    ShortString::try_from(&*queue.name).map_err(|error| AmqpError::Options(error.to_string()))
}

fn passive(queue: &Queue) -> Result<queue::Declare, AmqpError> {
    Ok(queue::Declare { queue: name(queue)?, passive: true, ..queue::Declare::default() })
}

/// RabbitMQ's code when a user may not enter a virtual host, or there is none of the name.
const NOT_ALLOWED: u16 = 530;
/// Our consumer, as RabbitMQ shows it.
const TAG: &str = "leveret-import";
const NOT_GIVEN: &str = "RabbitMQ gives none of them: another consumer is the only active one, or was faster";

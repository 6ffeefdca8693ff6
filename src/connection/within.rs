//! A client inside the broker: what operators do with exchanges, queues and messages is done as any client does it, so that
//! permissions, texts, limits and what waits for the disk are the same (RabbitMQ's direct connections).
//!
//! It has a session and an outbox, and no socket: a call hands a method to the session and takes the answer out of the outbox.

use std::{future::poll_fn, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    task::{JoinHandle, yield_now},
    time::{sleep, timeout},
};

use super::{
    session::{Negotiated, Remote, Session},
    work::Then,
};
use crate::auth::Identity;
use crate::broker::{Broker, Vhost};
use crate::core::{
    error::{AmqpError, internal_error, resource_error},
    outbox::{Outbox, SharedOutbox},
    wakes::wake_all,
};
use crate::limits::{ALARM_INTERVAL, FRAME_SIZE_BYTES_MAX, OPERATOR_WAITS_MAX, SLOWED_AT_ONCE_MAX};
use crate::protocol::{
    ContentHeader, Encode, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, FieldTable, Method, Properties, ReplyCode,
    basic, channel, confirm,
    frame::{split, write_bodies, write_header_with, write_method},
};

/// The only channel.
const CHANNEL: u16 = 1;

/// A client inside the broker, with one open channel. When it is dropped it ends as one does that goes away: what it holds goes
/// back, and what it has begun is finished, whoever waited for that.
pub struct Within {
    /// There until it ends.
    open: Option<Open>,
}

/// Its session.
struct Open {
    session: Session,
    outbox: SharedOutbox,
    /// What the session has answered and nobody has looked at.
    answers: Vec<u8>,
}

/// A message that `basic.get` has brought.
#[derive(Debug)]
pub struct Got {
    /// What the queue says of it.
    pub method: basic::GetOk,
    /// Its properties.
    pub properties: Properties,
    /// Its body.
    pub body: Vec<u8>,
}

/// An answer, with its content if it has one.
struct Answer {
    method: Method,
    content: Option<(Properties, Vec<u8>)>,
}

impl Within {
    /// A client of a virtual host, in the name of somebody who has proven who that is.
    pub async fn open(
        broker: &Arc<Broker>,
        vhost: Arc<Vhost>,
        identity: Identity,
        peer: SocketAddr,
    ) -> Result<Self, AmqpError> {
        let outbox: SharedOutbox = Arc::new(Mutex::new(Outbox::new(FRAME_SIZE_BYTES_MAX as usize, false)));
        let usage = broker.connections.usage_of(&identity.user);
        let negotiated = Negotiated {
            vhost,
            user: identity.user,
            authority: identity.authority,
            usage,
            remote: Remote::new(peer, &FieldTable::new()),
            frame_max: FRAME_SIZE_BYTES_MAX,
            channel_max: CHANNEL,
        };
        let id = broker.connections.draw();
        let session = Session::new(broker.clone(), id, negotiated, outbox.clone());
        let mut client = Self { open: Some(Open { session, outbox, answers: Vec::new() }) };
        client.call(&channel::Open {}).await?;
        Ok(client)
    }

    /// Calls a method and gives the answer to it. An error is what has closed the channel; then nothing else can be called.
    pub async fn call(&mut self, method: &impl Encode) -> Result<Method, AmqpError> {
        let open = self.session()?;
        open.send(method).await;
        open.answer().await.map(|answer| answer.method)
    }

    fn session(&mut self) -> Result<&mut Open, AmqpError> {
        self.open.as_mut().ok_or_else(|| internal_error("the client has ended"))
    }

    /// Publishes a message and waits until it is where it goes, and on the disk if it is to be. Whether it came to a queue.
    pub async fn publish(
        &mut self,
        publish: &basic::Publish,
        properties: &Properties,
        body: &[u8],
    ) -> Result<bool, AmqpError> {
        self.call(&confirm::Select { no_wait: false }).await?;
        let open = self.session()?;
        open.wait_for_room().await?;
        let mut bytes = Vec::new();
        write_method(&mut bytes, CHANNEL, &basic::Publish { mandatory: true, ..publish.clone() });
        write_header_with(&mut bytes, CHANNEL, basic::CLASS_ID, body.len() as u64, |out| {
            properties.encode(out);
        });
        write_bodies(&mut bytes, CHANNEL, body, FRAME_SIZE_BYTES_MAX as usize);
        open.handle(&bytes).await;
        open.session.count_rates(body.len());
        let mut is_routed = true;
        loop {
            match open.answer().await?.method {
                Method::BasicReturn(_) => is_routed = false,
                Method::BasicAck(_) => return Ok(is_routed),
                Method::BasicNack(_) => return Err(resource_error("a queue has no room for the message")),
                _ => {}
            }
        }
    }

    /// The next message of a queue; `None` if it has none.
    pub async fn get(&mut self, get: &basic::Get) -> Result<Option<Got>, AmqpError> {
        let open = self.session()?;
        open.send(get).await;
        let Answer { method, content } = open.answer().await?;
        let (Method::BasicGetOk(method), Some((properties, body))) = (method, content) else {
            return Ok(None);
        };
        Ok(Some(Got { method, properties, body }))
    }

    /// Sends a method that is not answered.
    pub async fn send(&mut self, method: &impl Encode) {
        if let Some(open) = &mut self.open {
            open.send(method).await;
        }
    }

    /// Ends it: what it holds goes back.
    pub async fn close(mut self) {
        if let Some(ending) = self.end() {
            // Whoever does not wait for it any more does not cut it short.
            let _ended = ending.await;
        }
    }

    fn end(&mut self) -> Option<JoinHandle<()>> {
        let open = self.open.take()?;
        let operations = open.session.broker.operations.clone();
        let runtime = Handle::try_current().ok()?;
        Some(operations.spawn_on(open.end(), &runtime))
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        drop(self.end());
    }
}

impl Open {
    async fn end(mut self) {
        self.session.release_everything(Then::Nothing);
        while !self.session.finish() {
            yield_now().await;
        }
        let writer = self.outbox.lock().close();
        wake_all(writer);
    }

    async fn send(&mut self, method: &impl Encode) {
        let mut bytes = Vec::new();
        write_method(&mut bytes, CHANNEL, method);
        self.handle(&bytes).await;
    }

    /// Waits as a publisher on a socket does: for memory and disk, for what the user and the virtual host may publish in a second, and for
    /// the journal. 506 if that takes too long.
    async fn wait_for_room(&mut self) -> Result<(), AmqpError> {
        let late =
            |_| resource_error("publishers are held up: memory, disk or a limit of messages in a second");
        timeout(OPERATOR_WAITS_MAX, self.wait_for_ever()).await.map_err(late)
    }

    async fn wait_for_ever(&mut self) {
        while self.session.must_be_held_up() {
            sleep(ALARM_INTERVAL).await;
        }
        loop {
            let wait = Duration::from_millis(self.session.rate_wait_ms()).min(SLOWED_AT_ONCE_MAX);
            if wait.is_zero() {
                break;
            }
            sleep(wait).await;
        }
        let (vhost, journal) = (self.session.vhost.clone(), self.session.broker.journal.clone());
        vhost.room_for_departures().await;
        poll_fn(|cx| journal.poll_room(cx)).await;
    }

    /// Has the session handle whole frames, in as many turns as it takes.
    async fn handle(&mut self, bytes: &[u8]) {
        // Each call begins a turn: others have theirs in between.
        yield_now().await;
        let mut at = 0;
        loop {
            at += self.session.handle(&bytes[at..]);
            if let Some(asking) = self.session.wants() {
                let found = asking.await;
                self.session.found(found);
                continue;
            }
            if at == bytes.len() && !self.session.is_busy() {
                return;
            }
            if self.session.phase.is_over() {
                return;
            }
            yield_now().await;
        }
    }

    /// The next answer, with its content.
    async fn answer(&mut self) -> Result<Answer, AmqpError> {
        loop {
            if let Some(answer) = self.take_answer()? {
                return Ok(answer);
            }
            let mut more = Vec::new();
            let outbox = self.outbox.clone();
            if !poll_fn(|cx| outbox.lock().poll_take(&mut more, cx)).await {
                return Err(internal_error("the session has ended"));
            }
            let reader = outbox.lock().written();
            wake_all(reader);
            self.answers.append(&mut more);
        }
    }

    /// Takes an answer apart, if it is there as a whole.
    fn take_answer(&mut self) -> Result<Option<Answer>, AmqpError> {
        let mut at = 0;
        let mut method = None;
        let mut content: Option<(Properties, u64, Vec<u8>)> = None;
        let unreadable =
            |error: &dyn std::fmt::Display| internal_error(format!("an answer cannot be read: {error}"));
        while let Some((frame, bytes)) =
            split(&self.answers[at..], usize::MAX).map_err(|error| unreadable(&error.explanation()))?
        {
            at += bytes;
            match frame.kind {
                FRAME_METHOD => {
                    method = Some(Method::decode(frame.payload).map_err(|error| unreadable(&error))?);
                }
                FRAME_HEADER => {
                    let header = ContentHeader::parse(frame.payload).map_err(|error| unreadable(&error))?;
                    let properties =
                        Properties::decode(header.properties).map_err(|error| unreadable(&error))?;
                    content = Some((properties, header.body_size, Vec::new()));
                }
                FRAME_BODY => {
                    if let Some((_, _, body)) = &mut content {
                        body.extend_from_slice(frame.payload);
                    }
                }
                _ => continue,
            }
            let has_content = matches!(method, Some(Method::BasicGetOk(_) | Method::BasicReturn(_)));
            let is_whole =
                !has_content || content.as_ref().is_some_and(|(_, size, body)| body.len() as u64 == *size);
            if is_whole && let Some(method) = method.take() {
                self.answers.drain(..at);
                return match method {
                    Method::ChannelClose(close) => Err(closed(close.reply_code, &close.reply_text)),
                    Method::ConnectionClose(close) => Err(closed(close.reply_code, &close.reply_text)),
                    method => {
                        let content = content.map(|(properties, _, body)| (properties, body));
                        Ok(Some(Answer { method, content }))
                    }
                };
            }
        }
        Ok(None)
    }
}

/// The error for which a channel was closed.
fn closed(code: u16, text: &[u8]) -> AmqpError {
    let code = ReplyCode::from_code(code).unwrap_or(ReplyCode::InternalError);
    let text = String::from_utf8_lossy(text);
    let explanation = text.strip_prefix(code.name()).and_then(|rest| rest.strip_prefix(" - "));
    AmqpError::new(code, explanation.unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Settings},
        protocol::{ShortString, queue},
        store::Opened,
    };

    async fn guest(broker: &Arc<Broker>) -> Within {
        let identity = Identity::own(ShortString::from_static("guest"));
        let vhost = broker.vhosts.find(b"/").unwrap();
        Within::open(broker, vhost, identity, ([127, 0, 0, 1], 1).into()).await.unwrap()
    }

    fn broker() -> Arc<Broker> {
        Arc::new(Broker::new(Config::load(Settings::default()).unwrap(), Opened::forgetful()))
    }

    #[tokio::test]
    async fn what_it_publishes_it_gets_back_and_what_it_holds_returns_when_it_ends() {
        let broker = broker();
        let mut client = guest(&broker).await;
        let name = ShortString::from_static("q");
        let declared = client.call(&queue::Declare { queue: name.clone(), ..Default::default() }).await;
        assert!(matches!(declared, Ok(Method::QueueDeclareOk(_))));
        let to = |key: &'static str| basic::Publish {
            routing_key: ShortString::from_static(key),
            ..Default::default()
        };
        let large = vec![7; 300_000];
        let properties = Properties { priority: Some(3), ..Properties::default() };
        assert_eq!(client.publish(&to("q"), &properties, &large).await, Ok(true));
        assert_eq!(client.publish(&to("nowhere"), &properties, b"").await, Ok(false));
        let get = basic::Get { queue: name.clone(), no_ack: false };
        let got = client.get(&get).await.unwrap().unwrap();
        assert_eq!((got.body, got.properties.priority, got.method.redelivered), (large, Some(3), false));
        assert!(client.get(&get).await.unwrap().is_none());
        client.close().await;
        let got = guest(&broker).await.get(&get).await.unwrap().unwrap();
        assert!(got.method.redelivered);
    }

    #[tokio::test]
    async fn one_that_is_dropped_in_the_middle_finishes_what_it_has_begun_and_gives_back_what_it_holds() {
        let broker = broker();
        let mut client = guest(&broker).await;
        let name = ShortString::from_static("q");
        client.call(&queue::Declare { queue: name.clone(), ..Default::default() }).await.unwrap();
        let to = basic::Publish { routing_key: name.clone(), ..Default::default() };
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            write_method(&mut bytes, CHANNEL, &to);
            write_header_with(&mut bytes, CHANNEL, basic::CLASS_ID, 0, |out| {
                Properties::default().encode(out);
            });
            client.open.as_mut().unwrap().session.handle(&bytes);
        }
        let get = basic::Get { queue: name.clone(), no_ack: false };
        client.get(&get).await.unwrap().unwrap();
        let queue = broker.vhosts.find(b"/").unwrap().read(|topology| topology.queue(b"q").cloned().unwrap());
        {
            // A purge that takes several turns, and nobody who waits for its end.
            let purge = queue::Purge { queue: name, ..Default::default() };
            let mut purging = std::pin::pin!(client.call(&purge));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            for _ in 0..3 {
                assert!(purging.as_mut().poll(&mut context).is_pending());
            }
        }
        assert_eq!(queue.status().unacked, 1);
        drop(client);
        broker.operations.close();
        broker.operations.wait().await;
        assert_eq!((queue.status().unacked, queue.status().ready), (0, 1), "what it held is back");
    }

    #[tokio::test]
    async fn what_a_client_would_hear_is_the_error_that_it_gives() {
        let broker = broker();
        let mut client = guest(&broker).await;
        let get = basic::Get { queue: ShortString::from_static("none"), no_ack: true };
        let error = client.get(&get).await.unwrap_err();
        assert_eq!(error.to_string(), "NOT_FOUND - no queue 'none' in vhost '/'");
        let mut nobody = Within::open(
            &broker,
            broker.vhosts.find(b"/").unwrap(),
            Identity::own(ShortString::from_static("nobody")),
            ([127, 0, 0, 1], 1).into(),
        )
        .await
        .unwrap();
        let error = nobody.get(&get).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "ACCESS_REFUSED - read access to queue 'none' in vhost '/' refused for user 'nobody'"
        );
    }
}

//! One client: it is greeted, served, and parted from.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    net::{TcpStream, tcp::OwnedReadHalf},
    task::{JoinHandle, yield_now},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    failing::internal_error,
    farewell::Farewell,
    gate::{Place, Why},
    handshake::{self, Greeted, Refusal, capability},
    inbound::{self, Inbound},
    reading::Reading,
    session::Session,
    socket::SharedWriter,
    work::Then,
    writer,
};
use crate::broker::{Attention, Broker};
use crate::containment::contained_future;
use crate::core::outbox::{Outbox, SharedOutbox};
use crate::limits::{CLOSE_TIMEOUT, FAREWELL_IN_HASTE};

/// Serves one client to its end. Parts that are rare or soon over are boxed, so that an idle connection does not hold memory for them.
pub(super) async fn serve(
    broker: Arc<Broker>,
    socket: TcpStream,
    peer: SocketAddr,
    mut place: Place,
    shutdown: CancellationToken,
) {
    let welcome = Box::pin(welcome(broker, socket, peer, &mut place, &shutdown));
    let Some(mut client) = welcome.await else { return };
    client.run(&shutdown).await;
    place.lend(Why::Leaving);
    Box::pin(part(client.into(), &place, &shutdown)).await;
}

/// A client that has logged in.
struct Client {
    reading: Reading,
    /// The writer task.
    writing: JoinHandle<io::Result<()>>,
    socket: SharedWriter,
    heartbeat: Duration,
}

impl Client {
    /// Begins to serve it.
    fn new(
        broker: Arc<Broker>,
        reader: OwnedReadHalf,
        socket: SharedWriter,
        greeted: Greeted,
        shutdown: &CancellationToken,
    ) -> Self {
        let Greeted { negotiated, info, admission, heartbeat, leftover } = greeted;
        let heartbeat = Duration::from_secs(heartbeat.into());
        let understands = |name| capability(&info.client_properties, name);
        let outbox: SharedOutbox = Arc::new(Mutex::new(Outbox::new(
            negotiated.frame_max as usize,
            understands("consumer_cancel_notify"),
        )));
        outbox.lock().set_socket(socket.direct());
        let wants_blocked = understands("connection.blocked");
        let gone = shutdown.child_token();
        let writing = tokio::spawn({
            let (outbox, gone, vhost) = (outbox.clone(), gone.clone(), negotiated.vhost.clone());
            let writer = socket.clone();
            async move {
                let written = writer::run(writer, outbox, vhost, heartbeat).await;
                gone.cancel();
                written
            }
        });
        let attention = Arc::new(Attention::default());
        let id = broker.connections.connected(info, outbox.clone(), attention.clone(), admission);
        let session = Session::new(broker, id, negotiated, outbox);
        tracing::info!(parent: &session.span(), "connection opened");
        let inbound = Inbound::new(reader, leftover, &session.memory);
        let reading = Reading::new(inbound, session, attention, gone, wants_blocked);
        Self { reading, writing, socket, heartbeat }
    }

    /// Serves it until the connection is no longer in use, and what it held is given back.
    async fn run(&mut self, shutdown: &CancellationToken) {
        let ending = self.reading.run(self.heartbeat, shutdown).await;
        let session = &mut self.reading.session;
        session.release_everything(Then::Nothing);
        ending.log(session);
        while !session.finish() {
            yield_now().await;
        }
    }
}

impl From<Client> for Farewell {
    fn from(client: Client) -> Self {
        let Client { reading, writing, socket, heartbeat } = client;
        let Reading { inbound, session, .. } = reading;
        Self { inbound, session, socket, writing, heartbeat }
    }
}

/// Shakes hands. `None` if the client may not go on, and then it is gone.
async fn welcome(
    broker: Arc<Broker>,
    socket: TcpStream,
    peer: SocketAddr,
    place: &mut Place,
    shutdown: &CancellationToken,
) -> Option<Client> {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY not set");
    }
    let (mut reader, writer) = socket.into_split();
    let mut writer = SharedWriter::from(writer);
    let greeting = contained_future(handshake::greet(&broker, &mut reader, &mut writer, peer, None));
    let greeted = tokio::select! {
        greeted = timeout(broker.config.handshake_timeout, greeting) => match greeted {
            Ok(Some(greeted)) => greeted,
            Ok(None) => Err(Refusal::Close { error: internal_error(), ids: (0, 0) }),
            Err(_late) => Err(Refusal::Silent("handshake timeout".into())),
        },
        () = place.wanted() => Err(Refusal::Crowded),
        () = shutdown.cancelled() => return None,
    };
    match greeted {
        Ok(_) if !place.keep() => place.gate().refused(peer, &Refusal::Crowded),
        Ok(greeted) => return Some(Client::new(broker, reader, writer, greeted, shutdown)),
        Err(Refusal::Gone(error)) => tracing::debug!(%peer, %error, "client left during the handshake"),
        Err(refusal) => {
            place.gate().refused(peer, &refusal);
            tokio::select! {
                () = turn_away(reader, writer, &refusal) => {}
                () = place.wanted() => {}
                () = shutdown.cancelled() => {}
            }
        }
    }
    None
}

/// Tells a client that it may not go on, and lets it read that.
async fn turn_away(reader: OwnedReadHalf, mut writer: SharedWriter, refusal: &Refusal) {
    // A deadline passed without the farewell being read: nothing is left to do.
    let _late = timeout(CLOSE_TIMEOUT, handshake::refuse(&mut writer, refusal)).await;
    if refusal.says_why() {
        inbound::discard_until_closed(reader, CLOSE_TIMEOUT).await;
    }
}

/// Says good-bye. If another client wants the place, this is cut short after `FAREWELL_IN_HASTE`.
async fn part(farewell: Farewell, place: &Place, shutdown: &CancellationToken) {
    let hurry = shutdown.child_token();
    let (socket, outbox) = (farewell.socket.clone(), farewell.session.outbox.clone());
    let writing = farewell.writing.abort_handle();
    let wanted = async {
        place.wanted().await;
        hurry.cancel();
        sleep(FAREWELL_IN_HASTE).await;
    };
    tokio::select! {
        () = farewell.say(&hurry) => return,
        () = wanted => {}
    }
    writing.abort();
    let abandoned = outbox.lock().abandon();
    drop(abandoned);
    socket.reset();
}

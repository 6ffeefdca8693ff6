//! One client: it is greeted, served, and parted from.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    net::TcpStream,
    task::{JoinHandle, yield_now},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    arrival::{self, Arrived, Declined, arrive},
    failing::internal_error,
    farewell::Farewell,
    gate::{Place, Why},
    handshake::{self, Greeted, Refusal, capability},
    inbound::{self, Inbound},
    peer::Peer,
    reading::Reading,
    session::Session,
    socket::{Reader, SharedWriter},
    work::Then,
    writer,
};
use crate::audit::{self, Login};
use crate::auth::Authority;
use crate::broker::{Attention, Broker};
use crate::containment::contained_future;
use crate::core::outbox::{Outbox, SharedOutbox};
use crate::limits::{CLOSE_TIMEOUT, FAREWELL_IN_HASTE};
use crate::tls::Acceptor;

/// Serves one client to its end. Parts that are rare or soon over are boxed, so that an idle connection does not hold memory for them.
pub(super) async fn serve(
    broker: Arc<Broker>,
    socket: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    mut place: Place,
    shutdown: CancellationToken,
) {
    let welcome = Box::pin(welcome(broker, socket, address, tls, &mut place, &shutdown));
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
        reader: Reader,
        socket: SharedWriter,
        peer: &Peer,
        greeted: Greeted,
        shutdown: &CancellationToken,
    ) -> Self {
        let Greeted { negotiated, info, mechanism, admission, heartbeat, leftover } = greeted;
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
        let (user, vhost) = (info.user.clone(), info.vhost.clone());
        let is_own_user = negotiated.authority.is_of_own_user();
        let expires = match &negotiated.authority {
            Authority::Token(token) => token.expires,
            Authority::Own | Authority::Http(_) => None,
        };
        let id = broker.connected(info, is_own_user, outbox.clone(), &attention, admission);
        broker.connections.expires(id, expires);
        let session = Session::new(broker, id, negotiated, outbox);
        let login = Login {
            user: &user,
            vhost: &vhost,
            peer: peer.address,
            mechanism: &mechanism,
            tls: peer.tls,
            certificate: peer.certificate_name.as_deref(),
        };
        audit::login(&session.span(), &login);
        let inbound = Inbound::new(reader, leftover, &session.memory);
        let reading = Reading::new(inbound, session, attention, gone, wants_blocked);
        Self { reading, writing, socket, heartbeat }
    }

    /// Serves it until the connection is no longer in use, and what it held is given back.
    async fn run(&mut self, shutdown: &CancellationToken) {
        let ending = self.reading.run(self.heartbeat, shutdown).await;
        let session = &mut self.reading.session;
        let broker = session.broker.clone();
        session.release_everything(Then::Nothing);
        loop {
            let turn = broker.endings.acquire().await;
            if session.finish() {
                return ending.log(session);
            }
            drop(turn);
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
    mut address: SocketAddr,
    tls: Option<Arc<Acceptor>>,
    place: &mut Place,
    shutdown: &CancellationToken,
) -> Option<Client> {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(peer = %address, %error, "TCP_NODELAY not set");
    }
    let deadline = Instant::now() + broker.config.handshake_timeout;
    let arriving = arrive(socket, &mut address, tls.as_deref(), &broker.config.proxy_protocol_from);
    let arrived = in_time(async { Ok(arriving.await) }, deadline, place, shutdown).await?;
    let Arrived { mut reader, mut writer, peer } = match arrived {
        Ok(Ok(arrived)) => arrived,
        Ok(Err(Declined { refusal, socket })) => {
            log_refusal(place, address, &refusal);
            // Late or failed: either way it is over.
            let parting = async { drop(timeout(CLOSE_TIMEOUT, arrival::part(socket)).await) };
            while_there_is_room(parting, place, shutdown).await;
            return None;
        }
        Err(refusal) => {
            log_refusal(place, address, &refusal);
            return None;
        }
    };
    let greeting = handshake::greet(&broker, &mut reader, &mut writer, &peer);
    match in_time(greeting, deadline, place, shutdown).await? {
        Ok(_) if !place.keep() => log_refusal(place, address, &Refusal::Crowded),
        Ok(greeted) => return Some(Client::new(broker, reader, writer, &peer, greeted, shutdown)),
        Err(refusal) => {
            log_refusal(place, address, &refusal);
            if !matches!(refusal, Refusal::Gone(_)) {
                while_there_is_room(turn_away(reader, writer, &refusal), place, shutdown).await;
            }
        }
    }
    None
}

/// Does a part of the handshake, whenever it is the client's turn, until it is late, or somebody else wants the place; `None` if the
/// broker stops.
async fn in_time<T>(
    part: impl Future<Output = Result<T, Refusal>>,
    deadline: Instant,
    place: &Place,
    shutdown: &CancellationToken,
) -> Option<Result<T, Refusal>> {
    let part = pin!(contained_future(part));
    tokio::select! {
        done = timeout_at(deadline, place.gate().newcomers.in_turn(part)) => Some(match done {
            Ok(Some(done)) => done,
            Ok(None) => Err(Refusal::Close { error: internal_error(), ids: (0, 0), user: None }),
            Err(_late) => Err(Refusal::Silent("handshake timeout".into())),
        }),
        () = place.wanted() => Some(Err(Refusal::Crowded)),
        () = shutdown.cancelled() => None,
    }
}

/// Says good-bye as long as nobody else wants the place.
async fn while_there_is_room(parting: impl Future<Output = ()>, place: &Place, shutdown: &CancellationToken) {
    let parting = pin!(parting);
    tokio::select! {
        () = place.gate().newcomers.in_turn(parting) => {}
        () = place.wanted() => {}
        () = shutdown.cancelled() => {}
    }
}

fn log_refusal(place: &Place, peer: SocketAddr, refusal: &Refusal) {
    match refusal {
        Refusal::Gone(error) => tracing::debug!(%peer, %error, "client left during the handshake"),
        refusal => place.gate().refused(peer, refusal.user(), refusal),
    }
}

/// Tells a client that it may not go on, and lets it read that.
async fn turn_away(reader: Reader, mut writer: SharedWriter, refusal: &Refusal) {
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

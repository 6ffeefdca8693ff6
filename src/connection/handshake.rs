//! From the protocol header to `connection.open-ok` (AMQP 2.2.4; the answers to what goes wrong are RabbitMQ's).

use std::{fmt::Display, mem, net::IpAddr, sync::Arc};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::{Zeroize, Zeroizing};

use super::{
    peer::Peer,
    session::{MethodIds, Negotiated, Remote, text},
};
use crate::auth::{
    Authority, Identity, LoginError, Offered, Refused,
    http::{About, Question, Said},
};
use crate::broker::{Admission, Bounds, Broker, ConnectionInfo, Spoken, Terms, TooMany, Vhost};
use crate::core::error::{AmqpError, access_refused, channel_error, frame_error, not_allowed};
use crate::limits::{CLIENT_PROPERTIES_BYTES_MAX, FRAME_SIZE_BYTES_MIN, HANDSHAKE_FRAME_SIZE_BYTES_MAX};
use crate::protocol::{
    Encode, FieldTable, Method, PROTOCOL_HEADER, ReplyCode, SERVER_CAPABILITIES, ShortString, connection,
    frame,
};

/// The version of RabbitMQ whose behaviour clients may count on: some choose by it how to use `basic.qos`.
pub const COMPATIBLE_VERSION: &str = "3.13.7";

/// A client that may go on.
pub(super) struct Greeted {
    pub(super) negotiated: Negotiated,
    pub(super) info: ConnectionInfo,
    /// How it has proven who it is: a mechanism of SASL.
    pub(super) mechanism: ShortString,
    pub(super) admission: Admission,
    /// Seconds; zero is without.
    pub(super) heartbeat: u16,
    /// Bytes that came behind `connection.open`.
    pub(super) leftover: Vec<u8>,
}

/// A client that may not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It speaks another protocol; it is told which one we speak.
    #[error("{}", spoken(*header))]
    Header {
        /// The first bytes that it sent.
        header: [u8; 8],
    },
    /// Its credentials are wrong; it gets `connection.close` if it understands one in the handshake.
    #[error("{why}")]
    Login {
        /// Who it says it is.
        user: String,
        /// For the log only.
        why: Box<Refused>,
        /// The text that it is told.
        told: Option<AmqpError>,
    },
    /// A newer client has its place; it is told nothing.
    #[error("too many sockets: the oldest one that has not logged in makes room")]
    Crowded,
    /// The socket is closed without a word.
    #[error("{0}")]
    Silent(String),
    /// It gets `connection.close`.
    #[error("{error}")]
    Close {
        /// Why.
        error: AmqpError,
        /// What failed.
        ids: MethodIds,
        /// Who it is, if it has proven that.
        user: Option<String>,
    },
    /// It went away.
    #[error("{0}")]
    Gone(#[from] std::io::Error),
}

impl Refusal {
    /// Whether the client gets a `connection.close`, which it should have time to read.
    pub(super) fn says_why(&self) -> bool {
        matches!(self, Self::Close { .. } | Self::Login { told: Some(_), .. })
    }

    /// Who it is, or says it is.
    pub(super) fn user(&self) -> Option<&dyn Display> {
        match self {
            Self::Login { user, .. } | Self::Close { user: Some(user), .. } => Some(user),
            _ => None,
        }
    }

    /// The same of a client that has proven who it is.
    fn of(self, name: &ShortString) -> Self {
        match self {
            Self::Close { error, ids, .. } => Self::Close { error, ids, user: Some(name.to_string()) },
            other => other,
        }
    }
}

/// The protocol of a client that does not speak AMQP 0-9-1.
pub(super) fn spoken(header: [u8; 8]) -> String {
    const HTTP: [&[u8]; 8] =
        [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"PRI * "];
    if HTTP.iter().any(|verb| header.starts_with(verb)) {
        return "an HTTP request came to the port of AMQP".into();
    }
    match header {
        [0x16, 3, ..] => "a TLS handshake came to the port of AMQP without TLS".into(),
        [0x10, .., b'M', b'Q'] => "an MQTT client came to the port of AMQP".into(),
        [b'A', b'M', b'Q', b'P', id, major, minor, revision] => {
            format!("AMQP {major}-{minor}-{revision} (protocol {id}) is not spoken here, only AMQP 0-9-1")
        }
        _ => format!("unknown protocol header \"{}\"", header.escape_ascii()),
    }
}

fn close(error: AmqpError, ids: MethodIds) -> Refusal {
    Refusal::Close { error, ids, user: None }
}

/// Leads a client through the handshake; `peer` is what is known of it before.
pub(super) async fn greet<R, W>(
    broker: &Arc<Broker>,
    reader: &mut R,
    writer: &mut W,
    peer: &Peer,
) -> Result<Greeted, Refusal>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut header = [0; 8];
    reader.read_exact(&mut header).await?;
    // RabbitMQ takes 0-9 (`1 1 0 9`) for 0-9-1.
    if header != PROTOCOL_HEADER && header != *b"AMQP\x01\x01\x00\x09" {
        return Err(Refusal::Header { header });
    }
    let buffer = Zeroizing::new(Vec::with_capacity(HANDSHAKE_FRAME_SIZE_BYTES_MAX));
    let mut greeter = Greeter { reader, writer, buffer };
    let offered = broker.authenticator.offered(peer.certificate_name.as_deref());
    let mut start_ok = greeter.start(&offered).await?;
    // Of a frame of small entries, half a megabyte would stay for as long as the client does.
    start_ok.client_properties.keep_first(CLIENT_PROPERTIES_BYTES_MAX);
    let Identity { user, authority } = log_in(broker, &offered, &mut start_ok, peer).await?;
    let tune_ok = greeter.tune(broker).await.map_err(|refusal| refusal.of(&user))?;
    let open = greeter.expect(|method| match method {
        Method::ConnectionOpen(open) => Some(open),
        _ => None,
    });
    let open = open.await.map_err(|refusal| refusal.of(&user))?;
    let admitted = admit(broker, &user, &authority, &open.virtual_host, peer.address.ip()).await;
    let (vhost, admission) = admitted.map_err(|refusal| refusal.of(&user))?;
    greeter.send(&connection::OpenOk {}).await?;
    let remote = Remote::new(peer.address, &start_ok.client_properties);
    Ok(Greeted {
        info: ConnectionInfo {
            peer: peer.address,
            user: user.clone(),
            vhost: vhost.name.clone(),
            client_properties: start_ok.client_properties,
            terms: Terms {
                local: peer.local,
                mechanism: start_ok.mechanism.clone(),
                tls: peer.tls,
                frame_max: tune_ok.frame_max,
                channel_max: tune_ok.channel_max,
                heartbeat: tune_ok.heartbeat,
                connected_at: broker.clock.now(),
            },
        },
        negotiated: Negotiated {
            vhost,
            user,
            authority,
            usage: admission.usage.clone(),
            remote,
            frame_max: tune_ok.frame_max,
            channel_max: tune_ok.channel_max,
        },
        mechanism: start_ok.mechanism,
        admission,
        heartbeat: tune_ok.heartbeat,
        // What was wiped does not stay with the connection.
        leftover: greeter.buffer.to_vec(),
    })
}

/// Lets a user into a virtual host, unless a limit is reached, or it is not permitted there. In RabbitMQ's order and words.
async fn admit(
    broker: &Broker,
    user: &ShortString,
    authority: &Authority,
    name: &ShortString,
    ip: IpAddr,
) -> Result<(Arc<Vhost>, Admission), Refusal> {
    let refused = |text: String| close(not_allowed(text), (10, 40));
    let vhost = broker.vhosts.find(name).ok_or_else(|| refused(format!("vhost {name} not found")))?;
    let limits = broker.access.user(user).map(|user| user.limits.clone()).unwrap_or_default();
    let bounds = Bounds { all: broker.config.connection_max as u64, user: &limits, vhost: &vhost.limits() };
    let admission = broker.connections.admit(user, name, bounds).map_err(|reached| {
        refused(match reached {
            TooMany::OfAll(max) => format!("connection refused: node connection limit ({max}) is reached"),
            TooMany::OfVhost(max) => {
                format!(
                    "access to vhost '{name}' refused for user '{user}': connection limit ({max}) is reached"
                )
            }
            TooMany::OfUser(max) => {
                format!("connection refused for user '{user}': user connection limit ({max}) is reached")
            }
        })
    })?;
    // Looked for after the connection counts: a virtual host that is deleted waits until none counts.
    if vhost.is_leaving() {
        return Err(refused(format!("vhost {name} not found")));
    }
    let said = match authority {
        Authority::Own => Said::from(broker.access.grant(user, name).0.is_some()),
        Authority::Token(token) => Said::from(token.permits_vhost(name)),
        Authority::Http(user) => {
            let question = Question { user: user.clone(), vhost: name.clone(), about: About::Vhost { ip } };
            broker.authenticator.ask(&question).await.said
        }
    };
    if said != Said::Yes {
        return Err(refused(format!(
            "access to vhost '{name}' refused for user '{user}'{}",
            said.of_a_backend()
        )));
    }
    // It may have been deleted while the service was asked.
    if vhost.is_leaving() {
        return Err(refused(format!("vhost {name} not found")));
    }
    Ok((vhost, admission))
}

/// Whether the client says that it understands something.
pub(super) fn capability(client_properties: &FieldTable, name: &str) -> bool {
    let capabilities = client_properties.get("capabilities").and_then(|value| value.as_table());
    capabilities.and_then(|table| table.get(name)).and_then(|value| value.as_bool()).unwrap_or(false)
}

/// Who the client is. Its response is wiped, whether or not it may go on.
async fn log_in(
    broker: &Broker,
    offered: &Offered<'_>,
    start_ok: &mut connection::StartOk,
    peer: &Peer,
) -> Result<Identity, Refusal> {
    let response = mem::take(&mut start_ok.response).into();
    let claim =
        offered.claim(&start_ok.mechanism, &response).map_err(|error| Refusal::Silent(error.to_string()))?;
    drop(response);
    let find = |name: &[u8]| broker.access.user(name);
    let logged_in = broker.authenticator.log_in(&claim, peer.address.ip(), find).await;
    broker.attempts.count(Spoken::Amqp, logged_in.as_ref().map(drop).map_err(|refused| &refused.why));
    match logged_in {
        Ok(identity) => Ok(identity),
        Err(why) => {
            let understands = capability(&start_ok.client_properties, "authentication_failure_close");
            let told = understands.then(|| told(&why.why, &start_ok.mechanism));
            let user = String::from_utf8_lossy(claim.user()).into_owned();
            Err(Refusal::Login { user, why: Box::new(why), told })
        }
    }
}

/// What a client hears of a refused login: not why, unless it may try again.
fn told(why: &LoginError, mechanism: &ShortString) -> AmqpError {
    match why {
        LoginError::Busy => {
            AmqpError::new(ReplyCode::ConnectionForced, "too many clients log in at once, try again later")
        }
        _ => access_refused(format!(
            "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
        )),
    }
}

struct Greeter<'a, R, W> {
    reader: &'a mut R,
    writer: &'a mut W,
    /// What has come and was not handled yet. Room for a whole frame from the beginning, so that no copy of a password is left where
    /// it grew out of.
    buffer: Zeroizing<Vec<u8>>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Greeter<'_, R, W> {
    async fn start(&mut self, offered: &Offered<'_>) -> Result<connection::StartOk, Refusal> {
        self.send(&connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: server_properties(),
            mechanisms: offered.to_string().into(),
            locales: "en_US".into(),
        })
        .await?;
        self.expect(|method| match method {
            Method::ConnectionStartOk(start_ok) => Some(start_ok),
            _ => None,
        })
        .await
    }

    async fn tune(&mut self, broker: &Broker) -> Result<connection::TuneOk, Refusal> {
        let config = &broker.config;
        let (channel_max, frame_max, heartbeat) = (config.channel_max, config.frame_max, config.heartbeat);
        self.send(&connection::Tune { channel_max, frame_max, heartbeat }).await?;
        let tune_ok = self.expect(|method| match method {
            Method::ConnectionTuneOk(tune_ok) => Some(tune_ok),
            _ => None,
        });
        let tune_ok = tune_ok.await?;
        check_tuned("frame_max", tune_ok.frame_max, FRAME_SIZE_BYTES_MIN, frame_max)?;
        check_tuned("channel_max", tune_ok.channel_max.into(), 1, channel_max.into())?;
        Ok(tune_ok)
    }

    async fn send(&mut self, method: &impl Encode) -> Result<(), Refusal> {
        let mut out = Vec::new();
        frame::write_method(&mut out, 0, method);
        Ok(self.writer.write_all(&out).await?)
    }

    /// The next method, which must be the one that `pick` knows.
    async fn expect<T>(&mut self, pick: impl Fn(Method) -> Option<T>) -> Result<T, Refusal> {
        loop {
            let split = frame::split(&self.buffer, HANDSHAKE_FRAME_SIZE_BYTES_MAX)
                .map_err(|error| close(frame_error(error.explanation()), (0, 0)))?;
            let Some((frame, bytes)) = split else {
                if self.reader.read_buf(&mut *self.buffer).await? == 0 {
                    return Err(Refusal::Silent("connection closed during the handshake".into()));
                }
                continue;
            };
            let is_heartbeat = frame.kind == frame::FRAME_HEARTBEAT;
            let method = if is_heartbeat { None } else { Some(Method::decode(frame.payload)) };
            self.buffer[..bytes].zeroize();
            self.buffer.drain(..bytes);
            let Some(method) = method else { continue };
            let method = method.map_err(|error| close(frame_error(error.to_string()), (0, 0)))?;
            let ids = method.ids();
            return pick(method)
                .ok_or_else(|| close(channel_error("unexpected method in connection state starting"), ids));
        }
    }
}

/// RabbitMQ's check of `connection.tune-ok`; zero means no limit.
fn check_tuned(what: &str, value: u32, min: u32, max: u32) -> Result<(), Refusal> {
    let fail = |comparison: &str, bound: &str, limit: u32| {
        let detail = if value == 0 { " (no limit)" } else { "" };
        let text = format!(
            "negotiated {what} = {value}{detail} is {comparison} than the {bound} allowed value ({limit})"
        );
        Err(close(not_allowed(text), (10, 31)))
    };
    match value {
        1.. if value < min => fail("lower", "minimum", min),
        _ if value == 0 || value > max => fail("higher", "maximum", max),
        _ => Ok(()),
    }
}

fn server_properties() -> FieldTable {
    let capabilities: FieldTable =
        SERVER_CAPABILITIES.iter().map(|name| (ShortString::from_static(name), true.into())).collect();
    FieldTable::new()
        .with("capabilities", capabilities)
        .with("cluster_name", "leveret")
        .with("copyright", "The Leveret developers")
        .with("information", "Leveret speaks AMQP 0-9-1 as RabbitMQ does")
        .with("leveret_version", env!("CARGO_PKG_VERSION"))
        .with("platform", "Rust")
        .with("product", "RabbitMQ")
        .with("version", COMPATIBLE_VERSION)
}

fn write_close(out: &mut Vec<u8>, error: &AmqpError, (class_id, method_id): MethodIds) {
    let method = connection::Close {
        reply_code: error.code.code(),
        reply_text: text(&error.reply_text()),
        class_id,
        method_id,
    };
    frame::write_method(out, 0, &method);
}

/// The farewell of a connection that was refused.
pub(super) async fn refuse(writer: &mut (impl AsyncWrite + Unpin), refusal: &Refusal) {
    let mut out = Vec::new();
    match refusal {
        Refusal::Header { .. } => out.extend_from_slice(&PROTOCOL_HEADER),
        Refusal::Close { error, ids, .. } => write_close(&mut out, error, *ids),
        Refusal::Login { told: Some(error), .. } => write_close(&mut out, error, (0, 0)),
        Refusal::Login { told: None, .. } | Refusal::Silent(_) | Refusal::Crowded | Refusal::Gone(_) => {}
    }
    // Whether the client still hears it makes no difference.
    let _gone = async {
        writer.write_all(&out).await?;
        writer.shutdown().await
    }
    .await;
}

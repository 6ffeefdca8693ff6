//! Methods, reply codes and capabilities. Generated from `protocol-spec/amqp-0-9-1.toml` by `tests/protocol_spec`:
//! change that file, then `LEVERET_REGENERATE=1 cargo test --test protocol_spec`. Do not edit.

use super::method::{Encode, MethodError};
use super::wire;

/// Why a connection or a channel is closed, or a message returned (AMQP 0-9-1, 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ReplyCode {
    /// No error: a close that was asked for.
    ReplySuccess = 200,
    /// The content is larger than the server takes at present.
    ContentTooLarge = 311,
    /// A mandatory message reached no queue. Stands in `basic.return` only.
    NoRoute = 312,
    /// An immediate message found no consumer. RabbitMQ does not send it.
    NoConsumers = 313,
    /// An operator, or the end of the server, closes the connection.
    ConnectionForced = 320,
    /// The virtual host is not known. RabbitMQ sends `NOT_ALLOWED` instead.
    InvalidPath = 402,
    /// The user lacks the permission, or the name is reserved.
    AccessRefused = 403,
    /// There is no such queue or exchange.
    NotFound = 404,
    /// The queue belongs to another connection alone.
    ResourceLocked = 405,
    /// The arguments contradict what exists, or the state of the channel.
    PreconditionFailed = 406,
    /// The octets are not a frame, or not this method's arguments.
    FrameError = 501,
    /// A field has a value that is not allowed.
    SyntaxError = 502,
    /// The method does not belong here, or is not known.
    CommandInvalid = 503,
    /// The channel is not open, or open already.
    ChannelError = 504,
    /// The frame does not belong here, such as a body without a header.
    UnexpectedFrame = 505,
    /// The server lacks the means to go on.
    ResourceError = 506,
    /// What is asked for is forbidden by the protocol or by a limit.
    NotAllowed = 530,
    /// The server does not do this.
    NotImplemented = 540,
    /// The server failed, through no fault of the client's.
    InternalError = 541,
}

impl ReplyCode {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The code with that number.
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            200 => Some(Self::ReplySuccess),
            311 => Some(Self::ContentTooLarge),
            312 => Some(Self::NoRoute),
            313 => Some(Self::NoConsumers),
            320 => Some(Self::ConnectionForced),
            402 => Some(Self::InvalidPath),
            403 => Some(Self::AccessRefused),
            404 => Some(Self::NotFound),
            405 => Some(Self::ResourceLocked),
            406 => Some(Self::PreconditionFailed),
            501 => Some(Self::FrameError),
            502 => Some(Self::SyntaxError),
            503 => Some(Self::CommandInvalid),
            504 => Some(Self::ChannelError),
            505 => Some(Self::UnexpectedFrame),
            506 => Some(Self::ResourceError),
            530 => Some(Self::NotAllowed),
            540 => Some(Self::NotImplemented),
            541 => Some(Self::InternalError),
            _ => None,
        }
    }

    /// The constant's name, as it stands at the front of reply texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReplySuccess => "REPLY_SUCCESS",
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::NoConsumers => "NO_CONSUMERS",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::InvalidPath => "INVALID_PATH",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Whether it closes the connection; the others close a channel.
    pub const fn is_hard(self) -> bool {
        matches!(
            self,
            Self::ConnectionForced
                | Self::InvalidPath
                | Self::FrameError
                | Self::SyntaxError
                | Self::CommandInvalid
                | Self::ChannelError
                | Self::UnexpectedFrame
                | Self::ResourceError
                | Self::NotAllowed
                | Self::NotImplemented
                | Self::InternalError
        )
    }
}

/// What the server says it can do, in `connection.start`; each is true.
pub const SERVER_CAPABILITIES: &[&str] = &["publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to"];

/// What a client may say it can do, in `connection.start-ok`, and the server acts upon.
pub const CLIENT_CAPABILITIES: &[&str] = &["publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked", "authentication_failure_close"];

/// The TCP port by custom, without TLS.
pub const DEFAULT_PORT: u16 = 5672;

/// Any method. [`decode`](Self::decode) reads a method frame's payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// `connection.start`
    ConnectionStart(connection::Start),
    /// `connection.start-ok`
    ConnectionStartOk(connection::StartOk),
    /// `connection.secure`
    ConnectionSecure(connection::Secure),
    /// `connection.secure-ok`
    ConnectionSecureOk(connection::SecureOk),
    /// `connection.tune`
    ConnectionTune(connection::Tune),
    /// `connection.tune-ok`
    ConnectionTuneOk(connection::TuneOk),
    /// `connection.open`
    ConnectionOpen(connection::Open),
    /// `connection.open-ok`
    ConnectionOpenOk(connection::OpenOk),
    /// `connection.close`
    ConnectionClose(connection::Close),
    /// `connection.close-ok`
    ConnectionCloseOk(connection::CloseOk),
    /// `connection.blocked`
    ConnectionBlocked(connection::Blocked),
    /// `connection.unblocked`
    ConnectionUnblocked(connection::Unblocked),
    /// `connection.update-secret`
    ConnectionUpdateSecret(connection::UpdateSecret),
    /// `connection.update-secret-ok`
    ConnectionUpdateSecretOk(connection::UpdateSecretOk),
    /// `channel.open`
    ChannelOpen(channel::Open),
    /// `channel.open-ok`
    ChannelOpenOk(channel::OpenOk),
    /// `channel.flow`
    ChannelFlow(channel::Flow),
    /// `channel.flow-ok`
    ChannelFlowOk(channel::FlowOk),
    /// `channel.close`
    ChannelClose(channel::Close),
    /// `channel.close-ok`
    ChannelCloseOk(channel::CloseOk),
    /// `access.request`
    AccessRequest(access::Request),
    /// `access.request-ok`
    AccessRequestOk(access::RequestOk),
    /// `exchange.declare`
    ExchangeDeclare(exchange::Declare),
    /// `exchange.declare-ok`
    ExchangeDeclareOk(exchange::DeclareOk),
    /// `exchange.delete`
    ExchangeDelete(exchange::Delete),
    /// `exchange.delete-ok`
    ExchangeDeleteOk(exchange::DeleteOk),
    /// `exchange.bind`
    ExchangeBind(exchange::Bind),
    /// `exchange.bind-ok`
    ExchangeBindOk(exchange::BindOk),
    /// `exchange.unbind`
    ExchangeUnbind(exchange::Unbind),
    /// `exchange.unbind-ok`
    ExchangeUnbindOk(exchange::UnbindOk),
    /// `queue.declare`
    QueueDeclare(queue::Declare),
    /// `queue.declare-ok`
    QueueDeclareOk(queue::DeclareOk),
    /// `queue.bind`
    QueueBind(queue::Bind),
    /// `queue.bind-ok`
    QueueBindOk(queue::BindOk),
    /// `queue.purge`
    QueuePurge(queue::Purge),
    /// `queue.purge-ok`
    QueuePurgeOk(queue::PurgeOk),
    /// `queue.delete`
    QueueDelete(queue::Delete),
    /// `queue.delete-ok`
    QueueDeleteOk(queue::DeleteOk),
    /// `queue.unbind`
    QueueUnbind(queue::Unbind),
    /// `queue.unbind-ok`
    QueueUnbindOk(queue::UnbindOk),
    /// `basic.qos`
    BasicQos(basic::Qos),
    /// `basic.qos-ok`
    BasicQosOk(basic::QosOk),
    /// `basic.consume`
    BasicConsume(basic::Consume),
    /// `basic.consume-ok`
    BasicConsumeOk(basic::ConsumeOk),
    /// `basic.cancel`
    BasicCancel(basic::Cancel),
    /// `basic.cancel-ok`
    BasicCancelOk(basic::CancelOk),
    /// `basic.publish`
    BasicPublish(basic::Publish),
    /// `basic.return`
    BasicReturn(basic::Return),
    /// `basic.deliver`
    BasicDeliver(basic::Deliver),
    /// `basic.get`
    BasicGet(basic::Get),
    /// `basic.get-ok`
    BasicGetOk(basic::GetOk),
    /// `basic.get-empty`
    BasicGetEmpty(basic::GetEmpty),
    /// `basic.ack`
    BasicAck(basic::Ack),
    /// `basic.reject`
    BasicReject(basic::Reject),
    /// `basic.recover-async`
    BasicRecoverAsync(basic::RecoverAsync),
    /// `basic.recover`
    BasicRecover(basic::Recover),
    /// `basic.recover-ok`
    BasicRecoverOk(basic::RecoverOk),
    /// `basic.nack`
    BasicNack(basic::Nack),
    /// `tx.select`
    TxSelect(tx::Select),
    /// `tx.select-ok`
    TxSelectOk(tx::SelectOk),
    /// `tx.commit`
    TxCommit(tx::Commit),
    /// `tx.commit-ok`
    TxCommitOk(tx::CommitOk),
    /// `tx.rollback`
    TxRollback(tx::Rollback),
    /// `tx.rollback-ok`
    TxRollbackOk(tx::RollbackOk),
    /// `confirm.select`
    ConfirmSelect(confirm::Select),
    /// `confirm.select-ok`
    ConfirmSelectOk(confirm::SelectOk),
}

impl Method {
    /// Reads class, method and arguments; all of `payload` must belong to them.
    pub fn decode(payload: &[u8]) -> Result<Self, MethodError> {
        let Some((&[class_high, class_low, method_high, method_low], args)) = payload.split_first_chunk() else {
            return Err(MethodError::Malformed { class_id: 0, method_id: 0 });
        };
        let class_id = u16::from_be_bytes([class_high, class_low]);
        let method_id = u16::from_be_bytes([method_high, method_low]);
        match (class_id, method_id) {
            (10, 10) => connection::Start::decode(args).map(Self::ConnectionStart),
            (10, 11) => connection::StartOk::decode(args).map(Self::ConnectionStartOk),
            (10, 20) => connection::Secure::decode(args).map(Self::ConnectionSecure),
            (10, 21) => connection::SecureOk::decode(args).map(Self::ConnectionSecureOk),
            (10, 30) => connection::Tune::decode(args).map(Self::ConnectionTune),
            (10, 31) => connection::TuneOk::decode(args).map(Self::ConnectionTuneOk),
            (10, 40) => connection::Open::decode(args).map(Self::ConnectionOpen),
            (10, 41) => connection::OpenOk::decode(args).map(Self::ConnectionOpenOk),
            (10, 50) => connection::Close::decode(args).map(Self::ConnectionClose),
            (10, 51) => connection::CloseOk::decode(args).map(Self::ConnectionCloseOk),
            (10, 60) => connection::Blocked::decode(args).map(Self::ConnectionBlocked),
            (10, 61) => connection::Unblocked::decode(args).map(Self::ConnectionUnblocked),
            (10, 70) => connection::UpdateSecret::decode(args).map(Self::ConnectionUpdateSecret),
            (10, 71) => connection::UpdateSecretOk::decode(args).map(Self::ConnectionUpdateSecretOk),
            (20, 10) => channel::Open::decode(args).map(Self::ChannelOpen),
            (20, 11) => channel::OpenOk::decode(args).map(Self::ChannelOpenOk),
            (20, 20) => channel::Flow::decode(args).map(Self::ChannelFlow),
            (20, 21) => channel::FlowOk::decode(args).map(Self::ChannelFlowOk),
            (20, 40) => channel::Close::decode(args).map(Self::ChannelClose),
            (20, 41) => channel::CloseOk::decode(args).map(Self::ChannelCloseOk),
            (30, 10) => access::Request::decode(args).map(Self::AccessRequest),
            (30, 11) => access::RequestOk::decode(args).map(Self::AccessRequestOk),
            (40, 10) => exchange::Declare::decode(args).map(Self::ExchangeDeclare),
            (40, 11) => exchange::DeclareOk::decode(args).map(Self::ExchangeDeclareOk),
            (40, 20) => exchange::Delete::decode(args).map(Self::ExchangeDelete),
            (40, 21) => exchange::DeleteOk::decode(args).map(Self::ExchangeDeleteOk),
            (40, 30) => exchange::Bind::decode(args).map(Self::ExchangeBind),
            (40, 31) => exchange::BindOk::decode(args).map(Self::ExchangeBindOk),
            (40, 40) => exchange::Unbind::decode(args).map(Self::ExchangeUnbind),
            (40, 51) => exchange::UnbindOk::decode(args).map(Self::ExchangeUnbindOk),
            (50, 10) => queue::Declare::decode(args).map(Self::QueueDeclare),
            (50, 11) => queue::DeclareOk::decode(args).map(Self::QueueDeclareOk),
            (50, 20) => queue::Bind::decode(args).map(Self::QueueBind),
            (50, 21) => queue::BindOk::decode(args).map(Self::QueueBindOk),
            (50, 30) => queue::Purge::decode(args).map(Self::QueuePurge),
            (50, 31) => queue::PurgeOk::decode(args).map(Self::QueuePurgeOk),
            (50, 40) => queue::Delete::decode(args).map(Self::QueueDelete),
            (50, 41) => queue::DeleteOk::decode(args).map(Self::QueueDeleteOk),
            (50, 50) => queue::Unbind::decode(args).map(Self::QueueUnbind),
            (50, 51) => queue::UnbindOk::decode(args).map(Self::QueueUnbindOk),
            (60, 10) => basic::Qos::decode(args).map(Self::BasicQos),
            (60, 11) => basic::QosOk::decode(args).map(Self::BasicQosOk),
            (60, 20) => basic::Consume::decode(args).map(Self::BasicConsume),
            (60, 21) => basic::ConsumeOk::decode(args).map(Self::BasicConsumeOk),
            (60, 30) => basic::Cancel::decode(args).map(Self::BasicCancel),
            (60, 31) => basic::CancelOk::decode(args).map(Self::BasicCancelOk),
            (60, 40) => basic::Publish::decode(args).map(Self::BasicPublish),
            (60, 50) => basic::Return::decode(args).map(Self::BasicReturn),
            (60, 60) => basic::Deliver::decode(args).map(Self::BasicDeliver),
            (60, 70) => basic::Get::decode(args).map(Self::BasicGet),
            (60, 71) => basic::GetOk::decode(args).map(Self::BasicGetOk),
            (60, 72) => basic::GetEmpty::decode(args).map(Self::BasicGetEmpty),
            (60, 80) => basic::Ack::decode(args).map(Self::BasicAck),
            (60, 90) => basic::Reject::decode(args).map(Self::BasicReject),
            (60, 100) => basic::RecoverAsync::decode(args).map(Self::BasicRecoverAsync),
            (60, 110) => basic::Recover::decode(args).map(Self::BasicRecover),
            (60, 111) => basic::RecoverOk::decode(args).map(Self::BasicRecoverOk),
            (60, 120) => basic::Nack::decode(args).map(Self::BasicNack),
            (90, 10) => tx::Select::decode(args).map(Self::TxSelect),
            (90, 11) => tx::SelectOk::decode(args).map(Self::TxSelectOk),
            (90, 20) => tx::Commit::decode(args).map(Self::TxCommit),
            (90, 21) => tx::CommitOk::decode(args).map(Self::TxCommitOk),
            (90, 30) => tx::Rollback::decode(args).map(Self::TxRollback),
            (90, 31) => tx::RollbackOk::decode(args).map(Self::TxRollbackOk),
            (85, 10) => confirm::Select::decode(args).map(Self::ConfirmSelect),
            (85, 11) => confirm::SelectOk::decode(args).map(Self::ConfirmSelectOk),
            _ => Err(MethodError::UnknownMethod { class_id, method_id }),
        }
    }

    /// Class and method.
    pub const fn ids(&self) -> (u16, u16) {
        match self {
            Self::ConnectionStart(_) => (10, 10),
            Self::ConnectionStartOk(_) => (10, 11),
            Self::ConnectionSecure(_) => (10, 20),
            Self::ConnectionSecureOk(_) => (10, 21),
            Self::ConnectionTune(_) => (10, 30),
            Self::ConnectionTuneOk(_) => (10, 31),
            Self::ConnectionOpen(_) => (10, 40),
            Self::ConnectionOpenOk(_) => (10, 41),
            Self::ConnectionClose(_) => (10, 50),
            Self::ConnectionCloseOk(_) => (10, 51),
            Self::ConnectionBlocked(_) => (10, 60),
            Self::ConnectionUnblocked(_) => (10, 61),
            Self::ConnectionUpdateSecret(_) => (10, 70),
            Self::ConnectionUpdateSecretOk(_) => (10, 71),
            Self::ChannelOpen(_) => (20, 10),
            Self::ChannelOpenOk(_) => (20, 11),
            Self::ChannelFlow(_) => (20, 20),
            Self::ChannelFlowOk(_) => (20, 21),
            Self::ChannelClose(_) => (20, 40),
            Self::ChannelCloseOk(_) => (20, 41),
            Self::AccessRequest(_) => (30, 10),
            Self::AccessRequestOk(_) => (30, 11),
            Self::ExchangeDeclare(_) => (40, 10),
            Self::ExchangeDeclareOk(_) => (40, 11),
            Self::ExchangeDelete(_) => (40, 20),
            Self::ExchangeDeleteOk(_) => (40, 21),
            Self::ExchangeBind(_) => (40, 30),
            Self::ExchangeBindOk(_) => (40, 31),
            Self::ExchangeUnbind(_) => (40, 40),
            Self::ExchangeUnbindOk(_) => (40, 51),
            Self::QueueDeclare(_) => (50, 10),
            Self::QueueDeclareOk(_) => (50, 11),
            Self::QueueBind(_) => (50, 20),
            Self::QueueBindOk(_) => (50, 21),
            Self::QueuePurge(_) => (50, 30),
            Self::QueuePurgeOk(_) => (50, 31),
            Self::QueueDelete(_) => (50, 40),
            Self::QueueDeleteOk(_) => (50, 41),
            Self::QueueUnbind(_) => (50, 50),
            Self::QueueUnbindOk(_) => (50, 51),
            Self::BasicQos(_) => (60, 10),
            Self::BasicQosOk(_) => (60, 11),
            Self::BasicConsume(_) => (60, 20),
            Self::BasicConsumeOk(_) => (60, 21),
            Self::BasicCancel(_) => (60, 30),
            Self::BasicCancelOk(_) => (60, 31),
            Self::BasicPublish(_) => (60, 40),
            Self::BasicReturn(_) => (60, 50),
            Self::BasicDeliver(_) => (60, 60),
            Self::BasicGet(_) => (60, 70),
            Self::BasicGetOk(_) => (60, 71),
            Self::BasicGetEmpty(_) => (60, 72),
            Self::BasicAck(_) => (60, 80),
            Self::BasicReject(_) => (60, 90),
            Self::BasicRecoverAsync(_) => (60, 100),
            Self::BasicRecover(_) => (60, 110),
            Self::BasicRecoverOk(_) => (60, 111),
            Self::BasicNack(_) => (60, 120),
            Self::TxSelect(_) => (90, 10),
            Self::TxSelectOk(_) => (90, 11),
            Self::TxCommit(_) => (90, 20),
            Self::TxCommitOk(_) => (90, 21),
            Self::TxRollback(_) => (90, 30),
            Self::TxRollbackOk(_) => (90, 31),
            Self::ConfirmSelect(_) => (85, 10),
            Self::ConfirmSelectOk(_) => (85, 11),
        }
    }

    /// The name, such as `basic.publish`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ConnectionStart(_) => "connection.start",
            Self::ConnectionStartOk(_) => "connection.start-ok",
            Self::ConnectionSecure(_) => "connection.secure",
            Self::ConnectionSecureOk(_) => "connection.secure-ok",
            Self::ConnectionTune(_) => "connection.tune",
            Self::ConnectionTuneOk(_) => "connection.tune-ok",
            Self::ConnectionOpen(_) => "connection.open",
            Self::ConnectionOpenOk(_) => "connection.open-ok",
            Self::ConnectionClose(_) => "connection.close",
            Self::ConnectionCloseOk(_) => "connection.close-ok",
            Self::ConnectionBlocked(_) => "connection.blocked",
            Self::ConnectionUnblocked(_) => "connection.unblocked",
            Self::ConnectionUpdateSecret(_) => "connection.update-secret",
            Self::ConnectionUpdateSecretOk(_) => "connection.update-secret-ok",
            Self::ChannelOpen(_) => "channel.open",
            Self::ChannelOpenOk(_) => "channel.open-ok",
            Self::ChannelFlow(_) => "channel.flow",
            Self::ChannelFlowOk(_) => "channel.flow-ok",
            Self::ChannelClose(_) => "channel.close",
            Self::ChannelCloseOk(_) => "channel.close-ok",
            Self::AccessRequest(_) => "access.request",
            Self::AccessRequestOk(_) => "access.request-ok",
            Self::ExchangeDeclare(_) => "exchange.declare",
            Self::ExchangeDeclareOk(_) => "exchange.declare-ok",
            Self::ExchangeDelete(_) => "exchange.delete",
            Self::ExchangeDeleteOk(_) => "exchange.delete-ok",
            Self::ExchangeBind(_) => "exchange.bind",
            Self::ExchangeBindOk(_) => "exchange.bind-ok",
            Self::ExchangeUnbind(_) => "exchange.unbind",
            Self::ExchangeUnbindOk(_) => "exchange.unbind-ok",
            Self::QueueDeclare(_) => "queue.declare",
            Self::QueueDeclareOk(_) => "queue.declare-ok",
            Self::QueueBind(_) => "queue.bind",
            Self::QueueBindOk(_) => "queue.bind-ok",
            Self::QueuePurge(_) => "queue.purge",
            Self::QueuePurgeOk(_) => "queue.purge-ok",
            Self::QueueDelete(_) => "queue.delete",
            Self::QueueDeleteOk(_) => "queue.delete-ok",
            Self::QueueUnbind(_) => "queue.unbind",
            Self::QueueUnbindOk(_) => "queue.unbind-ok",
            Self::BasicQos(_) => "basic.qos",
            Self::BasicQosOk(_) => "basic.qos-ok",
            Self::BasicConsume(_) => "basic.consume",
            Self::BasicConsumeOk(_) => "basic.consume-ok",
            Self::BasicCancel(_) => "basic.cancel",
            Self::BasicCancelOk(_) => "basic.cancel-ok",
            Self::BasicPublish(_) => "basic.publish",
            Self::BasicReturn(_) => "basic.return",
            Self::BasicDeliver(_) => "basic.deliver",
            Self::BasicGet(_) => "basic.get",
            Self::BasicGetOk(_) => "basic.get-ok",
            Self::BasicGetEmpty(_) => "basic.get-empty",
            Self::BasicAck(_) => "basic.ack",
            Self::BasicReject(_) => "basic.reject",
            Self::BasicRecoverAsync(_) => "basic.recover-async",
            Self::BasicRecover(_) => "basic.recover",
            Self::BasicRecoverOk(_) => "basic.recover-ok",
            Self::BasicNack(_) => "basic.nack",
            Self::TxSelect(_) => "tx.select",
            Self::TxSelectOk(_) => "tx.select-ok",
            Self::TxCommit(_) => "tx.commit",
            Self::TxCommitOk(_) => "tx.commit-ok",
            Self::TxRollback(_) => "tx.rollback",
            Self::TxRollbackOk(_) => "tx.rollback-ok",
            Self::ConfirmSelect(_) => "confirm.select",
            Self::ConfirmSelectOk(_) => "confirm.select-ok",
        }
    }

    /// Whether a client may send it. What is for servers only is an error from a client.
    pub const fn client_may_send(&self) -> bool {
        matches!(
            self,
            Self::ConnectionStartOk(_)
                | Self::ConnectionSecureOk(_)
                | Self::ConnectionTuneOk(_)
                | Self::ConnectionOpen(_)
                | Self::ConnectionClose(_)
                | Self::ConnectionCloseOk(_)
                | Self::ConnectionUpdateSecret(_)
                | Self::ChannelOpen(_)
                | Self::ChannelFlow(_)
                | Self::ChannelFlowOk(_)
                | Self::ChannelClose(_)
                | Self::ChannelCloseOk(_)
                | Self::AccessRequest(_)
                | Self::ExchangeDeclare(_)
                | Self::ExchangeDelete(_)
                | Self::ExchangeBind(_)
                | Self::ExchangeUnbind(_)
                | Self::QueueDeclare(_)
                | Self::QueueBind(_)
                | Self::QueuePurge(_)
                | Self::QueueDelete(_)
                | Self::QueueUnbind(_)
                | Self::BasicQos(_)
                | Self::BasicConsume(_)
                | Self::BasicCancel(_)
                | Self::BasicCancelOk(_)
                | Self::BasicPublish(_)
                | Self::BasicGet(_)
                | Self::BasicAck(_)
                | Self::BasicReject(_)
                | Self::BasicRecoverAsync(_)
                | Self::BasicRecover(_)
                | Self::BasicNack(_)
                | Self::TxSelect(_)
                | Self::TxCommit(_)
                | Self::TxRollback(_)
                | Self::ConfirmSelect(_)
        )
    }

    /// Whether a server may send it.
    pub const fn server_may_send(&self) -> bool {
        matches!(
            self,
            Self::ConnectionStart(_)
                | Self::ConnectionSecure(_)
                | Self::ConnectionTune(_)
                | Self::ConnectionOpenOk(_)
                | Self::ConnectionClose(_)
                | Self::ConnectionCloseOk(_)
                | Self::ConnectionBlocked(_)
                | Self::ConnectionUnblocked(_)
                | Self::ConnectionUpdateSecretOk(_)
                | Self::ChannelOpenOk(_)
                | Self::ChannelFlow(_)
                | Self::ChannelFlowOk(_)
                | Self::ChannelClose(_)
                | Self::ChannelCloseOk(_)
                | Self::AccessRequestOk(_)
                | Self::ExchangeDeclareOk(_)
                | Self::ExchangeDeleteOk(_)
                | Self::ExchangeBindOk(_)
                | Self::ExchangeUnbindOk(_)
                | Self::QueueDeclareOk(_)
                | Self::QueueBindOk(_)
                | Self::QueuePurgeOk(_)
                | Self::QueueDeleteOk(_)
                | Self::QueueUnbindOk(_)
                | Self::BasicQosOk(_)
                | Self::BasicConsumeOk(_)
                | Self::BasicCancel(_)
                | Self::BasicCancelOk(_)
                | Self::BasicReturn(_)
                | Self::BasicDeliver(_)
                | Self::BasicGetOk(_)
                | Self::BasicGetEmpty(_)
                | Self::BasicAck(_)
                | Self::BasicRecoverOk(_)
                | Self::BasicNack(_)
                | Self::TxSelectOk(_)
                | Self::TxCommitOk(_)
                | Self::TxRollbackOk(_)
                | Self::ConfirmSelectOk(_)
        )
    }

    /// Whether a content header and a body follow.
    pub const fn has_content(&self) -> bool {
        matches!(
            self,
            Self::BasicPublish(_)
                | Self::BasicReturn(_)
                | Self::BasicDeliver(_)
                | Self::BasicGetOk(_)
        )
    }

    /// Whether it asks for an answer, unless it says `no_wait`.
    pub const fn is_synchronous(&self) -> bool {
        matches!(
            self,
            Self::ConnectionStart(_)
                | Self::ConnectionSecure(_)
                | Self::ConnectionTune(_)
                | Self::ConnectionOpen(_)
                | Self::ConnectionClose(_)
                | Self::ConnectionUpdateSecret(_)
                | Self::ChannelOpen(_)
                | Self::ChannelFlow(_)
                | Self::ChannelClose(_)
                | Self::AccessRequest(_)
                | Self::ExchangeDeclare(_)
                | Self::ExchangeDelete(_)
                | Self::ExchangeBind(_)
                | Self::ExchangeUnbind(_)
                | Self::QueueDeclare(_)
                | Self::QueueBind(_)
                | Self::QueuePurge(_)
                | Self::QueueDelete(_)
                | Self::QueueUnbind(_)
                | Self::BasicQos(_)
                | Self::BasicConsume(_)
                | Self::BasicCancel(_)
                | Self::BasicGet(_)
                | Self::BasicRecover(_)
                | Self::TxSelect(_)
                | Self::TxCommit(_)
                | Self::TxRollback(_)
                | Self::ConfirmSelect(_)
        )
    }

    /// Whether it is RabbitMQ's rather than AMQP 0-9-1's.
    pub const fn is_extension(&self) -> bool {
        matches!(
            self,
            Self::ConnectionBlocked(_)
                | Self::ConnectionUnblocked(_)
                | Self::ConnectionUpdateSecret(_)
                | Self::ConnectionUpdateSecretOk(_)
                | Self::AccessRequest(_)
                | Self::AccessRequestOk(_)
                | Self::ExchangeBind(_)
                | Self::ExchangeBindOk(_)
                | Self::ExchangeUnbind(_)
                | Self::ExchangeUnbindOk(_)
                | Self::BasicNack(_)
                | Self::ConfirmSelect(_)
                | Self::ConfirmSelectOk(_)
        )
    }
}

impl Encode for Method {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::ConnectionStart(method) => method.encode(out),
            Self::ConnectionStartOk(method) => method.encode(out),
            Self::ConnectionSecure(method) => method.encode(out),
            Self::ConnectionSecureOk(method) => method.encode(out),
            Self::ConnectionTune(method) => method.encode(out),
            Self::ConnectionTuneOk(method) => method.encode(out),
            Self::ConnectionOpen(method) => method.encode(out),
            Self::ConnectionOpenOk(method) => method.encode(out),
            Self::ConnectionClose(method) => method.encode(out),
            Self::ConnectionCloseOk(method) => method.encode(out),
            Self::ConnectionBlocked(method) => method.encode(out),
            Self::ConnectionUnblocked(method) => method.encode(out),
            Self::ConnectionUpdateSecret(method) => method.encode(out),
            Self::ConnectionUpdateSecretOk(method) => method.encode(out),
            Self::ChannelOpen(method) => method.encode(out),
            Self::ChannelOpenOk(method) => method.encode(out),
            Self::ChannelFlow(method) => method.encode(out),
            Self::ChannelFlowOk(method) => method.encode(out),
            Self::ChannelClose(method) => method.encode(out),
            Self::ChannelCloseOk(method) => method.encode(out),
            Self::AccessRequest(method) => method.encode(out),
            Self::AccessRequestOk(method) => method.encode(out),
            Self::ExchangeDeclare(method) => method.encode(out),
            Self::ExchangeDeclareOk(method) => method.encode(out),
            Self::ExchangeDelete(method) => method.encode(out),
            Self::ExchangeDeleteOk(method) => method.encode(out),
            Self::ExchangeBind(method) => method.encode(out),
            Self::ExchangeBindOk(method) => method.encode(out),
            Self::ExchangeUnbind(method) => method.encode(out),
            Self::ExchangeUnbindOk(method) => method.encode(out),
            Self::QueueDeclare(method) => method.encode(out),
            Self::QueueDeclareOk(method) => method.encode(out),
            Self::QueueBind(method) => method.encode(out),
            Self::QueueBindOk(method) => method.encode(out),
            Self::QueuePurge(method) => method.encode(out),
            Self::QueuePurgeOk(method) => method.encode(out),
            Self::QueueDelete(method) => method.encode(out),
            Self::QueueDeleteOk(method) => method.encode(out),
            Self::QueueUnbind(method) => method.encode(out),
            Self::QueueUnbindOk(method) => method.encode(out),
            Self::BasicQos(method) => method.encode(out),
            Self::BasicQosOk(method) => method.encode(out),
            Self::BasicConsume(method) => method.encode(out),
            Self::BasicConsumeOk(method) => method.encode(out),
            Self::BasicCancel(method) => method.encode(out),
            Self::BasicCancelOk(method) => method.encode(out),
            Self::BasicPublish(method) => method.encode(out),
            Self::BasicReturn(method) => method.encode(out),
            Self::BasicDeliver(method) => method.encode(out),
            Self::BasicGet(method) => method.encode(out),
            Self::BasicGetOk(method) => method.encode(out),
            Self::BasicGetEmpty(method) => method.encode(out),
            Self::BasicAck(method) => method.encode(out),
            Self::BasicReject(method) => method.encode(out),
            Self::BasicRecoverAsync(method) => method.encode(out),
            Self::BasicRecover(method) => method.encode(out),
            Self::BasicRecoverOk(method) => method.encode(out),
            Self::BasicNack(method) => method.encode(out),
            Self::TxSelect(method) => method.encode(out),
            Self::TxSelectOk(method) => method.encode(out),
            Self::TxCommit(method) => method.encode(out),
            Self::TxCommitOk(method) => method.encode(out),
            Self::TxRollback(method) => method.encode(out),
            Self::TxRollbackOk(method) => method.encode(out),
            Self::ConfirmSelect(method) => method.encode(out),
            Self::ConfirmSelectOk(method) => method.encode(out),
        }
    }
}

impl From<connection::Start> for Method {
    fn from(method: connection::Start) -> Self {
        Self::ConnectionStart(method)
    }
}

impl From<connection::StartOk> for Method {
    fn from(method: connection::StartOk) -> Self {
        Self::ConnectionStartOk(method)
    }
}

impl From<connection::Secure> for Method {
    fn from(method: connection::Secure) -> Self {
        Self::ConnectionSecure(method)
    }
}

impl From<connection::SecureOk> for Method {
    fn from(method: connection::SecureOk) -> Self {
        Self::ConnectionSecureOk(method)
    }
}

impl From<connection::Tune> for Method {
    fn from(method: connection::Tune) -> Self {
        Self::ConnectionTune(method)
    }
}

impl From<connection::TuneOk> for Method {
    fn from(method: connection::TuneOk) -> Self {
        Self::ConnectionTuneOk(method)
    }
}

impl From<connection::Open> for Method {
    fn from(method: connection::Open) -> Self {
        Self::ConnectionOpen(method)
    }
}

impl From<connection::OpenOk> for Method {
    fn from(method: connection::OpenOk) -> Self {
        Self::ConnectionOpenOk(method)
    }
}

impl From<connection::Close> for Method {
    fn from(method: connection::Close) -> Self {
        Self::ConnectionClose(method)
    }
}

impl From<connection::CloseOk> for Method {
    fn from(method: connection::CloseOk) -> Self {
        Self::ConnectionCloseOk(method)
    }
}

impl From<connection::Blocked> for Method {
    fn from(method: connection::Blocked) -> Self {
        Self::ConnectionBlocked(method)
    }
}

impl From<connection::Unblocked> for Method {
    fn from(method: connection::Unblocked) -> Self {
        Self::ConnectionUnblocked(method)
    }
}

impl From<connection::UpdateSecret> for Method {
    fn from(method: connection::UpdateSecret) -> Self {
        Self::ConnectionUpdateSecret(method)
    }
}

impl From<connection::UpdateSecretOk> for Method {
    fn from(method: connection::UpdateSecretOk) -> Self {
        Self::ConnectionUpdateSecretOk(method)
    }
}

impl From<channel::Open> for Method {
    fn from(method: channel::Open) -> Self {
        Self::ChannelOpen(method)
    }
}

impl From<channel::OpenOk> for Method {
    fn from(method: channel::OpenOk) -> Self {
        Self::ChannelOpenOk(method)
    }
}

impl From<channel::Flow> for Method {
    fn from(method: channel::Flow) -> Self {
        Self::ChannelFlow(method)
    }
}

impl From<channel::FlowOk> for Method {
    fn from(method: channel::FlowOk) -> Self {
        Self::ChannelFlowOk(method)
    }
}

impl From<channel::Close> for Method {
    fn from(method: channel::Close) -> Self {
        Self::ChannelClose(method)
    }
}

impl From<channel::CloseOk> for Method {
    fn from(method: channel::CloseOk) -> Self {
        Self::ChannelCloseOk(method)
    }
}

impl From<access::Request> for Method {
    fn from(method: access::Request) -> Self {
        Self::AccessRequest(method)
    }
}

impl From<access::RequestOk> for Method {
    fn from(method: access::RequestOk) -> Self {
        Self::AccessRequestOk(method)
    }
}

impl From<exchange::Declare> for Method {
    fn from(method: exchange::Declare) -> Self {
        Self::ExchangeDeclare(method)
    }
}

impl From<exchange::DeclareOk> for Method {
    fn from(method: exchange::DeclareOk) -> Self {
        Self::ExchangeDeclareOk(method)
    }
}

impl From<exchange::Delete> for Method {
    fn from(method: exchange::Delete) -> Self {
        Self::ExchangeDelete(method)
    }
}

impl From<exchange::DeleteOk> for Method {
    fn from(method: exchange::DeleteOk) -> Self {
        Self::ExchangeDeleteOk(method)
    }
}

impl From<exchange::Bind> for Method {
    fn from(method: exchange::Bind) -> Self {
        Self::ExchangeBind(method)
    }
}

impl From<exchange::BindOk> for Method {
    fn from(method: exchange::BindOk) -> Self {
        Self::ExchangeBindOk(method)
    }
}

impl From<exchange::Unbind> for Method {
    fn from(method: exchange::Unbind) -> Self {
        Self::ExchangeUnbind(method)
    }
}

impl From<exchange::UnbindOk> for Method {
    fn from(method: exchange::UnbindOk) -> Self {
        Self::ExchangeUnbindOk(method)
    }
}

impl From<queue::Declare> for Method {
    fn from(method: queue::Declare) -> Self {
        Self::QueueDeclare(method)
    }
}

impl From<queue::DeclareOk> for Method {
    fn from(method: queue::DeclareOk) -> Self {
        Self::QueueDeclareOk(method)
    }
}

impl From<queue::Bind> for Method {
    fn from(method: queue::Bind) -> Self {
        Self::QueueBind(method)
    }
}

impl From<queue::BindOk> for Method {
    fn from(method: queue::BindOk) -> Self {
        Self::QueueBindOk(method)
    }
}

impl From<queue::Purge> for Method {
    fn from(method: queue::Purge) -> Self {
        Self::QueuePurge(method)
    }
}

impl From<queue::PurgeOk> for Method {
    fn from(method: queue::PurgeOk) -> Self {
        Self::QueuePurgeOk(method)
    }
}

impl From<queue::Delete> for Method {
    fn from(method: queue::Delete) -> Self {
        Self::QueueDelete(method)
    }
}

impl From<queue::DeleteOk> for Method {
    fn from(method: queue::DeleteOk) -> Self {
        Self::QueueDeleteOk(method)
    }
}

impl From<queue::Unbind> for Method {
    fn from(method: queue::Unbind) -> Self {
        Self::QueueUnbind(method)
    }
}

impl From<queue::UnbindOk> for Method {
    fn from(method: queue::UnbindOk) -> Self {
        Self::QueueUnbindOk(method)
    }
}

impl From<basic::Qos> for Method {
    fn from(method: basic::Qos) -> Self {
        Self::BasicQos(method)
    }
}

impl From<basic::QosOk> for Method {
    fn from(method: basic::QosOk) -> Self {
        Self::BasicQosOk(method)
    }
}

impl From<basic::Consume> for Method {
    fn from(method: basic::Consume) -> Self {
        Self::BasicConsume(method)
    }
}

impl From<basic::ConsumeOk> for Method {
    fn from(method: basic::ConsumeOk) -> Self {
        Self::BasicConsumeOk(method)
    }
}

impl From<basic::Cancel> for Method {
    fn from(method: basic::Cancel) -> Self {
        Self::BasicCancel(method)
    }
}

impl From<basic::CancelOk> for Method {
    fn from(method: basic::CancelOk) -> Self {
        Self::BasicCancelOk(method)
    }
}

impl From<basic::Publish> for Method {
    fn from(method: basic::Publish) -> Self {
        Self::BasicPublish(method)
    }
}

impl From<basic::Return> for Method {
    fn from(method: basic::Return) -> Self {
        Self::BasicReturn(method)
    }
}

impl From<basic::Deliver> for Method {
    fn from(method: basic::Deliver) -> Self {
        Self::BasicDeliver(method)
    }
}

impl From<basic::Get> for Method {
    fn from(method: basic::Get) -> Self {
        Self::BasicGet(method)
    }
}

impl From<basic::GetOk> for Method {
    fn from(method: basic::GetOk) -> Self {
        Self::BasicGetOk(method)
    }
}

impl From<basic::GetEmpty> for Method {
    fn from(method: basic::GetEmpty) -> Self {
        Self::BasicGetEmpty(method)
    }
}

impl From<basic::Ack> for Method {
    fn from(method: basic::Ack) -> Self {
        Self::BasicAck(method)
    }
}

impl From<basic::Reject> for Method {
    fn from(method: basic::Reject) -> Self {
        Self::BasicReject(method)
    }
}

impl From<basic::RecoverAsync> for Method {
    fn from(method: basic::RecoverAsync) -> Self {
        Self::BasicRecoverAsync(method)
    }
}

impl From<basic::Recover> for Method {
    fn from(method: basic::Recover) -> Self {
        Self::BasicRecover(method)
    }
}

impl From<basic::RecoverOk> for Method {
    fn from(method: basic::RecoverOk) -> Self {
        Self::BasicRecoverOk(method)
    }
}

impl From<basic::Nack> for Method {
    fn from(method: basic::Nack) -> Self {
        Self::BasicNack(method)
    }
}

impl From<tx::Select> for Method {
    fn from(method: tx::Select) -> Self {
        Self::TxSelect(method)
    }
}

impl From<tx::SelectOk> for Method {
    fn from(method: tx::SelectOk) -> Self {
        Self::TxSelectOk(method)
    }
}

impl From<tx::Commit> for Method {
    fn from(method: tx::Commit) -> Self {
        Self::TxCommit(method)
    }
}

impl From<tx::CommitOk> for Method {
    fn from(method: tx::CommitOk) -> Self {
        Self::TxCommitOk(method)
    }
}

impl From<tx::Rollback> for Method {
    fn from(method: tx::Rollback) -> Self {
        Self::TxRollback(method)
    }
}

impl From<tx::RollbackOk> for Method {
    fn from(method: tx::RollbackOk) -> Self {
        Self::TxRollbackOk(method)
    }
}

impl From<confirm::Select> for Method {
    fn from(method: confirm::Select) -> Self {
        Self::ConfirmSelect(method)
    }
}

impl From<confirm::SelectOk> for Method {
    fn from(method: confirm::SelectOk) -> Self {
        Self::ConfirmSelectOk(method)
    }
}

/// The name of the method with these numbers, such as `basic.publish`.
pub const fn method_name(class_id: u16, method_id: u16) -> Option<&'static str> {
    match (class_id, method_id) {
        (10, 10) => Some("connection.start"),
        (10, 11) => Some("connection.start-ok"),
        (10, 20) => Some("connection.secure"),
        (10, 21) => Some("connection.secure-ok"),
        (10, 30) => Some("connection.tune"),
        (10, 31) => Some("connection.tune-ok"),
        (10, 40) => Some("connection.open"),
        (10, 41) => Some("connection.open-ok"),
        (10, 50) => Some("connection.close"),
        (10, 51) => Some("connection.close-ok"),
        (10, 60) => Some("connection.blocked"),
        (10, 61) => Some("connection.unblocked"),
        (10, 70) => Some("connection.update-secret"),
        (10, 71) => Some("connection.update-secret-ok"),
        (20, 10) => Some("channel.open"),
        (20, 11) => Some("channel.open-ok"),
        (20, 20) => Some("channel.flow"),
        (20, 21) => Some("channel.flow-ok"),
        (20, 40) => Some("channel.close"),
        (20, 41) => Some("channel.close-ok"),
        (30, 10) => Some("access.request"),
        (30, 11) => Some("access.request-ok"),
        (40, 10) => Some("exchange.declare"),
        (40, 11) => Some("exchange.declare-ok"),
        (40, 20) => Some("exchange.delete"),
        (40, 21) => Some("exchange.delete-ok"),
        (40, 30) => Some("exchange.bind"),
        (40, 31) => Some("exchange.bind-ok"),
        (40, 40) => Some("exchange.unbind"),
        (40, 51) => Some("exchange.unbind-ok"),
        (50, 10) => Some("queue.declare"),
        (50, 11) => Some("queue.declare-ok"),
        (50, 20) => Some("queue.bind"),
        (50, 21) => Some("queue.bind-ok"),
        (50, 30) => Some("queue.purge"),
        (50, 31) => Some("queue.purge-ok"),
        (50, 40) => Some("queue.delete"),
        (50, 41) => Some("queue.delete-ok"),
        (50, 50) => Some("queue.unbind"),
        (50, 51) => Some("queue.unbind-ok"),
        (60, 10) => Some("basic.qos"),
        (60, 11) => Some("basic.qos-ok"),
        (60, 20) => Some("basic.consume"),
        (60, 21) => Some("basic.consume-ok"),
        (60, 30) => Some("basic.cancel"),
        (60, 31) => Some("basic.cancel-ok"),
        (60, 40) => Some("basic.publish"),
        (60, 50) => Some("basic.return"),
        (60, 60) => Some("basic.deliver"),
        (60, 70) => Some("basic.get"),
        (60, 71) => Some("basic.get-ok"),
        (60, 72) => Some("basic.get-empty"),
        (60, 80) => Some("basic.ack"),
        (60, 90) => Some("basic.reject"),
        (60, 100) => Some("basic.recover-async"),
        (60, 110) => Some("basic.recover"),
        (60, 111) => Some("basic.recover-ok"),
        (60, 120) => Some("basic.nack"),
        (90, 10) => Some("tx.select"),
        (90, 11) => Some("tx.select-ok"),
        (90, 20) => Some("tx.commit"),
        (90, 21) => Some("tx.commit-ok"),
        (90, 30) => Some("tx.rollback"),
        (90, 31) => Some("tx.rollback-ok"),
        (85, 10) => Some("confirm.select"),
        (85, 11) => Some("confirm.select-ok"),
        _ => None,
    }
}

/// Opening, tuning and closing a connection. Always on channel 0. (AMQP 0-9-1, section 1.4)
pub mod connection {
    use super::{Encode, MethodError, wire};
    use crate::protocol::{FieldTable, ShortString};

    /// The number of this class.
    pub const CLASS_ID: u16 = 10;

    /// `connection.start`: Answers the protocol header: who the server is, and how one may log in.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Start {
        /// Always 0.
        pub version_major: u8,
        /// Always 9.
        pub version_minor: u8,
        /// What the peer says of itself: product, version, `capabilities` and the like.
        pub server_properties: FieldTable,
        /// SASL mechanisms, separated by spaces.
        pub mechanisms: Vec<u8>,
        /// Languages, separated by spaces.
        pub locales: Vec<u8>,
    }

    impl Start {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 10;
        /// Both, for people.
        pub const NAME: &'static str = "connection.start";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, version_major) = wire::octet(input)?;
            let (input, version_minor) = wire::octet(input)?;
            let (input, server_properties) = wire::table(input)?;
            let (input, mechanisms) = wire::long_string(input)?;
            let (input, locales) = wire::long_string(input)?;
            Ok((input, Self { version_major, version_minor, server_properties, mechanisms, locales }))
        }
    }

    impl Encode for Start {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            out.push(self.version_major);
            out.push(self.version_minor);
            self.server_properties.encode(out);
            wire::put_long_string(out, &self.mechanisms);
            wire::put_long_string(out, &self.locales);
        }
    }

    /// `connection.start-ok`: Who the client is, and the first step of its login.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct StartOk {
        /// What the peer says of itself: product, version, `capabilities` and the like.
        pub client_properties: FieldTable,
        /// The SASL mechanism chosen.
        pub mechanism: ShortString,
        /// The mechanism's data.
        pub response: Vec<u8>,
        /// The language chosen.
        pub locale: ShortString,
    }

    impl StartOk {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 11;
        /// Both, for people.
        pub const NAME: &'static str = "connection.start-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, client_properties) = wire::table(input)?;
            let (input, mechanism) = wire::short_string(input)?;
            let (input, response) = wire::long_string(input)?;
            let (input, locale) = wire::short_string(input)?;
            Ok((input, Self { client_properties, mechanism, response, locale }))
        }
    }

    impl Encode for StartOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            self.client_properties.encode(out);
            wire::put_short_string(out, &self.mechanism);
            wire::put_long_string(out, &self.response);
            wire::put_short_string(out, &self.locale);
        }
    }

    /// `connection.secure`: A further step of the SASL exchange.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Secure {
        /// The mechanism's data.
        pub challenge: Vec<u8>,
    }

    impl Secure {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 20;
        /// Both, for people.
        pub const NAME: &'static str = "connection.secure";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, challenge) = wire::long_string(input)?;
            Ok((input, Self { challenge }))
        }
    }

    impl Encode for Secure {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long_string(out, &self.challenge);
        }
    }

    /// `connection.secure-ok`: Answers a challenge.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct SecureOk {
        /// The mechanism's data.
        pub response: Vec<u8>,
    }

    impl SecureOk {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 21;
        /// Both, for people.
        pub const NAME: &'static str = "connection.secure-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, response) = wire::long_string(input)?;
            Ok((input, Self { response }))
        }
    }

    impl Encode for SecureOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long_string(out, &self.response);
        }
    }

    /// `connection.tune`: The limits that the server proposes.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Tune {
        /// Highest channel number; 0 is no limit.
        pub channel_max: u16,
        /// Largest frame in bytes, overhead included; 0 is no limit.
        pub frame_max: u32,
        /// Seconds between heartbeats; 0 is none.
        pub heartbeat: u16,
    }

    impl Tune {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 30;
        /// Both, for people.
        pub const NAME: &'static str = "connection.tune";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, channel_max) = wire::short(input)?;
            let (input, frame_max) = wire::long(input)?;
            let (input, heartbeat) = wire::short(input)?;
            Ok((input, Self { channel_max, frame_max, heartbeat }))
        }
    }

    impl Encode for Tune {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, self.channel_max);
            wire::put_long(out, self.frame_max);
            wire::put_short(out, self.heartbeat);
        }
    }

    /// `connection.tune-ok`: The limits that hold: no larger than proposed.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct TuneOk {
        /// Highest channel number; 0 is no limit.
        pub channel_max: u16,
        /// Largest frame in bytes, overhead included; 0 is no limit.
        pub frame_max: u32,
        /// Seconds between heartbeats; 0 is none.
        pub heartbeat: u16,
    }

    impl TuneOk {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 31;
        /// Both, for people.
        pub const NAME: &'static str = "connection.tune-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, channel_max) = wire::short(input)?;
            let (input, frame_max) = wire::long(input)?;
            let (input, heartbeat) = wire::short(input)?;
            Ok((input, Self { channel_max, frame_max, heartbeat }))
        }
    }

    impl Encode for TuneOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, self.channel_max);
            wire::put_long(out, self.frame_max);
            wire::put_short(out, self.heartbeat);
        }
    }

    /// `connection.open`: Chooses the virtual host.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Open {
        /// Name of the virtual host.
        pub virtual_host: ShortString,
    }

    impl Open {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 40;
        /// Both, for people.
        pub const NAME: &'static str = "connection.open";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, virtual_host) = wire::short_string(input)?;
            let (input, _) = wire::short_bytes(input)?;
            let (input, _) = wire::octet(input)?;
            Ok((input, Self { virtual_host }))
        }
    }

    impl Encode for Open {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short_string(out, &self.virtual_host);
            out.push(0);
            out.push(0);
        }
    }

    /// `connection.open-ok`: The connection is open.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct OpenOk;

    impl OpenOk {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 41;
        /// Both, for people.
        pub const NAME: &'static str = "connection.open-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short_bytes(input)?;
            Ok((input, Self))
        }
    }

    impl Encode for OpenOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            out.push(0);
        }
    }

    /// `connection.close`: Ends the connection, with a reason.
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Close {
        /// Why; see `ReplyCode`.
        pub reply_code: u16,
        /// Why, for people: the constant's name, a dash, the explanation.
        pub reply_text: ShortString,
        /// Class of the method that failed; 0 if none did.
        pub class_id: u16,
        /// Method that failed; 0 if none did.
        pub method_id: u16,
    }

    impl Close {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 50;
        /// Both, for people.
        pub const NAME: &'static str = "connection.close";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, reply_code) = wire::short(input)?;
            let (input, reply_text) = wire::short_string(input)?;
            let (input, class_id) = wire::short(input)?;
            let (input, method_id) = wire::short(input)?;
            Ok((input, Self { reply_code, reply_text, class_id, method_id }))
        }
    }

    impl Encode for Close {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, self.reply_code);
            wire::put_short_string(out, &self.reply_text);
            wire::put_short(out, self.class_id);
            wire::put_short(out, self.method_id);
        }
    }

    /// `connection.close-ok`: The close was seen; the socket may be closed.
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct CloseOk;

    impl CloseOk {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 51;
        /// Both, for people.
        pub const NAME: &'static str = "connection.close-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for CloseOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `connection.blocked`: The server has stopped reading from this publisher.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Blocked {
        /// Which resource is short, for people.
        pub reason: ShortString,
    }

    impl Blocked {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 60;
        /// Both, for people.
        pub const NAME: &'static str = "connection.blocked";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, reason) = wire::short_string(input)?;
            Ok((input, Self { reason }))
        }
    }

    impl Encode for Blocked {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short_string(out, &self.reason);
        }
    }

    /// `connection.unblocked`: The server reads from this publisher again.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Unblocked;

    impl Unblocked {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 61;
        /// Both, for people.
        pub const NAME: &'static str = "connection.unblocked";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for Unblocked {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `connection.update-secret`: Replaces credentials that expire, such as a token, without closing the connection.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct UpdateSecret {
        /// The new credential.
        pub new_secret: Vec<u8>,
        /// Why, for the log.
        pub reason: ShortString,
    }

    impl UpdateSecret {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 70;
        /// Both, for people.
        pub const NAME: &'static str = "connection.update-secret";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, new_secret) = wire::long_string(input)?;
            let (input, reason) = wire::short_string(input)?;
            Ok((input, Self { new_secret, reason }))
        }
    }

    impl Encode for UpdateSecret {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long_string(out, &self.new_secret);
            wire::put_short_string(out, &self.reason);
        }
    }

    /// `connection.update-secret-ok`: The new credential holds.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct UpdateSecretOk;

    impl UpdateSecretOk {
        /// The class.
        pub const CLASS_ID: u16 = 10;
        /// The method within its class.
        pub const METHOD_ID: u16 = 71;
        /// Both, for people.
        pub const NAME: &'static str = "connection.update-secret-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for UpdateSecretOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }
}

/// Opening and closing a channel, and its flow. (AMQP 0-9-1, section 1.5)
pub mod channel {
    use super::{Encode, MethodError, wire};
    use crate::protocol::{ShortString};

    /// The number of this class.
    pub const CLASS_ID: u16 = 20;

    /// `channel.open`: Opens the channel on which it is sent.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Open;

    impl Open {
        /// The class.
        pub const CLASS_ID: u16 = 20;
        /// The method within its class.
        pub const METHOD_ID: u16 = 10;
        /// Both, for people.
        pub const NAME: &'static str = "channel.open";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short_bytes(input)?;
            Ok((input, Self))
        }
    }

    impl Encode for Open {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            out.push(0);
        }
    }

    /// `channel.open-ok`: The channel is open.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct OpenOk;

    impl OpenOk {
        /// The class.
        pub const CLASS_ID: u16 = 20;
        /// The method within its class.
        pub const METHOD_ID: u16 = 11;
        /// Both, for people.
        pub const NAME: &'static str = "channel.open-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::long_bytes(input)?;
            Ok((input, Self))
        }
    }

    impl Encode for OpenOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long(out, 0);
        }
    }

    /// `channel.flow`: Asks the peer to stop or resume sending content. RabbitMQ refuses a stop with 540.
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Flow {
        /// Whether content may flow.
        pub active: bool,
    }

    impl Flow {
        /// The class.
        pub const CLASS_ID: u16 = 20;
        /// The method within its class.
        pub const METHOD_ID: u16 = 20;
        /// Both, for people.
        pub const NAME: &'static str = "channel.flow";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, bits_0) = wire::octet(input)?;
            Ok((input, Self { active: bits_0 & 1 != 0 }))
        }
    }

    impl Encode for Flow {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            out.push(u8::from(self.active));
        }
    }

    /// `channel.flow-ok`: Repeats what was asked for.
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct FlowOk {
        /// Whether content may flow.
        pub active: bool,
    }

    impl FlowOk {
        /// The class.
        pub const CLASS_ID: u16 = 20;
        /// The method within its class.
        pub const METHOD_ID: u16 = 21;
        /// Both, for people.
        pub const NAME: &'static str = "channel.flow-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, bits_0) = wire::octet(input)?;
            Ok((input, Self { active: bits_0 & 1 != 0 }))
        }
    }

    impl Encode for FlowOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            out.push(u8::from(self.active));
        }
    }

    /// `channel.close`: Ends the channel, with a reason.
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Close {
        /// Why; see `ReplyCode`.
        pub reply_code: u16,
        /// Why, for people: the constant's name, a dash, the explanation.
        pub reply_text: ShortString,
        /// Class of the method that failed; 0 if none did.
        pub class_id: u16,
        /// Method that failed; 0 if none did.
        pub method_id: u16,
    }

    impl Close {
        /// The class.
        pub const CLASS_ID: u16 = 20;
        /// The method within its class.
        pub const METHOD_ID: u16 = 40;
        /// Both, for people.
        pub const NAME: &'static str = "channel.close";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, reply_code) = wire::short(input)?;
            let (input, reply_text) = wire::short_string(input)?;
            let (input, class_id) = wire::short(input)?;
            let (input, method_id) = wire::short(input)?;
            Ok((input, Self { reply_code, reply_text, class_id, method_id }))
        }
    }

    impl Encode for Close {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, self.reply_code);
            wire::put_short_string(out, &self.reply_text);
            wire::put_short(out, self.class_id);
            wire::put_short(out, self.method_id);
        }
    }

    /// `channel.close-ok`: The close was seen; the channel's number is free again.
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct CloseOk;

    impl CloseOk {
        /// The class.
        pub const CLASS_ID: u16 = 20;
        /// The method within its class.
        pub const METHOD_ID: u16 = 41;
        /// Both, for people.
        pub const NAME: &'static str = "channel.close-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for CloseOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }
}

/// Access tickets of AMQP 0-8, which old clients still ask for. Always granted, never looked at. (AMQP 0-9-1, section of AMQP 0-8)
pub mod access {
    use super::{Encode, MethodError, wire};
    use crate::protocol::{ShortString};

    /// The number of this class.
    pub const CLASS_ID: u16 = 30;

    /// `access.request`: Asks for a ticket.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Request {
        /// What to have access to.
        pub realm: ShortString,
        /// Nobody else at the same time.
        pub exclusive: bool,
        /// To look at things.
        pub passive: bool,
        /// To create and delete things.
        pub active: bool,
        /// To publish.
        pub write: bool,
        /// To consume.
        pub read: bool,
    }

    impl Request {
        /// The class.
        pub const CLASS_ID: u16 = 30;
        /// The method within its class.
        pub const METHOD_ID: u16 = 10;
        /// Both, for people.
        pub const NAME: &'static str = "access.request";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, realm) = wire::short_string(input)?;
            let (input, bits_1) = wire::octet(input)?;
            let method = Self {
                realm,
                exclusive: bits_1 & 1 != 0,
                passive: bits_1 & 2 != 0,
                active: bits_1 & 4 != 0,
                write: bits_1 & 8 != 0,
                read: bits_1 & 16 != 0,
            };
            Ok((input, method))
        }
    }

    impl Encode for Request {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short_string(out, &self.realm);
            out.push(u8::from(self.exclusive) | u8::from(self.passive) << 1 | u8::from(self.active) << 2 | u8::from(self.write) << 3 | u8::from(self.read) << 4);
        }
    }

    /// `access.request-ok`: The ticket.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct RequestOk {
        /// Access ticket of AMQP 0-8; without meaning.
        pub ticket: u16,
    }

    impl RequestOk {
        /// The class.
        pub const CLASS_ID: u16 = 30;
        /// The method within its class.
        pub const METHOD_ID: u16 = 11;
        /// Both, for people.
        pub const NAME: &'static str = "access.request-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, ticket) = wire::short(input)?;
            Ok((input, Self { ticket }))
        }
    }

    impl Encode for RequestOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, self.ticket);
        }
    }
}

/// Declaring, deleting and, in RabbitMQ, binding exchanges. (AMQP 0-9-1, section 1.6)
pub mod exchange {
    use super::{Encode, MethodError, wire};
    use crate::protocol::{FieldTable, ShortString};

    /// The number of this class.
    pub const CLASS_ID: u16 = 40;

    /// `exchange.declare`: Creates an exchange, or checks that it is as described.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Declare {
        /// Name of an exchange; empty is the default exchange.
        pub exchange: ShortString,
        /// How it routes: `direct`, `fanout`, `topic`, `headers` or a further kind.
        pub type_: ShortString,
        /// Only ask whether it exists.
        pub passive: bool,
        /// It survives a restart.
        pub durable: bool,
        /// It goes when its last binding goes. Reserved in 0-9-1, used by RabbitMQ.
        pub auto_delete: bool,
        /// Nobody publishes to it but other exchanges. Reserved in 0-9-1, used by RabbitMQ.
        pub internal: bool,
        /// The server sends no reply.
        pub no_wait: bool,
        /// Further arguments; RabbitMQ's begin with `x-`.
        pub arguments: FieldTable,
    }

    impl Declare {
        /// The class.
        pub const CLASS_ID: u16 = 40;
        /// The method within its class.
        pub const METHOD_ID: u16 = 10;
        /// Both, for people.
        pub const NAME: &'static str = "exchange.declare";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, exchange) = wire::short_string(input)?;
            let (input, type_) = wire::short_string(input)?;
            let (input, bits_3) = wire::octet(input)?;
            let (input, arguments) = wire::table(input)?;
            let method = Self {
                exchange,
                type_,
                passive: bits_3 & 1 != 0,
                durable: bits_3 & 2 != 0,
                auto_delete: bits_3 & 4 != 0,
                internal: bits_3 & 8 != 0,
                no_wait: bits_3 & 16 != 0,
                arguments,
            };
            Ok((input, method))
        }
    }

    impl Encode for Declare {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.exchange);
            wire::put_short_string(out, &self.type_);
            out.push(u8::from(self.passive) | u8::from(self.durable) << 1 | u8::from(self.auto_delete) << 2 | u8::from(self.internal) << 3 | u8::from(self.no_wait) << 4);
            self.arguments.encode(out);
        }
    }

    /// `exchange.declare-ok`: The exchange exists.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct DeclareOk;

    impl DeclareOk {
        /// The class.
        pub const CLASS_ID: u16 = 40;
        /// The method within its class.
        pub const METHOD_ID: u16 = 11;
        /// Both, for people.
        pub const NAME: &'static str = "exchange.declare-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for DeclareOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `exchange.delete`: Deletes an exchange and its bindings.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Delete {
        /// Name of an exchange; empty is the default exchange.
        pub exchange: ShortString,
        /// Only if nothing is bound to it.
        pub if_unused: bool,
        /// The server sends no reply.
        pub no_wait: bool,
    }

    impl Delete {
        /// The class.
        pub const CLASS_ID: u16 = 40;
        /// The method within its class.
        pub const METHOD_ID: u16 = 20;
        /// Both, for people.
        pub const NAME: &'static str = "exchange.delete";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, exchange) = wire::short_string(input)?;
            let (input, bits_2) = wire::octet(input)?;
            Ok((input, Self { exchange, if_unused: bits_2 & 1 != 0, no_wait: bits_2 & 2 != 0 }))
        }
    }

    impl Encode for Delete {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.exchange);
            out.push(u8::from(self.if_unused) | u8::from(self.no_wait) << 1);
        }
    }

    /// `exchange.delete-ok`: The exchange is gone.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct DeleteOk;

    impl DeleteOk {
        /// The class.
        pub const CLASS_ID: u16 = 40;
        /// The method within its class.
        pub const METHOD_ID: u16 = 21;
        /// Both, for people.
        pub const NAME: &'static str = "exchange.delete-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for DeleteOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `exchange.bind`: Lets messages flow from one exchange to another.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Bind {
        /// The exchange that receives.
        pub destination: ShortString,
        /// The exchange that routes.
        pub source: ShortString,
        /// The routing key.
        pub routing_key: ShortString,
        /// The server sends no reply.
        pub no_wait: bool,
        /// Further arguments; RabbitMQ's begin with `x-`.
        pub arguments: FieldTable,
    }

    impl Bind {
        /// The class.
        pub const CLASS_ID: u16 = 40;
        /// The method within its class.
        pub const METHOD_ID: u16 = 30;
        /// Both, for people.
        pub const NAME: &'static str = "exchange.bind";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, destination) = wire::short_string(input)?;
            let (input, source) = wire::short_string(input)?;
            let (input, routing_key) = wire::short_string(input)?;
            let (input, bits_4) = wire::octet(input)?;
            let (input, arguments) = wire::table(input)?;
            Ok((input, Self { destination, source, routing_key, no_wait: bits_4 & 1 != 0, arguments }))
        }
    }

    impl Encode for Bind {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.destination);
            wire::put_short_string(out, &self.source);
            wire::put_short_string(out, &self.routing_key);
            out.push(u8::from(self.no_wait));
            self.arguments.encode(out);
        }
    }

    /// `exchange.bind-ok`: The binding exists.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct BindOk;

    impl BindOk {
        /// The class.
        pub const CLASS_ID: u16 = 40;
        /// The method within its class.
        pub const METHOD_ID: u16 = 31;
        /// Both, for people.
        pub const NAME: &'static str = "exchange.bind-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for BindOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `exchange.unbind`: Removes a binding between exchanges.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Unbind {
        /// The exchange that receives.
        pub destination: ShortString,
        /// The exchange that routes.
        pub source: ShortString,
        /// The routing key.
        pub routing_key: ShortString,
        /// The server sends no reply.
        pub no_wait: bool,
        /// Further arguments; RabbitMQ's begin with `x-`.
        pub arguments: FieldTable,
    }

    impl Unbind {
        /// The class.
        pub const CLASS_ID: u16 = 40;
        /// The method within its class.
        pub const METHOD_ID: u16 = 40;
        /// Both, for people.
        pub const NAME: &'static str = "exchange.unbind";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, destination) = wire::short_string(input)?;
            let (input, source) = wire::short_string(input)?;
            let (input, routing_key) = wire::short_string(input)?;
            let (input, bits_4) = wire::octet(input)?;
            let (input, arguments) = wire::table(input)?;
            Ok((input, Self { destination, source, routing_key, no_wait: bits_4 & 1 != 0, arguments }))
        }
    }

    impl Encode for Unbind {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.destination);
            wire::put_short_string(out, &self.source);
            wire::put_short_string(out, &self.routing_key);
            out.push(u8::from(self.no_wait));
            self.arguments.encode(out);
        }
    }

    /// `exchange.unbind-ok`: The binding is gone.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct UnbindOk;

    impl UnbindOk {
        /// The class.
        pub const CLASS_ID: u16 = 40;
        /// The method within its class.
        pub const METHOD_ID: u16 = 51;
        /// Both, for people.
        pub const NAME: &'static str = "exchange.unbind-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for UnbindOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }
}

/// Declaring, binding, purging and deleting queues. (AMQP 0-9-1, section 1.7)
pub mod queue {
    use super::{Encode, MethodError, wire};
    use crate::protocol::{FieldTable, ShortString};

    /// The number of this class.
    pub const CLASS_ID: u16 = 50;

    /// `queue.declare`: Creates a queue, or checks that it is as described.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Declare {
        /// Name of the queue; empty lets the server choose one.
        pub queue: ShortString,
        /// Only ask whether it exists.
        pub passive: bool,
        /// It survives a restart.
        pub durable: bool,
        /// It belongs to this connection, and goes with it.
        pub exclusive: bool,
        /// It goes when its last consumer goes.
        pub auto_delete: bool,
        /// The server sends no reply.
        pub no_wait: bool,
        /// Further arguments; RabbitMQ's begin with `x-`.
        pub arguments: FieldTable,
    }

    impl Declare {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 10;
        /// Both, for people.
        pub const NAME: &'static str = "queue.declare";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, queue) = wire::short_string(input)?;
            let (input, bits_2) = wire::octet(input)?;
            let (input, arguments) = wire::table(input)?;
            let method = Self {
                queue,
                passive: bits_2 & 1 != 0,
                durable: bits_2 & 2 != 0,
                exclusive: bits_2 & 4 != 0,
                auto_delete: bits_2 & 8 != 0,
                no_wait: bits_2 & 16 != 0,
                arguments,
            };
            Ok((input, method))
        }
    }

    impl Encode for Declare {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.queue);
            out.push(u8::from(self.passive) | u8::from(self.durable) << 1 | u8::from(self.exclusive) << 2 | u8::from(self.auto_delete) << 3 | u8::from(self.no_wait) << 4);
            self.arguments.encode(out);
        }
    }

    /// `queue.declare-ok`: The queue exists.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct DeclareOk {
        /// Its name, the chosen one if the client gave none.
        pub queue: ShortString,
        /// Messages ready in the queue.
        pub message_count: u32,
        /// Consumers of the queue.
        pub consumer_count: u32,
    }

    impl DeclareOk {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 11;
        /// Both, for people.
        pub const NAME: &'static str = "queue.declare-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, queue) = wire::short_string(input)?;
            let (input, message_count) = wire::long(input)?;
            let (input, consumer_count) = wire::long(input)?;
            Ok((input, Self { queue, message_count, consumer_count }))
        }
    }

    impl Encode for DeclareOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short_string(out, &self.queue);
            wire::put_long(out, self.message_count);
            wire::put_long(out, self.consumer_count);
        }
    }

    /// `queue.bind`: Lets messages flow from an exchange to a queue.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Bind {
        /// Name of a queue; empty is the queue last declared on the channel.
        pub queue: ShortString,
        /// Name of an exchange; empty is the default exchange.
        pub exchange: ShortString,
        /// The routing key.
        pub routing_key: ShortString,
        /// The server sends no reply.
        pub no_wait: bool,
        /// Further arguments; RabbitMQ's begin with `x-`.
        pub arguments: FieldTable,
    }

    impl Bind {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 20;
        /// Both, for people.
        pub const NAME: &'static str = "queue.bind";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, queue) = wire::short_string(input)?;
            let (input, exchange) = wire::short_string(input)?;
            let (input, routing_key) = wire::short_string(input)?;
            let (input, bits_4) = wire::octet(input)?;
            let (input, arguments) = wire::table(input)?;
            Ok((input, Self { queue, exchange, routing_key, no_wait: bits_4 & 1 != 0, arguments }))
        }
    }

    impl Encode for Bind {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.queue);
            wire::put_short_string(out, &self.exchange);
            wire::put_short_string(out, &self.routing_key);
            out.push(u8::from(self.no_wait));
            self.arguments.encode(out);
        }
    }

    /// `queue.bind-ok`: The binding exists.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct BindOk;

    impl BindOk {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 21;
        /// Both, for people.
        pub const NAME: &'static str = "queue.bind-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for BindOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `queue.purge`: Drops all messages that are ready.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Purge {
        /// Name of a queue; empty is the queue last declared on the channel.
        pub queue: ShortString,
        /// The server sends no reply.
        pub no_wait: bool,
    }

    impl Purge {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 30;
        /// Both, for people.
        pub const NAME: &'static str = "queue.purge";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, queue) = wire::short_string(input)?;
            let (input, bits_2) = wire::octet(input)?;
            Ok((input, Self { queue, no_wait: bits_2 & 1 != 0 }))
        }
    }

    impl Encode for Purge {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.queue);
            out.push(u8::from(self.no_wait));
        }
    }

    /// `queue.purge-ok`: They are gone.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct PurgeOk {
        /// How many were dropped.
        pub message_count: u32,
    }

    impl PurgeOk {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 31;
        /// Both, for people.
        pub const NAME: &'static str = "queue.purge-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, message_count) = wire::long(input)?;
            Ok((input, Self { message_count }))
        }
    }

    impl Encode for PurgeOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long(out, self.message_count);
        }
    }

    /// `queue.delete`: Deletes a queue, its messages and its bindings.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Delete {
        /// Name of a queue; empty is the queue last declared on the channel.
        pub queue: ShortString,
        /// Only if it has no consumers.
        pub if_unused: bool,
        /// Only if it has no messages.
        pub if_empty: bool,
        /// The server sends no reply.
        pub no_wait: bool,
    }

    impl Delete {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 40;
        /// Both, for people.
        pub const NAME: &'static str = "queue.delete";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, queue) = wire::short_string(input)?;
            let (input, bits_2) = wire::octet(input)?;
            let method = Self {
                queue,
                if_unused: bits_2 & 1 != 0,
                if_empty: bits_2 & 2 != 0,
                no_wait: bits_2 & 4 != 0,
            };
            Ok((input, method))
        }
    }

    impl Encode for Delete {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.queue);
            out.push(u8::from(self.if_unused) | u8::from(self.if_empty) << 1 | u8::from(self.no_wait) << 2);
        }
    }

    /// `queue.delete-ok`: The queue is gone.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct DeleteOk {
        /// How many messages went with it.
        pub message_count: u32,
    }

    impl DeleteOk {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 41;
        /// Both, for people.
        pub const NAME: &'static str = "queue.delete-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, message_count) = wire::long(input)?;
            Ok((input, Self { message_count }))
        }
    }

    impl Encode for DeleteOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long(out, self.message_count);
        }
    }

    /// `queue.unbind`: Removes a binding between an exchange and a queue.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Unbind {
        /// Name of a queue; empty is the queue last declared on the channel.
        pub queue: ShortString,
        /// Name of an exchange; empty is the default exchange.
        pub exchange: ShortString,
        /// The routing key.
        pub routing_key: ShortString,
        /// Further arguments; RabbitMQ's begin with `x-`.
        pub arguments: FieldTable,
    }

    impl Unbind {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 50;
        /// Both, for people.
        pub const NAME: &'static str = "queue.unbind";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, queue) = wire::short_string(input)?;
            let (input, exchange) = wire::short_string(input)?;
            let (input, routing_key) = wire::short_string(input)?;
            let (input, arguments) = wire::table(input)?;
            Ok((input, Self { queue, exchange, routing_key, arguments }))
        }
    }

    impl Encode for Unbind {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.queue);
            wire::put_short_string(out, &self.exchange);
            wire::put_short_string(out, &self.routing_key);
            self.arguments.encode(out);
        }
    }

    /// `queue.unbind-ok`: The binding is gone.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct UnbindOk;

    impl UnbindOk {
        /// The class.
        pub const CLASS_ID: u16 = 50;
        /// The method within its class.
        pub const METHOD_ID: u16 = 51;
        /// Both, for people.
        pub const NAME: &'static str = "queue.unbind-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for UnbindOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }
}

/// Publishing, consuming, fetching and acknowledging messages. (AMQP 0-9-1, section 1.8)
pub mod basic {
    use super::{Encode, MethodError, wire};
    use crate::protocol::{FieldTable, ShortString};

    /// The number of this class.
    pub const CLASS_ID: u16 = 60;

    /// `basic.qos`: How many deliveries may be unacknowledged.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Qos {
        /// In bytes; RabbitMQ takes 0 only.
        pub prefetch_size: u32,
        /// In messages; 0 is no limit.
        pub prefetch_count: u16,
        /// For the channel rather than for each new consumer.
        pub global: bool,
    }

    impl Qos {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 10;
        /// Both, for people.
        pub const NAME: &'static str = "basic.qos";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, prefetch_size) = wire::long(input)?;
            let (input, prefetch_count) = wire::short(input)?;
            let (input, bits_2) = wire::octet(input)?;
            Ok((input, Self { prefetch_size, prefetch_count, global: bits_2 & 1 != 0 }))
        }
    }

    impl Encode for Qos {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long(out, self.prefetch_size);
            wire::put_short(out, self.prefetch_count);
            out.push(u8::from(self.global));
        }
    }

    /// `basic.qos-ok`: The limit holds.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct QosOk;

    impl QosOk {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 11;
        /// Both, for people.
        pub const NAME: &'static str = "basic.qos-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for QosOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `basic.consume`: Starts a consumer.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Consume {
        /// Name of a queue; empty is the queue last declared on the channel.
        pub queue: ShortString,
        /// The consumer's name; empty lets the server choose one.
        pub consumer_tag: ShortString,
        /// Not what this connection published. RabbitMQ ignores it.
        pub no_local: bool,
        /// Deliveries count as acknowledged when they are sent.
        pub no_ack: bool,
        /// No other consumers of this queue.
        pub exclusive: bool,
        /// The server sends no reply.
        pub no_wait: bool,
        /// Further arguments; RabbitMQ's begin with `x-`.
        pub arguments: FieldTable,
    }

    impl Consume {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 20;
        /// Both, for people.
        pub const NAME: &'static str = "basic.consume";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, queue) = wire::short_string(input)?;
            let (input, consumer_tag) = wire::short_string(input)?;
            let (input, bits_3) = wire::octet(input)?;
            let (input, arguments) = wire::table(input)?;
            let method = Self {
                queue,
                consumer_tag,
                no_local: bits_3 & 1 != 0,
                no_ack: bits_3 & 2 != 0,
                exclusive: bits_3 & 4 != 0,
                no_wait: bits_3 & 8 != 0,
                arguments,
            };
            Ok((input, method))
        }
    }

    impl Encode for Consume {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.queue);
            wire::put_short_string(out, &self.consumer_tag);
            out.push(u8::from(self.no_local) | u8::from(self.no_ack) << 1 | u8::from(self.exclusive) << 2 | u8::from(self.no_wait) << 3);
            self.arguments.encode(out);
        }
    }

    /// `basic.consume-ok`: The consumer runs.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct ConsumeOk {
        /// Names a consumer within its channel.
        pub consumer_tag: ShortString,
    }

    impl ConsumeOk {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 21;
        /// Both, for people.
        pub const NAME: &'static str = "basic.consume-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, consumer_tag) = wire::short_string(input)?;
            Ok((input, Self { consumer_tag }))
        }
    }

    impl Encode for ConsumeOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short_string(out, &self.consumer_tag);
        }
    }

    /// `basic.cancel`: Ends a consumer. RabbitMQ sends it too, when the queue goes, to clients with `consumer_cancel_notify`.
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Cancel {
        /// Names a consumer within its channel.
        pub consumer_tag: ShortString,
        /// The server sends no reply.
        pub no_wait: bool,
    }

    impl Cancel {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 30;
        /// Both, for people.
        pub const NAME: &'static str = "basic.cancel";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, consumer_tag) = wire::short_string(input)?;
            let (input, bits_1) = wire::octet(input)?;
            Ok((input, Self { consumer_tag, no_wait: bits_1 & 1 != 0 }))
        }
    }

    impl Encode for Cancel {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short_string(out, &self.consumer_tag);
            out.push(u8::from(self.no_wait));
        }
    }

    /// `basic.cancel-ok`: The consumer has ended.
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct CancelOk {
        /// Names a consumer within its channel.
        pub consumer_tag: ShortString,
    }

    impl CancelOk {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 31;
        /// Both, for people.
        pub const NAME: &'static str = "basic.cancel-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, consumer_tag) = wire::short_string(input)?;
            Ok((input, Self { consumer_tag }))
        }
    }

    impl Encode for CancelOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short_string(out, &self.consumer_tag);
        }
    }

    /// `basic.publish`: Sends a message to an exchange.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Publish {
        /// Name of an exchange; empty is the default exchange.
        pub exchange: ShortString,
        /// The routing key.
        pub routing_key: ShortString,
        /// Return it if it reaches no queue.
        pub mandatory: bool,
        /// Return it if no consumer waits. RabbitMQ refuses it with 540.
        pub immediate: bool,
    }

    impl Publish {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 40;
        /// Both, for people.
        pub const NAME: &'static str = "basic.publish";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, exchange) = wire::short_string(input)?;
            let (input, routing_key) = wire::short_string(input)?;
            let (input, bits_3) = wire::octet(input)?;
            Ok((input, Self { exchange, routing_key, mandatory: bits_3 & 1 != 0, immediate: bits_3 & 2 != 0 }))
        }
    }

    impl Encode for Publish {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.exchange);
            wire::put_short_string(out, &self.routing_key);
            out.push(u8::from(self.mandatory) | u8::from(self.immediate) << 1);
        }
    }

    /// `basic.publish`, its strings still in the frame. Decoding does not allocate.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct PublishView<'a> {
        /// Name of an exchange; empty is the default exchange.
        pub exchange: &'a [u8],
        /// The routing key.
        pub routing_key: &'a [u8],
        /// Return it if it reaches no queue.
        pub mandatory: bool,
        /// Return it if no consumer waits. RabbitMQ refuses it with 540.
        pub immediate: bool,
    }

    impl<'a> PublishView<'a> {
        /// Reads the arguments; accepts what [`Publish::decode`] accepts.
        #[inline]
        pub fn decode(args: &'a [u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: 60, method_id: 40 })
        }

        #[inline]
        fn parse(input: &'a [u8]) -> wire::Parsed<'a, Self> {
            let (input, _) = wire::short(input)?;
            let (input, exchange) = wire::short_bytes(input)?;
            let (input, routing_key) = wire::short_bytes(input)?;
            let (input, bits_3) = wire::octet(input)?;
            Ok((input, Self { exchange, routing_key, mandatory: bits_3 & 1 != 0, immediate: bits_3 & 2 != 0 }))
        }
    }

    /// `basic.return`: Gives back a message that could not be routed.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Return {
        /// Why; see `ReplyCode`.
        pub reply_code: u16,
        /// Why, for people: the constant's name, a dash, the explanation.
        pub reply_text: ShortString,
        /// Name of an exchange; empty is the default exchange.
        pub exchange: ShortString,
        /// The routing key.
        pub routing_key: ShortString,
    }

    impl Return {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 50;
        /// Both, for people.
        pub const NAME: &'static str = "basic.return";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, reply_code) = wire::short(input)?;
            let (input, reply_text) = wire::short_string(input)?;
            let (input, exchange) = wire::short_string(input)?;
            let (input, routing_key) = wire::short_string(input)?;
            Ok((input, Self { reply_code, reply_text, exchange, routing_key }))
        }
    }

    impl Encode for Return {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, self.reply_code);
            wire::put_short_string(out, &self.reply_text);
            wire::put_short_string(out, &self.exchange);
            wire::put_short_string(out, &self.routing_key);
        }
    }

    /// `basic.deliver`: Brings a message to a consumer.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Deliver {
        /// Names a consumer within its channel.
        pub consumer_tag: ShortString,
        /// Numbers a delivery, or in a confirm a publish, within its channel; counts from 1.
        pub delivery_tag: u64,
        /// The message may have been delivered before.
        pub redelivered: bool,
        /// Name of an exchange; empty is the default exchange.
        pub exchange: ShortString,
        /// The routing key.
        pub routing_key: ShortString,
    }

    impl Deliver {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 60;
        /// Both, for people.
        pub const NAME: &'static str = "basic.deliver";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, consumer_tag) = wire::short_string(input)?;
            let (input, delivery_tag) = wire::long_long(input)?;
            let (input, bits_2) = wire::octet(input)?;
            let (input, exchange) = wire::short_string(input)?;
            let (input, routing_key) = wire::short_string(input)?;
            Ok((input, Self { consumer_tag, delivery_tag, redelivered: bits_2 & 1 != 0, exchange, routing_key }))
        }
    }

    impl Encode for Deliver {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short_string(out, &self.consumer_tag);
            wire::put_long_long(out, self.delivery_tag);
            out.push(u8::from(self.redelivered));
            wire::put_short_string(out, &self.exchange);
            wire::put_short_string(out, &self.routing_key);
        }
    }

    /// `basic.get`: Fetches one message.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Get {
        /// Name of a queue; empty is the queue last declared on the channel.
        pub queue: ShortString,
        /// Deliveries count as acknowledged when they are sent.
        pub no_ack: bool,
    }

    impl Get {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 70;
        /// Both, for people.
        pub const NAME: &'static str = "basic.get";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short(input)?;
            let (input, queue) = wire::short_string(input)?;
            let (input, bits_2) = wire::octet(input)?;
            Ok((input, Self { queue, no_ack: bits_2 & 1 != 0 }))
        }
    }

    impl Encode for Get {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_short(out, 0);
            wire::put_short_string(out, &self.queue);
            out.push(u8::from(self.no_ack));
        }
    }

    /// `basic.get-ok`: The message fetched.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct GetOk {
        /// Numbers a delivery, or in a confirm a publish, within its channel; counts from 1.
        pub delivery_tag: u64,
        /// The message may have been delivered before.
        pub redelivered: bool,
        /// Name of an exchange; empty is the default exchange.
        pub exchange: ShortString,
        /// The routing key.
        pub routing_key: ShortString,
        /// Messages still ready in the queue.
        pub message_count: u32,
    }

    impl GetOk {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 71;
        /// Both, for people.
        pub const NAME: &'static str = "basic.get-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, delivery_tag) = wire::long_long(input)?;
            let (input, bits_1) = wire::octet(input)?;
            let (input, exchange) = wire::short_string(input)?;
            let (input, routing_key) = wire::short_string(input)?;
            let (input, message_count) = wire::long(input)?;
            Ok((input, Self { delivery_tag, redelivered: bits_1 & 1 != 0, exchange, routing_key, message_count }))
        }
    }

    impl Encode for GetOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long_long(out, self.delivery_tag);
            out.push(u8::from(self.redelivered));
            wire::put_short_string(out, &self.exchange);
            wire::put_short_string(out, &self.routing_key);
            wire::put_long(out, self.message_count);
        }
    }

    /// `basic.get-empty`: The queue has no message ready.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct GetEmpty;

    impl GetEmpty {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 72;
        /// Both, for people.
        pub const NAME: &'static str = "basic.get-empty";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, _) = wire::short_bytes(input)?;
            Ok((input, Self))
        }
    }

    impl Encode for GetEmpty {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            out.push(0);
        }
    }

    /// `basic.ack`: A delivery is done with. From the server: a publish is safe (a confirm).
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Ack {
        /// Numbers a delivery, or in a confirm a publish, within its channel; counts from 1.
        pub delivery_tag: u64,
        /// All deliveries up to the tag; with tag 0 all that are open.
        pub multiple: bool,
    }

    impl Ack {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 80;
        /// Both, for people.
        pub const NAME: &'static str = "basic.ack";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, delivery_tag) = wire::long_long(input)?;
            let (input, bits_1) = wire::octet(input)?;
            Ok((input, Self { delivery_tag, multiple: bits_1 & 1 != 0 }))
        }
    }

    impl Encode for Ack {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long_long(out, self.delivery_tag);
            out.push(u8::from(self.multiple));
        }
    }

    /// `basic.reject`: A delivery is not wanted.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Reject {
        /// Numbers a delivery, or in a confirm a publish, within its channel; counts from 1.
        pub delivery_tag: u64,
        /// Put back into the queue; else dropped or dead-lettered.
        pub requeue: bool,
    }

    impl Reject {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 90;
        /// Both, for people.
        pub const NAME: &'static str = "basic.reject";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, delivery_tag) = wire::long_long(input)?;
            let (input, bits_1) = wire::octet(input)?;
            Ok((input, Self { delivery_tag, requeue: bits_1 & 1 != 0 }))
        }
    }

    impl Encode for Reject {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long_long(out, self.delivery_tag);
            out.push(u8::from(self.requeue));
        }
    }

    /// `basic.recover-async`: As `basic.recover`, without an answer; deprecated.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct RecoverAsync {
        /// Put back into the queue; else dropped or dead-lettered.
        pub requeue: bool,
    }

    impl RecoverAsync {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 100;
        /// Both, for people.
        pub const NAME: &'static str = "basic.recover-async";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, bits_0) = wire::octet(input)?;
            Ok((input, Self { requeue: bits_0 & 1 != 0 }))
        }
    }

    impl Encode for RecoverAsync {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            out.push(u8::from(self.requeue));
        }
    }

    /// `basic.recover`: Returns all unacknowledged deliveries of the channel.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Recover {
        /// Put back into the queue; else dropped or dead-lettered.
        pub requeue: bool,
    }

    impl Recover {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 110;
        /// Both, for people.
        pub const NAME: &'static str = "basic.recover";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, bits_0) = wire::octet(input)?;
            Ok((input, Self { requeue: bits_0 & 1 != 0 }))
        }
    }

    impl Encode for Recover {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            out.push(u8::from(self.requeue));
        }
    }

    /// `basic.recover-ok`: They are returned.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct RecoverOk;

    impl RecoverOk {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 111;
        /// Both, for people.
        pub const NAME: &'static str = "basic.recover-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for RecoverOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `basic.nack`: Deliveries are not wanted. From the server: a publish was not taken (a negative confirm).
    ///
    /// Sent by both sides.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Nack {
        /// Numbers a delivery, or in a confirm a publish, within its channel; counts from 1.
        pub delivery_tag: u64,
        /// All deliveries up to the tag; with tag 0 all that are open.
        pub multiple: bool,
        /// Put back into the queue; else dropped or dead-lettered.
        pub requeue: bool,
    }

    impl Nack {
        /// The class.
        pub const CLASS_ID: u16 = 60;
        /// The method within its class.
        pub const METHOD_ID: u16 = 120;
        /// Both, for people.
        pub const NAME: &'static str = "basic.nack";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, delivery_tag) = wire::long_long(input)?;
            let (input, bits_1) = wire::octet(input)?;
            Ok((input, Self { delivery_tag, multiple: bits_1 & 1 != 0, requeue: bits_1 & 2 != 0 }))
        }
    }

    impl Encode for Nack {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            wire::put_long_long(out, self.delivery_tag);
            out.push(u8::from(self.multiple) | u8::from(self.requeue) << 1);
        }
    }
}

/// Transactions of publishes and acknowledgements on a channel. (AMQP 0-9-1, section 1.9)
pub mod tx {
    use super::{Encode, MethodError, wire};

    /// The number of this class.
    pub const CLASS_ID: u16 = 90;

    /// `tx.select`: Makes the channel transactional.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Select;

    impl Select {
        /// The class.
        pub const CLASS_ID: u16 = 90;
        /// The method within its class.
        pub const METHOD_ID: u16 = 10;
        /// Both, for people.
        pub const NAME: &'static str = "tx.select";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for Select {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `tx.select-ok`: The channel is transactional.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct SelectOk;

    impl SelectOk {
        /// The class.
        pub const CLASS_ID: u16 = 90;
        /// The method within its class.
        pub const METHOD_ID: u16 = 11;
        /// Both, for people.
        pub const NAME: &'static str = "tx.select-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for SelectOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `tx.commit`: Does what was collected.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Commit;

    impl Commit {
        /// The class.
        pub const CLASS_ID: u16 = 90;
        /// The method within its class.
        pub const METHOD_ID: u16 = 20;
        /// Both, for people.
        pub const NAME: &'static str = "tx.commit";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for Commit {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `tx.commit-ok`: It is done.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct CommitOk;

    impl CommitOk {
        /// The class.
        pub const CLASS_ID: u16 = 90;
        /// The method within its class.
        pub const METHOD_ID: u16 = 21;
        /// Both, for people.
        pub const NAME: &'static str = "tx.commit-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for CommitOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `tx.rollback`: Forgets what was collected.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Rollback;

    impl Rollback {
        /// The class.
        pub const CLASS_ID: u16 = 90;
        /// The method within its class.
        pub const METHOD_ID: u16 = 30;
        /// Both, for people.
        pub const NAME: &'static str = "tx.rollback";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for Rollback {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }

    /// `tx.rollback-ok`: It is forgotten.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct RollbackOk;

    impl RollbackOk {
        /// The class.
        pub const CLASS_ID: u16 = 90;
        /// The method within its class.
        pub const METHOD_ID: u16 = 31;
        /// Both, for people.
        pub const NAME: &'static str = "tx.rollback-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for RollbackOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }
}

/// Publisher confirms. (AMQP 0-9-1, section of RabbitMQ's extensions)
pub mod confirm {
    use super::{Encode, MethodError, wire};

    /// The number of this class.
    pub const CLASS_ID: u16 = 85;

    /// `confirm.select`: From here on the server confirms publishes on this channel, counting from 1.
    ///
    /// Sent by clients.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Select {
        /// The server sends no reply.
        pub no_wait: bool,
    }

    impl Select {
        /// The class.
        pub const CLASS_ID: u16 = 85;
        /// The method within its class.
        pub const METHOD_ID: u16 = 10;
        /// Both, for people.
        pub const NAME: &'static str = "confirm.select";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            wire::complete(args, Self::parse)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }

        fn parse(input: &[u8]) -> wire::Parsed<'_, Self> {
            let (input, bits_0) = wire::octet(input)?;
            Ok((input, Self { no_wait: bits_0 & 1 != 0 }))
        }
    }

    impl Encode for Select {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
            out.push(u8::from(self.no_wait));
        }
    }

    /// `confirm.select-ok`: The channel confirms.
    ///
    /// Sent by servers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct SelectOk;

    impl SelectOk {
        /// The class.
        pub const CLASS_ID: u16 = 85;
        /// The method within its class.
        pub const METHOD_ID: u16 = 11;
        /// Both, for people.
        pub const NAME: &'static str = "confirm.select-ok";

        /// Reads the arguments, which follow class and method; all of `args` must belong to them.
        pub fn decode(args: &[u8]) -> Result<Self, MethodError> {
            args.is_empty().then_some(Self)
                .ok_or(MethodError::Malformed { class_id: Self::CLASS_ID, method_id: Self::METHOD_ID })
        }
    }

    impl Encode for SelectOk {
        fn encode(&self, out: &mut Vec<u8>) {
            wire::put_short(out, Self::CLASS_ID);
            wire::put_short(out, Self::METHOD_ID);
        }
    }
}

/// Arbitrary methods, for property tests.
#[cfg(test)]
pub(crate) mod strategy {
    use proptest::prelude::*;

    use super::Method;
    use crate::protocol::arbitrary;

    /// Every method, with arbitrary arguments.
    pub(crate) fn methods() -> Vec<BoxedStrategy<Method>> {
        vec![
            (any::<u8>(), any::<u8>(), arbitrary::table(), arbitrary::long_string(), arbitrary::long_string(),)
                .prop_map(|(version_major, version_minor, server_properties, mechanisms, locales,)| Method::from(super::connection::Start { version_major, version_minor, server_properties, mechanisms, locales }))
                .boxed(),
            (arbitrary::table(), arbitrary::short_string(), arbitrary::long_string(), arbitrary::short_string(),)
                .prop_map(|(client_properties, mechanism, response, locale,)| Method::from(super::connection::StartOk { client_properties, mechanism, response, locale }))
                .boxed(),
            (arbitrary::long_string(),)
                .prop_map(|(challenge,)| Method::from(super::connection::Secure { challenge }))
                .boxed(),
            (arbitrary::long_string(),)
                .prop_map(|(response,)| Method::from(super::connection::SecureOk { response }))
                .boxed(),
            (any::<u16>(), any::<u32>(), any::<u16>(),)
                .prop_map(|(channel_max, frame_max, heartbeat,)| Method::from(super::connection::Tune { channel_max, frame_max, heartbeat }))
                .boxed(),
            (any::<u16>(), any::<u32>(), any::<u16>(),)
                .prop_map(|(channel_max, frame_max, heartbeat,)| Method::from(super::connection::TuneOk { channel_max, frame_max, heartbeat }))
                .boxed(),
            (arbitrary::short_string(),)
                .prop_map(|(virtual_host,)| Method::from(super::connection::Open { virtual_host }))
                .boxed(),
            Just(Method::from(super::connection::OpenOk)).boxed(),
            (any::<u16>(), arbitrary::short_string(), any::<u16>(), any::<u16>(),)
                .prop_map(|(reply_code, reply_text, class_id, method_id,)| Method::from(super::connection::Close { reply_code, reply_text, class_id, method_id }))
                .boxed(),
            Just(Method::from(super::connection::CloseOk)).boxed(),
            (arbitrary::short_string(),)
                .prop_map(|(reason,)| Method::from(super::connection::Blocked { reason }))
                .boxed(),
            Just(Method::from(super::connection::Unblocked)).boxed(),
            (arbitrary::long_string(), arbitrary::short_string(),)
                .prop_map(|(new_secret, reason,)| Method::from(super::connection::UpdateSecret { new_secret, reason }))
                .boxed(),
            Just(Method::from(super::connection::UpdateSecretOk)).boxed(),
            Just(Method::from(super::channel::Open)).boxed(),
            Just(Method::from(super::channel::OpenOk)).boxed(),
            (any::<bool>(),)
                .prop_map(|(active,)| Method::from(super::channel::Flow { active }))
                .boxed(),
            (any::<bool>(),)
                .prop_map(|(active,)| Method::from(super::channel::FlowOk { active }))
                .boxed(),
            (any::<u16>(), arbitrary::short_string(), any::<u16>(), any::<u16>(),)
                .prop_map(|(reply_code, reply_text, class_id, method_id,)| Method::from(super::channel::Close { reply_code, reply_text, class_id, method_id }))
                .boxed(),
            Just(Method::from(super::channel::CloseOk)).boxed(),
            (arbitrary::short_string(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(),)
                .prop_map(|(realm, exclusive, passive, active, write, read,)| Method::from(super::access::Request { realm, exclusive, passive, active, write, read }))
                .boxed(),
            (any::<u16>(),)
                .prop_map(|(ticket,)| Method::from(super::access::RequestOk { ticket }))
                .boxed(),
            (arbitrary::short_string(), arbitrary::short_string(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), arbitrary::table(),)
                .prop_map(|(exchange, type_, passive, durable, auto_delete, internal, no_wait, arguments,)| Method::from(super::exchange::Declare { exchange, type_, passive, durable, auto_delete, internal, no_wait, arguments }))
                .boxed(),
            Just(Method::from(super::exchange::DeclareOk)).boxed(),
            (arbitrary::short_string(), any::<bool>(), any::<bool>(),)
                .prop_map(|(exchange, if_unused, no_wait,)| Method::from(super::exchange::Delete { exchange, if_unused, no_wait }))
                .boxed(),
            Just(Method::from(super::exchange::DeleteOk)).boxed(),
            (arbitrary::short_string(), arbitrary::short_string(), arbitrary::short_string(), any::<bool>(), arbitrary::table(),)
                .prop_map(|(destination, source, routing_key, no_wait, arguments,)| Method::from(super::exchange::Bind { destination, source, routing_key, no_wait, arguments }))
                .boxed(),
            Just(Method::from(super::exchange::BindOk)).boxed(),
            (arbitrary::short_string(), arbitrary::short_string(), arbitrary::short_string(), any::<bool>(), arbitrary::table(),)
                .prop_map(|(destination, source, routing_key, no_wait, arguments,)| Method::from(super::exchange::Unbind { destination, source, routing_key, no_wait, arguments }))
                .boxed(),
            Just(Method::from(super::exchange::UnbindOk)).boxed(),
            (arbitrary::short_string(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), arbitrary::table(),)
                .prop_map(|(queue, passive, durable, exclusive, auto_delete, no_wait, arguments,)| Method::from(super::queue::Declare { queue, passive, durable, exclusive, auto_delete, no_wait, arguments }))
                .boxed(),
            (arbitrary::short_string(), any::<u32>(), any::<u32>(),)
                .prop_map(|(queue, message_count, consumer_count,)| Method::from(super::queue::DeclareOk { queue, message_count, consumer_count }))
                .boxed(),
            (arbitrary::short_string(), arbitrary::short_string(), arbitrary::short_string(), any::<bool>(), arbitrary::table(),)
                .prop_map(|(queue, exchange, routing_key, no_wait, arguments,)| Method::from(super::queue::Bind { queue, exchange, routing_key, no_wait, arguments }))
                .boxed(),
            Just(Method::from(super::queue::BindOk)).boxed(),
            (arbitrary::short_string(), any::<bool>(),)
                .prop_map(|(queue, no_wait,)| Method::from(super::queue::Purge { queue, no_wait }))
                .boxed(),
            (any::<u32>(),)
                .prop_map(|(message_count,)| Method::from(super::queue::PurgeOk { message_count }))
                .boxed(),
            (arbitrary::short_string(), any::<bool>(), any::<bool>(), any::<bool>(),)
                .prop_map(|(queue, if_unused, if_empty, no_wait,)| Method::from(super::queue::Delete { queue, if_unused, if_empty, no_wait }))
                .boxed(),
            (any::<u32>(),)
                .prop_map(|(message_count,)| Method::from(super::queue::DeleteOk { message_count }))
                .boxed(),
            (arbitrary::short_string(), arbitrary::short_string(), arbitrary::short_string(), arbitrary::table(),)
                .prop_map(|(queue, exchange, routing_key, arguments,)| Method::from(super::queue::Unbind { queue, exchange, routing_key, arguments }))
                .boxed(),
            Just(Method::from(super::queue::UnbindOk)).boxed(),
            (any::<u32>(), any::<u16>(), any::<bool>(),)
                .prop_map(|(prefetch_size, prefetch_count, global,)| Method::from(super::basic::Qos { prefetch_size, prefetch_count, global }))
                .boxed(),
            Just(Method::from(super::basic::QosOk)).boxed(),
            (arbitrary::short_string(), arbitrary::short_string(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), arbitrary::table(),)
                .prop_map(|(queue, consumer_tag, no_local, no_ack, exclusive, no_wait, arguments,)| Method::from(super::basic::Consume { queue, consumer_tag, no_local, no_ack, exclusive, no_wait, arguments }))
                .boxed(),
            (arbitrary::short_string(),)
                .prop_map(|(consumer_tag,)| Method::from(super::basic::ConsumeOk { consumer_tag }))
                .boxed(),
            (arbitrary::short_string(), any::<bool>(),)
                .prop_map(|(consumer_tag, no_wait,)| Method::from(super::basic::Cancel { consumer_tag, no_wait }))
                .boxed(),
            (arbitrary::short_string(),)
                .prop_map(|(consumer_tag,)| Method::from(super::basic::CancelOk { consumer_tag }))
                .boxed(),
            (arbitrary::short_string(), arbitrary::short_string(), any::<bool>(), any::<bool>(),)
                .prop_map(|(exchange, routing_key, mandatory, immediate,)| Method::from(super::basic::Publish { exchange, routing_key, mandatory, immediate }))
                .boxed(),
            (any::<u16>(), arbitrary::short_string(), arbitrary::short_string(), arbitrary::short_string(),)
                .prop_map(|(reply_code, reply_text, exchange, routing_key,)| Method::from(super::basic::Return { reply_code, reply_text, exchange, routing_key }))
                .boxed(),
            (arbitrary::short_string(), any::<u64>(), any::<bool>(), arbitrary::short_string(), arbitrary::short_string(),)
                .prop_map(|(consumer_tag, delivery_tag, redelivered, exchange, routing_key,)| Method::from(super::basic::Deliver { consumer_tag, delivery_tag, redelivered, exchange, routing_key }))
                .boxed(),
            (arbitrary::short_string(), any::<bool>(),)
                .prop_map(|(queue, no_ack,)| Method::from(super::basic::Get { queue, no_ack }))
                .boxed(),
            (any::<u64>(), any::<bool>(), arbitrary::short_string(), arbitrary::short_string(), any::<u32>(),)
                .prop_map(|(delivery_tag, redelivered, exchange, routing_key, message_count,)| Method::from(super::basic::GetOk { delivery_tag, redelivered, exchange, routing_key, message_count }))
                .boxed(),
            Just(Method::from(super::basic::GetEmpty)).boxed(),
            (any::<u64>(), any::<bool>(),)
                .prop_map(|(delivery_tag, multiple,)| Method::from(super::basic::Ack { delivery_tag, multiple }))
                .boxed(),
            (any::<u64>(), any::<bool>(),)
                .prop_map(|(delivery_tag, requeue,)| Method::from(super::basic::Reject { delivery_tag, requeue }))
                .boxed(),
            (any::<bool>(),)
                .prop_map(|(requeue,)| Method::from(super::basic::RecoverAsync { requeue }))
                .boxed(),
            (any::<bool>(),)
                .prop_map(|(requeue,)| Method::from(super::basic::Recover { requeue }))
                .boxed(),
            Just(Method::from(super::basic::RecoverOk)).boxed(),
            (any::<u64>(), any::<bool>(), any::<bool>(),)
                .prop_map(|(delivery_tag, multiple, requeue,)| Method::from(super::basic::Nack { delivery_tag, multiple, requeue }))
                .boxed(),
            Just(Method::from(super::tx::Select)).boxed(),
            Just(Method::from(super::tx::SelectOk)).boxed(),
            Just(Method::from(super::tx::Commit)).boxed(),
            Just(Method::from(super::tx::CommitOk)).boxed(),
            Just(Method::from(super::tx::Rollback)).boxed(),
            Just(Method::from(super::tx::RollbackOk)).boxed(),
            (any::<bool>(),)
                .prop_map(|(no_wait,)| Method::from(super::confirm::Select { no_wait }))
                .boxed(),
            Just(Method::from(super::confirm::SelectOk)).boxed(),
        ]
    }
}

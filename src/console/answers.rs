//! What the API answers, as far as pages show it.
#![allow(clippy::struct_field_names, reason = "the names are RabbitMQ's")]

pub mod admin;
pub mod routing;
pub mod told;

use serde::Deserialize;
use serde_json::{Map, Value};

/// A rate, and samples if they were asked for, the newest first.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rate {
    /// For each second.
    pub rate: f64,
    /// What was counted at times.
    pub samples: Vec<Sample>,
}

/// What was counted at a time in milliseconds.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// The number.
    pub sample: f64,
    /// When.
    pub timestamp: u64,
}

impl Rate {
    /// The numbers with their times, the newest first.
    pub fn pairs(&self) -> Vec<(f64, u64)> {
        self.samples.iter().map(|sample| (sample.sample, sample.timestamp)).collect()
    }

    /// The same with the oldest first, for a line.
    pub fn levels(&self) -> Vec<(u64, f64)> {
        self.samples.iter().rev().map(|sample| (sample.timestamp, sample.sample)).collect()
    }
}

/// What has happened to messages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Published.
    pub publish: u64,
    /// See [`Self::publish`].
    pub publish_details: Rate,
    /// Handed out in all ways.
    pub deliver_get: u64,
    /// See [`Self::deliver_get`].
    pub deliver_get_details: Rate,
    /// Handed out without acknowledgement.
    pub deliver_no_ack_details: Rate,
    /// Acknowledged.
    pub ack: u64,
    /// See [`Self::ack`].
    pub ack_details: Rate,
    /// Handed out once more.
    pub redeliver: u64,
    /// See [`Self::redeliver`].
    pub redeliver_details: Rate,
    /// Came to an exchange.
    pub publish_in: u64,
    /// See [`Self::publish_in`].
    pub publish_in_details: Rate,
    /// Went from an exchange to queues.
    pub publish_out: u64,
    /// See [`Self::publish_out`].
    pub publish_out_details: Rate,
    /// Had no queue, and were returned.
    pub return_unroutable_details: Rate,
    /// Had no queue, and were dropped.
    pub drop_unroutable_details: Rate,
}

/// A queue.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
    /// Classic or quorum.
    #[serde(rename = "type")]
    pub kind: String,
    /// It outlives the broker.
    pub durable: bool,
    /// It goes with its last consumer.
    pub auto_delete: bool,
    /// It is of one connection.
    pub exclusive: bool,
    /// As it was declared.
    pub arguments: Map<String, Value>,
    /// The policy that counts.
    pub policy: Option<String>,
    /// The operators' policy that counts.
    pub operator_policy: Option<String>,
    /// Messages in it.
    pub messages: u64,
    /// See [`Self::messages`].
    pub messages_details: Rate,
    /// Those that wait, for a consumer or for their time.
    pub messages_ready: u64,
    /// See [`Self::messages_ready`].
    pub messages_ready_details: Rate,
    /// Those that consumers hold.
    pub messages_unacknowledged: u64,
    /// See [`Self::messages_unacknowledged`].
    pub messages_unacknowledged_details: Rate,
    /// Those that wait for their time.
    pub messages_delayed: u64,
    /// Bytes of bodies.
    pub message_bytes: u64,
    /// Those in memory.
    pub memory: u64,
    /// How many consume.
    pub consumers: u64,
    /// When a client last used it.
    pub idle_since: String,
    /// What has happened to its messages.
    pub message_stats: Stats,
    /// Its consumers.
    pub consumer_details: Vec<Consumer>,
    /// What RabbitMQ does not tell.
    pub leveret: QueueMore,
}

/// What RabbitMQ does not tell of a queue.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct QueueMore {
    /// What counts for it, and what says so.
    pub settings: Vec<Setting>,
}

/// Something that counts for a queue.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// Its name, as policies call it.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// `argument`, `policy`, `operator policy` or `default`.
    pub from: String,
    /// The policy's name, if it is of one.
    pub policy: Option<String>,
}

/// A consumer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Consumer {
    /// By what its channel knows it.
    pub consumer_tag: String,
    /// It acknowledges.
    pub ack_required: bool,
    /// `up`, `single_active` or `waiting`.
    pub activity_status: String,
    /// Its channel and connection.
    pub channel_details: ChannelDetails,
    /// Nobody else may consume.
    pub exclusive: bool,
    /// What it holds.
    pub messages_unacknowledged: u64,
    /// What it may hold; zero is without limit.
    pub prefetch_count: u64,
    /// It comes before those with a lower one.
    pub priority: i64,
    /// What it consumes.
    pub queue: QueueName,
}

/// Where a consumer is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ChannelDetails {
    /// Its connection.
    pub connection_name: String,
    /// Its channel.
    pub name: String,
    /// The channel's number.
    pub number: u64,
    /// The address of its client.
    pub peer_host: String,
    /// Its user.
    pub user: String,
}

/// The name of a queue.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct QueueName {
    /// Its name.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
}

/// A binding.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Binding {
    /// The exchange where it begins.
    pub source: String,
    /// What it leads to.
    pub destination: String,
    /// `queue` or `exchange`.
    pub destination_type: String,
    /// Its key.
    pub routing_key: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// By what it is known among those with the same ends.
    pub properties_key: String,
    /// Its virtual host.
    pub vhost: String,
}

/// An exchange.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// It outlives the broker.
    pub durable: bool,
    /// It goes with its last binding.
    pub auto_delete: bool,
    /// Only other exchanges bring it messages.
    pub internal: bool,
    /// As it was declared.
    pub arguments: Map<String, Value>,
    /// The policy that counts.
    pub policy: Option<String>,
    /// What has come and gone.
    pub message_stats: Stats,
}

/// A connection.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// The name that its client has given it.
    pub user_provided_name: Option<String>,
    /// Its virtual host.
    pub vhost: String,
    /// Its user.
    pub user: String,
    /// `running` or `blocked`.
    pub state: String,
    /// It speaks TLS.
    pub ssl: bool,
    /// How it has logged in.
    pub auth_mechanism: String,
    /// How many channels it has.
    pub channels: u64,
    /// How many it may have.
    pub channel_max: u64,
    /// Bytes of a frame.
    pub frame_max: u64,
    /// Seconds of heartbeats.
    pub timeout: u64,
    /// When it came.
    pub connected_at: u64,
    /// What its client says of itself.
    pub client_properties: Map<String, Value>,
    /// Bytes that have come.
    pub recv_oct: u64,
    /// See [`Self::recv_oct`].
    pub recv_oct_details: Rate,
    /// Bytes that were sent.
    pub send_oct: u64,
    /// See [`Self::send_oct`].
    pub send_oct_details: Rate,
    /// Bytes that wait to be sent.
    pub send_pend: u64,
    /// How long it was slowed for its user's or virtual host's limits, in milliseconds.
    pub slowed_ms: u64,
}

/// A channel.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u64,
    /// Its virtual host.
    pub vhost: String,
    /// Its user.
    pub user: String,
    /// Its connection.
    pub connection_details: ConnectionName,
    /// How many consume on it.
    pub consumer_count: u64,
    /// What its consumers hold.
    pub messages_unacknowledged: u64,
    /// What was published and is not confirmed.
    pub messages_unconfirmed: u64,
    /// What each consumer may hold.
    pub prefetch_count: u64,
    /// What all may hold.
    pub global_prefetch_count: u64,
    /// It confirms.
    pub confirm: bool,
    /// It has transactions.
    pub transactional: bool,
    /// What has happened on it.
    pub message_stats: Stats,
}

/// The name of a connection.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConnectionName {
    /// Its name.
    pub name: String,
}

/// A virtual host, by name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Vhost {
    /// Its name.
    pub name: String,
}

/// Everything in all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Overview {
    /// The cluster of one node.
    pub cluster_name: String,
    /// The node.
    pub node: String,
    /// The version of Leveret.
    pub product_version: String,
    /// The version of RabbitMQ whose API this is.
    pub rabbitmq_version: String,
    /// What has happened to messages.
    pub message_stats: Stats,
    /// How many there are.
    pub object_totals: Objects,
    /// Messages in queues.
    pub queue_totals: Totals,
    /// Where it listens, for who may know.
    pub listeners: Vec<Listener>,
}

/// How many of everything there are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Objects {
    /// Channels.
    pub channels: u64,
    /// Connections.
    pub connections: u64,
    /// Consumers.
    pub consumers: u64,
    /// Exchanges.
    pub exchanges: u64,
    /// Queues.
    pub queues: u64,
}

/// Messages in all queues.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// That wait.
    pub messages_ready: u64,
    /// See [`Self::messages_ready`].
    pub messages_ready_details: Rate,
    /// That clients hold.
    pub messages_unacknowledged: u64,
    /// See [`Self::messages_unacknowledged`].
    pub messages_unacknowledged_details: Rate,
}

/// Where it listens.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// What is spoken.
    pub protocol: String,
    /// The address.
    pub ip_address: String,
    /// The port.
    pub port: u16,
}

/// The node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Bytes that are free on the disk.
    pub disk_free: u64,
    /// Below this publishers are blocked.
    pub disk_free_limit: u64,
    /// They are.
    pub disk_free_alarm: bool,
    /// Bytes of the process.
    pub mem_used: u64,
    /// Above this publishers are blocked.
    pub mem_limit: u64,
    /// They are.
    pub mem_alarm: bool,
    /// Bytes that count against the limit.
    pub mem_messages: u64,
    /// File descriptors that are open.
    pub fd_used: u64,
    /// That may be.
    pub fd_total: u64,
    /// Sockets.
    pub sockets_used: u64,
    /// That there may be.
    pub sockets_total: u64,
    /// Milliseconds since it was started.
    pub uptime: u64,
    /// Milliseconds of a sync, half of which took no longer.
    pub io_sync_avg_time: f64,
    /// Syncs.
    pub io_sync_count: u64,
    /// What RabbitMQ does not tell.
    pub leveret: NodeMore,
}

/// What RabbitMQ does not tell of a node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeMore {
    /// Milliseconds of a sync, 99 of 100 of which took no longer.
    pub sync_p99_ms: f64,
    /// Seconds of processor time.
    pub processor_seconds: f64,
}

/// What needs attention first.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Attention {
    /// Alarms, and what they block.
    pub alarms: Vec<Alarm>,
    /// Queues, the worst first.
    pub queues: Vec<Concern>,
    /// How many there are in all.
    pub total: u64,
}

/// What blocks publishers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Alarm {
    /// What it is, in a word.
    pub alarm: String,
    /// In words.
    pub words: String,
}

/// What is wrong with a queue.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Concern {
    /// Its virtual host.
    pub vhost: String,
    /// Its name.
    pub queue: String,
    /// What it is, in a word.
    pub kind: String,
    /// `bad` or `warn`.
    pub severity: String,
    /// In words.
    pub words: String,
    /// Messages in the queue.
    pub messages: u64,
}

/// Messages that are looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Messages {
    /// As they stand.
    pub messages: Vec<Message>,
    /// Where to go on.
    pub next: Option<String>,
}

/// A message that is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Message {
    /// Where it stands.
    pub position: String,
    /// It was delivered before.
    pub redelivered: bool,
    /// How often it came back.
    pub attempts: u64,
    /// The exchange that it came through.
    pub exchange: String,
    /// Its key.
    pub routing_key: String,
    /// Its properties.
    pub properties: Value,
    /// Its body, or the beginning of it.
    pub payload: String,
    /// `string` or `base64`.
    pub payload_encoding: String,
    /// Bytes of the whole body.
    pub payload_bytes: u64,
    /// When it came, in milliseconds; zero if that is not known.
    pub published_at: Option<u64>,
    /// When its time comes, in milliseconds.
    pub due: Option<u64>,
    /// Who holds it.
    pub held_by: Option<Holder>,
}

/// Who holds a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// Its connection.
    pub connection: Option<String>,
    /// The number of its channel.
    pub channel: u64,
    /// Its consumer; none if it was got.
    pub consumer_tag: Option<String>,
    /// Since when, in milliseconds.
    pub since: u64,
}

/// Messages that are moved.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Redrive {
    /// Its number.
    pub id: u64,
    /// The virtual host.
    pub vhost: String,
    /// From where.
    pub queue: String,
    /// How many were looked at.
    pub looked_at: u64,
    /// How many were sent on.
    pub sent: u64,
    /// How many the filter left where they are.
    pub unmatched: u64,
    /// How many had no queue to go to.
    pub unroutable: u64,
    /// How many were gone when their turn came.
    pub missed: u64,
    /// How it has ended, if it has.
    pub ended: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Messages that were dropped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Drop {
    /// The virtual host.
    pub vhost: String,
    /// The queue; none between queues.
    pub queue: Option<String>,
    /// Why, in a word.
    pub reason: String,
    /// The same in a few words.
    pub words: String,
    /// How many.
    pub count: u64,
}

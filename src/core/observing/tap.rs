//! RabbitMQ's firehose: what is published and delivered in a virtual host with `tracing` is also published to the topic exchange
//! `amq.rabbitmq.trace`, with the key `publish.EXCHANGE` or `deliver.QUEUE`, its body as it is, and all else of it in headers.

use std::sync::Arc;

use crate::core::{
    client::Client,
    dead_letter,
    message::{Layout, Message, View, build_image},
    rewrite,
    routing::extra_keys,
};
use crate::limits::{EVENT_QUEUES_MAX, LETTER_HEADER_FRAME_BYTES_MAX};
use crate::protocol::{FieldTable, FieldValue, Properties, SHORT_STRING_BYTES_MAX, ShortString};

/// The exchange.
pub const TRACE_EXCHANGE: &str = "amq.rabbitmq.trace";

/// Something that the exchange is to have.
pub struct Tap {
    /// The message to which it happened.
    pub message: Message,
    /// Who published it, or got it.
    pub by: Option<Arc<Client>>,
    /// On which channel.
    pub channel: u16,
    /// What happened.
    pub what: Tapped,
}

/// What happened.
pub enum Tapped {
    /// It was published, and goes to these queues.
    Published(Vec<ShortString>),
    /// It was delivered from a queue, or got from it.
    Delivered {
        /// The queue.
        queue: ShortString,
        /// What the delivery said.
        redelivered: bool,
    },
}

/// Whether a message is about another one, or was before it died: nothing is told of those.
pub fn is_about_messages(message: &View<'_>) -> bool {
    message.exchange() == TRACE_EXCHANGE.as_bytes()
        || dead_letter::origin(message).is_some_and(|origin| &*origin.exchange == TRACE_EXCHANGE.as_bytes())
}

impl Tap {
    /// The routing key: names are cut where it would be too long.
    pub fn routing_key(&self) -> Vec<u8> {
        let (word, name) = match &self.what {
            Tapped::Published(_) => ("publish.", self.message.view().exchange().to_vec()),
            Tapped::Delivered { queue, .. } => ("deliver.", queue.to_vec()),
        };
        let mut key = [word.as_bytes(), &name].concat();
        key.truncate(SHORT_STRING_BYTES_MAX);
        key
    }

    /// The message for the exchange. `vhost` and `node` are where it happened. Where all of it is longer than a frame, the properties are left
    /// out, all keys but the first, and all queues but the first [`EVENT_QUEUES_MAX`].
    pub fn image(&self, vhost: &ShortString, node: &str) -> (Layout, Vec<u8>) {
        let body = self.message.view().body();
        let mut properties = self.properties(vhost, node, false);
        if properties.len() >= LETTER_HEADER_FRAME_BYTES_MAX {
            properties = self.properties(vhost, node, true);
        }
        build_image(TRACE_EXCHANGE.as_bytes(), &self.routing_key(), &properties, &[&body], false)
    }

    fn properties(&self, vhost: &ShortString, node: &str, is_cut: bool) -> Vec<u8> {
        let view = self.message.view();
        let its = Properties::decode(view.properties()).unwrap_or_default();
        let mut keys = vec![text(view.routing_key())];
        if !is_cut {
            keys.extend(extra_keys(its.headers.as_ref()).unwrap_or_default().into_iter().map(text));
        }
        let its = if is_cut { FieldTable::new() } else { table(&its) };
        let (connection, user) = match &self.by {
            Some(by) => (by.connection.as_bytes(), &*by.user),
            None => (&[][..], &[][..]),
        };
        let mut headers = FieldTable::new();
        let mut put = |name, value| drop(headers.insert(ShortString::from_static(name), value));
        if let Tapped::Delivered { redelivered, .. } = &self.what {
            put("redelivered", FieldValue::I32((*redelivered).into()));
        }
        put("vhost", text(vhost));
        put("connection", text(connection));
        put("channel", FieldValue::I32(self.channel.into()));
        put("user", text(user));
        if let Tapped::Published(queues) = &self.what {
            let max = if is_cut { EVENT_QUEUES_MAX } else { usize::MAX };
            let queues = queues.iter().take(max).map(|queue| text(queue)).collect();
            put("routed_queues", FieldValue::Array(queues));
        }
        put("exchange_name", text(view.exchange()));
        put("routing_keys", FieldValue::Array(keys));
        put("properties", FieldValue::Table(its));
        put("node", text(node.as_bytes()));
        rewrite::encoded(&Properties { headers: Some(headers), ..Properties::default() })
    }
}

fn text(bytes: &[u8]) -> FieldValue {
    FieldValue::LongString(bytes.into())
}

/// Properties as RabbitMQ puts them into a table: numbers as 32 bits, and all else as texts.
fn table(properties: &Properties) -> FieldTable {
    let mut table = FieldTable::new();
    let mut put = |name: &'static str, value: Option<FieldValue>| {
        if let Some(value) = value {
            table.insert(ShortString::from_static(name), value);
        }
    };
    let short = |value: &Option<ShortString>| value.as_ref().map(|its| text(its));
    put("content_type", short(&properties.content_type));
    put("content_encoding", short(&properties.content_encoding));
    put("headers", properties.headers.clone().map(FieldValue::Table));
    put("delivery_mode", properties.delivery_mode.map(|mode| FieldValue::I32(mode.into())));
    put("priority", properties.priority.map(|priority| FieldValue::I32(priority.into())));
    put("correlation_id", short(&properties.correlation_id));
    put("reply_to", short(&properties.reply_to));
    put("expiration", short(&properties.expiration));
    put("message_id", short(&properties.message_id));
    put("timestamp", properties.timestamp.map(|seconds| FieldValue::I32(seconds as i32)));
    put("type", short(&properties.type_));
    put("user_id", short(&properties.user_id));
    put("app_id", short(&properties.app_id));
    put("cluster_id", short(&properties.cluster_id));
    table
}

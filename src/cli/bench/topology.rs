//! Exchange, queues and bindings: made before the workers start, and what has no name that anybody could know is
//! deleted after they end. The exchange stays, as PerfTest's does.

use super::args::ExchangeType;
use super::plan::{Plan, TopologyPlan};
use crate::cli::amqp::client::Client;
use crate::cli::amqp::error::Error;
use crate::protocol::{FieldTable, Method, ShortString, exchange, queue};

/// Where producers publish to and consumers consume from. Holds the connection that made it.
pub(super) struct Topology {
    client: Client,
    /// Empty is the default exchange.
    pub exchange: ShortString,
    queues: Vec<ShortString>,
    routing_key: Option<ShortString>,
    copies: Option<u64>,
    named_by_broker: bool,
}

impl Topology {
    /// Declares and binds what the plan says.
    pub(super) fn declare(plan: &Plan) -> Result<Self, Error> {
        let mut client = Client::connect(&plan.uri, &plan.id)?;
        client.open_channel()?;
        let wanted = &plan.topology;
        let mut topology = Self {
            client,
            exchange: wanted.exchange.clone(),
            queues: wanted.queues.clone(),
            routing_key: wanted.routing_key.clone(),
            copies: copies(wanted),
            named_by_broker: !wanted.predeclared && wanted.queues.iter().any(|name| name.is_empty()),
        };
        if !wanted.predeclared {
            topology.declare_exchange(wanted)?;
            for at in 0..topology.queues.len() {
                topology.declare_queue(at, wanted)?;
            }
        }
        Ok(topology)
    }

    /// The queue of the consumer with that number; they take turns.
    pub(super) fn queue(&self, consumer: usize) -> ShortString {
        self.queues[consumer % self.queues.len()].clone()
    }

    /// The routing key of the producer with that number; they take turns.
    pub(super) fn routing_key(&self, producer: usize) -> ShortString {
        self.routing_key.clone().unwrap_or_else(|| self.queue(producer))
    }

    /// How many queues a message reaches, if that can be known.
    pub(super) fn copies(&self) -> Option<u64> {
        self.copies
    }

    /// Deletes the queue that the broker named, and disconnects.
    pub(super) fn remove(mut self) -> Result<(), Error> {
        if self.named_by_broker {
            let delete = queue::Delete { queue: self.queue(0), ..Default::default() };
            self.client.call(&delete, "queue.delete")?;
        }
        self.client.close()
    }

    fn declare_exchange(&mut self, wanted: &TopologyPlan) -> Result<(), Error> {
        if self.exchange.is_empty() {
            return Ok(());
        }
        let declare = exchange::Declare {
            exchange: self.exchange.clone(),
            type_: ShortString::from_static(wanted.exchange_type.name()),
            ..Default::default()
        };
        self.client.call(&declare, "exchange.declare").map(drop)
    }

    fn declare_queue(&mut self, at: usize, wanted: &TopologyPlan) -> Result<(), Error> {
        let declare = queue::Declare {
            queue: self.queues[at].clone(),
            durable: wanted.durable,
            auto_delete: wanted.auto_delete,
            ..Default::default()
        };
        match self.client.call(&declare, "queue.declare")? {
            Method::QueueDeclareOk(ok) => self.queues[at] = ok.queue,
            other => return Err(Error::Unexpected(other.name())),
        }
        if self.exchange.is_empty() {
            return Ok(());
        }
        let bind = queue::Bind {
            queue: self.queues[at].clone(),
            exchange: self.exchange.clone(),
            routing_key: self.routing_key(at),
            no_wait: false,
            arguments: FieldTable::new(),
        };
        self.client.call(&bind, "queue.bind").map(drop)
    }
}

/// A fanout exchange, a headers exchange without conditions, and one key for all bindings reach every queue; a key
/// for each queue, or the default exchange, reach one.
fn copies(wanted: &TopologyPlan) -> Option<u64> {
    let reaches_all = matches!(wanted.exchange_type, ExchangeType::Fanout | ExchangeType::Headers)
        || wanted.routing_key.is_some();
    if wanted.exchange.is_empty() {
        wanted.routing_key.is_none().then_some(1)
    } else if wanted.predeclared {
        None
    } else if reaches_all {
        Some(wanted.queues.len() as u64)
    } else {
        Some(1)
    }
}

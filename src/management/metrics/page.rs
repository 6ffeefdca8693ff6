//! What is on each page: RabbitMQ's `/metrics`, `/metrics/per-object`, `/metrics/detailed` and `/metrics/memory-breakdown`.

use std::{collections::HashSet, fmt};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{
    clients,
    gathered::{Gathered, Wanted},
    global, memory,
    node::{self, OfNode},
    own, queues,
    sheet::{Row, Sheet},
};
use crate::core::pattern::{BadPattern, Pattern};
use crate::management::Api;

/// A page.
#[derive(Debug)]
pub enum Page {
    /// Everything together.
    Aggregated,
    /// Each thing by itself.
    PerObject,
    /// What was asked for.
    Detailed(Details),
    /// What takes memory.
    Memory,
}

/// What is asked for of a page of details.
#[derive(Debug, Default)]
pub struct Details {
    families: HashSet<String>,
    wanted: Wanted,
}

impl Details {
    /// What a query asks for: families by name, virtual hosts by name, queues by an expression that is looked for in their names.
    pub fn of(query: Vec<(String, String)>) -> Result<Self, BadPattern> {
        let mut details = Self { wanted: Wanted { each: true, ..Wanted::default() }, ..Self::default() };
        for (key, value) in query {
            match &*key {
                "family" => drop(details.families.insert(value)),
                "vhost" => details.wanted.vhosts.push(value),
                "queue" => details.wanted.queue = Some(Pattern::new(&value)?),
                _ => {}
            }
        }
        Ok(details)
    }
}

/// What families are written from.
struct Figures<'a> {
    api: &'a Api,
    gathered: Gathered,
    node: [Row<OfNode>; 1],
    all_queues: [Row<queues::QueueFigures>; 1],
    all_connections: [Row<clients::OfConnection>; 1],
    all_channels: [Row<clients::OfChannel>; 1],
    each: bool,
}

impl<'a> Figures<'a> {
    fn of(api: &'a Api, wanted: &Wanted) -> Self {
        let gathered = Gathered::of(&api.broker, wanted, &api.scrapes.highest);
        let mut together = gathered.all_queues;
        // What queues did that are gone counts for all of them.
        together.totals = own::together(&gathered);
        Self {
            api,
            node: [OfNode::of(api, &gathered)],
            all_queues: [Row::only(together)],
            all_connections: [Row::only(gathered.all_connections)],
            all_channels: [Row::only(gathered.all_channels)],
            each: wanted.each,
            gathered,
        }
    }

    fn queues(&self) -> &[Row<queues::QueueFigures>] {
        if self.each { &self.gathered.queues } else { &self.all_queues }
    }

    fn connections(&self) -> &[Row<clients::OfConnection>] {
        if self.each { &self.gathered.connections } else { &self.all_connections }
    }

    fn channels(&self) -> &[Row<clients::OfChannel>] {
        if self.each { &self.gathered.channels } else { &self.all_channels }
    }
}

/// A family of metrics, and how it is written.
type Family = (&'static str, fn(&Figures<'_>, &mut Sheet<'_>) -> fmt::Result);

/// RabbitMQ's families, as far as they have a meaning here.
const FAMILIES: &[Family] = &[
    ("connection_churn_metrics", |it, sheet| sheet.table(node::CHURN, &it.node)),
    ("node_coarse_metrics", |it, sheet| sheet.table(node::COARSE, &it.node)),
    ("node_metrics", |it, sheet| sheet.table(node::NODE, &it.node)),
    ("node_persister_metrics", |it, sheet| sheet.table(node::PERSISTER, &it.node)),
    ("auth_attempt_metrics", |it, sheet| sheet.table(node::LOGINS, &node::logins(it.api))),
    ("queue_coarse_metrics", |it, sheet| sheet.table(queues::COARSE, it.queues())),
    (CONSUMER_COUNT, |it, sheet| sheet.table(queues::CONSUMERS, it.queues())),
    (QUEUE_METRICS, |it, sheet| {
        sheet.table(queues::CONSUMERS, it.queues())?;
        sheet.table(queues::DETAILS, it.queues())
    }),
    ("queue_delivery_metrics", |it, sheet| sheet.table(queues::DELIVERIES, it.queues())),
    ("queue_exchange_metrics", |it, sheet| sheet.table(queues::ROUTED, it.queues())),
    ("channel_queue_exchange_metrics", |it, sheet| sheet.table(queues::PUBLISHED, it.queues())),
    ("exchange_metrics", |it, sheet| {
        let all = [Row::only(clients::OfExchange { counts: it.gathered.totals.exchanges, bindings: 0 })];
        sheet.table(clients::EXCHANGE, if it.each { &it.gathered.exchanges } else { &all })
    }),
    ("connection_coarse_metrics", |it, sheet| sheet.table(clients::CONNECTION_COARSE, it.connections())),
    ("connection_metrics", |it, sheet| sheet.table(clients::CONNECTION, it.connections())),
    ("channel_metrics", |it, sheet| sheet.table(clients::CHANNEL, it.channels())),
    ("channel_exchange_metrics", |it, sheet| sheet.table(clients::CHANNEL_PUBLISHES, it.channels())),
    ("channel_queue_metrics", |it, sheet| sheet.table(clients::CHANNEL_DELIVERIES, it.channels())),
];

const QUEUE_METRICS: &str = "queue_metrics";
/// Part of [`QUEUE_METRICS`].
const CONSUMER_COUNT: &str = "queue_consumer_count";

/// Families that only the page of details has, and that have another prefix there.
const CLUSTER_FAMILIES: &[Family] = &[
    ("vhost_status", |it, sheet| {
        const STATUS: super::sheet::Metric<()> =
            super::sheet::gauge("vhost_status", "The virtual hosts that there are", |()| 1_u64.into());
        sheet.table(&[STATUS], &it.gathered.vhosts)
    }),
    ("exchange_names", |it, sheet| sheet.table(clients::EXCHANGE_NAMES, &it.gathered.exchange_kinds)),
    ("exchange_bindings", |it, sheet| sheet.table(clients::EXCHANGE_BINDINGS, &it.gathered.exchange_kinds)),
];

/// Families of queues, with which RabbitMQ's `queue_info` comes.
const WITH_QUEUE_INFO: [&str; 3] = ["queue_coarse_metrics", CONSUMER_COUNT, QUEUE_METRICS];

fn write_queue_info(sheet: &mut Sheet<'_>, rows: &[Row<()>]) -> fmt::Result {
    const INFO: super::sheet::Metric<()> =
        super::sheet::gauge("queue_info", "What kinds of queues there are", |()| 1_u64.into());
    sheet.table(&[INFO], rows)
}

/// A page of a broker.
pub struct Scrape {
    /// The broker.
    pub api: Api,
    /// Its page.
    pub page: Page,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scrape").field(&self.page).finish()
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (api, sheet) = (&self.api, &mut Sheet::new(encoder));
        match &self.page {
            Page::Aggregated => {
                node::write_identity(sheet, api, "aggregated")?;
                write_all(api, sheet, false)
            }
            Page::PerObject => {
                node::write_identity(sheet, api, "per-object")?;
                write_all(api, sheet, true)
            }
            Page::Detailed(details) => {
                node::write_identity(sheet, api, "detailed")?;
                write_details(api, sheet, details)
            }
            Page::Memory => {
                node::write_identity(sheet, api, "memory-breakdown")?;
                memory::write(sheet, api)
            }
        }
    }
}

fn write_all(api: &Api, sheet: &mut Sheet<'_>, each: bool) -> fmt::Result {
    let figures = Figures::of(api, &Wanted { each, ..Wanted::default() });
    for (name, write) in FAMILIES {
        if *name != CONSUMER_COUNT {
            write(&figures, sheet.begin("rabbitmq_"))?;
        }
    }
    node::write_rest(sheet, &figures.node, &figures.gathered)?;
    global::write(sheet, &figures.gathered)?;
    global::write_sizes(sheet, &api.broker.sizes)?;
    own::write(sheet, api, &figures.gathered)?;
    if each {
        write_queue_info(sheet.begin("rabbitmq_"), &figures.gathered.queue_kinds)?;
        write_own_details(sheet, &figures)?;
    }
    Ok(())
}

fn write_own_details(sheet: &mut Sheet<'_>, figures: &Figures<'_>) -> fmt::Result {
    own::write_queues(sheet, &figures.gathered.queues)?;
    sheet.table(clients::OWN_EXCHANGE, &figures.gathered.exchanges)
}

fn write_details(api: &Api, sheet: &mut Sheet<'_>, details: &Details) -> fmt::Result {
    let asked = |name: &str| details.families.contains(name);
    if details.families.is_empty() {
        return Ok(());
    }
    let figures = Figures::of(api, &details.wanted);
    for (name, write) in FAMILIES {
        if asked(name) && !(*name == CONSUMER_COUNT && asked(QUEUE_METRICS)) {
            write(&figures, sheet.begin("rabbitmq_detailed_"))?;
        }
    }
    for (name, write) in CLUSTER_FAMILIES {
        if asked(name) {
            write(&figures, sheet.begin("rabbitmq_cluster_"))?;
        }
    }
    if WITH_QUEUE_INFO.into_iter().any(asked) {
        write_queue_info(sheet.begin("rabbitmq_detailed_"), &figures.gathered.queue_kinds)?;
    }
    if asked("leveret_metrics") {
        write_own_details(sheet, &figures)?;
    }
    Ok(())
}

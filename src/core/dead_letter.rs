//! stand-in

/// Why a message is dead (RabbitMQ's names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Rejected without requeue.
    Rejected,
    /// Its time to live is over.
    Expired,
    /// The queue is full.
    MaxLen,
    /// Its deliveries failed too often.
    DeliveryLimit,
}

use crate::core::message::{Layout, View};
pub struct Death<'a> {
    pub queue: &'a [u8],
    pub reason: Reason,
    pub at_ms: u64,
    pub exchange: &'a [u8],
    pub routing_key: Option<&'a [u8]>,
}
pub struct DeadLetter {
    pub layout: Layout,
    pub image: Vec<u8>,
    pub extra_keys: Vec<Box<[u8]>>,
    pub deaths: Deaths,
}
pub struct Deaths;
impl Deaths {
    pub fn is_cycle(&self, _t: &[u8], _r: Reason) -> bool {
        false
    }
}
pub struct TooManyDeaths;
pub fn dead_lettered(view: &View<'_>, d: &Death<'_>) -> Result<DeadLetter, TooManyDeaths> {
    let body: Vec<&[u8]> = view.body_payloads().collect();
    let (layout, image) = crate::core::message::build_image(
        d.exchange,
        d.routing_key.unwrap_or(view.routing_key()),
        view.properties(),
        &body,
        view.layout.persistent,
    );
    Ok(DeadLetter { layout, image, extra_keys: vec![], deaths: Deaths })
}

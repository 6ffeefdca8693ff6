//! A collector: where spans are sent, by HTTP. Blocks.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use ureq::Agent;

use crate::limits::{COLLECTOR_ANSWER_BYTES_MAX, COLLECTOR_TIMEOUT};
use crate::outside::{self, BadAuthority};

/// Why a collector has not taken spans; one line.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It may take them later.
    #[error("{0}")]
    ForNow(String),
    /// It will not.
    #[error("{0}")]
    ForGood(String),
}

impl Refused {
    pub(super) fn may_be_asked_again(&self) -> bool {
        matches!(self, Self::ForNow(_))
    }
}

/// A collector.
pub(super) struct Collector {
    agent: Agent,
    url: String,
}

impl Collector {
    pub(super) fn new(url: &str) -> Result<Self, BadAuthority> {
        let mut agent = outside::asking().timeout_global(Some(COLLECTOR_TIMEOUT));
        if url.starts_with("https:") {
            agent = agent.tls_config(outside::tls("otlp-endpoint", None)?);
        }
        Ok(Self { agent: agent.build().new_agent(), url: url.into() })
    }

    /// Sends it a request; gives how many of its spans the collector has not taken although it has taken others.
    pub(super) fn put(&self, request: &[u8]) -> Result<u64, Refused> {
        let asking = self.agent.post(&self.url).header("content-type", "application/x-protobuf");
        let mut response = asking.send(request).map_err(|error| Refused::ForNow(error.to_string()))?;
        match response.status().as_u16() {
            200..=299 => {}
            // OTLP/HTTP: these may be sent again.
            status @ (429 | 502 | 503 | 504) => return Err(Refused::ForNow(format!("status {status}"))),
            status => return Err(Refused::ForGood(format!("status {status}"))),
        }
        let answer = response.body_mut().with_config().limit(COLLECTOR_ANSWER_BYTES_MAX).read_to_vec();
        let answer = answer.ok().and_then(|bytes| ExportTraceServiceResponse::decode(&*bytes).ok());
        let rejected = answer.and_then(|answer| answer.partial_success).map_or(0, |it| it.rejected_spans);
        Ok(rejected.try_into().unwrap_or(0))
    }
}

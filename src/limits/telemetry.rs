//! Bounds of the spans that are sent to a collector of OpenTelemetry.

use std::time::Duration;

/// Bytes of a header `tracestate` that is carried on: those that everybody must be able to carry (W3C Trace Context, 3.3.1.5).
pub const TRACE_STATE_BYTES_MAX: usize = 512;
/// Messages of a queue, delivered or come back, of which it is known since when; the spans of others that follow begin where they end.
pub const SPAN_MARKS_MAX: usize = if cfg!(test) { 4 } else { 4_096 };
/// Spans that wait to be sent; more are dropped and counted.
pub const SPANS_WAITING_MAX: usize = 8_192;
/// Spans in one request,
pub const SPANS_AT_ONCE_MAX: usize = 512;
/// and how long the first of them waits for the others.
pub const SPANS_INTERVAL: Duration = Duration::from_secs(1);
/// A request that the collector does not take for now is sent again after so many seconds each; then its spans are lost and counted.
pub const SPAN_PAUSES: [u64; 4] = [1, 2, 4, 8];
/// Time for a request.
pub const COLLECTOR_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the answer to it that are read.
pub const COLLECTOR_ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Time for the last spans when the broker stops.
pub const SPANS_LAST_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of the collector's address.
pub const COLLECTOR_URL_BYTES_MAX: usize = 2_048;

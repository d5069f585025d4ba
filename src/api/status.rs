//! The state of a collector as JSON, there and back: `spanlint watch --attach` shows it as the collector's own
//! dashboard would.

use serde::{Deserialize, Serialize};
use spanlint_tui::{Endpoint, Live};

/// `GET /api/v1/status`, and a part of every event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatusBody {
    /// Text, since Unix nanoseconds do not fit the numbers of JavaScript.
    pub(crate) at_unix_ns: String,
    environment: String,
    endpoints: Vec<EndpointBody>,
    window_seconds: u64,
    spans_per_second: f64,
    accepted_spans: u64,
    rejected_spans: u64,
    late_spans: u64,
    settled_traces: u64,
    pending_traces: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct EndpointBody {
    protocols: String,
    address: String,
}

impl From<&Live> for StatusBody {
    fn from(live: &Live) -> Self {
        let status = &live.status;
        let endpoint = |endpoint: &Endpoint| EndpointBody {
            protocols: endpoint.protocols.clone(),
            address: endpoint.address.clone(),
        };
        Self {
            at_unix_ns: live.at_ns.to_string(),
            environment: live.graph.environment.clone(),
            endpoints: status.endpoints.iter().map(endpoint).collect(),
            window_seconds: status.window_seconds,
            spans_per_second: status.spans_per_second,
            accepted_spans: status.spans,
            rejected_spans: status.rejected,
            late_spans: status.late,
            settled_traces: status.traces,
            pending_traces: status.pending_traces,
        }
    }
}

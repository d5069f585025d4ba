//! The state of a collector as JSON, there and back: `spanlint watch --attach` shows it as the collector's own
//! dashboard would.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use spanlint_graph::Window;
use spanlint_tui::{Endpoint, Live, Status};

/// `GET /api/v1/status`, and a part of every event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StatusBody {
    /// Text, since Unix nanoseconds do not fit the numbers of JavaScript.
    pub(crate) at_unix_ns: String,
    environment: String,
    endpoints: Vec<EndpointBody>,
    window: String,
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
            window: live.view.unwrap_or_default().window.to_string(),
            spans_per_second: status.spans_per_second,
            accepted_spans: status.spans,
            rejected_spans: status.rejected,
            late_spans: status.late,
            settled_traces: status.traces,
            pending_traces: status.pending_traces,
        }
    }
}

impl StatusBody {
    /// The window that the other side shows where nobody asks for another.
    pub(crate) fn window(&self) -> anyhow::Result<Window> {
        self.window.parse().context("its status has no window")
    }

    /// The state as the dashboard shows it, with the sentence that its user must know.
    pub(crate) fn into_status(self, notice: Option<String>) -> Status {
        let endpoint = |body: EndpointBody| Endpoint { protocols: body.protocols, address: body.address };
        Status {
            endpoints: self.endpoints.into_iter().map(endpoint).collect(),
            spans_per_second: self.spans_per_second,
            spans: self.accepted_spans,
            traces: self.settled_traces,
            rejected: self.rejected_spans,
            late: self.late_spans,
            pending_traces: self.pending_traces,
            notice,
            scenarios: Vec::new(),
        }
    }
}

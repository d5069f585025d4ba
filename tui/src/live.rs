//! What the dashboard is shown, and where it comes from. Whoever owns the collector implements [`Source`].

use std::sync::Arc;

use spanlint_analyzer::Background;
use spanlint_analyzer::finding::{Finding, Undecided};
use spanlint_graph::measurement::ServiceReadings;
use spanlint_graph::{CallGraph, TraceId, View, Waterfall};
use tokio::sync::watch;

/// One immutable picture of the window: graph, verdict and state of the collector belong together.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// When the picture was taken, Unix time in nanoseconds.
    pub at_ns: u64,
    /// The call graph of the window.
    pub graph: Arc<CallGraph>,
    /// In the order in which they are shown: the worst first.
    pub findings: Arc<[Finding]>,
    /// What the rules could not decide.
    pub undecided: Arc<[Undecided]>,
    /// What both were made against.
    pub background: Arc<Background>,
    /// Which window the graph is of; none where there is only one, as of a recording.
    pub view: Option<View>,
    /// What the services measure of themselves.
    pub readings: Arc<[ServiceReadings]>,
    /// The state of the collector.
    pub status: Status,
}

/// The state of the collector, in words and counters that are shown as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// Where spans can be sent; empty where recordings are looked at.
    pub endpoints: Vec<Endpoint>,
    /// Spans taken per second, over the last few seconds.
    pub spans_per_second: f64,
    /// Spans taken since the start.
    pub spans: u64,
    /// Traces settled since the start.
    pub traces: u64,
    /// Spans refused since the start.
    pub rejected: u64,
    /// Spans that came after their trace had settled.
    pub late: u64,
    /// Traces that are not settled yet.
    pub pending_traces: u64,
    /// Something that the user must know, in one sentence.
    pub notice: Option<String>,
    /// The faults that can be switched; empty outside the demo.
    pub scenarios: Vec<ScenarioState>,
}

/// A place that takes spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What it speaks: `OTLP gRPC + HTTP`.
    pub protocols: String,
    /// `127.0.0.1:4317`.
    pub address: String,
}

/// A fault built into the demo shop on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioState {
    /// `chatty-cart`.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Whether it is switched on.
    pub is_on: bool,
}

/// Where pictures and traces come from. Its methods are called from the dashboard's task, so they answer at once or
/// from another thread's memory; [`Source::trace`] alone is called where blocking is allowed.
pub trait Source: Send + Sync {
    /// The newest picture, and word of every later one. When the sender is gone, the last picture stays on screen.
    fn live(&self) -> watch::Receiver<Arc<Live>>;

    /// A trace by its id; none where it is not kept any more.
    fn trace(&self, trace_id: TraceId) -> Option<Waterfall>;

    /// Switches a scenario of the demo; a later picture shows whether it happened.
    fn set_scenario(&self, name: &str, is_on: bool);

    /// Asks for pictures of another window, now or earlier; a later picture shows it, or says why not.
    fn look(&self, view: View);
}

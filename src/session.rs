//! A live session: what the collector publishes is judged, and becomes the pictures that the dashboard and the API
//! show. One task judges; everybody else reads immutable pictures.

use std::sync::Arc;

use spanlint_analyzer::{Analysis, Mode};
use spanlint_collector::live::{Published, TraceReader};
use spanlint_demo_shop::{Scenario, Switches};
use spanlint_graph::{TraceId, Waterfall};
use spanlint_tui::{Endpoint, Live, ScenarioState, Source, Status};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::judge::Judge;

/// What never changes in the pictures of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Where spans can be sent.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Length of the window, in seconds.
    pub(crate) window_seconds: u64,
    /// The switches of the demo's scenarios.
    pub(crate) switches: Option<Switches>,
}

impl Frame {
    fn picture(&self, published: &Published, analysis: Analysis) -> Live {
        let counts = published.status;
        let graph = published.environments.first().cloned().unwrap_or_default();
        let others = published.environments.iter().skip(1).map(|graph| graph.environment.as_str());
        let notice = other_environments(&graph.environment, others);
        Live {
            at_ns: published.at_ns,
            graph,
            findings: analysis.findings.into(),
            undecided: analysis.undecided.into(),
            status: Status {
                endpoints: self.endpoints.clone(),
                spans_per_second: counts.spans_per_second as f64,
                spans: counts.accepted_spans,
                traces: counts.settled_traces,
                rejected: counts.refused_spans,
                late: counts.late_spans,
                pending_traces: counts.pending_traces,
                window_seconds: self.window_seconds,
                notice,
                scenarios: self.scenarios(),
            },
        }
    }

    fn scenarios(&self) -> Vec<ScenarioState> {
        let states = self.switches.iter().flat_map(Switches::list);
        let state = |(scenario, is_on): (Scenario, bool)| ScenarioState {
            name: scenario.name().to_owned(),
            description: scenario.description().to_owned(),
            is_on,
        };
        states.map(state).collect()
    }
}

/// What the user must know where more than one environment was seen.
pub(crate) fn other_environments<'a>(shown: &str, others: impl Iterator<Item = &'a str>) -> Option<String> {
    let others: Vec<&str> = others.map(|name| if name.is_empty() { "(none)" } else { name }).collect();
    let shown = if shown.is_empty() { "(none)" } else { shown };
    (!others.is_empty()).then(|| format!("showing environment {shown} only; also seen: {}", others.join(", ")))
}

/// The pictures of a session, and the task that makes them.
#[derive(Debug)]
pub(crate) struct Session {
    frame: Frame,
    pictures: watch::Sender<Arc<Live>>,
    traces: TraceReader,
    runtime: Handle,
}

impl Session {
    /// Starts to judge. The task ends when the collector does, or when the session is dropped.
    pub(crate) fn start(
        frame: Frame,
        judge: Judge,
        mut published: watch::Receiver<Arc<Published>>,
        traces: TraceReader,
    ) -> Arc<Self> {
        let first = frame.picture(&published.borrow_and_update(), Analysis::default());
        let pictures = watch::Sender::new(Arc::new(first));
        let session = Arc::new(Self { frame, pictures, traces, runtime: Handle::current() });
        let judge = Arc::new(judge);
        tokio::spawn({
            let session = Arc::downgrade(&session);
            async move {
                while published.changed().await.is_ok() {
                    let newest = Arc::clone(&published.borrow_and_update());
                    let (Some(session), judge) = (session.upgrade(), Arc::clone(&judge)) else { return };
                    // A large graph takes the rules a while; the tasks that receive spans must not wait for them.
                    let judged = tokio::task::spawn_blocking(move || session.show(&newest, &judge)).await;
                    if judged.is_err() {
                        return;
                    }
                }
            }
        });
        session
    }

    fn show(&self, published: &Published, judge: &Judge) {
        let graph = published.environments.first();
        let analysis = graph.map(|graph| judge.judge(graph, Mode::Live)).unwrap_or_default();
        self.pictures.send_replace(Arc::new(self.frame.picture(published, analysis)));
    }
}

impl Source for Session {
    fn live(&self) -> watch::Receiver<Arc<Live>> {
        self.pictures.subscribe()
    }

    fn trace(&self, trace_id: TraceId) -> Option<Waterfall> {
        self.runtime.block_on(self.traces.waterfall(trace_id))
    }

    fn set_scenario(&self, name: &str, is_on: bool) {
        let (Some(switches), Ok(scenario)) = (&self.frame.switches, name.parse::<Scenario>()) else { return };
        switches.set(scenario, is_on);
        // The switch is shown at once, not with the next spans.
        self.pictures.send_modify(|live| {
            let mut shown = Live::clone(live);
            shown.status.scenarios = self.frame.scenarios();
            *live = Arc::new(shown);
        });
    }
}

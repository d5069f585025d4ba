//! The read-only API: the call graph, traces, health and the collector's own numbers.
//!
//! Versioned by path, and free of findings: those routes are added by the binary, which alone knows the analyzer. It
//! answers only those who ask for a loopback name, so that no page in a browser can reach it through a name of its
//! own that resolves to this machine.

mod cached;
mod host;
mod metrics;
mod service_graph;
mod view;
pub mod wire;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use spanlint_graph::{TraceId, View, Window};
use tokio::sync::watch;

use self::cached::Cached;
pub use self::host::Guard;
pub use self::view::{ViewProblem, ViewQuery};
use crate::durable::Trouble;
use crate::live::{FactsReader, Intake, Live, LogQuery, Published, TraceReader};
use crate::receiver::Counters;

/// The version of the wire format of the API and of reports.
pub const SCHEMA_VERSION: &str = "0.1";

/// The paths of [`router`], for whoever asks for another.
const PATHS: [&str; 9] = [
    "/api/v1/version",
    "/api/v1/graph",
    "/api/v1/snapshot",
    "/api/v1/traces/{id}",
    "/api/v1/logs",
    "/api/v1/measurements",
    "/healthz",
    "/readyz",
    "/metrics",
];

/// The most log lines of one answer.
const MAX_ANSWERED_LINES: usize = 500;

/// What every route reads.
#[derive(Debug, Clone)]
struct Sources {
    published: watch::Receiver<Arc<Published>>,
    intake: Intake,
    traces: TraceReader,
    facts: FactsReader,
    counters: Arc<Counters>,
    trouble: Option<Trouble>,
    snapshot: Cached<Bytes>,
    service_graph: Cached<Bytes>,
}

/// A refusal: a status and a sentence that says what to do.
#[derive(Debug)]
struct Refused(StatusCode, String);

#[derive(Debug, Serialize)]
struct RefusedBody {
    error: String,
}

#[derive(Debug, Deserialize)]
struct GraphQuery {
    environment: Option<String>,
    #[serde(flatten)]
    view: ViewQuery,
}

#[derive(Debug, Deserialize)]
struct LogsQuery {
    service: Option<String>,
    trace: Option<String>,
    limit: Option<usize>,
}

/// The routes of the collector, to be extended and then made safe by [`guarded`]. `trouble` is that of the data folder,
/// where there is one.
pub fn router(live: &Live, counters: Arc<Counters>, trouble: Option<Trouble>) -> Router {
    let sources = Sources {
        published: live.published(),
        intake: live.intake(),
        traces: live.traces(),
        facts: live.facts(),
        counters,
        trouble,
        snapshot: Cached::default(),
        service_graph: Cached::default(),
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/version", get(|| async { Json(wire::Version::own()) }))
        .route("/api/v1/graph", get(graph))
        .route("/api/v1/snapshot", get(snapshot))
        .route("/api/v1/traces/{id}", get(trace))
        .route("/api/v1/logs", get(logs))
        .route("/api/v1/measurements", get(measurements))
        .with_state(sources)
}

/// `router` with an answer for unknown paths, behind the check of token and Host header. `additional` are the paths that
/// it has besides those of [`router`].
pub fn guarded(router: Router, additional: &[&str], guard: Guard) -> Router {
    let mut paths = [&PATHS, additional].concat();
    paths.sort_unstable();
    let sentence = format!("nothing is here; the API has {}", paths.join(", "));
    let unknown = || std::future::ready(Refused(StatusCode::NOT_FOUND, sentence));
    // The check is the outermost layer: whoever is not allowed in does not learn which paths exist.
    router.fallback(unknown).layer(middleware::from_fn_with_state(guard, host::check))
}

/// Ready as long as the owner of the graph runs and takes what comes, and the data folder does. A store too small for what is cited is told, but
/// turns nobody away: spans still count.
async fn ready(State(sources): State<Sources>) -> Result<&'static str, Refused> {
    if sources.published.has_changed().is_err() {
        return Err(stopping());
    }
    if sources.intake.is_nearly_full() {
        let reason = "the queue is full: senders are asked to come again, now or soon".to_owned();
        return Err(Refused(StatusCode::SERVICE_UNAVAILABLE, reason));
    }
    if let Some(reason) = sources.trouble.as_ref().and_then(|trouble| trouble.borrow().clone()) {
        let reason = format!("the data folder cannot be written: {reason}; senders are asked to come again");
        return Err(Refused(StatusCode::SERVICE_UNAVAILABLE, reason));
    }
    if sources.published.borrow().status.is_store_exhausted {
        return Ok("ok, but the store is too small: traces that the graph cites are thrown away\n");
    }
    Ok("ok\n")
}

fn stopping() -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, "the collector is stopping".to_owned())
}

async fn metrics(State(sources): State<Sources>) -> Result<impl IntoResponse, Refused> {
    let (at_ns, status) = {
        let published = sources.published.borrow();
        (published.at_ns, published.status)
    };
    let everything = View { window: Window::All, until_ns: None };
    let make = async || sources.facts.outlines(everything).await.map(|graphs| service_graph::text(&graphs).into());
    let service_graph = sources.service_graph.get(at_ns, everything, make).await.map_err(ViewProblem::from)?;
    let own = Bytes::from(metrics::text(&sources.counters, &status));
    let parts = stream::iter([own, service_graph].map(Ok::<_, Infallible>));
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], Body::from_stream(parts)))
}

/// The facts of a window, of every environment, as the bytes of a `.graph` file.
async fn snapshot(
    State(sources): State<Sources>,
    Query(query): Query<ViewQuery>,
) -> Result<impl IntoResponse, Refused> {
    let (at_ns, shown) = {
        let published = sources.published.borrow();
        (published.at_ns, published.window)
    };
    let view = query.view(shown)?;
    let make = async || sources.facts.snapshot(view).await.map(Bytes::from);
    let snapshot = sources.snapshot.get(at_ns, view, make).await.map_err(ViewProblem::from)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], snapshot))
}

/// The graph of one environment; without a name, of the one with the most spans.
async fn graph(
    State(sources): State<Sources>,
    Query(query): Query<GraphQuery>,
) -> Result<Json<wire::GraphBody>, Refused> {
    let published = Arc::clone(&sources.published.borrow());
    let view = query.view.view(published.window)?;
    let is_published = view == View { window: published.window, until_ns: None };
    let graphs = if is_published {
        published.environments.clone()
    } else {
        sources.facts.outlines(view).await.map_err(ViewProblem::from)?
    };
    let names: Vec<&str> = graphs.iter().map(|graph| graph.environment.as_str()).collect();
    let graph = match &query.environment {
        None => graphs.first(),
        Some(wanted) => match graphs.iter().find(|graph| graph.environment == *wanted) {
            None => return Err(Refused(StatusCode::NOT_FOUND, no_environment(wanted, &names))),
            found => found,
        },
    };
    Ok(Json(wire::GraphBody::new(graph.map(Arc::as_ref), &names, view, published.at_ns)))
}

fn no_environment(wanted: &str, names: &[&str]) -> String {
    format!("no environment is called {wanted:?}; there are: {names:?}")
}

async fn trace(State(sources): State<Sources>, Path(id): Path<String>) -> Result<Json<wire::TraceBody>, Refused> {
    let id = trace_id(&id)?;
    let waterfall = sources.traces.waterfall(id).await;
    waterfall.map(|waterfall| Json(wire::TraceBody::from(waterfall))).ok_or_else(|| {
        let reason = format!("trace {id} is not stored: it has not settled yet, never came, or was the oldest of many");
        Refused(StatusCode::NOT_FOUND, reason)
    })
}

fn trace_id(text: &str) -> Result<TraceId, Refused> {
    let reason = || format!("{text:?} is no trace id: 1 to 32 hexadecimal digits");
    text.parse().map_err(|_| Refused(StatusCode::BAD_REQUEST, reason()))
}

/// The newest log lines, of one service or trace where the query says so.
async fn logs(State(sources): State<Sources>, Query(query): Query<LogsQuery>) -> Result<Json<wire::LogsBody>, Refused> {
    let trace_id = query.trace.as_deref().map(trace_id).transpose()?;
    let limit = query.limit.unwrap_or(MAX_ANSWERED_LINES).min(MAX_ANSWERED_LINES);
    let lines = sources.traces.logs(LogQuery { service: query.service, trace_id, limit }).await;
    lines.map(|lines| Json(lines.into())).ok_or_else(stopping)
}

/// What the services measure of themselves.
async fn measurements(State(sources): State<Sources>) -> Json<wire::ReadingsBody> {
    Json(wire::ReadingsBody::from(&*sources.published.borrow().readings))
}

impl From<ViewProblem> for Refused {
    fn from(problem: ViewProblem) -> Self {
        let status = match problem {
            ViewProblem::Unreadable(_) => StatusCode::BAD_REQUEST,
            ViewProblem::NotKept { .. } => StatusCode::NOT_FOUND,
            ViewProblem::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, problem.to_string())
    }
}

impl IntoResponse for ViewProblem {
    fn into_response(self) -> Response {
        Refused::from(self).into_response()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(RefusedBody { error: self.1 })).into_response()
    }
}

#[cfg(test)]
mod tests;

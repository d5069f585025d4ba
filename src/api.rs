//! The findings routes of the API. The collector knows no rules, so they are added here to the router that it returns.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use spanlint_analyzer::Analysis;
use spanlint_analyzer::report::{Report, ReportInput, Sampling, to_json};
use spanlint_tui::{Live, Source};

use crate::session::Session;

/// `GET /api/v1/findings`: the report of the live window, as `check --format json` writes it.
pub(crate) fn routes(session: Arc<Session>) -> Router {
    Router::new().route("/api/v1/findings", get(findings)).with_state(session)
}

async fn findings(State(session): State<Arc<Session>>) -> impl IntoResponse {
    let live = session.live().borrow().clone();
    ([(CONTENT_TYPE, "application/json")], report(&live))
}

fn report(live: &Live) -> String {
    let input = ReportInput {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        sources: live.status.endpoints.iter().map(|endpoint| endpoint.address.clone()).collect(),
        rejected_spans: live.status.rejected,
        sampling: Sampling::Unknown,
        command_exit: None,
    };
    let analysis = Analysis { findings: live.findings.to_vec(), undecided: live.undecided.to_vec() };
    to_json(&Report { input: &input, graph: &live.graph, analysis: &analysis })
}

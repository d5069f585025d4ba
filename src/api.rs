//! The routes of the API that know of findings. The collector knows no rules, so they are added here to the router that
//! it returns.

mod events;
pub(crate) mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use spanlint_analyzer::report::{Report, ReportInput, Sampling, to_json};
use spanlint_analyzer::{Analysis, Background};
use spanlint_collector::api::ViewQuery;
use spanlint_tui::Live;
use tokio_util::sync::CancellationToken;

use self::events::Events;
use self::status::StatusBody;
use crate::session::Session;

/// The paths of [`routes`].
pub(crate) const PATHS: [&str; 3] = ["/api/v1/findings", "/api/v1/status", "/api/v1/events"];

/// `GET /api/v1/findings`: the report of a window (`?window=`, `?at=`), as `check --format json` writes it. `/api/v1/status`: the
/// state of the collector. `/api/v1/events`: news of every picture, until `stopping`.
pub(crate) fn routes(session: Arc<Session>, stopping: CancellationToken) -> Router {
    let events = Events::new(session.pictures(), stopping);
    Router::new()
        .route("/api/v1/findings", get(findings))
        .route("/api/v1/status", get(status))
        .with_state(session)
        .merge(Router::new().route("/api/v1/events", get(events::stream)).with_state(events))
}

async fn findings(State(session): State<Arc<Session>>, Query(query): Query<ViewQuery>) -> Response {
    let shown = session.pictures().borrow().view.unwrap_or_default();
    let picture = match query.view(shown.window) {
        Ok(view) => session.picture(view).await,
        Err(problem) => Err(problem),
    };
    match picture {
        Ok(live) => ([(CONTENT_TYPE, "application/json")], report(&live)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn status(State(session): State<Arc<Session>>) -> Json<StatusBody> {
    let live = session.pictures().borrow().clone();
    Json(StatusBody::from(&*live))
}

fn report(live: &Live) -> String {
    let input = ReportInput {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        sources: live.status.endpoints.iter().map(|endpoint| endpoint.address.clone()).collect(),
        rejected_spans: live.status.rejected,
        sampling: Sampling::Unknown,
        command_exit: None,
    };
    let analysis = Analysis {
        findings: live.findings.to_vec(),
        undecided: live.undecided.to_vec(),
        background: Background::clone(&live.background),
    };
    to_json(&Report { input: &input, graph: &live.graph, analysis: &analysis })
}

#[cfg(test)]
mod tests {
    use spanlint_analyzer::Coverage;

    use super::*;

    #[test]
    fn a_live_report_says_what_its_verdicts_were_made_against() {
        let coverage = Coverage { untraced_services: vec!["ghost".to_owned()], ..Coverage::default() };
        let background = Arc::new(Background { coverage, ..Background::default() });
        let report: serde_json::Value =
            serde_json::from_str(&report(&Live { background, ..Live::default() })).expect("a report is JSON");
        assert_eq!(report["coverage"]["untraced_services"], serde_json::json!(["ghost"]));
    }
}

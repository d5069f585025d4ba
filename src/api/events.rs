//! Server-sent events: one for each picture, with the counters and the fingerprints of the findings. What changed is
//! for the listener to ask for; a listener that is too slow misses pictures, never the newest.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use futures_util::{Stream, stream};
use serde::Serialize;
use spanlint_analyzer::finding::Finding;
use spanlint_tui::Live;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::status::StatusBody;

/// The most listeners at a time.
const MAX_LISTENERS: usize = 16;

/// How often a silent stream shows that it lives: before a silent connection is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where events come from, and when they end.
#[derive(Debug, Clone)]
pub(super) struct Events {
    pictures: watch::Receiver<Arc<Live>>,
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

/// The data of one event.
#[derive(Debug, Serialize)]
struct EventBody {
    #[serde(flatten)]
    status: StatusBody,
    traces: u64,
    spans: u64,
    /// Fingerprints, those of the worst findings first.
    findings: Vec<String>,
}

impl Events {
    pub(super) fn new(pictures: watch::Receiver<Arc<Live>>, stopping: CancellationToken) -> Self {
        Self { pictures, places: Arc::new(Semaphore::new(MAX_LISTENERS)), stopping }
    }

    /// The newest picture at once, then every later one.
    fn listen(self, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
        let Self { mut pictures, stopping, .. } = self;
        pictures.mark_changed();
        // The place is given back when the listener goes and the stream is dropped with all that it holds.
        stream::unfold((pictures, stopping, place), async |(mut pictures, stopping, place)| {
            tokio::select! {
                changed = pictures.changed() => changed.ok()?,
                () = stopping.cancelled() => return None,
            }
            let event = event(&pictures.borrow_and_update());
            Some((Ok(event), (pictures, stopping, place)))
        })
    }
}

/// `GET /api/v1/events`.
pub(super) async fn stream(State(events): State<Events>) -> Response {
    let Ok(place) = Arc::clone(&events.places).try_acquire_owned() else {
        let error = format!("{MAX_LISTENERS} listeners are there already: ask /api/v1/status instead");
        return (StatusCode::SERVICE_UNAVAILABLE, Json(serde_json::json!({ "error": error }))).into_response();
    };
    Sse::new(events.listen(place)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn event(live: &Live) -> Event {
    let findings = live.findings.iter().filter(|finding| finding.suppressed.is_none());
    let body = EventBody {
        status: StatusBody::from(live),
        traces: live.graph.counts.traces,
        spans: live.graph.counts.spans,
        findings: findings.map(Finding::fingerprint).collect(),
    };
    let id = body.status.at_unix_ns.clone();
    Event::default().event("snapshot").id(id).json_data(body).expect("numbers and texts always encode")
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, BodyDataStream};
    use axum::http::Request;
    use axum::routing::get;
    use futures_util::StreamExt;
    use spanlint_tui::Status;
    use tower::ServiceExt;

    use super::*;

    fn picture(at_ns: u64, spans: u64) -> Arc<Live> {
        Arc::new(Live { at_ns, status: Status { spans, ..Status::default() }, ..Live::default() })
    }

    async fn ask(events: &Events) -> Response {
        let router = Router::new().route("/", get(stream)).with_state(events.clone());
        router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn next(body: &mut BodyDataStream) -> Option<String> {
        body.next().await.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_picture_is_an_event_until_the_collector_stops() {
        let pictures = watch::Sender::new(picture(1, 10));
        let stopping = CancellationToken::new();
        let events = Events::new(pictures.subscribe(), stopping.clone());
        let response = ask(&events).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body().into_data_stream();
        let first = next(&mut body).await.unwrap();
        assert!(first.contains("event: snapshot\n") && first.contains("id: 1\n"), "{first}");
        pictures.send_replace(picture(2, 20));
        pictures.send_replace(picture(3, 30));
        let newest = next(&mut body).await.unwrap();
        assert!(newest.contains("\"at_unix_ns\":\"3\"") && newest.contains("\"accepted_spans\":30"), "{newest}");
        assert!(newest.contains("\"findings\":[]"), "{newest}");
        stopping.cancel();
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn listeners_are_bounded_and_who_leaves_makes_room() {
        let pictures = watch::Sender::new(picture(1, 10));
        let events = Events::new(pictures.subscribe(), CancellationToken::new());
        let mut listeners = Vec::new();
        for _ in 0..MAX_LISTENERS {
            listeners.push(ask(&events).await);
        }
        assert_eq!(ask(&events).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        listeners.pop();
        assert_eq!(ask(&events).await.status(), StatusCode::OK);
    }
}

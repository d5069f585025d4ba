//! Every route, asked without a socket.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use spanlint_graph::SpanBatch;
use tower::ServiceExt;

use super::*;
use crate::live::LiveSettings;
use crate::live::tests::simulated;
use crate::testing::{EPOCH_NS, batch, child, root};

/// The API of a collector that has published one trace of two services.
async fn api() -> Router {
    let live = simulated(&LiveSettings::default());
    live.intake().submit(batch(&[root(0xabc, 1), child(0xabc, 2, 1)])).unwrap();
    let mut published = live.published();
    published.wait_for(|published| !published.environments.is_empty()).await.unwrap();
    guarded(router(&live, Arc::default(), None), &[], Guard::default())
}

async fn get_from(api: Router, path: &str, host: &str) -> (StatusCode, String) {
    let request = Request::get(path).header(header::HOST, host).body(Body::empty()).unwrap();
    let response = api.oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.into()).unwrap())
}

async fn get(path: &str) -> (StatusCode, String) {
    get_from(api().await, path, "localhost:4319").await
}

async fn get_json(path: &str) -> Value {
    let (status, body) = get(path).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[track_caller]
fn check_refused((status, body): (StatusCode, String), expected: StatusCode, words: &[&str]) {
    assert_eq!(status, expected, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let sentence = body["error"].as_str().unwrap();
    for word in words {
        assert!(sentence.contains(word), "{sentence}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_graph_has_the_shape_of_reports() {
    let graph = get_json("/api/v1/graph").await;
    assert_eq!(graph["schema_version"], SCHEMA_VERSION);
    assert_eq!((&graph["traces"], &graph["spans"]), (&json!(1), &json!(2)));
    assert_eq!(graph["environments"], json!([""]));
    let service = |name: &str| json!({"id": format!("service:{name}"), "kind": "service", "name": name});
    let client = json!({"id": "client", "kind": "client", "name": "client"});
    assert_eq!(graph["nodes"], json!([client, service("service-0"), service("service-1")]));
    let edge = graph["edges"].as_array().unwrap().iter().find(|edge| edge["from"] == "service:service-0").unwrap();
    assert_eq!((&edge["to"], &edge["calls"], &edge["errors"]), (&json!("service:service-1"), &json!(1), &json!(0)));
    let latency = edge["latency_ms_p95"].as_f64().unwrap();
    assert!((4.8..=5.2).contains(&latency), "{latency}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_environment_is_told_which_there_are() {
    check_refused(get("/api/v1/graph?environment=moon").await, StatusCode::NOT_FOUND, &["moon", "[\"\"]"]);
    assert_eq!(get_json("/api/v1/graph?environment=").await["spans"], 2);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_trace_the_graph_is_empty() {
    let live = simulated(&LiveSettings::default());
    let api = guarded(router(&live, Arc::default(), None), &[], Guard::default());
    let (status, body) = get_from(api, "/api/v1/graph", "localhost").await;
    let graph: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &graph["nodes"], &graph["edges"]), (StatusCode::OK, &json!([]), &json!([])));
}

#[tokio::test(start_paused = true)]
async fn a_trace_is_given_as_a_tree_in_order() {
    let trace = get_json("/api/v1/traces/abc").await;
    assert_eq!(trace["trace_id"], "00000000000000000000000000000abc");
    assert_eq!(trace["start_unix_ns"], EPOCH_NS.to_string());
    let spans = trace["spans"].as_array().unwrap();
    let shown: Vec<_> = spans.iter().map(|span| (span["depth"].clone(), span["service"].clone())).collect();
    assert_eq!(shown, [(json!(0), json!("service-0")), (json!(1), json!("service-1"))]);
}

#[tokio::test(start_paused = true)]
async fn wrong_and_unknown_traces_are_refused_in_a_sentence() {
    check_refused(get("/api/v1/traces/xyz").await, StatusCode::BAD_REQUEST, &["xyz", "hexadecimal"]);
    check_refused(get("/api/v1/traces/1").await, StatusCode::NOT_FOUND, &["not stored"]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_path_is_told_what_exists() {
    check_refused(get("/graph").await, StatusCode::NOT_FOUND, &["/api/v1/graph", "/metrics"]);
}

async fn status(api: &Router, path: &str, host: &str, token: &str) -> StatusCode {
    let request = Request::get(path).header(header::HOST, host).header(header::AUTHORIZATION, token);
    api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn with_a_token_only_who_knows_it_learns_anything() {
    let live = simulated(&LiveSettings::default());
    let token = crate::access::Token::new("0123456789abcdef").unwrap();
    let known = token.authorization();
    let api = guarded(router(&live, Arc::default(), None), &[], Guard { token: Some(token), is_certified: false });
    for host in ["localhost", "collector.internal:4319"] {
        assert_eq!(status(&api, "/api/v1/graph", host, &known).await, StatusCode::OK);
        assert_eq!(status(&api, "/api/v1/graph", host, "Bearer wrong").await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(&api, "/nowhere", host, "").await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(&api, "/readyz", host, "").await, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_host_learns_nothing() {
    for path in ["/api/v1/graph", "/nowhere", "/healthz"] {
        let refused = get_from(api().await, path, "evil.test").await;
        check_refused(refused, StatusCode::FORBIDDEN, &["Host header"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_numbers_are_those_of_the_collector() {
    let (status, body) = get("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("# TYPE spanlint_settled_traces_total counter\nspanlint_settled_traces_total 1\n"), "{body}");
    assert!(body.contains("# TYPE spanlint_stored_traces gauge\nspanlint_stored_traces 1\n"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn the_service_graph_is_that_of_the_whole_run() {
    let settings = LiveSettings { window: Window::Minute, ..LiveSettings::default() };
    let live = simulated(&settings);
    let api = guarded(router(&live, Arc::default(), None), &[], Guard::default());
    let mut published = live.published();
    let line = r#"traces_service_graph_request_total{client="service-0",server="service-1",connection_type=""}"#;
    for round in 1..=2u32 {
        live.intake().submit(batch(&[root(round.into(), 1), child(round.into(), 2, 1)])).unwrap();
        published.wait_for(|published| published.status.settled_traces == u64::from(round)).await.unwrap();
        let (_, body) = get_from(api.clone(), "/metrics", "localhost").await;
        assert!(body.contains(&format!("{line} {round}\n")), "{body}");
        // The trace slides out of the window; a counter stays.
        published.wait_for(|published| published.environments.is_empty()).await.unwrap();
        let (_, body) = get_from(api.clone(), "/metrics", "localhost").await;
        assert!(body.contains(&format!("{line} {round}\n")), "{body}");
    }
}

/// `EPOCH_NS`, when the traces of tests begin.
const EPOCH: &str = "2023-11-14T22:13:20Z";

#[tokio::test(start_paused = true)]
async fn any_kept_window_can_be_asked_for() {
    let live = simulated(&LiveSettings { window: Window::Minute, ..LiveSettings::default() });
    let api = guarded(router(&live, Arc::default(), None), &[], Guard::default());
    live.intake().submit(batch(&[root(0xabc, 1), child(0xabc, 2, 1)])).unwrap();
    let mut published = live.published();
    published.wait_for(|published| !published.environments.is_empty()).await.unwrap();
    published.wait_for(|published| published.environments.is_empty()).await.unwrap();
    for (query, expected) in [
        ("", 0),
        ("?window=1m", 0),
        ("?window=5m", 2),
        ("?window=all", 2),
        (&*format!("?at={EPOCH}"), 2),
        (&format!("?window=15m&at={EPOCH}"), 2),
    ] {
        let (status, body) = get_from(api.clone(), &format!("/api/v1/graph{query}"), "localhost").await;
        let graph: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &graph["spans"]), (StatusCode::OK, &json!(expected)), "{query}");
        let request = Request::get(format!("/api/v1/snapshot{query}")).header(header::HOST, "localhost");
        let answer = api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let (facts, _) = spanlint_graph::file::read(&bytes).unwrap();
        let spans: u64 = facts.environments.values().map(|environment| environment.counts.spans).sum();
        assert_eq!(spans, expected, "{query}");
    }
    for path in ["graph", "snapshot"] {
        let ask = async |query: &str| get_from(api.clone(), &format!("/api/v1/{path}{query}"), "localhost").await;
        check_refused(ask("?window=7m").await, StatusCode::BAD_REQUEST, &["7m", "15m"]);
        check_refused(ask("?at=noon").await, StatusCode::BAD_REQUEST, &["noon", "no time"]);
        let early = ask("?at=2023-11-14T22:00:00Z").await;
        check_refused(early, StatusCode::NOT_FOUND, &["not kept", "history begins at 2023-11-14T22:1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_gives_the_graph_that_is_published() {
    let live = simulated(&LiveSettings::default());
    live.intake().submit(batch(&[root(0xabc, 1), child(0xabc, 2, 1)])).unwrap();
    let mut published = live.published();
    let published = published.wait_for(|published| !published.environments.is_empty()).await.unwrap().clone();
    let request = Request::get("/api/v1/snapshot").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    let response = router(&live, Arc::default(), None).oneshot(request).await.unwrap();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let (facts, names) = spanlint_graph::file::read(&bytes).unwrap();
    let environments = spanlint_graph::resolve::environments(&facts, &names);
    assert_eq!(spanlint_graph::resolve(&facts, environments[0], &names), *published.environments[0]);
}

#[tokio::test(start_paused = true)]
async fn the_version_says_what_can_be_read() {
    let version = get_json("/api/v1/version").await;
    assert_eq!(serde_json::from_value::<wire::Version>(version).unwrap(), wire::Version::own());
}

#[tokio::test]
async fn a_full_queue_is_not_ready_until_there_is_room() {
    // The owner cannot run before this test waits for it.
    let live = simulated(&LiveSettings::default());
    let api = guarded(router(&live, Arc::default(), None), &[], Guard::default());
    let mut filled = 0;
    while live.intake().submit(SpanBatch::default()).is_ok() {
        filled += 1;
    }
    assert_eq!(filled, crate::live::MAX_QUEUED_BATCHES);
    let refused = get_from(api.clone(), "/readyz", "localhost").await;
    check_refused(refused, StatusCode::SERVICE_UNAVAILABLE, &["queue is full"]);
    live.facts().snapshot(View::default()).await.unwrap();
    while get_from(api.clone(), "/readyz", "localhost").await.0 != StatusCode::OK {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_data_folder_that_cannot_be_written_is_not_ready_until_it_can() {
    let live = simulated(&LiveSettings::default());
    let (tell, trouble) = watch::channel(None);
    let api = guarded(router(&live, Arc::default(), Some(trouble)), &[], Guard::default());
    assert_eq!(get_from(api.clone(), "/readyz", "localhost").await.0, StatusCode::OK);
    tell.send_replace(Some("no space left".to_owned()));
    let refused = get_from(api.clone(), "/readyz", "localhost").await;
    check_refused(refused, StatusCode::SERVICE_UNAVAILABLE, &["data folder", "no space left", "come again"]);
    tell.send_replace(None);
    assert_eq!(get_from(api, "/readyz", "localhost").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_store_too_small_for_what_is_cited_is_told() {
    let live = simulated(&LiveSettings { stored_bytes: 1, ..LiveSettings::default() });
    live.intake().submit(batch(&[root(1, 1), child(1, 2, 1)])).unwrap();
    let mut published = live.published();
    published.wait_for(|published| published.status.settled_traces == 1).await.unwrap();
    let (status, body) =
        get_from(guarded(router(&live, Arc::default(), None), &[], Guard::default()), "/readyz", "localhost").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("store is too small"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_stopped_is_alive_but_not_ready() {
    let live = simulated(&LiveSettings::default());
    let api = guarded(router(&live, Arc::default(), None), &[], Guard::default());
    assert_eq!(get_from(api.clone(), "/readyz", "localhost").await.0, StatusCode::OK);
    live.finish().await;
    assert_eq!(get_from(api.clone(), "/readyz", "localhost").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get_from(api, "/healthz", "localhost").await.0, StatusCode::OK);
}

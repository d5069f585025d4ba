//! A whole collector on real ports, from start to end.

use axum::routing::get;

use super::*;
use crate::assemble::Settle;
use crate::live::LiveSettings;

/// A collector with an API that settles at its end.
async fn start() -> Collector {
    let private = CollectorConfig::private();
    let live = LiveSettings { settle: Settle::AtEnd, ..LiveSettings::default() };
    Collector::start(CollectorConfig { api: private.otlp_grpc, live, ..private }).await.unwrap()
}

/// Sends one span over OTLP/HTTP.
async fn send(address: SocketAddr, trace: u8) {
    let body = format!(
        r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{{"traceId": "{trace:032x}", "spanId": "00000000000000ab",
            "name": "work", "kind": 2, "startTimeUnixNano": "1000000", "endTimeUnixNano": "2000000"}}]}}]}}]}}"#
    );
    post(address, "/v1/traces", body).await;
}

async fn post(address: SocketAddr, path: &str, body: String) {
    let request = reqwest::Client::new().post(format!("http://{address}{path}"));
    let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn what_was_accepted_on_any_port_is_in_the_facts() {
    let collector = start().await;
    let Addresses { otlp_grpc, otlp_http, .. } = collector.addresses();
    send(otlp_http.unwrap(), 1).await;
    send(otlp_grpc.unwrap(), 2).await;
    assert_eq!(collector.counters().accepted_spans.get(), 2);
    let finished = collector.finish().await;
    let traces: Vec<u64> = finished.facts.environments.values().map(|environment| environment.counts.traces).collect();
    assert_eq!(traces, [2]);
    assert_eq!(finished.status.accepted_spans, 2);
    TcpListener::bind(otlp_http.unwrap()).await.expect("the port is free again");
}

#[tokio::test]
async fn the_api_has_the_routes_of_both() {
    let mut collector = start().await;
    let address = collector.addresses().api.unwrap();
    let findings = Router::new().route("/api/v1/findings", get(|| async { "none" }));
    collector.serve_api(findings, &["/api/v1/findings"]);
    let ask = async |path: &str| reqwest::get(format!("http://{address}{path}")).await.unwrap();
    assert_eq!(ask("/healthz").await.status(), 200);
    assert_eq!(ask("/api/v1/findings").await.text().await.unwrap(), "none");
    assert_eq!(ask("/nowhere").await.status(), 404);
    let foreign = reqwest::Client::new().get(format!("http://{address}/api/v1/findings")).header("host", "evil.test");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    collector.finish().await;
}

#[tokio::test]
async fn a_trace_that_memory_does_not_hold_is_read_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let live = LiveSettings { settle: Settle::AtEnd, ..LiveSettings::default() };
    let data_dir = Some(folder.path().to_owned());
    let collector = Collector::start(CollectorConfig { live, data_dir, ..CollectorConfig::private() }).await.unwrap();
    for trace in 1..4 {
        send(collector.addresses().otlp_http.unwrap(), trace).await;
    }
    let record =
        format!(r#"{{"traceId": "{:032x}", "spanId": "00000000000000ab", "body": {{"stringValue": "done"}}}}"#, 2);
    let logs = format!(r#"{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{record}]}}]}}]}}"#);
    post(collector.addresses().otlp_http.unwrap(), "/v1/logs", logs).await;
    let found = collector.trace(TraceId(2)).await.unwrap();
    assert_eq!((found.trace_id, found.rows.len(), &*found.rows[0].name), (TraceId(2), 1, "work"));
    assert_eq!(&*found.rows[0].logs[0].body, "done");
    assert!(collector.trace(TraceId(7)).await.is_none());
    collector.finish().await;
}

#[tokio::test]
async fn a_taken_address_is_named_with_its_flag() {
    let first = start().await;
    let taken = first.addresses().otlp_http;
    let error = Collector::start(CollectorConfig { otlp_http: taken, ..CollectorConfig::private() }).await.unwrap_err();
    let (message, address) = (error.to_string(), taken.unwrap().to_string());
    assert!(message.contains(&address) && message.contains(OTLP_HTTP_FLAG), "{message}");
    first.finish().await;
}

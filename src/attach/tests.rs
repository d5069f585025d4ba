//! A dashboard's source attached to real collectors, and to what only looks like one.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Json;
use axum::routing::get;
use spanlint_collector::api::wire::Version;
use spanlint_collector::assemble::Settle;
use spanlint_collector::live::LiveSettings;
use spanlint_collector::{Collector, CollectorConfig};

use super::*;
use crate::service::Service;

const SPAN: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"GET /","kind":2,"startTimeUnixNano":"1000","endTimeUnixNano":"2000"}]}]}]}"#;
const TRACE: TraceId = TraceId(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);

/// A collector whose API is at `api`, and whose traces settle at once.
async fn start(api: SocketAddr) -> Service {
    let settle = Settle::Quiet { complete: Duration::ZERO, incomplete: Duration::ZERO };
    let live = LiveSettings { settle, ..LiveSettings::default() };
    let config = CollectorConfig { api: Some(api), live, ..CollectorConfig::private() };
    Service::start(Collector::start(config).await.unwrap(), Judge::default(), None)
}

async fn send(service: &Service) {
    let url = format!("http://{}/v1/traces", service.collector.addresses().otlp_http.unwrap());
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    assert_eq!(request.body(SPAN).send().await.unwrap().status(), 200);
}

fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_is_the_collectors_and_stays_when_it_goes() {
    let service = start(free()).await;
    let api = service.collector.addresses().api.unwrap();
    let attached = Attached::connect(&api.to_string(), None, None, Judge::default()).await.unwrap();
    let mut pictures = attached.live();
    send(&service).await;
    let shown = pictures.wait_for(|live| !live.graph.nodes.is_empty()).await.unwrap().clone();
    let own = service.session.live().borrow().clone();
    assert_eq!(shown.graph, own.graph);
    assert_eq!((&shown.status.endpoints, shown.status.spans), (&own.status.endpoints, 1));
    assert_eq!(shown.status.notice, None);
    let source = Arc::clone(&attached);
    let fetch = move |id| (source.trace(id), source.trace(TraceId(1)));
    let (trace, none) = tokio::task::spawn_blocking(move || fetch(TRACE)).await.unwrap();
    assert_eq!(trace, service.collector.trace(TRACE).await);
    assert_eq!((trace.unwrap().rows.len(), none), (1, None));

    service.collector.finish().await;
    let last = pictures.wait_for(|live| live.status.notice.is_some()).await.unwrap().clone();
    let notice = last.status.notice.as_ref().unwrap();
    assert!(notice.contains("last picture") && notice.contains(&api.to_string()), "{notice}");
    assert_eq!(last.graph, shown.graph);

    let again = start(api).await;
    let fresh = pictures.wait_for(|live| live.status.notice.is_none()).await.unwrap().clone();
    assert!(fresh.graph.nodes.is_empty());
    again.collector.finish().await;
}

async fn refused(url: &str) -> String {
    crate::failure::message(&Attached::connect(url, None, None, Judge::default()).await.unwrap_err())
}

#[tokio::test]
async fn who_is_not_there_or_no_spanlint_is_told_so() {
    let gone = tokio::net::TcpListener::bind(free()).await.unwrap().local_addr().unwrap();
    let message = refused(&format!("http://{gone}")).await;
    assert!(message.contains(&gone.to_string()) && message.contains("does not answer"), "{message}");
    assert!(refused("https://localhost:1").await.contains("plain HTTP"));
    assert!(refused("http://:x").await.contains("no address"));
    let service = start(free()).await;
    let otlp = service.collector.addresses().otlp_http.unwrap();
    let message = refused(&otlp.to_string()).await;
    assert!(message.contains("not the API of a spanlint"), "{message}");
    service.collector.finish().await;
}

/// The address of something that says to be of this version.
async fn impostor(version: Version) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(free()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/api/v1/version", get(|| async { Json(version) }));
    tokio::spawn(async { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn another_version_is_named() {
    let other = Version { version: "9.9.9".to_owned(), snapshot_format: 99, ..Version::own() };
    let message = refused(&impostor(other).await.to_string()).await;
    assert!(message.contains("9.9.9") && message.contains("use the same version"), "{message}");
    let newer = Version { version: "9.9.9".to_owned(), ..Version::own() };
    let remote = Remote::new(&impostor(newer).await.to_string(), None).unwrap();
    remote.check_version().await.unwrap();
    assert!(remote.other_version().unwrap().contains("9.9.9"));
}

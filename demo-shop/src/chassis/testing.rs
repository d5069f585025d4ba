//! Stand-ins for tests: telemetry without a receiver, peers without sockets, recorded spans.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use serde_json::Value;
use tower::ServiceExt;

use super::bus::Bus;
use super::client::{Answer, Outgoing, Peer, Transport, TransportError};
use super::database::Database;
use super::outbox::Outbox;
use super::telemetry::Telemetry;

/// Telemetry that goes nowhere.
pub(crate) fn telemetry() -> Telemetry {
    Telemetry::new(&SdkTracerProvider::builder().build())
}

/// A peer whose requests go straight into a router.
pub(crate) fn peer(name: &'static str, router: Router) -> Peer {
    Peer::new(name, Arc::new(Local(router)), telemetry())
}

/// An outbox without consumers.
pub(crate) fn outbox(database: &Database) -> Outbox {
    Outbox::start("test", database.clone(), Bus::default(), telemetry()).unwrap()
}

struct Local(Router);

impl Transport for Local {
    fn send<'a>(
        &'a self,
        _: &'a str,
        request: Outgoing,
        _: String,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Answer, TransportError>> + Send + 'a>> {
        Box::pin(async move {
            let request = build(request.method, &request.path_and_query, request.body.unwrap_or_default());
            let response = self.0.clone().oneshot(request).await.unwrap();
            let status = response.status();
            Ok((status, to_bytes(response.into_body(), usize::MAX).await.unwrap()))
        })
    }
}

fn build(method: Method, path: &str, body: Vec<u8>) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    builder.body(body.into()).unwrap()
}

/// Asks a router and reads the answer as JSON.
pub(crate) async fn ask(router: &Router, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let response = router.clone().oneshot(build(method, path, body)).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Keeps every span with the name of its service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder {
    spans: Arc<Mutex<Vec<(&'static str, SpanData)>>>,
}

impl Recorder {
    pub(crate) fn exporter(&self, service: &'static str) -> impl SpanExporter + 'static {
        Recording { service, recorder: self.clone() }
    }

    pub(crate) fn take(&self) -> Vec<(&'static str, SpanData)> {
        std::mem::take(&mut self.spans.lock().unwrap())
    }
}

#[derive(Debug)]
struct Recording {
    service: &'static str,
    recorder: Recorder,
}

impl SpanExporter for Recording {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut spans = self.recorder.spans.lock().unwrap();
        spans.extend(batch.into_iter().map(|span| (self.service, span)));
        Ok(())
    }
}

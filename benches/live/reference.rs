//! What the collector is measured against: a program that decodes to the public `opentelemetry-proto` types and drops
//! them, and one that drops the bytes as they came, below which no server can be. They are this same program in a process
//! of its own, as servers that take what the collector takes, or as a reader of a file of JSON lines.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crate::load::{GRPC_PATH, HTTP_PATH};

/// Decodes what comes until it is killed.
pub(crate) fn decode() -> anyhow::Result<()> {
    serve(Router::new().route(HTTP_PATH, post(http)).route_service(GRPC_PATH, TraceServiceServer::new(Grpc)))
}

/// Takes what comes until it is killed.
pub(crate) fn receive() -> anyhow::Result<()> {
    serve(Router::new().route(HTTP_PATH, post(take)).route(GRPC_PATH, post(take)))
}

/// Serves, and says where on standard error.
fn serve(router: Router) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        eprintln!("serving on {}", listener.local_addr()?);
        Ok(axum::serve(listener, router).await?)
    })
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<()> {
    let mut lines = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        drop_black(serde_json::from_slice::<ExportTraceServiceRequest>(&line)?);
        line.clear();
    }
    Ok(())
}

/// An answer that is one of gRPC, too.
async fn take(body: Bytes) -> [(&'static str, &'static str); 1] {
    drop_black(body);
    [("grpc-status", "0")]
}

async fn http(headers: HeaderMap, body: Bytes) -> StatusCode {
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|content_type| content_type == "application/json");
    let request = if is_json {
        serde_json::from_slice::<ExportTraceServiceRequest>(&body).ok()
    } else {
        ExportTraceServiceRequest::decode(body).ok()
    };
    let status = if request.is_some() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    drop_black(request);
    status
}

struct Grpc;

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        drop_black(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn drop_black<T>(value: T) {
    drop(black_box(value));
}

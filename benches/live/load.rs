//! Senders: four connections, each with one request after another, as fast as answers come or at a given pace. Who is
//! asked to come again does not: it is counted, and the next request follows.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, sleep_until};

use crate::shop::SPANS_PER_REQUEST;
use crate::template::{Encoding, Template};

/// Where gRPC takes traces.
pub(crate) const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Where HTTP takes traces.
pub(crate) const HTTP_PATH: &str = "/v1/traces";

const CONNECTIONS: usize = 4;
/// The spans of a request end before it is sent.
const AGE: Duration = Duration::from_secs(2);

/// What is sent.
pub(crate) struct Load {
    pub(crate) encoding: Encoding,
    pub(crate) templates: Vec<Template>,
    pub(crate) requests: u64,
    /// In spans per second; none is as fast as answers come.
    pub(crate) pace: Option<u64>,
}

/// What became of it, in spans.
pub(crate) struct Sent {
    pub(crate) taken: u64,
    pub(crate) asked_again: u64,
    pub(crate) seconds: f64,
}

/// Sends everything.
pub(crate) async fn send(load: Load, address: &str) -> anyhow::Result<Sent> {
    let (load, next, start) = (Arc::new(load), Arc::new(AtomicU64::new(0)), Instant::now());
    let connect = |_| tokio::spawn(connection(load.clone(), next.clone(), address.to_owned(), start));
    let connections: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    let mut taken = 0;
    for connection in connections {
        taken += connection.await.context("a sender broke")??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let of = |requests: u64| requests * SPANS_PER_REQUEST;
    Ok(Sent { taken: of(taken), asked_again: of(load.requests - taken), seconds })
}

/// Sends what no other connection has sent; answers how many requests were taken.
async fn connection(load: Arc<Load>, next: Arc<AtomicU64>, address: String, start: Instant) -> anyhow::Result<u64> {
    let client = client(load.encoding);
    let mut taken = 0;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= load.requests {
            return Ok(taken);
        }
        if let Some(pace) = load.pace {
            sleep_until(start + Duration::from_secs_f64((number * SPANS_PER_REQUEST) as f64 / pace as f64)).await;
        }
        let requests = load.templates.len() as u64;
        let earliest = SystemTime::now() - AGE;
        let earliest_ns = earliest.duration_since(UNIX_EPOCH).expect("it is after 1970").as_nanos() as u64;
        let body = load.templates[(number % requests) as usize].fresh(number / requests, earliest_ns);
        let answer = client.request(request(load.encoding, &address, body)).await.context("a request went nowhere")?;
        taken += u64::from(is_taken(load.encoding, answer).await?);
    }
}

/// A client keeps the connection it has made.
fn client(encoding: Encoding) -> Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).http2_only(encoding == Encoding::Grpc).build(connector)
}

fn request(encoding: Encoding, address: &str, body: Bytes) -> Request<Full<Bytes>> {
    let (path, content_type) = match encoding {
        Encoding::Protobuf => (HTTP_PATH, "application/x-protobuf"),
        Encoding::Grpc => (GRPC_PATH, "application/grpc"),
        Encoding::Json => (HTTP_PATH, "application/json"),
    };
    let mut request = Request::post(format!("http://{address}{path}")).header(CONTENT_TYPE, content_type);
    if encoding == Encoding::Grpc {
        request = request.header(TE, "trailers");
    }
    request.body(Full::new(body)).expect("the parts are valid")
}

/// Whether a request was taken; it fails where it was neither that nor asked to come again.
async fn is_taken<B>(encoding: Encoding, answer: Response<B>) -> anyhow::Result<bool>
where
    B: BodyExt<Error: Error + Send + Sync + 'static>,
{
    let (head, body) = answer.into_parts();
    let body = body.collect().await.context("an answer broke off")?;
    let grpc_status = |headers: &HeaderMap| Some(headers.get("grpc-status")?.as_bytes().to_vec());
    let grpc_status = grpc_status(&head.headers).or_else(|| grpc_status(body.trailers()?));
    match (encoding, head.status, grpc_status.as_deref()) {
        (Encoding::Grpc, StatusCode::OK, Some(b"0")) | (Encoding::Protobuf | Encoding::Json, StatusCode::OK, _) => {
            Ok(true)
        }
        (Encoding::Grpc, StatusCode::OK, Some(b"14"))
        | (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => Ok(false),
        (_, status, _) => bail!("answered with {status}, {:?}", head.headers),
    }
}

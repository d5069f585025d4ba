//! Calls to other services: URL, context, deadline, retry, breaker and the CLIENT span of every attempt.
//!
//! Services hold a [`Peer`] per service they call. Telemetry shows the peer's name, never its port of today.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http::{Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::discovery::Directory;
use super::error::Error;
use super::resilience::{Breaker, Policy};
use super::telemetry::{ActiveSpan, SpanKind, TRACEPARENT, Telemetry};

/// A request without the address of the one who answers it.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    pub(crate) body: Option<Vec<u8>>,
}

/// Status and body.
pub(crate) type Answer = (StatusCode, Bytes);
type Sending<'a> = Pin<Box<dyn Future<Output = Result<Answer, TransportError>> + Send + 'a>>;

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("no address is known for it")]
    Unknown,
    #[error("the deadline passed")]
    Timeout,
    #[error("the connection failed")]
    Connection(#[from] reqwest::Error),
}

impl TransportError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_peer",
            Self::Timeout => "timeout",
            Self::Connection(_) => "connection",
        }
    }
}

/// Brings a request to a service by name: over HTTP, or in tests straight into a router.
pub(crate) trait Transport: Send + Sync {
    fn send<'a>(&'a self, peer: &'a str, request: Outgoing, traceparent: String) -> Sending<'a>;
}

/// A client for the loopback interface, where a proxy of the environment has no business.
pub(crate) fn local_client(timeout: Duration) -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().timeout(timeout);
    builder.build().expect("a client without TLS has nothing to load")
}

/// Real HTTP on the loopback interface.
pub(crate) struct Http {
    client: reqwest::Client,
    directory: Directory,
}

impl Http {
    pub(crate) fn new(client: reqwest::Client, directory: Directory) -> Self {
        Self { client, directory }
    }
}

impl Transport for Http {
    fn send<'a>(&'a self, peer: &'a str, request: Outgoing, traceparent: String) -> Sending<'a> {
        Box::pin(async move {
            let address = self.directory.resolve(peer).ok_or(TransportError::Unknown)?;
            let url = format!("http://{address}{}", request.path_and_query);
            let mut builder = self.client.request(request.method, url);
            builder = builder.header(header::HOST, peer).header(TRACEPARENT, traceparent);
            if let Some(body) = request.body {
                builder = builder.header(header::CONTENT_TYPE, "application/json").body(body);
            }
            let response = builder.send().await?;
            Ok((response.status(), response.bytes().await?))
        })
    }
}

/// Another service, as its caller sees it.
#[derive(Clone)]
pub(crate) struct Peer {
    name: &'static str,
    transport: Arc<dyn Transport>,
    telemetry: Telemetry,
    policy: Policy,
    breaker: Arc<Breaker>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Peer").field(&self.name).finish()
    }
}

impl Peer {
    pub(crate) fn new(name: &'static str, transport: Arc<dyn Transport>, telemetry: Telemetry) -> Self {
        Self { name, transport, telemetry, policy: Policy::default(), breaker: Arc::default() }
    }

    /// A call that may be repeated: it reads only.
    pub(crate) fn get(&self, template: &'static str) -> Call<'_> {
        self.call(Method::GET, template, true)
    }

    /// A call that is made once; see [`Call::idempotent`].
    pub(crate) fn post(&self, template: &'static str) -> Call<'_> {
        self.call(Method::POST, template, false)
    }

    /// A call that may be repeated: what is gone stays gone.
    pub(crate) fn delete(&self, template: &'static str) -> Call<'_> {
        self.call(Method::DELETE, template, true)
    }

    fn call(&self, method: Method, template: &'static str, repeatable: bool) -> Call<'_> {
        let request = Outgoing { method, path_and_query: template.to_owned(), body: None };
        Call { peer: self, template, request, repeatable, failure: None }
    }
}

/// One call in the making.
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub(crate) struct Call<'a> {
    peer: &'a Peer,
    template: &'static str,
    request: Outgoing,
    repeatable: bool,
    failure: Option<Error>,
}

impl Call<'_> {
    /// Fills the next `{placeholder}` of the template.
    pub(crate) fn arg(mut self, value: &str) -> Self {
        let path = &self.request.path_and_query;
        let (Some(start), Some(end)) = (path.find('{'), path.find('}')) else {
            self.failure = Some(Error::internal(format!("no placeholder is left in {}", self.template)));
            return self;
        };
        self.request.path_and_query = format!("{}{}{}", &path[..start], encode(value), &path[end + 1..]);
        self
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, key: &str, value: &str) -> Self {
        let separator = if self.request.path_and_query.contains('?') { "&" } else { "?" };
        for part in [separator, key, "=", &encode(value)] {
            self.request.path_and_query.push_str(part);
        }
        self
    }

    /// Sets the body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.request.body = Some(bytes),
            Err(error) => self.failure = Some(error.into()),
        }
        self
    }

    /// Says that repeating the call does no harm, although it is a POST.
    pub(crate) fn idempotent(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Calls, repeats what may be repeated, and reads the answer.
    pub(crate) async fn send<T: DeserializeOwned>(mut self) -> Result<T, Error> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let peer = self.peer;
        let started = Instant::now();
        let attempts = if self.repeatable { peer.policy.attempts } else { 1 };
        let mut attempt = 0;
        loop {
            peer.breaker.permit().map_err(|open| Error::unavailable(peer.name, open))?;
            let left = peer.policy.deadline.saturating_sub(started.elapsed());
            let outcome = self.attempt(attempt, left).await;
            let failed = outcome.as_ref().map_or(true, |(status, _)| status.is_server_error());
            peer.breaker.record(!failed);
            attempt += 1;
            let pause = peer.policy.backoff.pause(attempt);
            if !failed || attempt >= attempts || started.elapsed() + pause >= peer.policy.deadline {
                return read(peer.name, outcome);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, attempt: u32, left: Duration) -> Result<Answer, TransportError> {
        let span = self.span(attempt);
        let sending = self.peer.transport.send(self.peer.name, self.request.clone(), span.traceparent());
        let outcome = match timeout(left, sending).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TransportError::Timeout),
        };
        match &outcome {
            Ok((status, _)) => {
                span.set("http.response.status_code", i64::from(status.as_u16()));
                if status.is_client_error() || status.is_server_error() {
                    span.fail(status.as_u16().to_string());
                }
            }
            Err(error) => span.fail(error.error_type()),
        }
        outcome
    }

    fn span(&self, attempt: u32) -> ActiveSpan {
        let (peer, request) = (self.peer, &self.request);
        let span = peer.telemetry.child(SpanKind::Client, format!("{} {}", request.method, self.template));
        span.set("http.request.method", request.method.to_string());
        span.set("url.full", format!("http://{}{}", peer.name, request.path_and_query));
        span.set("url.template", self.template);
        span.set("server.address", peer.name);
        span.set("service.peer.name", peer.name);
        span.set("network.peer.address", "127.0.0.1");
        span.set("network.protocol.version", "1.1");
        if attempt > 0 {
            span.set("http.request.resend_count", i64::from(attempt));
        }
        span
    }
}

/// A refusal is handed on with its status and message; a failure only says who failed.
fn read<T: DeserializeOwned>(peer: &str, outcome: Result<Answer, TransportError>) -> Result<T, Error> {
    let (status, body) = outcome.map_err(|error| Error::unavailable(peer, error))?;
    if status.is_success() {
        return Ok(serde_json::from_slice(&body)?);
    }
    if status.is_server_error() {
        return Err(Error::unavailable(peer, format!("it answered {status}")));
    }
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = answer["error"].as_str().unwrap_or("the request was refused");
    Err(Error::new(status, message))
}

/// Percent-encodes everything but the unreserved characters.
fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => {
                encoded.push('%');
                encoded.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::testing;
    use super::*;

    /// Fails the first calls, then answers.
    struct Flaky {
        failures: u32,
        calls: AtomicU32,
    }

    impl Transport for Flaky {
        fn send<'a>(&'a self, _: &'a str, request: Outgoing, _: String) -> Sending<'a> {
            let failed = self.calls.fetch_add(1, Ordering::Relaxed) < self.failures;
            let status = if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            Box::pin(async move { Ok((status, serde_json::to_vec(&request.path_and_query).unwrap().into())) })
        }
    }

    fn flaky(failures: u32) -> (Peer, Arc<Flaky>) {
        let transport = Arc::new(Flaky { failures, calls: AtomicU32::new(0) });
        (Peer::new("cart", transport.clone(), testing::telemetry()), transport)
    }

    #[tokio::test(start_paused = true)]
    async fn reading_is_repeated_until_it_works() {
        let (peer, transport) = flaky(2);
        let path: String = peer.get("/a/{id}/b").arg("x y/é").query("q", "1&2").send().await.unwrap();
        assert_eq!(path, "/a/x%20y%2F%C3%A9/b?q=1%262");
        assert_eq!(transport.calls.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn writing_is_tried_once() {
        let (peer, transport) = flaky(1);
        let error = peer.post("/a").send::<String>().await.unwrap_err();
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(transport.calls.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_keeps_failing_is_left_alone() {
        let (peer, transport) = flaky(u32::MAX);
        for _ in 0..10 {
            peer.post("/a").send::<String>().await.unwrap_err();
        }
        assert_eq!(transport.calls.load(Ordering::Relaxed), 5);
    }
}

//! Serving: the SERVER span of every request, the health answer, and leaving without dropping a request.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use http::header;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::telemetry::{ActiveSpan, SpanKind, TRACEPARENT, Telemetry};

/// What the middleware needs to describe a request.
#[derive(Debug, Clone)]
struct Server {
    telemetry: Telemetry,
    name: &'static str,
    port: u16,
}

/// Answers requests until the token is cancelled, then finishes those that have begun.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    name: &'static str,
    telemetry: Telemetry,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let port = listener.local_addr()?.port();
    let router = router
        // Innermost, so that the span covers the handler alone and knows the route that matched.
        .layer(from_fn_with_state(Server { telemetry, name, port }, trace))
        // Added after the layer: health checks are no requests of anybody and leave no span.
        .route("/healthz", get(|| async { "ok" }));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn trace(State(server): State<Server>, request: Request, next: Next) -> Response {
    let span = server.span(&request);
    let response = span.run(next.run(request)).await;
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_u16().to_string());
    }
    response
}

impl Server {
    fn span(&self, request: &Request) -> ActiveSpan {
        let method = request.method();
        let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let name = route.as_deref().map_or_else(|| method.to_string(), |route| format!("{method} {route}"));
        let traceparent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let span = self.telemetry.remote_child(SpanKind::Server, name, traceparent);
        span.set("http.request.method", method.to_string());
        if let Some(route) = route {
            span.set("http.route", route);
        }
        span.set("url.path", request.uri().path().to_owned());
        if let Some(query) = request.uri().query() {
            span.set("url.query", query.to_owned());
        }
        span.set("url.scheme", "http");
        span.set("server.address", self.name);
        span.set("server.port", i64::from(self.port));
        if let Some(ConnectInfo(client)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
            span.set("client.address", client.ip().to_string());
            span.set("network.peer.address", client.ip().to_string());
        }
        span.set("network.protocol.version", "1.1");
        if let Some(agent) = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()) {
            span.set("user_agent.original", agent.to_owned());
        }
        span
    }
}

//! Receives OTLP: gRPC and HTTP, protobuf and JSON, HTTP/1.1 and HTTP/2, all on every port; and Zipkin on another.
//!
//! A receiver decodes, hands in and answers. It says success only once the spans are in, refuses bad spans by name
//! while their neighbours live, and says "retry later" when the collector is full: sent = accepted + rejected + asked to
//! retry, exactly. It knows nothing of traces; that begins behind [`Intake`].

mod body;
mod compression;
mod cors;
mod counters;
mod encode;
mod export;
mod grpc;
mod http;
mod idle;
mod listen;
mod meter;
mod problem;
mod readers;
mod tap;
mod turns;
mod zipkin;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;

pub use counters::{Counter, Counters};
pub(crate) use export::decode_kept;
pub use listen::{BindError, bind, serve, serve_router};
pub use readers::Readers;
pub use tap::{MAX_TAPPED_BYTES, MAX_TAPPED_REQUESTS, Tap, TapEncoding, Tapped};
pub use turns::Turns;
pub(crate) use turns::io_threads;

use self::counters::OpenRequest;
use self::problem::Problem;
use crate::access::Token;
use crate::durable::Durable;
use crate::limits::Limits;
use crate::live::Intake;

/// What every request needs.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Where spans go.
    pub intake: Intake,
    /// Where requests are kept before they are acknowledged, if anywhere.
    pub durable: Option<Durable>,
    /// What was received and answered.
    pub counters: Arc<Counters>,
    /// What a request may cost.
    pub limits: Limits,
    /// Where requests are decoded.
    pub turns: Turns,
    /// Where a copy of every request goes that is taken, if anywhere.
    pub tap: Option<Tap>,
    /// What senders must show, if anything.
    pub token: Option<Token>,
    /// What requests are read with.
    pub readers: Readers,
}

/// The routes of an OTLP port.
pub fn router(receiver: Receiver) -> Router {
    let router = Router::new();
    let router = grpc::routes(router);
    let router = http::routes(router);
    let router = router.layer(middleware::from_fn_with_state(receiver.clone(), authorize));
    // Outermost, so that a page may read every answer, refusals as well.
    router.with_state(receiver).layer(middleware::from_fn(cors::answer))
}

/// The routes of a port for Zipkin.
pub fn zipkin_router(receiver: Receiver) -> Router {
    let router = zipkin::routes(Router::new());
    router.layer(middleware::from_fn_with_state(receiver.clone(), authorize)).with_state(receiver)
}

/// Lets those through who may send.
async fn authorize(State(receiver): State<Receiver>, request: Request, next: Next) -> Response {
    if receiver.token.as_ref().is_none_or(|token| token.is_shown(request.headers())) {
        return next.run(request).await;
    }
    let problem = Problem::unauthorized();
    OpenRequest::new(&receiver.counters).answered(&Err::<(), _>(problem.clone()));
    problem.answer(request.headers())
}

#[cfg(test)]
mod tests;

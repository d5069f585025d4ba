//! Zipkin v2 in JSON, on a port of its own: `POST /api/v2/spans`, and a sentence for whoever sends anything else.
//!
//! Zipkin has no partial success: spans that are refused are counted, their neighbours live.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use http::{StatusCode, header};

use super::body::{Admitted, admission};
use super::counters::{OpenRequest, OpenSpans};
use super::meter::{Meter, Metered};
use super::problem::Problem;
use super::readers::Reader;
use super::{Receiver, body, http as otlp_http};
use crate::decode::{DecodeError, zipkin_json};
use crate::durable::Content;

/// How many times the size of a request its spans take while they are put together from their pieces.
const PIECES_FACTOR: usize = 12;

/// Adds the routes.
pub(super) fn routes(router: Router<Receiver>) -> Router<Receiver> {
    router
        .route("/api/v2/spans", post(export))
        .route("/api/v1/spans", any(refuse_v1))
        .method_not_allowed_fallback(wrong_path)
        .fallback(wrong_path)
}

async fn export(State(receiver): State<Receiver>, request: Request) -> Response {
    let open = OpenRequest::new(&receiver.counters);
    let answer = take(&receiver, request).await;
    open.answered(&answer);
    match answer {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(problem) => problem.into_http(None),
    }
}

async fn take(receiver: &Receiver, request: Request) -> Result<(), Problem> {
    let (parts, body) = request.into_parts();
    let content_type = otlp_http::text(&parts.headers, header::CONTENT_TYPE);
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json" | "" => {}
        "application/x-thrift" => return Err(Problem::malformed(DecodeError::ZipkinV1.to_string())),
        _ => return Err(Problem::unsupported_zipkin(&content_type)),
    }
    let body = body::read(body, receiver).await?;
    let compression = otlp_http::text(&parts.headers, header::CONTENT_ENCODING);
    receiver.export_zipkin(body, compression).await
}

impl Receiver {
    async fn export_zipkin(&self, request: Admitted, compression: String) -> Result<(), Problem> {
        let (limit, keeper) = (self.limits.request_records, self.keeper(Content::ZipkinJson));
        let read = move |request: &mut Admitted, reader: &mut Reader| {
            let pieces = request.bytes.len() * PIECES_FACTOR;
            request.grant.grow(pieces).map_err(admission)?;
            let mut meter = Meter::new(&mut reader.builder, &mut request.grant, limit);
            let decoded = zipkin_json::decode(&request.bytes, &mut meter).map_err(|error| match error {
                DecodeError::ZipkinV1 => Problem::malformed(error.to_string()),
                error => Problem::malformed(format!("not spans of Zipkin v2: {error}")),
            })?;
            let metered = meter.finish();
            request.grant.shrink(pieces);
            let request_kept = keeper.kept(&request.bytes, &metered, &mut reader.sealing);
            Ok((metered, decoded, request_kept))
        };
        let (_request, (Metered { kept, spans }, decoded, request_kept)) =
            self.in_turn(request, compression, read).await?;
        let mut open = OpenSpans::new(&self.counters, spans);
        let (batch, grant) = kept.inspect_err(|problem| open.refuse(problem))?;
        let request_kept = request_kept.inspect_err(|problem| open.refuse(problem))?;
        let refused = batch.refused;
        self.take(request_kept, (batch, grant), None).await?;
        open.accepted_but(refused);
        self.counters.over_limit.add(decoded.over_limit);
        Ok(())
    }
}

/// Whatever is sent to the first version is not read.
async fn refuse_v1() -> Response {
    Problem::malformed(DecodeError::ZipkinV1.to_string()).into_http(None)
}

async fn wrong_path(request: Request) -> Response {
    Problem::wrong_zipkin_path(request.method().as_str(), request.uri().path()).into_http(None)
}

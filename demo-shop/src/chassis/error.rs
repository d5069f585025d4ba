//! What a handler answers when it cannot do its work: one public message and one internal cause.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failed request. The message goes to the caller, the cause stays in the log.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    status: StatusCode,
    message: String,
    #[source]
    cause: Option<Cause>,
}

impl Error {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), cause: None }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "log in first")
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(crate) fn internal(cause: impl Into<Cause>) -> Self {
        let message = "internal error".to_owned();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message, cause: Some(cause.into()) }
    }

    pub(crate) fn unavailable(peer: &str, cause: impl Into<Cause>) -> Self {
        let message = format!("{peer} is not available");
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message, cause: Some(cause.into()) }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            tracing::warn!(status = self.status.as_u16(), %cause, "{}", self.message);
        }
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_cause_stays_inside() {
        let response = Error::internal("disk on fire").into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 1_024).await.unwrap();
        assert_eq!(body, r#"{"error":"internal error"}"#);
    }
}

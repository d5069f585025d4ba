//! Who is asking: the session of a request, and the customer whom it belongs to.

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Peers;
use crate::chassis::error::Error;

/// Whoever holds the session of the request.
#[derive(Deserialize)]
pub(super) struct Customer {
    pub(super) customer: String,
}

fn session(parts: &Parts) -> Result<Value, Error> {
    let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let session = value.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(Error::unauthorized)?;
    Ok(json!({ "session": session }))
}

impl FromRequestParts<Peers> for Customer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, peers: &Peers) -> Result<Self, Error> {
        peers.user.post("/sessions/verify").json(&session(parts)?).idempotent().send().await
    }
}

/// A session that is not looked at any closer.
pub(super) struct Session(pub(super) Value);

impl FromRequestParts<Peers> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Peers) -> Result<Self, Error> {
        session(parts).map(Self)
    }
}

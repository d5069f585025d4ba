//! The payment provider: somebody else's server, which sends no telemetry.
//!
//! It captures every charge up to a limit and forgets it at once.

use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

/// What callers and telemetry call it.
pub(crate) const NAME: &str = "payment-provider";

/// No customer of this provider may spend more at once.
pub(crate) const LIMIT_CENTS: i64 = 10_000_000;

pub(crate) fn router() -> Router {
    Router::new().route("/charges", post(charge))
}

#[derive(Deserialize)]
struct Charge {
    reference: String,
    amount_cents: i64,
}

async fn charge(Json(charge): Json<Charge>) -> Json<Value> {
    let captured = (1..=LIMIT_CENTS).contains(&charge.amount_cents);
    Json(json!({ "id": format!("charge-{}", charge.reference), "captured": captured }))
}

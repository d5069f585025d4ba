//! The body of a request: paid for as it arrives, bounded in size and time.
//!
//! What is refused is still read to its end, within the same bounds and without being kept: a client of HTTP/1.1 writes
//! its request before it reads the answer, and would find the connection reset instead.

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::Receiver;
use super::problem::Problem;
use super::turns::{Arrival, SHORT_BYTES};
use crate::budget::{Budget, Exceeded, Grant};
use crate::limits::{BODY_READ_TIMEOUT, Limits};
use crate::live::RETRY_AFTER;

/// How many times the size of a request its spans take, as things are.
pub(super) const SPANS_FACTOR: usize = 2;

/// How many times the size of a request is read of a refused one at most.
const PASSED_OVER: usize = 4;

/// A body with the memory that it takes.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) bytes: Bytes,
    pub(super) grant: Grant,
    /// Until it is decoded.
    pub(super) arrival: Option<Arrival>,
}

/// What a request is told whose bytes are not to be had.
pub(super) fn admission(exceeded: Exceeded) -> Problem {
    match exceeded {
        Exceeded::ForNow => Problem::busy(RETRY_AFTER),
        Exceeded::ForGood => Problem::too_large(
            "the request takes more memory than there is for all requests, send fewer spans at a time",
        ),
    }
}

/// Reads a whole body. What says beforehand that it is too large is refused before any of it is kept.
pub(super) async fn read(mut body: Body, receiver: &Receiver) -> Result<Admitted, Problem> {
    let limit = receiver.limits.request_bytes;
    let arrival = receiver.turns.arrive();
    let outcome = timeout(BODY_READ_TIMEOUT, async {
        let taken = take(&mut body, receiver.intake.budget(), &receiver.limits).await;
        if taken.as_ref().is_err_and(|problem| problem.is_busy() || problem.is_too_large()) {
            pass_over(&mut body, limit * PASSED_OVER).await;
        }
        taken.map(|(bytes, grant)| Admitted { bytes, grant, arrival: Some(arrival) })
    });
    outcome.await.unwrap_or_else(|_| Err(Problem::too_slow()))
}

async fn take(body: &mut Body, budget: &Budget, limits: &Limits) -> Result<(Bytes, Grant), Problem> {
    let limit = limits.request_bytes;
    let expected = body.size_hint().lower();
    if expected > limit as u64 {
        return Err(too_large(limit));
    }
    // Reading is for nothing if there is no room for what comes of it.
    budget.wait(expected as usize * (1 + SPANS_FACTOR), limits.patience).await.map_err(admission)?;
    let mut grant = budget.grant();
    // Most bodies come in one piece, which needs no second place.
    let mut first = Bytes::new();
    let mut bytes = Vec::new();
    // Who says how much comes is believed as far as it is soon there.
    let told = (expected as usize).min(SHORT_BYTES);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::malformed(format!("the body ends early: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + bytes.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        if first.is_empty() && bytes.is_empty() {
            grant.grow(data.len()).map_err(admission)?;
            first = data;
            continue;
        }
        let needed = first.len() + data.len();
        let more = if bytes.is_empty() { needed.max(told) } else { needed };
        grant.reserve(&mut bytes, more).map_err(admission)?;
        if !first.is_empty() {
            bytes.extend_from_slice(&first);
            grant.shrink(first.len());
            first = Bytes::new();
        }
        bytes.extend_from_slice(&data);
    }
    Ok((if first.is_empty() { bytes.into() } else { first }, grant))
}

/// Reads what is left of a refused body, up to `limit` bytes, and keeps nothing.
async fn pass_over(body: &mut Body, mut limit: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = limit.checked_sub(length) else { return };
        limit = rest;
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::too_large(format!("the request is larger than {limit} bytes, send fewer spans at a time"))
}

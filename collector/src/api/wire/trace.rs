//! A trace as JSON, there and back: a dashboard that is attached from elsewhere shows what the collector would.

use serde::{Deserialize, Serialize};
use spanlint_graph::TraceId;
use spanlint_graph::span::{Outcome, SpanId, SpanKind};
use spanlint_graph::text::scrub;
use spanlint_graph::waterfall::{LogRow, Row, Waterfall};

use super::SCHEMA_VERSION;
use super::logs::LogBody;

/// A trace as a tree of spans, in the order to draw it: `GET /api/v1/traces/{id}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct TraceBody {
    schema_version: String,
    trace_id: String,
    /// Text, since Unix nanoseconds do not fit the numbers of JavaScript.
    start_unix_ns: String,
    duration_ns: u64,
    spans: Vec<SpanBody>,
    /// Log lines that belong to none of the spans.
    logs: Vec<LogBody>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SpanBody {
    span_id: String,
    depth: u16,
    node: String,
    service: String,
    name: String,
    kind: String,
    operation: String,
    peer: Option<String>,
    offset_ns: u64,
    duration_ns: u64,
    outcome: String,
    is_failure: bool,
    is_orphan: bool,
    status_message: String,
    /// Pairs, since a key may come more than once.
    attributes: Vec<(String, String)>,
    logs: Vec<LogBody>,
}

/// A part of a trace that is not what this version writes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} cannot be {value:?}")]
pub struct TraceBodyError {
    field: &'static str,
    value: String,
}

impl From<Waterfall> for TraceBody {
    fn from(waterfall: Waterfall) -> Self {
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            trace_id: waterfall.trace_id.to_string(),
            start_unix_ns: waterfall.start_ns.to_string(),
            duration_ns: waterfall.duration_ns,
            spans: waterfall.rows.into_iter().map(SpanBody::from).collect(),
            logs: waterfall.logs.into_iter().map(LogBody::from).collect(),
        }
    }
}

impl From<Row> for SpanBody {
    fn from(row: Row) -> Self {
        Self {
            span_id: row.span_id.to_string(),
            depth: row.depth,
            node: row.node_id,
            service: row.service,
            name: row.name,
            kind: row.kind.as_str().to_owned(),
            operation: row.operation,
            peer: Some(row.peer_id).filter(|peer| !peer.is_empty()),
            offset_ns: row.offset_ns,
            duration_ns: row.duration_ns,
            outcome: outcome_word(row.outcome).to_owned(),
            is_failure: row.outcome.is_failure(),
            is_orphan: row.is_orphan,
            status_message: row.status_message,
            attributes: row.attributes,
            logs: row.logs.into_iter().map(LogBody::from).collect(),
        }
    }
}

impl TryFrom<TraceBody> for Waterfall {
    type Error = TraceBodyError;

    fn try_from(body: TraceBody) -> Result<Self, TraceBodyError> {
        let trace_id: Option<TraceId> = body.trace_id.parse().ok();
        Ok(Self {
            trace_id: known("trace_id", trace_id, body.trace_id)?,
            start_ns: known("start_unix_ns", body.start_unix_ns.parse().ok(), body.start_unix_ns)?,
            duration_ns: body.duration_ns,
            rows: body.spans.into_iter().map(Row::try_from).collect::<Result<_, _>>()?,
            logs: body.logs.into_iter().map(LogRow::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<SpanBody> for Row {
    type Error = TraceBodyError;

    fn try_from(body: SpanBody) -> Result<Self, TraceBodyError> {
        let span_id = u64::from_str_radix(&body.span_id, 16).ok().map(SpanId);
        let kind = (0..=5).map(SpanKind::from_otlp).find(|kind| kind.as_str() == body.kind);
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome_word(*outcome) == body.outcome);
        // The other side scrubs what it stores, but who knows what answers there.
        let shown = |text: String| scrub(&text).into_owned();
        Ok(Self {
            span_id: known("span_id", span_id, body.span_id)?,
            depth: body.depth,
            node_id: shown(body.node),
            service: shown(body.service),
            name: shown(body.name),
            kind: known("kind", kind, body.kind)?,
            operation: shown(body.operation),
            peer_id: body.peer.map(shown).unwrap_or_default(),
            offset_ns: body.offset_ns,
            duration_ns: body.duration_ns,
            outcome: known("outcome", outcome, body.outcome)?,
            is_orphan: body.is_orphan,
            status_message: shown(body.status_message),
            attributes: body.attributes.into_iter().map(|(key, value)| (shown(key), shown(value))).collect(),
            logs: body.logs.into_iter().map(LogRow::try_from).collect::<Result<_, _>>()?,
        })
    }
}

pub(super) fn known<T>(field: &'static str, read: Option<T>, value: String) -> Result<T, TraceBodyError> {
    read.ok_or(TraceBodyError { field, value })
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Rejected => "rejected",
        Outcome::Failed => "failed",
        Outcome::TimedOut => "timed_out",
        Outcome::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use spanlint_graph::log::Severity;

    use super::*;

    fn line(span: u64) -> LogRow {
        LogRow {
            trace_id: TraceId(0xabc),
            span_id: SpanId(span),
            time_ns: 1,
            severity: Severity::Info,
            service: "cart".to_owned(),
            body: "hello".to_owned(),
            attributes: Vec::new(),
        }
    }

    /// A trace with a row of every kind and outcome.
    fn waterfall() -> Waterfall {
        let row = |number: u16| Row {
            span_id: SpanId(u64::from(number) + 1),
            depth: number,
            node_id: "service:cart".to_owned(),
            service: "cart".to_owned(),
            name: "GET \u{201c}cart\u{201d}".to_owned(),
            kind: SpanKind::from_otlp(number.into()),
            operation: "GET /cart".to_owned(),
            peer_id: if number == 3 { "datastore:sqlite//cart".to_owned() } else { String::new() },
            offset_ns: 7,
            duration_ns: u64::MAX,
            outcome: Outcome::ALL[usize::from(number) % Outcome::ALL.len()],
            is_orphan: number == 0,
            status_message: "boom".to_owned(),
            attributes: vec![("key".to_owned(), "1".to_owned()), ("key".to_owned(), "2".to_owned())],
            logs: vec![line(number.into()); usize::from(number % 2)],
        };
        let rows = (0..6).map(row).collect();
        Waterfall { trace_id: TraceId(0xabc), start_ns: u64::MAX, duration_ns: 9, rows, logs: vec![line(0)] }
    }

    #[test]
    fn a_trace_comes_back_as_it_went() {
        let json = serde_json::to_string(&TraceBody::from(waterfall())).unwrap();
        let body: TraceBody = serde_json::from_str(&json).unwrap();
        assert_eq!(Waterfall::try_from(body).unwrap(), waterfall());
    }

    #[test]
    fn hostile_text_is_scrubbed_again() {
        let mut body = TraceBody::from(waterfall());
        body.spans[0].name = "\u{1b}[2Jcart".to_owned();
        assert_eq!(Waterfall::try_from(body).unwrap().rows[0].name, "[2Jcart");
    }

    #[test]
    fn what_another_version_may_write_is_named() {
        let mut body = TraceBody::from(waterfall());
        body.spans[2].outcome = "forgotten".to_owned();
        assert_eq!(Waterfall::try_from(body).unwrap_err().to_string(), "outcome cannot be \"forgotten\"");
    }
}

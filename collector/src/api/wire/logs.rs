//! Log lines and measurements as JSON, there and back.

use serde::{Deserialize, Serialize};
use spanlint_graph::TraceId;
use spanlint_graph::log::Severity;
use spanlint_graph::measurement::{Instrument, Reading, ServiceReadings};
use spanlint_graph::span::SpanId;
use spanlint_graph::text::scrub;
use spanlint_graph::waterfall::LogRow;

use super::SCHEMA_VERSION;
use super::trace::{TraceBodyError, known};

/// Log lines, the newest first: `GET /api/v1/logs`.
#[derive(Debug, Serialize)]
pub(in crate::api) struct LogsBody {
    schema_version: &'static str,
    lines: Vec<LogBody>,
}

impl From<Vec<LogRow>> for LogsBody {
    fn from(lines: Vec<LogRow>) -> Self {
        Self { schema_version: SCHEMA_VERSION, lines: lines.into_iter().map(LogBody::from).collect() }
    }
}

/// A log line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LogBody {
    /// Text, since Unix nanoseconds do not fit the numbers of JavaScript.
    time_unix_ns: String,
    severity: String,
    service: String,
    /// None where the line belongs to no trace.
    trace_id: Option<String>,
    /// None where the line belongs to no span.
    span_id: Option<String>,
    body: String,
    /// Pairs, since a key may come more than once.
    attributes: Vec<(String, String)>,
}

impl From<LogRow> for LogBody {
    fn from(row: LogRow) -> Self {
        Self {
            time_unix_ns: row.time_ns.to_string(),
            severity: row.severity.as_str().to_owned(),
            service: row.service,
            trace_id: (row.trace_id.0 != 0).then(|| row.trace_id.to_string()),
            span_id: (row.span_id != SpanId::NONE).then(|| row.span_id.to_string()),
            body: row.body,
            attributes: row.attributes,
        }
    }
}

impl TryFrom<LogBody> for LogRow {
    type Error = TraceBodyError;

    fn try_from(body: LogBody) -> Result<Self, TraceBodyError> {
        let severity = Severity::ALL.into_iter().find(|severity| severity.as_str() == body.severity);
        let (trace_id, span_id) = (body.trace_id.unwrap_or_default(), body.span_id.unwrap_or_default());
        let trace: Option<TraceId> = if trace_id.is_empty() { Some(TraceId(0)) } else { trace_id.parse().ok() };
        let span = if span_id.is_empty() { Some(0) } else { u64::from_str_radix(&span_id, 16).ok() };
        let shown = |text: String| scrub(&text).into_owned();
        Ok(Self {
            trace_id: known("trace_id", trace, trace_id)?,
            span_id: known("span_id", span.map(SpanId), span_id)?,
            time_ns: known("time_unix_ns", body.time_unix_ns.parse().ok(), body.time_unix_ns)?,
            severity: known("severity", severity, body.severity)?,
            service: shown(body.service),
            body: shown(body.body),
            attributes: body.attributes.into_iter().map(|(key, value)| (shown(key), shown(value))).collect(),
        })
    }
}

/// What services measure of themselves: `GET /api/v1/measurements`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadingsBody {
    schema_version: String,
    services: Vec<ServiceBody>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ServiceBody {
    environment: String,
    node: String,
    readings: Vec<ReadingBody>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ReadingBody {
    instrument: String,
    value: f64,
    /// Of requests only.
    mean_ms: Option<f64>,
    /// Ten seconds apart, the oldest first.
    history: Vec<f64>,
}

impl From<&[ServiceReadings]> for ReadingsBody {
    fn from(services: &[ServiceReadings]) -> Self {
        let reading = |reading: &Reading| ReadingBody {
            instrument: reading.instrument.as_str().to_owned(),
            value: reading.value,
            mean_ms: reading.mean_ms,
            history: reading.history.clone(),
        };
        let service = |service: &ServiceReadings| ServiceBody {
            environment: service.environment.clone(),
            node: service.node_id.clone(),
            readings: service.readings.iter().map(reading).collect(),
        };
        Self { schema_version: SCHEMA_VERSION.to_owned(), services: services.iter().map(service).collect() }
    }
}

impl TryFrom<ReadingsBody> for Vec<ServiceReadings> {
    type Error = TraceBodyError;

    fn try_from(body: ReadingsBody) -> Result<Self, TraceBodyError> {
        let reading = |body: ReadingBody| {
            let instrument = Instrument::ALL.into_iter().find(|instrument| instrument.as_str() == body.instrument);
            let instrument = known("instrument", instrument, body.instrument)?;
            Ok(Reading { instrument, value: body.value, mean_ms: body.mean_ms, history: body.history })
        };
        let service = |body: ServiceBody| {
            Ok(ServiceReadings {
                environment: scrub(&body.environment).into_owned(),
                node_id: scrub(&body.node).into_owned(),
                readings: body.readings.into_iter().map(reading).collect::<Result<_, _>>()?,
            })
        };
        body.services.into_iter().map(service).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_went() {
        let line = LogRow {
            trace_id: TraceId(7),
            span_id: SpanId::NONE,
            time_ns: u64::MAX,
            severity: Severity::Warn,
            service: "cart".to_owned(),
            body: "slow".to_owned(),
            attributes: vec![("key".to_owned(), "1".to_owned())],
        };
        let json = serde_json::to_string(&LogBody::from(line.clone())).unwrap();
        assert_eq!(LogRow::try_from(serde_json::from_str::<LogBody>(&json).unwrap()).unwrap(), line);
    }

    #[test]
    fn readings_come_back_as_they_went() {
        let reading = Reading { instrument: Instrument::Requests, value: 2.5, mean_ms: Some(7.0), history: vec![1.0] };
        let service = ServiceReadings {
            environment: "prod".to_owned(),
            node_id: "service:cart".to_owned(),
            readings: vec![reading],
        };
        let json = serde_json::to_string(&ReadingsBody::from(&[service.clone()][..])).unwrap();
        let body: ReadingsBody = serde_json::from_str(&json).unwrap();
        assert_eq!(Vec::<ServiceReadings>::try_from(body).unwrap(), [service]);
    }
}

//! Log records of OTLP in JSON.

use std::borrow::Cow;

use serde::Deserialize;
use spanlint_graph::SpanVisitor;
use spanlint_graph::log::LogView;

use super::{AnyValue, Attributes, EnumNumber, Text, Unsigned, Walk, composite, ids};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct JsonLogRecord<'a> {
    #[serde(alias = "time_unix_nano")]
    time_unix_nano: Unsigned,
    #[serde(alias = "observed_time_unix_nano")]
    observed_time_unix_nano: Unsigned,
    #[serde(alias = "severity_number")]
    severity_number: EnumNumber,
    #[serde(borrow, alias = "severity_text")]
    severity_text: Text<'a>,
    #[serde(borrow)]
    body: Option<AnyValue<'a>>,
    #[serde(borrow)]
    attributes: Attributes<'a>,
    #[serde(borrow, alias = "trace_id")]
    trace_id: Text<'a>,
    #[serde(borrow, alias = "span_id")]
    span_id: Text<'a>,
}

impl<V: SpanVisitor> Walk<'_, V> {
    pub(super) fn log_record(&mut self, record: JsonLogRecord<'_>) {
        self.decoded.log_records += 1;
        self.decoded.over_limit += record.attributes.over_limit;
        let [trace_id, span_id] = [&record.trace_id, &record.span_id].map(|id| self.envelope.id(&id.0));
        let (trace_id, span_id) = ids::place(trace_id, span_id);
        let (time_ns, observed_ns) = (record.time_unix_nano.0, record.observed_time_unix_nano.0);
        self.visitor.log(&LogView {
            trace_id,
            span_id,
            time_ns: if time_ns == 0 { observed_ns } else { time_ns },
            severity_number: record.severity_number.0,
            severity_text: Cow::Borrowed(&record.severity_text.0),
            body: record.body.map_or(composite::EMPTY, |body| body.0),
            attributes: &record.attributes.list,
        });
    }
}

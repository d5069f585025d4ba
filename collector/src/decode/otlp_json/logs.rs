//! Log records of OTLP in JSON.

use std::borrow::Cow;

use spanlint_graph::SpanVisitor;
use spanlint_graph::log::LogView;

use super::values::{any_value, enumeration};
use super::{Walk, composite, ids};
use crate::decode::json_reader::{JsonReader, Read};

impl<'a, V: SpanVisitor> Walk<'a, '_, V> {
    pub(super) fn log_record(&mut self, reader: &mut JsonReader<'a>) -> Read<()> {
        let (mut trace_id, mut span_id) = (Cow::default(), Cow::default());
        let (mut time_ns, mut observed_ns) = (0, 0);
        let (mut severity_number, mut severity_text) = (0, Cow::default());
        let mut body = composite::EMPTY;
        reader.object("a log record (an object)", |reader, name| {
            match name {
                "timeUnixNano" | "time_unix_nano" => time_ns = reader.integer()?,
                "observedTimeUnixNano" | "observed_time_unix_nano" => observed_ns = reader.integer()?,
                "severityNumber" | "severity_number" => severity_number = enumeration(reader)?,
                "severityText" | "severity_text" => severity_text = reader.text()?,
                "body" => body = any_value(reader)?,
                "attributes" => self.attributes(reader)?,
                "traceId" | "trace_id" => trace_id = reader.text()?,
                "spanId" | "span_id" => span_id = reader.text()?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        self.decoded.log_records += 1;
        let (trace_id, span_id) = ids::place(self.envelope.id(&trace_id), self.envelope.id(&span_id));
        self.visitor.log(&LogView {
            trace_id,
            span_id,
            time_ns: if time_ns == 0 { observed_ns } else { time_ns },
            severity_number,
            severity_text,
            body,
            attributes: &self.attributes,
        });
        Ok(())
    }
}

//! Log records of an `ExportLogsServiceRequest`. What is wrong with the ids of a record costs it its place beside a
//! trace, not its line.

use spanlint_graph::SpanVisitor;
use spanlint_graph::log::LogView;

use super::values::PartialValue;
use super::{Walk, checked, emptied};
use crate::decode::ids::{self, RawId};
use crate::decode::wire::Fields;
use crate::decode::{DecodeError, composite};

impl<'a, V: SpanVisitor> Walk<'a, '_, V> {
    pub(super) fn log_record(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        self.clear();
        self.decoded.log_records += 1;
        let (mut time_ns, mut observed_ns, mut severity_number, mut severity_text) = (0, 0, 0, "");
        let (mut trace_id, mut span_id) = (&[][..], &[][..]);
        let mut body = PartialValue::Scalar(composite::EMPTY);
        while let Some(field) = message.next()? {
            match field.number {
                1 => time_ns = field.fixed64()?,
                2 => severity_number = field.varint()? as i32,
                3 => severity_text = field.text()?,
                5 => body.merge(message.enter(field)?)?,
                6 => self.attribute(message.enter(field)?)?,
                7 => drop(field.varint()?),
                8 => field.fixed32()?,
                9 => trace_id = field.bytes()?,
                10 => span_id = field.bytes()?,
                11 => observed_ns = field.fixed64()?,
                12 => drop(field.text()?),
                _ => message.skip(field)?,
            }
        }
        let (trace_id, span_id) = ids::place(RawId::Bytes(trace_id), RawId::Bytes(span_id));
        let (_, attributes) = checked(&self.texts, &self.attributes, [], &mut self.spare)?;
        self.visitor.log(&LogView {
            trace_id,
            span_id,
            time_ns: if time_ns == 0 { observed_ns } else { time_ns },
            severity_number: severity_number.into(),
            severity_text: severity_text.into(),
            body: body.finish(),
            attributes: &attributes,
        });
        self.spare = emptied(attributes);
        Ok(())
    }
}

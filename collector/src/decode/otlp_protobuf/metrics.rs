//! Metrics of an `ExportMetricsServiceRequest`: each is validated and counted, and the points of the standard ones are
//! shown. Nothing is kept of any other.

use spanlint_graph::SpanVisitor;
use spanlint_graph::measurement::{Amount, PointView, Standard, Temporality};

use super::unread::Message;
use super::{Walk, checked, emptied};
use crate::decode::DecodeError;
use crate::decode::wire::Fields;

/// What kind of data the points of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
}

impl Kind {
    /// The kind of data in this field of a metric; summaries, which no standard metric is, have none.
    fn of_field(number: u32) -> Option<Self> {
        match number {
            5 => Some(Self::Gauge),
            7 => Some(Self::Sum),
            9 => Some(Self::Histogram),
            10 => Some(Self::ExponentialHistogram),
            _ => None,
        }
    }

    /// The field that a point has its attributes in.
    fn attributes(self) -> u32 {
        match self {
            Self::Gauge | Self::Sum => 7,
            Self::Histogram => 9,
            Self::ExponentialHistogram => 1,
        }
    }

    fn is_distribution(self) -> bool {
        matches!(self, Self::Histogram | Self::ExponentialHistogram)
    }
}

impl<'a, V: SpanVisitor> Walk<'a, '_, V> {
    pub(super) fn metric(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        Message::Metric.validate(message)?;
        self.visitor.unread();
        self.decoded.metrics += 1;
        let (mut name, mut data) = ("", None);
        while let Some(field) = message.next()? {
            match (field.number, Kind::of_field(field.number)) {
                (_, Some(kind)) => data = Some((kind, message.enter(field)?)),
                (1, _) => name = field.text()?,
                _ => message.skip(field)?,
            }
        }
        match data.filter(|_| Standard::named(name).is_some()) {
            Some((kind, data)) => self.points(name, kind, data),
            None => Ok(()),
        }
    }

    /// How the points add up may stand behind them: hence two passes.
    fn points(&mut self, metric: &'a str, kind: Kind, data: Fields<'a>) -> Result<(), DecodeError> {
        let (mut temporality, mut is_monotonic) = (0, kind.is_distribution());
        let mut first = data;
        while let Some(field) = first.next()? {
            match field.number {
                2 if kind != Kind::Gauge => temporality = field.varint()? as i32,
                3 if kind == Kind::Sum => is_monotonic = field.varint()? != 0,
                _ => first.skip(field)?,
            }
        }
        // A sum that also falls is the present value.
        let temporality = if is_monotonic { Temporality::from_otlp(temporality.into()) } else { Temporality::Gauge };
        let mut second = data;
        while let Some(field) = second.next()? {
            match field.number {
                1 => self.point(metric, kind, temporality, second.enter(field)?)?,
                _ => second.skip(field)?,
            }
        }
        Ok(())
    }

    fn point(
        &mut self,
        metric: &'a str,
        kind: Kind,
        temporality: Temporality,
        mut message: Fields<'a>,
    ) -> Result<(), DecodeError> {
        self.clear();
        let (mut start_ns, mut time_ns, mut number, mut count, mut sum) = (0, 0, 0.0, 0, 0.0);
        while let Some(field) = message.next()? {
            match field.number {
                attributes if attributes == kind.attributes() => self.attribute(message.enter(field)?)?,
                2 => start_ns = field.fixed64()?,
                3 => time_ns = field.fixed64()?,
                4 if kind.is_distribution() => count = field.fixed64()?,
                4 => number = f64::from_bits(field.fixed64()?),
                5 if kind.is_distribution() => sum = f64::from_bits(field.fixed64()?),
                6 if !kind.is_distribution() => number = field.fixed64()?.cast_signed() as f64,
                _ => message.skip(field)?,
            }
        }
        let amount = if kind.is_distribution() { Amount::Distribution { count, sum } } else { Amount::Number(number) };
        let (_, attributes) = checked(&self.texts, &self.attributes, [], &mut self.spare)?;
        self.visitor.point(&PointView {
            metric: metric.into(),
            temporality,
            start_ns,
            time_ns,
            amount,
            attributes: &attributes,
        });
        self.spare = emptied(attributes);
        Ok(())
    }
}

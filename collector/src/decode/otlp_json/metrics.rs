//! Metrics of OTLP in JSON: each is counted, and the points of the standard ones are shown.

use std::borrow::Cow;

use spanlint_graph::SpanVisitor;
use spanlint_graph::measurement::{Amount, PointView, Standard, Temporality};

use super::Walk;
use super::values::enumeration;
use crate::decode::json_reader::{JsonReader, Read};

/// What a metric is made of, each where it begins.
#[derive(Default)]
struct RawMetric<'a> {
    name: Cow<'a, str>,
    gauge: Option<JsonReader<'a>>,
    sum: Option<JsonReader<'a>>,
    histogram: Option<JsonReader<'a>>,
    exponential_histogram: Option<JsonReader<'a>>,
}

/// What the points of a metric have in common.
struct Series<'a> {
    metric: Cow<'a, str>,
    temporality: Temporality,
    is_distribution: bool,
}

impl<'a, V: SpanVisitor> Walk<'a, '_, V> {
    pub(super) fn metric(&mut self, reader: &mut JsonReader<'a>) -> Read<()> {
        let mut raw = RawMetric::default();
        reader.object("a metric (an object)", |reader, name| {
            match name {
                "name" => raw.name = reader.text()?,
                "gauge" => raw.gauge = bookmark(reader)?,
                "sum" => raw.sum = bookmark(reader)?,
                "histogram" => raw.histogram = bookmark(reader)?,
                "exponentialHistogram" | "exponential_histogram" => raw.exponential_histogram = bookmark(reader)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        self.visitor.unread();
        self.decoded.metrics += 1;
        if Standard::named(&raw.name).is_none() {
            return Ok(());
        }
        let distribution = raw.histogram.or(raw.exponential_histogram);
        let Some(mut data) = distribution.or(raw.sum).or(raw.gauge) else { return Ok(()) };
        self.data(raw.name, distribution.is_some(), &mut data)
    }

    fn data(&mut self, metric: Cow<'a, str>, is_distribution: bool, reader: &mut JsonReader<'a>) -> Read<()> {
        // A sum that also falls is the present value.
        let (mut points, mut temporality, mut is_monotonic) = (None, 0, is_distribution);
        reader.object("the data of a metric (an object)", |reader, name| {
            match name {
                "dataPoints" | "data_points" => points = bookmark(reader)?,
                "aggregationTemporality" | "aggregation_temporality" => temporality = enumeration(reader)?,
                "isMonotonic" | "is_monotonic" => {
                    is_monotonic |= reader.optional(JsonReader::boolean)? == Some(true);
                }
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        let temporality = if is_monotonic { Temporality::from_otlp(temporality) } else { Temporality::Gauge };
        let series = Series { metric, temporality, is_distribution };
        let Some(mut points) = points else { return Ok(()) };
        points.array("an array of points", |reader| self.point(&series, reader))
    }

    fn point(&mut self, series: &Series<'a>, reader: &mut JsonReader<'a>) -> Read<()> {
        self.attributes.clear();
        let (mut start_ns, mut time_ns) = (0, 0);
        let (mut as_double, mut as_int) = (None, None);
        let (mut count, mut sum) = (0, None);
        reader.object("a point (an object)", |reader, name| {
            match name {
                "attributes" => self.attributes(reader)?,
                "startTimeUnixNano" | "start_time_unix_nano" => start_ns = reader.integer()?,
                "timeUnixNano" | "time_unix_nano" => time_ns = reader.integer()?,
                "asDouble" | "as_double" => as_double = reader.optional(JsonReader::double)?,
                "asInt" | "as_int" => as_int = reader.optional(JsonReader::integer::<i64>)?,
                "count" => count = reader.integer()?,
                "sum" => sum = reader.optional(JsonReader::double)?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        let number = as_double.or(as_int.map(|number| number as f64));
        self.visitor.point(&PointView {
            metric: Cow::Borrowed(&series.metric),
            temporality: series.temporality,
            start_ns,
            time_ns,
            amount: if series.is_distribution {
                Amount::Distribution { count, sum: sum.unwrap_or_default() }
            } else {
                Amount::Number(number.unwrap_or_default())
            },
            attributes: &self.attributes,
        });
        Ok(())
    }
}

/// Where the next value begins, unless it is null; the reader goes on behind it.
fn bookmark<'a>(reader: &mut JsonReader<'a>) -> Read<Option<JsonReader<'a>>> {
    reader.optional(|reader| {
        let start = *reader;
        reader.skip().map(|()| start)
    })
}

//! Metrics of OTLP in JSON: each is counted, and the points of the standard ones are shown.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use spanlint_graph::SpanVisitor;
use spanlint_graph::measurement::{Amount, PointView, Standard, Temporality};

use super::values::{Double, Integer};
use super::{Attributes, EnumNumber, Text, Unsigned, Walk, each};
use crate::decode::json::without_place;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct JsonMetric<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    gauge: Option<&'a RawValue>,
    #[serde(borrow)]
    sum: Option<&'a RawValue>,
    #[serde(borrow)]
    histogram: Option<&'a RawValue>,
    #[serde(borrow, alias = "exponential_histogram")]
    exponential_histogram: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct JsonData<'a> {
    #[serde(borrow, alias = "data_points")]
    data_points: Option<&'a RawValue>,
    #[serde(alias = "aggregation_temporality")]
    aggregation_temporality: EnumNumber,
    #[serde(alias = "is_monotonic")]
    is_monotonic: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct JsonPoint<'a> {
    #[serde(borrow)]
    attributes: Attributes<'a>,
    #[serde(alias = "start_time_unix_nano")]
    start_time_unix_nano: Unsigned,
    #[serde(alias = "time_unix_nano")]
    time_unix_nano: Unsigned,
    #[serde(alias = "as_double")]
    as_double: Option<Double>,
    #[serde(alias = "as_int")]
    as_int: Option<Integer>,
    count: Unsigned,
    sum: Option<Double>,
}

impl<V: SpanVisitor> Walk<'_, V> {
    pub(super) fn metric(&mut self, metric: &JsonMetric<'_>) -> Result<(), serde_json::Error> {
        self.decoded.metrics += 1;
        if Standard::named(&metric.name.0).is_none() {
            return Ok(());
        }
        let distribution = metric.histogram.or(metric.exponential_histogram);
        let Some(data) = distribution.or(metric.sum).or(metric.gauge) else { return Ok(()) };
        let data: JsonData<'_> = serde_json::from_str(data.get()).map_err(without_place)?;
        // A sum that also falls is the present value.
        let is_monotonic = distribution.is_some() || data.is_monotonic == Some(true);
        let temporality =
            if is_monotonic { Temporality::from_otlp(data.aggregation_temporality.0) } else { Temporality::Gauge };
        each(data.data_points, |point: JsonPoint<'_>| {
            let sum = point.sum.map_or(0.0, |sum| sum.0);
            let number = point.as_double.map(|number| number.0).or(point.as_int.map(|number| number.0 as f64));
            self.decoded.over_limit += point.attributes.over_limit;
            self.visitor.point(&PointView {
                metric: Cow::Borrowed(&metric.name.0),
                temporality,
                start_ns: point.start_time_unix_nano.0,
                time_ns: point.time_unix_nano.0,
                amount: if distribution.is_some() {
                    Amount::Distribution { count: point.count.0, sum }
                } else {
                    Amount::Number(number.unwrap_or_default())
                },
                attributes: &point.attributes.list,
            });
            Ok(())
        })
    }
}

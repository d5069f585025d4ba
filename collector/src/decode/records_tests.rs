//! Log records and metrics: what both encodings show of requests that the public OpenTelemetry types wrote.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message;
use serde::Serialize;
use spanlint_graph::log::Severity;
use spanlint_graph::measurement::{Amount, Instrument, Temporality};
use spanlint_graph::span::SpanId;
use spanlint_graph::{BatchBuilder, Measurement, SpanBatch, TraceId};

use super::layouts::Layouts;
use super::oracle::{self, Random};
use super::{Decoded, Signal, otlp_json, otlp_protobuf};

fn attribute(key: &str, text: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn resource() -> Resource {
    Resource { attributes: vec![attribute("service.name", "cart")], ..Resource::default() }
}

/// The batch of a request, which both encodings must agree on.
fn read(signal: Signal, request: &(impl Message + Serialize)) -> (SpanBatch, Decoded) {
    let mut builders = [BatchBuilder::default(), BatchBuilder::default()];
    let protobuf =
        otlp_protobuf::decode_signal(signal, &request.encode_to_vec(), &mut Layouts::default(), &mut builders[0])
            .unwrap();
    let json =
        otlp_json::decode(&serde_json::to_vec(request).unwrap(), &mut Layouts::default(), &mut builders[1]).unwrap();
    let [protobuf_batch, json_batch] = builders.map(BatchBuilder::finish);
    assert_eq!(protobuf, json);
    assert_eq!(protobuf_batch.logs, json_batch.logs);
    assert_eq!(protobuf_batch.measurements, json_batch.measurements);
    (json_batch, json)
}

fn logs(records: Vec<LogRecord>) -> (SpanBatch, Decoded) {
    let scope_logs = vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource()), scope_logs, ..ResourceLogs::default() }];
    read(Signal::Logs, &ExportLogsServiceRequest { resource_logs })
}

fn metrics(metrics: Vec<Metric>) -> (SpanBatch, Decoded) {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() }];
    read(Signal::Metrics, &ExportMetricsServiceRequest { resource_metrics })
}

fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

fn point(value: Number) -> NumberDataPoint {
    NumberDataPoint { start_time_unix_nano: 1, time_unix_nano: 9, value: Some(value), ..NumberDataPoint::default() }
}

fn shown(measurement: &Measurement) -> (Instrument, Temporality, Amount) {
    (measurement.standard.instrument, measurement.temporality, measurement.amount)
}

#[test]
fn a_log_line_is_scrubbed_masked_and_placed() {
    let body = Some(AnyValue { value: Some(Value::StringValue("paid\u{1b}[2J by https://u:p@bank/x".to_owned())) });
    let record = LogRecord {
        time_unix_nano: 5,
        observed_time_unix_nano: 6,
        severity_number: 18,
        body,
        attributes: vec![attribute("password", "hunter2"), attribute("order", "7")],
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        ..LogRecord::default()
    };
    let misplaced = LogRecord {
        observed_time_unix_nano: 8,
        severity_text: "WARNING".to_owned(),
        trace_id: vec![1; 3],
        ..LogRecord::default()
    };
    let (batch, decoded) = logs(vec![record, misplaced]);
    assert_eq!(decoded.log_records, 2);
    let [first, second] = &batch.logs[..] else { panic!("two lines expected") };
    assert_eq!((first.trace_id, first.time_ns), (TraceId(u128::from_be_bytes([1; 16])), 5));
    assert_eq!((first.severity, first.body()), (Severity::Error, "paid[2J by https://[masked]@bank/x"));
    assert_eq!(first.detail.attributes().collect::<Vec<_>>(), [("password", "[masked]"), ("order", "7")]);
    assert_eq!((second.trace_id, second.span_id, second.time_ns), (TraceId(0), SpanId::NONE, 8));
    assert_eq!(second.severity, Severity::Warn);
    let service = batch.vocabulary.resource(first.resource).service;
    assert_eq!(batch.vocabulary.names.text(service.name), "cart");
}

#[test]
fn points_of_standard_metrics_are_kept_and_all_are_counted() {
    let sum = |is_monotonic, value| {
        Data::Sum(Sum { data_points: vec![point(value)], aggregation_temporality: 2, is_monotonic })
    };
    let histogram = HistogramDataPoint { time_unix_nano: 9, count: 4, sum: Some(0.5), ..HistogramDataPoint::default() };
    let exponential =
        ExponentialHistogramDataPoint { time_unix_nano: 9, count: 2, sum: Some(7.0), ..Default::default() };
    let (batch, decoded) = metrics(vec![
        metric("process.cpu.time", sum(true, Number::AsDouble(1.5))),
        metric("process.memory.usage", sum(false, Number::AsInt(-3))),
        metric("process.cpu.utilization", Data::Gauge(Gauge { data_points: vec![point(Number::AsDouble(0.25))] })),
        metric("orders.placed", sum(true, Number::AsInt(1))),
        metric(
            "http.server.request.duration",
            Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 1 }),
        ),
        metric(
            "http.server.duration",
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential],
                aggregation_temporality: 2,
            }),
        ),
    ]);
    assert_eq!(decoded.metrics, 6);
    let kept: Vec<_> = batch.measurements.iter().map(shown).collect();
    let expected = [
        (Instrument::Processors, Temporality::Cumulative, Amount::Number(1.5)),
        (Instrument::Memory, Temporality::Gauge, Amount::Number(-3.0)),
        (Instrument::Processors, Temporality::Gauge, Amount::Number(0.25)),
        (Instrument::Requests, Temporality::Delta, Amount::Distribution { count: 4, sum: 0.5 }),
        (Instrument::Requests, Temporality::Cumulative, Amount::Distribution { count: 2, sum: 7.0 }),
    ];
    assert_eq!(kept, expected);
    let first = batch.measurements[0];
    assert_eq!((first.start_ns, first.time_ns), (1, 9));
    assert!(batch.measurements[1..].iter().all(|other| other.series != first.series));
}

#[test]
fn enumerations_of_json_may_be_names() {
    let mut builder = BatchBuilder::default();
    let json = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":"SEVERITY_NUMBER_ERROR2"},
        {"severityNumber":"SEVERITY_NUMBER_INFO"},{"severityNumber":"LOUD","body":null}]}]}]}"#;
    otlp_json::decode(json, &mut Layouts::default(), &mut builder).unwrap();
    let severities: Vec<Severity> = builder.finish().logs.iter().map(|line| line.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Info, Severity::Unspecified]);
}

/// One metric of each kind, with everything that its points can have.
fn metrics_of_each_kind() -> Vec<Metric> {
    let exemplars = vec![Exemplar {
        filtered_attributes: vec![attribute("order", "7")],
        time_unix_nano: 1,
        span_id: vec![2; 8],
        trace_id: vec![1; 16],
        value: Some(exemplar::Value::AsDouble(1.5)),
    }];
    let (start_time_unix_nano, time_unix_nano, flags) = (1, 9, 1);
    let number = NumberDataPoint { exemplars: exemplars.clone(), flags, ..point(Number::AsInt(-3)) };
    let histogram = HistogramDataPoint {
        attributes: vec![attribute("route", "/")],
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 1.5],
        exemplars: exemplars.clone(),
        ..HistogramDataPoint::default()
    };
    let buckets = Some(Buckets { offset: -1, bucket_counts: vec![1, 300, u64::MAX] });
    let exponential = ExponentialHistogramDataPoint {
        attributes: vec![attribute("route", "/")],
        scale: -4,
        positive: buckets.clone(),
        negative: buckets,
        exemplars,
        ..ExponentialHistogramDataPoint::default()
    };
    let summary = SummaryDataPoint {
        attributes: vec![attribute("route", "/")],
        start_time_unix_nano,
        time_unix_nano,
        count: 4,
        sum: 2.5,
        quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: 1.5 }],
        flags,
    };
    let (aggregation_temporality, is_monotonic) = (2, true);
    vec![
        metric("process.memory.usage", Data::Gauge(Gauge { data_points: vec![number.clone()] })),
        metric("orders", Data::Sum(Sum { data_points: vec![number], aggregation_temporality, is_monotonic })),
        metric("waits", Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality })),
        metric(
            "sizes",
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential],
                aggregation_temporality,
            }),
        ),
        Metric {
            metadata: vec![attribute("kind", "summary")],
            ..metric("quantiles", Data::Summary(Summary { data_points: vec![summary] }))
        },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_metrics_are_refused_where_the_public_types_refuse_them(kind in 0..5_usize, seed in any::<u64>()) {
        let scope_metrics = vec![ScopeMetrics { metrics: vec![metrics_of_each_kind().swap_remove(kind)], ..Default::default() }];
        let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
        let bytes = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        let mut random = Random(seed);
        for _ in 0..20 {
            let bytes = oracle::mutate(&bytes, &mut random);
            let public = ExportMetricsServiceRequest::decode(&bytes[..]);
            let walk = otlp_protobuf::decode_signal(Signal::Metrics, &bytes, &mut Layouts::default(), &mut BatchBuilder::default());
            prop_assert_eq!(public.is_ok(), walk.is_ok(), "public {:?}, walk {:?}", public, walk);
        }
    }
}

//! OTLP's log records and metrics in protobuf: what the public types read is read and counted alike, what they refuse is
//! refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use spanlint_collector::decode::layouts::Layouts;
use spanlint_collector::decode::{Signal, otlp_protobuf};
use spanlint_graph::BatchBuilder;

fuzz_target!(|bytes: &[u8]| {
    let logs = ExportLogsServiceRequest::decode(bytes).ok().map(|request| {
        let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        (scopes.map(|scope| scope.log_records.len() as u64).sum(), 0)
    });
    let metrics = ExportMetricsServiceRequest::decode(bytes).ok().map(|request| {
        let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        (0, scopes.map(|scope| scope.metrics.len() as u64).sum())
    });
    for (signal, expected) in [(Signal::Logs, logs), (Signal::Metrics, metrics)] {
        let walk = otlp_protobuf::decode_signal(signal, bytes, &mut Layouts::default(), &mut BatchBuilder::default());
        let counts = walk.as_ref().ok().map(|decoded| (decoded.log_records, decoded.metrics));
        assert_eq!(counts, expected, "{signal:?}: {walk:?}");
    }
});

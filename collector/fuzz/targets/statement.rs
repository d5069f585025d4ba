//! Text that spans carry and facts read closely: statements, URLs, names. Any of it is read without harm.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spanlint_graph::span::{SpanId, SpanKind, SpanView, Value};
use spanlint_graph::{BatchBuilder, SpanVisitor, TraceId};

const KEYS: [&str; 8] = [
    "db.query.text", "url.full", "server.address", "http.route", "db.connection_string", "rpc.method", "db.namespace",
    "messaging.destination.name",
];

fuzz_target!(|text: &str| {
    for key in KEYS {
        let system = ("db.system.name".into(), Value::Text("postgresql".into()));
        let method = ("http.request.method".into(), Value::Text("GET".into()));
        let attributes = [(key.into(), Value::Text(text.into())), if key.starts_with("db") { system } else { method }];
        let mut builder = BatchBuilder::default();
        builder.resource(&[("service.name".into(), Value::Text(text.into()))]);
        builder.span(&SpanView {
            trace_id: TraceId(1),
            span_id: SpanId(1),
            kind: SpanKind::Client,
            name: text.into(),
            attributes: &attributes,
            ..SpanView::default()
        });
        assert_eq!(builder.finish().spans.len(), 1);
    }
});

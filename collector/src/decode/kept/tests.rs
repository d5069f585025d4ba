//! What is kept of requests.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spanlint_graph::{BatchBuilder, SpanBatch};

use super::*;
use crate::decode::layouts::Layouts;
use crate::decode::{Decoded, otlp_json, otlp_protobuf, zipkin_json};

fn attributes(keys: &[&str]) -> Value {
    let attribute = |key: &&str| json!({"key": key, "value": {"stringValue": "text"}});
    keys.iter().map(attribute).collect()
}

/// What is kept of a request of which something is dropped or sealed.
fn keep(redaction: &Redaction, keep: impl FnOnce(Keeping<'_>) -> Result<Option<Vec<u8>>, DecodeError>) -> Vec<u8> {
    keep(Keeping { redaction, sealing: &mut Sealing::default() }).unwrap().expect("something is")
}

/// What stays of a request that `request` makes of a list of attributes, in both encodings.
fn check<T: Message + Default + Serialize + DeserializeOwned>(signal: Signal, request: impl Fn(Value) -> Value) {
    let redaction = Redaction::new(["secret", "enduser.*"]);
    let normal = |value: Value| serde_json::to_value(serde_json::from_value::<T>(value).unwrap()).unwrap();
    let whole = normal(request(attributes(&["enduser.id", "kept", "secret", "kept too"])));
    let expected = normal(request(attributes(&["kept", "kept too"])));
    assert!(whole.to_string().matches("secret").count() > 2);
    let json = serde_json::to_vec(&whole).unwrap();
    let kept = keep(&redaction, |keeping| keeping.json(&json));
    assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), expected);
    let bytes = serde_json::from_value::<T>(whole).unwrap().encode_to_vec();
    let kept = keep(&redaction, |keeping| keeping.protobuf(signal, &bytes));
    assert_eq!(serde_json::to_value(T::decode(&*kept).unwrap()).unwrap(), expected);
}

#[test]
fn every_list_of_spans_loses_them() {
    check::<ExportTraceServiceRequest>(Signal::Traces, |attributes| {
        let span = json!({
            "traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607", "name": "[{\"}",
            "attributes": attributes, "status": {"message": "secret"},
            "events": [{"name": "e", "attributes": attributes}],
            "links": [{"traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607", "attributes": attributes}],
        });
        let scope = json!({"name": "s", "attributes": attributes});
        json!({"resourceSpans": [
            {"resource": {"attributes": attributes}, "scopeSpans": [{"scope": scope, "spans": [span, span]}]},
        ]})
    });
}

#[test]
fn every_list_of_logs_loses_them() {
    check::<ExportLogsServiceRequest>(Signal::Logs, |attributes| {
        let record = json!({"body": {"stringValue": "secret"}, "attributes": attributes});
        let scope = json!({"name": "s", "attributes": attributes});
        json!({"resourceLogs": [
            {"resource": {"attributes": attributes}, "scopeLogs": [{"scope": scope, "logRecords": [record]}]},
        ]})
    });
}

#[test]
fn every_list_of_metrics_loses_them() {
    check::<ExportMetricsServiceRequest>(Signal::Metrics, |attributes| {
        let exemplars = json!([{"filteredAttributes": attributes, "asInt": "1"}]);
        let points = json!({"dataPoints": [{"attributes": attributes, "exemplars": exemplars}]});
        let kinds = ["gauge", "sum", "histogram", "exponentialHistogram"];
        let mut metrics: Vec<Value> = kinds.iter().map(|kind| json!({"name": "m", *kind: points})).collect();
        metrics.push(json!({"name": "m", "summary": {"dataPoints": [{"attributes": attributes}]}}));
        json!({"resourceMetrics": [
            {"resource": {"attributes": attributes}, "scopeMetrics": [{"scope": {"name": "s"}, "metrics": metrics}]},
        ]})
    });
}

#[test]
fn tags_and_endpoints_lose_what_becomes_of_them() {
    let check = |key: &str, expected: &str| {
        let span = r#"[{"id":"1","tags":{"sql.query":"a","b":"c"},"remoteEndpoint":{"serviceName":"d","ipv4":"e"}},{"id":"2"}]"#;
        let kept = keep(&Redaction::new([key]), |keeping| keeping.zipkin(span.as_bytes()));
        assert_eq!(String::from_utf8(kept).unwrap(), expected, "{key}");
    };
    let rest = r#","remoteEndpoint":{"serviceName":"d","ipv4":"e"}},{"id":"2"}]"#;
    check("b", &(r#"[{"id":"1","tags":{"sql.query":"a"}"#.to_owned() + rest));
    check("sql.query", &(r#"[{"id":"1","tags":{"b":"c"}"#.to_owned() + rest));
    check("db.query.text", &(r#"[{"id":"1","tags":{"b":"c"}"#.to_owned() + rest));
    let tags = r#"[{"id":"1","tags":{"sql.query":"a","b":"c"},"remoteEndpoint":"#;
    check("network.*", &(tags.to_owned() + r#"{"serviceName":"d"}},{"id":"2"}]"#));
    check("peer.service", &(tags.to_owned() + r#"{"ipv4":"e"}},{"id":"2"}]"#));
}

const SECRET: &str = "sk_live_51H8xYzAbCdEf";

/// Keys and values that hold a secret, each in another way.
fn confidential() -> Value {
    let value = |key: &str, value: Value| json!({"key": key, "value": value});
    let text = |text: &str| json!({"stringValue": text});
    let nested = json!({"arrayValue": {"values": [{"kvlistValue": {"values": [value("a", text(SECRET))]}}]}});
    json!([
        value("kept", text("in the clear")),
        value("note", text(&format!("with {SECRET} in it"))),
        value("http.request.header.authorization", json!({"arrayValue": {"values": [text(SECRET)]}})),
        value("nested", nested),
        value("payment.card_number", json!({"intValue": "4111111111111111"})),
        value("db.connection_string", text("postgres://shop:51H8xYzAbCdEf@db/shop")),
        value("user.email", text("jane@51H8xYzAbCdEf.com")),
    ])
}

/// Nothing confidential stays of a request in either encoding, and both are read as the request itself is.
fn check_sealed<T: Message + Default + Serialize + DeserializeOwned>(signal: Signal, request: &Value) {
    let redaction = Redaction::default();
    let request: T = serde_json::from_value(request.clone()).unwrap();
    let (json, bytes) = (serde_json::to_vec(&request).unwrap(), request.encode_to_vec());
    let read_json = |json: &[u8]| read(|builder| otlp_json::decode(json, &mut Layouts::default(), builder).unwrap());
    let read_protobuf = |bytes: &[u8]| {
        let layouts = &mut Layouts::default();
        read(|builder| otlp_protobuf::decode_signal(signal, bytes, layouts, builder).unwrap())
    };
    let (kept_json, kept_bytes) =
        (keep(&redaction, |keeping| keeping.json(&json)), keep(&redaction, |keeping| keeping.protobuf(signal, &bytes)));
    for (kept, whole) in [(&kept_json, &json), (&kept_bytes, &bytes)] {
        let [kept, whole] = [kept, whole].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(whole.contains("51H8xYzAbCdEf") && kept.contains("in the clear"));
        assert!(!kept.contains("51H8xYzAbCdEf") && !kept.contains("411111111111"), "{kept}");
    }
    let expected = read_json(&json);
    for found in [read_json(&kept_json), read_protobuf(&bytes), read_protobuf(&kept_bytes)] {
        assert!(found.1);
        assert_eq!(found.0, expected.0);
    }
}

/// What people see, what is held against the sender, and whether something may be confidential.
fn read(show: impl FnOnce(&mut BatchBuilder) -> Decoded) -> (String, bool) {
    let mut builder = BatchBuilder::default();
    show(&mut builder);
    let SpanBatch { spans, logs, may_be_confidential, vocabulary, .. } = builder.finish();
    let spans: Vec<_> = spans.iter().map(|span| (span.detail.name(), &span.detail, span.secrets())).collect();
    let logs: Vec<_> = logs.iter().map(|line| (line.detail.name(), &line.detail)).collect();
    let names = vocabulary.names.sorted(|_| true);
    (format!("{spans:?} {logs:?} {:?}", names.values().collect::<Vec<_>>()), may_be_confidential)
}

#[test]
fn every_text_of_spans_is_sealed() {
    let ids = json!({"traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607"});
    let with = |more: Value| {
        let mut whole = ids.clone();
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        whole
    };
    let secret = format!("token {SECRET}");
    // Nobody looks at what stands that far behind.
    let values = json!([{"stringValue": "x".repeat(9_000)}, {"stringValue": SECRET}]);
    let long = json!({"key": "long", "value": {"arrayValue": {"values": values}}});
    for (resource, scope, span) in [
        (json!([]), json!({}), json!({"attributes": confidential()})),
        (json!([]), json!({}), json!({"name": "in the clear", "attributes": [long]})),
        (confidential(), json!({}), json!({})),
        (json!([]), json!({"name": "s", "attributes": confidential()}), json!({})),
        (
            json!([]),
            json!({}),
            json!({"name": secret, "attributes": [{"key": "a", "value": {"stringValue": "in the clear"}}]}),
        ),
        (json!([]), json!({}), json!({"name": "in the clear", "status": {"code": 2, "message": secret}})),
        (json!([]), json!({}), json!({"name": "in the clear", "events": [{"name": secret}]})),
        (json!([]), json!({}), json!({"events": [{"name": "exception", "attributes": confidential()}]})),
        (json!([]), json!({}), json!({"links": [with(json!({"attributes": confidential()}))]})),
    ] {
        check_sealed::<ExportTraceServiceRequest>(
            Signal::Traces,
            &json!({"resourceSpans": [
                {"resource": {"attributes": resource}, "scopeSpans": [{"scope": scope, "spans": [with(span)]}]},
            ]}),
        );
    }
}

#[test]
fn every_text_of_logs_is_sealed() {
    for record in [
        json!({"body": {"stringValue": "in the clear"}, "attributes": confidential()}),
        json!({"body": {"stringValue": format!("in the clear {SECRET}")}}),
        json!({"body": {"kvlistValue": {"values": confidential()}}}),
    ] {
        let resource = json!({"attributes": []});
        check_sealed::<ExportLogsServiceRequest>(
            Signal::Logs,
            &json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}),
        );
    }
}

#[test]
fn every_text_of_metrics_is_sealed() {
    let exemplars = json!([{"filteredAttributes": confidential(), "asInt": "1"}]);
    let points = json!({"dataPoints": [{"attributes": confidential(), "exemplars": exemplars}]});
    check_sealed::<ExportMetricsServiceRequest>(
        Signal::Metrics,
        &json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": points}]}]}]}),
    );
}

#[test]
fn every_text_of_zipkin_is_sealed() {
    let request = json!([{
        "traceId": "1", "id": "2", "timestamp": 1, "duration": 1, "name": format!("a {SECRET}"),
        "annotations": [{"timestamp": 1, "value": format!("in the clear {SECRET}")}],
        "tags": {"sql.query": format!("SELECT '{SECRET}'"), "api_key": SECRET},
    }]);
    let request = serde_json::to_vec(&request).unwrap();
    let kept = keep(&Redaction::default(), |keeping| keeping.zipkin(&request));
    let text = String::from_utf8(kept.clone()).unwrap();
    assert!(text.contains("in the clear") && !text.contains("51H8xYzAbCdEf"), "{text}");
    let read_zipkin = |json: &[u8]| read(|builder| zipkin_json::decode(json, builder).unwrap());
    assert_eq!(read_zipkin(&kept), read_zipkin(&request));
}

/// Only what may hold something confidential is looked through once more.
#[test]
fn what_is_harmless_is_not_looked_through_again() {
    let harmless = json!([{"key": "kept", "value": {"stringValue": "in the clear"}}]);
    let request = json!({"resourceSpans": [{"resource": {"attributes": harmless}, "scopeSpans": [{"spans": [{
        "traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607", "name": "a name",
        "attributes": harmless, "events": [{"name": "exception", "attributes": harmless}],
    }]}]}]});
    let request: ExportTraceServiceRequest = serde_json::from_value(request).unwrap();
    let (json, bytes) = (serde_json::to_vec(&request).unwrap(), request.encode_to_vec());
    assert!(!read(|builder| otlp_json::decode(&json, &mut Layouts::default(), builder).unwrap()).1);
    assert!(!read(|builder| otlp_protobuf::decode(&bytes, builder).unwrap()).1);
    let (redaction, mut sealing) = (Redaction::default(), Sealing::default());
    assert_eq!(Keeping { redaction: &redaction, sealing: &mut sealing }.json(&json).unwrap(), None);
    assert_eq!(
        Keeping { redaction: &redaction, sealing: &mut sealing }.protobuf(Signal::Traces, &bytes).unwrap(),
        None
    );
}

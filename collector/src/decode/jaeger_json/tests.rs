//! Requests that OTLP and Jaeger can both say must mean the same; the rest is what Jaeger's users really export.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use spanlint_graph::TraceId;
use spanlint_graph::span::SpanId;

use super::*;
use crate::decode::layouts::Layouts;
use crate::decode::oracle;
use crate::decode::otlp_json;
use crate::decode::recording::{OwnedAttributes, OwnedSpan, Recording, Shown};

fn decoded(json: &str) -> (Recording, Decoded) {
    let mut recording = Recording::default();
    let decoded = decode(json.as_bytes(), &mut recording).unwrap();
    (recording, decoded)
}

/// An answer with one span of the given members, in trace `a` and with id `b`.
fn with_span(members: &str) -> String {
    format!(
        r#"{{"data":[{{"traceID":"a","spans":[{{"traceID":"a","spanID":"b","operationName":"GET /"{members}}}],
            "processes":{{"p1":{{"serviceName":"shop","tags":[{{"key":"hostname","type":"string","value":"h"}}]}}}}}}]}}"#
    )
}

fn span(members: &str) -> OwnedSpan {
    let (recording, _) = decoded(&with_span(members));
    recording.spans().next().unwrap_or_else(|| panic!("{:?}", recording.refusals())).clone()
}

/// Every span with the resource it belongs to.
fn with_resources(recording: &Recording) -> Vec<(OwnedAttributes, OwnedSpan)> {
    let mut resource = Vec::new();
    let mut spans = Vec::new();
    for shown in &recording.0 {
        match shown {
            Shown::Resource(attributes) => resource.clone_from(attributes),
            Shown::Span(span) => spans.push((resource.clone(), (**span).clone())),
            Shown::Refused(_) => {}
        }
    }
    spans
}

fn tags(attributes: &OwnedAttributes) -> Vec<Json> {
    let tag = |(key, value): &(String, Value<'_>)| match value {
        Value::Text(text) => json!({"key": key, "type": "string", "value": text}),
        Value::Bool(value) => json!({"key": key, "type": "bool", "value": value}),
        Value::Int(value) => json!({"key": key, "type": "int64", "value": value.to_string()}),
        Value::Double(_) | Value::Composite(_) => unreachable!("left out by `scalars`"),
    };
    attributes.iter().map(tag).collect()
}

fn scalars(attributes: &mut OwnedAttributes) {
    attributes.retain(|(_, value)| matches!(value, Value::Text(_) | Value::Bool(_) | Value::Int(_)));
}

/// What Jaeger can say of the spans of a request: scalar tags, microseconds, kinds and errors as tags.
fn sayable(recording: &Recording) -> Vec<(OwnedAttributes, OwnedSpan)> {
    let mut spans = with_resources(recording);
    for (resource, span) in &mut spans {
        scalars(resource);
        resource.insert(0, ("service.name".to_owned(), Value::Text("shop".into())));
        scalars(&mut span.attributes);
        span.start_ns = span.start_ns / 1000 * 1000;
        span.end_ns = span.start_ns.max(span.end_ns / 1000 * 1000);
        let kind = span.kind.as_str().to_owned();
        span.attributes.insert(0, ("span.kind".to_owned(), Value::Text(kind.into())));
        let code = if span.is_error { "ERROR" } else { "UNSET" };
        span.attributes.insert(1, ("otel.status_code".to_owned(), Value::Text(code.into())));
        let message = Value::Text(span.status_message.clone().into());
        span.attributes.insert(2, ("otel.status_description".to_owned(), message));
        let trace_state = Value::Text(span.trace_state.clone().into());
        span.attributes.insert(3, ("w3c.tracestate".to_owned(), trace_state));
    }
    spans
}

/// As Jaeger's API would answer: a trace for each span.
fn answer(spans: &[(OwnedAttributes, OwnedSpan)]) -> String {
    let trace = |(resource, span): &(OwnedAttributes, OwnedSpan)| {
        let (trace_id, span_id) = (format!("{:x}", { span.trace_id.0 }), format!("{:x}", span.span_id.0));
        let mut references = Vec::new();
        for link in &span.links {
            let id = (link.trace_id.to_string(), link.span_id.to_string());
            references.push(json!({"refType": "FOLLOWS_FROM", "traceID": id.0, "spanID": id.1}));
        }
        if span.parent_id != SpanId::NONE {
            let id = span.parent_id.to_string();
            references.push(json!({"refType": "CHILD_OF", "traceID": trace_id, "spanID": id}));
        }
        let exception = vec![(EXCEPTION_TYPE.to_owned(), Value::Text(span.exception.clone().into()))];
        let span = json!({
            "traceID": trace_id, "spanID": span_id, "operationName": span.name, "processID": "p1", "flags": 1,
            "references": references, "startTime": span.start_ns / 1000,
            "duration": (span.end_ns - span.start_ns) / 1000, "tags": tags(&span.attributes), "warnings": null,
            "logs": [{"timestamp": 1, "fields": tags(&exception)}, {"fields": []}]
        });
        let process = json!({"serviceName": "shop", "tags": tags(&resource[1..].to_vec())});
        json!({"traceID": trace_id, "spans": [span], "processes": {"p1": process}})
    };
    json!({"data": spans.iter().map(trace).collect::<Vec<_>>(), "total": 0, "errors": null}).to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn says_the_same_as_otlp(request in oracle::request()) {
        let mut otlp = Recording::default();
        otlp_json::decode(&serde_json::to_vec(&request).unwrap(), &mut Layouts::default(), &mut otlp).unwrap();
        let expected = sayable(&otlp);
        let (jaeger, _) = decoded(&answer(&expected));
        prop_assert_eq!(with_resources(&jaeger), expected);
    }

    #[test]
    fn mutated_answers_never_panic(request in oracle::request(), seed in any::<u64>()) {
        let mut otlp = Recording::default();
        otlp_json::decode(&serde_json::to_vec(&request).unwrap(), &mut Layouts::default(), &mut otlp).unwrap();
        let answer = answer(&sayable(&otlp));
        let mut random = oracle::Random(seed);
        for _ in 0..20 {
            let _ = decode(&oracle::mutate(answer.as_bytes(), &mut random), &mut Recording::default());
        }
    }
}

#[test]
fn a_span_is_shown_with_its_process() {
    let (recording, decoded) = decoded(&with_span(r#","processID":"p1","startTime":7,"duration":5"#));
    let text = |text: &'static str| Value::Text(text.into());
    let expected = vec![("service.name".to_owned(), text("shop")), ("hostname".to_owned(), text("h"))];
    let (resource, span) = with_resources(&recording).remove(0);
    assert_eq!(resource, expected);
    assert_eq!((span.trace_id, span.span_id, span.parent_id), (TraceId(10), SpanId(11), SpanId::NONE));
    assert_eq!((span.start_ns, span.end_ns), (7000, 12_000));
    assert!(decoded.is_recognized);
}

#[test]
fn one_trace_and_arrays_of_traces_are_read_like_answers() {
    let answer = with_span("");
    let array = answer.strip_prefix(r#"{"data":"#).unwrap().strip_suffix('}').unwrap();
    let trace = array.strip_prefix('[').unwrap().strip_suffix(']').unwrap();
    let expected = decoded(&answer).0.0;
    for same in [array, trace, &format!("{{\"data\":{trace}}}"), &format!("[{answer}]")] {
        assert_eq!(decoded(same).0.0, expected, "{same}");
    }
    assert!(!decoded(r#"{"data":null,"errors":[{"code":404}]}"#).1.is_recognized);
}

#[test]
fn a_process_may_stand_in_its_span() {
    let inline = r#","processID":"p2","process":{"serviceName":"inline","tags":null}"#;
    let (recording, _) = decoded(&with_span(inline));
    assert_eq!(with_resources(&recording)[0].0, [("service.name".to_owned(), Value::Text("inline".into()))]);
    let (unknown, _) = decoded(&with_span(r#","processID":"p2""#));
    assert_eq!(with_resources(&unknown)[0].0, []);
}

#[test]
fn the_first_child_of_in_the_same_trace_is_the_parent() {
    let reference = |kind: &str, trace: &str, span: &str| {
        format!(r#"{{"refType":"{kind}","traceID":"{trace}","spanID":"{span}","span":{{"references":[]}}}}"#)
    };
    let references = |list: &[String]| span(&format!(",\"references\":[{}]", list.join(",")));
    let (follows, other) = (reference("FOLLOWS_FROM", "a", "1"), reference("CHILD_OF", "c", "2"));
    let (child, second) = (reference("CHILD_OF", "000A", "3"), reference("CHILD_OF", "a", "4"));
    let link = |trace, span| Link { trace_id: TraceId(trace), span_id: SpanId(span) };
    let found = references(&[follows.clone(), other.clone(), child, second]);
    assert_eq!(found.parent_id, SpanId(3));
    assert_eq!(found.links, [link(10, 1), link(12, 2), link(10, 4)]);
    let found = references(&[other, follows]);
    assert_eq!((found.parent_id, found.links), (SpanId(1), vec![link(12, 2)]));
    assert_eq!(span(r#","parentSpanID":"7","references":null"#).parent_id, SpanId(7));
}

#[test]
fn ids_without_leading_zeros_are_padded_and_labels_are_taken() {
    let (recording, _) = decoded(
        r#"{"traceID":"trace-1","spans":[{"spanID":"span-1"},{"traceID":"0A","spanID":"g",
            "references":[{"traceID":"a","spanID":"span-1"}]},{"name":"none"},
            {"operationName":"long","spanID":"123456789012345678"}]}"#,
    );
    let spans: Vec<_> = recording.spans().collect();
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[1].trace_id, TraceId(10));
    assert_eq!(spans[1].parent_id, spans[0].span_id);
    assert_eq!(
        recording.refusals(),
        ["span \"\": span id is missing or zero", "span \"long\": span id has 18 hexadecimal digits, wants 16",]
    );
}

#[test]
fn tags_have_their_types() {
    let tag = |kind: &str, json: &str| {
        let span = span(&format!(r#","tags":[{{"key":"k","type":"{kind}","value":{json}}}]"#));
        span.attributes[0].1.clone()
    };
    assert_eq!(tag("string", "\"200\""), Value::Text("200".into()));
    assert_eq!(tag("bool", "\"true\""), Value::Bool(true));
    assert_eq!(tag("bool", "false"), Value::Bool(false));
    assert_eq!(tag("int64", "\"9007199254740993\""), Value::Int(9_007_199_254_740_993));
    assert_eq!(tag("int64", "\"many\""), Value::Text("many".into()));
    assert_eq!(tag("binary", "\"aGk=\""), Value::Composite("\"aGk=\"".to_owned()));
    assert_eq!(tag("", "[1]"), Value::Composite("[1]".to_owned()));
    assert_eq!(tag("string", "null"), Value::Text("".into()));
}

#[test]
fn errors_come_as_flags_as_texts_and_from_opentelemetry() {
    let check = |tags: &[(&str, &str)], is_error: bool, message: &str| {
        let tags = tags.iter().map(|(key, value)| format!(r#"{{"key":"{key}","value":{value}}}"#));
        let span = span(&format!(",\"tags\":[{}]", tags.collect::<Vec<_>>().join(",")));
        assert_eq!((span.is_error, &*span.status_message), (is_error, message));
    };
    check(&[("error", "true")], true, "");
    check(&[("error", "\"true\"")], true, "");
    check(&[("error", "false")], false, "");
    check(&[("error", "\"ClientSideError\"")], true, "ClientSideError");
    check(&[("otel.status_code", "\"ERROR\""), ("otel.status_description", "\"boom\"")], true, "boom");
    check(&[("otel.status_code", "\"OK\""), ("error", "true")], false, "");
}

#[test]
fn exceptions_come_from_opentelemetry_and_from_opentracing() {
    let check = |fields: &str, expected: &str| {
        let logs = format!(r#", "logs": [{{"timestamp": 1, "fields": [{fields}]}}, {{"fields": []}}]"#);
        assert_eq!(span(&logs).exception, expected, "{fields}");
    };
    check(
        r#"{"key": "event", "value": "exception"}, {"key": "exception.type", "value": "ReadTimeout"}"#,
        "ReadTimeout",
    );
    check(r#"{"key": "error.kind", "value": "Exception"}, {"key": "error.object", "value": "Canceled"}"#, "Canceled");
    check(r#"{"key": "error.kind", "value": "TimeoutError"}"#, "TimeoutError");
    check(r#"{"key": "message", "value": "retry"}"#, "");
    assert_eq!(span(r#", "logs": null"#).exception, "");
}

#[test]
fn what_goes_over_a_bound_is_counted() {
    let tags = vec![r#"{"key":"a"}"#; MAX_ATTRIBUTES + 2].join(",");
    let references = vec![r#"{"spanID":"1"}"#; MAX_LINKS + 4].join(",");
    let (recording, decoded) = decoded(&with_span(&format!(",\"tags\":[{tags}],\"references\":[{references}]")));
    let span = recording.spans().next().unwrap();
    assert_eq!((span.attributes.len(), span.links.len()), (MAX_ATTRIBUTES, MAX_LINKS));
    assert_eq!(decoded.over_limit, 2 + 3);
    let processes: Vec<_> = (0..MAX_PROCESSES + 3).map(|id| format!("\"{id}\":{{}}")).collect();
    let trace = format!("{{\"spans\":[],\"processes\":{{{}}}}}", processes.join(","));
    let mut recording = Recording::default();
    assert_eq!(decode(trace.as_bytes(), &mut recording).unwrap().over_limit, 3);
}

#[test]
fn a_million_levels_do_no_harm() {
    let brackets = "[".repeat(1_000_000);
    assert!(decode(brackets.as_bytes(), &mut Recording::default()).is_err());
    assert!(decode("{\"data\":".repeat(1_000_000).as_bytes(), &mut Recording::default()).is_err());
    let inner = r#"{"references":[{"span":"#.repeat(200_000) + "1" + &"}]}".repeat(200_000);
    let deep = with_span(&format!(r#","references":[{{"spanID":"7","traceID":"a","span":{inner}}}]"#));
    assert_eq!(decoded(&deep).0.spans().next().unwrap().parent_id, SpanId(7));
}

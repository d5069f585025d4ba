//! The protobuf walk is the oracle for requests that both can say; the rest is what senders of JSON really do.

use proptest::prelude::*;
use prost::Message as _;
use spanlint_graph::TraceId;
use spanlint_graph::span::{SpanId, Value};

use super::*;
use crate::decode::oracle::{self, request};
use crate::decode::otlp_protobuf;
use crate::decode::recording::{OwnedSpan, Recording};

fn decoded(json: &str) -> (Recording, Decoded) {
    let mut recording = Recording::default();
    let decoded = decode(json.as_bytes(), &mut Layouts::default(), &mut recording).unwrap();
    (recording, decoded)
}

fn error(json: &str) -> String {
    decode(json.as_bytes(), &mut Layouts::default(), &mut Recording::default()).unwrap_err().to_string()
}

/// A request of one span with the given members.
fn with_span(members: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{
            "traceId":"0000000000000000000000000000000A","spanId":"00000000000000bb","name":"GET /"{members}}}]}}]}}]}}"#
    )
}

fn span(members: &str) -> OwnedSpan {
    let (recording, _) = decoded(&with_span(members));
    recording.spans().next().expect("the span is taken").clone()
}

/// The same JSON with ids as Tempo's answers have them.
fn with_base64_ids(json: serde_json::Value) -> serde_json::Value {
    use base64::Engine as _;
    use serde_json::Value as Json;
    let id = |id: Json| {
        let digits = id.as_str().unwrap().as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
        Json::String(base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    let member = |(key, value): (String, Json)| {
        let value = if key.ends_with("Id") { id(value) } else { with_base64_ids(value) };
        (key, value)
    };
    match json {
        Json::Object(members) => members.into_iter().map(member).collect(),
        Json::Array(elements) => elements.into_iter().map(with_base64_ids).collect(),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_the_public_types_write(request in request()) {
        let (mut from_json, mut from_protobuf) = (Recording::default(), Recording::default());
        let json = serde_json::to_vec(&request).unwrap();
        let decoded = decode(&json, &mut Layouts::default(), &mut from_json);
        prop_assert!(decoded.is_ok(), "{:?} in {}", decoded, String::from_utf8_lossy(&json));
        otlp_protobuf::decode(&request.encode_to_vec(), &mut from_protobuf).unwrap();
        let expected = oracle::without_reasons(from_protobuf);
        prop_assert_eq!(&oracle::without_reasons(from_json), &expected);
        let mut from_pretty = Recording::default();
        decode(&serde_json::to_vec_pretty(&request).unwrap(), &mut Layouts::default(), &mut from_pretty).unwrap();
        prop_assert_eq!(&oracle::without_reasons(from_pretty), &expected);
    }

    #[test]
    fn an_answer_of_tempo_says_what_its_request_says(request in request()) {
        let json = serde_json::to_value(&request).unwrap();
        let (mut from_request, mut from_batches, mut from_trace) = <[Recording; 3]>::default().into();
        decode(json.to_string().as_bytes(), &mut Layouts::default(), &mut from_request).unwrap();
        let answer = with_base64_ids(json);
        let batches = serde_json::json!({"batches": answer["resourceSpans"]}).to_string();
        decode_recording(batches.as_bytes(), &mut Layouts::default(), &mut from_batches).unwrap();
        let trace = serde_json::json!({"trace": answer, "metrics": {"inspectedBytes": 7}}).to_string();
        decode_recording(trace.as_bytes(), &mut Layouts::default(), &mut from_trace).unwrap();
        let expected = oracle::without_reasons(from_request);
        prop_assert_eq!(&oracle::without_reasons(from_batches), &expected);
        prop_assert_eq!(&oracle::without_reasons(from_trace), &expected);
    }

    #[test]
    fn mutated_requests_never_panic(request in request(), seed in any::<u64>()) {
        let json = serde_json::to_vec(&request).unwrap();
        let mut random = oracle::Random(seed);
        for _ in 0..20 {
            let _ = decode(&oracle::mutate(&json, &mut random), &mut Layouts::default(), &mut Recording::default());
            let _ = decode_recording(&oracle::mutate(&json, &mut random), &mut Layouts::default(), &mut Recording::default());
        }
    }
}

#[test]
fn a_span_is_shown_with_all_it_has() {
    let span = span(
        r#","parentSpanId":"00000000000000CC","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"7","endTimeUnixNano":5,
        "status":{"code":"STATUS_CODE_ERROR","message":"boom"},"links":[{"traceId":"","spanId":""}],"flags":769,
        "events":[{"name":"exception","attributes":[{"key":"exception.type","value":{"stringValue":"Timeout"}}]},{}],
        "attributes":[{"key":"n","value":{"intValue":"-3"}},{"key":"list","value":{"arrayValue":{"values":[
            {"stringValue":"a"},{},{"kvlistValue":{"values":[{"key":"k","value":{"doubleValue":"NaN"}}]}}]}}}]"#,
    );
    let expected = OwnedSpan {
        trace_id: TraceId(10),
        span_id: SpanId(0xbb),
        parent_id: SpanId(0xcc),
        kind: SpanKind::Server,
        name: "GET /".to_owned(),
        start_ns: 7,
        end_ns: 5,
        is_error: true,
        status_message: "boom".to_owned(),
        exception: "Timeout".to_owned(),
        attributes: vec![
            ("n".to_owned(), Value::Int(-3)),
            ("list".to_owned(), Value::Composite(r#"["a","",{"k":"NaN"}]"#.to_owned())),
        ],
        trace_state: String::new(),
        links: Vec::new(),
    };
    assert_eq!(span, expected);
}

#[test]
fn snake_case_is_read_like_camel_case() {
    let json = r#"{"resource_spans":[{"resource":{"attributes":[{"key":"service.name","value":{"string_value":"a"}}]},
        "scope_spans":[{"spans":[{"trace_id":"000000000000000000000000000000ab","span_id":"00000000000000cd",
        "parent_span_id":"00000000000000ef","start_time_unix_nano":1,"end_time_unix_nano":"2","kind":3,
        "links":[{"trace_id":"000000000000000000000000000000ab","span_id":"00000000000000cd"}]}]}]}]}"#;
    let (snake, _) = decoded(json);
    let mut camel = json.to_owned();
    for (from, to) in [("trace_id", "traceId"), ("parent_span_id", "parentSpanId"), ("span_id", "spanId")] {
        camel = camel.replace(from, to);
    }
    for (from, to) in [("resource_spans", "resourceSpans"), ("scope_spans", "scopeSpans")] {
        camel = camel.replace(from, to);
    }
    camel = camel.replace("start_time_unix_nano", "startTimeUnixNano").replace("end_time_unix_nano", "endTimeUnixNano");
    camel = camel.replace("string_value", "stringValue");
    assert_eq!(snake.spans().next().unwrap().links.len(), 1);
    assert_eq!(snake.0, decoded(&camel).0.0);
}

#[test]
fn null_is_absent_and_unknown_fields_are_ignored() {
    let nulls = span(
        r#","parentSpanId":null,"kind":null,"startTimeUnixNano":null,"endTimeUnixNano":null,"status":null,
        "links":null,"attributes":[{"key":"a","value":null},{"key":null,"value":{"intValue":null}}],"new":[{"field":1}]"#,
    );
    let empty = || Value::Text("".into());
    let attributes = vec![("a".to_owned(), empty()), (String::new(), empty())];
    assert_eq!(nulls, OwnedSpan { attributes, ..span("") });
    let nothing = r#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"spans":null}]},{"scopeSpans":null}]}"#;
    assert!(decoded(nothing).1.is_recognized);
}

#[test]
fn of_a_field_that_is_sent_twice_the_last_one_counts() {
    let (first, second) = (r#"{"key":"a","value":{"intValue":"1"}}"#, r#"{"key":"b","value":{"intValue":2}}"#);
    let link = |id: &str| format!(r#"{{"traceId":"000000000000000000000000000000ab","spanId":"{id}"}}"#);
    let [old, new] = ["00000000000000c1", "00000000000000c2"].map(link);
    let twice = span(&format!(
        r#","name":"first","name":"last","attributes":[{first}],"attributes":[{second}],"links":[{old}],"links":[{new}]"#
    ));
    let once = span(&format!(r#","name":"last","attributes":[{second}],"links":[{new}]"#));
    assert_eq!(twice, once);
    assert_eq!((twice.name.as_str(), twice.attributes.len(), twice.links.len()), ("last", 1, 1));
}

#[test]
fn a_resource_behind_its_spans_is_shown_first() {
    let resource = r#""resource":{"attributes":[{"key":"a","value":{"boolValue":true}}]}"#;
    let spans =
        r#""scopeSpans":[{"spans":[{"traceId":"0000000000000000000000000000000a","spanId":"000000000000000b"}]}]"#;
    let (before, _) = decoded(&format!("{{\"resourceSpans\":[{{{resource},{spans}}}]}}"));
    let (after, _) = decoded(&format!("{{\"resourceSpans\":[{{{spans},{resource}}}]}}"));
    assert_eq!(before.0.len(), 2);
    assert_eq!(before.0, after.0);
}

#[test]
fn wrong_ids_are_refused_by_name_and_neighbours_live() {
    let json = with_span("").replace(
        "\"spans\":[",
        r#""spans":[{"name":"short","traceId":"abcd","spanId":"00000000000000bb"},
            {"name":"base64","traceId":"AAAAAAAAAAAAAAAAAAAAAA==","spanId":"00000000000000bb"},{"name":"none"},"#,
    );
    let (recording, _) = decoded(&json);
    assert_eq!(
        recording.refusals(),
        [
            "span \"short\": trace id has 4 hexadecimal digits, wants 32",
            "span \"base64\": trace id is not hexadecimal",
            "span \"none\": trace id is missing or zero",
        ]
    );
    assert_eq!(recording.spans().count(), 1);
}

#[test]
fn recordings_may_have_other_envelopes_and_requests_may_not() {
    let json = with_span("").replace("resourceSpans", "batches");
    let mut recording = Recording::default();
    decode_recording(json.as_bytes(), &mut Layouts::default(), &mut recording).unwrap();
    assert_eq!(recording.spans().next().unwrap().span_id, SpanId(0xbb));
    assert!(!decoded(&json).1.is_recognized);
    let result = format!(r#"{{"result":{}}}"#, with_span(""));
    assert!(!decoded(&result).1.is_recognized);
    assert!(decode_recording(result.as_bytes(), &mut Layouts::default(), &mut recording).unwrap().is_recognized);
}

#[test]
fn recordings_may_hold_the_records_of_one_resource() {
    let request: serde_json::Value = serde_json::from_str(&with_span("")).unwrap();
    let (mut of_request, mut of_resource) = <[Recording; 2]>::default().into();
    decode(request.to_string().as_bytes(), &mut Layouts::default(), &mut of_request).unwrap();
    let resource = request["resourceSpans"][0].to_string();
    assert!(decode_recording(resource.as_bytes(), &mut Layouts::default(), &mut of_resource).unwrap().is_recognized);
    assert_eq!(of_resource.0, of_request.0);
    assert!(!decoded(&resource).1.is_recognized);
    let logs = r#"{"scopeLogs":[{"logRecords":[{},{}]}]}"#;
    assert_eq!(decode_recording(logs.as_bytes(), &mut Layouts::default(), &mut of_resource).unwrap().log_records, 2);
}

#[test]
fn scopes_were_called_libraries_once() {
    for old in ["instrumentationLibrarySpans", "instrumentation_library_spans"] {
        let (recording, _) = decoded(&with_span("").replace("scopeSpans", old));
        assert_eq!(recording.spans().count(), 1, "{old}");
    }
}

#[test]
fn other_signals_are_counted() {
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{}},{}]},{"logRecords":null}]}]}"#;
    let metrics = r#"{"resource_metrics":[{"scope_metrics":[{"metrics":[{"name":"m"}]}]}]}"#;
    let (recording, logs_and_metrics) = decoded(&format!("[{logs},{metrics}]"));
    assert!(recording.spans().next().is_none());
    assert_eq!(logs_and_metrics, Decoded { log_records: 2, metrics: 1, over_limit: 0, is_recognized: true });
    assert!(!decoded(r#"{"data":[{"traceID":"1"}]}"#).1.is_recognized);
}

#[test]
fn requests_may_come_in_an_array_but_not_deeper() {
    let (recording, _) = decoded(&format!("[{},{}]", with_span(""), with_span("")));
    assert_eq!(recording.spans().count(), 2);
    assert!(error("[[{}]]").starts_with("expected an OTLP request (an object with resourceSpans), found an array"));
}

#[test]
fn what_is_malformed_says_so() {
    assert_eq!(
        error("7"),
        "expected an OTLP request (an object with resourceSpans), found a number at line 1 column 1"
    );
    assert_eq!(error(&with_span(r#","name":7"#)), "expected a text, found a number at line 2 column 108");
    let second = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[],"scope_spans":[]}]}"#;
    assert_eq!(error(second), "a second `scope_spans` at line 1 column 64");
    assert_eq!(
        error(&with_span(r#","startTimeUnixNano":"soon""#)).split(" at ").next().unwrap(),
        "expected an integer, as number or as text, found a text"
    );
    assert!(error(&with_span(r#","startTimeUnixNano":-1"#)).starts_with("-1 is not a 64-bit number"));
    let torn = decode(&with_span("").as_bytes()[..60], &mut Layouts::default(), &mut Recording::default()).unwrap_err();
    assert!(torn.is_end_of_input(), "{torn}");
}

#[test]
fn a_million_brackets_are_refused() {
    let brackets = "[".repeat(1_000_000);
    assert!(decode(brackets.as_bytes(), &mut Layouts::default(), &mut Recording::default()).is_err());
    assert!(
        decode(
            with_span(&format!(",\"unknown\":{brackets}")).as_bytes(),
            &mut Layouts::default(),
            &mut Recording::default()
        )
        .is_err()
    );
    let values = r#"{"arrayValue":{"values":["#.repeat(100_000);
    let nested = with_span(&format!(",\"attributes\":[{{\"key\":\"a\",\"value\":{values}"));
    assert!(decode(nested.as_bytes(), &mut Layouts::default(), &mut Recording::default()).is_err());
    let closed = [&*values, &*"]}}".repeat(100_000)].concat();
    assert!(
        error(&with_span(&format!(",\"attributes\":[{{\"key\":\"a\",\"value\":{closed}}}]")))
            .contains("nested more than")
    );
}

#[test]
fn what_goes_over_a_bound_is_counted() {
    let attribute = r#"{"key":"a"}"#;
    let attributes = vec![attribute; MAX_ATTRIBUTES + 2].join(",");
    let (recording, decoded) = decoded(&with_span(&format!(",\"attributes\":[{attributes}]")));
    assert_eq!(decoded.over_limit, 2);
    assert_eq!(recording.spans().next().unwrap().attributes.len(), MAX_ATTRIBUTES);
}

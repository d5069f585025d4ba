//! What Zipkin's tracers really send: short ids, shared spans, pieces, endpoints that say little.

use proptest::prelude::*;
use spanlint_graph::span::SpanId;
use spanlint_graph::{BatchBuilder, Name, TraceId};

use super::*;
use crate::decode::oracle;
use crate::decode::recording::{OwnedSpan, Recording, Shown};

fn decoded(json: &str) -> Recording {
    let mut recording = Recording::default();
    decode(json.as_bytes(), &mut recording).unwrap();
    recording
}

/// A span of trace `a` with the given members.
fn json(members: &str) -> String {
    format!(r#"{{"traceId":"a","timestamp":7,"duration":5,"localEndpoint":{{"serviceName":"shop"}},{members}}}"#)
}

fn span(members: &str) -> OwnedSpan {
    let recording = decoded(&json(members));
    recording.spans().next().unwrap_or_else(|| panic!("{:?}", recording.refusals())).clone()
}

fn attributes(members: &str) -> Vec<(String, String)> {
    let span = span(members);
    span.attributes.iter().map(|(key, value)| (key.clone(), value.to_text().into_owned())).collect()
}

#[track_caller]
fn check_attributes(members: &str, expected: &[(&str, &str)]) {
    let found = attributes(members);
    let found: Vec<_> = found.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_span_is_shown_with_all_it_has() {
    let span = span(r#""id":"b","parentId":"000000000000000C","kind":"SERVER","name":"get /","debug":true"#);
    let expected = OwnedSpan {
        trace_id: TraceId(10),
        span_id: SpanId(11),
        parent_id: SpanId(12),
        kind: SpanKind::Server,
        name: "get /".to_owned(),
        start_ns: 7000,
        end_ns: 12_000,
        ..OwnedSpan::default()
    };
    assert_eq!(span, expected);
}

#[test]
fn spans_come_alone_in_arrays_and_in_traces() {
    let (first, second) = (json(r#""id":"1""#), json(r#""id":"2""#));
    let expected = decoded(&format!("[{first},{second}]")).0;
    assert_eq!(expected.len(), 3, "one resource, two spans");
    assert_eq!(decoded(&format!("[[{first}],[{second}]]")).0, expected);
    assert_eq!(decoded(&first).0, expected[..2]);
}

#[test]
fn kinds_are_named_and_none_is_work_inside() {
    let kind = |kind: &str| span(&format!(r#""id":"1","kind":{kind}"#)).kind;
    assert_eq!(kind("\"CLIENT\""), SpanKind::Client);
    assert_eq!(kind("\"PRODUCER\""), SpanKind::Producer);
    assert_eq!(kind("\"CONSUMER\""), SpanKind::Consumer);
    assert_eq!([kind("null"), kind("\"NEW\"")], [SpanKind::Internal; 2]);
}

#[test]
fn wrong_ids_and_missing_times_are_refused_by_name_and_neighbours_live() {
    let recording = decoded(&format!(
        r#"[{},{{"traceId":"123456789012345678901234567890123","id":"1","name":"long"}},{{"traceId":"a","id":"x"}},
            {{"traceId":"a","name":"none"}},{{"traceId":"a","id":"7","name":"never"}}]"#,
        json(r#""id":"1""#)
    ));
    assert_eq!(recording.spans().count(), 1);
    assert_eq!(
        recording.refusals(),
        [
            "span \"long\": trace id has 33 hexadecimal digits, wants 32",
            "span \"\": span id is not hexadecimal",
            "span \"none\": span id is missing or zero",
            "span \"never\": has no timestamp, and no other piece of it has one",
        ]
    );
    let many = format!("[{}]", vec!["{}"; 100].join(","));
    assert_eq!(decoded(&many).refusals().len(), 100);
}

#[test]
fn the_halves_of_a_shared_span_are_both_shown_and_share_a_name() {
    let client = json(r#""id":"1","kind":"CLIENT","name":"get""#);
    let server = json(r#""id":"1","kind":"SERVER","shared":true"#).replace("shop", "stock");
    let recording = decoded(&format!("[{server},{client}]"));
    let halves: Vec<_> = recording.spans().map(|span| (span.span_id, span.kind, &*span.name)).collect();
    assert_eq!(halves, [(SpanId(1), SpanKind::Server, "get"), (SpanId(1), SpanKind::Client, "get")]);
}

#[test]
fn pieces_become_one_span() {
    let started = r#"{"traceId":"a","id":"1","kind":"CLIENT","name":"get","timestamp":7,
        "localEndpoint":{"serviceName":"shop"},"tags":{"a":"1"}}"#;
    let finished = r#"{"traceId":"a","id":"1","parentId":"2","kind":"CLIENT","timestamp":7,"duration":5,
        "localEndpoint":{"serviceName":"shop"},"remoteEndpoint":{"serviceName":"stock"},"tags":{"a":"2","b":"3"}}"#;
    let annotated = r#"{"traceId":"a","id":"1","annotations":[{"timestamp":9,"value":"retry"}],
        "localEndpoint":{"serviceName":"shop"},"tags":{"error":"slow"}}"#;
    for order in [[started, finished, annotated], [annotated, started, finished]] {
        let recording = decoded(&format!("[{}]", order.join(",")));
        let [span] = recording.spans().collect::<Vec<_>>()[..] else { panic!("{recording:?}") };
        assert_eq!((span.parent_id, span.kind, &*span.name), (SpanId(2), SpanKind::Client, "get"));
        assert_eq!((span.start_ns, span.end_ns), (7000, 12_000));
        assert_eq!((span.is_error, &*span.status_message), (true, "slow"));
        let mut keys: Vec<_> = span.attributes.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["a", "b", "error", "peer.service"]);
    }
}

#[test]
fn pieces_of_several_documents_are_joined_and_a_bad_document_leaves_nothing() {
    let mut pieces = Pieces::default();
    pieces.add(json(r#""id":"1","kind":"CLIENT""#).as_bytes()).unwrap();
    assert!(pieces.add(format!("[{},7]", json(r#""id":"2""#)).as_bytes()).is_err());
    pieces.add(json(r#""id":"1","kind":"CLIENT","tags":{"late":"1"}"#).as_bytes()).unwrap();
    let mut recording = Recording::default();
    assert!(pieces.show(&mut recording).is_recognized);
    let [span] = recording.spans().collect::<Vec<_>>()[..] else { panic!("{recording:?}") };
    assert_eq!(span.attributes[0].0, "late");
}

#[test]
fn different_starts_are_different_spans_and_annotations_may_be_all_there_is() {
    let other = json(r#""id":"1""#).replace("\"timestamp\":7", "\"timestamp\":8");
    assert_eq!(decoded(&format!("[{},{other}]", json(r#""id":"1""#))).spans().count(), 2);
    let annotated =
        r#"{"traceId":"a","id":"1","annotations":[{"timestamp":9,"value":"b"},{"timestamp":3,"value":"a"}]}"#;
    let recording = decoded(annotated);
    let span = recording.spans().next().unwrap();
    assert_eq!((span.start_ns, span.end_ns), (3000, 9000));
}

#[test]
fn the_local_endpoint_is_the_resource() {
    let resource = |endpoint: &str| {
        let recording = decoded(&json(r#""id":"1""#).replace(r#"{"serviceName":"shop"}"#, endpoint));
        let Shown::Resource(attributes) = &recording.0[0] else { panic!("{recording:?}") };
        attributes.iter().map(|(key, value)| format!("{key}={}", value.to_text())).collect::<Vec<_>>()
    };
    assert_eq!(
        resource(r#"{"serviceName":"shop","ipv4":"10.0.0.7","port":80}"#),
        ["service.name=shop", "service.instance.id=10.0.0.7", "host.name=10.0.0.7"]
    );
    assert_eq!(resource(r#"{"serviceName":"shop","ipv6":"::1"}"#), ["service.name=shop"]);
    assert_eq!(resource(r#"{"ipv4":"10.0.0.7"}"#), ["service.instance.id=10.0.0.7", "host.name=10.0.0.7"]);
    assert!(resource("null").is_empty());
}

#[test]
fn tags_of_the_resource_are_told_of_the_service() {
    let recording = decoded(
        &json(
            r#""id":"1","tags":{"service.version":"7","deployment.environment":"prod","service.peer.name":"pay",
           "host.name":"box","service.name":"other"}"#,
        )
        .replace(r#"{"serviceName":"shop"}"#, r#"{"serviceName":"shop","ipv4":"10.0.0.7"}"#),
    );
    let told = |attributes: &[(String, Value<'static>)]| {
        attributes.iter().map(|(key, value)| format!("{key}={}", value.to_text())).collect::<Vec<_>>()
    };
    let Shown::Resource(resource) = &recording.0[0] else { panic!("{recording:?}") };
    assert_eq!(
        told(resource),
        [
            "service.name=shop",
            "service.version=7",
            "deployment.environment=prod",
            "host.name=box",
            "service.instance.id=10.0.0.7"
        ]
    );
    assert_eq!(told(&recording.spans().next().unwrap().attributes), ["service.peer.name=pay"]);
}

#[test]
fn a_span_without_a_service_belongs_to_an_unknown_one() {
    let mut builder = BatchBuilder::default();
    let nameless = r#"{"traceId":"a","id":"1","timestamp":7,"localEndpoint":{"ipv4":"10.0.0.7"}}"#;
    decode(nameless.as_bytes(), &mut builder).unwrap();
    assert_eq!(builder.finish().spans[0].shape.service.name, Name::of("unknown_service (10.0.0.7)"));
}

#[test]
fn the_remote_endpoint_is_the_peer_unless_it_is_the_own_service() {
    let client = |remote: &str| format!(r#""id":"1","kind":"CLIENT","remoteEndpoint":{remote}"#);
    check_attributes(&client(r#"{"serviceName":"stock"}"#), &[("peer.service", "stock")]);
    let own = client(r#"{"serviceName":"shop","ipv4":"10.0.0.3","port":9042}"#);
    check_attributes(&own, &[("network.peer.address", "10.0.0.3"), ("network.peer.port", "9042")]);
    // A database often has the name of the service that it is for.
    let statement = client(r#"{"serviceName":"shop"},"tags":{"jdbc.query[0]":"select 1"}"#);
    check_attributes(&statement, &[("jdbc.query[0]", "select 1"), ("peer.service", "shop")]);
    check_attributes(&client(r#"{"ipv6":"::1","port":null}"#), &[("network.peer.address", "::1")]);
    check_attributes(&client("null"), &[]);
    let declared = client(r#"{"serviceName":"stock"},"tags":{"peer.service":"declared"}"#);
    check_attributes(&declared, &[("peer.service", "declared")]);
}

#[test]
fn tags_get_the_names_that_opentelemetry_has() {
    let tags = |tags: &str| format!(r#""id":"1","kind":"CLIENT","tags":{{{tags}}}"#);
    check_attributes(
        &tags(r#""http.method":"GET","http.path":"/cart""#),
        &[("url.path", "/cart"), ("http.method", "GET")],
    );
    check_attributes(
        &tags(r#""sql.query":"select 1""#),
        &[("db.query.text", "select 1"), ("db.system.name", "other_sql")],
    );
    check_attributes(
        &tags(r#""sql.query":"select 1","db.system":"mysql""#),
        &[("db.query.text", "select 1"), ("db.system", "mysql")],
    );
    check_attributes(
        &tags(r#""cassandra.keyspace":"auth","cassandra.query":"SELECT"#).replace("SELECT", "SELECT 1\""),
        &[("db.query.text", "SELECT 1"), ("db.system.name", "cassandra"), ("db.namespace", "auth")],
    );
    check_attributes(&tags(r#""count":7,"flag":true"#), &[("count", "7"), ("flag", "true")]);
}

#[test]
fn the_name_of_a_server_span_tells_its_route() {
    let span = |kind: &str, name: &str, more: &str| {
        format!(r#""id":"1","kind":"{kind}","name":"{name}","tags":{{"http.method":"GET","http.path":"/a/b"{more}}}"#)
    };
    let plain = [("url.path", "/a/b"), ("http.method", "GET")];
    let routed = [("url.path", "/a/b"), ("http.route", "/{name}/{profiles}"), ("http.method", "GET")];
    check_attributes(&span("SERVER", "get /{name}/{profiles}", ""), &routed);
    check_attributes(&span("CLIENT", "get /{name}/{profiles}", ""), &plain);
    check_attributes(&span("SERVER", "get /a/b", ""), &plain);
    check_attributes(&span("SERVER", "get not_found", ""), &plain);
    check_attributes(&span("SERVER", "post /{name}", ""), &plain);
    let told = [plain[0], plain[1], ("http.route", "/{x}")];
    check_attributes(&span("SERVER", "get /{name}", r#","http.route":"/{x}""#), &told);
}

#[test]
fn messages_go_to_their_topic_and_the_remote_endpoint_is_the_broker() {
    let message = |kind: &str, tags: &str| {
        format!(r#""id":"1","kind":"{kind}","remoteEndpoint":{{"serviceName":"broker"}},"tags":{{{tags}}}"#)
    };
    check_attributes(
        &message("PRODUCER", r#""kafka.topic":"orders""#),
        &[("messaging.destination.name", "orders"), ("messaging.system", "kafka")],
    );
    check_attributes(
        &message("CONSUMER", r#""rabbit.queue":"q","rabbit.exchange":"orders""#),
        &[("messaging.destination.name", "orders"), ("messaging.system", "rabbitmq"), ("rabbit.queue", "q")],
    );
    check_attributes(
        &message("CONSUMER", r#""rabbit.exchange":"","rabbit.queue":"q""#),
        &[("messaging.destination.name", "q"), ("messaging.system", "rabbitmq"), ("rabbit.exchange", "")],
    );
    check_attributes(&message("PRODUCER", ""), &[("messaging.system", "broker")]);
}

#[test]
fn any_error_tag_is_an_error() {
    let error = |value: &str| {
        let span = span(&format!(r#""id":"1","tags":{{"error":{value}}}"#));
        (span.is_error, span.status_message)
    };
    assert_eq!(error("\"\""), (true, String::new()));
    assert_eq!(error("\"true\""), (true, String::new()));
    assert_eq!(error("\"401\""), (true, "401".to_owned()));
    assert_eq!(error("\"false\""), (false, String::new()));
    assert!(!span(r#""id":"1""#).is_error);
}

#[test]
fn the_first_version_is_refused_with_what_to_do() {
    let refusal = |members: &str| decode(json(members).as_bytes(), &mut Recording::default()).unwrap_err().to_string();
    let expected = "this is Zipkin v1, which spanlint does not read: send spans to /api/v2/spans, or export them from \
                    /api/v2/trace/ID or /api/v2/traces";
    assert_eq!(refusal(r#""id":"1","binaryAnnotations":[]"#), expected);
    assert_eq!(refusal(r#""id":"1","annotations":[{"timestamp":1,"value":"sr","endpoint":{"port":1}}]"#), expected);
}

#[test]
fn what_goes_over_a_bound_is_counted() {
    let tags: Vec<_> = (0..MAX_ATTRIBUTES + 2).map(|key| format!("\"{key}\":\"\"")).collect();
    let first = json(&format!(r#""id":"1","tags":{{{}}}"#, tags.join(",")));
    let second = json(r#""id":"1","tags":{"0":"known","new":""}"#);
    let mut recording = Recording::default();
    let decoded = decode(format!("[{first},{second}]").as_bytes(), &mut recording).unwrap();
    assert_eq!(decoded.over_limit, 3);
    assert_eq!(recording.spans().next().unwrap().attributes.len(), MAX_ATTRIBUTES);
}

#[test]
fn a_million_levels_do_no_harm() {
    for level in ["[", "{\"tags\":", "[{\"localEndpoint\":"] {
        assert!(decode(level.repeat(1_000_000).as_bytes(), &mut Recording::default()).is_err());
    }
}

/// A call with all that Zipkin has, in pieces.
const CALL: &str = r#"[{"traceId":"5aab74dbb904746bb33447baae403ed6","parentId":"1","id":"2","kind":"CLIENT","name":"get",
    "timestamp":1521186011929043,"duration":14,"localEndpoint":{"serviceName":"a","ipv4":"192.168.0.10","port":80},
    "remoteEndpoint":{"serviceName":"b","ipv6":"::1"},"tags":{"http.path":"/","error":"é"},"shared":false},
    [{"traceId":"5aab74dbb904746bb33447baae403ed6","id":"2","annotations":[{"timestamp":1,"value":"x"}],
    "localEndpoint":{"serviceName":"a"}}]]"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_spans_never_panic(seed in any::<u64>()) {
        let mut random = oracle::Random(seed);
        for _ in 0..20 {
            let _ = decode(&oracle::mutate(CALL.as_bytes(), &mut random), &mut Recording::default());
        }
    }

    /// However a span is cut into pieces and in whichever order they come, it is the same span.
    #[test]
    fn pieces_in_any_order_are_one_span(cuts in prop::collection::vec(0..4usize, 5), shift in 0..4usize) {
        let members = [r#""duration":5"#, r#""parentId":"2""#, r#""name":"get""#, r#""tags":{"a":"1"}"#,
            r#""remoteEndpoint":{"serviceName":"stock"}"#];
        let head = r#""traceId":"a","id":"1","localEndpoint":{"serviceName":"shop"}"#;
        let (kind, start) = (r#""kind":"CLIENT""#, r#""timestamp":7"#);
        let piece = |number: usize| {
            let own = members.iter().zip(&cuts).filter(|(_, cut)| **cut == number).map(|(member, _)| *member);
            let kind = Some(kind).filter(|_| number.is_multiple_of(2));
            let start = Some(start).filter(|_| number == 0);
            let all: Vec<_> = [head].into_iter().chain(kind).chain(start).chain(own).collect();
            format!("{{{}}}", all.join(","))
        };
        let mut pieces: Vec<String> = (0..4).map(piece).collect();
        pieces.rotate_left(shift);
        let whole = format!("{{{head},{kind},{start},{}}}", members.join(","));
        prop_assert_eq!(decoded(&format!("[{}]", pieces.join(","))).0, decoded(&whole).0);
    }
}

//! What senders really send and no specification says: each oddity as a small recording, and the graph it must give.

use std::io;
use std::sync::Arc;

use spanlint_graph::span::{Span, SpanKind};
use spanlint_graph::{CallGraph, Facts, Name};

use super::{Input, ReadResult, read};
use crate::limits::Limits;

fn result(document: &str) -> ReadResult {
    let reader = Box::new(io::Cursor::new(document.to_owned().into_bytes()));
    read(vec![Input::Stream { name: "input".to_owned(), reader }], &Arc::default(), &Limits::default()).unwrap()
}

fn spans(document: &str) -> Vec<Span> {
    result(document).records.spans.spans().cloned().collect()
}

fn graph(document: &str) -> CallGraph {
    let records = result(document).records;
    let mut facts = Facts::default();
    for trace in records.spans.into_traces() {
        facts.add_trace(&trace, &records.vocabulary);
    }
    spanlint_graph::resolve(&facts, Name::EMPTY, &records.vocabulary.names)
}

/// Nodes that no edge touches, then edges: `from -> to kind calls`.
fn drawn(graph: &CallGraph) -> Vec<String> {
    let is_alone =
        |id: &str| !graph.edges.iter().any(|edge| [edge.from, edge.to].map(|at| &*graph.node(at).id).contains(&id));
    let alone = graph.nodes.iter().filter(|node| is_alone(&node.id)).map(|node| node.id.clone());
    let edges = graph.edges.iter().map(|edge| {
        let [from, to] = [edge.from, edge.to].map(|at| graph.node(at).id.trim_start_matches("service:"));
        format!("{from} -> {to} {} {}", edge.kind.as_str(), edge.facts.calls)
    });
    alone.chain(edges).collect()
}

#[track_caller]
fn check(document: &str, expected: &[&str]) {
    assert_eq!(drawn(&graph(document)), expected, "{document}");
}

/// A request with one resource for each of `services`: its attributes, and its spans without ids of the trace.
fn otlp(services: &[(&str, &str)]) -> String {
    let resources = services.iter().map(|(attributes, spans)| {
        let spans = spans.replace("{\"spanId\"", "{\"traceId\":\"000000000000000000000000000000aa\",\"spanId\"");
        format!(r#"{{"resource":{{"attributes":[{attributes}]}},"scopeSpans":[{{"spans":[{spans}]}}]}}"#)
    });
    format!(r#"{{"resourceSpans":[{}]}}"#, resources.collect::<Vec<_>>().join(","))
}

fn text(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#)
}

fn service(name: &str) -> String {
    text("service.name", name)
}

/// A span of OTLP without its trace id; `more` are further members, each behind a comma.
fn span(id: u64, parent: u64, kind: u8, times: (u64, u64), more: &str) -> String {
    format!(
        r#"{{"spanId":"{id:016x}","parentSpanId":"{parent:016x}","kind":{kind},"name":"work","startTimeUnixNano":"{}","endTimeUnixNano":"{}"{more}}}"#,
        times.0, times.1
    )
}

const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const CONSUMER: u8 = 5;

#[test]
fn jaeger_drops_leading_zeros_and_the_trace_holds_together() {
    let process = |service: &str| format!(r#"{{"serviceName":"{service}"}}"#);
    let spans = r#"{"traceID":"0aB","spanID":"7","operationName":"x","processID":"p1","startTime":1,"duration":9,
            "tags":[{"key":"span.kind","value":"server"}]},
        {"traceID":"000000000000000000000000000000ab","spanID":"0000000000000008","operationName":"y","processID":"p2",
            "references":[{"refType":"CHILD_OF","traceID":"ab","spanID":"0007"}],"startTime":2,"duration":3}"#;
    let document = format!(
        r#"{{"data":[{{"traceID":"ab","spans":[{spans}],"processes":{{"p1":{},"p2":{}}}}}]}}"#,
        process("a"),
        process("b")
    );
    check(&document, &["client -> a other 1", "a -> b other 1"]);
}

#[test]
fn zipkin_pads_short_ids_and_halves_share_one() {
    let document = r#"[
        {"traceId":"ab","id":"7","kind":"CLIENT","timestamp":1,"duration":9,"localEndpoint":{"serviceName":"a"}},
        {"traceId":"00000000000000ab","id":"0000000000000007","kind":"SERVER","shared":true,"timestamp":2,"duration":3,
            "localEndpoint":{"serviceName":"b"}},
        {"traceId":"000000000000000000000000000000AB","id":"8","parentId":"07","kind":"CLIENT","timestamp":3,
            "duration":1,"localEndpoint":{"serviceName":"b"},"remoteEndpoint":{"serviceName":"mysql"},
            "tags":{"sql.query":"select 1"}}]"#;
    check(document, &["a -> b other 1", "b -> datastore:other_sql/mysql/ database 1"]);
}

#[test]
fn tags_of_opentracing_name_topics_and_databases() {
    let span = |id: u32, parent: &str, process: &str, tags: &[(&str, &str)]| {
        let tags = tags.iter().map(|(key, value)| format!(r#"{{"key":"{key}","type":"string","value":"{value}"}}"#));
        let tags = tags.collect::<Vec<_>>().join(",");
        format!(
            r#"{{"traceID":"1","spanID":"{id}","operationName":"work","startTime":{id},"duration":1,"processID":"{process}",
            "references":[{parent}],"tags":[{tags}]}}"#
        )
    };
    let parent = r#"{"refType":"CHILD_OF","traceID":"1","spanID":"1"}"#;
    let sent = r#"{"refType":"FOLLOWS_FROM","traceID":"1","spanID":"2"}"#;
    let message = |kind| [("span.kind", kind), ("message_bus.destination", "orders"), ("peer.service", "kafka")];
    let query = [("span.kind", "client"), ("db.type", "mysql"), ("db.instance", "shop"), ("peer.address", "db:3307")];
    let spans = [
        span(1, "", "a", &[("span.kind", "server"), ("http.path", "/items")]),
        span(2, parent, "a", &message("producer")),
        span(3, sent, "b", &message("consumer")),
        span(4, parent, "a", &query),
    ];
    let processes = r#"{"a":{"serviceName":"a"},"b":{"serviceName":"b"}}"#;
    let document = format!(r#"{{"data":[{{"traceID":"1","spans":[{}],"processes":{processes}}}]}}"#, spans.join(","));
    check(
        &document,
        &[
            "client -> a other 1",
            "a -> datastore:mysql/db:3307/shop database 1",
            "a -> b messaging 1",
            "a -> topic:/orders messaging 1",
            "topic:/orders -> b messaging 1",
        ],
    );
}

#[test]
fn jaeger_stores_spans_that_carry_their_process() {
    let stored = |service: &str, id: u32, references: &str| {
        format!(
            r#"{{"duration":9,"process":{{"serviceName":"{service}","tags":[]}},"references":[{references}],"spanID":"{id}",
            "startTime":{id},"tags":[{{"key":"span.kind","type":"string","value":"server"}}],"traceID":"1"}}"#
        )
        .replace('\n', "")
    };
    let parent = r#"{"refType":"CHILD_OF","traceID":"1","spanID":"1"}"#;
    let [first, second] = [stored("a", 1, ""), stored("b", 2, parent)];
    for document in [format!("[{first},{second}]"), format!("{first}\n{second}")] {
        check(&document, &["client -> a other 1", "a -> b other 1"]);
    }
}

#[test]
fn an_exporter_for_java_logs_one_resource_a_line() {
    let requests = [("a", span(1, 0, SERVER, (1, 9), "")), ("b", span(2, 1, SERVER, (2, 8), ""))];
    let lines = requests.map(|(name, span)| {
        let request: serde_json::Value = serde_json::from_str(&otlp(&[(&service(name), &span)])).unwrap();
        request["resourceSpans"][0].to_string()
    });
    check(&lines.join("\n"), &["client -> a other 1", "a -> b other 1"]);
}

#[test]
fn a_remote_endpoint_with_the_own_name_is_no_call_to_oneself() {
    let call = |remote: &str| {
        format!(
            r#"[{{"traceId":"a","id":"1","kind":"CLIENT","timestamp":1,"duration":9,"name":"get",
            "localEndpoint":{{"serviceName":"a"}},"remoteEndpoint":{remote}}}]"#
        )
    };
    check(&call(r#"{"serviceName":"a"}"#), &["service:a"]);
    check(&call(r#"{"serviceName":"a","ipv4":"10.0.0.3","port":80}"#), &["a -> external:10.0.0.3:80 other 1"]);
}

#[test]
fn services_without_a_name_are_told_apart_by_their_instance() {
    let nameless = |instance: &str| text("service.instance.id", instance);
    let empty = format!("{},{}", service(""), nameless("two"));
    let (first, second, third) =
        (span(1, 0, SERVER, (1, 9), ""), span(2, 0, SERVER, (1, 9), ""), span(3, 0, SERVER, (1, 9), ""));
    let document = otlp(&[(&nameless("one"), &first), (&empty, &second), ("", &third)]);
    let expected = ["unknown_service", "unknown_service (one)", "unknown_service (two)"];
    check(&document, &expected.map(|name| format!("client -> {name} other 1")).each_ref().map(|line| &**line));
}

#[test]
fn empty_values_say_nothing() {
    let attributes =
        ["db.system", "db.system.name", "peer.service", "server.address", "messaging.system", "http.route"]
            .map(|key| text(key, ""))
            .join(",");
    let absent = r#"{"key":"db.namespace","value":{}},{"key":"url.full"},{"key":"","value":{"stringValue":"x"}}"#;
    for kind in [0, 1, CLIENT] {
        let members = format!(r#","attributes":[{attributes},{absent}]"#);
        let document = otlp(&[(&service("a"), &span(1, 0, kind, (1, 9), &members))]);
        check(&document, &["service:a"]);
    }
}

#[test]
fn long_values_and_names_are_cut_and_their_call_still_counts() {
    let query = format!("select a from orders where id in ({})", "1234567,".repeat(1750));
    let name = "n".repeat(14_000);
    let attributes = [text("db.system.name", "mysql"), text("db.namespace", "shop"), text("db.query.text", &query)];
    let members = format!(r#","attributes":[{}]"#, attributes.join(","));
    let call = span(2, 1, CLIENT, (2, 8), &members).replace("\"work\"", &format!("\"{name}\""));
    let document = otlp(&[(&service("a"), &format!("{},{call}", span(1, 0, SERVER, (1, 9), "")))]);
    check(&document, &["client -> a other 1", "a -> datastore:mysql//shop database 1"]);
    let spans = spans(&document);
    let (_, kept) = spans[1].detail.attributes().find(|(key, _)| *key == "db.query.text").unwrap();
    assert_eq!((kept.len(), spans[1].detail.name().len()), (4096, 1024));
}

#[test]
fn line_breaks_and_controls_in_names_become_harmless() {
    let span = span(1, 0, SERVER, (1, 9), "").replace("\"work\"", r#""GET /\r\n\u001b[2J\u0000x""#);
    let document = otlp(&[(&service(r"a\nb\t\u202ec"), &span)]);
    check(&document, &["client -> a b c other 1"]);
    assert_eq!(graph(&document).operations[0].name, "GET /  [2Jx");
}

#[test]
fn kinds_that_nobody_gave_or_knows_are_unspecified() {
    for kind in ["", r#","kind":null"#, r#","kind":"SPAN_KIND_NEW""#, r#","kind":99"#, r#","kind":-1"#] {
        let span = span(1, 0, 0, (1, 9), "").replace(r#","kind":0"#, kind);
        let document = otlp(&[(&service("a"), &span)]);
        assert_eq!(spans(&document)[0].shape.kind, SpanKind::Unspecified, "{kind}");
        check(&document, &["service:a"]);
    }
}

#[test]
fn a_service_that_only_sends_client_spans_is_a_caller() {
    let http = [text("http.request.method", "GET"), text("url.full", "http://b/items/7")].join(",");
    let members = format!(r#","attributes":[{http}]"#);
    let own = [span(1, 0, CLIENT, (1, 9), &members), span(2, 0, CLIENT, (11, 19), &members)].join(",");
    check(&otlp(&[(&service("a"), &own)]), &["a -> external:b http 2"]);
    check(&otlp(&[(&service("a"), &own), (&service("b"), &span(3, 1, SERVER, (2, 8), ""))]), &["a -> b http 2"]);
}

#[test]
fn clocks_that_differ_and_children_that_outlast_parents_lose_no_call() {
    // The callee's clock is an hour behind, its work outlasts the caller's, and one span ends before it starts.
    let hour = 3_600_000_000_000;
    let caller = [span(1, 0, SERVER, (hour, hour + 9), ""), span(2, 1, CLIENT, (hour + 1, hour + 8), "")].join(",");
    let callee = [span(3, 2, SERVER, (5, hour + 50), ""), span(4, 3, 1, (20, 10), "")].join(",");
    check(&otlp(&[(&service("a"), &caller), (&service("b"), &callee)]), &["client -> a other 1", "a -> b other 1"]);
}

#[test]
fn times_at_the_ends_of_the_world_do_no_harm() {
    let end = u64::MAX;
    let caller = [span(1, 0, SERVER, (0, end), ""), span(2, 1, CLIENT, (0, end), ""), span(5, 1, CLIENT, (0, end), "")];
    let callee = [span(3, 2, SERVER, (end, end), ""), span(4, 2, SERVER, (0, end), "")].join(",");
    let document = otlp(&[(&service("a"), &caller.join(",")), (&service("b"), &callee)]);
    check(&document, &["client -> a other 1", "a -> b other 2"]);
}

#[test]
fn a_parent_that_never_comes_leaves_an_orphan_without_a_caller() {
    let document = otlp(&[(&service("a"), &span(1, 77, SERVER, (1, 9), ""))]);
    check(&document, &["service:a"]);
    assert_eq!(graph(&document).counts.orphan_spans, 1);
}

#[test]
fn flags_of_spans_and_links_change_nothing() {
    let plain = otlp(&[(&service("a"), &span(1, 0, SERVER, (1, 9), ""))]);
    for flags in ["0", "1", "256", "257", "768", "769", "4294967295", "\"769\"", "null"] {
        let flagged = otlp(&[(&service("a"), &span(1, 0, SERVER, (1, 9), &format!(r#","flags":{flags}"#)))]);
        assert_eq!(spans(&flagged), spans(&plain), "{flags}");
    }
}

#[test]
fn a_batch_receive_links_to_every_message_it_takes() {
    let message = [text("messaging.system", "kafka"), text("messaging.destination.name", "orders")].join(",");
    let link = |number: u32| format!(r#"{{"traceId":"{number:032x}","spanId":"0000000000000001","flags":769}}"#);
    let links = (1..=300).map(link).collect::<Vec<_>>().join(",");
    let members = format!(r#","attributes":[{message}],"links":[{links}]"#);
    let send = span(1, 0, 4, (1, 2), &format!(r#","attributes":[{message}]"#));
    let document = otlp(&[(&service("a"), &send), (&service("b"), &span(2, 0, CONSUMER, (5, 9), &members))]);
    assert_eq!(spans(&document)[1].links().len(), 300);
    let expected = ["a -> topic:kafka/orders messaging 1", "topic:kafka/orders -> b messaging 1"];
    let found = drawn(&graph(&document));
    assert!(expected.iter().all(|edge| found.iter().any(|line| line == edge)), "{found:?}");
}

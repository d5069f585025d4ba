//! Whole spans: from what a decoder shows to what facts need.

use proptest::prelude::*;

use super::*;
use crate::span::{Access, Call, EdgeKind, Link, NodeKey, Outcome, SecretKind, SpanId, TraceId, Transport, Value};

/// A span with its batch, from `key=value` attributes of the resource and of the span.
struct Read {
    batch: SpanBatch,
}

impl Read {
    fn span(&self) -> &Span {
        &self.batch.spans[0]
    }

    fn call(&self) -> &Call {
        self.span().shape.call.as_ref().expect("a call")
    }

    fn text(&self, name: Name) -> &str {
        self.batch.vocabulary.names.text(name)
    }
}

fn attributes<'a>(pairs: &'a [(&'a str, &'a str)]) -> Vec<Attribute<'a>> {
    pairs.iter().map(|(key, value)| ((*key).into(), Value::Text((*value).into()))).collect()
}

fn read_view(resource: &[(&str, &str)], view: SpanView<'_>) -> Read {
    let mut builder = BatchBuilder::default();
    builder.resource(&attributes(resource));
    builder.span(&SpanView { trace_id: TraceId(1), span_id: SpanId(1), ..view });
    Read { batch: builder.finish() }
}

fn read(kind: SpanKind, name: &str, pairs: &[(&str, &str)]) -> Read {
    read_view(&[], SpanView { kind, name: name.into(), attributes: &attributes(pairs), ..SpanView::default() })
}

#[test]
fn streams_are_told() {
    let check = |kind, pairs: &[(&str, &str)], expected| {
        assert_eq!(read(kind, "call", pairs).span().marks.has(Marks::STREAM), expected, "{pairs:?}");
    };
    check(SpanKind::Client, &[("http.response.header.content-type", "[\"text/event-stream; charset=utf-8\"]")], true);
    check(SpanKind::Client, &[("url.scheme", "wss")], true);
    check(SpanKind::Client, &[("url.full", "ws://h/feed")], true);
    check(SpanKind::Server, &[("http.response.status_code", "101")], true);
    check(SpanKind::Server, &[("url.path", "/socket.io/"), ("url.query", "EIO=4&transport=polling")], true);
    check(SpanKind::Client, &[("rpc.system", "grpc"), ("rpc.method", "Watch")], true);
    check(SpanKind::Client, &[("rpc.system", "grpc"), ("rpc.method", "flagd.Service/EventStream")], true);
    check(SpanKind::Client, &[("rpc.system", "grpc"), ("rpc.method", "WatchlistAdd")], false);
    check(SpanKind::Client, &[("rpc.system", "grpc"), ("rpc.method", "a.Workflow/PollActivityTaskQueue")], true);
    check(SpanKind::Client, &[("rpc.system", "grpc"), ("rpc.method", "a.Survey/PollutionReport")], false);
    check(SpanKind::Client, &[("url.full", "http://consul:8500/v1/health/service/a?index=7&wait=5m")], true);
    check(SpanKind::Server, &[("url.path", "/pods"), ("url.query", "watch=true")], true);
    check(SpanKind::Server, &[("url.path", "/pods"), ("url.query", "watch=false&waiting=1")], false);
    check(SpanKind::Consumer, &[("messaging.system", "kafka"), ("messaging.operation.type", "receive")], true);
    check(SpanKind::Consumer, &[("messaging.system", "kafka"), ("messaging.operation.type", "process")], false);
    check(
        SpanKind::Client,
        &[("rpc.system", "aws-api"), ("messaging.system", "aws.sqs"), ("rpc.method", "ReceiveMessage")],
        true,
    );
    check(SpanKind::Server, &[("http.route", "/news"), ("url.path", "/news")], false);
}

#[test]
fn identities_proxies_and_sampling_are_told() {
    let check = |pairs: &[(&str, &str)], flag: Marks, expected| {
        assert_eq!(read(SpanKind::Server, "GET /", pairs).span().marks.has(flag), expected, "{pairs:?}");
    };
    check(&[("enduser.id", "u1")], Marks::IDENTITY, true);
    check(&[("http.request.header.x_api_key", "[\"abcdef\"]")], Marks::IDENTITY, true);
    check(&[("http.request.header.authorization", "")], Marks::IDENTITY, false);
    check(&[("http.request.header.accept", "*/*"), ("user_agent.original", "curl")], Marks::IDENTITY, false);
    check(&[("http.request.header.x_api_version", "[\"2\"]")], Marks::VERSIONED, true);
    check(
        &[("http.request.header.x-app-version", "7"), ("http.request.header.api-version", "")],
        Marks::VERSIONED,
        false,
    );
    check(&[("component", "proxy")], Marks::PROXY, true);
    check(&[("upstream_cluster", "a"), ("node_id", "sidecar~10.0.0.1")], Marks::PROXY, true);
    check(&[("upstream_cluster", "a"), ("node_id", "router~10.0.0.1")], Marks::PROXY, false);
    check(&[("component", "http")], Marks::PROXY, false);
    check(&[("component", "proxy"), ("node_id", "sidecar~10.0.0.1")], Marks::SIDECAR, true);
    check(&[("component", "proxy"), ("node_id", "router~10.0.0.1")], Marks::SIDECAR, false);
    check(&[("component", "proxy")], Marks::SIDECAR, false);
    check(&[("dapr.api", "POST /v1.0/invoke/b/method/y")], Marks::SIDECAR, true);
    check(&[("sampling.probability", "0.1")], Marks::SAMPLED, true);
    check(&[("SampleRate", "1")], Marks::SAMPLED, false);
    for (trace_state, expected) in
        [("a=b,ot=rv:1;th:c", true), ("ot=th:0", false), ("ot=p:3;r:9", true), ("th:8", false)]
    {
        let read = read_view(&[], SpanView { trace_state: trace_state.into(), ..SpanView::default() });
        assert_eq!(read.span().marks.has(Marks::SAMPLED), expected, "{trace_state}");
    }
}

#[test]
fn devices_and_sidecars_are_told_by_their_resource() {
    let check = |resource, flag, expected| {
        assert_eq!(read_view(&[resource], SpanView::default()).span().marks.has(flag), expected, "{resource:?}");
    };
    check(("browser.platform", "Linux"), Marks::DEVICE, true);
    check(("telemetry.sdk.language", "webjs"), Marks::DEVICE, true);
    check(("telemetry.sdk.language", "nodejs"), Marks::DEVICE, false);
    check(("os.name", "Android"), Marks::DEVICE, true);
    check(("service.name", "linkerd-proxy"), Marks::PROXY, true);
    check(("service.name", "linkerd-proxy"), Marks::SIDECAR, true);
    check(("container.name", "istio-proxy"), Marks::SIDECAR, false);
}

#[test]
fn clients_are_told_apart() {
    let check = |pairs: &[(&str, &str)], client: &str, is_public: bool| {
        let read = read(SpanKind::Server, "GET /", pairs);
        assert_eq!(read.span().client, Name::of(client), "{pairs:?}");
        assert_eq!(read.span().marks.has(Marks::PUBLIC_CLIENT), is_public, "{pairs:?}");
    };
    check(&[("client.address", "203.0.113.7")], "203.0.113.7", true);
    check(&[("http.client_ip", "10.1.2.3")], "10.1.2.3", false);
    check(&[("http.request.header.x-forwarded-for", "[\"198.51.100.2, 10.0.0.1\"]")], "198.51.100.2", true);
    check(&[("client.address", "8.8.8.8"), ("network.peer.address", "10.0.0.1")], "8.8.8.8", true);
    check(&[("net.sock.peer.addr", "100.64.0.9")], "100.64.0.9", false);
    check(&[("network.peer.address", "::ffff:192.168.0.1")], "::ffff:192.168.0.1", false);
    check(&[("client.address", "2001:db8::1")], "2001:db8::1", true);
    check(&[("client.address", "fd00::1")], "fd00::1", false);
    check(&[("client.address", "shop.example")], "shop.example", false);
    check(&[], "", false);
    assert!(read(SpanKind::Client, "GET", &[("client.address", "8.8.8.8")]).span().client.is_empty());
    let check = |pairs: &[(&str, &str)], is_private: bool, is_forwarded: bool| {
        let marks = read(SpanKind::Server, "GET /", pairs).span().marks;
        assert_eq!(
            (marks.has(Marks::PRIVATE_CLIENT), marks.has(Marks::FORWARDED)),
            (is_private, is_forwarded),
            "{pairs:?}"
        );
    };
    check(&[("client.address", "8.8.8.8"), ("network.peer.address", "10.0.0.1")], false, true);
    check(&[("http.client_ip", "8.8.8.8"), ("net.sock.peer.addr", "10.0.0.1")], false, true);
    check(&[("client.address", "10.0.0.1"), ("network.peer.address", "10.0.0.1")], true, false);
    check(&[("client.address", "8.8.8.8"), ("network.peer.address", "8.8.8.8")], false, false);
    check(&[("client.address", "127.0.0.1")], false, false);
}

#[test]
fn set_up_is_told() {
    let check = |pairs: &[(&str, &str)], expected| {
        let pairs = [&[("db.system", "postgresql")], pairs].concat();
        assert_eq!(read(SpanKind::Client, "query", &pairs).span().marks.has(Marks::SET_UP), expected, "{pairs:?}");
    };
    check(&[("db.statement", "CREATE TABLE a (b int)")], true);
    check(&[("db.statement", "BEGIN")], true);
    check(&[("db.statement", "SELECT 1")], true);
    check(&[("db.statement", "SELECT pg_advisory_lock(7)")], true);
    check(&[("db.statement", "SELECT a FROM b FOR UPDATE")], true);
    check(&[("db.statement", "SELECT version FROM schema_migrations")], true);
    check(&[("db.operation", "pg-pool.connect")], true);
    check(&[("db.operation", "getMore"), ("db.collection.name", "a")], true);
    check(&[("db.operation", "get")], false);
    check(&[("db.statement", "SELECT a FROM b")], false);
    check(&[("db.operation", "SELECT")], false);
    let steps = [
        ("sql.rows", true),
        ("sql.conn.prepare", true),
        ("sql.conn.query", false),
        ("PDO::prepare", true),
        ("pdo::prepare", true),
        ("PDOStatement::execute", false),
    ];
    for (step, expected) in steps {
        let span = read(SpanKind::Client, step, &[("db.system", "mysql"), ("db.statement", "SELECT a FROM b")]);
        assert_eq!(span.span().marks.has(Marks::SET_UP), expected, "{step}");
    }
}

#[test]
fn the_next_rows_of_a_cursor_are_a_page() {
    let is_page = |statement: &str| {
        let pairs = [("db.system", "postgresql"), ("db.statement", statement)];
        read(SpanKind::Client, "query", &pairs).span().marks.has(Marks::PAGE)
    };
    assert!(is_page("FETCH FORWARD 100 FROM c") && is_page("fetch next from c"));
    assert!(!is_page("SELECT fetched FROM c"));
}

#[test]
fn what_is_asked_of_a_database_is_told_by_more_than_the_driver_and_the_database() {
    let check = |name: &str, pairs: &[(&str, &str)], expected: &str| {
        let pairs = [&[("db.system", "mssql"), ("db.name", "orders")], pairs].concat();
        let read = read(SpanKind::Client, name, &pairs);
        assert_eq!(read.text(read.call().template), expected, "{name} {pairs:?}");
    };
    check("orders", &[], "");
    check("SELECT orders", &[], "");
    check("PDOStatement::execute", &[], "");
    check("query", &[("db.operation", "SELECT")], "");
    check("SELECT lines", &[("db.operation", "SELECT")], "SELECT lines");
    check("SELECT orders.lines", &[], "SELECT orders.lines");
    check("load lines", &[], "load lines");
    check("orders", &[("db.operation", "SELECT"), ("db.sql.table", "lines")], "SELECT lines");
    check("orders", &[("db.statement", "SELECT a FROM lines")], "SELECT a FROM lines");
}

#[test]
fn what_made_a_platform_call_its_function_is_told() {
    let check = |trigger, expected| {
        assert_eq!(read(SpanKind::Server, "f", &[("faas.trigger", trigger)]).span().shape.kind, expected, "{trigger}");
    };
    check("http", SpanKind::Server);
    check("pubsub", SpanKind::Consumer);
    check("datasource", SpanKind::Consumer);
    check("timer", SpanKind::Internal);
    let function = read_view(&[("faas.name", "f")], SpanView::default());
    assert!(function.span().marks.has(Marks::FUNCTION));
}

#[test]
fn the_format_that_a_route_may_end_with_is_no_part_of_it() {
    let operation = |route| {
        let read = read(SpanKind::Server, "x", &[("http.method", "GET"), ("http.route", route)]);
        read.text(read.span().shape.operation).to_owned()
    };
    assert_eq!(operation("/orders/:id(.:format)"), "GET /orders/:id");
    assert_eq!(operation("/orders"), "GET /orders");
}

#[test]
fn micrometer_has_the_route_in_the_name() {
    let operation = |name, pairs: &[(&str, &str)]| {
        let read = read(SpanKind::Server, name, pairs);
        read.text(read.span().shape.operation).to_owned()
    };
    let told = [("method", "GET"), ("outcome", "SUCCESS"), ("http.url", "/carts/7")];
    assert_eq!(operation("http get /carts/{id}", &told), "GET /carts/{id}");
    assert_eq!(operation("http get UNKNOWN", &told), "http get UNKNOWN");
    assert_eq!(operation("http post /carts", &told), "http post /carts");
    assert_eq!(operation("http get /carts", &told[..1]), "http get /carts");
}

#[test]
fn skywalking_has_the_route_in_the_name() {
    let operation = |name, url| {
        let pairs = [("http.method", "GET"), ("url", url)];
        let read = read(SpanKind::Server, name, &pairs);
        read.text(read.span().shape.operation).to_owned()
    };
    assert_eq!(operation("GET:/carts/{id}", "http://carts:80/carts/seven"), "GET /carts/{id}");
    assert_eq!(operation("POST:/carts/{id}", "http://carts:80/carts/seven"), "GET /carts/seven");
    assert_eq!(operation("GET:carts", "http://carts:80/carts/7"), "GET /carts/{id}");
}

#[test]
fn what_is_named_after_its_library_is_of_the_service_that_it_names() {
    let service = |pairs: &[(&str, &str)]| {
        let view = SpanView { kind: SpanKind::Client, attributes: &attributes(pairs), ..SpanView::default() };
        let read = read_view(&[("service.name", "postgres"), ("service.namespace", "shop")], view);
        let key = read.span().shape.service;
        [key.namespace, key.name].map(|name| read.text(name).to_owned()).join("/")
    };
    assert_eq!(service(&[("_dd.base_service", "orders")]), "shop/orders");
    assert_eq!(service(&[("_dd.base_service", "")]), "shop/postgres");
    assert_eq!(service(&[]), "shop/postgres");
}

#[test]
fn what_a_query_of_datadog_is_about_is_its_statement() {
    let check = |pairs: &[(&str, &str)], expected: &str, is_known| {
        let read = read(SpanKind::Client, "postgres.query", pairs);
        let told = (read.text(read.call().template), read.span().parameters.is_some());
        assert_eq!(told, (expected, is_known), "{pairs:?}");
    };
    let postgres = ("db.system", "postgresql");
    check(&[postgres, ("dd.span.Resource", "SELECT a FROM b WHERE c = ?")], "SELECT a FROM b WHERE c = ?", false);
    check(&[postgres, ("dd.span.Resource", "SELECT a FROM b")], "SELECT a FROM b", true);
    let own = ("db.statement", "SELECT a FROM b");
    check(&[postgres, ("dd.span.Resource", "orders"), own], "SELECT a FROM b", true);
    // The command alone says nothing of the key.
    check(&[("db.system", "redis"), ("dd.span.Resource", "GET")], "GET", false);
    let request = [("http.method", "GET"), ("http.url", "http://b/c"), ("dd.span.Resource", "GET /c")];
    check(&request, "GET /c", true);
}

#[test]
fn a_span_without_parent_is_caused_by_the_one_of_its_trace_that_it_follows() {
    let link = |trace, span| Link { trace_id: TraceId(trace), span_id: SpanId(span) };
    let parent = |parent, links: &[Link]| {
        read_view(&[], SpanView { parent_id: SpanId(parent), links, ..SpanView::default() }).span().parent_id.0
    };
    assert_eq!(parent(0, &[link(1, 7)]), 7);
    // What has a parent, follows another trace, itself or several, as a batch does, has no other parent by it.
    assert_eq!(parent(5, &[link(1, 7)]), 5);
    assert_eq!(parent(0, &[link(2, 7)]), 0);
    assert_eq!(parent(0, &[link(1, 1)]), 0);
    assert_eq!(parent(0, &[link(1, 7), link(1, 8)]), 0);
    assert_eq!(parent(1, &[]), 0);
}

#[test]
fn a_server_tells_the_name_that_it_was_asked_by() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let read = read(SpanKind::Server, "GET /", pairs);
        assert_eq!(read.text(read.call().host), expected, "{pairs:?}");
    };
    check(&[("server.address", "shop.example"), ("server.port", "443")], "shop.example");
    check(&[("server.address", "shop.example"), ("server.port", "8443")], "shop.example:8443");
    check(&[("net.host.name", "shop.example"), ("net.host.port", "80")], "shop.example");
    check(&[("http.host", "shop.example:8081")], "shop.example:8081");
    check(&[("http.url", "https://shop.example/a")], "shop.example");
    check(&[("net.peer.name", "10.0.0.1")], "");
}

#[test]
fn a_container_is_a_table() {
    let pairs = [("db.system", "cosmosdb"), ("db.operation", "upsert_item"), ("db.cosmosdb.container", "orders")];
    let read = read(SpanKind::Client, "upsert_item orders", &pairs);
    assert_eq!(read.call().tables.iter().map(|&table| read.text(table)).collect::<Vec<_>>(), ["orders"]);
}

#[test]
fn tables_are_told_by_the_sdk_for_x_ray() {
    let call = |service, table| [("aws.service", service), ("aws.operation", "PutItem"), (table, "orders")];
    let read_call = |pairs: &[(&str, &str)]| read(SpanKind::Client, "call", pairs);
    let told = read_call(&call("DynamoDB", "aws.table_name"));
    assert_eq!((told.call().kind, told.call().access), (EdgeKind::Database, Access::Write));
    assert_eq!(told.call().tables.iter().map(|&table| told.text(table)).collect::<Vec<_>>(), ["orders"]);
    assert_eq!(read_call(&call("Lambda", "aws.function_name")).call().kind, EdgeKind::Rpc);
}

#[test]
fn where_a_query_goes_is_nobodys_address() {
    let secrets = |name, pairs: &[(&str, &str)]| read(SpanKind::Client, name, pairs).span().secrets().len();
    let sql = [("db.system", "PostgreSQL"), ("db.statement", "SELECT a FROM b")];
    assert_eq!(secrets("orders@db.shop.com", &sql), 0);
    assert_eq!(secrets("SELECT a FROM b WHERE c = 'bob@mail.com'", &sql), 1);
    assert_eq!(secrets("bob@mail.com", &[("http.method", "GET")]), 1);
}

#[test]
fn a_document_tells_its_command_and_collection() {
    let check = |text: &str, template: &str, tables: &[&str]| {
        let pairs = [("db.type", "mongodb"), ("db.instance", "shop"), ("db.statement", text)];
        let read = read(SpanKind::Client, "query", &pairs);
        assert_eq!(read.text(read.call().template), template, "{text}");
        assert_eq!(read.call().tables.iter().map(|name| read.text(*name)).collect::<Vec<_>>(), tables, "{text}");
    };
    check(r#"{"find": "orders", "filter": {"_id": "?"}}"#, "find orders", &["orders"]);
    check(r#"{"insert":"orders"}"#, "insert orders", &["orders"]);
    check(r#"{"_id": "?"}"#, "", &[]);
    check(r#"{"find": 1}"#, "", &[]);
    check("{", "", &[]);
}

#[test]
fn steps_of_a_connection_are_no_calls() {
    let check = |name: &str, pairs: &[(&str, &str)], expected| {
        assert_eq!(read(SpanKind::Client, name, pairs).span().shape.kind, expected, "{name}");
    };
    check("dns.lookup", &[("peer.ipv4", "10.1.2.3")], SpanKind::Internal);
    check("http.getconn", &[("http.host", "cart:8080")], SpanKind::Internal);
    check("tcp.connect", &[("net.peer.name", "cart"), ("net.peer.port", "8080")], SpanKind::Internal);
    check("http.send", &[("http.method", "GET"), ("http.url", "http://cart/a")], SpanKind::Client);
    check("cart.connect", &[("net.peer.name", "cart")], SpanKind::Client);
}

#[test]
fn transport_is_told_by_scheme_and_tls() {
    let check = |pairs: &[(&str, &str)], expected| {
        assert_eq!(read(SpanKind::Client, "GET", pairs).call().transport, expected, "{pairs:?}");
    };
    check(&[("url.full", "http://cart:8080/a")], Transport::Plain);
    check(&[("http.url", "https://cart/a")], Transport::Encrypted);
    check(&[("http.scheme", "http"), ("net.peer.name", "cart")], Transport::Plain);
    check(&[("url.full", "http://localhost:8080/a")], Transport::Unknown);
    check(&[("url.full", "http://127.0.0.1/a")], Transport::Unknown);
    check(&[("url.scheme", "http"), ("network.transport", "unix")], Transport::Unknown);
    check(&[("rpc.system", "grpc"), ("server.address", "cart"), ("tls.established", "false")], Transport::Plain);
    check(&[("rpc.system", "grpc"), ("server.address", "cart"), ("tls.protocol.name", "tls")], Transport::Encrypted);
    check(&[("messaging.system", "rabbitmq"), ("messaging.url", "amqp://mq:5672")], Transport::Plain);
    check(&[("rpc.system", "grpc"), ("server.address", "cart")], Transport::Unknown);
}

#[test]
fn access_is_told_by_method_and_operation() {
    let check = |pairs: &[(&str, &str)], expected| {
        assert_eq!(read(SpanKind::Client, "call", pairs).call().access, expected, "{pairs:?}");
    };
    check(&[("http.request.method", "GET"), ("url.full", "http://a/b")], Access::Read);
    check(&[("http.method", "post"), ("http.url", "http://a/b")], Access::Write);
    check(&[("db.system", "redis"), ("db.operation", "HGET")], Access::Read);
    check(&[("db.system", "redis"), ("db.operation", "INCR")], Access::Write);
    check(&[("db.system", "mongodb"), ("db.operation", "aggregate")], Access::Read);
    check(&[("db.system", "mongodb"), ("db.operation", "insert")], Access::Write);
    for (operation, expected) in [
        ("ReadItem", Access::Read),
        ("query_items", Access::Read),
        ("CreateItem", Access::Write),
        ("create_item", Access::Write),
        ("create_container", Access::None),
    ] {
        check(&[("db.system", "cosmosdb"), ("db.operation", operation)], expected);
    }
    assert_eq!(read(SpanKind::Server, "GET /", &[("http.method", "POST")]).call().kind, EdgeKind::Http);
}

#[test]
fn secrets_are_named_and_gone() {
    let pairs =
        [("http.request.header.authorization", "Bearer abc123def456"), ("user.email", "a.b@mail.com"), ("a", "b")];
    let read = read(SpanKind::Server, "GET /login?token=abc123def", &pairs);
    let secrets: Vec<_> = read.span().secrets().iter().map(|secret| (secret.kind, read.text(secret.key))).collect();
    let mut expected = vec![
        (SecretKind::Credential, ""),
        (SecretKind::Credential, "http.request.header.authorization"),
        (SecretKind::EmailAddress, "user.email"),
    ];
    expected.sort_by_key(|(kind, key)| (*kind, Name::of(key)));
    assert_eq!(secrets, expected);
    assert_eq!(read.span().detail.name(), "GET /login?token=[masked]");
    let shown: Vec<_> = read.span().detail.attributes().map(|(_, value)| value).collect();
    assert_eq!(shown, ["[masked]", "[masked]", "b"]);
    assert!(read.span().marks.has(Marks::IDENTITY), "a masked header is an identity, too");
}

#[test]
fn places_in_the_code_are_read() {
    let check = |pairs: &[(&str, &str)], expected: Option<(&str, &str, u32)>| {
        let read = read(SpanKind::Internal, "work", pairs);
        let location = read.span().shape.location.as_ref();
        assert_eq!(location.map(|place| (read.text(place.file), read.text(place.function), place.line)), expected);
    };
    check(
        &[("code.file.path", "src/a.rs"), ("code.line.number", "12"), ("code.function.name", "a::b")],
        Some(("src/a.rs", "a::b", 12)),
    );
    check(
        &[("code.filepath", "A.java"), ("code.lineno", "3"), ("code.namespace", "com.A"), ("code.function", "b")],
        Some(("A.java", "com.A.b", 3)),
    );
    check(&[("code.lineno", "3")], None);
}

#[test]
fn secrets_of_a_resource_are_those_of_each_of_its_spans() {
    let resource = [
        ("service.name", "pay"),
        ("process.command_args", "pay --api-key=2YotnFZFEjr1zCsicMWpAA8fQ3"),
        ("deployment.token", "2YotnFZFEjr1zCsicMWpAA8fQ3"),
        ("service.owner", "payments@shop.org"),
        ("container.id", "7be2d1f0c3a94e5b8d6f7a1c2b3e4d5f60718293a4b5c6d7e8f9012345678abc"),
        ("service.instance.id", "627cc493-f310-47de-96bd-71410b7dec09"),
    ];
    let read = read_view(&resource, SpanView::default());
    let mut keys: Vec<_> = read.span().secrets().iter().map(|secret| (secret.kind, read.text(secret.key))).collect();
    keys.sort_unstable();
    let credential = |key| (SecretKind::Credential, key);
    assert_eq!(keys, [credential("deployment.token"), credential("process.command_args")]);
}

#[test]
fn names_of_a_resource_are_cut() {
    let long = "é".repeat(resource::MAX_RESOURCE_NAME_BYTES);
    let read = read_view(&[("service.name", &long), ("host.name", &long)], SpanView::default());
    let name = read.text(read.span().shape.service.name);
    assert_eq!((name.len(), long.starts_with(name)), (resource::MAX_RESOURCE_NAME_BYTES - 1, true));
    assert_eq!(read.batch.vocabulary.names.len(), 1);
}

#[test]
fn no_name_keeps_a_secret() {
    let pairs = [
        ("http.request.method", "GET"),
        ("url.full", "http://u:p4ss@pay.test/charge/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3/a"),
        ("peer.service", "https://u:p4ss@pay.test"),
        ("server.address", "http://u:p4ss@pay.test:80"),
    ];
    for kind in [SpanKind::Client, SpanKind::Server, SpanKind::Internal] {
        let read = read(kind, "GET /charge?refresh_token=abc123def bob@mail.com", &pairs);
        let texts = read.batch.vocabulary.names.sorted(|_| true);
        for text in texts.values().map(|text| &**text).chain([read.span().detail.name()]) {
            let leaks = ["p4ss", "eyJ", "abc123", "bob@"].iter().any(|secret| text.contains(secret));
            assert!(!leaks, "{kind:?}: {text}");
        }
    }
    let failed = SpanView { status_message: "401 for Bearer 2YotnFZFEjr1zCsicMWpAA".into(), ..SpanView::default() };
    let read = read_view(&[], failed);
    assert_eq!(read.span().detail.status_message(), "401 for [masked]");
    assert_eq!(read.text(read.span().secrets()[0].key), "otel.status_description");
}

#[test]
fn every_name_of_a_datastore_is_one() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let read = read_view(
            &[("host.name", "box")],
            SpanView { kind: SpanKind::Client, attributes: &attributes(pairs), ..SpanView::default() },
        );
        let Some(NodeKey::Datastore(key)) = read.call().peer else { panic!("no datastore: {pairs:?}") };
        let shown = [key.system, key.address, key.namespace].map(|name| read.text(name).to_owned()).join(" ");
        assert_eq!(shown, expected, "{pairs:?}");
    };
    for system in ["postgres", "postgresql", "PostgreSQL"] {
        check(&[("db.system", system), ("net.peer.name", "DB"), ("db.name", "shop")], "postgresql db:5432 shop");
    }
    check(
        &[
            ("db.system.name", "postgresql"),
            ("server.address", "db"),
            ("server.port", "5432"),
            ("db.namespace", "shop|public"),
        ],
        "postgresql db:5432 shop",
    );
    check(&[("db.system", "mssql"), ("server.address", "db"), ("db.name", "x")], "microsoft.sql_server db:1433 x");
    check(&[("db.system", "mongo"), ("server.address", "db:27018")], "mongodb db:27018 ");
    check(&[("db.system", "cosmosdb"), ("net.peer.name", "db"), ("db.name", "x")], "azure.cosmosdb db:443 x");
    check(&[("db.system", "oracle"), ("db.connection_string", "Server=db;Database=x")], "oracle.db db:1521 x");
    check(&[("db.system", "postgresql"), ("db.url", "ecto://db"), ("db.name", "shop")], "postgresql db:5432 shop");
    check(&[("db.system", "h2"), ("db.name", "mem")], "h2database box/ mem");
    for host in ["localhost", "127.0.0.1", "::1"] {
        check(&[("db.system", "redis"), ("server.address", host)], "redis box/localhost:6379 ");
    }
    for peer in ["localhost", "tcp://127.0.0.1:6379"] {
        check(&[("db.system", "redis"), ("peer.service", peer)], "redis box/localhost:6379 ");
    }
    check(&[("db.system", "sqlite3"), ("db.name", "/data/shop.db")], "sqlite box/ /data/shop.db");
    check(&[("rpc.system", "aws-api"), ("rpc.method", "PutObject"), ("aws.s3.bucket", "images")], "aws.s3  images");
    let of_objects = [("rpc.system", "aws-api"), ("rpc.service", "S3"), ("rpc.method", "PutObject")];
    check(&[&of_objects[..], &[("server.address", "s3.test")]].concat(), "aws.s3 s3.test ");
    let table = [("db.system", "dynamodb"), ("server.address", "db"), ("aws.dynamodb.table_names", "[\"meta\"]")];
    check(&table, "aws.dynamodb db:443 ");
    // The instrumentation for Node.js takes the table for a namespace.
    check(&[&table[..], &[("db.namespace", "meta")]].concat(), "aws.dynamodb db:443 ");
    check(&[("file.path", "/data/in/a.csv")], "file box/ /data/in");
    check(&[("jdbc.query[0]", "select a from b"), ("peer.service", "dataSource")], "other_sql  ");
    check(&[("r2dbc.query[0]", "select a from b"), ("server.address", "db")], "other_sql db ");
}

#[test]
fn tables_of_a_list_are_told_without_its_brackets() {
    let check = |pairs: &[(&str, &str)], template: &str, tables: &[&str]| {
        let read = read(SpanKind::Client, "call", &[&[("db.system", "dynamodb")], pairs].concat());
        let told: Vec<&str> = read.call().tables.iter().map(|table| read.text(*table)).collect();
        assert_eq!((read.text(read.call().template), &*told), (template, tables));
    };
    let get = ("db.operation", "GetItem");
    check(&[get, ("aws.dynamodb.table_names", "[\"meta\"]")], "GetItem meta", &["meta"]);
    check(&[get, ("db.namespace", "meta")], "GetItem meta", &["meta"]);
    let both = ("aws.dynamodb.table_names", "[\"a\", \"b\"]");
    check(&[("db.operation", "BatchGetItem"), both], "BatchGetItem a,b", &["a", "b"]);
}

#[test]
fn every_name_of_a_topic_is_one() {
    let check = |kind, pairs: &[(&str, &str)], kind_told, expected: &str| {
        let read = read(kind, "call", pairs);
        let shown = match read.call().peer {
            Some(NodeKey::Topic(key)) => [key.system, key.destination].map(|name| read.text(name).to_owned()).join(" "),
            other => format!("{other:?}"),
        };
        assert_eq!((read.span().shape.kind, &*shown), (kind_told, expected), "{pairs:?}");
    };
    let rabbit = |pairs: &[(&str, &str)], expected: &str| {
        let pairs = [&[("messaging.system", "rabbitmq")], pairs].concat();
        check(SpanKind::Producer, &pairs, SpanKind::Producer, expected);
    };
    rabbit(&[("messaging.destination", "mails")], "rabbitmq mails");
    rabbit(&[("messaging.destination", ""), ("messaging.rabbitmq.routing_key", "mails")], "rabbitmq mails");
    rabbit(&[("messaging.destination.name", ",mails")], "rabbitmq mails");
    let routed = ("messaging.rabbitmq.destination.routing_key", "order.created");
    rabbit(&[("messaging.destination.name", "orders"), routed], "rabbitmq orders");
    rabbit(&[("messaging.destination.name", "orders,order.created")], "rabbitmq orders");
    let of_types = |types: &'static str| {
        check(SpanKind::Producer, &[("nservicebus.enclosed_message_types", types)], SpanKind::Producer, " Shop.Placed");
    };
    of_types("Shop.Placed");
    of_types("Shop.Placed, Shop.Events, Version=1.0.0.0, Culture=neutral;Shop.IEvent, Shop.Events");
    let named = [("nservicebus.enclosed_message_types", "Shop.Placed"), ("messaging.destination", "orders")];
    check(SpanKind::Producer, &named, SpanKind::Producer, " orders");
    check(SpanKind::Consumer, &[("mq.topic", "orders"), ("mq.broker", "kafka:9092")], SpanKind::Consumer, " orders");
    check(SpanKind::Producer, &[("mq.queue", "orders")], SpanKind::Producer, " orders");
    let kafka = [("messaging.system", "kafka"), ("messaging.destination.name", "a,b")];
    check(SpanKind::Producer, &kafka, SpanKind::Producer, "kafka a,b");
    let aws = |method: &'static str, system: &'static str, destination: &'static str, kind_told, expected: &str| {
        let call = [("rpc.system", "aws-api"), ("rpc.method", method), ("messaging.system", system)];
        let pairs = [&call[..], &[("messaging.destination", destination)]].concat();
        check(SpanKind::Client, &pairs, kind_told, expected);
    };
    aws("SendMessage", "aws.sqs", "thumbs", SpanKind::Producer, "aws_sqs thumbs");
    aws("SendMessageBatch", "aws_sqs", "thumbs", SpanKind::Producer, "aws_sqs thumbs");
    aws("ReceiveMessage", "aws.sqs", "thumbs", SpanKind::Consumer, "aws_sqs thumbs");
    aws("DeleteMessage", "aws.sqs", "thumbs", SpanKind::Client, "None");
    let queue = ("aws.queue_url", "https://sqs.eu-west-1.amazonaws.com/123456789012/thumbs");
    let xray = |method| [("aws.service", "SQS"), ("aws.operation", method), queue];
    check(SpanKind::Client, &xray("SendMessage"), SpanKind::Producer, "aws_sqs thumbs");
    check(SpanKind::Client, &xray("DeleteMessage"), SpanKind::Client, "None");
    check(SpanKind::Producer, &[("kafka.topic", "orders")], SpanKind::Producer, " orders");
    aws("Publish", "aws.sns", "arn:aws:sns:eu-west-1:123456789012:alerts", SpanKind::Producer, "aws.sns alerts");
}

fn shown_as(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn statements_read_some_tables_and_write_others() {
    let check = |pairs: &[(&str, &str)], access: Access, tables: &[&str], also_read: &[&str]| {
        let read = read(SpanKind::Client, "query", pairs);
        let call = read.call();
        let shown = |names: &[Name]| names.iter().map(|&name| read.text(name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            (call.access, shown(&call.tables), shown(&call.also_read)),
            (access, shown_as(tables), shown_as(also_read)),
            "{pairs:?}"
        );
    };
    let system = ("db.system", "mysql");
    let text = |text| ("db.statement", text);
    check(&[system, text("INSERT INTO a SELECT * FROM b")], Access::Write, &["a"], &["b"]);
    check(&[system, text("SELECT * FROM a JOIN b")], Access::Read, &["a", "b"], &[]);
    for operation in ["query", "execute", "exec"] {
        let operation = ("db.operation.name", operation);
        check(&[system, operation, text("INSERT INTO a VALUES (1)")], Access::Write, &["a"], &[]);
    }
    check(&[system, ("db.operation", "select"), ("db.sql.table", "`Orders`")], Access::Read, &["orders"], &[]);
    check(&[system, ("db.name", "shop"), text("SELECT 1 FROM shop.orders")], Access::Read, &["orders"], &[]);
    check(&[system, ("db.query.summary", "INSERT a SELECT b")], Access::Write, &["a"], &["b"]);
    check(&[system, text("BEGIN")], Access::None, &[], &[]);
    let redis = ("db.system", "redis");
    check(&[redis, text("SET user:1 x")], Access::Write, &[], &[]);
    check(&[redis, text("GET user:1")], Access::Read, &[], &[]);
    let dynamo = [("db.system", "dynamodb"), ("rpc.method", "GetItem"), ("aws.dynamodb.table_names", "[\"Orders\"]")];
    check(&dynamo, Access::Read, &["orders"], &[]);
}

#[test]
fn outcomes_are_told_by_codes_of_every_spelling() {
    let check = |pairs: &[(&str, &str)], expected: Outcome| {
        assert_eq!(read(SpanKind::Client, "call", pairs).span().shape.outcome, expected, "{pairs:?}");
    };
    for code in
        ["UNAVAILABLE", "INTERNAL", "UNKNOWN", "RESOURCE_EXHAUSTED", "ABORTED", "UNIMPLEMENTED", "DATA_LOSS", "14"]
    {
        check(&[("rpc.response.status_code", code)], Outcome::Failed);
    }
    check(&[("rpc.grpc.status_code", "4")], Outcome::TimedOut);
    check(&[("rpc.grpc.status_code", "StatusCode.NOT_FOUND")], Outcome::Rejected);
    check(&[("rpc.grpc.status_code", "DeadlineExceeded")], Outcome::TimedOut);
    check(&[("rpc.grpc.status_code", "0")], Outcome::Ok);
    check(&[("error.type", "java.net.SocketTimeoutException")], Outcome::TimedOut);
    check(&[("error.type", "_OTHER")], Outcome::Failed);
    check(&[("http.status_code", "404")], Outcome::Rejected);
    check(&[("error", "true")], Outcome::Failed);
    check(&[("error", "Read timed out")], Outcome::TimedOut);
    check(&[("exception", "ReadTimeoutException")], Outcome::TimedOut);
    check(&[("exception", "none")], Outcome::Ok);
    check(&[("exception", "Unauthorized"), ("outcome", "CLIENT_ERROR")], Outcome::Rejected);
    check(&[("exception", "none"), ("outcome", "SERVER_ERROR")], Outcome::Failed);
    check(&[("exception", "SocketTimeoutException"), ("outcome", "UNKNOWN")], Outcome::TimedOut);
    check(&[("exception", "none"), ("outcome", "SUCCESS")], Outcome::Ok);
}

#[test]
fn platforms_that_ask_for_health_are_told_by_their_agents() {
    let check = |agent: &str, expected: bool| {
        let pairs = [("http.request.method", "GET"), ("url.path", "/"), ("user_agent.original", agent)];
        assert_eq!(read(SpanKind::Server, "GET", &pairs).span().shape.is_probe, expected, "{agent}");
    };
    for agent in ["kube-probe/1.31", "Prometheus/2.51.0", "Consul Health Check", "Envoy/HC"] {
        check(agent, true);
    }
    check("Mozilla/5.0 (like Prometheus/2)", false);
    check("PrometheusUI", false);
}

#[test]
fn schedulers_that_ask_over_the_network_are_told_by_their_agents() {
    let check = |agent: &str, expected: bool| {
        let pairs = [("http.request.method", "POST"), ("url.path", "/close"), ("user_agent.original", agent)];
        assert_eq!(read(SpanKind::Server, "POST", &pairs).span().shape.is_by_clock, expected, "{agent}");
    };
    for agent in ["Google-Cloud-Scheduler", "vercel-cron/1.0", "EasyCron/1.0 (https://www.easycron.com)"] {
        check(agent, true);
    }
    check("Mozilla/5.0", false);
    check("é", false);
}

#[test]
fn paths_that_only_platforms_ask_for_are_told_from_those_that_sound_so() {
    let check = |path: &str, expected: bool| {
        let pairs = [("http.request.method", "GET"), ("url.path", path)];
        assert_eq!(read(SpanKind::Server, "GET", &pairs).span().shape.is_probe, expected, "{path}");
    };
    for path in [
        "/health",
        "/healthz/ready",
        "/health/live/",
        "/_health",
        "/up",
        "/-/healthy",
        "/q/health/started",
        "/q/metrics",
        "/api/v1/health",
        "/management/prometheus",
        "/orders/actuator/prometheus",
        "/actuator/health/liveness",
        "/orders/readyz",
    ] {
        check(path, true);
    }
    for path in [
        "/health/records",
        "/patients/7/health",
        "/patients/7/health-check",
        "/orders/7/ready",
        "/live/channel",
        "/api/metrics",
        "/api/v1/live",
        "/v1/metrics",
        "/q/flights",
        "/actuator/valves",
        "/upload",
        "/api",
        "/",
    ] {
        check(path, false);
    }
}

#[test]
fn tables_of_one_region_are_behind_one_address() {
    let address = |pairs: &[(&str, &str)]| {
        let read = read(SpanKind::Client, "call", pairs);
        let Some(NodeKey::Datastore(key)) = read.call().peer else { panic!("no datastore: {pairs:?}") };
        read.text(key.address).to_owned()
    };
    let of_table = |pairs: &[(&str, &str)]| {
        let given =
            [("db.system", "dynamodb"), ("db.operation", "GetItem"), ("aws.dynamodb.table_names", "[\"Orders\"]")];
        address(&[&given, pairs].concat())
    };
    let told = of_table(&[("server.address", "dynamodb.eu-west-1.amazonaws.com")]);
    assert_eq!(of_table(&[("aws.region", "eu-west-1")]), told);
    assert_eq!(of_table(&[("cloud.region", "eu-west-1")]), told);
    assert_ne!(of_table(&[("cloud.region", "us-east-1")]), told);
    assert_eq!(of_table(&[]), "");
    // The region says nothing of the address of anything else.
    assert_eq!(address(&[("db.system", "mysql"), ("db.name", "shop"), ("cloud.region", "eu-west-1")]), "");
}

#[test]
fn what_has_a_body_asks_for_more_than_its_url_tells() {
    let knows_all = |pairs: &[(&str, &str)]| {
        let call = [&[("http.url", "http://b:80/journal")], pairs].concat();
        read(SpanKind::Client, "call", &call).span().parameters.is_some()
    };
    assert!(knows_all(&[("http.method", "GET")]));
    assert!(!knows_all(&[("http.method", "POST")]));
    assert!(knows_all(&[("method", "GET"), ("outcome", "SUCCESS")]));
    assert!(!knows_all(&[("method", "POST"), ("outcome", "SUCCESS")]));
    // Anybody may call anything a method.
    assert!(knows_all(&[("http.method", "GET"), ("method", "POST")]));
}

#[test]
fn outcomes_are_told_by_status_and_exception_where_no_attribute_tells_them() {
    let check = |is_error, exception: &str, message: &str, expected: Outcome| {
        let told = (exception, message);
        let (exception, status_message) = (exception.into(), message.into());
        let view = SpanView { kind: SpanKind::Client, is_error, exception, status_message, ..SpanView::default() };
        assert_eq!(read_view(&[], view).span().shape.outcome, expected, "{told:?}");
    };
    check(true, "java.net.SocketTimeoutException", "", Outcome::TimedOut);
    check(true, "*url.Error", "Get \"http://cart/\": context deadline exceeded", Outcome::TimedOut);
    check(true, "TaskCanceledException", "", Outcome::Cancelled);
    check(true, "", "context canceled", Outcome::Cancelled);
    check(true, "java.net.ConnectException", "Connection refused", Outcome::Failed);
    check(false, "java.net.SocketTimeoutException", "read timed out, tried again", Outcome::Ok);
}

#[test]
fn an_exception_that_is_redacted_tells_nothing() {
    let redaction = Redaction::new(["exception.type"]);
    let reading = Reading { redaction, ..Reading::default() };
    let mut builder = BatchBuilder::with_reading(reading.into());
    builder.span(&SpanView { is_error: true, exception: "ReadTimeout".into(), ..SpanView::default() });
    let batch = builder.finish();
    assert_eq!(batch.spans[0].shape.outcome, Outcome::Failed);
    assert_eq!(batch.spans[0].detail.status_message(), "");
}

#[test]
fn messages_of_errors_tell_who_stopped_waiting() {
    let check = |message: &str, pairs: &[(&str, &str)], expected: Outcome| {
        let view = SpanView {
            kind: SpanKind::Client,
            is_error: true,
            status_message: message.into(),
            attributes: &attributes(pairs),
            ..SpanView::default()
        };
        assert_eq!(read_view(&[], view).span().shape.outcome, expected, "{message}");
    };
    check("Get \"http://b/\": context deadline exceeded (Client.Timeout exceeded)", &[], Outcome::TimedOut);
    check("HTTPConnectionPool(host='b', port=80): Read timed out.", &[("error.type", "_OTHER")], Outcome::TimedOut);
    check("context canceled", &[], Outcome::Cancelled);
    check("The user aborted a request.", &[], Outcome::Cancelled);
    // What has an answer, or failed, was waited for.
    check("upstream timeout", &[("http.status_code", "500")], Outcome::Failed);
    check("upstream timeout", &[("rpc.grpc.status_code", "14")], Outcome::Failed);
    check("('Connection aborted.', RemoteDisconnected())", &[], Outcome::Failed);
    check("current transaction is aborted", &[], Outcome::Failed);
    check("", &[], Outcome::Failed);
}

#[test]
fn old_calls_without_a_convention_are_calls() {
    let read = read(
        SpanKind::Client,
        "/driver.DriverService/FindNearest",
        &[("component", "gRPC"), ("peer.service", "driver")],
    );
    assert_eq!(read.call().kind, EdgeKind::Rpc);
    assert_eq!(read.text(read.call().template), "driver.DriverService/FindNearest");
}

#[test]
fn the_owner_is_named_by_the_first_key_that_is_there() {
    let check = |keys: &[&str], expected: &str| {
        let owner_keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let reading = Reading { owner_keys, ..Reading::default() };
        let mut builder = BatchBuilder::with_reading(reading.into());
        builder.resource(&attributes(&[
            ("service.name", "cart"),
            ("team", "red"),
            ("acme.squad", "blue"),
            ("empty", ""),
        ]));
        let vocabulary = builder.finish().vocabulary;
        let owner = vocabulary.resources.values().next().unwrap().owner;
        assert_eq!(vocabulary.names.text(owner), expected, "{keys:?}");
    };
    check(&["acme.squad", "team"], "blue");
    check(&["team", "acme.squad"], "red");
    check(&["empty", "missing", "team"], "red");
    check(&["missing"], "");
}

#[test]
fn redacted_attributes_leave_no_trace() {
    let redaction = Redaction::new(["http.route", "enduser.*", "service.version", "note"]);
    let mut builder = BatchBuilder::with_reading(Reading { redaction, ..Reading::default() }.into());
    builder.resource(&attributes(&[("service.name", "cart"), ("service.version", "v7")]));
    let pairs = attributes(&[("http.route", "/r"), ("enduser.id", "u"), ("note", "n"), ("http.request.method", "GET")]);
    let kind = SpanKind::Server;
    builder.span(&SpanView {
        trace_id: TraceId(1),
        span_id: SpanId(1),
        kind,
        attributes: &pairs,
        ..SpanView::default()
    });
    let batch = builder.finish();
    let texts = batch.vocabulary.names.sorted(|_| true);
    assert!(texts.values().all(|text| !["/r", "u", "n", "v7"].contains(&&**text)), "{texts:?}");
    assert_eq!(batch.spans[0].detail.attributes().collect::<Vec<_>>(), [("http.request.method", "GET")]);
    assert!(!batch.spans[0].marks.has(Marks::IDENTITY));
}

/// A few of everything that meaning is made of, so that spans share some of it and differ in the rest.
fn any_span() -> impl Strategy<Value = (u8, bool, &'static str, Vec<(&'static str, &'static str)>)> {
    const NAMES: [&str; 5] = ["GET /a", "GET /users/12", "query", "/a.B/Watch", "publish t"];
    const PAIRS: [(&str, &[&str]); 20] = [
        ("http.request.method", &["GET", "POST"]),
        ("http.route", &["/a/{id}", ""]),
        ("url.full", &["http://h:1/a?x=1", "https://h/users/12", "http://u:p@h/health", "ws://h/socket.io/"]),
        ("url.path", &["/a", "/ready", ""]),
        ("http.response.status_code", &["200", "404", "500"]),
        ("user_agent.original", &["curl", "kube-probe/1", "Google-Cloud-Scheduler"]),
        ("db.system", &["postgres", "redis", "mysql"]),
        ("db.statement", &["SELECT 1 FROM a", "INSERT INTO a SELECT * FROM b", "GET x", "SELECT * FROM a WHERE b = 7"]),
        ("db.operation", &["SELECT", "query"]),
        ("db.name", &["shop", ""]),
        ("server.address", &["h", "localhost", "http://h:2"]),
        ("network.peer.address", &["10.0.0.1", "8.8.8.8"]),
        ("client.address", &["10.0.0.1", "8.8.8.8"]),
        ("messaging.system", &["kafka"]),
        ("messaging.destination.name", &["t", "u"]),
        ("messaging.operation", &["publish", "receive", "settle"]),
        ("messaging.batch.message_count", &["1", "9"]),
        ("rpc.method", &["a.B/Get", "Watch"]),
        ("error.type", &["timeout", "NOT_FOUND"]),
        ("api_key", &["abcdef123", ""]),
    ];
    let pair = (0..PAIRS.len(), any::<prop::sample::Index>()).prop_map(|(place, index)| {
        let (key, values) = PAIRS[place];
        (key, *index.get(values))
    });
    (0..6u8, any::<bool>(), prop::sample::select(&NAMES[..]), prop::collection::vec(pair, 0..6))
}

proptest! {
    /// What was learned of other spans changes nothing.
    #[test]
    fn remembering_changes_no_meaning(spans in prop::collection::vec(any_span(), 1..40)) {
        let mut learned = BatchBuilder::default();
        for (kind, is_error, name, pairs) in spans {
            let (kind, pairs) = (SpanKind::from_otlp(i64::from(kind)), attributes(&pairs));
            let view = SpanView {
                trace_id: TraceId(1), span_id: SpanId(1), kind, is_error, name: name.into(), attributes: &pairs, ..SpanView::default()
            };
            let read = |builder: &mut BatchBuilder| {
                builder.resource(&attributes(&[("service.name", "a"), ("host.name", "box")]));
                builder.span(&view);
                builder.take()
            };
            let (known, fresh) = (read(&mut learned), read(&mut BatchBuilder::default()));
            prop_assert_eq!(&known.spans, &fresh.spans);
            let [known, fresh] = [&known, &fresh].map(|batch| batch.vocabulary.names.sorted(|_| true));
            prop_assert_eq!(known, fresh);
        }
    }
}

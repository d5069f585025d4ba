//! What a web shop sends: requests of 512 spans that carry whole traces, grouped by service, as a gateway's batches do.
//! Ten services, seven databases, faults now and then; the same spans in every run.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};

/// Requests that differ: they are sent again and again, each time with other trace ids.
pub(crate) const REQUESTS: u64 = 64;
pub(crate) const SPANS_PER_REQUEST: u64 = 512;
/// What every trace id begins with; the number of the trace follows.
pub(crate) const TRACE_MARK: [u8; 8] = *b"trace no";
/// No span begins earlier.
pub(crate) const EPOCH_NS: u64 = 1_700_000_000_000_000_000;
/// No span ends later than this after [`EPOCH_NS`].
pub(crate) const LATEST_NS: u64 = 10_000_000_000;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
/// How many services a request passes one after another.
const MAX_DEPTH: usize = 5;
/// In how many of a hundred requests a service calls each of those it may call.
const LIKELY: u64 = 70;
const PORT: u64 = 8080;

/// A service with its operations, the services it calls, and its database.
struct Service {
    name: &'static str,
    operations: &'static [(&'static str, &'static str)],
    calls: &'static [usize],
    database: Option<&'static str>,
}

const fn service(
    name: &'static str,
    operations: &'static [(&'static str, &'static str)],
    calls: &'static [usize],
    database: Option<&'static str>,
) -> Service {
    Service { name, operations, calls, database }
}

/// The first one is where clients enter.
const SHOP: [Service; 10] = [
    service("storefront", &[("GET", "/"), ("GET", "/product/{id}"), ("POST", "/order")], &[1, 2, 4, 5, 7], None),
    service("basket", &[("GET", "/basket/{user}"), ("POST", "/basket/{user}/items")], &[4], Some("redis")),
    service("checkout", &[("POST", "/checkout"), ("GET", "/checkout/{order}")], &[1, 3, 5, 6, 8], Some("postgresql")),
    service("payments", &[("POST", "/payments"), ("POST", "/refunds")], &[5], Some("postgresql")),
    service("catalogue", &[("GET", "/products"), ("GET", "/products/{id}")], &[9], Some("postgresql")),
    service("currencies", &[("GET", "/currencies"), ("POST", "/conversions")], &[], None),
    service("shipping", &[("POST", "/quotes"), ("POST", "/shipments")], &[5], Some("mysql")),
    service("suggestions", &[("GET", "/suggestions/{user}")], &[4], Some("redis")),
    service("mail", &[("POST", "/confirmations")], &[], Some("postgresql")),
    service("stock", &[("GET", "/stock/{sku}"), ("PUT", "/stock/{sku}")], &[], Some("mysql")),
];

const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "ShopApp/7.2 (Android 15)",
];
const QUERY: &str = "SELECT id, status, total, currency, updated_at FROM entries WHERE owner_id = $1 AND status <> $2 ORDER BY updated_at DESC LIMIT 50";
const STACK_TRACE: &str = "shop.RemoteTimeout: no answer within 2000 ms\n\tat shop.remote.Channel.await(Channel.java:211)\n\tat shop.remote.Client.call(Client.java:64)\n\tat shop.web.Handler.handle(Handler.java:118)";

/// All requests.
pub(crate) fn requests() -> Vec<ExportTraceServiceRequest> {
    let mut visits = Visits { random: 0, traces: 0, spans: Vec::new() };
    (0..REQUESTS).map(|_| visits.request()).collect()
}

/// Spreads a number over all bits, and no two numbers to the same.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// What clients do in the shop.
struct Visits {
    random: u64,
    traces: u64,
    /// Of the request that is being made, each with its service.
    spans: Vec<(usize, Span)>,
}

/// How a call went.
struct Answer {
    end_ns: u64,
    failed: bool,
}

impl Visits {
    fn request(&mut self) -> ExportTraceServiceRequest {
        while (self.spans.len() as u64) < SPANS_PER_REQUEST {
            self.traces += 1;
            self.serve(0, &[], EPOCH_NS + self.traces % 1_000 * MILLISECOND, 1);
        }
        // A span stands behind its parent, so the last trace is a smaller one, and no broken one.
        self.spans.truncate(SPANS_PER_REQUEST as usize);
        let mut services: BTreeMap<usize, Vec<Span>> = BTreeMap::new();
        for (service, span) in self.spans.drain(..) {
            services.entry(service).or_default().push(span);
        }
        ExportTraceServiceRequest { resource_spans: services.into_iter().map(resource_spans).collect() }
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random) % limit
    }

    /// How long something takes, in nanoseconds: mostly near `typical`, now and then ten times that.
    fn time(&mut self, typical: u64) -> u64 {
        let slow = if self.below(50) == 0 { 10 } else { 1 };
        (typical / 2 + self.below(typical)) * slow
    }

    /// One execution of an operation with all that it calls.
    fn serve(&mut self, service: usize, parent: &[u8], start_ns: u64, depth: usize) -> Answer {
        let Service { operations, calls, database, .. } = SHOP[service];
        let (method, route) = operations[self.below(operations.len() as u64) as usize];
        let mut span = self.span(parent, &format!("{method} {route}"), span::SpanKind::Server, start_ns);
        let failed = self.below(50) == 0;
        span.attributes = self.server_attributes(service, method, route, failed);
        let (id, place) = (span.span_id.clone(), self.spans.len());
        self.spans.push((service, span));
        let mut now_ns = start_ns + self.time(150 * MICROSECOND);
        if self.below(4) == 0 {
            now_ns = self.render(service, &id, now_ns);
        }
        if database.is_some() && self.below(100) < LIKELY {
            now_ns = self.query(service, &id, now_ns);
        }
        for callee in calls {
            if depth < MAX_DEPTH && self.below(100) < LIKELY {
                now_ns = self.call(service, *callee, &id, now_ns, depth);
            }
        }
        let end_ns = now_ns + self.time(80 * MICROSECOND);
        self.end(place, &Answer { end_ns, failed });
        Answer { end_ns, failed }
    }

    /// A call from one service to another; answers when it is over.
    fn call(&mut self, caller: usize, callee: usize, parent: &[u8], start_ns: u64, depth: usize) -> u64 {
        let (method, route) = SHOP[callee].operations[0];
        let mut span = self.span(parent, method, span::SpanKind::Client, start_ns);
        span.attributes = vec![
            text("http.request.method", method),
            text("url.full", format!("http://{}:{PORT}{route}", SHOP[callee].name)),
            text("server.address", address(SHOP[callee].name)),
            int("server.port", PORT),
            text("network.peer.address", format!("10.43.{callee}.{}", self.below(255))),
            int("network.peer.port", PORT),
            text("network.protocol.version", "1.1"),
            int("thread.id", self.below(64)),
        ];
        let (id, place) = (span.span_id.clone(), self.spans.len());
        self.spans.push((caller, span));
        let way_ns = self.time(120 * MICROSECOND);
        let Answer { end_ns, failed } = self.serve(callee, &id, start_ns + way_ns, depth + 1);
        let status = int("http.response.status_code", if failed { 500 } else { 200 });
        self.spans[place].1.attributes.push(status);
        self.end(place, &Answer { end_ns: end_ns + way_ns, failed });
        end_ns + way_ns
    }

    /// Reads from the database of a service; answers when it is over.
    fn query(&mut self, service: usize, parent: &[u8], start_ns: u64) -> u64 {
        let Service { name, database, .. } = SHOP[service];
        let mut span = self.span(parent, "SELECT entries", span::SpanKind::Client, start_ns);
        span.attributes = vec![
            text("db.system.name", database.unwrap_or_default()),
            text("db.namespace", name),
            text("db.operation.name", "SELECT"),
            text("db.collection.name", "entries"),
            text("db.query.text", QUERY),
            text("server.address", address(&format!("{name}-db"))),
            int("server.port", 5432),
            int("thread.id", self.below(64)),
        ];
        let end_ns = start_ns + self.time(900 * MICROSECOND);
        self.spans.push((service, Span { end_time_unix_nano: end_ns, ..span }));
        end_ns
    }

    /// Work within a service that somebody wanted to see; answers when it is over.
    fn render(&mut self, service: usize, parent: &[u8], start_ns: u64) -> u64 {
        let mut span = self.span(parent, "Handler.render", span::SpanKind::Internal, start_ns);
        span.attributes = vec![
            text("code.function.name", "shop.web.Handler.render"),
            text("code.file.path", "shop/web/Handler.java"),
            int("code.line.number", 118),
            int("thread.id", self.below(64)),
            text("shop.customer.tier", "gold"),
            int("shop.basket.items", self.below(9)),
            text("shop.layout", "two-columns"),
            text("session.id", format!("{:032x}", u128::from(self.below(u64::MAX)) << 48)),
        ];
        let end_ns = start_ns + self.time(300 * MICROSECOND);
        self.spans.push((service, Span { end_time_unix_nano: end_ns, ..span }));
        end_ns
    }

    fn server_attributes(&mut self, service: usize, method: &str, route: &str, failed: bool) -> Vec<KeyValue> {
        let user = format!("u-{:06}", self.below(900_000));
        let path = route.replace("{user}", &user).replace("{id}", "P4X9QK71").replace("{sku}", "SKU-40712");
        let mut attributes = vec![
            text("http.request.method", method),
            text("http.route", route),
            text("url.path", path),
            text("url.scheme", "http"),
            int("http.response.status_code", if failed { 500 } else { 200 }),
            text("server.address", address(SHOP[service].name)),
            int("server.port", PORT),
            text("network.protocol.version", "1.1"),
            text("user_agent.original", AGENTS[self.below(3) as usize]),
            text("client.address", format!("10.42.{}.{}", self.below(8), self.below(255))),
            int("thread.id", self.below(64)),
        ];
        if self.below(2) == 0 {
            attributes.push(text("thread.name", format!("http-worker-{}", self.below(64))));
        }
        attributes
    }

    /// A span of the trace at hand that ends as it begins.
    fn span(&mut self, parent: &[u8], name: &str, kind: span::SpanKind, start_ns: u64) -> Span {
        Span {
            trace_id: [TRACE_MARK, self.traces.to_be_bytes()].concat(),
            span_id: (self.below(u64::MAX) + 1).to_be_bytes().to_vec(),
            parent_span_id: parent.to_vec(),
            flags: 0x101,
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: start_ns,
            end_time_unix_nano: start_ns,
            status: Some(Status::default()),
            ..Span::default()
        }
    }

    fn end(&mut self, place: usize, answer: &Answer) {
        let span = &mut self.spans[place].1;
        span.end_time_unix_nano = answer.end_ns;
        if answer.failed {
            span.status = Some(Status { message: String::new(), code: 2 });
            span.events.push(span::Event {
                time_unix_nano: answer.end_ns,
                name: "exception".to_owned(),
                attributes: vec![
                    text("exception.type", "shop.RemoteTimeout"),
                    text("exception.message", "no answer within 2000 ms"),
                    text("exception.stacktrace", STACK_TRACE),
                ],
                dropped_attributes_count: 0,
            });
        }
    }
}

/// What a service sends, in the scopes of its libraries and of its own code.
fn resource_spans((service, spans): (usize, Vec<Span>)) -> ResourceSpans {
    let name = SHOP[service].name;
    let internal = i32::from(span::SpanKind::Internal);
    let (own, library): (Vec<Span>, Vec<Span>) = spans.into_iter().partition(|span| span.kind == internal);
    let scope = |(name, spans): (&str, Vec<Span>)| ScopeSpans {
        scope: Some(InstrumentationScope {
            name: name.to_owned(),
            version: "2.20.1".to_owned(),
            ..InstrumentationScope::default()
        }),
        spans,
        ..ScopeSpans::default()
    };
    let scopes = [("io.opentelemetry.http", library), ("shop.web", own)];
    let resource = Resource {
        attributes: vec![
            text("service.name", name),
            text("service.namespace", "shop"),
            text("service.version", "3.8.1"),
            text("service.instance.id", format!("0b9f6c4e-52d7-4d3a-9a51-6c1f08e4b7{service:02}")),
            text("deployment.environment.name", "production"),
            text("k8s.pod.name", format!("{name}-6d8c7b5f9-q{service}x7t")),
            text("k8s.namespace.name", "shop"),
            text("k8s.node.name", "node-5"),
            text("host.name", "ip-10-0-7-23"),
            text("telemetry.sdk.language", "java"),
            text("telemetry.sdk.name", "opentelemetry"),
            text("telemetry.sdk.version", "1.54.0"),
            int("process.pid", 1),
        ],
        ..Resource::default()
    };
    ResourceSpans {
        resource: Some(resource),
        scope_spans: scopes.into_iter().filter(|(_, spans)| !spans.is_empty()).map(scope).collect(),
        schema_url: "https://opentelemetry.io/schemas/1.37.0".to_owned(),
    }
}

fn address(name: &str) -> String {
    format!("{name}.shop.svc.cluster.local")
}

fn int(key: &str, value: u64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value.cast_signed()))
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.into()))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

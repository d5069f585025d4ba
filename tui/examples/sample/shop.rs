//! An invented shop: a call graph, findings and a trace, for screen work without a collector.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanlint_analyzer::finding::{Confidence, Evidence, Finding, Impact, Severity, Subject, Support, Undecided};
use spanlint_analyzer::rule::{Category, RuleMeta, Status as RuleStatus};
use spanlint_graph::facts::{Counts, EdgeFacts, OperationFacts, PatternFacts, Seen, histogram};
use spanlint_graph::log::Severity as LogSeverity;
use spanlint_graph::measurement::{Instrument, Reading, ServiceReadings};
use spanlint_graph::snapshot::{CallPattern, DatastoreInfo, Edge, Node, Operation, ServiceInfo};
use spanlint_graph::span::{EdgeKind, Outcome, SpanId, SpanKind};
use spanlint_graph::waterfall::{LogRow, Row};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind, OperationIndex, TraceId, View, Waterfall, Window};
use spanlint_tui::{Endpoint, Live, ScenarioState, Status};

/// The trace that every finding of the sample cites.
pub(crate) const PROOF: TraceId = TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);

const START_NS: u64 = 1_795_176_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// `caller -> callee kind calls-per-minute p50-in-ms`.
const CALLS: &str = "
client -> gateway http 1440 18
gateway -> user http 240 6
gateway -> search http 480 9
gateway -> cart http 360 14
gateway -> wishlist http 90 5
gateway -> order-taking http 60 48
gateway -> recommendation http 210 7
cart -> warehouse http 700 4
cart -> search http 120 5
wishlist -> search http 45 6
order-taking -> cart http 60 11
order-taking -> order-processing http 60 31
order-processing -> warehouse http 60 6
order-processing -> payment http 58 14
payment -> <pay.example.com> http 58 9
order-processing -> {order.placed} messaging 60 1
payment -> {order.paid} messaging 57 1
logistics -> {order.shipped} messaging 55 1
logistics -> warehouse http 55 7
{order.paid} -> logistics messaging 57 2
{order.paid} -> notification messaging 57 3
{order.placed} -> recommendation messaging 60 2
{order.shipped} -> notification messaging 55 2
user -> (user) database 260 1
search -> (search) database 700 2
cart -> (cart) database 800 1
wishlist -> (wishlist) database 140 1
order-taking -> (orders-inbox) database 120 1
order-processing -> (orders) database 240 1
payment -> (payment) database 170 1
logistics -> (logistics) database 160 1
warehouse -> (warehouse) database 900 1
notification -> (notification) database 110 1
recommendation -> (recommendation) database 330 2
";

static N_PLUS_ONE: RuleMeta = rule("n-plus-one-calls", Category::Chatter, Severity::Warning);
static SHARED: RuleMeta = rule("shared-database", Category::Data, Severity::Error);
static CYCLE: RuleMeta = rule("cyclic-dependency", Category::Boundaries, Severity::Warning);

const fn rule(name: &'static str, category: Category, severity: Severity) -> RuleMeta {
    RuleMeta {
        name,
        category,
        severity,
        confidence: Confidence::Proven,
        status: RuleStatus::Preview("0.1.0"),
        summary: "A rule of the sample.",
        looks_like: "",
        why: "",
        how: "",
        fix: "",
        limits: "",
        references: &[],
        instrumentation_score: &[],
        options: &[],
        absorbs: &[],
    }
}

/// A picture of the shop after `tick` seconds; `scenarios` says which of its three faults are on.
pub(crate) fn live(tick: u64, scenarios: [bool; 3]) -> Live {
    let [is_chatty, is_shared, is_cyclic] = scenarios;
    let mut calls = CALLS.to_owned();
    if is_shared {
        calls += "recommendation -> (orders) database 90 3\n";
    }
    if is_cyclic {
        calls += "payment -> order-processing http 55 8\n";
    }
    let findings: Vec<Finding> = [is_shared.then(shared_database), is_chatty.then(n_plus_one), is_cyclic.then(cycle)]
        .into_iter()
        .flatten()
        .collect();
    let seconds = 60 + tick;
    let graph = graph(&calls, tick);
    let undecided = Undecided {
        rule: "chatty-services",
        services: vec!["logistics".to_owned(), "warehouse".to_owned()],
        reason: "12 requests seen, 30 needed".to_owned(),
    };
    Live {
        at_ns: START_NS + seconds * 1_000_000_000,
        graph: Arc::new(graph),
        findings: findings.into(),
        undecided: vec![undecided].into(),
        background: Arc::default(),
        view: Some(View { window: Window::Minute, until_ns: None }),
        readings: vec![readings()].into(),
        status: Status { spans: 412 * seconds, traces: 24 * seconds, spans_per_second: 412.0, ..status(scenarios) },
    }
}

/// What the cart measures of itself.
fn readings() -> ServiceReadings {
    let reading = |instrument, value: f64, mean_ms| Reading {
        instrument,
        value,
        mean_ms,
        history: (1..=12).map(|step| value * f64::from(step) / 12.0).collect(),
    };
    ServiceReadings {
        environment: String::new(),
        node_id: node_id(NodeKind::Service, "cart"),
        readings: vec![
            reading(Instrument::Processors, 0.42, None),
            reading(Instrument::Memory, 157_286_400.0, None),
            reading(Instrument::Requests, 31.5, Some(12.0)),
        ],
    }
}

/// The state of a collector that has received nothing.
pub(crate) fn status(scenarios: [bool; 3]) -> Status {
    let names = [
        ("chatty-cart", "the cart asks the warehouse item by item"),
        ("shared-database", "two services use the tables of order-processing"),
        ("cyclic-dependency", "payment calls back into order-processing"),
    ];
    let scenario = |((name, description), is_on): ((&str, &str), bool)| ScenarioState {
        name: name.to_owned(),
        description: description.to_owned(),
        is_on,
    };
    let endpoint =
        |port: u16| Endpoint { protocols: "OTLP gRPC + HTTP".to_owned(), address: format!("127.0.0.1:{port}") };
    Status {
        endpoints: vec![endpoint(4317), endpoint(4318)],
        scenarios: names.into_iter().zip(scenarios).map(scenario).collect(),
        ..Status::default()
    }
}

/// A graph of lines like those of [`CALLS`], a little different at every tick.
pub(crate) fn graph(calls: &str, tick: u64) -> CallGraph {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    let mut parsed: Vec<(String, String, EdgeKind, u64, u64)> = Vec::new();
    for line in calls.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [from, _, to, kind, calls, p50_ms] = words[..] else { panic!("a line of the sample: {line}") };
        let ends = [node(from), node(to)];
        let [from, to] = ends.map(|node| {
            let id = node.id.clone();
            nodes.entry(id.clone()).or_insert(node);
            id
        });
        let kind = match kind {
            "database" => EdgeKind::Database,
            "messaging" => EdgeKind::Messaging,
            _ => EdgeKind::Http,
        };
        parsed.push((from, to, kind, calls.parse().expect("calls"), p50_ms.parse().expect("p50")));
    }
    let nodes: Vec<Node> = nodes.into_values().collect();
    let mut graph = CallGraph { nodes, ..CallGraph::default() };
    let seen = Seen { first_ns: START_NS + tick * 1_000_000_000, last_ns: START_NS + (60 + tick) * 1_000_000_000 };
    graph.counts = Counts { traces: 1440, spans: 24_700, seen, ..Counts::default() };
    for (index, (from, to, kind, calls, p50_ms)) in parsed.into_iter().enumerate() {
        let ends = graph.node_by_id(&from).zip(graph.node_by_id(&to)).expect("both were made above");
        let wobble = (tick * 7 + index as u64 * 13) % 11;
        add_edge(&mut graph, ends, kind, calls + calls * wobble / 50, p50_ms * MILLISECOND, seen);
    }
    graph.edges.sort_by_key(|edge| (edge.from, edge.to, edge.kind));
    graph
}

fn add_edge(graph: &mut CallGraph, ends: (NodeIndex, NodeIndex), kind: EdgeKind, calls: u64, p50: u64, seen: Seen) {
    let (from, to) = ends;
    let mut facts = EdgeFacts { calls, traced_calls: calls, traces: calls / 2 + 1, seen, ..EdgeFacts::default() };
    let is_external = graph.node(to).kind == NodeKind::External;
    let failures = if is_external { calls / 12 } else { 0 };
    facts.outcomes[Outcome::Failed.index()] = failures;
    facts.outcomes[Outcome::Ok.index()] = calls - failures;
    let is_chatty = graph.node(from).name == "cart" && graph.node(to).name == "warehouse";
    let per_request = if is_chatty { 7 } else { 1 };
    facts.requests = calls / per_request;
    facts.per_request.insert((histogram::bucket(per_request), histogram::bucket(1)), facts.requests);
    let mut latency = spanlint_graph::facts::Histogram::default();
    for percent in 0..100u64 {
        latency.record(p50 * (50 + percent + if percent > 94 { 150 } else { 0 }) / 100);
    }
    facts.caller_latency = latency.clone();
    facts.slow.offer(p50 * 3, PROOF);
    let target = &mut graph.nodes[to.0 as usize];
    let template = match target.kind {
        NodeKind::Datastore => "SELECT rows".to_owned(),
        _ => format!("GET /{}/{{id}}", target.name),
    };
    if let Some(service) = &mut target.service {
        facts.callee_latency = latency.clone();
        service.requests += calls;
        service.failures += failures;
        service.facts.spans += calls * 3;
        let facts = OperationFacts { requests: calls, latency, ..OperationFacts::default() };
        graph.operations.push(Operation { node: to, name: template.clone(), facts });
    }
    if let Some(caller) = graph.operations.iter().position(|operation| operation.node == from) {
        let facts = PatternFacts { calls, requests: calls / per_request, ..PatternFacts::default() };
        let caller = OperationIndex(caller as u32);
        graph.patterns.push(CallPattern {
            caller,
            callee: to,
            is_callee_known: true,
            kind,
            template,
            facts,
            ..CallPattern::default()
        });
    }
    graph.edges.push(Edge { from, to, kind, facts, ..Edge::default() });
}

/// `name`, `(datastore)`, `{topic}`, `<external>` or `client`.
fn node(word: &str) -> Node {
    let name = word.trim_matches(['(', ')', '{', '}', '<', '>']).to_owned();
    let kind = match word.as_bytes()[0] {
        b'(' => NodeKind::Datastore,
        b'{' => NodeKind::Topic,
        b'<' => NodeKind::External,
        _ if word == "client" => NodeKind::Client,
        _ => NodeKind::Service,
    };
    let service = (kind == NodeKind::Service).then(|| ServiceInfo {
        namespace: "shop".to_owned(),
        name: name.clone(),
        is_traced: true,
        owners: vec!["team-store".to_owned()],
        languages: vec!["rust".to_owned()],
        versions: vec![("1.4.0".to_owned(), Seen::default())],
        instances: vec![(format!("{name}-1"), Seen::default())],
        ..ServiceInfo::default()
    });
    let datastore = (kind == NodeKind::Datastore).then(|| DatastoreInfo {
        system: "sqlite".to_owned(),
        namespace: name.clone(),
        ..DatastoreInfo::default()
    });
    Node { id: node_id(kind, &name), kind, name, service, datastore }
}

fn node_id(kind: NodeKind, name: &str) -> String {
    match kind {
        NodeKind::Client => "client".to_owned(),
        NodeKind::Service => format!("service:shop/{name}"),
        NodeKind::Datastore => format!("datastore:sqlite//{name}"),
        NodeKind::Topic => format!("topic:bus/{name}"),
        NodeKind::External => format!("external:{name}"),
    }
}

fn service_edge(from: &str, to: &str) -> (String, String) {
    (node_id(NodeKind::Service, from), node_id(NodeKind::Service, to))
}

fn finding(rule: &'static RuleMeta, services: [&str; 2], title: &str) -> Finding {
    Finding {
        rule,
        severity: rule.severity,
        confidence: rule.confidence,
        doubts: Vec::new(),
        title: title.to_owned(),
        message: String::new(),
        fix: String::new(),
        services: services.map(str::to_owned).to_vec(),
        subject: Subject::default(),
        evidence: Vec::new(),
        support: Support::default(),
        impact: None,
        traces: vec![PROOF],
        locations: Vec::new(),
        absorbs: Vec::new(),
        suppressed: None,
    }
}

fn n_plus_one() -> Finding {
    Finding {
        message: "A request of cart GET /cart/{id} calls warehouse GET /stock/{sku} 7 times, once for each item."
            .to_owned(),
        fix: "Give warehouse one operation that answers for a list of items, and let cart call it once.".to_owned(),
        subject: Subject { edges: vec![service_edge("cart", "warehouse")], ..Subject::default() },
        evidence: vec![
            Evidence { name: "calls_per_request_p50", value: 7.0, threshold: Some(5.0), unit: "calls" },
            Evidence { name: "calls_per_request_max", value: 12.0, threshold: None, unit: "calls" },
        ],
        support: Support { requests: 360, affected: 341, prevalence_low: 0.919 },
        impact: Some(Impact { latency_ms_p50: 24.0, latency_ms_p95: 61.5 }),
        ..finding(&N_PLUS_ONE, ["cart", "warehouse"], "cart calls warehouse GET /stock/{sku} 7 times a request")
    }
}

fn shared_database() -> Finding {
    let orders = node_id(NodeKind::Datastore, "orders");
    let user = |name| (node_id(NodeKind::Service, name), orders.clone());
    Finding {
        message: "Both services use table orders of sqlite orders; order-processing writes it.".to_owned(),
        fix: "Let order-processing own the table, and let recommendation follow order.placed instead.".to_owned(),
        subject: Subject {
            edges: vec![user("order-processing"), user("recommendation")],
            datastore: Some(orders.clone()),
            tables: vec!["orders".to_owned()],
            ..Subject::default()
        },
        evidence: vec![Evidence { name: "services", value: 2.0, threshold: Some(2.0), unit: "services" }],
        support: Support { requests: 120, affected: 120, prevalence_low: 0.969 },
        ..finding(
            &SHARED,
            ["order-processing", "recommendation"],
            "order-processing and recommendation share table orders",
        )
    }
}

fn cycle() -> Finding {
    Finding {
        message: "order-processing calls payment, and payment calls order-processing on the same path.".to_owned(),
        fix: "Let payment answer with what order-processing needs, or publish order.paid.".to_owned(),
        subject: Subject {
            edges: vec![service_edge("order-processing", "payment"), service_edge("payment", "order-processing")],
            ..Subject::default()
        },
        evidence: vec![Evidence { name: "services_in_cycle", value: 2.0, threshold: Some(2.0), unit: "services" }],
        support: Support { requests: 58, affected: 55, prevalence_low: 0.858 },
        ..finding(&CYCLE, ["order-processing", "payment"], "order-processing and payment call each other")
    }
}

/// A trace in which the cart asks item by item.
pub(crate) fn waterfall() -> Waterfall {
    let mut rows = Vec::new();
    let mut push = |depth, service: &str, kind, operation: &str, peer_id: String, offset_ms, duration_ms| {
        rows.push(Row {
            span_id: SpanId(rows.len() as u64 + 1),
            depth,
            node_id: node_id(NodeKind::Service, service),
            service: service.to_owned(),
            name: operation.to_owned(),
            kind,
            operation: operation.to_owned(),
            peer_id,
            offset_ns: offset_ms * MILLISECOND,
            duration_ns: duration_ms * MILLISECOND,
            outcome: Outcome::Ok,
            is_orphan: false,
            status_message: String::new(),
            attributes: [("http.request.method", "GET"), ("url.scheme", "http"), ("server.address", "127.0.0.1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            logs: Vec::new(),
        });
    };
    let peer = |name| node_id(NodeKind::Service, name);
    push(0, "gateway", SpanKind::Server, "GET /cart/{id}", String::new(), 0, 74);
    push(1, "gateway", SpanKind::Client, "GET /cart/{id}", peer("cart"), 1, 72);
    push(2, "cart", SpanKind::Server, "GET /cart/{id}", String::new(), 2, 70);
    push(3, "cart", SpanKind::Client, "SELECT items", node_id(NodeKind::Datastore, "cart"), 3, 2);
    for item in 0..7 {
        let offset = 6 + item * 9;
        push(3, "cart", SpanKind::Client, "GET /stock/{sku}", peer("warehouse"), offset, 8);
        push(4, "warehouse", SpanKind::Server, "GET /stock/{sku}", String::new(), offset + 1, 6);
        push(
            5,
            "warehouse",
            SpanKind::Client,
            "SELECT stock",
            node_id(NodeKind::Datastore, "warehouse"),
            offset + 2,
            3,
        );
    }
    let logged = |span_id, severity, body: &str| LogRow {
        trace_id: PROOF,
        span_id,
        time_ns: START_NS,
        severity,
        service: "cart".to_owned(),
        body: body.to_owned(),
        attributes: Vec::new(),
    };
    rows[2].logs.push(logged(SpanId(3), LogSeverity::Info, "cart has 7 items"));
    rows[5].logs.push(logged(SpanId(6), LogSeverity::Warn, "stock of sku-1 is low"));
    if let Some(last) = rows.last_mut() {
        last.outcome = Outcome::TimedOut;
        last.status_message.push_str("database is locked");
    }
    Waterfall { trace_id: PROOF, start_ns: START_NS, duration_ns: 74 * MILLISECOND, rows, logs: Vec::new() }
}

//! What all rules together cost on a large system, in CPU seconds, and which of them cost most:
//! `cargo bench -p spanlint-analyzer`.
//!
//! 20,000 services in layers, 200,000 edges mostly downward, 3 operations and a database each: the shape of large systems
//! that have been published. One thread does all the work; on Linux it is asked what it spent, since other work on the
//! machine makes wall time longer.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark measures time and tells it")]

use std::hint::black_box;
use std::time::Instant;

use jiff::civil::date;
use spanlint_analyzer::{Config, Context, Mode, Options, judge, rules};
use spanlint_graph::facts::{OperationFacts, UsageFacts, histogram};
use spanlint_graph::snapshot::{CallPattern, DatastoreInfo, Edge, Node, Operation, ServiceInfo, TableUsage};
use spanlint_graph::span::EdgeKind;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind, OperationIndex, TraceId};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICES: u32 = 20_000;
const EDGES: u32 = 200_000;
const OPERATIONS: u32 = 3;
const LAYERS: u32 = 8;
const ROUNDS: usize = 5;

fn main() {
    let graph = graph();
    let config = Config::default();
    println!("{} nodes, {} edges, {} patterns", graph.nodes.len(), graph.edges.len(), graph.patterns.len());
    let all = best(|| judge(&graph, &config, Mode::Check, date(2026, 11, 21)).findings.len());
    println!("all rules      {all:.3} s");
    println!("shared context {:.3} s", best(|| Context::of(&graph, &config, Mode::Check)));
    let context = Context::of(&graph, &config, Mode::Check);
    let mut costs: Vec<_> = rules::ALL
        .iter()
        .map(|rule| (best(|| rule.detect(&graph, &Options::new(rule.meta(), &context))), rule.meta().name))
        .collect();
    costs.sort_by(|left, right| right.0.total_cmp(&left.0));
    for (seconds, name) in costs.into_iter().take(10) {
        println!("{name:25} {seconds:.3} s");
    }
}

/// The best of several rounds, in seconds.
fn best<T>(mut run: impl FnMut() -> T) -> f64 {
    let mut seconds = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, spent) = (Instant::now(), spent());
        black_box(run());
        let wall = start.elapsed().as_secs_f64();
        seconds = seconds.min(spent.zip(self::spent()).map_or(wall, |(before, after)| after - before));
    }
    seconds
}

/// CPU seconds that this thread has spent so far, where the system tells.
fn spent() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(limit)) as u32
    }
}

fn graph() -> CallGraph {
    let mut graph = CallGraph::default();
    graph.counts.traces = 1_000_000;
    graph.counts.spans = 10_000_000;
    // Ids sort as numbers do, so that the order of nodes is that of their making: datastores before services.
    for index in 0..SERVICES {
        let info = DatastoreInfo {
            system: "postgresql".to_owned(),
            address: "db:5432".to_owned(),
            namespace: format!("d{index:05}"),
        };
        graph.nodes.push(node(
            format!("datastore:postgresql/db:5432/d{index:05}"),
            NodeKind::Datastore,
            None,
            Some(info),
        ));
    }
    for index in 0..SERVICES {
        let mut info = ServiceInfo {
            name: format!("s{index:05}"),
            namespace: format!("team-{}", index % 200),
            ..ServiceInfo::default()
        };
        (info.is_traced, info.requests) = (true, 300);
        (info.facts.spans, info.facts.traces) = (1_000, 300);
        info.facts.exemplars.offer(1, TraceId(u128::from(index) + 1));
        graph.nodes.push(node(format!("service:s{index:05}"), NodeKind::Service, Some(info), None));
        for number in 0..OPERATIONS {
            let mut operation =
                Operation { node: service(index), name: format!("GET /{number}"), facts: OperationFacts::default() };
            operation.facts.requests = 100;
            operation.facts.entries[3] = 100;
            graph.operations.push(operation);
        }
    }
    add_calls(&mut graph);
    for index in 0..SERVICES {
        let mut usage = TableUsage {
            datastore: NodeIndex(index),
            table: "t".to_owned(),
            service: service(index),
            facts: UsageFacts::default(),
        };
        (usage.facts.reads, usage.facts.traces) = (100, 100);
        graph.usages.push(usage);
    }
    graph
}

fn node(id: String, kind: NodeKind, service: Option<ServiceInfo>, datastore: Option<DatastoreInfo>) -> Node {
    let name = id.rsplit(['/', ':']).next().unwrap_or_default().to_owned();
    Node { id, kind, name, service, datastore }
}

fn service(index: u32) -> NodeIndex {
    NodeIndex(SERVICES + index)
}

/// Calls from each layer to the ones below, and a few back up.
fn add_calls(graph: &mut CallGraph) {
    let mut numbers = Numbers(1);
    let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(EDGES as usize);
    while pairs.len() < EDGES as usize {
        let (from, to) = (numbers.below(SERVICES), numbers.below(SERVICES));
        let is_down = from % LAYERS < to % LAYERS;
        if from != to && (is_down || numbers.below(200) == 0) {
            pairs.push((from, to));
        }
        if pairs.len() == EDGES as usize {
            pairs.sort_unstable();
            pairs.dedup();
        }
    }
    for (from, to) in pairs {
        let mut edge = Edge { from: service(from), to: service(to), kind: EdgeKind::Http, ..Edge::default() };
        (edge.facts.calls, edge.facts.traced_calls, edge.facts.traces, edge.facts.requests) = (100, 100, 100, 100);
        edge.facts.per_request.insert((histogram::bucket(1), histogram::bucket(1)), 100);
        edge.facts.chatty.offer(1, TraceId(u128::from(from) + 1));
        graph.edges.push(edge);
        let caller = OperationIndex(from * OPERATIONS + to % OPERATIONS);
        let mut pattern = CallPattern { caller, callee: service(to), kind: EdgeKind::Http, ..CallPattern::default() };
        pattern.template = format!("GET /{}", from % OPERATIONS);
        pattern.is_callee_known = true;
        (pattern.facts.requests, pattern.facts.calls) = (100, 100);
        graph.patterns.push(pattern);
    }
    graph.patterns.sort_by(|left, right| {
        (left.caller, left.callee, left.kind, &left.template).cmp(&(
            right.caller,
            right.callee,
            right.kind,
            &right.template,
        ))
    });
}

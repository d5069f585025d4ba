//! The call graph as Prometheus metrics, named as Grafana's service graph expects them: those of Tempo's
//! metrics-generator (<https://grafana.com/docs/tempo/latest/metrics-generator/service_graphs/>).
//!
//! The numbers are those of the whole run, so that they only grow. An edge whose callee sent no spans has the caller's
//! latency on both sides, as in Tempo. A topic stands between its producers and consumers only where one of both was
//! never seen; otherwise they are joined directly.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use spanlint_graph::facts::Histogram;
use spanlint_graph::facts::histogram::bucket;
use spanlint_graph::snapshot::{Edge, Node};
use spanlint_graph::span::EdgeKind;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

/// The most edges that are shown: those with the most calls. Each has some forty lines.
pub(super) const MAX_EDGES: usize = 1_000;
/// The most bytes of all lines, about: names may be long, and each line tells two of them.
const MAX_BYTES: usize = 8 << 20;
/// How many lines an edge has: two counters, and two histograms with their sum, count and infinite bucket.
const LINES: usize = 2 + 2 * (BUCKETS_MS.len() + 3);
/// What a line has beside its labels, about.
const LINE_BYTES: usize = 80;

/// The upper bounds of the buckets, in milliseconds: Tempo's, with finer ones below for calls within one machine.
const BUCKETS_MS: [u64; 14] = [1, 2, 5, 10, 25, 50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800];

/// How Tempo calls the outside world that starts traces.
const OUTSIDE: &str = "user";

/// What tells one series from another. Edges that look alike by name are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Labels<'a> {
    client: &'a str,
    server: &'a str,
    connection_type: &'static str,
    /// Left out where it is empty.
    environment: &'a str,
}

#[derive(Debug, Default)]
struct Numbers {
    calls: u64,
    failures: u64,
    client: Histogram,
    server: Histogram,
}

/// The metrics of the graphs of all environments, and of how many edges there was no room.
pub(super) fn text(graphs: &[impl AsRef<CallGraph>]) -> String {
    let mut all: BTreeMap<Labels<'_>, Numbers> = BTreeMap::new();
    for graph in graphs {
        collect(graph.as_ref(), &mut all);
    }
    let mut shown: Vec<(Labels<'_>, Numbers)> = all.into_iter().collect();
    shown.sort_by_key(|(_, numbers)| Reverse(numbers.calls));
    let edges = shown.len();
    let mut bytes = 0;
    let labelled = shown.into_iter().take(MAX_EDGES).map(|(labels, numbers)| (labels.text(), numbers));
    let fits = |(labels, _): &(String, Numbers)| {
        bytes += LINES * (LINE_BYTES + labels.len());
        bytes <= MAX_BYTES
    };
    let shown: Vec<(String, Numbers)> = labelled.take_while(fits).collect();
    let left_out = edges - shown.len();
    let mut text = String::with_capacity(bytes.min(MAX_BYTES));
    counter(&mut text, "request_total", "Calls.", &shown, |numbers| numbers.calls);
    counter(&mut text, "request_failed_total", "Calls that failed.", &shown, |numbers| numbers.failures);
    let server = "Seconds that calls took, as the callee saw it.";
    histogram(&mut text, "request_server_seconds", server, &shown, |numbers| &numbers.server);
    let client = "Seconds that calls took, as the caller saw it.";
    histogram(&mut text, "request_client_seconds", client, &shown, |numbers| &numbers.client);
    let name = "spanlint_service_graph_edges_left_out";
    writeln!(text, "# HELP {name} Edges without room above.\n# TYPE {name} gauge\n{name} {left_out}").expect(FITS);
    text
}

const FITS: &str = "a string takes any text";

fn collect<'a>(graph: &'a CallGraph, all: &mut BTreeMap<Labels<'a>, Numbers>) {
    let produced: BTreeSet<NodeIndex> = graph.edges.iter().map(|edge| edge.to).collect();
    let consumed: BTreeSet<NodeIndex> = graph.edges.iter().map(|edge| edge.from).collect();
    // Whoever is joined by a derived edge is not shown at the topic as well.
    let is_passed = |index: NodeIndex| {
        graph.node(index).kind == NodeKind::Topic && produced.contains(&index) && consumed.contains(&index)
    };
    for edge in graph.edges.iter().filter(|edge| !is_passed(edge.from) && !is_passed(edge.to)) {
        let (from, to) = (graph.node(edge.from), graph.node(edge.to));
        let connection_type = connection_type(edge, from, to);
        let labels = Labels { client: name(from), server: name(to), connection_type, environment: &graph.environment };
        let numbers = all.entry(labels).or_default();
        let facts = &edge.facts;
        let or = |own: &Histogram, other: &Histogram| if own.count() > 0 { own.clone() } else { other.clone() };
        numbers.calls += facts.calls;
        numbers.failures += edge.failures();
        numbers.client.merge(&or(&facts.caller_latency, &facts.callee_latency));
        numbers.server.merge(&or(&facts.callee_latency, &facts.caller_latency));
    }
}

fn name(node: &Node) -> &str {
    if node.kind == NodeKind::Client && node.id == "client" { OUTSIDE } else { &node.name }
}

/// Tempo's word for what stands at the other end.
fn connection_type(edge: &Edge, from: &Node, to: &Node) -> &'static str {
    let is_traced = |node: &Node| node.service.as_ref().is_some_and(|service| service.is_traced);
    match to.kind {
        NodeKind::Datastore => "database",
        _ if edge.kind == EdgeKind::Messaging => "messaging_system",
        _ if !is_traced(from) || !is_traced(to) => "virtual_node",
        _ => "",
    }
}

fn heading(text: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(text, "# HELP traces_service_graph_{name} {help}\n# TYPE traces_service_graph_{name} {kind}").expect(FITS);
}

fn counter(text: &mut String, name: &str, help: &str, shown: &[(String, Numbers)], value: impl Fn(&Numbers) -> u64) {
    heading(text, name, "counter", help);
    for (labels, numbers) in shown {
        writeln!(text, "traces_service_graph_{name}{{{labels}}} {}", value(numbers)).expect(FITS);
    }
}

fn histogram(
    text: &mut String,
    name: &str,
    help: &str,
    shown: &[(String, Numbers)],
    value: impl Fn(&Numbers) -> &Histogram,
) {
    heading(text, name, "histogram", help);
    for (labels, numbers) in shown {
        let histogram = value(numbers);
        let count = histogram.count();
        let mut line = |suffix: &str, bound: &str, value: &dyn std::fmt::Display| {
            writeln!(text, "traces_service_graph_{name}_{suffix}{{{labels}{bound}}} {value}").expect(FITS);
        };
        for bound_ms in BUCKETS_MS {
            // As far as our finer buckets can tell: what lies up to 1/32 above a bound may count as within.
            let last = bucket(bound_ms * 1_000_000);
            let within: u64 = histogram.buckets().filter(|(bucket, _)| *bucket <= last).map(|(_, count)| count).sum();
            line("bucket", &format!(",le=\"{}\"", bound_ms as f64 / 1e3), &within);
        }
        line("bucket", ",le=\"+Inf\"", &count);
        line("sum", "", &(histogram.sum() as f64 / 1e9));
        line("count", "", &count);
    }
}

impl Labels<'_> {
    fn text(&self) -> String {
        let Self { client, server, connection_type, environment } = self;
        let mut text = format!(
            "client=\"{}\",server=\"{}\",connection_type=\"{connection_type}\"",
            escaped(client),
            escaped(server)
        );
        if !environment.is_empty() {
            write!(text, ",environment=\"{}\"", escaped(environment)).expect(FITS);
        }
        text
    }
}

/// The value of a label as Prometheus reads it back.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use spanlint_graph::facts::EdgeFacts;
    use std::sync::Arc;

    use spanlint_graph::snapshot::ServiceInfo;

    use super::*;

    /// A graph of these edges; `client`, `topic:x`, `datastore:x` and `external:x` are what they say, all others traced
    /// services.
    fn graph(edges: &[(&str, &str, EdgeKind)]) -> CallGraph {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
        let nodes: Vec<Node> = names.into_iter().map(node).collect();
        let index = |name: &str| NodeIndex(nodes.iter().position(|node| node.id == name).unwrap() as u32);
        let edge = |(from, to, kind): &(&str, &str, EdgeKind)| {
            let mut facts = EdgeFacts { calls: 3, outcomes: [2, 0, 1, 0, 0], ..EdgeFacts::default() };
            for latency_ms in [1, 90, 20_000] {
                facts.caller_latency.record(latency_ms * 1_000_000);
            }
            let is_derived = *kind == EdgeKind::Messaging && !format!("{from}{to}").contains("topic:");
            Edge { from: index(from), to: index(to), kind: *kind, is_derived, facts, ..Edge::default() }
        };
        let edges = edges.iter().map(edge).collect();
        CallGraph { nodes, edges, ..CallGraph::default() }
    }

    fn node(id: &str) -> Node {
        let (kind, name) = match id.split_once(':') {
            Some(("topic", name)) => (NodeKind::Topic, name),
            Some(("datastore", name)) => (NodeKind::Datastore, name),
            Some(("external", name)) => (NodeKind::External, name),
            _ if id == "client" => (NodeKind::Client, id),
            _ => (NodeKind::Service, id),
        };
        let info = ServiceInfo { is_traced: true, ..ServiceInfo::default() };
        let service = (kind == NodeKind::Service).then_some(info);
        Node { id: id.to_owned(), kind, name: name.to_owned(), service, datastore: None }
    }

    /// Client, server and connection type of every edge that is shown.
    fn shown(edges: &[(&str, &str, EdgeKind)]) -> Vec<String> {
        let text = text(&[Arc::new(graph(edges))]);
        let lines = text.lines().filter_map(|line| line.strip_prefix("traces_service_graph_request_total{"));
        lines.map(|line| line.split_once('}').unwrap().0.replace("connection_type", "type")).collect()
    }

    #[test]
    fn every_edge_has_the_type_that_tempo_gives_it() {
        let edges = [
            ("cart", "datastore:orders", EdgeKind::Database),
            ("cart", "external:pay.test", EdgeKind::Http),
            ("cart", "stock", EdgeKind::Http),
            ("client", "cart", EdgeKind::Http),
        ];
        assert_eq!(
            shown(&edges),
            [
                r#"client="cart",server="orders",type="database""#,
                r#"client="cart",server="pay.test",type="virtual_node""#,
                r#"client="cart",server="stock",type="""#,
                r#"client="user",server="cart",type="virtual_node""#,
            ]
        );
    }

    #[test]
    fn a_topic_is_shown_only_where_one_side_is_missing() {
        let both = [
            ("cart", "mail", EdgeKind::Messaging),
            ("cart", "topic:orders", EdgeKind::Messaging),
            ("topic:orders", "mail", EdgeKind::Messaging),
            ("cart", "topic:lost", EdgeKind::Messaging),
        ];
        assert_eq!(
            shown(&both),
            [
                r#"client="cart",server="lost",type="messaging_system""#,
                r#"client="cart",server="mail",type="messaging_system""#,
            ]
        );
    }

    #[test]
    fn histograms_are_cumulative_and_in_seconds() {
        let text = text(&[Arc::new(graph(&[("cart", "stock", EdgeKind::Http)]))]);
        let labels = r#"client="cart",server="stock",connection_type="""#;
        for side in ["client", "server"] {
            let name = format!("traces_service_graph_request_{side}_seconds");
            assert!(text.contains(&format!("# TYPE {name} histogram\n")), "{text}");
            for (bound, count) in [("0.001", 1), ("0.05", 1), ("0.1", 2), ("12.8", 2), ("+Inf", 3)] {
                let line = format!("{name}_bucket{{{labels},le=\"{bound}\"}} {count}\n");
                assert!(text.contains(&line), "{line} is not in {text}");
            }
            assert!(text.contains(&format!("{name}_sum{{{labels}}} 20.091\n{name}_count{{{labels}}} 3\n")), "{text}");
        }
        assert!(text.contains(&format!("traces_service_graph_request_failed_total{{{labels}}} 1\n")), "{text}");
    }

    #[test]
    fn hostile_names_stay_inside_their_label() {
        let name = "a\"}\\ 1\nevil 2";
        let graph = CallGraph { environment: name.to_owned(), ..graph(&[(name, "b", EdgeKind::Http)]) };
        let text = text(&[Arc::new(graph)]);
        let quoted = r#""a\"}\\ 1\nevil 2""#;
        let line = format!(
            "traces_service_graph_request_total{{client={quoted},server=\"b\",connection_type=\"\",environment={quoted}}} 3\n"
        );
        assert!(text.contains(&line), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("evil")), "{text}");
    }

    #[test]
    fn long_names_leave_less_room() {
        let names: Vec<String> = (0..MAX_EDGES).map(|number| format!("{number}{}", "x".repeat(900))).collect();
        let edges: Vec<_> = names.iter().map(|name| (name.as_str(), "hub", EdgeKind::Http)).collect();
        let text = text(&[Arc::new(graph(&edges))]);
        assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&text.len()), "{}", text.len());
        let shown = text.lines().filter(|line| line.starts_with("traces_service_graph_request_total{")).count();
        assert!(text.ends_with(&format!("spanlint_service_graph_edges_left_out {}\n", MAX_EDGES - shown)));
    }

    #[test]
    fn edges_over_the_bound_are_counted_and_alike_ones_are_one() {
        let names: Vec<String> = (0..=MAX_EDGES).map(|number| format!("service-{number}")).collect();
        let edges: Vec<_> = names.iter().map(|name| (name.as_str(), "hub", EdgeKind::Http)).collect();
        let text = text(&[graph(&edges), graph(&edges[..1])].map(Arc::new));
        assert!(text.ends_with("spanlint_service_graph_edges_left_out 1\n"));
        let twice = r#"traces_service_graph_request_total{client="service-0",server="hub",connection_type=""} 6"#;
        assert_eq!(text.matches(twice).count(), 1, "the most called edge is shown, and only once");
    }
}

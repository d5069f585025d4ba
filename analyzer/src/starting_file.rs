//! The `spanlint.toml` to start with: what was observed, written down as what is meant.
//!
//! Nothing is judged here. Every service is declared, every dependency allowed, and every edge gets what it costs today as
//! its budget; what of it is right is for the team to say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use spanlint_graph::snapshot::{Edge, Node};
use spanlint_graph::{CallGraph, NodeKind};

use crate::architecture;
use crate::topology;
use crate::wording;

/// The percentile of today's calls a request that a budget allows.
const BUDGET_PERCENTILE: f64 = 0.95;
/// How much slower than today a call may become before the budget says so.
const LATENCY_MARGIN: f64 = 1.5;

/// The text of a configuration for `graph`.
pub fn starting_file(graph: &CallGraph) -> String {
    let mut text = String::new();
    let mut line = |text_line: &str| writeln!(text, "{text_line}").expect("writing to a string never fails");
    line(&format!(
        "# Made by `spanlint init` from {} of {}: what was seen is declared as meant.",
        wording::count(graph.counts.traces, "trace"),
        wording::count(topology::services(graph).count() as u64, "service"),
    ));
    line("# Take out what should not be, and put it under `forbidden`.\n");
    line("[architecture]");
    let services = topology::services(graph).map(|service| quoted(&pattern(graph.node(service))));
    line(&list("services", services));
    let dependencies = architecture::dependencies(graph);
    line(&list("allowed", dependencies.iter().map(|edge| quoted(&arrow(graph, edge)))));
    line("forbidden = []");
    groups(graph, &mut line);
    let budgets: Vec<_> = dependencies.iter().filter(|edge| topology::is_synchronous_call(graph, edge)).collect();
    if !budgets.is_empty() {
        line("\n# What each dependency costs today, with some room: calls of one request, and the latency of a call.");
        line("[architecture.budgets]");
        for edge in budgets {
            line(&budget(graph, edge));
        }
    }
    text
}

/// Groups by `service.namespace`, where there are any, for a start.
fn groups(graph: &CallGraph, line: &mut impl FnMut(&str)) {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for node in &graph.nodes {
        if let Some(service) = node.service.as_ref().filter(|service| !service.namespace.is_empty()) {
            groups.entry(&service.namespace).or_default().push(quoted(&pattern(node)));
        }
    }
    if groups.len() > 1 {
        line("\n[architecture.groups]");
        for (name, services) in groups {
            line(&format!("{} = [{}]", quoted(name), services.join(", ")));
        }
    }
}

fn budget(graph: &CallGraph, edge: &Edge) -> String {
    let all: u64 = edge.facts.per_request.values().sum();
    let mut seen = 0;
    let reached = edge.facts.per_request.iter().find(|(_, requests)| {
        seen += **requests;
        seen as f64 >= all as f64 * BUDGET_PERCENTILE
    });
    let calls = reached.map_or(1, |((calls, _), _)| spanlint_graph::facts::histogram::bucket_middle(*calls));
    let latency = wording::milliseconds(edge.latency().quantile(BUDGET_PERCENTILE)) * LATENCY_MARGIN;
    format!("{} = {{ calls = {calls}, latency_ms_p95 = {} }}", quoted(&arrow(graph, edge)), latency.ceil().max(1.0))
}

fn arrow(graph: &CallGraph, edge: &Edge) -> String {
    format!("{} -> {}", pattern(graph.node(edge.from)), pattern(graph.node(edge.to)))
}

/// What names a node in an arrow, taken literally.
fn pattern(node: &Node) -> String {
    let name = match node.kind {
        NodeKind::Service | NodeKind::External => &node.name,
        NodeKind::Client | NodeKind::Datastore | NodeKind::Topic => &node.id,
    };
    let mut literal = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            literal.push('\\');
        }
        literal.push(letter);
    }
    literal
}

/// A TOML string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(control)).expect("writing to a string never fails");
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

fn list(key: &str, values: impl Iterator<Item = String>) -> String {
    let values: Vec<_> = values.map(|value| format!("    {value},\n")).collect();
    format!("{key} = [\n{}]", values.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::testing::{analysis, graph, lines};

    const TRACES: &str = "30 traces\nshop GET /\n  3 x cart GET /c 20ms\n    sql postgresql db:5432 cart SELECT lines\n  \
                          host api.rates.example GET /r\n  publish order.placed\n    mail takes order.placed";

    #[test]
    fn what_was_seen_is_written_down() {
        insta::assert_snapshot!(starting_file(&graph(TRACES)));
    }

    #[test]
    fn what_is_written_can_be_read_and_holds() {
        let file = starting_file(&graph(TRACES));
        Config::parse(&file, "spanlint.toml").unwrap();
        let contract = |traces: &str| {
            let found = analysis(traces, &file);
            let of_contract =
                found.findings.into_iter().filter(|finding| finding.rule.category == crate::rule::Category::Contract);
            lines(&crate::Analysis { findings: of_contract.collect(), ..crate::Analysis::default() })
        };
        assert_eq!(contract(TRACES), [""; 0]);
        assert_eq!(
            contract(&format!("{TRACES}\n\n30 traces\nshop GET /new\n  stock GET /s")),
            ["warning proven: shop uses stock, which is not declared"]
        );
    }

    #[test]
    fn names_are_taken_literally() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000A\"");
        let file = starting_file(&graph("a*b GET /\n  c[d] GET /c"));
        assert!(file.contains(r#""a\\*b -> c\\[d\\]""#), "{file}");
        Config::parse(&file, "x").unwrap();
    }
}

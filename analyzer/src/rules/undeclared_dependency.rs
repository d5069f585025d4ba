//! A dependency that is not among the declared ones.
//!
//! The signal is an edge that nothing in `allowed` covers, or that ends in a service which is not among the declared
//! `services`. Refused: kinds of nodes that the declaration does not speak of at all, such as datastores.

use spanlint_graph::snapshot::Edge;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::architecture::{self, Architecture};
use crate::context::Options;
use crate::contract::{self, Words};
use crate::finding::{Confidence, Finding, Severity, Undecided, Verdict};
use crate::rule::{Category, Rule, RuleMeta, Status};

/// The rule.
pub(super) struct UndeclaredDependency;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "undeclared-dependency",
    category: Category::Contract,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "A service depends on something that the declared architecture does not mention.",
    looks_like: "The picture on the wall shows nine arrows, the system has eleven; the two new ones came with a small change \
                 that nobody thought was about architecture.",
    why: "A new dependency is a decision: about who can be released without whom, who wakes up at night, where data flows. \
          Undeclared, nobody took it.",
    how: "Every edge from a service or topic is held against `allowed` in `[architecture]`, and services against `services` \
          where those are listed. Edges to or from datastores, topics and externals are judged only where some entry speaks of \
          that kind.",
    fix: "Declare the dependency in a review, or take it out.",
    limits: "Without `allowed` or `services` the rule is silent. Ways through a topic count from producer to topic and from \
             topic to consumer.",
    references: &[
        "Murphy, Notkin, Sullivan: Software Reflexion Models, FSE 1995",
        "Ford, Parsons, Kua: Building Evolutionary Architectures (2017), Architectural fitness functions",
    ],
    instrumentation_score: &[],
    options: &[],
    absorbs: &[],
};

impl Rule for UndeclaredDependency {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let architecture = options.architecture();
        let mut verdict = Verdict::default();
        if architecture.allowed.is_empty() && architecture.services.is_empty() {
            return verdict;
        }
        let spoken_of = kinds_spoken_of(graph, options);
        for edge in architecture::dependencies(graph) {
            let Some(reason) = undeclared(graph, options, edge, &spoken_of) else { continue };
            verdict.take(judge(graph, options, edge, &reason));
        }
        verdict
    }
}

/// Kinds of nodes that an arrow of `allowed` names on one of its sides, a lone `*` apart. What is named by its id need not
/// have been seen.
fn kinds_spoken_of(graph: &CallGraph, options: &Options<'_>) -> Vec<NodeKind> {
    let arrows = options.architecture().allowed.iter();
    let sides: Vec<_> = arrows.flat_map(|arrow| [&arrow.from, &arrow.to]).filter(|side| !side.is_anything()).collect();
    let names = |index| sides.iter().any(|side| side.has(graph, options.groups(), index));
    let mut kinds = vec![NodeKind::Service];
    let by_id = [NodeKind::Datastore, NodeKind::Topic, NodeKind::External].into_iter();
    kinds.extend(by_id.filter(|kind| sides.iter().any(|side| side.is_id_of(*kind))));
    for (index, node) in graph.indexed_nodes() {
        if !kinds.contains(&node.kind) && names(index) {
            kinds.push(node.kind);
        }
    }
    kinds
}

/// Why an edge is not declared, if it is not.
fn undeclared(graph: &CallGraph, options: &Options<'_>, edge: &Edge, kinds: &[NodeKind]) -> Option<String> {
    let Architecture { services, allowed, .. } = options.architecture();
    let is_listed = |index: NodeIndex| {
        let node = graph.node(index);
        services.is_empty() || node.service.is_none() || services.iter().any(|pattern| pattern.is_node(node))
    };
    if let Some(stranger) = [edge.from, edge.to].into_iter().find(|&end| !is_listed(end)) {
        return Some(format!("{} is not among the declared services", graph.node(stranger).name));
    }
    let is_judged = [edge.from, edge.to].iter().all(|&end| kinds.contains(&graph.node(end).kind));
    let is_allowed = || allowed.iter().any(|arrow| arrow.covers(graph, options.groups(), (edge.from, edge.to)));
    (is_judged && !allowed.is_empty() && !is_allowed()).then(|| "no entry of `allowed` covers it".to_owned())
}

fn judge(graph: &CallGraph, options: &Options<'_>, edge: &Edge, reason: &str) -> Result<Finding, Undecided> {
    contract::broken(graph, options, edge, |caller, callee, calls| Words {
        title: format!("{caller} uses {callee}, which is not declared"),
        message: format!("{calls} from {caller} to {callee} were seen; {reason}."),
        fix: format!("Declare that {caller} uses {callee}, or take the calls out."),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    const TRACES: &str = "shop GET /\n  cart GET /c\n  stock GET /s\n  sql postgresql db:5432 shop SELECT t";

    fn check(architecture: &str, expected: &[&str]) {
        check_with("undeclared-dependency", TRACES, &format!("[architecture]\n{architecture}"), expected);
    }

    #[test]
    fn what_no_entry_covers_is_undeclared() {
        check("allowed = [\"shop -> cart\"]", &["warning proven: shop uses stock, which is not declared"]);
        check("allowed = [\"shop -> *\"]", &[]);
    }

    #[test]
    fn datastores_are_judged_once_an_entry_speaks_of_one() {
        let allowed = "allowed = [\"shop -> [cs]*\", \"cart -> datastore:*\"]";
        check(allowed, &["warning proven: shop uses the datastore shop, which is not declared"]);
        check("allowed = [\"shop -> cart\", \"shop -> stock\", \"* -> datastore:*\"]", &[]);
        check(
            "allowed = [\"shop -> [cs]*\", \"cart -> datastore:mysql/*\"]",
            &["warning proven: shop uses the datastore shop, which is not declared"],
        );
    }

    #[test]
    fn the_port_of_a_host_need_not_be_told() {
        let check = |allowed: &str, expected: &[&str]| {
            let traces = "shop GET /\n  host api.pay.example:8443 POST /pay\n  host api.map.example:8443 GET /map";
            check_with("undeclared-dependency", traces, &format!("[architecture]\nallowed = [{allowed}]"), expected);
        };
        check("\"shop -> *.example\"", &[]);
        check(
            "\"shop -> api.pay.example\"",
            &["warning proven: shop uses api.map.example:8443, which is not declared"],
        );
    }

    #[test]
    fn a_service_that_is_not_listed_is_a_stranger() {
        check("services = [\"shop\", \"cart\"]", &["warning proven: shop uses stock, which is not declared"]);
        check("services = [\"shop\", \"cart\", \"st*\"]", &[]);
    }

    #[test]
    fn nothing_declared_is_nothing_to_judge() {
        crate::testing::check("undeclared-dependency", TRACES, &[]);
    }
}

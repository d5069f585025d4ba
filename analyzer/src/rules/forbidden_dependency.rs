//! A call that the team said must not be.
//!
//! The signal is one call that `forbidden` covers. Without `[architecture]` there is nothing to judge. Refused: a way through
//! a topic as a call of its consumer. Its producer knows the topic alone, and to publish is what other rules advise where a
//! call should not be; who consumes what somebody published is no proof that one message went all the way, either.

use spanlint_graph::CallGraph;
use spanlint_graph::snapshot::Edge;

use crate::architecture::{self, Arrow};
use crate::context::Options;
use crate::contract::{self, Words};
use crate::finding::{Confidence, Finding, Severity, Undecided, Verdict};
use crate::rule::{Category, Rule, RuleMeta, Status};

/// The rule.
pub(super) struct ForbiddenDependency;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "forbidden-dependency",
    category: Category::Contract,
    severity: Severity::Error,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "A service calls what the declared architecture forbids it to call.",
    looks_like: "Everybody agreed that the shop must not read from billing; in the third month it does, in one corner, and \
                 nobody noticed in review.",
    why: "A boundary that is crossed once is crossed again. What was forbidden was forbidden for a reason: a law, a team's \
          freedom, a plan to take something down.",
    how: "Every edge from a service or topic is held against `forbidden` in `[architecture]`; one call is enough.",
    fix: "Take the call out, or change the declaration in a review of its own that says why.",
    limits: "Only what is declared is judged; without `[architecture]` the rule is silent. A way through a \
             topic is two edges, since its producer does not know who consumes: `shop -> billing` does not cover it, \
             `shop -> topic:kafka/paid` and `topic:kafka/paid -> billing` do.",
    references: &[
        "Ford, Parsons, Kua: Building Evolutionary Architectures (2017), Architectural fitness functions",
        "Murphy, Notkin, Sullivan: Software Reflexion Models, FSE 1995",
    ],
    instrumentation_score: &[],
    options: &[],
    absorbs: &["undeclared-dependency"],
};

impl Rule for ForbiddenDependency {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let forbidden = &options.architecture().forbidden;
        let mut verdict = Verdict::default();
        if forbidden.is_empty() {
            return verdict;
        }
        for edge in architecture::dependencies(graph) {
            let covers = |arrow: &&Arrow| arrow.covers(graph, options.groups(), (edge.from, edge.to));
            let Some(arrow) = forbidden.iter().find(covers) else { continue };
            verdict.take(judge(graph, options, edge, arrow));
        }
        verdict
    }
}

fn judge(graph: &CallGraph, options: &Options<'_>, edge: &Edge, arrow: &Arrow) -> Result<Finding, Undecided> {
    contract::broken(graph, options, edge, |caller, callee, calls| Words {
        title: format!("{caller} uses {callee}, which is forbidden"),
        message: format!(
            "{calls} from {caller} to {callee} were seen, and the configuration forbids `{}`.",
            arrow.text
        ),
        fix: format!("Take the calls from {caller} to {callee} out, or change what is declared and say why."),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    const TRACES: &str =
        "shop GET /\n  billing GET /b\n  sql postgresql db:5432 billing SELECT t\n  publish paid\n    mail takes paid";

    fn check(forbidden: &str, expected: &[&str]) {
        let config = format!("[architecture]\nforbidden = [{forbidden}]\ngroups.money = [\"billing\", \"ledger\"]");
        check_with("forbidden-dependency", TRACES, &config, expected);
    }

    #[test]
    fn one_call_is_enough() {
        check("\"shop -> billing\"", &["error proven: shop uses billing, which is forbidden"]);
    }

    #[test]
    fn groups_globs_datastores_and_topics_can_be_meant() {
        check("\"* -> group:money\"", &["error proven: shop uses billing, which is forbidden"]);
        check("\"shop -> datastore:*\"", &["error proven: shop uses the datastore billing, which is forbidden"]);
        check("\"topic:* -> mail\"", &["error proven: the topic paid uses mail, which is forbidden"]);
    }

    #[test]
    fn a_way_through_a_topic_is_forbidden_by_the_name_of_the_topic() {
        check("\"shop -> mail\"", &[]);
        check("\"shop -> topic:*/paid\"", &["error proven: shop uses the topic paid, which is forbidden"]);
    }

    #[test]
    fn other_directions_and_services_are_free() {
        check("\"billing -> shop\", \"group:money -> *\", \"web -> billing\"", &[]);
    }

    #[test]
    fn nothing_declared_is_nothing_to_judge() {
        crate::testing::check("forbidden-dependency", TRACES, &[]);
    }
}

//! A service that nobody owns, or that two teams do.
//!
//! The signal is the owner in the resource of its spans. Only where half of the services name one, or where the rule is
//! configured, is a missing owner a fault: else it is simply not the practice of the house.

use spanlint_graph::snapshot::ServiceInfo;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft, traces_of_service};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct MissingOwner;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "missing-owner",
    category: Category::Governance,
    severity: Severity::Note,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "A service has no owner, or more than one.",
    looks_like: "The alert rings at night, and the first hour goes by with finding out whose service it is.",
    why: "What belongs to nobody is not maintained, and what belongs to two is decided by neither.",
    how: "Where `min_share` of the services name an owner in their spans' resource (`service.owner`, `service.team`, `team` and \
          the like, or the `keys` of `[owners]`), those that name none or several are noted. Setting those keys, or a level for \
          the rule, makes it hold everywhere.",
    fix: "Name the owner in the resource attributes of the service, the same in all of its instances.",
    limits: "The semantic conventions have no key for owners. A service without spans of its own is not judged.",
    references: &[
        "Skelton, Pais: Team Topologies (2019), chapter 3",
        "Newman: Building Microservices, 2nd edition (2021), chapter 15",
    ],
    instrumentation_score: &[],
    options: &[OptionMeta {
        name: "min_share",
        default: 0.5,
        help: "Share of services with an owner that makes it the practice of the house, from 0 to 1.",
    }],
    absorbs: &[],
};

impl Rule for MissingOwner {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let info = |index: NodeIndex| graph.node(index).service.as_ref().filter(|service| service.is_traced);
        let services: Vec<_> = topology::services(graph).filter_map(|index| Some((index, info(index)?))).collect();
        let owned = services.iter().filter(|(_, service)| !service.owners.is_empty()).count();
        let share = owned as f64 / services.len().max(1) as f64;
        let mut verdict = Verdict::default();
        let is_practice = owned > 0 && share >= options.number("min_share");
        if !is_practice && !options.is_level_set() && !options.are_owners_wanted() {
            return verdict;
        }
        for (index, service) in services.into_iter().filter(|(_, service)| service.owners.len() != 1) {
            verdict.take(judge(graph, options, index, service, share));
        }
        verdict
    }
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    index: NodeIndex,
    service: &ServiceInfo,
    share: f64,
) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [index]);
    let name = &graph.node(index).name;
    let owners = service.owners.len();
    case.finding(Draft {
        title: match owners {
            0 => format!("{name} has no owner"),
            _ => format!("{name} has {owners} owners: {}", wording::list(&service.owners)),
        },
        message: format!(
            "None or more than one owner is named in the spans of {name}, where {:.0} % of the services name one.",
            share * 100.0
        ),
        fix: format!("Name the one team that owns {name} in its resource attributes."),
        subject: Subject::default(),
        evidence: vec![Evidence::of("owners", owners as f64, "owners").against(1.0)],
        support: Support::of(service.facts.spans, service.facts.spans),
        traces: traces_of_service(graph, index),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("missing-owner", traces, expected);
    }

    const CALLS: &str = "web GET /\n  cart GET /c";

    #[test]
    fn where_others_name_one_none_is_a_note() {
        check(&format!("web is team=x\n\n{CALLS}"), &["note proven: cart has no owner"]);
    }

    #[test]
    fn two_owners_are_none() {
        let traces = format!("web is team=x\ncart is team=x\n\n{CALLS}\n\ncart is team=y\n\n{CALLS}");
        check(&traces, &["note proven: cart has 2 owners: x and y"]);
    }

    #[test]
    fn where_nobody_names_one_it_is_not_the_practice() {
        check(CALLS, &[]);
        check(&format!("web is team=x\n\n{CALLS}\n  a GET /\n  b GET /"), &[]);
        check(&format!("web is team=x\ncart is service.owner=y\n\n{CALLS}"), &[]);
    }

    #[test]
    fn configured_it_holds_everywhere() {
        let config = "[rules.missing-owner]\nlevel = \"warning\"";
        let expected = ["warning proven: cart has no owner", "warning proven: web has no owner"];
        check_with("missing-owner", CALLS, config, &expected);
        let expected = expected.map(|line| line.replace("warning", "note"));
        let expected = expected.each_ref().map(String::as_str);
        check_with("missing-owner", CALLS, "[owners]\nkeys = \"acme.squad\"", &expected);
    }
}

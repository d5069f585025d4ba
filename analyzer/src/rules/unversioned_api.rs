//! An interface that others rely on and that has no version.
//!
//! The signal is the name of operations: a version in the path (`/v1/`) or the package (`shop.v1.Cart`); and headers, where
//! they are recorded. Only where half of the services have one, or where the rule is configured, is its absence a fault.

use spanlint_graph::facts::Entry;
use spanlint_graph::snapshot::Operation;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft, traces_of_service};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// Consumers from which an inner interface is public enough to need a version.
const MIN_CONSUMERS: usize = 2;
/// The most operations that a finding lists.
const MAX_LISTED: usize = 20;

/// The rule.
pub(super) struct UnversionedApi;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "unversioned-api",
    category: Category::Governance,
    severity: Severity::Note,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "A service that others rely on offers operations without a version.",
    looks_like: "A field of the answer was renamed, all tests were green, and the app in the store stopped working.",
    why: "Without a version an interface can only change for everybody at once, so it either never changes or breaks somebody.",
    how: "A version is sought in the names of operations, in the path or the package, and in recorded headers such as \
          `api-version`. The pattern holds for services with `min_operations` or more that clients call, or two or more \
          services, and none of which has one; and only where `min_share` of such services have versions. Setting a level \
          for the rule makes it hold everywhere.",
    fix: "Put a version into the path or the package, and keep the old one until nobody uses it.",
    limits: "A version in a media type, a query or a header that is not recorded is not seen. Interfaces with one consumer \
             may change with it.",
    references: &[
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018 (API Versioning)",
        "Lauret: The Design of Web APIs (2019), chapter 9",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_operations",
            default: 3.0,
            help: "Operations without a version that make the pattern.",
        },
        OptionMeta {
            name: "min_share",
            default: 0.5,
            help: "Share of services with versions that makes it the practice of the house, from 0 to 1.",
        },
    ],
    absorbs: &[],
};

impl Rule for UnversionedApi {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let offered: Vec<_> = topology::services(graph)
            .map(|service| (service, offered(topology::operations_of(graph, service))))
            .filter(|(service, operations)| !operations.is_empty() && has_consumers(graph, options, *service))
            .collect();
        let versioned = |operations: &[&Operation]| operations.iter().any(|operation| is_versioned(operation));
        let practising = offered.iter().filter(|(_, operations)| versioned(operations)).count();
        let share = practising as f64 / offered.len().max(1) as f64;
        let mut verdict = Verdict::default();
        let is_practice = practising > 0 && share >= options.number("min_share");
        if !is_practice && !options.is_level_set() {
            return verdict;
        }
        let min_operations = options.whole("min_operations");
        let lacking = offered
            .iter()
            .filter(|(_, operations)| operations.len() as u64 >= min_operations && !versioned(operations));
        for (service, operations) in lacking {
            verdict.take(judge(graph, options, *service, operations, share));
        }
        verdict
    }
}

/// Operations that others call, not by message and not by the clock.
fn offered(operations: &[Operation]) -> Vec<&Operation> {
    let is_called = |operation: &&Operation| {
        let entries = &operation.facts.entries;
        entries[Entry::Client as usize] + entries[Entry::Internal as usize] > 0 && !operation.name.is_empty()
    };
    operations.iter().filter(is_called).collect()
}

fn has_consumers(graph: &CallGraph, options: &Options<'_>, service: NodeIndex) -> bool {
    let operations = topology::operations_of(graph, service);
    let is_external = operations.iter().any(|operation| operation.facts.entries[Entry::Client as usize] > 0);
    is_external || options.calls().callers(service).len() >= MIN_CONSUMERS
}

/// Whether its name has a version, or a header of most of its requests.
fn is_versioned(operation: &Operation) -> bool {
    operation.facts.versioned * 2 > operation.facts.requests || has_version(&operation.name)
}

/// Whether a word of the name is a version: `v1`, `v2beta1`, `2024-01-31`, `1.0`.
fn has_version(name: &str) -> bool {
    let is_date = |word: &str| {
        let lengths: Vec<_> = word.split('-').map(str::len).collect();
        lengths == [4, 2, 2] && word.chars().all(|letter| letter == '-' || letter.is_ascii_digit())
    };
    let is_numbered = |word: &str| {
        let rest = word.strip_prefix(['v', 'V']).unwrap_or_default();
        rest.starts_with(|first: char| first.is_ascii_digit()) && rest.len() <= 8
    };
    let words = name.split(['/', ' ', '?', '{', '}']);
    words.clone().any(is_date) || words.flat_map(|word| word.split(['.', '_', ':'])).any(is_numbered)
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    service: NodeIndex,
    operations: &[&Operation],
    share: f64,
) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [service]);
    let name = &graph.node(service).name;
    let requests: u64 = operations.iter().map(|operation| operation.facts.requests).sum();
    let count = wording::count(operations.len() as u64, "operation");
    case.finding(Draft {
        title: format!("{name} offers {count} without a version"),
        message: format!(
            "None of the {count} of {name} has a version in its path, package or headers, while {:.0} % of the services have.",
            share * 100.0
        ),
        fix: format!(
            "Put a version into the paths or packages of {name}, and keep the old ones until nobody uses them."
        ),
        subject: Subject {
            operations: operations.iter().take(MAX_LISTED).map(|each| wording::operation(name, &each.name)).collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("operations_without_version", operations.len() as f64, "operations")
                .against(options.number("min_operations")),
            Evidence::of("share_of_services_with_versions", share, "share"),
        ],
        support: Support::of(requests, requests),
        traces: traces_of_service(graph, service),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("unversioned-api", traces, expected);
    }

    const OLD: &str = "web GET /v1/a\n  cart GET /x\n  cart GET /y\n  cart GET /z";

    #[test]
    fn versions_are_found_in_paths_and_packages() {
        for (name, expected) in [
            ("GET /v1/cart", true),
            ("shop.v2beta1.Cart/Get", true),
            ("GET /2024-01-31/cart", true),
            ("GET /cart/{v}", false),
            ("GET /vouchers", false),
            ("Cart/Get", false),
        ] {
            assert_eq!(has_version(name), expected, "{name}");
        }
    }

    #[test]
    fn where_others_have_versions_none_is_a_note() {
        let traces = format!("{OLD}\n\nmobile GET /v1/a\n  cart GET /x");
        check(&traces, &["note heuristic: cart offers 3 operations without a version"]);
    }

    #[test]
    fn a_header_may_tell_the_version() {
        let told = |header: &str| {
            let requests = ["x", "y", "z"].map(|name| format!("cart GET /{name} http.request.header.{header}=2"));
            format!("web GET /v1/a\n\n{}", requests.join("\n\n"))
        };
        check(&told("api-version"), &[]);
        check(&told("accept"), &["note heuristic: cart offers 3 operations without a version"]);
    }

    #[test]
    fn one_consumer_may_change_with_it() {
        check(OLD, &[]);
    }

    #[test]
    fn two_operations_are_few() {
        check("web GET /v1/a\n  cart GET /x\n  cart GET /y\n\nmobile GET /v1/a\n  cart GET /x", &[]);
    }

    #[test]
    fn where_nobody_has_versions_it_is_not_the_practice_unless_configured() {
        let traces = format!("{OLD}\n\nmobile GET /a\n  cart GET /x").replace("v1/", "");
        check(&traces, &[]);
        let config = "[rules.unversioned-api]\nlevel = \"note\"";
        check_with("unversioned-api", &traces, config, &["note heuristic: cart offers 3 operations without a version"]);
    }
}

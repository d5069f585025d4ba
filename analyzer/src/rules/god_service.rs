//! A service that does a large part of everything: it offers far more operations than any other.
//!
//! The signal is the number of operations against a fixed limit, the whole system's, and the median service. Refused:
//! gateways, which offer what others do, and operations that are one operation with ids in its name.

use std::collections::BTreeSet;

use spanlint_graph::snapshot::Operation;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft, traces_of_service};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// How many median absolute deviations above the median a god service lies.
const MIN_DEVIATIONS: f64 = 3.0;
/// The most operations that a finding lists.
const MAX_LISTED: usize = 20;

/// The rule.
pub(super) struct GodService;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "god-service",
    category: Category::Boundaries,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "One service offers far more operations than any other, a large part of the whole system's.",
    looks_like: "There are twelve services, but every ticket ends in the same one: it knows users, orders, invoices and the \
                 newsletter, and its release notes are the release notes of the company.",
    why: "It is the monolith with a network around it: everybody changes it, nobody oversees it, and it scales and fails as a \
          whole.",
    how: "Operations that were requested are counted, ids in their names taken out. The pattern holds from `min_operations` \
          on where they are `min_share` or more of all operations of the system and more than the median service's by three \
          median absolute deviations.",
    fix: "Find the groups of operations that share data and callers, and give each a service of its own, the one that changes \
          most first.",
    limits: "Gateways and back ends for front ends offer what others do and are exempt. Only operations that were used count, \
             so a recording of one feature shows a part.",
    references: &[
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018 (Mega Service)",
        "Brown, Malveau, McCormick, Mowbray: AntiPatterns (1998), The Blob",
        "Leys, Ley, Klein, Bernard, Licata: Detecting outliers: do not use standard deviation around the mean, use absolute \
         deviation around the median, Journal of Experimental Social Psychology 49(4), 2013",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_operations", default: 10.0, help: "Operations of one service that are many." },
        OptionMeta {
            name: "min_share",
            default: 0.2,
            help: "Share of the system's operations that is large, from 0 to 1.",
        },
    ],
    absorbs: &[],
};

impl Rule for GodService {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if let Err(missing) = options.required().system(graph) {
            verdict.undecided.push(Undecided::of_input(&META, missing));
            return verdict;
        }
        let offers = |index| !options.roles().has_any(graph, index, &[Role::Gateway, Role::Bff]);
        let offered: Vec<_> = topology::services(graph)
            .filter(|&service| offers(service))
            .map(|service| (service, operations(topology::operations_of(graph, service))))
            .filter(|(_, operations)| !operations.is_empty())
            .collect();
        let limits = Limits::of(offered.iter().map(|(_, operations)| operations.len()).collect());
        for (service, operations) in &offered {
            if limits.are_exceeded(operations.len(), options) {
                verdict.take(judge(graph, options, *service, operations, &limits));
            }
        }
        verdict
    }
}

/// What the system's services offer.
struct Limits {
    all: usize,
    /// The median and three median absolute deviations.
    outlier: f64,
}

impl Limits {
    fn of(mut counts: Vec<usize>) -> Self {
        let all = counts.iter().sum();
        counts.sort_unstable();
        let middle = |sorted: &[f64]| sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        let counts: Vec<_> = counts.into_iter().map(|count| count as f64).collect();
        let median = middle(&counts);
        let mut deviations: Vec<_> = counts.iter().map(|count| (count - median).abs()).collect();
        deviations.sort_unstable_by(f64::total_cmp);
        Self { all, outlier: median + MIN_DEVIATIONS * middle(&deviations) }
    }

    fn are_exceeded(&self, count: usize, options: &Options<'_>) -> bool {
        let count = count as f64;
        count >= options.number("min_operations")
            && count >= self.all as f64 * options.number("min_share")
            && count > self.outlier
    }
}

/// The names of operations that somebody asked for, words with digits made alike.
fn operations(operations: &[Operation]) -> BTreeSet<String> {
    let is_offered = |operation: &&Operation| operation.facts.is_asked_for() && !operation.name.is_empty();
    operations.iter().filter(is_offered).map(|operation| without_ids(&operation.name)).collect()
}

/// `GET /user/17/cart` as `GET /user/#/cart`; versions such as `v1` stay.
fn without_ids(name: &str) -> String {
    let is_version = |word: &str| {
        word.strip_prefix('v').is_some_and(|rest| rest.len() <= 2 && rest.chars().all(|digit| digit.is_ascii_digit()))
    };
    let has_digit = |word: &str| word.chars().any(|letter| letter.is_ascii_digit());
    let mut shown = String::with_capacity(name.len());
    for word in name.split_inclusive(['/', ' ', '.', '-', '_', ':']) {
        let plain = word.trim_end_matches(['/', ' ', '.', '-', '_', ':']);
        let end = &word[plain.len()..];
        shown.push_str(if has_digit(plain) && !is_version(plain) { "#" } else { plain });
        shown.push_str(end);
    }
    shown
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    service: NodeIndex,
    operations: &BTreeSet<String>,
    limits: &Limits,
) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [service]);
    let requests = graph.node(service).service.as_ref().map_or(0, |service| service.requests);
    options.required().requests(requests).map_err(|missing| case.undecided(missing))?;
    let name = &graph.node(service).name;
    let share = operations.len() as f64 / limits.all as f64;
    case.finding(Draft {
        title: format!("{name} offers {} of the system's {} operations", operations.len(), limits.all),
        message: format!(
            "{name} offers {}, {:.0} % of all that were used; the usual service stays at {} or under.",
            wording::count(operations.len() as u64, "operation"),
            share * 100.0,
            wording::number(limits.outlier),
        ),
        fix: format!(
            "Look for groups among the operations of {name} that share data and callers, and move one of them after the \
             other into a service of its own."
        ),
        subject: Subject {
            operations: operations.iter().take(MAX_LISTED).map(|each| wording::operation(name, each)).collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("operations", operations.len() as f64, "operations").against(options.number("min_operations")),
            Evidence::of("share_of_operations", share, "share").against(options.number("min_share")),
            Evidence::of("operations_of_usual_services", limits.outlier, "operations"),
        ],
        support: Support::of(requests, requests),
        traces: traces_of_service(graph, service),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("god-service", traces, expected);
    }

    /// A way in with five services behind it that have two operations each, and one with `god` operations.
    fn system(god: &[String]) -> String {
        let small = ["a", "b", "c", "d", "e"].map(|name| format!("\n  {name} GET /x\n  {name} GET /y")).concat();
        let god = god.iter().map(|operation| format!("\n  all GET {operation}")).collect::<Vec<_>>().concat();
        format!("30 traces\nweb GET /{small}{god}")
    }

    fn named(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("/{}", ["u", "o", "i", "n"][index / 5].repeat(index % 5 + 1))).collect()
    }

    #[test]
    fn ten_operations_where_others_have_two_are_many() {
        check(&system(&named(10)), &["warning strong: all offers 10 of the system's 20 operations"]);
        check(&system(&named(9)), &[]);
    }

    #[test]
    fn a_gateway_offers_what_others_do() {
        let paths = named(12);
        let operations = paths.iter().map(|path| {
            format!("30 traces\nweb GET {path}\n  a GET /a\n  b GET /b\n  c GET /c\n  d GET /d\n  e GET /e")
        });
        check(&operations.collect::<Vec<_>>().join("\n\n"), &[]);
        check_with("god-service", &system(&named(10)), "[roles]\nbff = \"all\"", &[]);
    }

    #[test]
    fn ids_in_names_make_no_operations() {
        check(&system(&(0..12).map(|id| format!("/user/u{id}x")).collect::<Vec<_>>()), &[]);
    }

    #[test]
    fn a_system_of_large_services_has_no_god() {
        let all = ["a", "b", "c", "d", "e"]
            .map(|name| named(11).iter().map(|path| format!("\n  {name} GET {path}")).collect::<Vec<_>>().concat());
        check(&format!("30 traces\nweb GET /{}", all.concat()), &[]);
    }

    #[test]
    fn few_requests_or_services_are_undecided() {
        let few = system(&named(10)).replace("30 traces", "2 traces");
        check(&few, &["(all: 20 requests seen, 30 needed)"]);
        check("30 traces\nweb GET /", &["(1 service seen, 6 needed)"]);
    }
}

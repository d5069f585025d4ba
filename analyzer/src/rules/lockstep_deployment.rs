//! Two services that are always deployed at the same time: they can only be released together.
//!
//! The signal is when new versions first show up. Refused: roll-outs of everything at once, and pairs that do not talk to
//! each other.

use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft, trace_of_edge};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The share of either service's deployments that the other shares.
const MIN_SHARE: f64 = 0.75;
/// The share of all other services that a roll-out of everything changes.
const ROLLOUT_SHARE: f64 = 0.8;

/// The rule.
pub(super) struct LockstepDeployment;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "lockstep-deployment",
    category: Category::Boundaries,
    severity: Severity::Note,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "Two services that call each other are always deployed together.",
    looks_like: "The release notes of the cart say \"needs price list 4.2\", those of the price list say \"needs cart 7.1\"; \
                 both go out on the same evening, every time.",
    why: "Being released alone is what a service is for. A pair that is not pays for two deployments, and must be right in \
          both orders in the minutes between.",
    how: "The times at which new versions of a service first show up are its deployments. The pattern holds where two \
          services with calls between them share `min_deployments` or more within `max_minutes` of each other, and these are \
          three quarters or more of what either deploys.",
    fix: "Make changes of the interface that work with the old side as well, test them by contract, and release one at a time; \
          or make the two one service.",
    limits: "A roll-out that changes nearly every other service in the same minutes is the platform's and does not count. \
             Versions are those of `service.version`; a recording that is shorter than the deployments shows none.",
    references: &[
        "Newman: Building Microservices, 2nd edition (2021), chapter 1 (independent deployability)",
        "Forsgren, Humble, Kim: Accelerate (2018), chapter 5",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_deployments",
            default: 3.0,
            help: "Deployments at the same time that are no accident.",
        },
        OptionMeta {
            name: "max_minutes",
            default: 10.0,
            help: "Minutes within which two deployments are at the same time.",
        },
    ],
    absorbs: &[],
};

impl Rule for LockstepDeployment {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let deployments: Vec<_> =
            (0..graph.nodes.len()).map(|index| deployments(graph, NodeIndex(index as u32))).collect();
        let has_versions = |service: NodeIndex| {
            graph.node(service).service.as_ref().is_some_and(|service| !service.versions.is_empty())
        };
        if !topology::services(graph).any(has_versions) {
            verdict.undecided.push(Undecided::of_input(&META, "no service says its version"));
            return verdict;
        }
        let versioned: Vec<_> = topology::services(graph).filter(|&service| has_versions(service)).collect();
        for (from, to) in options.calls().pairs() {
            // Of a mutual pair one direction stands for both.
            if to < from && options.calls().callees(to).contains(&from) {
                continue;
            }
            let pair = Pair { ends: (from, to), deployments: &deployments, versioned: &versioned };
            if let Some(judged) = pair.judge(graph, options) {
                verdict.take(judged);
            }
        }
        verdict
    }
}

/// When versions first showed up, but for those that were there from the start; sorted, in nanoseconds.
fn deployments(graph: &CallGraph, service: NodeIndex) -> Vec<u64> {
    let Some(service) = &graph.node(service).service else { return Vec::new() };
    let mut first: Vec<_> = service.versions.iter().map(|(_, seen)| seen.first_ns).collect();
    first.sort_unstable();
    first.into_iter().skip(1).collect()
}

struct Pair<'a> {
    ends: (NodeIndex, NodeIndex),
    deployments: &'a [Vec<u64>],
    versioned: &'a [NodeIndex],
}

impl Pair<'_> {
    fn judge(&self, graph: &CallGraph, options: &Options<'_>) -> Option<Result<Finding, Undecided>> {
        let (from, to) = self.ends;
        let within_ns = (options.number("max_minutes") * 60e9) as u64;
        let [ours, theirs] = [from, to].map(|end| &self.deployments[end.0 as usize]);
        let together = ours.iter().filter(|&&at| self.is_shared(at, within_ns)).count() as u64;
        let most = ours.len().max(theirs.len()) as u64;
        if together < options.whole("min_deployments").max(1) || (together as f64) < most as f64 * MIN_SHARE {
            return None;
        }
        let case = Case::new(graph, options, [from, to]);
        let edges: Vec<_> =
            topology::edges_between(graph, from, to).iter().chain(topology::edges_between(graph, to, from)).collect();
        let (caller, callee) = (graph.node(from), graph.node(to));
        Some(case.finding(Draft {
            title: format!("{} and {} are always deployed together", caller.name, callee.name),
            message: format!(
                "{together} of {} brought new versions of both {} and {} within {} minutes.",
                wording::count(most, "deployment"),
                caller.name,
                callee.name,
                wording::number(options.number("max_minutes"))
            ),
            fix: format!(
                "Let {} accept the old and the new form of what {} asks, and release them one at a time; or make them one \
                 service.",
                callee.name, caller.name
            ),
            subject: Subject { edges: vec![(caller.id.clone(), callee.id.clone())], ..Subject::default() },
            evidence: vec![
                Evidence::of("deployments_together", together as f64, "deployments")
                    .against(options.number("min_deployments")),
                Evidence::of("deployments", most as f64, "deployments"),
            ],
            support: Support::of(together, most),
            traces: edges.iter().filter_map(|edge| trace_of_edge(edge)).collect(),
            ..case.draft()
        }))
    }

    /// Whether the other end was deployed at about that time, too, while not everything was.
    fn is_shared(&self, at: u64, within_ns: u64) -> bool {
        let is_near = |service: NodeIndex| {
            self.deployments[service.0 as usize].iter().any(|&other| other.abs_diff(at) <= within_ns)
        };
        let others: Vec<_> = self
            .versioned
            .iter()
            .copied()
            .filter(|&service| service != self.ends.0 && service != self.ends.1)
            .collect();
        let changed = others.iter().filter(|&&service| is_near(service)).count();
        let is_rollout = !others.is_empty() && changed as f64 >= others.len() as f64 * ROLLOUT_SHARE;
        is_near(self.ends.1) && !is_rollout
    }
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("lockstep-deployment", traces, expected);
    }

    const FIRES: &[&str] = &["note heuristic: cart and price are always deployed together"];

    /// Services with their versions at the start and after each hour.
    fn days(versions: &[(&str, [&str; 4])]) -> String {
        let day = |hour: usize| {
            let declared =
                versions.iter().map(|(service, versions)| format!("{service} is service.version={}\n", versions[hour]));
            let traffic = "web GET /\n  cart GET /c\n    price GET /p\n  user GET /u";
            format!("{}at {}s\n{traffic}", declared.collect::<Vec<_>>().concat(), hour * 3600)
        };
        (0..4).map(day).collect::<Vec<_>>().join("\n\n")
    }

    const EACH: [&str; 4] = ["1", "2", "3", "4"];
    const NEVER: [&str; 4] = ["1", "1", "1", "1"];

    #[test]
    fn three_of_three_together_are_a_note() {
        check(&days(&[("cart", EACH), ("price", EACH), ("user", NEVER), ("web", NEVER)]), FIRES);
    }

    #[test]
    fn two_are_an_accident() {
        check(&days(&[("cart", EACH), ("price", ["1", "2", "3", "3"]), ("user", NEVER), ("web", NEVER)]), &[]);
    }

    #[test]
    fn a_roll_out_of_everything_does_not_count() {
        check(&days(&[("cart", EACH), ("price", EACH), ("user", EACH), ("web", EACH)]), &[]);
    }

    #[test]
    fn services_that_do_not_call_each_other_may() {
        check(&days(&[("price", EACH), ("user", EACH), ("cart", NEVER), ("web", NEVER)]), &[]);
    }

    #[test]
    fn without_versions_nobody_can_tell() {
        check("web GET /\n  cart GET /c", &["(no service says its version)"]);
    }
}

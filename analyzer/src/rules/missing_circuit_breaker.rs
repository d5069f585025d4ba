//! A caller goes on asking a callee that is down, at its usual rate and at full price.
//!
//! The signal is a minute in which most calls fail while the caller neither asks less nor fails faster. A breaker that is
//! open shows as both.

use std::ops::RangeInclusive;

use spanlint_graph::facts::SliceFacts;
use spanlint_graph::facts::latest::SLICE_NS;
use spanlint_graph::snapshot::Edge;
use spanlint_graph::{CallGraph, Fold};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::support::{poisson_upper_bound, wilson_lower_bound};
use crate::{topology, wording};

/// How many times as large a share of calls fails in an outage as at other times, at least.
const MIN_RISE: f64 = 2.0;

/// The rule.
pub(super) struct MissingCircuitBreaker;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "missing-circuit-breaker",
    category: Category::Resilience,
    severity: Severity::Warning,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "A service keeps asking one that is down, as often as ever and at full price.",
    looks_like: "The recommendation service is down; every page still asks it, waits, fails, and only then is shown without \
                 recommendations, for as long as the outage lasts.",
    why: "Each call to a callee that is down costs the caller's user the full wait, and the callee a chance to recover.",
    how: "Calls are counted in slices of ten seconds. The pattern holds where for `min_outage_s` at least `min_failed_percent` \
          of the calls of every slice fail, but for chance, `min_calls` in all and so many of these that it is no chance, \
          at least twice the share of other times, while the caller keeps `min_rate_percent` of its rate before and a failed call takes \
          `min_price_percent` or more of the time of a usual one. A caller that fails for as long as its callee is down is \
          part of the same.",
    fix: "Put a circuit breaker before the call: after a few failures it answers at once, and lets one call through now and \
          then to see whether the callee is back.",
    limits: "An outage must have been seen; where nothing ever failed for a minute there is nothing to judge. Slices are \
             kept of the last hour in which a caller made calls; where enough of them failed before, the rule is undecided.",
    references: &[
        "Nygard: Release It!, 2nd edition (2018), chapter 5, Circuit Breaker",
        "Fowler: CircuitBreaker (2014)",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_outage_s", default: 60.0, help: "How long most calls must fail, in seconds." },
        OptionMeta {
            name: "min_failed_percent",
            default: 50.0,
            help: "Share of failed calls of a slice, in percent, that makes an outage.",
        },
        OptionMeta { name: "min_calls", default: 20.0, help: "Calls during the outage that must have been seen." },
        OptionMeta {
            name: "min_rate_percent",
            default: 80.0,
            help: "Share of its usual rate, in percent, that a caller without a breaker keeps.",
        },
        OptionMeta {
            name: "min_price_percent",
            default: 50.0,
            help: "Share of the usual time, in percent, that a failed call takes where nothing makes it fail fast.",
        },
    ],
    absorbs: &["missing-circuit-breaker"],
};

impl Rule for MissingCircuitBreaker {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let is_call = |edge: &&Edge| {
            topology::is_synchronous_call(graph, edge) || !edge.is_derived && topology::calls_external(graph, edge)
        };
        // An outage before the time that is kept in slices cannot be told from failures now and then.
        let mut earlier = Vec::new();
        for edge in graph.edges.iter().filter(is_call) {
            match Outage::of(edge, options) {
                Some(outage) => verdict.take(outage.judge(graph, options, edge)),
                None if may_hold_outage(edge.facts.slices.earlier(), options) => earlier.extend([edge.from, edge.to]),
                None => {}
            }
        }
        if !earlier.is_empty() {
            let case = Case::new(graph, options, earlier);
            verdict
                .undecided
                .push(case.undecided("calls failed before the last hour of calls, of which alone slices are kept"));
        }
        verdict
    }
}

/// A time in which most calls failed, and what is usual.
struct Outage {
    slices: RangeInclusive<u64>,
    during: SliceFacts,
    /// Calls of a slice during the outage as a share of those of other slices, in percent.
    rate_percent: f64,
    /// Time of a failed call as a share of that of a successful one, in percent.
    price_percent: f64,
}

impl Outage {
    /// The outage with the most failures, where the caller does not care.
    fn of(edge: &Edge, options: &Options<'_>) -> Option<Self> {
        let outage = Self::seen(edge, options)?;
        let is_careless = outage.highest_rate_percent() >= options.number("min_rate_percent")
            && outage.price_percent >= options.number("min_price_percent");
        let is_told = outage.is_sure(options) || outage.during.calls >= options.whole("min_calls");
        (is_careless && is_told).then_some(outage)
    }

    /// The outage with the most failures, whatever the caller did.
    fn seen(edge: &Edge, options: &Options<'_>) -> Option<Self> {
        let slices = slices(edge, options);
        let length = |run: &[Slice<'_>]| run[run.len() - 1].number - run[0].number + 1;
        let runs = slices.chunk_by(|left, right| left.is_down == right.is_down);
        let needed = least_slices(options);
        let outages = runs.filter(|run| run[0].is_down && length(run) >= needed);
        let worst = outages.max_by_key(|run| run.iter().map(|slice| slice.facts.failures).sum::<u64>())?;
        let range = worst[0].number..=worst[worst.len() - 1].number;
        let (mut during, mut usual) = (SliceFacts::default(), SliceFacts::default());
        let (mut failing, mut failing_slices) = (SliceFacts::default(), 0);
        for slice in &slices {
            if range.contains(&slice.number) {
                during.fold(slice.facts);
            } else if slice.is_down {
                failing.fold(slice.facts);
                failing_slices += 1;
            } else {
                usual.fold(slice.facts);
            }
        }
        let usual_slices = length(&slices) - length(worst) - failing_slices;
        // Without a usual rate and price nothing can be kept, and how long a stream lasts is no price.
        if usual_slices == 0 || usual.busy_ns == 0 {
            return None;
        }
        let usual_rate = usual.calls as f64 / usual_slices as f64;
        let rate = during.calls as f64 / length(worst) as f64;
        let time = |ns: u64, calls: u64| ns as f64 / calls.max(1) as f64;
        let succeeded = usual.calls - usual.failures;
        let usual_ns = time(usual.busy_ns - usual.failed_ns.min(usual.busy_ns), succeeded);
        let outage = Self {
            slices: range,
            rate_percent: if usual_rate > 0.0 { rate * 100.0 / usual_rate } else { 100.0 },
            price_percent: if usual_ns > 0.0 {
                time(during.failed_ns, during.failures) * 100.0 / usual_ns
            } else {
                100.0
            },
            during,
        };
        // Where many calls always fail, some time or other most do.
        failing.fold(&usual);
        let is_unusual = share(&outage.during) >= share(&failing) * MIN_RISE;
        is_unusual.then_some(outage)
    }

    fn length(&self) -> u64 {
        self.slices.end() - self.slices.start() + 1
    }

    /// Whether another was for the most part while this one was.
    fn covers(&self, other: &Self) -> bool {
        let from = self.slices.start().max(other.slices.start());
        let to = self.slices.end().min(other.slices.end());
        (to + 1).saturating_sub(*from) * 2 > other.length()
    }

    /// The edges whose callee was down only because this edge's was, whether or not their callers had a breaker.
    fn edges_above<'g>(&self, graph: &'g CallGraph, options: &Options<'_>, edge: &Edge) -> Vec<&'g Edge> {
        let is_part = |edge: &Edge| Self::seen(edge, options).is_some_and(|above| self.covers(&above));
        topology::edges_above(graph, options.calls(), edge, is_part)
    }

    /// What the rate may have been of which this many calls are one sample.
    fn highest_rate_percent(&self) -> f64 {
        self.rate_percent * poisson_upper_bound(self.during.calls) / self.during.calls.max(1) as f64
    }

    /// Whether it is no accident that most calls failed.
    fn is_sure(&self, options: &Options<'_>) -> bool {
        let failed_low = wilson_lower_bound(self.during.failures, self.during.calls);
        failed_low * 100.0 >= options.number("min_failed_percent")
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>, edge: &Edge) -> Result<Finding, Undecided> {
        let above = self.edges_above(graph, options, edge);
        let callers = above.iter().map(|edge| edge.from);
        let case = Case::new(graph, options, callers.chain([edge.from, edge.to]));
        options.required().duration(graph).map_err(|missing| case.undecided(missing))?;
        let (calls, needed) = (self.during.calls, options.whole("min_calls"));
        if calls < needed {
            let seen = wording::count(calls, "call");
            return Err(case.undecided(format!("{seen} during an outage seen, {needed} needed")));
        }
        if !self.is_sure(options) {
            let (failures, seen) = (self.during.failures, wording::count(calls, "call"));
            return Err(case.undecided(format!("{failures} of {seen} failed for a time, which may be chance")));
        }
        let (rate, least) = (self.rate_percent, options.number("min_rate_percent"));
        if rate < least {
            return Err(case.undecided(format!(
                "{rate:.0} % of the usual rate kept while calls failed, where {least} % is needed, which may be chance"
            )));
        }
        let (from, to) = (graph.node(edge.from), graph.node(edge.to));
        let (caller, callee) = (&from.name, &to.name);
        let seconds = self.length() * SLICE_NS / 1_000_000_000;
        let price_ms = wording::milliseconds(self.during.failed_ns / self.during.failures.max(1));
        case.finding(Draft {
            title: format!("{caller} goes on asking {callee} while it is down"),
            message: format!(
                "For {seconds} s {} of {} to {callee} failed; {caller} kept {:.0} % of its rate and waited {} ms for each \
                 failure.",
                self.during.failures,
                wording::count(self.during.calls, "call"),
                self.rate_percent,
                wording::number(price_ms),
            ),
            fix: format!("Put a circuit breaker into {caller} before its calls to {callee}, and say what it does without."),
            subject: Subject {
                edges: [edge].into_iter().chain(above).map(|edge| topology::ids(graph, edge)).collect(),
                ..Subject::default()
            },
            evidence: vec![
                Evidence::of("outage_s", seconds as f64, "s").against(options.number("min_outage_s")),
                Evidence::of("failed_percent", self.during.failures as f64 * 100.0 / self.during.calls as f64, "%")
                    .against(options.number("min_failed_percent")),
                Evidence::of("rate_percent", self.rate_percent, "%").against(options.number("min_rate_percent")),
                Evidence::of("price_percent", self.price_percent, "%").against(options.number("min_price_percent")),
            ],
            support: Support::of(self.during.failures, self.during.calls),
            traces: edge.facts.failed.proof(self.during.failed_ns / self.during.failures.max(1)),
            ..case.draft()
        })
    }
}

/// Whether there are as many failures as an outage has at least.
fn may_hold_outage(facts: &SliceFacts, options: &Options<'_>) -> bool {
    let least = options.number("min_calls") * options.number("min_failed_percent") / 100.0;
    facts.failures as f64 >= least.max(1.0)
}

/// Ten seconds in which calls were made.
struct Slice<'a> {
    number: u64,
    facts: &'a SliceFacts,
    is_down: bool,
}

/// The slices of an edge that have calls: where calls are few, others lie between those of an outage. One between two
/// in which most calls fail is down like these, where by chance fewer of its few did: one in the time of an outage, for
/// where many calls always fail, slices with more and with fewer failures come in turn.
fn slices<'a>(edge: &'a Edge, options: &Options<'_>) -> Vec<Slice<'a>> {
    let most = options.number("min_failed_percent") / 100.0;
    let slices = edge.facts.slices.iter().filter(|(_, facts)| facts.calls > 0);
    let mut slices: Vec<Slice<'a>> =
        slices.map(|(number, facts)| Slice { number, facts, is_down: share(facts) >= most }).collect();
    let mut next = 0;
    for at in 1..slices.len().saturating_sub(1) {
        let Slice { number, facts: &SliceFacts { calls, failures, .. }, is_down } = slices[at];
        let is_between = !is_down && slices[at - 1].is_down && slices[at + 1].is_down && number >= next;
        if is_between && 1.0 - wilson_lower_bound(calls - failures.min(calls), calls) >= most {
            slices[at].is_down = true;
            next = number + least_slices(options);
        }
    }
    slices
}

/// How many slices an outage has at least.
fn least_slices(options: &Options<'_>) -> u64 {
    (options.number("min_outage_s") * 1e9 / SLICE_NS as f64).ceil() as u64
}

/// Which share of the calls failed.
fn share(facts: &SliceFacts) -> f64 {
    facts.failures as f64 / facts.calls.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_graph, graph};

    const FINDING: &str = "warning heuristic: cart goes on asking stock while it is down";

    /// Slices from left to right: (calls, failures, time of a failure in ms); a usual call takes 20 ms.
    fn set(edge: &mut Edge, slices: &[(u64, u64, u64)]) {
        edge.facts.slices = spanlint_graph::facts::Latest::default();
        for (place, &(calls, failures, ms)) in slices.iter().enumerate() {
            let slice = edge.facts.slices.entry(place as u64);
            let failed_ns = failures * ms * 1_000_000;
            let busy_ns = failed_ns + (calls - failures) * 20_000_000;
            *slice = SliceFacts { calls, failures, failed_ns, busy_ns };
        }
    }

    fn check(slices: &[(u64, u64, u64)], expected: &[&str]) {
        check_each("cart GET /cart\n  stock GET /stock fails", &[slices], expected);
    }

    /// The slices of each call between services, the outermost first.
    fn check_each(traces: &str, slices: &[&[(u64, u64, u64)]], expected: &[&str]) {
        let mut graph = graph(traces);
        graph.counts.seen.last_ns = graph.counts.seen.first_ns + 400_000_000_000;
        let mut edges: Vec<_> = graph.edges.iter_mut().filter(|edge| edge.facts.requests > 0).collect();
        edges.sort_by_key(|edge| std::cmp::Reverse(edge.facts.slow.worst().map(|worst| worst.0)));
        for (edge, slices) in edges.into_iter().zip(slices) {
            set(edge, slices);
        }
        check_graph("missing-circuit-breaker", &graph, "", expected);
    }

    #[test]
    fn an_outage_that_passes_through_is_one_finding() {
        let traces = "web GET /\n  cart GET /cart fails\n    stock GET /stock fails";
        let down = [[(10, 0, 0); 9], [(10, 10, 30); 9]].concat();
        check_each(traces, &[&down, &down], &[FINDING]);
        let earlier = [[(10, 10, 30); 9], [(10, 0, 0); 9]].concat();
        check_each(
            traces,
            &[&earlier, &down],
            &[FINDING, "warning heuristic: web goes on asking cart while it is down"],
        );
        let few = [[(2, 0, 0); 9], [(2, 2, 30); 9]].concat();
        check_each(traces, &[&few, &down], &[FINDING]);
    }

    #[test]
    fn who_fails_cheaply_in_between_parts_no_outage() {
        let traces = "edge GET /\n  web GET /web fails\n    cart GET /cart fails\n      stock GET /stock fails";
        let down = [[(10, 0, 0); 9], [(10, 10, 30); 9]].concat();
        let cheap = [[(10, 0, 0); 9], [(10, 10, 5); 9]].concat();
        check_each(traces, &[&down, &cheap, &down], &[FINDING]);
    }

    #[test]
    fn a_minute_of_failures_at_the_usual_rate_and_price_is_told() {
        let usual = [(10, 0, 0); 6];
        check(&[usual, [(10, 9, 30); 6]].concat(), &[FINDING]);
        check(&[&usual[..], &[(10, 9, 30); 5]].concat(), &[]);
    }

    #[test]
    fn whoever_asks_less_or_fails_fast_has_a_breaker() {
        let usual = [(10, 0, 0); 6];
        check(&[usual, [(4, 4, 30); 6]].concat(), &[]);
        let maybe =
            "(cart stock: 70 % of the usual rate kept while calls failed, where 80 % is needed, which may be chance)";
        check(&[usual, [(7, 7, 30); 6]].concat(), &[maybe]);
        check(&[[(100, 0, 0); 6], [(70, 70, 30); 6]].concat(), &[]);
        check(&[usual, [(10, 10, 1); 6]].concat(), &[]);
    }

    #[test]
    fn a_few_failures_are_no_outage() {
        check(&[(10, 4, 30); 12], &[]);
        check(
            &[[(4, 0, 0); 6], [(4, 2, 30); 6]].concat(),
            &["(cart stock: 12 of 24 calls failed for a time, which may be chance)"],
        );
        check(&[[(3, 0, 0); 6], [(3, 2, 30); 6]].concat(), &[]);
    }

    #[test]
    fn a_slice_of_an_outage_in_which_few_happen_to_fail_ends_none() {
        let usual = [(5, 0, 0); 9];
        let around = [(5, 5, 30); 3];
        check(&[&usual[..], &around, &[(5, 2, 30)], &around].concat(), &[FINDING]);
        // Two of them, or one of many calls, are no chance.
        check(&[&usual[..], &around, &[(5, 2, 30); 2], &around].concat(), &[]);
        check(&[&usual[..], &around, &[(50, 10, 30)], &around].concat(), &[]);
        // Nor are such that come in turn with others.
        let in_turn = [(6, 6, 30), (1, 0, 0), (3, 2, 30), (3, 1, 30), (3, 2, 30), (9, 8, 30)];
        check(&[&usual[..], &in_turn].concat(), &[]);
    }

    #[test]
    fn few_calls_are_undecided() {
        let few = "(cart stock: 18 calls during an outage seen, 20 needed)";
        check(&[[(3, 0, 0); 6], [(3, 3, 30); 6]].concat(), &[few]);
    }

    #[test]
    fn a_time_without_calls_ends_no_outage() {
        check(
            &[&[(9, 0, 0), (0, 0, 0)][..], &[(9, 9, 30), (0, 0, 0), (0, 0, 0), (9, 9, 30), (0, 0, 0), (9, 9, 30)]]
                .concat(),
            &[FINDING],
        );
    }

    #[test]
    fn what_fails_half_of_the_time_is_not_down_at_one() {
        let slices = [(10, 6, 30), (10, 3, 30), (10, 6, 30), (10, 3, 30), (10, 3, 30)];
        check(&[&slices[..], &[(10, 8, 30); 6]].concat(), &[]);
    }

    #[test]
    fn what_never_worked_has_no_usual_rate_to_keep() {
        check(&[(10, 10, 30); 12], &[]);
    }

    #[test]
    fn an_outage_before_the_slices_that_are_kept_is_undecided_and_not_clean() {
        let hour = [(10, 0, 0); 360];
        check(
            &[&[(10, 9, 30); 6][..], &hour].concat(),
            &["(cart stock: calls failed before the last hour of calls, of which alone slices are kept)"],
        );
        check(&[&[(10, 1, 30); 6][..], &hour].concat(), &[]);
    }
}

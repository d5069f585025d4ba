//! One instance of a service asks its datastore so much at once that the queries wait for each other.
//!
//! The signal is how many queries of the instance are under way at once, over slices of ten seconds, and that they take
//! longer in the busier slices. Refused: queries that are slow whatever the load, and many at once that stay fast.

use spanlint_graph::facts::latest::SLICE_NS;
use spanlint_graph::snapshot::Pool;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::wording;

/// The fewest slices in each half that make a comparison.
const MIN_HALF: usize = 3;

/// The rule.
pub(super) struct PoolSaturation;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "pool-saturation",
    category: Category::Performance,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "Many queries of one service instance run at once and slow each other down.",
    looks_like: "At noon every page is slow. The database is not, says its owner: it sees ten connections, all busy, and \
                 behind them in the service two hundred requests wait for one to become free.",
    why: "A pool that is full turns every further query into waiting, the waiting holds threads and memory, and what began as \
          a busy minute ends as an outage that stays after the load has gone.",
    how: "For each instance and datastore, the time that queries were under way in each slice of ten seconds, by the length \
          of a slice, is how many ran at once. The pattern holds where `min_overlap` or more ran at once in `min_slices`, \
          and the mean time of a query in the busier half of the slices is `min_growth` times that in the quieter half.",
    fix: "Take load from the pool first: fewer queries a request, shorter transactions, a cache for what is read most; then \
          size the pool to what the datastore can serve, and let requests fail fast when it is full.",
    limits: "Spans do not show the pool itself. A datastore that becomes slow by itself under an even load looks alike, since \
             slower queries overlap more. Slices are kept of the last hour in which an instance queried; where enough queries \
             ran before, the rule is undecided.",
    references: &[
        "Little: A Proof for the Queuing Formula L = λW, Operations Research 9(3), 1961",
        "Nygard: Release It!, 2nd edition (2018), chapter 4, Blocked Threads",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_overlap", default: 10.0, help: "Queries at once that are many." },
        OptionMeta { name: "min_slices", default: 3.0, help: "Slices of ten seconds with so many." },
        OptionMeta {
            name: "min_growth",
            default: 1.5,
            help: "Mean time of a query in the busier half of the slices, by that in the quieter half.",
        },
    ],
    absorbs: &[],
};

impl Rule for PoolSaturation {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut worst: Vec<((NodeIndex, NodeIndex), &Pool, Load)> = Vec::new();
        // Queries before the time that is kept in slices cannot be told to have run at once.
        let mut earlier = Vec::new();
        // Pools are sorted by service; the most loaded instance stands for all to one datastore.
        for pool in &graph.pools {
            let load = Load::of(pool, options);
            if !load.is_saturated(options) {
                earlier.extend(may_saturate(pool.facts.slices.earlier().busy_ns, options).then_some(pool.service));
                continue;
            }
            let ends = (pool.service, pool.datastore);
            match worst.iter_mut().find(|(known, ..)| *known == ends) {
                Some((_, _, known)) if known.most >= load.most => {}
                Some(known) => *known = (ends, pool, load),
                None => worst.push((ends, pool, load)),
            }
        }
        for (_, pool, load) in worst {
            verdict.take(judge(graph, options, pool, &load));
        }
        if !earlier.is_empty() {
            let case = Case::new(graph, options, earlier);
            let reason = "queries ran before the last hour of queries, of which alone slices are kept";
            verdict.undecided.push(case.undecided(reason));
        }
        verdict
    }
}

/// How loaded a pool is.
struct Load {
    /// Slices with a query.
    slices: usize,
    /// Of these, those with many at once.
    busy: usize,
    /// The most queries at once, as the mean of one slice.
    most: f64,
    /// Mean time of a query in the quieter half of the slices, and in the busier half, in nanoseconds.
    halves_ns: (f64, f64),
}

impl Load {
    fn of(pool: &Pool, options: &Options<'_>) -> Self {
        let mut slices: Vec<(u64, u64)> = pool
            .facts
            .slices
            .iter()
            .map(|(_, slice)| (slice.busy_ns, slice.calls))
            .filter(|slice| slice.1 > 0)
            .collect();
        slices.sort_unstable();
        let overlap = |busy_ns: u64| busy_ns as f64 / SLICE_NS as f64;
        let mean = |slices: &[(u64, u64)]| {
            let (busy_ns, calls) =
                slices.iter().fold((0_u128, 0_u64), |sum, slice| (sum.0 + u128::from(slice.0), sum.1 + slice.1));
            busy_ns as f64 / calls.max(1) as f64
        };
        let (quiet, busy) = slices.split_at(slices.len() / 2);
        Self {
            slices: slices.len(),
            busy: slices.iter().filter(|slice| overlap(slice.0) >= options.number("min_overlap")).count(),
            most: slices.last().map_or(0.0, |slice| overlap(slice.0)),
            halves_ns: (mean(quiet), mean(busy)),
        }
    }

    fn growth(&self) -> f64 {
        self.halves_ns.1 / self.halves_ns.0.max(1.0)
    }

    fn is_saturated(&self, options: &Options<'_>) -> bool {
        let is_busy = self.busy as f64 >= options.number("min_slices").max(1.0);
        let can_compare = self.slices >= 2 * MIN_HALF;
        is_busy && (!can_compare || self.growth() >= options.number("min_growth"))
    }
}

/// Whether queries that took so long in all may have filled as many slices as a finding needs.
fn may_saturate(busy_ns: u64, options: &Options<'_>) -> bool {
    busy_ns as f64 >= options.number("min_overlap") * options.number("min_slices").max(1.0) * SLICE_NS as f64
}

fn judge(graph: &CallGraph, options: &Options<'_>, pool: &Pool, load: &Load) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [pool.service]);
    options.required().duration(graph).map_err(|missing| case.undecided(missing))?;
    if load.slices < 2 * MIN_HALF {
        let seen = wording::count(load.slices as u64, "slice");
        return Err(case.undecided(format!("{seen} of ten seconds with queries seen, {} needed", 2 * MIN_HALF)));
    }
    let (service, datastore) = (graph.node(pool.service), graph.node(pool.datastore));
    let instance = if pool.instance.is_empty() { String::new() } else { format!(" ({})", pool.instance) };
    let [quiet_ms, busy_ms] = [load.halves_ns.0, load.halves_ns.1].map(|nanoseconds| nanoseconds / 1e6);
    let (most, growth) = (wording::number(load.most.round()), wording::number(load.growth()));
    case.finding(Draft {
        title: format!("{} runs {most} queries on {} at once, and they slow each other down", service.name, datastore.name),
        message: format!(
            "In {} of {} of ten seconds, an instance of {}{instance} had {} or more queries under way at once, {most} at \
             most. In the busier half of the time a query took {} ms, in the quieter half {} ms: {growth} times as long.",
            load.busy,
            wording::count(load.slices as u64, "slice"),
            service.name,
            wording::number(options.number("min_overlap")),
            wording::number(busy_ms),
            wording::number(quiet_ms),
        ),
        fix: format!(
            "Let {} ask {} less a request and hold connections for a shorter time, then size its pool to what {} can serve.",
            service.name, datastore.name, datastore.name
        ),
        subject: Subject {
            edges: vec![(service.id.clone(), datastore.id.clone())],
            datastore: Some(datastore.id.clone()),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("queries_at_once_max", load.most, "queries").against(options.number("min_overlap")),
            Evidence::of("slices_with_many", load.busy as f64, "slices").against(options.number("min_slices")),
            Evidence::of("growth", load.growth(), "times").against(options.number("min_growth")),
        ],
        support: Support::of(load.busy as u64, load.slices as u64),
        traces: pool.facts.exemplars.proof(load.halves_ns.1 as u64),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("pool-saturation", traces, expected);
    }

    /// Slices of ten seconds, with so many queries of so many milliseconds each.
    fn slices(each: &[(u64, u64)]) -> String {
        let slice = |(place, (count, time_ms)): (usize, &(u64, u64))| {
            let at = place * 10;
            format!("at {at}s\nshop GET /\n  together {count} x sql postgresql db:5432 shop SELECT books {time_ms}ms")
        };
        each.iter().enumerate().map(slice).collect::<Vec<_>>().join("\n\n")
    }

    #[test]
    fn many_at_once_that_slow_each_other_down_are_too_many() {
        let load = [[(50, 100); 20], [(60, 2_000); 20]].concat();
        check(&slices(&load), &["warning strong: shop runs 12 queries on shop at once, and they slow each other down"]);
    }

    #[test]
    fn nine_at_once_are_few() {
        check(&slices(&[[(50, 100); 20], [(45, 2_000); 20]].concat()), &[]);
    }

    #[test]
    fn what_is_slow_whatever_the_load_is_no_saturation() {
        check(&slices(&[[(50, 2_000); 20], [(60, 2_000); 20]].concat()), &[]);
    }

    #[test]
    fn what_stays_fast_is_no_saturation() {
        check(&slices(&[[(10, 100); 20], [(2_000, 100); 20]].concat()), &[]);
    }

    #[test]
    fn a_short_input_is_undecided() {
        check(&slices(&[[(50, 100); 5], [(60, 2_000); 5]].concat()), &["(shop: 92 seconds seen, 5 minutes needed)"]);
    }

    #[test]
    fn queries_before_the_slices_that_are_kept_are_undecided_and_not_clean() {
        let hour = [(5, 100); 360];
        check(
            &slices(&[&[(60, 2_000); 3][..], &hour].concat()),
            &["(shop: queries ran before the last hour of queries, of which alone slices are kept)"],
        );
        check(&slices(&[&[(5, 100); 3][..], &hour].concat()), &[]);
    }
}

//! Support: whether enough was seen to speak, and what is missing where it was not.
//!
//! *n* counts requests of the caller's operation, *k* those that show the pattern. This module decides nothing about the
//! pattern itself.

use std::collections::BTreeSet;

use spanlint_graph::facts::Seen;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::config::{Mode, SupportConfig};
use crate::context::Options;
use crate::finding::{Confidence, Support};
use crate::topology;
use crate::wording::count;

/// The share of a service's spans without their parent above which what is said of it is less sure.
pub const MAX_ORPHAN_SHARE: f64 = 0.05;

/// Why a share of failures says nothing where sampling is biased.
pub(crate) const FAILURES_LOOK_FREQUENT: &str =
    "traces were kept by how they ended, which makes failures look more frequent than they are";

/// How much shorter than asked for a window of live traffic may be: it slides by this much, in nanoseconds.
const WINDOW_STEP_NS: u64 = 10_000_000_000;

/// The 97.5 % quantile of the normal distribution: both tails together leave out 5 %.
const Z: f64 = 1.959_963_984_540_054;

/// Lower bound of the 95 % score interval for the share `hits` of `total`; 0 of 0 gives 0.
///
/// Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference. Journal of the American
/// Statistical Association 22(158), 209-212.
pub fn wilson_lower_bound(hits: u64, total: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    let size = total as f64;
    let share = hits.min(total) as f64 / size;
    let center = share + Z * Z / (2.0 * size);
    let margin = Z * (share * (1.0 - share) / size + Z * Z / (4.0 * size * size)).sqrt();
    ((center - margin) / (1.0 + Z * Z / size)).max(0.0)
}

/// Upper bound of the 95 % score interval for the mean of which `count` is one sample, as of calls in a stretch of time.
///
/// Rao, C. R. (1948): Large sample tests of statistical hypotheses concerning several parameters. Mathematical Proceedings
/// of the Cambridge Philosophical Society 44(1), 50-57.
pub fn poisson_upper_bound(count: u64) -> f64 {
    let count = count as f64;
    count + Z * Z / 2.0 + Z * (count + Z * Z / 4.0).sqrt()
}

/// The support that a pattern needs, by the class of its rule.
#[derive(Debug, Clone, Copy)]
pub struct Required<'a> {
    config: &'a SupportConfig,
    mode: Mode,
}

impl<'a> Required<'a> {
    /// What `config` asks for in `mode`.
    pub fn new(config: &'a SupportConfig, mode: Mode) -> Self {
        Self { config, mode }
    }

    /// For a pattern that the spans of one trace show: one request in a recording, three live, and prevalence.
    pub fn proven(self, affected: u64, requests: u64) -> Result<Support, String> {
        let needed = match self.mode {
            Mode::Check => 1,
            Mode::Live => self.config.live_requests(),
        };
        if affected < needed {
            return Err(format!("{} with the pattern seen, {needed} needed", count(affected, "request")));
        }
        self.prevalent(affected, requests)
    }

    /// For a statistic: enough requests, enough distinct traces with the pattern, and prevalence.
    pub fn strong(self, affected: u64, requests: u64, traces: u64) -> Result<Support, String> {
        self.requests(requests)?;
        let needed = self.config.statistic_traces();
        if traces < needed {
            return Err(format!("{} with the pattern seen, {needed} needed", count(traces, "trace")));
        }
        self.prevalent(affected, requests)
    }

    /// For an edge of the graph, or a use of a datastore.
    pub fn edge(self, calls: u64, traces: u64) -> Result<(), String> {
        let (min_calls, min_traces) = (self.config.min_calls, self.config.edge_traces());
        if calls >= min_calls && traces >= min_traces {
            return Ok(());
        }
        let seen = format!("{} in {}", count(calls, "call"), count(traces, "trace"));
        Err(format!("{seen} seen, {min_calls} in {min_traces} needed"))
    }

    /// For a statistic about an edge: enough requests of its subject, and the edge.
    pub fn edge_of(self, requests: u64, calls: u64, traces: u64) -> Result<(), String> {
        self.requests(requests)?;
        self.edge(calls, traces)
    }

    /// For a statistic about an operation or a service that has no pattern to be counted in single requests.
    pub fn requests(self, requests: u64) -> Result<(), String> {
        let needed = self.config.min_requests;
        if requests < needed {
            return Err(format!("{} seen, {needed} needed", count(requests, "request")));
        }
        Ok(())
    }

    /// For what is a fault the first time that it is seen: no prevalence.
    pub fn sighting(self, affected: u64, requests: u64) -> Result<Support, String> {
        if affected == 0 {
            return Err("the pattern was not seen".to_owned());
        }
        Ok(Support::of(affected, requests))
    }

    /// For a rule about the whole system.
    pub fn system(self, graph: &CallGraph) -> Result<(), String> {
        let services = graph.indexed_nodes().filter(|(_, node)| node.service.is_some());
        let seen = topology::count_services(graph, services.map(|(index, _)| index));
        let needed = self.config.min_services;
        if (seen as u64) < needed {
            return Err(format!("{} seen, {needed} needed", count(seen as u64, "service")));
        }
        Ok(())
    }

    /// For a rule about time: how long the input lasts.
    pub fn duration(self, graph: &CallGraph) -> Result<(), String> {
        let Seen { first_ns, last_ns } = graph.counts.seen;
        let seconds = last_ns.saturating_sub(first_ns) / 1_000_000_000;
        let tolerance = if self.mode == Mode::Live { WINDOW_STEP_NS / 1_000_000_000 } else { 0 };
        let needed = self.config.min_minutes * 60;
        if seconds + tolerance < needed {
            return Err(format!(
                "{} seen, {} needed",
                count(seconds, "second"),
                count(self.config.min_minutes, "minute")
            ));
        }
        Ok(())
    }

    fn prevalent(self, affected: u64, requests: u64) -> Result<Support, String> {
        let prevalence_low = wilson_lower_bound(affected, requests);
        if prevalence_low >= self.config.min_prevalence {
            return Ok(Support::of(affected, requests));
        }
        let (low, needed) = (prevalence_low * 100.0, self.config.min_prevalence * 100.0);
        let seen = format!("the pattern is in {affected} of {}", count(requests, "request"));
        Err(format!("{seen}, surely in {low:.1} %, where {needed} % is needed"))
    }
}

/// One level lower where there is a doubt; none where that is below heuristic.
pub fn confidence(full: Confidence, is_doubtful: bool) -> Option<Confidence> {
    match (full, is_doubtful) {
        (full, false) => Some(full),
        (Confidence::Proven, true) => Some(Confidence::Strong),
        (Confidence::Strong, true) => Some(Confidence::Heuristic),
        (Confidence::Heuristic, true) => None,
    }
}

/// Why a finding is less sure than its rule's class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// A service lost more than [`MAX_ORPHAN_SHARE`] of its spans' parents.
    Orphans,
    /// Which traces were kept depends on how they ended or how long they took.
    Sampling,
    /// No attribute tells the parameters of the calls.
    Parameters,
    /// No attribute tells the host of the datastore.
    Host,
}

impl Doubt {
    /// The words that reports use, as a clause.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orphans => "spans are missing their parents",
            Self::Sampling => "traces were kept by how they ended or how long they took",
            Self::Parameters => "the parameters of the calls are unknown",
            Self::Host => "the host of the datastore is unknown",
        }
    }
}

/// What lowers the confidence in anything that is said of these services.
pub(crate) fn doubts(graph: &CallGraph, options: &Options<'_>, services: &BTreeSet<NodeIndex>) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    if services.iter().any(|&service| has_orphans(graph, service)) {
        doubts.push(Doubt::Orphans);
    }
    if options.coverage().sampling.is_biased() {
        doubts.push(Doubt::Sampling);
    }
    doubts
}

/// Whether a service lost more than [`MAX_ORPHAN_SHARE`] of its spans' parents.
pub(crate) fn has_orphans(graph: &CallGraph, node: NodeIndex) -> bool {
    let service = graph.node(node).service.as_ref();
    service.is_some_and(|service| service.facts.orphan_spans as f64 > service.facts.spans as f64 * MAX_ORPHAN_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(actual: Result<Support, String>, expected: Result<f64, &str>) {
        match (actual, expected) {
            (Ok(support), Ok(low)) => assert!((support.prevalence_low - low).abs() < 0.001, "{support:?}"),
            (actual, expected) => assert_eq!(actual.unwrap_err(), expected.unwrap_err()),
        }
    }

    #[test]
    fn wilson_agrees_with_the_published_values() {
        for (hits, total, low) in [(1, 1, 0.2065), (3, 18, 0.0584), (0, 10, 0.0), (0, 0, 0.0), (81, 263, 0.2553)] {
            assert!((wilson_lower_bound(hits, total) - low).abs() < 0.000_1, "{hits} of {total}");
        }
    }

    #[test]
    fn poisson_agrees_with_the_published_values() {
        for (count, high) in [(0, 3.8415), (1, 5.6649), (10, 18.4097), (100, 121.6141)] {
            assert!((poisson_upper_bound(count) - high).abs() < 0.01, "{count}: {}", poisson_upper_bound(count));
        }
    }

    #[test]
    fn one_request_proves_in_a_recording_and_three_live() {
        let config = SupportConfig::default();
        let recorded = Required::new(&config, Mode::Check);
        check(recorded.proven(1, 1), Ok(0.2065));
        check(recorded.proven(3, 18), Ok(0.0584));
        check(
            recorded.proven(1, 500),
            Err("the pattern is in 1 of 500 requests, surely in 0.0 %, where 5 % is needed"),
        );
        let live = Required::new(&config, Mode::Live);
        check(live.proven(2, 2), Err("2 requests with the pattern seen, 3 needed"));
        check(live.proven(3, 3), Ok(0.4385));
    }

    #[test]
    fn a_statistic_needs_requests_traces_and_prevalence() {
        let config = SupportConfig::default();
        let required = Required::new(&config, Mode::Check);
        check(required.strong(29, 29, 29), Err("29 requests seen, 30 needed"));
        check(required.strong(30, 30, 4), Err("4 traces with the pattern seen, 5 needed"));
        check(required.strong(30, 30, 5), Ok(0.8865));
    }

    #[test]
    fn an_edge_needs_calls_and_traces() {
        let config = SupportConfig::default();
        let required = Required::new(&config, Mode::Live);
        assert_eq!(required.edge(10, 3), Ok(()));
        assert_eq!(required.edge(10, 2), Err("10 calls in 2 traces seen, 10 in 3 needed".to_owned()));
        assert_eq!(required.edge(1, 1), Err("1 call in 1 trace seen, 10 in 3 needed".to_owned()));
    }

    #[test]
    fn a_whole_system_needs_services_and_time_needs_minutes() {
        let config = SupportConfig::default();
        let graph = crate::testing::graph("a GET /\n  b GET /b");
        let required = Required::new(&config, Mode::Check);
        assert_eq!(required.system(&graph), Err("2 services seen, 6 needed".to_owned()));
        assert_eq!(required.duration(&graph), Err("0 seconds seen, 5 minutes needed".to_owned()));
        let long = crate::testing::graph("296 traces\na GET /");
        assert_eq!(required.duration(&long), Err("295 seconds seen, 5 minutes needed".to_owned()));
        assert_eq!(Required::new(&config, Mode::Live).duration(&long), Ok(()), "a window slides");
        assert_eq!(required.duration(&crate::testing::graph("301 traces\na GET /")), Ok(()));
    }

    #[test]
    fn a_sighting_needs_no_prevalence_and_an_edge_of_a_statistic_needs_both() {
        let config = SupportConfig::default();
        let required = Required::new(&config, Mode::Live);
        check(required.sighting(1, 5_000), Ok(0.0));
        check(required.sighting(0, 5_000), Err("the pattern was not seen"));
        assert_eq!(required.edge_of(29, 10, 3), Err("29 requests seen, 30 needed".to_owned()));
        assert_eq!(required.edge_of(30, 9, 3), Err("9 calls in 3 traces seen, 10 in 3 needed".to_owned()));
        assert_eq!(required.edge_of(30, 10, 3), Ok(()));
    }

    #[test]
    fn a_doubt_costs_one_level() {
        assert_eq!(confidence(Confidence::Proven, true), Some(Confidence::Strong));
        assert_eq!(confidence(Confidence::Strong, true), Some(Confidence::Heuristic));
        assert_eq!(confidence(Confidence::Heuristic, true), None);
        assert_eq!(confidence(Confidence::Heuristic, false), Some(Confidence::Heuristic));
    }
}

//! A query is slow: not once, but for one in twenty of its runs.
//!
//! The signal is the 95th percentile of one query's time over all operations of a service. With `single_query_ms` it is the
//! time of a single reading query instead, for judging traces one by one. Refused: streams, commands that wait on purpose,
//! what sets up a session or a schema.

use std::collections::BTreeMap;

use spanlint_graph::facts::{Entry, Exemplars, Histogram};
use spanlint_graph::snapshot::CallPattern;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::repetition;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::wording;

/// First words of commands that wait until something comes.
const WAITING_WORDS: [&str; 13] = [
    "blmove",
    "blmpop",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzpopmax",
    "bzpopmin",
    "listen",
    "psubscribe",
    "subscribe",
    "wait",
    "watch",
    "xreadgroup",
];

/// The rule.
pub(super) struct SlowQuery;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "slow-query",
    category: Category::Performance,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "One query of a service is slow for one in twenty of its runs, or for more.",
    looks_like: "The list of orders opens at once for most, and takes two seconds for the customers with many. The query \
                 reads the whole table, and the table grows.",
    why: "The request waits for it, the connection is held for as long, and what is slow with today's rows is slower with \
          tomorrow's.",
    how: "The 95th percentile of the time of one query, over all operations of a service, is taken. The pattern holds over \
          `max_ms`. With `single_query_ms` set, each reading query that took so long is reported instead, for judging \
          single traces.",
    fix: "Look at the query's plan: an index that is missing, rows that are read and thrown away, an answer without a \
          limit.",
    limits: "Time spent waiting for a connection or a lock counts as the query's. Streams, commands that wait on purpose, \
             and what sets up a session or a schema are exempt. A query that only schedules run is a note.",
    references: &["Winand: SQL Performance Explained (2012)", "Dean, Barroso: The Tail at Scale, CACM 56(2), 2013"],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "max_ms", default: 500.0, help: "95th percentile that is slow, in milliseconds." },
        OptionMeta {
            name: "error_from_ms",
            default: 1_000.0,
            help: "95th percentile from which it is an error, in milliseconds.",
        },
        OptionMeta {
            name: "single_query_ms",
            default: 0.0,
            help: "Time of a single reading query that is reported, in milliseconds; 0 judges percentiles instead.",
        },
    ],
    absorbs: &[],
};

impl Rule for SlowQuery {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut queries: BTreeMap<(NodeIndex, NodeIndex, &str), Query<'_>> = BTreeMap::new();
        let mut verdict = Verdict::default();
        if !graph.patterns.iter().any(|pattern| graph.node(pattern.callee).datastore.is_some()) {
            verdict.undecided.push(Undecided::of_input(&META, "no queries were seen"));
        }
        for pattern in graph.patterns.iter().filter(|pattern| is_judged(graph, pattern)) {
            let key = (graph.operation(pattern.caller).node, pattern.callee, pattern.template.as_str());
            queries.entry(key).or_default().add(graph, pattern);
        }
        let is_single = options.number("single_query_ms") > 0.0;
        for (&(service, datastore, template), query) in &queries {
            let judged = match is_single {
                true if !query.is_read() => None,
                true => query.judge_single(graph, options, (service, datastore), template),
                false => query.judge(graph, options, (service, datastore), template),
            };
            if let Some(judged) = judged {
                verdict.take(judged);
            }
        }
        verdict
    }
}

/// Whether the pattern is a query that should be answered at once.
fn is_judged(graph: &CallGraph, pattern: &CallPattern) -> bool {
    let first = pattern.template.split_whitespace().next().unwrap_or_default();
    let waits = WAITING_WORDS.iter().any(|word| first.eq_ignore_ascii_case(word));
    let sets_up = pattern.facts.set_up_calls * 2 > pattern.facts.calls;
    graph.node(pattern.callee).datastore.is_some() && !pattern.template.is_empty() && !waits && !sets_up
}

/// One query of a service, over all of its operations.
#[derive(Default)]
struct Query<'a> {
    latency: Histogram,
    slow: Exemplars,
    requests: u64,
    /// Of these, of operations that mostly a schedule starts.
    scheduled: u64,
    writes: u64,
    patterns: Vec<&'a CallPattern>,
}

impl<'a> Query<'a> {
    fn add(&mut self, graph: &CallGraph, pattern: &'a CallPattern) {
        let facts = &pattern.facts;
        let operation = &graph.operation(pattern.caller).facts;
        let is_scheduled = operation.entries[Entry::Schedule as usize] * 2 > operation.requests;
        self.latency.merge(&facts.latency);
        self.slow.merge(&facts.slow);
        self.requests += facts.requests;
        self.scheduled += if is_scheduled { facts.requests } else { 0 };
        self.writes += facts.writes;
        self.patterns.push(pattern);
    }

    /// Whether it reads, and its text is whole.
    fn is_read(&self) -> bool {
        let template = &self.patterns[0].template;
        let reads = template.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("select"));
        reads && self.writes == 0 && !template.ends_with("...") && !template.ends_with('…')
    }

    fn judge(
        &self,
        graph: &CallGraph,
        options: &Options<'_>,
        ends: (NodeIndex, NodeIndex),
        template: &str,
    ) -> Option<Result<Finding, Undecided>> {
        let max_ns = (options.number("max_ms") * 1e6) as u64;
        let p95_ns = self.latency.quantile(0.95);
        if p95_ns <= max_ns {
            return None;
        }
        let case = Case::new(graph, options, [ends.0]);
        let slow = self.latency.count_from(max_ns);
        let required = options.required();
        if let Err(missing) = required.edge_of(self.requests, self.latency.count(), slow.min(self.requests)) {
            return Some(Err(case.undecided(missing)));
        }
        let p95_ms = wording::milliseconds(p95_ns);
        let severity = match p95_ms >= options.number("error_from_ms") {
            _ if self.scheduled * 2 > self.requests => Severity::Note,
            true => Severity::Error,
            false => META.severity,
        };
        let query = wording::statement(template, &self.patterns[0].tables);
        let service = &graph.node(ends.0).name;
        let draft = Draft {
            severity,
            title: format!("{service} waits {} ms for {query} in one of twenty runs", wording::number(p95_ms)),
            message: format!(
                "{query} on {} takes {} ms at the 95th percentile of {}, {} ms at the median; {} took over {} ms.",
                graph.node(ends.1).name,
                wording::number(p95_ms),
                wording::count(self.latency.count(), "run"),
                wording::number(wording::milliseconds(self.latency.quantile(0.5))),
                wording::count(slow, "run"),
                wording::number(options.number("max_ms")),
            ),
            evidence: vec![
                Evidence::of("latency_ms_p95", p95_ms, "ms").against(options.number("max_ms")),
                Evidence::of("latency_ms_p50", wording::milliseconds(self.latency.quantile(0.5)), "ms"),
            ],
            support: Support::of(slow, self.latency.count()),
            traces: self.slow.proof(p95_ns),
            ..case.draft()
        };
        Some(case.finding(self.completed(graph, ends, template, draft)))
    }

    /// Any run of at least `single_query_ms` is a finding.
    fn judge_single(
        &self,
        graph: &CallGraph,
        options: &Options<'_>,
        ends: (NodeIndex, NodeIndex),
        template: &str,
    ) -> Option<Result<Finding, Undecided>> {
        let limit_ms = options.number("single_query_ms");
        let slow = self.latency.count_from((limit_ms * 1e6) as u64);
        let (most_ns, _) = self.slow.worst().filter(|(worst_ns, _)| wording::milliseconds(*worst_ns) >= limit_ms)?;
        let case = Case::new(graph, options, [ends.0]);
        let support = match options.required().proven(slow.max(1), self.latency.count()) {
            Ok(support) => support,
            Err(missing) => return Some(Err(case.undecided(missing))),
        };
        let most_ms = wording::milliseconds(most_ns);
        let query = wording::statement(template, &self.patterns[0].tables);
        let service = &graph.node(ends.0).name;
        let draft = Draft {
            title: format!("{service} waited {} ms for {query}", wording::number(most_ms)),
            message: format!(
                "{} of {} of {query} on {} took {} ms or more, the slowest {} ms.",
                slow,
                wording::count(self.latency.count(), "run"),
                graph.node(ends.1).name,
                wording::number(limit_ms),
                wording::number(most_ms),
            ),
            evidence: vec![Evidence::of("latency_ms_max", most_ms, "ms").against(limit_ms)],
            support,
            traces: self.slow.proof(most_ns),
            ..case.draft()
        };
        Some(case.finding(self.completed(graph, ends, template, draft)))
    }

    /// What both ways of judging say alike.
    fn completed(
        &self,
        graph: &CallGraph,
        (service, datastore): (NodeIndex, NodeIndex),
        template: &str,
        draft: Draft,
    ) -> Draft {
        let tables = &self.patterns[0].tables;
        let (service, datastore) = (&graph.node(service).name, graph.node(datastore));
        let of_tables = if tables.is_empty() { String::new() } else { format!(" on {}", wording::list(tables)) };
        Draft {
            fix: format!(
                "Look at the plan of this query of {service}: an index that is missing{of_tables}, rows that are read and \
                 thrown away, or an answer without a limit."
            ),
            subject: Subject {
                datastore: Some(datastore.id.clone()),
                operations: vec![wording::operation(&datastore.name, template)],
                tables: tables.clone(),
                ..Subject::default()
            },
            locations: repetition::locations(self.patterns.iter().copied()),
            ..draft
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("slow-query", traces, expected);
    }

    fn runs(count: usize, query: &str) -> String {
        format!("{count} traces\nshop GET /\n  sql postgresql db:5432 shop {query}")
    }

    #[test]
    fn the_95th_percentile_decides() {
        let title = "shop waits 696 ms for SELECT books in one of twenty runs";
        check(&runs(30, "SELECT books 700ms"), &[&format!("warning strong: {title}")]);
        check(&runs(30, "SELECT books 480ms"), &[]);
        check(&format!("{}\n\n{}", runs(96, "SELECT books"), runs(4, "SELECT books 700ms")), &[]);
    }

    #[test]
    fn a_second_is_an_error() {
        check(
            &runs(30, "SELECT books 2000ms"),
            &["error strong: shop waits 1996 ms for SELECT books in one of twenty runs"],
        );
    }

    #[test]
    fn few_runs_are_undecided() {
        check(&runs(29, "SELECT books 700ms"), &["(shop: 29 requests seen, 30 needed)"]);
    }

    #[test]
    fn waiting_on_purpose_and_setting_up_are_not_slow() {
        check(&runs(30, "CREATE books 700ms"), &[]);
        check("30 traces\nshop GET /\n  sql redis cache:6379 0 BLPOP jobs 700ms", &[]);
    }

    #[test]
    fn the_query_of_a_schedule_is_a_note() {
        check(
            &runs(30, "SELECT books 700ms").replace("shop GET /", "schedule shop nightly"),
            &["note strong: shop waits 696 ms for SELECT books in one of twenty runs"],
        );
    }

    #[test]
    fn single_reading_queries_are_judged_where_asked_for() {
        let config = "[rules.slow-query]\nsingle_query_ms = 500";
        let title = "warning strong: shop waited 700 ms for SELECT books";
        check_with("slow-query", &runs(1, "SELECT books 700ms"), config, &[title]);
        for query in ["SELECT books 490ms", "INSERT books 700ms", "SELECT books... 700ms"] {
            check_with("slow-query", &runs(1, query), config, &[]);
        }
    }

    #[test]
    fn an_input_without_queries_cannot_tell() {
        check("shop GET /\n  stock GET /stock", &["(no queries were seen)"]);
    }
}

//! One request runs the same query again and again, each time for something else: a list was read, then every entry of it
//! by a query of its own.
//!
//! The signal is the number of queries of one template that differ, within one request and under parents of one name, and
//! sequences of queries that come again in turn. Refused: caches and key-value stores, what sets up a session, pages of a
//! cursor, one query for each shard, the same query with the same parameters (another rule's matter), texts that were cut
//! off.
//!
//! One operation and datastore make one finding: the worst query leads, the others are counted.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::facts::histogram;
use spanlint_graph::snapshot::CallPattern;
use spanlint_graph::span::EdgeKind;
use spanlint_graph::{CallGraph, NodeIndex, OperationIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::datastore;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::repetition::{self, Repeated};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::support::Doubt;
use crate::wording;

/// First words of statements that fetch the next page of one answer.
const PAGE_WORDS: [&str; 4] = ["fetch", "getmore", "scan", "scroll"];

/// The rule.
pub(super) struct NPlusOneQueries;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "n-plus-one-queries",
    category: Category::Chatter,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "One request runs the same query once per item.",
    looks_like: "A page lists forty books. One query reads the books, then the template asks each book for its author, and \
                 the mapper answers with forty more queries that nobody wrote. On a laptop with three books it is fast.",
    why: "Each query pays for a round trip, a connection and a plan, so the request becomes slower with every item of the \
          list, and the datastore does forty times the work for one page.",
    how: "Within one request, queries of one template under one parent, or under parents of one name, are counted: all of them \
          where three or more have parameters of their own or unknown ones, since books of one list may have one author. The \
          pattern holds from `min_calls` on, and for sequences of two to \
          eight queries that come again `min_rounds` times, where the queries take `sufficient_ms` or `min_share` percent \
          of the request.",
    fix: "Read all the rows with one query: a join, an `IN` list, or the mapper's eager loading; in resolvers gather the \
          keys of one request in a data loader.",
    limits: "Caches and key-value stores, connects and transactions, pages of a cursor and one query for each shard do not \
             count. Where no attribute tells the parameters, the queries may be the same; the confidence is lower then. \
             Texts that were cut off are undecided.",
    references: &[
        "Fowler: Patterns of Enterprise Application Architecture (2002), Lazy Load, ripple loading",
        "Smith, Williams: Software Performance AntiPatterns (2000), Circuitous Treasure Hunt",
        "Chen et al.: Detecting Performance Anti-patterns for Applications Developed using Object-Relational Mapping, ICSE 2014",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_calls", default: 5.0, help: "Differing queries in one request that make the pattern." },
        OptionMeta { name: "min_rounds", default: 3.0, help: "Rounds of a sequence of queries that make the pattern." },
        OptionMeta {
            name: "min_total_ms",
            default: 0.0,
            help: "Time in such queries that a request needs in any case, in milliseconds.",
        },
        OptionMeta {
            name: "sufficient_ms",
            default: 50.0,
            help: "Time in such queries that is enough whatever its share, in milliseconds.",
        },
        OptionMeta {
            name: "min_share",
            default: 10.0,
            help: "Share of the request in such queries that is enough whatever their time, in percent.",
        },
        OptionMeta { name: "error_from", default: 20.0, help: "Median of such queries from which it is an error." },
    ],
    absorbs: &["excessive-fan-out", "repeated-calls"],
};

impl Rule for NPlusOneQueries {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut groups: BTreeMap<(OperationIndex, NodeIndex), Vec<Found<'_>>> = BTreeMap::new();
        for pattern in graph.patterns.iter().filter(|pattern| is_judged(graph, pattern)) {
            if let Some(found) = Found::of(graph, pattern, options) {
                groups.entry((pattern.caller, pattern.callee)).or_default().push(found);
            }
        }
        let told: Vec<_> = groups.keys().copied().collect();
        groups.retain(|&(caller, above), _| {
            !told.iter().any(|&(other, driven)| other == caller && is_mapper_of(graph, above, driven))
        });
        let mut verdict = Verdict::default();
        if !graph.patterns.iter().any(|pattern| pattern.kind == EdgeKind::Database) {
            verdict.undecided.push(Undecided::of_input(&META, "no queries were seen"));
        }
        for ((_, datastore), found) in groups {
            verdict.take(judge(graph, options, datastore, found));
        }
        verdict
    }
}

/// Whether the pattern is a query for data that a request may need many of.
fn is_judged(graph: &CallGraph, pattern: &CallPattern) -> bool {
    let Some(info) = &graph.node(pattern.callee).datastore else { return false };
    let first = pattern.template.split_whitespace().next().unwrap_or_default();
    let is_page = PAGE_WORDS.iter().any(|word| first.eq_ignore_ascii_case(word));
    let sets_up = pattern.facts.set_up_calls * 2 > pattern.facts.calls;
    !pattern.template.is_empty() && !datastore::is_cache(info) && !is_page && !sets_up
}

/// Whether queries to `above` are those that a mapper tells and that its driver sends to `driven`.
fn is_mapper_of(graph: &CallGraph, above: NodeIndex, driven: NodeIndex) -> bool {
    let [above, driven] = [above, driven].map(|node| graph.node(node).datastore.as_ref());
    above.zip(driven).is_some_and(|(above, driven)| datastore::is_mapper_of(above, driven))
}

/// Whether the text of the query was cut off, so that nobody can tell whether two of them are one.
fn is_truncated(template: &str) -> bool {
    template.ends_with("...") || template.ends_with('…')
}

/// A query that some requests repeat.
struct Found<'a> {
    repeated: Repeated<'a>,
    /// Queries of the sequence, where it is one.
    sequence: Option<u8>,
    severity: Severity,
}

impl<'a> Found<'a> {
    fn of(graph: &'a CallGraph, pattern: &'a CallPattern, options: &Options<'_>) -> Option<Self> {
        let nanoseconds = |option| histogram::bucket((options.number(option) * 1e6) as u64);
        let (min_total, sufficient) = (nanoseconds("min_total_ms"), nanoseconds("sufficient_ms"));
        let min_share = options.number("min_share");
        let is_long =
            |union_ns, share| union_ns >= min_total && (union_ns >= sufficient || f64::from(share) >= min_share);
        let min_calls = histogram::bucket(options.whole("min_calls"));
        let again = Repeated::of(graph, pattern, options, |repetition| {
            repetition.distinct >= min_calls && is_long(repetition.union_ns, repetition.share)
        });
        let length = || pattern.facts.sequences.keys().map(|sequence| sequence.length).max();
        let in_turn = || Repeated::of_sequences(graph, pattern, options, options.whole("min_rounds"), is_long);
        let (repeated, sequence) =
            again.map(|again| (again, None)).or_else(|| in_turn().map(|in_turn| (in_turn, length())))?;
        let severity = repeated.severity(META.severity, Severity::Error, options.number("error_from"));
        Some(Self { repeated, sequence, severity })
    }

    fn query(&self) -> String {
        wording::statement(&self.repeated.pattern.template, &self.repeated.pattern.tables)
    }
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    datastore: NodeIndex,
    mut found: Vec<Found<'_>>,
) -> Result<Finding, Undecided> {
    // Stable, so that of two equal queries the one with the smaller text leads.
    found.sort_by_key(|each| (is_truncated(&each.repeated.pattern.template), each.repeated.weight(each.severity)));
    let Found { repeated: lead, severity, .. } = &found[0];
    let service = &graph.node(lead.caller.node).name;
    let case = Case::new(graph, options, [lead.caller.node]);
    if is_truncated(&lead.pattern.template) {
        let reason = "the text of repeated queries was cut off, which hides whether they are one query";
        return Err(case.undecided(reason));
    }
    let support = lead.support.clone().map_err(|missing| case.undecided(missing))?;
    let supported = || found.iter().map(|each| &each.repeated).filter(|each| each.support.is_ok());
    let caller = wording::operation(service, &lead.caller.name);
    let tables: BTreeSet<_> = supported().flat_map(|each| &each.pattern.tables).cloned().collect();
    let of_tables = match lead.pattern.tables.as_slice() {
        [] => String::new(),
        tables => format!(" of {}", wording::list(tables)),
    };
    case.finding(Draft {
        severity: *severity,
        doubt: lead.is_unknown.then_some(Doubt::Parameters),
        title: match found[0].sequence {
            None => format!("{caller} runs {} {} times a request", found[0].query(), lead.median_calls()),
            Some(length) => format!(
                "{caller} goes through {length} queries from {} on {} times a request",
                found[0].query(),
                lead.median_calls()
            ),
        },
        message: message(&found[0], &caller, &graph.node(datastore).name, supported().count() - 1),
        fix: format!(
            "Let {service} read all rows{of_tables} that {} needs with one query: a join, an IN list, or eager loading in \
             the mapper.",
            if lead.caller.name.is_empty() { "the request" } else { &lead.caller.name }
        ),
        subject: Subject {
            datastore: Some(graph.node(datastore).id.clone()),
            operations: vec![caller.clone()],
            tables: tables.into_iter().collect(),
            ..Subject::default()
        },
        evidence: evidence(lead, found[0].sequence, options),
        support,
        impact: lead.impact(),
        traces: lead.traces(),
        locations: repetition::locations(supported().map(|each| each.pattern)),
        ..case.draft()
    })
}

fn message(found: &Found<'_>, caller: &str, datastore: &str, others: usize) -> String {
    let lead = &found.repeated;
    let requests = wording::count(lead.requests(), "request");
    let (calls, share) = (lead.median_calls(), wording::percent(lead.median_share()));
    let time = wording::number(lead.median_time_ms());
    let what = match found.sequence {
        None if lead.is_unknown => format!("{} runs again and again, with unknown parameters", found.query()),
        None => format!("{} runs again and again, each time for something else", found.query()),
        Some(length) => format!("{length} queries come again in turn, {} first", found.query()),
    };
    let others = match others {
        0 => String::new(),
        1 => " Another query of the operation repeats as well.".to_owned(),
        others => format!(" {others} more queries of the operation repeat as well."),
    };
    format!(
        "In {} of {requests} of {caller}, {what}: {calls} times in the median one, which takes {time} ms of {datastore}, \
         {share} of the request.{others}",
        lead.affected
    )
}

fn evidence(lead: &Repeated<'_>, sequence: Option<u8>, options: &Options<'_>) -> Vec<Evidence> {
    let calls = lead.median_calls() as f64;
    vec![
        match sequence {
            None => Evidence::of("queries_per_request_p50", calls, "queries").against(options.number("min_calls")),
            Some(_) => Evidence::of("rounds_per_request_p50", calls, "rounds").against(options.number("min_rounds")),
        },
        Evidence::of("queries_per_request_max", lead.most_calls() as f64, "queries"),
        Evidence::of("time_in_queries_ms_p50", lead.median_time_ms(), "ms").against(options.number("sufficient_ms")),
        Evidence::of("share_of_request_p50", lead.median_share() as f64, "percent")
            .against(options.number("min_share")),
    ]
}

#[cfg(test)]
mod tests {
    use crate::testing::{analysis, check_with, lines};

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("n-plus-one-queries", traces, expected);
    }

    const BOOKS: &str = "sql postgresql db:5432 shop SELECT books";

    #[test]
    fn queries_with_parameters_of_their_own_fire() {
        check(
            "shop GET /\n  5 x sql postgresql db:5432 shop SELECT books keyed",
            &["warning proven: shop GET / runs SELECT books 5 times a request"],
        );
    }

    #[test]
    fn unknown_parameters_lower_the_confidence() {
        check(
            &format!("shop GET /\n  7 x {BOOKS}"),
            &["warning strong: shop GET / runs SELECT books 7 times a request"],
        );
    }

    #[test]
    fn four_queries_are_few_and_twenty_an_error() {
        check(&format!("shop GET /\n  4 x {BOOKS}"), &[]);
        let title = "error strong: shop GET / runs SELECT books 20 times a request";
        check(&format!("shop GET /\n  20 x {BOOKS}"), &[title]);
    }

    #[test]
    fn queries_at_once_fire_as_well() {
        check(
            &format!("shop GET /\n  together 8 x {BOOKS}"),
            &["warning strong: shop GET / runs SELECT books 8 times a request"],
        );
    }

    #[test]
    fn interleaved_queries_are_one_finding() {
        let traces =
            format!("shop GET /{}", format!("\n  {BOOKS}\n  sql postgresql db:5432 shop SELECT pages").repeat(6));
        let analysis = analysis(&traces, "");
        assert_eq!(lines(&analysis)[0], "warning strong: shop GET / runs SELECT books 6 times a request");
        let finding = &analysis.findings[0];
        assert_eq!(finding.subject.tables, ["books", "pages"]);
        assert!(finding.message.ends_with("Another query of the operation repeats as well."), "{}", finding.message);
    }

    #[test]
    fn a_sequence_counts_from_three_rounds() {
        let round = format!("\n  {BOOKS}\n  sql postgresql db:5432 shop SELECT pages");
        check(
            &format!("shop GET /{}", round.repeat(3)),
            &["warning strong: shop GET / goes through 2 queries from SELECT books on 3 times a request"],
        );
        check(&format!("shop GET /{}", round.repeat(2)), &[]);
    }

    #[test]
    fn a_small_and_short_part_of_a_request_is_no_fault() {
        let traces = format!("shop GET /\n  wait 100ms\n  7 x {BOOKS}");
        check(&traces, &[]);
        let config = "[rules.n-plus-one-queries]\nsufficient_ms = 7";
        let title = "warning strong: shop GET / runs SELECT books 7 times a request";
        check_with("n-plus-one-queries", &traces, config, &[title]);
    }

    #[test]
    fn a_minimum_of_time_holds_whatever_the_share() {
        let traces = format!("shop GET /\n  7 x {BOOKS}");
        check_with("n-plus-one-queries", &traces, "[rules.n-plus-one-queries]\nmin_total_ms = 50", &[]);
    }

    #[test]
    fn entries_of_a_list_may_be_alike() {
        let authors = |differing: usize| format!("shop GET /\n  4 x {BOOKS} same\n  {differing} x {BOOKS} keyed");
        check(&authors(2), &["warning proven: shop GET / runs SELECT books 6 times a request"]);
        check(&authors(1), &[]);
    }

    #[test]
    fn asking_for_the_same_again_is_another_matter() {
        check(&format!("shop GET /\n  9 x {BOOKS} same"), &[]);
    }

    #[test]
    fn caches_sessions_and_cursors_do_not_count() {
        for statement in [
            "redis cache:6379 0 GET book",
            "postgresql db:5432 shop BEGIN transaction",
            "mongodb db:27017 shop getMore books",
            "sqlite - shop CREATE books",
        ] {
            check(&format!("shop GET /\n  9 x sql {statement}"), &[]);
        }
    }

    #[test]
    fn one_query_for_each_shard_is_a_scatter() {
        let shards: String = (0..9)
            .map(|shard| format!("\n  sql postgresql shard-{shard}:5432 shop SELECT books"))
            .collect::<Vec<_>>()
            .concat();
        check(&format!("shop GET /{shards}"), &[]);
    }

    #[test]
    fn the_mapper_above_a_driver_is_not_told_twice() {
        check(
            "shop GET /\n  7 x sql mongodb db:27017 shop find books\n  7 x sql mongodb - - books.find books",
            &["warning strong: shop GET / runs find books 7 times a request"],
        );
    }

    #[test]
    fn texts_that_were_cut_off_are_undecided() {
        check(
            "shop GET /\n  7 x sql postgresql db:5432 shop SELECT books...",
            &["(shop: the text of repeated queries was cut off, which hides whether they are one query)"],
        );
    }

    #[test]
    fn requests_from_messages_count_one_lower_and_from_schedules_as_a_note() {
        let title = "runs SELECT books 20 times a request";
        let below = format!("\n  20 x {BOOKS}");
        check(&format!("mail takes order{below}"), &[&format!("warning strong: mail process order {title}")]);
        check(&format!("schedule mail nightly{below}"), &[&format!("note strong: mail nightly {title}")]);
    }

    #[test]
    fn a_fluke_is_undecided() {
        check(
            &format!("shop GET /\n  7 x {BOOKS}\n\n60 traces\nshop GET /\n  {BOOKS}"),
            &["(shop: the pattern is in 1 of 61 requests, surely in 0.3 %, where 5 % is needed)"],
        );
    }

    #[test]
    fn an_input_without_queries_cannot_tell() {
        check("shop GET /\n  7 x stock GET /stock", &["(no queries were seen)"]);
    }

    #[test]
    fn what_one_query_in_place_of_many_saves_is_computed() {
        let saved = analysis(&format!("shop GET /\n  10 x {BOOKS}"), "").findings[0].impact.unwrap();
        assert!((8.5..9.5).contains(&saved.latency_ms_p50), "{saved:?}");
    }
}

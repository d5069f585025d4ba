//! Traces of a service begin in the middle: the spans that called it never came.
//!
//! The signal is the share of a service's spans that name a parent which is not there. The finding says which service
//! most likely loses them: the one that was seen to call this one without being answered.

use spanlint_graph::snapshot::ServiceInfo;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct BrokenTrace;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "broken-trace",
    category: Category::Telemetry,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "Spans of a service name parents that never came.",
    looks_like: "Half of the traces of the stock service begin in its own middle: something called it, but nobody can say what.",
    why: "A trace without its beginning shows neither who asked nor why. Every other finding about the service, and every \
          graph with it, is only half right.",
    how: "Of a service's spans that name a parent, those whose parent is not among the spans are counted. The pattern holds \
          from `min_spans` such spans named on, where more than `max_share` of them are orphans, and surely 5 % (the lower \
          bound of the 95 % interval).",
    fix: "Find what drops the spans of the callers: a sampler that decides for each service on its own, an exporter that runs \
          full, a proxy that passes the context on and sends nothing.",
    limits: "A recording that was cut at its edges has some orphans at both ends. Confidence in other findings about the \
             service is lowered anyway.",
    references: &["OpenTelemetry: Specification, Sampling (parent-based)", "W3C: Trace Context (2021)"],
    instrumentation_score: &["SPA-002"],
    options: &[
        OptionMeta { name: "min_spans", default: 20.0, help: "Spans that name a parent, needed to judge." },
        OptionMeta {
            name: "max_share",
            default: 0.05,
            help: "Share of them whose parent may be missing, from 0 to 1.",
        },
    ],
    absorbs: &[],
};

impl Rule for BrokenTrace {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for index in topology::services(graph) {
            let Some(service) = &graph.node(index).service else { continue };
            let (orphans, children) = (service.facts.orphan_spans, service.facts.child_spans);
            if orphans == 0 || orphans as f64 <= children as f64 * options.number("max_share") {
                continue;
            }
            verdict.take(judge(graph, options, index, service));
        }
        verdict
    }
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    index: NodeIndex,
    service: &ServiceInfo,
) -> Result<Finding, Undecided> {
    let (orphans, children) = (service.facts.orphan_spans, service.facts.child_spans);
    let case = Case::new(graph, options, [index]);
    let needed = options.whole("min_spans");
    if children < needed {
        return Err(case.undecided(format!("{} with a parent seen, {needed} needed", wording::count(children, "span"))));
    }
    let support = options.required().proven(orphans, children).map_err(|_| {
        case.undecided(format!(
            "{orphans} of {} have lost their parent, which may be chance",
            wording::count(children, "span")
        ))
    })?;
    let name = &graph.node(index).name;
    let share = orphans as f64 / children as f64;
    let upstream = upstream(graph, index);
    let callers: Vec<_> = upstream.iter().map(|&caller| graph.node(caller).name.as_str()).collect();
    let source = match callers.as_slice() {
        [] => "No service was seen to call it, so the caller may send no telemetry at all.".to_owned(),
        callers => format!("It is called by {}.", wording::list(callers)),
    };
    case.finding(Draft {
        title: format!("{:.0} % of the spans of {name} have lost their parent", share * 100.0),
        message: format!(
            "{orphans} of {} of {name} that name a parent name one that never came. {source}",
            wording::count(children, "span")
        ),
        fix: format!(
            "Look at sampling and export of {}; spans of {name} should be kept where theirs are.",
            if callers.is_empty() { "whatever calls it".to_owned() } else { wording::list(&callers) }
        ),
        // That parents are missing is what was found, and no reason to doubt it.
        is_about_orphans: true,
        subject: Subject {
            edges: upstream
                .iter()
                .map(|&caller| (graph.node(caller).id.clone(), graph.node(index).id.clone()))
                .collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("share_of_orphans", share, "share").against(options.number("max_share")),
            Evidence::of("orphan_spans", orphans as f64, "spans"),
        ],
        support,
        traces: service.facts.orphaned.proof(1),
        ..case.draft()
    })
}

/// Who may have lost them: callers whose calls were not answered by a span, else all callers.
fn upstream(graph: &CallGraph, service: NodeIndex) -> Vec<NodeIndex> {
    let incoming = || graph.edges.iter().filter(|edge| edge.to == service && topology::joins_services(graph, edge));
    let unanswered: Vec<_> =
        incoming().filter(|edge| edge.facts.traced_calls < edge.facts.calls).map(|edge| edge.from).collect();
    let mut callers = if unanswered.is_empty() { incoming().map(|edge| edge.from).collect() } else { unanswered };
    callers.dedup();
    callers
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("broken-trace", traces, expected);
    }

    const WHOLE: &str = "30 traces\nweb GET /\n  stock GET /s";

    #[test]
    fn more_than_one_in_twenty_fires() {
        check(
            &format!("{WHOLE}\n\n10 traces\norphan stock GET /s"),
            &["warning proven: 25 % of the spans of stock have lost their parent"],
        );
        check(&format!("{WHOLE}\n\norphan stock GET /s"), &[]);
    }

    #[test]
    fn a_few_may_be_lost_by_chance() {
        check(
            &format!("{WHOLE}\n\n3 traces\norphan stock GET /s"),
            &["(stock: 3 of 33 spans have lost their parent, which may be chance)"],
        );
    }

    #[test]
    fn roots_have_no_parent_to_lose() {
        check("40 traces\nstock GET /s\n\n40 traces\nschedule stock nightly", &[]);
    }

    #[test]
    fn few_spans_are_undecided() {
        check("5 traces\norphan stock GET /s", &["(stock: 5 spans with a parent seen, 20 needed)"]);
    }

    #[test]
    fn the_finding_says_who_calls() {
        let analysis = crate::testing::analysis(&format!("{WHOLE}\n\n10 traces\norphan stock GET /s"), "");
        let finding = analysis.findings.iter().find(|finding| finding.rule.name == "broken-trace").unwrap();
        assert!(finding.message.ends_with("It is called by web."), "{}", finding.message);
    }
}

//! Judging a graph: every rule's verdict, levels, one finding for one cause, ignores, and one stable order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use spanlint_graph::CallGraph;

use crate::config::{Config, Level, Mode};
use crate::context::{Context, Options};
use crate::coverage::Coverage;
use crate::finding::{Absorbed, Finding, Severity, Undecided};
use crate::groups::Groups;
use crate::roles::AssignedRole;
use crate::{rules, topology};

/// What all rules together say of a graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Analysis {
    /// Worst first; suppressed ones are among them.
    pub findings: Vec<Finding>,
    /// By rule and services.
    pub undecided: Vec<Undecided>,
    /// What they were made against.
    pub background: Background,
}

/// What verdicts are made against.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Background {
    /// How far the input can be trusted.
    pub coverage: Coverage,
    /// Which services belong together.
    pub groups: Groups,
    /// What services are for, by name and role.
    pub roles: Vec<AssignedRole>,
}

impl Analysis {
    /// How many findings that count have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.counted().filter(|finding| finding.severity == severity).count()
    }

    /// How many findings are suppressed.
    pub fn suppressed(&self) -> usize {
        self.findings.len() - self.counted().count()
    }

    /// The findings that count.
    pub fn counted(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.suppressed.is_none())
    }
}

/// Judges a graph. `today` decides which ignores have expired.
pub fn judge(graph: &CallGraph, config: &Config, mode: Mode, today: Date) -> Analysis {
    let context = Context::of(graph, config, mode);
    let mut analysis = Analysis::default();
    let is_empty = topology::services(graph).next().is_none();
    for rule in rules::ALL {
        let level = config.level(rule.meta());
        if level == Some(Level::Off) {
            continue;
        }
        if is_empty {
            analysis.undecided.push(Undecided::of_input(rule.meta(), "no spans of any service were seen"));
            continue;
        }
        let mut verdict = rule.detect(graph, &Options::new(rule.meta(), &context));
        if let Some(Level::Report(severity)) = level {
            verdict.findings.iter_mut().for_each(|finding| finding.severity = severity);
        }
        analysis.findings.append(&mut verdict.findings);
        analysis.undecided.append(&mut verdict.undecided);
    }
    // A finding without a trace that proves it does not exist.
    analysis.findings.retain(|finding| !finding.traces.is_empty());
    for finding in &mut analysis.findings {
        finding.suppressed = config.ignored(finding, today);
    }
    absorb(&mut analysis.findings, config);
    analysis.background = context.into_background(graph);
    let Analysis { findings, undecided, .. } = &mut analysis;
    let by_rule = by_absorbed_rule(findings);
    let causes = |rule| by_rule.get(rule).into_iter().flatten().map(|&cause| &findings[cause]);
    undecided.retain(|open| !causes(open.rule).any(|cause| settles(cause, open)));
    sort(&mut analysis);
    analysis
}

/// Folds every finding into the one that explains it on the same subject. A cause is no better than the worst that it
/// explains, unless the configuration says how bad it is.
fn absorb(findings: &mut Vec<Finding>, config: &Config) {
    let by_rule = by_absorbed_rule(findings);
    // The subject of a great circle has very many edges.
    let edges: Vec<BTreeSet<_>> = findings.iter().map(|finding| finding.subject.edges.iter().collect()).collect();
    let cause_of = |finding: &Finding| {
        let causes = by_rule.get(finding.rule.name).into_iter().flatten();
        causes.copied().find(|&cause| explains(&findings[cause], &edges[cause], finding))
    };
    let causes: Vec<_> = findings.iter().map(cause_of).collect();
    for (index, &cause) in causes.iter().enumerate() {
        if let Some(mut cause) = cause {
            // Rules absorb along a hierarchy without circles, and their own kind only where it is smaller: the way up ends.
            while let Some(next) = causes[cause] {
                cause = next;
            }
            let Finding { rule, title, severity, suppressed, .. } = findings[index].clone();
            let cause = &mut findings[cause];
            cause.absorbs.push(Absorbed { rule: rule.name, title });
            if suppressed.is_none() && config.level(cause.rule).is_none() {
                cause.severity = cause.severity.max(severity);
            }
        }
    }
    let mut causes = causes.into_iter();
    findings.retain(|_| causes.next().flatten().is_none());
    for finding in findings {
        finding.absorbs.sort_by(|left, right| (left.rule, &left.title).cmp(&(right.rule, &right.title)));
    }
}

/// The places of the findings that may stand for those of each rule, in ascending order.
fn by_absorbed_rule(findings: &[Finding]) -> BTreeMap<&'static str, Vec<usize>> {
    let mut by_rule: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (place, finding) in findings.iter().enumerate() {
        finding.rule.absorbs.iter().for_each(|&rule| by_rule.entry(rule).or_default().push(place));
    }
    by_rule
}

/// Whether `cause`, which may stand for the rule of `finding` and has these edges, has all of its subject: its edges, else
/// its datastore and operations. Of two findings of one rule only the greater subject explains the other.
fn explains(cause: &Finding, edges: &BTreeSet<&(String, String)>, finding: &Finding) -> bool {
    let (outer, inner) = (&cause.subject, &finding.subject);
    let has_operations = || inner.operations.iter().all(|operation| outer.operations.contains(operation));
    let is_within = || {
        if inner.datastore.is_some() {
            inner.datastore == outer.datastore && has_operations()
        } else if inner.edges.is_empty() {
            !inner.operations.is_empty() && has_operations()
        } else {
            inner.edges.iter().all(|edge| edges.contains(edge))
        }
    };
    let is_greater = || cause.rule.name != finding.rule.name || inner.edges.len() < outer.edges.len();
    is_greater() && is_within()
}

/// Whether `cause`, which may stand for the rule of what is undecided, is about the same services; for its own rule about
/// more of them.
fn settles(cause: &Finding, undecided: &Undecided) -> bool {
    let (outer, inner) = (&cause.services, &undecided.services);
    let is_part = || inner.len() < outer.len() && inner.iter().all(|service| outer.contains(service));
    outer == inner || cause.rule.name == undecided.rule && !inner.is_empty() && is_part()
}

/// Severity, what mending would save, rule, services, title.
fn sort(analysis: &mut Analysis) {
    let saved_us = |finding: &Finding| finding.impact.map_or(0, |impact| (impact.latency_ms_p50 * 1e3) as u64);
    analysis.findings.sort_by(|left, right| {
        let key =
            |finding: &Finding| (finding.suppressed.is_some(), Reverse(finding.severity), Reverse(saved_us(finding)));
        let names =
            || (left.rule.name, &left.services, &left.title).cmp(&(right.rule.name, &right.services, &right.title));
        key(left).cmp(&key(right)).then_with(names)
    });
    analysis.undecided.sort_by(|left, right| {
        (left.rule, &left.services, &left.reason).cmp(&(right.rule, &right.services, &right.reason))
    });
    // Two queries of one service may lack the same, of which one line tells all there is to tell.
    analysis.undecided.dedup();
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::testing::{TODAY, analysis, graph, lines};

    const CHATTY: &str = "30 traces\ncart GET /cart\n  12 x stock GET /stock\n\n30 traces\nsearch GET /search";

    /// What is said of anything in particular: inputs this small leave much undecided as a whole.
    fn subjects(analysis: &Analysis) -> Vec<String> {
        let undecided = analysis.undecided.iter().filter(|open| !open.services.is_empty()).cloned().collect();
        lines(&Analysis { undecided, ..analysis.clone() })
    }

    fn check(traces: &str, config: &str, expected: &[&str]) {
        assert_eq!(subjects(&analysis(traces, config)), expected);
    }

    #[test]
    fn one_cause_is_one_finding() {
        let found = analysis(CHATTY, "");
        // Twelve calls alone are a warning for the one rule, and an error for the other.
        assert_eq!(subjects(&found), ["error proven: cart calls stock GET /stock 12 times a request"]);
        let title = "cart needs 12 calls of stock a request".to_owned();
        assert_eq!(found.findings[0].absorbs, [Absorbed { rule: "chatty-services", title }]);
    }

    #[test]
    fn what_a_finding_explains_is_not_left_undecided() {
        let traces = "29 traces\ncart GET /cart\n  12 x stock GET /stock\n\n30 traces\nsearch GET /search";
        check(traces, "", &["warning proven: cart calls stock GET /stock 12 times a request"]);
    }

    #[test]
    fn a_cause_is_no_better_than_what_it_explains() {
        let title = "cart calls stock GET /stock 12 times a request";
        let level = |rule: &str, level: &str| format!("[rules.{rule}]\nlevel = \"{level}\"");
        check(CHATTY, &level("chatty-services", "note"), &[&format!("warning proven: {title}")]);
        check(CHATTY, &level("n-plus-one-calls", "note"), &[&format!("note proven: {title}")]);
        let ignored = "[[ignore]]\nrule = \"chatty-services\"\nreason = \"known\"";
        check(CHATTY, ignored, &[&format!("warning proven: {title}")]);
    }

    #[test]
    fn a_rule_that_is_off_explains_nothing() {
        check(
            CHATTY,
            "[rules.n-plus-one-calls]\nlevel = \"off\"",
            &["error strong: cart needs 12 calls of stock a request"],
        );
    }

    #[test]
    fn the_other_direction_is_another_subject() {
        let both = format!("{CHATTY}\n\n30 traces\nstock GET /all\n  12 x cart GET /lines same");
        let found = analysis(&both, "");
        assert!(
            lines(&found).contains(&"error strong: stock needs 12 calls of cart a request".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn an_ignore_holds_until_it_expires() {
        let title = "cart calls stock GET /stock 7 times a request";
        let traces = "cart GET /cart\n  7 x stock GET /stock";
        let ignore = |services: &str, expires: &str| {
            format!("[[ignore]]\nrule = \"n-plus-one-calls\"\nreason = \"known\"\nservices = {services}\n{expires}")
        };
        let (fires, silent) = (format!("warning proven: {title}"), format!("suppressed warning proven: {title}"));
        for (config, expected) in [
            (ignore("\"cart\"", ""), &silent),
            (ignore("[\"c*\", \"stock\"]", "expires = 2026-11-21"), &silent),
            (ignore("\"cart\"", "expires = 2026-11-20"), &fires),
            (ignore("[\"cart\", \"search\"]", ""), &fires),
        ] {
            check(traces, &config, &[expected]);
        }
        let config = Config::parse(&ignore("\"cart\"", "expires = 2026-12-31"), "test").unwrap();
        let judged = judge(&graph(traces), &config, Mode::Check, date(2026, 12, 1));
        assert_eq!(judged.findings[0].suppressed.as_deref(), Some("known (until 2026-12-31)"));
        assert_eq!((judged.suppressed(), judged.count(Severity::Warning)), (1, 0));
    }

    #[test]
    fn traces_kept_by_outcome_cost_a_level_of_confidence() {
        let traces = "cart GET /cart\n  7 x stock GET /stock";
        let sampled = |kind: &str| analysis(traces, &format!("[sampling]\nkind = \"{kind}\""));
        assert_eq!(lines(&sampled("head"))[0], "warning proven: cart calls stock GET /stock 7 times a request");
        let tail = sampled("tail");
        assert_eq!(lines(&tail)[0], "warning strong: cart calls stock GET /stock 7 times a request");
        assert_eq!(tail.findings[0].doubts, [crate::support::Doubt::Sampling]);
    }

    #[test]
    fn the_worst_comes_first() {
        check(
            "a GET /\n  6 x b GET /b 10ms\n  6 x c GET /c 20ms\n  20 x d GET /d",
            "",
            &[
                "error proven: a calls d GET /d 20 times a request",
                "warning proven: a calls c GET /c 6 times a request",
                "warning proven: a calls b GET /b 6 times a request",
            ],
        );
    }

    #[test]
    fn fingerprints_follow_the_subject_and_not_the_numbers() {
        let fingerprint = |traces| analysis(traces, "").findings[0].fingerprint();
        let seven = fingerprint("cart GET /cart\n  7 x stock GET /stock");
        assert_eq!(seven, fingerprint("3 traces\ncart GET /cart\n  9 x stock GET /stock"));
        assert_ne!(seven, fingerprint("stock GET /stock\n  7 x cart GET /cart"));
        assert_ne!(seven, fingerprint("cart GET /cart\n  7 x user GET /user"));
    }

    #[test]
    fn an_empty_graph_is_undecided_and_not_clean() {
        let nothing = judge(&CallGraph::default(), &Config::default(), Mode::Check, TODAY);
        assert_eq!((nothing.findings.len(), nothing.undecided.len()), (0, rules::ALL.len()));
    }
}

//! One request publishes message after message to one destination, where one batch would do.
//!
//! The signal is the number of messages that one request publishes to one destination. Refused: batches, which count as one
//! call whatever they carry, even where each message has a span, and spans that only announce the message that another one
//! sends.
//!
//! One service and destination make one finding: the operation that publishes most leads.

use std::collections::BTreeMap;

use spanlint_graph::facts::{Repetition, histogram};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::repetition::{self, Repeated};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::wording;

/// The rule.
pub(super) struct NPlusOneMessages;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "n-plus-one-messages",
    category: Category::Chatter,
    severity: Severity::Note,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "One request publishes many messages to one destination, one by one.",
    looks_like: "An import reads a file of forty lines and publishes forty messages, each with a round trip to the broker \
                 and an acknowledgement of its own, while the user waits for the last one.",
    why: "Each message pays for a round trip and an acknowledgement where a batch pays once, and a failure in the middle \
          leaves half of the messages published.",
    how: "The messages that one request publishes to one destination are counted; a batch counts once, whatever it \
          carries, also where each of its messages has a span: these are on their way at once and answered at once. The \
          pattern holds from `min_calls` on.",
    fix: "Hand the broker all messages of a request at once, or publish one message that carries the whole list.",
    limits: "Where a client library gathers messages by itself, spans may show each of them although one request carries \
             all.",
    references: &[
        "Hohpe, Woolf: Enterprise Integration Patterns (2003), Message Sequence",
        "OpenTelemetry: Semantic conventions for messaging spans, batches",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_calls", default: 5.0, help: "Messages in one request that make the pattern." },
        OptionMeta { name: "warning_from", default: 20.0, help: "Median of such messages from which it is a warning." },
    ],
    absorbs: &["excessive-fan-out"],
};

impl Rule for NPlusOneMessages {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut groups: BTreeMap<(NodeIndex, NodeIndex), Vec<Repeated<'_>>> = BTreeMap::new();
        let min_calls = histogram::bucket(options.whole("min_calls"));
        let published = || graph.patterns.iter().filter(|pattern| graph.node(pattern.callee).kind == NodeKind::Topic);
        if published().next().is_none() {
            verdict.undecided.push(Undecided::of_input(&META, "no published messages were seen"));
        }
        let is_fault = |repetition: &Repetition| repetition.distinct >= min_calls;
        for repeated in published().filter_map(|pattern| Repeated::of(graph, pattern, options, is_fault)) {
            groups.entry((repeated.caller.node, repeated.pattern.callee)).or_default().push(repeated);
        }
        for mut repeated in groups.into_values() {
            // Stable, so that of two equal operations the one with the smaller name leads.
            repeated.sort_by_key(|each| each.weight(severity(each, options)));
            verdict.take(judge(graph, options, &repeated));
        }
        verdict
    }
}

fn severity(repeated: &Repeated<'_>, options: &Options<'_>) -> Severity {
    repeated.severity(META.severity, Severity::Warning, options.number("warning_from"))
}

fn judge(graph: &CallGraph, options: &Options<'_>, repeated: &[Repeated<'_>]) -> Result<Finding, Undecided> {
    let supported: Vec<_> = repeated.iter().filter(|each| each.support.is_ok()).collect();
    let repeated = &repeated[0];
    let (service, topic) = (graph.node(repeated.caller.node), graph.node(repeated.pattern.callee));
    let case = Case::new(graph, options, [repeated.caller.node]);
    let support = repeated.support.clone().map_err(|missing| case.undecided(missing))?;
    let caller = wording::operation(&service.name, &repeated.caller.name);
    let (median, min_calls) = (repeated.median_calls(), options.number("min_calls"));
    case.finding(Draft {
        severity: severity(repeated, options),
        title: format!("{caller} publishes {median} messages to {} a request", topic.name),
        message: format!(
            "In {} of {} of {caller}, {} or more messages go to {} one by one: {median} in the median one, which takes {} \
             ms.",
            repeated.affected,
            wording::count(repeated.requests(), "request"),
            wording::number(min_calls),
            topic.name,
            wording::number(repeated.median_time_ms()),
        ),
        fix: format!(
            "Let {} hand the broker all messages of a request to {} as one batch, or publish one message with the whole \
             list.",
            service.name, topic.name
        ),
        subject: Subject {
            edges: vec![(service.id.clone(), topic.id.clone())],
            operations: supported.iter().map(|each| wording::operation(&service.name, &each.caller.name)).collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("messages_per_request_p50", median as f64, "messages").against(min_calls),
            Evidence::of("messages_per_request_max", repeated.most_calls() as f64, "messages"),
        ],
        support,
        impact: repeated.impact(),
        traces: repeated.traces(),
        locations: repetition::locations(supported.iter().map(|each| each.pattern)),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("n-plus-one-messages", traces, expected);
    }

    #[test]
    fn five_messages_are_a_note_and_twenty_a_warning() {
        check("shop POST /import\n  4 x publish line.read", &[]);
        check(
            "shop POST /import\n  5 x publish line.read",
            &["note proven: shop POST /import publishes 5 messages to line.read a request"],
        );
        check(
            "shop POST /import\n  20 x publish line.read",
            &["warning proven: shop POST /import publishes 20 messages to line.read a request"],
        );
    }

    #[test]
    fn each_destination_counts_by_itself() {
        check("shop POST /import\n  3 x publish line.read\n  3 x publish line.kept", &[]);
    }

    #[test]
    fn consumers_count_one_lower() {
        check(
            "shop takes import\n  20 x publish line.read",
            &["note proven: shop process import publishes 20 messages to line.read a request"],
        );
    }

    #[test]
    fn thresholds_are_configurable() {
        let config = "[rules.n-plus-one-messages]\nmin_calls = 6";
        check_with("n-plus-one-messages", "shop POST /import\n  5 x publish line.read", config, &[]);
    }

    #[test]
    fn an_input_without_messages_cannot_tell() {
        check("shop GET /\n  7 x stock GET /stock", &["(no published messages were seen)"]);
    }
}

//! Attempts after a failure that make a failure worse: too many of them, or on several layers at once, where they multiply.
//!
//! The signal is what facts count as attempts after a failure. That a retry succeeds in the end is no excuse: what counts is
//! the load that it adds while the callee is in trouble. Refused: calls for one thing after another to a callee that is
//! down. Where no attribute tells the parameters of calls, requests that usually make several are taken for such.

use spanlint_graph::facts::{Parameters, Repetition};
use spanlint_graph::snapshot::{CallPattern, Edge};
use spanlint_graph::{CallGraph, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::support::{Doubt, FAILURES_LOOK_FREQUENT};
use crate::{topology, wording};

/// The rule.
pub(super) struct RetryStorm;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "retry-storm",
    category: Category::Resilience,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "Attempts after a failure multiply the load on a service that is failing.",
    looks_like: "A service hiccups for a second; its callers ask again, their callers ask again, too, and what would have been \
                 over in a second stays down for minutes under three times its usual load.",
    why: "A service fails most often because it has too much to do, and every attempt after a failure gives it more. Where two \
          layers try three times each, one request of a user becomes nine.",
    how: "An attempt after a failure is a call of the same operation with the same parameters after one that failed. The \
          pattern holds where such attempts are `min_retry_percent` of `min_calls` calls or more, where `min_traces` traces \
          have `min_attempts` attempts at one thing, or where attempts on an edge lie below attempts on another; then one \
          finding is about both.",
    fix: "Try again in one layer only, a few times, with a growing and random pause, and within a budget: a small share of \
          the calls that succeed. Stop trying while a circuit breaker is open.",
    limits: "Attempts that no span shows, because the client library hides them, are not seen. Where no attribute tells the \
             parameters of calls, and requests make several of them as a rule, attempts cannot be told from calls for one \
             thing after another: undecided.",
    references: &[
        "Beyer et al.: Site Reliability Engineering (2016), chapter 22, Addressing Cascading Failures",
        "Brooker: Timeouts, retries and backoff with jitter, Amazon Builders' Library (2019)",
        "Linkerd documentation: Retry budgets",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_retry_percent",
            default: 10.0,
            help: "Share of calls that are attempts after a failure, in percent, that makes the pattern.",
        },
        OptionMeta { name: "min_calls", default: 50.0, help: "Calls from which on that share is taken." },
        OptionMeta { name: "min_attempts", default: 4.0, help: "Attempts at one thing that are many." },
        OptionMeta { name: "min_traces", default: 5.0, help: "Requests with so many attempts that make the pattern." },
    ],
    absorbs: &["retry-storm"],
};

impl Rule for RetryStorm {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for edge in graph.edges.iter().filter(|edge| !edge.is_derived && edge.facts.retries > 0) {
            if let Some(judged) = Storm::of(graph, edge, options).map(|storm| storm.judge(graph, options)) {
                verdict.take(judged);
            }
        }
        verdict
    }
}

/// An edge with too many attempts after a failure.
struct Storm<'a> {
    edge: &'a Edge,
    /// Share of calls that are attempts after a failure, in percent.
    percent: f64,
    /// Requests with many attempts at one thing.
    persistent: u64,
    /// Whether the share is that of a storm.
    is_much: bool,
    /// Whether so many requests have so many attempts.
    is_long: bool,
    asks: Asks,
}

/// What most attempts ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// The same as before, by their parameters.
    Same,
    /// The same as before, as requests make one such call as a rule; no attribute tells the parameters.
    SameByNumber,
    /// What may as well be one thing after another.
    Untold,
}

impl Asks {
    fn of(graph: &CallGraph, edge: &Edge) -> Self {
        let unknown = || patterns(graph, edge).filter(|pattern| has_unknown_parameters(pattern));
        let untold = unknown().filter(|pattern| is_list(pattern));
        // An attempt that says so itself is none other.
        let guessed = |pattern: &CallPattern| pattern.facts.retries.saturating_sub(pattern.facts.resends);
        let is_most = |attempts: u64| attempts * 2 > edge.facts.retries;
        if is_most(untold.map(guessed).sum()) {
            Self::Untold
        } else if is_most(unknown().map(guessed).sum()) {
            Self::SameByNumber
        } else {
            Self::Same
        }
    }
}

impl<'a> Storm<'a> {
    fn of(graph: &CallGraph, edge: &'a Edge, options: &Options<'_>) -> Option<Self> {
        let facts = &edge.facts;
        let percent = facts.retries as f64 * 100.0 / facts.calls.max(1) as f64;
        let persistent = facts.attempts.count_from(options.whole("min_attempts"));
        let is_much = percent >= options.number("min_retry_percent");
        let is_long = persistent >= options.whole("min_traces");
        let is_called = graph.node(edge.from).kind == NodeKind::Service && facts.attempts.count() > 0;
        let is_storm = is_much || is_long || facts.layered_retries > 0;
        if !is_called || !is_storm {
            return None;
        }
        Some(Self { edge, percent, persistent, is_much, is_long, asks: Asks::of(graph, edge) })
    }

    /// The support of the pattern that holds. The share of calls and the number of requests are the rule's own; layers
    /// alone must be no accident.
    fn support(&self, options: &Options<'_>) -> Result<Support, String> {
        let facts = &self.edge.facts;
        let affected = facts.attempts.count();
        let requests = facts.requests.max(affected);
        if self.asks == Asks::Untold {
            return Err("attempts cannot be told from calls for one thing after another, as no attribute tells the \
                        parameters"
                .to_owned());
        }
        if self.is_long {
            return options.required().sighting(affected, requests);
        }
        if facts.layered_retries > 0 {
            let layered = options.required().proven(facts.layered_retries, requests);
            if layered.is_ok() || !self.is_much {
                return layered;
            }
        }
        let needed = options.whole("min_calls");
        if facts.calls < needed {
            return Err(format!("{} seen, {needed} needed", wording::count(facts.calls, "call")));
        }
        if options.coverage().sampling.is_biased() {
            return Err(FAILURES_LOOK_FREQUENT.to_owned());
        }
        options.required().sighting(affected, requests)
    }

    /// The edges whose attempts are for the most part what this one's failures led to.
    fn edges_above<'g>(&self, graph: &'g CallGraph, options: &Options<'_>) -> Vec<&'g Edge> {
        let layered = self.edge.facts.layered_retries;
        let is_layered = |edge: &Edge| (1..=layered * 2).contains(&edge.facts.attempts.count());
        topology::edges_above(graph, options.calls(), self.edge, is_layered)
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>) -> Result<Finding, Undecided> {
        let facts = &self.edge.facts;
        let (from, to) = (graph.node(self.edge.from), graph.node(self.edge.to));
        let (caller, callee) = (&from.name, &to.name);
        let above = self.edges_above(graph, options);
        let callers = above.iter().map(|edge| edge.from);
        let case = Case::new(graph, options, callers.chain([self.edge.from, self.edge.to]));
        let affected = facts.attempts.count();
        let support = self.support(options).map_err(|missing| case.undecided(missing))?;
        let attempts = facts.attempts.quantile(0.5);
        let is_layered = facts.layered_retries > 0;
        let amplification = facts.calls as f64 / (facts.calls - facts.retries).max(1) as f64;
        let layers_amplification = attempts_over_layers(graph, options, self.edge);
        let layers = match facts.layered_retries {
            0 => String::new(),
            layered => format!(
                " In {} of them {caller} was itself being asked again, so the attempts multiply: one request on top may become \
                 {layers_amplification} calls of {callee}.",
                wording::count(layered, "request")
            ),
        };
        case.finding(Draft {
            severity: if is_layered { Severity::Error } else { META.severity },
            title: if is_layered { format!("{caller} asks {callee} again while it is itself asked again") } else { format!("{caller} keeps asking {callee} after failures") },
            message: format!(
                "{} of {} of {caller} to {callee} are attempts after a failure; {} have them, {attempts} attempts at one \
                 thing in the median one. That makes the load {} times as large.{layers}",
                facts.retries,
                wording::count(facts.calls, "call"),
                wording::count(affected, "request"),
                wording::number(amplification),
            ),
            fix: format!(
                "Let {caller} try again at most twice, with a growing random pause and within a budget of {callee}'s \
                 successful calls, and only in one layer of the way to {callee}."
            ),
            subject: Subject {
                edges: [self.edge].into_iter().chain(above).map(|edge| topology::ids(graph, edge)).collect(),
                ..Subject::default()
            },
            evidence: [
                Evidence::of("retry_percent", self.percent, "%").against(options.number("min_retry_percent")),
                Evidence::of("requests_with_many_attempts", self.persistent as f64, "requests")
                    .against(options.number("min_traces")),
                Evidence::of("requests_with_layered_attempts", facts.layered_retries as f64, "requests"),
                Evidence::of("amplification", amplification, "times"),
            ]
            .into_iter()
            .chain(is_layered.then(|| Evidence::of("amplification_over_layers", layers_amplification as f64, "times")))
            .collect(),
            support,
            traces: facts.retried.proof(attempts),
            doubt: (self.asks != Asks::Same).then_some(Doubt::Parameters),
            ..case.draft()
        })
    }
}

/// What is called on an edge again after a failure.
fn patterns<'a>(graph: &'a CallGraph, edge: &Edge) -> impl Iterator<Item = &'a CallPattern> {
    let kind = edge.kind;
    let is_part =
        move |pattern: &&CallPattern| pattern.is_callee_known && pattern.kind == kind && pattern.facts.retries > 0;
    topology::patterns_between(graph, edge.from, edge.to).filter(is_part)
}

/// The requests that repeat a call like this.
fn requests_that(pattern: &CallPattern, repeat: impl Fn(&Repetition) -> bool) -> u64 {
    let repetitions = pattern.facts.repetitions.iter().filter(|(repetition, _)| repeat(repetition));
    repetitions.map(|(_, requests)| requests).sum()
}

/// Whether no attribute tells the parameters of the calls of most requests.
fn has_unknown_parameters(pattern: &CallPattern) -> bool {
    requests_that(pattern, |each| each.parameters == Parameters::Unknown) * 2 > requests_that(pattern, |_| true)
}

/// Whether requests make several such calls where nothing fails. Those that fail all the way look as if they made one.
fn is_list(pattern: &CallPattern) -> bool {
    let unharmed = pattern.facts.requests.saturating_sub(pattern.facts.retried_requests);
    requests_that(pattern, |each| each.distinct > 1) * 2 > unharmed
}

/// How many calls one request on top may become: the median attempts of the edge and of those above it, multiplied. Of
/// several edges above, the one with the most attempts stands for all, and each service is gone through once.
fn attempts_over_layers(graph: &CallGraph, options: &Options<'_>, edge: &Edge) -> u64 {
    let attempts = |edge: &&Edge| edge.facts.attempts.quantile(0.5).max(1);
    let mut product = attempts(&edge);
    let mut seen = vec![edge.to, edge.from];
    let mut callee = edge.from;
    loop {
        let callers = options.calls().callers(callee).iter().filter(|caller| !seen.contains(caller));
        let edges = callers.flat_map(|&caller| topology::edges_between(graph, caller, callee));
        let retried = edges.filter(|above| !above.is_derived && above.facts.attempts.count() > 0);
        let Some(above) = retried.max_by_key(attempts) else { return product };
        product = product.saturating_mul(attempts(&above));
        callee = above.from;
        seen.push(callee);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{analysis, check_with};

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("retry-storm", traces, expected);
    }

    const FINDING: &str = "warning proven: cart keeps asking stock after failures";

    #[test]
    fn a_tenth_of_fifty_calls_is_a_storm() {
        check(
            "5 traces\ncart GET /cart\n  retry stock GET /s\n\n40 traces\ncart GET /cart\n  stock GET /s",
            &[FINDING],
        );
        check("5 traces\ncart GET /cart\n  retry stock GET /s\n\n41 traces\ncart GET /cart\n  stock GET /s", &[]);
    }

    #[test]
    fn few_calls_are_undecided() {
        check("4 traces\ncart GET /cart\n  retry stock GET /s", &["(cart stock: 8 calls seen, 50 needed)"]);
        check("retry stock GET /s\n\n10 traces\ncart GET /cart\n  stock GET /s", &[]);
    }

    #[test]
    fn what_is_asked_for_one_thing_after_another_is_no_attempt() {
        let usual = "40 traces\ncart GET /cart\n  5 x stock GET /s";
        let down = "20 traces\ncart GET /cart\n  5 x stock GET /s";
        check(&format!("{usual}\n\n{down} fails"), &[]);
        check(
            &format!("{usual} unknown\n\n{down} unknown fails"),
            &[
                "(cart stock: attempts cannot be told from calls for one thing after another, as no attribute tells the \
               parameters)",
            ],
        );
        check(&format!("{usual} same\n\n{down} same fails"), &[FINDING]);
        // Whoever asks once where nothing fails asks for the same where something does.
        let once = usual.replace("5 x ", "");
        check(&format!("{once} unknown\n\n{down} unknown fails"), &[&FINDING.replace("proven", "strong")]);
        // What an operation's requests make is told by those of its own.
        let rows = (0..3).flat_map(|row| {
            let calls = [(12, ""), (8, "stock GET /s unknown fails\n  "), (1, "2 x ")];
            calls.map(|(count, call)| format!("{count} traces\ncart GET /c{row}\n  {call}stock GET /s unknown"))
        });
        check(&rows.collect::<Vec<_>>().join("\n\n"), &[&FINDING.replace("proven", "strong")]);
        // An attempt may say so itself.
        let resent = format!("{down} unknown\n  5 x stock GET /s unknown http.request.resend_count=1");
        check(&format!("{usual} unknown\n\n{resent}"), &[FINDING]);
    }

    #[test]
    fn a_share_of_traces_that_were_kept_for_their_failures_is_undecided() {
        let traces = "5 traces\ncart GET /cart\n  retry stock GET /s\n\n40 traces\ncart GET /cart\n  stock GET /s";
        let reason =
            "(cart stock: traces were kept by how they ended, which makes failures look more frequent than they are)";
        check_with("retry-storm", traces, "[sampling]\nkind = \"tail\"", &[reason]);
    }

    #[test]
    fn layers_multiply() {
        let layered = "3 traces\nweb GET /\n  retry cart GET /cart\n    retry stock GET /s";
        check(layered, &["error proven: cart asks stock again while it is itself asked again"]);
        let analysis = analysis(layered, "");
        let storm = analysis.findings.iter().find(|finding| finding.title.starts_with("cart asks")).unwrap();
        assert_eq!(storm.services, ["cart", "stock", "web"]);
        assert!(storm.message.ends_with("one request on top may become 4 calls of stock."), "{}", storm.message);
    }
}

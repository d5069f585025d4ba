//! Two services that are never seen apart: they are one service with a network in its middle.
//!
//! The signal is that each appears in nearly all traces of the other, together with calls both ways or many calls a
//! request. Refused: wrappers and sidecars, whose task it is to stand before another, and services that serve nobody else.

use spanlint_graph::snapshot::Edge;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::datastore;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The share of requests that one call answers, from which a service is a wrapper of its callee.
const MIN_WRAPPED_SHARE: f64 = 0.95;

/// The rule.
pub(super) struct TightCoupling;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "tight-coupling",
    category: Category::Boundaries,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "Two services are hardly ever used apart, and talk to each other a lot.",
    looks_like: "Whoever opens the code of the cart opens that of the price list, too: there is no request that needs one \
                 without the other, and each knows the other's data by heart.",
    why: "Such a pair is changed, released and scaled together, yet pays for a network and for two of everything. The boundary \
          gives none of the freedom that it costs.",
    how: "Of the traces that touch the caller, those in which it calls the callee are counted, and the same from the callee's \
          side. The pattern holds where both shares are `min_share` or more, and the two call each other or the median \
          request makes `min_calls` or more calls.",
    fix: "Make them one service, or move the boundary to where less crosses it: to the data that only one of them changes.",
    limits: "A wrapper that turns each request into one call, two names in one process or of one program and its workers, \
             gateways, and a callee that serves only this caller are no fault of this kind; nor are services whose role is to \
             be asked by everybody.",
    references: &[
        "Qingqing, Xinke: Research on Metrics for Service-Oriented Systems (2009), Service Coupling Factor",
        "Perepletchikov, Ryan, Frampton, Tari: Coupling Metrics for Predicting Maintainability in Service-Oriented Designs, \
         ASWEC 2007",
        "Newman: Building Microservices, 2nd edition (2021), chapter 2",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_share",
            default: 0.9,
            help: "Share of each one's traces that has the other, from 0 to 1.",
        },
        OptionMeta {
            name: "min_calls",
            default: 5.0,
            help: "Median calls a request that are many, where calls go one way.",
        },
    ],
    absorbs: &[],
};

impl Rule for TightCoupling {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if options.calls().pairs().next().is_none() {
            verdict.undecided.push(Undecided::of_input(&META, "no calls between services were seen"));
        }
        for (from, to) in options.calls().pairs() {
            let is_mutual = options.calls().callees(to).contains(&from);
            // Of a mutual pair one direction stands for both.
            if is_mutual && to < from {
                continue;
            }
            let Some(pair) = Pair::of(graph, options, (from, to), is_mutual) else { continue };
            verdict.take(pair.judge(graph, options));
        }
        verdict
    }
}

/// A caller and a callee that are hardly seen apart.
struct Pair<'a> {
    edge: &'a Edge,
    is_mutual: bool,
    /// Share of the caller's traces in which it calls the callee.
    of_caller: f64,
    /// Share of the callee's traces in which the caller calls it.
    of_callee: f64,
    calls: u64,
}

impl<'a> Pair<'a> {
    fn of(
        graph: &'a CallGraph,
        options: &Options<'_>,
        (from, to): (NodeIndex, NodeIndex),
        is_mutual: bool,
    ) -> Option<Self> {
        // Of a mutual pair, the direction that joins more traces tells how often the two are seen together.
        let back = if is_mutual { topology::edges_between(graph, to, from) } else { &[] };
        let edges = back.iter().chain(topology::edges_between(graph, from, to));
        let calls = edges.filter(|edge| topology::is_synchronous_call(graph, edge));
        let edge = calls.max_by_key(|edge| (edge.facts.traces, edge.facts.calls))?;
        let traces = |node| graph.node(node).service.as_ref().map_or(0, |service| service.facts.traces);
        let share = |node| if traces(node) == 0 { 0.0 } else { edge.facts.traces as f64 / traces(node) as f64 };
        let [of_caller, of_callee] = [edge.from, edge.to].map(|node| share(node).min(1.0));
        if of_caller.min(of_callee) < options.number("min_share") {
            return None;
        }
        let pair = Self { edge, is_mutual, of_caller, of_callee, calls: edge.facts.median_asked_per_request().0 };
        let is_busy = is_mutual || pair.calls >= options.whole("min_calls");
        (is_busy && !pair.is_exempt(graph, options)).then_some(pair)
    }

    fn is_exempt(&self, graph: &CallGraph, options: &Options<'_>) -> bool {
        let (from, to) = (self.edge.from, self.edge.to);
        let roles = options.roles();
        let asked_by_all = [Role::Auth, Role::Config, Role::Discovery, Role::Broker];
        roles.has_any(graph, from, &[Role::Gateway, Role::Bff])
            || roles.has_any(graph, to, &asked_by_all)
            || datastore::deployables(graph, [from, to]) < 2
            || is_wrapper(graph, from)
            || !serves_others(graph, options, from, to)
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>) -> Result<Finding, Undecided> {
        let (from, to) = (self.edge.from, self.edge.to);
        let case = Case::new(graph, options, [from, to]);
        let facts = &self.edge.facts;
        let requests = graph.node(from).service.as_ref().map_or(0, |service| service.requests).max(facts.requests);
        let required = options.required();
        let missing = |missing| case.undecided(missing);
        required.edge_of(requests, facts.calls, facts.traces).map_err(missing)?;
        let support = required.strong(facts.requests, requests, facts.traces).map_err(missing)?;
        let (caller, callee) = (graph.node(from), graph.node(to));
        let [of_caller, of_callee] = [self.of_caller, self.of_callee].map(|share| share * 100.0);
        let talk = if self.is_mutual {
            "they call each other".to_owned()
        } else {
            format!("the median request makes {}", wording::count(self.calls, "call"))
        };
        let mut edges = vec![(caller.id.clone(), callee.id.clone())];
        edges.extend(self.is_mutual.then(|| (callee.id.clone(), caller.id.clone())));
        let mut evidence = vec![
            Evidence::of("share_of_callers_traces", self.of_caller, "share").against(options.number("min_share")),
            Evidence::of("share_of_callees_traces", self.of_callee, "share").against(options.number("min_share")),
        ];
        let calls = Evidence::of("calls_per_request_p50", self.calls as f64, "calls");
        evidence.push(if self.is_mutual { calls } else { calls.against(options.number("min_calls")) });
        case.finding(Draft {
            title: format!("{} and {} are hardly ever used apart", caller.name, callee.name),
            message: format!(
                "{:.0} % of the traces of {} have a call to {}, {:.0} % of those of {} one from {}, and {talk}.",
                of_caller, caller.name, callee.name, of_callee, callee.name, caller.name,
            ),
            fix: format!(
                "Make {} and {} one service, or move what crosses between them to the side that has the data.",
                caller.name, callee.name
            ),
            subject: Subject { edges, ..Subject::default() },
            evidence,
            support,
            traces: facts.chatty.proof(self.calls.max(1)),
            ..case.draft()
        })
    }
}

/// Whether nearly every request of a service is answered by one call.
fn is_wrapper(graph: &CallGraph, service: NodeIndex) -> bool {
    let operations = topology::operations_of(graph, service);
    let requests: u64 = operations.iter().map(|operation| operation.facts.requests).sum();
    let relays: u64 = operations.iter().map(|operation| operation.facts.relays).sum();
    requests > 0 && relays as f64 >= requests as f64 * MIN_WRAPPED_SHARE
}

/// Whether the callee has other callers, or operations that this caller does not use.
fn serves_others(graph: &CallGraph, options: &Options<'_>, caller: NodeIndex, callee: NodeIndex) -> bool {
    if options.calls().callers(callee).iter().any(|other| *other != caller) {
        return true;
    }
    let used = |name: &str| topology::patterns_between(graph, caller, callee).any(|pattern| pattern.template == name);
    topology::operations_of(graph, callee).iter().any(|operation| !used(&operation.name))
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("tight-coupling", traces, expected);
    }

    const OTHERS: &str = "\n\n30 traces\nmobile GET /\n\n2 traces\nsearch GET /\n  price GET /p";
    const FIRES: &[&str] = &["warning strong: cart and price are hardly ever used apart"];

    fn busy(calls: u64) -> String {
        format!("40 traces\nweb GET /\n  cart GET /c\n    {calls} x price GET /p{OTHERS}")
    }

    #[test]
    fn many_calls_in_every_trace_of_both_fire() {
        check(&busy(5), FIRES);
        check(&busy(4), &[]);
    }

    #[test]
    fn calls_both_ways_fire() {
        check(
            &format!(
                "40 traces\nweb GET /\n  cart GET /c\n    price GET /p\n      cart GET /back\n    x GET /x{OTHERS}"
            ),
            FIRES,
        );
    }

    #[test]
    fn a_pair_that_rarely_calls_back_fires_whatever_its_names() {
        let traces = format!(
            "12 traces\nweb GET /\n  cart GET /c\n    price GET /p\n      cart GET /back\n\n\
             28 traces\nweb GET /\n  cart GET /c\n    price GET /p\n    x GET /x{OTHERS}"
        );
        check(&traces, FIRES);
        check(&traces.replace("cart", "z"), &["warning strong: z and price are hardly ever used apart"]);
    }

    #[test]
    fn a_callee_that_others_use_as_well_is_not_bound() {
        check(&format!("{}\n\n10 traces\nsearch GET /\n  price GET /p", busy(9)), &[]);
        check(&format!("{}\n\n10 traces\nmobile GET /\n  cart GET /other", busy(9)), &[]);
    }

    #[test]
    fn a_callee_with_this_caller_alone_is_a_part_of_it() {
        check("40 traces\nweb GET /\n  cart GET /c\n    9 x price GET /p\n\n30 traces\nmobile GET /", &[]);
    }

    #[test]
    fn wrappers_gateways_and_one_process_are_exempt() {
        check(
            &format!(
                "40 traces\nweb GET /\n  cart GET /c\n    price GET /p\n      x GET /x\n        cart GET /back{OTHERS}"
            ),
            &[],
        );
        check_with("tight-coupling", &busy(9), "[roles]\ngateway = \"cart\"", &[]);
        check_with("tight-coupling", &busy(9), "[roles]\nconfig = \"price\"", &[]);
        let one_process = busy(9).replace("cart GET /c", "cart@box/7 GET /c").replace("price GET", "price@box/7 GET");
        check(&one_process, &[]);
    }

    #[test]
    fn few_requests_are_undecided() {
        check(&busy(9).replace("40 traces", "20 traces"), &["(cart price: 20 requests seen, 30 needed)"]);
    }
}

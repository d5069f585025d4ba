//! A monolith whose calls go over a network: all of the cost of distribution, none of its freedom.
//!
//! The signal is that at least two symptoms of the whole system come together; none of them alone is enough. Refused:
//! small systems, where every graph is dense.

use spanlint_graph::facts::Histogram;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind, TraceId};

use crate::case::{Case, Draft, traces_of_service};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::rules::data_monolith::Monolith;
use crate::topology;
use crate::wording;

/// Symptoms that make the pattern.
const MIN_SYMPTOMS: usize = 2;

/// Roles of services that nearly every request touches.
const TOUCHED_BY_ALL: &[Role] = &[Role::Gateway, Role::Auth, Role::Config, Role::Discovery];

/// The rule.
pub(super) struct DistributedMonolith;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "distributed-monolith",
    category: Category::Granularity,
    severity: Severity::Error,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "The services are so entangled that they are one program with a network inside.",
    looks_like: "Twenty services, one release calendar: every page touches half of them, a change begins with a spreadsheet of \
                 who has to deploy before whom, and when one is down all are.",
    why: "Calls over a network are slower, fail in more ways and are harder to follow than calls in a process. That is worth it \
          where services can live apart; here they cannot.",
    how: "Four symptoms are looked for: `min_share` of the services in one cycle of calls; one database under most services \
          that use any; `min_synchronous_share` of the calls waited for while the median request from outside touches \
          `min_share` of the services that are neither gateway nor asked by everybody; `min_density` of all possible edges in \
          use. Two of them make the pattern.",
    fix: "Decide what has to live apart at all. Merge services that change together, cut the cycle at its cheapest edge, give \
          each remaining service its own data, and answer by events where nobody needs to wait.",
    limits: "A small demo is dense by nature: systems with few services are undecided. Declaring groups changes nothing \
             here, as the symptoms are those of the whole.",
    references: &[
        "Newman: Monolith to Microservices (2019), chapter 1",
        "Walls: Don't Build a Distributed Monolith (2019)",
        "Taibi, Lenarduzzi, Pahl: Microservices Anti-patterns: A Taxonomy (2020)",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_share",
            default: 0.5,
            help: "Share of the services that is a large part, from 0 to 1.",
        },
        OptionMeta {
            name: "min_synchronous_share",
            default: 0.9,
            help: "Share of calls and messages that somebody waits for, from 0 to 1.",
        },
        OptionMeta {
            name: "min_density",
            default: 0.3,
            help: "Share of all possible edges that is dense, from 0 to 1.",
        },
    ],
    absorbs: &[],
};

impl Rule for DistributedMonolith {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let requests = client_requests(graph);
        let required = options.required();
        if let Err(missing) = required.system(graph).and_then(|()| required.requests(requests)) {
            verdict.undecided.push(Undecided::of_input(&META, missing));
            return verdict;
        }
        let symptoms = Symptoms::of(graph, options);
        if symptoms.evidence.len() >= MIN_SYMPTOMS {
            verdict.take(symptoms.judge(graph, options, requests));
        }
        verdict
    }
}

/// Requests without a caller.
fn client_requests(graph: &CallGraph) -> u64 {
    graph.operations.iter().map(|operation| operation.facts.services_touched.count()).sum()
}

/// What was found of the four.
#[derive(Default)]
struct Symptoms {
    services: Vec<NodeIndex>,
    evidence: Vec<Evidence>,
    told: Vec<String>,
    traces: Vec<TraceId>,
}

impl Symptoms {
    fn of(graph: &CallGraph, options: &Options<'_>) -> Self {
        let mut symptoms = Self { services: topology::services(graph).collect(), ..Self::default() };
        symptoms.look_for_cycle(graph, options);
        symptoms.look_for_one_database(graph, options);
        symptoms.look_for_wide_requests(graph, options);
        symptoms.look_for_density(options);
        symptoms
    }

    fn look_for_cycle(&mut self, graph: &CallGraph, options: &Options<'_>) {
        let is_supported = |(from, to): &(NodeIndex, NodeIndex)| {
            let edges = topology::edges_between(graph, *from, *to);
            edges.iter().any(|edge| options.required().edge(edge.facts.calls, edge.facts.traces).is_ok())
        };
        let pairs = options.calls().pairs().filter(is_supported);
        let components = topology::strongly_connected(graph, pairs);
        let Some(largest) = components.into_iter().max_by_key(Vec::len).filter(|largest| largest.len() > 1) else {
            return;
        };
        let share = largest.len() as f64 / self.services.len() as f64;
        let least = options.number("min_share");
        if share >= least {
            self.evidence.push(Evidence::of("share_of_services_in_one_cycle", share, "share").against(least));
            self.told.push(format!("{} of them call each other in one circle", largest.len()));
            self.traces.extend(largest.iter().flat_map(|&service| traces_of_service(graph, service)).next());
        }
    }

    fn look_for_one_database(&mut self, graph: &CallGraph, options: &Options<'_>) {
        let monoliths = Monolith::all(graph, options);
        let Some(largest) = monoliths.iter().filter(|each| each.is_sure(graph)).max_by_key(|each| each.users()) else {
            return;
        };
        self.evidence.push(Evidence::of("services_on_one_database", largest.users() as f64, "services"));
        self.told.push(format!("{} of them share one database", largest.users()));
        self.traces.extend(largest.proof().into_iter().next());
    }

    fn look_for_wide_requests(&mut self, graph: &CallGraph, options: &Options<'_>) {
        let (mut touched, mut widest) = (Histogram::default(), None);
        for operation in &graph.operations {
            touched.merge(&operation.facts.services_touched);
            let median = operation.facts.services_touched.quantile(0.5);
            widest = widest.max(operation.facts.exemplars.worst().map(|(_, trace)| (median, trace)));
        }
        let (mut waited, mut all) = (0, 0);
        for edge in graph.edges.iter().filter(|edge| !edge.is_derived) {
            let is_message = graph.node(edge.to).kind == NodeKind::Topic;
            if topology::joins_services(graph, edge) || is_message {
                all += edge.facts.calls;
                waited += edge.facts.calls.saturating_sub(edge.facts.asynchronous_calls);
            }
        }
        let synchronous = waited as f64 / all.max(1) as f64;
        let median = touched.quantile(0.5);
        // What every request touches by its role says nothing of how the others hang together.
        let by_role = |service: &&NodeIndex| options.roles().has_any(graph, **service, TOUCHED_BY_ALL);
        let by_role = self.services.iter().filter(by_role).count();
        let others = self.services.len().saturating_sub(by_role).max(1);
        let wide = (median as usize).saturating_sub(by_role) as f64 / others as f64;
        let (least_synchronous, least_wide) = (options.number("min_synchronous_share"), options.number("min_share"));
        if synchronous >= least_synchronous && wide >= least_wide {
            self.evidence.push(Evidence::of("share_of_services_touched_p50", wide, "share").against(least_wide));
            self.told.push(format!(
                "the median request touches {median} of them, and {:.0} % of the calls are waited for",
                synchronous * 100.0
            ));
            self.traces.extend(widest.map(|(_, trace)| trace));
        }
    }

    fn look_for_density(&mut self, options: &Options<'_>) {
        let (edges, services) = (options.calls().pairs().count(), self.services.len());
        let density = edges as f64 / (services * (services - 1)).max(1) as f64;
        let least = options.number("min_density");
        if density >= least {
            self.evidence.push(Evidence::of("density", density, "share").against(least));
            self.told.push(format!("{:.0} % of all possible edges between them are in use", density * 100.0));
        }
    }

    fn judge(mut self, graph: &CallGraph, options: &Options<'_>, requests: u64) -> Result<Finding, Undecided> {
        let case = Case::new(graph, options, self.services.iter().copied());
        self.traces.extend(self.services.iter().flat_map(|&service| traces_of_service(graph, service)));
        case.finding(Draft {
            title: format!("{} services behave like one program", self.services.len()),
            message: format!(
                "Of {}: {}.",
                wording::count(self.services.len() as u64, "service"),
                self.told.join("; ")
            ),
            fix: format!(
                "Start with what {} need of each other: merge what changes together, cut what only waits, and give each that \
                 remains its own data.",
                wording::list(case.services())
            ),
            subject: Subject::default(),
            evidence: self.evidence,
            support: Support::of(requests, requests),
            traces: self.traces,
            ..case.draft()
        })
    }
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("distributed-monolith", traces, expected);
    }

    const FIRES: &[&str] = &["error heuristic: 6 services behave like one program"];
    const WIDE: &str = "30 traces\nweb GET /\n  a GET /a\n    b GET /b\n      c GET /c\n        a GET /back";
    const SHARED: &str = "\n      sql postgresql db:5432 shop SELECT t";

    #[test]
    fn a_cycle_of_half_and_wide_requests_fire() {
        check(&format!("{WIDE}\n  d GET /d\n\n10 traces\nmobile GET /"), FIRES);
    }

    #[test]
    fn one_symptom_is_none() {
        check("30 traces\nweb GET /\n  a GET /a\n    b GET /b\n  c GET /c\n  d GET /d\n\n10 traces\nmobile GET /", &[]);
    }

    #[test]
    fn one_database_and_wide_requests_fire() {
        let traces =
            ["a", "b", "c", "d", "e"].map(|name| format!("\n  {name} GET /{name}{}", SHARED.replace("      ", "    ")));
        check(&format!("30 traces\nweb GET /{}", traces.concat()), FIRES);
    }

    #[test]
    fn what_every_request_touches_is_not_wide() {
        let asked = |service: &str| format!("  {service} GET /{service}\n    auth GET /token/verify\n");
        let dense = format!("30 traces\nweb GET /\n{}{}{}    c GET /c", asked("b"), asked("c"), asked("d"));
        let narrow = |requests: u32| format!("{requests} traces\nweb GET /\n{}", asked("a"));
        check(&format!("{}\n{dense}", narrow(40)), &[]);
        check(&format!("{}\n{dense}", narrow(20)), FIRES);
    }

    #[test]
    fn messages_that_nobody_waits_for_are_no_symptom() {
        let traces = "30 traces\nweb GET /\n  a GET /a\n    b GET /b\n      c GET /c\n        a GET /back\n  2 x publish seen\n\n\
                      30 traces\nd takes seen\n\n30 traces\ne takes seen";
        check(traces, &[]);
    }

    #[test]
    fn a_small_demo_is_undecided() {
        check(WIDE, &["(4 services seen, 6 needed)"]);
    }
}

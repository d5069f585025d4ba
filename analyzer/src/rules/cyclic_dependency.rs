//! Services that depend on each other in a circle: none of them can be understood, deployed or healed without the others.
//!
//! The signal is a strongly connected component of the synchronous service graph. One component makes one finding, however
//! many circles it holds. Refused: edges with too few calls (they could be one request's accident), callbacks to services
//! whose role is to be asked by everybody, messages. Circles of messages alone are reported apart, as a note.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::snapshot::{Edge, Loop};
use spanlint_graph::{CallGraph, NodeIndex, TraceId};

use crate::case::{self, Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::rules::ping_pong::are_called_back;
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct CyclicDependency;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "cyclic-dependency",
    category: Category::Boundaries,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "Services call each other in a circle.",
    looks_like: "Orders call payments, and to check something payments call orders back; neither starts without the other, and \
                 nobody can say which of the two is released first.",
    why: "Services in a circle are one service in pieces: they must be released together, they fail together, and a slow \
          answer anywhere comes back around to its caller.",
    how: "Strongly connected components of more than one service are sought in the graph of calls that somebody waits for. \
          Seen only in the aggregate a component is a note; where one trace walks a circle within it, it is a warning, and \
          an error where the walked circles join `error_from` services or more.",
    fix: "Cut the cheapest edge: pass the needed data along with the first call, publish an event instead of calling back, \
          or move what both sides need into a service of its own.",
    limits: "Edges with few calls are left out, and so are calls to services with the role auth, config or discovery, declared \
             in `[roles]` or shown by the graph, calls to a declared gateway, and ways back whose names all say that they \
             check who somebody is or take a webhook. Circles of messages alone are a note, as nobody waits in them; a circle of calls and messages is \
             none.",
    references: &[
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018",
        "Al-Mutawa, Dietrich, Marsland, McCartin: On the Shape of Circular Dependencies in Java Programs, ASWEC 2014",
        "Martin: Clean Architecture (2017), The Acyclic Dependencies Principle",
    ],
    instrumentation_score: &[],
    options: &[OptionMeta {
        name: "error_from",
        default: 4.0,
        help: "Services on walked circles from which it is an error.",
    }],
    absorbs: &["hub-service", "ping-pong", "tight-coupling"],
};

impl Rule for CyclicDependency {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let messages = |edge: &&Edge| edge.is_derived && topology::joins_services(graph, edge);

        let mut verdict = Verdict::default();
        if !graph.edges.iter().any(|edge| topology::joins_services(graph, edge)) {
            verdict.undecided.push(Undecided::of_input(&META, "no calls between services were seen"));
        }
        let calls = |edge: &&Edge| may_close_circle(graph, options, edge);
        search(graph, options, &graph.edges.iter().filter(calls).collect::<Vec<_>>(), Way::Calls, &mut verdict);
        search(graph, options, &graph.edges.iter().filter(messages).collect::<Vec<_>>(), Way::Messages, &mut verdict);
        verdict
    }
}

/// Whether circles are told of at all.
pub(super) fn is_on(options: &Options<'_>) -> bool {
    !options.of(&META).is_off()
}

/// The services of each circle of calls with enough support, of which each is a finding, by their first service.
pub(super) fn circles<'a>(graph: &CallGraph, options: &Options<'a>) -> &'a [Vec<NodeIndex>] {
    options.circles(|| {
        let is_part = |edge: &&Edge| closes_circle(graph, options, edge);
        topology::strongly_connected(graph, graph.edges.iter().filter(is_part).map(|edge| (edge.from, edge.to)))
    })
}

/// Whether it is a call with enough support that may be part of a circle.
pub(super) fn closes_circle(graph: &CallGraph, options: &Options<'_>, edge: &Edge) -> bool {
    may_close_circle(graph, options, edge) && shortfall(options, edge).is_none()
}

fn may_close_circle(graph: &CallGraph, options: &Options<'_>, edge: &Edge) -> bool {
    let is_asked_by_all = |index| options.roles().has_any(graph, index, &[Role::Auth, Role::Config, Role::Discovery]);
    let is_called_back = || edge.facts.revisits > 0 && are_called_back(graph, edge.from, edge.to);
    // Who goes by way of the gateway depends on what lies behind it.
    let is_by_gateway = || options.roles().is_declared(graph, edge.to, Role::Gateway);
    topology::is_synchronous_call(graph, edge) && !is_asked_by_all(edge.to) && !is_by_gateway() && !is_called_back()
}

/// What an edge lacks, if it does.
fn shortfall(options: &Options<'_>, edge: &Edge) -> Option<String> {
    options.required().edge(edge.facts.calls, edge.facts.traces).err()
}

/// What a circle is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Calls,
    Messages,
}

impl Way {
    fn noun(self) -> &'static str {
        match self {
            Self::Calls => "call",
            Self::Messages => "message",
        }
    }
}

/// Judges every component of `edges`. Components are sought among the edges with enough support; one that exists only with
/// the others is undecided.
fn search(graph: &CallGraph, options: &Options<'_>, edges: &[&Edge], way: Way, verdict: &mut Verdict) {
    let supported: Vec<_> = edges.iter().copied().filter(|edge| shortfall(options, edge).is_none()).collect();
    let found = match way {
        Way::Calls => components(graph, circles(graph, options), &supported),
        Way::Messages => components(graph, &joined(graph, &supported), &supported),
    };
    for component in components(graph, &joined(graph, edges), edges) {
        let parts: Vec<_> = found.iter().filter(|part| component.nodes.is_superset(&part.nodes)).collect();
        if parts.is_empty() {
            let weak = component.edges.iter().find_map(|edge| Some((*edge, shortfall(options, edge)?)));
            let (edge, missing) = weak.expect("a component without weak edges is found among the supported edges");
            let (from, to) = (&graph.node(edge.from).name, &graph.node(edge.to).name);
            verdict.undecided.push(component.case(graph, options).undecided(format!("{from} to {to}: {missing}")));
        }
        for part in parts {
            verdict.take(part.judge(graph, options, way));
        }
    }
}

/// Services that reach each other.
struct Component<'a> {
    nodes: BTreeSet<NodeIndex>,
    /// Those within, in the order of the snapshot.
    edges: Vec<&'a Edge>,
}

/// Services that reach each other over `edges`, by their first service.
fn joined(graph: &CallGraph, edges: &[&Edge]) -> Vec<Vec<NodeIndex>> {
    topology::strongly_connected(graph, edges.iter().map(|edge| (edge.from, edge.to)))
}

/// The components of these services, with those of `edges` that lie within.
fn components<'a>(graph: &CallGraph, joined: &[Vec<NodeIndex>], edges: &[&'a Edge]) -> Vec<Component<'a>> {
    let mut component_of = vec![usize::MAX; graph.nodes.len()];
    let mut components = Vec::new();
    for members in joined {
        for member in members {
            component_of[member.0 as usize] = components.len();
        }
        components.push(Component { nodes: members.iter().copied().collect(), edges: Vec::new() });
    }
    for edge in edges {
        let component = component_of[edge.from.0 as usize];
        if component != usize::MAX && component == component_of[edge.to.0 as usize] {
            components[component].edges.push(edge);
        }
    }
    components
}

impl Component<'_> {
    fn judge(&self, graph: &CallGraph, options: &Options<'_>, way: Way) -> Result<Finding, Undecided> {
        let walked = match way {
            Way::Calls => self.walked(graph, options),
            Way::Messages => Vec::new(),
        };
        let walked_services: BTreeSet<_> = walked.iter().flat_map(|each| &each.nodes).collect();
        let severity = match walked_services.len() {
            0 => Severity::Note,
            size if size as f64 >= options.number("error_from") => Severity::Error,
            _ => META.severity,
        };
        let cut = self.cheapest_edge();
        let (from, to) = (&graph.node(cut.from).name, &graph.node(cut.to).name);
        let walks: u64 = walked.iter().map(|each| each.facts.traces).max().unwrap_or_default();
        let mut evidence = vec![
            Evidence::of("services", self.nodes.len() as f64, "services").against(2.0),
            Evidence::of("calls_on_cheapest_edge", cut.facts.calls as f64, "calls"),
        ];
        if !walked.is_empty() {
            evidence.push(Evidence::of("traces_that_walk_it", walks as f64, "traces"));
        }
        let case = self.case(graph, options);
        case.finding(Draft {
            severity,
            confidence: if walked.is_empty() { META.confidence } else { Confidence::Proven },
            title: title(case.services(), way),
            message: self.message(graph, way, cut, walks),
            fix: format!(
                "Cut {from} to {to}: hand {to}'s data along when {from} is called, let {from} publish an event, or move what \
                 both need into a service of its own."
            ),
            subject: Subject {
                edges: self.edges.iter().map(|edge| ids(graph, edge)).collect::<BTreeSet<_>>().into_iter().collect(),
                ..Subject::default()
            },
            evidence,
            support: support_of(graph, cut),
            traces: self.traces(&walked),
            ..case.draft()
        })
    }

    /// The loops within that enough traces walked.
    fn walked<'g>(&self, graph: &'g CallGraph, options: &Options<'_>) -> Vec<&'g Loop> {
        let is_within = |each: &Loop| each.nodes.iter().all(|node| self.nodes.contains(node));
        let is_shown = |each: &Loop| options.required().proven(each.facts.traces, each.facts.traces).is_ok();
        graph.loops.iter().filter(|each| is_within(each) && is_shown(each)).collect()
    }

    /// The edge with the fewest calls; of equals the quickest. In a circle that is walked that is the one that leads back, as
    /// it runs while the others wait.
    fn cheapest_edge(&self) -> &Edge {
        let cost = |edge: &&&Edge| (edge.facts.calls, edge.latency().sum(), edge.from, edge.to);
        self.edges.iter().min_by_key(cost).expect("a component of two services has two edges")
    }

    /// Traces that walk the circle, else one for each of the first edges.
    fn traces(&self, walked: &[&Loop]) -> Vec<TraceId> {
        let of_walks = walked.iter().flat_map(|each| each.facts.exemplars.proof(1));
        let of_edges = self.edges.iter().filter_map(|edge| case::trace_of_edge(edge));
        if walked.is_empty() { of_edges.collect() } else { of_walks.collect() }
    }

    fn message(&self, graph: &CallGraph, way: Way, cut: &Edge, walks: u64) -> String {
        let walked = match (way, walks) {
            (Way::Messages, _) => "Nobody waits in it, but a message may come back to where it began.".to_owned(),
            (Way::Calls, 0) => "No single trace walks around in it.".to_owned(),
            (Way::Calls, walks) => format!("A request walks around in it in {}.", wording::count(walks, "trace")),
        };
        let noun = way.noun();
        let all: u64 = self.edges.iter().map(|edge| edge.facts.calls).sum();
        format!(
            "{} and {} between them form {}. {walked} {} to {} is the cheapest to cut: {} of {}.",
            wording::count(self.nodes.len() as u64, "service"),
            wording::count(self.pairs().len() as u64, "edge"),
            self.shape(),
            graph.node(cut.from).name,
            graph.node(cut.to).name,
            cut.facts.calls,
            wording::count(all, noun),
        )
    }

    /// The shape, by Al-Mutawa et al. (2014): what is neither of the simple ones is a tangle.
    fn shape(&self) -> &'static str {
        let pairs = self.pairs();
        let (size, edges) = (self.nodes.len(), pairs.len());
        let is_mutual = pairs.iter().all(|&(from, to)| pairs.contains(&(to, from)));
        let mut neighbours: BTreeMap<NodeIndex, usize> = BTreeMap::new();
        for (from, _) in &pairs {
            *neighbours.entry(*from).or_default() += 1;
        }
        let most = neighbours.into_values().max().unwrap_or_default();
        match (size, edges) {
            (2, _) => "a pair",
            _ if edges == size => "a circle",
            _ if edges == size * (size - 1) => "a clique",
            _ if is_mutual && edges == 2 * (size - 1) && most == size - 1 => "a star",
            _ if is_mutual && edges == 2 * (size - 1) && most == 2 => "a chain",
            _ => "a tangle",
        }
    }

    /// Its edges without regard to their protocol.
    fn pairs(&self) -> BTreeSet<(NodeIndex, NodeIndex)> {
        self.edges.iter().map(|edge| (edge.from, edge.to)).collect()
    }

    fn case<'g>(&self, graph: &'g CallGraph, options: &Options<'g>) -> Case<'g> {
        Case::new(graph, options, self.nodes.iter().copied())
    }
}

fn title(services: &[String], way: Way) -> String {
    let names = wording::list(services);
    match way {
        Way::Calls => format!("{names} call each other in a circle"),
        Way::Messages => format!("{names} send each other messages in a circle"),
    }
}

fn ids(graph: &CallGraph, edge: &Edge) -> (String, String) {
    (graph.node(edge.from).id.clone(), graph.node(edge.to).id.clone())
}

/// The requests of the caller of the edge to cut, and those of them that use it.
fn support_of(graph: &CallGraph, cut: &Edge) -> Support {
    let affected = cut.facts.requests;
    let requests = graph.node(cut.from).service.as_ref().map_or(0, |service| service.requests);
    Support::of(affected, requests)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Mode};
    use crate::testing::{TODAY, analysis, check_with, graph};

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("cyclic-dependency", traces, expected);
    }

    const WALKED: &str = "10 traces\norder GET /o\n  pay GET /p\n    order GET /back";

    #[test]
    fn a_circle_that_a_trace_walks_is_a_warning() {
        check(WALKED, &["warning proven: order and pay call each other in a circle"]);
    }

    #[test]
    fn a_circle_in_the_aggregate_is_a_note() {
        check(
            "10 traces\na GET /\n  b GET /b\n    c GET /c\n\n10 traces\nc GET /\n  a GET /a",
            &["note strong: a, b and c call each other in a circle"],
        );
    }

    #[test]
    fn four_services_walked_are_an_error() {
        check(
            "10 traces\na GET /\n  b GET /b\n    c GET /c\n      d GET /d\n        a GET /back",
            &["error proven: a, b, c and d call each other in a circle"],
        );
    }

    #[test]
    fn a_component_is_one_finding_that_names_the_edge_to_cut() {
        let traces = "10 traces\na GET /\n  b GET /b\n    a GET /back\n  2 x b GET /b\n    c GET /c\n      b GET /back";
        let analysis = analysis(traces, "");
        let [finding] = analysis.findings.as_slice() else { panic!("{analysis:?}") };
        assert_eq!(finding.services, ["a", "b", "c"]);
        assert_eq!(finding.subject.edges.len(), 4);
        assert!(finding.message.contains("form a star"), "{}", finding.message);
        assert!(finding.fix.starts_with("Cut b to a:"), "{}", finding.fix);
        assert!(!finding.traces.is_empty());
    }

    #[test]
    fn of_equal_edges_the_one_that_leads_back_is_cut() {
        let analysis = analysis(&WALKED.replace("order", "z"), "");
        assert!(analysis.findings[0].fix.starts_with("Cut pay to z:"), "{}", analysis.findings[0].fix);
    }

    #[test]
    fn calls_in_one_direction_are_no_circle() {
        check("10 traces\na GET /\n  b GET /b\n    c GET /c\n  c GET /c", &[]);
    }

    #[test]
    fn what_is_called_back_on_purpose_closes_no_circle() {
        check(&WALKED.replace("GET /back", "POST /webhooks/paid"), &[]);
        check(&WALKED.replace("/back", "/token/verify"), &[]);
        check(
            &WALKED.replace("GET /back", "POST /webhooks/paid\n    order GET /back"),
            &["warning proven: order and pay call each other in a circle"],
        );
        let title = "warning proven: order and pay call each other in a circle";
        check(&WALKED.replace("GET /back", "POST /callback"), &[title]);
    }

    #[test]
    fn an_edge_with_few_calls_is_undecided() {
        check(
            "10 traces\na GET /\n  b GET /b\n\n2 traces\nb GET /\n  a GET /a",
            &["(a b: b to a: 2 calls in 2 traces seen, 10 in 3 needed)"],
        );
    }

    #[test]
    fn callbacks_to_declared_auth_and_config_are_exempt() {
        let traces = "10 traces\nuser GET /\n  login GET /token\n    user GET /who";
        let title = "login and user call each other in a circle";
        check(traces, &[&format!("warning proven: {title}")]);
        for role in ["auth", "config", "discovery", "gateway"] {
            check_with("cyclic-dependency", traces, &format!("[roles]\n{role} = [\"login\"]"), &[]);
        }
    }

    #[test]
    fn an_answer_by_message_is_no_circle() {
        check("10 traces\norder GET /\n  pay GET /pay\n    publish paid\n      order takes paid", &[]);
    }

    #[test]
    fn a_circle_of_messages_is_reported_apart() {
        let circle = "10 traces\na GET /\n  publish tick\n    b takes tick\n      publish tock\n        a takes tock";
        check(
            &format!("{circle}\n\n10 traces\na GET /\n  b GET /b"),
            &["note strong: a and b send each other messages in a circle"],
        );
    }

    #[test]
    fn live_traffic_needs_three_walks() {
        let aggregate = "10 traces\na GET /\n  b GET /b\n\n10 traces\nb GET /\n  a GET /a";
        let walked = "a GET /\n  b GET /b\n    a GET /a";
        let graph = graph(&format!("{aggregate}\n\n{walked}"));
        let severity = |mode| {
            let analysis = crate::judge(&graph, &Config::default(), mode, TODAY);
            let finding = analysis.findings.iter().find(|finding| finding.rule.name == "cyclic-dependency");
            finding.unwrap().severity.as_str()
        };
        assert_eq!([Mode::Check, Mode::Live].map(severity), ["warning", "note"]);
    }
}

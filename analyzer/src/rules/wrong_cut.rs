//! A service that belongs to another group than the one that owns it: it talks to strangers more than to its own.
//!
//! The signals are where its calls go, and where the communities of the traffic put it. Refused: gateways, platform groups
//! that everybody calls, services whose role is to be asked by all, and groups of one.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft, trace_of_edge};
use crate::communities;
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::groups::GroupSource;
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The share of all other groups that call a platform group.
const PLATFORM_SHARE: f64 = 0.75;
/// The fewest groups that must call one before it can be a platform.
const PLATFORM_MIN_GROUPS: usize = 3;
/// Words in the name of a group that others are meant to call.
const PLATFORM_WORDS: [&str; 5] = ["common", "infra", "infrastructure", "platform", "shared"];
/// The modularity from which communities mean something, by the paper that brought it up.
const MIN_MODULARITY: f64 = 0.3;
/// The smallest community that says where a service belongs.
const MIN_COMMUNITY: usize = 3;

/// The rule.
pub(super) struct WrongCut;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "wrong-cut",
    category: Category::Boundaries,
    severity: Severity::Note,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "A service talks to another group's services more than to those of its own.",
    looks_like: "The tax service belongs to the warehouse team, since they had time; every change of it is asked for, tested \
                 and waited for by the checkout team.",
    why: "What changes together should belong together. Here each change crosses a border between teams: two backlogs, two \
          releases, a meeting.",
    how: "Calls of a service to its own group and to others are counted; groups are those of `[architecture.groups]`, else \
          `service.namespace`, else owners. The pattern holds where one other group gets `min_factor` times as many calls as \
          the own, and `min_share` of `min_calls` or more in all; or where the communities of the traffic put the service \
          among the others. Where both agree it is a warning.",
    fix: "Give the service to the team whose services it works with, or move the part of it that they need.",
    limits: "Gateways, and groups that most others call (a platform), are exempt, and so are groups of one service and those \
             that are called after what they are (`platform`, `shared`) and call no other. Traffic shows what talks \
             together, not what is changed together.",
    references: &[
        "Skelton, Pais: Team Topologies (2019)",
        "Conway: How do Committees Invent? Datamation 14(4), 1968",
        "Traag, Waltman, van Eck: From Louvain to Leiden, Scientific Reports 9, 2019",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_calls",
            default: 100.0,
            help: "Calls of a service to others that say where it belongs.",
        },
        OptionMeta { name: "min_share", default: 0.5, help: "Share of them that go to one other group, from 0 to 1." },
        OptionMeta { name: "min_factor", default: 2.0, help: "Calls to that group for each call to the own group." },
    ],
    absorbs: &[],
};

impl Rule for WrongCut {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let Some(source) = options.groups().source() else { return verdict };
        if let Err(missing) = options.required().system(graph) {
            verdict.undecided.push(Undecided::of_input(&META, missing));
            return verdict;
        }
        let cut = Cut::of(graph, options, source);
        for service in topology::services(graph) {
            let Some(suspicion) = cut.suspicion(graph, options, service) else { continue };
            verdict.take(suspicion.judge(graph, options, &cut));
        }
        verdict
    }
}

/// How the system is cut, and how its traffic would cut it.
struct Cut<'a> {
    source: GroupSource,
    /// Group → its services.
    members: BTreeMap<&'a str, BTreeSet<NodeIndex>>,
    platforms: BTreeSet<&'a str>,
    /// Empty where the traffic shows no communities worth the name.
    communities: BTreeMap<NodeIndex, usize>,
    /// Community → its services.
    sizes: BTreeMap<usize, usize>,
}

impl<'a> Cut<'a> {
    fn of(graph: &CallGraph, options: &Options<'a>, source: GroupSource) -> Self {
        let groups = options.groups();
        let mut members: BTreeMap<&str, BTreeSet<NodeIndex>> = BTreeMap::new();
        for service in topology::services(graph) {
            if let Some(group) = groups.get(service) {
                members.entry(group).or_default().insert(service);
            }
        }
        let mut callers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, to) in options.calls().pairs() {
            if let (Some(from), Some(to)) = (groups.get(from), groups.get(to)) {
                callers.entry(to).or_default().extend((from != to).then_some(from));
            }
        }
        let others = members.len().saturating_sub(1);
        let calls_others = |group: &str| callers.values().any(|callers| callers.contains(group));
        let is_platform = |group: &str, callers: &BTreeSet<&str>| {
            let is_called_by_most =
                callers.len() >= PLATFORM_MIN_GROUPS && callers.len() as f64 >= others as f64 * PLATFORM_SHARE;
            is_called_by_most || !callers.is_empty() && is_named_platform(group) && !calls_others(group)
        };
        let platforms =
            callers.iter().filter(|(group, callers)| is_platform(group, callers)).map(|(group, _)| *group).collect();
        let traffic = communities::traffic(graph);
        let communities = communities::detect(&traffic);
        let modularity = communities::modularity(&traffic, |node| communities.get(&node));
        let means_something = modularity.is_some_and(|modularity| modularity >= MIN_MODULARITY);
        let communities = if means_something { communities } else { BTreeMap::new() };
        let mut sizes = BTreeMap::new();
        for community in communities.values() {
            *sizes.entry(*community).or_default() += 1;
        }
        Self { source, members, platforms, communities, sizes }
    }

    fn suspicion(&self, graph: &CallGraph, options: &Options<'a>, service: NodeIndex) -> Option<Suspicion<'a>> {
        let gathers = [Role::Gateway, Role::Bff];
        let own = options.groups().get(service).filter(|own| self.members[own].len() > 1)?;
        if options.roles().has_any(graph, service, &gathers) || self.platforms.contains(own) {
            return None;
        }
        let calls = self.calls_by_group(graph, options, service);
        let all: u64 = calls.values().sum();
        let (foreign, most) = calls.iter().filter(|(group, _)| **group != own).max_by_key(|(_, calls)| **calls)?;
        let to_own = calls.get(own).copied().unwrap_or_default();
        let share = *most as f64 / all as f64;
        let is_drawn =
            *most as f64 >= to_own as f64 * options.number("min_factor") && share >= options.number("min_share");
        let is_placed = self.is_placed_among(service, own, foreign);
        (is_drawn || is_placed).then_some(Suspicion {
            service,
            own,
            foreign,
            to_own,
            most: *most,
            all,
            is_drawn,
            is_placed,
        })
    }

    /// Calls to services of each group, but for platforms and those that everybody asks.
    fn calls_by_group(&self, graph: &CallGraph, options: &Options<'a>, service: NodeIndex) -> BTreeMap<&'a str, u64> {
        let asked_by_all = [Role::Auth, Role::Config, Role::Discovery, Role::Broker];
        let mut calls = BTreeMap::new();
        let edges = topology::edges_from(graph, service).iter();
        for edge in edges.filter(|edge| topology::is_synchronous_call(graph, edge)) {
            let Some(group) = options.groups().get(edge.to) else { continue };
            if self.platforms.contains(group) || options.roles().has_any(graph, edge.to, &asked_by_all) {
                continue;
            }
            *calls.entry(group).or_default() += edge.facts.calls;
        }
        calls
    }

    /// Whether the traffic puts a service among those of `foreign`, away from its own.
    fn is_placed_among(&self, service: NodeIndex, own: &str, foreign: &str) -> bool {
        let Some(community) = self.communities.get(&service) else { return false };
        let size = self.sizes[community];
        let of_group = |group: &str| {
            self.members[group].iter().filter(|member| self.communities.get(member) == Some(community)).count()
        };
        let (ours, theirs) = (of_group(own), of_group(foreign));
        size >= MIN_COMMUNITY && theirs > ours && theirs * 2 >= size
    }
}

/// Whether a group is called what those are called that serve all others: `platform`, `team-infra`.
fn is_named_platform(group: &str) -> bool {
    let mut words = group.split(|character: char| !character.is_ascii_alphanumeric());
    words.any(|word| PLATFORM_WORDS.iter().any(|platform| platform.eq_ignore_ascii_case(word)))
}

/// A service that seems to belong elsewhere.
struct Suspicion<'a> {
    service: NodeIndex,
    own: &'a str,
    foreign: &'a str,
    to_own: u64,
    most: u64,
    all: u64,
    is_drawn: bool,
    is_placed: bool,
}

impl Suspicion<'_> {
    fn judge(&self, graph: &CallGraph, options: &Options<'_>, cut: &Cut<'_>) -> Result<Finding, Undecided> {
        let strangers: Vec<_> = options
            .calls()
            .callees(self.service)
            .iter()
            .copied()
            .filter(|callee| cut.members[self.foreign].contains(callee))
            .collect();
        let case = Case::new(graph, options, [self.service].into_iter().chain(strangers.iter().copied()));
        let edges: Vec<_> =
            strangers.iter().flat_map(|&callee| topology::edges_between(graph, self.service, callee)).collect();
        let traces = edges.iter().map(|edge| edge.facts.traces).max().unwrap_or_default();
        options.required().edge(self.most, traces).map_err(|missing| case.undecided(missing))?;
        let needed = options.whole("min_calls");
        if self.all < needed {
            return Err(case.undecided(format!("{} seen, {needed} needed", wording::count(self.all, "call"))));
        }
        let (node, noun) = (graph.node(self.service), cut.source.noun());
        let (name, own, foreign) = (&node.name, self.own, self.foreign);
        let names: Vec<_> = strangers.iter().map(|&callee| graph.node(callee).name.as_str()).collect();
        let placed = if self.is_placed { " The communities of the traffic put it there, too." } else { "" };
        let requests = node.service.as_ref().map_or(0, |service| service.requests);
        case.finding(Draft {
            severity: if self.is_drawn && self.is_placed { Severity::Warning } else { META.severity },
            title: format!("{name} of {noun} {own} works with {noun} {foreign}"),
            message: format!(
                "Of {} from {name} to services of any {noun}, {} go to {} of {foreign} and {} to its own.{placed}",
                wording::count(self.all, "call"),
                self.most,
                wording::list(&names),
                self.to_own
            ),
            fix: format!("Give {name} to {noun} {foreign}, or move what {} need of it there.", wording::list(&names)),
            subject: Subject {
                edges: strangers.iter().map(|&callee| (node.id.clone(), graph.node(callee).id.clone())).collect(),
                ..Subject::default()
            },
            evidence: vec![
                Evidence::of("share_of_calls_to_the_other", self.most as f64 / self.all as f64, "share")
                    .against(options.number("min_share")),
                Evidence::of("calls_to_the_other", self.most as f64, "calls").against(options.number("min_calls")),
                Evidence::of("calls_to_its_own", self.to_own as f64, "calls"),
            ],
            support: Support::of(edges.iter().map(|edge| edge.facts.requests).max().unwrap_or_default(), requests),
            traces: edges.iter().filter_map(|edge| trace_of_edge(edge)).collect(),
            ..case.draft()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    /// Two teams of three; `c` of the first is the one in question.
    const GROUPS: &str = "[architecture.groups]\nfirst = [\"a\", \"b\", \"c\"]\nsecond = [\"x\", \"y\", \"z\"]";

    fn check(traces: &str, expected: &[&str]) {
        check_with("wrong-cut", traces, GROUPS, expected);
    }

    const AROUND: &str = "50 traces\na GET /\n  8 x b GET /b\n\n50 traces\nx GET /\n  4 x y GET /y\n  4 x z GET /z";

    #[test]
    fn calls_and_communities_that_agree_are_a_warning() {
        let traces = format!("{AROUND}\n\n50 traces\nc GET /\n  4 x x GET /x\n    y GET /y\n  b GET /b");
        check(&traces, &["warning heuristic: c of group first works with group second"]);
    }

    #[test]
    fn a_service_that_works_with_its_own_is_cut_right() {
        let traces = format!("{AROUND}\n\n50 traces\nc GET /\n  2 x a GET /a\n  2 x b GET /b\n  x GET /x");
        check(&traces, &[]);
    }

    #[test]
    fn few_calls_are_undecided() {
        let few = format!("{AROUND}\n\n9 traces\nc GET /\n  4 x x GET /x");
        check(&few, &["(c x: 36 calls seen, 100 needed)"]);
    }

    #[test]
    fn gateways_and_those_whom_all_ask_are_exempt() {
        let traces = format!("{AROUND}\n\n50 traces\nc GET /\n  4 x x GET /x\n    y GET /y\n  b GET /b");
        check_with("wrong-cut", &traces, &format!("{GROUPS}\n[roles]\ngateway = \"c\""), &[]);
        check_with("wrong-cut", &traces, &format!("{GROUPS}\n[roles]\nauth = \"x\""), &[]);
    }

    #[test]
    fn a_platform_that_everybody_calls_is_no_stranger() {
        let groups = "[architecture.groups]\nfirst = [\"a\", \"b\"]\nsecond = [\"c\", \"d\"]\nthird = [\"e\", \"f\"]\n\
                      platform = [\"x\", \"y\"]";
        let traces = ["a", "c", "e"].map(|name| format!("50 traces\n{name} GET /\n  4 x x GET /x\n  4 x y GET /y"));
        let own = "20 traces\nb GET /\n\n20 traces\nd GET /\n\n20 traces\nf GET /";
        check_with("wrong-cut", &format!("{}\n\n{own}", traces.join("\n\n")), groups, &[]);
    }

    #[test]
    fn a_platform_by_name_calls_nobody_back() {
        let groups = GROUPS.replace("second", "team-platform");
        let traces = "50 traces\na GET /\n  8 x b GET /b\n\n50 traces\nc GET /\n  4 x x GET /x\n  y GET /y\n\n50 traces\nz GET /";
        let is_told = |traces: &str, groups: &str| {
            let findings = crate::testing::analysis(traces, groups).findings;
            findings
                .iter()
                .any(|finding| finding.rule.name == "wrong-cut" && finding.title.starts_with("c of group first"))
        };
        assert!(is_told(traces, GROUPS));
        assert!(!is_told(traces, &groups));
        assert!(is_told(&format!("{traces}\n  a GET /a"), &groups));
    }

    #[test]
    fn without_groups_there_is_no_cut() {
        crate::testing::check("wrong-cut", AROUND, &[]);
    }
}

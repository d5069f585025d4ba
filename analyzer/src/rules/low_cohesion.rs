//! A service whose operations have nothing in common: several services in one deployable.
//!
//! The signal is which tables, callees and callers the operations share. Operations that share any of them, directly or by
//! way of others, are one part; a service of several parts holds together by its name alone. Refused: gateways and back
//! ends for front ends, and plain administration of many tables.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::snapshot::CallPattern;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct LowCohesion;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "low-cohesion",
    category: Category::Boundaries,
    severity: Severity::Warning,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "The operations of one service fall into parts that have nothing to do with each other.",
    looks_like: "The common service began with the newsletter; then the holiday calendar needed a home, and then the currency \
                 rates. Nobody who works on one has ever read the others.",
    why: "Unrelated parts get in each other's way: one's release carries the other's risk, one's load takes the other's \
          memory, and nobody can say what the service is for.",
    how: "Operations that share a table, a callee or a calling service are joined, over any number of steps. The pattern \
          holds where `min_parts` or more parts of `min_operations` or more operations remain. How evenly the callers use the \
          whole interface is reported beside it (SIUC, from 0 to 1).",
    fix: "Give each part a service of its own, or move it to the service whose data or callers it shares.",
    limits: "The gateway and clients do not count as callers, since they call everything. Operations that touch nothing, \
             that only the clock starts or that are calls on their own are left out, and so are services that only \
             administer one table per operation for clients.",
    references: &[
        "Perepletchikov, Ryan, Tari: The Impact of Service Cohesion on the Analyzability of Service-Oriented Software, IEEE \
         Transactions on Services Computing 3(2), 2010 (SIUC, SIDC)",
        "Bogner, Wagner, Zimmermann: Automatically measuring the maintainability of service- and microservice-based systems, \
         IWSM Mensura 2017",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_parts", default: 2.0, help: "Parts without anything in common that make the pattern." },
        OptionMeta { name: "min_operations", default: 2.0, help: "Operations that make a part." },
    ],
    absorbs: &[],
};

impl Rule for LowCohesion {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut incoming: BTreeMap<NodeIndex, Vec<&CallPattern>> = BTreeMap::new();
        for pattern in graph.patterns.iter().filter(|pattern| graph.node(pattern.callee).kind == NodeKind::Service) {
            incoming.entry(pattern.callee).or_default().push(pattern);
        }
        let min_operations = options.whole("min_operations").max(1) as usize;
        for service in topology::services(graph) {
            // Two parts need twice as many operations as one.
            if topology::operations_of(graph, service).len() < 2 * min_operations {
                continue;
            }
            if options.roles().has_any(graph, service, &[Role::Gateway, Role::Bff]) {
                continue;
            }
            let interface = Interface::of(graph, options, service, incoming.get(&service).map_or(&[], Vec::as_slice));
            let parts = interface.parts(min_operations);
            if (parts.len() as u64) < options.whole("min_parts").max(2) || interface.is_administration() {
                continue;
            }
            verdict.take(interface.judge(graph, options, &parts));
        }
        verdict
    }
}

/// What an operation may share with another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Shared<'a> {
    Table(NodeIndex, &'a str),
    Callee(NodeIndex),
    Caller(NodeIndex),
}

/// The operations of a service, each with what it may share.
struct Interface<'a> {
    service: NodeIndex,
    operations: BTreeMap<&'a str, BTreeSet<Shared<'a>>>,
}

impl<'a> Interface<'a> {
    fn of(graph: &'a CallGraph, options: &Options<'_>, service: NodeIndex, incoming: &[&'a CallPattern]) -> Self {
        let mut operations: BTreeMap<&str, BTreeSet<Shared<'_>>> = BTreeMap::new();
        // Connecting to a datastore is no use of what is in it.
        let is_use =
            |pattern: &&CallPattern| pattern.callee != service && pattern.facts.set_up_calls < pattern.facts.calls;
        for pattern in topology::patterns_of(graph, service).iter().filter(is_use) {
            let shared = operations.entry(&graph.operation(pattern.caller).name).or_default();
            // A statement whose tables nobody knows may touch any of them.
            if graph.node(pattern.callee).kind == NodeKind::Datastore && !pattern.tables.is_empty() {
                shared.extend(pattern.tables.iter().map(|table| Shared::Table(pattern.callee, table)));
            } else {
                shared.insert(Shared::Callee(pattern.callee));
            }
        }
        for pattern in incoming {
            let caller = graph.operation(pattern.caller).node;
            let is_own = topology::operation(graph, service, &pattern.template).is_some();
            if caller != service && is_own && !options.roles().has_any(graph, caller, &[Role::Gateway]) {
                operations.entry(&pattern.template).or_default().insert(Shared::Caller(caller));
            }
        }
        let is_asked_for = |name: &str| {
            let operation = topology::operation(graph, service, name).map(|index| graph.operation(index));
            operation.is_none_or(|operation| operation.facts.is_asked_for())
        };
        operations.retain(|name, _| !name.is_empty() && is_asked_for(name));
        Self { service, operations }
    }

    /// Operations that share something with each other, over any number of steps; parts of too few left out.
    fn parts(&self, min_operations: usize) -> Vec<Vec<&'a str>> {
        let mut parts: Vec<(BTreeSet<&Shared<'_>>, Vec<&str>)> = Vec::new();
        for (name, shared) in &self.operations {
            let (mut all, mut names) = (shared.iter().collect::<BTreeSet<_>>(), vec![*name]);
            let (joined, apart): (Vec<_>, Vec<_>) =
                parts.into_iter().partition(|(other, _)| other.iter().any(|each| all.contains(each)));
            for (other, more) in joined {
                all.extend(other);
                names.extend(more);
            }
            parts = apart;
            parts.push((all, names));
        }
        let large = parts.into_iter().map(|(_, names)| names).filter(|names| names.len() >= min_operations);
        let sorted = |mut names: Vec<&'a str>| {
            names.sort_unstable();
            names
        };
        let mut large: Vec<_> = large.map(sorted).collect();
        large.sort_unstable();
        large
    }

    /// Whether it is there to administer tables: each operation touches one, and nobody but clients asks.
    fn is_administration(&self) -> bool {
        let is_of_one_table =
            |shared: &BTreeSet<Shared<'_>>| shared.len() == 1 && matches!(shared.first(), Some(Shared::Table(..)));
        self.operations.values().all(is_of_one_table)
    }

    /// How evenly the calling services use the interface: operations used, over callers times operations.
    fn usage_cohesion(&self) -> Option<f64> {
        let is_caller = |shared: &&Shared<'_>| matches!(shared, Shared::Caller(_));
        let callers: BTreeSet<_> = self.operations.values().flatten().filter(is_caller).collect();
        let used: usize = self.operations.values().map(|shared| shared.iter().filter(is_caller).count()).sum();
        let possible = callers.len() * self.operations.len();
        (possible > 0).then(|| used as f64 / possible as f64)
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>, parts: &[Vec<&str>]) -> Result<Finding, Undecided> {
        let case = Case::new(graph, options, [self.service]);
        let all = graph.node(self.service).service.as_ref().map_or(0, |service| service.requests);
        options.required().requests(all).map_err(|missing| case.undecided(missing))?;
        let operation =
            |name: &&str| topology::operation(graph, self.service, name).map(|index| graph.operation(index));
        let mut traces = Vec::new();
        let mut affected = 0;
        for part in parts {
            let operations: Vec<_> = part.iter().filter_map(operation).collect();
            let requests: u64 = operations.iter().map(|operation| operation.facts.requests).sum();
            let facts = operations.iter().map(|operation| &operation.facts).max_by_key(|facts| facts.requests);
            let seen = facts.and_then(|facts| facts.exemplars.typical(facts.latency.quantile(0.5)));
            options.required().edge(requests, requests).map_err(|missing| case.undecided(missing))?;
            affected += requests;
            traces.extend(seen);
        }
        let name = &graph.node(self.service).name;
        let told: Vec<_> = parts.iter().map(|part| wording::list(part)).collect();
        let mut evidence =
            vec![Evidence::of("parts", parts.len() as f64, "parts").against(options.number("min_parts"))];
        evidence.extend(self.usage_cohesion().map(|cohesion| Evidence::of("siuc", cohesion, "share")));
        case.finding(Draft {
            title: format!("{name} is {} parts that share nothing", parts.len()),
            message: format!(
                "The operations of {name} share no table, callee or caller across these parts: {}.",
                told.join("; ")
            ),
            fix: format!("Give each part of {name} a service of its own, or move it to where its data or callers are."),
            subject: Subject {
                operations: parts.iter().flatten().map(|operation| wording::operation(name, operation)).collect(),
                ..Subject::default()
            },
            evidence,
            support: Support::of(affected, all),
            traces,
            ..case.draft()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("low-cohesion", traces, expected);
    }

    /// Requests of `common` from clients and from two services, with what is below them.
    fn common(operations: &[(&str, &str, &str)]) -> String {
        let request = |(caller, operation, below): &(&str, &str, &str)| {
            format!("20 traces\n{caller} GET /{caller}\n  common GET {operation}\n    {below}")
        };
        operations.iter().map(request).collect::<Vec<_>>().join("\n\n")
    }

    const MAIL: &str = "sql postgresql db:5432 common SELECT letters";
    const RATES: &str = "sql postgresql db:5432 common SELECT rates";

    #[test]
    fn parts_that_share_nothing_fire() {
        let traces = common(&[
            ("news", "/send", MAIL),
            ("news", "/list", MAIL),
            ("bank", "/rate", RATES),
            ("bank", "/rates", RATES),
        ]);
        check(&traces, &["warning heuristic: common is 2 parts that share nothing"]);
    }

    #[test]
    fn a_table_a_callee_or_a_caller_joins() {
        for joining in [
            ("news", "/rate", RATES),
            ("bank", "/rate", MAIL),
            (
                "bank",
                "/rate",
                "sql postgresql db:5432 common SELECT letters\n    sql postgresql db:5432 common SELECT rates",
            ),
        ] {
            let traces =
                common(&[("news", "/send", MAIL), ("news", "/list", MAIL), joining, ("bank", "/rates", RATES)]);
            check(&traces, &[]);
        }
        let callee = "log POST /log";
        let traces = common(&[
            ("news", "/send", callee),
            ("news", "/list", MAIL),
            ("bank", "/rate", callee),
            ("bank", "/rates", RATES),
        ]);
        check(&traces, &[]);
    }

    #[test]
    fn what_the_clock_starts_is_in_no_interface() {
        let job = |name: &str| format!("20 traces\nschedule common {name}\n  {RATES}");
        let asked = common(&[("news", "/send", MAIL), ("news", "/list", MAIL)]);
        check(&[asked, job("nightly"), job("hourly")].join("\n\n"), &[]);
    }

    #[test]
    fn a_part_of_one_operation_is_none() {
        check(&common(&[("news", "/send", MAIL), ("news", "/list", MAIL), ("bank", "/rate", RATES)]), &[]);
    }

    #[test]
    fn administration_of_many_tables_is_on_purpose() {
        let request = |table: &str, verb: &str| {
            format!(
                "20 traces\nadmin {verb} /{table}\n  sql postgresql db:5432 admin {} {table}",
                if verb == "GET" { "SELECT" } else { "INSERT" }
            )
        };
        let traces =
            ["users", "roles", "rates"].map(|table| [request(table, "GET"), request(table, "POST")].join("\n\n"));
        check(&traces.join("\n\n"), &[]);
    }

    #[test]
    fn back_ends_for_front_ends_gather() {
        let traces = common(&[
            ("news", "/send", MAIL),
            ("news", "/list", MAIL),
            ("bank", "/rate", RATES),
            ("bank", "/rates", RATES),
        ]);
        check_with("low-cohesion", &traces, "[roles]\nbff = \"common\"", &[]);
        check(&traces.replace("20 traces", "2 traces"), &["(common: 8 requests seen, 30 needed)"]);
    }
}

//! One database serves most of the system: the services are many, their data is one.
//!
//! The signal is how many of the services that keep data at all keep it in the same namespace. Refused: what
//! [`shared_database`](super::shared_database) refuses, for the same reasons.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::snapshot::{DatastoreInfo, TableUsage};
use spanlint_graph::{CallGraph, NodeIndex, TraceId};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::datastore;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::support::Doubt;
use crate::wording;

/// The rule.
pub(super) struct DataMonolith;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "data-monolith",
    category: Category::Data,
    severity: Severity::Error,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "One database serves most of the services that keep data.",
    looks_like: "The code was cut into ten services, the schema was left for later: all ten log in to the same database, and \
                 a migration needs ten teams in one room.",
    why: "Services over one database can be deployed apart but not changed apart. The schema is the real interface, the \
          database the real limit of scale, and its bad day is everybody's.",
    how: "Of the services that use any database, those that use one (system, address, namespace) are counted, each with \
          enough statements. The pattern holds from `min_services` on where they are `min_share` or more of all. Without a \
          recorded host it is a note.",
    fix: "Give each service the tables that it alone writes as a database of its own, one service at a time, starting with \
          those whose tables nobody else touches.",
    limits: "Caches, queues, object stores, databases in memory and scheduled jobs are exempt, and so are default names where \
             no host is recorded, replicas that nobody writes, and services that read only views or read models of others. \
             Where the spans do not name the database of a server the rule is undecided; tables that are in no database, as in \
             DynamoDB, are for shared-database. Two services in one process count as one, and so does a \
             program with its workers and stages, as `shop` with `shop-worker` and `shop-canary`.",
    references: &[
        "Richardson: Microservices Patterns (2018), Database per service",
        "Newman: Monolith to Microservices (2019), chapter 4",
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018 (Shared Persistency)",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_services", default: 3.0, help: "Services on one database that make the pattern." },
        OptionMeta {
            name: "min_share",
            default: 0.5,
            help: "Their share of the services that use databases, from 0 to 1.",
        },
    ],
    absorbs: &["shared-database"],
};

impl Rule for DataMonolith {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let missing = options.required().system(graph).err();
        let no_statement = || graph.usages.is_empty().then(|| "no statement on any database was seen".to_owned());
        if let Some(missing) = missing.or_else(no_statement) {
            verdict.undecided.push(Undecided::of_input(&META, missing));
            return verdict;
        }
        for monolith in Monolith::all(graph, options) {
            verdict.take(monolith.judge(graph, options));
        }
        verdict
    }
}

/// Whether so many of all services that use databases are most of them.
fn is_large(users: usize, all: usize, options: &Options<'_>) -> bool {
    let [min_services, min_share] = ["min_services", "min_share"].map(|option| options.of(&META).number(option));
    users as f64 >= min_services && users as f64 >= all as f64 * min_share
}

/// Why it cannot be told whether all users of this name use one database.
fn unknown_namespace(info: &DatastoreInfo) -> Option<String> {
    let is_unknown = info.namespace.is_empty();
    let reason = || is_unknown.then(|| format!("the spans do not say which database of the {} server", info.system));
    datastore::unknown_identity(info).or_else(reason)
}

/// A database that serves most.
pub(super) struct Monolith<'a> {
    datastore: NodeIndex,
    /// Service → its uses.
    users: BTreeMap<NodeIndex, Vec<&'a TableUsage>>,
    /// Services that use any database.
    all: usize,
}

impl<'a> Monolith<'a> {
    /// Every database that serves a large share of the services which use databases. Jobs and readers of what is made for
    /// them to read claim no part of one.
    pub(super) fn all(graph: &'a CallGraph, options: &Options<'_>) -> Vec<Self> {
        let holds_data = |datastore| graph.node(datastore).datastore.as_ref().is_some_and(datastore::holds_data);
        let is_use = |usage: &&TableUsage| holds_data(usage.datastore) && !datastore::is_of_job(graph, options, usage);
        let uses: Vec<_> = graph.usages.iter().filter(is_use).collect();
        let services: BTreeSet<_> = uses.iter().map(|usage| usage.service).collect();
        let all = datastore::deployables(graph, services);
        let of_datastore = uses.chunk_by(|left, right| left.datastore == right.datastore);
        of_datastore.filter_map(|uses| Self::of(graph, options, uses, all)).collect()
    }

    /// The database of `uses`, if enough services of `all` claim a part of it.
    fn of(graph: &CallGraph, options: &Options<'_>, uses: &[&'a TableUsage], all: usize) -> Option<Self> {
        let datastore = uses.first()?.datastore;
        let info = graph.node(datastore).datastore.as_ref()?;
        let mut users: BTreeMap<NodeIndex, Vec<&TableUsage>> = BTreeMap::new();
        for usage in uses.iter().copied().filter(|usage| !datastore::reads_read_model(usage, uses)) {
            users.entry(usage.service).or_default().push(usage);
        }
        // Few are large, and only of those it is asked what takes a look at all uses of the system.
        let is_large = is_large(datastore::deployables(graph, users.keys().copied()), all, options);
        let is_exempt = || datastore::is_table_system(info) || datastore::is_replica(graph, datastore, uses);
        (is_large && !is_exempt()).then_some(Self { datastore, users, all })
    }

    /// Whether enough is known of it for another rule to build on it.
    pub(super) fn is_sure(&self, graph: &CallGraph) -> bool {
        let info = graph.node(self.datastore).datastore.as_ref();
        info.is_some_and(|info| unknown_namespace(info).is_none() && !info.address.is_empty())
    }

    /// How many services use it.
    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>) -> Result<Finding, Undecided> {
        let case = Case::new(graph, options, self.users.keys().copied());
        let node = graph.node(self.datastore);
        let info = node.datastore.as_ref().expect("only datastores are used by statements");
        if let Some(reason) = unknown_namespace(info) {
            return Err(case.undecided(reason));
        }
        self.support(graph, options).map_err(|missing| case.undecided(missing))?;
        let services = self.users.keys().filter_map(|&user| graph.node(user).service.as_ref());
        let requests = services.map(|service| service.requests).sum();
        options.required().requests(requests).map_err(|missing| case.undecided(missing))?;
        let (users, name) = (self.users.len(), &node.name);
        let share = users as f64 / self.all as f64;
        let names = wording::list(case.services());
        case.finding(Draft {
            severity: if info.address.is_empty() { Severity::Note } else { META.severity },
            doubt: info.address.is_empty().then_some(Doubt::Host),
            title: format!("{users} of {} services with a database use the same one, {name}", self.all),
            message: format!(
                "{names} all keep their data in the {} database {name}; that is {:.0} % of the services that use databases.",
                info.system,
                share * 100.0,
            ),
            fix: format!(
                "Give {names} a database each, starting with the one whose tables no other touches; what the others need of \
                 it they ask for, or follow its events."
            ),
            subject: Subject {
                edges: self.users.keys().map(|&user| (graph.node(user).id.clone(), node.id.clone())).collect(),
                datastore: Some(node.id.clone()),
                ..Subject::default()
            },
            evidence: vec![
                Evidence::of("services", users as f64, "services").against(options.number("min_services")),
                Evidence::of("share_of_services", share, "share").against(options.number("min_share")),
            ],
            support: Support::of(self.traces_touched(), requests),
            traces: self.proof(),
            ..case.draft()
        })
    }

    /// Whether enough was seen of as many users as make a monolith; those beyond may be rare.
    fn support(&self, graph: &CallGraph, options: &Options<'_>) -> Result<(), String> {
        let mut sure = Vec::new();
        let mut short = Ok(());
        for (&service, usages) in &self.users {
            let calls = usages.iter().map(|usage| usage.facts.reads + usage.facts.writes).sum();
            let traces = usages.iter().map(|usage| usage.facts.traces).sum();
            match options.required().edge(calls, traces) {
                Ok(()) => sure.push(service),
                Err(missing) => short = short.and(Err(format!("{}: {missing}", graph.node(service).name))),
            }
        }
        if is_large(datastore::deployables(graph, sure), self.all, options) { Ok(()) } else { short }
    }

    /// Traces of the uses, as an upper bound for the requests that use it.
    fn traces_touched(&self) -> u64 {
        self.users.values().flatten().map(|usage| usage.facts.traces).sum()
    }

    /// A trace for each service.
    pub(super) fn proof(&self) -> Vec<TraceId> {
        let busiest = |usages: &Vec<&'a TableUsage>| usages.iter().copied().max_by_key(|usage| usage.facts.traces);
        self.users.values().filter_map(busiest).filter_map(|usage| usage.facts.exemplars.typical(1)).collect()
    }
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("data-monolith", traces, expected);
    }

    /// A way in, and five services behind it with the databases that are named.
    fn system(databases: [&str; 5]) -> String {
        let services = ["a", "b", "c", "d", "e"].iter().zip(databases);
        let below =
            services.map(|(name, database)| format!("\n  {name} GET /{name}\n    sql {database} INSERT {name}"));
        format!("30 traces\nweb GET /{}", below.collect::<Vec<_>>().concat())
    }

    const SHOP: &str = "postgresql db:5432 shop";
    const OWN: &str = "postgresql db:5432 own";

    #[test]
    fn most_services_on_one_database_are_an_error() {
        check(
            &system([SHOP, SHOP, SHOP, SHOP, OWN]),
            &["error strong: 4 of 5 services with a database use the same one, shop"],
        );
    }

    #[test]
    fn two_services_or_a_smaller_part_are_none() {
        check(&system([SHOP, SHOP, OWN, "mysql x:1 y", "mysql x:1 z"]), &[]);
    }

    #[test]
    fn an_unknown_host_is_a_note() {
        let unknown = "mysql - ts";
        check(&system([unknown; 5]), &["note heuristic: 5 of 5 services with a database use the same one, ts"]);
    }

    #[test]
    fn default_names_without_a_host_tell_nothing() {
        check(
            &system(["postgresql - postgres"; 5]),
            &["(a b c d e: postgres is a name that many postgresql databases have, and nothing else tells them apart)"],
        );
    }

    #[test]
    fn caches_and_memory_are_exempt() {
        check(&system(["redis cache:6379 0"; 5]), &[]);
        check(&system(["sqlite - :memory:"; 5]), &[]);
    }

    #[test]
    fn a_server_whose_databases_nobody_names_is_undecided() {
        check(
            &system(["postgresql db:5432 -"; 5]),
            &["(a b c d e: the spans do not say which database of the postgresql server)"],
        );
    }

    #[test]
    fn tables_that_are_in_no_database_make_none() {
        check(&system(["dynamodb dynamodb.eu-west-1.amazonaws.com:443 -"; 5]), &[]);
    }

    #[test]
    fn those_who_read_what_is_made_for_them_claim_nothing() {
        let owner_and_readers = |table: &str| {
            let text = system([SHOP; 5]);
            ["b", "c", "d", "e"].iter().fold(text, |text, name| {
                text.replace(&format!("sql {SHOP} INSERT {name}"), &format!("sql {SHOP} SELECT {table}"))
            })
        };
        check(&owner_and_readers("order_view"), &[]);
        check(&owner_and_readers("orders"), &["error strong: 5 of 5 services with a database use the same one, shop"]);
    }

    #[test]
    fn replicas_are_for_reading() {
        let replica = "postgresql db-replica:5432 shop";
        let text = system([SHOP, replica, replica, replica, replica]);
        check(
            &["b", "c", "d", "e"].iter().fold(text, |text, name| text.replace(&format!("INSERT {name}"), "SELECT a")),
            &[],
        );
    }

    #[test]
    fn jobs_beside_services_claim_nothing() {
        let jobs = ["a", "b", "c", "d", "e"]
            .map(|name| format!("30 traces\nschedule {name} nightly\n  sql {SHOP} SELECT stock"))
            .join("\n\n");
        check(&format!("{}\n\n{jobs}", system([OWN, "mysql x:1 b", "mysql x:1 c", "mysql x:1 d", "mysql x:1 e"])), &[]);
    }

    #[test]
    fn one_process_with_many_names_is_one() {
        let one = system([SHOP; 5]);
        let one = ["a", "b", "c", "d", "e"]
            .iter()
            .fold(one, |text, name| text.replace(&format!("  {name} GET"), &format!("  {name}@box/17 GET")));
        check(&one, &[]);
    }

    #[test]
    fn few_statements_are_undecided() {
        let few = system([SHOP; 5]).replace("30 traces", "9 traces");
        check(&few, &["(a b c d e: a: 9 calls in 9 traces seen, 10 in 3 needed)"]);
    }
}

//! Two services use the same tables, or at least the same database: neither can change its data without the other.
//!
//! The signal is who reads and who writes which table of which (system, address, namespace). Refused: caches, queues and
//! object stores; databases in memory; jobs on a schedule (migration, analytics); two names of one deployable; default
//! names where no host is recorded, which any number of databases have. A replica is a datastore of its own, as it has
//! another address.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::snapshot::{DatastoreInfo, TableUsage};
use spanlint_graph::span::EdgeKind;
use spanlint_graph::{CallGraph, NodeIndex, TraceId};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::datastore;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, Rule, RuleMeta, Status};
use crate::support::Doubt;
use crate::topology;
use crate::wording;

/// The most tables that a message tells the users of.
const MAX_TABLES_TOLD: usize = 4;

/// The rule.
pub(super) struct SharedDatabase;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "shared-database",
    category: Category::Data,
    severity: Severity::Error,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "Two or more services use the same tables, or the same database.",
    looks_like: "The report service reads the orders' tables, since that was quicker than asking for an interface; a year later \
                 nobody dares to rename a column.",
    why: "The tables become an interface that nobody designed: a migration for one service breaks the other, no one can say \
          who may write what, and neither can be deployed or scaled alone.",
    how: "Statements within requests are counted per service and table of one (system, address, namespace); DDL is not. The \
          same table is an error, the same namespace a warning, the same server with no namespace recorded a note; without a \
          recorded host it is a note at most.",
    fix: "Give each table one owner; let the others ask it through its interface, or keep a copy that its events feed.",
    limits: "Caches, queues, object stores, scheduled jobs and databases in memory are exempt, and so are default names \
             where no host is recorded. Tables that others only read and whose name says that they are made for it (a view, \
             a read model), and replicas that nobody writes, are a note. Two services in one process count as one, and so does a \
             program with its workers and stages, as `shop` with `shop-worker` and `shop-canary`.",
    references: &[
        "Richardson: Microservices Patterns (2018), Database per service, and Shared database as its opposite",
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018 (Shared Persistency)",
        "Newman: Building Microservices, 2nd edition (2021), chapter 4",
    ],
    instrumentation_score: &[],
    options: &[],
    absorbs: &[],
};

impl Rule for SharedDatabase {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if graph.usages.is_empty() {
            verdict.undecided.push(Undecided::of_input(&META, "no statement on any database was seen"));
        }
        for usages in graph.usages.chunk_by(|left, right| left.datastore == right.datastore) {
            let Some(store) = Store::of(graph, usages, options) else { continue };
            match store.judge(options) {
                Ok(finding) => verdict.findings.extend(finding),
                Err(undecided) => verdict.undecided.push(undecided),
            }
        }
        verdict
    }
}

/// What is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sharing {
    /// The server, and nobody knows which database on it.
    Server,
    /// The database, each service with tables of its own.
    Namespace,
    /// Tables.
    Tables,
}

/// A database with those of its users that count.
struct Store<'a> {
    graph: &'a CallGraph,
    node: NodeIndex,
    info: &'a DatastoreInfo,
    usages: Vec<&'a TableUsage>,
}

/// Services that share something, and what.
struct Shared<'a> {
    sharing: Sharing,
    usages: Vec<&'a TableUsage>,
}

impl<'a> Store<'a> {
    /// The database of `usages`, if more than one deployable uses it.
    fn of(graph: &'a CallGraph, usages: &'a [TableUsage], options: &Options<'_>) -> Option<Self> {
        let node = usages.first()?.datastore;
        let info = graph.node(node).datastore.as_ref()?;
        if !datastore::holds_data(info) {
            return None;
        }
        let counted = usages.iter().filter(|usage| !datastore::is_of_job(graph, options, usage)).collect();
        let store = Self { graph, node, info, usages: counted };
        (store.deployables(&store.usages) > 1).then_some(store)
    }

    fn judge(&self, options: &Options<'_>) -> Result<Option<Finding>, Undecided> {
        if let Some(reason) = datastore::unknown_identity(self.info) {
            return Err(self.undecided(&self.usages, reason, options));
        }
        let owned: Vec<_> =
            self.usages.iter().copied().filter(|usage| !datastore::reads_read_model(usage, &self.usages)).collect();
        let by_ownership = self.shared(&owned, options)?;
        let is_read_model = by_ownership.is_none();
        let shared = match by_ownership {
            None => self.shared(&self.usages, options)?,
            some => some,
        };
        let Some(shared) = shared else { return Ok(None) };
        let severity = match shared.sharing {
            _ if is_read_model
                || self.info.address.is_empty()
                || datastore::is_replica(self.graph, self.node, &self.usages) =>
            {
                Severity::Note
            }
            Sharing::Tables => Severity::Error,
            Sharing::Namespace => Severity::Warning,
            Sharing::Server => Severity::Note,
        };
        self.finding(&shared, severity, options).map(Some)
    }

    /// What is shared by at least two deployables with enough support among `usages`; undecided where support is short.
    fn shared(&self, usages: &[&'a TableUsage], options: &Options<'_>) -> Result<Option<Shared<'a>>, Undecided> {
        let names_tables = !self.info.namespace.is_empty() || datastore::is_table_system(self.info);
        let on_tables = if names_tables { self.on_shared_tables(usages) } else { Vec::new() };
        let supported = self.on_shared_tables(&self.supported(&on_tables, options));
        if !supported.is_empty() {
            return Ok(Some(Shared { sharing: Sharing::Tables, usages: supported }));
        }
        let sharing = match () {
            () if !self.info.namespace.is_empty() => Sharing::Namespace,
            () if names_tables => Sharing::Tables,
            () => Sharing::Server,
        };
        let pattern = if sharing == Sharing::Tables { on_tables } else { usages.to_vec() };
        if self.deployables(&pattern) < 2 {
            return Ok(None);
        }
        let supported = self.supported(&pattern, options);
        if self.deployables(&supported) > 1 {
            return Ok(Some(Shared { sharing, usages: supported }));
        }
        let missing = services_of(&pattern).into_iter().find_map(|service| {
            let missing = self.support(service, &pattern, options).err()?;
            Some(format!("{}: {missing}", self.graph.node(service).name))
        });
        Err(self.undecided(&pattern, missing.unwrap_or_default(), options))
    }

    /// Those of `usages` that are of tables which two or more deployables use.
    fn on_shared_tables(&self, usages: &[&'a TableUsage]) -> Vec<&'a TableUsage> {
        let mut of_table: BTreeMap<&str, Vec<&'a TableUsage>> = BTreeMap::new();
        for usage in usages.iter().filter(|usage| !usage.table.is_empty()) {
            of_table.entry(&usage.table).or_default().push(usage);
        }
        of_table.into_values().filter(|users| self.deployables(users) > 1).flatten().collect()
    }

    /// Those of `usages` whose service has enough of them.
    fn supported(&self, usages: &[&'a TableUsage], options: &Options<'_>) -> Vec<&'a TableUsage> {
        let services = services_of(usages);
        let enough: BTreeSet<_> =
            services.into_iter().filter(|&service| self.support(service, usages, options).is_ok()).collect();
        usages.iter().copied().filter(|usage| enough.contains(&usage.service)).collect()
    }

    fn support(&self, service: NodeIndex, usages: &[&TableUsage], options: &Options<'_>) -> Result<(), String> {
        let of_service = usages.iter().filter(|usage| usage.service == service);
        let calls = of_service.map(|usage| usage.facts.reads + usage.facts.writes).sum();
        options.required().edge(calls, self.traces(service, usages))
    }

    /// How many traces hold statements of the service: a trace that touches two tables is in the facts of both, so the
    /// traces of the edge are the bound.
    fn traces(&self, service: NodeIndex, usages: &[&TableUsage]) -> u64 {
        let of_service = usages.iter().filter(|usage| usage.service == service);
        let sum = of_service.map(|usage| usage.facts.traces).sum();
        topology::edge(self.graph, service, self.node, EdgeKind::Database)
            .map_or(sum, |edge| edge.facts.traces.min(sum))
    }

    fn deployables(&self, usages: &[&TableUsage]) -> usize {
        datastore::deployables(self.graph, services_of(usages))
    }

    fn finding(&self, shared: &Shared<'_>, severity: Severity, options: &Options<'_>) -> Result<Finding, Undecided> {
        let usages = shared.usages.as_slice();
        let users = services_of(usages);
        let case = Case::new(self.graph, options, users.iter().copied());
        let tables: BTreeSet<_> = match shared.sharing {
            Sharing::Tables => usages.iter().map(|usage| usage.table.clone()).collect(),
            Sharing::Namespace | Sharing::Server => BTreeSet::new(),
        };
        let node = self.graph.node(self.node);
        let edges = users.iter().map(|&user| (self.graph.node(user).id.clone(), node.id.clone())).collect();
        let mut evidence = vec![Evidence::of("services", users.len() as f64, "services").against(2.0)];
        if shared.sharing == Sharing::Tables {
            evidence.push(Evidence::of("shared_tables", tables.len() as f64, "tables").against(1.0));
        }
        case.finding(Draft {
            severity,
            confidence: if shared.sharing == Sharing::Tables { META.confidence } else { Confidence::Strong },
            doubt: self.info.address.is_empty().then_some(Doubt::Host),
            title: self.title(shared.sharing, case.services(), &tables),
            message: self.message(shared, &tables),
            fix: self.fix(usages, case.services()),
            subject: Subject {
                edges,
                datastore: Some(node.id.clone()),
                tables: tables.into_iter().collect(),
                ..Subject::default()
            },
            evidence,
            support: self.least_support(usages),
            traces: proof(usages),
            ..case.draft()
        })
    }

    fn title(&self, sharing: Sharing, names: &[String], tables: &BTreeSet<String>) -> String {
        let (names, database) = (wording::list(names), &self.graph.node(self.node).name);
        match (sharing, tables.first()) {
            (Sharing::Tables, Some(table)) if tables.len() == 1 => {
                format!("{names} share the table {table} of {database}")
            }
            (Sharing::Tables, _) => format!("{names} share {} tables of {database}", tables.len()),
            (Sharing::Namespace, _) => format!("{names} share the database {database}"),
            (Sharing::Server, _) => format!("{names} use the server {database}, perhaps one database of it"),
        }
    }

    fn message(&self, shared: &Shared<'_>, tables: &BTreeSet<String>) -> String {
        let system = &self.info.system;
        let unsure =
            if self.info.address.is_empty() { " No host is recorded, so these may be several databases." } else { "" };
        match shared.sharing {
            Sharing::Tables => {
                let told: Vec<_> =
                    tables.iter().take(MAX_TABLES_TOLD).map(|table| users_of(self.graph, shared, table)).collect();
                let rest = match tables.len().saturating_sub(MAX_TABLES_TOLD) {
                    0 => String::new(),
                    more => format!("; and {}", wording::count(more as u64, "more table")),
                };
                format!("{}{rest}.{unsure}", told.join("; "))
            }
            Sharing::Namespace => {
                format!("They use one {system} database, though no table was seen in use by two of them.{unsure}")
            }
            Sharing::Server => format!("They use one {system} server, and the spans do not say which database of it."),
        }
    }

    fn fix(&self, usages: &[&TableUsage], names: &[String]) -> String {
        let owner = self.owner(usages);
        let others: Vec<_> = names.iter().filter(|name| **name != owner).collect();
        format!(
            "Let {owner} alone own the data, and have {} ask it through its interface or keep a copy that its events feed; \
             where the tables are their own, give them a database of their own.",
            wording::list(&others)
        )
    }

    /// The service that the database is named for, else the one that writes most, else the one that reads most.
    fn owner(&self, usages: &[&TableUsage]) -> String {
        let plain =
            |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase();
        let database = plain(&self.info.namespace);
        let mut best = Default::default();
        for service in services_of(usages) {
            let of_service = || usages.iter().filter(|usage| usage.service == service);
            let writes: u64 = of_service().map(|usage| usage.facts.writes).sum();
            let reads: u64 = of_service().map(|usage| usage.facts.reads).sum();
            let name = self.graph.node(service).name.clone();
            best = std::cmp::max(best, (plain(&name) == database, writes, reads, name));
        }
        best.3
    }

    /// That of the user who was seen least.
    fn least_support(&self, usages: &[&TableUsage]) -> Support {
        let of_user = services_of(usages).into_iter().map(|user| {
            let affected = self.traces(user, usages);
            let requests = self.graph.node(user).service.as_ref().map_or(0, |service| service.requests);
            (affected, requests.max(affected))
        });
        let (affected, requests) = of_user.min().unwrap_or_default();
        Support::of(affected, requests)
    }

    fn undecided(&self, usages: &[&TableUsage], reason: String, options: &Options<'_>) -> Undecided {
        Case::new(self.graph, options, services_of(usages)).undecided(reason)
    }
}

/// The services that use something.
fn services_of(usages: &[&TableUsage]) -> BTreeSet<NodeIndex> {
    usages.iter().map(|usage| usage.service).collect()
}

/// `stock is written by warehouse, read by search`.
fn users_of(graph: &CallGraph, shared: &Shared<'_>, table: &str) -> String {
    let users = || shared.usages.iter().filter(|usage| usage.table == table);
    let name = |usage: &&&TableUsage| graph.node(usage.service).name.as_str();
    let writers: Vec<_> = users().filter(|usage| usage.facts.writes > 0).map(|usage| name(&usage)).collect();
    let readers: Vec<_> = users().filter(|usage| usage.facts.writes == 0).map(|usage| name(&usage)).collect();
    let parts = [("written by", writers), ("read by", readers)];
    let told: Vec<_> = parts
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what} {}", wording::list(names)))
        .collect();
    format!("{table} is {}", told.join(" and "))
}

/// A trace for each service: of its table with the most statements.
fn proof(usages: &[&TableUsage]) -> Vec<TraceId> {
    let mut most: BTreeMap<NodeIndex, &TableUsage> = BTreeMap::new();
    let statements = |usage: &TableUsage| usage.facts.reads + usage.facts.writes;
    for usage in usages {
        let best = most.entry(usage.service).or_insert(usage);
        if statements(usage) > statements(best) {
            *best = usage;
        }
    }
    most.into_values().filter_map(|usage| usage.facts.exemplars.typical(1)).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{analysis, check_with};

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("shared-database", traces, expected);
    }

    /// Ten requests of each service, with one statement each.
    fn uses(statements: &[(&str, &str)]) -> String {
        let of_service = |(service, sql): &(&str, &str)| format!("10 traces\n{service} GET /{service}\n  sql {sql}");
        statements.iter().map(of_service).collect::<Vec<_>>().join("\n\n")
    }

    #[test]
    fn a_shared_table_is_an_error() {
        check(
            &uses(&[
                ("order", "postgresql db:5432 shop INSERT orders"),
                ("report", "postgresql db:5432 shop SELECT orders"),
            ]),
            &["error proven: order and report share the table orders of shop"],
        );
    }

    #[test]
    fn a_finding_names_services_tables_and_owner() {
        let traces = uses(&[
            ("warehouse", "sqlite - warehouse UPDATE stock"),
            ("warehouse", "sqlite - warehouse SELECT shelf"),
            ("search", "sqlite - warehouse SELECT stock"),
            ("order", "sqlite - warehouse UPDATE stock"),
        ]);
        let analysis = analysis(&traces, "");
        let finding = &analysis.findings[0];
        assert_eq!(finding.services, ["order", "search", "warehouse"]);
        assert_eq!(finding.subject.tables, ["stock"]);
        assert_eq!(finding.message, "stock is written by order and warehouse and read by search.");
        assert!(finding.fix.starts_with("Let warehouse alone own the data, and have order and search ask"));
        assert_eq!(finding.traces.len(), 3);
        assert_eq!(finding.severity, crate::Severity::Error);
    }

    #[test]
    fn the_same_database_with_tables_of_ones_own_is_a_warning() {
        check(
            &uses(&[
                ("order", "postgresql db:5432 shop INSERT orders"),
                ("user", "postgresql db:5432 shop INSERT users"),
            ]),
            &["warning strong: order and user share the database shop"],
        );
    }

    #[test]
    fn databases_of_their_own_on_one_server_are_healthy() {
        check(
            &uses(&[("order", "postgresql db:5432 orders INSERT t"), ("user", "postgresql db:5432 users INSERT t")]),
            &[],
        );
    }

    #[test]
    fn one_server_with_the_database_unknown_is_a_note() {
        check(
            &uses(&[("order", "postgresql db:5432 - INSERT t"), ("user", "postgresql db:5432 - INSERT t")]),
            &["note strong: order and user use the server db:5432, perhaps one database of it"],
        );
    }

    #[test]
    fn an_unknown_host_is_a_note_at_most() {
        check(
            &uses(&[("order", "mysql - ts INSERT orders"), ("user", "mysql - ts INSERT orders")]),
            &["note strong: order and user share the table orders of ts"],
        );
    }

    #[test]
    fn nothing_known_but_the_system_is_undecided() {
        check(
            &uses(&[("order", "mysql - - INSERT t"), ("user", "mysql - - INSERT t")]),
            &["(order user: neither the address nor the name of the mysql database is recorded)"],
        );
    }

    #[test]
    fn default_names_without_a_host_tell_nothing() {
        check(
            &uses(&[("order", "postgresql - postgres INSERT t"), ("user", "postgresql - postgres INSERT t")]),
            &[
                "(order user: postgres is a name that many postgresql databases have, and nothing else tells them apart)",
            ],
        );
        check(
            &uses(&[("order", "sqlite - db.sqlite3 INSERT t"), ("user", "sqlite - db.sqlite3 INSERT t")]),
            &["(order user: db.sqlite3 is a name that many sqlite databases have, and nothing else tells them apart)"],
        );
    }

    #[test]
    fn a_default_name_on_one_known_server_is_one_database() {
        check(
            &uses(&[
                ("order", "postgresql db:5432 postgres INSERT t"),
                ("user", "postgresql db:5432 postgres INSERT t"),
            ]),
            &["error proven: order and user share the table t of postgres"],
        );
    }

    #[test]
    fn memory_caches_and_object_stores_are_exempt() {
        for system in ["sqlite - :memory:", "redis cache:6379 0", "memcached cache:11211 x", "aws.s3 s3 bucket"] {
            let (read, write) = (format!("{system} SELECT t"), format!("{system} INSERT t"));
            check(&uses(&[("order", &read), ("user", &write)]), &[]);
        }
    }

    #[test]
    fn a_read_model_is_a_note_unless_others_write_it() {
        let owner = ("order", "postgresql db:5432 shop INSERT orders_view");
        let reader = ("report", "postgresql db:5432 shop SELECT orders_view");
        let title = "order and report share the table orders_view of shop";
        check(&uses(&[owner, reader]), &[&format!("note proven: {title}")]);
        let source = ("order", "postgresql db:5432 shop INSERT orders");
        check(&uses(&[source, reader]), &["note strong: order and report share the database shop"]);
        let writer = ("report", "postgresql db:5432 shop UPDATE orders_view");
        check(&uses(&[owner, writer]), &[&format!("error proven: {title}")]);
    }

    #[test]
    fn a_replica_is_a_datastore_of_its_own() {
        check(
            &uses(&[
                ("order", "postgresql db:5432 shop INSERT t"),
                ("report", "postgresql replica:5432 shop SELECT t"),
            ]),
            &[],
        );
    }

    #[test]
    fn readers_of_one_replica_are_a_note() {
        let owner = ("order", "postgresql db:5432 shop INSERT orders");
        let readers = |host: &str| {
            [("report", "SELECT"), ("search", "SELECT")].map(|(service, verb)| {
                format!("10 traces\n{service} GET /{service}\n  sql postgresql {host}:5432 shop {verb} orders")
            })
        };
        let title = "report and search share the table orders of shop";
        for host in ["db-2", "db-replica"] {
            let traces = format!("{}\n\n{}", uses(&[owner]), readers(host).join("\n\n"));
            check(&traces, &[&format!("note proven: {title}")]);
        }
        check(&readers("db-replica").join("\n\n"), &[&format!("note proven: {title}")]);
        check(&readers("db-2").join("\n\n"), &[&format!("error proven: {title}")]);
    }

    #[test]
    fn a_job_beside_the_requests_does_not_count() {
        check(
            "10 traces\norder GET /\n  sql postgresql db:5432 shop INSERT t\n\n10 traces\nreport GET /\n\n\
             10 traces\nschedule report nightly\n  sql postgresql db:5432 shop SELECT t",
            &[],
        );
    }

    #[test]
    fn scheduled_jobs_do_not_count() {
        check(
            "10 traces\norder GET /\n  sql postgresql db:5432 shop INSERT t\n\n\
             10 traces\nschedule migrate start\n  sql postgresql db:5432 shop UPDATE t",
            &[],
        );
    }

    #[test]
    fn a_service_that_works_for_a_job_is_part_of_it() {
        let owner = "10 traces\norder GET /\n  sql postgresql db:5432 shop INSERT t";
        let job = "10 traces\nschedule report nightly\n  check POST /runs\n    sql postgresql db:5432 shop SELECT t";
        check(&format!("{owner}\n\n{job}"), &[]);
        // That a job was behind one of many may be lost; a tenth is a use of its own.
        let orphan = "orphan check POST /runs\n  sql postgresql db:5432 shop SELECT t";
        check(&format!("{owner}\n\n{}\n\n{orphan}", job.replace("10 traces", "20 traces")), &[]);
        // One that serves others as well has its own use of the data.
        let asked = "10 traces\nweb GET /\n  check POST /runs\n    sql postgresql db:5432 shop SELECT t";
        let finding = "error proven: check and order share the table t of shop";
        check(&format!("{owner}\n\n{job}\n\n{asked}"), &[finding]);
    }

    #[test]
    fn processes_that_nobody_named_may_be_one_deployable() {
        let sql = "postgresql db:5432 shop INSERT orders";
        let unnamed = [("unknown_service@a", sql), ("unknown_service@b", sql)];
        check(&uses(&unnamed), &[]);
        check(
            &uses(&[unnamed[0], ("report", sql)]),
            &["error proven: report and unknown_service (a) share the table orders of shop"],
        );
    }

    #[test]
    fn two_names_in_one_process_are_one_deployable() {
        check(
            &uses(&[
                ("order@box/17", "postgresql db:5432 shop INSERT t"),
                ("order-worker@box/17", "postgresql db:5432 shop UPDATE t"),
            ]),
            &[],
        );
    }

    #[test]
    fn workers_of_a_program_are_one_deployable_with_it() {
        let named = |worker: &str| {
            uses(&[("shop", "postgresql db:5432 shop INSERT t"), (worker, "postgresql db:5432 shop UPDATE t")])
        };
        check(&named("shop-sidekiq"), &[]);
        check(&named("shop_worker").replace("shop GET", "shop_scheduler GET"), &[]);
        let parts = |worker: &str| named(worker).replace("shop GET", "shop-web GET");
        check(&parts("shop-sidekiq"), &[]);
        check(&parts("shop-api"), &["error proven: shop-api and shop-web share the table t of shop"]);
        // Whose worker it is cannot be told.
        let api = uses(&[("shop-api", "postgresql db:5432 shop UPDATE t")]);
        let three = ["error proven: shop-api, shop-sidekiq and shop-web share the table t of shop"];
        check(&format!("{}\n\n{api}", parts("shop-sidekiq")), &three);
        check(&named("order-worker"), &["error proven: order-worker and shop share the table t of shop"]);
        check(&named("shop-report"), &["error proven: shop and shop-report share the table t of shop"]);
        let version = |of: &str| format!("shop is service.version=1\nshop-worker is {of}\n\n{}", named("shop-worker"));
        check(&version("service.version=1"), &[]);
        let apart = ["error proven: shop and shop-worker share the table t of shop"];
        check(&version("service.version=2"), &apart);
        check(
            &version("telemetry.sdk.language=go").replace("service.version=1", "telemetry.sdk.language=ruby"),
            &apart,
        );
    }

    #[test]
    fn stages_of_a_program_are_one_deployable() {
        let sql = "postgresql db:5432 shop UPDATE t";
        let both = |left: &str, right: &str| uses(&[(left, sql), (right, sql)]);
        for (left, right) in [("shop-blue", "shop-green"), ("shop", "shop-canary"), ("shop-canary", "shop-worker")] {
            check(&both(left, right), &[]);
        }
        let versions = "shop is service.version=1\nshop-canary is service.version=2\n\n";
        check(&format!("{versions}{}", both("shop", "shop-canary")), &[]);
        check(&both("shop-blue", "cart-green"), &["error proven: cart-green and shop-blue share the table t of shop"]);
        let languages = "shop is telemetry.sdk.language=go\nshop-canary is telemetry.sdk.language=ruby\n\n";
        let apart = "error proven: shop and shop-canary share the table t of shop";
        check(&format!("{languages}{}", both("shop", "shop-canary")), &[apart]);
    }

    #[test]
    fn a_worker_belongs_to_the_process_of_its_program() {
        let sql = "postgresql db:5432 shop UPDATE t";
        for workers in ["shop-worker", "api-worker"] {
            check(&uses(&[("api@box/17", sql), ("shop@box/17", sql), (workers, sql)]), &[]);
        }
        // What works for both makes one of them.
        check(&uses(&[("api", sql), ("shop", sql), ("api-worker@box/17", sql), ("shop-worker@box/17", sql)]), &[]);
    }

    #[test]
    fn few_statements_are_undecided() {
        let traces = "10 traces\norder GET /\n  sql postgresql db:5432 shop INSERT t\n\n\
                      2 traces\nuser GET /\n  sql postgresql db:5432 shop SELECT t";
        check(traces, &["(order user: user: 2 calls in 2 traces seen, 10 in 3 needed)"]);
        let config = "[support]\nmin_calls = 1\nmin_traces = 1";
        let fires = "error proven: order and user share the table t of shop";
        check_with("shared-database", traces, config, &[fires]);
    }

    #[test]
    fn ddl_and_transactions_are_no_use() {
        check(
            &uses(&[("order", "postgresql db:5432 shop INSERT t"), ("user", "postgresql db:5432 shop CREATE t")]),
            &[],
        );
    }
}

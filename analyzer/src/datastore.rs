//! Datastores as rules see them: which hold data that somebody owns, whether two names mean one, which uses claim the data,
//! and who counts as one user.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::unionfind::UnionFind;
use spanlint_graph::snapshot::{DatastoreInfo, TableUsage};
use spanlint_graph::{CallGraph, NodeIndex};

use crate::context::Options;
use crate::roles::Role;
use crate::topology;

/// Caches, queues and object stores: sharing them is what they are for, or a matter of its own.
const EXEMPT_SYSTEMS: &[&str] = &[
    "aerospike",
    "aws.s3",
    "coherence",
    "dragonfly",
    "ehcache",
    "etcd",
    "gcs",
    "hazelcast",
    "ignite",
    "infinispan",
    "kafka",
    "keydb",
    "memcached",
    "minio",
    "nats",
    "rabbitmq",
    "redis",
    "s3",
    "valkey",
];
/// Systems whose database is a file, so that a default name says nothing, also on one host.
const FILE_SYSTEMS: &[&str] = &["derby", "duckdb", "h2database", "hsqldb", "sqlite"];
/// Systems without namespaces, whose tables stand for themselves behind one public address.
const TABLE_SYSTEMS: &[&str] = &["aws.dynamodb", "dynamodb"];
/// Names that databases have until somebody names them.
const DEFAULT_NAMES: &[&str] = &[
    "",
    "admin",
    "app.db",
    "data.db",
    "database",
    "database.db",
    "database.sqlite",
    "db",
    "db.sqlite",
    "db.sqlite3",
    "default",
    "dev",
    "local",
    "localhost",
    "main",
    "master",
    "mysql",
    "postgres",
    "public",
    "root",
    "sqlite.db",
    "test",
];

/// Words in an address that say that it is a copy for readers.
const REPLICA_WORDS: &[&str] =
    &["follower", "read", "reader", "readonly", "replica", "replicas", "ro", "secondary", "slave", "standby"];
/// What the name of a table that is made for others to read begins or ends with.
const READ_MODEL_AFFIXES: &[&str] = &["mv", "projection", "read", "readmodel", "view", "vw"];

/// How many statements of jobs there are at least for each other one that may be one of theirs.
const MIN_JOBS_PER_OTHER: u64 = 20;

/// Last words of the name of a part of a program that takes its requests.
const FRONT_WORDS: &[&str] = &["api", "app", "http", "server", "web"];

/// Last words of the names under which versions of a program run side by side, as one takes over from the other.
const STAGE_WORDS: &[&str] = &["baseline", "blue", "canary", "green", "preview", "primary", "stable"];

/// Last words of the names under which a program also runs, to do what no request waits for.
const WORKER_WORDS: &[&str] = &[
    "background",
    "beat",
    "celery",
    "consumer",
    "cron",
    "horizon",
    "job",
    "jobs",
    "oban",
    "queue",
    "resque",
    "scheduler",
    "sidekiq",
    "worker",
    "workers",
];

/// Whether it keeps data that has an owner: no cache, queue or object store, and not in memory.
pub(crate) fn holds_data(info: &DatastoreInfo) -> bool {
    !is_cache(info) && !is_in_memory(info)
}

/// Whether it is a cache, a queue or an object store: asking it often is cheap, or a matter of its own.
pub(crate) fn is_cache(info: &DatastoreInfo) -> bool {
    EXEMPT_SYSTEMS.contains(&info.system.as_str())
}

/// Whether tables stand for themselves, without a namespace around them.
pub(crate) fn is_table_system(info: &DatastoreInfo) -> bool {
    TABLE_SYSTEMS.contains(&info.system.as_str())
}

/// Whether `above` may be what a mapper tells of `driven`: the mapper knows the system alone, and what it asks the driver
/// below it asks again.
pub(crate) fn is_mapper_of(above: &DatastoreInfo, driven: &DatastoreInfo) -> bool {
    above.system == driven.system && above.address.is_empty() && above.namespace.is_empty() && above != driven
}

fn is_in_memory(info: &DatastoreInfo) -> bool {
    [&info.namespace, &info.address].into_iter().any(|text| text.contains(":memory:") || text.starts_with("mem:"))
}

/// Why it cannot be told whether everything of this name is one database.
pub(crate) fn unknown_identity(info: &DatastoreInfo) -> Option<String> {
    let name = info.namespace.rsplit(['/', '\\']).next().unwrap_or_default().to_lowercase();
    let is_file = FILE_SYSTEMS.contains(&info.system.as_str());
    if !DEFAULT_NAMES.contains(&name.as_str()) || !(info.address.is_empty() || is_file) {
        return None;
    }
    let system = &info.system;
    Some(match name.as_str() {
        "" => format!("neither the address nor the name of the {system} database is recorded"),
        _ => format!("{name} is a name that many {system} databases have, and nothing else tells them apart"),
    })
}

/// Whether a use is a job's, which migrates or analyses. A service that serves requests may have a job beside them.
pub(crate) fn is_of_job(graph: &CallGraph, options: &Options<'_>, usage: &TableUsage) -> bool {
    let facts = &usage.facts;
    let others = (facts.reads + facts.writes).saturating_sub(facts.scheduled);
    // Of a few among many it may only be lost that the job made them.
    let is_little =
        || options.required().edge(others, others).is_err() && others * MIN_JOBS_PER_OTHER <= facts.scheduled;
    options.roles().has_any(graph, usage.service, &[Role::Schedule]) || others == 0 || is_little()
}

/// Whether the datastore of these uses is a copy for readers: nobody writes here, and its address says so, or somebody
/// writes the same tables of the same name at another address.
pub(crate) fn is_replica(graph: &CallGraph, datastore: NodeIndex, usages: &[&TableUsage]) -> bool {
    let Some(info) = &graph.node(datastore).datastore else { return false };
    if usages.iter().any(|usage| usage.facts.writes > 0) {
        return false;
    }
    let host = info.address.to_lowercase();
    let says_so = host.split(['.', '-', ':', '_', '/']).any(|word| REPLICA_WORDS.contains(&word));
    let is_written_elsewhere = |usage: &TableUsage| {
        let other = graph.node(usage.datastore).datastore.as_ref();
        let is_original = other
            .is_some_and(|other| (&other.system, &other.namespace) == (&info.system, &info.namespace) && other != info);
        is_original && usage.facts.writes > 0 && usages.iter().any(|own| own.table == usage.table)
    };
    says_so || graph.usages.iter().any(is_written_elsewhere)
}

/// Whether a use among `all` of a datastore only reads a table that is made for others to read: one that another service
/// uses, too, or a view of what another one writes.
pub(crate) fn reads_read_model(usage: &TableUsage, all: &[&TableUsage]) -> bool {
    let is_made = |other: &TableUsage| other.table == usage.table || other.facts.writes > 0;
    let is_of_others = || all.iter().any(|other| other.service != usage.service && is_made(other));
    usage.facts.writes == 0 && is_read_model(&usage.table) && is_of_others()
}

fn is_read_model(table: &str) -> bool {
    let table = table.rsplit('.').next().unwrap_or_default().to_lowercase();
    let mut words = table.split('_');
    let (first, last) = (words.next().unwrap_or_default(), words.next_back().unwrap_or_default());
    READ_MODEL_AFFIXES.contains(&first) || READ_MODEL_AFFIXES.contains(&last) || table.ends_with("_read_model")
}

/// How many deployables these services are: services with a process in common are one, those that nobody named may be, and
/// a program's workers (`shop-worker`) and stages (`shop-blue`, `shop-canary`) are one with what else is deployed of it.
pub(crate) fn deployables(graph: &CallGraph, services: impl IntoIterator<Item = NodeIndex>) -> usize {
    let services: Vec<_> = services.into_iter().collect();
    let mut groups = UnionFind::<usize>::new(services.len());
    let mut first_of_process: BTreeMap<&str, usize> = BTreeMap::new();
    let mut first_of_program: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (place, &service) in services.iter().enumerate() {
        let instances = graph.node(service).service.iter().flat_map(|service| &service.instances);
        let processes = instances.map(|(id, _)| id.as_str()).filter(|id| is_process(id));
        for process in processes.chain(topology::placeholder(graph, service)) {
            groups.union(place, *first_of_process.entry(process).or_insert(place));
        }
        let Some(program) = program(graph, service) else { continue };
        let first = *first_of_program.entry(program).or_insert(place);
        if may_be_one_program(graph, service, services[first]) {
            groups.union(place, first);
        }
    }
    for (worker, front) in fronts_of_workers(graph, &services, &first_of_program) {
        groups.union(worker, front);
    }
    groups.into_labeling().into_iter().collect::<BTreeSet<_>>().len()
}

/// The namespace of a service, and its name less last words that say that it works beside the requests, or of several
/// stages is one.
fn program(graph: &CallGraph, service: NodeIndex) -> Option<(&str, &str)> {
    let info = graph.node(service).service.as_ref()?;
    let name = without_word(&info.name, STAGE_WORDS).unwrap_or(&info.name);
    Some((&info.namespace, without_word(name, WORKER_WORDS).unwrap_or(name)))
}

/// A name less its last word, where that is one of `words`.
fn without_word<'a>(name: &'a str, words: &[&str]) -> Option<&'a str> {
    let (rest, word) = name.rsplit_once(['-', '_', '.', ' '])?;
    words.contains(&word.to_lowercase().as_str()).then_some(rest)
}

/// The places of workers of which nothing bears the program's own name, each with that of the only part of the program
/// that is called after taking requests: `shop-sidekiq` and `shop-web`.
fn fronts_of_workers<'a>(
    graph: &'a CallGraph,
    services: &[NodeIndex],
    first_of_program: &BTreeMap<(&'a str, &'a str), usize>,
) -> Vec<(usize, usize)> {
    let mut fronts: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (place, &service) in services.iter().enumerate() {
        let Some(info) = &graph.node(service).service else { continue };
        if let Some(program) = without_word(&info.name, FRONT_WORDS) {
            fronts.entry((&info.namespace, program)).or_default().push(place);
        }
    }
    let is_worker = |place: usize| without_word(&graph.node(services[place]).name, WORKER_WORDS).is_some();
    let joined = fronts.into_iter().filter_map(|(program, fronts)| match (first_of_program.get(&program), &*fronts) {
        (Some(&worker), &[front]) if is_worker(worker) => Some((worker, front)),
        _ => None,
    });
    joined.filter(|&(worker, front)| may_be_one_program(graph, services[worker], services[front])).collect()
}

/// Whether nothing says that two services are of different programs: one language and, unless one is a stage of the
/// other, one version, where they tell.
fn may_be_one_program(graph: &CallGraph, left: NodeIndex, right: NodeIndex) -> bool {
    let (Some(left), Some(right)) = (&graph.node(left).service, &graph.node(right).service) else { return false };
    let is_stage = [left, right].into_iter().any(|service| without_word(&service.name, STAGE_WORDS).is_some());
    may_agree(&left.languages, &right.languages, |name| name)
        && (is_stage || may_agree(&left.versions, &right.versions, |(version, _)| version))
}

/// Whether one of the names is on both sides, or one side tells none.
fn may_agree<T>(left: &[T], right: &[T], name: impl Fn(&T) -> &String) -> bool {
    let is_on_both = |each: &T| right.iter().any(|other| name(other) == name(each));
    left.is_empty() || right.is_empty() || left.iter().any(is_on_both)
}

/// Whether an instance is one process, whatever service it says it is: `host/pid`, as the graph names it where the
/// service gives no id, or a UUID. Other ids are unique within a service only.
fn is_process(instance: &str) -> bool {
    let number = instance.rsplit_once('/').map(|(_, process)| process);
    let is_numbered =
        number.is_some_and(|process| !process.is_empty() && process.chars().all(|digit| digit.is_ascii_digit()));
    let lengths: Vec<_> = instance.split('-').map(str::len).collect();
    let is_uuid =
        lengths == [8, 4, 4, 4, 12] && instance.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit());
    is_numbered || is_uuid
}

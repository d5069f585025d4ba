//! Datastores as rules see them: which hold data that somebody owns, whether two names mean one, and who counts as one
//! user.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::snapshot::DatastoreInfo;
use spanlint_graph::{CallGraph, NodeIndex};

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

/// How many deployables these services are: services with a process in common are one.
pub(crate) fn deployables(graph: &CallGraph, services: impl IntoIterator<Item = NodeIndex>) -> usize {
    let mut deployable_of: BTreeMap<&str, NodeIndex> = BTreeMap::new();
    let mut deployables = BTreeSet::new();
    for service in services {
        let instances = graph.node(service).service.iter().flat_map(|service| &service.instances);
        let processes: Vec<_> = instances.map(|(id, _)| id.as_str()).filter(|id| is_process(id)).collect();
        let known = processes.iter().find_map(|id| deployable_of.get(id)).copied();
        let deployable = known.unwrap_or(service);
        deployable_of.extend(processes.into_iter().map(|id| (id, deployable)));
        deployables.insert(deployable);
    }
    deployables.len()
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

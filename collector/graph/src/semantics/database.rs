//! Calls to datastores: which one it is, whatever its instrumentation calls it, and what a statement does there.

use std::borrow::Cow;

use super::attributes::Field;
use super::inputs::Inputs;
use super::sql::{self, Dialect, MAX_TABLES, Statement, Table};
use super::{call, intern, url};
use crate::name::{Name, NameTable};
use crate::span::{Access, Call, DatastoreKey, EdgeKind, NodeKey, SpanKind};
use crate::text::scrub;

/// What a span of kind `kind` speaks of a datastore by: a database system, a query, an object store, or a file. A query or a
/// file beside a request is only what the request is about.
pub(super) fn has_datastore(kind: SpanKind, inputs: &Inputs<'_>) -> bool {
    let has_request = || {
        let fields = [Field::HttpMethod, Field::Url, Field::RpcSystem, Field::RpcMethod, Field::MessagingSystem];
        fields.into_iter().any(|field| inputs.has(field))
    };
    let is_told = || [Field::DbText, Field::FilePath, Field::FileDirectory].into_iter().any(|field| inputs.has(field));
    let is_store = || is_object_store(inputs) || inputs.aws_service() == "dynamodb";
    inputs.has(Field::DbSystem) || kind != SpanKind::Server && (is_store() || is_told() && !has_request())
}

/// Whether a call goes to a store of objects: SDKs for some languages name the bucket, others the interface alone.
fn is_object_store(inputs: &Inputs<'_>) -> bool {
    inputs.has(Field::Bucket) || inputs.aws_service() == "s3"
}

/// Whether a span only makes a connection known to a key-value store, as clients do by themselves with each connection:
/// `CLIENT SETINFO`, `HELLO`. They often do so before they know the name of the server.
pub(super) fn introduces_itself(inputs: &Inputs<'_>) -> bool {
    let system = current_name(&inputs.text(Field::DbSystem));
    if !matches!(&*system, "redis" | "valkey") {
        return false;
    }
    let said = match &*inputs.statement.template {
        "" => operation(inputs),
        command => command.into(),
    };
    let said = if said.is_empty() { inputs.name.clone() } else { said };
    ["client", "hello", "auth"].iter().any(|command| said.eq_ignore_ascii_case(command))
}

/// The call of a span that speaks of a datastore, and whether it only sets up, migrates or locks.
pub(super) fn read(inputs: &Inputs<'_>, names: &mut NameTable) -> (Call, bool) {
    let system = system(inputs);
    let has_text = inputs.has(Field::DbText);
    let statement = if has_text { inputs.statement } else { &summary(inputs) };
    let namespace = namespace(&system, inputs);
    let operation = operation(inputs);
    let collection = collection(&system, inputs);
    let template = match &*inputs.text(Field::DbSummary) {
        "" if speaks_sql(&system) && !statement.template.is_empty() => statement.template.clone(),
        "" if !collection.is_empty() => format!("{operation} {collection}").trim().to_owned(),
        "" if !speaks_sql(&system) && !operation.is_empty() => operation.clone().into_owned(),
        "" if !statement.template.is_empty() => statement.template.clone(),
        // Two that are only known to be statements of one database are not known to be one statement.
        "" => {
            let known = [&*system, &*inputs.text(Field::DbSystem), &*namespace];
            let mut told = [&operation, &inputs.name].into_iter();
            let told = told.find(|text| sql::tells_what_is_asked(text, &known));
            told.map(|text| text.clone().into_owned()).unwrap_or_default()
        }
        summary => summary.to_owned(),
    };
    let by_operation = sql::access_of_operation(&operation);
    // A driver that only says `query` or `execute` does not hide what the text says.
    let access = if speaks_sql(&system) && (statement.access != Access::None || statement.is_set_up) {
        statement.access
    } else {
        by_operation.max(statement.access)
    };
    let tables = tables(&collection, statement, access, &namespace);
    let of = |wanted: Access, names: &mut NameTable| -> Box<[Name]> {
        tables.iter().filter(|table| table.access == wanted).map(|table| intern(names, &table.name)).collect()
    };
    let call = Call {
        peer: Some(NodeKey::Datastore(datastore(&system, &namespace, inputs, names))),
        kind: EdgeKind::Database,
        template: intern(names, &template),
        access,
        tables: of(access, names),
        also_read: if access == Access::Write { of(Access::Read, names) } else { Box::default() },
        ..Call::default()
    };
    let described = if operation.is_empty() { &inputs.name } else { &operation };
    // The next part of an answer, or of what a tailing cursor waits for.
    let goes_on = described.get(..7).is_some_and(|verb| verb.eq_ignore_ascii_case("getmore"));
    let is_set_up = goes_on
        || statement.is_set_up
        || sql::is_driver_step(&inputs.name)
        || !has_text && sql::is_set_up_operation(described);
    (call, is_set_up)
}

/// What a query text says to a system.
pub(super) fn statement(system: &str, text: &str) -> Statement {
    let system = current_name(system);
    let text = scrub(text);
    let statement = match &*system {
        "mongodb" if text.starts_with('{') => document(&text),
        system if speaks_sql(system) => sql::read(&text, Dialect::of(system)),
        _ => command(&text),
    };
    statement.identified()
}

/// Current names of database systems, and older and other names of the same.
const SYSTEMS: [(&str, &[&str]); 22] = [
    ("postgresql", &["postgres", "pg", "pgsql"]),
    ("mysql", &["mysql2"]),
    ("microsoft.sql_server", &["mssql", "mssqlcompact", "sqlserver", "sql server", "sql_server"]),
    ("oracle.db", &["oracle", "oracledb"]),
    ("ibm.db2", &["db2"]),
    ("ibm.informix", &["informix"]),
    ("ibm.netezza", &["netezza"]),
    ("h2database", &["h2"]),
    ("sqlite", &["sqlite3", "better-sqlite3"]),
    ("mongodb", &["mongo", "mongoose"]),
    ("aws.dynamodb", &["dynamodb", "dynamo"]),
    ("aws.redshift", &["redshift"]),
    ("aws.s3", &["s3"]),
    ("azure.cosmosdb", &["cosmosdb"]),
    ("gcp.spanner", &["spanner"]),
    ("elasticsearch", &["elastic"]),
    ("cockroachdb", &["cockroach"]),
    ("sap.hana", &["hanadb"]),
    ("sap.maxdb", &["maxdb"]),
    ("actian.ingres", &["ingres"]),
    ("firebirdsql", &["firebird"]),
    ("memcached", &["memcache"]),
];

/// Ports that instrumentations leave out, since they are the system's own.
const DEFAULT_PORTS: [(&str, &str); 18] = [
    ("postgresql", "5432"),
    ("mysql", "3306"),
    ("mariadb", "3306"),
    ("microsoft.sql_server", "1433"),
    ("oracle.db", "1521"),
    ("ibm.db2", "50000"),
    ("mongodb", "27017"),
    ("redis", "6379"),
    ("memcached", "11211"),
    ("cassandra", "9042"),
    ("elasticsearch", "9200"),
    ("opensearch", "9200"),
    ("cockroachdb", "26257"),
    ("couchdb", "5984"),
    ("neo4j", "7687"),
    ("influxdb", "8086"),
    ("azure.cosmosdb", "443"),
    ("aws.dynamodb", "443"),
];

/// Systems that live in a file or in the process, so that the same name on two hosts means two datastores.
const EMBEDDED_SYSTEMS: [&str; 8] = ["sqlite", "h2database", "hsqldb", "derby", "duckdb", "rocksdb", "leveldb", "file"];

/// Systems whose queries are no SQL.
const OTHER_LANGUAGES: [&str; 15] = [
    "redis",
    "valkey",
    "memcached",
    "mongodb",
    "elasticsearch",
    "opensearch",
    "aws.dynamodb",
    "aws.s3",
    "couchdb",
    "hbase",
    "geode",
    "influxdb",
    "file",
    "rocksdb",
    "leveldb",
];

/// The name of Spring's data source where nobody gave it one.
const UNNAMED_SOURCE: &str = "datasource";

fn speaks_sql(system: &str) -> bool {
    !OTHER_LANGUAGES.contains(&system)
}

/// The system by its current name.
fn system(inputs: &Inputs<'_>) -> String {
    match current_name(&inputs.text(Field::DbSystem)) {
        system if !system.is_empty() => system,
        _ if is_object_store(inputs) => "aws.s3".to_owned(),
        _ if inputs.aws_service() == "dynamodb" => "aws.dynamodb".to_owned(),
        _ if inputs.has(Field::DbText) => "other_sql".to_owned(),
        _ => "file".to_owned(),
    }
}

fn current_name(system: &str) -> String {
    let given = system.trim().to_ascii_lowercase();
    let renamed = SYSTEMS.iter().find(|(_, others)| others.contains(&&*given));
    renamed.map_or(given, |(current, _)| (*current).to_owned())
}

/// The database within the system. Instrumentations of `PostgreSQL` add the schema, those of SQL Server
/// put the instance first.
fn namespace(system: &str, inputs: &Inputs<'_>) -> String {
    let given = inputs.text(Field::DbNamespace);
    let named = match (system, given.split_once('|')) {
        // Its tables are in no database; where a namespace is given it is the table.
        ("aws.dynamodb", _) => String::new(),
        ("postgresql", Some((database, _))) | ("microsoft.sql_server", Some((_, database))) => database.to_owned(),
        _ => given.into_owned(),
    };
    if !named.is_empty() {
        return named;
    }
    match system {
        "aws.s3" => inputs.text(Field::Bucket).into_owned(),
        "file" if inputs.has(Field::FileDirectory) => inputs.text(Field::FileDirectory).into_owned(),
        "file" => inputs.text(Field::FilePath).rsplit_once('/').map_or("", |(directory, _)| directory).to_owned(),
        _ => Connection::of(&inputs.text(Field::DbConnection)).database.to_owned(),
    }
}

/// The table or collection, of several their list.
fn collection<'a>(system: &str, inputs: &'a Inputs<'_>) -> Cow<'a, str> {
    let given = inputs.text(Field::DbCollection);
    if system != "aws.dynamodb" {
        return given;
    }
    if given.is_empty() {
        return inputs.text(Field::DbNamespace);
    }
    // DynamoDB's tables come as an array.
    let of_list = |name: &str| name.trim_matches(['[', ']', '"', ' ']).to_owned();
    given.split(',').map(of_list).collect::<Vec<_>>().join(",").into()
}

/// What a connection string says; empty where it does not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Connection<'a> {
    host: &'a str,
    port: &'a str,
    database: &'a str,
}

impl<'a> Connection<'a> {
    /// Reads `jdbc:postgresql://host:5432/database?…`, `Server=host,1433;Database=database;…` and `host:5432`, which is all
    /// that some clients tell.
    fn of(text: &'a str) -> Self {
        if text.contains("://") {
            let (url, options) = text.split_once(';').unwrap_or((text, ""));
            let url = url::split(url);
            let path = url.path.trim_start_matches('/');
            let database = if path.is_empty() { option(options, &["databasename", "database"]) } else { path };
            return Self { host: url.host, port: url.port, database };
        }
        let (host, port) = url::split_host(text);
        if !port.is_empty() {
            return Self { host, port, database: "" };
        }
        let server = option(text, &["server", "data source", "host", "addr", "address"]);
        let server = server.strip_prefix("tcp:").unwrap_or(server);
        let (host, port) = server.split_once(',').unwrap_or_else(|| url::split_host(server));
        let port = if port.is_empty() { option(text, &["port"]) } else { port };
        Self { host, port, database: option(text, &["database", "initial catalog", "dbname"]) }
    }
}

/// The value of the first of `keys` in `key=value;key=value`.
fn option<'a>(text: &'a str, keys: &[&str]) -> &'a str {
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| keys.iter().any(|each| key.trim().eq_ignore_ascii_case(each)));
    found.next().map_or("", |(_, value)| value.trim())
}

/// (system, address, namespace). A missing address is taken from the connection string or the declared peer, a missing
/// port is the system's own; what is local to a host carries that host as a prefix.
fn datastore(system: &str, namespace: &str, inputs: &Inputs<'_>, names: &mut NameTable) -> DatastoreKey {
    let connection_text = inputs.text(Field::DbConnection);
    let connection = Connection::of(&connection_text);
    let address = call::server_address(inputs);
    // A declared peer may be a name of its own, but not one that every host has.
    let peer = inputs.text(Field::PeerService);
    let peer = url::split_host(peer.strip_prefix("tcp://").unwrap_or(&peer));
    let (host, port) = match url::split_host(&address) {
        ("", _) if connection.host.is_empty() && is_loopback(peer.0) => peer,
        ("", _) => (connection.host, connection.port),
        address => address,
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_local = is_loopback(&host) || EMBEDDED_SYSTEMS.contains(&system) && host.is_empty();
    let host = if is_loopback(&host) { "localhost".to_owned() } else { host };
    let is_socket = host.starts_with(['/', '@']);
    let port = match port {
        "" if !is_socket => DEFAULT_PORTS.iter().find(|(each, _)| *each == system).map_or("", |(_, port)| port),
        port => port,
    };
    let address = match &*host {
        "" if inputs.text(Field::PeerService).eq_ignore_ascii_case(UNNAMED_SOURCE) => String::new(),
        "" if inputs.has(Field::PeerService) => inputs.text(Field::PeerService).into_owned(),
        // The tables of a region are behind one address, which the SDK for most languages leaves out.
        "" if system == "aws.dynamodb" && inputs.has(Field::Region) => {
            let region = inputs.text(Field::Region).to_ascii_lowercase();
            call::join(&format!("dynamodb.{region}.amazonaws.com"), port)
        }
        "" => String::new(),
        host => call::join(host, port),
    };
    let address = if !is_local {
        address
    } else if inputs.own_host.is_empty() {
        // Without a host nobody can tell one machine's `localhost` from another's, so the address stays uninputs.
        String::new()
    } else {
        format!("{}/{address}", inputs.own_host)
    };
    DatastoreKey {
        system: intern(names, system),
        address: intern(names, &address),
        namespace: intern(names, namespace),
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "::1" || host.starts_with("127.")
}

/// The operation as it is given; of an object store, its remote procedure.
fn operation<'a>(inputs: &'a Inputs<'_>) -> Cow<'a, str> {
    if inputs.has(Field::DbOperation) { inputs.text(Field::DbOperation) } else { inputs.text(Field::RpcMethod) }
}

/// A statement known by its summary alone: `INSERT a SELECT b`.
fn summary(inputs: &Inputs<'_>) -> Statement {
    let mut statement = Statement::default();
    let mut access = Access::None;
    let summary = inputs.text(Field::DbSummary);
    for word in summary.split_ascii_whitespace().take(2 * MAX_TABLES) {
        match sql::access_of_operation(word) {
            Access::None if access != Access::None => {
                statement.tables.push(Table { name: sql::table_name(word), access });
            }
            Access::None => {}
            found => {
                access = found;
                statement.access = statement.access.max(found);
            }
        }
    }
    statement
}

/// A command of a system that speaks no SQL: what it does is its first word, and all else are parameters.
fn command(text: &str) -> Statement {
    let text = &text[..text.floor_char_boundary(sql::MAX_TEXT_BYTES)];
    let word = text.split(|character: char| !character.is_ascii_alphanumeric()).next().unwrap_or_default();
    Statement {
        template: word.to_owned(),
        access: sql::access_of_operation(word),
        // The command alone, as some drivers write it, says nothing of what it is about.
        has_placeholders: text.contains('?') || text.trim() == word,
        ..Statement::default()
    }
}

/// A command of `MongoDB` as the document that goes over the wire: `{"find": "orders", …}`. Drivers that write only a filter
/// say elsewhere what they do.
fn document(text: &str) -> Statement {
    let text = &text[..text.floor_char_boundary(sql::MAX_TEXT_BYTES)];
    let mut quoted = text.split('"');
    let (operation, between, collection) = (quoted.nth(1), quoted.next(), quoted.next());
    let access = operation.map_or(Access::None, sql::access_of_operation);
    let (Some(operation), Some(":"), Some(collection)) = (operation, between.map(str::trim), collection) else {
        return command(text);
    };
    if access == Access::None {
        return command(text);
    }
    Statement {
        template: format!("{operation} {collection}"),
        tables: vec![Table { name: sql::table_name(collection), access }],
        access,
        has_placeholders: text.contains('?'),
        ..Statement::default()
    }
}

/// The tables of a call. The text knows more of them than the collection's attribute, which has room for one.
fn tables(collection: &str, statement: &Statement, access: Access, namespace: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let namespace = namespace.to_lowercase();
    let mut push = |name: &str, access: Access| {
        let name = sql::table_name(name);
        // A table's name may repeat the database that it is in.
        let local = name.strip_prefix(&*namespace).and_then(|name| name.strip_prefix('.'));
        let name = local.map(str::to_owned).unwrap_or(name);
        if !name.is_empty() && tables.len() < MAX_TABLES {
            tables.push(Table { name, access });
        }
    };
    if access == Access::None {
        return Vec::new();
    }
    let collection_name = sql::table_name(collection);
    let is_told = collection.is_empty() || statement.tables.iter().any(|table| table.name == collection_name);
    if is_told {
        statement.tables.iter().for_each(|table| push(&table.name, table.access));
    } else {
        collection.split(',').for_each(|name| push(name, access));
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_are_read() {
        let check = |text, host, port, database| {
            assert_eq!(Connection::of(text), Connection { host, port, database }, "{text}");
        };
        check("jdbc:postgresql://db:5432/shop?ssl=true", "db", "5432", "shop");
        check("postgres://u:p@db/shop", "db", "", "shop");
        check("jdbc:sqlserver://db:1433;databaseName=shop;encrypt=false", "db", "1433", "shop");
        check("Server=tcp:db,1433;Initial Catalog=shop;User=a", "db", "1433", "shop");
        check("host=db;port=5433;dbname=shop", "db", "5433", "shop");
        check("db:5433", "db", "5433", "");
        check("h2:mem:", "", "", "");
        check("", "", "", "");
    }
}

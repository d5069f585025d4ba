//! What the first word of a statement, or the name of an operation, says.

use crate::span::Access;

/// What an operation name (`SELECT`, `findAndModify`, `HGET`, `create_item`) does.
pub(in crate::semantics) fn access_of_operation(operation: &str) -> Access {
    let word = |is_end: fn(char) -> bool| operation.split(is_end).next().unwrap_or_default();
    let first = word(|character| !character.is_ascii_alphanumeric());
    let whole = word(|character| !character.is_ascii_alphanumeric() && character != '_');
    let joined = if whole.len() > first.len() { whole.replace('_', "") } else { String::new() };
    // What is written with underscores is one name: `create_item` writes, although `create` defines.
    match access_of_word(&joined) {
        Access::None => access_of_word(first),
        known => known,
    }
}

fn access_of_word(word: &str) -> Access {
    let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    if is(READING) {
        Access::Read
    } else if is(WRITING) {
        Access::Write
    } else {
        Access::None
    }
}

const READING: &[&str] = &[
    "select",
    "find",
    "findone",
    "findmany",
    "aggregate",
    "count",
    "countdocuments",
    "distinct",
    "getmore",
    "get",
    "mget",
    "hget",
    "hgetall",
    "hmget",
    "hkeys",
    "hvals",
    "hexists",
    "exists",
    "scan",
    "sscan",
    "hscan",
    "query",
    "search",
    "msearch",
    "getitem",
    "batchgetitem",
    "transactgetitems",
    "lrange",
    "llen",
    "lindex",
    "smembers",
    "sismember",
    "scard",
    "zrange",
    "zscore",
    "zrangebyscore",
    "xread",
    "xrange",
    "ttl",
    "type",
    "strlen",
    "read",
    "all",
    "first",
    "match",
    "getobject",
    "headobject",
    "listobjects",
    "listobjectsv2",
    "readitem",
    "readmanyitems",
    "readallitems",
    "queryitems",
];

const WRITING: &[&str] = &[
    "insert",
    "update",
    "delete",
    "replace",
    "merge",
    "upsert",
    "findandmodify",
    "findoneandupdate",
    "findoneanddelete",
    "insertone",
    "insertmany",
    "updateone",
    "updatemany",
    "replaceone",
    "deleteone",
    "deletemany",
    "bulkwrite",
    "set",
    "setex",
    "setnx",
    "psetex",
    "mset",
    "getset",
    "getdel",
    "append",
    "hset",
    "hsetnx",
    "hmset",
    "hdel",
    "hincrby",
    "del",
    "unlink",
    "incr",
    "incrby",
    "incrbyfloat",
    "decr",
    "decrby",
    "expire",
    "pexpire",
    "persist",
    "lpush",
    "rpush",
    "lpop",
    "rpop",
    "ltrim",
    "lrem",
    "sadd",
    "srem",
    "spop",
    "zadd",
    "zrem",
    "zincrby",
    "xadd",
    "xdel",
    "put",
    "putitem",
    "updateitem",
    "deleteitem",
    "batchwriteitem",
    "transactwriteitems",
    "index",
    "bulk",
    "copy",
    "write",
    "save",
    "remove",
    "putobject",
    "deleteobject",
    "deleteobjects",
    "copyobject",
    "uploadpart",
    "createitem",
    "upsertitem",
    "replaceitem",
    "patchitem",
];

/// First words of statements that define, connect, or control a session or a transaction.
const SET_UP: [&str; 37] = [
    "create",
    "alter",
    "drop",
    "truncate",
    "rename",
    "grant",
    "revoke",
    "comment",
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "release",
    "start",
    "end",
    "abort",
    "set",
    "reset",
    "show",
    "pragma",
    "use",
    "explain",
    "analyze",
    "vacuum",
    "connect",
    "disconnect",
    "close",
    "discard",
    "deallocate",
    "prepare",
    "declare",
    "lock",
    "unlock",
    "ping",
    "hello",
    "auth",
    "describe",
];

/// Whether a function tells of the session alone, and not of what anybody stored.
pub(super) fn is_session_call(name: &str) -> bool {
    const CALLS: [&str; 9] = [
        "connection_id",
        "current_database",
        "current_schema",
        "database",
        "now",
        "pg_backend_pid",
        "pg_is_in_recovery",
        "user",
        "version",
    ];
    CALLS.iter().any(|call| name.eq_ignore_ascii_case(call))
}

/// Whether a statement that begins with `word` uses no table as its data.
pub(super) fn sets_up(word: &str) -> bool {
    SET_UP.iter().any(|each| word.eq_ignore_ascii_case(each))
}

/// Whether the name of an operation (`BEGIN`, `pg-pool.connect`) says that it sets up. In a key-value store `SET` writes.
pub(in crate::semantics) fn is_set_up_operation(operation: &str) -> bool {
    let mut words =
        operation.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let (first, last) = (words.next().unwrap_or_default(), words.next_back());
    let connects = last.is_some_and(|last| last.eq_ignore_ascii_case("connect"));
    access_of_operation(operation) == Access::None && sets_up(first) || connects
}

/// Whether a span of Go's `database/sql` or of PHP's data objects is a step beside the query: `sql.conn.prepare`,
/// `PDOStatement::fetchAll`. It may repeat the query's text.
pub(in crate::semantics) fn is_driver_step(name: &str) -> bool {
    const STEPS: [&str; 16] = [
        "PDO::__construct",
        "PDO::beginTransaction",
        "PDO::commit",
        "PDO::prepare",
        "PDO::rollBack",
        "PDOStatement::fetchAll",
        "sql.conn.begin_tx",
        "sql.conn.ping",
        "sql.conn.prepare",
        "sql.conn.reset_session",
        "sql.connector.connect",
        "sql.rows",
        "sql.rows.close",
        "sql.stmt.close",
        "sql.tx.commit",
        "sql.tx.rollback",
    ];
    // Zipkin's names are in lower case.
    STEPS.iter().any(|step| step.eq_ignore_ascii_case(name))
}

/// Words with which drivers name their own methods, whatever they are asked.
const DRIVER_WORDS: [&str; 20] = [
    "client",
    "command",
    "conn",
    "connection",
    "cursor",
    "database",
    "db",
    "exec",
    "execute",
    "executemany",
    "executequery",
    "executeupdate",
    "fetch",
    "jdbc",
    "pdo",
    "pdostatement",
    "sql",
    "statement",
    "stmt",
    "transaction",
];

/// Whether `name` says more than that something was asked of the database of which `known` (its system, its namespace)
/// tells already.
pub(in crate::semantics) fn tells_what_is_asked(name: &str, known: &[&str]) -> bool {
    let is_told = |word: &str| {
        DRIVER_WORDS.iter().chain(known).any(|each| word.eq_ignore_ascii_case(each))
            || access_of_operation(word) != Access::None
    };
    let parts = name.split(|character: char| character.is_whitespace() || matches!(character, '.' | ':' | '/'));
    parts.filter(|part| !part.is_empty()).any(|part| !is_told(part))
}

/// Calls that take or give back a lock.
pub(super) const LOCK_CALLS: [&str; 10] = [
    "get_lock",
    "release_lock",
    "pg_advisory_lock",
    "pg_advisory_xact_lock",
    "pg_try_advisory_lock",
    "pg_try_advisory_xact_lock",
    "pg_advisory_unlock",
    "pg_advisory_unlock_all",
    "sp_getapplock",
    "sp_releaseapplock",
];

/// Tables in which tools for migrations note what they did.
const MIGRATION_TABLES: [&str; 14] = [
    "schema_migrations",
    "ar_internal_metadata",
    "flyway_schema_history",
    "databasechangelog",
    "databasechangeloglock",
    "alembic_version",
    "django_migrations",
    "__efmigrationshistory",
    "_prisma_migrations",
    "_sqlx_migrations",
    "knex_migrations",
    "knex_migrations_lock",
    "sequelizemeta",
    "goose_db_version",
];

/// Schemas and tables in which databases describe themselves.
const CATALOGS: [&str; 6] = ["information_schema.", "pg_catalog.", "sys.", "pg_", "sqlite_master", "sqlite_schema"];

/// Whether a table is of a tool or of the database itself, not of the service.
pub(super) fn is_schema_table(table: &str) -> bool {
    let name = table.rsplit('.').next().unwrap_or_default();
    MIGRATION_TABLES.contains(&name) || CATALOGS.iter().any(|catalog| table.starts_with(catalog))
}

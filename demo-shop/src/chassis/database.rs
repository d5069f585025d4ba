//! A service's own `SQLite` database: statements as constants, and the CLIENT span of every statement.
//!
//! One connection behind a lock: a service's statements follow one another, and the blocking pool keeps them off the
//! runtime's threads. There is no query builder on purpose; the SQL that runs is the SQL that telemetry shows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::error::Error;
use super::telemetry::{ActiveSpan, SpanKind, Telemetry};

pub(crate) use rusqlite::Row;

/// Reading another connection's half-written file is waited for, never an error.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// One parameterised SQL text with the table that it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statement {
    operation: &'static str,
    table: &'static str,
    sql: &'static str,
}

impl Statement {
    pub(crate) const fn select(table: &'static str, sql: &'static str) -> Self {
        Self { operation: "SELECT", table, sql }
    }

    pub(crate) const fn insert(table: &'static str, sql: &'static str) -> Self {
        Self { operation: "INSERT", table, sql }
    }

    pub(crate) const fn update(table: &'static str, sql: &'static str) -> Self {
        Self { operation: "UPDATE", table, sql }
    }

    pub(crate) const fn delete(table: &'static str, sql: &'static str) -> Self {
        Self { operation: "DELETE", table, sql }
    }
}

/// Collects parameters of different types.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::chassis::database::value(&$value)),*] };
}
pub(crate) use values;

/// A parameter that can move to the thread that runs the statement.
pub(crate) fn value(parameter: &impl ToSql) -> Value {
    match parameter.to_sql().expect("text and numbers always convert") {
        ToSqlOutput::Owned(value) => value,
        ToSqlOutput::Borrowed(value) => value.try_into().expect("text is UTF-8 here"),
        _ => Value::Null,
    }
}

/// One statement of a transaction.
#[derive(Debug)]
pub(crate) struct Step {
    statement: &'static Statement,
    parameters: Vec<Value>,
    expected: Option<usize>,
}

impl Step {
    pub(crate) fn new(statement: &'static Statement, parameters: Vec<Value>) -> Self {
        Self { statement, parameters, expected: None }
    }

    /// Undoes the transaction unless exactly this many rows change.
    pub(crate) fn expecting(mut self, rows: usize) -> Self {
        self.expected = Some(rows);
        self
    }
}

/// Where the databases of one shop lie.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Opens a service's database; telemetry calls it by the service's name, wherever the file lies.
    pub(crate) fn open(&self, owner: &'static str, telemetry: Telemetry) -> Result<Database, Error> {
        let connection = Connection::open(self.path.join(format!("{owner}.db")))?;
        // The files live as long as the shop does, so nothing needs to survive a power cut.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(Database { connection: Arc::new(Mutex::new(connection)), namespace: owner, telemetry })
    }
}

/// An open database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    connection: Arc<Mutex<Connection>>,
    namespace: &'static str,
    telemetry: Telemetry,
}

impl Database {
    #[cfg(test)]
    pub(crate) fn in_memory(namespace: &'static str) -> Self {
        let connection = Connection::open_in_memory().unwrap();
        Self { connection: Arc::new(Mutex::new(connection)), namespace, telemetry: super::testing::telemetry() }
    }

    /// Creates what is missing. Building the schema is no request, so it leaves no span.
    pub(crate) fn prepare(&self, schema: &str) -> Result<(), Error> {
        Ok(lock(&self.connection).execute_batch(schema)?)
    }

    /// Writes the first rows, before any request and therefore without a span.
    pub(crate) fn seed(&self, sql: &str, rows: impl IntoIterator<Item = Vec<Value>>) -> Result<(), Error> {
        let mut connection = lock(&self.connection);
        let transaction = connection.transaction()?;
        for row in rows {
            transaction.execute(sql, params_from_iter(row))?;
        }
        Ok(transaction.commit()?)
    }

    /// Runs one statement and reads every row that it returns.
    pub(crate) async fn rows<T: Send + 'static>(
        &self,
        statement: &'static Statement,
        parameters: Vec<Value>,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let span = self.span(statement);
        let outcome = self
            .run(move |connection| {
                let mut prepared = connection.prepare(statement.sql)?;
                let rows = prepared.query_map(params_from_iter(parameters), read)?;
                rows.collect::<rusqlite::Result<Vec<T>>>()
            })
            .await;
        finish(&span, outcome)
    }

    /// Runs one statement and reads its first row.
    pub(crate) async fn row<T: Send + 'static>(
        &self,
        statement: &'static Statement,
        parameters: Vec<Value>,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Error> {
        Ok(self.rows(statement, parameters, read).await?.into_iter().next())
    }

    /// Runs one statement and counts the rows that it changed.
    pub(crate) async fn execute(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<usize, Error> {
        let span = self.span(statement);
        let outcome =
            self.run(move |connection| connection.prepare(statement.sql)?.execute(params_from_iter(parameters))).await;
        finish(&span, outcome)
    }

    /// Runs all steps or none; false if one of them did not change what it had to.
    pub(crate) async fn transaction(&self, steps: Vec<Step>) -> Result<bool, Error> {
        let this = self.clone();
        let parent = opentelemetry::Context::current();
        let outcome = self.run(move |connection| {
            let _active = parent.attach();
            let transaction = connection.transaction()?;
            for step in steps {
                let span = this.span(step.statement);
                let changed = transaction.prepare(step.statement.sql)?.execute(params_from_iter(step.parameters));
                let changed = changed.inspect_err(|_| span.fail("sqlite"))?;
                if step.expected.is_some_and(|expected| expected != changed) {
                    return Ok(false);
                }
            }
            transaction.commit()?;
            Ok(true)
        });
        Ok(outcome.await?)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> rusqlite::Result<T> {
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || work(&mut lock(&connection))).await.expect("statements do not panic")
    }

    fn span(&self, statement: &Statement) -> ActiveSpan {
        let summary = format!("{} {}", statement.operation, statement.table);
        let span = self.telemetry.child(SpanKind::Client, summary.clone());
        span.set("db.system.name", "sqlite");
        span.set("db.namespace", self.namespace);
        span.set("db.collection.name", statement.table);
        span.set("db.operation.name", statement.operation);
        span.set("db.query.text", statement.sql);
        span.set("db.query.summary", summary);
        span
    }
}

fn finish<T>(span: &ActiveSpan, outcome: rusqlite::Result<T>) -> Result<T, Error> {
    Ok(outcome.inspect_err(|_| span.fail("sqlite"))?)
}

fn lock(connection: &Mutex<Connection>) -> std::sync::MutexGuard<'_, Connection> {
    connection.lock().expect("no code panics while it holds a connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: Statement = Statement::insert("things", "INSERT INTO things (name) VALUES (?1)");
    const DROP: Statement = Statement::delete("things", "DELETE FROM things WHERE name = ?1");
    const ALL: Statement = Statement::select("things", "SELECT name FROM things ORDER BY name");

    #[tokio::test]
    async fn a_transaction_that_misses_its_rows_changes_nothing() {
        let database = Database::in_memory("test");
        database.prepare("CREATE TABLE things (name TEXT)").unwrap();
        let steps = vec![Step::new(&ADD, values!["a"]), Step::new(&DROP, values!["b"]).expecting(1)];
        assert!(!database.transaction(steps).await.unwrap());
        assert!(database.transaction(vec![Step::new(&ADD, values!["c"]).expecting(1)]).await.unwrap());
        let names: Vec<String> = database.rows(&ALL, values![], |row| row.get(0)).await.unwrap();
        assert_eq!(names, ["c"]);
    }
}

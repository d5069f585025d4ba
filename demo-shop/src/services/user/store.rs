//! The tables `users` and `sessions`.

use crate::chassis::database::{Database, Row, Statement, values};
use crate::chassis::error::Error;

use super::{Account, Contact, digest};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS users (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, contact TEXT NOT NULL UNIQUE, salt TEXT NOT NULL, verifier TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS sessions (digest TEXT PRIMARY KEY, customer INTEGER NOT NULL)";
const ADD: Statement = Statement::insert(
    "users",
    "INSERT INTO users (name, contact, salt, verifier) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING RETURNING id",
);
const ACCOUNT: Statement = Statement::select("users", "SELECT id, salt, verifier FROM users WHERE contact = ?1");
const CONTACT: Statement = Statement::select("users", "SELECT name, contact FROM users WHERE id = ?1");
const OPEN: Statement = Statement::insert("sessions", "INSERT INTO sessions (digest, customer) VALUES (?1, ?2)");
const SESSION: Statement = Statement::select("sessions", "SELECT customer FROM sessions WHERE digest = ?1");
const CLOSE: Statement = Statement::delete("sessions", "DELETE FROM sessions WHERE digest = ?1");

#[derive(Clone)]
pub(super) struct Store {
    database: Database,
}

impl Store {
    pub(super) fn new(database: Database) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        Ok(Self { database })
    }

    pub(super) async fn add(
        &self,
        name: String,
        contact: String,
        salt: String,
        verifier: String,
    ) -> Result<Option<i64>, Error> {
        self.database.row(&ADD, values![name, contact, salt, verifier], |row| row.get(0)).await
    }

    pub(super) async fn account(&self, contact: String) -> Result<Option<Account>, Error> {
        let read = |row: &Row<'_>| Ok(Account { number: row.get(0)?, salt: row.get(1)?, verifier: row.get(2)? });
        self.database.row(&ACCOUNT, values![contact], read).await
    }

    pub(super) async fn contact(&self, number: i64) -> Result<Option<Contact>, Error> {
        let read = |row: &Row<'_>| Ok(Contact { name: row.get(0)?, contact: row.get(1)? });
        self.database.row(&CONTACT, values![number], read).await
    }

    pub(super) async fn open_session(&self, token: &str, number: i64) -> Result<(), Error> {
        self.database.execute(&OPEN, values![digest(token), number]).await.map(drop)
    }

    pub(super) async fn session(&self, token: &str) -> Result<Option<i64>, Error> {
        self.database.row(&SESSION, values![digest(token)], |row| row.get(0)).await
    }

    pub(super) async fn close_session(&self, token: &str) -> Result<bool, Error> {
        Ok(self.database.execute(&CLOSE, values![digest(token)]).await? > 0)
    }
}

//! The tables `carts` and `cart_lines`.

use crate::chassis::database::{Database, Row, Statement, values};
use crate::chassis::error::Error;

use super::Line;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS carts (customer TEXT PRIMARY KEY, round INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS cart_lines (
        customer TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL, price_cents INTEGER NOT NULL,
        PRIMARY KEY (customer, sku))";
const LINES: Statement = Statement::select(
    "cart_lines",
    "SELECT sku, quantity, price_cents FROM cart_lines WHERE customer = ?1 ORDER BY sku",
);
const ADD: Statement = Statement::insert(
    "cart_lines",
    "INSERT INTO cart_lines (customer, sku, quantity, price_cents)
     SELECT ?1, value ->> 'sku', value ->> 'quantity', value ->> 'price_cents' FROM json_each(?2) WHERE true
     ON CONFLICT (customer, sku) DO UPDATE SET quantity = quantity + excluded.quantity",
);
const REMOVE: Statement = Statement::delete("cart_lines", "DELETE FROM cart_lines WHERE customer = ?1 AND sku = ?2");
const EMPTY: Statement =
    Statement::delete("cart_lines", "DELETE FROM cart_lines WHERE customer = ?1 RETURNING sku, quantity, price_cents");
const NEXT_ROUND: Statement = Statement::insert(
    "carts",
    "INSERT INTO carts (customer, round) VALUES (?1, 1)
     ON CONFLICT (customer) DO UPDATE SET round = round + 1 RETURNING round",
);

#[derive(Clone)]
pub(super) struct Store {
    database: Database,
}

impl Store {
    pub(super) fn new(database: Database) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        Ok(Self { database })
    }

    pub(super) async fn lines(&self, customer: &str) -> Result<Vec<Line>, Error> {
        self.database.rows(&LINES, values![customer], read).await
    }

    pub(super) async fn add(&self, customer: &str, lines: &[Line]) -> Result<usize, Error> {
        self.database.execute(&ADD, values![customer, serde_json::to_string(lines)?]).await
    }

    pub(super) async fn remove(&self, customer: &str, sku: &str) -> Result<usize, Error> {
        self.database.execute(&REMOVE, values![customer, sku]).await
    }

    pub(super) async fn empty(&self, customer: &str) -> Result<Vec<Line>, Error> {
        let mut lines = self.database.rows(&EMPTY, values![customer], read).await?;
        // SQLite promises no order for RETURNING.
        lines.sort_by(|left, right| left.sku.cmp(&right.sku));
        Ok(lines)
    }

    /// Counts the orders of a customer, so that each has a number of its own.
    pub(super) async fn next_round(&self, customer: &str) -> Result<i64, Error> {
        let round = self.database.row(&NEXT_ROUND, values![customer], |row| row.get(0)).await?;
        round.ok_or_else(|| Error::internal("the round was not counted"))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line { sku: row.get(0)?, quantity: row.get(1)?, price_cents: row.get(2)? })
}

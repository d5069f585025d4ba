//! The tables `orders` and `order_lines` and the outbox beside them.

use crate::chassis::database::{Database, Row, Statement, Step, values};
use crate::chassis::error::Error;
use crate::chassis::outbox::Outbox;

use super::{Line, Placed};

/// The customer stands beside each line, so that what somebody bought is read without a join.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        id TEXT PRIMARY KEY, customer TEXT NOT NULL, total_cents INTEGER NOT NULL, state TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS order_lines (
        order_id TEXT NOT NULL, customer TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL,
        price_cents INTEGER NOT NULL, PRIMARY KEY (order_id, sku));
    CREATE INDEX IF NOT EXISTS order_lines_of_customer ON order_lines (customer)";
const PLACE: Statement =
    Statement::insert("orders", "INSERT INTO orders (id, customer, total_cents, state) VALUES (?1, ?2, ?3, 'placed')");
const PLACE_LINES: Statement = Statement::insert(
    "order_lines",
    "INSERT INTO order_lines (order_id, customer, sku, quantity, price_cents)
     SELECT ?1, ?2, value ->> 'sku', value ->> 'quantity', value ->> 'price_cents' FROM json_each(?3)",
);
const HEADER: Statement = Statement::select("orders", "SELECT customer, total_cents FROM orders WHERE id = ?1");
const LINES: Statement = Statement::select(
    "order_lines",
    "SELECT sku, quantity, price_cents FROM order_lines WHERE order_id = ?1 ORDER BY sku",
);

#[derive(Clone)]
pub(super) struct Store {
    database: Database,
    outbox: Outbox,
}

impl Store {
    pub(super) fn new(database: Database, outbox: Outbox) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        Ok(Self { database, outbox })
    }

    pub(super) async fn place(&self, placed: &Placed) -> Result<bool, Error> {
        let lines = serde_json::to_string(&placed.lines)?;
        let steps = vec![
            Step::new(&PLACE, values![placed.order, placed.customer, placed.total_cents]),
            Step::new(&PLACE_LINES, values![placed.order, placed.customer, lines]),
        ];
        self.outbox.commit(steps, "order.placed", placed).await
    }

    pub(super) async fn header(&self, order: &str) -> Result<Option<(String, i64)>, Error> {
        self.database.row(&HEADER, values![order], |row| Ok((row.get(0)?, row.get(1)?))).await
    }

    pub(super) async fn lines(&self, order: &str) -> Result<Vec<Line>, Error> {
        let read = |row: &Row<'_>| Ok(Line { sku: row.get(0)?, quantity: row.get(1)?, price_cents: row.get(2)? });
        self.database.rows(&LINES, values![order], read).await
    }
}

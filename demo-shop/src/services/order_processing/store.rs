//! The table `processing` and the outbox beside it.

use crate::chassis::database::{Database, Row, Statement, Step, values};
use crate::chassis::error::Error;
use crate::chassis::outbox::Outbox;

use super::{Order, Paid, Placed};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS processing (
    order_id TEXT PRIMARY KEY, customer TEXT NOT NULL, amount_cents INTEGER NOT NULL, state TEXT NOT NULL)";
const ACCEPT: Statement = Statement::insert(
    "processing",
    "INSERT INTO processing (order_id, customer, amount_cents, state) VALUES (?1, ?2, ?3, 'accepted')
     ON CONFLICT DO NOTHING",
);
const PAY: Statement =
    Statement::update("processing", "UPDATE processing SET state = 'paid' WHERE order_id = ?1 AND state = 'accepted'");
const RECEIVE: Statement = Statement::update(
    "processing",
    "UPDATE processing SET state = 'received' WHERE order_id = ?1 AND customer = ?2 AND state = 'paid'",
);
const ORDER: Statement =
    Statement::select("processing", "SELECT customer, amount_cents, state FROM processing WHERE order_id = ?1");

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

    pub(super) async fn accept(&self, placed: &Placed) -> Result<(), Error> {
        let row = values![placed.order, placed.customer, placed.total_cents];
        self.database.execute(&ACCEPT, row).await.map(drop)
    }

    pub(super) async fn pay(&self, placed: &Placed) -> Result<bool, Error> {
        let paid = Paid { order: &placed.order, customer: &placed.customer, total_cents: placed.total_cents };
        let step = Step::new(&PAY, values![placed.order]).expecting(1);
        self.outbox.commit(vec![step], "order.paid", &paid).await
    }

    pub(super) async fn receive(&self, order: &str, customer: &str) -> Result<bool, Error> {
        Ok(self.database.execute(&RECEIVE, values![order, customer]).await? == 1)
    }

    pub(super) async fn order(&self, order: &str) -> Result<Option<Order>, Error> {
        let read = |row: &Row<'_>| Ok(Order { customer: row.get(0)?, amount_cents: row.get(1)?, state: row.get(2)? });
        self.database.row(&ORDER, values![order], read).await
    }
}

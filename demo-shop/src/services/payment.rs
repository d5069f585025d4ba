//! Has orders paid by the provider outside, once each.
//!
//! Owns `payments`; calls the payment provider.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chassis::client::Peer;
use crate::chassis::database::{Database, Row, Statement, values};
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};
use crate::provider;
use crate::scenarios::{Scenario, Switches};

pub(super) const SPEC: Spec = Spec { name: "payment", owner: "orders", version: "1.5.0", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    let peers = Peers {
        provider: chassis.peer(provider::NAME),
        order_processing: chassis.peer("order-processing"),
        switches: chassis.switches.clone(),
    };
    Ok(Service::new(router(Store::new(chassis.database()?)?, peers)))
}

fn router(store: Store, peers: Peers) -> Router {
    Router::new()
        .route("/payments", post(pay))
        .route("/payments/{order}", get(invoice))
        .with_state(Payment { store, peers })
}

async fn pay(State(payment): State<Payment>, Json(mut due): Json<Due>) -> Result<Json<Value>, Error> {
    if let Some(done) = payment.store.find(&due.order).await? {
        return Ok(Json(json!({ "paid": done.paid })));
    }
    if payment.peers.switches.is_on(Scenario::CyclicDependency) {
        due.amount_cents = payment.peers.amount_of(&due.order).await?;
    }
    let charge = payment.peers.charge(&due).await?;
    payment.store.add(&due, &charge).await?;
    Ok(Json(json!({ "paid": charge.captured })))
}

async fn invoice(State(payment): State<Payment>, Path(order): Path<String>) -> Result<Json<Value>, Error> {
    let invoice = payment.store.find(&order).await?;
    Ok(Json(json!({ "invoice": invoice })))
}

#[derive(Clone)]
struct Payment {
    store: Store,
    peers: Peers,
}

#[derive(Clone)]
struct Peers {
    provider: Peer,
    /// Only for [`Scenario::CyclicDependency`].
    order_processing: Peer,
    switches: Switches,
}

#[derive(Deserialize)]
struct Charge {
    id: String,
    captured: bool,
}

#[derive(Deserialize)]
struct Order {
    amount_cents: i64,
}

impl Peers {
    async fn charge(&self, due: &Due) -> Result<Charge, Error> {
        let charge = json!({ "reference": due.order, "amount_cents": due.amount_cents });
        self.provider.post("/charges").json(&charge).idempotent().send().await
    }

    /// The fault of [`Scenario::CyclicDependency`]: the caller is asked for what it has just said.
    async fn amount_of(&self, order: &str) -> Result<i64, Error> {
        let order: Order = self.order_processing.get("/orders/{order}").arg(order).send().await?;
        Ok(order.amount_cents)
    }
}

#[derive(Deserialize)]
struct Due {
    order: String,
    customer: String,
    amount_cents: i64,
}

#[derive(Debug, Serialize)]
struct Invoice {
    customer: String,
    amount_cents: i64,
    paid: bool,
}

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS payments (
    order_id TEXT PRIMARY KEY, customer TEXT NOT NULL, amount_cents INTEGER NOT NULL, charge TEXT NOT NULL,
    paid INTEGER NOT NULL)";
const ADD: Statement = Statement::insert(
    "payments",
    "INSERT INTO payments (order_id, customer, amount_cents, charge, paid) VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT DO NOTHING",
);
const FIND: Statement =
    Statement::select("payments", "SELECT customer, amount_cents, paid FROM payments WHERE order_id = ?1");

#[derive(Clone)]
struct Store {
    database: Database,
}

impl Store {
    fn new(database: Database) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        Ok(Self { database })
    }

    async fn add(&self, due: &Due, charge: &Charge) -> Result<(), Error> {
        let row = values![due.order, due.customer, due.amount_cents, charge.id, charge.captured];
        self.database.execute(&ADD, row).await.map(drop)
    }

    async fn find(&self, order: &str) -> Result<Option<Invoice>, Error> {
        let read = |row: &Row<'_>| Ok(Invoice { customer: row.get(0)?, amount_cents: row.get(1)?, paid: row.get(2)? });
        self.database.row(&FIND, values![order], read).await
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::chassis::testing::{ask, peer};

    fn shop(switches: Switches) -> Router {
        let processing = Router::new().route("/orders/{order}", get(|| async { Json(json!({ "amount_cents": 77 })) }));
        let peers = Peers {
            provider: peer(provider::NAME, provider::router()),
            order_processing: peer("order-processing", processing),
            switches,
        };
        router(Store::new(Database::in_memory("payment")).unwrap(), peers)
    }

    fn due(amount_cents: i64) -> Value {
        json!({ "order": "u1-1", "customer": "u1", "amount_cents": amount_cents })
    }

    #[tokio::test]
    async fn an_order_is_charged_once() {
        let router = shop(Switches::default());
        assert_eq!(ask(&router, Method::POST, "/payments", due(500)).await.1["paid"], true);
        assert_eq!(ask(&router, Method::POST, "/payments", due(900)).await.1["paid"], true);
        let (_, answer) = ask(&router, Method::GET, "/payments/u1-1", Value::Null).await;
        assert_eq!(answer["invoice"]["amount_cents"], 500);
    }

    #[tokio::test]
    async fn too_much_is_declined() {
        let router = shop(Switches::default());
        assert_eq!(ask(&router, Method::POST, "/payments", due(provider::LIMIT_CENTS + 1)).await.1["paid"], false);
    }

    #[tokio::test]
    async fn the_cycle_asks_the_caller_for_the_amount() {
        let switches = Switches::default();
        switches.set(Scenario::CyclicDependency, true);
        let router = shop(switches);
        ask(&router, Method::POST, "/payments", due(500)).await;
        let (_, answer) = ask(&router, Method::GET, "/payments/u1-1", Value::Null).await;
        assert_eq!(answer["invoice"]["amount_cents"], 77);
    }
}

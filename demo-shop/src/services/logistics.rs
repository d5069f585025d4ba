//! Packs what is paid and hands it to a carrier.
//!
//! Owns `shipments` and an outbox; hears `order.paid`, has warehouse pick the goods, publishes `order.shipped`.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chassis::bus::Subscription;
use crate::chassis::client::Peer;
use crate::chassis::database::{Database, Row, Statement, Step, values};
use crate::chassis::error::Error;
use crate::chassis::outbox::Outbox;
use crate::chassis::{Chassis, Service, Spec};

pub(super) const SPEC: Spec = Spec { name: "logistics", owner: "orders", version: "1.1.9", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    let database = chassis.database()?;
    let outbox = chassis.outbox(&database)?;
    let store = Store::new(database, outbox)?;
    let subscription = paid(Logistics { store: store.clone(), peers: Peers { warehouse: chassis.peer("warehouse") } });
    Ok(Service::new(router(store)).with(subscription))
}

fn router(store: Store) -> Router {
    Router::new().route("/shipments/{order}", get(track)).with_state(store)
}

fn paid(logistics: Logistics) -> Subscription {
    Subscription::new("order.paid", move |paid: Paid| {
        let logistics = logistics.clone();
        async move { logistics.ship(paid).await }
    })
}

async fn track(State(store): State<Store>, Path(order): Path<String>) -> Result<Json<Value>, Error> {
    let shipment = store.shipment(&order).await?;
    Ok(Json(json!({ "shipment": shipment })))
}

/// The event `order.paid`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Paid {
    order: String,
    customer: String,
}

/// The event `order.shipped`.
#[derive(Debug, Serialize)]
struct Shipped {
    order: String,
    customer: String,
    carrier: &'static str,
    parcels: i64,
}

/// A parcel holds this many pieces.
const PIECES: i64 = 6;

#[derive(Clone)]
struct Logistics {
    store: Store,
    peers: Peers,
}

impl Logistics {
    async fn ship(&self, paid: Paid) -> Result<(), Error> {
        let lines = self.peers.pick(&paid.order).await?;
        let pieces: i64 = lines.iter().map(|line| line.quantity).sum();
        let parcels = pieces.div_euclid(PIECES) + i64::from(pieces % PIECES > 0);
        let carrier = if parcels > 2 { "freight" } else { "post" };
        let shipped = Shipped { order: paid.order, customer: paid.customer, carrier, parcels };
        self.store.ship(&shipped).await.map(drop)
    }
}

#[derive(Clone)]
struct Peers {
    warehouse: Peer,
}

#[derive(Deserialize)]
struct Line {
    quantity: i64,
}

impl Peers {
    async fn pick(&self, order: &str) -> Result<Vec<Line>, Error> {
        self.warehouse.post("/picks").json(&json!({ "order": order })).send().await
    }
}

#[derive(Debug, Serialize)]
struct Shipment {
    carrier: String,
    parcels: i64,
}

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS shipments (
    order_id TEXT PRIMARY KEY, customer TEXT NOT NULL, carrier TEXT NOT NULL, parcels INTEGER NOT NULL)";
const SHIP: Statement = Statement::insert(
    "shipments",
    "INSERT INTO shipments (order_id, customer, carrier, parcels) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
);
const SHIPMENT: Statement =
    Statement::select("shipments", "SELECT carrier, parcels FROM shipments WHERE order_id = ?1");

#[derive(Clone)]
struct Store {
    database: Database,
    outbox: Outbox,
}

impl Store {
    fn new(database: Database, outbox: Outbox) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        Ok(Self { database, outbox })
    }

    /// Ships an order the first time it is asked to.
    async fn ship(&self, shipped: &Shipped) -> Result<bool, Error> {
        let row = values![shipped.order, shipped.customer, shipped.carrier, shipped.parcels];
        self.outbox.commit(vec![Step::new(&SHIP, row).expecting(1)], "order.shipped", shipped).await
    }

    async fn shipment(&self, order: &str) -> Result<Option<Shipment>, Error> {
        let read = |row: &Row<'_>| Ok(Shipment { carrier: row.get(0)?, parcels: row.get(1)? });
        self.database.row(&SHIPMENT, values![order], read).await
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use http::Method;

    use super::*;
    use crate::chassis::testing::{ask, outbox, peer};

    #[tokio::test]
    async fn what_is_paid_is_shipped_in_parcels() {
        let picks = post(|| async { Json(json!([{ "sku": "pen", "quantity": 7 }, { "sku": "mug", "quantity": 1 }])) });
        let database = Database::in_memory("logistics");
        let outbox = outbox(&database);
        let store = Store::new(database, outbox).unwrap();
        let peers = Peers { warehouse: peer("warehouse", Router::new().route("/picks", picks)) };
        let router = router(store.clone());
        let (_, before) = ask(&router, Method::GET, "/shipments/u1-1", Value::Null).await;
        assert_eq!(before, json!({ "shipment": null }));
        let subscription = paid(Logistics { store, peers });
        subscription.handle(json!({ "order": "u1-1", "customer": "u1" })).await.unwrap();
        let (_, after) = ask(&router, Method::GET, "/shipments/u1-1", Value::Null).await;
        assert_eq!(after, json!({ "shipment": { "carrier": "post", "parcels": 2 } }));
    }
}

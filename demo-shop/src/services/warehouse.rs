//! What lies on the shelves and for whom it is kept.
//!
//! Owns `stock` and `reservations`; calls nobody. A shelf that runs low after packing is filled up again by its supplier.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::catalog;
use crate::chassis::database::{Database, Row, Statement, Step, values};
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};

pub(super) const SPEC: Spec = Spec { name: "warehouse", owner: "orders", version: "1.8.0", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    Ok(Service::new(router(Store::new(chassis.database()?, chassis.seed)?)))
}

fn router(store: Store) -> Router {
    Router::new()
        .route("/stock/query", post(query))
        .route("/stock/{sku}", get(stock))
        .route("/reservations", post(reserve))
        .route("/picks", post(pick))
        .with_state(store)
}

#[derive(Deserialize)]
struct Skus {
    skus: Vec<String>,
}

async fn query(State(store): State<Store>, Json(wanted): Json<Skus>) -> Result<Json<Vec<Level>>, Error> {
    Ok(Json(store.levels(&wanted.skus).await?))
}

async fn stock(State(store): State<Store>, Path(sku): Path<String>) -> Result<Json<Level>, Error> {
    store.level(sku).await?.map(Json).ok_or_else(|| Error::not_found("there is no such shelf"))
}

#[derive(Deserialize)]
struct Reservation {
    order: String,
    lines: Vec<Line>,
}

async fn reserve(State(store): State<Store>, Json(wanted): Json<Reservation>) -> Result<Json<usize>, Error> {
    if store.reserve(&wanted.order, &wanted.lines).await? {
        return Ok(Json(wanted.lines.len()));
    }
    Err(Error::conflict("not everything is in stock"))
}

#[derive(Deserialize)]
struct Pick {
    order: String,
}

async fn pick(State(store): State<Store>, Json(pick): Json<Pick>) -> Result<Json<Vec<Line>>, Error> {
    let lines = store.reserved(&pick.order).await?;
    store.take(&pick.order).await?;
    Ok(Json(lines))
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
}

#[derive(Debug, Serialize)]
struct Level {
    sku: String,
    available: i64,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL, reserved INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS reservations (
        order_id TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL, PRIMARY KEY (order_id, sku))";
const OPENING: &str = "INSERT OR IGNORE INTO stock (sku, on_hand, reserved) VALUES (?1, ?2, 0)";
const LEVELS: Statement = Statement::select(
    "stock",
    "SELECT sku, on_hand - reserved FROM stock WHERE sku IN (SELECT value FROM json_each(?1)) ORDER BY sku",
);
const LEVEL: Statement = Statement::select("stock", "SELECT sku, on_hand - reserved FROM stock WHERE sku = ?1");
const HOLD: Statement = Statement::update(
    "stock",
    "UPDATE stock SET reserved = reserved + line.value ->> 'quantity' FROM json_each(?1) AS line
     WHERE stock.sku = line.value ->> 'sku' AND on_hand - reserved >= line.value ->> 'quantity'",
);
const REMEMBER: Statement = Statement::insert(
    "reservations",
    "INSERT INTO reservations (order_id, sku, quantity)
     SELECT ?1, value ->> 'sku', value ->> 'quantity' FROM json_each(?2)",
);
const RESERVED: Statement =
    Statement::select("reservations", "SELECT sku, quantity FROM reservations WHERE order_id = ?1 ORDER BY sku");
const TAKE: Statement = Statement::update(
    "stock",
    "UPDATE stock SET reserved = reserved - line.quantity,
            on_hand = on_hand - line.quantity + CASE WHEN on_hand - line.quantity < 150 THEN 250 ELSE 0 END
     FROM reservations AS line WHERE line.order_id = ?1 AND line.sku = stock.sku",
);
const RELEASE: Statement = Statement::delete("reservations", "DELETE FROM reservations WHERE order_id = ?1");

#[derive(Clone)]
struct Store {
    database: Database,
}

impl Store {
    fn new(database: Database, seed: u64) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        let products = catalog::products(seed).into_iter();
        database.seed(OPENING, products.map(|product| values![product.sku, product.on_hand]))?;
        Ok(Self { database })
    }

    async fn levels(&self, skus: &[String]) -> Result<Vec<Level>, Error> {
        self.database.rows(&LEVELS, values![serde_json::to_string(skus)?], read_level).await
    }

    async fn level(&self, sku: String) -> Result<Option<Level>, Error> {
        self.database.row(&LEVEL, values![sku], read_level).await
    }

    /// Keeps every line for the order, or none.
    async fn reserve(&self, order: &str, lines: &[Line]) -> Result<bool, Error> {
        let wanted = serde_json::to_string(lines)?;
        let hold = Step::new(&HOLD, values![wanted]).expecting(lines.len());
        self.database.transaction(vec![hold, Step::new(&REMEMBER, values![order, wanted])]).await
    }

    async fn reserved(&self, order: &str) -> Result<Vec<Line>, Error> {
        let read = |row: &Row<'_>| Ok(Line { sku: row.get(0)?, quantity: row.get(1)? });
        self.database.rows(&RESERVED, values![order], read).await
    }

    /// Takes what is kept for an order off the shelves; nothing the second time.
    async fn take(&self, order: &str) -> Result<bool, Error> {
        let steps = vec![Step::new(&TAKE, values![order]), Step::new(&RELEASE, values![order])];
        self.database.transaction(steps).await
    }
}

fn read_level(row: &Row<'_>) -> rusqlite::Result<Level> {
    Ok(Level { sku: row.get(0)?, available: row.get(1)? })
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use serde_json::{Value, json};

    use super::*;
    use crate::chassis::testing::ask;

    async fn available(router: &Router, sku: &str) -> i64 {
        let (_, level) = ask(router, Method::GET, &format!("/stock/{sku}"), Value::Null).await;
        level["available"].as_i64().unwrap()
    }

    #[tokio::test]
    async fn an_order_is_kept_and_picked_once() {
        let router = router(Store::new(Database::in_memory("warehouse"), 1).unwrap());
        let before = available(&router, "pen-plain").await;
        let order = json!({ "order": "u1-1", "lines": [{ "sku": "pen-plain", "quantity": 3 }] });
        assert_eq!(ask(&router, Method::POST, "/reservations", order.clone()).await.0, StatusCode::OK);
        assert_eq!(available(&router, "pen-plain").await, before - 3);
        let (_, picked) = ask(&router, Method::POST, "/picks", json!({ "order": "u1-1" })).await;
        assert_eq!(picked, order["lines"]);
        let (_, again) = ask(&router, Method::POST, "/picks", json!({ "order": "u1-1" })).await;
        assert_eq!(again, json!([]));
        assert_eq!(available(&router, "pen-plain").await, before - 3);
    }

    #[tokio::test]
    async fn an_order_that_is_too_large_keeps_nothing() {
        let router = router(Store::new(Database::in_memory("warehouse"), 1).unwrap());
        let before = available(&router, "pen-plain").await;
        let lines = json!([{ "sku": "pen-plain", "quantity": 1 }, { "sku": "mug-plain", "quantity": 9_999 }]);
        let (status, _) = ask(&router, Method::POST, "/reservations", json!({ "order": "u1-1", "lines": lines })).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(available(&router, "pen-plain").await, before);
    }

    #[tokio::test]
    async fn a_low_shelf_is_filled_up() {
        let router = router(Store::new(Database::in_memory("warehouse"), 1).unwrap());
        let before = available(&router, "pen-plain").await;
        let lines = json!([{ "sku": "pen-plain", "quantity": before }]);
        ask(&router, Method::POST, "/reservations", json!({ "order": "u1-1", "lines": lines })).await;
        ask(&router, Method::POST, "/picks", json!({ "order": "u1-1" })).await;
        assert_eq!(available(&router, "pen-plain").await, 250);
    }
}

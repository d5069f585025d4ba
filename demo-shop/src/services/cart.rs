//! What customers are about to buy.
//!
//! Owns `carts` and `cart_lines`; asks warehouse whether the lines are in stock. Prices are those at which the customer
//! put the line in.

mod store;

use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chassis::client::Peer;
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};
use crate::scenarios::{Scenario, Switches};
use store::Store;

pub(super) const SPEC: Spec = Spec { name: "cart", owner: "orders", version: "1.12.2", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    let peers = Peers { warehouse: chassis.peer("warehouse"), switches: chassis.switches.clone() };
    Ok(Service::new(router(Store::new(chassis.database()?)?, peers)))
}

fn router(store: Store, peers: Peers) -> Router {
    Router::new()
        .route("/carts/{customer}", get(view))
        .route("/carts/{customer}/lines", post(add))
        .route("/carts/{customer}/lines/{sku}", delete(remove))
        .route("/carts/{customer}/checkout", post(check_out))
        .with_state(Cart { store, peers })
}

async fn view(State(cart): State<Cart>, Path(customer): Path<String>) -> Result<Json<Value>, Error> {
    let lines = cart.store.lines(&customer).await?;
    let stock = cart.peers.stock(&lines).await?;
    let enough = |line: &Line| stock.iter().any(|level| level.sku == line.sku && level.available >= line.quantity);
    let in_stock = lines.iter().all(enough);
    let total_cents: i64 = lines.iter().map(|line| line.price_cents * line.quantity).sum();
    Ok(Json(json!({ "lines": lines, "total_cents": total_cents, "in_stock": in_stock })))
}

async fn add(
    State(cart): State<Cart>,
    Path(customer): Path<String>,
    Json(lines): Json<Vec<Line>>,
) -> Result<Json<Value>, Error> {
    if lines.iter().any(|line| !(1..=100).contains(&line.quantity)) {
        return Err(Error::invalid("a line has 1 to 100 pieces"));
    }
    Ok(Json(json!({ "added": cart.store.add(&customer, &lines).await? })))
}

async fn remove(State(cart): State<Cart>, Path((customer, sku)): Path<(String, String)>) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "removed": cart.store.remove(&customer, &sku).await? })))
}

async fn check_out(State(cart): State<Cart>, Path(customer): Path<String>) -> Result<Json<Value>, Error> {
    let lines = cart.store.empty(&customer).await?;
    if lines.is_empty() {
        return Err(Error::conflict("the cart is empty"));
    }
    let round = cart.store.next_round(&customer).await?;
    Ok(Json(json!({ "order": format!("{customer}-{round}"), "lines": lines })))
}

#[derive(Clone)]
struct Peers {
    warehouse: Peer,
    switches: Switches,
}

#[derive(Deserialize)]
struct Level {
    sku: String,
    available: i64,
}

impl Peers {
    async fn stock(&self, lines: &[Line]) -> Result<Vec<Level>, Error> {
        if self.switches.is_on(Scenario::ChattyCart) {
            return self.stock_line_by_line(lines).await;
        }
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        let skus: Vec<&str> = lines.iter().map(|line| line.sku.as_str()).collect();
        self.warehouse.post("/stock/query").json(&json!({ "skus": skus })).idempotent().send().await
    }

    /// The fault of [`Scenario::ChattyCart`].
    async fn stock_line_by_line(&self, lines: &[Line]) -> Result<Vec<Level>, Error> {
        let mut levels = Vec::with_capacity(lines.len());
        for line in lines {
            levels.push(self.warehouse.get("/stock/{sku}").arg(&line.sku).send().await?);
        }
        Ok(levels)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
    price_cents: i64,
}

#[derive(Clone)]
struct Cart {
    store: Store,
    peers: Peers,
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::*;
    use crate::chassis::database::Database;
    use crate::chassis::testing::{ask, peer};

    fn shop(switches: Switches) -> Router {
        let one = |Path(sku): Path<String>| async move { Json(json!({ "sku": sku, "available": 2 })) };
        let many = |Json(wanted): Json<Value>| async move {
            let skus = wanted["skus"].as_array().unwrap().clone();
            Json(skus.into_iter().map(|sku| json!({ "sku": sku, "available": 2 })).collect::<Vec<_>>())
        };
        let warehouse = Router::new().route("/stock/query", post(many)).route("/stock/{sku}", get(one));
        let peers = Peers { warehouse: peer("warehouse", warehouse), switches };
        router(Store::new(Database::in_memory("cart")).unwrap(), peers)
    }

    fn lines(quantity: i64) -> Value {
        json!([{ "sku": "pen", "quantity": quantity, "price_cents": 250 }, { "sku": "mug", "quantity": 1, "price_cents": 900 }])
    }

    #[tokio::test]
    async fn a_cart_is_filled_viewed_and_checked_out() {
        let router = shop(Switches::default());
        ask(&router, Method::POST, "/carts/u1/lines", lines(2)).await;
        let (_, cart) = ask(&router, Method::GET, "/carts/u1", Value::Null).await;
        assert_eq!(cart["total_cents"], 1_400);
        assert_eq!(cart["in_stock"], true);
        ask(&router, Method::DELETE, "/carts/u1/lines/mug", Value::Null).await;
        let (_, order) = ask(&router, Method::POST, "/carts/u1/checkout", Value::Null).await;
        assert_eq!(order["order"], "u1-1");
        assert_eq!(order["lines"].as_array().unwrap().len(), 1);
        let (status, _) = ask(&router, Method::POST, "/carts/u1/checkout", Value::Null).await;
        assert_eq!(status, StatusCode::CONFLICT);
    }

    #[tokio::test]
    async fn asking_line_by_line_gives_the_same_cart() {
        let switches = Switches::default();
        let router = shop(switches.clone());
        ask(&router, Method::POST, "/carts/u1/lines", lines(3)).await;
        let (_, healthy) = ask(&router, Method::GET, "/carts/u1", Value::Null).await;
        assert_eq!(healthy["in_stock"], false);
        switches.set(Scenario::ChattyCart, true);
        assert_eq!(ask(&router, Method::GET, "/carts/u1", Value::Null).await.1, healthy);
    }
}

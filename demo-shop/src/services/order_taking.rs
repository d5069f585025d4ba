//! Takes orders: empties the cart, keeps the goods, writes the order down and says so.
//!
//! Owns `orders`, `order_lines` and an outbox; calls cart and warehouse; publishes `order.placed`.

mod store;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chassis::client::Peer;
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};
use store::Store;

pub(super) const SPEC: Spec = Spec { name: "order-taking", owner: "orders", version: "4.1.0", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    let database = chassis.database()?;
    let outbox = chassis.outbox(&database)?;
    let peers = Peers { cart: chassis.peer("cart"), warehouse: chassis.peer("warehouse") };
    Ok(Service::new(router(Store::new(database, outbox)?, peers)))
}

fn router(store: Store, peers: Peers) -> Router {
    Router::new()
        .route("/orders", post(place))
        .route("/orders/{order}", get(order))
        .with_state(OrderTaking { store, peers })
}

#[derive(Deserialize)]
struct Customer {
    customer: String,
}

async fn place(State(taking): State<OrderTaking>, Json(by): Json<Customer>) -> Result<Json<Value>, Error> {
    let cart = taking.peers.check_out(&by.customer).await?;
    if let Err(error) = taking.peers.reserve(&cart).await {
        // The customer keeps the cart and may take something out of it.
        taking.peers.put_back(&by.customer, &cart.lines).await?;
        return Err(error);
    }
    let total_cents = cart.lines.iter().map(|line| line.price_cents * line.quantity).sum();
    let placed = Placed { order: cart.order, customer: by.customer, lines: cart.lines, total_cents };
    taking.store.place(&placed).await?;
    Ok(Json(json!({ "order": placed.order, "total_cents": total_cents })))
}

async fn order(State(taking): State<OrderTaking>, Path(order): Path<String>) -> Result<Json<Value>, Error> {
    let header = taking.store.header(&order).await?.ok_or_else(|| Error::not_found("there is no such order"))?;
    let lines = taking.store.lines(&order).await?;
    Ok(Json(json!({ "customer": header.0, "total_cents": header.1, "lines": lines })))
}

#[derive(Clone)]
struct Peers {
    cart: Peer,
    warehouse: Peer,
}

#[derive(Deserialize)]
struct Cart {
    order: String,
    lines: Vec<Line>,
}

impl Peers {
    async fn check_out(&self, customer: &str) -> Result<Cart, Error> {
        self.cart.post("/carts/{customer}/checkout").arg(customer).send().await
    }

    async fn put_back(&self, customer: &str, lines: &[Line]) -> Result<Value, Error> {
        self.cart.post("/carts/{customer}/lines").arg(customer).json(&lines).send().await
    }

    async fn reserve(&self, cart: &Cart) -> Result<usize, Error> {
        let wanted = json!({ "order": cart.order, "lines": cart.lines });
        self.warehouse.post("/reservations").json(&wanted).send().await
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
    price_cents: i64,
}

/// The event `order.placed`.
#[derive(Debug, Serialize)]
struct Placed {
    order: String,
    customer: String,
    lines: Vec<Line>,
    total_cents: i64,
}

#[derive(Clone)]
struct OrderTaking {
    store: Store,
    peers: Peers,
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Method, StatusCode};

    use super::*;
    use crate::chassis::database::Database;
    use crate::chassis::testing::{ask, outbox, peer};

    fn shop(in_stock: bool, put_back: &Arc<Mutex<Vec<Value>>>) -> Router {
        let lines = json!([{ "sku": "pen", "quantity": 2, "price_cents": 250 }]);
        let put_back = Arc::clone(put_back);
        let cart = Router::new()
            .route(
                "/carts/{customer}/checkout",
                post(|| async move { Json(json!({ "order": "u1-1", "lines": lines })) }),
            )
            .route(
                "/carts/{customer}/lines",
                post(|Json(lines): Json<Value>| async move {
                    put_back.lock().unwrap().push(lines);
                    Json(Value::Null)
                }),
            );
        let status = if in_stock { StatusCode::OK } else { StatusCode::CONFLICT };
        let warehouse = Router::new().route("/reservations", post(move || async move { (status, Json(1)) }));
        let database = Database::in_memory("order-taking");
        let outbox = outbox(&database);
        let peers = Peers { cart: peer("cart", cart), warehouse: peer("warehouse", warehouse) };
        router(Store::new(database, outbox).unwrap(), peers)
    }

    #[tokio::test]
    async fn an_order_is_placed_and_remembered() {
        let router = shop(true, &Arc::default());
        let (_, placed) = ask(&router, Method::POST, "/orders", json!({ "customer": "u1" })).await;
        assert_eq!(placed, json!({ "order": "u1-1", "total_cents": 500 }));
        let (_, order) = ask(&router, Method::GET, "/orders/u1-1", Value::Null).await;
        assert_eq!(order["customer"], "u1");
        assert_eq!(order["lines"][0]["sku"], "pen");
    }

    #[tokio::test]
    async fn what_is_not_in_stock_goes_back_into_the_cart() {
        let put_back = Arc::default();
        let (status, _) = ask(&shop(false, &put_back), Method::POST, "/orders", json!({ "customer": "u1" })).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(put_back.lock().unwrap()[0][0]["quantity"], 2);
    }
}

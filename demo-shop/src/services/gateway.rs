//! The shop's only door: knows who is asking, routes, and puts answers together.
//!
//! Owns nothing; calls every service that customers need. A session travels in the `Authorization` header only.

mod session;

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chassis::client::Peer;
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};
use session::{Customer, Session};

pub(super) const SPEC: Spec = Spec { name: "gateway", owner: "storefront", version: "5.2.0", instances: 2, build };

type Answer = Result<Json<Value>, Error>;

#[allow(clippy::unnecessary_wraps, reason = "every service is built through the same kind of function")]
fn build(chassis: &Chassis) -> Result<Service, Error> {
    let peers = Peers {
        user: chassis.peer("user"),
        search: chassis.peer("search"),
        cart: chassis.peer("cart"),
        wishlist: chassis.peer("wishlist"),
        order_taking: chassis.peer("order-taking"),
        order_processing: chassis.peer("order-processing"),
        payment: chassis.peer("payment"),
        logistics: chassis.peer("logistics"),
        notification: chassis.peer("notification"),
        recommendation: chassis.peer("recommendation"),
    };
    Ok(Service::new(router(peers)))
}

fn router(peers: Peers) -> Router {
    Router::new()
        .route("/register", post(register))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/home", get(home))
        .route("/search", get(search))
        .route("/products/{sku}", get(product))
        .route("/cart", get(cart).post(fill_cart))
        .route("/cart/{sku}", delete(take_out))
        .route("/wishlist", get(wishes).post(wish))
        .route("/wishlist/{sku}", delete(drop_wish))
        .route("/orders", post(order))
        .route("/orders/{order}", get(track))
        .route("/orders/{order}/receipt", post(receive))
        .route("/orders/{order}/invoice", get(invoice))
        .route("/recommendations", get(recommendations))
        .route("/notices", get(notices))
        .with_state(peers)
}

#[derive(Clone)]
struct Peers {
    user: Peer,
    search: Peer,
    cart: Peer,
    wishlist: Peer,
    order_taking: Peer,
    order_processing: Peer,
    payment: Peer,
    logistics: Peer,
    notification: Peer,
    recommendation: Peer,
}

async fn register(State(peers): State<Peers>, Json(new): Json<Value>) -> Answer {
    Ok(Json(peers.user.post("/users").json(&new).send().await?))
}

async fn log_in(State(peers): State<Peers>, Json(credentials): Json<Value>) -> Answer {
    Ok(Json(peers.user.post("/sessions").json(&credentials).send().await?))
}

async fn log_out(State(peers): State<Peers>, Session(session): Session) -> Answer {
    Ok(Json(peers.user.delete("/sessions").json(&session).send().await?))
}

async fn home(State(peers): State<Peers>) -> Answer {
    Ok(Json(peers.recommendation.get("/bestsellers").send().await?))
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

async fn search(State(peers): State<Peers>, Query(search): Query<Search>) -> Answer {
    Ok(Json(peers.search.get("/products").query("q", &search.q).send().await?))
}

async fn product(State(peers): State<Peers>, Path(sku): Path<String>) -> Answer {
    Ok(Json(peers.search.get("/products/{sku}").arg(&sku).send().await?))
}

async fn cart(State(peers): State<Peers>, by: Customer) -> Answer {
    Ok(Json(peers.cart.get("/carts/{customer}").arg(&by.customer).send().await?))
}

#[derive(Deserialize)]
struct Item {
    sku: String,
    quantity: i64,
}

#[derive(Deserialize)]
struct Product {
    sku: String,
    price_cents: i64,
}

/// Customers say what and how much; what it costs comes from the catalogue.
async fn fill_cart(State(peers): State<Peers>, by: Customer, Json(items): Json<Vec<Item>>) -> Answer {
    let skus: Vec<&str> = items.iter().map(|item| item.sku.as_str()).collect();
    let found = peers.search.post("/products/query").json(&json!({ "skus": skus })).idempotent();
    let products: Vec<Product> = found.send().await?;
    let mut lines = Vec::with_capacity(items.len());
    for item in &items {
        let product = products.iter().find(|product| product.sku == item.sku);
        let product = product.ok_or_else(|| Error::not_found("there is no such product"))?;
        lines.push(json!({ "sku": item.sku, "quantity": item.quantity, "price_cents": product.price_cents }));
    }
    Ok(Json(peers.cart.post("/carts/{customer}/lines").arg(&by.customer).json(&lines).send().await?))
}

async fn take_out(State(peers): State<Peers>, by: Customer, Path(sku): Path<String>) -> Answer {
    let call = peers.cart.delete("/carts/{customer}/lines/{sku}").arg(&by.customer).arg(&sku);
    Ok(Json(call.send().await?))
}

async fn wishes(State(peers): State<Peers>, by: Customer) -> Answer {
    Ok(Json(peers.wishlist.get("/wishes/{customer}").arg(&by.customer).send().await?))
}

async fn wish(State(peers): State<Peers>, by: Customer, Json(wish): Json<Value>) -> Answer {
    Ok(Json(peers.wishlist.post("/wishes/{customer}").arg(&by.customer).json(&wish).send().await?))
}

async fn drop_wish(State(peers): State<Peers>, by: Customer, Path(sku): Path<String>) -> Answer {
    let call = peers.wishlist.delete("/wishes/{customer}/{sku}").arg(&by.customer).arg(&sku);
    Ok(Json(call.send().await?))
}

async fn order(State(peers): State<Peers>, by: Customer) -> Answer {
    let customer = json!({ "customer": by.customer });
    Ok(Json(peers.order_taking.post("/orders").json(&customer).send().await?))
}

/// The order and its parcels know nothing of one another, so both are asked at once.
async fn track(State(peers): State<Peers>, by: Customer, Path(order): Path<String>) -> Answer {
    let (taken, shipped) = tokio::try_join!(
        peers.order_taking.get("/orders/{order}").arg(&order).send::<Value>(),
        peers.logistics.get("/shipments/{order}").arg(&order).send::<Value>(),
    )?;
    if taken["customer"] != by.customer {
        return Err(Error::not_found("there is no such order"));
    }
    Ok(Json(json!({ "order": taken, "shipment": shipped["shipment"] })))
}

async fn receive(State(peers): State<Peers>, by: Customer, Path(order): Path<String>) -> Answer {
    let call = peers.order_processing.post("/orders/{order}/receipt").arg(&order);
    Ok(Json(call.json(&json!({ "customer": by.customer })).send().await?))
}

async fn invoice(State(peers): State<Peers>, by: Customer, Path(order): Path<String>) -> Answer {
    let answer: Value = peers.payment.get("/payments/{order}").arg(&order).send().await?;
    let invoice = &answer["invoice"];
    if !invoice.is_null() && invoice["customer"] != by.customer {
        return Err(Error::not_found("there is no such order"));
    }
    Ok(Json(answer))
}

async fn recommendations(State(peers): State<Peers>, by: Customer) -> Answer {
    Ok(Json(peers.recommendation.get("/recommendations/{customer}").arg(&by.customer).send().await?))
}

async fn notices(State(peers): State<Peers>, by: Customer) -> Answer {
    Ok(Json(peers.notification.get("/notices/{customer}").arg(&by.customer).send().await?))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;
    use crate::chassis::testing::peer;

    /// Every service answers what the customer `u1` would get.
    fn door() -> Router {
        let everything = Router::new()
            .route("/sessions/verify", post(|| async { Json(json!({ "customer": "u1" })) }))
            .route(
                "/orders/{order}",
                get(|Path(order): Path<String>| async move { Json(json!({ "customer": order.split('-').next() })) }),
            )
            .route("/shipments/{order}", get(|| async { Json(json!({ "shipment": "post" })) }));
        let peer = |name| peer(name, everything.clone());
        router(Peers {
            user: peer("user"),
            search: peer("search"),
            cart: peer("cart"),
            wishlist: peer("wishlist"),
            order_taking: peer("order-taking"),
            order_processing: peer("order-processing"),
            payment: peer("payment"),
            logistics: peer("logistics"),
            notification: peer("notification"),
            recommendation: peer("recommendation"),
        })
    }

    async fn status(path: &str, authorization: &str) -> StatusCode {
        let request = Request::get(path).header("authorization", authorization).body(Body::empty()).unwrap();
        door().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn nobody_comes_in_without_a_session() {
        assert_eq!(status("/cart", "").await, StatusCode::UNAUTHORIZED);
        assert_eq!(status("/orders/u1-1", "Basic u1").await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn customers_see_their_own_orders_only() {
        assert_eq!(status("/orders/u1-1", "Bearer s").await, StatusCode::OK);
        assert_eq!(status("/orders/u2-1", "Bearer s").await, StatusCode::NOT_FOUND);
    }
}

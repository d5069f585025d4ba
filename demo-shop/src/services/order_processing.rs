//! Brings a placed order to its end: has it paid, says so, and notes that the customer received it.
//!
//! Owns `processing` and an outbox; hears `order.placed`, calls payment, publishes `order.paid`.

mod store;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chassis::bus::Subscription;
use crate::chassis::client::Peer;
use crate::chassis::database::{Database, Statement, values};
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};
use crate::scenarios::Scenario;
use store::Store;

pub(super) const SPEC: Spec = Spec { name: "order-processing", owner: "orders", version: "2.0.7", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    let database = chassis.database()?;
    let outbox = chassis.outbox(&database)?;
    let peers = Peers { payment: chassis.peer("payment"), chassis: Some(chassis.clone()) };
    let processing = OrderProcessing { store: Store::new(database, outbox)?, peers };
    let subscription = placed(processing.clone());
    Ok(Service::new(router(processing)).with(subscription))
}

fn router(processing: OrderProcessing) -> Router {
    Router::new()
        .route("/orders/{order}", get(order))
        .route("/orders/{order}/receipt", post(receive))
        .with_state(processing)
}

fn placed(processing: OrderProcessing) -> Subscription {
    Subscription::new("order.placed", move |placed: Placed| {
        let processing = processing.clone();
        async move { processing.process(placed).await }
    })
}

async fn order(State(processing): State<OrderProcessing>, Path(order): Path<String>) -> Result<Json<Order>, Error> {
    processing.store.order(&order).await?.map(Json).ok_or_else(|| Error::not_found("this order is not processed yet"))
}

async fn receive(
    State(processing): State<OrderProcessing>,
    Path(order): Path<String>,
    Json(by): Json<Customer>,
) -> Result<Json<Value>, Error> {
    let received = match processing.peers.foreign_orders()? {
        None => processing.store.receive(&order, &by.customer).await?,
        Some(orders) => orders.execute(&RECEIVE_ELSEWHERE, values![order, by.customer]).await? == 1,
    };
    Ok(Json(json!({ "received": received })))
}

/// The event `order.placed`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Placed {
    order: String,
    customer: String,
    total_cents: i64,
}

/// The event `order.paid`.
#[derive(Debug, Serialize)]
struct Paid<'a> {
    order: &'a str,
    customer: &'a str,
    total_cents: i64,
}

#[derive(Deserialize)]
struct Customer {
    customer: String,
}

#[derive(Clone)]
struct OrderProcessing {
    store: Store,
    peers: Peers,
}

impl OrderProcessing {
    /// Every step can be repeated: the order is accepted once, payment charges an order once.
    async fn process(&self, placed: Placed) -> Result<(), Error> {
        self.store.accept(&placed).await?;
        if self.peers.charge(&placed).await? {
            self.store.pay(&placed).await?;
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Peers {
    payment: Peer,
    /// Only for [`Scenario::SharedDatabase`].
    chassis: Option<Chassis>,
}

#[derive(Deserialize)]
struct Charged {
    paid: bool,
}

impl Peers {
    async fn charge(&self, placed: &Placed) -> Result<bool, Error> {
        let due = json!({ "order": placed.order, "customer": placed.customer, "amount_cents": placed.total_cents });
        let charged: Charged = self.payment.post("/payments").json(&due).idempotent().send().await?;
        Ok(charged.paid)
    }

    /// The fault of [`Scenario::SharedDatabase`]: the state of an order is written straight into the tables of order-taking.
    fn foreign_orders(&self) -> Result<Option<Database>, Error> {
        let faulty = |chassis: &&Chassis| chassis.switches.is_on(Scenario::SharedDatabase);
        self.chassis.as_ref().filter(faulty).map(|chassis| chassis.foreign_database("order-taking")).transpose()
    }
}

#[derive(Debug, Serialize)]
struct Order {
    customer: String,
    amount_cents: i64,
    state: String,
}

const RECEIVE_ELSEWHERE: Statement =
    Statement::update("orders", "UPDATE orders SET state = 'received' WHERE id = ?1 AND customer = ?2");

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::chassis::testing::{ask, outbox, peer};

    fn shop(paid: bool) -> OrderProcessing {
        let payment = Router::new().route("/payments", post(move || async move { Json(json!({ "paid": paid })) }));
        let database = Database::in_memory("order-processing");
        let outbox = outbox(&database);
        let peers = Peers { payment: peer("payment", payment), chassis: None };
        OrderProcessing { store: Store::new(database, outbox).unwrap(), peers }
    }

    async fn state(processing: &OrderProcessing) -> Value {
        ask(&router(processing.clone()), Method::GET, "/orders/u1-1", Value::Null).await.1["state"].clone()
    }

    #[tokio::test]
    async fn an_order_is_paid_and_received_by_its_customer() {
        let processing = shop(true);
        let event = json!({ "order": "u1-1", "customer": "u1", "total_cents": 500 });
        placed(processing.clone()).handle(event.clone()).await.unwrap();
        assert_eq!(state(&processing).await, "paid");
        placed(processing.clone()).handle(event).await.unwrap();
        let router = router(processing.clone());
        for (customer, received) in [("u2", false), ("u1", true), ("u1", false)] {
            let body = json!({ "customer": customer });
            let (_, answer) = ask(&router, Method::POST, "/orders/u1-1/receipt", body).await;
            assert_eq!(answer["received"], received);
        }
        assert_eq!(state(&processing).await, "received");
    }

    #[tokio::test]
    async fn an_order_that_is_not_paid_waits() {
        let processing = shop(false);
        let event = json!({ "order": "u1-1", "customer": "u1", "total_cents": 500 });
        placed(processing.clone()).handle(event).await.unwrap();
        assert_eq!(state(&processing).await, "accepted");
    }
}

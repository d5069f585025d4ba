//! Tells customers how their orders are doing.
//!
//! Owns `notices`; hears `order.paid` and `order.shipped`; asks user how to address the customer.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::chassis::bus::Subscription;
use crate::chassis::client::Peer;
use crate::chassis::database::{Database, Row, Statement, values};
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};

pub(super) const SPEC: Spec =
    Spec { name: "notification", owner: "storefront", version: "1.0.12", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    let store = Store::new(chassis.database()?)?;
    let notification = Notification { store: store.clone(), peers: Peers { user: chassis.peer("user") } };
    let service = Service::new(router(store));
    Ok(service.with(tell(&notification, "order.paid", "is paid")).with(tell(
        &notification,
        "order.shipped",
        "is on its way",
    )))
}

fn router(store: Store) -> Router {
    Router::new().route("/notices/{customer}", get(notices)).with_state(store)
}

fn tell(notification: &Notification, topic: &'static str, news: &'static str) -> Subscription {
    let notification = notification.clone();
    Subscription::new(topic, move |event: Event| {
        let notification = notification.clone();
        async move { notification.tell(event, news).await }
    })
}

async fn notices(State(store): State<Store>, Path(customer): Path<String>) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "notices": store.latest(&customer).await? })))
}

/// What the events of an order have in common.
#[derive(Debug, Deserialize)]
struct Event {
    order: String,
    customer: String,
}

#[derive(Clone)]
struct Notification {
    store: Store,
    peers: Peers,
}

impl Notification {
    async fn tell(&self, event: Event, news: &'static str) -> Result<(), Error> {
        let contact = self.peers.contact(&event.customer).await?;
        let notice =
            Notice { text: format!("Dear {}, your order {} {news}", contact.name, event.order), to: contact.contact };
        self.store.add(&event, news, notice).await
    }
}

#[derive(Clone)]
struct Peers {
    user: Peer,
}

#[derive(Deserialize)]
struct Contact {
    name: String,
    contact: String,
}

impl Peers {
    async fn contact(&self, customer: &str) -> Result<Contact, Error> {
        self.user.get("/contacts/{customer}").arg(customer).send().await
    }
}

#[derive(Debug, Serialize)]
struct Notice {
    text: String,
    to: String,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS notices (
        customer TEXT NOT NULL, order_id TEXT NOT NULL, news TEXT NOT NULL, recipient TEXT NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (order_id, news));
    CREATE INDEX IF NOT EXISTS notices_of_customer ON notices (customer)";
const ADD: Statement = Statement::insert(
    "notices",
    "INSERT INTO notices (customer, order_id, news, recipient, body) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
);
const LATEST: Statement = Statement::select(
    "notices",
    "SELECT body, recipient FROM notices WHERE customer = ?1 ORDER BY order_id DESC, news LIMIT 10",
);

#[derive(Clone)]
struct Store {
    database: Database,
}

impl Store {
    fn new(database: Database) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        Ok(Self { database })
    }

    async fn add(&self, event: &Event, news: &str, notice: Notice) -> Result<(), Error> {
        let row = values![event.customer, event.order, news, notice.to, notice.text];
        self.database.execute(&ADD, row).await.map(drop)
    }

    async fn latest(&self, customer: &str) -> Result<Vec<Notice>, Error> {
        let read = |row: &Row<'_>| Ok(Notice { text: row.get(0)?, to: row.get(1)? });
        self.database.rows(&LATEST, values![customer], read).await
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::chassis::testing::{ask, peer};

    #[tokio::test]
    async fn news_are_told_once() {
        let contact = get(|| async { Json(json!({ "name": "Ada", "contact": "ada@shop.example" })) });
        let peers = Peers { user: peer("user", Router::new().route("/contacts/{customer}", contact)) };
        let store = Store::new(Database::in_memory("notification")).unwrap();
        let notification = Notification { store: store.clone(), peers };
        let event = json!({ "order": "u1-1", "customer": "u1", "total_cents": 3 });
        for (topic, news) in [("order.paid", "is paid"), ("order.shipped", "is on its way"), ("order.paid", "is paid")]
        {
            tell(&notification, topic, news).handle(event.clone()).await.unwrap();
        }
        let (_, answer) = ask(&router(store), Method::GET, "/notices/u1", Value::Null).await;
        let notices = answer["notices"].as_array().unwrap();
        assert_eq!(notices.len(), 2);
        assert_eq!(notices[1]["text"], "Dear Ada, your order u1-1 is paid");
    }
}

//! What customers would like to have one day.
//!
//! Owns `wishes`; asks search for the titles of what it shows.

use axum::extract::{Path, State};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chassis::client::Peer;
use crate::chassis::database::{Database, Statement, values};
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};

pub(super) const SPEC: Spec = Spec { name: "wishlist", owner: "storefront", version: "0.9.3", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    Ok(Service::new(router(Store::new(chassis.database()?)?, Peers { search: chassis.peer("search") })))
}

fn router(store: Store, peers: Peers) -> Router {
    Router::new()
        .route("/wishes/{customer}", get(list).post(add))
        .route("/wishes/{customer}/{sku}", delete(remove))
        .with_state(Wishlist { store, peers })
}

async fn list(State(wishlist): State<Wishlist>, Path(customer): Path<String>) -> Result<Json<Value>, Error> {
    let skus = wishlist.store.skus(&customer).await?;
    let products = wishlist.peers.products(&skus).await?;
    Ok(Json(json!({ "products": products })))
}

#[derive(Deserialize)]
struct Wish {
    sku: String,
}

async fn add(
    State(wishlist): State<Wishlist>,
    Path(customer): Path<String>,
    Json(wish): Json<Wish>,
) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "added": wishlist.store.add(&customer, &wish.sku).await? })))
}

async fn remove(
    State(wishlist): State<Wishlist>,
    Path((customer, sku)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "removed": wishlist.store.remove(&customer, &sku).await? })))
}

#[derive(Clone)]
struct Peers {
    search: Peer,
}

impl Peers {
    async fn products(&self, skus: &[String]) -> Result<Vec<Value>, Error> {
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        self.search.post("/products/query").json(&json!({ "skus": skus })).idempotent().send().await
    }
}

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS wishes (customer TEXT NOT NULL, sku TEXT NOT NULL, PRIMARY KEY (customer, sku))";
/// A page shows twenty wishes at most, however many a customer has.
const SKUS: Statement = Statement::select("wishes", "SELECT sku FROM wishes WHERE customer = ?1 ORDER BY sku LIMIT 20");
const ADD: Statement =
    Statement::insert("wishes", "INSERT INTO wishes (customer, sku) VALUES (?1, ?2) ON CONFLICT DO NOTHING");
const REMOVE: Statement = Statement::delete("wishes", "DELETE FROM wishes WHERE customer = ?1 AND sku = ?2");

#[derive(Clone)]
struct Wishlist {
    store: Store,
    peers: Peers,
}

#[derive(Clone)]
struct Store {
    database: Database,
}

impl Store {
    fn new(database: Database) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        Ok(Self { database })
    }

    async fn skus(&self, customer: &str) -> Result<Vec<String>, Error> {
        self.database.rows(&SKUS, values![customer], |row| row.get(0)).await
    }

    async fn add(&self, customer: &str, sku: &str) -> Result<usize, Error> {
        self.database.execute(&ADD, values![customer, sku]).await
    }

    async fn remove(&self, customer: &str, sku: &str) -> Result<usize, Error> {
        self.database.execute(&REMOVE, values![customer, sku]).await
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use http::Method;

    use super::*;
    use crate::chassis::testing::{ask, peer};

    #[tokio::test]
    async fn a_wish_is_made_once_shown_and_dropped() {
        let search = Router::new().route(
            "/products/query",
            post(|Json(wanted): Json<Value>| async move { Json(json!([{ "title": wanted["skus"][0] }])) }),
        );
        let router =
            router(Store::new(Database::in_memory("wishlist")).unwrap(), Peers { search: peer("search", search) });
        let wish = json!({ "sku": "kite" });
        assert_eq!(ask(&router, Method::POST, "/wishes/u1", wish.clone()).await.1["added"], 1);
        assert_eq!(ask(&router, Method::POST, "/wishes/u1", wish).await.1["added"], 0);
        let (_, list) = ask(&router, Method::GET, "/wishes/u1", Value::Null).await;
        assert_eq!(list, json!({ "products": [{ "title": "kite" }] }));
        ask(&router, Method::DELETE, "/wishes/u1/kite", Value::Null).await;
        assert_eq!(ask(&router, Method::GET, "/wishes/u1", Value::Null).await.1, json!({ "products": [] }));
    }
}

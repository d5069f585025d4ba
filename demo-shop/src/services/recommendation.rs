//! What goes well with what was bought.
//!
//! Owns `purchases`, `pairs` and `sales`; hears `order.placed`; asks search for the titles of what it recommends.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chassis::bus::Subscription;
use crate::chassis::client::Peer;
use crate::chassis::database::{Database, Statement, Step, values};
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};
use crate::scenarios::Scenario;

pub(super) const SPEC: Spec =
    Spec { name: "recommendation", owner: "storefront", version: "0.4.1", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    let store = Store::new(chassis.database()?)?;
    let peers = Peers { search: chassis.peer("search"), chassis: Some(chassis.clone()) };
    let subscription = placed(store.clone());
    Ok(Service::new(router(store, peers)).with(subscription))
}

fn router(store: Store, peers: Peers) -> Router {
    Router::new()
        .route("/recommendations/{customer}", get(recommend))
        .route("/bestsellers", get(bestsellers))
        .with_state(Recommendation { store, peers })
}

fn placed(store: Store) -> Subscription {
    Subscription::new("order.placed", move |placed: Placed| {
        let store = store.clone();
        async move { store.learn(placed).await }
    })
}

async fn recommend(
    State(recommendation): State<Recommendation>,
    Path(customer): Path<String>,
) -> Result<Json<Value>, Error> {
    let bought = match recommendation.peers.foreign_orders()? {
        None => recommendation.store.bought(&customer).await?,
        Some(orders) => orders.rows(&BOUGHT_ELSEWHERE, values![customer], |row| row.get(0)).await?,
    };
    let skus = recommendation.store.going_with(&bought).await?;
    Ok(Json(json!({ "products": recommendation.peers.products(&skus).await? })))
}

async fn bestsellers(State(recommendation): State<Recommendation>) -> Result<Json<Value>, Error> {
    let skus = recommendation.store.bestsellers().await?;
    Ok(Json(json!({ "products": recommendation.peers.products(&skus).await? })))
}

/// The event `order.placed`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Placed {
    order: String,
    customer: String,
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    sku: String,
}

#[derive(Clone)]
struct Recommendation {
    store: Store,
    peers: Peers,
}

#[derive(Clone)]
struct Peers {
    search: Peer,
    /// Only for [`Scenario::SharedDatabase`].
    chassis: Option<Chassis>,
}

impl Peers {
    async fn products(&self, skus: &[String]) -> Result<Vec<Value>, Error> {
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        self.search.post("/products/query").json(&json!({ "skus": skus })).idempotent().send().await
    }

    /// The fault of [`Scenario::SharedDatabase`]: what was bought is read straight from the tables of order-taking.
    fn foreign_orders(&self) -> Result<Option<Database>, Error> {
        let faulty = |chassis: &&Chassis| chassis.switches.is_on(Scenario::SharedDatabase);
        self.chassis.as_ref().filter(faulty).map(|chassis| chassis.foreign_database("order-taking")).transpose()
    }
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS learned (order_id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS purchases (customer TEXT NOT NULL, sku TEXT NOT NULL, PRIMARY KEY (customer, sku));
    CREATE TABLE IF NOT EXISTS pairs (
        sku TEXT NOT NULL, other TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (sku, other));
    CREATE TABLE IF NOT EXISTS sales (sku TEXT PRIMARY KEY, times INTEGER NOT NULL)";
/// A message may come twice, but an order is learned from once.
const LEARN: Statement =
    Statement::insert("learned", "INSERT INTO learned (order_id) VALUES (?1) ON CONFLICT DO NOTHING");
const BUY: Statement = Statement::insert(
    "purchases",
    "INSERT INTO purchases (customer, sku) SELECT ?1, value FROM json_each(?2) WHERE true ON CONFLICT DO NOTHING",
);
const PAIR: Statement = Statement::insert(
    "pairs",
    "INSERT INTO pairs (sku, other, times)
     SELECT one.value, two.value, 1 FROM json_each(?1) AS one, json_each(?1) AS two WHERE one.value <> two.value
     ON CONFLICT (sku, other) DO UPDATE SET times = times + 1",
);
const SELL: Statement = Statement::insert(
    "sales",
    "INSERT INTO sales (sku, times) SELECT value, 1 FROM json_each(?1) WHERE true
     ON CONFLICT (sku) DO UPDATE SET times = times + 1",
);
const BOUGHT: Statement =
    Statement::select("purchases", "SELECT sku FROM purchases WHERE customer = ?1 ORDER BY sku LIMIT 50");
const BOUGHT_ELSEWHERE: Statement =
    Statement::select("order_lines", "SELECT DISTINCT sku FROM order_lines WHERE customer = ?1 ORDER BY sku LIMIT 50");
const GOING_WITH: Statement = Statement::select(
    "pairs",
    "SELECT other FROM pairs WHERE sku IN (SELECT value FROM json_each(?1))
     GROUP BY other ORDER BY sum(times) DESC, other LIMIT 5",
);
const BESTSELLERS: Statement = Statement::select("sales", "SELECT sku FROM sales ORDER BY times DESC, sku LIMIT 5");

#[derive(Clone)]
struct Store {
    database: Database,
}

impl Store {
    fn new(database: Database) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        Ok(Self { database })
    }

    async fn learn(&self, placed: Placed) -> Result<(), Error> {
        let skus = serde_json::to_string(&placed.lines.iter().map(|line| &line.sku).collect::<Vec<_>>())?;
        let steps = vec![
            Step::new(&LEARN, values![placed.order]).expecting(1),
            Step::new(&BUY, values![placed.customer, skus]),
            Step::new(&PAIR, values![skus]),
            Step::new(&SELL, values![skus]),
        ];
        self.database.transaction(steps).await.map(drop)
    }

    async fn bought(&self, customer: &str) -> Result<Vec<String>, Error> {
        self.database.rows(&BOUGHT, values![customer], |row| row.get(0)).await
    }

    async fn going_with(&self, skus: &[String]) -> Result<Vec<String>, Error> {
        self.database.rows(&GOING_WITH, values![serde_json::to_string(skus)?], |row| row.get(0)).await
    }

    async fn bestsellers(&self) -> Result<Vec<String>, Error> {
        self.database.rows(&BESTSELLERS, values![], |row| row.get(0)).await
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use http::Method;

    use super::*;
    use crate::chassis::testing::{ask, peer};

    #[tokio::test]
    async fn recommendations_follow_what_was_bought_together() {
        let search = Router::new()
            .route("/products/query", post(|Json(wanted): Json<Value>| async move { Json(wanted["skus"].clone()) }));
        let store = Store::new(Database::in_memory("recommendation")).unwrap();
        let router = router(store.clone(), Peers { search: peer("search", search), chassis: None });
        let (_, nothing) = ask(&router, Method::GET, "/bestsellers", Value::Null).await;
        assert_eq!(nothing, json!({ "products": [] }));
        for (order, skus) in
            [("u1-1", ["pen", "mug"]), ("u1-1", ["pen", "mug"]), ("u2-1", ["pen", "kite"]), ("u3-1", ["pen", "kite"])]
        {
            let lines = skus.map(|sku| json!({ "sku": sku }));
            let event = json!({ "order": order, "customer": order[..2], "lines": lines });
            placed(store.clone()).handle(event).await.unwrap();
        }
        let (_, answer) = ask(&router, Method::GET, "/bestsellers", Value::Null).await;
        assert_eq!(answer, json!({ "products": ["pen", "kite", "mug"] }));
        let (_, answer) = ask(&router, Method::GET, "/recommendations/u1", Value::Null).await;
        assert_eq!(answer, json!({ "products": ["kite", "mug", "pen"] }));
    }
}

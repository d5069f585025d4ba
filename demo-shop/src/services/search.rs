//! The catalogue that customers search.
//!
//! Owns `products`; calls nobody.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::catalog;
use crate::chassis::database::{Database, Row, Statement, values};
use crate::chassis::error::Error;
use crate::chassis::{Chassis, Service, Spec};

pub(super) const SPEC: Spec = Spec { name: "search", owner: "storefront", version: "3.0.4", instances: 1, build };

fn build(chassis: &Chassis) -> Result<Service, Error> {
    Ok(Service::new(router(Store::new(chassis.database()?, chassis.seed)?)))
}

fn router(store: Store) -> Router {
    Router::new()
        .route("/products", get(find))
        .route("/products/{sku}", get(product))
        .route("/products/query", post(query))
        .with_state(store)
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

async fn find(State(store): State<Store>, Query(search): Query<Search>) -> Result<Json<Vec<Product>>, Error> {
    Ok(Json(store.find(&search.q).await?))
}

async fn product(State(store): State<Store>, Path(sku): Path<String>) -> Result<Json<Product>, Error> {
    store.product(sku).await?.map(Json).ok_or_else(|| Error::not_found("there is no such product"))
}

#[derive(Deserialize)]
struct Skus {
    skus: Vec<String>,
}

async fn query(State(store): State<Store>, Json(wanted): Json<Skus>) -> Result<Json<Vec<Product>>, Error> {
    Ok(Json(store.all(&wanted.skus).await?))
}

#[derive(Debug, Serialize)]
struct Product {
    sku: String,
    title: String,
    category: String,
    price_cents: i64,
}

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS products (
    sku TEXT PRIMARY KEY, title TEXT NOT NULL, category TEXT NOT NULL, price_cents INTEGER NOT NULL)";
const OPENING: &str = "INSERT OR IGNORE INTO products (sku, title, category, price_cents) VALUES (?1, ?2, ?3, ?4)";
const FIND: Statement = Statement::select(
    "products",
    "SELECT sku, title, category, price_cents FROM products WHERE instr(title, ?1) OR category = ?1 ORDER BY sku LIMIT 10",
);
const PRODUCT: Statement =
    Statement::select("products", "SELECT sku, title, category, price_cents FROM products WHERE sku = ?1");
const ALL: Statement = Statement::select(
    "products",
    "SELECT sku, title, category, price_cents FROM products WHERE sku IN (SELECT value FROM json_each(?1)) ORDER BY sku",
);

#[derive(Clone)]
struct Store {
    database: Database,
}

impl Store {
    fn new(database: Database, seed: u64) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        let products = catalog::products(seed).into_iter();
        database.seed(OPENING, products.map(|new| values![new.sku, new.title, new.category, new.price_cents]))?;
        Ok(Self { database })
    }

    async fn find(&self, text: &str) -> Result<Vec<Product>, Error> {
        self.database.rows(&FIND, values![text.to_lowercase()], read).await
    }

    async fn product(&self, sku: String) -> Result<Option<Product>, Error> {
        self.database.row(&PRODUCT, values![sku], read).await
    }

    async fn all(&self, skus: &[String]) -> Result<Vec<Product>, Error> {
        self.database.rows(&ALL, values![serde_json::to_string(skus)?], read).await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Product> {
    Ok(Product { sku: row.get(0)?, title: row.get(1)?, category: row.get(2)?, price_cents: row.get(3)? })
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use serde_json::{Value, json};

    use super::*;
    use crate::chassis::testing::ask;

    fn shop() -> Router {
        router(Store::new(Database::in_memory("search"), 1).unwrap())
    }

    #[tokio::test]
    async fn products_are_found_by_word_and_by_category() {
        let (_, lamps) = ask(&shop(), Method::GET, "/products?q=lamp", Value::Null).await;
        assert_eq!(lamps.as_array().unwrap().len(), 5);
        let (_, home) = ask(&shop(), Method::GET, "/products?q=home", Value::Null).await;
        assert_eq!(home.as_array().unwrap().len(), 10);
    }

    #[tokio::test]
    async fn many_products_are_one_question() {
        let wanted = json!({ "skus": ["pen-plain", "mug-green", "no-such"] });
        let (_, found) = ask(&shop(), Method::POST, "/products/query", wanted).await;
        assert_eq!(found[0]["sku"], "mug-green");
        assert_eq!(found.as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_unknown_product_is_not_found() {
        let (status, _) = ask(&shop(), Method::GET, "/products/no-such", Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
}

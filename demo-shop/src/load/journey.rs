//! One customer's visit after the other: look around, wish, fill a cart, order, and see how it goes on.
//!
//! What a shopper does depends on the seed and on the answers' presence only, never on time.

use std::sync::atomic::Ordering;

use http::Method;
use serde_json::{Value, json};

use super::{Closed, Door};
use crate::catalog;
use crate::random::Random;

/// Customers that one shopper plays; later visits are those of customers who come back.
const CUSTOMERS: usize = 100;
const NAMES: [&str; 8] = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Leslie"];

/// Plays visits until the door closes.
pub(super) struct Shopper {
    door: Door,
    random: Random,
    skus: Vec<String>,
    /// Numbers of the customers who have an account.
    known: Vec<u64>,
    /// The first visit takes every turn, so that every part of the shop is seen early.
    thorough: bool,
    session: Option<String>,
}

impl Shopper {
    pub(super) fn new(door: Door, random: Random, seed: u64) -> Self {
        let skus = catalog::products(seed).into_iter().map(|product| product.sku).collect();
        Self { door, random, skus, known: Vec::new(), thorough: true, session: None }
    }

    pub(super) async fn shop(mut self) {
        while self.visit().await.is_ok() {
            self.thorough = false;
            self.session = None;
        }
    }

    async fn visit(&mut self) -> Result<(), Closed> {
        self.look_around().await?;
        self.come_in().await?;
        if self.decides(30) {
            self.wish().await?;
        }
        // Nobody leaves a full cart behind: it would grow with every visit.
        if self.decides(85) {
            self.fill_cart().await?;
            self.order().await?;
        }
        if self.decides(80) {
            self.get("/recommendations").await?;
        }
        self.send(Method::POST, "/logout", None).await?;
        Ok(())
    }

    async fn look_around(&mut self) -> Result<(), Closed> {
        if self.decides(40) {
            self.get("/home").await?;
        }
        let (thing, _) = *self.random.pick(&catalog::THINGS);
        self.get(&format!("/search?q={thing}")).await?;
        if self.decides(40) {
            let sku = self.random.pick(&self.skus).clone();
            self.get(&format!("/products/{sku}")).await?;
        }
        Ok(())
    }

    async fn come_in(&mut self) -> Result<(), Closed> {
        let comes_back = self.known.len() >= CUSTOMERS || (!self.known.is_empty() && self.random.chance(60));
        let number = if comes_back { *self.random.pick(&self.known) } else { self.register().await? };
        let answer = self.send(Method::POST, "/login", Some(account(number))).await?;
        self.session = answer["session"].as_str().map(str::to_owned);
        Ok(())
    }

    async fn register(&mut self) -> Result<u64, Closed> {
        let number = self.door.load.customers.fetch_add(1, Ordering::Relaxed);
        self.send(Method::POST, "/register", Some(account(number))).await?;
        self.known.push(number);
        Ok(number)
    }

    async fn wish(&mut self) -> Result<(), Closed> {
        let sku = self.random.pick(&self.skus).clone();
        self.send(Method::POST, "/wishlist", Some(json!({ "sku": sku }))).await?;
        self.get("/wishlist").await?;
        if self.decides(30) {
            self.send(Method::DELETE, &format!("/wishlist/{sku}"), None).await?;
        }
        Ok(())
    }

    /// Most carts hold five to nine different things, put in by two requests.
    async fn fill_cart(&mut self) -> Result<(), Closed> {
        let size = if self.random.chance(85) { self.random.between(6, 9) } else { self.random.between(2, 4) };
        let skus: Vec<String> = self.random.sample(&self.skus, size as usize).into_iter().cloned().collect();
        for some in skus.chunks(5) {
            let items: Vec<Value> =
                some.iter().map(|sku| json!({ "sku": sku, "quantity": self.random.between(1, 2) })).collect();
            self.send(Method::POST, "/cart", Some(items.into())).await?;
        }
        self.get("/cart").await?;
        if self.decides(30) {
            self.send(Method::DELETE, &format!("/cart/{}", skus[0]), None).await?;
            self.get("/cart").await?;
        }
        Ok(())
    }

    async fn order(&mut self) -> Result<(), Closed> {
        let answer = self.send(Method::POST, "/orders", None).await?;
        let Some(order) = answer["order"].as_str() else {
            return Ok(());
        };
        self.door.count_order();
        self.get(&format!("/orders/{order}")).await?;
        if self.decides(30) {
            self.get(&format!("/orders/{order}/invoice")).await?;
        }
        if self.decides(90) {
            let received = format!("/orders/{order}/receipt");
            self.send(Method::POST, &received, None).await?;
        }
        if self.decides(40) {
            self.get("/notices").await?;
        }
        Ok(())
    }

    fn decides(&mut self, percent: u64) -> bool {
        // Drawn in any case, so that the stream of choices does not depend on thoroughness.
        self.random.chance(percent) || self.thorough
    }

    async fn get(&mut self, path: &str) -> Result<Value, Closed> {
        self.send(Method::GET, path, None).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Closed> {
        self.door.ask(method, path, self.session.as_deref(), body).await
    }
}

fn account(number: u64) -> Value {
    let name = NAMES[number as usize % NAMES.len()];
    let contact = format!("{}-{number}@shop.example", name.to_lowercase());
    json!({ "name": name, "contact": contact, "password": format!("open sesame {number}") })
}

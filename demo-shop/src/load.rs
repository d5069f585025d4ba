//! The load generator: customers who go shopping, drawn from a seed.
//!
//! Counted load plays one customer after the other and waits after every request until the bus is quiet, so that the same
//! seed always causes the same calls. Paced load plays several customers at once for as long as somebody watches. The
//! generator sends no telemetry: its requests are the roots of their traces.

mod journey;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, header};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::chassis::bus::Work;
use crate::random::Random;
use journey::Shopper;

/// Customers who are in the shop at the same time under paced load.
const SHOPPERS: u64 = 4;

/// How many requests, and how fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadPlan {
    /// Exactly this many requests to the gateway, one after the other; the same on every run.
    Counted {
        /// Requests to the gateway.
        requests: u64,
    },
    /// Requests until stopped, several customers at once.
    Paced {
        /// Requests to the gateway in a second; at least 0.1 and at most 1,000.
        requests_per_second: f64,
    },
}

/// What the load did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadSummary {
    /// Requests to the gateway.
    pub requests: u64,
    /// Requests without an answer of success.
    pub failures: u64,
    /// Orders that were placed.
    pub orders: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    failures: AtomicU64,
    orders: AtomicU64,
}

impl Counters {
    fn summary(&self) -> LoadSummary {
        LoadSummary {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            orders: self.orders.load(Ordering::Relaxed),
        }
    }
}

/// Load that is being played; it stops when this is dropped.
#[derive(Debug)]
pub struct LoadHandle {
    counters: Arc<Counters>,
    stop: CancellationToken,
    shoppers: JoinSet<()>,
}

impl LoadHandle {
    /// What happened so far.
    pub fn summary(&self) -> LoadSummary {
        self.counters.summary()
    }

    /// Waits for the end of counted load; paced load has none.
    pub async fn finished(mut self) -> LoadSummary {
        while self.shoppers.join_next().await.is_some() {}
        self.counters.summary()
    }

    /// Lets every customer finish the request that is under way, then stops.
    pub async fn stop(self) -> LoadSummary {
        self.stop.cancel();
        self.finished().await
    }
}

/// What all load of one shop has in common.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    pub(crate) gateway: Vec<SocketAddr>,
    pub(crate) client: reqwest::Client,
    pub(crate) work: Work,
    /// Numbers the customers of the shop, over all loads it ever gets.
    pub(crate) customers: Arc<AtomicU64>,
}

impl Load {
    pub(crate) fn start(&self, plan: LoadPlan) -> LoadHandle {
        let counters = Arc::new(Counters::default());
        let stop = CancellationToken::new();
        let pace = Pace::new(plan);
        let count = if matches!(plan, LoadPlan::Counted { .. }) { 1 } else { SHOPPERS };
        let mut shoppers = JoinSet::new();
        for number in 0..count {
            let door = Door {
                load: self.clone(),
                counters: Arc::clone(&counters),
                stop: stop.clone(),
                pace: pace.clone(),
                turn: number as usize,
            };
            let shopper = Shopper::new(door, Random::fork(self.seed, 100 + number), self.seed);
            shoppers.spawn(shopper.shop());
        }
        LoadHandle { counters, stop, shoppers }
    }
}

/// When the next request may be sent.
#[derive(Debug, Clone)]
enum Pace {
    Counted { requests: u64 },
    Ticking(Arc<Mutex<Interval>>),
}

impl Pace {
    fn new(plan: LoadPlan) -> Self {
        match plan {
            LoadPlan::Counted { requests } => Self::Counted { requests },
            LoadPlan::Paced { requests_per_second } => {
                let mut ticks = interval(Duration::from_secs_f64(1.0 / requests_per_second.clamp(0.1, 1_000.0)));
                // After a pause the shop goes on as before instead of catching up with a stampede.
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Self::Ticking(Arc::new(Mutex::new(ticks)))
            }
        }
    }
}

/// The load is over.
#[derive(Debug)]
struct Closed;

/// The way into the shop: one request to the gateway at a time.
#[derive(Debug)]
struct Door {
    load: Load,
    counters: Arc<Counters>,
    stop: CancellationToken,
    pace: Pace,
    turn: usize,
}

impl Door {
    /// Sends one request; the answer is null if it was not one of success.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        session: Option<&str>,
        body: Option<Value>,
    ) -> Result<Value, Closed> {
        self.wait().await?;
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.send(method, path, session, body).await;
        if answer.is_none() {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(self.pace, Pace::Counted { .. }) {
            self.load.work.idle().await;
        }
        Ok(answer.unwrap_or_default())
    }

    async fn wait(&self) -> Result<(), Closed> {
        if self.stop.is_cancelled() {
            return Err(Closed);
        }
        match &self.pace {
            Pace::Counted { requests } if self.counters.requests.load(Ordering::Relaxed) >= *requests => Err(Closed),
            Pace::Counted { .. } => Ok(()),
            Pace::Ticking(ticks) => {
                let tick = async { ticks.lock().await.tick().await };
                self.stop.run_until_cancelled(tick).await.map(drop).ok_or(Closed)
            }
        }
    }

    async fn send(&mut self, method: Method, path: &str, session: Option<&str>, body: Option<Value>) -> Option<Value> {
        let address = self.load.gateway[self.turn % self.load.gateway.len()];
        self.turn += 1;
        let mut request = self.load.client.request(method, format!("http://{address}{path}"));
        if let Some(session) = session {
            request = request.header(header::AUTHORIZATION, format!("Bearer {session}"));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.ok()?;
        if !response.status().is_success() {
            tracing::debug!(path, status = response.status().as_u16(), "a request was not answered with success");
            return None;
        }
        response.json().await.ok()
    }

    fn count_order(&self) {
        self.counters.orders.fetch_add(1, Ordering::Relaxed);
    }
}

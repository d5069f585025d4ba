//! The outbox: events are written in the transaction that causes them and published by a relay afterwards.
//!
//! A crash between the two cannot lose an event, which writing and publishing in one request could. The relay is a request
//! of its own: it starts a trace, links back to the request that wrote the event, and runs only when there is something
//! to publish. It reads and publishes but never writes; rows that it has passed are removed by the next writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use super::bus::{Bus, Message, WorkItem};
use super::database::{Database, Row, Statement, Step, values};
use super::error::Error;
use super::telemetry::{SpanKind, Telemetry, current_traceparent};

/// Events that one run publishes; what is left has a run of its own.
const BATCH: i64 = 4;
/// Writers that may wait for the relay.
const WAITING: usize = 1_024;
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, traceparent TEXT NOT NULL, payload TEXT NOT NULL)";
const TIDY: Statement = Statement::delete("outbox", "DELETE FROM outbox WHERE id <= ?1");
const ADD: Statement =
    Statement::insert("outbox", "INSERT INTO outbox (topic, traceparent, payload) VALUES (?1, ?2, ?3)");
const NEXT: Statement = Statement::select(
    "outbox",
    "SELECT id, topic, traceparent, payload FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2",
);

/// Where a service leaves the events that it wants published.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    database: Database,
    bus: Bus,
    wake: mpsc::Sender<WorkItem>,
    relayed: Arc<AtomicI64>,
}

impl Outbox {
    /// Creates the table and starts the relay, which ends with the last clone of this outbox.
    pub(crate) fn start(
        service: &'static str,
        database: Database,
        bus: Bus,
        telemetry: Telemetry,
    ) -> Result<Self, Error> {
        database.prepare(SCHEMA)?;
        let (wake, woken) = mpsc::channel(WAITING);
        let relayed = Arc::new(AtomicI64::new(0));
        let relay =
            Relay { service, database: database.clone(), bus: bus.clone(), telemetry, relayed: relayed.clone() };
        tokio::spawn(relay.run(woken));
        Ok(Self { database, bus, wake, relayed })
    }

    /// Commits the steps together with one event; false, and no event, if a step did not change what it had to.
    pub(crate) async fn commit(
        &self,
        mut steps: Vec<Step>,
        topic: &'static str,
        event: &impl Serialize,
    ) -> Result<bool, Error> {
        let payload = serde_json::to_string(event)?;
        steps.push(Step::new(&TIDY, values![self.relayed.load(Ordering::Acquire)]));
        steps.push(Step::new(&ADD, values![topic, current_traceparent(), payload]));
        let work = self.bus.work().begin();
        let committed = self.database.transaction(steps).await?;
        if committed && self.wake.send(work).await.is_err() {
            tracing::warn!(topic, "the relay has stopped");
        }
        Ok(committed)
    }
}

struct Relay {
    service: &'static str,
    database: Database,
    bus: Bus,
    telemetry: Telemetry,
    relayed: Arc<AtomicI64>,
}

impl Relay {
    /// **Invariant:** `owed` is the number of committed events that were announced and not yet published; it is negative
    /// while a run was faster than the announcement.
    async fn run(self, mut woken: mpsc::Receiver<WorkItem>) {
        let mut owed = 0_i64;
        let mut announced = Vec::new();
        while woken.recv_many(&mut announced, WAITING).await > 0 {
            owed += announced.len() as i64;
            while owed > 0 {
                match self.relay().await {
                    Ok(published) => owed -= published,
                    Err(error) => {
                        tracing::warn!(service = self.service, %error, "the outbox was not relayed");
                        tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    }
                }
            }
            announced.clear();
        }
    }

    async fn relay(&self) -> Result<i64, Error> {
        let span = self.telemetry.root(SpanKind::Internal, "relay outbox");
        span.run(self.publish_next()).await.inspect_err(|error| span.fail(error.status().as_u16().to_string()))
    }

    async fn publish_next(&self) -> Result<i64, Error> {
        let passed = self.relayed.load(Ordering::Acquire);
        let rows = self.database.rows(&NEXT, values![passed, BATCH], Self::read).await?;
        let mut published = 0;
        for (id, topic, caused_by, payload) in rows {
            let payload = serde_json::from_str(&payload)?;
            let message = Message { id: format!("{}-{id}", self.service), topic, caused_by, payload };
            self.bus.publish(&self.telemetry, message).await?;
            self.relayed.store(id, Ordering::Release);
            published += 1;
        }
        Ok(published)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<(i64, String, String, String)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::bus::Subscription;
    use super::super::testing;
    use super::*;

    #[tokio::test]
    async fn events_are_published_in_the_order_of_their_transactions() {
        let bus = Bus::default();
        let (seen, mut received) = mpsc::unbounded_channel();
        let subscription = Subscription::new("order.placed", move |number: u32| {
            seen.send(number).unwrap();
            async { Ok(()) }
        });
        bus.subscribe("logistics", testing::telemetry(), subscription);
        let outbox = Outbox::start("cart", Database::in_memory("cart"), bus.clone(), testing::telemetry()).unwrap();
        for number in 0..10_u32 {
            assert!(outbox.commit(Vec::new(), "order.placed", &number).await.unwrap());
        }
        bus.work().idle().await;
        for number in 0..10 {
            assert_eq!(received.recv().await, Some(number));
        }
    }

    #[tokio::test]
    async fn a_transaction_that_fails_publishes_nothing() {
        const NOTHING: Statement = Statement::delete("outbox", "DELETE FROM outbox WHERE id < ?1");
        let bus = Bus::default();
        let outbox = Outbox::start("cart", Database::in_memory("cart"), bus.clone(), testing::telemetry()).unwrap();
        let steps = vec![Step::new(&NOTHING, values![0]).expecting(1)];
        assert!(!outbox.commit(steps, "order.placed", &1).await.unwrap());
        bus.work().idle().await;
    }
}

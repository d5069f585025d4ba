//! The event bus: serialized messages with headers, one bounded queue per topic and consuming service.
//!
//! It lives in this process, yet everything that crosses it is bytes, as it would be on a broker. Messages are delivered
//! at least once and in order per queue; a message whose handler keeps failing is dropped and logged.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use super::error::Error;
use super::resilience::Backoff;
use super::telemetry::{ActiveSpan, SpanKind, TRACEPARENT, Telemetry};

/// Messages that may wait for one consumer; publishing waits beyond that.
const QUEUE: usize = 256;
const DELIVERIES: u32 = 3;
const SYSTEM: &str = "shop-bus";

/// A message as it crosses the bus.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    id: String,
    headers: BTreeMap<String, String>,
    payload: serde_json::Value,
}

/// Counts what is under way, so that a load generator can wait until everything has been dealt with.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    open: watch::Sender<usize>,
}

/// One thing under way; it is done when this is dropped.
#[derive(Debug)]
pub(crate) struct WorkItem {
    open: watch::Sender<usize>,
}

impl Default for Work {
    fn default() -> Self {
        Self { open: watch::Sender::new(0) }
    }
}

impl Work {
    pub(crate) fn begin(&self) -> WorkItem {
        self.open.send_modify(|open| *open += 1);
        WorkItem { open: self.open.clone() }
    }

    /// Returns as soon as nothing is under way.
    pub(crate) async fn idle(&self) {
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open == 0).await.expect("the sender lives as long as this borrow");
    }
}

impl Drop for WorkItem {
    fn drop(&mut self) {
        self.open.send_modify(|open| *open -= 1);
    }
}

#[derive(Debug)]
struct Delivery {
    bytes: Arc<[u8]>,
    /// Held until the handler is done.
    _work: WorkItem,
}

type Queues = BTreeMap<&'static str, Vec<mpsc::Sender<Delivery>>>;

/// The bus of one shop; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bus {
    queues: Arc<Mutex<Queues>>,
    work: Work,
}

/// A message about to be published.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) topic: String,
    /// The span that asked for the message, long before it is sent.
    pub(crate) caused_by: String,
    pub(crate) payload: serde_json::Value,
}

impl Bus {
    pub(crate) fn work(&self) -> &Work {
        &self.work
    }

    /// Sends a message to every consumer of its topic, with a PRODUCER span whose context travels in the headers.
    pub(crate) async fn publish(&self, telemetry: &Telemetry, message: Message) -> Result<(), Error> {
        let span = telemetry.child(SpanKind::Producer, format!("send {}", message.topic));
        describe(&span, &message.topic, "send", &message.id);
        span.link(&message.caused_by);
        let headers = BTreeMap::from([(TRACEPARENT.to_owned(), span.traceparent())]);
        let envelope = Envelope { id: message.id, headers, payload: message.payload };
        let bytes: Arc<[u8]> = serde_json::to_vec(&envelope)?.into();
        let queues = self.lock().get(message.topic.as_str()).cloned().unwrap_or_default();
        for queue in queues {
            let delivery = Delivery { bytes: Arc::clone(&bytes), _work: self.work.begin() };
            if queue.send(delivery).await.is_err() {
                tracing::warn!(topic = message.topic, "a consumer has left");
            }
        }
        Ok(())
    }

    /// Delivers a topic to a service from now on, one message after the other.
    pub(crate) fn subscribe(&self, service: &'static str, telemetry: Telemetry, subscription: Subscription) {
        let (sender, mut receiver) = mpsc::channel::<Delivery>(QUEUE);
        self.lock().entry(subscription.topic).or_default().push(sender);
        tokio::spawn(async move {
            while let Some(delivery) = receiver.recv().await {
                deliver(service, &telemetry, &subscription, &delivery.bytes).await;
            }
        });
    }

    /// Closes every queue; consumers end when theirs is empty.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.queues.lock().expect("no code panics while it holds the queues")
    }
}

type Handling = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A topic and what a service does with its messages.
pub(crate) struct Subscription {
    topic: &'static str,
    handle: Box<dyn Fn(serde_json::Value) -> Handling + Send + Sync>,
}

impl Subscription {
    pub(crate) fn new<T, F>(topic: &'static str, handle: impl Fn(T) -> F + Send + Sync + 'static) -> Self
    where
        T: DeserializeOwned,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let handle = move |payload| -> Handling {
            match serde_json::from_value(payload) {
                Ok(event) => Box::pin(handle(event)),
                Err(error) => Box::pin(async move { Err(error.into()) }),
            }
        };
        Self { topic, handle: Box::new(handle) }
    }

    /// Hands over one event as the bus would.
    #[cfg(test)]
    pub(crate) async fn handle(&self, payload: serde_json::Value) -> Result<(), Error> {
        (self.handle)(payload).await
    }
}

async fn deliver(service: &'static str, telemetry: &Telemetry, subscription: &Subscription, bytes: &[u8]) {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(bytes) else {
        tracing::error!(service, topic = subscription.topic, "a message is not readable");
        return;
    };
    let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
    for delivery in 1..=DELIVERIES {
        let traceparent = envelope.headers.get(TRACEPARENT).map(String::as_str);
        let span = telemetry.remote_child(SpanKind::Consumer, format!("process {}", subscription.topic), traceparent);
        describe(&span, subscription.topic, "process", &envelope.id);
        span.set("messaging.consumer.group.name", service);
        span.link(traceparent.unwrap_or_default());
        let Err(error) = span.run((subscription.handle)(envelope.payload.clone())).await else {
            return;
        };
        span.fail(error.status().as_u16().to_string());
        tracing::warn!(service, topic = subscription.topic, delivery, %error, "a message was not handled");
        tokio::time::sleep(backoff.pause(delivery)).await;
    }
}

fn describe(span: &ActiveSpan, topic: &str, operation: &'static str, id: &str) {
    span.set("messaging.system", SYSTEM);
    span.set("messaging.destination.name", topic.to_owned());
    span.set("messaging.operation.type", operation);
    span.set("messaging.operation.name", operation);
    span.set("messaging.message.id", id.to_owned());
    span.set("server.address", SYSTEM);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing;
    use super::*;

    fn message(payload: serde_json::Value) -> Message {
        Message { id: "m-1".into(), topic: "order.paid".into(), caused_by: String::new(), payload }
    }

    #[tokio::test]
    async fn every_consumer_gets_the_message_once() {
        let bus = Bus::default();
        let (seen, mut received) = mpsc::unbounded_channel();
        for service in ["logistics", "notification"] {
            let seen = seen.clone();
            let subscription = Subscription::new("order.paid", move |order: String| {
                let seen = seen.clone();
                async move { seen.send((service, order)).map_err(Error::internal) }
            });
            bus.subscribe(service, testing::telemetry(), subscription);
        }
        bus.publish(&testing::telemetry(), message(json!("u1-1"))).await.unwrap();
        bus.work().idle().await;
        let mut all = [received.recv().await.unwrap(), received.recv().await.unwrap()];
        all.sort_unstable();
        assert_eq!(all, [("logistics", "u1-1".to_owned()), ("notification", "u1-1".to_owned())]);
        assert!(received.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_keeps_failing_does_not_block_the_bus() {
        let bus = Bus::default();
        let (attempt, mut attempts) = mpsc::unbounded_channel();
        let subscription = Subscription::new("order.paid", move |order: String| {
            attempt.send(order).unwrap();
            async { Err(Error::conflict("never")) }
        });
        bus.subscribe("logistics", testing::telemetry(), subscription);
        bus.publish(&testing::telemetry(), message(json!("u1-1"))).await.unwrap();
        bus.work().idle().await;
        let mut count = 0;
        while attempts.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, DELIVERIES);
    }
}

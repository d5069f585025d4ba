//! Messages: who publishes them, and who takes them.

use super::super::model::{Attributes, Consumer, MS, Publish, S, Topic, Value};
use super::{CLIENT, CONSUMER, Frame, Message, PRODUCER, Sender, Simulation, Span, text};

/// A broker that consumers ask over and over by an interface of the cloud.
const POLLED: &str = "aws_sqs";
const POLLED_HOST: &str = "sqs.eu-west-1.amazonaws.com";

/// What every span about a topic says; consumers know it by the name of their queue.
fn base(topic: &Topic, name: &str, kind: &str) -> Attributes {
    let is_polled = topic.system == POLLED;
    let host = if is_polled { POLLED_HOST.to_owned() } else { format!("{}.infra", topic.system) };
    let mut attributes: Attributes = vec![
        ("messaging.system", text(topic.system)),
        ("messaging.destination.name", text(name)),
        ("messaging.operation.type", text(kind)),
        ("messaging.operation.name", text(if kind == "send" { "publish" } else { kind })),
    ];
    if kind != "process" {
        attributes.push(("server.address", text(host)));
    }
    if is_polled && kind != "process" {
        let method = if kind == "receive" { "ReceiveMessage" } else { "SendMessage" };
        let url = format!("https://{POLLED_HOST}/123456789012/{name}");
        attributes.extend([
            ("rpc.system", text("aws-api")),
            ("rpc.service", text("SQS")),
            ("rpc.method", text(method)),
            ("aws.sqs.queue.url", text(url)),
        ]);
    }
    if topic.queue.is_some() && topic.system == "rabbitmq" {
        attributes.push(("messaging.rabbitmq.destination.routing_key", text("changed")));
    }
    attributes
}

fn queue(topic: &Topic) -> &str {
    topic.queue.as_ref().unwrap_or(&topic.name)
}

impl Simulation<'_> {
    pub(super) fn publish(&mut self, publish: &Publish, frame: &mut Frame) {
        let topic = &self.system.topics[publish.topic];
        for _ in 0..publish.creates {
            let (id, start) = (self.random.next(), frame.at);
            frame.at += 10_000;
            let attributes = base(topic, &topic.name, "create");
            self.push(frame, id, PRODUCER, format!("create {}", topic.name), start, frame.at, false, attributes);
            self.messages[publish.topic].push(Message { trace: frame.trace, span: id, at: frame.at });
        }
        let (id, start) = (self.random.next(), frame.at);
        frame.at += self.random.between((300_000, 2 * MS));
        let mut attributes = base(topic, &topic.name, "send");
        if publish.creates > 0 {
            attributes.push(("messaging.batch.message_count", Value::Number(publish.creates as i64)));
        } else {
            self.messages[publish.topic].push(Message { trace: frame.trace, span: id, at: frame.at });
        }
        let kind = if publish.creates > 0 { CLIENT } else { PRODUCER };
        self.push(frame, id, kind, format!("send {}", topic.name), start, frame.at, false, attributes);
    }

    pub(super) fn consume(&mut self, index: usize) {
        let topic = &self.system.topics[index];
        let mut messages = std::mem::take(&mut self.messages[index]);
        messages.sort_by_key(|message| message.at);
        for consumer in &topic.consumers {
            for batch in messages.chunks(consumer.batch) {
                self.take_batch(topic, consumer, batch);
            }
        }
    }

    fn take_batch(&mut self, topic: &Topic, consumer: &Consumer, batch: &[Message]) {
        let service = self.system.operations[consumer.operation].service;
        let mut attributes = base(topic, queue(topic), "process");
        attributes.push(("messaging.consumer.group.name", text(self.system.services[service].name.clone())));
        if consumer.batch > 1 {
            attributes.push(("messaging.batch.message_count", Value::Number(batch.len() as i64)));
        }
        let last = &batch[batch.len() - 1];
        let mut at = last.at + self.random.between((MS, 30 * MS));
        let has_links = consumer.batch > 1 || consumer.links;
        let links: Vec<_> = batch.iter().map(|each| (each.trace, each.span)).collect();
        let mut context = if has_links { (self.trace(), 0) } else { (last.trace, last.span) };
        if topic.system == POLLED {
            let received = self.receive(topic, service, at, links.clone());
            at += 6 * MS;
            context = if has_links { received } else { context };
        }
        let links = if has_links { links } else { Vec::new() };
        let sender = Sender { source: None, address: String::new(), port: 0, forwarded: None };
        let key = self.random.between((1_000, 999_999));
        self.operate(consumer.operation, context, at, key, &sender, (false, 0), Some((links, attributes)));
    }

    /// The root span of asking a broker for messages: its trace and id.
    fn receive(&mut self, topic: &Topic, service: usize, at: u64, links: Vec<(u128, u64)>) -> (u128, u64) {
        let (trace, id) = (self.trace(), self.random.next());
        let mut attributes = base(topic, queue(topic), "receive");
        attributes.push(("messaging.batch.message_count", Value::Number(links.len() as i64)));
        self.spans.push(Span {
            service,
            instance: 0,
            trace,
            id,
            parent: 0,
            kind: if links.is_empty() { CLIENT } else { CONSUMER },
            name: format!("receive {}", queue(topic)),
            start: at,
            end: at + 5 * MS,
            is_error: false,
            attributes,
            links,
            is_sidecar: false,
        });
        (trace, id)
    }

    /// Consumers ask in vain, too.
    pub(super) fn poll(&mut self, topic: &Topic) {
        for consumer in topic.consumers.iter().filter(|_| topic.system == POLLED) {
            let service = self.system.operations[consumer.operation].service;
            for at in (0..self.system.duration).step_by((20 * S) as usize) {
                self.receive(topic, service, at, Vec::new());
            }
        }
    }
}

//! Lets a system run: every request walks the steps of its operations and leaves spans.

use std::collections::HashMap;

use super::model::{
    Access, Address, Attributes, Call, Entry, Key, MS, Operation, Protocol, Publish, Source, Step, System, Value,
};
use super::random::Random;

pub(super) const INTERNAL: u8 = 1;
pub(super) const SERVER: u8 = 2;
pub(super) const CLIENT: u8 = 3;
pub(super) const PRODUCER: u8 = 4;
pub(super) const CONSUMER: u8 = 5;

#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) service: usize,
    pub(super) instance: usize,
    pub(super) trace: u128,
    pub(super) id: u64,
    /// 0: none.
    pub(super) parent: u64,
    pub(super) kind: u8,
    pub(super) name: String,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) is_error: bool,
    pub(super) attributes: Attributes,
    pub(super) links: Vec<(u128, u64)>,
}

struct Message {
    trace: u128,
    span: u64,
    at: u64,
}

/// Where the execution of an operation stands.
#[derive(Clone)]
struct Frame {
    service: usize,
    instance: usize,
    trace: u128,
    parent: u64,
    at: u64,
    /// The request's own parameter.
    key: u64,
    /// The round of the innermost loop.
    round: u64,
}

#[derive(Clone, Copy)]
struct Done {
    end: u64,
    failed: bool,
    refused: bool,
}

/// Who sends a request.
struct Sender {
    source: Option<Source>,
    address: String,
    port: u64,
}

pub(super) struct Simulation<'s> {
    system: &'s System,
    random: Random,
    spans: Vec<Span>,
    messages: Vec<Vec<Message>>,
    /// Ends of the queries of an (instance, store) that queue.
    busy: HashMap<(usize, usize, usize), Vec<u64>>,
}

/// The spans of everything that happens, in nanoseconds from the beginning.
pub(super) fn simulate(system: &System, seed: u64) -> Vec<Span> {
    let messages = system.topics.iter().map(|_| Vec::new()).collect();
    let random = Random::new(seed ^ 0x5eed);
    let mut simulation = Simulation { system, random, spans: Vec::new(), messages, busy: HashMap::new() };
    for entry in &system.entries {
        simulation.enter(entry);
    }
    // A consumer may publish in turn; what a system sends in circles ends after a few rounds.
    for _ in 0..4 {
        for topic in 0..system.topics.len() {
            simulation.consume(topic);
        }
    }
    simulation.spans
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

impl<'s> Simulation<'s> {
    fn trace(&mut self) -> u128 {
        (u128::from(self.random.next()) << 64) | u128::from(self.random.next())
    }

    fn network(&mut self) -> u64 {
        self.random.between((250_000, 900_000))
    }

    fn enter(&mut self, entry: &'s Entry) {
        let mut left = entry.requests;
        let mut rounds = 0;
        let (from, to) = entry.within.unwrap_or((0, self.system.duration));
        while left > 0 {
            let slots = entry.requests.div_ceil(entry.burst);
            let width = (to - from) / slots;
            let at = from + rounds * width + self.random.between((0, width * 9 / 10));
            for _ in 0..entry.burst.min(left) {
                self.request(entry, at);
            }
            left -= entry.burst.min(left);
            rounds += 1;
        }
    }

    fn request(&mut self, entry: &'s Entry, at: u64) {
        let key = self.random.between((1_000, 999_999));
        let trace = self.trace();
        let address = match entry.source {
            Source::Client if self.random.chance(0.5) => {
                format!("203.0.113.{}", self.random.between((1, 250)))
            }
            Source::Translated => "81.17.3.9".to_owned(),
            Source::Client => format!("81.17.{}.{}", self.random.between((1, 250)), self.random.between((1, 250))),
            _ => format!("10.1.{}.{}", self.random.between((1, 9)), self.random.between((1, 250))),
        };
        let parent = if entry.source == Source::Lost { self.random.next() } else { 0 };
        let sender = Sender { source: Some(entry.source), address, port: self.random.between((30_000, 60_000)) };
        let jitter = self.random.between((0, 2 * MS));
        self.operate(entry.operation, (trace, parent), at + jitter, key, &sender, (false, 0), None);
    }

    /// Executes an operation. `fate` says whether it fails, and for how many nanoseconds it stalls.
    #[expect(clippy::too_many_arguments, reason = "everything a request carries")]
    fn operate(
        &mut self,
        index: usize,
        (trace, parent): (u128, u64),
        at: u64,
        key: u64,
        sender: &Sender,
        (fails, stalls): (bool, u64),
        messages: Option<(Vec<(u128, u64)>, Attributes)>,
    ) -> Done {
        let operation = &self.system.operations[index];
        let service = &self.system.services[operation.service];
        let instance = self.random.below(service.instances.len());
        let id = self.random.next();
        let mut frame = Frame {
            service: operation.service,
            instance,
            trace,
            parent: id,
            at: at + self.random.between(operation.work_us) * 500,
            key,
            round: key,
        };
        let is_out = operation.outage.is_some_and(|(from, to)| (from..to).contains(&at));
        let refused = self.random.chance(operation.refusing);
        let mut failed = fails || is_out || self.random.chance(operation.failing);
        let mut afterwards = None;
        if !failed && !refused {
            for step in &operation.steps {
                if let Step::Afterwards(steps) = step {
                    afterwards = Some(steps);
                } else if !self.step(step, &mut frame) {
                    failed = true;
                    break;
                }
            }
        }
        frame.at += stalls + self.random.between(operation.work_us) * 500;
        let end = frame.at;
        if let Some(steps) = afterwards {
            self.steps(steps, &mut frame);
        }
        let mut attributes = operation.attributes.clone();
        if operation.is_stream {
            attributes.push(("http.response.header.content-type", text("text/event-stream")));
        }
        let mut span = Span {
            service: operation.service,
            instance,
            trace,
            id,
            parent,
            kind: SERVER,
            name: String::new(),
            start: at,
            end,
            is_error: failed,
            attributes,
            links: Vec::new(),
        };
        if let Some((links, attributes)) = messages {
            span.links = links;
            span.attributes.extend(attributes);
        }
        self.describe(operation, key, sender, refused, &mut span);
        self.spans.push(span);
        Done { end, failed, refused }
    }

    /// Name, kind and attributes of the span of an operation.
    fn describe(&mut self, operation: &Operation, key: u64, sender: &Sender, refused: bool, span: &mut Span) {
        let service = &self.system.services[operation.service];
        match &operation.protocol {
            Protocol::Http { method, route } => {
                let path = route.replace("{id}", &key.to_string());
                span.name = if operation.is_raw { format!("{method} {path}") } else { format!("{method} {route}") };
                let status = match (span.is_error, refused, operation.redirects) {
                    (true, ..) => 500,
                    (_, true, _) => 404,
                    (.., true) => 302,
                    _ => 200,
                };
                span.attributes.extend([
                    ("http.request.method", text(*method)),
                    ("url.path", text(path)),
                    ("url.scheme", text(if self.system.is_encrypted { "https" } else { "http" })),
                    ("http.response.status_code", Value::Number(status)),
                    ("server.address", text(service.name.clone())),
                    ("server.port", Value::Number(8080)),
                    ("client.address", text(sender.address.clone())),
                    ("network.peer.address", text(sender.address.clone())),
                    ("network.peer.port", Value::Number(sender.port as i64)),
                ]);
                if !operation.is_raw {
                    span.attributes.push(("http.route", text(route.clone())));
                }
                let agent = match sender.source {
                    Some(Source::Probe) => "kube-probe/1.31",
                    Some(Source::Client | Source::Translated) => "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
                    _ => "okhttp/4.12.0",
                };
                span.attributes.push(("user_agent.original", text(agent)));
            }
            Protocol::Grpc { method } => {
                span.name.clone_from(method);
                let status = match (span.is_error, refused) {
                    (true, _) => "INTERNAL",
                    (_, true) => "NOT_FOUND",
                    _ => "OK",
                };
                span.attributes.extend([
                    ("rpc.system.name", text("grpc")),
                    ("rpc.method", text(method.clone())),
                    ("rpc.response.status_code", text(status)),
                    ("server.address", text(service.name.clone())),
                    ("server.port", Value::Number(50051)),
                    ("client.address", text(sender.address.clone())),
                ]);
            }
            Protocol::Job { name } => {
                span.kind = INTERNAL;
                span.name.clone_from(name);
            }
            Protocol::Consumer => {
                span.kind = CONSUMER;
                let destination = span.attributes.iter().find(|(key, _)| *key == "messaging.destination.name");
                if let Some((_, Value::Text(destination))) = destination {
                    span.name = format!("process {destination}");
                }
            }
        }
    }

    fn steps(&mut self, steps: &'s [Step], frame: &mut Frame) -> bool {
        steps.iter().all(|step| self.step(step, frame))
    }

    fn step(&mut self, step: &'s Step, frame: &mut Frame) -> bool {
        match step {
            Step::Call(call) => self.call(call, frame),
            Step::Access(access) => {
                self.access(access, frame);
                true
            }
            Step::Publish(publish) => {
                self.publish(publish, frame);
                true
            }
            Step::External { url, key, attributes } => {
                self.external(url, *key, attributes, frame);
                true
            }
            Step::Internal(name, steps) => {
                let (start, parent, id) = (frame.at, frame.parent, self.random.next());
                frame.parent = id;
                frame.at += self.random.between((20_000, 80_000));
                let done = self.steps(steps, frame);
                frame.parent = parent;
                frame.at += self.random.between((20_000, 80_000));
                self.push(frame, id, INTERNAL, name.clone(), start, frame.at, !done, Vec::new());
                done
            }
            Step::Repeat { times, at_once, gap_ms, steps } => self.repeat(*times, *at_once, gap_ms * MS, steps, frame),
            Step::Maybe(share, steps) => !self.random.chance(*share) || self.steps(steps, frame),
            Step::AtOnce(steps) => {
                let (start, mut end, mut done) = (frame.at, frame.at, true);
                for step in steps {
                    frame.at = start + self.random.between((1_000, 40_000));
                    done &= self.step(step, frame);
                    end = end.max(frame.at);
                }
                frame.at = end;
                done
            }
            Step::Afterwards(steps) => self.steps(steps, frame),
            Step::Wait { ms } => {
                frame.at += self.random.between((ms.0 * MS, ms.1 * MS));
                true
            }
        }
    }

    fn repeat(&mut self, times: (u64, u64), at_once: bool, gap: u64, steps: &'s [Step], frame: &mut Frame) -> bool {
        let (start, outer, mut end, mut done) = (frame.at, frame.round, frame.at, true);
        let first = self.random.between((1_000, 900_000));
        for round in 0..self.random.between(times) {
            frame.round = first + round;
            if at_once {
                frame.at = start + self.random.between((1_000, 60_000));
            }
            done &= self.steps(steps, frame);
            end = end.max(frame.at);
            frame.at += self.random.between((20_000, 60_000)) + gap;
        }
        frame.at = end;
        frame.round = outer;
        done
    }

    #[expect(clippy::too_many_arguments, reason = "everything a span has")]
    fn push(
        &mut self,
        frame: &Frame,
        id: u64,
        kind: u8,
        name: String,
        start: u64,
        end: u64,
        is_error: bool,
        attributes: Attributes,
    ) {
        let (service, instance, trace, parent) = (frame.service, frame.instance, frame.trace, frame.parent);
        let links = Vec::new();
        self.spans.push(Span {
            service,
            instance,
            trace,
            id,
            parent,
            kind,
            name,
            start,
            end,
            is_error,
            attributes,
            links,
        });
    }

    fn call(&mut self, call: &'s Call, frame: &mut Frame) -> bool {
        let callee = &self.system.operations[call.operation];
        if let Some((from, to)) = callee.outage
            && call.breaker > 1
            && (from..to).contains(&frame.at)
            && self.random.below(call.breaker as usize) > 0
        {
            return call.degrades;
        }
        let key = match call.key {
            Key::Request => frame.key,
            Key::Round => frame.round,
            Key::Unknown => self.random.between((1_000, 900_000)),
        };
        let sender =
            Sender { source: None, address: format!("10.2.0.{}", frame.service + 1), port: 40_000 + key % 9_999 };
        let mut attempt = 0;
        loop {
            let (id, start, network) = (self.random.next(), frame.at, self.network());
            let stalls = if self.random.chance(call.stalls.0) { call.stalls.1 * MS } else { 0 };
            let fate = (self.random.chance(call.failing), stalls);
            if call.is_browser_redirect {
                // The browser follows after it has been answered, and carries the trace with it.
                let context = (frame.trace, frame.parent);
                let later = frame.at + 400 * MS;
                self.operate(call.operation, context, later, key, &sender, fate, None);
                return true;
            }
            let context = if call.loses_context { (self.trace(), 0) } else { (frame.trace, id) };
            let done = self.operate(call.operation, context, start + network, key, &sender, fate, None);
            let answered = done.end + self.random.between((network / 2, network));
            let timed_out = call.timeout.is_some_and(|timeout| answered > start + timeout);
            let end = call.timeout.map_or(answered, |timeout| answered.min(start + timeout));
            let failed = done.failed || timed_out;
            let attributes = self.client_attributes(call, callee, key, frame.round, attempt, done, timed_out);
            let name = match &callee.protocol {
                Protocol::Http { method, .. } => (*method).to_owned(),
                Protocol::Grpc { method } => method.clone(),
                _ => String::new(),
            };
            self.push(frame, id, CLIENT, name, start, end, failed || done.refused, attributes);
            frame.at = end;
            if !failed {
                return true;
            }
            if attempt == call.retries {
                return call.degrades;
            }
            attempt += 1;
            frame.at += self.random.between((2 * MS, 8 * MS));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything a call shows")]
    fn client_attributes(
        &mut self,
        call: &Call,
        callee: &Operation,
        key: u64,
        round: u64,
        attempt: u64,
        done: Done,
        timed_out: bool,
    ) -> Attributes {
        let service = &self.system.services[callee.service];
        let host = match call.address {
            Address::Name => service.name.clone(),
            Address::Shard => format!("{}-{}.{}", service.name, round % 64, service.name),
            Address::Ip => format!("10.20.30.{}", callee.service + 1),
            Address::Pod => format!("10.20.{}.{}", frame_pod(key), callee.service + 1),
            Address::Socket => format!("/var/run/{}.sock", service.name),
        };
        let mut attributes: Attributes = vec![("server.address", text(host.clone()))];
        if call.address == Address::Socket {
            attributes.push(("network.transport", text("unix")));
        }
        if callee.is_stream {
            attributes.push(("http.response.header.content-type", text("text/event-stream")));
        }
        match &callee.protocol {
            Protocol::Http { method, route } => {
                let path = route.replace("{id}", &key.to_string());
                let scheme = if self.system.is_encrypted { "https" } else { "http" };
                attributes.extend([("http.request.method", text(*method)), ("server.port", Value::Number(8080))]);
                if call.key != Key::Unknown && call.address != Address::Socket {
                    attributes.push(("url.full", text(format!("{scheme}://{host}:8080{path}"))));
                }
                if !timed_out {
                    let status = match (done.failed, done.refused, callee.redirects) {
                        (true, ..) => 500,
                        (_, true, _) => 404,
                        (.., true) => 302,
                        _ => 200,
                    };
                    attributes.push(("http.response.status_code", Value::Number(status)));
                }
                if attempt > 0 {
                    attributes.push(("http.request.resend_count", Value::Number(attempt as i64)));
                }
            }
            Protocol::Grpc { method } => {
                let status = match (timed_out, done.failed, done.refused) {
                    (true, ..) => "DEADLINE_EXCEEDED",
                    (_, true, _) => "UNAVAILABLE",
                    (.., true) => "NOT_FOUND",
                    _ => "OK",
                };
                attributes.extend([
                    ("rpc.system.name", text("grpc")),
                    ("rpc.method", text(method.clone())),
                    ("rpc.response.status_code", text(status)),
                    ("server.port", Value::Number(50051)),
                ]);
            }
            Protocol::Job { .. } | Protocol::Consumer => {}
        }
        if timed_out {
            attributes.push(("error.type", text("timeout")));
        } else if done.failed {
            attributes.push(("error.type", text("500")));
        }
        attributes
    }

    fn external(&mut self, url: &str, key: Key, more: &Attributes, frame: &mut Frame) {
        let (id, start) = (self.random.next(), frame.at);
        let number = if key == Key::Round { frame.round } else { frame.key };
        let url = url.replace("{}", &number.to_string()).replace("{shard}", &(frame.round % 64).to_string());
        let host = url.split("//").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default().to_owned();
        frame.at += self.random.between((5 * MS, 20 * MS));
        let mut attributes: Attributes = vec![
            ("http.request.method", text("POST")),
            ("url.full", text(url)),
            ("server.address", text(host)),
            ("http.response.status_code", Value::Number(200)),
        ];
        attributes.extend(more.iter().cloned());
        self.push(frame, id, CLIENT, "POST".to_owned(), start, frame.at, false, attributes);
    }

    fn access(&mut self, access: &'s Access, frame: &mut Frame) {
        let store = &self.system.stores[access.store];
        let (outer, id, start) = (self.random.next(), self.random.next(), frame.at);
        let work =
            if self.random.chance(access.slow.0) { (access.slow.1, access.slow.1 * 3 / 2) } else { access.work_us };
        let mut end = start + self.random.between(work) * 1_000;
        if access.queues {
            let running = self.busy.entry((frame.service, frame.instance, access.store)).or_default();
            running.retain(|&other| other > start);
            end += (running.len() as u64) * (end - start) / 4;
            running.push(end);
        }
        let (name, attributes) = query(access, store, frame);
        let parent = frame.parent;
        if access.is_wrapped {
            let name = format!("{} {}", access.verb, access.table);
            let mut attributes = attributes.clone();
            attributes.retain(|(key, _)| !matches!(*key, "server.address" | "server.port"));
            self.push(frame, outer, CLIENT, name, start - 10_000, end + 10_000, false, attributes);
            frame.parent = outer;
        }
        self.push(frame, id, CLIENT, name, start, end, false, attributes);
        frame.parent = parent;
        frame.at = end + 10_000;
    }

    fn publish(&mut self, publish: &Publish, frame: &mut Frame) {
        let topic = &self.system.topics[publish.topic];
        let base = |kind: &str| -> Attributes {
            vec![
                ("messaging.system", text(topic.system)),
                ("messaging.destination.name", text(topic.name.clone())),
                ("messaging.operation.type", text(kind)),
                ("messaging.operation.name", text(if kind == "send" { "publish" } else { kind })),
                ("server.address", text(format!("{}.infra", topic.system))),
            ]
        };
        for _ in 0..publish.creates {
            let (id, start) = (self.random.next(), frame.at);
            frame.at += 10_000;
            let name = format!("create {}", topic.name);
            self.push(frame, id, PRODUCER, name, start, frame.at, false, base("create"));
            self.messages[publish.topic].push(Message { trace: frame.trace, span: id, at: frame.at });
        }
        let (id, start) = (self.random.next(), frame.at);
        frame.at += self.random.between((300_000, 2 * MS));
        let mut attributes = base("send");
        if publish.creates > 0 {
            attributes.push(("messaging.batch.message_count", Value::Number(publish.creates as i64)));
        } else {
            self.messages[publish.topic].push(Message { trace: frame.trace, span: id, at: frame.at });
        }
        let kind = if publish.creates > 0 { CLIENT } else { PRODUCER };
        self.push(frame, id, kind, format!("send {}", topic.name), start, frame.at, false, attributes);
    }

    fn consume(&mut self, index: usize) {
        let topic = &self.system.topics[index];
        let mut messages = std::mem::take(&mut self.messages[index]);
        messages.sort_by_key(|message| message.at);
        for consumer in &topic.consumers {
            let service = &self.system.services[self.system.operations[consumer.operation].service];
            for batch in messages.chunks(consumer.batch) {
                let attributes: Attributes = vec![
                    ("messaging.system", text(topic.system)),
                    ("messaging.destination.name", text(topic.name.clone())),
                    ("messaging.operation.type", text("process")),
                    ("messaging.operation.name", text("process")),
                    ("messaging.consumer.group.name", text(service.name.clone())),
                    ("messaging.batch.message_count", Value::Number(batch.len() as i64)),
                ];
                let attributes = if consumer.batch == 1 { attributes[..5].to_vec() } else { attributes };
                let last = &batch[batch.len() - 1];
                let at = last.at + self.random.between((MS, 30 * MS));
                let sender = Sender { source: None, address: String::new(), port: 0 };
                let links = consumer.batch > 1 || consumer.links;
                let context = if links { (self.trace(), 0) } else { (last.trace, last.span) };
                let links = if links { batch.iter().map(|each| (each.trace, each.span)).collect() } else { Vec::new() };
                let key = self.random.between((1_000, 999_999));
                let received = Some((links, attributes));
                self.operate(consumer.operation, context, at, key, &sender, (false, 0), received);
            }
        }
    }
}

/// Which of the pods that a service had so far, by the key of a request.
fn frame_pod(key: u64) -> u64 {
    key % 40
}

/// Name and attributes of the span of a query.
fn query(access: &Access, store: &super::model::Store, frame: &Frame) -> (String, Attributes) {
    let key = match access.key {
        Key::Request => Some(frame.key),
        Key::Round => Some(frame.round),
        Key::Unknown => None,
    };
    let (verb, table) = (access.verb, &access.table);
    let shown = key.map_or_else(|| "$1".to_owned(), |key| key.to_string());
    let mut attributes: Attributes = vec![("db.system.name", text(store.system))];
    let (statement, namespace) = match store.system {
        "redis" => (format!("{verb} {table}:{shown}"), "0".to_owned()),
        "mongodb" => {
            let shown = key.map_or_else(|| "?".to_owned(), |key| key.to_string());
            (format!("{{\"{verb}\":\"{table}\",\"filter\":{{\"_id\":\"{shown}\"}}}}"), store.namespace.clone())
        }
        _ => (sql(verb, table, &shown), store.namespace.clone()),
    };
    attributes.push(("db.query.text", text(statement)));
    attributes.push(("db.operation.name", text(verb.split(' ').next().unwrap_or_default())));
    attributes.push(("db.namespace", text(namespace)));
    let is_statement = ["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&verb);
    if store.system != "redis" && (is_statement || store.system == "mongodb") {
        attributes.push(("db.collection.name", text(table.clone())));
    }
    if access.batch > 1 {
        attributes.push(("db.operation.batch.size", Value::Number(access.batch as i64)));
    }
    if !store.address.is_empty() {
        let address = if access.is_sharded {
            format!("shard-{}.{}", frame.round % 64, store.address)
        } else {
            store.address.clone()
        };
        attributes.push(("server.address", text(address)));
        if store.port > 0 {
            attributes.push(("server.port", Value::Number(i64::from(store.port))));
        }
    }
    let name = if store.system == "redis" || !is_statement { verb.to_owned() } else { format!("{verb} {table}") };
    (name, attributes)
}

fn sql(verb: &str, table: &str, key: &str) -> String {
    match verb {
        "SELECT" => format!("SELECT id, name, state FROM {table} WHERE id = {key}"),
        "INSERT" => format!("INSERT INTO {table} (id, state) VALUES ({key}, 'new')"),
        "UPDATE" => format!("UPDATE {table} SET state = 'done' WHERE id = {key}"),
        "DELETE" => format!("DELETE FROM {table} WHERE id = {key}"),
        "LOCK" => format!("SELECT id FROM {table} WHERE id = {key} FOR UPDATE"),
        "CREATE" => format!("CREATE INDEX IF NOT EXISTS {table}_id ON {table} (id)"),
        other => other.to_owned(),
    }
}

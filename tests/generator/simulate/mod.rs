//! Lets a system run: every request walks the steps of its operations and leaves spans.

mod calls;
mod messages;
mod queries;

use std::collections::HashMap;

use super::model::{Attributes, Entry, MS, Operation, Protocol, Source, Step, System, Value};
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
    /// Sent by the sidecar of the service, not by itself.
    pub(super) is_sidecar: bool,
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
    /// Whatever is asked for answers a field of a GraphQL query.
    resolves: bool,
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
    /// For whom the sender asks.
    forwarded: Option<String>,
}

impl Sender {
    /// Whose address the server takes for that of its client.
    fn client(&self) -> &str {
        self.forwarded.as_ref().unwrap_or(&self.address)
    }
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
    for topic in &system.topics {
        simulation.poll(topic);
    }
    simulation.spans.retain(|span| !system.services[span.service].is_mute);
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
        let port = self.random.between((30_000, 60_000));
        let sender = Sender { source: Some(entry.source), address, port, forwarded: None };
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
            resolves: false,
        };
        let is_out = operation.outage.is_some_and(|(from, to)| (from..to).contains(&at));
        let refused = self.random.chance(operation.refusing);
        let mut failed = fails || is_out || self.random.chance(operation.failing);
        if !failed && !refused {
            failed = !self.run(operation, &mut frame);
        }
        frame.at += stalls + self.random.between(operation.work_us) * 500;
        let end = frame.at;
        for step in &operation.steps {
            if let Step::Afterwards(steps) = step
                && !failed
                && !refused
            {
                self.steps(steps, &mut frame);
            }
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
            is_sidecar: false,
        };
        if let Some((links, attributes)) = messages {
            span.links = links;
            span.attributes.extend(attributes);
        }
        self.describe(operation, key, sender, refused, &mut span);
        self.spans.push(span);
        Done { end, failed, refused }
    }

    /// What an operation does before it answers; says whether it succeeds.
    fn run(&mut self, operation: &'s Operation, frame: &mut Frame) -> bool {
        let mut before = operation.steps.iter().filter(|step| !matches!(step, Step::Afterwards(_)));
        let Protocol::Graphql { name } = &operation.protocol else {
            return before.all(|step| self.step(step, frame));
        };
        frame.resolves = true;
        let attributes = vec![
            ("graphql.operation.type", text("query")),
            ("graphql.operation.name", text(name.clone())),
            ("graphql.document", text(format!("query {name} {{ {name} {{ id }} }}"))),
        ];
        let name = format!("query {name}");
        let done = self.within(frame, name, attributes, |this, frame| before.all(|step| this.step(step, frame)));
        frame.resolves = false;
        done
    }

    /// Does something below an INTERNAL span.
    fn within(
        &mut self,
        frame: &mut Frame,
        name: String,
        attributes: Attributes,
        run: impl FnOnce(&mut Self, &mut Frame) -> bool,
    ) -> bool {
        let (start, parent, id) = (frame.at, frame.parent, self.random.next());
        frame.parent = id;
        frame.at += self.random.between((20_000, 80_000));
        let done = run(self, frame);
        frame.parent = parent;
        frame.at += self.random.between((20_000, 80_000));
        self.push(frame, id, INTERNAL, name, start, frame.at, !done, attributes);
        done
    }

    /// Name, kind and attributes of the span of an operation.
    fn describe(&self, operation: &Operation, key: u64, sender: &Sender, refused: bool, span: &mut Span) {
        let service = &self.system.services[operation.service];
        match &operation.protocol {
            Protocol::Http { method, route } => {
                self.describe_http(operation, (method, route), key, sender, refused, span);
            }
            Protocol::Graphql { .. } => {
                self.describe_http(operation, ("POST", "/graphql"), key, sender, refused, span);
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
                    ("client.address", text(sender.client())),
                    ("network.peer.address", text(sender.address.clone())),
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

    fn describe_http(
        &self,
        operation: &Operation,
        (method, route): (&str, &str),
        key: u64,
        sender: &Sender,
        refused: bool,
        span: &mut Span,
    ) {
        let path = route.replace("{id}", &key.to_string());
        span.name = if operation.is_raw { format!("{method} {path}") } else { format!("{method} {route}") };
        let status = match (span.is_error, refused, operation.redirects) {
            (true, ..) => 500,
            (_, true, _) => 404,
            (.., true) => 302,
            _ => 200,
        };
        span.attributes.extend([
            ("http.request.method", text(method)),
            ("url.path", text(path)),
            ("url.scheme", text(if self.system.is_encrypted { "https" } else { "http" })),
            ("http.response.status_code", Value::Number(status)),
            ("server.address", text(self.system.services[operation.service].name.clone())),
            ("server.port", Value::Number(8080)),
            ("client.address", text(sender.client())),
            ("network.peer.address", text(sender.address.clone())),
            ("network.peer.port", Value::Number(sender.port as i64)),
        ]);
        if !operation.is_raw {
            span.attributes.push(("http.route", text(route)));
        }
        let agent = match sender.source {
            Some(Source::Probe) => "kube-probe/1.31",
            Some(Source::Client | Source::Translated) => "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
            _ => "okhttp/4.12.0",
        };
        span.attributes.push(("user_agent.original", text(agent)));
    }

    fn steps(&mut self, steps: &'s [Step], frame: &mut Frame) -> bool {
        steps.iter().all(|step| self.step(step, frame))
    }

    fn step(&mut self, step: &'s Step, frame: &mut Frame) -> bool {
        let field = match step {
            Step::Call(_) | Step::External { .. } => "related",
            Step::Access(access) => &access.table,
            _ => "",
        };
        if !frame.resolves || field.is_empty() {
            return self.take(step, frame);
        }
        let attributes = vec![("graphql.field.name", text(field))];
        self.within(frame, format!("graphql.resolve {field}"), attributes, |this, frame| this.take(step, frame))
    }

    fn take(&mut self, step: &'s Step, frame: &mut Frame) -> bool {
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
                self.within(frame, name.clone(), Vec::new(), |this, frame| this.steps(steps, frame))
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
            is_sidecar: false,
        });
    }
}

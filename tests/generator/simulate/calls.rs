//! Calls: of services, with attempts and timeouts, and of hosts without telemetry.

use super::super::model::{Address, Attributes, Call, Key, MS, Operation, Protocol, Value};
use super::{CLIENT, Done, Frame, Sender, Simulation, text};

impl<'s> Simulation<'s> {
    pub(super) fn call(&mut self, call: &'s Call, frame: &mut Frame) -> bool {
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
        let sender = self.sender(frame, key);
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
            let loses_context = call.loses_context || self.system.services[frame.service].is_mute;
            let context = if loses_context { (self.trace(), 0) } else { (frame.trace, id) };
            let done = self.operate(call.operation, context, start + network, key, &sender, fate, None);
            let answered = done.end + self.random.between((network / 2, network));
            let timed_out = call.timeout.is_some_and(|timeout| answered > start + timeout);
            let end = call.timeout.map_or(answered, |timeout| answered.min(start + timeout));
            let failed = done.failed || timed_out;
            let attributes = self.client_attributes(call, callee, key, frame.round, attempt, done, timed_out);
            let name = match &callee.protocol {
                Protocol::Http { method, .. } => (*method).to_owned(),
                Protocol::Grpc { method } => method.clone(),
                Protocol::Graphql { .. } => "POST".to_owned(),
                Protocol::Job { .. } | Protocol::Consumer => String::new(),
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

    fn sender(&self, frame: &Frame, key: u64) -> Sender {
        let forwarded = (self.system.is_forwarding && frame.service == self.system.gateway)
            .then(|| format!("81.17.{}.{}", frame.key % 250 + 1, frame.key / 250 % 250 + 1));
        let address = format!("10.2.0.{}", frame.service + 1);
        Sender { source: None, address, port: 40_000 + key % 9_999, forwarded }
    }

    #[expect(clippy::too_many_arguments, reason = "everything a call shows")]
    fn client_attributes(
        &self,
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
                let path = (call.key != Key::Unknown).then(|| route.replace("{id}", &key.to_string()));
                attributes.extend(self.http_attributes(call, callee, (method, path), &host, attempt, done, timed_out));
            }
            Protocol::Graphql { .. } => {
                let path = Some("/graphql".to_owned());
                attributes.extend(self.http_attributes(call, callee, ("POST", path), &host, attempt, done, timed_out));
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

    #[expect(clippy::too_many_arguments, reason = "everything a call shows")]
    fn http_attributes(
        &self,
        call: &Call,
        callee: &Operation,
        (method, path): (&str, Option<String>),
        host: &str,
        attempt: u64,
        done: Done,
        timed_out: bool,
    ) -> Attributes {
        let scheme = if self.system.is_encrypted { "https" } else { "http" };
        let mut attributes: Attributes =
            vec![("http.request.method", text(method)), ("server.port", Value::Number(8080))];
        if let Some(path) = path.filter(|_| call.address != Address::Socket) {
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
        attributes
    }

    pub(super) fn external(&mut self, url: &str, key: Key, more: &Attributes, frame: &mut Frame) {
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
}

/// Which of the pods that a service had so far, by the key of a request.
fn frame_pod(key: u64) -> u64 {
    key % 40
}

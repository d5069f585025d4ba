//! A random healthy system, and the tools to build on its land: services with a store of their own, operations,
//! calls. Everything here keeps clear of every rule of the catalogue.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::mesh::Mesh;
use super::model::{
    Access, Address, Call, Consumer, Entry, Key, MINUTE, Operation, Protocol, Publish, Service, Source, Speech, Step,
    Store, System, Topic,
};
use super::random::Random;

const NOUNS: [&str; 48] = [
    "order", "parcel", "invoice", "basket", "review", "voucher", "refund", "courier", "depot", "tariff", "coupon",
    "rental", "ticket", "seat", "venue", "menu", "recipe", "ledger", "quote", "policy", "claim", "vessel", "berth",
    "freight", "lesson", "course", "grade", "pupil", "clinic", "patient", "dose", "ward", "meter", "bill", "outage",
    "tree", "crop", "field", "harvest", "market", "stall", "auction", "bid", "lot", "fleet", "driver", "trip", "fare",
];
const NAMESPACES: [&str; 6] = ["sales", "delivery", "finance", "content", "people", "supply"];
const BROKERS: &[&str] =
    &["kafka", "rabbitmq", "rabbitmq", "nats", "aws_sqs", "gcp_pubsub", "servicebus", "pulsar", "activemq"];

/// A system under construction.
pub(super) struct Land {
    pub(super) system: System,
    pub(super) random: Random,
    namespaces: Vec<&'static str>,
    nouns: Vec<&'static str>,
    suffix: &'static str,
    prefix: &'static str,
    /// Requests of each operation that clients use.
    pub(super) requests: u64,
}

impl Land {
    /// A gateway and nothing behind it yet.
    pub(super) fn empty(seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x9e37) ^ 0xa11);
        let mut namespaces = NAMESPACES.to_vec();
        random.shuffle(&mut namespaces);
        namespaces.truncate(2 + random.below(3));
        let mut nouns = NOUNS.to_vec();
        random.shuffle(&mut nouns);
        let system = System {
            hosts: 3 + random.below(6),
            duration: 7 * MINUTE + random.between((0, 3)) * MINUTE,
            is_encrypted: random.chance(0.5),
            is_forwarding: random.chance(0.5),
            mesh: random.chance(0.1).then(|| random.clone().pick(&[Mesh::Envoy, Mesh::Linkerd])),
            ..System::default()
        };
        let suffix = random.pick(&["", "-service", "-svc", "s"]);
        let prefix = random.pick(&["/v1", "/api/v2"]);
        let mut land = Self { system, random, namespaces, nouns, suffix, prefix, requests: 36 };
        land.system.gateway = land.named("edge-gateway", "edge");
        land.probe(land.system.gateway);
        land
    }

    /// A whole healthy system of `size` services behind the gateway.
    pub(super) fn populate(&mut self, size: usize) {
        let land = self;
        let fronts = (size / 2).max(3);
        let services: Vec<usize> = (0..size)
            .map(|place| {
                let namespace = land.namespaces[place % fronts % land.namespaces.len()];
                let service = land.service_in(namespace);
                if land.random.chance(0.1) {
                    land.system.services[service].speech = Speech::Graphql;
                }
                service
            })
            .collect();
        // From behind to front, so that what is called is there. The service behind a front is in its namespace.
        let mut operations: Vec<Vec<usize>> = vec![Vec::new(); size];
        for place in (0..size).rev() {
            let behind = if place + fronts < size { operations[place + fronts].clone() } else { Vec::new() };
            for number in 0..2 + land.random.below(2) {
                // The first calls the first, so that requests reach every service.
                let called = match behind.first() {
                    Some(&first) if number == 0 => Some(first),
                    Some(_) if land.random.chance(0.7) => Some(land.random.pick(&behind)),
                    _ => None,
                };
                let steps = called.map(|called| land.call(called)).into_iter().collect();
                operations[place].push(land.operation(services[place], steps));
            }
        }
        for operation in operations.iter().take(fronts).flatten().copied() {
            land.front(operation);
        }
        let firsts: Vec<usize> = operations.iter().map(|operations| operations[0]).collect();
        land.surroundings(&services, &firsts);
    }

    /// Caches, a topic, a scheduled job, around services by the first operation of each.
    fn surroundings(&mut self, services: &[usize], firsts: &[usize]) {
        for (&service, &operation) in services.iter().zip(firsts).take(2) {
            let cache = self.store("redis", &format!("cache-{}.infra", self.system.services[service].name));
            let table = self.system.services[service].table.clone();
            let step = self.access(cache, "GET", &table, Key::Request);
            self.system.operations[operation].steps.insert(0, step);
        }
        let topic = self.topic();
        let publish = Step::Maybe(0.3, vec![Step::Publish(Publish { topic, creates: 0 })]);
        self.system.operations[firsts[0]].steps.push(publish);
        let batch = self.random.pick(&[1, 1, 4]);
        self.consumer(topic, services[services.len() - 1], batch, Vec::new());
        self.job(services[1], Vec::new(), 14);
    }

    pub(super) fn name_of(&self, service: usize) -> String {
        self.system.services[service].name.clone()
    }

    /// A fresh service in a random namespace.
    pub(super) fn service(&mut self) -> usize {
        let namespace = self.namespaces[self.random.below(self.namespaces.len())];
        self.service_in(namespace)
    }

    /// Fresh services in one random namespace.
    pub(super) fn services<const N: usize>(&mut self) -> [usize; N] {
        let namespace = self.namespaces[self.random.below(self.namespaces.len())];
        [(); N].map(|()| self.service_in(namespace))
    }

    pub(super) fn service_in(&mut self, namespace: &str) -> usize {
        let number = self.system.names_taken;
        self.system.names_taken += 1;
        let noun = self.nouns[number % self.nouns.len()];
        // Two services of one name would be told apart by their namespaces, which is not what is tried here.
        let more = ["", "-archive", "-history", "-draft"][number / self.nouns.len()];
        let name = format!("{noun}{more}{}", self.suffix);
        self.named(&name, namespace)
    }

    pub(super) fn named(&mut self, name: &str, namespace: &str) -> usize {
        let system = self.random.pick(&["postgresql", "mysql", "postgresql", "mongodb"]);
        let address = format!("{system}.{namespace}.internal");
        let store = self.store(system, &address);
        let table = format!("{}s", name.replace(['-', '/'], "_"));
        self.system.stores[store].namespace.clone_from(&table);
        let instances = (0..=self.random.below(3)).map(|_| self.random.below(self.system.hosts)).collect();
        let service = Service {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            owner: Some(format!("team-{namespace}")),
            versions: vec![(0, format!("1.{}.0", self.random.below(9)))],
            instances,
            resource: Vec::new(),
            store,
            table,
            speech: if self.random.chance(0.3) { Speech::Grpc } else { Speech::Http },
            is_proxy: false,
            is_mute: false,
        };
        self.system.services.push(service);
        let service = self.system.services.len() - 1;
        if self.system.services.len() > 1 {
            self.probe(service);
        }
        service
    }

    /// A datastore with a namespace of its own.
    pub(super) fn store(&mut self, system: &'static str, address: &str) -> usize {
        let port = match system {
            "redis" => 6379,
            "mysql" => 3306,
            "mongodb" => 27017,
            _ => 5432,
        };
        let namespace = format!("data{}", self.system.stores.len());
        self.system.stores.push(Store { system, address: address.to_owned(), port, namespace });
        self.system.stores.len() - 1
    }

    pub(super) fn topic(&mut self) -> usize {
        let name = format!("{}.events.{}", self.nouns[self.random.below(NOUNS.len())], self.system.topics.len());
        let system = self.random.pick(BROKERS);
        // An exchange hands messages to queues, which are what consumers know.
        let queue = (system == "rabbitmq" && self.random.chance(0.6)).then(|| format!("{name}.queue"));
        self.system.topics.push(Topic { system, name, queue, consumers: Vec::new() });
        self.system.topics.len() - 1
    }

    /// `service` takes from `topic`, and touches its own table for each message.
    pub(super) fn consumer(&mut self, topic: usize, service: usize, batch: usize, mut steps: Vec<Step>) -> usize {
        let own = self.own(service, "UPDATE", Key::Unknown);
        steps.insert(0, own);
        let operation = self.bare(service, Protocol::Consumer, steps);
        let links = self.random.chance(0.5);
        self.system.topics[topic].consumers.push(Consumer { operation, batch, links });
        operation
    }

    /// A scheduled job of `service`, which runs `runs` times.
    pub(super) fn job(&mut self, service: usize, mut steps: Vec<Step>, runs: u64) -> usize {
        let own = self.own(service, "SELECT", Key::Unknown);
        steps.insert(0, own);
        let name = format!("{} sweep", self.system.services[service].table);
        let operation = self.bare(service, Protocol::Job { name }, steps);
        self.entry(operation, runs, Source::Schedule);
        operation
    }

    fn probe(&mut self, service: usize) {
        let route = self.random.pick(&["/healthz", "/readyz", "/health"]).to_owned();
        let operation = self.bare(service, Protocol::Http { method: "GET", route }, Vec::new());
        self.entry(operation, 5, Source::Probe);
    }

    /// An operation that does `steps` after it has touched its service's own table.
    pub(super) fn operation(&mut self, service: usize, mut steps: Vec<Step>) -> usize {
        let verb = self.random.pick(&["SELECT", "SELECT", "UPDATE"]);
        let own = self.own(service, verb, Key::Request);
        steps.insert(0, own);
        self.storeless(service, steps)
    }

    /// An operation that does only `steps`.
    pub(super) fn storeless(&mut self, service: usize, steps: Vec<Step>) -> usize {
        let number = self.system.operations.len();
        let table = &self.system.services[service].table;
        let protocol = match self.system.services[service].speech {
            Speech::Grpc => {
                let method = self.random.pick(&["Get", "List", "Update", "Check"]);
                Protocol::Grpc { method: format!("{table}.v1.{table}/{method}{}", words(number)) }
            }
            Speech::Http => {
                let route = format!("{}/{table}/{{id}}/part{}", self.prefix, words(number));
                Protocol::Http { method: self.random.pick(&["GET", "GET", "POST"]), route }
            }
            Speech::Graphql => Protocol::Graphql { name: format!("{table}{}", words(number)) },
        };
        self.bare(service, protocol, steps)
    }

    pub(super) fn bare(&mut self, service: usize, protocol: Protocol, steps: Vec<Step>) -> usize {
        let work = self.random.between((2_000, 8_000));
        self.system.operations.push(Operation {
            service,
            protocol,
            steps,
            work_us: (work, work * 2),
            failing: 0.002,
            refusing: 0.005,
            outage: None,
            attributes: Vec::new(),
            is_raw: false,
            redirects: false,
            is_stream: false,
        });
        self.system.operations.len() - 1
    }

    /// Clients reach an operation through an operation of the gateway.
    pub(super) fn front(&mut self, operation: usize) -> usize {
        self.front_times(operation, self.requests)
    }

    pub(super) fn front_times(&mut self, operation: usize, requests: u64) -> usize {
        let step = self.call(operation);
        self.front_steps(vec![step], requests)
    }

    /// An operation of the gateway.
    pub(super) fn front_steps(&mut self, steps: Vec<Step>, requests: u64) -> usize {
        let route = format!("{}/shop/part{}/{{id}}", self.prefix, words(self.system.operations.len()));
        let protocol = Protocol::Http { method: self.random.pick(&["GET", "POST"]), route };
        let front = self.bare(self.system.gateway, protocol, steps);
        self.entry(front, requests, Source::Client);
        front
    }

    pub(super) fn entry(&mut self, operation: usize, requests: u64, source: Source) {
        self.system.entries.push(Entry { operation, requests, source, burst: 1, within: None });
    }

    pub(super) fn call(&self, operation: usize) -> Step {
        Step::Call(self.plain_call(operation))
    }

    /// A call with another parameter in each round.
    pub(super) fn call_of_round(&self, operation: usize) -> Step {
        Step::Call(Call { key: Key::Round, ..self.plain_call(operation) })
    }

    #[expect(clippy::unused_self, reason = "reads like its neighbours")]
    pub(super) fn plain_call(&self, operation: usize) -> Call {
        Call {
            operation,
            key: Key::Request,
            address: Address::Name,
            failing: 0.0,
            retries: 0,
            degrades: true,
            timeout: None,
            loses_context: false,
            breaker: 1,
            stalls: (0.0, 0),
            is_browser_redirect: false,
        }
    }

    /// A query of the service's own table.
    pub(super) fn own(&mut self, service: usize, verb: &'static str, key: Key) -> Step {
        let table = self.system.services[service].table.clone();
        self.access(self.system.services[service].store, verb, &table, key)
    }

    pub(super) fn access(&mut self, store: usize, verb: &'static str, table: &str, key: Key) -> Step {
        Step::Access(self.plain_access(store, verb, table, key))
    }

    pub(super) fn plain_access(&mut self, store: usize, verb: &'static str, table: &str, key: Key) -> Access {
        let verb = match (self.system.stores[store].system, verb) {
            ("mongodb", "SELECT") => "find",
            ("mongodb", "UPDATE") => "update",
            ("mongodb", "INSERT") => "insert",
            ("mongodb", "DELETE") => "delete",
            (_, verb) => verb,
        };
        Access {
            store,
            is_sharded: false,
            verb,
            table: table.to_owned(),
            key,
            work_us: if self.system.stores[store].system == "redis" { (200, 900) } else { (1_000, 6_000) },
            slow: (0.0, 0),
            is_wrapped: false,
            batch: 1,
            queues: false,
        }
    }

    /// What the team of this system wrote into its configuration.
    pub(super) fn config(&self) -> String {
        let mut config = String::from("[roles]\n");
        let mut roles: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for (role, service) in &self.system.roles {
            roles.entry(*role).or_default().push(format!("{service:?}"));
        }
        for (role, services) in roles {
            let _ = writeln!(config, "{role} = [{}]", services.join(", "));
        }
        let settings = &self.system.settings;
        for (rule, option, value) in &settings.thresholds {
            let _ = writeln!(config, "[rules.{rule}]\n{option} = {value:.1}");
        }
        let quoted = |texts: &[String]| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(config, "[architecture]\nforbidden = [{}]", quoted(&settings.forbidden));
        if let Some(undeclared) = settings.undeclared {
            let declared = self.system.calls().into_iter().filter(|&(from, to)| from != to && (from, to) != undeclared);
            let arrows = declared.map(|(from, to)| format!("{} -> {}", self.name_of(from), self.name_of(to)));
            let allowed: Vec<String> = arrows.chain(settings.allowed.iter().cloned()).collect();
            let _ = writeln!(config, "allowed = [{}]", quoted(&allowed));
        } else if !settings.allowed.is_empty() {
            let allowed = [settings.allowed.as_slice(), &["* -> *".to_owned()]].concat();
            let _ = writeln!(config, "allowed = [{}]", quoted(&allowed));
        }
        config.push_str("[architecture.budgets]\n");
        for (arrow, budget) in &settings.budgets {
            let _ = writeln!(config, "{arrow:?} = {{ {budget} }}");
        }
        for (rule, service) in &settings.ignored {
            let _ = writeln!(config, "[[ignore]]\nrule = {rule:?}\nservices = [{service:?}]\nreason = \"on purpose\"");
        }
        config
    }
}

/// A number without digits, which a template would take for a parameter.
pub(super) fn words(mut number: usize) -> String {
    let mut word = String::new();
    loop {
        word.push((b'a' + (number % 20) as u8) as char);
        number /= 20;
        if number == 0 {
            return format!("{word}x");
        }
    }
}

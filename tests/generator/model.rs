//! What a system is made of, before anything happens in it: services with operations, what each operation does, and
//! where requests come from. Places are indexes into the lists of [`System`].

use super::mesh::Mesh;

/// Nanoseconds in a millisecond.
pub(super) const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub(super) const S: u64 = 1_000 * MS;
/// Nanoseconds in a minute.
pub(super) const MINUTE: u64 = 60 * S;

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

pub(super) type Attributes = Vec<(&'static str, Value)>;

#[derive(Debug, Clone)]
pub(super) struct Service {
    /// Empty: the resource says none.
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) owner: Option<String>,
    /// When each version starts, in nanoseconds from the beginning.
    pub(super) versions: Vec<(u64, String)>,
    /// The host of each instance.
    pub(super) instances: Vec<usize>,
    pub(super) resource: Attributes,
    /// Its own store and the table that everything of it touches.
    pub(super) store: usize,
    pub(super) table: String,
    pub(super) speech: Speech,
    /// A sidecar of a mesh.
    pub(super) is_proxy: bool,
    /// Sends no telemetry, and hands no context on.
    pub(super) is_mute: bool,
}

/// What the operations of a service are asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Http,
    Grpc,
    Graphql,
}

#[derive(Debug, Clone)]
pub(super) enum Protocol {
    Http {
        method: &'static str,
        route: String,
    },
    Grpc {
        method: String,
    },
    /// Each field of the answer is resolved below a span of its own.
    Graphql {
        name: String,
    },
    /// An INTERNAL root.
    Job {
        name: String,
    },
    Consumer,
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) service: usize,
    pub(super) protocol: Protocol,
    pub(super) steps: Vec<Step>,
    /// Its own work, in microseconds.
    pub(super) work_us: (u64, u64),
    /// Share of its executions that fail by themselves.
    pub(super) failing: f64,
    /// Share of its executions that answer 404.
    pub(super) refusing: f64,
    /// Everything that starts between these fails, after the work.
    pub(super) outage: Option<(u64, u64)>,
    /// On the SERVER span.
    pub(super) attributes: Attributes,
    /// Without `http.route`, named by the path.
    pub(super) is_raw: bool,
    /// Answers 302.
    pub(super) redirects: bool,
    /// Answers with a stream of events.
    pub(super) is_stream: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) system: &'static str,
    /// Empty: no address is said.
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) namespace: String,
}

#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) system: &'static str,
    pub(super) name: String,
    /// Where consumers take messages from, if it is not called as where producers put them.
    pub(super) queue: Option<String>,
    pub(super) consumers: Vec<Consumer>,
}

#[derive(Debug, Clone)]
pub(super) struct Consumer {
    pub(super) operation: usize,
    /// 1: one execution for each message.
    pub(super) batch: usize,
    /// Starts a trace of its own with links, else continues the producer's.
    pub(super) links: bool,
}

/// What a parameter of a call or a query is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Key {
    /// The request's own: the same throughout a request.
    Request,
    /// Another one in each round of a loop.
    Round,
    /// Not said.
    Unknown,
}

/// How a call reaches its callee.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Address {
    /// The name of the service.
    Name,
    /// A host of its own in each round of a loop.
    Shard,
    /// A fixed IP address, without any name.
    Ip,
    /// The IP address of a pod, another one after each start.
    Pod,
    /// A socket of the same host.
    Socket,
}

#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) operation: usize,
    pub(super) key: Key,
    pub(super) address: Address,
    /// Share of the attempts that fail at the callee.
    pub(super) failing: f64,
    /// Attempts after a failure.
    pub(super) retries: u64,
    /// A failure does not fail the caller.
    pub(super) degrades: bool,
    pub(super) timeout: Option<u64>,
    /// The context does not reach the callee, which starts a trace of its own.
    pub(super) loses_context: bool,
    /// While the callee's outage lasts, only one call in this many is made.
    pub(super) breaker: u64,
    /// Share of the calls that take this many milliseconds at the callee.
    pub(super) stalls: (f64, u64),
    /// No span for it on the caller's side: the callee's SERVER span stands below the caller's, after its end.
    pub(super) is_browser_redirect: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) store: usize,
    /// The `n`th host of a sharded store, by the round.
    pub(super) is_sharded: bool,
    pub(super) verb: &'static str,
    /// Table, collection, or prefix of the key.
    pub(super) table: String,
    pub(super) key: Key,
    pub(super) work_us: (u64, u64),
    /// Share of slow ones, in microseconds.
    pub(super) slow: (f64, u64),
    /// Below a span of an object-relational mapper.
    pub(super) is_wrapped: bool,
    pub(super) batch: u64,
    /// Each query that overlaps on its instance adds its own time: what a full pool looks like.
    pub(super) queues: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Publish {
    pub(super) topic: usize,
    /// As many `create` spans before one `send`.
    pub(super) creates: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Call(Call),
    Access(Access),
    Publish(Publish),
    /// A host without telemetry, by its URL; `{}` in it is the round.
    External {
        url: String,
        key: Key,
        attributes: Attributes,
    },
    /// An INTERNAL span.
    Internal(String, Vec<Step>),
    /// Rounds, one after another or at once.
    Repeat {
        times: (u64, u64),
        at_once: bool,
        gap_ms: u64,
        steps: Vec<Step>,
    },
    Maybe(f64, Vec<Step>),
    AtOnce(Vec<Step>),
    /// Ends after the request has been answered.
    Afterwards(Vec<Step>),
    Wait {
        ms: (u64, u64),
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    /// Browsers at public addresses.
    Client,
    /// Clients behind one public address, which stands for a whole network.
    Translated,
    /// Clients in the private network, without telemetry.
    Private,
    /// A kubelet.
    Probe,
    /// Time.
    Schedule,
    /// A service whose spans never arrive.
    Lost,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) operation: usize,
    pub(super) requests: u64,
    pub(super) source: Source,
    /// This many start at once.
    pub(super) burst: u64,
    /// Only between these, instead of throughout.
    pub(super) within: Option<(u64, u64)>,
}

/// What a team configured.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    /// Rule, option and value.
    pub(super) thresholds: Vec<(&'static str, &'static str, f64)>,
    pub(super) forbidden: Vec<String>,
    /// Every call between services is declared, but those between these.
    pub(super) undeclared: Option<(usize, usize)>,
    /// Declared, beside what is called.
    pub(super) allowed: Vec<String>,
    /// Rule and service that it says nothing of.
    pub(super) ignored: Vec<(&'static str, String)>,
    /// An arrow and what it may cost.
    pub(super) budgets: Vec<(String, String)>,
}

/// A whole system.
#[derive(Debug, Clone, Default)]
pub(super) struct System {
    pub(super) services: Vec<Service>,
    pub(super) operations: Vec<Operation>,
    pub(super) stores: Vec<Store>,
    pub(super) topics: Vec<Topic>,
    pub(super) entries: Vec<Entry>,
    pub(super) hosts: usize,
    pub(super) duration: u64,
    /// The service that all clients reach first.
    pub(super) gateway: usize,
    /// `[roles]`, as (role, service).
    pub(super) roles: Vec<(&'static str, String)>,
    /// How many names of services are given away.
    pub(super) names_taken: usize,
    /// Calls inside are encrypted.
    pub(super) is_encrypted: bool,
    /// Sidecars stand before all services.
    pub(super) mesh: Option<Mesh>,
    /// Who passes a request on that came from outside says from where.
    pub(super) is_forwarding: bool,
    pub(super) settings: Settings,
}

impl System {
    /// Every pair of services of which one calls the other, sorted.
    pub(super) fn calls(&self) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        for operation in &self.operations {
            self.calls_of(operation.service, &operation.steps, &mut pairs);
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    fn calls_of(&self, from: usize, steps: &[Step], pairs: &mut Vec<(usize, usize)>) {
        for step in steps {
            match step {
                Step::Call(call) => pairs.push((from, self.operations[call.operation].service)),
                Step::Internal(_, steps)
                | Step::Repeat { steps, .. }
                | Step::Maybe(_, steps)
                | Step::AtOnce(steps)
                | Step::Afterwards(steps) => self.calls_of(from, steps, pairs),
                Step::Access(_) | Step::Publish(_) | Step::External { .. } | Step::Wait { .. } => {}
            }
        }
    }
}

//! Real services of others, in Python and Node.js, started for real and watched from outside: over gRPC, HTTP/protobuf
//! and HTTP/JSON, all on one port, they appear with the right edges, and what is wrong with them is found, and nothing
//! else.
//!
//! The services stand beside the project, in `../shared/clients`; `.ci/clients` installs what they need below the target
//! folder. Where either is absent, or the interpreter, the test says so and passes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::binary::{Sandbox, findings};
use crate::live::{FREE, http, terminate};
use crate::wrapped::record;

/// Where `.ci/clients` installs.
const INSTALLED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/clients");

/// The services as they were written.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/clients");

/// How spans come, and the environment that they name, so that each way has a graph of its own.
#[derive(Debug, Clone, Copy)]
struct Way {
    protocol: &'static str,
    environment: &'static str,
}

const GRPC: Way = Way { protocol: "grpc", environment: "grpc" };
const PROTOBUF: Way = Way { protocol: "http/protobuf", environment: "protobuf" };
const JSON: Way = Way { protocol: "http/json", environment: "json" };

/// A folder with the service's source in it; none, and a reason, where what it needs is missing.
fn folder(client: &str, source: &str, needs: &str) -> Option<(Sandbox, PathBuf)> {
    let (source_path, needed) = (Path::new(SOURCES).join(client).join(source), Path::new(INSTALLED).join(client));
    for path in [&source_path, &needed.join(needs)] {
        if !path.exists() {
            // The test runner shows what a failing test prints, and nobody would see that this one did nothing.
            let _ = writeln!(std::io::stderr(), "{client} skipped, since {} is not there", path.display());
            return None;
        }
    }
    let sandbox = Sandbox::new();
    sandbox.file(source, std::fs::read(source_path).expect("the source can be read"));
    Some((sandbox, needed))
}

/// A way of sending to one collector.
#[derive(Debug, Clone, Copy)]
struct Sender<'a> {
    way: Way,
    collector: &'a str,
}

impl Sender<'_> {
    /// A command in this folder that knows nothing but where its spans go.
    fn command(self, program: impl AsRef<OsStr>, folder: &Sandbox, service: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.current_dir(folder.path()).env_clear().env("PATH", path).env("HOME", folder.path());
        command.env("OTEL_SERVICE_NAME", service);
        command.env("OTEL_RESOURCE_ATTRIBUTES", format!("deployment.environment.name={}", self.way.environment));
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", self.way.protocol);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", self.collector));
        command.envs([
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ]);
        command
    }
}

/// A service that runs, with what it says.
struct Running {
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the interpreter runs");
        let (say, said) = mpsc::channel();
        listen(child.stdout.take().expect("it is piped"), say.clone());
        listen(child.stderr.take().expect("it is piped"), say);
        Self { child, said }
    }

    /// The first line that holds `word`.
    fn says(&self, word: &str) -> String {
        let mut before = String::new();
        for line in &self.said {
            if line.contains(word) {
                return line;
            }
            before += &(line + "\n");
        }
        panic!("it ended without {word}:\n{before}")
    }

    /// Ends it by a signal upon which it sends what it still holds.
    fn end(mut self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
        self.child.wait().expect("it ends");
    }
}

impl Drop for Running {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands on what a service says, so that it never waits for a reader.
fn listen(from: impl Read + Send + 'static, say: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Nobody may care any more.
            let _ = say.send(line);
        }
    });
}

/// A port that was free a moment ago, for services that do not tell which one the system chose.
fn free_port() -> String {
    let address = TcpListener::bind(FREE).and_then(|listener| listener.local_addr()).expect("a free port");
    address.port().to_string()
}

/// Two services in Python: a page that asks for each of its twelve items, an item that does not exist, and a cache and a
/// broker that are down.
fn run_fastapi(sender: Sender<'_>) -> bool {
    let Some((folder, installed)) = folder("fastapi", "app.py", "venv/bin/opentelemetry-instrument") else {
        return false;
    };
    let down = free_port();
    let start = |name: &str, app: &str, catalog: &str| {
        let mut command = sender.command(installed.join("venv/bin/opentelemetry-instrument"), &folder, name);
        command.arg(installed.join("venv/bin/uvicorn")).args([app, "--host", "127.0.0.1", "--port", "0"]);
        command.env("OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED", "true");
        command.envs([("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database"), ("CATALOG", catalog)]);
        command.envs([("REDIS_PORT", &down), ("AMQP_PORT", &down)]);
        let service = Running::start(command);
        let line = service.says("Uvicorn running on");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.unwrap_or_else(|| panic!("no address: {line}")).to_owned();
        (service, address)
    };
    let (catalog, items) = start("py-catalog", "app:catalog", "");
    let (gateway, pages) = start("py-gateway", "app:gateway", &format!("http://{items}"));
    assert!(http(&pages, "GET /page-n-plus-1?n=12", "").starts_with("HTTP/1.1 200"));
    assert!(http(&pages, "GET /cached/3", "").starts_with("HTTP/1.1 200"));
    assert!(http(&items, "GET /items/999", "").starts_with("HTTP/1.1 404"));
    assert!(http(&pages, "POST /order", "").starts_with("HTTP/1.1 500"));
    // Only this signal lets it send what it holds: the other one ends it at once.
    gateway.end("-INT");
    catalog.end("-INT");
    true
}

/// Two services in JavaScript: a list that asks for each of its twelve items, and an operation that fails.
fn run_express(sender: Sender<'_>) -> bool {
    let Some((folder, installed)) = folder("express", "app.js", "node_modules/express") else { return false };
    let modules = installed.join("node_modules");
    std::os::unix::fs::symlink(&modules, folder.path().join("node_modules")).expect("links can be made");
    let start = |name: &str, role: &str, next: &str| {
        let port = free_port();
        let mut command = sender.command("node", &folder, name);
        command.args(["--require", "@opentelemetry/auto-instrumentations-node/register", "app.js", role, &port, next]);
        command.env("OTEL_NODE_RESOURCE_DETECTORS", "env,host,process");
        let service = Running::start(command);
        service.says(&format!("up {role}"));
        (service, format!("127.0.0.1:{port}"))
    };
    let (last, items) = start("js-b", "b", "");
    let (first, lists) = start("js-a", "a", &format!("http://{items}/chain"));
    assert!(http(&lists, "GET /chain", "").starts_with("HTTP/1.1 200"));
    assert!(http(&lists, "GET /list", "").starts_with("HTTP/1.1 200"));
    assert!(http(&items, "GET /boom", "").starts_with("HTTP/1.1 500"));
    first.end("-TERM");
    last.end("-TERM");
    true
}

/// What `check` says of one environment of a recording.
fn judged(sandbox: &Sandbox, recording: &str, way: Way) -> Value {
    let ran = sandbox.run(&["check", "--format", "json", "--environment", way.environment, recording]);
    assert!(ran.code <= 1, "{ran:?}");
    ran.report()
}

/// What a report must show of the services that ran.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    /// Caller and callee of every edge, with the calls between services.
    edges: Vec<String>,
    /// Rule and services of every finding, notes as well.
    findings: Vec<(String, String)>,
}

impl Shown {
    fn of(report: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let edge = |edge: &Value| {
            let (from, to) = (text(&edge["from"]), text(&edge["to"]));
            let is_call = [&from, &to].iter().all(|node| node.starts_with("service:"));
            format!("{from} -> {to}") + &if is_call { format!(" {}", edge["calls"]) } else { String::new() }
        };
        let edges = report["graph"]["edges"].as_array().expect("edges").iter().map(edge).collect();
        Self { edges, findings: findings(report, "note") }.sorted()
    }

    /// Adds what one client shows: its edges, and the services of its N+1.
    fn add(&mut self, edges: &[&str], chatty: &str) {
        self.edges.extend(edges.iter().copied().map(str::to_owned));
        self.findings.push(("n-plus-one-calls".to_owned(), chatty.to_owned()));
    }

    fn sorted(mut self) -> Self {
        self.edges.sort();
        self.findings.sort();
        self
    }
}

/// The calls at start and without a request are there as well; a page calls twelve times, the cached item once.
const FASTAPI: [&str; 6] = [
    "client -> service:py-catalog",
    "client -> service:py-gateway",
    "service:py-catalog -> datastore:sqlite//shop.db",
    "service:py-gateway -> datastore:redis//",
    "service:py-gateway -> datastore:sqlite//shop.db",
    "service:py-gateway -> service:py-catalog 13",
];

/// A list calls twelve times, the chain once.
const EXPRESS: [&str; 3] = ["client -> service:js-a", "client -> service:js-b", "service:js-a -> service:js-b 13"];

#[test]
fn services_of_others_appear_and_their_faults_are_found_whatever_they_send_by() {
    let sandbox = Sandbox::new();
    let (mut recorder, mut said, addresses) = record(&sandbox, "all.jsonl");
    let collector = &*addresses[0];
    let (fastapi, express) = thread::scope(|scope| {
        let fastapi = [GRPC, PROTOBUF].map(|way| scope.spawn(move || run_fastapi(Sender { way, collector })));
        let express = [GRPC, PROTOBUF, JSON].map(|way| scope.spawn(move || run_express(Sender { way, collector })));
        let ran = |ran: thread::ScopedJoinHandle<'_, bool>| ran.join().expect("services run");
        (fastapi.map(ran).contains(&true), express.map(ran).contains(&true))
    });
    terminate(&recorder);
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("it talks");
    assert_eq!(recorder.wait().expect("it ends").code(), Some(0), "{rest}");
    for (way, is_fastapi) in [(GRPC, fastapi), (PROTOBUF, fastapi), (JSON, false)] {
        let mut expected = Shown::default();
        if is_fastapi {
            expected.add(&FASTAPI, "py-catalog,py-gateway");
        }
        if express {
            expected.add(&EXPRESS, "js-a,js-b");
        }
        if expected != Shown::default() {
            let shown = Shown::of(&judged(&sandbox, "all.jsonl", way));
            assert_eq!(shown, expected.sorted(), "{way:?}");
        }
    }
}

//! The running collector: what it receives, how it ends, and what keeps it from starting.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use crate::binary::{Ran, Sandbox};

pub(crate) const FREE: &str = "127.0.0.1:0";
pub(crate) const SPAN: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"GET /","kind":2,"startTimeUnixNano":"1000","endTimeUnixNano":"2000"}]}]}]}"#;

/// `spanlint collect` on ports that the system chose.
struct Collector {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    otlp: Vec<String>,
    api: String,
    _sandbox: Sandbox,
}

impl Collector {
    fn start() -> Self {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(&["collect", "--otlp-grpc", FREE, "--otlp-http", FREE, "--api", FREE]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut line = || {
            let mut line = String::new();
            stderr.read_line(&mut line).expect("the collector talks");
            line
        };
        let addresses = |line: &str| -> Vec<String> {
            let words = line.split([' ', '/', '\n']).filter(|word| word.starts_with("127.0.0.1:"));
            words.map(str::to_owned).collect()
        };
        let (otlp, api) = (addresses(&line()), addresses(&line()));
        assert_eq!((otlp.len(), api.len()), (2, 1));
        Self { child, stderr, otlp, api: api[0].clone(), _sandbox: sandbox }
    }

    /// Ends it with SIGTERM and answers what it said last.
    fn end(mut self) -> (i32, String) {
        terminate(&self.child);
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).expect("the collector talks");
        (self.child.wait().expect("it ends").code().expect("by itself"), rest)
    }
}

/// Asks a process to end.
pub(crate) fn terminate(child: &Child) {
    let killed = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
}

/// Sends one HTTP/1.1 request and answers everything that comes back.
pub(crate) fn http(address: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").expect("it takes requests");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn every_otlp_port_takes_spans_and_the_end_counts_them() {
    let collector = Collector::start();
    for address in &collector.otlp {
        let answer = http(address, "POST /v1/traces", SPAN);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let refused = http(&collector.otlp[0], "POST /v1/traces", &SPAN.replace("000102030405060708090a0b0c0d0e0f", "00"));
    assert!(refused.contains("rejectedSpans") && refused.contains("GET /"), "{refused}");
    let lost = http(&collector.otlp[0], "POST /", SPAN);
    assert!(lost.starts_with("HTTP/1.1 404") && lost.contains("/v1/traces"), "{lost}");
    let findings = http(&collector.api, "GET /api/v1/findings", "");
    assert!(findings.starts_with("HTTP/1.1 200") && findings.contains("\"schema_version\""), "{findings}");
    let (code, said) = collector.end();
    assert_eq!((code, said.as_str()), (0, "2 spans received, 1 refused\n"));
}

#[test]
fn every_snapshot_is_an_event_and_a_listener_does_not_hold_up_the_end() {
    let collector = Collector::start();
    let mut stream = TcpStream::connect(&collector.api).expect("it listens");
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nhost: {}\r\n\r\n", collector.api).expect("it takes requests");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("it answers"));
    let mut event = || lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).expect("an event");
    assert!(event().contains("\"accepted_spans\":0"));
    http(&collector.otlp[0], "POST /v1/traces", SPAN);
    while !event().contains("\"accepted_spans\":1") {}
    let metrics = http(&collector.api, "GET /metrics", "");
    for line in ["spanlint_sent_spans_total 1\n", "spanlint_accepted_spans_total 1\n", "spanlint_retry_spans_total 0\n"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
    let start = std::time::Instant::now();
    assert_eq!(collector.end().0, 0);
    assert!(start.elapsed() < std::time::Duration::from_secs(4), "the listener held up the end");
    assert!(lines.all(|line| !line.starts_with("data: {") || line.contains("accepted_spans")));
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind(FREE).expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    for flag in ["--otlp-grpc", "--otlp-http", "--api"] {
        let mut arguments = vec!["collect"];
        for each in ["--otlp-grpc", "--otlp-http", "--api"] {
            arguments.extend([each, if each == flag { &address } else { FREE }]);
        }
        let Ran { code, stderr, .. } = Sandbox::new().run(&arguments);
        assert_eq!(code, 2);
        assert!(stderr.contains(&address) && stderr.contains(flag), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn an_address_open_to_others_must_be_asked_for() {
    let ran = Sandbox::new().run(&["collect", "--otlp-grpc", "0.0.0.0:0", "--otlp-http", FREE, "--api", FREE]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--insecure"), "{}", ran.stderr);
}

#[test]
fn the_dashboard_needs_a_terminal() {
    let arguments = ["watch", "--otlp-grpc", FREE, "--otlp-http", FREE, "--api", FREE];
    let ran = Sandbox::new().run(&arguments);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("terminal"), "{}", ran.stderr);
}

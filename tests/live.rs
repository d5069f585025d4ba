//! The running collector: what it receives, how it ends, and what keeps it from starting.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use crate::binary::{Ran, Sandbox};

pub(crate) const FREE: &str = "127.0.0.1:0";
pub(crate) const SPAN: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"GET /","kind":2,"startTimeUnixNano":"1000","endTimeUnixNano":"2000"}]}]}]}"#;

/// `spanlint collect` on ports that the system chose.
pub(crate) struct Collector {
    pub(crate) child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    pub(crate) otlp: Vec<String>,
    pub(crate) api: String,
    sandbox: Sandbox,
}

impl Collector {
    fn start() -> Self {
        Self::start_with(Sandbox::new(), &[])
    }

    /// With further arguments.
    pub(crate) fn start_with(sandbox: Sandbox, arguments: &[&str]) -> Self {
        let ports = ["collect", "--otlp-grpc", FREE, "--otlp-http", FREE, "--api", FREE];
        let mut command = sandbox.command(&[&ports, arguments].concat());
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
        Self { child, stderr, otlp, api: api[0].clone(), sandbox }
    }

    /// Ends it with SIGTERM and answers what it said last.
    pub(crate) fn end(mut self) -> (i32, String) {
        terminate(&self.child);
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).expect("the collector talks");
        (self.child.wait().expect("it ends").code().expect("by itself"), rest)
    }
}

impl Drop for Collector {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
    for word in ["0.0.0.0:0", "--token-file", "SPANLINT_TOKEN", "--tls-client-ca", "--insecure", "127.0.0.1"] {
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    }
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
}

#[test]
fn a_bad_token_or_certificate_is_named_and_never_shown() {
    let sandbox = Sandbox::new();
    sandbox.file("token", "my-secret");
    let ran = sandbox.run(&["collect", "--token-file", "token"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("token: the token has 9 characters") && !ran.stderr.contains("secret"),
        "{}",
        ran.stderr
    );
    let ran = sandbox.run(&["collect", "--tls-cert", "missing.pem", "--tls-key", "missing.pem"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("missing.pem: cannot be read"), "{}", ran.stderr);
}

#[test]
fn who_knows_the_token_sends_reads_and_judges() {
    let sandbox = Sandbox::new();
    sandbox.file("token", "0123456789abcdef\n");
    let collector = Collector::start_with(sandbox, &["--token-file", "token"]);
    let (otlp, api) = (&collector.otlp[0], &collector.api);
    let with_token = |head: &str| format!("{head} HTTP/1.1\r\nauthorization: Bearer 0123456789abcdef");
    let authorized = |address: &str, head: &str, body: &str| {
        let length = body.len();
        let mut stream = TcpStream::connect(address).expect("it listens");
        let head = with_token(head);
        write!(stream, "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").expect("it takes requests");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    };
    assert!(http(otlp, "POST /v1/traces", SPAN).starts_with("HTTP/1.1 401"));
    assert!(authorized(otlp, "POST /v1/traces", SPAN).starts_with("HTTP/1.1 200"));
    assert!(http(api, "GET /metrics", "").starts_with("HTTP/1.1 401"));
    assert!(http(api, "GET /healthz", "").starts_with("HTTP/1.1 200"));
    let lost = authorized(api, "GET /nowhere", "");
    for path in ["/api/v1/findings", "/api/v1/events", "/api/v1/graph", "/metrics"] {
        assert!(lost.contains(path), "{lost}");
    }
    while !authorized(api, "GET /api/v1/graph", "").contains("service:shop") {
        // The trace settles after two quiet seconds; every question takes its time.
        assert!(authorized(api, "GET /metrics", "").contains("spanlint_unauthorized_requests_total 1\n"));
    }
    let from = format!("http://{api}");
    let ran = collector.sandbox.run(&["check", "--from", &from, "--format", "json"]);
    assert!(ran.code == 2 && ran.stderr.contains("wants its token"), "{}", ran.stderr);
    let ran = collector.sandbox.run(&["check", "--from", &from, "--token-file", "token", "--format", "json"]);
    assert_eq!((ran.code, &ran.report()["input"]["sources"][0]), (0, &from.clone().into()), "{}", ran.stderr);
    assert_eq!(collector.end().0, 0);
}

#[test]
fn a_collector_takes_small_pages() {
    let collector = Collector::start();
    match std::fs::read_to_string(format!("/proc/{}/status", collector.child.id())) {
        Ok(status) if status.contains("THP_enabled") => assert!(status.contains("THP_enabled:\t0\n"), "{status}"),
        _ => println!("skipped: this system does not tell whether a program may have huge pages"),
    }
    assert_eq!(collector.end().0, 0);
}

#[test]
fn a_collector_that_has_nothing_yet_is_not_judged() {
    let collector = Collector::start();
    let ran = collector.sandbox.run(&["check", "--from", &format!("http://{}", collector.api)]);
    assert!(ran.code == 2 && ran.stderr.contains("nothing to judge yet"), "{}", ran.stderr);
    assert_eq!(collector.end().0, 0);
}

#[test]
fn the_dashboard_needs_a_terminal() {
    let arguments = ["watch", "--otlp-grpc", FREE, "--otlp-http", FREE, "--api", FREE];
    let ran = Sandbox::new().run(&arguments);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("terminal"), "{}", ran.stderr);
}

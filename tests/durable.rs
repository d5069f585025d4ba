//! A collector with a data folder that is killed again and again: every span that it acknowledged is there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::binary::Sandbox;

const FREE: &str = "127.0.0.1:0";
/// How often the collector is killed, unless `SPANLINT_KILLS` says otherwise.
const KILLS: u64 = 5;
const SENDERS: u64 = 3;

/// What every collector is started with.
const ARGUMENTS: [&str; 9] = ["collect", "--otlp-grpc", FREE, "--otlp-http", FREE, "--api", FREE, "--data-dir", "data"];

/// `spanlint collect --data-dir data` on ports that the system chose.
struct Collector {
    child: Child,
    stderr: BufReader<ChildStderr>,
    otlp: String,
    api: String,
}

impl Collector {
    fn start(sandbox: &Sandbox) -> Self {
        Self::run(sandbox.command(&ARGUMENTS))
    }

    /// Starts a command that is a collector in the end.
    fn run(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut address = || {
            let mut line = String::new();
            stderr.read_line(&mut line).expect("the collector talks");
            let mut words = line.split([' ', '/', '\n']);
            words.find(|word| word.starts_with("127.0.0.1:")).unwrap_or_else(|| panic!("no address: {line}")).to_owned()
        };
        let (otlp, api) = (address(), address());
        Self { child, stderr, otlp, api }
    }

    /// SIGKILL.
    fn kill(self) {
        drop(self);
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

/// Sends one HTTP/1.1 request; none unless the whole answer comes back.
fn http(address: &str, head: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A request of one span, the only one of its trace.
fn span(trace: u64) -> String {
    let start =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970").as_nanos();
    let end = start + 1_000_000;
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{trace:032x}","spanId":"0001020304050607","name":"GET /","kind":2,"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}"}}]}}]}}]}}"#
    )
}

/// Sends until the collector is gone, and answers what was acknowledged.
fn send(otlp: &str, next_trace: &AtomicU64, acknowledged: &mpsc::Sender<u64>) {
    loop {
        let trace = next_trace.fetch_add(1, Ordering::Relaxed);
        match http(otlp, "POST /v1/traces", &span(trace)) {
            Some(answer) if answer.starts_with("HTTP/1.1 200") => acknowledged.send(trace).expect("somebody counts"),
            _ => return,
        }
    }
}

#[test]
fn every_acknowledged_span_survives_being_killed() {
    let sandbox = Sandbox::new();
    let next_trace = AtomicU64::new(1);
    let mut acknowledged = Vec::new();
    let kills = std::env::var("SPANLINT_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    for kill in 0..kills {
        let collector = Collector::start(&sandbox);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..SENDERS {
                let (otlp, next_trace, sender) = (collector.otlp.clone(), &next_trace, sender.clone());
                scope.spawn(move || send(&otlp, next_trace, &sender));
            }
            // An odd number each time, while the others are being sent.
            acknowledged.extend(receiver.iter().take(7 + 13 * kill as usize % 31));
            collector.kill();
        });
        acknowledged.extend(receiver.try_iter());
    }
    let collector = Collector::start(&sandbox);
    let get = |path: &str| http(&collector.api, &format!("GET {path}"), "").expect("it answers");
    while !get("/metrics").contains("\nspanlint_pending_traces 0\n") {}
    let is_lost = |trace: &&u64| !get(&format!("/api/v1/traces/{trace:x}")).starts_with("HTTP/1.1 200");
    let lost: Vec<&u64> = acknowledged.iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "lost {lost:?} of {}", acknowledged.len());
    assert!(acknowledged.len() > 60, "{}", acknowledged.len());
    assert!(get("/api/v1/graph").contains("\"shop\""));
    collector.kill();
}

/// What was there besides spans: lines beside their trace and alone, and measurements.
#[test]
fn log_lines_and_measurements_survive_as_well() {
    let sandbox = Sandbox::new();
    let collector = Collector::start(&sandbox);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970").as_nanos();
    let resource = r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]}"#;
    let logs = |record: &str| {
        format!(
            r#"{{"resourceLogs":[{{{resource},"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{now}",{record}}}]}}]}}]}}"#
        )
    };
    let ids = format!(r#""traceId":"{:032x}","spanId":"0001020304050607""#, 1);
    let beside = logs(&format!(r#"{ids},"body":{{"stringValue":"beside a span"}}"#));
    let alone = logs(r#""body":{"stringValue":"all alone"}"#);
    let point = format!(r#"{{"timeUnixNano":"{now}","asInt":"123456789"}}"#);
    let metrics = format!(
        r#"{{"resourceMetrics":[{{{resource},"scopeMetrics":[{{"metrics":[{{"name":"process.memory.usage","unit":"By","sum":{{"aggregationTemporality":2,"dataPoints":[{point}]}}}}]}}]}}]}}"#
    );
    for (path, body) in
        [("/v1/traces", &span(1)), ("/v1/logs", &beside), ("/v1/logs", &alone), ("/v1/metrics", &metrics)]
    {
        let answer = http(&collector.otlp, &format!("POST {path}"), body).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    collector.kill();
    let collector = Collector::start(&sandbox);
    let get = |path: &str| http(&collector.api, &format!("GET {path}"), "").expect("it answers");
    let trace = get("/api/v1/traces/1");
    assert!(trace.contains("beside a span") && !trace.contains("all alone"), "{trace}");
    let lines = get("/api/v1/logs?service=shop");
    assert!(lines.contains("beside a span") && lines.contains("all alone"), "{lines}");
    let readings = get("/api/v1/measurements");
    assert!(readings.contains("service:shop") && readings.contains("123456789"), "{readings}");
    collector.kill();
}

#[test]
fn two_collectors_do_not_share_a_folder() {
    let sandbox = Sandbox::new();
    let first = Collector::start(&sandbox);
    let ran = sandbox.run(&ARGUMENTS);
    assert_eq!((ran.code, ran.stderr.lines().count()), (2, 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("data") && ran.stderr.contains("--data-dir"), "{}", ran.stderr);
    first.kill();
}

#[test]
fn damage_is_said_and_skipped() {
    let sandbox = Sandbox::new();
    for trace in 1..=2 {
        let collector = Collector::start(&sandbox);
        http(&collector.otlp, "POST /v1/traces", &span(trace)).expect("it answers");
        collector.kill();
    }
    let mut logs: Vec<_> = std::fs::read_dir(sandbox.path().join("data"))
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "spanlog"))
        .collect();
    logs.sort();
    let mut bytes = std::fs::read(&logs[0]).expect("it can be read");
    *bytes.last_mut().expect("it is not empty") ^= 1;
    std::fs::write(&logs[0], bytes).expect("it can be written");
    let mut collector = Collector::start(&sandbox);
    let mut line = String::new();
    collector.stderr.read_line(&mut line).expect("the collector talks");
    assert!(line.starts_with("1 spans read back") && line.contains("cut off"), "{line}");
    collector.kill();
}

/// How large files may get stands for how large the disk is: it can be changed while the collector runs.
#[test]
fn a_full_disk_is_told_and_room_is_all_it_takes() {
    let sandbox = Sandbox::new();
    let binary = sandbox.command(&ARGUMENTS);
    // Whoever writes too much is sent a signal besides the error, which ends those that do not ignore it.
    let mut shell = Command::new("bash");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "run"]).arg(binary.get_program()).args(binary.get_args());
    shell.current_dir(sandbox.path());
    let collector = Collector::run(shell);
    let pid = Pid::from_child(&collector.child);
    let files_of = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(pid), Resource::Fsize, limit).expect("the limits of a child can be changed");
    };
    let send = |trace| http(&collector.otlp, "POST /v1/traces", &span(trace)).expect("it answers");
    let ready = || http(&collector.api, "GET /readyz", "").expect("it answers");
    assert!(send(1).starts_with("HTTP/1.1 200"));
    files_of(Some(0));
    let refused = send(2);
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: "), "{refused}");
    let told = ready();
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("data folder") && told.contains("too large"), "{told}");
    files_of(None);
    while !ready().starts_with("HTTP/1.1 200") {}
    assert!(send(2).starts_with("HTTP/1.1 200"));
    collector.kill();
}

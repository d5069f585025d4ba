//! The real binary under more than it can take: memory stays under its limit, every request is answered and counted,
//! whoever is turned away is told when to come again, and a moment later everything is as before.
//!
//! The short version runs with the suite. `SPANLINT_OVERLOAD=long cargo test --release overload -- --nocapture` runs the
//! long one and prints what it measured.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::binary::Sandbox;
use crate::live::Collector;

/// The limit of the collector, in MiB.
const MEMORY_MIB: u64 = 512;

/// How soon everything is as before.
const RECOVERY: Duration = Duration::from_secs(5);

/// How many times as long one of a hundred answers may take for a sender of little among ten times too many, as it takes
/// beside programs that only keep every core busy.
const SLOWDOWN: u32 = 2;

/// What may come on top: a machine that does other things as well holds up anybody for a moment.
const HICCUP: Duration = Duration::from_millis(50);

/// How much there is of everything.
struct Size {
    seconds: u64,
    services: usize,
    long_names: usize,
    resets: u32,
}

impl Size {
    fn of_this_run() -> Self {
        match std::env::var("SPANLINT_OVERLOAD").as_deref() {
            Ok("long") => Self { seconds: 60, services: 1_000_000, long_names: 3_000_000, resets: 1_000_000 },
            _ => Self { seconds: 1, services: 5_000, long_names: 45_000, resets: 20_000 },
        }
    }
}

/// An answer of HTTP/1.1.
struct Answer {
    status: u16,
    head: String,
}

impl Answer {
    /// Reads an answer up to the end of its body.
    fn read(stream: &mut TcpStream) -> Self {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("an answer comes");
            head.extend(byte);
        }
        let head = String::from_utf8(head).expect("headers are text").to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or("0", str::trim);
        let mut body = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut body).expect("a body comes");
        Self { status: head[9..12].parse().expect("a status"), head }
    }

    fn may_come_again(&self) -> bool {
        self.head.contains("retry-after: ")
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout can be set");
    stream
}

/// The head of an export.
fn head(content_type: &str, encoding: &str, length: usize) -> String {
    format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n\
         content-encoding: {encoding}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Sends one export on a connection of its own.
fn export(address: &str, content_type: &str, encoding: &str, body: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(head(content_type, encoding, body.len()).as_bytes()).expect("it takes headers");
    stream.write_all(body).expect("it takes a body");
    Answer::read(&mut stream)
}

/// A request of one span for each of these services, in a trace of its own.
fn spans(services: impl Iterator<Item = usize>) -> String {
    let mut json = String::from(r#"{"resourceSpans":["#);
    for (index, number) in services.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(
            json,
            r#"{comma}{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"service-{number}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{:016x}","name":"GET /","kind":2,"startTimeUnixNano":"1000","endTimeUnixNano":"2000"}}]}}]}}"#,
            number + 1,
            number + 1,
        )
        .expect("a string takes any text");
    }
    json + "]}"
}

/// What the collector tells of itself at one moment.
struct Metrics(String);

impl Metrics {
    fn of(collector: &Collector) -> Self {
        Self(crate::live::http(&collector.api, "GET /metrics", ""))
    }

    fn number(&self, name: &str) -> u64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(&format!("spanlint_{name} ")));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    /// Whether everything that was sent has had its answer, and is counted once by it.
    fn add_up(&self) -> bool {
        let sum = |kind: &str, parts: &[&str]| -> u64 {
            parts.iter().map(|part| self.number(&format!("{part}_{kind}_total"))).sum()
        };
        let parts = ["accepted", "retry", "malformed", "oversized", "unauthorized", "abandoned"];
        sum("spans", &["accepted", "rejected", "retry"]) == self.number("sent_spans_total")
            && sum("requests", &parts) == self.number("requests_total")
    }
}

/// What `/proc` tells of the collector's memory, in MiB.
fn memory_mib(collector: &Collector, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", collector.child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") >> 10
}

/// Waits until the collector is ready and takes spans, and checks that its memory and its counts hold.
fn recovers(collector: &Collector, after: &str) {
    let start = Instant::now();
    let is_well = || {
        crate::live::http(&collector.api, "GET /readyz", "").starts_with("HTTP/1.1 200")
            && export(&collector.otlp[1], "application/json", "", spans(1..2).as_bytes()).status == 200
    };
    while !is_well() {
        assert!(start.elapsed() < RECOVERY, "not ready {RECOVERY:?} after {after}");
    }
    ask_for_everything(collector);
    let peak = memory_mib(collector, "VmHWM:");
    println!("{after}: ready after {} ms, peak {peak} MiB", start.elapsed().as_millis());
    assert!(peak <= MEMORY_MIB * 11 / 10, "{peak} MiB after {after}");
    // A sender that hung up may be noticed a moment later.
    while !Metrics::of(collector).add_up() {
        assert!(start.elapsed() < RECOVERY, "not every answer is counted after {after}: {}", Metrics::of(collector).0);
    }
}

/// Whoever looks takes memory, too: at what is published, and at what is made for him alone.
fn ask_for_everything(collector: &Collector) {
    for path in ["/metrics", "/api/v1/graph?window=all", "/api/v1/snapshot?window=all", "/api/v1/findings?window=all"] {
        let mut stream = connect(&collector.api);
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it takes a question");
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).expect("an answer comes");
        assert_eq!(&begin, b"HTTP/1.1 200", "{path}");
        std::io::copy(&mut stream, &mut std::io::sink()).expect("all of it comes");
    }
}

#[test]
fn nothing_that_is_sent_brings_it_down() {
    let size = Size::of_this_run();
    let limit = MEMORY_MIB.to_string();
    let collector = Collector::start_with(Sandbox::new(), &["--memory-limit", &limit]);
    println!("at rest: {} MiB", memory_mib(&collector, "VmRSS:"));
    bombs(&collector);
    recovers(&collector, "bombs of 4 GB");
    nesting(&collector);
    recovers(&collector, "a million levels");
    let idle = idle_connections(&collector);
    recovers(&collector, "1,000 idle connections");
    drop(idle);
    resets(&collector, size.resets);
    recovers(&collector, "HTTP/2 resets");
    hoarders(&collector);
    recovers(&collector, "senders that hold all memory");
    many_services(&collector, size.services);
    recovers(&collector, "many services");
    long_names(&collector, size.long_names);
    recovers(&collector, "long names");
    load(&collector, Duration::from_secs(size.seconds));
    recovers(&collector, "more than it can take");
    assert_eq!(collector.end().0, 0);
}

/// 4 GB of zeros in a few megabytes: members and frames of 16 MiB, again and again, and one that is whole.
fn bombs(collector: &Collector) {
    let zeros = vec![0; 16 << 20];
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory takes anything");
        encoder.finish().expect("memory takes anything")
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("memory takes anything");
    let whole = vec![0; 64 << 20];
    for (encoding, bomb) in [
        ("gzip", gzip(&zeros).repeat(256)),
        ("zstd", zstd(&zeros).repeat(256)),
        ("gzip", gzip(&whole)),
        ("zstd", zstd(&whole)),
    ] {
        let answers: Vec<Answer> = thread::scope(|scope| {
            let send = || export(&collector.otlp[0], "application/x-protobuf", encoding, &bomb);
            let senders: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
            senders.into_iter().map(|sender| sender.join().expect("an answer")).collect()
        });
        for answer in answers {
            assert!(answer.status == 413 || answer.may_come_again(), "{}", answer.head);
        }
    }
}

/// Values in values, groups in groups, arrays in arrays: a million deep.
fn nesting(collector: &Collector) {
    const DEPTH: usize = 1_000_000;
    let mut reversed = Vec::new();
    let mut wrap = |field: u8| {
        let length = reversed.len();
        let mut prefix = vec![field << 3 | 2];
        let mut rest = length;
        while rest >= 0x80 {
            prefix.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        prefix.push(rest as u8);
        reversed.extend(prefix.iter().rev());
    };
    for _ in 0..DEPTH {
        // An element of an array in a value.
        wrap(1);
        wrap(5);
    }
    // The value of an attribute of a resource.
    for field in [2, 1, 1, 1] {
        wrap(field);
    }
    let arrays: Vec<u8> = reversed.into_iter().rev().collect();
    let groups = vec![0x1b; DEPTH];
    let json = format!(r#"{{"resourceSpans":{}"#, "[".repeat(DEPTH));
    let values = r#"{"arrayValue":{"values":["#.repeat(DEPTH / 4);
    let values = format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"a","value":{values}"#);
    for (content_type, body) in [
        ("application/x-protobuf", &arrays[..]),
        ("application/x-protobuf", &groups),
        ("application/json", json.as_bytes()),
        ("application/json", values.as_bytes()),
    ] {
        let answer = export(&collector.otlp[0], content_type, "", body);
        assert_eq!(answer.status, 400, "{}", answer.head);
    }
}

/// Connections that say little and then nothing: half of them HTTP/1, half HTTP/2.
fn idle_connections(collector: &Collector) -> Vec<TcpStream> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let open = |number: usize| {
        let mut stream = connect(&collector.otlp[number % 2]);
        let word: &[u8] = if number % 4 < 2 { preface } else { b"POST /v1/traces HTTP/1.1\r\nhost: local" };
        stream.write_all(word).expect("it takes a first word");
        stream
    };
    (0..1000).map(open).collect()
}

/// Requests over HTTP/2 that are taken back at once.
fn resets(collector: &Collector, count: u32) {
    // POST, http, /v1/traces, in HPACK.
    let headers = b"\x83\x86\x04\x0a/v1/traces\x01\x09localhost";
    let mut stream = connect(&collector.otlp[0]);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for number in 0..count {
        let id = (number * 2 + 1).to_be_bytes();
        bytes.extend([0, 0, headers.len() as u8, 1, 4]);
        bytes.extend(id);
        bytes.extend(headers);
        bytes.extend(b"\0\0\x04\x03\0");
        bytes.extend(id);
        bytes.extend([0, 0, 0, 8]);
        if bytes.len() > 64 << 10 {
            // The collector hangs up on whoever does this for long.
            if stream.write_all(&bytes).is_err() {
                return;
            }
            bytes.clear();
        }
    }
}

/// Senders that never finish hold all the memory that requests may take: others are told when to come again.
fn hoarders(collector: &Collector) {
    let (mut held, mut refused) = (Vec::new(), None);
    let body = spans(0..10_000);
    while held.len() < 200 && refused.is_none() {
        let mut stream = connect(&collector.otlp[0]);
        stream.write_all(head("application/x-protobuf", "", (1 << 20) + 1).as_bytes()).expect("it takes headers");
        stream.write_all(&vec![0; 1 << 20]).expect("it takes a body");
        held.push(stream);
        // Whoever reads from all of them has come as far as this one, which is little enough to be let in.
        let little = export(&collector.otlp[1], "application/json", "", spans(0..1).as_bytes());
        assert!(little.status == 200 || little.may_come_again(), "{}", little.head);
        let ready = crate::live::http(&collector.api, "GET /readyz", "");
        if ready.starts_with("HTTP/1.1 503") {
            assert!(ready.contains("come again"), "{ready}");
            // Little is free now, and yet this may still fit.
            let answer = export(&collector.otlp[1], "application/json", "", body.as_bytes());
            refused = (answer.status != 200).then_some(answer);
        }
    }
    let answer = refused.expect("memory for requests is bounded");
    assert!(answer.status == 503 && answer.may_come_again(), "{}", answer.head);
    drop(held);
}

/// A service name of its own for every span.
fn many_services(collector: &Collector, services: usize) {
    for first in (0..services).step_by(1000) {
        let body = spans(first..first + 1000);
        while export(&collector.otlp[0], "application/json", "", body.as_bytes()).status != 200 {}
    }
}

/// Names of 900 bytes, each once: nine for every span, in five environments, from two senders.
fn long_names(collector: &Collector, names: usize) {
    const KEYS: [&str; 8] = [
        "http.route",
        "url.path",
        "server.address",
        "db.namespace",
        "db.collection.name",
        "messaging.destination.name",
        "peer.service",
        "code.function.name",
    ];
    const PER_REQUEST: usize = 500 * (KEYS.len() + 1);
    let padding = "x".repeat(880);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later").as_nanos();
    let attribute = |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
    let span = |number: usize| {
        let attributes = KEYS.map(|key| attribute(key, &format!("{}{number:016x}{padding}", &key[..3])));
        format!(
            r#"{{"traceId":"{:032x}","spanId":"{:016x}","name":"n{number:016x}{padding}","kind":{},"startTimeUnixNano":"{now}","endTimeUnixNano":"{now}","attributes":[{}]}}"#,
            number + 1,
            number + 1,
            number % 5 + 1,
            attributes.join(","),
        )
    };
    let request = |number: usize| {
        let resource = [
            attribute("service.name", &format!("service-{}", number % 50)),
            attribute("deployment.environment.name", &format!("environment-{}", number % 5)),
        ];
        let spans: Vec<String> = (number * 500..(number + 1) * 500).map(span).collect();
        let (resource, spans) = (resource.join(","), spans.join(","));
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{resource}]}},"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#
        )
    };
    let send = |number: usize| {
        let answer = export(&collector.otlp[0], "application/json", "", request(number).as_bytes());
        assert!(answer.status == 200 || answer.may_come_again(), "{}", answer.head);
    };
    thread::scope(|scope| {
        for sender in 0..2 {
            scope.spawn(move || (0..names / PER_REQUEST).filter(|number| number % 2 == sender).for_each(send));
        }
    });
}

/// Senders that keep every thread busy, and ten times as many: another that sends little at a time is answered among
/// them all the same.
fn load(collector: &Collector, time: Duration) {
    let few = thread::available_parallelism().map_or(2, usize::from);
    let at_rest = others_wait(collector, 0, time / 4);
    // The senders take as much of the machine as the collector; that is not its fault.
    let beside_others = beside_busy_programs(few * 2, || others_wait(collector, 0, time / 4));
    let busy = others_wait(collector, few, time);
    let overloaded = others_wait(collector, few * 10, time);
    println!(
        "others wait {at_rest:?} at rest, {beside_others:?} on a busy machine, {busy:?} beside {few} senders, \
         {overloaded:?} beside {}",
        few * 10
    );
    let most = beside_others * SLOWDOWN + HICCUP;
    assert!(overloaded <= most, "others wait {overloaded:?} where {most:?} is the most");
}

/// What `measure` answers while `threads` of this program do nothing of use as fast as they can.
fn beside_busy_programs<T>(threads: usize, measure: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::black_box(spans(0..512));
                }
            });
        }
        let measured = measure();
        is_over.store(true, Ordering::Relaxed);
        measured
    })
}

/// How long one of a hundred answers takes for a sender of one span at a time while `senders` send as fast as they can.
fn others_wait(collector: &Collector, senders: usize, time: Duration) -> Duration {
    let (taken, turned_away, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let mut waits = thread::scope(|scope| {
        for sender in 0..senders {
            let (taken, turned_away, is_over) = (&taken, &turned_away, &is_over);
            scope.spawn(move || {
                let body = spans((0..512).map(|number| number % 20 + sender * 20));
                let mut stream = connect(&collector.otlp[sender % 2]);
                while !is_over.load(Ordering::Relaxed) {
                    let answer = exchange(&mut stream, &body);
                    match answer.status {
                        200 => taken.fetch_add(1, Ordering::Relaxed),
                        503 if answer.may_come_again() => turned_away.fetch_add(1, Ordering::Relaxed),
                        _ => panic!("{}", answer.head),
                    };
                }
            });
        }
        let (start, body) = (Instant::now(), spans(0..1));
        let mut stream = connect(&collector.otlp[1]);
        let mut waits = Vec::new();
        while start.elapsed() < time {
            let asked = Instant::now();
            let answer = exchange(&mut stream, &body);
            assert!(answer.status == 200 || answer.may_come_again(), "{}", answer.head);
            waits.push(asked.elapsed());
            assert!(crate::live::http(&collector.api, "GET /healthz", "").starts_with("HTTP/1.1 200"));
        }
        is_over.store(true, Ordering::Relaxed);
        waits
    });
    println!("{senders} senders: {} requests taken, {} turned away", taken.into_inner(), turned_away.into_inner());
    waits.sort_unstable();
    waits[(waits.len() * 99 / 100).min(waits.len() - 1)]
}

/// One export on a connection that stays.
fn exchange(stream: &mut TcpStream, body: &str) -> Answer {
    let request = head("application/json", "", body.len()) + body;
    stream.write_all(request.as_bytes()).expect("it takes requests");
    Answer::read(stream)
}

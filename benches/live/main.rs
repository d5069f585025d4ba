//! What the running collector costs, in CPU seconds per million spans, beside a server that decodes to the public
//! `opentelemetry-proto` types and does nothing else, and one that does not even that, in the same run:
//! `cargo bench --bench live [-- FILTER]`.
//!
//! The real binary and the other servers run one after the other, each in a process of its own, under the same load: 64
//! requests of 512 spans of a web shop, new trace ids each time, four connections. What a process has spent until the
//! last trace has settled is divided by the spans that were taken; spans whose sender was asked to come again are told
//! apart. `SPANLINT_BENCH_SPANS` says how many spans are sent at full speed, half of them where a pace is set.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark tells what it measured")]

mod load;
mod process;
mod reference;
mod shop;
mod template;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

use crate::load::{Load, Sent};
use crate::process::Server;
use crate::shop::{EPOCH_NS, SPANS_PER_REQUEST};
use crate::template::{Encoding, Template};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many spans are sent at full speed, unless the environment says otherwise.
const SPANS: u64 = 2_000_000;
/// Spans per second where a pace is set.
const PACE: u64 = 100_000;
/// How long a trace is quiet before it settles, and a snapshot is published.
const QUIET: Duration = Duration::from_millis(2_500);
/// When the last trace has settled at the latest.
const SETTLED: Duration = Duration::from_secs(20);

/// A way in.
struct Row {
    name: &'static str,
    encoding: Encoding,
    durable: bool,
    pace: Option<u64>,
}

const fn row(name: &'static str, encoding: Encoding, durable: bool, pace: Option<u64>) -> Row {
    Row { name, encoding, durable, pace }
}

const ROWS: [Row; 6] = [
    row("OTLP/HTTP, protobuf", Encoding::Protobuf, false, None),
    row("OTLP/gRPC", Encoding::Grpc, false, None),
    row("OTLP/HTTP, JSON", Encoding::Json, false, None),
    row("OTLP/HTTP, protobuf, `--data-dir`", Encoding::Protobuf, true, None),
    row("OTLP/HTTP, protobuf, paced", Encoding::Protobuf, false, Some(PACE)),
    row("OTLP/gRPC, paced", Encoding::Grpc, false, Some(PACE)),
];
const FILE: &str = "a file of JSON lines, `spanlint check`";
/// How often it is read; the quickest run counts.
const FILE_RUNS: usize = 3;

/// What was measured of one program.
struct Measured {
    /// CPU seconds per million spans.
    cost: Option<f64>,
    spans_per_second: f64,
    peak_mib: Option<u64>,
    /// The share of the spans that was not taken.
    asked_again: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [first] if first == process::RECEIVE_ONLY => return reference::receive(),
        [first] if first == process::DECODE_ONLY => return reference::decode(),
        [first, path] if first == process::DECODE_ONLY => return reference::read(Path::new(path)),
        _ => {}
    }
    let spans = match std::env::var("SPANLINT_BENCH_SPANS") {
        Ok(spans) => spans.parse().context("SPANLINT_BENCH_SPANS is no number")?,
        Err(_) => SPANS,
    };
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |name: &str| filters.iter().all(|filter| name.contains(*filter));
    let requests = shop::requests();
    introduce(&requests);
    let runtime = Runtime::new()?;
    for row in ROWS.iter().filter(|row| is_wanted(row.name)) {
        let load = || Load {
            encoding: row.encoding,
            templates: requests.iter().map(|request| Template::new(row.encoding, request)).collect(),
            requests: (if row.pace.is_some() { spans / 2 } else { spans }).div_ceil(SPANS_PER_REQUEST),
            pace: row.pace,
        };
        let received = runtime.block_on(reference_cost(process::RECEIVE_ONLY, load()))?;
        let decoded = runtime.block_on(reference_cost(process::DECODE_ONLY, load()))?;
        let measured = runtime.block_on(collect(row, load()))?;
        tell(row.name, &measured, decoded, received);
    }
    if is_wanted(FILE) {
        let (measured, decoded) = check(&requests, spans / 8)?;
        tell(FILE, &measured, decoded.cost, None);
    }
    Ok(())
}

/// The machine, what is sent, and the head of the table.
fn introduce(requests: &[ExportTraceServiceRequest]) {
    let cores = std::thread::available_parallelism().map_or("unknown".to_owned(), |cores| cores.to_string());
    let busy = std::fs::read_to_string("/proc/loadavg").unwrap_or("unknown".to_owned());
    println!("Cores: {cores}; load average before the run: {}.", busy.split(' ').take(3).collect::<Vec<_>>().join(" "));
    if cfg!(debug_assertions) {
        println!("This build is not optimized: its figures say nothing.");
    }
    let spans = || requests.iter().flat_map(|request| &request.resource_spans).flat_map(|each| &each.scope_spans);
    let spans = || spans().flat_map(|scope| &scope.spans);
    let count = spans().count() as f64;
    let per_span = |sum: usize| sum as f64 / count;
    let roots = spans().filter(|span| span.parent_span_id.is_empty()).count();
    println!(
        "{} requests of {SPANS_PER_REQUEST} spans; {:.0} bytes and {:.1} attributes a span, {:.0} spans a trace.\n",
        requests.len(),
        per_span(requests.iter().map(Message::encoded_len).sum()),
        per_span(spans().map(|span| span.attributes.len()).sum()),
        count / roots as f64,
    );
    println!("| way in | CPU-s/M | decode only | ratio | receive only | spans per second | peak MiB | asked again |");
    println!("|---|---|---|---|---|---|---|---|");
}

/// A row of the table; of the references the CPU seconds per million spans.
fn tell(name: &str, measured: &Measured, decoded: Option<f64>, received: Option<f64>) {
    let or_unknown = |text: Option<String>| text.unwrap_or("unknown".to_owned());
    let seconds = |seconds: Option<f64>| or_unknown(seconds.map(|seconds| format!("{seconds:.2}")));
    println!(
        "| {name} | {} | {} | {} | {} | {:.0} | {} | {:.0} % |",
        seconds(measured.cost),
        seconds(decoded),
        seconds(measured.cost.zip(decoded).map(|(cost, decoded)| cost / decoded)),
        received.map_or("-".to_owned(), |cost| format!("{cost:.2}")),
        measured.spans_per_second,
        or_unknown(measured.peak_mib.map(|mib| mib.to_string())),
        measured.asked_again * 100.0,
    );
}

/// What a server costs that is measured against, in CPU seconds per million spans.
async fn reference_cost(argument: &str, load: Load) -> anyhow::Result<Option<f64>> {
    let server = Server::start(process::reference(argument)?)?;
    let before = server.cpu_seconds();
    let sent = load::send(load, &server.otlp).await?;
    Ok(measured(&server, before, &sent).cost)
}

/// The collector, until the last trace has settled.
async fn collect(row: &Row, load: Load) -> anyhow::Result<Measured> {
    const FREE: &str = "127.0.0.1:0";
    let folder = process::folder()?;
    let mut command = process::spanlint(folder.path());
    command.args(["collect", "--otlp-grpc", FREE, "--otlp-http", FREE, "--api", FREE]);
    if row.durable {
        command.args(["--data-dir", "data"]);
    }
    let mut server = Server::start(command)?;
    let api = server.address()?;
    let before = server.cpu_seconds();
    let sent = load::send(load, &server.otlp).await?;
    let start = Instant::now();
    sleep(QUIET).await;
    while metric(&api, "pending_traces").await? > 0 {
        ensure!(start.elapsed() < SETTLED, "traces are not settled {SETTLED:?} after the last one");
        sleep(QUIET / 10).await;
    }
    let accepted = metric(&api, "accepted_spans_total").await?;
    ensure!(accepted == sent.taken, "{} spans were taken, but the collector counts {accepted}", sent.taken);
    Ok(measured(&server, before, &sent))
}

fn measured(server: &Server, before: Option<f64>, sent: &Sent) -> Measured {
    let spent = before.zip(server.cpu_seconds()).map(|(before, after)| after - before);
    Measured {
        cost: spent.map(|seconds| seconds * 1e6 / sent.taken as f64),
        spans_per_second: sent.taken as f64 / sent.seconds,
        peak_mib: server.peak_mib(),
        asked_again: sent.asked_again as f64 / (sent.taken + sent.asked_again) as f64,
    }
}

/// A number that the collector tells of itself.
async fn metric(api: &str, name: &str) -> anyhow::Result<u64> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.get(format!("http://{api}/metrics").parse()?).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    let prefix = format!("spanlint_{name} ");
    let value = str::from_utf8(&body)?.lines().find_map(|line| line.strip_prefix(&prefix));
    value.and_then(|value| value.parse().ok()).with_context(|| format!("the collector does not tell {name}"))
}

/// A file of JSON lines with about so many spans, read by both programs.
fn check(requests: &[ExportTraceServiceRequest], spans: u64) -> anyhow::Result<(Measured, Measured)> {
    let folder = process::folder()?;
    let path = folder.path().join("spans.jsonl");
    let templates: Vec<Template> = requests.iter().map(|request| Template::new(Encoding::Json, request)).collect();
    let lines = spans.div_ceil(SPANS_PER_REQUEST);
    let mut file = BufWriter::new(std::fs::File::create(&path)?);
    for number in 0..lines {
        let count = templates.len() as u64;
        file.write_all(&templates[(number % count) as usize].fresh(number / count, EPOCH_NS))?;
        file.write_all(b"\n")?;
    }
    file.into_inner()?.sync_all()?;
    let measure = |command: &mut Command| -> anyhow::Result<Measured> {
        let (start, spans) = (Instant::now(), (lines * SPANS_PER_REQUEST) as f64);
        let (spent, peak_mib) = process::run(command)?;
        let spans_per_second = spans / start.elapsed().as_secs_f64();
        Ok(Measured { cost: spent.map(|spent| spent * 1e6 / spans), spans_per_second, peak_mib, asked_again: 0.0 })
    };
    // The first run pays for memory that the machine had given away.
    let quickest = |mut command: Command| -> anyhow::Result<Measured> {
        let runs: Vec<Measured> = (0..FILE_RUNS).map(|_| measure(&mut command)).collect::<anyhow::Result<_>>()?;
        let by_speed = |left: &Measured, right: &Measured| left.spans_per_second.total_cmp(&right.spans_per_second);
        runs.into_iter().max_by(by_speed).context("no run")
    };
    let mut reference = process::reference(process::DECODE_ONLY)?;
    reference.arg(&path);
    let decoded = quickest(reference)?;
    let mut check = process::spanlint(folder.path());
    check.args(["check", "spans.jsonl"]);
    Ok((quickest(check)?, decoded))
}

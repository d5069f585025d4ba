//! A collector with everything around it: judged pictures, and the API. What `watch`, `collect` and `demo` share.

use std::fmt::Write;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spanlint_collector::assemble::Settle;
use spanlint_collector::durable::{Recovery, Retention};
use spanlint_collector::live::LiveSettings;
use spanlint_collector::{Collector, CollectorConfig};
use spanlint_demo_shop::Switches;
use spanlint_graph::{Reading, Redaction, Window};
use spanlint_tui::{Endpoint, Options, Source};
use tokio::runtime::Runtime;

use crate::api;
use crate::cli::{OtlpArguments, ReceiverArguments};
use crate::judge::Judge;
use crate::output;
use crate::safety;
use crate::session::{Frame, Session};

/// The most files and connections that a command that serves asks the system for: every place of every port, and some.
const MAX_OPEN_FILES: u64 = 8192;

/// The runtime of commands that serve, once the system is asked for what that needs. Programs that a command runs would
/// inherit it, and want their own: such a command asks for nothing.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    ask_for_open_files();
    decline_huge_pages();
    Runtime::new()
}

/// Asks for more open files, where the system lets programs have few unless they ask.
fn ask_for_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Some(few) = current.filter(|&current| current < MAX_OPEN_FILES) {
        let more = maximum.unwrap_or(MAX_OPEN_FILES).clamp(few, MAX_OPEN_FILES);
        // Without them, connections wait.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(more), maximum });
    }
}

/// Asks Linux for small pages. Spans come and go all the time: huge pages were given back with them and cleared anew,
/// which was a fourteenth of all seconds, and held memory that nothing used.
fn decline_huge_pages() {
    // A system that cannot only spends more.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// The collector that the arguments ask for, with the window that is judged where nobody asks for another.
pub(crate) fn collector_config(
    arguments: &ReceiverArguments,
    window: Window,
    judge: &Judge,
) -> anyhow::Result<CollectorConfig> {
    let others: Vec<SocketAddr> = arguments.zipkin.into_iter().chain([arguments.api]).collect();
    let config = safe_config(&arguments.otlp, &others)?;
    let settle = settle(arguments.settle_after, arguments.settle_incomplete_after)?;
    let live = LiveSettings { window, settle, ..config.live.within(arguments.memory_limit << 20) };
    let redaction = Redaction::new(arguments.redact.iter().cloned());
    Ok(CollectorConfig {
        zipkin: arguments.zipkin,
        reading: Arc::new(Reading { redaction, ..judge.reading() }),
        api: Some(arguments.api),
        live,
        data_dir: arguments.data_dir.clone(),
        retention: Retention { bytes: arguments.data_mib << 20, age: Duration::from_hours(arguments.data_hours) },
        ..config
    })
}

/// When traces settle. Whoever misses a parent waits for it at least as long as one that misses nothing.
fn settle(complete: Duration, incomplete: Duration) -> anyhow::Result<Settle> {
    ensure!(
        complete <= incomplete,
        "--settle-incomplete-after {incomplete:?} is less than --settle-after {complete:?}: a trace that misses a parent waits for it; give it at least as long",
    );
    Ok(Settle::Quiet { complete, incomplete })
}

/// The same without an API and without keeping anything.
pub(crate) fn otlp_config(arguments: &OtlpArguments) -> anyhow::Result<CollectorConfig> {
    safe_config(arguments, &[])
}

/// The same beside other addresses. Beyond loopback anybody could send spans and read findings, so strangers must be
/// kept out, or let in by name.
fn safe_config(arguments: &OtlpArguments, others: &[SocketAddr]) -> anyhow::Result<CollectorConfig> {
    let (token, tls) = (safety::token(&arguments.safety.token)?, safety::tls(&arguments.safety)?);
    let addresses = [&[arguments.otlp_grpc, arguments.otlp_http], others].concat();
    safety::allow(&addresses, &arguments.safety, token.as_ref(), tls.as_ref())?;
    Ok(CollectorConfig {
        token,
        tls,
        otlp_grpc: Some(arguments.otlp_grpc),
        otlp_http: Some(arguments.otlp_http),
        api: None,
        live: LiveSettings::default(),
        ..CollectorConfig::default()
    })
}

/// What was read back from the data folder, as a sentence; none where nothing was kept.
pub(crate) fn recovery_sentence(recovery: &Recovery) -> Option<String> {
    if *recovery == Recovery::default() {
        return None;
    }
    let mut sentence = format!("{} spans read back", recovery.spans);
    if recovery.damaged_places > 0 {
        let (bytes, places) = (recovery.damaged_bytes, recovery.damaged_places);
        write!(sentence, ", {bytes} damaged bytes skipped in {places} places").expect("a string takes any text");
    }
    if recovery.torn_bytes > 0 {
        write!(sentence, ", {} torn bytes cut off", recovery.torn_bytes).expect("a string takes any text");
    }
    if recovery.unreadable_requests > 0 {
        write!(sentence, ", {} requests unreadable", recovery.unreadable_requests).expect("a string takes any text");
    }
    Some(sentence)
}

/// A running collector whose graph is judged as it is published.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) collector: Collector,
    /// The pictures.
    pub(crate) session: Arc<Session>,
}

impl Service {
    /// Judges what `collector` publishes, shows it to `session`, and serves the API.
    pub(crate) fn start(mut collector: Collector, judge: Judge, switches: Option<Switches>) -> Self {
        let addresses = collector.addresses();
        let otlp = addresses.otlp_grpc.into_iter().chain(addresses.otlp_http);
        let endpoints = otlp.map(|address| endpoint("OTLP gRPC + HTTP", address));
        let frame = Frame {
            endpoints: endpoints.chain(addresses.zipkin.map(|address| endpoint("Zipkin v2", address))).collect(),
            switches,
        };
        let session = Session::start(frame, judge, &collector);
        let routes = api::routes(Arc::clone(&session), collector.stopping());
        collector.serve_api(routes, &api::PATHS);
        Self { collector, session }
    }
}

fn endpoint(protocols: &str, address: SocketAddr) -> Endpoint {
    Endpoint { protocols: protocols.to_owned(), address: address.to_string() }
}

/// Shows the dashboard until the user leaves.
pub(crate) async fn show(source: Arc<dyn Source>) -> anyhow::Result<()> {
    let options = Options { has_colour: output::may_colour(&std::io::stdout()) };
    spanlint_tui::run(source, options).await.context("cannot show the dashboard")
}

/// Fails where there is no screen to show a dashboard on.
pub(crate) fn require_terminal(instead: &str) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        return Ok(());
    }
    bail!("the dashboard needs a terminal: {instead}")
}

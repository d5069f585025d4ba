//! A command that is run with its telemetry sent here: `check -- COMMAND` and `record -- COMMAND`.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// The variable that tells every OpenTelemetry SDK where to send.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Variables that would send a signal elsewhere.
const OTHER_ENDPOINTS: [&str; 3] =
    ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"];

/// Variables that decide how long spans and logs wait, in milliseconds. The default of five seconds loses what a short
/// program sends last, where it is not shut down well.
const DELAYS: [&str; 2] = ["OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY"];
const SHORT_DELAY_MS: &str = "200";

/// Runs `command` to its end and answers its exit code, as a shell would: 128 and the signal where one ended it.
///
/// What it writes to standard output goes to standard error, since standard output belongs to the report. A terminal
/// sends Ctrl-C to the command as well, so that is for the command to follow; SIGTERM is passed on.
pub(crate) async fn run(command: &[OsString], otlp: SocketAddr) -> anyhow::Result<i32> {
    let (program, arguments) = command.split_first().expect("the command line wants at least one word");
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut builder = Command::new(program);
    builder.args(arguments).stdout(Stdio::from(io::stderr())).env(ENDPOINT, format!("http://{otlp}"));
    for name in OTHER_ENDPOINTS {
        builder.env_remove(name);
    }
    for name in DELAYS.iter().filter(|name| std::env::var_os(name).is_none()) {
        builder.env(name, SHORT_DELAY_MS);
    }
    let mut child = builder.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(code(status?)),
            _ = terminate.recv() => pass_on(&child),
            _ = interrupt.recv() => {}
        }
    }
}

/// The words of a command as a source of a report.
pub(crate) fn shown(command: &[OsString]) -> String {
    command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Where a command that sent nothing was told to send.
pub(crate) fn sent_nothing(command: &[OsString], otlp: SocketAddr) -> String {
    let command = shown(command);
    format!("`{command}` sent no span: it was told {ENDPOINT}=http://{otlp}; is it instrumented with OpenTelemetry?")
}

fn pass_on(child: &Child) {
    if let Some(id) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
        // Where it has just ended, the loop is about to see it.
        let _ = kill_process(id, Signal::TERM);
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

//! The processes that are measured, and what the system tells of them: CPU time, and the most memory they had. Only Linux
//! tells here; elsewhere figures are missing.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Which hidden argument makes this program decode only.
pub(crate) const DECODE_ONLY: &str = "--decode-only";
/// Which hidden argument makes this program take what comes and no more.
pub(crate) const RECEIVE_ONLY: &str = "--receive-only";

/// The real binary in a folder, without what the environment could change.
pub(crate) fn spanlint(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanlint"));
    command.current_dir(folder).env_clear();
    command
}

/// This program with a hidden argument.
pub(crate) fn reference(argument: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(argument).env_clear();
    Ok(command)
}

/// A folder on the disk that builds are on.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).context("cannot make a temporary folder")
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// Where it takes traces.
    pub(crate) otlp: String,
}

impl Server {
    /// Starts a server whose first line on standard error says where it listens.
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn().context("cannot start the server")?;
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut server = Self { child, stderr, otlp: String::new() };
        server.otlp = server.address()?;
        Ok(server)
    }

    /// The first address on its next line.
    pub(crate) fn address(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.stderr.read_line(&mut line)?;
        let address = line.split([' ', '/', '\n']).find(|word| word.starts_with("127.0.0.1:"));
        address.map(str::to_owned).with_context(|| format!("the server did not say where it listens: {line}"))
    }

    /// CPU seconds so far.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        cpu_seconds(&self.child.id().to_string(), 11)
    }

    /// The most resident memory so far.
    pub(crate) fn peak_mib(&self) -> Option<u64> {
        peak_mib(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself. Asked to end, the collector leaves what a profile was made of.
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = id.map(|id| kill_process(id, Signal::TERM));
        let _ = self.child.wait();
    }
}

/// Runs a program to its end; answers its CPU seconds and the most resident memory that was seen.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<(Option<f64>, Option<u64>)> {
    const OWN_CHILDREN: usize = 13;
    let before = cpu_seconds("self", OWN_CHILDREN);
    let mut child = command.stdout(Stdio::null()).spawn().context("cannot start the program")?;
    let mut peak = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = peak_mib(&child).or(peak);
        std::thread::sleep(Duration::from_millis(10));
    };
    // Findings are no failure here.
    if !matches!(status.code(), Some(0 | 1)) {
        bail!("{} ended with {status}", command.get_program().display());
    }
    let spent = before.zip(cpu_seconds("self", OWN_CHILDREN)).map(|(before, after)| after - before);
    Ok((spent, peak))
}

/// User and system time of a process, from the `first` field behind its name.
fn cpu_seconds(process: &str, first: usize) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(first).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>().ok()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn peak_mib(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.split_whitespace().next()?.parse::<u64>().ok()? >> 10)
}

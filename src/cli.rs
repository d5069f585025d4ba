//! The command line: types only. What a command does is in [`crate::commands`].

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use spanlint_analyzer::Severity;
use spanlint_analyzer::nearest::{MIN_LIKENESS, nearest};
use spanlint_collector::durable::{MAX_LOG_AGE, MAX_LOG_BYTES};
use spanlint_collector::limits::MEMORY_BYTES;
use spanlint_demo_shop::Scenario;
use spanlint_graph::Window;

/// The architecture linter for running systems.
///
/// Point your services at it and see, within seconds, who calls whom, what is wrong, and the trace that proves it.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do; the dashboard where nothing is said
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The options of `watch`, for `spanlint` alone.
    #[command(flatten)]
    pub(crate) watch: WatchArguments,
}

impl Cli {
    /// The first argument and the command that it is likely to stand for, where it is neither a command nor a file.
    pub(crate) fn misspelled(&self) -> Option<(&str, String)> {
        let (None, [word, ..]) = (&self.command, self.watch.files.as_slice()) else { return None };
        let word = word.to_str().filter(|_| !word.exists())?;
        let this = <Self as CommandFactory>::command();
        let (likeness, name) = nearest(word, this.get_subcommands().map(clap::Command::get_name))?;
        (likeness >= MIN_LIKENESS).then(|| (word, name.to_owned()))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Receive spans and show the live call graph (what `spanlint` alone does)
    Watch(WatchArguments),
    /// Receive spans without a screen; the API answers
    Collect(CollectArguments),
    /// Judge recordings, or what a command sends: exit code 0 nothing found, 1 findings, 2 own failure, 3 undecided
    Check(CheckArguments),
    /// Write what arrives, or what a command sends, to a file
    Record(RecordArguments),
    /// Run the demo shop, its load and the dashboard in one process
    Demo(DemoArguments),
    /// Explain a rule: what, why, how it is judged, what to do
    Explain {
        /// The rule's name, such as `n-plus-one-calls`
        rule: String,
    },
    /// List the rules
    Rules,
    /// Compute from a recording what a change of the architecture would do
    WhatIf(WhatIfArguments),
    /// Write a `spanlint.toml` to start with, made of observed traffic
    Init(InitArguments),
}

/// Where spans are received.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Receiving")]
pub(crate) struct OtlpArguments {
    /// Receive OTLP here; every OTLP port speaks gRPC and HTTP
    #[arg(long, value_name = "ADDRESS", env = "SPANLINT_OTLP_GRPC", value_parser = address, default_value = "127.0.0.1:4317")]
    pub(crate) otlp_grpc: SocketAddr,

    /// Receive OTLP here, too
    #[arg(long, value_name = "ADDRESS", env = "SPANLINT_OTLP_HTTP", value_parser = address, default_value = "127.0.0.1:4318")]
    pub(crate) otlp_http: SocketAddr,

    #[command(flatten)]
    pub(crate) safety: SafetyArguments,
}

/// The token of this collector, or of the one that is asked.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct TokenArguments {
    /// The file with the token that senders and readers show (`authorization: Bearer TOKEN`); else the variable
    /// `SPANLINT_TOKEN` holds it, where there is one
    #[arg(long, value_name = "FILE", env = "SPANLINT_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// How another collector is asked.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct ClientArguments {
    #[command(flatten)]
    pub(crate) token: TokenArguments,

    #[command(flatten)]
    pub(crate) authority: AuthorityArguments,

    /// Show this certificate to a collector that wants one (PEM)
    #[arg(long, value_name = "FILE", env = "SPANLINT_TLS_CERT", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "SPANLINT_TLS_KEY", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// Whom to believe that a collector is the one that is asked.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct AuthorityArguments {
    /// Trust a collector at `https://` that this authority certifies (PEM); else those that the system trusts
    #[arg(long, value_name = "FILE", env = "SPANLINT_TLS_CA")]
    pub(crate) tls_ca: Option<PathBuf>,
}

/// Who may reach a collector. Addresses that other machines can reach need a token, or certificates of clients.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct SafetyArguments {
    #[command(flatten)]
    pub(crate) token: TokenArguments,

    /// Speak TLS only, with this certificate (PEM); `watch --attach` shows it to the other collector
    #[arg(long, value_name = "FILE", env = "SPANLINT_TLS_CERT", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "SPANLINT_TLS_KEY", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Let only clients in that this authority certifies (PEM)
    #[arg(long, value_name = "FILE", env = "SPANLINT_TLS_CLIENT_CA", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,

    /// Allow addresses that other machines can reach without either; anybody there can send spans and read findings
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// Where spans are received, questions answered and requests kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Receiving")]
pub(crate) struct ReceiverArguments {
    #[command(flatten)]
    pub(crate) otlp: OtlpArguments,

    /// Receive Zipkin v2 (JSON) here, too; at 127.0.0.1:9411 where no address is given
    #[arg(long, value_name = "ADDRESS", env = "SPANLINT_ZIPKIN", help_heading = "Receiving", value_parser = address, num_args = 0..=1, default_missing_value = "127.0.0.1:9411")]
    pub(crate) zipkin: Option<SocketAddr>,

    /// Drop these attributes before anything reads or stores them; `*` stands for any text, as in `enduser.*`
    #[arg(long, value_name = "KEY", env = "SPANLINT_REDACT", help_heading = "Receiving", value_delimiter = ',')]
    pub(crate) redact: Vec<String>,

    /// Answer the API here
    #[arg(long, value_name = "ADDRESS", env = "SPANLINT_API", help_heading = "Receiving", value_parser = address, default_value = "127.0.0.1:4319")]
    pub(crate) api: SocketAddr,

    /// Take at most this many MiB of memory; senders are asked to come again before it is more
    #[arg(long, value_name = "MIB", env = "SPANLINT_MEMORY_LIMIT", help_heading = "Receiving", default_value_t = MEMORY_BYTES >> 20, value_parser = memory_mib())]
    pub(crate) memory_limit: usize,

    /// Look at a trace when nothing came for it for so long and no parent is missing
    #[arg(long, value_name = "DURATION", env = "SPANLINT_SETTLE_AFTER", help_heading = "Receiving", default_value = "2s", value_parser = settling)]
    pub(crate) settle_after: Duration,

    /// Look at a trace that misses a parent when nothing came for it for so long
    #[arg(long, value_name = "DURATION", env = "SPANLINT_SETTLE_INCOMPLETE_AFTER", help_heading = "Receiving", default_value = "1m", value_parser = settling)]
    pub(crate) settle_incomplete_after: Duration,

    /// Keep requests in this folder: nothing acknowledged is lost, and a restart goes on where it was
    #[arg(long, value_name = "FOLDER", env = "SPANLINT_DATA_DIR", help_heading = "Keeping")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Keep at most this many MiB there
    #[arg(long, value_name = "MIB", env = "SPANLINT_DATA_MIB", help_heading = "Keeping", default_value_t = MAX_LOG_BYTES >> 20, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) data_mib: u64,

    /// Keep them for this many hours
    #[arg(long, value_name = "HOURS", env = "SPANLINT_DATA_HOURS", help_heading = "Keeping", default_value_t = MAX_LOG_AGE.as_secs() / 3600, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) data_hours: u64,
}

/// How findings are judged.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Judging")]
pub(crate) struct JudgeArguments {
    /// Configuration; else `spanlint.toml`, looked for from here upward
    #[arg(long, value_name = "FILE", env = "SPANLINT_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// How findings are reported.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Judging")]
pub(crate) struct ReportArguments {
    /// The form of the report on standard output
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: Format,

    /// Exit with 1 from this severity on
    #[arg(long, value_name = "SEVERITY", env = "SPANLINT_FAIL_ON", default_value = "warning")]
    pub(crate) fail_on: FailOn,

    /// Exit with 3 where a rule lacks the evidence to decide
    #[arg(long)]
    pub(crate) require_evidence: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WatchArguments {
    /// Look so far back: 1m, 5m, 15m or all; else 5m, or what the other collector does
    #[arg(long, value_name = "WINDOW", env = "SPANLINT_WINDOW")]
    pub(crate) window: Option<Window>,
    /// Show another collector instead of receiving spans: the address of its API, such as `http://127.0.0.1:4319`
    #[arg(long, value_name = "URL", conflicts_with = "files")]
    pub(crate) attach: Option<String>,
    /// Recordings to look at instead of receiving spans
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) receiver: ReceiverArguments,
    #[command(flatten)]
    pub(crate) judge: JudgeArguments,
    #[command(flatten)]
    pub(crate) authority: AuthorityArguments,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CollectArguments {
    /// Judge so far back where nobody asks for another window: 1m, 5m, 15m or all
    #[arg(long, value_name = "WINDOW", env = "SPANLINT_WINDOW", default_value_t)]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) receiver: ReceiverArguments,
    #[command(flatten)]
    pub(crate) judge: JudgeArguments,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArguments {
    /// Recordings: files, folders, `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Judge what a running collector holds: the address of its API, such as `http://127.0.0.1:4319`
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    /// A command to run with its spans sent here; its own exit code is returned where it fails
    #[arg(value_name = "COMMAND", last = true)]
    pub(crate) command: Vec<OsString>,
    /// The environment to judge, where the recordings hold several; else the one with the most spans
    #[arg(long, value_name = "NAME", env = "SPANLINT_ENVIRONMENT")]
    pub(crate) environment: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
    #[command(flatten)]
    pub(crate) judge: JudgeArguments,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct InitArguments {
    /// Recordings of what is meant to be: files, folders, `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "spanlint.toml")]
    pub(crate) output: PathBuf,
    /// Replace the file where it is there
    #[arg(long)]
    pub(crate) force: bool,
    /// The environment to look at, where the recordings hold several; else the one with the most spans
    #[arg(long, value_name = "NAME", env = "SPANLINT_ENVIRONMENT")]
    pub(crate) environment: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RecordArguments {
    /// The file to write, replaced where it is there: `.jsonl` (OTLP/JSON lines), `.pb` (OTLP protobuf,
    /// length-delimited) or `.graph` (facts), each also with `.gz` or `.zst`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// How long to record, such as `30s` or `5m`; else until Ctrl-C or SIGTERM
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "command")]
    pub(crate) duration: Option<Duration>,
    /// A command to run with its spans sent here, to its end; its own exit code is returned
    #[arg(value_name = "COMMAND", last = true)]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) otlp: OtlpArguments,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArguments {
    /// A fault that is built in from the start; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = scenario())]
    pub(crate) scenario: Vec<Scenario>,
    /// No screen: play the load to its end and print the report
    #[arg(long)]
    pub(crate) headless: bool,
    /// Decides prices, stock and what customers do
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Requests to the shop, without a screen
    #[arg(long, value_name = "COUNT", default_value_t = 500, requires = "headless", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: u64,
    /// Requests to the shop in a second, with a screen
    #[arg(long, value_name = "PER_SECOND", default_value_t = 20.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Look so far back: 1m, 5m, 15m or all. Short, so that a fault that is mended is seen to go
    #[arg(long, value_name = "WINDOW", default_value_t = Window::Minute)]
    pub(crate) window: Window,
    /// Switch scenarios by HTTP here; a free port where not given
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) control: Option<SocketAddr>,
    /// Configuration to judge the shop with; the `spanlint.toml` of a folder is about other services
    #[arg(long, value_name = "FILE", env = "SPANLINT_CONFIG", help_heading = "Judging")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WhatIfArguments {
    #[command(subcommand)]
    pub(crate) change: WhatIfChange,
}

/// A change of the architecture.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WhatIfChange {
    /// Two services were one
    Merge {
        /// One service
        first: String,
        /// The other
        second: String,
        /// Recordings: files, folders, `-` for standard input
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        options: WhatIfOptions,
    },
    /// The calls of one request from one service to one operation of another were one call
    Fold {
        /// The two services, as in `cart->stock`
        #[arg(value_name = "CALLER->CALLEE")]
        calls: String,
        /// Recordings: files, folders, `-` for standard input
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        options: WhatIfOptions,
    },
}

/// The form of an answer that is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WhatIfOptions {
    /// The form of the answer on standard output
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: AnswerFormat,
    /// The environment to look at, where the recordings hold several; else the one with the most spans
    #[arg(long, value_name = "NAME", env = "SPANLINT_ENVIRONMENT")]
    pub(crate) environment: Option<String>,
    #[command(flatten)]
    pub(crate) judge: JudgeArguments,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For code scanning
    Sarif,
    /// For annotations of a GitHub workflow
    Github,
}

/// From which severity on findings fail a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Note,
    Warning,
    Error,
    Never,
}

impl FailOn {
    /// The least severity that fails; none for never.
    pub(crate) fn severity(self) -> Option<Severity> {
        match self {
            Self::Note => Some(Severity::Note),
            Self::Warning => Some(Severity::Warning),
            Self::Error => Some(Severity::Error),
            Self::Never => None,
        }
    }
}

fn scenario() -> impl clap::builder::TypedValueParser<Value = Scenario> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Scenario::ALL.map(Scenario::name))
        .map(|name| name.parse().expect("every possible value is a scenario"))
}

/// Less leaves no room for requests of usual size.
fn memory_mib() -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::value_parser!(u64).range(128..=1 << 20).map(|mib| mib as usize)
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text.parse().map_err(|_| "not a duration such as 30s, 5m or 1h".to_owned())?;
    let positive = Duration::try_from(duration).ok().filter(|duration| !duration.is_zero());
    positive.ok_or_else(|| "no time at all".to_owned())
}

/// How long a trace waits. It is looked for ten times a second; who waits for more than an hour waits for memory.
fn settling(text: &str) -> Result<Duration, String> {
    let waits = Duration::from_millis(100)..=Duration::from_hours(1);
    duration(text).and_then(|duration| {
        waits.contains(&duration).then_some(duration).ok_or_else(|| "not between 100ms and 1h".to_owned())
    })
}

/// An address to listen on. `localhost` is what people call loopback; other names would have to be looked up.
fn address(text: &str) -> Result<SocketAddr, String> {
    let loopback = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok());
    if let Some(port) = loopback {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| "not an IP address and a port, such as 127.0.0.1:4317 or [::1]:4317".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=1000.0).contains(&rate) { Ok(rate) } else { Err("not between 0.1 and 1000".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_some_time() {
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        for wrong in ["0s", "-1s", "5", "soon", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn traces_settle_within_an_hour() {
        assert_eq!(settling("100ms"), Ok(Duration::from_millis(100)));
        for wrong in ["99ms", "61m", "-1s", "2"] {
            assert!(settling(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_numbers_or_localhost() {
        let check = |text, expected: Option<&str>| {
            assert_eq!(address(text).ok().map(|address| address.to_string()).as_deref(), expected);
        };
        check("0.0.0.0:4317", Some("0.0.0.0:4317"));
        check("localhost:4317", Some("127.0.0.1:4317"));
        for wrong in ["4317", "localhost", "localhost:x", "shop.example:4317"] {
            check(wrong, None);
        }
    }
}

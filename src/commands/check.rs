//! `spanlint check`: recordings or a collector's facts in, or a command run, verdict out.

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::{Context, bail};
use spanlint_analyzer::Mode;
use spanlint_analyzer::report::{Report, ReportInput, Sampling};
use spanlint_collector::assemble::Settle;
use spanlint_collector::live::{Finished, LiveSettings};
use spanlint_collector::{Collector, CollectorConfig};
use spanlint_graph::{Facts, Fold, Reading, Vocabulary, file};
use tokio::runtime::Runtime;

use crate::attach::remote::Remote;
use crate::cli::CheckArguments;
use crate::failure::Ending;
use crate::judge::Judge;
use crate::recording::{self, Recording};
use crate::{output, report, safety, wrapped};

pub(crate) fn run(arguments: &CheckArguments) -> anyhow::Result<Ending> {
    if arguments.files.is_empty() && arguments.from.is_none() && arguments.command.is_empty() {
        bail!(
            "nothing to judge: name recordings (files, folders, `-` for standard input), a running collector (--from URL), \
             or a command that sends spans (-- COMMAND); `spanlint check --help` tells more"
        );
    }
    let judge = Judge::load(&arguments.judge)?;
    let mut input = Gathered::default();
    if !arguments.files.is_empty() {
        input.add_recording(Recording::read(&arguments.files, judge.reading())?);
    }
    if let Some(url) = &arguments.from {
        let remote = Remote::new(url, &safety::access(&arguments.client)?)?;
        Runtime::new()?.block_on(input.add_collector(url, &remote))?;
    }
    if !arguments.command.is_empty() {
        Runtime::new()?.block_on(input.add_command(&arguments.command, judge.reading()))?;
    }
    if let (Some(code @ 1..), true) = (input.command_exit, input.facts.environments.is_empty()) {
        // There is nothing to report, and why the command failed matters more.
        return Ok(Ending::of_command(code));
    }
    if let Some(url) = &arguments.from
        && !recording::has_spans(&input.facts)
    {
        bail!(
            "{url} has no settled trace in its window: there is nothing to judge yet (a trace settles when nothing came for it for a while: two seconds where nothing else is set)"
        );
    }
    if recording::is_without_spans(&input.facts) {
        bail!(
            "the input has log lines only: there is nothing to judge without spans (`spanlint watch` shows who logs)"
        );
    }
    let graph = recording::graph(&input.facts, &input.vocabulary, arguments.environment.as_deref())?;
    let analysis = judge.judge(&graph, Mode::Check);
    let report_input = ReportInput {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        sources: input.sources,
        rejected_spans: input.rejected_spans,
        sampling: Sampling::Unknown,
        command_exit: input.command_exit,
    };
    let report = Report { input: &report_input, graph: &graph, analysis: &analysis };
    let judged = report::publish(&report, &arguments.report)?;
    Ok(input.command_exit.filter(|code| *code != 0).map_or(judged, Ending::of_command))
}

/// Everything that is judged.
#[derive(Debug, Default)]
struct Gathered {
    facts: Facts,
    vocabulary: Vocabulary,
    sources: Vec<String>,
    rejected_spans: u64,
    command_exit: Option<i32>,
}

impl Gathered {
    fn add_recording(&mut self, recording: Recording) {
        self.sources.extend(recording.sources.iter().cloned());
        self.rejected_spans += recording.rejected_spans;
        let (facts, vocabulary) = recording.into_facts();
        self.add(&facts, &vocabulary);
    }

    /// Takes the window of a running collector.
    async fn add_collector(&mut self, url: &str, remote: &Remote) -> anyhow::Result<()> {
        let asked = async {
            remote.check_version().await?;
            anyhow::Ok(file::read(&remote.snapshot(None).await?.map_err(anyhow::Error::msg)?)?)
        };
        let (facts, names) = asked.await.with_context(|| format!("cannot judge what {url} holds"))?;
        self.sources.push(url.to_owned());
        self.add(&facts, &Vocabulary { names, ..Vocabulary::default() });
        Ok(())
    }

    /// Runs a command and takes what it sends. A command that succeeds must send something.
    async fn add_command(&mut self, command: &[OsString], reading: Reading) -> anyhow::Result<()> {
        let live = LiveSettings { settle: Settle::AtEnd, ..LiveSettings::default() };
        let collector =
            Collector::start(CollectorConfig { live, reading: Arc::new(reading), ..CollectorConfig::private() })
                .await?;
        let otlp = collector.addresses().otlp_http.expect("a private collector receives OTLP");
        let code = wrapped::run(command, otlp).await?;
        let Finished { facts, vocabulary, status } = collector.finish().await;
        if code != 0 {
            output::say(&format!("note: `{}` ended with {code}", wrapped::shown(command)));
        }
        if status.accepted_spans == 0 {
            let sentence = wrapped::sent_nothing(command, otlp);
            if code == 0 {
                bail!(sentence);
            }
            output::say(&format!("note: {sentence}"));
        }
        if status.early_traces > 0 {
            output::say(&format!("note: {} traces were judged before they were whole: too many", status.early_traces));
        }
        self.sources.push(wrapped::shown(command));
        self.rejected_spans += status.refused_spans;
        self.command_exit = Some(code);
        self.add(&facts, &vocabulary);
        Ok(())
    }

    /// Trace ids are random, so what a command sends is in no recording.
    fn add(&mut self, facts: &Facts, vocabulary: &Vocabulary) {
        self.facts.fold(facts);
        self.vocabulary.merge(vocabulary);
    }
}

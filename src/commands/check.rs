//! `spanlint check`: recordings in, verdict out.

use spanlint_analyzer::Mode;
use spanlint_analyzer::report::{Report, ReportInput, Sampling};

use crate::cli::CheckArguments;
use crate::failure::Ending;
use crate::judge::Judge;
use crate::recording::Recording;
use crate::report;

pub(crate) fn run(arguments: &CheckArguments) -> anyhow::Result<Ending> {
    let judge = Judge::load(&arguments.judge)?;
    let recording = Recording::read(&arguments.files)?;
    let graph = recording.graph(arguments.environment.as_deref())?;
    let analysis = judge.judge(&graph, Mode::Check);
    let input = ReportInput {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        sources: recording.sources,
        rejected_spans: recording.rejected_spans,
        sampling: Sampling::Unknown,
        command_exit: None,
    };
    let report = Report { input: &input, graph: &graph, analysis: &analysis };
    Ok(report::publish(&report, &arguments.report)?)
}

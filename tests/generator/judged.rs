//! Judges a recording in this process, the way the binary does.

use std::io::Cursor;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use spanlint_analyzer::report::{Report, ReportInput, Sampling, to_json};
use spanlint_analyzer::{Config, Mode, Severity};
use spanlint_collector::limits::Limits;
use spanlint_collector::read::{Input, ReadError, ReadResult, read, read_by};
use spanlint_graph::{Facts, resolve};

/// A finding, as far as it is compared.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) rule: String,
    pub(crate) services: Vec<String>,
    pub(crate) absorbs: Vec<String>,
    /// A warning or an error.
    pub(crate) is_loud: bool,
    #[expect(dead_code, reason = "shown where a verdict is wrong")]
    pub(crate) title: String,
}

/// What was said of a recording.
pub(crate) struct Judged {
    pub(crate) findings: Vec<Said>,
    /// Rule, services and reason.
    pub(crate) undecided: Vec<(String, Vec<String>, String)>,
    /// The whole report as JSON.
    pub(crate) report: String,
}

/// Judges one recording.
pub(crate) fn judge(recording: &str, config: &str) -> Judged {
    let reader = Box::new(Cursor::new(recording.as_bytes().to_vec()));
    let input = Input::Stream { name: "recording.jsonl".to_owned(), reader };
    judge_read(read(vec![input], &Arc::default(), &Limits::default()), config)
}

/// Judges what these files hold together, read by so many threads.
pub(crate) fn judge_files(files: &[PathBuf], readers: NonZero<usize>, config: &str) -> Judged {
    let inputs = files.iter().cloned().map(Input::Path).collect();
    judge_read(read_by(readers, inputs, &Arc::default(), &Limits::default()), config)
}

fn judge_read(result: Result<ReadResult, ReadError>, config: &str) -> Judged {
    let result = result.expect("a readable recording");
    assert_eq!(result.records.refused, 0, "{:?}", result.records.refusals);
    let vocabulary = result.records.vocabulary;
    let mut facts = Facts::default();
    for trace in result.records.spans.into_traces() {
        facts.add_trace(&trace, &vocabulary);
    }
    let environments = spanlint_graph::resolve::environments(&facts, &vocabulary.names);
    let graph = resolve(&facts, environments[0], &vocabulary.names);
    let config = Config::parse(config, "spanlint.toml").unwrap_or_else(|errors| panic!("{errors}\n{config}"));
    let analysis = spanlint_analyzer::judge(&graph, &config, Mode::Check, jiff::civil::date(2026, 1, 2));
    let findings = analysis.counted().map(|finding| Said {
        rule: finding.rule.name.to_owned(),
        services: finding.services.clone(),
        absorbs: finding.absorbs.iter().map(|absorbed| absorbed.rule.to_owned()).collect(),
        is_loud: finding.severity >= Severity::Warning,
        title: finding.title.clone(),
    });
    let undecided = analysis.undecided.iter();
    let undecided = undecided.map(|open| (open.rule.to_owned(), open.services.clone(), open.reason.clone()));
    let (findings, undecided) = (findings.collect(), undecided.collect());
    let input = ReportInput {
        tool_version: String::new(),
        sources: Vec::new(),
        rejected_spans: 0,
        sampling: Sampling::Unknown,
        command_exit: None,
    };
    let report = Report { input: &input, graph: &graph, analysis: &analysis };
    Judged { findings, undecided, report: to_json(&report) }
}

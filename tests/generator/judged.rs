//! Judges a recording in this process, the way the binary does.

use std::io::Cursor;
use std::sync::Arc;

use spanlint_analyzer::report::{Report, ReportInput, Sampling, to_json};
use spanlint_analyzer::{Config, Mode, Severity};
use spanlint_collector::limits::Limits;
use spanlint_collector::read::{Input, read};
use spanlint_graph::{Facts, Trace, resolve};

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

pub(crate) fn judge(files: &[String], config: &str) -> Judged {
    let inputs = files.iter().enumerate().map(|(number, text)| Input::Stream {
        name: format!("{number}.jsonl"),
        reader: Box::new(Cursor::new(text.clone().into_bytes())),
    });
    let result = read(inputs.collect(), &Arc::default(), &Limits::default()).expect("a readable recording");
    assert_eq!(result.batch.refused, 0, "{:?}", result.batch.refusals);
    let vocabulary = result.batch.vocabulary;
    let mut spans = result.batch.spans;
    spans.sort_unstable_by_key(|span| span.trace_id);
    let mut facts = Facts::default();
    for trace in spans.chunk_by(|left, right| left.trace_id == right.trace_id) {
        facts.add_trace(&Trace::new(trace.to_vec()), &vocabulary);
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

//! A recording, read whole: its traces, regrouped by trace id across files, and the facts of all of them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::bail;
use spanlint_collector::limits::Limits;
use spanlint_collector::read::{self, Input, ReadResult};
use spanlint_graph::resolve::environments;
use spanlint_graph::span::ServiceKey;
use spanlint_graph::what_if::Change;
use spanlint_graph::{CallGraph, Facts, Fold, LogLine, Trace, TraceId, Vocabulary, Waterfall, resolve};

use crate::output;

/// A recording with its facts. Every trace is settled, since the input has ended.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Sorted by id.
    traces: Vec<Trace>,
    /// Sorted by trace.
    logs: Vec<LogLine>,
    vocabulary: Vocabulary,
    facts: Facts,
    /// The inputs as given.
    pub(crate) sources: Vec<String>,
    /// Spans that were refused by name.
    pub(crate) rejected_spans: u64,
}

impl Recording {
    /// Reads files, folders and `-` for standard input. What was skipped or refused is said on standard error.
    pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let sources = paths.iter().map(|path| path.display().to_string()).collect();
        let inputs = paths.iter().map(|path| input(path)).collect();
        let result = read::read(inputs, &Limits::default())?;
        say_what_was_passed_over(&result);
        let mut spans = result.batch.spans;
        spans.sort_unstable_by_key(|span| span.trace_id);
        let mut traces = Vec::new();
        while let Some(last) = spans.last() {
            let start = spans.partition_point(|span| span.trace_id < last.trace_id);
            traces.push(Trace::new(spans.split_off(start)));
        }
        traces.reverse();
        let mut vocabulary = result.batch.vocabulary;
        let mut facts = Facts::default();
        for trace in &traces {
            facts.add_trace(trace, &vocabulary);
        }
        let mut logs = result.batch.logs;
        logs.sort_unstable();
        let traced = traced_services(&facts);
        add_silent_services(&mut facts, &traced, &logs, &vocabulary);
        for (index, snapshot) in result.snapshots.iter().enumerate() {
            // Snapshots add up where their traces are disjoint. That one is not given twice is all that can be told.
            if let Some(same) = result.snapshots[..index].iter().find(|other| other.facts == snapshot.facts) {
                output::say(&format!("note: {} holds the same as {}, left out", snapshot.path, same.path));
                continue;
            }
            facts.fold(&snapshot.facts);
            vocabulary.names.merge(&snapshot.names);
        }
        Ok(Self { traces, logs, vocabulary, facts, sources, rejected_spans: result.batch.refused })
    }

    /// The call graph of the named environment, else of the one with the most spans.
    pub(crate) fn graph(&self, environment: Option<&str>) -> anyhow::Result<CallGraph> {
        graph(&self.facts, &self.vocabulary, environment)
    }

    /// The facts of all traces, with their texts.
    pub(crate) fn into_facts(self) -> (Facts, Vocabulary) {
        (self.facts, self.vocabulary)
    }

    /// Whether there are traces, and not only snapshots.
    pub(crate) fn has_traces(&self) -> bool {
        !self.traces.is_empty()
    }

    /// The texts and resources of its spans.
    pub(crate) fn vocabulary_mut(&mut self) -> &mut Vocabulary {
        &mut self.vocabulary
    }

    /// The facts that its traces would have after a change.
    pub(crate) fn changed(&self, change: Change) -> (Facts, &Vocabulary) {
        let mut facts = Facts::default();
        for trace in &self.traces {
            facts.add_trace(&change.apply(trace), &self.vocabulary);
        }
        add_silent_services(&mut facts, &traced_services(&self.facts), &self.logs, &self.vocabulary);
        (facts, &self.vocabulary)
    }

    /// A trace as people look at it.
    pub(crate) fn waterfall(&self, id: TraceId) -> Option<Waterfall> {
        let place = self.traces.binary_search_by_key(&id, Trace::id).ok()?;
        let from = self.logs.partition_point(|line| line.trace_id < id);
        let lines = self.logs[from..].iter().take_while(|line| line.trace_id == id);
        Some(self.traces[place].waterfall(&self.vocabulary).with_logs(lines, &self.vocabulary))
    }
}

/// The services that sent spans.
fn traced_services(facts: &Facts) -> BTreeSet<ServiceKey> {
    let services = facts.environments.values().flat_map(|environment| environment.services.sorted());
    services.filter(|(_, service)| service.spans > 0).map(|(key, _)| key).collect()
}

/// Services of which nothing but log lines came are nodes without edges.
fn add_silent_services(facts: &mut Facts, traced: &BTreeSet<ServiceKey>, logs: &[LogLine], vocabulary: &Vocabulary) {
    for line in logs {
        let resource = vocabulary.resource(line.resource);
        if !traced.contains(&resource.service) {
            facts.add_silent_service(&resource, line.time_ns);
        }
    }
}

/// The call graph of the named environment, else of the one with the most spans; the others are named.
pub(crate) fn graph(facts: &Facts, vocabulary: &Vocabulary, wanted: Option<&str>) -> anyhow::Result<CallGraph> {
    let names = &vocabulary.names;
    let all = environments(facts, names);
    let shown = |name| if names.text(name).is_empty() { "(none)" } else { names.text(name) };
    let list = || all.iter().map(|&name| shown(name)).collect::<Vec<_>>().join(", ");
    let Some(wanted) = wanted else {
        if let [first, _, ..] = all[..] {
            let text = shown(first);
            output::say(&format!("note: judging environment {text} of {}; --environment chooses another", list()));
        }
        return Ok(resolve(facts, all.first().copied().unwrap_or_default(), names));
    };
    match all.iter().find(|&&name| names.text(name) == wanted || shown(name) == wanted) {
        Some(&name) => Ok(resolve(facts, name, names)),
        None => bail!("no environment `{wanted}` in the input, which has {}", list()),
    }
}

fn input(path: &Path) -> Input {
    if path == Path::new("-") {
        Input::Stream { name: "standard input".to_owned(), reader: Box::new(io::stdin().lock()) }
    } else {
        Input::Path(path.to_owned())
    }
}

fn say_what_was_passed_over(result: &ReadResult) {
    for file in result.files.iter().filter(|file| file.bad.count > 0) {
        let first = file.bad.first.first().map(ToString::to_string).unwrap_or_default();
        let records = if file.bad.count == 1 { "record" } else { "records" };
        output::say(&format!("note: {}: {} bad {records} passed over; {first}", file.path, file.bad.count));
    }
    if result.batch.refused > 0 {
        let first = result.batch.refusals.first().map(ToString::to_string).unwrap_or_default();
        output::say(&format!("note: {} spans refused; {first}", result.batch.refused));
    }
    if let Some(first) = result.skipped.first() {
        let count = result.skipped.len();
        output::say(&format!(
            "note: {count} files without spans skipped, such as {}, which {}",
            first.path, first.reason
        ));
    }
}

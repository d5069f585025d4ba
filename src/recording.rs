//! A recording, read whole: its traces, regrouped by trace id across files, and the facts of all of them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use spanlint_collector::limits::Limits;
use spanlint_collector::read::{self, Input, ReadResult};
use spanlint_graph::facts::{EnvironmentFacts, Room};
use spanlint_graph::resolve::environments;
use spanlint_graph::span::ServiceKey;
use spanlint_graph::what_if::Change;
use spanlint_graph::{CallGraph, Facts, Fold, LogLine, Name, Reading, Trace, TraceId, Vocabulary, Waterfall, resolve};

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
    pub(crate) fn read(paths: &[PathBuf], reading: Reading) -> anyhow::Result<Self> {
        let sources = paths.iter().map(|path| path.display().to_string()).collect();
        let inputs = paths.iter().map(|path| input(path)).collect();
        let result = read::read(inputs, &Arc::new(reading), &Limits::default())?;
        say_what_was_passed_over(&result);
        let traces = result.records.spans.into_traces();
        let mut vocabulary = result.records.vocabulary;
        let (mut facts, mut room) = (Facts::default(), Room::default());
        for trace in &traces {
            facts.add_trace_within(&mut room, trace, &vocabulary);
        }
        let mut logs = result.records.logs;
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
        Ok(Self { traces, logs, vocabulary, facts, sources, rejected_spans: result.records.refused })
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

/// The services that sent spans, with their environments, and once more without.
fn traced_services(facts: &Facts) -> BTreeSet<(Name, ServiceKey)> {
    let services = |(name, facts): (Name, &EnvironmentFacts)| {
        let traced = facts.services.sorted().into_iter().filter(|(_, service)| service.spans > 0);
        traced.flat_map(move |(key, _)| [(name, key), (Name::EMPTY, key)]).collect::<Vec<_>>()
    };
    facts.environments.sorted().into_iter().flat_map(services).collect()
}

/// Services of which nothing but log lines came are nodes without edges. Whoever logs often leaves out the environment
/// that its spans name: a service that is traced anywhere is none of them then.
fn add_silent_services(
    facts: &mut Facts,
    traced: &BTreeSet<(Name, ServiceKey)>,
    logs: &[LogLine],
    vocabulary: &Vocabulary,
) {
    for line in logs {
        let resource = vocabulary.resource(line.resource);
        if !traced.contains(&(resource.environment, resource.service)) {
            facts.add_silent_service(&resource, line.time_ns);
        }
    }
}

/// Whether there are services, and not one span.
pub(crate) fn is_without_spans(facts: &Facts) -> bool {
    !facts.environments.is_empty() && !has_spans(facts)
}

/// Whether there is at least one span.
pub(crate) fn has_spans(facts: &Facts) -> bool {
    facts.environments.values().any(|facts| facts.counts.spans > 0)
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
    if result.records.refused > 0 {
        let first = result.records.refusals.first().map(ToString::to_string).unwrap_or_default();
        output::say(&format!("note: {} spans refused; {first}", result.records.refused));
    }
    if let Some(first) = result.skipped.first() {
        let count = result.skipped.len();
        output::say(&format!(
            "note: {count} files without spans skipped, such as {}, which {}",
            first.path, first.reason
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A resource of `environment/service`, either of which may be missing.
    fn resource(name: &str) -> String {
        let (environment, service) = name.split_once('/').expect("environment and service");
        let attribute = |(key, text)| format!(r#"{{"key":"{key}","value":{{"stringValue":"{text}"}}}}"#);
        let given = [("deployment.environment.name", environment), ("service.name", service)];
        let given = given.into_iter().filter(|(_, text)| !text.is_empty()).map(attribute);
        format!(r#""resource":{{"attributes":[{}]}}"#, given.collect::<Vec<_>>().join(","))
    }

    /// The services of a recording in which some sent a span and others a log line, by environment.
    #[track_caller]
    fn check(traced: &[&str], logging: &[&str], expected: &[&str]) {
        let span = r#"{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"work","startTimeUnixNano":"1000","endTimeUnixNano":"2000"}"#;
        let spans = |name: &&str| {
            format!(r#"{{"resourceSpans":[{{{},"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#, resource(name))
        };
        let line = r#"{"timeUnixNano":"1000","body":{"stringValue":"hello"}}"#;
        let lines = |name: &&str| {
            format!(r#"{{"resourceLogs":[{{{},"scopeLogs":[{{"logRecords":[{line}]}}]}}]}}"#, resource(name))
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        let requests: Vec<String> = traced.iter().map(spans).chain(logging.iter().map(lines)).collect();
        std::fs::write(file.path(), requests.join("\n")).unwrap();
        let recording = Recording::read(&[file.path().to_owned()], Reading::default()).unwrap();
        assert_eq!(is_without_spans(&recording.facts), traced.is_empty());
        let mut found = Vec::new();
        for name in environments(&recording.facts, &recording.vocabulary.names) {
            let graph = resolve(&recording.facts, name, &recording.vocabulary.names);
            assert!(graph.edges.iter().all(|edge| graph.node(edge.to).name != "worker"), "who logs has no edges");
            let services = graph.nodes.iter().filter(|node| node.id.starts_with("service:"));
            found.extend(services.map(|node| format!("{}/{}", graph.environment, node.name)));
        }
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn who_only_logs_is_a_service_of_its_environment() {
        check(&[], &["/worker"], &["/worker"]);
        check(&["prod/shop"], &["prod/shop", "prod/worker"], &["prod/shop", "prod/worker"]);
        check(&["prod/shop"], &["test/shop"], &["prod/shop", "test/shop"]);
        check(&["prod/shop"], &["/shop"], &["prod/shop"]);
    }
}

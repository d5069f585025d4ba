//! Traces and graphs as short text, so that a test shows what it is about.
//!
//! A line is a span, its indent its parent: `service kind "name" start+duration key=value...`, times in milliseconds.
//! A blank line ends a trace. `status=error` fails the span, `env=x`, `namespace=x`, `host=x`, `instance=x` and `device=x`
//! are resource attributes, `link=N` links to the N-th span of the whole input (from 1).

use spanlint_graph::span::{Attribute, Link, SpanId, SpanKind, SpanView, Value};
use spanlint_graph::{BatchBuilder, CallGraph, Facts, Name, Span, SpanBatch, SpanVisitor, Trace, TraceId};

const MILLISECOND_NS: u64 = 1_000_000;

/// The spans of a text, in its order.
pub(crate) fn spans(text: &str) -> SpanBatch {
    let mut builder = BatchBuilder::default();
    let mut trace = 1;
    let mut parents: Vec<(usize, u64)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() {
            trace += 1;
            parents.clear();
            continue;
        }
        parents.retain(|(above, _)| *above < indent);
        let parent = parents.last().map_or(0, |(_, id)| *id);
        parents.push((indent, number as u64 + 1));
        span(&mut builder, line.trim(), TraceId(trace), number as u64 + 1, parent);
    }
    builder.finish()
}

fn span(builder: &mut BatchBuilder, line: &str, trace_id: TraceId, id: u64, parent: u64) {
    let (head, rest) = line.split_once('"').expect("a name in quotes");
    let (name, rest) = rest.split_once('"').expect("a closing quote");
    let (service, kind) = head.trim().split_once(' ').expect("service and kind");
    let mut words = rest.split_whitespace();
    let (start, duration) = words.next().and_then(|time| time.split_once('+')).expect("start+duration");
    let time = |text: &str| text.parse::<u64>().expect("milliseconds") * MILLISECOND_NS;
    let mut view = SpanView {
        trace_id,
        span_id: SpanId(id),
        parent_id: SpanId(parent),
        kind: kind_of(kind),
        name: name.into(),
        start_ns: time(start),
        end_ns: time(start) + time(duration),
        ..SpanView::default()
    };
    let mut resource: Vec<Attribute<'_>> = vec![text("service.name", service)];
    let mut attributes = Vec::new();
    let mut links = Vec::new();
    for (key, value) in words.map(|word| word.split_once('=').expect("key=value")) {
        match key {
            "status" => view.is_error = value == "error",
            "env" => resource.push(text("deployment.environment.name", value)),
            "namespace" => resource.push(text("service.namespace", value)),
            "host" => resource.push(text("host.name", value)),
            "instance" => resource.push(text("service.instance.id", value)),
            "device" => resource.push(text("browser.platform", value)),
            "parent" => view.parent_id = SpanId(value.parse().expect("a span number")),
            "link" => links.push(Link { trace_id, span_id: SpanId(value.parse().expect("a span number")) }),
            _ => attributes.push(text(key, value)),
        }
    }
    view.attributes = &attributes;
    view.links = &links;
    builder.resource(&resource);
    builder.span(&view);
}

fn text<'a>(key: &'a str, value: &'a str) -> Attribute<'a> {
    (key.into(), Value::Text(value.into()))
}

fn kind_of(kind: &str) -> SpanKind {
    match kind {
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        "internal" => SpanKind::Internal,
        "unspecified" => SpanKind::Unspecified,
        other => panic!("no kind {other}"),
    }
}

/// Spans grouped into traces.
pub(crate) fn traces(mut spans: Vec<Span>) -> Vec<Trace> {
    spans.sort_by_key(|span| span.trace_id);
    spans.chunk_by(|left, right| left.trace_id == right.trace_id).map(|group| Trace::new(group.to_vec())).collect()
}

/// The facts of all traces of a batch.
pub(crate) fn facts(batch: &SpanBatch) -> Facts {
    let mut facts = Facts::default();
    for trace in traces(batch.spans.clone()) {
        facts.add_trace(&trace, &batch.vocabulary);
    }
    facts
}

/// The graph of a text, in the environment without a name.
pub(crate) fn graph(text: &str) -> CallGraph {
    let batch = spans(text);
    spanlint_graph::resolve(&facts(&batch), Name::EMPTY, &batch.vocabulary.names)
}

/// The edges of a graph: `from -> to kind calls`, with `async` and `derived` where they are.
pub(crate) fn edges(graph: &CallGraph) -> String {
    let mut lines = Vec::new();
    for edge in &graph.edges {
        let (from, to) = (&graph.node(edge.from).id, &graph.node(edge.to).id);
        let short = |id: &str| id.strip_prefix("service:").unwrap_or(id).to_owned();
        let mut line = format!("{} -> {} {} {}", short(from), short(to), edge.kind.as_str(), edge.facts.calls);
        if !edge.is_synchronous() {
            line.push_str(" async");
        }
        if edge.is_derived {
            line.push_str(" derived");
        }
        lines.push(line);
    }
    lines.join("\n")
}

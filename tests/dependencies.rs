//! A real system's call graph, published without its traces: one is made of each dependency, and the whole judged.

use std::borrow::Cow;

use jiff::civil::date;
use serde::Deserialize;
use spanlint_analyzer::{Config, Mode, Severity, judge};
use spanlint_graph::span::{Attribute, SpanId, SpanKind, SpanView, Value};
use spanlint_graph::{BatchBuilder, CallGraph, Facts, Gathered, Name, SpanVisitor, TraceId, resolve};

const MILLISECOND: u64 = 1_000_000;
/// Calls of each trace: ten in three traces are enough to count as an edge, and none of them is many.
const CALLS: [u64; 3] = [4, 3, 3];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    parent: String,
    child: String,
    call_count: u64,
}

fn dependencies() -> Option<Vec<Dependency>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/datasets/dependencies/large.json");
    let Ok(text) = std::fs::read_to_string(file) else {
        println!("skipped: {file} is not there");
        return None;
    };
    Some(serde_json::from_str(&text).expect("Jaeger's answer"))
}

/// The traces of one dependency, in which the caller works by the clock.
fn graph(dependencies: &[Dependency]) -> CallGraph {
    let (mut builder, mut trace, mut span) = (BatchBuilder::default(), 0, 0);
    for dependency in dependencies {
        for calls in CALLS.into_iter().take(usize::try_from(dependency.call_count).unwrap_or(usize::MAX)) {
            trace += 1;
            let calls = calls.min(dependency.call_count);
            let root =
                write(&mut builder, &mut span, (&dependency.parent, SpanKind::Internal), (trace, 0), (0, calls * 2));
            for call in 0..calls {
                let times = (call * 2, call * 2 + 1);
                let client =
                    write(&mut builder, &mut span, (&dependency.parent, SpanKind::Client), (trace, root), times);
                write(&mut builder, &mut span, (&dependency.child, SpanKind::Server), (trace, client), times);
            }
        }
    }
    let batch = builder.finish();
    let mut facts = Facts::default();
    let mut gathered = Gathered::default();
    gathered.add(batch.spans);
    for trace in gathered.into_traces() {
        facts.add_trace(&trace, &batch.vocabulary);
    }
    resolve(&facts, Name::EMPTY, &batch.vocabulary.names)
}

fn write(
    builder: &mut BatchBuilder,
    span: &mut u64,
    (service, kind): (&str, SpanKind),
    (trace, parent): (u64, u64),
    (from_ms, to_ms): (u64, u64),
) -> u64 {
    *span += 1;
    let start_ns = 1_700_000_000_000_000_000 + trace * 100 * MILLISECOND;
    let resource: [Attribute<'_>; 1] = [("service.name".into(), Value::Text(service.into()))];
    builder.resource(&resource);
    builder.span(&SpanView {
        trace_id: TraceId(u128::from(trace)),
        span_id: SpanId(*span),
        parent_id: SpanId(parent),
        kind,
        name: Cow::Borrowed("work"),
        start_ns: start_ns + from_ms * MILLISECOND,
        end_ns: start_ns + to_ms * MILLISECOND,
        ..SpanView::default()
    });
    *span
}

#[test]
fn a_large_system_gets_one_loud_finding_for_its_great_circle() {
    let Some(dependencies) = dependencies() else { return };
    let graph = graph(&dependencies);
    assert_eq!(graph.nodes.iter().filter(|node| node.service.is_some()).count(), 1_238);
    let analysis = judge(&graph, &Config::default(), Mode::Check, date(2026, 11, 21));
    let of_rule = |name: &str| analysis.findings.iter().filter(|finding| finding.rule.name == name).collect::<Vec<_>>();
    let circles = of_rule("cyclic-dependency");
    let largest = circles.iter().map(|finding| finding.services.len()).max();
    let mut told: Vec<_> = analysis.findings.iter().map(|finding| finding.rule.name).collect();
    told.dedup();
    println!(
        "{} findings of {told:?}, circles of {:?}",
        analysis.findings.len(),
        circles.iter().map(|f| f.services.len()).collect::<Vec<_>>()
    );
    assert!(largest.is_some_and(|largest| largest > 200), "{largest:?}");
    assert!(circles.len() < 20, "{} circles", circles.len());
    let loud: Vec<_> = analysis.findings.iter().filter(|finding| finding.severity > Severity::Note).collect();
    let [circle] = loud.as_slice() else { panic!("{} findings above a note of {told:?}", loud.len()) };
    assert_eq!((circle.rule.name, Some(circle.services.len())), ("cyclic-dependency", largest));
    assert!(circle.absorbs.iter().all(|part| part.rule == "hub-service"), "{:?}", circle.absorbs);
    assert!(circle.absorbs.len() > 3, "{:?}", circle.absorbs);
}

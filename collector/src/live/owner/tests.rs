//! The state machine that owns the graph, at times that the test chooses.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spanlint_graph::log::LogView;
use spanlint_graph::span::{SpanId, SpanKind, SpanView, Value};
use spanlint_graph::{BatchBuilder, Span, SpanVisitor, Trace};

use super::*;
use crate::testing::{EPOCH_NS, Sent, batch, child, root};

fn at(elapsed: Duration) -> Moment {
    Moment { elapsed, unix_ns: EPOCH_NS + elapsed.as_nanos() as u64 }
}

fn seconds(seconds: u64) -> Moment {
    at(Duration::from_secs(seconds))
}

/// The graph of these spans, all read at once.
fn graph(sent: &[Sent]) -> CallGraph {
    let batch = batch(sent);
    let mut traces: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
    for span in batch.spans {
        traces.entry(span.trace_id).or_default().push(span);
    }
    let mut facts = Facts::default();
    for spans in traces.into_values() {
        facts.add_trace(&Trace::new(spans), &batch.vocabulary);
    }
    resolve(&facts, Name::EMPTY, &batch.vocabulary.names)
}

/// Spans of a few traces, some without their parents, some sent twice.
fn system() -> impl Strategy<Value = Vec<Sent>> {
    let span = (1..5u128, 1..8u64, 0..8u64, 0..3u32, 0..1_000u64, 0..50u64);
    let sent = span.prop_map(|(trace, span, parent, service, start_ms, duration_ms)| Sent {
        trace,
        span,
        parent,
        service,
        start_ms,
        duration_ms,
    });
    prop::collection::vec(sent, 1..40)
}

proptest! {
    #[test]
    fn arrival_does_not_matter(
        (sent, shuffled) in system().prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ticks: [bool; 9],
    ) {
        let mut owner = Owner::new(&LiveSettings::default());
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(shuffled.len())).collect();
        cuts.extend([0, shuffled.len()]);
        cuts.sort_unstable();
        for (step, (range, tick)) in cuts.windows(2).zip(ticks).enumerate() {
            let now = at(Duration::from_millis(step as u64 * 200));
            owner.absorb(batch(&shuffled[range[0]..range[1]]), now);
            if tick {
                owner.tick(now, 0);
            }
        }
        owner.tick(seconds(62), 0);
        let graphs: Vec<&CallGraph> = owner.published.environments.iter().map(AsRef::as_ref).collect();
        prop_assert_eq!(graphs, [&graph(&sent)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However small the store and however the window slides, a cited trace can be looked at, or its loss is counted.
    #[test]
    fn a_cited_trace_is_stored(durations in prop::collection::vec(0..5_000u64, 50..300), stored_traces in 20..100usize) {
        let stored_bytes = stored_traces * 1_000;
        let settings = LiveSettings { stored_bytes, window: Window::Minute, ..LiveSettings::default() };
        let mut owner = Owner::new(&settings);
        for (step, duration_ms) in durations.into_iter().enumerate() {
            let now = at(Duration::from_millis(step as u64 * 400));
            let trace = Sent { start_ms: step as u64 * 400, duration_ms, ..root(step as u128 + 1, 1) };
            owner.absorb(batch(&[trace]), now);
            owner.tick(now, 0);
            let cited = owner.published.environments.iter().flat_map(|graph| graph.exemplar_traces());
            let missing = cited.filter(|id| owner.waterfall(*id).is_none()).count() as u64;
            prop_assert!(missing <= owner.store.evicted_exemplars());
            prop_assert!(owner.store.bytes() <= stored_bytes);
        }
    }
}

#[test]
fn a_store_much_smaller_than_the_window_keeps_every_cited_trace() {
    let settings = LiveSettings { stored_bytes: 200_000, ..LiveSettings::default() };
    let mut owner = Owner::new(&settings);
    for step in 0..2_000u64 {
        let now = at(Duration::from_millis(step * 20));
        let trace = Sent { start_ms: step * 20, duration_ms: step * 7919 % 100, ..root(u128::from(step) + 1, 1) };
        owner.absorb(batch(&[trace]), now);
        owner.tick(now, 0);
    }
    assert!(owner.store.len() < 1_000);
    assert_eq!(owner.store.evicted_exemplars(), 0);
    let cited = owner.published.environments[0].exemplar_traces();
    assert!(cited.len() > 3);
    assert!(cited.into_iter().all(|id| owner.waterfall(id).is_some()));
}

#[test]
fn a_full_store_hides_nothing_from_the_graph() {
    let mut owner = Owner::new(&LiveSettings { stored_bytes: 0, ..LiveSettings::default() });
    let sent = [root(1, 1), root(2, 1)];
    owner.absorb(batch(&sent), seconds(0));
    owner.tick(seconds(2), 0);
    assert_eq!(*owner.published.environments[0], graph(&sent));
    assert_eq!((owner.store.len(), owner.store.evicted_exemplars()), (0, 2));
}

#[test]
fn nothing_new_is_not_published() {
    let mut owner = Owner::new(&LiveSettings::default());
    assert!(owner.is_idle());
    assert!(owner.tick(seconds(0), 0).is_none());
    let sent: Vec<Sent> = (1..=10).map(|trace| root(trace, 1)).collect();
    owner.absorb(batch(&sent), seconds(0));
    owner.settle_quiet(seconds(2));
    assert!(!owner.has_pending() && !owner.is_idle(), "what has settled is still to be published");
    assert!(owner.tick(seconds(2), 0).is_some());
    let graph = Arc::clone(&owner.published.environments[0]);
    assert!(owner.tick(seconds(6), 0).is_some(), "the rate fell");
    assert!(Arc::ptr_eq(&graph, &owner.published.environments[0]), "the graph is the same");
    assert!(owner.tick(seconds(7), 0).is_none());
    assert!(owner.tick(seconds(300), 0).is_some(), "the window slid");
    assert!(owner.published.environments.is_empty());
    assert!(owner.tick(seconds(900), 0).is_none(), "a window that is not shown slid");
    assert!(owner.is_idle());
}

#[test]
fn the_vocabulary_does_not_grow_with_time() {
    let mut owner = Owner::new(&LiveSettings::default());
    for round in 0..60u64 {
        let mut batch = batch(&[root(u128::from(round) + 1, 1), child(u128::from(round) + 1, 2, 1)]);
        for number in 0..1_000 {
            batch.vocabulary.names.intern(&format!("of nothing that stays: {round} {number}"));
        }
        owner.absorb(batch, seconds(round));
        owner.tick(seconds(round), 0);
        assert!(vocabulary_bytes(&owner.vocabulary) <= MIN_PRUNED_BYTES + 200_000);
    }
    let graph = &owner.published.environments[0];
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["client", "service-0", "service-1"]);
    let waterfall = owner.waterfall(TraceId(1)).unwrap();
    assert_eq!(waterfall.rows[1].service, "service-1");
}

#[test]
fn the_facts_of_the_run_outlive_the_window() {
    let mut owner = Owner::new(&LiveSettings::default());
    let first = root(1, 1);
    owner.absorb(batch(&[first]), seconds(0));
    owner.tick(seconds(2), 0);
    owner.tick(seconds(1_000), 0);
    let last = Sent { start_ms: 1_000_000, ..root(2, 1) };
    owner.absorb(batch(&[last]), seconds(1_000));
    let finished = owner.finish(seconds(1_000), 0);
    let run = resolve(&finished.facts, Name::EMPTY, &finished.vocabulary.names);
    assert_eq!(run, graph(&[first, last]));
}

/// A batch of one log line of `service-<service>`, in trace 1 where it says so.
fn logged(service: u32, trace: u128, span: u64, body: &str) -> SpanBatch {
    let mut builder = BatchBuilder::default();
    let name = format!("service-{service}");
    builder.resource(&[("service.name".into(), Value::Text(name.into()))]);
    builder.log(&LogView {
        trace_id: TraceId(trace),
        span_id: SpanId(span),
        time_ns: EPOCH_NS + 1,
        severity_number: 9,
        severity_text: "".into(),
        body: Value::Text(body.into()),
        attributes: &[],
    });
    builder.finish()
}

#[test]
fn log_lines_stand_beside_their_spans() {
    let mut owner = Owner::new(&LiveSettings::default());
    owner.absorb(logged(1, 1, 2, "in the child"), seconds(0));
    owner.absorb(batch(&[root(1, 1), child(1, 2, 1)]), seconds(0));
    owner.absorb(logged(0, 1, 9, "nowhere"), seconds(0));
    owner.absorb(logged(0, 2, 1, "elsewhere"), seconds(0));
    owner.tick(seconds(2), 0);
    let waterfall = owner.waterfall(TraceId(1)).unwrap();
    let bodies = |logs: &[LogRow]| logs.iter().map(|line| line.body.clone()).collect::<Vec<_>>();
    assert!(waterfall.rows[0].logs.is_empty());
    assert_eq!(bodies(&waterfall.rows[1].logs), ["in the child"]);
    assert_eq!(bodies(&waterfall.logs), ["nowhere"]);
    let query = |service: &str| LogQuery { service: Some(service.to_owned()), trace_id: None, limit: 10 };
    assert_eq!(bodies(&owner.logs(&query("service-1"))), ["in the child"]);
    assert_eq!(owner.logs(&query("service")), []);
    assert_eq!(owner.logs(&LogQuery { trace_id: Some(TraceId(2)), ..query("service-0") }).len(), 1);
}

#[test]
fn a_service_that_only_logs_is_a_node_without_edges() {
    let mut owner = Owner::new(&LiveSettings::default());
    for second in 0..20 {
        owner.absorb(logged(0, 0, 0, "traced too"), seconds(second));
        owner.absorb(logged(7, 0, 0, "hello"), seconds(second));
        owner.absorb(batch(&[root(u128::from(second) + 1, 1)]), seconds(second));
        owner.tick(seconds(second), 0);
    }
    let graph = &owner.published.environments[0];
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["client", "service-0", "service-7"]);
    let service = graph.nodes[2].service.as_ref().unwrap();
    assert!(!service.is_traced);
    assert!(graph.edges.iter().all(|edge| graph.node(edge.to).name != "service-7"));
}

#[test]
fn a_late_span_without_an_environment_belongs_to_that_of_its_trace() {
    let mut owner = Owner::new(&LiveSettings::default());
    let mut first = batch(&[root(1, 1)]);
    let environment = first.vocabulary.names.intern("prod");
    first.vocabulary.resources.values_mut().for_each(|resource| resource.environment = environment);
    owner.absorb(first, seconds(0));
    owner.tick(seconds(2), 0);
    owner.absorb(batch(&[child(1, 2, 1)]), seconds(3));
    owner.tick(seconds(4), 0);
    let environments = owner.published.environments.iter().map(|graph| (&*graph.environment, graph.counts.late_spans));
    assert_eq!(environments.collect::<Vec<_>>(), [("prod", 1)]);
}

/// Names are not in facts, and take memory all the same.
#[test]
fn long_names_leave_room_for_fewer_services() {
    const SERVICES: u64 = 5_000;
    let facts = FactLimits::within(SERVICES as usize * FactLimits::SERVICE_BYTES);
    let run = |facts_bytes| {
        let mut owner = Owner::new(&LiveSettings { facts, facts_bytes, ..LiveSettings::default() });
        let mut builder = BatchBuilder::default();
        for service in 1..=SERVICES {
            builder.resource(&[("service.name".into(), Value::Text(format!("service-{service}").into()))]);
            builder.span(&SpanView {
                trace_id: TraceId(service.into()),
                span_id: SpanId(service),
                kind: SpanKind::Server,
                name: format!("{service}{}", "x".repeat(1000)).into(),
                start_ns: EPOCH_NS,
                end_ns: EPOCH_NS,
                ..SpanView::default()
            });
        }
        owner.absorb(builder.finish(), seconds(0));
        // Traces settle, and the next bucket begins.
        for second in [3, 13] {
            owner.settle(seconds(second));
        }
        owner
    };
    let services = |owner: &Owner| {
        let facts = owner.windows.live(Window::All);
        facts.environments.values().map(|facts| facts.services.len() as u64).sum::<u64>()
    };
    let all = run(usize::MAX);
    assert_eq!(services(&all), SERVICES);
    let facts_alone = all.windows.bytes();
    let kept = services(&run(facts_alone));
    assert!((1..SERVICES).contains(&kept), "{kept}");
}

//! The law: `graph(window) = resolve(⊕ facts(settled trace))`. Any order of spans, any split by trace into any number
//! of parts, duplicates: the same snapshot bytes and the same graph, also where bounds are reached.

use proptest::prelude::*;
use spanlint_graph::facts::EnvironmentFacts;
use spanlint_graph::span::{SpanBatch, SpanId};
use spanlint_graph::{Facts, Fold, Name, Span, Trace, file, resolve};

use crate::notation;

/// What a span of a random system says beside its name. The last ones have so many values that bounds are reached: of
/// environments, of hosts of an edge, of places in the code of a pattern, of slices of time.
fn attributes() -> impl Strategy<Value = String> {
    let few = [
        "",
        "server.address=cart",
        "http.request.method=GET url.full=http://stock/items/7 http.response.status_code=503",
        "db.system.name=postgresql db.namespace=shop db.collection.name=orders db.operation.name=INSERT",
        "messaging.system=kafka messaging.destination.name=orders",
        "env=prod",
        "env=test status=error",
    ];
    prop_oneof![
        4 => prop::sample::select(few.to_vec()).prop_map(str::to_owned),
        1 => (0..24).prop_map(|number| format!("env=e{number}")),
        1 => (0..24).prop_map(|number| {
            format!("http.request.method=GET url.template=/x server.address=h{number} service.peer.name=pay")
        }),
        1 => (0..9).prop_map(|line| {
            format!("db.system.name=mysql db.namespace=shop db.statement=SELECT code.file.path=a.rs code.line.number={line}")
        }),
    ]
}

/// A random system: every span names its trace, parent, service, kind, time and what it calls.
fn system() -> impl Strategy<Value = SpanBatch> {
    let kinds = ["server", "client", "client", "internal", "producer", "consumer", "unspecified"];
    let start = prop_oneof![3 => 0..50u32, 1 => 0..90_000_000u32];
    let line = (0..3usize, 0..4usize, prop::sample::select(kinds.to_vec()), start, 0..50u32, attributes());
    prop::collection::vec(prop::collection::vec(line, 1..24), 1..8).prop_map(|traces| {
        let mut text = String::new();
        for trace in traces {
            let mut depth = 0;
            for (deeper, service, kind, start, duration, call) in trace {
                depth = (depth + 1).min(depth + deeper).saturating_sub(usize::from(deeper == 2));
                let indent = "  ".repeat(depth);
                let span = format!("{indent}service{service} {kind} \"GET /{service}\" {start}+{duration} {call}\n");
                text.push_str(&span);
            }
            text.push('\n');
        }
        notation::spans(&text)
    })
}

fn bytes(facts: &Facts, batch: &SpanBatch) -> Vec<u8> {
    file::write(facts, &batch.vocabulary.names)
}

fn facts_of(spans: Vec<Span>, batch: &SpanBatch) -> Facts {
    notation::facts(&SpanBatch { spans, vocabulary: batch.vocabulary.clone(), ..SpanBatch::default() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_does_not_matter((batch, shuffled) in system().prop_flat_map(|batch| {
        let spans = Just(batch.spans.clone()).prop_shuffle();
        (Just(batch), spans)
    })) {
        prop_assert_eq!(bytes(&facts_of(shuffled, &batch), &batch), bytes(&notation::facts(&batch), &batch));
    }

    #[test]
    fn parts_add_up(batch in system(), parts in 1..5usize, keep_left: bool) {
        let mut split = vec![Vec::new(); parts];
        for span in &batch.spans {
            split[span.trace_id.0 as usize % parts].push(span.clone());
        }
        let mut parts: Vec<Facts> = split.into_iter().map(|spans| facts_of(spans, &batch)).collect();
        while parts.len() > 1 {
            let (left, mut right) = (parts.remove(0), parts.pop().unwrap());
            if keep_left {
                let mut left = left;
                left.fold(&right);
                right = left;
            } else {
                right.fold(&left);
            }
            parts.insert(0, right);
        }
        prop_assert_eq!(bytes(&parts[0], &batch), bytes(&notation::facts(&batch), &batch));
    }

    #[test]
    fn duplicates_change_only_their_count(batch in system(), again: Vec<prop::sample::Index>) {
        let mut spans = batch.spans.clone();
        spans.extend(again.iter().map(|index| index.get(&batch.spans).clone()));
        let graph = |facts: &Facts| {
            let names = &batch.vocabulary.names;
            let mut graphs: Vec<_> =
                resolve::environments(facts, names).into_iter().map(|name| spanlint_graph::resolve(facts, name, names)).collect();
            let duplicates: u64 = graphs.iter_mut().map(|graph| std::mem::take(&mut graph.counts.duplicate_spans)).sum();
            (graphs, duplicates + facts.environments.overflow().counts.duplicate_spans)
        };
        let (with, counted) = graph(&facts_of(spans, &batch));
        prop_assert_eq!(counted, again.len() as u64);
        prop_assert_eq!(with, graph(&notation::facts(&batch)).0);
    }

    #[test]
    fn of_spans_that_differ_under_one_id_the_same_one_stays(batch in system(), again: Vec<(prop::sample::Index, u64)>) {
        let mut spans = batch.spans.clone();
        for (index, longer) in again {
            let mut other = index.get(&batch.spans).clone();
            other.end_ns = other.start_ns + longer % 1_000_000_000;
            spans.push(other);
        }
        let forward = bytes(&facts_of(spans.clone(), &batch), &batch);
        spans.reverse();
        prop_assert_eq!(bytes(&facts_of(spans, &batch), &batch), forward);
    }

    #[test]
    fn late_spans_add_up_in_any_order(batch in system(), late: Vec<prop::sample::Index>) {
        let fragments: Vec<_> = late.iter().map(|index| index.get(&batch.spans).clone()).collect();
        let with = |fragments: &mut dyn Iterator<Item = &Span>| {
            let mut facts = notation::facts(&batch);
            for span in fragments {
                facts.add_fragment(&Trace::new(vec![span.clone()]), Name::EMPTY, &batch.vocabulary);
            }
            facts
        };
        let facts = with(&mut fragments.iter());
        prop_assert_eq!(bytes(&with(&mut fragments.iter().rev()), &batch), bytes(&facts, &batch));
        let counted = |facts: &Facts| -> (u64, u64, u64) {
            let all = facts.environments.values().chain([facts.environments.overflow()]);
            let requests = |each: &EnvironmentFacts| each.operations.values().map(|operation| operation.requests).sum();
            all.fold((0, 0, 0), |sum, each| {
                let requests: u64 = requests(each);
                (sum.0 + each.counts.spans, sum.1 + each.counts.late_spans, sum.2 + requests)
            })
        };
        let before = counted(&notation::facts(&batch));
        let late = fragments.len() as u64;
        prop_assert_eq!(counted(&facts), (before.0 + late, late, before.2));
    }

    #[test]
    fn the_file_gives_back_what_was_written(batch in system()) {
        let facts = notation::facts(&batch);
        let written = bytes(&facts, &batch);
        let (read, names) = file::read(&written).unwrap();
        prop_assert_eq!(file::write(&read, &names), written);
        let environment = resolve::environments(&facts, &names).first().copied().unwrap_or(Name::EMPTY);
        prop_assert_eq!(
            spanlint_graph::resolve(&read, environment, &names),
            spanlint_graph::resolve(&facts, environment, &batch.vocabulary.names)
        );
    }

    #[test]
    fn every_span_is_counted_once(batch in system()) {
        let facts = notation::facts(&batch);
        let all = facts.environments.values().chain([facts.environments.overflow()]);
        let spans: u64 = all.map(|environment| environment.counts.spans).sum();
        prop_assert_eq!(spans, batch.spans.len() as u64);
    }

    #[test]
    fn any_parents_are_survived(batch in system(), parents: Vec<(prop::sample::Index, u64)>) {
        let mut spans = batch.spans.clone();
        for (index, parent) in parents {
            let place = index.index(spans.len());
            spans[place].parent_id = SpanId(parent % (batch.spans.len() as u64 + 2));
        }
        let facts = facts_of(spans.clone(), &batch);
        let waterfall: usize =
            notation::traces(spans.clone()).iter().map(|trace| trace.waterfall(&batch.vocabulary).rows.len()).sum();
        prop_assert_eq!(waterfall, spans.len());
        spans.reverse();
        prop_assert_eq!(bytes(&facts_of(spans, &batch), &batch), bytes(&facts, &batch));
    }
}

//! What stays and what goes when the store is full.

use proptest::prelude::*;

use super::*;
use crate::testing::{Sent, child, root, spans};

/// What a span weighs.
const SPAN: usize = 100;

fn weighed(sent: &[Sent]) -> Weighed {
    Weighed { trace: Trace::new(spans(sent)), bytes: sent.len() * SPAN }
}

fn trace(id: u128) -> Weighed {
    weighed(&[root(id, 1)])
}

/// A store for four traces, of which it keeps three when it makes room.
fn store_of_four() -> TraceStore {
    TraceStore::new(SPAN * 4)
}

fn ids(ids: &[u128]) -> HashSet<TraceId> {
    ids.iter().copied().map(TraceId).collect()
}

#[track_caller]
fn check(store: &TraceStore, expected: &[u128]) {
    let kept: HashSet<TraceId> = store.traces.keys().copied().collect();
    assert_eq!(kept, ids(expected));
}

#[test]
fn the_oldest_go_first() {
    let mut store = store_of_four();
    for id in 1..=5 {
        assert!(!store.is_full());
        store.insert(trace(id));
    }
    assert!(store.is_full());
    store.make_room(&Pins::default(), &HashSet::default());
    check(&store, &[3, 4, 5]);
}

#[test]
fn the_cited_go_last() {
    let mut store = store_of_four();
    (1..=5).for_each(|id| store.insert(trace(id)));
    store.make_room(&Pins { cited: ids(&[1, 99]), next: ids(&[2]) }, &HashSet::default());
    check(&store, &[1, 2, 5]);
    assert_eq!(store.evicted_exemplars(), 0);
}

#[test]
fn too_many_cited_are_counted() {
    let mut store = store_of_four();
    (1..=5).for_each(|id| store.insert(trace(id)));
    store.make_room(&Pins { cited: ids(&[1, 2, 3]), next: ids(&[5]) }, &ids(&[4]));
    check(&store, &[2, 3, 4]);
    assert_eq!(store.evicted_exemplars(), 2);
}

#[test]
fn late_spans_join_their_trace() {
    let mut store = store_of_four();
    store.insert(trace(1));
    store.insert(weighed(&[child(1, 2, 1)]));
    assert_eq!(store.len(), 1);
    assert_eq!(store.get(TraceId(1)), Some(Trace::new(spans(&[root(1, 1), child(1, 2, 1)]))));
    assert_eq!(store.get(TraceId(2)), None);
}

proptest! {
    /// Whatever comes and whatever is cited: bytes are exact and bounded, and nobody cited goes while they fit.
    #[test]
    fn cited_traces_stay(steps in prop::collection::vec((1..40u128, 1..4u64, prop::collection::btree_set(1..40u128, 0..6)), 1..80)) {
        let mut store = TraceStore::new(SPAN * 30);
        for (id, span_count, cited) in steps {
            let sent: Vec<Sent> = (1..=span_count).map(|span| root(id, span)).collect();
            store.insert(weighed(&sent));
            let cited: HashSet<TraceId> = cited.into_iter().map(TraceId).filter(|id| store.traces.contains_key(id)).collect();
            let cited_bytes: usize = cited.iter().map(|id| store.traces[id].bytes).sum();
            if store.is_full() {
                let evicted = store.evicted_exemplars();
                store.make_room(&Pins { cited: cited.clone(), next: HashSet::default() }, &HashSet::default());
                prop_assert!(!store.is_full());
                if cited_bytes <= store.limit_bytes / 4 * 3 {
                    prop_assert!(cited.iter().all(|id| store.traces.contains_key(id)));
                    prop_assert_eq!(store.evicted_exemplars(), evicted);
                }
            }
            prop_assert_eq!(store.bytes(), store.traces.values().map(|stored| stored.bytes).sum::<usize>());
        }
    }
}

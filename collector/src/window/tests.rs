//! What is inside the window as time goes on.

use proptest::prelude::*;
use spanlint_graph::SpanBatch;

use super::*;
use crate::testing::{EPOCH_NS, Sent, batch, root};

const SECOND_NS: u64 = 1_000_000_000;
/// A moment at which a bucket begins, in seconds after the start of time.
const START: u64 = 1_000;

fn at(second: u64) -> u64 {
    EPOCH_NS + second * SECOND_NS
}

/// Adds a trace of one span that started at `started` and settled at `now`, both in seconds.
fn add(window: &mut Window, trace: u128, started: u64, now: u64) {
    let (trace, batch) = one(trace, started);
    window.add_trace(&trace, &batch.vocabulary, at(now));
}

fn one(trace: u128, started: u64) -> (Trace, SpanBatch) {
    let batch = batch(&[Sent { start_ms: started * 1_000, ..root(trace, 1) }]);
    (Trace::new(batch.spans.clone()), batch)
}

/// How many traces are inside the window.
fn traces(facts: &Facts) -> u64 {
    facts.environments.values().map(|environment| environment.counts.traces).sum()
}

#[test]
fn a_trace_slides_out_with_its_bucket() {
    let mut window = Window::new(Duration::from_mins(1));
    add(&mut window, 1, START, START + 9);
    add(&mut window, 2, START + 10, START + 19);
    assert!(window.advance(at(START + 19)));
    assert!(!window.advance(at(START + 59)));
    assert_eq!(traces(window.live()), 2);
    assert!(window.advance(at(START + 60)));
    assert_eq!(traces(window.live()), 1);
    assert!(window.advance(at(START + 1_000)));
    assert!(window.is_empty());
    assert_eq!(traces(&window.finish([], &Vocabulary::default())), 2);
}

#[test]
fn a_wrong_clock_is_counted_and_shown_by_arrival() {
    let mut window = Window::new(Duration::from_mins(1));
    add(&mut window, 1, START - 600, START);
    add(&mut window, 2, START + 600, START);
    window.advance(at(START));
    assert_eq!((traces(window.live()), window.misdated_traces()), (2, 2));
    window.advance(at(START + 60));
    assert_eq!(traces(window.live()), 0);
}

#[test]
fn a_clock_a_little_ahead_is_not_wrong() {
    let mut window = Window::new(Duration::from_mins(1));
    add(&mut window, 1, START + 10, START + 9);
    window.advance(at(START + 9));
    assert_eq!((traces(window.live()), window.misdated_traces()), (1, 0));
}

#[test]
fn a_clock_set_back_keeps_what_is_shown_for_one_window() {
    let mut window = Window::new(Duration::from_mins(1));
    add(&mut window, 1, START, START);
    window.advance(at(START));
    window.advance(at(START - 600));
    assert_eq!(traces(window.live()), 1);
    window.advance(at(START - 540));
    assert_eq!(traces(window.live()), 0);
}

#[test]
fn late_spans_are_no_traces() {
    let mut window = Window::new(Duration::from_mins(1));
    let (trace, batch) = one(1, START);
    window.add_fragment(&trace, Name::EMPTY, &batch.vocabulary, at(START));
    window.advance(at(START));
    let late: u64 = window.live().environments.values().map(|environment| environment.counts.late_spans).sum();
    assert_eq!((traces(window.live()), late), (0, 1));
}

#[test]
fn exemplars_of_every_bucket_are_known_before_they_come_forward() {
    let mut window = Window::new(Duration::from_mins(1));
    add(&mut window, 1, START, START);
    add(&mut window, 2, START + 10, START + 10);
    window.advance(at(START + 10));
    assert_eq!(window.exemplars(), BTreeSet::from([TraceId(1), TraceId(2)]));
    window.advance(at(START + 60));
    assert_eq!(window.exemplars(), BTreeSet::from([TraceId(2)]));
}

proptest! {
    /// What was folded in bit by bit while buckets slid out is what the remaining traces have in all.
    #[test]
    fn the_window_is_the_sum_of_what_is_inside(
        steps in prop::collection::vec((0..120u64, 0..60u64, any::<bool>()), 1..30),
    ) {
        let mut window = Window::new(Duration::from_secs(90));
        let mut all = Vec::new();
        let mut now = START;
        for (trace, (pause, age, is_advanced)) in steps.into_iter().enumerate() {
            now += pause;
            add(&mut window, trace as u128 + 1, now - age, now);
            all.push((trace as u128 + 1, now - age));
            if is_advanced {
                window.advance(at(now));
            }
        }
        window.advance(at(now));
        let mut expected = Facts::default();
        let first = (now / 10 + 1 - 9) * 10;
        for (id, started) in all.into_iter().filter(|(_, started)| *started >= first) {
            let (trace, batch) = one(id, started);
            expected.add_trace(&trace, &batch.vocabulary);
        }
        prop_assert_eq!(window.live(), &expected);
    }
}

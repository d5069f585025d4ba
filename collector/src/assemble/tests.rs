//! When traces settle: by quiet, by bounds, late and again.

use super::*;
use crate::testing::{Sent, child, root, spans};

const SECOND: Duration = Duration::from_secs(1);

fn live() -> Assembler {
    Assembler::new(Settle::default(), AssemblyLimits::default())
}

fn limited(limits: AssemblyLimits) -> Assembler {
    Assembler::new(Settle::default(), limits)
}

/// What came out, in short: `1: 3 spans`, or `1: 3 spans late`.
fn shown(assembled: &[Assembled]) -> Vec<String> {
    let show = |each: &Assembled| match each {
        Assembled::Settled(Weighed { trace, .. }) => format!("{}: {} spans", { trace.id().0 }, trace.spans().len()),
        Assembled::Late(Weighed { trace, .. }) => format!("{}: {} spans late", { trace.id().0 }, trace.spans().len()),
    };
    assembled.iter().map(show).collect()
}

#[track_caller]
fn check(assembled: &[Assembled], expected: &[&str]) {
    assert_eq!(shown(assembled), expected);
}

fn add(assembler: &mut Assembler, sent: &[Sent], now: Duration) -> Vec<Assembled> {
    assembler.add(spans(sent), 0, now)
}

#[test]
fn a_complete_trace_settles_after_two_quiet_seconds() {
    let mut assembler = live();
    add(&mut assembler, &[child(1, 2, 1)], SECOND);
    add(&mut assembler, &[root(1, 1)], 2 * SECOND);
    check(&assembler.tick(Duration::from_millis(3_999)), &[]);
    check(&assembler.tick(4 * SECOND), &["1: 2 spans"]);
    assert_eq!((assembler.pending_traces(), assembler.pending_spans()), (0, 0));
}

#[test]
fn a_trace_without_its_parent_waits_a_minute() {
    let mut assembler = live();
    add(&mut assembler, &[child(1, 2, 1)], Duration::ZERO);
    check(&assembler.tick(59 * SECOND), &[]);
    check(&assembler.tick(60 * SECOND), &["1: 1 spans"]);
}

#[test]
fn a_parent_that_comes_ends_the_waiting() {
    let mut assembler = live();
    add(&mut assembler, &[child(1, 2, 1)], Duration::ZERO);
    check(&assembler.tick(30 * SECOND), &[]);
    add(&mut assembler, &[root(1, 1)], 30 * SECOND);
    check(&assembler.tick(31 * SECOND), &[]);
    check(&assembler.tick(32 * SECOND), &["1: 2 spans"]);
}

#[test]
fn every_span_starts_the_waiting_anew() {
    let mut assembler = live();
    for second in 0..100 {
        let parent = u64::from(second) + 1;
        add(&mut assembler, &[child(1, parent + 1, parent)], second * SECOND);
        check(&assembler.tick(second * SECOND), &[]);
    }
    check(&assembler.tick(158 * SECOND), &[]);
    check(&assembler.tick(159 * SECOND), &["1: 100 spans"]);
}

#[test]
fn at_end_nothing_settles_before_the_end() {
    let mut assembler = Assembler::new(Settle::AtEnd, AssemblyLimits::default());
    add(&mut assembler, &[root(2, 1), root(1, 1)], Duration::ZERO);
    check(&assembler.tick(1_000_000 * SECOND), &[]);
    let ids: Vec<u128> = assembler.finish().iter().map(|trace| trace.id().0).collect();
    assert_eq!(ids, [1, 2]);
    assert!(assembler.finish().is_empty());
}

#[test]
fn what_comes_late_is_told_from_what_comes_again() {
    let mut assembler = live();
    let sent = [root(1, 1), child(1, 2, 1)];
    add(&mut assembler, &sent, Duration::ZERO);
    assembler.tick(2 * SECOND);
    check(&add(&mut assembler, &sent, 3 * SECOND), &[]);
    let late = [child(1, 3, 1), child(1, 3, 1), child(1, 4, 1), root(2, 1)];
    check(&add(&mut assembler, &late, 4 * SECOND), &["1: 2 spans late"]);
    check(&add(&mut assembler, &late[..1], 4 * SECOND), &[]);
    let counts = assembler.counts();
    assert_eq!((counts.late_spans, counts.late_duplicates), (2, 4));
    assert_eq!(assembler.pending_traces(), 1);
}

#[test]
fn over_the_bound_the_quietest_trace_settles_early() {
    let mut assembler = limited(AssemblyLimits { pending_spans: 3, ..AssemblyLimits::default() });
    add(&mut assembler, &[root(1, 1)], Duration::ZERO);
    add(&mut assembler, &[child(2, 2, 1)], SECOND);
    add(&mut assembler, &[child(1, 2, 1)], 2 * SECOND);
    check(&add(&mut assembler, &[root(3, 1)], 3 * SECOND), &["2: 1 spans"]);
    check(&add(&mut assembler, &[child(3, 3, 2)], 3 * SECOND), &["1: 2 spans"]);
    // One that is already waiting for its parent is quieter than a fresh one.
    check(&assembler.tick(5 * SECOND), &[]);
    let out = add(&mut assembler, &[root(4, 1), root(5, 1), root(6, 1)], 6 * SECOND);
    check(&out, &["3: 2 spans"]);
    assert_eq!(assembler.counts().early_traces, 3);
}

#[test]
fn bytes_are_bounded_too() {
    let mut assembler = limited(AssemblyLimits { pending_bytes: 1, ..AssemblyLimits::default() });
    check(&add(&mut assembler, &[root(1, 1)], Duration::ZERO), &["1: 1 spans"]);
    assert_eq!(assembler.bytes, 0);
}

#[test]
fn under_pressure_less_is_pending() {
    let mut assembler = limited(AssemblyLimits { pending_bytes: 1 << 20, ..AssemblyLimits::default() });
    add(&mut assembler, &[root(1, 1), root(2, 1)], Duration::ZERO);
    assembler.add(spans(&[root(3, 1)]), 1 << 19, SECOND);
    assembler.press(1 << 18);
    check(&assembler.tick(SECOND), &[]);
    assembler.press(usize::MAX);
    check(&assembler.tick(SECOND), &["1: 1 spans", "2: 1 spans", "3: 1 spans"]);
    assert_eq!(assembler.counts().early_traces, 3);
    assembler.press(0);
    check(&add(&mut assembler, &[root(4, 1)], SECOND), &[]);
}

#[test]
fn an_endless_trace_settles_early_and_goes_on_late() {
    let mut assembler = limited(AssemblyLimits { trace_spans: 2, ..AssemblyLimits::default() });
    let sent: Vec<Sent> = (2..7).map(|span| child(1, span, 1)).collect();
    check(&add(&mut assembler, &sent, Duration::ZERO), &["1: 2 spans", "1: 3 spans late"]);
    assert_eq!(assembler.counts().early_traces, 1);
}

#[test]
fn the_oldest_settled_traces_are_forgotten() {
    let remembered_spans = 2 * (1 + settled::TRACE_WEIGHT);
    let mut assembler = limited(AssemblyLimits { remembered_spans, ..AssemblyLimits::default() });
    for trace in 1..=3 {
        add(&mut assembler, &[root(trace, 1)], Duration::ZERO);
        assembler.finish();
    }
    // The first was forgotten, so it starts a new trace.
    let again = [root(1, 1), root(2, 1), root(3, 1)];
    add(&mut assembler, &again, SECOND);
    assert_eq!(assembler.counts().late_duplicates, 2);
    assert_eq!(assembler.finish().len(), 1);
}

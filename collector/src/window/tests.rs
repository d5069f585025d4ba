//! What is inside each window as time goes on.

use proptest::prelude::*;
use spanlint_graph::SpanBatch;

use super::*;
use crate::testing::{EPOCH_NS, Sent, batch, root};

const SECOND_NS: u64 = 1_000_000_000;
/// A moment at which a minute begins, in seconds after the start of time.
const START: u64 = 6_000_040;

fn windows() -> Windows {
    Windows::new(Window::FiveMinutes, FactLimits::default())
}

fn at(second: u64) -> u64 {
    EPOCH_NS + second * SECOND_NS
}

/// Adds a trace of one span that started at `started` and settled at `now`, both in seconds.
fn add(windows: &mut Windows, trace: u128, started: u64, now: u64) {
    let (trace, batch) = one(trace, started);
    windows.add_trace(&trace, &batch.vocabulary, at(now));
}

fn minute(second: u64) -> u64 {
    at(second) / SECOND_NS / 60
}

fn one(trace: u128, started: u64) -> (Trace, SpanBatch) {
    let batch = batch(&[Sent { start_ms: started * 1_000, ..root(trace, 1) }]);
    (Trace::new(batch.spans.clone()), batch)
}

/// How many traces there are.
fn traces(facts: &Facts) -> u64 {
    facts.environments.values().map(|environment| environment.counts.traces).sum()
}

/// How many traces each window holds.
fn held(windows: &Windows) -> [u64; 4] {
    Window::ALL.map(|window| traces(&windows.live(window)))
}

#[test]
fn a_trace_slides_out_of_one_window_after_the_other() {
    let mut windows = windows();
    assert_eq!(at(START) / SECOND_NS % 60, 0);
    add(&mut windows, 1, START, START + 9);
    add(&mut windows, 2, START + 10, START + 19);
    assert_eq!(windows.advance(at(START + 19)), [true; 4]);
    assert_eq!(windows.advance(at(START + 59)), [false; 4]);
    let expected =
        [(59, [2, 2, 2, 2]), (60, [1, 2, 2, 2]), (70, [0, 2, 2, 2]), (300, [0, 1, 2, 2]), (899, [0, 0, 2, 2])];
    for (second, expected) in expected {
        windows.advance(at(START + second));
        assert_eq!(held(&windows), expected, "after {second} s");
    }
    assert!(!windows.is_at_rest());
    assert_eq!(windows.advance(at(START + 900)), [false, false, true, false]);
    assert_eq!(held(&windows), [0, 0, 0, 2]);
    assert!(windows.is_at_rest());
    assert_eq!(traces(&windows.finish([], &Vocabulary::default())), 2);
}

#[test]
fn a_trace_of_many_minutes_belongs_to_its_beginning() {
    let mut windows = windows();
    add(&mut windows, 1, START, START + 600);
    windows.advance(at(START + 600));
    assert_eq!((held(&windows), windows.misdated_traces()), ([0, 0, 1, 1], 0));
}

#[test]
fn a_wrong_clock_is_counted_and_shown_by_arrival() {
    let mut windows = windows();
    add(&mut windows, 1, START - 6_000, START);
    add(&mut windows, 2, START + 600, START);
    windows.advance(at(START));
    assert_eq!((held(&windows), windows.misdated_traces()), ([2; 4], 2));
    windows.advance(at(START + 60));
    assert_eq!(held(&windows), [0, 2, 2, 2]);
}

#[test]
fn a_clock_a_little_ahead_is_not_wrong() {
    let mut windows = windows();
    add(&mut windows, 1, START + 10, START + 9);
    windows.advance(at(START + 9));
    assert_eq!((held(&windows), windows.misdated_traces()), ([1; 4], 0));
}

#[test]
fn a_clock_set_back_keeps_what_is_shown_for_one_window() {
    let mut windows = windows();
    add(&mut windows, 1, START, START);
    windows.advance(at(START));
    windows.advance(at(START - 600));
    assert_eq!(held(&windows), [1; 4]);
    windows.advance(at(START - 540));
    assert_eq!(held(&windows), [0, 1, 1, 1]);
    windows.advance(at(START - 300));
    assert_eq!(held(&windows), [0, 0, 1, 1]);
}

#[test]
fn every_stretch_of_time_is_bounded_and_loses_nothing() {
    const SERVICES: u128 = 500;
    let mut windows = Windows::new(Window::FiveMinutes, FactLimits::within(100 * FactLimits::SERVICE_BYTES));
    for service in 0..SERVICES {
        let second = START + service as u64;
        let batch = batch(&[Sent { start_ms: second * 1_000, service: service as u32, ..root(service + 1, 1) }]);
        windows.add_trace(&Trace::new(batch.spans.clone()), &batch.vocabulary, at(second));
        windows.advance(at(second));
    }
    for window in Window::ALL {
        let facts = windows.live(window);
        let facts = facts.environments.values().next().unwrap();
        let traces: u64 = facts.services.values().map(|service| service.traces).sum();
        assert!(facts.services.len() <= 100, "{window}: {}", facts.services.len());
        assert_eq!(traces + facts.services.overflow().traces, facts.counts.traces, "{window}");
    }
}

/// Whatever facts weigh, and whenever that was found to be too much: what is kept is what the bounds that hold in the end
/// would have kept from the beginning.
#[test]
fn facts_that_take_too_much_keep_fewer_services() {
    const SERVICES: u32 = 60;
    let limits = FactLimits::within(50 * FactLimits::SERVICE_BYTES);
    let mut windows = Windows::new(Window::FiveMinutes, limits);
    let mut everything = Facts::default();
    let mut most = usize::MAX;
    for second in 0..90 {
        for service in 0..SERVICES {
            let id = (u128::from(second) << 64) | (u128::from(service) + 1);
            let batch = batch(&[Sent { service, start_ms: (START + second) * 1_000, ..root(id, 1) }]);
            let trace = Trace::new(batch.spans);
            windows.add_trace(&trace, &batch.vocabulary, at(START + second));
            everything.add_trace(&trace, &batch.vocabulary);
        }
        windows.advance(at(START + second));
        if second == 9 {
            most = windows.bytes() / 2;
        }
        windows.fit(most, &NameTable::default());
    }
    for second in (90..200).step_by(10) {
        windows.advance(at(START + second));
        windows.fit(most, &NameTable::default());
    }
    assert!(windows.bytes() <= most, "{} > {most}", windows.bytes());
    everything.trim(windows.limits);
    let kept = windows.finish([], &Vocabulary::default());
    let services = |facts: &Facts| facts.environments.values().map(|facts| facts.services.len()).sum::<usize>();
    assert!((1..50).contains(&services(&kept)), "{}", services(&kept));
    assert_eq!(kept, everything);
}

#[test]
fn late_spans_are_no_traces() {
    let mut windows = windows();
    let (trace, batch) = one(1, START);
    windows.add_fragment(&trace, Name::EMPTY, &batch.vocabulary, at(START));
    windows.advance(at(START));
    let live = windows.live(Window::Minute);
    let late: u64 = live.environments.values().map(|environment| environment.counts.late_spans).sum();
    assert_eq!((traces(&live), late), (0, 1));
}

#[test]
fn exemplars_of_every_bucket_are_known_before_they_come_forward() {
    let mut windows = windows();
    add(&mut windows, 1, START, START);
    add(&mut windows, 2, START + 60, START + 60);
    windows.advance(at(START + 60));
    assert_eq!(windows.exemplars(), HashSet::from_iter([TraceId(1), TraceId(2)]));
    windows.advance(at(START + 900));
    assert_eq!(windows.exemplars(), HashSet::from_iter([TraceId(2)]));
}

#[test]
fn every_minute_can_be_gone_back_to() {
    let mut windows = windows();
    for minute in 0..40 {
        add(&mut windows, minute + 1, START + minute as u64 * 60, START + minute as u64 * 60 + 5);
        windows.advance(at(START + minute as u64 * 60 + 59));
    }
    let past =
        |window, minute: u64| windows.past(window, at(START + minute * 60 + 7)).map(|past| traces(&past.facts()));
    for (minute, expected) in [(0, [1, 1, 1, 1]), (3, [1, 4, 4, 4]), (20, [1, 5, 15, 21]), (39, [1, 5, 15, 40])] {
        assert_eq!(Window::ALL.map(|window| past(window, minute)), expected.map(Some), "minute {minute}");
    }
    assert_eq!(past(Window::Minute, 40), None);
    assert_eq!(windows.past(Window::Minute, at(START - 1)).map(|past| traces(&past.facts())), None);
    assert_eq!(windows.first_minute_ns(), at(START));
}

#[test]
fn minutes_are_bounded_and_everything_stays_exact() {
    let mut windows = windows();
    let count = MAX_MINUTES as u64 + 10;
    for minute in 0..count {
        add(&mut windows, u128::from(minute) + 1, START + minute * 60, START + minute * 60);
        windows.advance(at(START + minute * 60));
    }
    assert_eq!((windows.minutes.len(), windows.forgotten_minutes()), (MAX_MINUTES, 10));
    assert_eq!(traces(&windows.live(Window::All)), count);
    let past = |minute: u64| windows.past(Window::All, at(START + minute * 60)).map(|past| traces(&past.facts()));
    assert_eq!((past(9), past(10), past(count - 1)), (None, Some(11), Some(count)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What was folded in bit by bit while buckets slid out is what the traces inside have in all.
    #[test]
    fn every_window_is_the_sum_of_what_is_inside(
        steps in prop::collection::vec((0..200u64, 0..1_200u64, any::<bool>()), 1..40),
    ) {
        let mut windows = windows();
        let mut all = Vec::new();
        let mut now = START + 3_600;
        for (trace, (pause, age, is_advanced)) in steps.into_iter().enumerate() {
            now += pause;
            add(&mut windows, trace as u128 + 1, now - age, now);
            // A trace that is too old belongs to its arrival.
            let is_inside = minute(now - age) + 15 > minute(now);
            all.push((trace as u128 + 1, now - age, if is_inside { now - age } else { now }));
            if is_advanced {
                windows.advance(at(now));
            }
        }
        windows.advance(at(now));
        for window in Window::ALL {
            let first = match window {
                Window::Minute => now / 10 * 10 - 50,
                Window::FiveMinutes => now / 10 * 10 - 290,
                Window::QuarterHour => START + (minute(now) - minute(START) - 14) * 60,
                Window::All => 0,
            };
            let mut expected = Facts::default();
            for (id, started, placed) in &all {
                if *placed >= first {
                    let (trace, batch) = one(*id, *started);
                    expected.add_trace(&trace, &batch.vocabulary);
                }
            }
            prop_assert_eq!(&*windows.live(window), &expected, "{}", window);
            let is_by_minute = matches!(window, Window::QuarterHour | Window::All);
            if let Some(past) = windows.past(window, at(now)).filter(|_| is_by_minute) {
                prop_assert_eq!(&past.facts(), &expected, "the past of {}", window);
            }
        }
    }
}

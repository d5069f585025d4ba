//! A restart changes nothing, and what was kept is there at once.

use std::sync::Mutex;

use proptest::prelude::*;
use spanlint_graph::TraceId;

use super::*;
use crate::live::Published;
use crate::testing::{EPOCH_NS, Sent, batch, child, root};

fn at(elapsed: Duration) -> Moment {
    Moment { elapsed, unix_ns: EPOCH_NS + elapsed.as_nanos() as u64 }
}

/// What an owner publishes at a time.
fn seen(owner: &mut Owner, now: Moment) -> Arc<Published> {
    owner.tick(now, 1).expect("a changed count of busy spans is published")
}

/// Batches of one trace each, and how long after the one before each arrives.
fn arrivals() -> impl Strategy<Value = Vec<(Vec<Sent>, Duration)>> {
    let spans = prop::collection::vec((1..5u64, 0..5u64, 0..3u32), 1..4);
    let arrival = (1..6u128, spans, prop_oneof![0..900u64, 0..20_000u64, 0..400_000u64]);
    let arrival = arrival.prop_map(|(trace, spans, gap_ms)| {
        let sent = |(span, parent, service)| Sent { parent, service, ..root(trace, span) };
        (spans.into_iter().map(sent).collect(), Duration::from_millis(gap_ms))
    });
    prop::collection::vec(arrival, 1..15)
}

proptest! {
    /// An owner that never stopped, and one that lived through the same batches again, show the same.
    #[test]
    fn a_restart_changes_nothing(arrivals in arrivals(), rest_ms in 0..400_000u64) {
        let mut steady = Owner::new(&LiveSettings::default());
        let mut replay = Replay::new(&LiveSettings::default());
        let mut now = Duration::ZERO;
        replay.add(batch(&[]), EPOCH_NS);
        for (mut sent, gap) in arrivals {
            for span in &mut sent {
                span.start_ms = (now + gap).as_millis() as u64;
            }
            tick_between(&mut steady, now, now + gap);
            now += gap;
            steady.absorb(batch(&sent), at(now));
            replay.add(batch(&sent), at(now).unix_ns);
        }
        let rest = Duration::from_millis(rest_ms);
        tick_between(&mut steady, now, now + rest);
        now += rest;
        let caught_up = replay.pass_to(at(now).unix_ns);
        prop_assert_eq!(caught_up, at(now));
        let (steady, replayed) = (seen(&mut steady, at(now)), seen(&mut replay.owner, caught_up));
        prop_assert_eq!(steady.status, replayed.status);
        prop_assert_eq!(&steady.environments, &replayed.environments);
    }
}

/// Ticks every second, as an owner that runs does.
fn tick_between(owner: &mut Owner, from: Duration, to: Duration) {
    for second in from.as_secs() + 1..=to.as_secs() {
        owner.tick(at(Duration::from_secs(second)), 0);
    }
}

#[tokio::test]
async fn what_was_kept_is_there_before_anything_else_happens() {
    let mut replay = Replay::new(&LiveSettings::default());
    let settled = [root(1, 1), child(1, 2, 1)];
    replay.add(batch(&settled), EPOCH_NS);
    replay.add(batch(&settled), EPOCH_NS + 1);
    let pending = Sent { start_ms: 250_000, ..root(2, 1) };
    replay.add(batch(&[pending]), EPOCH_NS + 250_000_000_000);
    let now = Arc::new(Mutex::new(Moment { elapsed: Duration::ZERO, unix_ns: EPOCH_NS + 251_000_000_000 }));
    let clock = {
        let now = Arc::clone(&now);
        move || *now.lock().unwrap()
    };
    let live = replay.start(Arc::new(clock)).unwrap();
    let published = live.published().borrow().clone();
    assert_eq!((published.status.settled_traces, published.status.pending_traces), (1, 1));
    assert_eq!(published.environments[0].counts.spans, 2, "what came again counts once");
    assert_eq!(live.traces().waterfall(TraceId(1)).await.unwrap().rows.len(), 2);
    *now.lock().unwrap() = Moment { elapsed: Duration::from_secs(1), unix_ns: EPOCH_NS + 252_000_000_000 };
    let settles = |published: &Arc<Published>| published.status.settled_traces == 2;
    live.published().wait_for(settles).await.unwrap();
}

#[test]
fn a_clock_that_was_set_back_does_not_turn_time_back() {
    let mut replay = Replay::new(&LiveSettings::default());
    replay.add(batch(&[root(1, 1)]), EPOCH_NS + 10_000_000_000);
    replay.add(batch(&[root(2, 1)]), EPOCH_NS);
    replay.add(batch(&[root(3, 1)]), EPOCH_NS + 1_000_000_000);
    assert_eq!(replay.pass_to(EPOCH_NS + 1_500_000_000).elapsed, Duration::from_millis(1_500));
}

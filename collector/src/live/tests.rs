//! The live side on a paused clock, through its channels.

use tokio::time::Instant;

use super::*;
use crate::clock::Moment;
use crate::testing::{EPOCH_NS, batch, child, root};

/// A live side on this runtime, whose time may be paused; time starts with the spans of tests.
pub(crate) fn simulated(settings: &LiveSettings) -> Live {
    let owner = Owner::new(settings);
    let (live, channels) = Live::connect(settings.request_bytes, owner.published());
    let start = Instant::now();
    let clock: Clock = Arc::new(move || {
        let elapsed = start.elapsed();
        Moment { elapsed, unix_ns: EPOCH_NS + elapsed.as_nanos() as u64 }
    });
    tokio::spawn(drive(owner, channels, clock));
    live
}

#[tokio::test(start_paused = true)]
async fn a_trace_is_published_once_it_is_quiet() {
    let live = simulated(&LiveSettings::default());
    let start = Instant::now();
    let mut published = live.published();
    live.intake().submit(batch(&[root(1, 1), child(1, 2, 1)])).unwrap();
    let first = published.wait_for(|published| published.status.accepted_spans == 2).await.unwrap().clone();
    assert!(first.environments.is_empty());
    assert_eq!(first.status.pending_traces, 1);
    let settled = published.wait_for(|published| !published.environments.is_empty()).await.unwrap().clone();
    assert!((Duration::from_secs(2)..=Duration::from_millis(2_500)).contains(&start.elapsed()));
    assert_eq!(settled.at_ns, EPOCH_NS + start.elapsed().as_nanos() as u64);
    assert_eq!(settled.environments[0].counts.spans, 2);
    assert_eq!((settled.status.settled_traces, settled.status.pending_traces), (1, 0));
    assert_eq!(live.traces().waterfall(TraceId(1)).await.unwrap().rows.len(), 2);
    assert!(live.traces().waterfall(TraceId(2)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn snapshots_keep_their_distance_and_end_with_the_news() {
    const STEP: Duration = Duration::from_millis(130);
    let settings = LiveSettings { window: Window::Minute, ..LiveSettings::default() };
    let live = simulated(&settings);
    let mut published = live.published();
    let mut last: Option<Instant> = None;
    for round in 0..40u64 {
        live.intake().submit(batch(&[root(u128::from(round) + 1, 1)])).unwrap();
        tokio::time::advance(STEP).await;
        if published.has_changed().unwrap() {
            published.mark_unchanged();
            let now = Instant::now();
            assert!(last.is_none_or(|last| now + STEP >= last + PUBLISH_INTERVAL));
            last = Some(now);
        }
    }
    let empty = |published: &Arc<Published>| published.environments.is_empty() && published.status.settled_traces == 40;
    published.wait_for(empty).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_mins(10), published.changed()).await;
    assert!(quiet.is_err(), "something was published although nothing changed");
}

#[tokio::test(start_paused = true)]
async fn finish_takes_what_is_queued_and_turns_away_the_rest() {
    let live = simulated(&LiveSettings { settle: crate::assemble::Settle::AtEnd, ..LiveSettings::default() });
    let (intake, traces) = (live.intake(), live.traces());
    for trace in 1..=100 {
        intake.submit(batch(&[root(trace, 1), child(trace, 2, 1)])).unwrap();
    }
    let finished = live.finish().await;
    let counts: Vec<u64> = finished.facts.environments.values().map(|environment| environment.counts.traces).collect();
    assert_eq!(counts, [100]);
    assert_eq!((finished.status.accepted_spans, finished.status.settled_traces), (200, 100));
    intake.submit(batch(&[root(1, 1)])).unwrap_err();
    assert!(traces.waterfall(TraceId(1)).await.is_none());
}

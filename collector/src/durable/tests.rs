//! The writer thread between senders and log.

use axum::body::Body;
use http::{Request, StatusCode};
use spanlint_graph::{Reading, Redaction, Trace};
use tower::ServiceExt as _;

use super::simulated::{Fault, Random, SimulatedDisk};
use super::*;
use crate::clock::Moment;
use crate::limits::{Limits, MEMORY_BYTES};
use crate::live::{Intake, LiveSettings, queue};
use crate::receiver::{self, Counters, Readers, Receiver, Turns};

const TRACES: Content = Content::TracesProtobuf;

fn no_clock() -> Clock {
    Arc::new(Moment::default)
}

/// A writer on a disk, its trouble, and what the disk held.
fn open(disk: &SimulatedDisk) -> (Durable, Writer, Trouble, Vec<Vec<u8>>) {
    let mut requests = Vec::new();
    let replay = |_, _, request: &[u8]| {
        requests.push(request.to_vec());
        Some(Replayed::default())
    };
    let (log, _) = Log::recover(disk.clone(), Retention::default(), 0, replay).unwrap();
    let (durable, writer, trouble) = start(log, no_clock()).unwrap();
    (durable, writer, trouble, requests)
}

fn text(request: &'static str) -> Bytes {
    Bytes::from_static(request.as_bytes())
}

#[tokio::test]
async fn what_is_acknowledged_is_on_disk() {
    let disk = SimulatedDisk::new(1);
    let (durable, writer, ..) = open(&disk);
    let all: Vec<Bytes> = (0..200u32).map(|id| Bytes::from(id.to_le_bytes().to_vec())).collect();
    let mut appends = tokio::task::JoinSet::new();
    for request in all.clone() {
        let durable = durable.clone();
        appends.spawn(async move { durable.append(TRACES, request, Vec::new()).await });
    }
    assert!(appends.join_all().await.iter().all(Result::is_ok));
    disk.restart();
    let (.., mut found) = open(&disk);
    found.sort();
    let mut expected: Vec<Vec<u8>> = all.iter().map(|request| request.to_vec()).collect();
    expected.sort();
    assert_eq!(found, expected);
    drop(durable);
    writer.ended().await;
}

#[tokio::test]
async fn a_full_or_failing_disk_says_retry_later_and_recovers() {
    let disk = SimulatedDisk::new(1);
    let (durable, ..) = open(&disk);
    durable.append(TRACES, text("first"), Vec::new()).await.unwrap();
    disk.set_capacity(disk.used_bytes());
    for _ in 0..3 {
        assert_eq!(durable.append(TRACES, text("full"), Vec::new()).await, Err(Busy { retry_after: RETRY_AFTER }));
    }
    disk.set_capacity(usize::MAX);
    durable.append(TRACES, text("second"), Vec::new()).await.unwrap();
    // The append to the segment works, the sync does not.
    disk.plan(1, Fault::Error);
    durable.append(TRACES, text("failed"), Vec::new()).await.unwrap_err();
    durable.append(TRACES, text("third"), Vec::new()).await.unwrap();
    let (.., found) = open(&disk);
    assert_eq!(found, [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()]);
}

/// Also while nothing arrives: senders may wait until it can be written.
#[tokio::test]
async fn trouble_is_told_until_there_is_room_for_what_failed() {
    let disk = SimulatedDisk::new(1);
    let (durable, _writer, mut trouble, _) = open(&disk);
    durable.append(TRACES, text("first"), Vec::new()).await.unwrap();
    assert_eq!(*trouble.borrow(), None);
    let request = Bytes::from(vec![7; 10_000]);
    disk.set_capacity(disk.used_bytes());
    durable.append(TRACES, request.clone(), Vec::new()).await.unwrap_err();
    let told = trouble.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert!(told.contains("space"), "{told}");
    disk.set_capacity(disk.used_bytes() + 20_000);
    trouble.wait_for(Option::is_none).await.unwrap();
    durable.append(TRACES, request, Vec::new()).await.unwrap();
}

#[tokio::test]
async fn without_power_nothing_is_acknowledged() {
    let disk = SimulatedDisk::new(1);
    let (durable, ..) = open(&disk);
    disk.plan(Random(1).below(4), Fault::PowerCut);
    durable.append(TRACES, text("lost"), Vec::new()).await.unwrap_err();
    durable.append(TRACES, text("lost"), Vec::new()).await.unwrap_err();
}

#[tokio::test]
async fn a_request_greater_than_all_room_is_taken_when_alone() {
    let (durable, ..) = open(&SimulatedDisk::new(1));
    durable.append(TRACES, Bytes::from(vec![0; MAX_UNWRITTEN_BYTES + 1]), Vec::new()).await.unwrap();
    let waiting = Arc::clone(&durable.room).try_acquire_owned().unwrap();
    durable.append(TRACES, Bytes::from(vec![0; MAX_UNWRITTEN_BYTES]), Vec::new()).await.unwrap_err();
    drop(waiting);
}

fn receiver(intake: Intake, durable: Durable, counters: &Arc<Counters>, readers: &Readers) -> Receiver {
    let (counters, readers, limits) = (Arc::clone(counters), readers.clone(), Limits::default());
    Receiver {
        intake,
        durable: Some(durable),
        counters,
        limits,
        turns: Turns::default(),
        tap: None,
        token: None,
        readers,
    }
}

/// A request of one span with an attribute, and where it is sent.
fn request_with(port: &str, (key, value): (&str, &str)) -> (&'static str, String) {
    let attribute = format!(r#"{{"key": "{key}", "value": {{"stringValue": "{value}"}}}}"#);
    let span = format!(
        r#"{{"traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607", "name": "work",
            "startTimeUnixNano": "1", "endTimeUnixNano": "2", "attributes": [{attribute}]}}"#
    );
    if port == "otlp" {
        return ("/v1/traces", format!(r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{span}]}}]}}]}}"#));
    }
    let span = r#""traceId": "1", "id": "2", "timestamp": 1, "duration": 1"#;
    ("/api/v2/spans", format!(r#"[{{{span}, "tags": {{"{key}": "{value}"}}}}]"#))
}

/// What the log has after a request was sent to one of the ports.
async fn kept_of(port: &str, (path, body): (&str, &str), readers: &Readers) -> Vec<u8> {
    let disk = SimulatedDisk::new(1);
    let (durable, ..) = open(&disk);
    let (intake, _queued) = queue(LiveSettings::default().request_bytes);
    let receiver = receiver(intake, durable, &Arc::default(), readers);
    let router = if port == "otlp" { receiver::router(receiver) } else { receiver::zipkin_router(receiver) };
    let sent = Request::post(path).header("content-type", "application/json").body(Body::from(body.to_owned()));
    let answer = router.oneshot(sent.unwrap()).await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    let (.., mut kept) = open(&disk);
    kept.remove(0)
}

const PORTS: [(&str, Content); 2] = [("otlp", Content::TracesJson), ("zipkin", Content::ZipkinJson)];

/// Neither in the log, nor read back of what was there before.
#[tokio::test]
async fn what_is_redacted_is_not_kept() {
    let reading = Arc::new(Reading { redaction: Redaction::new(["enduser.*"]), ..Reading::default() });
    let readers = Readers::new(reading, MEMORY_BYTES);
    for (port, content) in PORTS {
        let (path, body) = request_with(port, ("enduser.role", "jane"));
        let kept = kept_of(port, (path, &body), &readers).await;
        let text = String::from_utf8(kept.clone()).unwrap();
        assert!(!text.contains("jane") && !text.contains("enduser"), "{text}");
        let read = |request: &[u8], readers: &Readers| {
            let batch = receiver::decode_kept(content, request, readers).unwrap();
            format!("{:?}", Trace::new(batch.spans).waterfall(&batch.vocabulary))
        };
        assert!(read(body.as_bytes(), &Readers::default()).contains("jane"));
        let restored = read(body.as_bytes(), &readers);
        assert!(!restored.contains("jane"), "{restored}");
        assert_eq!(read(&kept, &readers), restored);
    }
}

/// It is not in the log, and what is held against the sender is there after a restart.
#[tokio::test]
async fn what_is_confidential_is_kept_under_seal() {
    let readers = Readers::default();
    for (port, content) in PORTS {
        let (path, body) = request_with(port, ("db.password", "correct horse"));
        let kept = kept_of(port, (path, &body), &readers).await;
        assert!(!String::from_utf8(kept.clone()).unwrap().contains("horse"));
        let read = |request: &[u8]| receiver::decode_kept(content, request, &readers).unwrap().spans;
        assert_eq!(read(&kept), read(body.as_bytes()));
        assert_eq!(read(&kept)[0].secrets().len(), 1);
        let (path, body) = request_with(port, ("enduser.role", "jane"));
        assert!(String::from_utf8(kept_of(port, (path, &body), &readers).await).unwrap().contains("jane"));
    }
}

#[tokio::test]
async fn a_full_disk_is_answered_with_retry_later_and_counts_nothing_in() {
    let disk = SimulatedDisk::new(1);
    let (durable, ..) = open(&disk);
    let (intake, mut queued) = queue(LiveSettings::default().request_bytes);
    let counters = Arc::new(Counters::default());
    let router = receiver::router(receiver(intake, durable, &counters, &Readers::default()));
    let send = async || {
        let body = r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "000102030405060708090a0b0c0d0e0f",
            "spanId": "0001020304050607", "name": "work", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}]}]}]}"#;
        let request = Request::post("/v1/traces").header("content-type", "application/json").body(Body::from(body));
        router.clone().oneshot(request.unwrap()).await.unwrap()
    };
    disk.set_capacity(50);
    let refused = send().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(queued.try_recv().is_err());
    disk.set_capacity(usize::MAX);
    assert_eq!(send().await.status(), StatusCode::OK);
    let batch = queued.try_recv().unwrap().batch;
    assert_eq!((counters.retry_spans.get(), counters.accepted_spans.get()), (1, 1));
    assert_eq!(counters.unkept_requests.get(), 1);
    let (.., kept) = open(&disk);
    assert_eq!(receiver::decode_kept(Content::TracesJson, &kept[0], &Arc::default()).unwrap().spans, batch.spans);
}

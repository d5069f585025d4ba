//! What is counted of spans is at least what the allocator gives for them: limits in bytes rest on it.
//!
//! Alone in its program, since it asks how much everything takes.

use std::alloc::System;
use std::borrow::Cow;
use std::time::Duration;

use cap::Cap;
use spanlint_collector::assemble::{Assembled, Assembler, AssemblyLimits, Settle};
use spanlint_collector::clock::system_clock;
use spanlint_collector::live::{Live, LiveSettings};
use spanlint_collector::store::TraceStore;
use spanlint_collector::window::Windows;
use spanlint_graph::facts::FactLimits;
use spanlint_graph::span::{SpanId, SpanKind, SpanView, Value};
use spanlint_graph::{BatchBuilder, SpanBatch, SpanVisitor, Trace, TraceId, Window};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What the spans of a sender look like.
struct Sender {
    name: &'static str,
    /// How many spans each of its services sends in a request.
    spans_per_service: usize,
    spans_per_trace: usize,
    attributes: usize,
    /// Of the name of a service.
    name_bytes: usize,
}

const SENDERS: [Sender; 5] = [
    Sender { name: "many names", spans_per_service: 1, spans_per_trace: 1, attributes: 0, name_bytes: 0 },
    Sender { name: "long names", spans_per_service: 1, spans_per_trace: 1, attributes: 0, name_bytes: 900 },
    Sender { name: "a gateway", spans_per_service: 30, spans_per_trace: 30, attributes: 10, name_bytes: 0 },
    Sender { name: "many attributes", spans_per_service: 1, spans_per_trace: 10, attributes: 40, name_bytes: 0 },
    Sender { name: "many short traces", spans_per_service: 1000, spans_per_trace: 1, attributes: 2, name_bytes: 0 },
];

/// Requests of 1,000 spans.
const REQUESTS: usize = 2;
const REQUEST_SPANS: usize = 1000;

impl Sender {
    fn requests(&self) -> Vec<SpanBatch> {
        let mut builder = BatchBuilder::default();
        let request = |number: usize| {
            let spans = number * REQUEST_SPANS..(number + 1) * REQUEST_SPANS;
            spans.for_each(|number| self.send(number, &mut builder));
            builder.take()
        };
        (0..REQUESTS).map(request).collect()
    }

    fn send(&self, number: usize, builder: &mut BatchBuilder) {
        if number.is_multiple_of(self.spans_per_service) {
            let service = number / self.spans_per_service;
            let name = format!("service-{service}{}", "x".repeat(self.name_bytes));
            builder.resource(&[(Cow::Borrowed("service.name"), Value::Text(name.into()))]);
        }
        let keys: Vec<String> = (0..self.attributes).map(|key| format!("attribute.{key}")).collect();
        let value = |key: usize| Value::Text(format!("value {number} of {key}").into());
        let attributes: Vec<_> = keys.iter().enumerate().map(|(key, name)| (name.into(), value(key))).collect();
        builder.span(&SpanView {
            trace_id: TraceId((number / self.spans_per_trace) as u128 + 1),
            span_id: SpanId(number as u64 + 1),
            kind: SpanKind::Server,
            name: "GET /cart".into(),
            attributes: &attributes,
            ..SpanView::default()
        });
    }
}

/// What is allocated beside what was `before`, is counted, and at most half of what is counted is not there.
#[track_caller]
fn check(sender: &Sender, place: &str, counted: usize, before: usize) {
    let allocated = ALLOCATOR.allocated() - before;
    let shown = format!("{} {place}: {} KiB allocated, {} counted", sender.name, allocated >> 10, counted >> 10);
    assert!((allocated..2 * allocated).contains(&counted), "{shown}");
}

#[test]
fn what_is_counted_is_there() {
    for sender in &SENDERS {
        in_the_queue(sender);
        pending_and_stored(sender);
        in_the_window(sender);
    }
}

/// Facts, with room for as many services as there are.
fn in_the_window(sender: &Sender) {
    let requests = sender.requests();
    let before = ALLOCATOR.allocated();
    let mut windows = Windows::new(Window::FiveMinutes, FactLimits::default());
    for batch in &requests {
        for trace in batch.spans.chunk_by(|left, right| left.trace_id == right.trace_id) {
            windows.add_trace(&Trace::new(trace.to_vec()), &batch.vocabulary, 0);
        }
    }
    windows.advance(0);
    // Without the graphs that are made of one of four equal sums.
    check(sender, "in the window", windows.bytes() / 6 * 4, before);
}

fn in_the_queue(sender: &Sender) {
    let live = Live::start(&LiveSettings::default(), system_clock()).expect("a thread starts");
    let intake = live.intake();
    let before = ALLOCATOR.allocated();
    let requests = sender.requests();
    let mut waiting = Vec::with_capacity(REQUESTS);
    waiting.extend(requests.into_iter().map(|batch| intake.reserve(batch, intake.budget().grant()).expect("room")));
    check(sender, "in the queue", intake.budget().used(), before);
}

fn pending_and_stored(sender: &Sender) {
    let settle = Settle::Quiet { complete: Duration::ZERO, incomplete: Duration::ZERO };
    let before = ALLOCATOR.allocated();
    let mut assembler = Assembler::new(settle, AssemblyLimits::default());
    for batch in sender.requests() {
        // Without its vocabulary.
        assert!(assembler.add(batch.spans, 0, Duration::ZERO).is_empty());
    }
    check(sender, "pending", assembler.pending_bytes(), before);
    let mut store = TraceStore::new(usize::MAX);
    for each in assembler.tick(Duration::ZERO) {
        let Assembled::Settled(weighed) = each else { panic!("nothing came late") };
        store.insert(weighed);
    }
    drop(assembler);
    check(sender, "stored", store.bytes(), before);
}

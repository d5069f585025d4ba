//! How much memory spans take, for the limits that are given in bytes.
//!
//! It errs upward: what the allocator adds and what maps leave free is counted as much as it can be at most, or nearly so.
//! What several spans share is counted for each in part. A test weighs it against the allocator.

use std::sync::Arc;

use spanlint_graph::log::LogLine;
use spanlint_graph::span::{Detail, Resource, ResourceId, Shape};
use spanlint_graph::{Facts, Name, Span, SpanBatch, TraceId, Vocabulary};

use crate::logs::line_bytes;

/// What a trace takes beside its spans, pending or stored: its entry in a map, its place in a queue.
const TRACE_BYTES: usize = entry_bytes::<TraceId, [u64; 10]>() + size_of::<[u64; 6]>();

/// What a trace takes with room for its `parts`, beside what these own.
pub(crate) fn room_bytes<T>(parts: &Vec<T>) -> usize {
    TRACE_BYTES + allocated(parts.capacity() * size_of::<T>())
}

/// What the allocator takes for `bytes`: its sizes are an eighth apart, and 16 bytes at least.
pub(crate) const fn allocated(bytes: usize) -> usize {
    (bytes + bytes / 8).next_multiple_of(16)
}

/// What an entry takes of a hash map that has just doubled.
pub(crate) const fn entry_bytes<K, V>() -> usize {
    (size_of::<(K, V)>() + 1) * 16 / 7
}

/// How many bytes `span` owns, with its part of what it shares.
pub(crate) fn owned_bytes(span: &Span) -> usize {
    // Whoever read the span remembers its shape.
    let sharers = (Arc::strong_count(&span.shape) - 1).max(1);
    let call = span.shape.call.as_ref();
    let tables = call
        .map_or(0, |call| allocated(size_of_val::<[_]>(&call.tables)) + allocated(size_of_val::<[_]>(&call.also_read)));
    let shape = allocated(size_of::<[usize; 2]>() + size_of::<Shape>()) + tables;
    let rare = span.rare.as_deref().map_or(0, |rare| {
        allocated(size_of_val(rare)) + allocated(size_of_val(&*rare.links)) + allocated(size_of_val(&*rare.secrets))
    });
    shape / sharers + rare + detail_bytes(&span.detail)
}

/// How many bytes `detail` owns, with its part of what it shares.
pub(crate) fn detail_bytes(detail: &Detail) -> usize {
    allocated(detail.text_bytes()) + allocated(detail.frame_bytes())
}

/// How many bytes `facts` own.
pub(crate) fn facts_bytes(facts: &Facts) -> usize {
    let mut sum = 0;
    facts.for_each_allocation(&mut |bytes| sum += allocated(bytes));
    sum
}

/// How many bytes `vocabulary` takes.
pub(crate) fn vocabulary_bytes(vocabulary: &Vocabulary) -> usize {
    let names = vocabulary.names.len() * (entry_bytes::<Name, Box<str>>() + allocated(1));
    let texts = allocated(vocabulary.names.text_bytes());
    let resources = vocabulary.resources.len() * entry_bytes::<ResourceId, Resource>();
    names + texts + resources
}

/// How many bytes `batch` takes.
pub(crate) fn batch_bytes(batch: &SpanBatch) -> usize {
    let spans = allocated(batch.spans.capacity() * size_of::<Span>());
    let owned: usize = batch.spans.iter().map(owned_bytes).sum();
    let lines = allocated((batch.logs.capacity() - batch.logs.len()) * size_of::<LogLine>());
    let owned_by_lines: usize = batch.logs.iter().map(line_bytes).sum();
    let measurements = allocated(size_of_val::<[_]>(&batch.measurements));
    spans + owned + lines + owned_by_lines + measurements + vocabulary_bytes(&batch.vocabulary)
}

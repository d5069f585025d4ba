//! How much memory spans take, for the limits that are given in bytes.
//!
//! An estimate that errs upward by little: what a span owns is counted exactly, what the allocator adds is not.

use std::sync::Arc;

use spanlint_graph::span::Shape;
use spanlint_graph::{Span, SpanBatch};

use crate::logs::line_bytes;

/// What one name costs in a vocabulary beside its text: the map entry and the allocation.
const NAME_OVERHEAD_BYTES: usize = 64;

/// How many bytes `span` takes, with everything it owns and its part of what it shares.
pub(crate) fn span_bytes(span: &Span) -> usize {
    let call = span.shape.call.as_ref();
    let tables = call.map_or(0, |call| size_of_val::<[_]>(&call.tables) + size_of_val::<[_]>(&call.also_read));
    let shared = (size_of::<Shape>() + tables) / Arc::strong_count(&span.shape);
    let rare = span
        .rare
        .as_deref()
        .map_or(0, |rare| size_of_val(rare) + size_of_val(&*rare.links) + size_of_val(&*rare.secrets));
    size_of::<Span>() + shared + rare + span.detail.len()
}

/// How many bytes `batch` takes. The texts of names are not counted: they come from attributes, which the details of
/// the spans hold as well.
pub(crate) fn batch_bytes(batch: &SpanBatch) -> usize {
    let spans: usize = batch.spans.iter().map(span_bytes).sum();
    let logs: usize = batch.logs.iter().map(line_bytes).sum();
    let measurements = size_of_val::<[_]>(&batch.measurements);
    spans
        + logs
        + measurements
        + (batch.vocabulary.names.len() + batch.vocabulary.resources.len()) * NAME_OVERHEAD_BYTES
}

//! Spans that come in any order, gathered by trace.

use super::Trace;
use crate::hash::HashMap;
use crate::span::{Span, TraceId};

/// Spans by trace, in the order of their first spans.
#[derive(Debug, Default)]
pub struct Gathered {
    places: HashMap<TraceId, usize>,
    /// None is empty.
    traces: Vec<Vec<Span>>,
}

impl Gathered {
    /// Adds spans in their order. Mostly those of one trace follow each other.
    pub fn add(&mut self, spans: Vec<Span>) {
        let alike = spans.chunk_by(|left, right| left.trace_id == right.trace_id);
        let runs: Vec<(TraceId, usize)> = alike.map(|run| (run[0].trace_id, run.len())).collect();
        let mut spans = spans.into_iter();
        for (id, length) in runs {
            let run = spans.by_ref().take(length);
            match self.place(id) {
                Some(trace) => trace.extend(run),
                None => self.traces.push(run.collect()),
            }
        }
    }

    /// Adds what others have gathered.
    pub fn merge(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        for spans in other.traces {
            match self.place(spans[0].trace_id) {
                Some(trace) => trace.extend(spans),
                None => self.traces.push(spans),
            }
        }
    }

    /// Whether there is no span.
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// The spans, trace by trace.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.traces.iter().flatten()
    }

    /// How many spans there are.
    pub fn len(&self) -> usize {
        self.traces.iter().map(Vec::len).sum()
    }

    /// The traces, sorted by id.
    pub fn into_traces(self) -> Vec<Trace> {
        let mut traces: Vec<Trace> = self.traces.into_iter().map(Trace::new).collect();
        traces.sort_unstable_by_key(Trace::id);
        traces
    }

    /// The spans of a trace; none where it has none, which makes it the next.
    fn place(&mut self, id: TraceId) -> Option<&mut Vec<Span>> {
        let place = *self.places.entry(id).or_insert(self.traces.len());
        self.traces.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::BatchBuilder;
    use crate::span::{SpanId, SpanView, SpanVisitor as _};

    /// A span of this trace, as the one with this number.
    fn span((number, trace): (usize, u128)) -> Span {
        let mut builder = BatchBuilder::default();
        builder.resource(&[]);
        let span_id = SpanId(number as u64 + 1);
        builder.span(&SpanView { trace_id: TraceId(trace), span_id, name: "GET /".into(), ..SpanView::default() });
        builder.finish().spans.remove(0)
    }

    fn gathered(pieces: &[&[Span]]) -> Gathered {
        let mut gathered = Gathered::default();
        for piece in pieces {
            gathered.add(piece.to_vec());
        }
        gathered
    }

    proptest! {
        #[test]
        fn traces_are_the_same_however_their_spans_come(
            traces in prop::collection::vec(1..6u128, 0..40),
            cuts in any::<[prop::sample::Index; 2]>(),
        ) {
            let spans: Vec<Span> = traces.iter().copied().enumerate().map(span).collect();
            let mut cuts = cuts.map(|cut| cut.index(spans.len() + 1));
            cuts.sort_unstable();
            let (first, second, third) = (&spans[..cuts[0]], &spans[cuts[0]..cuts[1]], &spans[cuts[1]..]);
            let mut merged = gathered(&[third]);
            merged.merge(gathered(&[second, first]));
            prop_assert_eq!(merged.len(), spans.len());
            let mut expected: Vec<(TraceId, usize)> = Vec::new();
            for trace in 1..6 {
                let count = traces.iter().filter(|other| **other == trace).count();
                expected.extend((count > 0).then_some((TraceId(trace), count)));
            }
            let whole = gathered(&[&spans]).into_traces();
            let found: Vec<_> = whole.iter().map(|trace| (trace.id(), trace.spans().len())).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(merged.into_traces(), whole);
        }
    }
}

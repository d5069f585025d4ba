//! Puts spans of one trace next to each other.
//!
//! Senders group spans by resource, and what follows works on traces: spans that stand together find theirs by one
//! look-up, and have their texts in one piece of memory.

use crate::hash::HashMap;
use crate::span::{Span, TraceId};

/// Groups spans by trace. What it allocates it uses again.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    /// The number of each trace, in the order in which they were met.
    numbers: HashMap<TraceId, u32>,
    /// Of each span the number of its trace, then its place.
    places: Vec<u32>,
    /// Of each trace how many spans it has, then the place of its next.
    next: Vec<u32>,
}

impl Grouping {
    /// Orders `spans` by when the first of their trace came, and those of a trace as they were.
    pub(super) fn group(&mut self, spans: &mut [Span]) {
        if self.number(spans) {
            return;
        }
        let mut first = 0;
        for next in &mut self.next {
            first += std::mem::replace(next, first);
        }
        for place in &mut self.places {
            let next = &mut self.next[*place as usize];
            *place = *next;
            *next += 1;
        }
        for at in 0..spans.len() {
            while self.places[at] as usize != at {
                let place = self.places[at] as usize;
                spans.swap(at, place);
                self.places.swap(at, place);
            }
        }
    }

    /// Numbers the traces of `spans`; whether these are in order already.
    fn number(&mut self, spans: &[Span]) -> bool {
        self.numbers.clear();
        self.places.clear();
        self.next.clear();
        let mut is_ordered = true;
        for run in spans.chunk_by(|left, right| left.trace_id == right.trace_id) {
            let new = u32::try_from(self.next.len()).expect("a request has fewer spans");
            let number = *self.numbers.entry(run[0].trace_id).or_insert(new);
            if number == new {
                self.next.push(0);
            }
            is_ordered &= number == new;
            let length = u32::try_from(run.len()).expect("a request has fewer spans");
            self.next[number as usize] += length;
            self.places.extend(std::iter::repeat_n(number, run.len()));
        }
        is_ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::BatchBuilder;
    use crate::span::{SpanId, SpanView, SpanVisitor};

    fn check(traces: &[u128], expected: &[(u128, u64)]) {
        let mut builder = BatchBuilder::default();
        for (&trace, number) in traces.iter().zip(0..) {
            builder.span(&SpanView { trace_id: TraceId(trace), span_id: SpanId(number), ..SpanView::default() });
        }
        let mut spans = builder.batch.spans;
        let mut grouping = Grouping::default();
        // What was met before does not matter.
        for _ in 0..2 {
            grouping.group(&mut spans);
        }
        let order: Vec<(u128, u64)> = spans.iter().map(|span| ({ span.trace_id.0 }, span.span_id.0)).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn spans_of_a_trace_stand_together_in_the_order_sent() {
        check(&[], &[]);
        check(&[7, 7, 3], &[(7, 0), (7, 1), (3, 2)]);
        check(&[7, 3, 7, 5, 3, 7], &[(7, 0), (7, 2), (7, 5), (3, 1), (3, 4), (5, 3)]);
    }
}

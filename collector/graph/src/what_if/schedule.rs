//! When everything would have happened if some of it took no time.

use std::collections::BTreeMap;

use super::Fate;
use crate::span::{Span, SpanKind};
use crate::trace::Tree;

/// New start and end of every span, in Unix nanoseconds; a span that is gone ends where it starts.
pub(super) fn times(spans: &[Span], tree: &Tree, fates: &[Fate]) -> Vec<(u64, u64)> {
    // (start after that of the parent, duration), as it would be.
    let mut planned: Vec<(u64, u64)> = spans.iter().map(|span| (0, span.duration_ns())).collect();
    for &index in tree.order.iter().rev() {
        planned[index].1 = plan(spans, tree, fates, index, &mut planned);
    }
    let mut times = vec![(0, 0); spans.len()];
    for &index in &tree.order {
        let (offset_ns, duration_ns) = planned[index];
        let start_ns = tree.parent[index].map_or(spans[index].start_ns, |parent| times[parent].0 + offset_ns);
        times[index] = (start_ns, start_ns + duration_ns);
    }
    times
}

/// Plans the children of a span, whose durations are known; answers how long the span itself would take.
fn plan(spans: &[Span], tree: &Tree, fates: &[Fate], index: usize, planned: &mut [(u64, u64)]) -> u64 {
    let span = &spans[index];
    if fates[index].is_gone {
        return 0;
    }
    // End of a child as it was → as it would be, both after the start of the span.
    let mut ended: BTreeMap<u64, u64> = BTreeMap::new();
    let mut last = (0, 0);
    for child in tree.children(index) {
        let called = &spans[child];
        let start = called.start_ns.saturating_sub(span.start_ns);
        let end = called.end_ns.saturating_sub(span.start_ns);
        let before = ended.range(..=start).next_back().map_or((0, 0), |(&was, &is)| (was, is));
        let is_first_step_inside =
            fates[child].is_inside && fates[index].is_inside && span.shape.kind == SpanKind::Client;
        // Within one process the callee starts at once, and its caller goes on as soon as it has ended.
        let pause = if is_first_step_inside { 0 } else { start - before.0 };
        planned[child].0 = before.1 + pause;
        let new_end = planned[child].0 + planned[child].1;
        let known = ended.entry(end).or_default();
        *known = new_end.max(*known);
        let is_waited_for = called.end_ns <= span.end_ns && called.shape.kind != SpanKind::Consumer;
        if is_waited_for {
            last = (end.max(last.0), new_end.max(last.1));
            if is_first_step_inside {
                last.0 = span.duration_ns();
            }
        }
    }
    last.1 + (span.duration_ns() - last.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::span::{SpanId, TraceId};

    fn span(id: u64, parent: u64, start: u64, end: u64) -> Span {
        let view = crate::span::SpanView {
            trace_id: TraceId(1),
            span_id: SpanId(id),
            parent_id: SpanId(parent),
            start_ns: start,
            end_ns: end,
            ..Default::default()
        };
        let mut builder = crate::BatchBuilder::default();
        crate::SpanVisitor::resource(&mut builder, &[]);
        crate::SpanVisitor::span(&mut builder, &view);
        builder.finish().spans.remove(0)
    }

    /// `lines` are (parent, start, end); those in `gone` take no time.
    fn check(lines: &[(u64, u64, u64)], gone: &[usize], expected: &[(u64, u64)]) {
        let spans: Vec<Span> = lines
            .iter()
            .enumerate()
            .map(|(index, &(parent, start, end))| span(index as u64 + 1, parent, start, end))
            .collect();
        let mut fates = vec![Fate::default(); spans.len()];
        for &index in gone {
            fates[index].is_gone = true;
        }
        assert_eq!(times(&spans, &Tree::of(&spans), &fates), expected);
    }

    #[test]
    fn nothing_changes_where_nothing_is_gone() {
        let lines = [(0, 100, 200), (1, 110, 150), (1, 120, 170), (1, 175, 190), (4, 180, 185)];
        check(&lines, &[], &lines.map(|(_, start, end)| (start, end)));
    }

    #[test]
    fn what_waited_starts_earlier() {
        check(&[(0, 0, 100), (1, 10, 40), (1, 50, 80)], &[1], &[(0, 70), (10, 10), (20, 50)]);
    }

    #[test]
    fn what_ran_side_by_side_still_does() {
        check(&[(0, 0, 100), (1, 10, 40), (1, 10, 90)], &[1], &[(0, 100), (10, 10), (10, 90)]);
    }
}

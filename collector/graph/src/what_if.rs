//! What if: a trace as it would have been if two services were one, or chatty calls one call.
//!
//! Times are taken from the trace itself. What a span did between its calls takes as long as it did; a call starts as long
//! after the last one that had ended before it as it did. So work that ran side by side stays side by side, and what
//! waited for something that became shorter starts earlier. What the change itself would cost (a larger answer, a lock, a
//! process that grows) cannot be seen and is left out.

mod schedule;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::name::Name;
use crate::span::{NodeKey, ServiceKey, Span, SpanKind};
use crate::trace::{Trace, Tree};

/// A change of the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Two services become one, and call each other within the process.
    Merge {
        /// One of them.
        first: ServiceKey,
        /// The other.
        second: ServiceKey,
        /// What they become.
        merged: ServiceKey,
    },
    /// The calls of one request to one operation of another service become one call, which takes as long as the longest.
    Fold {
        /// Who calls.
        caller: ServiceKey,
        /// Who is called.
        callee: ServiceKey,
    },
}

impl Change {
    /// The trace as it would have been.
    pub fn apply(&self, trace: &Trace) -> Trace {
        let tree = Tree::of(trace.spans());
        let mut fates = vec![Fate::default(); trace.spans().len()];
        match *self {
            Self::Merge { first, second, .. } => keep_inside(trace.spans(), &tree, [first, second], &mut fates),
            Self::Fold { caller, callee } => fold_calls(trace.spans(), &tree, caller, callee, &mut fates),
        }
        let times = schedule::times(trace.spans(), &tree, &fates);
        let mut spans = Vec::with_capacity(trace.spans().len());
        for (index, span) in trace.spans().iter().enumerate().filter(|(index, _)| !fates[*index].is_gone) {
            let (start_ns, end_ns) = times[index];
            let mut changed = Span { start_ns, end_ns, ..span.clone() };
            if fates[index].is_inside {
                let shape = Arc::make_mut(&mut changed.shape);
                shape.kind = SpanKind::Internal;
                shape.call = None;
            }
            if let Self::Merge { first, second, merged } = *self
                && (span.shape.service == first || span.shape.service == second)
            {
                Arc::make_mut(&mut changed.shape).service = merged;
            }
            spans.push(changed);
        }
        Trace::new(spans)
    }
}

/// What becomes of a span.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    /// It is not made at all.
    is_gone: bool,
    /// It is made, but no longer between two services: what the network took is saved.
    is_inside: bool,
}

/// Marks the calls between two services, on both sides.
fn keep_inside(spans: &[Span], tree: &Tree, pair: [ServiceKey; 2], fates: &mut [Fate]) {
    for index in 0..spans.len() {
        let Some(parent) = tree.parent[index] else { continue };
        let (caller, callee) = (&spans[parent], &spans[index]);
        let is_between = caller.shape.service != callee.shape.service
            && pair.contains(&caller.shape.service)
            && pair.contains(&callee.shape.service);
        if is_between && callee.shape.kind != SpanKind::Consumer {
            fates[index].is_inside = true;
            // A client span with a callee is the call itself; any other span goes on being what it is.
            fates[parent].is_inside |= caller.shape.kind == SpanKind::Client;
        }
    }
}

/// Of the calls of one request to one operation only the longest stays, with everything below it.
fn fold_calls(spans: &[Span], tree: &Tree, caller: ServiceKey, callee: ServiceKey, fates: &mut [Fate]) {
    let mut request_of = vec![0; spans.len()];
    let mut alike: BTreeMap<(usize, Name), Vec<usize>> = BTreeMap::new();
    for &index in &tree.order {
        let parent = tree.parent[index];
        let same = parent.filter(|&parent| spans[parent].shape.service == spans[index].shape.service);
        let opens = same.is_none_or(|_| matches!(spans[index].shape.kind, SpanKind::Server | SpanKind::Consumer));
        request_of[index] = if opens { index } else { parent.map_or(index, |parent| request_of[parent]) };
        let span = &spans[index];
        if span.shape.service != caller || span.shape.kind != SpanKind::Client {
            continue;
        }
        if let Some(operation) = asked(spans, tree, index, callee) {
            alike.entry((request_of[index], operation)).or_default().push(index);
        }
    }
    for calls in alike.into_values() {
        let longest = calls.iter().copied().max_by_key(|&call| (spans[call].duration_ns(), call));
        for call in calls.into_iter().filter(|call| Some(*call) != longest) {
            fates[call].is_gone = true;
        }
    }
    for &index in &tree.order {
        let is_below = tree.parent[index].is_some_and(|parent| fates[parent].is_gone);
        fates[index].is_gone |= is_below;
    }
}

/// The operation of `callee` that a client span asks for, if it does: as the callee tells it, else as its caller does.
fn asked(spans: &[Span], tree: &Tree, client: usize, callee: ServiceKey) -> Option<Name> {
    let opened = tree.children(client).find(|&child| spans[child].shape.service == callee);
    let named = spans[client].shape.call.as_ref().filter(|call| call.peer == Some(NodeKey::Peer(callee.name)));
    opened.map(|child| spans[child].shape.operation).or(named.map(|call| call.template))
}

//! A trace: the spans of one trace id, once each, in an order that does not depend on arrival, and their tree.

mod gathered;
mod mesh;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

pub use self::gathered::Gathered;
use crate::name::Name;
use crate::resolve::node_id;
use crate::span::{NodeKey, Span, SpanId, SpanKind, TraceId, Vocabulary};
use crate::waterfall::{Row, Waterfall};

/// How many spans of one id are looked at for a parent. Client and server may share one; more is rubbish, which must not
/// cost the square of its size.
const MAX_SAME_ID: usize = 8;

/// The spans of one trace, sorted by (start, id, kind, service).
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    id: TraceId,
    spans: Vec<Span>,
    duplicates: u64,
}

impl Trace {
    /// Makes a trace of spans that share one trace id. Of several spans with one (id, kind, service) that start at one
    /// time and call one thing the greatest stays; others have only an id in common that their sender used twice.
    pub fn new(mut spans: Vec<Span>) -> Self {
        let id = spans.first().map(|span| span.trace_id).unwrap_or_default();
        let sent = spans.len();
        let key = |span: &Span| (span.start_ns, span.span_id);
        // Mostly they come in order, and once.
        if !spans.is_sorted_by(|left, right| key(left) < key(right)) {
            sort(&mut spans);
            spans.dedup_by(|later, earlier| key(later) == key(earlier) && identity(later) == identity(earlier));
        }
        Self { id, duplicates: (sent - spans.len()) as u64, spans }
    }

    /// Its id.
    pub fn id(&self) -> TraceId {
        self.id
    }

    /// Its spans.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How many spans came more than once (the surplus).
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Earliest start, in Unix nanoseconds; 0 for a trace without spans.
    pub fn start_ns(&self) -> u64 {
        self.spans.first().map_or(0, |span| span.start_ns)
    }

    /// As people look at it.
    pub fn waterfall(&self, vocabulary: &Vocabulary) -> Waterfall {
        let tree = Tree::of(&self.spans);
        let start_ns = self.start_ns();
        let end_ns = self.spans.iter().map(|span| span.end_ns).max().unwrap_or(start_ns);
        let rows = tree.preorder().map(|(index, depth)| self.row(index, depth, &tree, vocabulary)).collect();
        Waterfall { trace_id: self.id, start_ns, duration_ns: end_ns - start_ns, rows, logs: Vec::new() }
    }

    fn row(&self, index: usize, depth: u16, tree: &Tree, vocabulary: &Vocabulary) -> Row {
        let span = &self.spans[index];
        let names = &vocabulary.names;
        let callee = tree
            .children(index)
            .map(|child| &self.spans[child])
            .find(|child| child.shape.service != span.shape.service);
        let call = span.shape.call.as_ref().filter(|_| span.shape.kind != SpanKind::Server);
        let peer = callee.map(|callee| NodeKey::Service(callee.shape.service)).or(call.and_then(|call| call.peer));
        let operation = callee.map(|callee| callee.shape.operation).or(call.map(|call| call.template));
        Row {
            span_id: span.span_id,
            depth,
            node_id: node_id(NodeKey::Service(span.shape.service), names),
            service: names.text(span.shape.service.name).to_owned(),
            name: span.detail.name().to_owned(),
            kind: span.shape.kind,
            operation: names.text(operation.unwrap_or(span.shape.operation)).to_owned(),
            peer_id: peer.map(|peer| node_id(peer, names)).unwrap_or_default(),
            offset_ns: span.start_ns - self.start_ns(),
            duration_ns: span.duration_ns(),
            outcome: span.shape.outcome,
            is_orphan: tree.is_orphan[index],
            status_message: span.detail.status_message().to_owned(),
            attributes: span.detail.attributes().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            logs: Vec::new(),
        }
    }

    /// The only environment that the trace names; empty where it names none or several.
    pub fn environment(&self, vocabulary: &Vocabulary) -> Name {
        self.only_environment(vocabulary, Name::EMPTY).unwrap_or_default()
    }

    /// The only environment that the trace or `inherited` names, empty where neither does; none where they name several.
    fn only_environment(&self, vocabulary: &Vocabulary, inherited: Name) -> Option<Name> {
        // Spans of one resource mostly follow each other.
        let of_resources = self.spans.chunk_by(|left, right| left.shape.resource == right.shape.resource);
        let named = of_resources.map(|spans| vocabulary.resource(spans[0].shape.resource).environment);
        let mut named = named.chain([inherited]).filter(|name| !name.is_empty());
        let first = named.next().unwrap_or_default();
        named.all(|name| name == first).then_some(first)
    }

    /// The trace by environment. Spans that name none belong to the nearest ancestor's, else to the only one that the
    /// trace names, else to `inherited`; a parent in another environment is no parent.
    pub(crate) fn by_environment(&self, vocabulary: &Vocabulary, inherited: Name) -> Vec<(Name, Cow<'_, Self>)> {
        if let Some(only) = self.only_environment(vocabulary, inherited) {
            return vec![(only, Cow::Borrowed(self))];
        }
        let own = |span: &Span| vocabulary.resource(span.shape.resource).environment;
        let tree = Tree::of(&self.spans);
        let mut environments = vec![Name::EMPTY; self.spans.len()];
        for &index in &tree.order {
            let inherited = tree.parent[index].map_or(inherited, |parent| environments[parent]);
            let own = own(&self.spans[index]);
            environments[index] = if own.is_empty() { inherited } else { own };
        }
        let mut parts: BTreeMap<Name, Vec<Span>> = BTreeMap::new();
        for (index, &environment) in environments.iter().enumerate() {
            parts.entry(environment).or_default().push(self.detached(index, &tree, &environments));
        }
        let mut duplicates = self.duplicates;
        let part = |(environment, spans)| {
            let duplicates = std::mem::take(&mut duplicates);
            (environment, Cow::Owned(Self { id: self.id, spans, duplicates }))
        };
        parts.into_iter().map(part).collect()
    }

    /// The span at `index`, without its parent where that belongs to another environment.
    fn detached(&self, index: usize, tree: &Tree, environments: &[Name]) -> Span {
        let mut span = self.spans[index].clone();
        if tree.parent[index].is_some_and(|parent| environments[parent] != environments[index]) {
            span.parent_id = SpanId::NONE;
        }
        span
    }
}

/// What spans that started at one time and have one id are told apart by.
fn identity(span: &Span) -> impl Ord {
    let called = span.shape.call.as_ref().map(|call| (call.peer, call.template, span.parameters));
    (span.shape.kind, span.shape.service, called)
}

/// Sorts by (start, id, identity), of equal ones the greatest first.
fn sort(spans: &mut [Span]) {
    // Spans are large: their order is found first, which mostly is that of their starts, and each is moved once.
    let mut order: Vec<(u64, usize)> = spans.iter().enumerate().map(|(index, span)| (span.start_ns, index)).collect();
    order.sort_unstable();
    for at_once in order.chunk_by_mut(|left, right| left.0 == right.0).filter(|at_once| at_once.len() > 1) {
        at_once.sort_unstable_by(|left, right| {
            let (left, right) = (&spans[left.1], &spans[right.1]);
            let by_id = left.span_id.cmp(&right.span_id);
            by_id.then_with(|| identity(left).cmp(&identity(right))).then_with(|| right.cmp(left))
        });
    }
    for start in 0..order.len() {
        let mut to = start;
        loop {
            let from = std::mem::replace(&mut order[to].1, to);
            if from == to || from == start {
                break;
            }
            // What stood there goes along the circle until it comes to its place.
            spans.swap(to, from);
            to = from;
        }
    }
}

/// Who is whose parent, by index into the spans of a trace.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) parent: Vec<Option<usize>>,
    /// Whether a parent is named that never came.
    pub(crate) is_orphan: Vec<bool>,
    /// Parents before their children.
    pub(crate) order: Vec<usize>,
    /// How many spans lost their parent because it descends from them.
    pub(crate) circular: u64,
    /// The children of span `i` are `children[starts[i]..starts[i + 1]]`.
    children: Vec<usize>,
    starts: Vec<usize>,
    /// The spans in order of their ids.
    by_id: Vec<(SpanId, usize)>,
}

impl Tree {
    pub(crate) fn of(spans: &[Span]) -> Self {
        let mut tree = Self::default();
        tree.read(spans);
        tree
    }

    /// Becomes the tree of these spans, in the memory that it has.
    pub(crate) fn read(&mut self, spans: &[Span]) {
        let Self { parent, is_orphan, order, by_id, .. } = self;
        by_id.clear();
        by_id.extend(spans.iter().enumerate().map(|(index, span)| (span.span_id, index)));
        by_id.sort_unstable();
        let has_each_once = by_id.is_sorted_by(|left, right| left.0 < right.0);
        parent.clear();
        if has_each_once {
            parent.extend((0..spans.len()).map(|index| only_parent_of(spans, by_id, index)));
        } else {
            parent.extend((0..spans.len()).map(|index| parent_of(spans, by_id, index)));
        }
        is_orphan.clear();
        let is_alone = |(span, parent): (&Span, &Option<usize>)| span.parent_id != SpanId::NONE && parent.is_none();
        is_orphan.extend(spans.iter().zip(&*parent).map(is_alone));
        // Where no clock is apart, spans start after their parents and stand behind them; none of them is in a circle.
        let is_ordered = parent.iter().enumerate().all(|(index, parent)| parent.is_none_or(|parent| parent < index));
        self.circular = if is_ordered { 0 } else { cut_circles(parent) };
        order.clear();
        if is_ordered {
            order.extend(0..spans.len());
        }
        self.find_children();
        if !is_ordered {
            self.order = self.preorder().map(|(index, _)| index).collect();
        }
    }

    fn find_children(&mut self) {
        let Self { parent, children, starts, .. } = self;
        starts.clear();
        starts.resize(parent.len() + 1, 0);
        for &parent in parent.iter().flatten() {
            starts[parent] += 1;
        }
        let mut end = 0;
        for start in &mut *starts {
            end += *start;
            *start = end;
        }
        children.clear();
        children.resize(end, 0);
        // From the end, each child goes before those that are there.
        for (child, parent) in parent.iter().enumerate().rev() {
            if let Some(parent) = *parent {
                starts[parent] -= 1;
                children[starts[parent]] = child;
            }
        }
    }

    /// The children of a span, in the order of the trace.
    pub(crate) fn children(&self, index: usize) -> impl DoubleEndedIterator<Item = usize> {
        self.children[self.starts[index]..self.starts[index + 1]].iter().copied()
    }

    /// The siblings of a child of `parent` that come after it in the order of the trace.
    pub(crate) fn siblings_after(&self, parent: usize, child: usize) -> &[usize] {
        let children = &self.children[self.starts[parent]..self.starts[parent + 1]];
        &children[children.partition_point(|&sibling| sibling <= child)..]
    }

    /// Every span with its depth, parents before their children, siblings in the order of the trace.
    fn preorder(&self) -> impl Iterator<Item = (usize, u16)> {
        let roots = (0..self.parent.len()).filter(|&index| self.parent[index].is_none());
        let mut stack: Vec<(usize, u16)> = roots.rev().map(|root| (root, 0)).collect();
        std::iter::from_fn(move || {
            let (index, depth) = stack.pop()?;
            stack.extend(self.children(index).rev().map(|child| (child, depth.saturating_add(1))));
            Some((index, depth))
        })
    }
}

/// The parent of a span where every span has an id of its own, as nearly always.
fn only_parent_of(spans: &[Span], by_id: &[(SpanId, usize)], index: usize) -> Option<usize> {
    let id = spans[index].parent_id;
    if id == SpanId::NONE {
        return None;
    }
    let place = by_id.binary_search_by_key(&id, |entry| entry.0).ok()?;
    Some(by_id[place].1).filter(|&parent| parent != index)
}

/// The parent of a span: of several spans with that id the one of the same service, else the server. Where client and
/// server share one id, as Zipkin has it, the client is the server's parent.
fn parent_of(spans: &[Span], by_id: &[(SpanId, usize)], index: usize) -> Option<usize> {
    let with_id = |id: SpanId| {
        let from = by_id.partition_point(|entry| entry.0 < id);
        by_id[from..].iter().take_while(move |entry| entry.0 == id).take(MAX_SAME_ID).map(|entry| entry.1)
    };
    let span = &spans[index];
    let sender = match span.shape.kind {
        SpanKind::Server => SpanKind::Client,
        SpanKind::Consumer => SpanKind::Producer,
        _ => SpanKind::Unspecified,
    };
    if sender != SpanKind::Unspecified {
        let shared = with_id(span.span_id).find(|&other| other != index && spans[other].shape.kind == sender);
        if shared.is_some() {
            return shared;
        }
    }
    if span.parent_id == SpanId::NONE {
        return None;
    }
    let mut others = with_id(span.parent_id).filter(|&other| other != index);
    let first = others.next()?;
    let Some(second) = others.next() else { return Some(first) };
    let rank = |other: &usize| {
        let shape = &spans[*other].shape;
        (shape.service == span.shape.service, shape.kind == SpanKind::Server, Reverse(*other))
    };
    [first, second].into_iter().chain(others).max_by_key(rank)
}

/// Makes a root of the earliest span of every circle of parents; answers how many there were.
fn cut_circles(parent: &mut [Option<usize>]) -> u64 {
    const NEVER: usize = usize::MAX;
    let mut walked_from = vec![NEVER; parent.len()];
    let mut circles = 0;
    for start in 0..parent.len() {
        let mut at = start;
        while walked_from[at] == NEVER {
            walked_from[at] = start;
            match parent[at] {
                Some(next) => at = next,
                None => break,
            }
        }
        if walked_from[at] == start && parent[at].is_some() {
            let mut earliest = at;
            let mut next = parent[at].expect("a circle has no root");
            while next != at {
                earliest = earliest.min(next);
                next = parent[next].expect("a circle has no root");
            }
            parent[earliest] = None;
            circles += 1;
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_cut_at_their_earliest_span() {
        let mut parent = [Some(1), Some(2), Some(1), Some(3), None, Some(4), Some(0)];
        assert_eq!(cut_circles(&mut parent), 2);
        assert_eq!(parent, [Some(1), None, Some(1), None, None, Some(4), Some(0)]);
    }
}

//! Pieces of spans, put together and shown.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use spanlint_graph::span::{Refusal, SpanBatch, SpanId, SpanKind, SpanView, Value};
use spanlint_graph::{SpanVisitor, TraceId};

use super::{Pieces, attributes};
use crate::decode::Decoded;
use crate::decode::ids::{self, SpanIds};
use crate::limits::MAX_ATTRIBUTES;

impl Pieces {
    /// Shows all spans to `visitor`, in the order in which their first pieces came.
    pub fn show(mut self, visitor: &mut impl SpanVisitor) -> Decoded {
        self.join();
        self.name_halves();
        let mut shown = None;
        // Annotations, and what one piece says that another one says as well.
        visitor.unread();
        for piece in &self.list {
            let resource = attributes::resource(piece);
            if shown.as_ref() != Some(&resource) {
                visitor.resource(&resource);
                shown = Some(resource);
            }
            match piece.times() {
                Some((start_ns, end_ns)) => piece.show(start_ns, end_ns, visitor),
                None => self.refused.push(&piece.name, &"has no timestamp, and no other piece of it has one"),
            }
        }
        self.refused.show(visitor);
        self.decoded
    }

    /// Merges every piece into the first of its span.
    fn join(&mut self) {
        let places = places(&self.list);
        let mut joined: Vec<Piece> = Vec::with_capacity(self.list.len());
        let mut joined_at = vec![None; places.len()];
        for (place, piece) in places.into_iter().zip(std::mem::take(&mut self.list)) {
            if let Some(at) = joined_at[place] {
                let first: &mut Piece = &mut joined[at];
                self.decoded.over_limit += first.merge(piece);
            } else {
                joined_at[place] = Some(joined.len());
                joined.push(piece);
            }
        }
        self.list = joined;
    }

    /// A half of a shared span that has no name is called as the other half.
    fn name_halves(&mut self) {
        let id = |piece: &Piece| (piece.ids.trace, piece.ids.span);
        let unnamed: HashSet<_> = self.list.iter().filter(|piece| piece.name.is_empty()).map(id).collect();
        let mut names: HashMap<_, String> = HashMap::new();
        for piece in self.list.iter().filter(|piece| !piece.name.is_empty() && unnamed.contains(&id(piece))) {
            names.entry(id(piece)).or_insert_with(|| piece.name.clone());
        }
        for piece in self.list.iter_mut().filter(|piece| piece.name.is_empty()) {
            piece.name = names.get(&id(piece)).cloned().unwrap_or_default();
        }
    }
}

/// For each piece the first one of its span. Pieces with a start are of one span if id, service, kind and start agree;
/// one without a start belongs to the first that agrees in what it does say.
fn places(pieces: &[Piece]) -> Vec<usize> {
    let mut first = HashMap::new();
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|&index| pieces[index].start_ns == 0);
    let mut places = vec![0; pieces.len()];
    for index in order {
        let piece = &pieces[index];
        let exact = Identity {
            trace: piece.ids.trace,
            span: piece.ids.span,
            service: &piece.local.service,
            kind: piece.kind,
            start_ns: piece.start_ns,
        };
        let place = *first.entry(exact).or_insert(index);
        let any_start = Identity { start_ns: 0, ..exact };
        first.entry(any_start).or_insert(place);
        first.entry(Identity { kind: SpanKind::Unspecified, ..any_start }).or_insert(place);
        places[index] = place;
    }
    places
}

/// What the pieces of a span have in common: an unspecified kind and a start of zero stand for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity<'a> {
    trace: TraceId,
    span: SpanId,
    service: &'a str,
    kind: SpanKind,
    start_ns: u64,
}

/// A span, or a part of one.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) ids: SpanIds,
    /// Unspecified where the piece does not say.
    pub(super) kind: SpanKind,
    pub(super) name: String,
    /// Zero where the piece does not say.
    pub(super) start_ns: u64,
    pub(super) duration_ns: u64,
    /// The first and the last annotation.
    pub(super) annotated: Option<(u64, u64)>,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    pub(super) tags: Vec<(String, Value<'static>)>,
}

impl Piece {
    /// Takes over what `other` says and `self` does not; answers how many tags went over the bound.
    fn merge(&mut self, other: Self) -> u64 {
        if self.ids.parent == SpanId::NONE {
            self.ids.parent = other.ids.parent;
        }
        if self.kind == SpanKind::Unspecified {
            self.kind = other.kind;
        }
        if self.name.is_empty() {
            self.name = other.name;
        }
        if self.start_ns == 0 {
            self.start_ns = other.start_ns;
        }
        self.duration_ns = self.duration_ns.max(other.duration_ns);
        self.annotated = match (self.annotated, other.annotated) {
            (Some(own), Some(other)) => Some((own.0.min(other.0), own.1.max(other.1))),
            (own, other) => own.or(other),
        };
        self.local.merge(other.local);
        self.remote.merge(other.remote);
        let known: HashSet<String> = self.tags.iter().map(|(key, _)| key.clone()).collect();
        self.tags.extend(other.tags.into_iter().filter(|(key, _)| !known.contains(key)));
        let over_limit = self.tags.len().saturating_sub(MAX_ATTRIBUTES);
        self.tags.truncate(MAX_ATTRIBUTES);
        over_limit as u64
    }

    /// Start and end; none where neither a timestamp nor an annotation tells when it was.
    fn times(&self) -> Option<(u64, u64)> {
        let (first, last) = self.annotated.unwrap_or_default();
        let start_ns = if self.start_ns > 0 { self.start_ns } else { first };
        let end_ns = if self.duration_ns > 0 { start_ns.saturating_add(self.duration_ns) } else { last.max(start_ns) };
        (start_ns > 0).then_some((start_ns, end_ns))
    }

    fn show(&self, start_ns: u64, end_ns: u64, visitor: &mut impl SpanVisitor) {
        let error = self.tags.iter().find(|(key, _)| key == "error").map(|(_, value)| value.to_text());
        let is_flag = error.as_deref().is_none_or(|error| matches!(error, "true" | "false"));
        visitor.span(&SpanView {
            trace_id: self.ids.trace,
            span_id: self.ids.span,
            parent_id: self.ids.parent,
            // In Zipkin no kind means work inside the service.
            kind: if self.kind == SpanKind::Unspecified { SpanKind::Internal } else { self.kind },
            name: Cow::Borrowed(&self.name),
            start_ns,
            end_ns,
            is_error: error.as_deref().is_some_and(|error| error != "false"),
            status_message: error.filter(|_| !is_flag).unwrap_or_default(),
            attributes: &attributes::of(self),
            ..SpanView::default()
        });
    }
}

/// One side of a call: texts are empty and the port is zero where not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) service: String,
    pub(super) address: String,
    pub(super) port: u16,
}

impl Endpoint {
    fn merge(&mut self, other: Self) {
        if self.service.is_empty() {
            self.service = other.service;
        }
        if self.address.is_empty() {
            (self.address, self.port) = (other.address, other.port);
        }
    }
}

/// The refusals of a file: all counted, the first few names kept.
#[derive(Debug, Default)]
pub(super) struct Refused(Vec<(Refusal, u64)>);

impl Refused {
    pub(super) fn push(&mut self, name: &str, reason: &impl fmt::Display) {
        self.add(ids::refusal(name, reason), 1);
    }

    pub(super) fn append(&mut self, other: Self) {
        for (refusal, count) in other.0 {
            self.add(refusal, count);
        }
    }

    /// Refusals beyond the bound count for the last one that is kept.
    fn add(&mut self, refusal: Refusal, count: u64) {
        let is_full = self.0.len() == SpanBatch::MAX_REFUSALS;
        match self.0.last_mut() {
            Some(last) if is_full => last.1 += count,
            _ => self.0.push((refusal, count)),
        }
    }

    fn show(self, visitor: &mut impl SpanVisitor) {
        for (refusal, count) in self.0 {
            for _ in 0..count {
                visitor.refuse(refusal.clone());
            }
        }
    }
}

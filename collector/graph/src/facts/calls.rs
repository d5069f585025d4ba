//! Who called whom in one trace: its requests, and the calls that each of them makes.

mod answers;
mod beside;
mod between;
mod paths;
mod redirected;
mod room;
mod streams;
mod unmatched;

use std::num::NonZero;

use self::between::{calls, is_part_of_batch, opens_request, takes_own_call};
pub(super) use self::room::Room;
use self::unmatched::name_unmatched;
use crate::facts::Entry;
use crate::name::Name;
use crate::span::{
    Access, Call, EdgeKind, Location, Marks, NodeKey, Outcome, Span, SpanId, SpanKind, Transport, Vocabulary,
};
use crate::trace::Tree;

/// The longest chain of callers that is walked, in requests.
pub(super) const MAX_CHAIN: usize = 256;
/// The most requests of a trace that are looked at for one to which a span without its parent belongs.
const MAX_LOOKED_AT: usize = 256;
/// How far the clocks of two hosts that are kept in time may be apart, in nanoseconds.
const MAX_SKEW_NS: u64 = 100_000_000;

/// One execution of an operation.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(super) struct Request {
    /// The span that opens it.
    pub(super) span: usize,
    pub(super) entry: Entry,
    /// The request that caused it; of the same service where that calls itself.
    pub(super) caller: Option<usize>,
    /// Whether the caller waits for it.
    pub(super) is_synchronous: bool,
    /// Whether it counts nowhere: a health, readiness or metrics request.
    pub(super) is_probe: bool,
    /// Whether a browser, a phone or a desktop makes it: its calls count, as calls of the outside world.
    pub(super) is_outside: bool,
    /// Whether the span that opened it never came, so that nobody knows what was asked.
    pub(super) is_lost: bool,
    /// Whether it only took a batch of messages, each of which is a request of its own.
    pub(super) is_batch: bool,
}

impl Request {
    /// Whether anything is said of it beside its calls.
    pub(super) fn counts(&self) -> bool {
        !self.is_probe && !self.is_outside && !self.is_lost && !self.is_batch
    }
}

/// One call of a request, or one delivery of a message to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made<'a> {
    /// The request that makes it; for a delivery the one that takes it.
    pub(super) request: usize,
    pub(super) caller: NodeKey,
    pub(super) callee: NodeKey,
    pub(super) kind: EdgeKind,
    /// What is called there.
    pub(super) template: Name,
    /// The request that it causes, where the callee sent a span.
    pub(super) callee_request: Option<usize>,
    pub(super) is_asynchronous: bool,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) outcome: Outcome,
    /// As the caller saw it, where it has a span of its own for the call.
    pub(super) caller_ns: Option<u64>,
    /// As the callee saw it, where it sent a span.
    pub(super) callee_ns: Option<u64>,
    /// The caller's span of the call; none where it has none.
    pub(super) told_by: Option<&'a Span>,
    /// Of the span that tells of it.
    pub(super) marks: Marks,
    /// The place that the span above the caller's names.
    pub(super) place: Name,
    pub(super) location: Option<&'a Location>,
    /// Whether the span that tells of it tells of others, too, so that its parameters are not those of each.
    pub(super) is_one_of_many: bool,
}

impl<'a> Made<'a> {
    /// What the caller's span says of it.
    pub(super) fn call(&self) -> Option<&'a Call> {
        self.told_by.and_then(|span| span.shape.call.as_ref())
    }

    pub(super) fn parameters(&self) -> Option<u64> {
        self.told_by.filter(|_| !self.is_one_of_many).and_then(|span| span.parameters).map(NonZero::get)
    }

    pub(super) fn host(&self) -> Name {
        self.call().map_or(Name::EMPTY, |call| call.host)
    }

    pub(super) fn access(&self) -> Access {
        self.call().map_or(Access::None, |call| call.access)
    }

    pub(super) fn transport(&self) -> Transport {
        self.call().map_or(Transport::Unknown, |call| call.transport)
    }

    pub(super) fn tables(&self) -> &'a [Name] {
        self.call().map_or(&[], |call| &call.tables)
    }

    /// Tables that a writing statement reads besides.
    pub(super) fn also_read(&self) -> &'a [Name] {
        self.call().map_or(&[], |call| &call.also_read)
    }

    /// How many messages or statements it carries.
    pub(super) fn batch(&self) -> u32 {
        self.told_by.map_or(1, |span| span.batch)
    }

    /// Whether its caller says that it repeats an earlier one.
    pub(super) fn is_resend(&self) -> bool {
        self.told_by.is_some_and(|span| span.is_resend)
    }

    pub(super) fn duration_ns(&self) -> u64 {
        self.end_ns - self.start_ns
    }

    pub(super) fn is_stream(&self) -> bool {
        self.marks.has(Marks::STREAM)
    }

    /// Whether it goes to a service or an external host, known or not.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.callee, NodeKey::Service(_) | NodeKey::Peer(_) | NodeKey::Unknown)
    }
}

/// The requests and calls of one trace.
pub(super) struct Calls<'a> {
    /// Callers before callees.
    pub(super) requests: Vec<Request>,
    /// Calls in order of (request, start); probes are left out.
    pub(super) made: Vec<Made<'a>>,
}

impl<'a> Calls<'a> {
    /// The requests and calls of a trace, in the memory of `room`.
    pub(super) fn of(spans: &'a [Span], tree: &Tree, vocabulary: &Vocabulary, room: &mut Room) -> Self {
        let Room { mut requests, made, mut request_of } = std::mem::take(room);
        requests.clear();
        request_of.clear();
        request_of.resize(spans.len(), 0);
        let tells_kinds = spans.iter().any(|span| span.shape.kind == SpanKind::Server);
        let mut reader = Reader { spans, tree, vocabulary, tells_kinds, request_of, requests, made };
        // What was torn off is placed last, so that the requests that it may belong to are there.
        let torn = torn(spans, tree);
        let is_torn = |&index: &usize| torn.get(index).copied().unwrap_or(false);
        for index in tree.order.iter().copied().filter(|index| !is_torn(index)) {
            reader.place(index);
        }
        let found = reader.requests.len();
        for index in tree.order.iter().copied().filter(is_torn) {
            reader.place_torn(index, found);
        }
        for index in 0..spans.len() {
            reader.read(index);
        }
        let Reader { mut requests, mut made, request_of, .. } = reader;
        room.request_of = request_of;
        // A recording that begins within a request has nothing else to tell of than its calls.
        if requests.iter().all(|request| request.is_lost) {
            let is_work = |request: &Request| spans[request.span].shape.kind == SpanKind::Internal;
            for request in &mut requests {
                request.is_lost = is_work(request);
            }
        }
        made.retain(|call| !requests[call.request].is_probe);
        name_unmatched(&mut made);
        let key = |call: &Made<'_>| (call.request, call.start_ns);
        // Calls are large, and mostly found in order.
        if !made.is_sorted_by_key(key) {
            made.sort_by_cached_key(key);
        }
        streams::tell_passed_on(&mut made, &requests, spans);
        redirected::forget_unfollowed(&mut made);
        Self { requests, made }
    }
}

/// Which spans hang below one whose parent never came, although it does not open a request by itself; nothing where no
/// parent is missing.
fn torn(spans: &[Span], tree: &Tree) -> Vec<bool> {
    if !tree.is_orphan.contains(&true) {
        return Vec::new();
    }
    let opens = |span: &Span| matches!(span.shape.kind, SpanKind::Server | SpanKind::Consumer);
    let mut is_torn = vec![false; spans.len()];
    for &index in &tree.order {
        is_torn[index] = match tree.parent[index] {
            Some(parent) => is_torn[parent],
            None => tree.is_orphan[index] && !opens(&spans[index]),
        };
    }
    is_torn
}

struct Reader<'a, 't> {
    spans: &'a [Span],
    tree: &'t Tree,
    vocabulary: &'t Vocabulary,
    /// Whether something took a call: where nothing does, spans of any kind may have.
    tells_kinds: bool,
    /// The request that each span belongs to.
    request_of: Vec<usize>,
    requests: Vec<Request>,
    made: Vec<Made<'a>>,
}

impl<'a> Reader<'a, '_> {
    /// Opens a request at a span, or puts the span into its parent's.
    fn place(&mut self, index: usize) {
        let span = &self.spans[index];
        let parent = self.tree.parent[index];
        let opens = parent.is_none_or(|parent| opens_request(&self.spans[parent], span));
        if !opens {
            self.request_of[index] = self.request_of[parent.expect("a root opens a request")];
            return;
        }
        let is_outside = |span: &Span| span.marks.has(Marks::DEVICE);
        let batch = parent.filter(|&parent| is_part_of_batch(&self.spans[parent], span));
        if let Some(batch) = batch {
            self.requests[self.request_of[batch]].is_batch = true;
        }
        let above = parent.filter(|&parent| batch.is_none() && calls(&self.spans[parent], span));
        let caller = above.filter(|&parent| !is_outside(&self.spans[parent]));
        let is_message = span.shape.kind == SpanKind::Consumer
            || caller.is_some_and(|parent| self.spans[parent].shape.kind == SpanKind::Producer)
            || caller.is_some_and(|parent| self.is_taken_later(&self.spans[parent], span));
        let is_orphan = self.tree.is_orphan[index];
        let entry = match span.shape.kind {
            _ if is_message => Entry::Message,
            _ if caller.is_some_and(|parent| self.hands_on(parent, span)) => Entry::Schedule,
            _ if caller.is_some() => Entry::Internal,
            _ if above.is_some() => Entry::Client,
            // What it was made for is lost; it is nothing that anybody asked for.
            SpanKind::Client | SpanKind::Producer if is_orphan && !span.marks.has(Marks::EDGE_PROXY) => Entry::Untold,
            _ if is_orphan => Entry::Unknown,
            SpanKind::Server if span.shape.is_by_clock => Entry::Schedule,
            SpanKind::Server => Entry::Client,
            // The proxy at the edge tells of what it takes by the call that it makes for it.
            SpanKind::Client if span.marks.has(Marks::EDGE_PROXY) => Entry::Client,
            SpanKind::Client | SpanKind::Producer => Entry::Untold,
            _ if span.parent_id == SpanId::NONE => Entry::Schedule,
            _ => Entry::Unknown,
        };
        self.request_of[index] = self.requests.len();
        self.requests.push(Request {
            span: index,
            entry,
            caller: caller.map(|parent| self.request_of[parent]),
            is_synchronous: !is_message,
            is_probe: span.shape.is_probe,
            is_outside: is_outside(span),
            is_lost: self.tree.is_orphan[index] && !matches!(span.shape.kind, SpanKind::Server | SpanKind::Consumer),
            is_batch: false,
        });
    }

    /// Puts a span that was torn off into the only one of the first `found` requests of its service during which it
    /// was: what stood between them was lost. Else it is what is left of a request that was lost.
    fn place_torn(&mut self, index: usize, found: usize) {
        let span = &self.spans[index];
        if self.tree.parent[index].is_some() {
            return self.place(index);
        }
        let is_around = |request: &Request| {
            let opening = &self.spans[request.span];
            opening.shape.service == span.shape.service
                && opening.start_ns <= span.start_ns
                && span.end_ns <= opening.end_ns
        };
        let looked_at = self.requests[..found].iter().take(MAX_LOOKED_AT).enumerate();
        let mut around = looked_at.filter(|(_, request)| is_around(request)).map(|(place, _)| place);
        match (around.next(), around.next()) {
            (Some(only), None) => self.request_of[index] = only,
            _ => self.place(index),
        }
    }

    /// Reads the calls that a span makes or, having no client span above it, takes.
    fn read(&mut self, index: usize) {
        let span = &self.spans[index];
        match span.shape.kind {
            SpanKind::Client => self.read_client(index),
            SpanKind::Producer => self.read_message(index),
            SpanKind::Consumer => self.read_delivery(index),
            _ => {}
        }
        let request = self.request_of[index];
        let opened = &self.requests[request];
        let above = self.tree.parent[index].map(|parent| (parent, &self.spans[parent]));
        let opens = opened.span == index;
        if opens && opened.entry == Entry::Client && !opened.is_outside && !above.is_some_and(|(_, it)| calls(it, span))
        {
            self.made.push(Made { request, caller: NodeKey::Client, ..received(span, span, request) });
        }
        if let Some((parent, caller)) = above
            && !span.shape.is_probe
            && !matches!(caller.shape.kind, SpanKind::Client | SpanKind::Producer)
            && caller.shape.service != span.shape.service
            && span.shape.kind != SpanKind::Consumer
            && calls(caller, span)
        {
            let received = received(caller, span, request);
            self.made.push(Made { request: self.request_of[parent], ..received });
        }
    }

    /// A client span is one call for each callee that sent a span, else one call to the peer that it names. With a
    /// call span of its own service below it, it only wraps that one, unless that is how it goes over the network.
    fn read_client(&mut self, index: usize) {
        let span = &self.spans[index];
        let Some(call) = &span.shape.call else { return };
        let mut is_wrapper = false;
        let mut is_matched = false;
        for child in self.tree.children(index) {
            let callee = &self.spans[child];
            if callee.shape.service == span.shape.service && !takes_own_call(span, callee) {
                let is_call = matches!(callee.shape.kind, SpanKind::Client | SpanKind::Producer);
                is_wrapper |= is_call && !self.is_transport(child);
                is_matched |= span.marks.is_of_proxy() && !callee.is_passage() && !opens_request(span, callee);
            } else if calls(span, callee) {
                is_matched = true;
                if callee.shape.is_probe {
                    continue;
                }
                self.read_answer(index, child, call.kind);
            }
        }
        let is_counted = is_matched || is_wrapper || self.is_transport(index) || self.is_told_beside(index);
        if !is_counted && !span.shape.is_probe && !span.marks.has(Marks::DEVICE) {
            let peer = call.peer.unwrap_or(NodeKey::Unknown);
            self.made.push(Made { request: self.request_of[index], ..self.sent(index, peer) });
        }
    }

    /// Whether a call only ordered `span`, which a worker took when the call had ended. A server's clock may be apart from
    /// its caller's; no call waits for what is no server. Of another host it must be later than clocks are apart.
    fn is_taken_later(&self, parent: &Span, span: &Span) -> bool {
        let host = |span: &Span| self.vocabulary.resource(span.shape.resource).host;
        let skew_ns = || if host(parent) == host(span) { 0 } else { MAX_SKEW_NS };
        (parent.shape.kind, span.shape.kind) == (SpanKind::Client, SpanKind::Internal)
            && span.start_ns > parent.end_ns
            && span.start_ns > parent.end_ns.saturating_add(skew_ns())
    }

    /// Whether a client span is only how a call to a datastore or a broker goes over HTTP, which the span above it tells of.
    fn is_transport(&self, index: usize) -> bool {
        let span = &self.spans[index];
        let kind = |span: &Span| span.shape.call.as_ref().map(|call| call.kind);
        let speaks_for = |above: &Span| {
            let is_known = above.shape.call.as_ref().is_some_and(|call| call.peer.is_some());
            let is_call = matches!(above.shape.kind, SpanKind::Client | SpanKind::Producer);
            let is_kept = matches!(kind(above), Some(EdgeKind::Database | EdgeKind::Messaging));
            is_call && is_known && is_kept && above.shape.service == span.shape.service
        };
        let is_answered =
            || self.tree.children(index).any(|child| self.spans[child].shape.service != span.shape.service);
        span.shape.kind == SpanKind::Client
            && kind(span) == Some(EdgeKind::Http)
            && self.tree.parent[index].is_some_and(|parent| speaks_for(&self.spans[parent]))
            && !is_answered()
    }

    /// A producer span is one message to its topic; without a topic, one to each consumer below it. A message that is
    /// only announced goes nowhere by itself: its consumers take it from the topic.
    fn read_message(&mut self, index: usize) {
        let span = &self.spans[index];
        let request = self.request_of[index];
        let Some(call) = &span.shape.call else { return };
        if let Some(topic) = call.peer {
            self.made.push(Made { request, is_asynchronous: true, ..self.sent(index, topic) });
            return;
        }
        let is_announced = !call.template.is_empty();
        if is_announced {
            return;
        }
        for child in self.tree.children(index) {
            let callee = &self.spans[child];
            if callee.shape.service != span.shape.service {
                let callee = Made {
                    template: callee.shape.operation,
                    ..self.sent(index, NodeKey::Service(callee.shape.service))
                };
                self.made.push(Made { request, is_asynchronous: true, ..callee });
            }
        }
    }

    /// A consumer span is one delivery from its topic: the one that its producer names, where it stands below that; an
    /// exchange hands on what consumers take from a queue, or name by its routing key. What is below another consumer span is
    /// none, but a `process` whose `receive` does not know where the message came from.
    fn read_delivery(&mut self, index: usize) {
        let span = &self.spans[index];
        let topic = |span: &Span| span.shape.call.as_ref().and_then(|call| call.peer);
        let parent = self.tree.parent[index].map(|parent| &self.spans[parent]);
        let is_told = |above: &Span| topic(above).is_some() || span.marks.has(Marks::STREAM);
        let delivers = |above: &Span| above.shape.kind == SpanKind::Consumer && is_told(above);
        if parent.is_some_and(|parent| delivers(parent) && parent.shape.service == span.shape.service) {
            return;
        }
        let sent_to = parent.filter(|parent| parent.shape.kind == SpanKind::Producer).and_then(topic);
        if let Some(topic) = sent_to.or_else(|| topic(span)) {
            let delivery = self.sent(index, NodeKey::Service(span.shape.service));
            self.made.push(Made {
                request: self.request_of[index],
                caller: topic,
                is_asynchronous: true,
                template: span.shape.operation,
                caller_ns: None,
                callee_ns: Some(span.duration_ns()),
                ..delivery
            });
        }
    }

    /// A call as the caller's span tells it.
    fn sent(&self, index: usize, callee: NodeKey) -> Made<'a> {
        let span = &self.spans[index];
        let call = span.shape.call.as_ref().expect("every client, producer and consumer span has a call");
        let parent = self.tree.parent[index].map(|parent| &self.spans[parent]);
        Made {
            request: 0,
            caller: caller_of(span),
            callee,
            kind: call.kind,
            template: call.template,
            callee_request: None,
            is_asynchronous: false,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            outcome: span.shape.outcome,
            caller_ns: Some(span.duration_ns()),
            callee_ns: None,
            told_by: Some(span),
            marks: span.marks,
            place: parent.map_or(Name::EMPTY, Span::place),
            location: span.shape.location.as_ref().or(parent.and_then(|parent| parent.shape.location.as_ref())),
            is_one_of_many: false,
        }
    }
}

/// Browsers, phones and desktops are the outside world.
fn caller_of(span: &Span) -> NodeKey {
    if span.marks.has(Marks::DEVICE) { NodeKey::Client } else { NodeKey::Service(span.shape.service) }
}

/// A call as the callee's span tells it, which opens the request `opened`.
fn received<'a>(caller: &Span, span: &Span, opened: usize) -> Made<'a> {
    Made {
        request: 0,
        caller: caller_of(caller),
        callee: NodeKey::Service(span.shape.service),
        kind: span.shape.call.as_ref().map_or(EdgeKind::Other, |call| call.kind),
        template: span.shape.operation,
        callee_request: Some(opened),
        is_asynchronous: false,
        start_ns: span.start_ns,
        end_ns: span.end_ns,
        outcome: span.shape.outcome,
        caller_ns: None,
        callee_ns: Some(span.duration_ns()),
        told_by: None,
        marks: span.marks,
        place: caller.place(),
        location: None,
        is_one_of_many: false,
    }
}

//! Who called whom in one trace: its requests, and the calls that each of them makes.

use crate::facts::Entry;
use crate::name::Name;
use crate::span::{Access, EdgeKind, NodeKey, Outcome, Span, SpanId, SpanKind};
use crate::trace::Tree;

/// The longest chain of callers that is walked, in requests.
pub(super) const MAX_CHAIN: usize = 256;

/// One execution of an operation.
#[derive(Debug)]
pub(super) struct Request {
    /// The span that opens it.
    pub(super) span: usize,
    pub(super) entry: Entry,
    /// The request that caused it; of the same service where that calls itself.
    pub(super) caller: Option<usize>,
    /// Whether the caller waits for it.
    pub(super) is_synchronous: bool,
    /// Whether it is a health, readiness or metrics request, which counts nowhere.
    pub(super) is_probe: bool,
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
    pub(super) is_asynchronous: bool,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) outcome: Outcome,
    /// As the caller saw it, where it has a span of its own for the call.
    pub(super) caller_ns: Option<u64>,
    /// As the callee saw it, where it sent a span.
    pub(super) callee_ns: Option<u64>,
    pub(super) parameters: Option<u64>,
    pub(super) host: Name,
    pub(super) access: Access,
    pub(super) tables: &'a [Name],
    /// How many messages or statements it carries.
    pub(super) batch: u32,
    pub(super) is_retry: bool,
}

/// The requests and calls of one trace.
pub(super) struct Calls<'a> {
    pub(super) requests: Vec<Request>,
    /// Calls in order of (request, start); probes are left out.
    pub(super) made: Vec<Made<'a>>,
}

impl<'a> Calls<'a> {
    pub(super) fn of(spans: &'a [Span], tree: &Tree) -> Self {
        let mut reader =
            Reader { spans, tree, request_of: vec![0; spans.len()], requests: Vec::new(), made: Vec::new() };
        for &index in &tree.order {
            reader.place(index);
        }
        for index in 0..spans.len() {
            reader.read(index);
        }
        let Reader { requests, mut made, .. } = reader;
        made.retain(|call| !requests[call.request].is_probe);
        made.sort_by_key(|call| (call.request, call.start_ns));
        Self { requests, made }
    }

    /// The requests on the synchronous path that leads to a request, the nearest caller first.
    pub(super) fn synchronous_path(&self, request: usize) -> impl Iterator<Item = usize> {
        let mut at = request;
        let next = std::iter::from_fn(move || {
            let request = &self.requests[at];
            at = request.caller.filter(|_| request.is_synchronous)?;
            Some(at)
        });
        next.take(MAX_CHAIN)
    }
}

struct Reader<'a, 't> {
    spans: &'a [Span],
    tree: &'t Tree,
    /// The request that each span belongs to.
    request_of: Vec<usize>,
    requests: Vec<Request>,
    made: Vec<Made<'a>>,
}

impl Reader<'_, '_> {
    /// Opens a request at a span, or puts the span into its parent's.
    fn place(&mut self, index: usize) {
        let span = &self.spans[index];
        let parent = self.tree.parent[index];
        let opens = parent.is_none_or(|parent| opens_request(&self.spans[parent], span));
        if !opens {
            self.request_of[index] = self.request_of[parent.expect("a root opens a request")];
            return;
        }
        let caller = parent.filter(|&parent| calls(&self.spans[parent], span));
        let is_message = span.kind == SpanKind::Consumer
            || caller.is_some_and(|parent| self.spans[parent].kind == SpanKind::Producer);
        let entry = match span.kind {
            _ if is_message => Entry::Message,
            _ if caller.is_some() => Entry::Internal,
            _ if self.tree.is_orphan[index] => Entry::Unknown,
            SpanKind::Server => Entry::Client,
            _ if span.parent_id == SpanId::NONE => Entry::Schedule,
            _ => Entry::Unknown,
        };
        self.request_of[index] = self.requests.len();
        self.requests.push(Request {
            span: index,
            entry,
            caller: caller.map(|parent| self.request_of[parent]),
            is_synchronous: !is_message,
            is_probe: span.is_probe,
        });
    }

    /// Reads the calls that a span makes or, having no client span above it, takes.
    fn read(&mut self, index: usize) {
        let span = &self.spans[index];
        match span.kind {
            SpanKind::Client => self.read_client(index),
            SpanKind::Producer => self.read_message(index),
            SpanKind::Consumer => self.read_delivery(index),
            _ => {}
        }
        let request = self.request_of[index];
        if self.requests[request].span == index && self.requests[request].entry == Entry::Client {
            self.made.push(Made { request, caller: NodeKey::Client, ..received(span, span) });
        }
        let caller = self.tree.parent[index].map(|parent| (parent, &self.spans[parent]));
        if let Some((parent, caller)) = caller
            && !span.is_probe
            && !matches!(caller.kind, SpanKind::Client | SpanKind::Producer)
            && caller.service != span.service
            && span.kind != SpanKind::Consumer
            && calls(caller, span)
        {
            self.made.push(Made { request: self.request_of[parent], ..received(caller, span) });
        }
    }

    /// A client span is one call for each callee that sent a span, else one call to the peer that it names. With a
    /// call span of its own service below it, it only wraps that one.
    fn read_client(&mut self, index: usize) {
        let span = &self.spans[index];
        let Some(call) = &span.call else { return };
        let mut is_wrapper = false;
        let mut is_matched = false;
        for child in self.tree.children(index) {
            let callee = &self.spans[child];
            if callee.service == span.service {
                is_wrapper |= matches!(callee.kind, SpanKind::Client | SpanKind::Producer);
            } else if calls(span, callee) {
                is_matched = true;
                if callee.is_probe {
                    continue;
                }
                self.made.push(Made {
                    request: self.request_of[index],
                    kind: if call.kind == EdgeKind::Other { received(span, callee).kind } else { call.kind },
                    callee_ns: Some(callee.duration_ns()),
                    template: callee.operation,
                    callee: NodeKey::Service(callee.service),
                    ..sent(span, NodeKey::Service(callee.service))
                });
            }
        }
        if let Some(peer) = call.peer.filter(|_| !is_matched && !is_wrapper && !span.is_probe) {
            self.made.push(Made { request: self.request_of[index], ..sent(span, peer) });
        }
    }

    /// A producer span is one message to its topic; without a topic, one to each consumer below it.
    fn read_message(&mut self, index: usize) {
        let span = &self.spans[index];
        let request = self.request_of[index];
        if let Some(topic) = span.call.as_ref().and_then(|call| call.peer) {
            self.made.push(Made { request, is_asynchronous: true, ..sent(span, topic) });
            return;
        }
        for child in self.tree.children(index) {
            let callee = &self.spans[child];
            if callee.service != span.service {
                let callee = Made { template: callee.operation, ..sent(span, NodeKey::Service(callee.service)) };
                self.made.push(Made { request, is_asynchronous: true, ..callee });
            }
        }
    }

    /// A consumer span is one delivery from its topic. A `process` below the `receive` of the same message is none.
    fn read_delivery(&mut self, index: usize) {
        let span = &self.spans[index];
        let parent = self.tree.parent[index].map(|parent| &self.spans[parent]);
        if parent.is_some_and(|parent| parent.kind == SpanKind::Consumer && parent.service == span.service) {
            return;
        }
        if let Some(topic) = span.call.as_ref().and_then(|call| call.peer) {
            let delivery = sent(span, NodeKey::Service(span.service));
            self.made.push(Made {
                request: self.request_of[index],
                caller: topic,
                is_asynchronous: true,
                template: span.operation,
                caller_ns: None,
                callee_ns: Some(span.duration_ns()),
                ..delivery
            });
        }
    }
}

/// Whether `span`, a child of `parent`, starts a request of its own. A span of any kind does whose parent is in
/// another service; so does the receiving end of a call that a service makes to itself.
fn opens_request(parent: &Span, span: &Span) -> bool {
    parent.service != span.service
        || matches!(
            (parent.kind, span.kind),
            (SpanKind::Client, SpanKind::Server) | (SpanKind::Producer, SpanKind::Consumer)
        )
}

/// Whether a span that opens a request was called by its parent. A server directly under a server is only within its
/// parent's time: a browser that follows a redirect carries the context on, too.
fn calls(parent: &Span, span: &Span) -> bool {
    let is_direct = span.kind == SpanKind::Server && parent.kind == SpanKind::Server;
    !is_direct || parent.start_ns <= span.start_ns && span.end_ns <= parent.end_ns
}

/// A call as the caller's span tells it.
fn sent(span: &Span, callee: NodeKey) -> Made<'_> {
    let call = span.call.as_ref().expect("every client, producer and consumer span has a call");
    Made {
        request: 0,
        caller: NodeKey::Service(span.service),
        callee,
        kind: call.kind,
        template: call.template,
        is_asynchronous: false,
        start_ns: span.start_ns,
        end_ns: span.end_ns,
        outcome: span.outcome,
        caller_ns: Some(span.duration_ns()),
        callee_ns: None,
        parameters: call.parameters,
        host: call.host,
        access: call.access,
        tables: &call.tables,
        batch: call.batch,
        is_retry: call.is_resend,
    }
}

/// A call as the callee's span tells it.
fn received<'a>(caller: &Span, span: &'a Span) -> Made<'a> {
    Made {
        request: 0,
        caller: NodeKey::Service(caller.service),
        callee: NodeKey::Service(span.service),
        kind: span.call.as_ref().map_or(EdgeKind::Other, |call| call.kind),
        template: span.operation,
        is_asynchronous: false,
        start_ns: span.start_ns,
        end_ns: span.end_ns,
        outcome: span.outcome,
        caller_ns: None,
        callee_ns: Some(span.duration_ns()),
        parameters: None,
        host: Name::EMPTY,
        access: Access::None,
        tables: &[],
        batch: 1,
        is_retry: false,
    }
}

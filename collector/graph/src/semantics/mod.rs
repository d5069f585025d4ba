//! What attributes mean: from the [`SpanView`] that a decoder shows to the [`Span`] that facts need.
//!
//! Old and new semantic-convention names are equal citizens. What a span says of the other side stays raw here: which
//! peer is which service is decided in [`mod@crate::resolve`].

mod attributes;
mod call;
mod confidential;
mod database;
mod marks;
mod records;
mod redaction;
mod resource;
mod sql;
mod url;

use std::borrow::Cow;
use std::sync::Arc;

use self::attributes::{Field, Keys, Known};
use self::confidential::Confidentiality;
pub use self::redaction::Redaction;
use crate::facts::Key;
use crate::facts::bounded::stable_hash;
use crate::log::LogView;
use crate::measurement::PointView;
use crate::name::{Name, NameTable, cut};
use crate::span::{
    Attribute, Call, Detail, Marks, Outcome, Refusal, Resource, ResourceId, Secret, Span, SpanBatch, SpanId, SpanKind,
    SpanView, SpanVisitor, Value,
};
use crate::text::scrub;

/// The most attributes of one span that are kept for people.
pub const MAX_ATTRIBUTES: usize = 128;
/// The key under which a credential in the message of a span's status is found.
const STATUS_MESSAGE: &str = "otel.status_description";
/// The most links of one span that are kept.
pub const MAX_LINKS: usize = 1024;

/// Builds a [`SpanBatch`] of what a decoder shows.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    batch: SpanBatch,
    resource: Resource,
    resource_id: ResourceId,
    resource_marks: Marks,
    keys: Keys,
}

impl BatchBuilder {
    /// A builder that drops attributes before anything reads or stores them.
    pub fn with_redaction(redaction: Arc<Redaction>) -> Self {
        Self { keys: Keys::new(redaction), ..Self::default() }
    }

    /// The batch.
    pub fn finish(self) -> SpanBatch {
        self.batch
    }
}

impl SpanVisitor for BatchBuilder {
    fn resource(&mut self, attributes: &[Attribute<'_>]) {
        let kept: Vec<Attribute<'_>>;
        let attributes = if attributes.iter().any(|(key, _)| self.keys.is_redacted(key)) {
            kept = attributes.iter().filter(|(key, _)| !self.keys.is_redacted(key)).cloned().collect();
            &kept
        } else {
            attributes
        };
        self.resource = resource::read(attributes, &mut self.batch.vocabulary.names);
        self.resource_marks = marks::of_resource(attributes);
        self.resource_id = ResourceId(stable_hash(&self.resource));
        self.batch.vocabulary.resources.insert(self.resource_id, self.resource);
    }

    fn span(&mut self, view: &SpanView<'_>) {
        let known = Known::of(view.attributes, &mut self.keys);
        let names = &mut self.batch.vocabulary.names;
        let (detail, secrets) = detail(view, &known, names);
        let kind = effective_kind(view.kind, &known);
        let operation = operation(kind, view, &known);
        let (client, is_public) = marks::client(kind, &known, names);
        let (call, is_set_up) = call::read(kind, view, &known, self.resource.host, names);
        let mut marks = marks::of_span(kind, view, &known);
        marks.set(self.resource_marks, true);
        marks.set(Marks::PUBLIC_CLIENT, is_public);
        marks.set(Marks::SET_UP, is_set_up);
        self.batch.spans.push(Span {
            trace_id: view.trace_id,
            span_id: view.span_id,
            kind,
            service: self.resource.service,
            parent_id: if view.parent_id == view.span_id { SpanId::NONE } else { view.parent_id },
            resource: self.resource_id,
            start_ns: view.start_ns,
            end_ns: view.end_ns.max(view.start_ns),
            outcome: outcome(view.is_error || known.text(Field::ErrorFlag) == "true", &known),
            is_probe: is_probe(&operation, &known),
            marks,
            name: Name::of(detail.name()),
            client,
            operation: intern(names, &operation),
            call,
            links: view.links.iter().take(MAX_LINKS).copied().collect(),
            secrets,
            location: marks::location(&known, names),
            detail,
        });
    }

    fn refuse(&mut self, mut refusal: Refusal) {
        self.batch.refused += 1;
        if self.batch.refusals.len() < SpanBatch::MAX_REFUSALS {
            refusal.span_name = scrub(&refusal.span_name).chars().take(80).collect();
            self.batch.refusals.push(refusal);
        }
    }

    fn log(&mut self, log: &LogView<'_>) {
        let line = self.log_line(log);
        self.batch.logs.push(line);
    }

    fn point(&mut self, point: &PointView<'_>) {
        let measurement = self.measurement(point);
        self.batch.measurements.extend(measurement);
    }
}

/// The text of an attribute, scrubbed; empty where it was not given.
fn text<'a>(value: Option<&'a Value<'a>>) -> Cow<'a, str> {
    match value.map(Value::to_text) {
        Some(Cow::Borrowed(text)) => scrub(text),
        Some(Cow::Owned(text)) => Cow::Owned(text),
        None => Cow::Borrowed(""),
    }
}

/// The messaging operation decides over the kind, and a span without a kind that speaks of a datastore or of a
/// request it makes is a call.
fn effective_kind(kind: SpanKind, known: &Known<'_>) -> SpanKind {
    match &*known.text(Field::MessagingOperation) {
        "send" | "publish" => return SpanKind::Producer,
        "receive" | "process" | "deliver" => return SpanKind::Consumer,
        _ => {}
    }
    let has_datastore = database::has_datastore(kind, known);
    match kind {
        SpanKind::Unspecified | SpanKind::Internal if has_datastore => SpanKind::Client,
        SpanKind::Unspecified if known.has(Field::HttpRoute) => SpanKind::Server,
        SpanKind::Unspecified if known.has(Field::HttpMethod) && known.has(Field::Url) => SpanKind::Client,
        SpanKind::Unspecified if known.has(Field::PeerService) => SpanKind::Client,
        _ => kind,
    }
}

/// What a span offers, as a template.
fn operation(kind: SpanKind, view: &SpanView<'_>, known: &Known<'_>) -> String {
    let named = || url::template(&scrub(&view.name));
    match kind {
        SpanKind::Server => {
            let route = [Field::HttpRoute, Field::UrlTemplate]
                .into_iter()
                .find(|&field| known.has(field))
                .map(|field| known.text(field));
            if let Some(method) = rpc_method(view, known) {
                method
            } else if let Some(route) = route {
                call::http_template(known, &route)
            } else if let Some(path) = call::http_path(known).filter(|_| known.has(Field::HttpMethod)) {
                call::http_template(known, &url::template(&path))
            } else {
                named()
            }
        }
        SpanKind::Consumer => match call::destination(known) {
            destination if destination.is_empty() => named(),
            destination => format!("process {destination}"),
        },
        _ => named(),
    }
}

/// `service/method`; new instrumentation qualifies the method itself, older one has it in the name alone.
fn rpc_method(view: &SpanView<'_>, known: &Known<'_>) -> Option<String> {
    let (service, method) = (known.text(Field::RpcService), known.text(Field::RpcMethod));
    if method.is_empty() && call::is_rpc_component(known) && view.name.contains('/') {
        Some(view.name.trim_start_matches('/').to_owned())
    } else if method.is_empty() || service.is_empty() || method.contains('/') {
        (!method.is_empty()).then(|| method.trim_start_matches('/').to_owned())
    } else {
        Some(format!("{service}/{method}"))
    }
}

/// Health, readiness and metrics operations count nowhere.
fn is_probe(operation: &str, known: &Known<'_>) -> bool {
    const PATHS: [&str; 12] = [
        "health",
        "healthz",
        "ready",
        "readyz",
        "live",
        "livez",
        "liveness",
        "readiness",
        "metrics",
        "ping",
        "-/healthy",
        "-/ready",
    ];
    let path = operation.split_once(' ').map_or(operation, |(_, path)| path).trim_end_matches('/');
    let agent = known.text(Field::UserAgent);
    let url_path = call::http_path(known);
    let is_health = |path: &str| {
        let path = path.trim_end_matches('/');
        path.strip_prefix('/').is_some_and(|path| PATHS.contains(&path) || path.starts_with("actuator/health"))
    };
    is_health(path)
        || url_path.is_some_and(|path| is_health(&path))
        || operation.starts_with("grpc.health.v1.Health/")
        || known.text(Field::RpcService) == "grpc.health.v1.Health"
        || ["kube-probe/", "ELB-HealthChecker/", "GoogleHC/"].iter().any(|probe| agent.starts_with(probe))
}

fn outcome(is_error: bool, known: &Known<'_>) -> Outcome {
    match known.int(Field::HttpStatus).unwrap_or_default() {
        408 | 504 => return Outcome::TimedOut,
        499 => return Outcome::Cancelled,
        400..=498 => return Outcome::Rejected,
        500.. => return Outcome::Failed,
        _ => {}
    }
    let error_type = known.text(Field::ErrorType).to_ascii_lowercase();
    let code = known.text(Field::RpcStatus);
    if let Some(outcome) = outcome_of_code(&code).or_else(|| outcome_of_code(&error_type)) {
        return outcome;
    }
    if error_type.contains("timeout") || error_type.contains("timedout") || error_type.contains("deadline") {
        Outcome::TimedOut
    } else if error_type.contains("cancel") || error_type.contains("abort") {
        Outcome::Cancelled
    } else if is_error || !error_type.is_empty() {
        Outcome::Failed
    } else {
        Outcome::Ok
    }
}

/// The codes of gRPC in the order of their numbers, and what they say.
const RPC_CODES: [(&str, Outcome); 17] = [
    ("OK", Outcome::Ok),
    ("CANCELLED", Outcome::Cancelled),
    ("UNKNOWN", Outcome::Failed),
    ("INVALID_ARGUMENT", Outcome::Rejected),
    ("DEADLINE_EXCEEDED", Outcome::TimedOut),
    ("NOT_FOUND", Outcome::Rejected),
    ("ALREADY_EXISTS", Outcome::Rejected),
    ("PERMISSION_DENIED", Outcome::Rejected),
    ("RESOURCE_EXHAUSTED", Outcome::Failed),
    ("FAILED_PRECONDITION", Outcome::Rejected),
    ("ABORTED", Outcome::Failed),
    ("OUT_OF_RANGE", Outcome::Rejected),
    ("UNIMPLEMENTED", Outcome::Failed),
    ("INTERNAL", Outcome::Failed),
    ("UNAVAILABLE", Outcome::Failed),
    ("DATA_LOSS", Outcome::Failed),
    ("UNAUTHENTICATED", Outcome::Rejected),
];

/// What a code of gRPC says, given by number or as any language writes its name: `NOT_FOUND`, `NotFound`,
/// `StatusCode.NOT_FOUND`. None for success and for what is no code.
fn outcome_of_code(code: &str) -> Option<Outcome> {
    let code = code.rsplit('.').next().unwrap_or_default();
    let letters = |text: &'_ str| {
        text.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_uppercase()).collect::<Vec<_>>()
    };
    let by_number = code.parse::<usize>().ok().and_then(|number| RPC_CODES.get(number));
    let by_name = || RPC_CODES.iter().find(|(name, _)| letters(name) == letters(code));
    let (_, outcome) = by_number.or_else(by_name)?;
    (*outcome != Outcome::Ok).then_some(*outcome)
}

/// What people look at in a span, and which of its attributes were confidential.
fn detail(view: &SpanView<'_>, known: &Known<'_>, names: &mut NameTable) -> (Detail, Box<[Secret]>) {
    let mut secrets = Vec::new();
    let mut note = |kinds: confidential::Kinds, key: &str| {
        secrets.extend(kinds.iter().map(|kind| Secret { kind, key: names.intern(key) }));
    };
    let name = confidential::mask_name(cut(&view.name));
    note(name.kinds, "");
    let message = confidential::mask(Confidentiality::Unknown, &view.status_message);
    note(message.kinds, STATUS_MESSAGE);
    let kept = view.attributes.iter().zip(&known.meanings).filter(|(_, meaning)| !meaning.is_redacted);
    let attributes = kept.take(MAX_ATTRIBUTES).map(|((key, value), meaning)| {
        let key = scrub(key);
        let masked = match value {
            Value::Text(text) => confidential::mask(meaning.confidentiality, text),
            Value::Composite(text) => confidential::mask(meaning.confidentiality, text),
            value => confidential::mask_number(meaning.confidentiality, value.to_text()),
        };
        note(masked.kinds, &key);
        (key, masked.text)
    });
    let detail = Detail::new(&name.text, &message.text, attributes);
    secrets.sort_unstable();
    secrets.dedup();
    (detail, secrets.into_boxed_slice())
}

impl Span {
    /// Every name that the span refers to; its resource has more.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        visit(self.operation);
        self.secrets.iter().for_each(|secret| visit(secret.key));
        if let Some(location) = &self.location {
            [location.file, location.function].into_iter().for_each(&mut *visit);
        }
        if let Some(Call { peer, template, host, tables, also_read, .. }) = &self.call {
            visit(*template);
            visit(*host);
            tables.iter().chain(also_read).for_each(|&table| visit(table));
            if let Some(peer) = peer {
                peer.for_each_name(visit);
            }
        }
    }
}

/// Interns a text, scrubbed and masked: names are kept longer and shown in more places than any attribute.
fn intern(names: &mut NameTable, text: &str) -> Name {
    names.intern(&confidential::mask_name(cut(text)).text)
}

#[cfg(test)]
mod tests;

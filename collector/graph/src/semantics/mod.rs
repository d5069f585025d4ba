//! What attributes mean: from the [`SpanView`] that a decoder shows to the [`Span`] that facts need.
//!
//! Old and new semantic-convention names are equal citizens. What a span says of the other side stays raw here: which
//! peer is which service is decided in [`mod@crate::resolve`].

mod attributes;
mod call;
mod resource;
mod sql;
mod url;

use std::borrow::Cow;

use self::attributes::Known;
use crate::facts::bounded::stable_hash;
use crate::hash::HashMap;
use crate::name::{Name, NameTable, cut};
use crate::span::{
    Attribute, Call, Detail, Marks, Outcome, Refusal, Resource, ResourceId, Span, SpanBatch, SpanId, SpanKind,
    SpanView, SpanVisitor, Value,
};
use crate::text::{is_secret_key, presentable, scrub};

/// The most attributes of one span that are kept for people.
pub const MAX_ATTRIBUTES: usize = 128;
/// The most links of one span that are kept.
pub const MAX_LINKS: usize = 1024;
/// The most attribute keys that are remembered as secret or not.
const MAX_REMEMBERED_KEYS: usize = 4096;

/// Builds a [`SpanBatch`] of what a decoder shows.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    batch: SpanBatch,
    resource: Resource,
    resource_id: ResourceId,
    secret_keys: SecretKeys,
}

impl BatchBuilder {
    /// The batch.
    pub fn finish(self) -> SpanBatch {
        self.batch
    }
}

impl SpanVisitor for BatchBuilder {
    fn resource(&mut self, attributes: &[Attribute<'_>]) {
        self.resource = resource::read(attributes, &mut self.batch.vocabulary.names);
        self.resource_id = ResourceId(stable_hash(&self.resource));
        self.batch.vocabulary.resources.insert(self.resource_id, self.resource);
    }

    fn span(&mut self, view: &SpanView<'_>) {
        let known = Known::of(view.attributes);
        let detail = self.detail(view);
        let names = &mut self.batch.vocabulary.names;
        let kind = effective_kind(view.kind, &known);
        let operation = operation(kind, view, &known);
        self.batch.spans.push(Span {
            trace_id: view.trace_id,
            span_id: view.span_id,
            kind,
            service: self.resource.service,
            parent_id: if view.parent_id == view.span_id { SpanId::NONE } else { view.parent_id },
            resource: self.resource_id,
            start_ns: view.start_ns,
            end_ns: view.end_ns.max(view.start_ns),
            outcome: outcome(view.is_error || known.has_error_flag, &known),
            is_probe: is_probe(&operation, &known),
            marks: Marks::default(),
            name: Name::of(&scrub(&view.name)),
            client: Name::EMPTY,
            secrets: Box::default(),
            location: None,
            operation: names.intern(&operation),
            call: call::read(kind, view, &known, self.resource.host, names),
            links: view.links.iter().take(MAX_LINKS).copied().collect(),
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
    match &*text(known.messaging.operation_type) {
        "send" | "publish" => return SpanKind::Producer,
        "receive" | "process" | "deliver" => return SpanKind::Consumer,
        _ => {}
    }
    let has_datastore = known.database.system.is_some();
    match kind {
        SpanKind::Unspecified | SpanKind::Internal if has_datastore => SpanKind::Client,
        SpanKind::Unspecified if known.http.route.is_some() => SpanKind::Server,
        SpanKind::Unspecified if known.http.method.is_some() && known.http.url.is_some() => SpanKind::Client,
        SpanKind::Unspecified if known.peer.service.is_some() => SpanKind::Client,
        _ => kind,
    }
}

/// What a span offers, as a template.
fn operation(kind: SpanKind, view: &SpanView<'_>, known: &Known<'_>) -> String {
    let named = || url::template(&scrub(&view.name));
    match kind {
        SpanKind::Server => {
            let route = [known.http.route, known.http.template].into_iter().find(Option::is_some).map(text);
            if let Some(method) = rpc_method(known) {
                method
            } else if let Some(route) = route {
                call::http_template(known, &route)
            } else if let Some(path) = call::http_path(known).filter(|_| known.http.method.is_some()) {
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

/// `service/method`; new instrumentation qualifies the method itself.
fn rpc_method(known: &Known<'_>) -> Option<String> {
    let (service, method) = (text(known.rpc.service), text(known.rpc.method));
    if method.is_empty() || service.is_empty() || method.contains('/') {
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
    let agent = text(known.http.user_agent);
    let url_path = call::http_path(known);
    let is_health = |path: &str| {
        let path = path.trim_end_matches('/');
        path.strip_prefix('/').is_some_and(|path| PATHS.contains(&path) || path.starts_with("actuator/health"))
    };
    is_health(path)
        || url_path.is_some_and(|path| is_health(&path))
        || operation.starts_with("grpc.health.v1.Health/")
        || text(known.rpc.service) == "grpc.health.v1.Health"
        || ["kube-probe/", "ELB-HealthChecker/", "GoogleHC/"].iter().any(|probe| agent.starts_with(probe))
}

fn outcome(is_error: bool, known: &Known<'_>) -> Outcome {
    let status = known.http.status.and_then(Value::to_int).unwrap_or_default();
    let rpc = text(known.rpc.status).to_ascii_uppercase();
    let error_type = text(known.error_type).to_ascii_lowercase();
    match status {
        408 | 504 => return Outcome::TimedOut,
        499 => return Outcome::Cancelled,
        400..=498 => return Outcome::Rejected,
        500.. => return Outcome::Failed,
        _ => {}
    }
    match &*rpc {
        "4" | "DEADLINE_EXCEEDED" => return Outcome::TimedOut,
        "1" | "CANCELLED" => return Outcome::Cancelled,
        "3"
        | "5"
        | "6"
        | "7"
        | "9"
        | "11"
        | "16"
        | "INVALID_ARGUMENT"
        | "NOT_FOUND"
        | "ALREADY_EXISTS"
        | "PERMISSION_DENIED"
        | "FAILED_PRECONDITION"
        | "OUT_OF_RANGE"
        | "UNAUTHENTICATED" => return Outcome::Rejected,
        _ => {}
    }
    if error_type.contains("timeout") || error_type.contains("timedout") || error_type.contains("deadline") {
        Outcome::TimedOut
    } else if error_type.contains("cancel") || error_type.contains("abort") {
        Outcome::Cancelled
    } else if is_error || !error_type.is_empty() || matches!(&*rpc, "2" | "8" | "10" | "12" | "13" | "14" | "15") {
        Outcome::Failed
    } else {
        Outcome::Ok
    }
}

impl BatchBuilder {
    fn detail(&mut self, view: &SpanView<'_>) -> Detail {
        let message = presentable(false, &view.status_message);
        let secret_keys = &mut self.secret_keys;
        let attributes = view.attributes.iter().take(MAX_ATTRIBUTES).map(|(key, value)| {
            let is_secret = secret_keys.contains(key);
            let shown = match value.to_text() {
                Cow::Borrowed(text) => presentable(is_secret, text),
                Cow::Owned(text) => Cow::Owned(presentable(is_secret, &text).into_owned()),
            };
            (scrub(key), shown)
        });
        Detail::new(cut(&scrub(&view.name)), &message, attributes)
    }
}

/// Which keys announce secrets, remembered: the same few keys come with every span.
#[derive(Debug, Default)]
struct SecretKeys(HashMap<Name, bool>);

impl SecretKeys {
    fn contains(&mut self, key: &str) -> bool {
        if self.0.len() >= MAX_REMEMBERED_KEYS {
            self.0.clear();
        }
        *self.0.entry(Name::of(key)).or_insert_with(|| is_secret_key(key))
    }
}

impl Span {
    /// Every name that the span refers to; its resource has more.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        visit(self.operation);
        self.secrets.iter().for_each(|secret| visit(secret.key));
        if let Some(location) = &self.location {
            [location.file, location.function].into_iter().for_each(&mut *visit);
        }
        if let Some(Call { peer, template, host, tables, .. }) = &self.call {
            visit(*template);
            visit(*host);
            tables.iter().for_each(|&table| visit(table));
            if let Some(peer) = peer {
                peer.for_each_name(visit);
            }
        }
    }
}

/// Interns a text that is not yet scrubbed.
fn intern(names: &mut NameTable, value: Option<&Value<'_>>) -> Name {
    names.intern(&text(value))
}

//! What attributes mean: from the [`SpanView`] that a decoder shows to the [`Span`] that facts need.
//!
//! Old and new semantic-convention names are equal citizens. What a span says of the other side stays raw here: which
//! peer is which service is decided in [`mod@crate::resolve`].

mod asked;
mod attributes;
mod call;
mod confidential;
mod database;
mod expected;
mod grouping;
mod inputs;
mod keys;
mod marks;
mod memory;
mod messaging;
mod outcome;
mod reading;
mod records;
mod redaction;
mod resource;
mod shown;
mod sql;
mod url;
mod varying;
mod waypoint;

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use self::attributes::{Field, Known};
pub use self::call::is_address;
pub use self::confidential::Sealing;
use self::expected::Expected;
use self::grouping::Grouping;
use self::inputs::Inputs;
use self::keys::Keys;
use self::memory::{Memory, Remembered};
pub use self::reading::Reading;
pub use self::redaction::Redaction;
use self::shown::Shown;
pub use self::varying::is_public as is_public_address;
use self::varying::{Requested, Varying};
use crate::facts::bounded::stable_hash;
use crate::log::LogView;
use crate::measurement::PointView;
use crate::name::{Name, NameTable, cut};
use crate::recent::{Recent, Remember};
use crate::span::{
    Attribute, Likeness, Marks, Rare, Refusal, Resource, ResourceId, Secret, Shape, Span, SpanBatch, SpanKind,
    SpanView, SpanVisitor, Value,
};
use crate::text::scrub;

/// The attribute of an event that names the type of an exception.
pub const EXCEPTION_TYPE: &str = "exception.type";

/// The most attributes of one span that are kept for people.
pub const MAX_ATTRIBUTES: usize = 128;
/// The most links of one span that are kept.
pub const MAX_LINKS: usize = 1024;

/// How many bytes a builder remembers, where nobody says otherwise.
const REMEMBERED_BYTES: usize = 16 << 20;
/// Of what is remembered, the part that resources take: one in so many.
const RESOURCES_SHARE: usize = 4;
/// The longest attributes of a resource that is remembered.
const MAX_RESOURCE_BYTES: usize = 4096;

/// Builds batches of spans of what a decoder shows. What it learns of one batch it remembers for the next, so a builder
/// is best kept for as long as spans arrive.
#[derive(Debug)]
pub struct BatchBuilder {
    reading: Arc<Reading>,
    batch: SpanBatch,
    sender: Arc<Sender>,
    /// By a hash of keys and values of all attributes.
    senders: Recent<u128, Arc<Sender>>,
    /// By what the last resource is recalled, if it is remembered.
    last_sender: Option<u128>,
    keys: Keys,
    memory: Memory,
    /// By what the last span is recalled.
    last: Option<u128>,
    shown: Shown,
    expected: Expected,
    grouping: Grouping,
    /// The first span of the batch that is not grouped with others of its trace and has no texts in its detail yet.
    first_open: usize,
}

/// What spans have of their resource.
#[derive(Debug, Default)]
struct Sender {
    resource: Resource,
    id: ResourceId,
    marks: Marks,
    /// Its host; empty where not recorded.
    host: String,
    /// Confidential values in its attributes.
    secrets: Box<[Secret]>,
    /// Whether something in its attributes is masked, or cut off.
    is_less: bool,
    names: NameTable,
}

impl Sender {
    fn of(attributes: &[Attribute<'_>], owner_keys: &[String]) -> Self {
        let mut names = NameTable::default();
        let resource = resource::read(attributes, owner_keys, &mut names);
        let (secrets, is_less) = shown::secrets_of(attributes, &mut names);
        Self {
            id: ResourceId(stable_hash(&resource)),
            marks: marks::of_resource(attributes),
            host: names.text(resource.host).to_owned(),
            secrets,
            is_less,
            resource,
            names,
        }
    }
}

impl Remember for Arc<Sender> {
    /// Its key is as long as its attributes, most of which are its names.
    fn bytes(&self) -> usize {
        size_of::<Sender>() + 2 * (self.names.text_bytes() + self.names.len() * size_of::<(Name, Box<str>)>())
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::with_reading(Arc::default())
    }
}

impl BatchBuilder {
    /// A builder that reads attributes as `reading` says.
    pub fn with_reading(reading: Arc<Reading>) -> Self {
        Self::within(reading, REMEMBERED_BYTES)
    }

    /// A builder that remembers no more than `bytes`, about, from one batch to the next.
    pub fn within(reading: Arc<Reading>, bytes: usize) -> Self {
        Self {
            keys: Keys::new(Arc::clone(&reading)),
            reading,
            batch: SpanBatch::default(),
            sender: Arc::default(),
            senders: Recent::within(bytes / RESOURCES_SHARE),
            last_sender: None,
            memory: Memory::within(bytes),
            last: None,
            shown: Shown::default(),
            expected: Expected::default(),
            grouping: Grouping::default(),
            first_open: 0,
        }
    }

    /// The batch; a new one begins.
    pub fn take(&mut self) -> SpanBatch {
        self.hand_out();
        self.first_open = 0;
        self.memory.next_batch();
        self.sender = Arc::default();
        let mut batch = std::mem::take(&mut self.batch);
        batch.may_be_confidential |= self.shown.take_is_less();
        self.expected.give_back(&mut batch);
        if !batch.spans.is_empty() {
            self.expected = Expected::like(&batch);
        }
        batch
    }

    /// The batch, where no other follows.
    pub fn finish(mut self) -> SpanBatch {
        self.take()
    }

    fn push(&mut self, span: Span) {
        self.batch.spans.push(span);
        if self.shown.is_full() {
            self.hand_out();
        }
    }

    /// Groups the spans that came since the last time by trace, and hands out their texts.
    fn hand_out(&mut self) {
        let spans = &mut self.batch.spans[self.first_open..];
        self.grouping.group(spans);
        for trace in spans.chunk_by_mut(|left, right| left.trace_id == right.trace_id) {
            self.shown.hand_out(trace.iter_mut().map(|span| &mut span.detail));
        }
        self.shown.clear();
        self.first_open = self.batch.spans.len();
    }

    /// Who sends with these attributes.
    fn sender(&mut self, attributes: &[Attribute<'_>]) -> Arc<Sender> {
        let mut text = Vec::new();
        for (name, value) in attributes {
            inputs::push_text(&mut text, name);
            inputs::push_value(&mut text, value);
        }
        let key = xxh3_128(&text);
        self.last_sender = Some(key);
        if let Some(sender) = self.senders.get(&key) {
            return Arc::clone(sender);
        }
        let sender = Arc::new(Sender::of(attributes, &self.reading.owner_keys));
        if text.len() <= MAX_RESOURCE_BYTES && self.senders.meets_again(key as u64) {
            self.senders.insert(key, Arc::clone(&sender));
        }
        sender
    }

    /// What follows is from `sender`.
    fn hear(&mut self, sender: Arc<Sender>) {
        self.batch.may_be_confidential |= sender.is_less;
        if self.batch.spans.capacity() == 0 {
            self.expected.make_room(&mut self.batch);
        }
        let vocabulary = &mut self.batch.vocabulary;
        vocabulary.names.merge(&sender.names);
        vocabulary.resources.insert(sender.id, sender.resource);
        self.sender = sender;
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
        let sender = self.sender(attributes);
        self.hear(sender);
    }

    fn recalled_by(&mut self) -> Option<u128> {
        self.last_sender.filter(|key| self.senders.knows(key))
    }

    fn recall(&mut self, key: u128, _: usize) -> bool {
        let Some(sender) = self.senders.get(&key).cloned() else { return false };
        self.last_sender = Some(key);
        self.hear(sender);
        true
    }

    fn span(&mut self, view: &SpanView<'_>) {
        let kept: SpanView<'_>;
        let view = if !view.exception.is_empty() && self.keys.is_redacted(EXCEPTION_TYPE) {
            kept = SpanView { exception: "".into(), ..view.clone() };
            &kept
        } else {
            view
        };
        let attributes = &view.attributes[..view.attributes.len().min(usize::from(u16::MAX))];
        let sequence = self.keys.sequence(attributes);
        let known = Known::of(attributes, sequence);
        let statement = self.memory.statements.of(&known);
        let inputs = Inputs::of(view, known, &statement, &self.sender.host);
        let names = &mut self.batch.vocabulary.names;
        let sender = (self.sender.id, &self.sender.resource);
        let (key, remembered) = self.memory.remembered(&inputs, view, (sequence, &statement), sender, names);
        let requested = Requested::of(&remembered.shape, &inputs.asked.url);
        let varying = Varying::of(&remembered.shape, &known, &statement, requested);
        self.last = Some(key);
        let span = read_span(view, &self.sender, remembered, &varying, &mut self.shown, names);
        self.push(span);
    }

    fn likeness(&mut self) -> Option<Likeness> {
        self.memory.likeness(self.last?)
    }

    fn alike(&mut self, view: &SpanView<'_>, key: u128, _: usize) -> bool {
        let names = &mut self.batch.vocabulary.names;
        let Some((remembered, varying)) = self.memory.recall(key, view, self.sender.id, names) else { return false };
        let span = read_span(view, &self.sender, remembered, &varying, &mut self.shown, names);
        self.push(span);
        true
    }

    fn aside(&mut self, key: &str, value: &Value<'_>) {
        self.shown.pass_over(key, &value.to_text());
    }

    fn unread(&mut self) {
        self.batch.may_be_confidential = true;
    }

    fn refuse(&mut self, mut refusal: Refusal) {
        // Nobody looked at the rest of it.
        self.batch.may_be_confidential = true;
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

/// A span that has `remembered` in common with others.
fn read_span(
    view: &SpanView<'_>,
    sender: &Sender,
    remembered: &Remembered,
    varying: &Varying,
    shown: &mut Shown,
    names: &mut NameTable,
) -> Span {
    let Remembered { shape, shared, sequence, .. } = remembered;
    let (client, of_client) = varying::client(shape.kind, &Known::of(view.attributes, sequence));
    let mut marks = shape.marks;
    marks.set(sender.marks, true);
    marks.set(of_client, true);
    marks.set(Marks::PAGE, varying.is_page);
    let shown::Read { detail, name, secrets } = shown.read(view, sequence, (&sender.secrets, shared), names);
    let is_rare = !view.links.is_empty() || !secrets.is_empty();
    let rare = is_rare.then(|| {
        let links = view.links.iter().take(MAX_LINKS).copied().collect();
        Box::new(Rare { links, secrets: secrets.into() })
    });
    Span {
        trace_id: view.trace_id,
        span_id: view.span_id,
        parent_id: view.caused_by(),
        start_ns: view.start_ns,
        end_ns: view.end_ns.max(view.start_ns),
        shape: Arc::clone(shape),
        name,
        client,
        parameters: varying.parameters,
        batch: varying.batch,
        is_resend: varying.is_resend,
        marks,
        rare,
        detail,
    }
}

/// What a span says, without what differs from call to call.
fn read_shape(inputs: &Inputs<'_>, (id, resource): (ResourceId, &Resource), names: &mut NameTable) -> Shape {
    let kind = effective_kind(inputs);
    let operation = operation(kind, inputs);
    let (call, is_set_up) = call::read(kind, inputs, names);
    let mut marks = marks::of_span(kind, inputs);
    marks.set(Marks::SET_UP, is_set_up);
    let is_sent = matches!(kind, SpanKind::Client | SpanKind::Producer);
    marks.set(Marks::ADDRESSED, is_sent && call.as_ref().is_some_and(|call| is_address(names.text(call.host))));
    Shape {
        kind,
        service: waypoint::service(inputs, resource::own_service(inputs, resource.service, names), names),
        resource: id,
        outcome: outcome::outcome(inputs),
        is_probe: marks::is_probe(&operation, inputs),
        is_by_clock: inputs.asked.parties.is_by_clock,
        marks,
        operation: intern(names, &operation),
        call,
        location: marks::location(inputs, names),
    }
}

/// The messaging operation decides over the kind, a span without a kind that speaks of a datastore or of a request it
/// makes is a call, and a step of making a connection is none.
fn effective_kind(inputs: &Inputs<'_>) -> SpanKind {
    match &*messaging::operation(inputs) {
        "send" | "publish" => return SpanKind::Producer,
        "receive" | "process" | "deliver" => return SpanKind::Consumer,
        _ => {}
    }
    let kind = inputs.kind;
    let has_datastore = database::has_datastore(kind, inputs);
    match kind {
        // A platform calls its functions alike, whatever made it call.
        SpanKind::Server if inputs.has(Field::Trigger) => match &*inputs.text(Field::Trigger) {
            "datasource" | "pubsub" => SpanKind::Consumer,
            "timer" => SpanKind::Internal,
            _ => kind,
        },
        SpanKind::Unspecified | SpanKind::Internal if has_datastore => SpanKind::Client,
        SpanKind::Unspecified if inputs.has(Field::HttpRoute) => SpanKind::Server,
        SpanKind::Unspecified if inputs.has(Field::HttpMethod) && inputs.has(Field::Url) => SpanKind::Client,
        SpanKind::Unspecified if inputs.has(Field::PeerService) => SpanKind::Client,
        SpanKind::Client if call::is_connection_step(inputs) => SpanKind::Internal,
        _ => kind,
    }
}

/// What a span offers, as a template.
fn operation(kind: SpanKind, inputs: &Inputs<'_>) -> String {
    let named = || inputs.name.clone().into_owned();
    match kind {
        SpanKind::Server => {
            let route = [Field::HttpRoute, Field::UrlTemplate]
                .into_iter()
                .find(|&field| inputs.has(field))
                .map(|field| inputs.text(field));
            if let Some(method) = rpc_method(inputs) {
                method
            } else if let Some(route) = route {
                call::http_template(inputs, &route)
            } else if let Some(route) = spoken_route(inputs) {
                route
            } else if !inputs.asked.url.meant.path.is_empty() && inputs.has(Field::HttpMethod) {
                call::http_template(inputs, &inputs.asked.url.meant.path)
            } else {
                named()
            }
        }
        SpanKind::Consumer => match messaging::destination(inputs) {
            destination if destination.is_empty() => named(),
            destination => format!("process {destination}"),
        },
        _ => named(),
    }
}

/// `METHOD route`, which Micrometer and `SkyWalking` have in the name alone: `http get /carts/{id}`, `GET:/carts/{id}`.
fn spoken_route(inputs: &Inputs<'_>) -> Option<String> {
    let method = inputs.text(Field::HttpMethod);
    if let Some(route) = inputs.name.strip_prefix(&*method).and_then(|rest| rest.strip_prefix(':')) {
        return (!method.is_empty() && route.starts_with('/')).then(|| format!("{method} {route}"));
    }
    let method = inputs.text(Field::BareMethod);
    let (verb, route) = inputs.name.strip_prefix("http ")?.split_once(' ')?;
    let is_told = inputs.has(Field::OutcomeClass) && verb.eq_ignore_ascii_case(&method) && route.starts_with('/');
    is_told.then(|| format!("{} {route}", method.to_ascii_uppercase()))
}

/// `service/method`; new instrumentation qualifies the method itself, older one has it in the name alone.
fn rpc_method(inputs: &Inputs<'_>) -> Option<String> {
    let (service, method) = (inputs.text(Field::RpcService), inputs.text(Field::RpcMethod));
    if method.is_empty() && call::is_rpc_component(inputs) && inputs.name.contains('/') {
        Some(inputs.name.trim_start_matches('/').to_owned())
    } else if method.is_empty() || service.is_empty() || method.contains('/') {
        (!method.is_empty()).then(|| method.trim_start_matches('/').to_owned())
    } else {
        Some(format!("{service}/{method}"))
    }
}

/// Interns a text, scrubbed and masked: names are kept longer and shown in more places than any attribute.
fn intern(names: &mut NameTable, text: &str) -> Name {
    names.intern(&confidential::mask_name(cut(text)).text)
}

#[cfg(test)]
mod tests;

//! What the meaning of a span is made of: its attributes without what differs from call to call.
//!
//! Meaning is read from [`Inputs`] alone, and [`Inputs::write_key`] writes everything that they hold, so two spans with
//! one key have one meaning. What is left out is read from each span for itself: parameters, clients, sizes of batches.

use std::borrow::Cow;

use super::asked::{ASKED, Asked, MeantUrl, Parties};
use super::attributes::{self, FIELDS, Field, Known};
use super::sql::Statement;
use super::{marks, outcome, url};
use crate::span::{Attribute, Marks, Outcome, ResourceId, SpanKind, SpanView, Value};
use crate::text::scrub;

/// The inputs to the meaning of a span.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own, asked of one text")]
pub(super) struct Inputs<'a> {
    /// All attributes, also those that vary.
    pub(super) known: Known<'a>,
    /// What varies of it, and tells more than its own value.
    pub(super) asked: Asked<'a>,
    /// As sent.
    pub(super) kind: SpanKind,
    /// Whether the status says that it failed.
    pub(super) is_error: bool,
    /// How it failed by the words of status and exception: instrumentations of old conventions tell it nowhere else.
    pub(super) told: Option<Outcome>,
    /// Whether a sampler says that it dropped others.
    pub(super) is_sampled: bool,
    /// The name with identifiers replaced.
    pub(super) name: Cow<'a, str>,
    /// Whether that is the name as it was sent.
    pub(super) is_name_whole: bool,
    /// Whether another attribute tells where the call goes, so that the address it led to varies.
    is_peer_named: bool,
    /// What the query text says; the statement without text where there is none.
    pub(super) statement: &'a Statement,
    /// The host of the resource; empty where not recorded.
    pub(super) own_host: &'a str,
}

/// Fields whose values differ from call to call.
const VARYING: [Field; 11] = [
    Field::UrlPath,
    Field::UrlQuery,
    Field::DbText,
    Field::Named,
    Field::UserAgent,
    Field::ForwardedFor,
    Field::ClientAddress,
    Field::ClientSocketAddress,
    Field::ResendCount,
    Field::MessageCount,
    Field::DbBatchSize,
];

/// Whether each field is one of [`VARYING`].
const VARIES: [bool; FIELDS] = {
    let mut varies = [false; FIELDS];
    let mut index = 0;
    while index < VARYING.len() {
        varies[VARYING[index] as usize] = true;
        index += 1;
    }
    varies
};

impl<'a> Inputs<'a> {
    pub(super) fn of(view: &'a SpanView<'a>, known: Known<'a>, statement: &'a Statement, own_host: &'a str) -> Self {
        let is_given = |field: Field| known.has(field);
        let name = url::template_of(scrub(&view.name));
        Self {
            known,
            asked: Asked::of(known),
            kind: view.kind,
            is_error: view.is_error,
            told: outcome::told(view),
            is_sampled: !view.trace_state.is_empty() && marks::has_threshold(&view.trace_state),
            is_name_whole: matches!(name, Cow::Borrowed(_)),
            name,
            is_peer_named: [Field::PeerService, Field::ServerAddress, Field::PeerName].into_iter().any(is_given),
            statement,
            own_host,
        }
    }

    /// Whether the value of a field differs from call to call. The peer of a server is its client.
    fn varies(&self, field: Field) -> bool {
        let is_peer = matches!(field, Field::PeerAddress | Field::PeerPort);
        VARIES[field as usize] || is_peer && (self.is_peer_named || self.kind == SpanKind::Server)
    }

    /// Whether the attribute at `place` is the same in all spans of one key.
    pub(super) fn is_shared(&self, place: usize, attribute: &Attribute<'_>) -> bool {
        let is_kept = |field: Field| field != Field::Url && !self.varies(field);
        attributes::is_empty(attribute) || self.known.field_at(place).is_some_and(is_kept)
    }

    /// The places of attributes in which spans of one key may differ.
    pub(super) fn open(&self, attributes: &[Attribute<'_>]) -> Box<[u16]> {
        let is_open = |place: usize, attribute| {
            // Where a statement has placeholders only, its text is the same in all its spans.
            let is_statement = self.known.field_at(place) == Some(Field::DbText);
            !(self.is_shared(place, attribute) || is_statement && self.statement.has_placeholders)
        };
        let places = attributes.iter().enumerate().filter(|(place, attribute)| is_open(*place, attribute));
        places.map(|(place, _)| place as u16).collect()
    }

    /// Whether what is open tells more than each value by itself.
    pub(super) fn is_meant_anew(&self) -> bool {
        let is_statement_open = self.known.has(Field::DbText) && !self.statement.has_placeholders;
        is_statement_open || ASKED.into_iter().any(|field| self.known.has(field))
    }

    /// Whether a field was given.
    pub(super) fn has(&self, field: Field) -> bool {
        self.known.has(field)
    }

    /// The value of a field that does not vary.
    pub(super) fn value(&self, field: Field) -> Option<&'a Value<'a>> {
        self.known.value(field).filter(|_| !self.varies(field))
    }

    /// The text of a field that does not vary, scrubbed, and of the URL its origin; empty where it was not given.
    pub(super) fn text(&self, field: Field) -> Cow<'_, str> {
        match (field, self.value(field)) {
            (Field::Url, _) => scrub(&self.asked.url.meant.origin),
            (_, Some(Value::Text(text))) => scrub(text),
            (_, Some(value)) => value.to_text(),
            (_, None) => Cow::Borrowed(""),
        }
    }

    /// The service of AWS that a call goes to, in lower case (`dynamodb`); empty where it goes to none.
    pub(super) fn aws_service(&self) -> String {
        let is_told = &*self.text(Field::RpcSystem) == "aws-api";
        let service = self.text(if is_told { Field::RpcService } else { Field::AwsService });
        service.to_ascii_lowercase()
    }

    /// The integer of a field that does not vary.
    pub(super) fn int(&self, field: Field) -> Option<i64> {
        self.value(field).and_then(Value::to_int)
    }

    /// What the keys show.
    pub(super) fn marks(&self) -> Marks {
        self.known.marks()
    }

    /// Writes everything that meaning is made of. What keys alone show lies in the sequence of the keys.
    pub(super) fn write_key(&self, resource: ResourceId, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(&resource.0.to_le_bytes());
        key.extend_from_slice(&self.known.sequence.id.to_le_bytes());
        key.extend_from_slice(&self.statement.identity.to_le_bytes());
        let MeantUrl { origin, path, is_probe_path, is_stream_path } = &self.asked.url.meant;
        let Parties { is_probe, is_by_clock, is_peer_loopback } = self.asked.parties;
        let asked = [*is_probe_path, is_probe, is_by_clock, *is_stream_path, is_peer_loopback];
        let flags = [self.is_error, self.is_sampled, self.is_name_whole].into_iter().chain(asked);
        key.extend(flags.map(u8::from));
        key.push(self.kind as u8);
        key.push(self.told.map_or(0, |outcome| outcome as u8 + 1));
        push_text(key, &self.name);
        push_text(key, origin);
        push_text(key, path);
        for (field, value) in self.known.given() {
            if field != Field::Url && !self.varies(field) {
                push_value(key, value);
            }
        }
    }
}

/// A value, told apart from every other.
pub(super) fn push_value(key: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => push_text(key, text),
        Value::Composite(text) => push_text(key, text),
        Value::Int(number) => push_number(key, b'i', number.to_le_bytes()),
        Value::Double(number) => push_number(key, b'd', number.to_le_bytes()),
        Value::Bool(truth) => push_number(key, b'b', [u8::from(*truth); 8]),
    }
}

/// A text with its length before it, so that neighbours cannot be taken for one another.
pub(super) fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u32).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// A number with a mark that no length of a text is: a text of as many bytes is never kept as a key.
fn push_number(key: &mut Vec<u8>, mark: u8, number: [u8; 8]) {
    key.extend_from_slice(&[mark, 0xff, 0xff, 0xff]);
    key.extend_from_slice(&number);
}

//! Attribute names, current and old as equals, and what their values are to facts.

use std::sync::{Arc, LazyLock};

use xxhash_rust::xxh3::xxh3_128;

use super::confidential::{self, Confidentiality};
use super::{MAX_ATTRIBUTES, Redaction, inputs};
use crate::detail;
use crate::hash::HashMap;
use crate::span::{Attribute, Marks, Value};
use crate::text::scrub;

/// What facts read of a span, whatever its generation of the conventions calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    HttpMethod,
    BareMethod,
    HttpRoute,
    UrlTemplate,
    Url,
    UrlPath,
    UrlQuery,
    UrlScheme,
    HttpHost,
    HttpStatus,
    ResendCount,
    UserAgent,
    ContentType,
    Accept,
    Upgrade,
    ForwardedFor,
    DbSystem,
    DbNamespace,
    DbCollection,
    DbOperation,
    DbText,
    DbSummary,
    DbBatchSize,
    DbConnection,
    Bucket,
    Region,
    FilePath,
    FileDirectory,
    MessagingSystem,
    MessagingUrl,
    AzureNamespace,
    Destination,
    DestinationTemplate,
    RoutingKey,
    MessagingOperation,
    MessageCount,
    RpcSystem,
    RpcService,
    RpcMethod,
    RpcStatus,
    RpcStreaming,
    GraphqlOperation,
    PeerService,
    PeerNamespace,
    ServerAddress,
    ServerPort,
    PeerName,
    PeerAddress,
    PeerPort,
    ClientAddress,
    ClientSocketAddress,
    NetworkTransport,
    NetworkProtocol,
    TlsEstablished,
    TlsProtocol,
    Component,
    ProxyNode,
    Upstream,
    SamplingProbability,
    SampleRate,
    CodeFile,
    CodeLine,
    CodeFunction,
    CodeNamespace,
    ErrorType,
    ErrorFlag,
    OutcomeClass,
    Trigger,
    OwnName,
    OwnPort,
    /// Types of the message, where the library tells nothing of where it goes.
    MessageTypes,
    /// The service of AWS, where nothing says that the call is a remote procedure's.
    AwsService,
    /// Where a queue is, where nothing names it.
    QueueUrl,
    /// What the span is about, where its name only says which library it is of: a route, a statement.
    Named,
    /// The service that the span is of, where its resource is named after a library.
    BaseService,
}

/// How many fields there are.
pub(super) const FIELDS: usize = Field::BaseService as usize + 1;

/// The current names of the conventions that facts read.
const CURRENT: [(&str, Field); 63] = [
    ("http.request.method", Field::HttpMethod),
    ("http.route", Field::HttpRoute),
    ("url.template", Field::UrlTemplate),
    ("url.full", Field::Url),
    ("url.path", Field::UrlPath),
    ("url.query", Field::UrlQuery),
    ("url.scheme", Field::UrlScheme),
    ("http.response.status_code", Field::HttpStatus),
    ("http.request.resend_count", Field::ResendCount),
    ("user_agent.original", Field::UserAgent),
    ("http.response.header.content-type", Field::ContentType),
    ("http.request.header.accept", Field::Accept),
    ("http.request.header.upgrade", Field::Upgrade),
    ("http.request.header.x-forwarded-for", Field::ForwardedFor),
    ("db.system.name", Field::DbSystem),
    ("db.namespace", Field::DbNamespace),
    ("db.collection.name", Field::DbCollection),
    ("db.operation.name", Field::DbOperation),
    ("db.query.text", Field::DbText),
    ("db.query.summary", Field::DbSummary),
    ("db.operation.batch.size", Field::DbBatchSize),
    ("db.connection_string", Field::DbConnection),
    ("aws.s3.bucket", Field::Bucket),
    ("cloud.region", Field::Region),
    ("file.path", Field::FilePath),
    ("file.directory", Field::FileDirectory),
    ("messaging.system", Field::MessagingSystem),
    ("messaging.url", Field::MessagingUrl),
    ("azure.resource_provider.namespace", Field::AzureNamespace),
    ("messaging.destination.name", Field::Destination),
    ("messaging.destination.template", Field::DestinationTemplate),
    ("messaging.rabbitmq.destination.routing_key", Field::RoutingKey),
    ("messaging.operation.type", Field::MessagingOperation),
    ("messaging.batch.message_count", Field::MessageCount),
    ("rpc.system.name", Field::RpcSystem),
    ("rpc.service", Field::RpcService),
    ("rpc.method", Field::RpcMethod),
    ("rpc.response.status_code", Field::RpcStatus),
    ("rpc.grpc.method_type", Field::RpcStreaming),
    ("graphql.operation.name", Field::GraphqlOperation),
    ("service.peer.name", Field::PeerService),
    ("service.peer.namespace", Field::PeerNamespace),
    ("server.address", Field::ServerAddress),
    ("server.port", Field::ServerPort),
    ("network.peer.address", Field::PeerAddress),
    ("network.peer.port", Field::PeerPort),
    ("client.address", Field::ClientAddress),
    ("client.socket.address", Field::ClientSocketAddress),
    ("network.transport", Field::NetworkTransport),
    ("network.protocol.name", Field::NetworkProtocol),
    ("tls.established", Field::TlsEstablished),
    ("tls.protocol.name", Field::TlsProtocol),
    ("component", Field::Component),
    ("node_id", Field::ProxyNode),
    ("upstream_cluster", Field::Upstream),
    ("sampling.probability", Field::SamplingProbability),
    ("SampleRate", Field::SampleRate),
    ("code.file.path", Field::CodeFile),
    ("code.line.number", Field::CodeLine),
    ("code.function.name", Field::CodeFunction),
    ("error.type", Field::ErrorType),
    ("error", Field::ErrorFlag),
    ("faas.trigger", Field::Trigger),
];

/// Older names, and those of older libraries.
const OLD: [(&str, Field); 82] = [
    ("http.method", Field::HttpMethod),
    ("method", Field::BareMethod),
    ("http.url", Field::Url),
    ("url", Field::Url),
    ("http.target", Field::UrlPath),
    ("http.path", Field::UrlPath),
    ("http.scheme", Field::UrlScheme),
    ("http.host", Field::HttpHost),
    ("http.status_code", Field::HttpStatus),
    ("http.user_agent", Field::UserAgent),
    ("http.response.header.content_type", Field::ContentType),
    ("http.request.header.x_forwarded_for", Field::ForwardedFor),
    ("http.client_ip", Field::ClientAddress),
    ("db.system", Field::DbSystem),
    ("db.type", Field::DbSystem),
    ("db.url", Field::DbConnection),
    ("peer.address", Field::DbConnection),
    ("db.name", Field::DbNamespace),
    ("db.instance", Field::DbNamespace),
    ("db.redis.database_index", Field::DbNamespace),
    ("db.sql.table", Field::DbCollection),
    ("db.mongodb.collection", Field::DbCollection),
    ("db.cassandra.table", Field::DbCollection),
    ("db.cosmosdb.container", Field::DbCollection),
    ("db.operation", Field::DbOperation),
    ("db.statement", Field::DbText),
    ("jdbc.query[0]", Field::DbText),
    ("r2dbc.query[0]", Field::DbText),
    ("messaging.destination", Field::Destination),
    ("message_bus.destination", Field::Destination),
    ("az.namespace", Field::AzureNamespace),
    ("mq.topic", Field::Destination),
    ("mq.queue", Field::Destination),
    ("kafka.topic", Field::Destination),
    ("nservicebus.enclosed_message_types", Field::MessageTypes),
    ("messaging.source.name", Field::Destination),
    ("messaging.source.template", Field::DestinationTemplate),
    ("messaging.rabbitmq.routing_key", Field::RoutingKey),
    ("aws.dynamodb.table_names", Field::DbCollection),
    ("aws.table_name", Field::DbCollection),
    ("aws.service", Field::AwsService),
    ("aws.operation", Field::RpcMethod),
    ("aws.queue_url", Field::QueueUrl),
    ("aws.region", Field::Region),
    ("messaging.operation", Field::MessagingOperation),
    ("messaging.operation.name", Field::MessagingOperation),
    ("rpc.system", Field::RpcSystem),
    ("rpc.status_code", Field::RpcStatus),
    ("rpc.grpc.status_code", Field::RpcStatus),
    ("peer.service", Field::PeerService),
    ("net.peer.name", Field::PeerName),
    ("peer.hostname", Field::ServerAddress),
    ("out.host", Field::ServerAddress),
    ("network.destination.name", Field::ServerAddress),
    ("net.peer.port", Field::ServerPort),
    ("peer.port", Field::ServerPort),
    ("out.port", Field::ServerPort),
    ("target.port", Field::ServerPort),
    ("network.destination.port", Field::ServerPort),
    ("net.peer.ip", Field::PeerAddress),
    ("net.host.name", Field::OwnName),
    ("net.host.port", Field::OwnPort),
    ("net.sock.peer.addr", Field::PeerAddress),
    ("peer.ipv4", Field::PeerAddress),
    ("net.sock.peer.port", Field::PeerPort),
    ("net.transport", Field::NetworkTransport),
    ("net.app.protocol.name", Field::NetworkProtocol),
    ("net.protocol.name", Field::NetworkProtocol),
    ("tls.protocol.version", Field::TlsProtocol),
    ("tls.cipher", Field::TlsProtocol),
    ("grpc.method_type", Field::RpcStreaming),
    ("sampling.rate", Field::SampleRate),
    ("sample_rate", Field::SampleRate),
    ("_sample_rate", Field::SampleRate),
    ("exception", Field::ErrorType),
    ("outcome", Field::OutcomeClass),
    ("code.filepath", Field::CodeFile),
    ("code.lineno", Field::CodeLine),
    ("code.function", Field::CodeFunction),
    ("code.namespace", Field::CodeNamespace),
    ("dd.span.Resource", Field::Named),
    ("_dd.base_service", Field::BaseService),
];

/// What the keys of parameters of a query begin with.
const PARAMETERS: [&str; 3] = ["db.query.parameter.", "db.operation.parameter.", "jdbc.params["];

/// What a key says of its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    field: Option<Field>,
    is_old: bool,
    /// Whether the value is one of `db.query.parameter.*` and `db.operation.parameter.*`.
    is_parameter: bool,
    /// Whether its owner wants the attribute dropped.
    is_redacted: bool,
    /// What a span shows by having it.
    marks: Marks,
    /// Whether the value is confidential.
    confidentiality: Confidentiality,
}

/// An attribute that is shown.
#[derive(Debug)]
pub(super) struct Shown {
    /// Its place among those sent.
    pub(super) place: usize,
    /// Its key, scrubbed.
    pub(super) key: Box<str>,
    /// Whether its value is confidential.
    pub(super) confidentiality: Confidentiality,
}

impl Meaning {
    fn of(key: &str) -> Self {
        Self {
            is_parameter: PARAMETERS.iter().any(|beginning| key.starts_with(beginning)),
            marks: super::marks::of_key(key),
            confidentiality: confidential::of_key(key),
            ..Self::default()
        }
    }
}

/// The meaning of every name of the conventions.
static CONVENTIONS: LazyLock<HashMap<&'static str, Meaning>> = LazyLock::new(|| {
    let meaning = |(name, field), is_old| (name, Meaning { field: Some(field), is_old, ..Meaning::of(name) });
    let current = CURRENT.into_iter().map(|row| meaning(row, false));
    current.chain(OLD.into_iter().map(|row| meaning(row, true))).collect()
});

/// What the keys of a span mean together. Spans of one place in the code have the same keys in the same order.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The keys, and whether their values are empty, in the order sent.
    keys: Box<[(Box<str>, bool)]>,
    /// The places of the attributes that are shown, with their keys and what these say of their values.
    pub(super) shown: Box<[Shown]>,
    /// The keys as they are shown, packed.
    pub(super) packed: Arc<[u8]>,
    /// A hash of everything else in it: another for each sequence, the same wherever it was read.
    pub(super) id: u128,
    /// What each of them means.
    meanings: Box<[Meaning]>,
    /// One more than the place of each field's attribute; 0 where it was not given.
    places: [u16; FIELDS],
    /// The fields that were given, in the order of [`Field`].
    given: Box<[Field]>,
    /// Whether there are parameters of a query.
    has_parameters: bool,
    /// What the keys show.
    marks: Marks,
}

impl Sequence {
    pub(super) fn of(attributes: &[Attribute<'_>], redaction: &Redaction) -> Self {
        let meanings: Box<[Meaning]> = attributes.iter().map(|(key, _)| meaning(key, redaction)).collect();
        let mut places = [0; FIELDS];
        let mut given: Vec<Field> = Vec::new();
        let mut marks = Marks::default();
        for (index, (attribute, meaning)) in attributes.iter().zip(&meanings).enumerate() {
            if is_empty(attribute) {
                continue;
            }
            marks.set(meaning.marks, true);
            let Some(field) = meaning.field else { continue };
            let taken = usize::from(places[field as usize]);
            // Of a current and an old name the current wins, of a repeated name the first.
            if taken == 0 || !meaning.is_old && meanings[taken - 1].is_old {
                places[field as usize] = index as u16 + 1;
                given.push(field);
            }
        }
        // What a call of a database is about is its statement.
        let [text, named] = [Field::DbText, Field::Named].map(|field| places[field as usize]);
        if text == 0 && named > 0 && places[Field::DbSystem as usize] > 0 {
            places[Field::DbText as usize] = named;
            given.push(Field::DbText);
        }
        given.sort_unstable_by_key(|field| *field as u8);
        given.dedup();
        let kept = meanings.iter().enumerate().filter(|(_, meaning)| !meaning.is_redacted).take(MAX_ATTRIBUTES);
        let show = |(place, meaning): (usize, &Meaning)| Shown {
            place,
            key: scrub(&attributes[place].0).into(),
            confidentiality: meaning.confidentiality,
        };
        let shown: Box<[Shown]> = kept.map(show).collect();
        Self {
            keys: attributes.iter().map(|attribute| ((*attribute.0).into(), is_empty(attribute))).collect(),
            packed: detail::keys_of(shown.iter().map(|shown| &*shown.key)),
            id: identity(attributes, &meanings),
            shown,
            has_parameters: meanings.iter().any(|meaning| meaning.is_parameter),
            meanings,
            places,
            given: given.into_boxed_slice(),
            marks,
        }
    }

    /// Whether a field is given.
    pub(super) fn has(&self, field: Field) -> bool {
        self.places[field as usize] > 0
    }

    /// Whether these are its keys.
    pub(super) fn is_of(&self, attributes: &[Attribute<'_>]) -> bool {
        let same = |(known, attribute): (&(Box<str>, bool), &Attribute<'_>)| {
            *known.0 == *attribute.0 && known.1 == is_empty(attribute)
        };
        self.keys.len() == attributes.len() && self.keys.iter().zip(attributes).all(same)
    }
}

pub(super) fn is_empty((_, value): &Attribute<'_>) -> bool {
    matches!(value, Value::Text(text) if text.is_empty())
}

/// What tells a sequence from every other.
fn identity(attributes: &[Attribute<'_>], meanings: &[Meaning]) -> u128 {
    let mut bytes = Vec::new();
    for (attribute, meaning) in attributes.iter().zip(meanings) {
        inputs::push_text(&mut bytes, &attribute.0);
        bytes.push(u8::from(is_empty(attribute)) << 1 | u8::from(meaning.is_redacted));
    }
    xxh3_128(&bytes)
}

fn meaning(key: &str, redaction: &Redaction) -> Meaning {
    match CONVENTIONS.get(key) {
        _ if redaction.covers(key) => Meaning { is_redacted: true, ..Meaning::default() },
        Some(meaning) => *meaning,
        None => Meaning::of(key),
    }
}

/// The attributes of a span by what they are to facts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    attributes: &'a [Attribute<'a>],
    pub(super) sequence: &'a Sequence,
}

impl<'a> Known<'a> {
    pub(super) fn of(attributes: &'a [Attribute<'a>], sequence: &'a Sequence) -> Self {
        Self { attributes, sequence }
    }

    /// The value of a field; none where it was not given or is empty.
    pub(super) fn value(&self, field: Field) -> Option<&'a Value<'a>> {
        let place = usize::from(self.sequence.places[field as usize]).checked_sub(1)?;
        Some(&self.attributes[place].1)
    }

    /// The field that the attribute at `place` is the value of; none for an attribute that facts do not read.
    pub(super) fn field_at(&self, place: usize) -> Option<Field> {
        let field = self.sequence.meanings[place].field?;
        (usize::from(self.sequence.places[field as usize]) == place + 1).then_some(field)
    }

    /// The fields that were given, in the order of [`Field`].
    pub(super) fn given(&self) -> impl Iterator<Item = (Field, &'a Value<'a>)> {
        let Self { attributes, sequence } = *self;
        sequence
            .given
            .iter()
            .map(move |&field| (field, &attributes[usize::from(sequence.places[field as usize]) - 1].1))
    }

    /// Whether a field was given.
    pub(super) fn has(&self, field: Field) -> bool {
        self.sequence.places[field as usize] != 0
    }

    /// The text of a field, as sent; empty where it was not given, or is a number.
    pub(super) fn text(&self, field: Field) -> &'a str {
        match self.value(field) {
            Some(Value::Text(text)) => text,
            Some(Value::Composite(text)) => text,
            _ => "",
        }
    }

    /// The integer of a field.
    pub(super) fn int(&self, field: Field) -> Option<i64> {
        self.value(field).and_then(Value::to_int)
    }

    /// What the keys show.
    pub(super) fn marks(&self) -> Marks {
        self.sequence.marks
    }

    /// The recorded parameters of the query.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'a Attribute<'a>> {
        let Self { attributes, sequence } = *self;
        let kept = if sequence.has_parameters { attributes } else { &[] };
        kept.iter().zip(&sequence.meanings).filter(|(_, meaning)| meaning.is_parameter).map(|(attribute, _)| attribute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::keys::Keys;

    fn int(attributes: &[Attribute<'_>], field: Field) -> Option<i64> {
        Known::of(attributes, Keys::default().sequence(attributes)).int(field)
    }

    #[test]
    fn every_name_is_found_once_and_current_names_win() {
        assert_eq!(CONVENTIONS.len(), CURRENT.len() + OLD.len(), "a name stands in the tables twice");
        for (name, field) in CURRENT.into_iter().chain(OLD) {
            assert_eq!(int(&[(name.into(), Value::Int(7))], field), Some(7), "{name}");
        }
        for attributes in [["http.method", "http.request.method"], ["http.request.method", "http.method"]] {
            let attributes = attributes.map(|name| (name.into(), Value::Int(name.len() as i64)));
            assert_eq!(int(&attributes, Field::HttpMethod), Some(19), "the current name wins");
        }
        let attributes = [("db.name".into(), Value::Text("".into())), ("db.instance".into(), Value::Int(2))];
        assert_eq!(int(&attributes, Field::DbNamespace), Some(2));
    }
}

//! Attribute names, current and old as equals, and what their values are to facts.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use super::confidential::{self, Confidentiality};
use super::{Redaction, text};
use crate::hash::HashMap;
use crate::name::Name;
use crate::span::{Attribute, Marks, Value};

/// The most attribute keys outside the conventions that one builder remembers.
const MAX_REMEMBERED_KEYS: usize = 4096;

/// What facts read of a span, whatever its generation of the conventions calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    HttpMethod,
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
    FilePath,
    FileDirectory,
    MessagingSystem,
    MessagingUrl,
    Destination,
    DestinationTemplate,
    MessagingOperation,
    MessageCount,
    RpcSystem,
    RpcService,
    RpcMethod,
    RpcStatus,
    RpcStreaming,
    GraphqlOperation,
    PeerService,
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
    SamplingProbability,
    SampleRate,
    CodeFile,
    CodeLine,
    CodeFunction,
    CodeNamespace,
    ErrorType,
    ErrorFlag,
}

const FIELDS: usize = Field::ErrorFlag as usize + 1;

/// The current names of the conventions that facts read.
const CURRENT: [(&str, Field); 57] = [
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
    ("file.path", Field::FilePath),
    ("file.directory", Field::FileDirectory),
    ("messaging.system", Field::MessagingSystem),
    ("messaging.url", Field::MessagingUrl),
    ("messaging.destination.name", Field::Destination),
    ("messaging.destination.template", Field::DestinationTemplate),
    ("messaging.operation.type", Field::MessagingOperation),
    ("messaging.batch.message_count", Field::MessageCount),
    ("rpc.system.name", Field::RpcSystem),
    ("rpc.service", Field::RpcService),
    ("rpc.method", Field::RpcMethod),
    ("rpc.response.status_code", Field::RpcStatus),
    ("rpc.grpc.method_type", Field::RpcStreaming),
    ("graphql.operation.name", Field::GraphqlOperation),
    ("service.peer.name", Field::PeerService),
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
    ("sampling.probability", Field::SamplingProbability),
    ("SampleRate", Field::SampleRate),
    ("code.file.path", Field::CodeFile),
    ("code.line.number", Field::CodeLine),
    ("code.function.name", Field::CodeFunction),
    ("error.type", Field::ErrorType),
    ("error", Field::ErrorFlag),
];

/// Older names, and those of older libraries.
const OLD: [(&str, Field); 49] = [
    ("http.method", Field::HttpMethod),
    ("http.url", Field::Url),
    ("http.target", Field::UrlPath),
    ("http.scheme", Field::UrlScheme),
    ("http.host", Field::HttpHost),
    ("http.status_code", Field::HttpStatus),
    ("http.user_agent", Field::UserAgent),
    ("http.response.header.content_type", Field::ContentType),
    ("http.request.header.x_forwarded_for", Field::ForwardedFor),
    ("http.client_ip", Field::ClientAddress),
    ("db.system", Field::DbSystem),
    ("db.type", Field::DbSystem),
    ("db.name", Field::DbNamespace),
    ("db.instance", Field::DbNamespace),
    ("db.redis.database_index", Field::DbNamespace),
    ("db.sql.table", Field::DbCollection),
    ("db.mongodb.collection", Field::DbCollection),
    ("db.cassandra.table", Field::DbCollection),
    ("db.operation", Field::DbOperation),
    ("db.statement", Field::DbText),
    ("messaging.destination", Field::Destination),
    ("aws.dynamodb.table_names", Field::DbCollection),
    ("messaging.operation", Field::MessagingOperation),
    ("messaging.operation.name", Field::MessagingOperation),
    ("rpc.system", Field::RpcSystem),
    ("rpc.status_code", Field::RpcStatus),
    ("rpc.grpc.status_code", Field::RpcStatus),
    ("peer.service", Field::PeerService),
    ("net.peer.name", Field::PeerName),
    ("peer.hostname", Field::ServerAddress),
    ("net.peer.port", Field::ServerPort),
    ("peer.port", Field::ServerPort),
    ("net.peer.ip", Field::PeerAddress),
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
    ("code.filepath", Field::CodeFile),
    ("code.lineno", Field::CodeLine),
    ("code.function", Field::CodeFunction),
    ("code.namespace", Field::CodeNamespace),
];

/// What a key says of its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    field: Option<Field>,
    is_old: bool,
    /// Whether the value is one of `db.query.parameter.*` and `db.operation.parameter.*`.
    is_parameter: bool,
    /// Whether its owner wants the attribute dropped.
    pub(super) is_redacted: bool,
    /// What a span shows by having it.
    marks: Marks,
    /// Whether the value is confidential.
    pub(super) confidentiality: Confidentiality,
}

impl Meaning {
    fn of(key: &str) -> Self {
        let is_parameter = key.starts_with("db.query.parameter.") || key.starts_with("db.operation.parameter.");
        Self {
            is_parameter,
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

/// What keys mean, remembered: the same few come with every span.
#[derive(Debug, Default)]
pub(super) struct Keys {
    others: HashMap<Name, Meaning>,
    redaction: Arc<Redaction>,
}

impl Keys {
    pub(super) fn new(redaction: Arc<Redaction>) -> Self {
        Self { others: HashMap::default(), redaction }
    }

    /// Whether attributes of this key are dropped.
    pub(super) fn is_redacted(&self, key: &str) -> bool {
        self.redaction.covers(key)
    }

    fn meaning(&mut self, key: &str) -> Meaning {
        if self.redaction.is_empty()
            && let Some(meaning) = CONVENTIONS.get(key)
        {
            return *meaning;
        }
        if self.others.len() >= MAX_REMEMBERED_KEYS {
            self.others.clear();
        }
        *self.others.entry(Name::of(key)).or_insert_with(|| match CONVENTIONS.get(key) {
            _ if self.redaction.covers(key) => Meaning { is_redacted: true, ..Meaning::default() },
            Some(meaning) => *meaning,
            None => Meaning::of(key),
        })
    }
}

/// The attributes of a span by what they are to facts.
#[derive(Debug)]
pub(super) struct Known<'a> {
    attributes: &'a [Attribute<'a>],
    /// One more than the place of each field's attribute; 0 where it was not given.
    places: [u16; FIELDS],
    /// The meanings of the attributes, in their order.
    pub(super) meanings: Vec<Meaning>,
    /// What their keys show.
    pub(super) marks: Marks,
}

impl<'a> Known<'a> {
    /// Sorts the attributes. Of a current and an old name the current wins; of a repeated name the first.
    pub(super) fn of(attributes: &'a [Attribute<'a>], keys: &mut Keys) -> Self {
        let attributes = &attributes[..attributes.len().min(usize::from(u16::MAX))];
        let meanings: Vec<Meaning> = attributes.iter().map(|(key, _)| keys.meaning(key)).collect();
        let mut known = Self { attributes, places: [0; FIELDS], meanings, marks: Marks::default() };
        for (index, (_, value)) in attributes.iter().enumerate() {
            let meaning = known.meanings[index];
            if matches!(value, Value::Text(text) if text.is_empty()) {
                continue;
            }
            known.marks.set(meaning.marks, true);
            let Some(field) = meaning.field else { continue };
            let taken = known.places[field as usize];
            if taken == 0 || !meaning.is_old && known.meanings[usize::from(taken) - 1].is_old {
                known.places[field as usize] = index as u16 + 1;
            }
        }
        known
    }

    /// The value of a field; none where it was not given or is empty.
    pub(super) fn value(&self, field: Field) -> Option<&'a Value<'a>> {
        let place = usize::from(self.places[field as usize]).checked_sub(1)?;
        Some(&self.attributes[place].1)
    }

    /// Whether a field was given.
    pub(super) fn has(&self, field: Field) -> bool {
        self.places[field as usize] != 0
    }

    /// The text of a field, scrubbed; empty where it was not given.
    pub(super) fn text(&self, field: Field) -> Cow<'a, str> {
        text(self.value(field))
    }

    /// The integer of a field.
    pub(super) fn int(&self, field: Field) -> Option<i64> {
        self.value(field).and_then(Value::to_int)
    }

    /// The recorded parameters of the query.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'a Attribute<'a>> {
        let meanings = self.meanings.iter().zip(self.attributes);
        meanings.filter(|(meaning, _)| meaning.is_parameter).map(|(_, attribute)| attribute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_once_and_current_names_win() {
        assert_eq!(CONVENTIONS.len(), CURRENT.len() + OLD.len(), "a name stands in the tables twice");
        for (name, field) in CURRENT.into_iter().chain(OLD) {
            let attributes = [(name.into(), Value::Int(7))];
            assert_eq!(Known::of(&attributes, &mut Keys::default()).value(field), Some(&Value::Int(7)), "{name}");
        }
        for attributes in [["http.method", "http.request.method"], ["http.request.method", "http.method"]] {
            let attributes = attributes.map(|name| (name.into(), Value::Int(name.len() as i64)));
            let known = Known::of(&attributes, &mut Keys::default());
            assert_eq!(known.int(Field::HttpMethod), Some(19), "the current name wins");
        }
        let attributes = [("db.name".into(), Value::Text("".into())), ("db.instance".into(), Value::Int(2))];
        assert_eq!(Known::of(&attributes, &mut Keys::default()).int(Field::DbNamespace), Some(2));
    }
}

//! Endpoints and tags of Zipkin as the attributes that OpenTelemetry has for the same.

use std::net::IpAddr;

use spanlint_graph::span::{Attribute, SpanKind, Value};

use super::pieces::{Endpoint, Piece};

/// Key and text of an attribute.
type Implied = (&'static str, &'static str);

/// Tags that have another name in OpenTelemetry, and the attribute that their presence implies. Of several tags that
/// would get one name the first here gets it.
const RENAMED: [(&str, &str, Option<Implied>); 11] = [
    ("http.path", "url.path", None),
    ("sql.query", "db.query.text", Some(("db.system.name", "other_sql"))),
    ("cassandra.query", "db.query.text", Some(("db.system.name", "cassandra"))),
    ("cassandra.keyspace", "db.namespace", Some(("db.system.name", "cassandra"))),
    ("mongodb.command", "db.operation.name", Some(("db.system.name", "mongodb"))),
    ("mongodb.collection", "db.collection.name", Some(("db.system.name", "mongodb"))),
    ("kafka.topic", "messaging.destination.name", Some(("messaging.system", "kafka"))),
    // A consumer names exchange and queue, a producer only the exchange: the exchange is where they meet.
    ("rabbit.exchange", "messaging.destination.name", Some(("messaging.system", "rabbitmq"))),
    ("rabbit.queue", "messaging.destination.name", Some(("messaging.system", "rabbitmq"))),
    ("jms.queue", "messaging.destination.name", Some(("messaging.system", "jms"))),
    ("jms.topic", "messaging.destination.name", Some(("messaging.system", "jms"))),
];

/// What the keys of resources begin with, as exporters of OpenTelemetry write them among the tags of each span.
const OF_RESOURCE: [&str; 8] =
    ["service.", "deployment.environment", "telemetry.sdk.", "host.", "k8s.", "container.", "process.", "faas.name"];

/// Whether a tag tells of the service, and not of the span.
fn is_of_resource(key: &str) -> bool {
    OF_RESOURCE.iter().any(|beginning| key.starts_with(beginning)) && !key.starts_with("service.peer.")
}

/// The resource of a span: its own side of the call, and what its tags tell of that. An address tells hosts and instances
/// apart, unless every host has it or the tags do so better; the port does not, since some spans of one instance have it
/// and others have not.
pub(super) fn resource(piece: &Piece) -> Vec<Attribute<'_>> {
    let Endpoint { service, address, .. } = &piece.local;
    let is_local = address.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let host = if is_local { "" } else { &**address };
    let named = (!service.is_empty()).then(|| attribute("service.name", service));
    let mut attributes: Vec<Attribute<'_>> = named.into_iter().collect();
    for (key, value) in piece.tags.iter().filter(|(key, _)| is_of_resource(key)) {
        if !has(&attributes, key) {
            attributes.push((key.into(), value.clone()));
        }
    }
    for key in ["service.instance.id", "host.name"] {
        if !host.is_empty() && !has(&attributes, key) {
            attributes.push(attribute(key, host));
        }
    }
    attributes
}

/// The attributes of a span: tags under their OpenTelemetry names, then all others but those of the resource, then the
/// other side.
pub(super) fn of(piece: &Piece) -> Vec<Attribute<'_>> {
    let mut attributes: Vec<Attribute<'_>> = Vec::with_capacity(piece.tags.len() + 4);
    let mut renamed = Vec::new();
    for (from, to, implied) in RENAMED {
        let Some((_, value)) = piece.tags.iter().find(|(key, _)| key == from) else { continue };
        if value.to_text().is_empty() || has(&attributes, to) {
            continue;
        }
        renamed.push(from);
        attributes.push((to.into(), value.clone()));
        if let Some((key, text)) = implied
            && !says(piece, key)
            && !has(&attributes, key)
        {
            attributes.push(attribute(key, text));
        }
    }
    if let Some(route) = route(piece) {
        attributes.push(attribute("http.route", route));
    }
    let others = piece.tags.iter().filter(|(key, _)| !renamed.contains(&&**key) && !is_of_resource(key));
    attributes.extend(others.map(|(key, value)| (key.into(), value.clone())));
    peer(piece, &mut attributes);
    attributes
}

/// The route that a server was asked by: Brave tells it in the name alone, behind the method, and the path as it was asked.
/// Where the name has no place for a parameter it may be the path itself, which is told anyway.
fn route(piece: &Piece) -> Option<&str> {
    let (method, route) = piece.name.split_once(' ').filter(|_| piece.kind == SpanKind::Server)?;
    let tag = |tag: &str| piece.tags.iter().find(|(key, _)| key == tag).map(|(_, value)| value.to_text());
    let is_method = tag("http.method").is_some_and(|told| told.eq_ignore_ascii_case(method));
    let is_route = route.starts_with('/') && route.contains(['{', ':', '*', '<']);
    (is_method && is_route && tag("http.route").is_none()).then_some(route)
}

/// The key of the attribute that becomes of a tag, and the tag's own.
pub(in crate::decode) fn attributes_of_tag(tag: &str) -> impl Iterator<Item = &str> {
    let renamed = RENAMED.iter().find(|(from, ..)| *from == tag).map(|(_, to, _)| *to);
    [tag].into_iter().chain(renamed)
}

fn has(attributes: &[Attribute<'_>], key: &str) -> bool {
    attributes.iter().any(|(known, _)| known == key)
}

/// Whether a tag has this name of OpenTelemetry, or the older one without `.name`.
fn says(piece: &Piece, key: &str) -> bool {
    piece.tags.iter().any(|(known, _)| known == key || Some(&**known) == key.strip_suffix(".name"))
}

/// What the tags begin with by which a data source tells its statements.
const STATEMENTS: [&str; 3] = ["sql.query", "jdbc.query", "r2dbc.query"];

/// The other side: a service by its name, unless that is the own one, as where a driver names its calls after the service.
/// Of a statement it is the database, which may well have the name of the service that it is for. The other side of a
/// message is its broker.
fn peer<'a>(piece: &'a Piece, attributes: &mut Vec<Attribute<'a>>) {
    let remote = &piece.remote;
    let is_message = matches!(piece.kind, SpanKind::Producer | SpanKind::Consumer);
    let key = if is_message { "messaging.system" } else { "peer.service" };
    let tells_statement = |(tag, _): &(String, _)| STATEMENTS.iter().any(|beginning| tag.starts_with(beginning));
    let is_other = || remote.service != piece.local.service || piece.tags.iter().any(tells_statement);
    if !remote.service.is_empty() && is_other() && !has(attributes, key) {
        attributes.push(attribute(key, &remote.service));
    }
    if !remote.address.is_empty() {
        attributes.push(attribute("network.peer.address", &remote.address));
        if remote.port > 0 {
            attributes.push(("network.peer.port".into(), Value::Int(remote.port.into())));
        }
    }
}

fn attribute<'a>(key: &'static str, text: &'a str) -> Attribute<'a> {
    (key.into(), Value::Text(text.into()))
}

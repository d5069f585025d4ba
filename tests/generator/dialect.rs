//! What the instrumentation of one language makes of a span: names, attributes, and spans of its own between and below.
//! Written from what these libraries send, not from what the product reads.

use std::collections::HashMap;

use super::model::{Attributes, Value};
use super::random::Random;
use super::simulate::{CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, Span};

/// Whose instrumentation a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// As the conventions have it, with nothing of its own.
    Plain,
    Java,
    Python,
    Node,
    Go,
    DotNet,
    Ruby,
}

impl Language {
    pub(super) const ALL: [Self; 7] =
        [Self::Plain, Self::Java, Self::Python, Self::Node, Self::Go, Self::DotNet, Self::Ruby];

    /// `telemetry.sdk.language`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain | Self::Java => "java",
            Self::Python => "python",
            Self::Node => "nodejs",
            Self::Go => "go",
            Self::DotNet => "dotnet",
            Self::Ruby => "ruby",
        }
    }

    /// Name of the instrumentation's scope.
    pub(super) fn scope(self, kind: u8) -> &'static str {
        match (self, kind) {
            (Self::Plain, _) => "generated",
            (Self::Java, SERVER) => "io.opentelemetry.tomcat-10.0",
            (Self::Java, _) => "io.opentelemetry.jdbc",
            (Self::Python, _) => "opentelemetry.instrumentation.fastapi",
            (Self::Node, SERVER | CLIENT) => "@opentelemetry/instrumentation-http",
            (Self::Node, _) => "@opentelemetry/instrumentation-express",
            (Self::Go, _) => "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
            (Self::DotNet, SERVER) => "Microsoft.AspNetCore",
            (Self::DotNet, _) => "System.Net.Http",
            (Self::Ruby, _) => "OpenTelemetry::Instrumentation::Rack",
        }
    }
}

/// Which spans a whole system sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinds {
    All,
    /// Only of what is taken: no library for clients is instrumented.
    Servers,
    /// Only of what is asked for: no server is instrumented.
    Clients,
    /// Every kind is unspecified, as some tools convert.
    None,
}

/// The spans as the services' instrumentations send them.
pub(super) fn translate(spans: Vec<Span>, languages: &[Language], seed: u64) -> Vec<Span> {
    let mut translator = Translator { random: Random::new(seed ^ 0xd1a1), moved: HashMap::new(), spans: Vec::new() };
    for span in spans {
        let language = languages[span.service % languages.len()];
        translator.translate(span, language);
    }
    let Translator { moved, mut spans, .. } = translator;
    for span in &mut spans {
        // What stands between a span and its children takes them over.
        if let Some(&(_, last)) = moved.get(&span.parent).filter(|(first, _)| *first != span.id) {
            span.parent = last;
        }
    }
    spans
}

/// A system without some of its spans.
pub(super) fn restrict(spans: Vec<Span>, kinds: Kinds) -> Vec<Span> {
    match kinds {
        Kinds::All => spans,
        Kinds::None => spans.into_iter().map(|span| Span { kind: 0, ..span }).collect(),
        Kinds::Servers => keep(spans, |span| matches!(span.kind, SERVER | CONSUMER | PRODUCER) || span.parent == 0),
        Kinds::Clients => keep(spans, |span| matches!(span.kind, CLIENT | PRODUCER)),
    }
}

/// Some of the spans; those below others hang where these hung.
fn keep(spans: Vec<Span>, is_kept: impl Fn(&Span) -> bool) -> Vec<Span> {
    let parents: HashMap<u64, u64> =
        spans.iter().filter(|span| !is_kept(span)).map(|span| (span.id, span.parent)).collect();
    let mut kept: Vec<Span> = spans.into_iter().filter(is_kept).collect();
    for span in &mut kept {
        while let Some(&above) = parents.get(&span.parent) {
            span.parent = above;
        }
    }
    kept
}

struct Translator {
    random: Random,
    /// Spans whose children hang below others: the topmost and the lowest of the spans between.
    moved: HashMap<u64, (u64, u64)>,
    spans: Vec<Span>,
}

impl Translator {
    fn translate(&mut self, mut span: Span, language: Language) {
        let has = |key: &str| span.attributes.iter().any(|(name, _)| *name == key);
        let (is_query, is_rpc, is_message) = (has("db.system.name"), has("rpc.method"), has("messaging.system"));
        match span.kind {
            _ if is_message => message(&mut span, language),
            _ if is_rpc => rpc(&mut span, language),
            SERVER => self.server(&mut span, language),
            CLIENT if is_query => self.query(&mut span, language),
            CLIENT => self.client(&mut span, language),
            _ => {}
        }
        self.spans.push(span);
    }

    fn id(&mut self) -> u64 {
        self.random.next()
    }

    /// A span of the same service below another.
    fn below(&mut self, span: &Span, kind: u8, name: &str, (start, end): (u64, u64), attributes: Attributes) {
        let id = self.id();
        let span = Span {
            id,
            parent: span.id,
            kind,
            name: name.to_owned(),
            start,
            end,
            is_error: false,
            attributes,
            ..span.clone()
        };
        self.spans.push(Span { links: Vec::new(), ..span });
    }

    /// Spans between a span and its children.
    fn between(&mut self, span: &Span, names: &[String]) {
        let mut parent = span.id;
        let ids: Vec<u64> = names.iter().map(|_| self.id()).collect();
        for (id, name) in ids.iter().zip(names) {
            let layer = Span {
                id: *id,
                parent,
                kind: INTERNAL,
                name: name.clone(),
                attributes: Vec::new(),
                links: Vec::new(),
                ..span.clone()
            };
            self.spans.push(layer);
            parent = *id;
        }
        if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
            self.moved.insert(span.id, (*first, *last));
        }
    }

    fn server(&mut self, span: &mut Span, language: Language) {
        let route = text(span, "http.route");
        let method = text(span, "http.request.method");
        let (start, end) = (span.start, span.end);
        let last = end.saturating_sub(20_000).max(start);
        match (language, &route) {
            (Language::Java, Some(route)) => {
                span.name.clone_from(route);
                span.attributes.extend([("thread.id", 42.into()), ("thread.name", "http-nio-8080-exec-3".into())]);
                let controller = format!("ShopController.{}", last_word(route));
                self.between(span, &[controller]);
            }
            (Language::Python, _) => {
                for (step, at) in [("http receive", start), ("http send", last), ("http send", last)] {
                    let name = format!("{} {step}", span.name);
                    let attributes = vec![("asgi.event.type", step.replace(' ', ".").into())];
                    self.below(span, INTERNAL, &name, (at, at + 15_000), attributes);
                }
            }
            (Language::Node, _) => {
                for middleware in ["query", "expressInit", "jsonParser"] {
                    let name = format!("middleware - {middleware}");
                    let attributes = vec![("express.type", "middleware".into()), ("express.name", middleware.into())];
                    self.below(span, INTERNAL, &name, (start, start + 12_000), attributes);
                }
                if let Some(route) = &route {
                    self.between(span, &[format!("router - {route}"), format!("request handler - {route}")]);
                }
            }
            (Language::Go, Some(route)) => span.name.clone_from(route),
            (Language::DotNet, Some(route)) => {
                let route = route.trim_start_matches('/').to_owned();
                span.name = format!("{} {route}", method.unwrap_or_default());
                set(span, "http.route", &route);
            }
            (Language::Ruby, Some(route)) => {
                span.name = format!("ShopController#{}", last_word(route));
                self.below(span, INTERNAL, "render_template.action_view", (last, end), Vec::new());
            }
            _ => {}
        }
    }

    fn client(&mut self, span: &mut Span, language: Language) {
        let method = text(span, "http.request.method").unwrap_or_default();
        let has_url = text(span, "url.full").is_some();
        let is_external = text(span, "server.address").is_some_and(|host| host.contains('.'));
        match language {
            Language::Go | Language::DotNet | Language::Ruby => span.name = format!("HTTP {method}"),
            // The URL has all of it.
            Language::Python if has_url && !is_external => {
                span.attributes.retain(|(key, _)| !matches!(*key, "server.address" | "server.port"));
            }
            Language::Node if self.random.chance(0.3) => {
                let (start, end) = (span.start, span.end.min(span.start + 300_000));
                let address: Attributes = vec![("network.peer.address", "10.9.8.7".into())];
                self.below(span, INTERNAL, "dns.lookup", (start, end), Vec::new());
                self.below(span, INTERNAL, "tcp.connect", (start, end), address);
            }
            _ => {}
        }
    }

    fn query(&mut self, span: &mut Span, language: Language) {
        let system = text(span, "db.system.name").unwrap_or_default();
        let namespace = text(span, "db.namespace").unwrap_or_default();
        let verb = text(span, "db.operation.name").unwrap_or_default();
        let is_sql = matches!(&*system, "postgresql" | "mysql");
        let statement = text(span, "db.query.text").unwrap_or_default();
        let remote: Attributes = span
            .attributes
            .iter()
            .filter(|(key, _)| matches!(*key, "db.system.name" | "db.namespace" | "server.address" | "server.port"))
            .cloned()
            .collect();
        let without_names = |span: &mut Span| {
            span.attributes.retain(|(key, _)| !matches!(*key, "db.operation.name" | "db.collection.name"));
        };
        match language {
            Language::Java if is_sql => set(span, "db.query.text", &sanitized(&statement)),
            Language::Python if is_sql => {
                span.name.clone_from(&verb);
                without_names(span);
            }
            Language::Node if system == "postgresql" => {
                span.name = format!("pg.query:{verb} {namespace}");
                without_names(span);
                let parent = Span { id: span.parent, ..span.clone() };
                let at = span.start;
                self.below(&parent, CLIENT, "pg-pool.connect", (at.saturating_sub(9_000), at), remote);
            }
            Language::Node if system == "mongodb" => span.name = format!("mongodb.{verb}"),
            Language::Node if system == "redis" => span.name = format!("redis-{verb}"),
            Language::Go if is_sql => {
                "sql.conn.query".clone_into(&mut span.name);
                without_names(span);
                let parent = Span { id: span.parent, ..span.clone() };
                let end = span.end;
                self.below(&parent, CLIENT, "sql.rows", (end, end + 8_000), remote);
            }
            Language::DotNet if is_sql => {
                span.name.clone_from(&namespace);
                without_names(span);
            }
            Language::Ruby if is_sql => {
                set(span, "db.query.text", &sanitized(&statement));
                if text(span, "server.address").is_some() {
                    span.attributes.push(("service.peer.name", "database".into()));
                }
                let id = self.id();
                let model = Span {
                    id,
                    kind: INTERNAL,
                    name: "Record.find_by_sql".to_owned(),
                    attributes: Vec::new(),
                    ..span.clone()
                };
                span.parent = id;
                self.spans.push(model);
            }
            _ => {}
        }
    }
}

fn rpc(span: &mut Span, language: Language) {
    match language {
        Language::Node => span.name = format!("grpc.{}", span.name),
        Language::DotNet => span.name = format!("/{}", span.name),
        _ => {}
    }
}

fn message(span: &mut Span, language: Language) {
    let Some(topic) = text(span, "messaging.destination.name") else { return };
    let kind = text(span, "messaging.operation.type").unwrap_or_default();
    match language {
        Language::Java | Language::Ruby => span.name = format!("{topic} {kind}"),
        Language::Node => span.name = topic,
        Language::Go => span.name = format!("{topic} {}", if kind == "send" { "publish" } else { "receive" }),
        _ => {}
    }
}

fn text(span: &Span, key: &str) -> Option<String> {
    span.attributes.iter().find_map(|(name, value)| match value {
        Value::Text(text) if *name == key => Some(text.clone()),
        _ => None,
    })
}

fn set(span: &mut Span, key: &str, to: &str) {
    if let Some((_, value)) = span.attributes.iter_mut().find(|(name, _)| *name == key) {
        *value = to.into();
    }
}

fn last_word(route: &str) -> String {
    route.rsplit('/').find(|part| !part.starts_with('{')).unwrap_or_default().to_owned()
}

/// A statement whose literals are gone.
fn sanitized(statement: &str) -> String {
    let mut shown = String::new();
    let mut parts = statement.split('\'');
    let mut is_literal = false;
    for part in &mut parts {
        if is_literal {
            shown.push('?');
        } else {
            let words = part.split(' ').map(|word| {
                let digits = word.trim_matches(['(', ',', ')']);
                if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    word.replace(digits, "?")
                } else {
                    word.to_owned()
                }
            });
            shown.push_str(&words.collect::<Vec<_>>().join(" "));
        }
        is_literal = !is_literal;
    }
    shown
}

//! A short text notation for traces, so that a rule's test reads like the traffic it judges.
//!
//! ```text
//! 40 traces
//! web GET /                        a request of the outside world
//!   cart GET /cart/{id} 20ms       web calls cart; calls follow one another, and take 1 ms more than what is below
//!     7 x stock GET /stock/{sku}   seven calls, each with parameters of its own
//!     3 x stock GET /price same    three calls with the same parameters
//!     3 x stock GET /page unknown  three calls whose parameters no attribute tells
//!     3 x stock GET /list paged    three calls for a page each
//!     4 x shard GET /part scatter  four calls to a host each
//!     together 3 x stock GET /x    three calls at once
//!     retry stock GET /y           an attempt that fails, and another
//!     sql sqlite - cart SELECT lines           a statement; its parameters are unknown, it takes 1 ms
//!     sql sqlite - cart SELECT lines keyed     one with parameters of its own; `same`: with those of the others
//!     sql sqlite - cart SELECT lines 20ms      one that takes longer
//!     wait 100ms                               nothing happens for so long
//!     sql postgresql db:5432 orders INSERT orders
//!     host api.pay.example POST /pay
//!     stock GET /y url.scheme=http             an attribute of the call; of the request where nobody calls
//!     publish order.placed
//!       mail takes order.placed
//!
//! schedule report nightly          paragraphs are traces of their own; this one is started by a schedule
//!
//! at 600s                          the traces of this paragraph start so long after the first
//! orphan cart GET /cart            a request whose caller's span never came
//!
//! cart is team=a service.version=2 from here on the spans of cart have these resource attributes
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use spanlint_graph::span::{Attribute, SpanId, SpanKind, SpanView, Value};
use spanlint_graph::{BatchBuilder, CallGraph, Facts, Name, SpanVisitor, Trace, TraceId, resolve};

use crate::analysis::{Analysis, judge};
use crate::config::{Config, Mode};
use crate::finding::Finding;

const MILLISECOND: u64 = 1_000_000;
const START_NS: u64 = 1_700_000_000_000_000_000;

/// The day on which tests judge.
pub(crate) const TODAY: Date = date(2026, 11, 21);

/// The graph of `traces`.
pub(crate) fn graph(traces: &str) -> CallGraph {
    let mut writer = Writer::default();
    for paragraph in traces.split("\n\n") {
        let lines: Vec<_> = paragraph.lines().filter(|line| !line.trim().is_empty()).collect();
        let (settings, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| is_setting(line));
        let (mut repeats, mut at_ns) = (1, None);
        for line in settings {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["at", time] => {
                    at_ns = Some(time.strip_suffix('s').unwrap().parse::<u64>().unwrap() * 1_000 * MILLISECOND);
                }
                [count, "traces"] => repeats = count.parse().unwrap(),
                [service, "is", attributes @ ..] => writer.declare(service, attributes),
                words => panic!("cannot read {words:?}"),
            }
        }
        for repeat in 0..repeats {
            writer.trace += 1;
            let first_ns = at_ns.map_or(u64::from(writer.trace), |at_ns| at_ns / (1_000 * MILLISECOND) + repeat);
            writer.siblings(&tree(&lines), None, START_NS + first_ns * 1_000 * MILLISECOND);
        }
    }
    let batch = writer.builder.finish();
    assert_eq!(batch.refused, 0);
    let mut facts = Facts::default();
    let mut spans = batch.spans;
    spans.sort_by_key(|span| span.trace_id);
    for spans in spans.chunk_by(|left, right| left.trace_id == right.trace_id) {
        facts.add_trace(&Trace::new(spans.to_vec()), &batch.vocabulary);
    }
    resolve(&facts, Name::EMPTY, &batch.vocabulary.names)
}

/// Whether a line says something of the traces around it and is none itself.
fn is_setting(line: &str) -> bool {
    line.starts_with("at ") || line.ends_with(" traces") || line.contains(" is ")
}

/// What the rules say of `traces` under the configuration `config`.
pub(crate) fn analysis(traces: &str, config: &str) -> Analysis {
    judge(&graph(traces), &Config::parse(config, "test").unwrap(), Mode::Check, TODAY)
}

/// Judges `traces` by one rule alone. Each line of `expected` is a finding (`severity confidence: title`) or, in
/// parentheses, what is undecided (`(services: reason)`).
pub(crate) fn check(rule: &str, traces: &str, expected: &[&str]) {
    check_with(rule, traces, "", expected);
}

/// [`check`] under a configuration.
pub(crate) fn check_with(rule: &str, traces: &str, config: &str, expected: &[&str]) {
    check_graph(rule, &graph(traces), config, expected);
}

/// [`check_with`] on a graph that is made already, for what traces cannot say in few words.
pub(crate) fn check_graph(rule: &str, graph: &CallGraph, config: &str, expected: &[&str]) {
    let others = crate::rules::ALL.iter().map(|rule| rule.meta().name).filter(|name| *name != rule);
    let off: Vec<_> = others.map(|name| format!("[rules.{name}]\nlevel = \"off\"")).collect();
    let config = Config::parse(&format!("{config}\n{}", off.join("\n")), "test").unwrap();
    let analysis = judge(graph, &config, Mode::Check, TODAY);
    assert_eq!(lines(&analysis), expected);
    analysis.findings.iter().for_each(check_tone);
}

/// Titles and messages share one tone, and a fix says whose it is.
fn check_tone(finding: &Finding) {
    let Finding { title, message, fix, services, .. } = finding;
    assert!(!finding.traces.is_empty(), "{title}");
    assert!(title.starts_with(|first: char| !first.is_uppercase()) && !title.ends_with('.'), "{title}");
    for sentence in [message, fix] {
        assert!(sentence.ends_with('.') && !sentence.contains("  "), "{sentence}");
    }
    assert!(services.is_sorted(), "{services:?}");
    assert!(services.iter().any(|service| fix.contains(service.as_str())), "{fix}");
}

/// Findings and undecided subjects, a line each.
pub(crate) fn lines(analysis: &Analysis) -> Vec<String> {
    let findings = analysis.findings.iter().map(|finding| {
        let (severity, confidence) = (finding.severity.as_str(), finding.confidence.as_str());
        let suppressed = if finding.suppressed.is_some() { "suppressed " } else { "" };
        format!("{suppressed}{severity} {confidence}: {}", finding.title)
    });
    let undecided = analysis.undecided.iter().map(|undecided| match undecided.services.as_slice() {
        [] => format!("({})", undecided.reason),
        services => format!("({}: {})", services.join(" "), undecided.reason),
    });
    findings.chain(undecided).collect()
}

/// A line with those that are indented under it.
struct Line<'a> {
    text: &'a str,
    below: Vec<Line<'a>>,
}

fn tree<'a>(lines: &[&'a str]) -> Vec<Line<'a>> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut trees: Vec<Line<'a>> = Vec::new();
    let mut rest = lines;
    while let Some((first, tail)) = rest.split_first() {
        let below = tail.iter().take_while(|line| indent(line) > indent(first)).count();
        trees.push(Line { text: first.trim(), below: tree(&tail[..below]) });
        rest = &tail[below..];
    }
    trees
}

/// The span that calls, and its service.
#[derive(Clone, Copy)]
struct Caller<'a> {
    span: SpanId,
    service: &'a str,
}

#[derive(Default)]
struct Writer {
    builder: BatchBuilder,
    trace: u32,
    spans: u64,
    parameters: u64,
    /// Service → resource attributes.
    declared: BTreeMap<String, Vec<(String, String)>>,
}

impl Writer {
    fn declare(&mut self, service: &str, attributes: &[&str]) {
        let pairs = attributes.iter().map(|pair| pair.split_once('=').unwrap());
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.declared.insert(service.to_owned(), pairs);
    }

    /// Writes lines one after another from `at`; gives the end of the last.
    fn siblings(&mut self, lines: &[Line<'_>], caller: Option<Caller<'_>>, mut at: u64) -> u64 {
        for line in lines {
            let words: Vec<_> = line.text.split(' ').collect();
            let is_together = words[0] == "together";
            let words = if is_together { &words[1..] } else { &words[..] };
            let (count, words) =
                if words.get(1) == Some(&"x") { (words[0].parse().unwrap(), &words[2..]) } else { (1, words) };
            let start = at;
            self.parameters += 1;
            for _ in 0..count {
                let end = self.line(words, &line.below, caller, if is_together { start } else { at });
                at = at.max(end);
            }
        }
        at
    }

    fn line(&mut self, words: &[&str], below: &[Line<'_>], caller: Option<Caller<'_>>, at: u64) -> u64 {
        match (words, caller) {
            (["schedule", service, operation], None) => {
                self.opened(service, operation, SpanKind::Internal, None, &[], below, at)
            }
            (["orphan", service, method, path], None) => {
                let lost = self.next_id();
                self.opened(service, &format!("{method} {path}"), SpanKind::Server, Some(lost), &[], below, at)
            }
            (["sql", system, address, namespace, statement @ ..], Some(caller)) => {
                self.statement(system, address, namespace, statement, caller, at)
            }
            (["wait", time], Some(_)) => at + duration(&[time]),
            (["publish", topic], Some(caller)) => {
                let id = self.next_id();
                let attributes = message("send", topic);
                self.span(
                    id,
                    caller.span,
                    SpanKind::Producer,
                    caller.service,
                    topic,
                    at,
                    at + MILLISECOND,
                    &attributes,
                );
                self.siblings(below, Some(Caller { span: id, ..caller }), at + MILLISECOND);
                at + MILLISECOND
            }
            ([service, "takes", topic], caller) => self.taken(service, topic, caller, below, at),
            (["host", host, method, path, flags @ ..], Some(caller)) => {
                self.called(host, None, method, path, flags, caller, below, at)
            }
            (["retry", service, method, path], Some(caller)) => {
                let failed = self.called(service, Some(service), method, path, &["repeats", "fails"], caller, &[], at);
                self.called(service, Some(service), method, path, &["repeats"], caller, below, failed)
            }
            ([service, method, path, flags @ ..], Some(caller)) => {
                self.called(service, Some(service), method, path, flags, caller, below, at)
            }
            ([service, method, path, flags @ ..], None) => {
                let end = self.opened(service, &format!("{method} {path}"), SpanKind::Server, None, flags, below, at);
                end.max(at + duration(flags))
            }
            _ => panic!("cannot read {words:?}"),
        }
    }

    /// A call by a client span, and the request that it opens where the callee is a service.
    #[expect(clippy::too_many_arguments, reason = "the words of a line, one by one")]
    fn called(
        &mut self,
        host: &str,
        service: Option<&str>,
        method: &str,
        path: &str,
        flags: &[&str],
        caller: Caller<'_>,
        below: &[Line<'_>],
        at: u64,
    ) -> u64 {
        let id = self.next_id();
        self.parameters += u64::from(!flags.contains(&"same") && !flags.contains(&"repeats"));
        // What is called below counts on.
        let key = self.parameters;
        let host = if flags.contains(&"scatter") { format!("{host}-{}", self.parameters) } else { host.to_owned() };
        let mut end = at + duration(flags);
        if let Some(service) = service {
            let operation = format!("{method} {path}");
            end = end.max(self.opened(service, &operation, SpanKind::Server, Some(id), &[], below, at) + MILLISECOND);
        }
        let mut attributes = vec![
            text("http.request.method", method),
            text("url.template", path.to_owned()),
            text("server.address", host.clone()),
        ];
        if !flags.contains(&"unknown") {
            let query = match key {
                page if flags.contains(&"paged") => format!("key=0&page={page}"),
                _ if flags.contains(&"same") => "key=0".to_owned(),
                key => format!("key={key}"),
            };
            attributes.push(text("url.full", format!("https://{host}{path}?{query}")));
        }
        if flags.contains(&"fails") {
            attributes.push(("http.response.status_code".into(), Value::Int(503)));
        }
        add_given(&mut attributes, flags);
        self.span(id, caller.span, SpanKind::Client, caller.service, method, at, end, &attributes);
        end
    }

    /// A request of `service`, with what it calls.
    #[expect(clippy::too_many_arguments, reason = "the words of a line, one by one")]
    fn opened(
        &mut self,
        service: &str,
        operation: &str,
        kind: SpanKind,
        parent: Option<SpanId>,
        flags: &[&str],
        below: &[Line<'_>],
        at: u64,
    ) -> u64 {
        let id = self.next_id();
        let end = self.siblings(below, Some(Caller { span: id, service }), at) + MILLISECOND;
        let mut attributes = Vec::new();
        if let (SpanKind::Server, Some((method, route))) = (kind, operation.split_once(' ')) {
            attributes = vec![text("http.request.method", method), text("http.route", route)];
        }
        add_given(&mut attributes, flags);
        self.span(id, parent.unwrap_or(SpanId::NONE), kind, service, operation, at, end, &attributes);
        end
    }

    fn taken(&mut self, service: &str, topic: &str, caller: Option<Caller<'_>>, below: &[Line<'_>], at: u64) -> u64 {
        let id = self.next_id();
        let end = self.siblings(below, Some(Caller { span: id, service }), at) + MILLISECOND;
        let parent = caller.map_or(SpanId::NONE, |caller| caller.span);
        self.span(id, parent, SpanKind::Consumer, service, topic, at, end, &message("process", topic));
        end
    }

    fn statement(
        &mut self,
        system: &str,
        address: &str,
        namespace: &str,
        statement: &[&str],
        caller: Caller<'_>,
        at: u64,
    ) -> u64 {
        let id = self.next_id();
        let [operation, table, flags @ ..] = statement else { panic!("cannot read {statement:?}") };
        let end = at + duration(flags);
        let mut attributes = vec![
            text("db.system.name", system),
            text("db.operation.name", *operation),
            text("db.collection.name", *table),
        ];
        self.parameters += u64::from(!flags.contains(&"same"));
        if flags.contains(&"same") || flags.contains(&"keyed") {
            let key = if flags.contains(&"same") { 0 } else { self.parameters };
            attributes.push(text("db.query.parameter.id", key.to_string()));
        }
        attributes.extend((address != "-").then(|| text("server.address", address)));
        attributes.extend((namespace != "-").then(|| text("db.namespace", namespace)));
        let name = format!("{operation} {table}");
        self.span(id, caller.span, SpanKind::Client, caller.service, &name, at, end, &attributes);
        end
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a span, one by one")]
    fn span(
        &mut self,
        span_id: SpanId,
        parent_id: SpanId,
        kind: SpanKind,
        service: &str,
        name: &str,
        start_ns: u64,
        end_ns: u64,
        attributes: &[Attribute<'_>],
    ) {
        // `cart@pod-1` is the service cart on an instance of that name.
        let (service, instance) = service.split_once('@').unwrap_or((service, ""));
        let mut resource =
            vec![text("service.name", service), text("service.instance.id", instance), text("host.name", "box")];
        let declared = self.declared.get(service).into_iter().flatten();
        resource.extend(declared.map(|(key, value)| text(key, value.as_str())));
        self.builder.resource(&resource);
        self.builder.span(&SpanView {
            trace_id: TraceId(u128::from(self.trace)),
            span_id,
            parent_id,
            kind,
            name: Cow::Borrowed(name),
            start_ns,
            end_ns,
            attributes,
            ..SpanView::default()
        });
    }

    fn next_id(&mut self) -> SpanId {
        self.spans += 1;
        SpanId(self.spans)
    }
}

/// Attributes that a line gives, instead of those of the same key.
fn add_given<'a>(attributes: &mut Vec<Attribute<'a>>, flags: &[&'a str]) {
    for (key, value) in flags.iter().filter_map(|flag| flag.split_once('=')) {
        attributes.retain(|(known, _)| known != key);
        attributes.push(text(key, value));
    }
}

fn duration(flags: &[&str]) -> u64 {
    let milliseconds = flags.iter().find_map(|flag| flag.strip_suffix("ms")?.parse::<u64>().ok());
    milliseconds.unwrap_or(1) * MILLISECOND
}

fn text<'a>(key: &'a str, value: impl Into<Cow<'a, str>>) -> Attribute<'a> {
    (key.into(), Value::Text(value.into()))
}

fn message<'a>(operation: &'a str, topic: &'a str) -> Vec<Attribute<'a>> {
    vec![
        text("messaging.system", "nats"),
        text("messaging.operation.type", operation),
        text("messaging.destination.name", topic),
    ]
}

//! A finding, an edge or a node in full, with the traces and edges that it leads to.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use spanlint_graph::facts::histogram::bucket_middle;
use spanlint_graph::measurement::{Instrument, Reading, ServiceReadings};
use spanlint_graph::snapshot::{Edge, Node};
use spanlint_graph::{CallGraph, NodeKind};

use super::lines::heading;
use super::{findings, frame, row_of};
use crate::detail::{Detail, FindingKey, Link, Part, ScrollLimits, edges_between, edges_of, links};
use crate::figures::{self, Health};
use crate::live::Live;
use crate::numbers::{bars, bytes, count, counted, duration, measured, rate, share, time_of_day};
use crate::state::State;
use crate::text;
use crate::theme::{Theme, sign};
use crate::topology::named;

/// The most operations of an edge or node that are listed.
const MAX_OPERATIONS: usize = 12;
/// The cells in which labels stand before numbers.
const LABEL_CELLS: usize = 12;

/// What the screen shows below its title.
struct Page {
    lines: Vec<Line<'static>>,
    /// The line of the selected link.
    link_line: Option<usize>,
}

/// Draws the screen.
pub(super) fn draw(state: &State, detail: &Detail, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let title_cells = usize::from(area.width).saturating_sub(6);
    heading(title(&state.live, detail, theme, title_cells), "", true, theme, row_of(area, 0), buffer);
    let Page { lines, .. } = page(state, detail, theme, area);
    let room = usize::from(area.height) - 1;
    let scroll = detail.scroll.min(lines.len().saturating_sub(room));
    for (index, line) in lines.iter().skip(scroll).take(room).enumerate() {
        let area = row_of(area, 1 + index);
        buffer.set_line(area.x + 1, area.y, line, area.width.saturating_sub(2));
    }
    if scroll + room < lines.len() {
        let more = format!(" {} (PgDn) ", counted((lines.len() - scroll - room) as u64, "more line"));
        let x = area.x + area.width.saturating_sub(text::width(&more) as u16 + 1);
        buffer.set_string(x, area.y + area.height - 1, more, theme.faint());
    }
}

/// Which lines may come first.
pub(super) fn scroll_limits(state: &State, detail: &Detail, area: Rect) -> ScrollLimits {
    let Page { lines, link_line } = page(state, detail, Theme::new(false), area);
    let room = usize::from(area.height) - 1;
    let last = lines.len().saturating_sub(room);
    // The line below the last one that is shown may be covered by how many more there are.
    let least = link_line.map_or(0, |line| (line + 2).saturating_sub(room)).min(last);
    ScrollLimits { least, most: link_line.map_or(last, |line| line.min(last)), last }
}

/// The lines, in sections.
fn page(state: &State, detail: &Detail, theme: Theme, area: Rect) -> Page {
    let live = &*state.live;
    let cells = usize::from(area.width).saturating_sub(3);
    let finding = detail.finding.as_ref().and_then(|key| key.find(live));
    let links = links(live, detail);
    let selected = detail.link.min(links.len().saturating_sub(1));
    let linked = link_lines(live, &links, selected, theme, cells);
    let told = match (finding, &detail.finding) {
        (Some(finding), _) => findings::words(finding, theme, cells),
        (None, Some(key)) => {
            vec![Line::styled(format!("✓ {} is not seen any more in this window.", key.rule()), theme.good())]
        }
        (None, None) => Vec::new(),
    };
    let numbers = part_lines(live, &detail.part, theme, cells);
    let elsewhere = other_findings(live, detail, theme, cells);
    // What proves a finding comes before the numbers of its edge; the numbers of anything else come first.
    let (sections, before_links) = if finding.is_some() {
        ([told, linked, numbers, elsewhere], 1)
    } else {
        ([told, elsewhere, numbers, linked], 3)
    };
    let total: usize = sections.iter().map(Vec::len).sum();
    let gap = usize::from(total + sections.len() < usize::from(area.height));
    let mut page = Page { lines: Vec::new(), link_line: None };
    for (index, section) in sections.into_iter().enumerate() {
        if !page.lines.is_empty() && !section.is_empty() {
            page.lines.extend(std::iter::repeat_n(Line::default(), gap));
        }
        if index == before_links && !section.is_empty() {
            page.link_line = Some(page.lines.len() + 1 + selected);
        }
        page.lines.extend(section);
    }
    page
}

fn title(live: &Live, detail: &Detail, theme: Theme, cells: usize) -> Line<'static> {
    if let Some(finding) = detail.finding.as_ref().and_then(|key| key.find(live)) {
        let style = theme.severity(finding.severity);
        let head = format!("{} {} {}  ", sign(finding.severity), finding.severity.as_str(), finding.rule.name);
        let title = text::fit_words(&finding.title, cells.saturating_sub(text::width(&head)));
        return Line::from(vec![Span::styled(head, style), Span::styled(title, theme.strong())]);
    }
    let name = |id: &str| node_name(live, id);
    let words = match &detail.part {
        Part::Edge(from, to) => format!("{} → {}", name(from), name(to)),
        Part::Node(id) => {
            let kind = live.graph.node_by_id(id).map_or("node", |index| live.graph.node(index).kind.as_str());
            format!("{kind} {}", name(id))
        }
        Part::Whole => "finding".to_owned(),
    };
    frame::plain(&words, theme.strong())
}

fn node_name(live: &Live, id: &str) -> String {
    live.graph.node_by_id(id).map_or_else(|| id.to_owned(), |index| named(live.graph.node(index)))
}

fn section(words: &str, theme: Theme) -> Line<'static> {
    frame::plain(words, theme.heading())
}

/// A label and what it stands for.
fn labelled(label: &str, words: &str, theme: Theme, cells: usize) -> Line<'static> {
    let label = Span::styled(text::left(label, LABEL_CELLS), theme.faint());
    Line::from(vec![label, Span::styled(text::fit(words, cells.saturating_sub(LABEL_CELLS)), theme.text())])
}

fn link_lines(live: &Live, links: &[Link], selected: usize, theme: Theme, cells: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if links.is_empty() {
        return lines;
    }
    let has = |is_trace: bool| links.iter().any(|link| matches!(link, Link::Trace(..)) == is_trace);
    let head = match (has(true), has(false)) {
        (true, true) => "Traces that show it, and other edges",
        (true, false) => "Traces that show it",
        (false, _) => "Edges",
    };
    lines.push(section(head, theme));
    let seconds = figures::seconds(live);
    for (index, link) in links.iter().enumerate() {
        let lead = if index == selected { "▸ " } else { "  " };
        let words = match link {
            Link::Trace(trace_id, word) => format!("{lead}trace {trace_id}  {word}"),
            Link::Edge(from, to) => {
                let calls: u64 = edges_between(&live.graph, from, to).iter().map(|edge| edge.facts.calls).sum();
                let names = format!("{} → {}", node_name(live, from), node_name(live, to));
                format!(
                    "{lead}edge {}  {}",
                    text::fit_middle(&names, cells.saturating_sub(18)),
                    rate(calls as f64 / seconds)
                )
            }
        };
        let style = if index == selected { theme.selected() } else { theme.text() };
        lines.push(Line::styled(text::fit(&words, cells), style));
    }
    lines
}

fn part_lines(live: &Live, part: &Part, theme: Theme, cells: usize) -> Vec<Line<'static>> {
    let graph = &*live.graph;
    let mut lines = Vec::new();
    match part {
        Part::Edge(from, to) => {
            let edges = edges_between(graph, from, to);
            if edges.is_empty() {
                lines.push(frame::plain("This edge is not in the window any more.", theme.notice()));
            }
            for edge in edges {
                lines.extend(edge_lines(live, edge, theme, cells));
            }
        }
        Part::Node(id) => match graph.node_by_id(id) {
            Some(index) => lines.extend(node_lines(live, graph.node(index), theme, cells)),
            None => lines.push(frame::plain("This node is not in the window any more.", theme.notice())),
        },
        Part::Whole => {}
    }
    lines
}

/// The findings about this part of the graph, but for the one that led here.
fn other_findings(live: &Live, detail: &Detail, theme: Theme, cells: usize) -> Vec<Line<'static>> {
    let about = live.findings.iter().filter(|finding| match &detail.part {
        Part::Edge(from, to) => finding.subject.edges.iter().any(|pair| (&pair.0, &pair.1) == (from, to)),
        Part::Node(id) => figures::node_ids(finding, &live.graph).contains(id),
        Part::Whole => false,
    });
    let others = about.filter(|finding| detail.finding.as_ref() != Some(&FindingKey::of(finding)));
    let mut lines: Vec<Line<'static>> = others
        .map(|finding| {
            let words = format!("{} {}: {}", sign(finding.severity), finding.rule.name, finding.title);
            Line::styled(text::fit_words(&words, cells), theme.severity(finding.severity))
        })
        .collect();
    if !lines.is_empty() {
        lines.insert(0, section(if detail.finding.is_some() { "Other findings here" } else { "Findings here" }, theme));
    }
    lines
}

fn edge_lines(live: &Live, edge: &Edge, theme: Theme, cells: usize) -> Vec<Line<'static>> {
    let (graph, facts) = (&*live.graph, &edge.facts);
    let names = format!("{} → {}", named(graph.node(edge.from)), named(graph.node(edge.to)));
    let derived = if edge.is_derived { ", through a topic" } else { "" };
    let mut lines = vec![section(&format!("{names} over {}{derived}", edge.kind.as_str()), theme)];
    let seconds = figures::seconds(live);
    let (failures, calls) = (edge.failures(), facts.calls);
    let words = format!("{}, {}", counted(calls, "call"), rate(calls as f64 / seconds));
    lines.push(labelled("calls", &words, theme, cells));
    let errors = format!("{} of them, {}; {}", count(failures), share(failures, calls), retries(facts.retries));
    let style = theme.health(Health::of(failures, calls));
    lines.push(Line::from(vec![
        Span::styled(text::left("failed", LABEL_CELLS), theme.faint()),
        Span::styled(text::fit(&errors, cells.saturating_sub(LABEL_CELLS)), style),
    ]));
    if facts.requests > 0 {
        let most = facts.per_request.keys().map(|key| bucket_middle(key.0)).max().unwrap_or(0);
        let median = facts.median_per_request();
        let words = format!(
            "p50 {} · max {} · over {} · {}",
            counted(median.0, "call"),
            count(most),
            counted(median.1, "operation"),
            counted(facts.requests, "request")
        );
        lines.push(labelled("per request", &words, theme, cells));
    }
    for (label, latency) in [("caller saw", &facts.caller_latency), ("callee took", &facts.callee_latency)] {
        if latency.count() > 0 {
            let words = format!("p50 {} · p95 {}", duration(latency.quantile(0.5)), duration(latency.quantile(0.95)));
            lines.push(labelled(label, &words, theme, cells));
        }
    }
    if facts.seen.last_ns > 0 {
        let words = format!("{} to {} UTC", time_of_day(facts.seen.first_ns), time_of_day(facts.seen.last_ns));
        lines.push(labelled("seen", &words, theme, cells));
    }
    let called = called_operations(graph, edge);
    for (index, (operation, calls)) in called.iter().take(MAX_OPERATIONS).enumerate() {
        let name = if operation.is_empty() { "(unnamed)" } else { operation };
        let number = format!("  {}", counted(*calls, "call"));
        let room = cells.saturating_sub(LABEL_CELLS + text::width(&number));
        let label = if index == 0 { "operations" } else { "" };
        lines.push(labelled(label, &(text::fit_middle(name, room) + &number), theme, cells));
    }
    if called.len() > MAX_OPERATIONS {
        lines.push(labelled("", &format!("and {} more", called.len() - MAX_OPERATIONS), theme, cells));
    }
    lines
}

fn retries(retries: u64) -> String {
    if retries == 1 { "1 retry".to_owned() } else { format!("{} retries", count(retries)) }
}

/// What is called over an edge, the most often first.
fn called_operations<'a>(graph: &'a CallGraph, edge: &Edge) -> Vec<(&'a str, u64)> {
    let mut calls: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for pattern in &graph.patterns {
        let is_here = pattern.callee == edge.to && pattern.kind == edge.kind;
        if is_here && graph.operation(pattern.caller).node == edge.from {
            *calls.entry(&pattern.template).or_default() += pattern.facts.calls;
        }
    }
    let mut calls: Vec<(&str, u64)> = calls.into_iter().collect();
    calls.sort_by_key(|&(name, calls)| (std::cmp::Reverse(calls), name));
    calls
}

/// What a service measures of itself, in words.
fn readings(live: &Live, node: &Node) -> Vec<(&'static str, String)> {
    let is_own =
        |service: &&ServiceReadings| service.environment == live.graph.environment && service.node_id == node.id;
    let Some(service) = live.readings.iter().find(is_own) else { return Vec::new() };
    let told = |reading: &Reading| {
        let (label, value) = match reading.instrument {
            Instrument::Processors => ("processors", format!("{:.2} in use", reading.value)),
            Instrument::Memory => ("memory", bytes(reading.value)),
            Instrument::RuntimeMemory => ("heap", bytes(reading.value)),
            Instrument::Requests => {
                let mean = reading.mean_ms.map(|mean| format!(", {} each", measured(mean, "ms"))).unwrap_or_default();
                ("answered", format!("{}{mean}, by its own count", rate(reading.value)))
            }
        };
        (label, format!("{value}  {}", bars(&reading.history)))
    };
    service.readings.iter().map(told).collect()
}

fn node_lines(live: &Live, node: &Node, theme: Theme, cells: usize) -> Vec<Line<'static>> {
    let graph = &*live.graph;
    let seconds = figures::seconds(live);
    let mut lines = Vec::new();
    let mut say = |label: &str, words: String| {
        if !words.is_empty() {
            lines.push(labelled(label, &words, theme, cells));
        }
    };
    if let Some(service) = &node.service {
        if service.is_traced {
            let (requests, failures) = (service.requests, service.failures);
            say("requests", format!("{}, {}", count(requests), rate(requests as f64 / seconds)));
            say("failed", format!("{}, {}", count(failures), share(failures, requests)));
            let orphans = format!(
                "{}, {} without their parent",
                counted(service.facts.spans, "span"),
                count(service.facts.orphan_spans)
            );
            say("spans", orphans);
        } else if graph.edges.iter().any(|edge| graph.node(edge.to).id == node.id) {
            say("telemetry", "none of its own: known from its callers".to_owned());
        } else {
            say("telemetry", "log lines or metrics, no spans".to_owned());
        }
        for (label, words) in readings(live, node) {
            say(label, words);
        }
        say("namespace", service.namespace.clone());
        say("owner", service.owners.join(", "));
        say("language", service.languages.join(", "));
        let names = |named: &[(String, spanlint_graph::facts::Seen)]| {
            named.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        say("versions", names(&service.versions));
        say("instances", format!("{} ({})", service.instances.len(), names(&service.instances)));
    }
    if let Some(datastore) = &node.datastore {
        say("system", datastore.system.clone());
        say("address", datastore.address.clone());
        say("namespace", datastore.namespace.clone());
        let mut uses: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
        for usage in graph.usages.iter().filter(|usage| graph.node(usage.datastore).id == node.id) {
            let access = if usage.facts.writes > 0 { " (writes)" } else { " (reads)" };
            uses.entry(&usage.table).or_default().extend([graph.node(usage.service).name.as_str(), access]);
        }
        for (table, users) in uses.into_iter().take(MAX_OPERATIONS) {
            let users: Vec<String> = users.chunks(2).map(<[&str]>::concat).collect();
            say("table", format!("{}: {}", if table.is_empty() { "(unknown)" } else { table }, users.join(", ")));
        }
    }
    if !matches!(node.kind, NodeKind::Service) {
        let calls: u64 = edges_of(graph, &node.id, false).map(|edge| edge.facts.calls).sum();
        say("calls", format!("{}, {}", count(calls), rate(calls as f64 / seconds)));
    }
    lines
}

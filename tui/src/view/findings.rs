//! The list of findings, and the selected one in words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use spanlint_analyzer::finding::{Finding, Severity};

use super::lines::{Row, heading};
use super::{first_visible, row_of};
use crate::numbers::{counted, measured};
use crate::state::{Focus, State};
use crate::text;
use crate::theme::{Theme, sign};

/// Cells before the severity of a finding: what marks the selected one, and the sign.
const SIGN_CELLS: usize = 3;
/// Cells of a severity in words.
const SEVERITY_CELLS: usize = 8;
/// From this many cells on, a list names the rules.
const MIN_CELLS_WITH_RULES: usize = 70;

/// Draws the list.
pub(super) fn list(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let undecided = state.live.undecided.len() as u64;
    let right = if undecided > 0 { format!("{undecided} undecided (u)") } else { String::new() };
    let has_focus = state.focus == Focus::Findings;
    heading(title(state, theme), &right, has_focus, theme, row_of(area, 0), buffer);
    let room = usize::from(area.height) - 1;
    let count = state.findings().count();
    if count == 0 {
        clean(state, theme, Rect { y: area.y + 1, height: area.height - 1, ..area }, buffer);
        return;
    }
    let first = first_visible(state.finding, count, room);
    let columns = Columns::of(state, usize::from(area.width));
    for (index, finding) in state.findings().enumerate().skip(first).take(room) {
        let is_selected = index == state.finding;
        let over = match (is_selected, has_focus) {
            (true, true) => Some(theme.severity(finding.severity).patch(theme.selected())),
            (true, false) => Some(theme.severity(finding.severity)),
            _ => None,
        };
        let row = row(finding, is_selected, columns, theme, usize::from(area.width));
        row.draw(row_of(area, 1 + index - first), over, buffer);
    }
}

/// What stands beside the titles of the list: what is wrong comes first, and sign and detail tell the same.
#[derive(Clone, Copy)]
struct Columns {
    /// Cells of severities in words; 0 for signs alone.
    severity_cells: usize,
    /// Cells of the names of the rules; 0 for none.
    rule_cells: usize,
}

impl Columns {
    fn of(state: &State, cells: usize) -> Self {
        let free = cells.saturating_sub(SIGN_CELLS);
        let has_room = |beside: usize| {
            state.findings().all(|finding| text::has_room_for_words(&finding.title, free.saturating_sub(beside)))
        };
        let severity_cells = if has_room(SEVERITY_CELLS) { SEVERITY_CELLS } else { 0 };
        let rule_cells = state.findings().map(|finding| text::width(finding.rule.name) + 2).max().unwrap_or(0);
        let has_rules = cells >= MIN_CELLS_WITH_RULES && has_room(severity_cells + rule_cells);
        Self { severity_cells, rule_cells: if has_rules { rule_cells } else { 0 } }
    }
}

/// A row of the list.
fn row(finding: &Finding, is_selected: bool, columns: Columns, theme: Theme, cells: usize) -> Row {
    let style = theme.severity(finding.severity);
    let row = Row::new(cells).add(if is_selected { "▸" } else { " " }, theme.strong());
    let row = row.add(sign(finding.severity), style).add(" ", theme.text());
    let row = row.add(&text::left(finding.severity.as_str(), columns.severity_cells), style);
    let title_cells = row.free().saturating_sub(columns.rule_cells);
    let title = text::fit_words(&finding.title, title_cells);
    if columns.rule_cells == 0 {
        return row.add(&title, theme.strong());
    }
    let row = row.add(&text::left(&title, title_cells), theme.strong()).add("  ", theme.text());
    row.add(finding.rule.name, theme.faint())
}

/// `2 findings  ✗ 1 error  ▲ 1 warning`.
fn title(state: &State, theme: Theme) -> Line<'static> {
    let count = state.findings().count() as u64;
    if count == 0 {
        return Line::from(Span::styled("Findings", theme.strong()));
    }
    let mut spans = vec![Span::styled(counted(count, "finding"), theme.strong())];
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        let count = state.findings().filter(|finding| finding.severity == severity).count() as u64;
        if count > 0 {
            let words = format!("  {} {}", sign(severity), counted(count, severity.as_str()));
            spans.push(Span::styled(words, theme.severity(severity)));
        }
    }
    Line::from(spans)
}

/// Says clearly that there is nothing, and how much that is worth.
fn clean(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let graph = &state.live.graph;
    let requests: u64 = graph.operations.iter().map(|operation| operation.facts.requests).sum();
    let row = Row::new(usize::from(area.width));
    let is_filtered =
        !state.filter.is_empty() && state.live.findings.iter().any(|finding| finding.suppressed.is_none());
    let row = if is_filtered {
        row.add(&format!(" No finding matches \"{}\"", state.filter), theme.notice())
    } else {
        row.add(" ✓ No findings", theme.good()).add(
            &format!(" in {} of {}", counted(requests, "request"), counted(graph.counts.traces, "trace")),
            theme.text(),
        )
    };
    let undecided = state.live.undecided.len() as u64;
    let row = if undecided > 0 {
        row.add_whole(&format!("; {} could not be decided yet", counted(undecided, "pattern")), theme.notice())
    } else {
        row
    };
    row.draw(row_of(area, 0), None, buffer);
}

/// Draws the selected finding in words.
pub(super) fn tell(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let Some(finding) = state.selected_finding() else { return };
    if area.height == 0 {
        return;
    }
    let title = Line::from(Span::styled(finding.rule.name, theme.severity(finding.severity)));
    heading(title, finding.confidence.as_str(), false, theme, row_of(area, 0), buffer);
    let lines = words(finding, theme, usize::from(area.width).saturating_sub(2));
    for (index, line) in lines.iter().take(usize::from(area.height) - 1).enumerate() {
        let area = row_of(area, 1 + index);
        buffer.set_line(area.x + 1, area.y, line, area.width.saturating_sub(2));
    }
}

/// A finding in words: what is wrong, what was measured, what to do.
pub(super) fn words(finding: &Finding, theme: Theme, cells: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    let mut say = |prefix: &str, text: &str, style: Style, prefix_style: Style| {
        for (index, line) in text::wrap(text, cells.saturating_sub(text::width(prefix))).into_iter().enumerate() {
            let lead = if index == 0 { prefix.to_owned() } else { " ".repeat(text::width(prefix)) };
            lines.push(Line::from(vec![Span::styled(lead, prefix_style), Span::styled(line, style)]));
        }
    };
    say("", &finding.message, theme.text(), theme.text());
    for evidence in &finding.evidence {
        say("  ", &evidence.words(), theme.strong(), theme.text());
    }
    let support = finding.support;
    if support.requests > 0 {
        let seen = format!(
            "seen in {} of {}, in at least {:.0} % with 95 % confidence",
            crate::numbers::count(support.affected),
            counted(support.requests, "request"),
            support.prevalence_low * 100.0
        );
        say("  ", &seen, theme.text(), theme.text());
    }
    if let Some(impact) = finding.impact {
        let saved = format!(
            "mending it saves {} at the median, {} at the 95th percentile",
            measured(impact.latency_ms_p50, "ms"),
            measured(impact.latency_ms_p95, "ms")
        );
        say("  ", &saved, theme.text(), theme.text());
    }
    say("Fix: ", &finding.fix, theme.text(), theme.good());
    if !finding.subject.tables.is_empty() {
        say("Tables: ", &finding.subject.tables.join(", "), theme.text(), theme.strong());
    }
    for absorbed in &finding.absorbs {
        say("Explains also ", &format!("{}: {}", absorbed.rule, absorbed.title), theme.faint(), theme.faint());
    }
    for place in &finding.locations {
        say("At ", &format!("{}:{} {}", place.file, place.line, place.function), theme.text(), theme.strong());
    }
    lines
}

//! A trace as a waterfall, with the attributes of the selected span.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line as TextLine, Span};
use spanlint_graph::log::Severity;
use spanlint_graph::span::Outcome;
use spanlint_graph::waterfall::{LogRow, Row as SpanRow};

use super::lines::{Row, heading};
use super::{first_visible, frame, row_of};
use crate::numbers::{counted, duration};
use crate::state::{State, WIDE_COLUMNS};
use crate::text;
use crate::theme::Theme;
use crate::trace::{Content, Shown, TraceView};

/// Cells in which a duration stands.
const DURATION_CELLS: usize = 8;
/// The deepest indentation, in cells.
const MAX_INDENT: usize = 16;

/// Draws the screen.
pub(super) fn draw(state: &State, view: &TraceView, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let is_wide = state.size.0 >= WIDE_COLUMNS;
    let id = view.trace_id.to_string();
    let title = frame::plain(&format!("trace {}", text::fit(&id, if is_wide { 32 } else { 17 })), theme.strong());
    let shown = match &view.content {
        Content::Shown(shown) => shown,
        Content::Awaited | Content::Gone => {
            let words = if view.content == Content::Awaited {
                "Fetching the trace."
            } else {
                "This trace is not kept any more. Esc, and choose a newer one."
            };
            heading(title, "", true, theme, row_of(area, 0), buffer);
            Row::new(usize::from(area.width)).add("  ", theme.text()).add(words, theme.notice()).draw(
                row_of(area, 1),
                None,
                buffer,
            );
            return;
        }
    };
    heading(title, &summary(shown), true, theme, row_of(area, 0), buffer);
    claim(view, shown, theme, row_of(area, 1), buffer);
    let below = Rect { y: area.y + 2, height: area.height - 2, ..area };
    if is_wide {
        let width = (area.width / 3).min(56);
        let left = Rect { width: area.width - width - 1, ..below };
        let right = Rect { x: area.x + left.width + 1, width, ..below };
        rows(view, shown, theme, left, buffer);
        attributes(view, shown, theme, right, buffer);
    } else {
        let height = (below.height / 3).max(4).min(below.height);
        let above = Rect { height: below.height - height, ..below };
        let under = Rect { y: below.y + above.height, height, ..below };
        rows(view, shown, theme, above, buffer);
        attributes(view, shown, theme, under, buffer);
    }
}

fn summary(shown: &Shown) -> String {
    let waterfall = &shown.waterfall;
    let errors = waterfall.rows.iter().filter(|row| row.outcome != Outcome::Ok).count() as u64;
    let mut words = vec![
        duration(waterfall.duration_ns),
        counted(waterfall.rows.len() as u64, "span"),
        counted(shown.services.len() as u64, "service"),
    ];
    if shown.has_log_lines() {
        words.push(counted(shown.log_lines() as u64, "log line"));
    }
    if errors > 0 {
        words.push(format!("{errors} ✗"));
    }
    words.join(" · ")
}

/// What the trace proves, and by how many spans.
fn claim(view: &TraceView, shown: &Shown, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let row = Row::new(usize::from(area.width)).add(" ", theme.text());
    let row = match &view.claim {
        Some((title, _)) => {
            let spans = shown.proves.iter().filter(|proves| **proves).count() as u64;
            let row = row.add(&format!("▶ {} marked: ", counted(spans, "span")), theme.notice());
            let title = text::fit_words(title, row.free());
            row.add(&title, theme.strong())
        }
        None => row,
    };
    row.draw(area, None, buffer);
}

fn rows(view: &TraceView, shown: &Shown, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.height);
    let lines = lines(view, shown);
    let selected = lines.iter().position(|line| matches!(line, Line::Span(index) if *index == view.row)).unwrap_or(0);
    let first = first_visible(selected, lines.len(), room);
    for (index, line) in lines.iter().skip(first).take(room).enumerate() {
        let area = row_of(area, index);
        let cells = usize::from(area.width);
        match line {
            Line::Span(span) => {
                let over = (*span == view.row).then(|| theme.selected());
                row(shown, *span, theme, cells).draw(area, over, buffer);
            }
            Line::Log(depth, line) => log_row(*depth, line, theme, cells).draw(area, None, buffer),
        }
    }
}

/// A line of the waterfall.
enum Line<'a> {
    /// The span of this row.
    Span(usize),
    /// What was logged, under a span of this depth.
    Log(u16, &'a LogRow),
}

/// Every span, its log lines under it where they are wanted, and at the end those that belong to none.
fn lines<'a>(view: &TraceView, shown: &'a Shown) -> Vec<Line<'a>> {
    let mut lines = Vec::with_capacity(shown.waterfall.rows.len());
    for (index, row) in shown.waterfall.rows.iter().enumerate() {
        lines.push(Line::Span(index));
        if view.has_logs {
            lines.extend(row.logs.iter().map(|line| Line::Log(row.depth, line)));
        }
    }
    if view.has_logs {
        lines.extend(shown.waterfall.logs.iter().map(|line| Line::Log(0, line)));
    }
    lines
}

fn log_row(depth: u16, line: &LogRow, theme: Theme, cells: usize) -> Row {
    let style = match line.severity {
        Severity::Fatal | Severity::Error => theme.health(crate::figures::Health::Failing),
        Severity::Warn => theme.notice(),
        _ => theme.faint(),
    };
    let row = Row::new(cells).add(" ", theme.text()).add(&" ".repeat(usize::from(depth).min(MAX_INDENT)), theme.text());
    let row = row.add("│ ", theme.faint()).add(&text::left(line.severity.as_str(), 6), style);
    row.add(&line.body, theme.text())
}

fn row(shown: &Shown, index: usize, theme: Theme, cells: usize) -> Row {
    let span = &shown.waterfall.rows[index];
    let proves = shown.proves[index];
    let colour = shown.services.iter().position(|service| *service == span.service).unwrap_or(0);
    let names = (cells * 9 / 20).clamp(16, 64).min(cells);
    let style = if proves { theme.strong() } else { theme.text() };
    let is_error = span.outcome != Outcome::Ok;
    let row = Row::new(names).add(if proves { "▶" } else { " " }, theme.notice());
    let row = row.add(&" ".repeat(usize::from(span.depth).min(MAX_INDENT)), theme.text());
    let row = row.add(if span.is_orphan { "?" } else { "" }, theme.notice());
    let row = row.add(&span.service, theme.service(colour).patch(style)).add(" ", theme.text());
    let row = row.add(&label(span), style).fill_to(0);
    let mut line = Row::new(cells);
    for piece in row.line().spans {
        line = line.add(&piece.content, piece.style);
    }
    let bar_cells = cells.saturating_sub(names + DURATION_CELLS + 2);
    let bar = bar(span, shown.waterfall.duration_ns, bar_cells);
    let bar_style = if is_error { theme.health(crate::figures::Health::Failing) } else { theme.service(colour) };
    let line = line.add(" ", theme.text()).add(&bar, if proves { bar_style.patch(theme.strong()) } else { bar_style });
    let taken = text::right(&duration(span.duration_ns), DURATION_CELLS - 1);
    let line = line.add(&taken, style);
    if is_error { line.add(" ✗", theme.health(crate::figures::Health::Failing)) } else { line.add("  ", style) }
}

/// What a span does: its operation where that says more than its name.
fn label(span: &SpanRow) -> String {
    let name = if span.operation.is_empty() { &span.name } else { &span.operation };
    name.clone()
}

/// When a span ran, in `cells` cells; at least one of them.
fn bar(span: &SpanRow, total_ns: u64, cells: usize) -> String {
    if cells == 0 {
        return String::new();
    }
    let scale = |ns: u64| (ns as f64 / total_ns.max(1) as f64 * cells as f64).round() as usize;
    let start = scale(span.offset_ns).min(cells - 1);
    let end = scale(span.offset_ns.saturating_add(span.duration_ns)).clamp(start + 1, cells.max(start + 1));
    format!("{}{}{}", " ".repeat(start), "━".repeat(end - start), " ".repeat(cells - end.min(cells)))
}

fn attributes(view: &TraceView, shown: &Shown, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let Some(span) = shown.waterfall.rows.get(view.row) else { return };
    heading(frame::plain(&span.name, theme.strong()), span.kind.as_str(), false, theme, row_of(area, 0), buffer);
    let cells = usize::from(area.width).saturating_sub(2);
    let mut lines: Vec<TextLine<'static>> = Vec::new();
    let outcome = match span.outcome {
        Outcome::Ok => "ok",
        Outcome::Rejected => "rejected",
        Outcome::Failed => "failed",
        Outcome::TimedOut => "timed out",
        Outcome::Cancelled => "cancelled",
    };
    let times = format!("{}, {} after the start, {outcome}", duration(span.duration_ns), duration(span.offset_ns));
    lines.push(TextLine::styled(text::fit(&times, cells), theme.text()));
    if !span.status_message.is_empty() {
        let told = text::wrap_whole(&span.status_message, cells).into_iter();
        lines.extend(told.map(|line| TextLine::styled(line, theme.notice())));
    }
    let longest = span.attributes.iter().map(|(key, _)| text::width(key)).max().unwrap_or(0);
    let key_cells = longest.min(cells / 2);
    for (key, value) in &span.attributes {
        let key = text::left(&text::fit_middle(key, key_cells), key_cells + 1);
        let room = cells.saturating_sub(key_cells + 1).max(1);
        for (index, part) in text::wrap_whole(value, room).into_iter().enumerate() {
            let key = if index == 0 { key.clone() } else { " ".repeat(key_cells + 1) };
            lines.push(TextLine::from(vec![Span::styled(key, theme.faint()), Span::styled(part, theme.text())]));
        }
        if lines.len() >= usize::from(area.height) {
            break;
        }
    }
    for (index, line) in lines.iter().take(usize::from(area.height).saturating_sub(1)).enumerate() {
        let area = row_of(area, 1 + index);
        buffer.set_line(area.x + 1, area.y, line, area.width.saturating_sub(2));
    }
}

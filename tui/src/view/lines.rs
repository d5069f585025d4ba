//! Lines of styled pieces, and a heading rule, the two things that every screen is made of.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::text;
use crate::theme::Theme;

/// A line that is built from the left and knows how many cells it may still take.
pub(super) struct Row {
    spans: Vec<Span<'static>>,
    free: usize,
}

impl Row {
    /// A line of at most `cells` cells.
    pub(super) fn new(cells: usize) -> Self {
        Self { spans: Vec::new(), free: cells }
    }

    /// Adds text, cut at its end where it does not fit.
    pub(super) fn add(mut self, text: &str, style: Style) -> Self {
        let text = text::fit(text, self.free);
        self.free -= text::width(&text);
        self.spans.push(Span::styled(text, style));
        self
    }

    /// Adds text only where all of it fits.
    pub(super) fn add_whole(self, text: &str, style: Style) -> Self {
        if text::width(text) <= self.free { self.add(text, style) } else { self }
    }

    /// Fills up with spaces, leaving `cells` free.
    pub(super) fn fill_to(self, cells: usize) -> Self {
        let missing = self.free.saturating_sub(cells);
        self.add(&" ".repeat(missing), Style::new())
    }

    /// How many cells are free.
    pub(super) fn free(&self) -> usize {
        self.free
    }

    /// The line.
    pub(super) fn line(self) -> Line<'static> {
        Line::from(self.spans)
    }

    /// Draws the line; a style given here takes the place of those of the pieces.
    pub(super) fn draw(self, area: Rect, over: Option<Style>, buffer: &mut Buffer) {
        let row = if over.is_some() { self.fill_to(0) } else { self };
        buffer.set_line(area.x, area.y, &row.line(), area.width);
        if let Some(style) = over {
            buffer.set_style(Rect { height: 1, ..area }, Style::reset().patch(style));
        }
    }
}

/// A rule with a title in it: `── Findings ─────── 2 undecided ──`.
pub(super) fn heading(
    title: Line<'static>,
    right: &str,
    has_focus: bool,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let cells = usize::from(area.width);
    let (rule, style) = if has_focus { ("━", theme.heading()) } else { ("─", theme.faint()) };
    buffer.set_string(area.x, area.y, rule.repeat(cells), style);
    let right_cells =
        if right.is_empty() || cells < 40.max(text::width(right) + 8) { 0 } else { text::width(right) + 3 };
    let room = cells.saturating_sub(4 + right_cells);
    let mut row = Row::new(room).add(" ", theme.text());
    for span in title.spans {
        row = row.add(&span.content, span.style);
    }
    let row = row.add_whole(" ", theme.text());
    let free = row.free();
    let title = Rect { x: area.x + 2.min(area.width), width: (room - free) as u16, height: 1, ..area };
    buffer.set_style(title, Style::reset());
    buffer.set_line(title.x, title.y, &row.line(), title.width);
    if right_cells > 0 {
        let x = area.x + area.width - 1 - right_cells as u16;
        buffer.set_string(x, area.y, format!(" {right} "), theme.faint());
    }
}

//! Draws the state. Only reads, builds only the rows that are visible, and decides nothing but where things stand.

mod detail;
mod edges;
mod empty;
mod findings;
mod frame;
mod graph;
mod lines;
mod overlay;
mod overview;
mod trace;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::detail::{Detail, ScrollLimits};
use crate::state::{MIN_COLUMNS, MIN_ROWS, Overlay, Screen, State};
use crate::text;
use crate::theme::Theme;

/// Draws everything.
pub(crate) fn view(state: &State, theme: Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < MIN_COLUMNS || area.height < MIN_ROWS {
        let sentence = format!(
            "spanlint needs {MIN_COLUMNS} columns and {MIN_ROWS} rows; this terminal has {} and {}.",
            area.width, area.height
        );
        for (row, line) in
            text::wrap(&sentence, usize::from(area.width)).iter().take(usize::from(area.height)).enumerate()
        {
            buffer.set_string(area.x, area.y + row as u16, line, theme.text());
        }
        return;
    }
    frame::draw(state, theme, area, buffer);
    let body = frame::body(state, area);
    match state.screen() {
        Screen::Overview if state.is_empty() => empty::draw(state, theme, body, buffer),
        Screen::Overview => overview::draw(state, theme, body, buffer),
        Screen::Edges => edges::draw(state, theme, body, buffer),
        Screen::Detail(detail) => detail::draw(state, detail, theme, body, buffer),
        Screen::Trace(view) => trace::draw(state, view, theme, body, buffer),
    }
    match state.overlay {
        Some(Overlay::Help(row)) => overlay::help(row, theme, body, buffer),
        Some(Overlay::Scenarios(row)) => overlay::scenarios(state, row, theme, body, buffer),
        Some(Overlay::Undecided(row)) => overlay::undecided(state, row, theme, body, buffer),
        Some(Overlay::Filter) | None => {}
    }
}

/// Which lines of the detail screen may come first; how many it has, only drawing tells.
pub(crate) fn scroll_limits(state: &State, detail: &Detail) -> ScrollLimits {
    let (width, height) = state.size;
    if width < MIN_COLUMNS || height < MIN_ROWS {
        return ScrollLimits::default();
    }
    detail::scroll_limits(state, detail, frame::body(state, Rect { x: 0, y: 0, width, height }))
}

/// The first of `count` rows to draw so that the selected one stands within `room` rows, in the middle where possible.
fn first_visible(selected: usize, count: usize, room: usize) -> usize {
    selected.saturating_sub(room / 2).min(count.saturating_sub(room))
}

/// The row at `index` of an area.
fn row_of(area: Rect, index: usize) -> Rect {
    Rect { y: area.y + index as u16, height: 1, ..area }
}

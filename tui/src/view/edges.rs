//! The edges as a table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::lines::{Row, heading};
use super::{first_visible, frame, row_of};
use crate::figures::{self, Health};
use crate::numbers::{count, counted, duration, rate, share};
use crate::state::State;
use crate::table::EdgeRow;
use crate::text;
use crate::theme::{Theme, sign};

/// Cells of the columns right of the names: rate, calls, errors, calls per request, p50, p95.
const NUMBER_CELLS: [usize; 6] = [7, 8, 5, 5, 7, 7];
const NUMBER_HEADS: [&str; 6] = ["rate", "calls", "err", "/req", "p50", "p95"];
/// Cells of the column of protocols, where there is room for it.
const KIND_CELLS: usize = 10;

/// Draws the screen.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let table = &state.table;
    let title = format!("{}, by {}", counted(table.rows.len() as u64, "edge"), table.order.as_str());
    heading(frame::plain(&title, theme.strong()), "o: other order", true, theme, row_of(area, 0), buffer);
    let cells = usize::from(area.width);
    let columns = columns(cells);
    let head = Row::new(cells).add("   ", theme.text());
    let head = head.add(&text::left("caller", columns.name), theme.faint()).add("   ", theme.text());
    let mut head = head.add(&text::left("callee", columns.name), theme.faint());
    if columns.has_kind {
        head = head.add(&text::left(" kind", KIND_CELLS), theme.faint());
    }
    for (name, cells) in NUMBER_HEADS.iter().zip(NUMBER_CELLS).skip(NUMBER_CELLS.len() - columns.numbers) {
        head = head.add(&text::right(name, cells), theme.faint());
    }
    head.draw(row_of(area, 1), None, buffer);
    let room = usize::from(area.height).saturating_sub(2);
    if table.rows.is_empty() && room > 0 {
        let row = Row::new(cells).add("   No edge matches the filter.", theme.notice());
        row.draw(row_of(area, 2), None, buffer);
    }
    let first = first_visible(table.row, table.rows.len(), room);
    let seconds = figures::seconds(&state.live);
    for (index, edge) in table.rows.iter().enumerate().skip(first).take(room) {
        let over = (index == table.row).then(|| theme.selected());
        row(edge, columns, seconds, theme, cells).draw(row_of(area, 2 + index - first), over, buffer);
    }
}

/// How the cells of a row are shared.
#[derive(Clone, Copy)]
struct Columns {
    name: usize,
    has_kind: bool,
    numbers: usize,
}

/// Names need 14 cells; columns of numbers give way from the left, and rates and calls are the first to go.
fn columns(cells: usize) -> Columns {
    const NAME_CELLS: usize = 14;
    let mut numbers = NUMBER_CELLS.len();
    let wanted = |numbers: usize| NUMBER_CELLS.iter().rev().take(numbers).sum::<usize>() + 7;
    while numbers > 1 && cells < wanted(numbers) + 2 * NAME_CELLS {
        numbers -= 1;
    }
    let has_kind = cells >= wanted(numbers) + 2 * NAME_CELLS + KIND_CELLS;
    let names = cells.saturating_sub(wanted(numbers) + if has_kind { KIND_CELLS } else { 0 });
    Columns { name: names / 2, has_kind, numbers }
}

fn row(edge: &EdgeRow, columns: Columns, seconds: f64, theme: Theme, cells: usize) -> Row {
    let mark_style = edge.severity.map_or(theme.text(), |severity| theme.severity(severity));
    let name_style = edge.severity.map_or(theme.strong(), |severity| theme.severity(severity));
    let row = Row::new(cells).add(" ", theme.text()).add(&text::left(edge.severity.map_or("", sign), 2), mark_style);
    let row = row.add(&text::left(&text::fit_middle(&edge.from.1, columns.name), columns.name), name_style);
    let row = row.add(" → ", mark_style);
    let mut row = row.add(&text::left(&text::fit_middle(&edge.to.1, columns.name), columns.name), name_style);
    if columns.has_kind {
        row = row.add(" ", theme.text()).add(&text::left(edge.kind.as_str(), KIND_CELLS - 1), theme.faint());
    }
    let health = theme.health(Health::of(edge.failures, edge.calls));
    let numbers = [
        (rate(edge.calls as f64 / seconds), theme.text()),
        (count(edge.calls), theme.text()),
        (share(edge.failures, edge.calls), health),
        (if edge.per_request == 0 { "–".to_owned() } else { count(edge.per_request) }, theme.text()),
        (duration(edge.latency_p50_ns), theme.text()),
        (duration(edge.latency_p95_ns), theme.text()),
    ];
    for ((text, style), cells) in numbers.into_iter().zip(NUMBER_CELLS).skip(NUMBER_CELLS.len() - columns.numbers) {
        row = row.add(&text::right(&text, cells), style);
    }
    row
}

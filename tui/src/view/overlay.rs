//! What lies over a screen: the keys, the scenarios, what could not be decided.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use super::lines::Row;
use super::{first_visible, row_of};
use crate::state::State;
use crate::text;
use crate::theme::Theme;
use crate::update::HELP_ROWS;

/// Every key, by where it works.
const KEYS: [(&str, &[(&str, &str)]); 5] = [
    (
        "Everywhere",
        &[
            ("Enter", "one step closer: finding, edge, trace"),
            ("Esc", "one step back"),
            ("g  e", "graph and findings, table of edges"),
            ("u", "what could not be decided"),
            ("w", "window: 1, 5, 15 minutes, all"),
            ("[  ]  }", "a minute back, a minute on, now"),
            ("Space", "hold the picture, let it go"),
            ("q  Ctrl-C", "quit"),
        ],
    ),
    (
        "Graph and findings",
        &[
            ("Tab", "keys to the graph or to the findings"),
            ("arrows hjkl", "choose a finding or a node"),
            ("Shift-arrows", "move the picture (HJKL too)"),
            ("f", "only the neighbours of a node, all"),
            ("d", "datastores and client apart, folded"),
            ("/", "filter by name"),
        ],
    ),
    ("Table", &[("o  O", "other order, first order")]),
    ("Trace", &[("n  N", "next, previous span that proves"), ("x", "log lines under their spans, none")]),
    ("Demo", &[("s  1-9", "scenarios, switch one")]),
];

/// The fewest cells in which a text goes on below itself instead of being cut.
const MIN_WRAP_CELLS: usize = 16;

const SIGNS: [&str; 4] = [
    "✗ error  ▲ warning  ○ note   » called from outside",
    "[service] (datastore) {topic} <external>  ↻ calls itself",
    "0.5/s rate  2%err failed  8ms p95  ▤ queries to its own store",
    "▶ calls  ◀ is called  ◆ both ways",
];

/// Draws every key.
pub(super) fn help(row: usize, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let mut lines: Vec<Vec<(String, Style)>> = Vec::new();
    for (place, keys) in KEYS {
        for (index, (key, words)) in keys.iter().enumerate() {
            let place = if index == 0 { place } else { "" };
            lines.push(vec![
                (text::left(place, 19), theme.heading()),
                (text::left(key, 13), theme.key()),
                ((*words).to_owned(), theme.text()),
            ]);
        }
    }
    for sign in SIGNS {
        lines.push(vec![(sign.to_owned(), theme.faint())]);
    }
    debug_assert_eq!(lines.len(), HELP_ROWS, "the keys scroll by their number");
    show("Keys", &lines[row.min(lines.len() - 1)..], None, theme, area, buffer);
}

/// Draws the scenarios.
pub(super) fn scenarios(state: &State, selected: usize, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let scenarios = &state.live.status.scenarios;
    let name_cells = scenarios.iter().map(|scenario| text::width(&scenario.name)).max().unwrap_or(0).min(24);
    let line = |(index, scenario): (usize, &crate::live::ScenarioState)| {
        let (switch, style) = if scenario.is_on { ("■ on ", theme.notice()) } else { ("□ off", theme.faint()) };
        vec![
            (format!("{} ", index + 1), theme.key()),
            (format!("{switch} "), style),
            (text::left(&scenario.name, name_cells + 2), theme.strong()),
            (scenario.description.clone(), theme.text()),
        ]
    };
    let lines: Vec<_> = scenarios.iter().enumerate().map(line).collect();
    show("Scenarios: Enter or the number switches", &lines, Some(selected), theme, area, buffer);
}

/// Draws what could not be decided.
pub(super) fn undecided(state: &State, selected: usize, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let rule_cells = state.live.undecided.iter().map(|undecided| text::width(undecided.rule)).max().unwrap_or(0);
    let line = |undecided: &spanlint_analyzer::finding::Undecided| {
        let services = undecided.services.join(", ");
        let colon = if services.is_empty() { "" } else { ": " };
        vec![
            (text::left(undecided.rule, rule_cells + 2), theme.strong()),
            (format!("{services}{colon}{}", undecided.reason), theme.text()),
        ]
    };
    let mut lines: Vec<_> = state.live.undecided.iter().map(line).collect();
    if lines.is_empty() {
        lines.push(vec![("Everything could be decided.".to_owned(), theme.good())]);
        show("Undecided", &lines, None, theme, area, buffer);
        return;
    }
    show("Undecided: too little is known to judge", &lines, Some(selected), theme, area, buffer);
}

/// Draws lines in a box in the middle. The last piece of a line goes on below itself where it does not fit.
fn show(
    title: &str,
    lines: &[Vec<(String, Style)>],
    selected: Option<usize>,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let widths = lines.iter().map(|line| line.iter().map(|(text, _)| text::width(text)).sum::<usize>());
    let width = (widths.max().unwrap_or(0) + 4).max(text::width(title) + 6).min(usize::from(area.width)) as u16;
    let cells = usize::from(width).saturating_sub(4);
    let rows: Vec<(usize, Row)> =
        lines.iter().enumerate().flat_map(|(index, line)| rows(line, cells).map(move |row| (index, row))).collect();
    let height = (rows.len() + 2).min(usize::from(area.height)) as u16;
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buffer);
    let room = usize::from(height).saturating_sub(2);
    let selected_row = rows.iter().position(|(index, _)| selected == Some(*index)).unwrap_or(0);
    let first = first_visible(selected_row, rows.len(), room);
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(theme.heading());
    let block = block.title(format!(" {} ", text::fit(title, cells)));
    let below = rows.len().saturating_sub(first + room);
    let block = if below > 0 { block.title_bottom(format!(" ↓ {below} more ")) } else { block };
    let inner = block.inner(place);
    block.render(place, buffer);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    for (place, (index, row)) in rows.into_iter().skip(first).take(room).enumerate() {
        let over = (selected == Some(index)).then(|| theme.selected());
        row.draw(row_of(inner, place), over, buffer);
    }
}

/// A line in rows of so many cells.
fn rows(line: &[(String, Style)], cells: usize) -> impl Iterator<Item = Row> {
    let (last, before) = line.split_last().map_or((None, line), |(last, before)| (Some(last), before));
    let lead: usize = before.iter().map(|(text, _)| text::width(text)).sum();
    let first = before.iter().fold(Row::new(cells), |row, (text, style)| row.add(text, *style));
    let room = cells.saturating_sub(lead);
    let parts = match last {
        Some((text, _)) if room >= MIN_WRAP_CELLS && text::width(text) > room => text::wrap(text, room),
        Some((text, _)) => vec![text.clone()],
        None => vec![String::new()],
    };
    let style = last.map_or_else(Style::new, |(_, style)| *style);
    let leads =
        std::iter::once(first).chain(std::iter::repeat_with(move || Row::new(cells).add(&" ".repeat(lead), style)));
    leads.zip(parts).map(move |(row, part)| row.add(&part, style))
}

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
    let line = |undecided: &spanlint_analyzer::finding::Undecided| {
        let services = undecided.services.join(", ");
        vec![
            (text::left(undecided.rule, 22), theme.strong()),
            (format!(" {services}{} ", if services.is_empty() { "" } else { ":" }), theme.text()),
            (undecided.reason.clone(), theme.faint()),
        ]
    };
    let mut lines: Vec<_> = state.live.undecided.iter().map(line).collect();
    if lines.is_empty() {
        lines.push(vec![("Everything could be decided.".to_owned(), theme.good())]);
        show("Undecided", &lines, None, theme, area, buffer);
        return;
    }
    show("Undecided: seen, but not often enough to judge", &lines, Some(selected), theme, area, buffer);
}

/// Draws lines in a box in the middle.
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
    let height = (lines.len() + 2).min(usize::from(area.height)) as u16;
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buffer);
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(theme.heading());
    let block = block.title(format!(" {} ", text::fit(title, usize::from(width).saturating_sub(4))));
    let inner = block.inner(place);
    block.render(place, buffer);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let first = first_visible(selected.unwrap_or(0), lines.len(), usize::from(inner.height));
    for (index, line) in lines.iter().enumerate().skip(first).take(usize::from(inner.height)) {
        let row = line.iter().fold(Row::new(usize::from(inner.width)), |row, (text, style)| row.add(text, *style));
        let over = (selected == Some(index)).then(|| theme.selected());
        row.draw(row_of(inner, index - first), over, buffer);
    }
}

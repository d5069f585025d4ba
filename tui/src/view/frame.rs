//! What is around every screen: the collector's counters above, a notice where there is one, the keys below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use spanlint_graph::View;

use super::lines::Row;
use crate::numbers::{counted, rate, time_of_day};
use crate::state::{Focus, Overlay, Screen, State};
use crate::text;
use crate::theme::Theme;
use crate::trace::Shown;

/// A minute, in nanoseconds.
const MINUTE_NS: u64 = 60_000_000_000;
/// After so long without a new picture the dashboard says so.
const STALE_SECONDS: u64 = 10;

/// What the frame leaves for the screen.
pub(super) fn body(state: &State, area: Rect) -> Rect {
    let notice = u16::from(state.live.status.notice.is_some());
    Rect { y: area.y + 1 + notice, height: area.height - 2 - notice, ..area }
}

/// Draws the frame.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    header(state, theme, Rect { height: 1, ..area }, buffer);
    footer(state, theme, Rect { y: area.y + area.height - 1, height: 1, ..area }, buffer);
    if let Some(notice) = &state.live.status.notice {
        let row = Row::new(usize::from(area.width)).add(" ! ", theme.notice()).add(notice, theme.notice());
        row.draw(Rect { y: area.y + 1, height: 1, ..area }, None, buffer);
    }
}

fn header(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let status = &state.live.status;
    let mut row = Row::new(usize::from(area.width)).add(" spanlint ", theme.heading());
    if state.is_paused {
        row = row.add(" PAUSED ", theme.notice().patch(theme.selected())).add(" ", theme.text());
    }
    if let Some(view) = state.live.view {
        row = window(view, state.wanted.is_some_and(|wanted| wanted != view), theme, row);
    }
    let age = state.now_ns.saturating_sub(state.live.at_ns) / 1_000_000_000;
    let is_past = state.live.view.is_some_and(|view| view.until_ns.is_some());
    // Before the first picture there is nothing that could be old.
    let has_picture = state.live.at_ns > 0;
    if age >= STALE_SECONDS && has_picture && !state.is_paused && !is_past && !status.endpoints.is_empty() {
        row = row.add_whole(&format!(" no news for {age} s "), theme.notice());
    }
    if !state.live.graph.environment.is_empty() {
        row = row.add_whole(&format!(" {} ", text::fit(&state.live.graph.environment, 16)), theme.strong());
    }
    // Into a recording nothing comes.
    let is_live = !status.endpoints.is_empty();
    if is_live {
        row = row.add_whole(&format!(" {} spans", rate(status.spans_per_second)), theme.strong());
    }
    let dot = if is_live { " ·" } else { "" };
    row = row.add_whole(&format!("{dot} {}", counted(status.spans, "span")), theme.text());
    row = row.add_whole(&format!(" · {}", counted(status.traces, "trace")), theme.text());
    if status.rejected > 0 {
        row = row.add_whole(&format!(" · {} rejected", crate::numbers::count(status.rejected)), theme.notice());
    }
    if status.late > 0 {
        row = row.add_whole(&format!(" · {} late", crate::numbers::count(status.late)), theme.notice());
    }
    let addresses: Vec<&str> = status.endpoints.iter().map(|endpoint| endpoint.address.as_str()).collect();
    let listening = format!("  on {} ", addresses.join(" "));
    if !addresses.is_empty() && text::width(&listening) <= row.free() {
        row = row.fill_to(text::width(&listening)).add(&listening, theme.faint());
    }
    row.draw(area, None, buffer);
}

/// What the graph is of: `last 5 min`, or clearly that it is the past.
fn window(view: View, is_awaited: bool, theme: Theme, row: Row) -> Row {
    let row = match (view.until_ns, view.window.minutes()) {
        (None, Some(minutes)) => row.add_whole(&format!(" last {minutes} min "), theme.strong()),
        (None, None) => row.add_whole(" all ", theme.strong()),
        (Some(until_ns), minutes) => {
            let end_ns = (until_ns / MINUTE_NS + 1) * MINUTE_NS;
            let clock = |ns| time_of_day(ns)[..5].to_owned();
            let words = match minutes {
                Some(minutes) => format!(" PAST {} to {} UTC ", clock(end_ns - minutes * MINUTE_NS), clock(end_ns)),
                None => format!(" PAST all until {} UTC ", clock(end_ns)),
            };
            row.add_whole(&words, theme.notice().patch(theme.selected()))
        }
    };
    if is_awaited { row.add_whole("… ", theme.notice()) } else { row }
}

fn footer(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if state.overlay == Some(Overlay::Filter) {
        let row = Row::new(usize::from(area.width)).add(" / ", theme.key()).add(&state.filter, theme.strong());
        let row = row.add("▏", theme.key()).add_whole("   Enter keeps it, Esc clears it", theme.faint());
        row.draw(area, None, buffer);
        return;
    }
    let mut row = Row::new(usize::from(area.width));
    if !state.filter.is_empty() && matches!(state.screen(), Screen::Overview | Screen::Edges) {
        row = row.add(" /", theme.key()).add(&state.filter, theme.notice()).add(" ", theme.text());
    }
    for (key, word) in hints(state) {
        let cells = text::width(key) + text::width(word) + 3;
        if cells > row.free() {
            continue;
        }
        row = row.add(" ", theme.text()).add(key, theme.key()).add(" ", theme.text());
        row = row.add(word, theme.faint()).add(" ", theme.text());
    }
    row.draw(area, None, buffer);
}

/// The keys that matter here, the most important first: those at the end are left out where there is no room.
fn hints(state: &State) -> Vec<(&'static str, &'static str)> {
    let mut hints = match (state.screen(), state.overlay) {
        (_, Some(_)) => return vec![("Esc", "close"), ("q", "quit")],
        (Screen::Overview, _) if state.is_empty() => vec![],
        (Screen::Overview, _) => {
            let (other, enter) = match state.focus {
                Focus::Findings => ("graph", "show"),
                Focus::Graph => ("findings", "node"),
            };
            vec![("Enter", enter), ("↑↓", "choose"), ("Tab", other), ("e", "table")]
        }
        (Screen::Edges, _) => {
            vec![("Enter", "show"), ("↑↓", "choose"), ("o", "order"), ("/", "filter"), ("Esc", "back")]
        }
        (Screen::Detail(_), _) => vec![("Enter", "open"), ("↑↓", "choose"), ("PgDn", "more"), ("Esc", "back")],
        (Screen::Trace(view), _) => {
            let logs = view.shown().is_some_and(Shown::has_log_lines).then_some(("x", "logs"));
            [("n", "next proof"), ("↑↓", "choose")].into_iter().chain(logs).chain([("Esc", "back")]).collect()
        }
    };
    if state.live.view.is_some_and(|view| view.until_ns.is_some()) {
        hints.push(("}", "now"));
    }
    hints.extend([("?", "help"), ("q", "quit")]);
    if state.screen() == &Screen::Overview {
        hints.extend(further_hints(state));
    }
    hints
}

/// What else the overview knows, where there is room to say it.
fn further_hints(state: &State) -> Vec<(&'static str, &'static str)> {
    let scenarios = (!state.live.status.scenarios.is_empty()).then_some(("s", "scenarios"));
    let windows = [("w", "window"), ("[", "past")].into_iter().filter(|_| state.live.view.is_some());
    let mut hints: Vec<_> = scenarios.into_iter().chain(windows).collect();
    if !state.is_empty() {
        let datastores = if state.is_folded { "datastores" } else { "fold" };
        hints.extend([("f", "focus"), ("d", datastores), ("/", "filter"), ("Space", "hold")]);
    }
    hints
}

/// A line of plain text in one style.
pub(super) fn plain(text: &str, style: ratatui::style::Style) -> Line<'static> {
    Line::from(Span::styled(text.to_owned(), style))
}

//! The first screen: the drawing above, the findings below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::state::{State, WIDE_COLUMNS};
use crate::theme::Theme;

use super::{findings, graph};

/// The share of a wide screen that the list of findings takes.
const LIST_PERCENT: u16 = 54;

/// Draws the screen.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let rows = state.rows();
    let above = Rect { height: rows.graph, ..area };
    let below = Rect { y: area.y + rows.graph, height: rows.findings, ..area };
    graph::draw(state, theme, above, buffer);
    if area.width >= WIDE_COLUMNS && state.selected_finding().is_some() {
        let list = Rect { width: area.width * LIST_PERCENT / 100, ..below };
        let told = Rect { x: list.x + list.width + 1, width: area.width - list.width - 1, ..below };
        findings::list(state, theme, list, buffer);
        findings::tell(state, theme, told, buffer);
    } else {
        findings::list(state, theme, below, buffer);
    }
}

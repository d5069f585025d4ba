//! The cells that lines run through, clipped to what is in sight.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use spanlint_analyzer::finding::Severity;

use crate::figures::{Figures, Health};
use crate::text;
use crate::theme::Theme;

const NORTH: u8 = 1;
const EAST: u8 = 2;
const SOUTH: u8 = 4;
const WEST: u8 = 8;

/// What a line has to say; of lines in one cell, the greatest is seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    is_highlighted: bool,
    severity: Option<Severity>,
    health: Health,
}

impl Rank {
    /// The rank of a line with these figures.
    pub(super) fn of(figures: &Figures, is_highlighted: bool) -> Self {
        Self { is_highlighted, severity: figures.severity, health: figures.health() }
    }

    fn style(self, theme: Theme) -> Style {
        let style = self.severity.map_or_else(|| theme.line(self.health), |severity| theme.severity(severity));
        if self.is_highlighted && self.severity.is_none() {
            theme.strong().patch(theme.health(self.health))
        } else {
            style
        }
    }
}

/// One cell. Lines along and across are kept apart until it is known whether they join.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    directions: u8,
    across: Rank,
    along: Rank,
    /// Whether a line turns or branches here; else lines along and across pass one another.
    is_joined: bool,
    head: Option<(Head, Rank)>,
}

/// Where a line leads, at one of its ends. Where lines end together, the greatest is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Head {
    /// Back into the node at the left.
    Left,
    /// Into the node at the right.
    Right,
    /// Into both: each calls the other.
    BothWays,
}

/// The part of the drawing that is in sight.
#[derive(Debug)]
pub(super) struct Canvas {
    room: Rect,
    pan: (usize, usize),
    /// By row and column of the drawing.
    cells: BTreeMap<(usize, usize), Cell>,
}

/// Column and row of the drawing.
type Point = (usize, usize);

impl Canvas {
    /// A canvas whose top left shows the drawing's cell `pan`.
    pub(super) fn new(room: Rect, pan: (usize, usize)) -> Self {
        Self { room, pan, cells: BTreeMap::new() }
    }

    /// Draws a line through corner points, each in a row or column with the one before.
    pub(super) fn line(&mut self, points: &[Point], rank: Rank) {
        for pair in points.windows(2) {
            self.segment(pair[0], pair[1], rank);
        }
        for triple in points.windows(3) {
            let turns = triple[0].1 != triple[2].1 && triple[0].0 != triple[2].0;
            if let Some(cell) = self.cell(triple[1]).filter(|_| turns) {
                cell.is_joined = true;
            }
        }
    }

    /// Draws the end of a line.
    pub(super) fn head(&mut self, at: Point, head: Head, rank: Rank) {
        if let Some(cell) = self.cell(at) {
            cell.head =
                Some(cell.head.map_or((head, rank), |(known, known_rank)| (known.max(head), known_rank.max(rank))));
        }
    }

    fn segment(&mut self, from: Point, to: Point, rank: Rank) {
        if from.1 == to.1 {
            let (low, high) = (from.0.min(to.0), from.0.max(to.0));
            let (first, last) = (low.max(self.pan.0), high.min(self.pan.0 + usize::from(self.room.width)));
            for column in first..=last {
                let directions = if column > low { WEST } else { 0 } | if column < high { EAST } else { 0 };
                // A line of one cell still shows.
                let directions = if low == high { WEST } else { directions };
                if let Some(cell) = self.cell((column, from.1)) {
                    cell.directions |= directions;
                    cell.across = cell.across.max(rank);
                }
            }
            return;
        }
        let (low, high) = (from.1.min(to.1), from.1.max(to.1));
        let (first, last) = (low.max(self.pan.1), high.min(self.pan.1 + usize::from(self.room.height)));
        for row in first..=last {
            let directions = if row > low { NORTH } else { 0 } | if row < high { SOUTH } else { 0 };
            if let Some(cell) = self.cell((from.0, row)) {
                cell.directions |= directions;
                cell.along = cell.along.max(rank);
            }
        }
    }

    fn cell(&mut self, at: Point) -> Option<&mut Cell> {
        self.position(at)?;
        Some(self.cells.entry((at.1, at.0)).or_default())
    }

    /// Where a cell of the drawing stands on the screen, if it does.
    fn position(&self, at: Point) -> Option<(u16, u16)> {
        let column = at.0.checked_sub(self.pan.0).filter(|column| *column < usize::from(self.room.width))?;
        let row = at.1.checked_sub(self.pan.1).filter(|row| *row < usize::from(self.room.height))?;
        Some((self.room.x + column as u16, self.room.y + row as u16))
    }

    /// Draws the lines.
    pub(super) fn draw(&self, theme: Theme, buffer: &mut Buffer) {
        for (&(row, column), cell) in &self.cells {
            if let Some(position) = self.position((column, row)) {
                let (symbol, rank) = cell.symbol();
                buffer[position].set_symbol(symbol).set_style(rank.style(theme));
            }
        }
    }

    /// Writes text of the drawing, cut where it leaves what is in sight.
    pub(super) fn text(&self, at: Point, text: &str, style: Style, buffer: &mut Buffer) {
        let hidden = self.pan.0.saturating_sub(at.0);
        let (skipped, rest) = skip_cells(text, hidden);
        let Some((x, y)) = self.position((at.0 + skipped, at.1)) else { return };
        let room = usize::from(self.room.x + self.room.width - x);
        buffer.set_string(x, y, text::fit(rest, room), style);
    }
}

impl Cell {
    fn symbol(&self) -> (&'static str, Rank) {
        let rank = self.across.max(self.along);
        if let Some((head, rank)) = self.head {
            let symbol = match head {
                Head::Left => "◀",
                Head::Right => "▶",
                Head::BothWays => "◆",
            };
            return (symbol, rank);
        }
        let is_bridge =
            !self.is_joined && self.directions & (NORTH | SOUTH) != 0 && self.directions & (EAST | WEST) != 0;
        if is_bridge {
            let is_across = self.across > self.along;
            let directions = if is_across { EAST | WEST } else { NORTH | SOUTH };
            return (glyph(directions, rank.is_highlighted), rank);
        }
        (glyph(self.directions, rank.is_highlighted), rank)
    }
}

fn glyph(directions: u8, is_heavy: bool) -> &'static str {
    const LIGHT: [&str; 16] = [" ", "│", "─", "╰", "│", "│", "╭", "├", "─", "╯", "─", "┴", "╮", "┤", "┬", "┼"];
    const HEAVY: [&str; 16] = [" ", "┃", "━", "┗", "┃", "┃", "┏", "┣", "━", "┛", "━", "┻", "┓", "┫", "┳", "╋"];
    (if is_heavy { HEAVY } else { LIGHT })[usize::from(directions & 15)]
}

/// How many cells were skipped, at least `cells` where the text has so many, and the rest.
fn skip_cells(text: &str, cells: usize) -> (usize, &str) {
    let mut skipped = 0;
    for (index, character) in text.char_indices() {
        if skipped >= cells {
            return (skipped, &text[index..]);
        }
        skipped += text::width(&text[index..index + character.len_utf8()]);
    }
    (skipped, "")
}

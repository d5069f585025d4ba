//! The drawing of the call graph: nodes as labels with figures below, lines in box-drawing characters.
//!
//! Shapes tell kinds apart: `[service]`, `(datastore)`, `{topic}`, `<external>`. A line that runs across another without
//! touching it passes beneath; `├`, `┴` and their like always join.

mod canvas;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use spanlint_graph::NodeKind;

use self::canvas::{Canvas, Head, Rank};
use super::lines::heading;
use super::row_of;
use crate::figures::{self, Figures};
use crate::layout::Route;
use crate::layout::place::Track;
use crate::numbers::{duration, rate, share};
use crate::state::{Drawing, Focus, State};
use crate::text;
use crate::theme::{Theme, sign};
use crate::topology::{DrawnNode, shaped};

/// Draws the graph below a heading.
pub(super) fn draw(state: &State, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let room = Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height - 1 };
    let drawing = &state.drawing;
    let right = hidden(drawing, room);
    heading(title(state, theme), &right, state.focus == Focus::Graph, theme, row_of(area, 0), buffer);
    let placement = &drawing.placement;
    // A drawing that is smaller than its room stands in the middle.
    let left = usize::from(room.width).saturating_sub(placement.width) / 2;
    let top = usize::from(room.height).saturating_sub(placement.height) / 2;
    let room = Rect {
        x: room.x + left as u16,
        y: room.y + top as u16,
        width: room.width - left as u16,
        height: room.height - top as u16,
    };
    let (highlighted, marked) = state.highlighted();
    let mut canvas = Canvas::new(room, drawing.pan);
    for (index, route) in drawing.layout.routes.iter().enumerate() {
        let is_highlighted = highlighted.contains(&drawing.topology.edges[index]);
        trace_route(drawing, route, Rank::of(&drawing.lines[index], is_highlighted), &mut canvas);
    }
    canvas.draw(theme, buffer);
    let seconds = figures::seconds(&state.live);
    for (place, node) in drawing.topology.nodes.iter().enumerate() {
        let is_selected = state.focus == Focus::Graph && state.node.as_ref() == Some(&node.id);
        let is_dim = !state.filter.is_empty() && !state.is_match(&node.name);
        let style = match () {
            () if is_selected => theme.selected().patch(theme.strong()),
            () if is_dim => theme.faint(),
            () if marked.contains(&place) => {
                drawing.nodes[place].severity.map_or(theme.strong(), |s| theme.severity(s))
            }
            () if node.kind == NodeKind::Service => theme.strong(),
            () => theme.other_node(),
        };
        draw_node(drawing, place, style, seconds, &canvas, theme, buffer);
    }
}

fn title(state: &State, theme: Theme) -> Line<'static> {
    let graph = &state.live.graph;
    if !state.centre.is_empty() {
        let nodes = state.centre.iter().filter_map(|id| graph.node_by_id(id));
        let names: Vec<&str> = nodes.map(|index| graph.node(index).name.as_str()).collect();
        let words = format!("only around {} (f: all)", text::fit_middle(&names.join(", "), 32));
        return Line::from(Span::styled(words, theme.notice()));
    }
    let count = |kind| graph.nodes.iter().filter(|node| node.kind == kind).count() as u64;
    let others = [NodeKind::Datastore, NodeKind::Topic, NodeKind::External];
    let kinds = [NodeKind::Service].into_iter().chain(others.into_iter().filter(|kind| count(*kind) > 0));
    let words: Vec<String> = kinds.map(|kind| crate::numbers::counted(count(kind), kind.as_str())).collect();
    let words = words.join(" · ");
    Line::from(Span::styled(words, theme.strong()))
}

/// What is not in sight: `← → ↓`, and how many nodes are not drawn at all.
fn hidden(drawing: &Drawing, room: Rect) -> String {
    let (placement, pan) = (&drawing.placement, drawing.pan);
    let mut words: Vec<String> = Vec::new();
    if drawing.topology.left_out > 0 {
        words.push(format!("{} more in the table (e)", drawing.topology.left_out));
    }
    let sides = [
        (pan.0 > 0, "←"),
        (pan.1 > 0, "↑"),
        (pan.1 + usize::from(room.height) < placement.height, "↓"),
        (pan.0 + usize::from(room.width) < placement.width, "→"),
    ];
    let arrows: Vec<&str> = sides.iter().filter(|(is_hidden, _)| *is_hidden).map(|(_, arrow)| *arrow).collect();
    if !arrows.is_empty() {
        words.push(format!("more {}", arrows.join(" ")));
    }
    words.join(" · ")
}

/// Draws one edge, from slot to slot.
fn trace_route(drawing: &Drawing, route: &Route, rank: Rank, canvas: &mut Canvas) {
    let (layout, placement) = (&drawing.layout, &drawing.placement);
    let (first, last) = (route.slots[0], route.slots[route.slots.len() - 1]);
    let goes_both_ways =
        [(first, last), (last, first)].iter().all(|line| drawing.topology.edges.binary_search(line).is_ok());
    for (step, pair) in route.slots.windows(2).enumerate() {
        let (from, to) = (layout.slots[pair[0]], layout.slots[pair[1]]);
        let column = placement.columns[from.layer].0;
        let start = if from.is_through { column } else { column + label_cells(drawing, from.node) };
        let end = placement.columns[to.layer].0 - 1;
        let (row, to_row) = (placement.rows[pair[0]], placement.rows[pair[1]]);
        let net = layout.channels[from.layer].binary_search_by_key(&pair[0], |net| net.from);
        let track = net.map_or_else(|_| Track::default(), |net| placement.tracks[from.layer][net]);
        let mut points = vec![(start, row)];
        let mut turn_row = row;
        if let Some((first, detour)) = track.detour {
            points.extend([(first, row), (first, detour)]);
            turn_row = detour;
        }
        if turn_row != to_row {
            points.extend([(track.column, turn_row), (track.column, to_row)]);
        }
        points.push((end, to_row));
        canvas.line(&points, rank);
        let is_last = step + 2 == route.slots.len();
        if is_last && goes_both_ways {
            canvas.head((end, to_row), Head::BothWays, rank);
        } else if is_last && !route.is_reversed {
            canvas.head((end, to_row), Head::Right, rank);
        }
        if step == 0 && route.is_reversed {
            canvas.head((start, row), Head::Left, rank);
        }
    }
}

/// The name in the shape of its kind; the sign of a finding comes after it.
fn label(node: &DrawnNode, name: &str) -> String {
    let entry = if node.is_entry { "»" } else { "" };
    let itself = if node.calls_itself { "↻" } else { "" };
    let name = shaped(node.kind, name);
    format!("{entry}{name}{itself}")
}

fn label_cells(drawing: &Drawing, place: usize) -> usize {
    let name = label(&drawing.topology.nodes[place], &drawing.names[place]);
    text::width(&name) + usize::from(drawing.nodes[place].severity.is_some())
}

fn draw_node(
    drawing: &Drawing,
    place: usize,
    style: Style,
    seconds: f64,
    canvas: &Canvas,
    theme: Theme,
    buffer: &mut Buffer,
) {
    let (node, figures) = (&drawing.topology.nodes[place], &drawing.nodes[place]);
    let placement = &drawing.placement;
    let (column, width) = placement.columns[drawing.layout.slots[place].layer];
    let row = placement.rows[place];
    let name = label(node, &drawing.names[place]);
    canvas.text((column, row), &name, style, buffer);
    if let Some(severity) = figures.severity {
        canvas.text((column + text::width(&name), row), sign(severity), theme.severity(severity), buffer);
    }
    if placement.density.figure_cells == 0 || figures.calls + figures.queries == 0 {
        return;
    }
    let mut at = column + 1;
    for (text, style) in figure_words(figures, seconds, theme, width.saturating_sub(1)) {
        canvas.text((at, row + 1), &text, style, buffer);
        at += text::width(&text) + 1;
    }
}

/// What fits below a name, the most telling first: rate, errors, latency, queries.
fn figure_words(figures: &Figures, seconds: f64, theme: Theme, cells: usize) -> Vec<(String, Style)> {
    let mut words = vec![(rate(figures.calls as f64 / seconds), theme.text())];
    if figures.failures > 0 {
        words.push((format!("{}err", share(figures.failures, figures.calls)), theme.health(figures.health())));
    }
    words.push((duration(figures.latency_p95_ns), theme.faint()));
    let mut free = cells + 1;
    words.retain(|(text, _)| {
        let wanted = text::width(text) + 1;
        let fits = wanted <= free;
        free -= if fits { wanted } else { 0 };
        fits
    });
    if figures.queries > 0 {
        // That there is a datastore is told even where its rate does not fit.
        let queries = format!("▤{}", rate(figures.queries as f64 / seconds));
        let fitting = [queries.as_str(), "▤"].into_iter().find(|word| text::width(word) < free);
        words.extend(fitting.map(|word| (word.to_owned(), theme.other_node())));
    }
    words
}

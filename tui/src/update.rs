//! The only writer of [`State`].

use std::sync::Arc;

use spanlint_analyzer::finding::Subject;
use spanlint_graph::View;

use crate::detail::{self, Detail, Link, Part};
use crate::live::Live;
use crate::message::{Direction, Effect, Key, Message};
use crate::state::{Focus, Overlay, Screen, State};
use crate::table::Order;
use crate::trace::TraceView;
use crate::view;

/// Rows of a page, where the screen does not say.
const PAGE_ROWS: usize = 10;
/// Columns that one step moves the window of the drawing.
const PAN_COLUMNS: usize = 8;
/// Rows that one step moves the window of the drawing.
const PAN_ROWS: usize = 2;
/// Rows of the list of keys.
pub(crate) const HELP_ROWS: usize = 22;
/// A minute, in nanoseconds.
const MINUTE_NS: u64 = 60_000_000_000;
/// The longest filter, in characters.
const MAX_FILTER: usize = 40;

/// Takes a message; answers with what the loop shall do.
pub(crate) fn update(state: &mut State, message: Message) -> Option<Effect> {
    match message {
        Message::Key(key) => press(state, key),
        Message::Tick(now_ns) => {
            state.now_ns = now_ns;
            None
        }
        Message::Live(live) => {
            receive(state, live);
            None
        }
        Message::Trace(trace_id, waterfall) => {
            let asked = |screen: &&mut Screen| matches!(screen, Screen::Trace(view) if view.trace_id == trace_id);
            if let Some(Screen::Trace(view)) = state.screens.iter_mut().find(asked) {
                view.receive(waterfall);
            }
            None
        }
        Message::Resize(columns, rows) => {
            state.size = (columns, rows);
            state.place();
            state.reveal_finding();
            None
        }
    }
}

/// The state of the collector and of the scenarios is always shown as it is; a held picture keeps its graph and findings.
fn receive(state: &mut State, live: Arc<Live>) {
    if !state.is_paused {
        state.show(live);
        return;
    }
    let held = Live { status: live.status.clone(), ..(*state.live).clone() };
    state.held_back = Some(live);
    state.show(Arc::new(held));
}

fn press(state: &mut State, key: Key) -> Option<Effect> {
    if key == Key::Interrupt {
        return Some(Effect::Quit);
    }
    if state.overlay == Some(Overlay::Filter) {
        return type_filter(state, key);
    }
    let key = arrow(key);
    match state.overlay {
        Some(overlay) => press_overlay(state, overlay, key),
        None => match press_anywhere(state, key) {
            Outcome::Done(effect) => effect,
            Outcome::NotMine => match state.screen() {
                Screen::Overview => press_overview(state, key),
                Screen::Edges => press_edges(state, key),
                Screen::Detail(_) => press_detail(state, key),
                Screen::Trace(_) => {
                    press_trace(state, key);
                    None
                }
            },
        },
    }
}

/// The arrow that a letter stands for, as in vi.
fn arrow(key: Key) -> Key {
    match key {
        Key::Char('h') => Key::Move(Direction::Left),
        Key::Char('j') => Key::Move(Direction::Down),
        Key::Char('k') => Key::Move(Direction::Up),
        Key::Char('l') => Key::Move(Direction::Right),
        Key::Char('H') => Key::Pan(Direction::Left),
        Key::Char('J') => Key::Pan(Direction::Down),
        Key::Char('K') => Key::Pan(Direction::Up),
        Key::Char('L') => Key::Pan(Direction::Right),
        other => other,
    }
}

/// Whether a key was taken.
enum Outcome {
    Done(Option<Effect>),
    NotMine,
}

fn press_anywhere(state: &mut State, key: Key) -> Outcome {
    match key {
        Key::Char('q') => return Outcome::Done(Some(Effect::Quit)),
        Key::Char('?') => state.overlay = Some(Overlay::Help(0)),
        Key::Char('s') if !state.live.status.scenarios.is_empty() => state.overlay = Some(Overlay::Scenarios(0)),
        Key::Char(digit @ '1'..='9') => return Outcome::Done(switch(state, digit as usize - '1' as usize)),
        Key::Char('u') => state.overlay = Some(Overlay::Undecided(0)),
        Key::Char(' ') => {
            state.is_paused = !state.is_paused;
            if let Some(live) = state.held_back.take().filter(|_| !state.is_paused) {
                state.show(live);
            }
        }
        Key::Char('/') if matches!(state.screen(), Screen::Overview | Screen::Edges) => {
            state.overlay = Some(Overlay::Filter);
        }
        Key::Char('w') => return Outcome::Done(look(state, |view, _| View { window: view.window.next(), ..view })),
        Key::Char('[') => return Outcome::Done(look(state, a_minute_back)),
        Key::Char(']') => return Outcome::Done(look(state, a_minute_on)),
        Key::Char('}') => return Outcome::Done(look(state, |view, _| View { until_ns: None, ..view })),
        Key::Char('e') => {
            state.screens = vec![Screen::Overview, Screen::Edges];
            state.redraw();
        }
        Key::Char('g') => state.screens.truncate(1),
        Key::Escape | Key::Backspace if state.screens.len() > 1 => {
            state.screens.pop();
            state.redraw();
        }
        _ => return Outcome::NotMine,
    }
    Outcome::Done(None)
}

/// Asks for another view; the picture that comes shows it. Recordings have no other.
fn look(state: &mut State, change: impl Fn(View, u64) -> View) -> Option<Effect> {
    let view = state.wanted.or(state.live.view)?;
    let wanted = change(view, state.now_ns);
    state.wanted = Some(wanted);
    (wanted != view).then_some(Effect::Look(wanted))
}

/// The view that ends a minute earlier.
fn a_minute_back(view: View, now_ns: u64) -> View {
    View { until_ns: Some(view.until_ns.unwrap_or(now_ns).saturating_sub(MINUTE_NS)), ..view }
}

/// The view that ends a minute later, or now.
fn a_minute_on(view: View, now_ns: u64) -> View {
    let later = view.until_ns.map(|until_ns| until_ns + MINUTE_NS);
    View { until_ns: later.filter(|until_ns| until_ns / MINUTE_NS < now_ns / MINUTE_NS), ..view }
}

fn switch(state: &State, index: usize) -> Option<Effect> {
    let scenario = state.live.status.scenarios.get(index)?;
    Some(Effect::SetScenario { name: scenario.name.clone(), is_on: !scenario.is_on })
}

fn press_overlay(state: &mut State, overlay: Overlay, key: Key) -> Option<Effect> {
    match (overlay, key) {
        (Overlay::Help(row), Key::Move(_) | Key::Home | Key::End | Key::PageUp | Key::PageDown) => {
            let hidden = (HELP_ROWS + 4).saturating_sub(usize::from(state.size.1));
            state.overlay = Some(Overlay::Help(moved(row, key, hidden + 1, PAGE_ROWS)));
        }
        (Overlay::Scenarios(row), Key::Move(_) | Key::Home | Key::End | Key::PageUp | Key::PageDown) => {
            let row = moved(row, key, state.live.status.scenarios.len(), PAGE_ROWS);
            state.overlay = Some(Overlay::Scenarios(row));
        }
        (Overlay::Scenarios(row), Key::Enter | Key::Char(' ')) => return switch(state, row),
        (Overlay::Scenarios(_), Key::Char(digit @ '1'..='9')) => return switch(state, digit as usize - '1' as usize),
        (Overlay::Undecided(row), Key::Move(_) | Key::Home | Key::End | Key::PageUp | Key::PageDown) => {
            state.overlay = Some(Overlay::Undecided(moved(row, key, state.live.undecided.len(), PAGE_ROWS)));
        }
        (_, Key::Char('q')) => return Some(Effect::Quit),
        _ => state.overlay = None,
    }
    None
}

fn type_filter(state: &mut State, key: Key) -> Option<Effect> {
    match key {
        Key::Char(character) if state.filter.chars().count() < MAX_FILTER => {
            state.filter.extend(character.to_lowercase());
        }
        Key::Backspace => {
            state.filter.pop();
        }
        Key::Enter => state.overlay = None,
        Key::Escape => {
            state.filter.clear();
            state.overlay = None;
        }
        _ => {}
    }
    state.redraw();
    None
}

fn press_overview(state: &mut State, key: Key) -> Option<Effect> {
    match key {
        Key::Tab => {
            state.focus = if state.focus == Focus::Graph { Focus::Findings } else { Focus::Graph };
            if state.focus == Focus::Graph && state.node.is_none() {
                select_first_node(state);
            }
        }
        Key::Char('d') => {
            state.is_folded = !state.is_folded;
            state.redraw();
        }
        Key::Char('f') => focus_neighbourhood(state),
        Key::Escape if !state.centre.is_empty() => {
            state.centre.clear();
            state.redraw();
        }
        Key::Escape => {
            state.filter.clear();
            state.redraw();
        }
        Key::Pan(direction) => pan(state, direction),
        Key::Enter => return open(state),
        _ if state.focus == Focus::Graph && state.drawing.topology.nodes.is_empty() => {}
        Key::Move(direction) if state.focus == Focus::Graph => select_towards(state, direction),
        Key::Move(Direction::Left | Direction::Right) if state.focus == Focus::Findings => {
            let Key::Move(direction) = key else { return None };
            pan(state, direction);
        }
        _ if state.focus == Focus::Findings => {
            state.finding = moved(state.finding, key, state.findings().count(), PAGE_ROWS);
            state.reveal_finding();
        }
        _ => {}
    }
    None
}

fn open(state: &mut State) -> Option<Effect> {
    let detail = match state.focus {
        Focus::Findings => state.selected_finding().map(Detail::of_finding),
        Focus::Graph => state.node.clone().map(|node| Detail::of_part(Part::Node(node))),
    };
    state.screens.extend(detail.map(Screen::Detail));
    None
}

/// The node of the selected finding, else the first one of the first layer.
fn select_first_node(state: &mut State) {
    let (_, nodes) = state.highlighted();
    let first =
        state.drawing.layout.layers.first().and_then(|layer| layer.iter().find(|slot| !is_through(state, **slot)));
    let place = nodes.first().or(first).copied();
    state.node = place.map(|place| state.drawing.topology.nodes[place].id.clone());
    state.reveal(place.as_slice());
}

fn is_through(state: &State, slot: usize) -> bool {
    state.drawing.layout.slots[slot].is_through
}

/// Selects the nearest node in a direction: columns are layers, so the layer comes first and then the row.
fn select_towards(state: &mut State, direction: Direction) {
    let Some(place) = state.node.as_deref().and_then(|id| state.drawing.topology.place(id)) else {
        select_first_node(state);
        return;
    };
    let drawing = &state.drawing;
    let at = |place: usize| (drawing.layout.slots[place].layer, drawing.placement.rows[place]);
    let (layer, row) = at(place);
    let others = (0..drawing.topology.nodes.len()).filter(|&other| other != place);
    let chosen = match direction {
        Direction::Up => others.filter(|&other| at(other).0 == layer && at(other).1 < row).max_by_key(|&o| at(o).1),
        Direction::Down => others.filter(|&other| at(other).0 == layer && at(other).1 > row).min_by_key(|&o| at(o).1),
        Direction::Left => others
            .filter(|&other| at(other).0 < layer)
            .min_by_key(|&other| (layer - at(other).0, at(other).1.abs_diff(row))),
        Direction::Right => others
            .filter(|&other| at(other).0 > layer)
            .min_by_key(|&other| (at(other).0 - layer, at(other).1.abs_diff(row))),
    };
    if let Some(chosen) = chosen {
        state.node = Some(state.drawing.topology.nodes[chosen].id.clone());
        state.reveal(&[chosen]);
    }
}

/// Narrows the drawing to the selected node, or to those of the selected finding; a second time widens it again.
fn focus_neighbourhood(state: &mut State) {
    if state.centre.is_empty() {
        let (_, places) = state.highlighted();
        state.centre = places.iter().map(|&place| state.drawing.topology.nodes[place].id.clone()).collect();
    } else {
        state.centre.clear();
    }
    state.redraw();
}

fn pan(state: &mut State, direction: Direction) {
    let pan = &mut state.drawing.pan;
    match direction {
        Direction::Up => pan.1 = pan.1.saturating_sub(PAN_ROWS),
        Direction::Down => pan.1 += PAN_ROWS,
        Direction::Left => pan.0 = pan.0.saturating_sub(PAN_COLUMNS),
        Direction::Right => pan.0 += PAN_COLUMNS,
    }
    state.limit_pan();
}

fn press_edges(state: &mut State, key: Key) -> Option<Effect> {
    match key {
        Key::Char('o') => {
            state.table.order = state.table.order.next();
            state.table.row = 0;
            state.redraw();
        }
        Key::Char('O') => {
            state.table.order = Order::default();
            state.redraw();
        }
        Key::Enter => {
            let row = state.table.rows.get(state.table.row)?;
            let part = Part::Edge(row.from.0.clone(), row.to.0.clone());
            state.screens.push(Screen::Detail(Detail::of_part(part)));
        }
        _ => state.table.row = moved(state.table.row, key, state.table.rows.len(), PAGE_ROWS),
    }
    None
}

fn press_detail(state: &mut State, key: Key) -> Option<Effect> {
    let live = state.live.clone();
    let Screen::Detail(detail) = state.screen_mut() else { return None };
    let links = detail::links(&live, detail);
    detail.link = detail.link.min(links.len().saturating_sub(1));
    match key {
        Key::Move(Direction::Up | Direction::Down) | Key::PageUp | Key::PageDown | Key::Home | Key::End => {
            scroll_detail(state, key, links.len());
        }
        Key::Char('f') => {
            let centre = match &detail.part {
                Part::Edge(from, to) => [from.clone(), to.clone()].into(),
                Part::Node(id) => [id.clone()].into(),
                Part::Whole => return None,
            };
            state.centre = centre;
            state.screens.truncate(1);
            state.redraw();
        }
        Key::Enter => match links.into_iter().nth(detail.link)? {
            Link::Edge(from, to) => {
                let edge = Detail::of_part(Part::Edge(from, to));
                state.screens.push(Screen::Detail(edge));
            }
            Link::Trace(trace_id, _) => {
                let claim = claim(&live, detail);
                state.screens.push(Screen::Trace(TraceView::awaited(trace_id, claim)));
                return Some(Effect::LoadTrace(trace_id));
            }
        },
        _ => {}
    }
    None
}

/// Moves the selection among the links or the lines of the detail screen, which never runs past its last page.
fn scroll_detail(state: &mut State, key: Key, links: usize) {
    let Screen::Detail(mut detail) = state.screen().clone() else { return };
    let link = detail.link;
    if matches!(key, Key::Move(_) | Key::Home | Key::End) {
        detail.link = moved(link, key, links, PAGE_ROWS);
    }
    let limits = view::scroll_limits(state, &detail);
    let lines = limits.last + 1;
    let scroll = detail.scroll.min(limits.last);
    detail.scroll = match key {
        Key::Move(_) if detail.link != link => scroll.clamp(limits.least, limits.most),
        _ => moved(scroll, key, lines, PAGE_ROWS / 2),
    };
    *state.screen_mut() = Screen::Detail(detail);
}

/// What a trace opened from here shall prove: the finding, or that the edge was called.
fn claim(live: &Live, detail: &Detail) -> Option<(String, Subject)> {
    if let Some(finding) = detail.finding.as_ref().and_then(|key| key.find(live)) {
        return Some((finding.title.clone(), finding.subject.clone()));
    }
    let Part::Edge(from, to) = &detail.part else { return None };
    let name = |id: &str| live.graph.node_by_id(id).map_or_else(|| id.to_owned(), |n| live.graph.node(n).name.clone());
    let subject = Subject { edges: vec![(from.clone(), to.clone())], ..Subject::default() };
    Some((format!("{} calls {}", name(from), name(to)), subject))
}

fn press_trace(state: &mut State, key: Key) {
    let rows = usize::from(state.size.1).saturating_sub(6);
    let Screen::Trace(view) = state.screen_mut() else { return };
    let Some(shown) = view.shown() else { return };
    let count = shown.waterfall.rows.len();
    if key == Key::Char('x') {
        view.has_logs = !view.has_logs;
        return;
    }
    view.row = match key {
        Key::Char('n') => (view.row + 1..count).find(|&row| shown.proves[row]).unwrap_or(view.row),
        Key::Char('N') => (0..view.row).rev().find(|&row| shown.proves[row]).unwrap_or(view.row),
        _ => moved(view.row, key, count, rows),
    };
}

/// The row after a key that moves, within `count` rows.
fn moved(row: usize, key: Key, count: usize, page: usize) -> usize {
    let row = match key {
        Key::Move(Direction::Up) => row.saturating_sub(1),
        Key::Move(Direction::Down) => row + 1,
        Key::PageUp => row.saturating_sub(page),
        Key::PageDown => row + page,
        Key::Home => 0,
        Key::End => usize::MAX,
        _ => row,
    };
    row.min(count.saturating_sub(1))
}

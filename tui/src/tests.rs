//! Message sequences against the state, and every screen against a snapshot at a fixed size and time.

use std::sync::Arc;

use insta::assert_snapshot;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use spanlint_graph::{View, Window};

use crate::detail::Part;
use crate::layout::Layout;
use crate::live::Live;
use crate::message::{Direction, Effect, Key, Message};
use crate::sample;
use crate::state::{Focus, Overlay, Screen, State};
use crate::theme::Theme;
use crate::trace::Content;
use crate::update::update;
use crate::view::view;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (120, 40);

fn dashboard(scenarios: [bool; 3], size: (u16, u16)) -> State {
    State::new(Arc::new(sample::live(0, scenarios)), size)
}

fn press(state: &mut State, keys: &str) -> Option<Effect> {
    let mut effect = None;
    for word in keys.split_whitespace() {
        let key = match word {
            "Enter" => Key::Enter,
            "Esc" => Key::Escape,
            "Tab" => Key::Tab,
            "Up" => Key::Move(Direction::Up),
            "Down" => Key::Move(Direction::Down),
            "Left" => Key::Move(Direction::Left),
            "Right" => Key::Move(Direction::Right),
            "PgDn" => Key::PageDown,
            "PgUp" => Key::PageUp,
            "Home" => Key::Home,
            "End" => Key::End,
            "Space" => Key::Char(' '),
            word => Key::Char(word.chars().next().unwrap()),
        };
        effect = update(state, Message::Key(key));
        if let Some(Effect::LoadTrace(trace_id)) = effect {
            update(state, Message::Trace(trace_id, (trace_id == sample::PROOF).then(sample::waterfall)));
        }
    }
    effect
}

fn drawn(state: &State) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(state.size.0, state.size.1)).unwrap();
    terminal.draw(|frame| view(state, Theme::new(true), frame)).unwrap();
    terminal
}

fn picture(state: &State) -> String {
    drawn(state).backend().to_string()
}

/// The screen after some keys.
fn screen(scenarios: [bool; 3], size: (u16, u16), keys: &str) -> String {
    let mut state = dashboard(scenarios, size);
    press(&mut state, keys);
    picture(&state)
}

#[test]
fn the_overview_shows_the_whole_shop() {
    assert_snapshot!("overview_clean_80x24", screen([false; 3], SMALL, ""));
    assert_snapshot!("overview_chatty_80x24", screen([true, false, false], SMALL, ""));
    assert_snapshot!("overview_all_120x40", screen([true; 3], LARGE, ""));
    assert_snapshot!("overview_unfolded_120x40", screen([false; 3], LARGE, "d"));
    assert_snapshot!("overview_around_finding_120x40", screen([false, true, false], LARGE, "f"));
}

#[test]
fn a_finding_leads_to_its_edge_and_the_edge_to_its_trace() {
    let mut state = dashboard([true, false, false], SMALL);
    press(&mut state, "Enter");
    assert_snapshot!("finding_80x24", picture(&state));
    let Screen::Detail(detail) = state.screen() else { panic!("{:?}", state.screen()) };
    assert_eq!(detail.part, Part::Edge("service:shop/cart".to_owned(), "service:shop/warehouse".to_owned()));
    assert_eq!(press(&mut state, "Enter"), Some(Effect::LoadTrace(sample::PROOF)));
    assert_snapshot!("trace_80x24", picture(&state));
    let Screen::Trace(trace) = state.screen() else { panic!("{:?}", state.screen()) };
    let shown = trace.shown().unwrap();
    let marked = shown.waterfall.rows.iter().zip(&shown.proves).filter(|(_, proves)| **proves);
    assert!(marked.clone().all(|(row, _)| row.operation == "GET /stock/{sku}"));
    assert_eq!(marked.count(), 14);
    assert!(shown.proves[trace.row]);
    press(&mut state, "Esc Esc");
    assert_eq!(state.screens, [Screen::Overview]);
}

#[test]
fn a_detail_stops_at_its_last_page() {
    const LOW: (u16, u16) = (80, 15);
    let last = screen([true, false, false], LOW, "Enter PgDn PgDn PgDn");
    assert_snapshot!("finding_end_80x15", last);
    assert_eq!(last, screen([true, false, false], LOW, &format!("Enter{}", " PgDn".repeat(20))));
    // One page back is one page back, however often it was turned on.
    let mut state = dashboard([true, false, false], LOW);
    press(&mut state, &format!("Enter{} PgUp", " PgDn".repeat(20)));
    assert_ne!(picture(&state), last);
    // The end of the page, and its beginning, with the selection.
    press(&mut state, "End");
    assert!(!picture(&state).contains("more line"), "{}", picture(&state));
    press(&mut state, "Home");
    assert_eq!(picture(&state), screen([true, false, false], LOW, "Enter"));
    // Past the last link the lines go on.
    press(&mut state, &"Down ".repeat(40));
    assert!(!picture(&state).contains("more line"), "{}", picture(&state));
    press(&mut state, &"Up ".repeat(40));
    assert_eq!(picture(&state), screen([true, false, false], LOW, "Enter"));
}

#[test]
fn the_large_screens_show_more() {
    assert_snapshot!("finding_120x40", screen([false, true, false], LARGE, "Enter"));
    assert_snapshot!("trace_120x40", screen([true, false, false], LARGE, "Enter Enter n n"));
}

#[test]
fn nodes_lead_to_edges() {
    let mut state = dashboard([false; 3], SMALL);
    press(&mut state, "Tab Enter");
    assert_snapshot!("node_80x24", picture(&state));
    press(&mut state, "Down Enter");
    assert_snapshot!("edge_80x24", picture(&state));
}

#[test]
fn the_table_sorts_and_filters() {
    assert_snapshot!("table_80x24", screen([true, false, true], SMALL, "e"));
    assert_snapshot!("table_120x40", screen([true, false, true], LARGE, "e o o o"));
    assert_snapshot!("table_filtered_80x24", screen([true, false, true], SMALL, "e / p a y"));
    assert!(screen([false; 3], SMALL, "e / x y z").contains("No edge matches the filter."));
}

#[test]
fn overlays_lie_over_the_screen() {
    assert_snapshot!("help_80x24", screen([false; 3], SMALL, "?"));
    assert_snapshot!("scenarios_80x24", screen([true, false, false], SMALL, "s Down"));
    assert_snapshot!("undecided_80x24", screen([false; 3], SMALL, "u"));
    assert_snapshot!("undecided_60x15", screen([false; 3], (60, 15), "u Down"));
}

#[test]
fn an_empty_screen_says_how_to_send_spans() {
    let mut live = Live { status: sample::status([false; 3]), ..Live::default() };
    assert_snapshot!("empty_80x24", picture(&State::new(Arc::new(live.clone()), SMALL)));
    live.status.rejected = 12;
    live.status.notice = Some("port 4318 is taken: only 127.0.0.1:4317 is open".to_owned());
    assert_snapshot!("empty_notice_120x40", picture(&State::new(Arc::new(live.clone()), LARGE)));
    live.view = Some(View { window: Window::Minute, until_ns: Some(99 * 60_000_000_000) });
    live.status.notice = Some("that minute is not kept: history begins at 2027-01-01T12:00:00Z".to_owned());
    assert_snapshot!("empty_past_80x24", picture(&State::new(Arc::new(live), SMALL)));
}

#[test]
fn little_room_shows_the_finding_and_too_little_says_so() {
    assert_snapshot!("overview_60x15", screen([true, false, false], (60, 15), ""));
    assert_snapshot!("too_small_30x8", screen([true, false, false], (30, 8), ""));
}

#[test]
fn hostile_widths_break_no_alignment() {
    let mut live = sample::live(0, [false; 3]);
    let calls = "client -> 注文サービス注文サービス http 10 5\n注文サービス注文サービス -> (カート) database 10 5\n";
    live.graph = Arc::new(sample::graph(calls, 0));
    let mut state = State::new(Arc::new(live), SMALL);
    press(&mut state, "d");
    assert_snapshot!("wide_characters_80x24", picture(&state));
}

#[test]
fn a_trace_that_is_gone_says_so() {
    let mut state = dashboard([true, false, false], SMALL);
    press(&mut state, "Enter Enter");
    update(&mut state, Message::Trace(sample::PROOF, None));
    assert!(matches!(state.screen(), Screen::Trace(trace) if trace.content == Content::Gone));
    assert!(picture(&state).contains("not kept any more"));
}

#[test]
fn a_held_picture_changes_only_its_counters() {
    let mut state = dashboard([false; 3], SMALL);
    press(&mut state, "Space");
    update(&mut state, Message::Live(Arc::new(sample::live(9, [true; 3]))));
    assert_eq!(state.findings().count(), 0);
    assert!(state.live.status.scenarios[0].is_on);
    assert!(picture(&state).contains("PAUSED"));
    press(&mut state, "Space");
    assert_eq!(state.findings().count(), 3);
}

#[test]
fn the_selected_finding_stays_selected_when_others_come_and_go() {
    let mut state = dashboard([true, false, false], SMALL);
    update(&mut state, Message::Live(Arc::new(sample::live(1, [true; 3]))));
    assert_eq!(state.selected_finding().unwrap().rule.name, "n-plus-one-calls");
    update(&mut state, Message::Live(Arc::new(sample::live(2, [false; 3]))));
    assert!(state.selected_finding().is_none());
    assert!(press(&mut state, "Enter").is_none());
    assert_eq!(state.screens.len(), 1);
}

#[test]
fn a_mended_fault_is_said_to_be_gone_where_it_was_looked_at() {
    let mut state = dashboard([true, false, false], SMALL);
    press(&mut state, "Enter");
    update(&mut state, Message::Live(Arc::new(sample::live(1, [false; 3]))));
    assert!(picture(&state).contains("n-plus-one-calls is not seen any more"));
}

#[test]
fn scenarios_switch_by_number_and_from_the_menu() {
    let switch = |name: &str, is_on| Some(Effect::SetScenario { name: name.to_owned(), is_on });
    let mut state = dashboard([true, false, false], SMALL);
    assert_eq!(press(&mut state, "1"), switch("chatty-cart", false));
    assert_eq!(press(&mut state, "s Down Enter"), switch("shared-database", true));
    assert_eq!(press(&mut state, "9"), None);
}

#[test]
fn the_filter_narrows_findings_and_escape_clears_it() {
    let mut state = dashboard([true; 3], SMALL);
    press(&mut state, "/ C A R T Enter");
    assert_eq!((state.findings().count(), state.overlay), (1, None));
    press(&mut state, "/ Esc");
    assert_eq!(state.findings().count(), 3);
    press(&mut state, "/ q q");
    assert_eq!((state.filter.as_str(), state.overlay), ("qq", Some(Overlay::Filter)));
    assert!(picture(&state).contains("No finding matches"));
}

#[test]
fn arrows_walk_the_graph_along_its_layers() {
    let mut state = dashboard([false; 3], SMALL);
    press(&mut state, "Tab");
    assert_eq!((state.focus, state.node.as_deref()), (Focus::Graph, Some("service:shop/gateway")));
    press(&mut state, "Right l Left Left");
    assert_eq!(state.node.as_deref(), Some("service:shop/gateway"));
}

#[test]
fn leaving_is_always_possible() {
    for keys in ["q", "? q", "s q", "Enter q", "Enter Enter q", "e q"] {
        assert_eq!(press(&mut dashboard([true; 3], SMALL), keys), Some(Effect::Quit), "{keys}");
    }
    let mut state = dashboard([true; 3], SMALL);
    press(&mut state, "/");
    assert_eq!(update(&mut state, Message::Key(Key::Interrupt)), Some(Effect::Quit));
}

#[test]
fn silence_is_told_from_quiet() {
    let mut state = dashboard([false; 3], SMALL);
    let later = state.live.at_ns + 12_000_000_000;
    update(&mut state, Message::Tick(later));
    assert!(picture(&state).contains("no news for 12 s"));
    let waiting = Live { status: sample::status([false; 3]), ..Live::default() };
    let mut state = State::new(Arc::new(waiting), SMALL);
    update(&mut state, Message::Tick(later));
    assert!(!picture(&state).contains("no news"), "{}", picture(&state));
}

#[test]
fn without_colour_nothing_is_coloured_and_severity_is_still_told() {
    let state = dashboard([true, true, false], SMALL);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| view(&state, Theme::new(false), frame)).unwrap();
    let buffer = terminal.backend().buffer();
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let text = terminal.backend().to_string();
    assert!(text.contains("✗ error") && text.contains("▲ warning") && text.contains("(orders)✗"));
}

#[test]
fn the_layout_is_computed_only_when_the_topology_changes() {
    let mut state = dashboard([false; 3], SMALL);
    // A mark that a new layout would wipe out.
    state.drawing.layout.slots[0].node = 1;
    let marked = state.drawing.layout.clone();
    update(&mut state, Message::Live(Arc::new(sample::live(5, [false; 3]))));
    assert_eq!(state.drawing.layout, marked);
    update(&mut state, Message::Live(Arc::new(sample::live(5, [false, false, true]))));
    assert_ne!(state.drawing.layout, marked);
}

#[test]
fn of_too_many_nodes_the_busiest_are_drawn_and_the_rest_is_counted() {
    let lines = (0..300).map(|node| format!("client -> s{node:03} http {} 5", node + 1));
    let calls = lines.collect::<Vec<_>>().join("\n");
    let live = Live { graph: Arc::new(sample::graph(&calls, 0)), ..sample::live(0, [false; 3]) };
    let state = State::new(Arc::new(live), LARGE);
    assert_eq!((state.drawing.topology.nodes.len(), state.drawing.topology.left_out), (200, 100));
    assert!(state.drawing.topology.place("service:shop/s299").is_some());
    assert!(picture(&state).contains("100 more in the table (e)"));
}

/// Random graphs of up to 200 nodes: services, topics and datastores, with cycles and loops of one node.
fn graphs() -> impl Strategy<Value = String> {
    (1usize..200).prop_flat_map(|nodes| {
        let name = |node: usize| match node % 7 {
            5 => format!("{{t{node}}}"),
            6 => format!("(d{node})"),
            _ => format!("s{node}"),
        };
        let edges = prop::collection::vec((0..nodes, 0..nodes), 1..300);
        edges.prop_map(move |edges| {
            let line = |(from, to)| format!("{} -> {} http 10 5", name(from), name(to));
            edges.into_iter().map(line).collect::<Vec<_>>().join("\n")
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_graph_is_drawn_at_any_size(
        calls in graphs(),
        columns in 1u16..=200,
        rows in 1u16..=60,
        keys in prop::collection::vec(prop::sample::select(
            vec!["Tab", "Enter", "Esc", "d", "f", "e", "Down", "Right", "Left", "Up", "L", "J", "?", "u", "s", "End", "PgDn"],
        ), 0..12),
    ) {
        let live = Live { graph: Arc::new(sample::graph(&calls, 0)), ..sample::live(0, [true; 3]) };
        let mut state = State::new(Arc::new(live), (columns, rows));
        picture(&state);
        press(&mut state, &keys.join(" "));
        picture(&state);
        update(&mut state, Message::Resize(rows, columns.min(60)));
        picture(&state);
    }

    #[test]
    fn every_edge_runs_through_neighbouring_layers_and_the_layout_is_the_same_each_time(
        edges in prop::collection::btree_set((0usize..60, 0usize..60), 0..200),
        soft in 1usize..9,
    ) {
        let edges: Vec<(usize, usize)> = edges.into_iter().filter(|(from, to)| from != to).collect();
        let lay = || Layout::of(60, &edges, &[0], |(from, _)| from % soft == 1);
        let layout = lay();
        for (route, &(from, to)) in layout.routes.iter().zip(&edges) {
            let ends = (route.slots[0], route.slots[route.slots.len() - 1]);
            prop_assert_eq!(ends, if route.is_reversed { (to, from) } else { (from, to) });
            for pair in route.slots.windows(2) {
                prop_assert_eq!(layout.slots[pair[0]].layer + 1, layout.slots[pair[1]].layer);
            }
        }
        prop_assert_eq!(layout, lay());
    }
}

#[test]
fn windows_and_minutes_are_asked_for_and_the_past_says_so() {
    let mut state = dashboard([false; 3], LARGE);
    let now = Some(View { window: Window::Minute, until_ns: None });
    assert_eq!(state.live.view, now);
    let five = View { window: Window::FiveMinutes, until_ns: None };
    assert_eq!(press(&mut state, "w"), Some(Effect::Look(five)));
    let minute_ns = 60_000_000_000;
    state.now_ns = 100 * minute_ns + 7;
    let past = View { until_ns: Some(99 * minute_ns + 7), ..five };
    assert_eq!(press(&mut state, "["), Some(Effect::Look(past)));
    let shown = Live { view: Some(past), ..sample::live(0, [false; 3]) };
    update(&mut state, Message::Live(Arc::new(shown)));
    assert!(picture(&state).contains("PAST 01:35 to 01:40 UTC"), "{}", picture(&state));
    assert!(picture(&state).contains("} now"), "{}", picture(&state));
    assert_eq!(press(&mut state, "[ [ ]"), Some(Effect::Look(View { until_ns: Some(98 * minute_ns + 7), ..five })));
    assert_eq!(press(&mut state, "] ]"), Some(Effect::Look(five)));
    assert_eq!(press(&mut state, "]"), None);
    assert_eq!(press(&mut state, "["), Some(Effect::Look(past)));
    assert_eq!(press(&mut state, "}"), Some(Effect::Look(five)));
}

#[test]
fn a_recording_has_no_other_window() {
    let mut state = State::new(Arc::new(Live { view: None, ..sample::live(0, [false; 3]) }), SMALL);
    assert_eq!([press(&mut state, "w"), press(&mut state, "["), press(&mut state, "]")], [None, None, None]);
    assert!(picture(&state).contains("/s spans"));
    let mut live = Live::clone(&state.live);
    live.status.endpoints.clear();
    assert!(!picture(&State::new(Arc::new(live), SMALL)).contains("/s spans"));
}

#[test]
fn log_lines_stand_under_their_spans_until_they_are_put_away() {
    let mut state = dashboard([true, false, false], LARGE);
    press(&mut state, "Enter Enter");
    assert!(picture(&state).contains("│ warn  stock of sku-1 is low"), "{}", picture(&state));
    press(&mut state, "x");
    assert!(!picture(&state).contains("stock of sku-1"), "{}", picture(&state));
    assert!(picture(&state).contains("x logs"), "{}", picture(&state));
    let mut without = sample::waterfall();
    without.logs.clear();
    without.rows.iter_mut().for_each(|row| row.logs.clear());
    update(&mut state, Message::Trace(sample::PROOF, Some(without)));
    assert!(!picture(&state).contains("x logs"), "{}", picture(&state));
}

#[test]
fn a_service_tells_what_it_measures_of_itself() {
    let mut state = dashboard([false; 3], LARGE);
    state.screens.push(Screen::Detail(crate::detail::Detail::of_part(Part::Node("service:shop/cart".to_owned()))));
    assert_snapshot!("node_readings_120x40", picture(&state));
}

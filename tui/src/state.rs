//! Everything that the dashboard knows. `update` writes it, `view` reads it; it holds no styles, no widgets and no
//! terminal.

use std::collections::BTreeSet;
use std::sync::Arc;

use spanlint_analyzer::finding::Finding;
use spanlint_graph::{NodeKind, View};

use crate::detail::{Detail, FindingKey};
use crate::figures::{self, Figures};
use crate::layout::Layout;
use crate::layout::place::{Label, Placement};
use crate::live::Live;
use crate::table::{EdgeRow, Order};
use crate::text;
use crate::topology::{Selection, Topology};
use crate::trace::TraceView;

/// The fewest columns that anything can be drawn in.
pub(crate) const MIN_COLUMNS: u16 = 40;
/// The fewest rows that anything can be drawn in.
pub(crate) const MIN_ROWS: u16 = 10;
/// From this many columns on, the selected finding is told beside the list.
pub(crate) const WIDE_COLUMNS: u16 = 100;

/// The state of the dashboard.
#[derive(Debug)]
pub(crate) struct State {
    /// The picture on screen.
    pub(crate) live: Arc<Live>,
    /// The newest picture, while the one on screen is held.
    pub(crate) held_back: Option<Arc<Live>>,
    /// Whether the picture on screen is held.
    pub(crate) is_paused: bool,
    /// The view that was asked for last; none before any was.
    pub(crate) wanted: Option<View>,
    /// Unix time in nanoseconds.
    pub(crate) now_ns: u64,
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    /// From the overview to the screen that is shown, which is the last; never empty.
    pub(crate) screens: Vec<Screen>,
    /// What lies over the screen.
    pub(crate) overlay: Option<Overlay>,
    /// What names must contain, lower case; empty for everything.
    pub(crate) filter: String,
    /// Which part of the overview has the keys.
    pub(crate) focus: Focus,
    /// The selected one of the findings that the filter leaves.
    pub(crate) finding: usize,
    /// Id of the selected node.
    pub(crate) node: Option<String>,
    /// Whether datastores fold into their users.
    pub(crate) is_folded: bool,
    /// Ids of the nodes to whose neighbours the drawing is narrowed; empty for everything.
    pub(crate) centre: BTreeSet<String>,
    /// The drawing.
    pub(crate) drawing: Drawing,
    /// The edges as a table.
    pub(crate) table: Table,
}

/// A screen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Screen {
    /// Graph and findings.
    Overview,
    /// The edges as a table.
    Edges,
    /// A finding, an edge or a node.
    Detail(Detail),
    /// A trace.
    Trace(TraceView),
}

/// Something that lies over the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// The keys, scrolled by so many rows.
    Help(usize),
    /// The scenarios of the demo, one of them selected.
    Scenarios(usize),
    /// What could not be decided, scrolled by so many rows.
    Undecided(usize),
    /// The filter is typed.
    Filter,
}

/// A part of the overview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    /// The drawing.
    Graph,
    /// The list.
    Findings,
}

/// The call graph as it is drawn.
#[derive(Debug, Default)]
pub(crate) struct Drawing {
    /// What is drawn.
    pub(crate) topology: Topology,
    /// In which layers.
    pub(crate) layout: Layout,
    /// In which cells.
    pub(crate) placement: Placement,
    /// The names of the nodes, cut to what the placement gives them.
    pub(crate) names: Vec<String>,
    /// Numbers of the nodes.
    pub(crate) nodes: Vec<Figures>,
    /// Numbers of the lines.
    pub(crate) lines: Vec<Figures>,
    /// Column and row of the picture that stand at the top left of the room.
    pub(crate) pan: (usize, usize),
}

/// The edges as a table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// In order; empty while another screen is shown.
    pub(crate) rows: Vec<EdgeRow>,
    /// What they are sorted by.
    pub(crate) order: Order,
    /// The selected row.
    pub(crate) row: usize,
}

/// The rows of the overview's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Rows of the notice.
    pub(crate) notice: u16,
    /// Rows of the drawing, with its heading.
    pub(crate) graph: u16,
    /// Rows of the findings, with their heading.
    pub(crate) findings: u16,
}

impl State {
    /// A dashboard that shows `live` in a terminal of this many columns and rows.
    pub(crate) fn new(live: Arc<Live>, size: (u16, u16)) -> Self {
        let mut state = Self {
            now_ns: live.at_ns,
            live,
            held_back: None,
            is_paused: false,
            wanted: None,
            size,
            screens: vec![Screen::Overview],
            overlay: None,
            filter: String::new(),
            focus: Focus::Findings,
            finding: 0,
            node: None,
            is_folded: true,
            centre: BTreeSet::new(),
            drawing: Drawing::default(),
            table: Table::default(),
        };
        state.redraw();
        state.reveal_finding();
        state
    }

    /// The screen that is shown.
    pub(crate) fn screen(&self) -> &Screen {
        self.screens.last().expect("the overview is never left")
    }

    /// The screen that is shown, to be written.
    pub(crate) fn screen_mut(&mut self) -> &mut Screen {
        self.screens.last_mut().expect("the overview is never left")
    }

    /// Whether nothing was received yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.live.graph.nodes.is_empty() && self.live.findings.is_empty()
    }

    /// The findings that count and that the filter leaves.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        let counted = self.live.findings.iter().filter(|finding| finding.suppressed.is_none());
        counted.filter(|finding| {
            let mut texts =
                [finding.rule.name, &finding.title].into_iter().chain(finding.services.iter().map(|s| &**s));
            self.filter.is_empty() || texts.any(|text| self.is_match(text))
        })
    }

    /// The selected finding.
    pub(crate) fn selected_finding(&self) -> Option<&Finding> {
        self.findings().nth(self.finding)
    }

    /// Whether the filter leaves something of this name.
    pub(crate) fn is_match(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.filter)
    }

    /// How the overview's rows are shared: findings take what they need up to a third, the drawing takes the rest.
    pub(crate) fn rows(&self) -> Rows {
        let notice = u16::from(self.live.status.notice.is_some());
        let free = self.size.1.saturating_sub(2 + notice);
        let is_wide = self.size.0 >= WIDE_COLUMNS;
        let count = self.findings().count() as u16;
        let wanted = match count {
            0 => 2,
            count if is_wide => 1 + count.max(8),
            count => 1 + count,
        };
        let findings = wanted.min((free / 3).max(4)).min(free);
        Rows { notice, graph: free - findings, findings }
    }

    /// Columns and rows in which the drawing stands.
    pub(crate) fn graph_room(&self) -> (usize, usize) {
        (usize::from(self.size.0).saturating_sub(2), usize::from(self.rows().graph).saturating_sub(1))
    }

    /// Brings everything that is computed from the picture up to date. The layout is computed only where the topology
    /// changed.
    pub(crate) fn redraw(&mut self) {
        let selection = Selection {
            is_folded: self.is_folded,
            centre: self.centre.clone(),
            marked: self.live.findings.iter().filter_map(|finding| finding.subject.datastore.clone()).collect(),
            accused: self
                .live
                .findings
                .iter()
                .flat_map(|finding| figures::node_ids(finding, &self.live.graph))
                .collect(),
        };
        let topology = Topology::of(&self.live.graph, &selection);
        let drawing = &mut self.drawing;
        if topology != drawing.topology {
            let is_root =
                |place: &usize| topology.nodes[*place].kind == NodeKind::Client || topology.nodes[*place].is_entry;
            let roots: Vec<usize> = (0..topology.nodes.len()).filter(is_root).collect();
            drawing.layout =
                Layout::of(topology.nodes.len(), &topology.edges, &roots, |line| topology.is_consumption(line));
            drawing.topology = topology;
        }
        drawing.nodes = figures::of_nodes(&self.live, &drawing.topology);
        drawing.lines = figures::of_edges(&self.live, &drawing.topology);
        if self.node.as_deref().is_some_and(|id| self.drawing.topology.place(id).is_none()) {
            self.node = None;
        }
        self.finding = self.finding.min(self.findings().count().saturating_sub(1));
        if self.screen() == &Screen::Edges {
            self.table.rows = crate::table::rows(&self.live, &self.filter, self.table.order);
            self.table.row = self.table.row.min(self.table.rows.len().saturating_sub(1));
        }
        self.place();
    }

    /// Fits the drawing into its room.
    pub(crate) fn place(&mut self) {
        let (width, height) = self.graph_room();
        let nodes = self.drawing.topology.nodes.iter().zip(&self.drawing.nodes);
        let labels = nodes.map(|(node, figures)| {
            let signs = [node.is_entry, node.calls_itself, figures.severity.is_some()];
            let brackets = if node.kind == NodeKind::Client { 0 } else { 2 };
            Label { name: text::width(&node.name), frame: brackets + signs.iter().filter(|has| **has).count() }
        });
        let labels: Vec<Label> = labels.collect();
        let drawing = &mut self.drawing;
        drawing.placement = Placement::of(&drawing.layout, &labels, width, height);
        // A name may take what its figures make its layer wide.
        let cells = |(place, label): (usize, &Label)| {
            drawing.placement.columns[drawing.layout.slots[place].layer].1.saturating_sub(label.frame)
        };
        let names = drawing.topology.nodes.iter().map(|node| node.name.as_str());
        let names: Vec<_> = names.zip(labels.iter().enumerate().map(cells)).collect();
        drawing.names = text::fit_apart(&names);
        self.limit_pan();
    }

    /// Keeps the window on the drawing.
    pub(crate) fn limit_pan(&mut self) {
        let (width, height) = self.graph_room();
        let drawing = &mut self.drawing;
        drawing.pan.0 = drawing.pan.0.min(drawing.placement.width.saturating_sub(width));
        drawing.pan.1 = drawing.pan.1.min(drawing.placement.height.saturating_sub(height));
    }

    /// Moves the window so that these nodes are within it, as far as they fit; the first matters most.
    pub(crate) fn reveal(&mut self, places: &[usize]) {
        let (width, height) = self.graph_room();
        let Drawing { layout, placement, pan, .. } = &mut self.drawing;
        for &place in places.iter().rev() {
            let (column, cells) = placement.columns[layout.slots[place].layer];
            let rows = 1 + placement.density.figure_rows();
            let row = placement.rows[place];
            pan.0 = pan.0.min(column).max((column + cells).saturating_sub(width));
            pan.1 = pan.1.min(row).max((row + rows).saturating_sub(height));
        }
        self.limit_pan();
    }

    /// Moves the window to the selected finding.
    pub(crate) fn reveal_finding(&mut self) {
        let Some(finding) = self.selected_finding() else { return };
        let ids = figures::node_ids(finding, &self.live.graph);
        let places: Vec<usize> = ids.iter().filter_map(|id| self.drawing.topology.place(id)).collect();
        self.reveal(&places);
    }

    /// The lines and nodes of the drawing that the selected finding is about.
    pub(crate) fn highlighted(&self) -> (BTreeSet<(usize, usize)>, BTreeSet<usize>) {
        let topology = &self.drawing.topology;
        match (self.selected_finding(), self.focus, self.node.as_deref().and_then(|id| topology.place(id))) {
            (_, Focus::Graph, Some(node)) => {
                let own = topology.edges.iter().filter(|(from, to)| *from == node || *to == node);
                (own.copied().collect(), BTreeSet::from([node]))
            }
            (Some(finding), _, _) => {
                let ids = figures::node_ids(finding, &self.live.graph);
                let nodes = ids.iter().filter_map(|id| topology.place(id)).collect();
                (figures::lines_of(finding, topology), nodes)
            }
            _ => (BTreeSet::new(), BTreeSet::new()),
        }
    }

    /// Takes a picture; the selected finding stays selected where it is still there.
    pub(crate) fn show(&mut self, live: Arc<Live>) {
        let selected = self.selected_finding().map(FindingKey::of);
        let rows = self.rows();
        self.live = live;
        let at = selected.and_then(|key| self.findings().position(|finding| FindingKey::of(finding) == key));
        let is_new = at.is_none() && self.findings().next().is_some();
        self.finding = at.unwrap_or(self.finding);
        self.redraw();
        if is_new || rows != self.rows() {
            self.reveal_finding();
        }
    }
}

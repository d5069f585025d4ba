//! From layers to cells: columns, rows and the tracks on which lines run up and down.
//!
//! Several densities are tried, the most telling one that fits the room wins, and names take what width it leaves; where
//! none fits, the picture is larger than the room and is panned. Only numbers are computed here; `view` draws them.

use std::collections::BTreeSet;

use super::{Layout, Net, SlotIndex};

/// How often rows are aligned with their neighbours, to the right and back.
const ALIGNMENTS: usize = 3;
/// How much more a lane wants to be straight than a node wants to be in the middle.
const LANE_WEIGHT: f64 = 8.0;
/// The most cells that a name takes, where there is room.
const MAX_NAME_CELLS: usize = 24;

/// How much of each node is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Density {
    /// The most cells that a name takes.
    pub(crate) name_cells: usize,
    /// The cells that figures below a name may take, where the name takes fewer; 0 for no figures.
    pub(crate) figure_cells: usize,
    /// Free rows between nodes.
    pub(crate) gap: usize,
    /// Cells of a channel besides its tracks, the arrow among them.
    margin: usize,
}

/// The densities, the most telling first.
const DENSITIES: [Density; 13] = [
    Density { name_cells: MAX_NAME_CELLS, figure_cells: 20, gap: 2, margin: 4 },
    Density { name_cells: MAX_NAME_CELLS, figure_cells: 20, gap: 1, margin: 3 },
    Density { name_cells: 16, figure_cells: 20, gap: 1, margin: 2 },
    Density { name_cells: 16, figure_cells: 20, gap: 0, margin: 2 },
    Density { name_cells: 16, figure_cells: 13, gap: 1, margin: 2 },
    Density { name_cells: 16, figure_cells: 13, gap: 0, margin: 2 },
    Density { name_cells: 12, figure_cells: 13, gap: 1, margin: 2 },
    Density { name_cells: 12, figure_cells: 13, gap: 0, margin: 2 },
    Density { name_cells: 10, figure_cells: 10, gap: 1, margin: 2 },
    Density { name_cells: 10, figure_cells: 10, gap: 0, margin: 2 },
    Density { name_cells: 16, figure_cells: 0, gap: 0, margin: 2 },
    Density { name_cells: 10, figure_cells: 0, gap: 0, margin: 2 },
    Density { name_cells: 8, figure_cells: 0, gap: 0, margin: 2 },
];
/// The density of a picture that fits nowhere.
const PANNED: Density = Density { name_cells: 12, figure_cells: 10, gap: 0, margin: 2 };

/// The cells that a node wants, in any density.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    /// Of its name.
    pub(crate) name: usize,
    /// Of what stands around the name: brackets and signs.
    pub(crate) frame: usize,
}

/// A layout in cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    /// How much of each node is shown.
    pub(crate) density: Density,
    /// Columns of the whole picture.
    pub(crate) width: usize,
    /// Rows of the whole picture.
    pub(crate) height: usize,
    /// Row of each slot.
    pub(crate) rows: Vec<usize>,
    /// First column and width of each layer.
    pub(crate) columns: Vec<(usize, usize)>,
    /// For each channel and net of the layout, where it runs up and down.
    pub(crate) tracks: Vec<Vec<Track>>,
}

/// Where a net runs up and down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Track {
    /// The column from which it branches.
    pub(crate) column: usize,
    /// Column and row of the detour that it takes before that, where it would run into another net.
    pub(crate) detour: Option<(usize, usize)>,
}

impl Density {
    /// Rows of figures below a name.
    pub(crate) fn figure_rows(self) -> usize {
        usize::from(self.figure_cells > 0)
    }
}

impl Placement {
    /// Places `layout`, whose nodes have these labels, in the most telling way that fits the room.
    pub(crate) fn of(layout: &Layout, labels: &[Label], width: usize, height: usize) -> Self {
        let fitting = DENSITIES.iter().map(|&density| Self::with(layout, labels, density));
        let mut fitting = fitting.filter(|placement| placement.width <= width && placement.height <= height);
        let placement = fitting.next().unwrap_or_else(|| Self::with(layout, labels, PANNED));
        placement.with_wider_names(layout, labels, width)
    }

    /// The same, with names as long as the width permits: neither rows nor tracks depend on them.
    fn with_wider_names(self, layout: &Layout, labels: &[Label], width: usize) -> Self {
        let taken = |density| layer_widths(layout, labels, density).iter().sum::<usize>();
        let tracks = self.width - taken(self.density);
        let wider = (self.density.name_cells + 1..=MAX_NAME_CELLS).rev();
        let mut wider = wider.map(|name_cells| Density { name_cells, ..self.density });
        match wider.find(|&density| taken(density) + tracks <= width) {
            Some(density) => Self::with(layout, labels, density),
            None => self,
        }
    }

    fn with(layout: &Layout, labels: &[Label], density: Density) -> Self {
        let heights: Vec<usize> = layout
            .slots
            .iter()
            .map(|slot| if slot.is_through { 1 } else { 1 + density.figure_rows() + density.gap })
            .collect();
        let rows = rows(layout, &heights);
        let bottom = rows.iter().zip(&heights).map(|(row, height)| row + height).max().unwrap_or(0);
        let mut height = bottom - density.gap.min(bottom);
        let spacing = if density.margin > 2 { 2 } else { 1 };
        let (mut columns, mut tracks) = (Vec::new(), Vec::new());
        let mut column = 0;
        for (layer, width) in layer_widths(layout, labels, density).into_iter().enumerate() {
            columns.push((column, width));
            column += width;
            if let Some(nets) = layout.channels.get(layer) {
                let (of_nets, count) = assign_tracks(nets, &rows);
                let at = |track: usize| column + 1 + track * spacing;
                let place = |track: Track| Track {
                    column: at(track.column),
                    detour: track.detour.map(|(first, row)| (at(first), row)),
                };
                let placed: Vec<Track> = of_nets.into_iter().map(place).collect();
                height =
                    placed.iter().filter_map(|track| track.detour).map(|(_, row)| row + 1).fold(height, usize::max);
                tracks.push(placed);
                column += count * spacing + density.margin;
            }
        }
        Self { density, width: column, height, rows, columns, tracks }
    }
}

/// The cells that each layer takes.
fn layer_widths(layout: &Layout, labels: &[Label], density: Density) -> Vec<usize> {
    let of_layer = |slots: &Vec<SlotIndex>| {
        let cells = slots.iter().filter(|slot| !layout.slots[**slot].is_through).map(|&slot| {
            let name = labels[slot].name.min(density.name_cells);
            (name + labels[slot].frame).max(density.figure_cells)
        });
        cells.max().unwrap_or(1)
    };
    layout.layers.iter().map(of_layer).collect()
}

/// The row of each slot: as near to the middle of its neighbours as the order within its layer permits.
fn rows(layout: &Layout, heights: &[usize]) -> Vec<usize> {
    let total = |layer: &Vec<SlotIndex>| layer.iter().map(|&slot| heights[slot]).sum::<usize>();
    let height = layout.layers.iter().map(total).max().unwrap_or(0);
    let mut rows = vec![0; layout.slots.len()];
    for layer in &layout.layers {
        let mut row = (height - total(layer)) / 2;
        for &slot in layer {
            rows[slot] = row;
            row += heights[slot];
        }
    }
    let depth = layout.layers.len();
    for alignment in 0..2 * ALIGNMENTS {
        let looks_left = alignment % 2 == 0;
        for step in 1..depth {
            let layer = if looks_left { step } else { depth - 1 - step };
            let channel = if looks_left { layer - 1 } else { layer };
            let wishes = wishes(&layout.channels[channel], &rows, looks_left);
            align(&layout.layers[layer], layout, heights, height, &wishes, &mut rows);
        }
    }
    rows
}

/// The mean row of the neighbours of each slot that has any.
fn wishes(nets: &[Net], rows: &[usize], looks_left: bool) -> Vec<Option<f64>> {
    let mut sums = vec![(0usize, 0usize); rows.len()];
    for net in nets {
        for &to in &net.to {
            let (slot, neighbour) = if looks_left { (to, net.from) } else { (net.from, to) };
            sums[slot].0 += rows[neighbour];
            sums[slot].1 += 1;
        }
    }
    sums.iter().map(|&(sum, count)| (count > 0).then(|| sum as f64 / count as f64)).collect()
}

/// Moves the slots of a layer to their wishes: isotonic regression (pooling adjacent violators) on the rows less the
/// rows that the slots above take.
fn align(
    layer: &[SlotIndex],
    layout: &Layout,
    heights: &[usize],
    height: usize,
    wishes: &[Option<f64>],
    rows: &mut [usize],
) {
    let mut above = 0;
    // Pools of slots that touch: weighted sum of wishes, weight, count.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for &slot in layer {
        let weight = if layout.slots[slot].is_through { LANE_WEIGHT } else { 1.0 };
        let wish = wishes[slot].unwrap_or(rows[slot] as f64) - above as f64;
        pools.push((wish * weight, weight, 1));
        above += heights[slot];
        while let [.., upper, lower] = pools[..] {
            if upper.0 / upper.1 <= lower.0 / lower.1 {
                break;
            }
            pools.pop();
            pools.pop();
            pools.push((upper.0 + lower.0, upper.1 + lower.1, upper.2 + lower.2));
        }
    }
    let room = (height - above) as f64;
    let mut slots = layer.iter();
    let mut above = 0;
    for (sum, weight, count) in pools {
        let shift = (sum / weight).clamp(0.0, room).round() as usize;
        for &slot in slots.by_ref().take(count) {
            rows[slot] = shift + above;
            above += heights[slot];
        }
    }
}

/// A part of a net that runs up and down on one track.
#[derive(Debug, Clone)]
struct Run {
    net: usize,
    from: usize,
    to: Vec<usize>,
    /// Whether it is the detour before the rest of its net.
    is_detour: bool,
}

impl Run {
    /// The rows between which it runs.
    fn span(&self) -> (usize, usize) {
        self.to.iter().fold((self.from, self.from), |span, &row| (span.0.min(row), span.1.max(row)))
    }

    /// Whether it must turn before `other` does: `other` ends on the row on which it begins.
    fn must_precede(&self, other: &Self) -> bool {
        if self.net == other.net { self.is_detour && !other.is_detour } else { other.to.contains(&self.from) }
    }
}

/// A track for each net, numbered from the left, and how many there are. Runs on one track never touch. A net that ends on
/// a row on which another begins runs right of it, so that their lines do not run into one another; where that goes round
/// in a circle, one of them takes a detour over a free row.
fn assign_tracks(nets: &[Net], rows: &[usize]) -> (Vec<Track>, usize) {
    let run = |(net, ends): (usize, &Net)| Run {
        net,
        from: rows[ends.from],
        to: ends.to.iter().map(|&to| rows[to]).collect(),
        is_detour: false,
    };
    let mut open: Vec<Run> = nets.iter().enumerate().map(run).collect();
    let mut taken: BTreeSet<usize> = open.iter().flat_map(|run| run.to.iter().copied().chain([run.from])).collect();
    open.retain(|run| run.span().0 < run.span().1);
    // Of nets that run down, the lowest turns first, of those that run up, the highest: so they do not cross.
    open.sort_by_key(|run| {
        let (span, from) = (run.span(), run.from as isize);
        let runs_down = span.1 as isize - from >= from - span.0 as isize;
        if runs_down { -from } else { from }
    });
    let mut tracks = vec![Track::default(); nets.len()];
    let mut track = 0;
    while !open.is_empty() {
        let mut chosen: Vec<Run> = Vec::new();
        for run in &open {
            let (top, bottom) = run.span();
            let is_free = chosen.iter().all(|other| other.span().1 < top || bottom < other.span().0);
            if is_free && !open.iter().any(|before| before.must_precede(run)) {
                chosen.push(run.clone());
            }
        }
        if chosen.is_empty() {
            let detour = take_detour(&mut open, &taken);
            taken.insert(detour);
            continue;
        }
        for run in &chosen {
            let Track { column, detour } = &mut tracks[run.net];
            if run.is_detour {
                *detour = Some((track, run.to[0]));
            } else {
                *column = track;
            }
        }
        open.retain(|run| !chosen.iter().any(|done| (done.net, done.is_detour) == (run.net, run.is_detour)));
        track += 1;
    }
    (tracks, track)
}

/// Splits the first run that is whole at the nearest row that no net uses, and returns that row.
///
/// **Invariant:** nothing precedes a detour, as nothing begins on its row; so each split lets at least one run go on, and
/// there are only so many nets to split.
fn take_detour(open: &mut Vec<Run>, taken: &BTreeSet<usize>) -> usize {
    // A run that was split already begins on a row of its own, on which no net ends: it never closes a circle.
    let closes = |run: &Run| open.iter().any(|other| run.must_precede(other));
    let split = open.iter().position(closes).expect("of runs that wait for one another, each precedes one");
    let split = &mut open[split];
    let from = split.from;
    let limit = taken.last().map_or(1, |last| last + 1);
    let free = (0..=limit).filter(|row| !taken.contains(row));
    let row = free.min_by_key(|row| row.abs_diff(from)).expect("the row below all is free");
    let detour = Run { net: split.net, from, to: vec![row], is_detour: true };
    split.from = row;
    open.insert(0, detour);
    row
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(edges: &[(usize, usize)], nodes: usize) -> (Layout, Placement) {
        let layout = Layout::of(nodes, edges, &[0], |_| false);
        let placement = Placement::of(&layout, &vec![Label { name: 8, frame: 2 }; nodes], 100, 40);
        (layout, placement)
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        let (_, placement) = place(&[(0, 1), (1, 2)], 3);
        assert_eq!(placement.rows, [0, 0, 0]);
    }

    #[test]
    fn a_caller_stands_in_the_middle_of_its_callees() {
        let (_, placement) = place(&[(0, 1), (0, 2), (0, 3)], 4);
        assert_eq!(placement.rows[0], placement.rows[2]);
    }

    #[test]
    fn nets_that_would_touch_run_on_tracks_of_their_own() {
        let (layout, placement) = place(&[(0, 2), (0, 3), (1, 2), (1, 3)], 4);
        assert_eq!(layout.channels[0].len(), 2);
        assert_ne!(placement.tracks[0][0], placement.tracks[0][1]);
    }

    /// Nets between slots 0..8 at the left and 8..16 at the right, all on rows of their own in either layer.
    fn nets() -> impl Strategy<Value = (Vec<Net>, Vec<usize>)> {
        let rows = || proptest::sample::subsequence((0..14usize).collect::<Vec<_>>(), 8).prop_shuffle();
        let ends = proptest::collection::vec(proptest::collection::btree_set(8..16usize, 1..4), 8);
        (ends, rows(), rows()).prop_map(|(ends, left, right)| {
            let net =
                |(from, to): (usize, std::collections::BTreeSet<usize>)| Net { from, to: to.into_iter().collect() };
            (ends.into_iter().enumerate().map(net).collect(), [left, right].concat())
        })
    }

    /// The cells across which a net runs from left to right: row, first and last column, and the slot it leads to, if
    /// it is the last piece.
    fn pieces(net: &Net, track: Track, rows: &[usize], end: usize) -> Vec<(usize, usize, usize, Option<usize>)> {
        let from = rows[net.from];
        let mut pieces = match track.detour {
            Some((first, row)) => vec![(from, 0, first + 1, None), (row, first + 1, track.column + 1, None)],
            None => vec![(from, 0, track.column + 1, None)],
        };
        let is_straight = net.to.iter().all(|&to| rows[to] == from);
        if is_straight {
            pieces.clear();
        }
        let start = if is_straight { 0 } else { track.column + 1 };
        pieces.extend(net.to.iter().map(|&to| (rows[to], start, end, Some(to))));
        pieces
    }

    proptest! {
        #[test]
        fn lines_of_different_callers_meet_only_where_they_lead_to_the_same_callee((nets, rows) in nets()) {
            let (tracks, count) = assign_tracks(&nets, &rows);
            let all: Vec<_> = nets.iter().zip(tracks).map(|(net, track)| pieces(net, track, &rows, count + 2)).collect();
            for (index, left) in all.iter().enumerate() {
                for right in &all[index + 1..] {
                    for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
                        let overlap = a.0 == b.0 && a.1 <= b.2 && b.1 <= a.2;
                        prop_assert!(!overlap || (a.3.is_some() && a.3 == b.3), "{a:?} {b:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn less_room_gives_less_detail_and_none_gives_a_picture_to_pan() {
        let layout = Layout::of(3, &[(0, 1), (1, 2)], &[0], |_| false);
        let density = |width| Placement::of(&layout, &[Label { name: 20, frame: 2 }; 3], width, 2).density;
        assert_eq!((density(100).name_cells, density(60).name_cells, density(40).name_cells), (24, 16, 10));
        assert_eq!(density(10), PANNED);
    }

    #[test]
    fn names_take_the_width_that_few_rows_leave() {
        let layout = Layout::of(4, &[(0, 1), (0, 2), (0, 3)], &[0], |_| false);
        let density = |width| Placement::of(&layout, &[Label { name: 30, frame: 2 }; 4], width, 3).density;
        let names = |width| (density(width).name_cells, density(width).figure_cells);
        assert_eq!((names(100), names(50), names(40)), ((24, 0), (21, 0), (16, 0)));
    }
}

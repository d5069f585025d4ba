//! From layers to cells: columns, rows and the tracks on which lines run up and down.
//!
//! Several densities are tried, the most telling one that fits the room wins; where none fits, the picture is larger than
//! the room and is panned. Only numbers are computed here; `view` draws them.

use super::{Layout, Net, SlotIndex};

/// How often rows are aligned with their neighbours, to the right and back.
const ALIGNMENTS: usize = 3;
/// How much more a lane wants to be straight than a node wants to be in the middle.
const LANE_WEIGHT: f64 = 8.0;
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
const DENSITIES: [Density; 11] = [
    Density { name_cells: 24, figure_cells: 16, gap: 2, margin: 4 },
    Density { name_cells: 24, figure_cells: 16, gap: 1, margin: 3 },
    Density { name_cells: 16, figure_cells: 12, gap: 1, margin: 2 },
    Density { name_cells: 16, figure_cells: 12, gap: 0, margin: 2 },
    Density { name_cells: 12, figure_cells: 12, gap: 1, margin: 2 },
    Density { name_cells: 12, figure_cells: 12, gap: 0, margin: 2 },
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
    /// For each channel and net of the layout, the column on which it runs up and down.
    pub(crate) tracks: Vec<Vec<usize>>,
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
        fitting.next().unwrap_or_else(|| Self::with(layout, labels, PANNED))
    }

    fn with(layout: &Layout, labels: &[Label], density: Density) -> Self {
        let heights: Vec<usize> = layout
            .slots
            .iter()
            .map(|slot| if slot.is_through { 1 } else { 1 + density.figure_rows() + density.gap })
            .collect();
        let rows = rows(layout, &heights);
        let height = rows.iter().zip(&heights).map(|(row, height)| row + height).max().unwrap_or(0);
        let spacing = if density.margin > 2 { 2 } else { 1 };
        let (mut columns, mut tracks) = (Vec::new(), Vec::new());
        let mut column = 0;
        for (layer, slots) in layout.layers.iter().enumerate() {
            let cells = slots.iter().filter(|slot| !layout.slots[**slot].is_through).map(|&slot| {
                let name = labels[slot].name.min(density.name_cells);
                (name + labels[slot].frame).max(density.figure_cells)
            });
            let width = cells.max().unwrap_or(1);
            columns.push((column, width));
            column += width;
            if let Some(nets) = layout.channels.get(layer) {
                let (of_nets, count) = assign_tracks(nets, &rows);
                tracks.push(of_nets.into_iter().map(|track| column + 1 + track * spacing).collect());
                column += count * spacing + density.margin;
            }
        }
        Self { density, width: column, height: height - density.gap.min(height), rows, columns, tracks }
    }
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

/// A track for each net, and how many tracks there are. Nets on one track never touch. A net that ends on a row on which
/// another begins runs right of it, so that their lines do not run into one another; where that goes round in a circle,
/// the first net yields.
fn assign_tracks(nets: &[Net], rows: &[usize]) -> (Vec<usize>, usize) {
    let spans: Vec<(usize, usize)> = nets
        .iter()
        .map(|net| {
            let ends = net.to.iter().map(|&to| rows[to]).chain([rows[net.from]]);
            ends.fold((usize::MAX, 0), |span, row| (span.0.min(row), span.1.max(row)))
        })
        .collect();
    let must_precede =
        |before: usize, net: usize| before != net && nets[net].to.iter().any(|&to| rows[to] == rows[nets[before].from]);
    let mut tracks = vec![0; nets.len()];
    let mut open: Vec<usize> = (0..nets.len()).filter(|&net| spans[net].0 < spans[net].1).collect();
    // Of nets that run down, the lowest turns first, of those that run up, the highest: so they do not cross.
    open.sort_by_key(|&net| {
        let from = rows[nets[net].from] as isize;
        let runs_down = spans[net].1 as isize - from >= from - spans[net].0 as isize;
        if runs_down { -from } else { from }
    });
    let mut track = 0;
    while let Some(&first) = open.first() {
        let mut chosen: Vec<usize> = Vec::new();
        for &net in &open {
            let is_free = chosen.iter().all(|&other| spans[other].1 < spans[net].0 || spans[net].1 < spans[other].0);
            if is_free && !open.iter().any(|&before| must_precede(before, net)) {
                chosen.push(net);
            }
        }
        if chosen.is_empty() {
            chosen.push(first);
        }
        for &net in &chosen {
            tracks[net] = track;
        }
        open.retain(|net| !chosen.contains(net));
        track += 1;
    }
    (tracks, track)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn less_room_gives_less_detail_and_none_gives_a_picture_to_pan() {
        let layout = Layout::of(3, &[(0, 1), (1, 2)], &[0], |_| false);
        let density = |width| Placement::of(&layout, &[Label { name: 20, frame: 2 }; 3], width, 2).density;
        assert_eq!((density(100).name_cells, density(60).name_cells, density(40).name_cells), (24, 16, 10));
        assert_eq!(density(10), PANNED);
    }
}

//! A layered layout of any graph, from left to right: layers, order within a layer, and the lanes that lines share.
//!
//! The steps are Sugiyama's: turn the edges that close a cycle around, put every node right of its callers, order each
//! layer so that few lines cross. Layers tell how deep calls go that are waited for, so *soft* edges, those from a topic to
//! its consumers, do not push their ends apart; they run back where it falls out so. All lines that leave a node share one lane, which passes through the layers between
//! (*through* slots) and branches at each callee; so a picture has as many lanes as callers and not as edges, and a
//! branch is never mistaken for a crossing. Deterministic: ties go to the smaller index. This module knows no
//! cells; [`place`] turns the layout into them.

pub(crate) mod place;

/// How often the order within layers is improved, to the right and back.
const SWEEPS: usize = 8;

/// Index into [`Layout::slots`].
pub(crate) type SlotIndex = usize;

/// A place in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// From the left.
    pub(crate) layer: usize,
    /// The node that stands here, or whose lane passes through.
    pub(crate) node: usize,
    /// Whether only a lane passes through.
    pub(crate) is_through: bool,
}

/// The part of a lane between two neighbouring layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Net {
    /// In the layer at the left.
    pub(crate) from: SlotIndex,
    /// In the layer at the right, never empty.
    pub(crate) to: Vec<SlotIndex>,
}

/// How one edge runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// The slots from left to right, one in each layer.
    pub(crate) slots: Vec<SlotIndex>,
    /// Whether the caller is at the right end, as the edge closes a cycle.
    pub(crate) is_reversed: bool,
}

/// A graph in layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Those of the nodes come first, in the order of the nodes.
    pub(crate) slots: Vec<Slot>,
    /// The slots of each layer, from top to bottom.
    pub(crate) layers: Vec<Vec<SlotIndex>>,
    /// The nets between layer `i` and `i + 1`.
    pub(crate) channels: Vec<Vec<Net>>,
    /// In the order of the edges.
    pub(crate) routes: Vec<Route>,
}

impl Layout {
    /// Lays out nodes `0..nodes`; `edges` has no loops of one node. `roots` are put leftmost where that is possible.
    pub(crate) fn of(
        nodes: usize,
        edges: &[(usize, usize)],
        roots: &[usize],
        is_soft: impl Fn((usize, usize)) -> bool,
    ) -> Self {
        let (soft, hard): (Vec<_>, Vec<_>) = edges.iter().copied().partition(|&edge| is_soft(edge));
        let layer_of = layers_with_soft(nodes, &hard, &soft, roots)
            .unwrap_or_else(|| layers_of(nodes, &turned(nodes, edges, roots), roots));
        let reversed: Vec<bool> = edges.iter().map(|&(from, to)| layer_of[from] > layer_of[to]).collect();
        let forward: Vec<(usize, usize)> = edges
            .iter()
            .map(|&(from, to)| if layer_of[from] > layer_of[to] { (to, from) } else { (from, to) })
            .collect();
        let mut layout = Self::with_lanes(&layer_of, &forward, &reversed);
        layout.order();
        layout
    }

    /// Makes the slots, the lanes through the layers between, and the routes.
    fn with_lanes(layer_of: &[usize], forward: &[(usize, usize)], reversed: &[bool]) -> Self {
        let mut slots: Vec<Slot> =
            layer_of.iter().enumerate().map(|(node, &layer)| Slot { layer, node, is_through: false }).collect();
        let depth = layer_of.iter().max().map_or(0, |deepest| deepest + 1);
        let mut farthest = vec![0; layer_of.len()];
        for &(from, to) in forward {
            farthest[from] = farthest[from].max(layer_of[to]);
        }
        // The slots that the lane of each node passes, from its own to the last before its farthest callee.
        let mut lanes: Vec<Vec<SlotIndex>> = (0..layer_of.len()).map(|node| vec![node]).collect();
        for (node, &layer) in layer_of.iter().enumerate() {
            for between in layer + 1..farthest[node] {
                lanes[node].push(slots.len());
                slots.push(Slot { layer: between, node, is_through: true });
            }
        }
        let mut layers = vec![Vec::new(); depth];
        for (index, slot) in slots.iter().enumerate() {
            layers[slot.layer].push(index);
        }
        let route = |(&(from, to), &is_reversed): (&(usize, usize), &bool)| {
            let mut slots = lanes[from][..layer_of[to] - layer_of[from]].to_vec();
            slots.push(to);
            Route { slots, is_reversed }
        };
        let routes: Vec<Route> = forward.iter().zip(reversed).map(route).collect();
        let channels = channels(&slots, &routes, depth.saturating_sub(1));
        Self { slots, layers, channels, routes }
    }

    /// Orders each layer by the middle of its neighbours, keeping the order with the fewest crossings.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.layers.clone());
        for sweep in 0..SWEEPS {
            let is_to_the_right = sweep % 2 == 0;
            let depth = self.layers.len();
            for step in 1..depth {
                let layer = if is_to_the_right { step } else { depth - 1 - step };
                self.order_layer(layer, is_to_the_right);
            }
            best = best.min((self.crossings(), self.layers.clone()));
            if best.0 == 0 {
                break;
            }
        }
        self.layers = best.1;
    }

    fn order_layer(&mut self, layer: usize, looks_left: bool) {
        let positions = self.positions();
        let mut sums = vec![(0usize, 0usize); self.slots.len()];
        let channel = if looks_left { layer - 1 } else { layer };
        for net in &self.channels[channel] {
            for &to in &net.to {
                let (slot, neighbour) = if looks_left { (to, net.from) } else { (net.from, to) };
                sums[slot].0 += positions[neighbour];
                sums[slot].1 += 1;
            }
        }
        // Slots without neighbours keep their place among the others.
        let middle = |slot: SlotIndex| match sums[slot] {
            (_, 0) => positions[slot] as f64,
            (sum, count) => sum as f64 / count as f64,
        };
        self.layers[layer].sort_by(|&a, &b| middle(a).total_cmp(&middle(b)));
    }

    /// The place of each slot within its layer.
    fn positions(&self) -> Vec<usize> {
        let mut positions = vec![0; self.slots.len()];
        for layer in &self.layers {
            for (position, &slot) in layer.iter().enumerate() {
                positions[slot] = position;
            }
        }
        positions
    }

    fn crossings(&self) -> usize {
        let positions = self.positions();
        self.channels.iter().map(|nets| crossings(nets, &positions)).sum()
    }
}

/// Counts the pairs of segments whose ends are in opposite order.
fn crossings(nets: &[Net], positions: &[usize]) -> usize {
    let ends = nets.iter().flat_map(|net| net.to.iter().map(|&to| (positions[net.from], positions[to])));
    let mut segments: Vec<(usize, usize)> = ends.collect();
    segments.sort_unstable();
    let mut seen: Vec<usize> = Vec::with_capacity(segments.len());
    let mut crossings = 0;
    for (_, right) in segments {
        let at = seen.partition_point(|&other| other <= right);
        crossings += seen.len() - at;
        seen.insert(at, right);
    }
    crossings
}

fn channels(slots: &[Slot], routes: &[Route], count: usize) -> Vec<Vec<Net>> {
    let mut steps: Vec<(SlotIndex, SlotIndex)> =
        routes.iter().flat_map(|route| route.slots.windows(2).map(|pair| (pair[0], pair[1]))).collect();
    steps.sort_unstable();
    steps.dedup();
    let mut channels: Vec<Vec<Net>> = vec![Vec::new(); count];
    for (from, to) in steps {
        let nets = &mut channels[slots[from].layer];
        match nets.last_mut() {
            Some(net) if net.from == from => net.to.push(to),
            _ => nets.push(Net { from, to: vec![to] }),
        }
    }
    channels
}

/// For each edge, whether it leads back to a node that a walk from the roots is still below.
fn closing_edges(nodes: usize, edges: &[(usize, usize)], roots: &[usize]) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Not,
        Open,
        Done,
    }
    let mut outgoing = vec![Vec::new(); nodes];
    let mut is_called = vec![false; nodes];
    for (edge, &(from, to)) in edges.iter().enumerate() {
        outgoing[from].push(edge);
        is_called[to] = true;
    }
    let mut reversed = vec![false; edges.len()];
    let mut visits = vec![Visit::Not; nodes];
    let uncalled = (0..nodes).filter(|&node| !is_called[node]);
    let starts: Vec<usize> = roots.iter().copied().chain(uncalled).chain(0..nodes).collect();
    for start in starts {
        if visits[start] != Visit::Not {
            continue;
        }
        visits[start] = Visit::Open;
        let mut path = vec![(start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let Some(&edge) = outgoing[*node].get(*next) else {
                visits[*node] = Visit::Done;
                path.pop();
                continue;
            };
            *next += 1;
            let to = edges[edge].1;
            match visits[to] {
                Visit::Not => {
                    visits[to] = Visit::Open;
                    path.push((to, 0));
                }
                Visit::Open => reversed[edge] = true,
                Visit::Done => {}
            }
        }
    }
    reversed
}

/// The edges, those that close a cycle turned around.
fn turned(nodes: usize, edges: &[(usize, usize)], roots: &[usize]) -> Vec<(usize, usize)> {
    let closing = closing_edges(nodes, edges, roots);
    edges
        .iter()
        .zip(closing)
        .map(|(&(from, to), is_closing)| if is_closing { (to, from) } else { (from, to) })
        .collect()
}

/// The layer of each node: right of all its callers; one that nobody calls stands just left of the nearest callee that
/// others call too.
fn layers_of(nodes: usize, forward: &[(usize, usize)], roots: &[usize]) -> Vec<usize> {
    let mut layers = vec![0; nodes];
    push_right(&mut layers, forward);
    let mut callers = vec![0usize; nodes];
    for &(_, to) in forward {
        callers[to] += 1;
    }
    for node in (0..nodes).filter(|&node| callers[node] == 0 && !roots.contains(&node)) {
        let callees = forward.iter().filter(|&&(from, to)| from == node && callers[to] > 1).map(|&(_, to)| layers[to]);
        layers[node] = callees.min().map_or(0, |nearest| nearest - 1);
    }
    push_right(&mut layers, forward);
    layers
}

/// Moves nodes to the right until each stands right of its callers. `forward` has no cycle.
fn push_right(layers: &mut [usize], forward: &[(usize, usize)]) {
    let mut outgoing = vec![Vec::new(); layers.len()];
    let mut open = vec![0usize; layers.len()];
    for &(from, to) in forward {
        outgoing[from].push(to);
        open[to] += 1;
    }
    let mut ready: Vec<usize> = (0..layers.len()).rev().filter(|&node| open[node] == 0).collect();
    while let Some(node) = ready.pop() {
        for &to in &outgoing[node] {
            layers[to] = layers[to].max(layers[node] + 1);
            open[to] -= 1;
            if open[to] == 0 {
                ready.push(to);
            }
        }
    }
}

/// The layers that hard edges alone ask for, with the ends of soft edges in different ones. None where that does not
/// settle.
fn layers_with_soft(
    nodes: usize,
    hard: &[(usize, usize)],
    soft: &[(usize, usize)],
    roots: &[usize],
) -> Option<Vec<usize>> {
    let forward = turned(nodes, hard, roots);
    let mut layers = layers_of(nodes, &forward, roots);
    let depth = layers.iter().max().map_or(0, |deepest| deepest + 1);
    let calls = |end: fn(&(usize, usize)) -> usize, node: usize| forward.iter().filter(move |edge| end(edge) == node);
    let is_shared = |node: usize| calls(|edge| edge.1, node).count() > 1;
    let is_loose = |node: usize| {
        let takes = soft.iter().any(|edge| edge.1 == node);
        takes && calls(|edge| edge.1, node).count() == 0 && !calls(|edge| edge.0, node).any(|edge| is_shared(edge.1))
    };
    // What takes messages and depends on nothing that others use goes to the layer that is nearest to its topics, the right one of two.
    for node in (0..nodes).filter(|&node| is_loose(node)) {
        let topics: Vec<usize> = soft.iter().filter(|edge| edge.1 == node).map(|&(topic, _)| layers[topic]).collect();
        let distance = |layer: usize| topics.iter().map(|topic| topic.abs_diff(layer)).sum::<usize>();
        let free = (0..depth).rev().filter(|layer| !topics.contains(layer));
        let nearest = free.min_by_key(|&layer| distance(layer));
        layers[node] = nearest.unwrap_or(depth);
    }
    push_right(&mut layers, &forward);
    for _ in 0..=nodes {
        let Some(&(_, to)) = soft.iter().find(|&&(from, to)| layers[from] == layers[to]) else { return Some(layers) };
        layers[to] += 1;
        push_right(&mut layers, &forward);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
        Layout::of(nodes, edges, &[0], |_| false).slots[..nodes].iter().map(|slot| slot.layer).collect()
    }

    #[test]
    fn callees_stand_right_of_their_callers() {
        assert_eq!(layers(4, &[(0, 1), (1, 2), (0, 2), (2, 3)]), [0, 1, 2, 3]);
    }

    #[test]
    fn a_cycle_is_cut_where_it_closes() {
        let layout = Layout::of(3, &[(0, 1), (1, 2), (2, 1)], &[0], |_| false);
        let reversed: Vec<bool> = layout.routes.iter().map(|route| route.is_reversed).collect();
        assert_eq!(reversed, [false, false, true]);
        assert_eq!(layout.routes[2].slots, [1, 2]);
    }

    #[test]
    fn messages_do_not_make_calls_deeper() {
        // 0 calls 1, which calls 2 and publishes to 3; 4 takes from 3 and calls 2; 5 only takes from 3.
        let edges = [(0, 1), (1, 2), (1, 3), (3, 4), (3, 5), (4, 2)];
        let layout = Layout::of(6, &edges, &[0], |(from, _)| from == 3);
        assert_eq!(layout.slots[..6].iter().map(|slot| slot.layer).collect::<Vec<_>>(), [0, 1, 2, 2, 1, 1]);
        let reversed: Vec<bool> = layout.routes.iter().map(|route| route.is_reversed).collect();
        assert_eq!(reversed, [false, false, false, true, true, false]);
    }

    #[test]
    fn lines_that_skip_layers_share_one_lane() {
        let layout = Layout::of(5, &[(0, 1), (1, 2), (2, 3), (2, 4), (0, 3), (0, 4)], &[0], |_| false);
        let through = layout.slots.iter().filter(|slot| slot.is_through);
        assert_eq!(through.map(|slot| (slot.node, slot.layer)).collect::<Vec<_>>(), [(0, 1), (0, 2)]);
        assert_eq!(layout.routes[4].slots[..3], layout.routes[5].slots[..3]);
    }

    #[test]
    fn order_within_layers_avoids_crossings() {
        let layout = Layout::of(6, &[(0, 5), (1, 4), (2, 3)], &[], |_| false);
        assert_eq!(layout.crossings(), 0);
    }
}

//! Communities: which services the traffic itself puts together, without regard to what anybody declared.
//!
//! The Leiden algorithm over calls, whatever their direction, with a fixed seed on one thread: the same graph gives the
//! same communities.

use std::collections::BTreeMap;

use leiden_rs::{GraphDataBuilder, Leiden, LeidenConfig};
use spanlint_graph::snapshot::Edge;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::topology;

/// Decides ties; any number would do, as long as it stays.
const SEED: u64 = 1;

/// A round that makes the modularity no greater than by this is the last: where the traffic knows no communities, rounds
/// would go on for long without finding any.
const MIN_GAIN: f64 = 1e-4;

/// Pairs of services with the calls between them, in either direction; the smaller index first. Sorted, each pair once.
pub(crate) type Traffic = Vec<((NodeIndex, NodeIndex), u64)>;

/// How much services talk to each other.
pub(crate) fn traffic(graph: &CallGraph) -> Traffic {
    let calls = graph.edges.iter().filter(|edge| !edge.is_derived && topology::joins_services(graph, edge));
    let pair = |edge: &Edge| (edge.from.min(edge.to), edge.from.max(edge.to));
    let mut traffic: Traffic = calls.map(|edge| (pair(edge), edge.facts.calls)).collect();
    traffic.sort_unstable();
    traffic.dedup_by(|(pair, calls), (known, sum)| {
        let is_same = pair == known;
        *sum += if is_same { *calls } else { 0 };
        is_same
    });
    traffic
}

/// The community of each node that talks to another.
pub(crate) fn detect(traffic: &Traffic) -> BTreeMap<NodeIndex, usize> {
    let mut ends: Vec<NodeIndex> = traffic.iter().flat_map(|&((left, right), _)| [left, right]).collect();
    ends.sort_unstable();
    ends.dedup();
    let number = |end: NodeIndex| ends.binary_search(&end).expect("every end is among them");
    let mut builder = GraphDataBuilder::new(ends.len());
    for &((left, right), calls) in traffic {
        builder.add_edge(number(left), number(right), calls as f64).expect("both ends are numbered, calls are finite");
    }
    let config = LeidenConfig { seed: Some(SEED), epsilon: MIN_GAIN, ..LeidenConfig::default() };
    let found = builder.build().and_then(|graph| Leiden::new(config).run(&graph));
    // It refuses graphs without edges: nobody talks, nobody belongs together.
    let Ok(found) = found else { return BTreeMap::new() };
    ends.iter().enumerate().map(|(number, end)| (*end, found.partition.community_of(number))).collect()
}

/// How much more of the traffic stays within parts than chance would have it; none without any traffic.
///
/// Newman, Girvan: Finding and evaluating community structure in networks, Physical Review E 69, 2004.
pub(crate) fn modularity<P: Ord>(traffic: &Traffic, part_of: impl Fn(NodeIndex) -> Option<P>) -> Option<f64> {
    let all: u64 = traffic.iter().map(|(_, calls)| calls).sum();
    if all == 0 {
        return None;
    }
    let (mut within, mut ends) = (0, BTreeMap::<Option<P>, u64>::new());
    // Services without a part are each a part of their own, and never together with another.
    let mut alone = 0.0;
    let mut of_alone: BTreeMap<NodeIndex, u64> = BTreeMap::new();
    for &((left, right), calls) in traffic {
        let parts = [part_of(left), part_of(right)];
        if parts[0].is_some() && parts[0] == parts[1] {
            within += calls;
        }
        for (end, part) in [left, right].into_iter().zip(parts) {
            match part {
                Some(part) => *ends.entry(Some(part)).or_default() += calls,
                None => *of_alone.entry(end).or_default() += calls,
            }
        }
    }
    let double = 2.0 * all as f64;
    for calls in of_alone.values() {
        alone += (*calls as f64 / double).powi(2);
    }
    let expected: f64 = ends.values().map(|calls| (*calls as f64 / double).powi(2)).sum();
    Some(within as f64 / all as f64 - expected - alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two triangles with one edge between them.
    fn triangles() -> Traffic {
        let pairs = [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5), (2, 3)];
        pairs.into_iter().map(|(left, right)| ((NodeIndex(left), NodeIndex(right)), 10)).collect()
    }

    #[test]
    fn what_talks_most_is_together() {
        let found = detect(&triangles());
        assert_eq!((0..3).map(|index| found[&NodeIndex(index)]).collect::<Vec<_>>(), vec![found[&NodeIndex(0)]; 3]);
        assert_eq!((3..6).map(|index| found[&NodeIndex(index)]).collect::<Vec<_>>(), vec![found[&NodeIndex(3)]; 3]);
        assert_ne!(found[&NodeIndex(0)], found[&NodeIndex(3)]);
        assert_eq!(detect(&Traffic::new()), BTreeMap::new());
    }

    #[test]
    fn modularity_is_that_of_the_paper() {
        // Two triangles and an edge: 6/7 within, and each half has half of the ends.
        let halves = modularity(&triangles(), |node| Some(node.0 / 3)).unwrap();
        assert!((halves - (6.0 / 7.0 - 0.5)).abs() < 1e-9, "{halves}");
        let one = modularity(&triangles(), |_| Some(())).unwrap();
        assert!(one.abs() < 1e-9, "{one}");
        assert_eq!(modularity(&Traffic::new(), |_| Some(())), None);
        assert!(modularity(&triangles(), |_| None::<()>).unwrap() < 0.0);
    }
}

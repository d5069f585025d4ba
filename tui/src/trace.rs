//! The trace on screen, and which of its spans prove a finding.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_analyzer::finding::Subject;
use spanlint_graph::waterfall::Row;
use spanlint_graph::{TraceId, Waterfall};

/// A trace, asked for or there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TraceView {
    /// Which.
    pub(crate) trace_id: TraceId,
    /// What it shall prove: the title of a finding, and where in the graph that is.
    pub(crate) claim: Option<(String, Subject)>,
    /// Whether it is there.
    pub(crate) content: Content,
    /// The selected row.
    pub(crate) row: usize,
    /// Whether log lines are shown under their spans.
    pub(crate) has_logs: bool,
}

/// Whether a trace is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// It was asked for.
    Awaited,
    /// It is not kept any more.
    Gone,
    /// It is there.
    Shown(Shown),
}

/// A trace that is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    /// Its spans.
    pub(crate) waterfall: Waterfall,
    /// For each row, whether it proves the claim.
    pub(crate) proves: Vec<bool>,
    /// The services in order of appearance: the place of a service decides its colour.
    pub(crate) services: Vec<String>,
}

impl Shown {
    /// How many log lines the trace has.
    pub(crate) fn log_lines(&self) -> usize {
        self.waterfall.logs.len() + self.waterfall.rows.iter().map(|row| row.logs.len()).sum::<usize>()
    }

    /// Whether it has any.
    pub(crate) fn has_log_lines(&self) -> bool {
        self.log_lines() > 0
    }
}

impl TraceView {
    /// A trace that is asked for.
    pub(crate) fn awaited(trace_id: TraceId, claim: Option<(String, Subject)>) -> Self {
        Self { trace_id, claim, content: Content::Awaited, row: 0, has_logs: true }
    }

    /// Takes the answer; the first row that proves the claim is selected.
    pub(crate) fn receive(&mut self, waterfall: Option<Waterfall>) {
        let Some(waterfall) = waterfall else {
            self.content = Content::Gone;
            return;
        };
        let proves = match &self.claim {
            Some((_, subject)) => proves(&waterfall.rows, subject),
            None => vec![false; waterfall.rows.len()],
        };
        let mut services: Vec<String> = Vec::new();
        for row in &waterfall.rows {
            if !services.contains(&row.service) {
                services.push(row.service.clone());
            }
        }
        self.row = proves.iter().position(|&proves| proves).unwrap_or(0);
        self.content = Content::Shown(Shown { waterfall, proves, services });
    }

    /// The trace, where it is there.
    pub(crate) fn shown(&self) -> Option<&Shown> {
        match &self.content {
            Content::Shown(shown) => Some(shown),
            Content::Awaited | Content::Gone => None,
        }
    }
}

/// For each row, whether it is a call over an edge of `subject` or to its datastore, seen from either side; where no row
/// is, whether it belongs to an operation of `subject`.
fn proves(rows: &[Row], subject: &Subject) -> Vec<bool> {
    let edges: BTreeSet<(&str, &str)> = subject.edges.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let datastore = subject.datastore.as_deref().filter(|_| edges.is_empty());
    let parents = parents(rows);
    let mut proves: Vec<bool> = rows
        .iter()
        .map(|row| edges.contains(&(&row.node_id, &row.peer_id)) || datastore.is_some_and(|id| id == row.peer_id))
        .collect();
    for (index, row) in rows.iter().enumerate() {
        let caller = parents[index].filter(|&parent| rows[parent].node_id != row.node_id);
        if let Some(parent) = caller.filter(|&parent| edges.contains(&(&rows[parent].node_id, &row.node_id))) {
            proves[index] = true;
            proves[parent] = true;
        }
    }
    if !proves.contains(&true) {
        let operations: BTreeSet<&str> = subject.operations.iter().map(String::as_str).collect();
        for (index, row) in rows.iter().enumerate() {
            proves[index] = operations.contains(format!("{} {}", row.service, row.operation).as_str());
        }
    }
    proves
}

/// The row of each row's parent.
fn parents(rows: &[Row]) -> Vec<Option<usize>> {
    let mut open: BTreeMap<u16, usize> = BTreeMap::new();
    let mut parents = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let parent = row.depth.checked_sub(1).filter(|_| !row.is_orphan);
        parents.push(parent.and_then(|depth| open.get(&depth).copied()));
        open.insert(row.depth, index);
    }
    parents
}

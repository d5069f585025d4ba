//! Resolve: names become nodes.
use crate::{CallGraph, Facts, Name, NameTable};

/// The call graph of one environment.
pub fn resolve(_facts: &Facts, _environment: Name, _names: &NameTable) -> CallGraph {
    CallGraph::default()
}

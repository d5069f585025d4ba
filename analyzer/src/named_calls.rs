//! Calls to one host whose paths differ in one name: `GET /users/ann` and `GET /users/bob`. Nothing in such a name says that
//! it is a parameter, as a number would, so each makes an operation of its own. That there are more of them than an interface
//! has operations, and that each request calls others, does say it.

use std::collections::BTreeMap;

use spanlint_graph::facts::histogram;
use spanlint_graph::snapshot::{CallPattern, Edge, Operation};
use spanlint_graph::span::EdgeKind;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind, OperationIndex, TraceId};

use crate::repetition::quantile;
use crate::topology;

/// The fewest names that are no operations.
const MIN_NAMES: usize = 30;
/// The largest share of the requests, in percent, that call the name of the middle: what all call is part of the code.
const MAX_SHARE_PERCENT: u64 = 50;
/// The least share of the calls on the edge, in percent, whose paths differ in the name alone.
const MIN_ALIKE_PERCENT: u64 = 90;
/// What stands for the name.
const NAME: &str = "{name}";

/// Calls of one operation to one external host that differ in a name.
pub(crate) struct NamedCalls<'a> {
    pub(crate) caller: &'a Operation,
    pub(crate) callee: NodeIndex,
    /// The template, with `{name}` in it.
    pub(crate) template: String,
    /// Names called by one request → requests, of two names or more.
    pub(crate) names: BTreeMap<u64, u64>,
    edge: &'a Edge,
}

impl<'a> NamedCalls<'a> {
    /// Every such group of calls.
    pub(crate) fn all(graph: &'a CallGraph) -> Vec<Self> {
        let mut of_host: BTreeMap<(OperationIndex, NodeIndex), Vec<&CallPattern>> = BTreeMap::new();
        let is_asked = |pattern: &&CallPattern| {
            let is_outside = pattern.is_callee_known && graph.node(pattern.callee).kind == NodeKind::External;
            is_outside && pattern.kind == EdgeKind::Http
        };
        for pattern in graph.patterns.iter().filter(is_asked) {
            of_host.entry((pattern.caller, pattern.callee)).or_default().push(pattern);
        }
        let many = of_host.into_iter().filter(|(_, patterns)| patterns.len() >= MIN_NAMES);
        many.filter_map(|((caller, callee), patterns)| Self::of(graph, graph.operation(caller), callee, &patterns))
            .collect()
    }

    fn of(graph: &'a CallGraph, caller: &'a Operation, callee: NodeIndex, patterns: &[&CallPattern]) -> Option<Self> {
        let mut alike: BTreeMap<String, Vec<&CallPattern>> = BTreeMap::new();
        for pattern in patterns {
            for template in with_name(&pattern.template) {
                alike.entry(template).or_default().push(pattern);
            }
        }
        // Of two that hold as many, the one that is named first.
        let (template, named) = alike.into_iter().rev().max_by_key(|(_, named)| named.len())?;
        let edge = topology::edge(graph, caller.node, callee, EdgeKind::Http)?;
        let calls: u64 = named.iter().map(|pattern| pattern.facts.calls).sum();
        let mut requests: Vec<u64> = named.iter().map(|pattern| pattern.facts.requests).collect();
        requests.sort_unstable();
        let is_varied = requests[requests.len() / 2] * 100 <= caller.facts.requests * MAX_SHARE_PERCENT;
        let is_most = calls * 100 >= edge.facts.calls * MIN_ALIKE_PERCENT;
        if named.len() < MIN_NAMES || !is_varied || !is_most {
            return None;
        }
        let mut names: BTreeMap<u64, u64> = BTreeMap::new();
        for ((calls, operations), requests) in &edge.facts.asked_per_request {
            let of_request = histogram::bucket_middle(*calls.min(operations));
            *names.entry(of_request).or_default() += requests;
        }
        Some(Self { caller, callee, template, names, edge })
    }

    /// Requests that call so many names or more.
    pub(crate) fn requests_from(&self, least: u64) -> u64 {
        self.names.range(least..).map(|(_, requests)| requests).sum()
    }

    /// Names called by the median one of them.
    pub(crate) fn median_from(&self, least: u64) -> u64 {
        quantile(&self.names.range(least..).map(|(names, requests)| (*names, *requests)).collect(), 0.5)
    }

    /// Traces that prove it, the best first.
    pub(crate) fn traces(&self, median: u64) -> Vec<TraceId> {
        self.edge.facts.chatty.proof(median)
    }
}

/// `GET /a/b` with each part of its path in turn left out: `GET /{name}/b`, `GET /a/{name}`. Parts that are left out already
/// say that another one is no parameter.
fn with_name(template: &str) -> Vec<String> {
    let Some((method, path)) = template.split_once(" /") else { return Vec::new() };
    let parts: Vec<&str> = path.split('/').collect();
    let named = |place: usize| {
        let other = |(at, part): (usize, &&str)| if at == place { NAME.to_owned() } else { (*part).to_owned() };
        format!("{method} /{}", parts.iter().enumerate().map(other).collect::<Vec<_>>().join("/"))
    };
    let is_name = |place: &usize| !parts[*place].is_empty() && !parts[*place].starts_with('{');
    (0..parts.len()).filter(is_name).map(named).collect()
}

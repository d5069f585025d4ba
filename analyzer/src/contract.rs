//! What the rules about the declared architecture share: one call that is seen is enough to break a declaration.

use spanlint_graph::CallGraph;
use spanlint_graph::snapshot::Edge;

use crate::architecture;
use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Evidence, Finding, Subject, Undecided};
use crate::wording;

/// What a rule says of an edge.
pub(crate) struct Words {
    /// See [`Finding::title`].
    pub(crate) title: String,
    /// See [`Finding::message`].
    pub(crate) message: String,
    /// See [`Finding::fix`].
    pub(crate) fix: String,
}

/// The finding that an edge breaks what is declared. `say` is told what the caller and the callee are called, and how
/// many calls were seen.
pub(crate) fn broken(
    graph: &CallGraph,
    options: &Options<'_>,
    edge: &Edge,
    say: impl FnOnce(&str, &str, &str) -> Words,
) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [edge.from, edge.to]);
    let (from, to) = (graph.node(edge.from), graph.node(edge.to));
    let [caller, callee] = [from, to].map(architecture::called);
    let requests = from.service.as_ref().map_or(edge.facts.requests, |service| service.requests);
    let affected = edge.facts.requests.max(1);
    let support = options.required().sighting(affected, requests).map_err(|missing| case.undecided(missing))?;
    let Words { title, message, fix } = say(&caller, &callee, &wording::count(edge.facts.calls, "call"));
    case.finding(Draft {
        title,
        message,
        fix,
        subject: Subject { edges: vec![(from.id.clone(), to.id.clone())], ..Subject::default() },
        evidence: vec![Evidence::of("calls", edge.facts.calls as f64, "calls").against(0.0)],
        support,
        traces: edge.facts.slow.proof(edge.latency().quantile(0.5)),
        ..case.draft()
    })
}

//! Sidecars of which a trace did not tell whom they stand before, since the span of that service was lost: where others
//! of the window tell, they belong to it as well.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::facts::{EnvironmentFacts, ServiceFacts};
use crate::name::NameTable;
use crate::span::{NodeKey, ServiceKey};

/// The facts with what is left of sidecars given to the services that they stand before.
pub(super) fn given_back<'a>(facts: &'a EnvironmentFacts, names: &NameTable) -> Cow<'a, EnvironmentFacts> {
    let sidecars = sidecars(facts, names);
    if sidecars.is_empty() {
        return Cow::Borrowed(facts);
    }
    Cow::Owned(facts.renamed(|service| sidecars.get(&service).copied().unwrap_or(service)))
}

/// Sidecar → the service that it is called after and that has sidecars. What calls that service stands before it as a
/// proxy of its own, as one at the edge does.
fn sidecars(facts: &EnvironmentFacts, names: &NameTable) -> BTreeMap<ServiceKey, ServiceKey> {
    let services = facts.services.sorted();
    let is_left = |service: &ServiceFacts| service.spans > 0 && service.proxy_spans == service.spans;
    let mut left = services.iter().filter(|(_, facts)| is_left(facts)).peekable();
    if left.peek().is_none() {
        return BTreeMap::new();
    }
    let with_sidecars = services.iter().filter(|(_, facts)| facts.proxy_spans > 0 && !is_left(facts));
    let known: Vec<(&str, ServiceKey, u64)> =
        with_sidecars.map(|(service, facts)| (names.text(service.name), *service, facts.proxy_spans)).collect();
    let before = |sidecar: ServiceKey, spans: u64| {
        let name = names.text(sidecar.name);
        let is_called_after = |known: &str| name.strip_prefix(known).is_some_and(|rest| rest.starts_with(['.', '-']));
        let after = known.iter().filter(|(known, _, sidecar_spans)| spans < *sidecar_spans && is_called_after(known));
        let longest = after.clone().map(|(known, ..)| known.len()).max()?;
        let mut nearest = after.filter(|(known, ..)| known.len() == longest).map(|(_, service, _)| *service);
        nearest.next().filter(|_| nearest.next().is_none())
    };
    let calls = |caller: ServiceKey, callee: ServiceKey| {
        let ends = (NodeKey::Service(caller), NodeKey::Service(callee));
        facts.edges.keys().any(|edge| (edge.caller, edge.callee) == ends)
    };
    let found = left.filter_map(|(sidecar, facts)| Some((*sidecar, before(*sidecar, facts.spans)?)));
    found.filter(|(sidecar, service)| !calls(*sidecar, *service)).collect()
}

//! Sidecars of which a trace did not tell whom they stand before, since the span of that service was lost or the service
//! lost the trace: where others of the window tell, they belong to it as well.

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

/// Sidecar → the service that it is called after and that has sidecars, or surely has this one. What calls that service
/// stands before it as a proxy of its own, as one at the edge does.
fn sidecars(facts: &EnvironmentFacts, names: &NameTable) -> BTreeMap<ServiceKey, ServiceKey> {
    let services = facts.services.sorted();
    let is_left = |service: &ServiceFacts| service.spans > 0 && service.proxy_spans == service.spans;
    let mut left = services.iter().filter(|(_, facts)| is_left(facts)).peekable();
    if left.peek().is_none() {
        return BTreeMap::new();
    }
    let known: Vec<(&str, ServiceKey, &ServiceFacts)> = services
        .iter()
        .filter(|(_, facts)| !is_left(facts))
        .map(|(service, facts)| (names.text(service.name), *service, *facts))
        .collect();
    let before = |sidecar: ServiceKey, facts_of: &ServiceFacts| {
        let rest =
            |known: &str| names.text(sidecar.name).strip_prefix(known).filter(|rest| rest.starts_with(['.', '-']));
        let after = known.iter().filter(|(known, service, of_known)| {
            rest(known).is_some_and(|rest| {
                facts_of.spans < of_known.proxy_spans
                    || shares_instance(facts_of, of_known)
                    || facts_of.sidecar_spans > 0 && is_named_by_mesh(rest, names.text(service.namespace))
            })
        });
        let longest = after.clone().map(|(known, ..)| known.len()).max()?;
        let mut nearest = after.filter(|(known, ..)| known.len() == longest).map(|(_, service, _)| *service);
        nearest.next().filter(|_| nearest.next().is_none())
    };
    let found = left.filter_map(|(sidecar, facts)| Some((*sidecar, before(*sidecar, facts)?)));
    found.filter(|(sidecar, service)| !calls(facts, *sidecar, *service)).collect()
}

/// Whether both were in one pod.
fn shares_instance(sidecar: &ServiceFacts, service: &ServiceFacts) -> bool {
    sidecar.instances.keys().any(|instance| service.instances.keys().any(|other| other == instance))
}

/// Whether a sidecar's name goes on as Istio makes it: `cart.default` of the service `cart` in the namespace `default`.
fn is_named_by_mesh(rest: &str, namespace: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|rest| !rest.contains('.') && (namespace.is_empty() || rest == namespace))
}

fn calls(facts: &EnvironmentFacts, caller: ServiceKey, callee: ServiceKey) -> bool {
    let ends = (NodeKey::Service(caller), NodeKey::Service(callee));
    facts.edges.keys().any(|edge| (edge.caller, edge.callee) == ends)
}

//! A service mesh: the sidecars of caller and callee each add a span to every call between services.

use std::collections::HashMap;

use super::model::{Attributes, System, Value};
use super::random::Random;
use super::simulate::{CLIENT, SERVER, Span};

/// Whose sidecars stand before the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mesh {
    /// Named after their service and its namespace.
    Envoy,
    /// All of one name.
    Linkerd,
}

/// The spans with those of the sidecars.
pub(super) fn enmesh(mut spans: Vec<Span>, system: &System, mesh: Mesh, seed: u64) -> Vec<Span> {
    let mut random = Random::new(seed ^ 0x3e5a);
    let calls: HashMap<u64, Span> =
        spans.iter().filter(|span| span.kind == CLIENT).map(|span| (span.id, span.clone())).collect();
    let mut added = Vec::new();
    for taken in spans.iter_mut().filter(|span| span.kind == SERVER) {
        let Some(made) = calls.get(&taken.parent).filter(|made| made.service != taken.service) else { continue };
        let callee = &system.services[taken.service];
        if callee.is_proxy || system.services[made.service].is_proxy {
            continue;
        }
        let authority = format!("{}.{}.svc.cluster.local:8080", callee.name, callee.namespace);
        let attributes = told(made, taken, &authority, mesh);
        let (network, slack) = (taken.start.saturating_sub(made.start), made.end.saturating_sub(taken.end));
        let side = |id, of: &Span, parent, kind, margin: u64| Span {
            id,
            parent,
            kind,
            name: format!("{authority}/*"),
            // As far away from the caller's span as from the callee's, of the time that lies between them.
            start: made.start + network * margin / 3,
            end: (made.end.saturating_sub(slack * margin / 3)).max(made.start),
            is_error: made.is_error,
            attributes: attributes.clone(),
            links: Vec::new(),
            is_sidecar: true,
            ..of.clone()
        };
        let (out, inward) = (random.next(), random.next());
        added.push(side(out, made, made.id, CLIENT, 1));
        added.push(side(inward, taken, out, SERVER, 2));
        taken.parent = inward;
    }
    spans.extend(added);
    spans
}

/// A sidecar sees bytes: a method and a path.
fn told(made: &Span, taken: &Span, authority: &str, mesh: Mesh) -> Attributes {
    let of =
        |span: &Span, key: &str| span.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
    let path = match (of(taken, "url.path"), of(taken, "rpc.method")) {
        (Some(Value::Text(path)), _) => path,
        (_, Some(Value::Text(method))) => format!("/{method}"),
        _ => "/".to_owned(),
    };
    let status = of(made, "http.response.status_code").unwrap_or(Value::Number(200));
    let mut attributes: Attributes = vec![
        ("http.request.method", of(taken, "http.request.method").unwrap_or_else(|| "POST".into())),
        ("url.full", format!("http://{authority}{path}").into()),
        ("http.response.status_code", status),
    ];
    match mesh {
        Mesh::Envoy => attributes.extend([
            ("component", "proxy".into()),
            ("upstream_cluster", format!("outbound|8080||{authority}").into()),
            ("node_id", "sidecar~10.9.1.7~pod-7c4~svc.cluster.local".into()),
            ("response_flags", "-".into()),
        ]),
        Mesh::Linkerd => attributes.push(("direction", "outbound".into())),
    }
    attributes
}

/// What the sidecar of a service calls itself.
pub(super) fn name(mesh: Mesh, service: &str, namespace: &str) -> String {
    match mesh {
        Mesh::Envoy => format!("{service}.{namespace}"),
        Mesh::Linkerd => "linkerd-proxy".to_owned(),
    }
}

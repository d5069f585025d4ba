//! The trace as it would be without a service mesh.
//!
//! What a sidecar sends belongs to the service that it stands before: the one it passes requests to or, going out, the one
//! it takes calls from. What tells that a proxy is a sidecar: it says so itself, it is called or runs like the service, or
//! it stands at both ends of one call. A proxy that stands elsewhere is a service of its own, as a gateway is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Trace, Tree};
use crate::name::Name;
use crate::span::{EdgeKind, Marks, Resource, ResourceId, ServiceKey, Span, SpanKind, Vocabulary};

/// What sidecars of whole systems are called alike, so that the name tells nothing of whom they stand before.
const COMMON_NAMES: [&str; 4] = ["istio-proxy", "linkerd-proxy", "envoy", "daprd"];

impl Trace {
    /// The trace without what sidecars are by themselves.
    pub(crate) fn without_proxies<'a>(part: Cow<'a, Self>, tree: &Tree, vocabulary: &Vocabulary) -> Cow<'a, Self> {
        if !part.spans.iter().any(|span| span.marks.is_of_proxy()) {
            return part;
        }
        let roles = Mesh::new(&part.spans, tree, vocabulary).roles();
        let mut trace = part.into_owned();
        for (index, role) in roles {
            match role {
                Role::Twin(app) => {
                    if let Ok([span, app]) = trace.spans.get_disjoint_mut([index, app]) {
                        span.speak_for(app);
                    }
                }
                Role::Of(service, kind) => trace.spans[index].become_of(service, kind),
            }
        }
        Cow::Owned(trace)
    }
}

impl Span {
    /// Whether it is of a sidecar that only passes on a call, and answers none.
    pub(crate) fn is_passage(&self) -> bool {
        self.marks.is_of_proxy() && self.shape.kind == SpanKind::Internal
    }

    /// Says what the application's span of the same request says; a sidecar knows neither routes nor parameters, and the
    /// time that it takes is the network's.
    fn speak_for(&mut self, app: &Self) {
        self.shape = Arc::clone(&app.shape);
        self.marks.set(app.marks, true);
        (self.parameters, self.is_resend) = (app.parameters, app.is_resend);
        (self.start_ns, self.end_ns) = (app.start_ns, app.end_ns);
    }

    /// Belongs to a service, as a span of this kind.
    fn become_of(&mut self, service: ServiceKey, kind: SpanKind) {
        if (self.shape.service, self.shape.kind) != (service, kind) {
            let shape = Arc::make_mut(&mut self.shape);
            (shape.service, shape.kind) = (service, kind);
        }
    }
}

/// What a sidecar's span is.
#[derive(Debug, Clone, Copy)]
enum Role {
    /// The same as this span of the application.
    Twin(usize),
    /// A span of this service and kind. One that only passes a call on, to a service that shows nothing of it and that
    /// the call names, is internal to the caller.
    Of(ServiceKey, SpanKind),
}

impl Role {
    fn service(self, spans: &[Span]) -> ServiceKey {
        match self {
            Self::Twin(app) => spans[app].shape.service,
            Self::Of(service, _) => service,
        }
    }
}

/// Looks for what the proxies of a trace are.
struct Mesh<'a> {
    spans: &'a [Span],
    tree: &'a Tree,
    vocabulary: &'a Vocabulary,
    /// Of those that are not services by themselves.
    roles: BTreeMap<usize, Role>,
    torn_from: BTreeMap<ResourceId, Option<ServiceKey>>,
}

impl<'a> Mesh<'a> {
    fn new(spans: &'a [Span], tree: &'a Tree, vocabulary: &'a Vocabulary) -> Self {
        Self { spans, tree, vocabulary, roles: BTreeMap::new(), torn_from: BTreeMap::new() }
    }

    /// What each is, callers before callees.
    fn roles(mut self) -> BTreeMap<usize, Role> {
        let (spans, tree) = (self.spans, self.tree);
        for &index in tree.order.iter().filter(|&&index| spans[index].marks.is_of_proxy()) {
            if let Some(role) = self.role(index) {
                self.roles.insert(index, role);
            }
        }
        self.roles
    }

    fn role(&mut self, index: usize) -> Option<Role> {
        let span = &self.spans[index];
        let is_sure = span.marks.has(Marks::SIDECAR);
        let is_call = span.shape.kind == SpanKind::Client && is_sure;
        let is_message = is_call && span.shape.call.as_ref().is_some_and(|call| call.kind == EdgeKind::Messaging);
        // Dapr publishes and delivers by client spans.
        let kind = if is_message { SpanKind::Producer } else { span.shape.kind };
        if let Some(app) = self.handed_to(index) {
            let consumer = Role::Of(span.shape.service, SpanKind::Consumer);
            return Some(if is_message { consumer } else { Role::Twin(app) });
        }
        let app = if self.takes(index) { self.below(index) } else { self.above(index) };
        let is_near = |app: &usize| nearness(span, &self.spans[*app], self.vocabulary).is_some();
        if let Some(app) = app.filter(|app| is_sure || is_near(app) || self.is_one_end(index)) {
            // What an application asks its sidecar for, as of Dapr, the sidecar knows better.
            let is_told = self.takes(index) || span.marks.has(Marks::PROXY);
            let is_twin = is_told && self.kind(app) == kind;
            return Some(if is_twin { Role::Twin(app) } else { Role::Of(self.spans[app].shape.service, kind) });
        }
        // What a sidecar that takes a request passes on is the same request.
        let same = self.parent(index).filter(|&parent| self.is_fellow(parent, index) && !self.takes(index));
        if let Some(parent) = same {
            let role = self.roles.get(&parent)?;
            let is_passage = matches!(role, Role::Of(_, SpanKind::Internal));
            return Some(Role::Of(role.service(self.spans), if is_passage { SpanKind::Internal } else { kind }));
        }
        let torn = self.torn(index).map(|service| Role::Of(service, kind));
        torn.or_else(|| self.passage(index)).or(is_message.then_some(Role::Of(span.shape.service, kind)))
    }

    /// The span of the sidecar's service to which it hands what came to it by itself or from another service: Dapr calls
    /// what has subscribed to a message, or is asked for, by a client span.
    fn handed_to(&self, index: usize) -> Option<usize> {
        let span = &self.spans[index];
        let service = |index: usize| self.spans[index].shape.service;
        let comes_from_own = self.parent(index).is_some_and(|parent| service(parent) == span.shape.service);
        let is_sidecar = span.marks.has(Marks::SIDECAR) && span.shape.kind == SpanKind::Client;
        let app = if is_sidecar && !comes_from_own { self.app_below(index) } else { None };
        app.filter(|&app| service(app) == span.shape.service)
    }

    /// The service that is nearest to what lost the span of its request.
    fn torn(&mut self, index: usize) -> Option<ServiceKey> {
        let is_leaf = self.tree.children(index).next().is_none();
        let is_torn = self.tree.is_orphan[index] || self.takes(index) && is_leaf;
        if !is_torn {
            return None;
        }
        let (spans, vocabulary) = (self.spans, self.vocabulary);
        let nearest = || nearest_service(&spans[index], spans, vocabulary);
        *self.torn_from.entry(spans[index].shape.resource).or_insert_with(nearest)
    }

    /// Of a sidecar that takes a request for a service which shows nothing of it, and whose name it does not bear: the
    /// call names whom it is for.
    fn passage(&self, index: usize) -> Option<Role> {
        let span = &self.spans[index];
        let name = self.vocabulary.names.text(span.shape.service.name);
        let is_known = span.marks.has(Marks::SIDECAR) || self.is_one_end(index);
        let parent = self.parent(index).filter(|&parent| self.kind(parent) == SpanKind::Client)?;
        if !self.takes(index) || !is_known || !COMMON_NAMES.contains(&name) {
            return None;
        }
        let caller = self.roles.get(&parent).map_or(self.spans[parent].shape.service, |role| role.service(self.spans));
        Some(Role::Of(caller, SpanKind::Internal))
    }

    /// Whether a proxy stands at one end of a call, and one of the same name at the other: what an application's call goes
    /// out through is no gateway, which takes it.
    fn is_one_end(&self, index: usize) -> bool {
        if self.takes(index) {
            let out = self.parent(index).filter(|&parent| self.is_fellow(parent, index));
            return out.is_some_and(|out| self.goes_out(out));
        }
        let is_other = |child: usize| self.takes(child) && self.is_fellow(child, index);
        self.goes_out(index) && self.tree.children(index).any(is_other)
    }

    /// Whether it is the call of an application on its way.
    fn goes_out(&self, index: usize) -> bool {
        let is_call = |parent: usize| self.kind(parent) == SpanKind::Client && !self.is_proxy(parent);
        self.kind(index) == SpanKind::Client && self.parent(index).is_some_and(is_call)
    }

    /// The application's span to which a request is passed.
    fn below(&self, index: usize) -> Option<usize> {
        let passes = |&child: &usize| !self.takes(child) && self.is_fellow(child, index);
        let passed = || self.tree.children(index).filter(passes).find_map(|child| self.app_below(child));
        self.app_below(index).or_else(passed)
    }

    fn app_below(&self, index: usize) -> Option<usize> {
        self.tree.children(index).find(|&child| self.takes(child) && !self.is_proxy(child))
    }

    /// The application's span from which a call comes.
    fn above(&self, index: usize) -> Option<usize> {
        self.parent(index).filter(|&parent| !self.is_proxy(parent))
    }

    fn parent(&self, index: usize) -> Option<usize> {
        self.tree.parent[index]
    }

    fn kind(&self, index: usize) -> SpanKind {
        self.spans[index].shape.kind
    }

    fn takes(&self, index: usize) -> bool {
        matches!(self.kind(index), SpanKind::Server | SpanKind::Consumer)
    }

    fn is_proxy(&self, index: usize) -> bool {
        self.spans[index].marks.is_of_proxy()
    }

    /// Whether both are of proxies of one name.
    fn is_fellow(&self, left: usize, right: usize) -> bool {
        self.is_proxy(left) && self.spans[left].shape.service == self.spans[right].shape.service
    }
}

/// What says that a proxy is the sidecar of a service, the surest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// They are on the same host or pod.
    Host,
    /// It is called after the service (`cart.default`, `cart-envoy`), whose name has so many bytes.
    Name(usize),
    /// They call themselves one instance.
    Instance,
}

/// How surely a proxy is the sidecar of a service; none where nothing says so.
fn nearness(proxy: &Span, app: &Span, vocabulary: &Vocabulary) -> Option<Nearness> {
    let resource = |span: &Span| vocabulary.resource(span.shape.resource);
    let (proxy, app) = (resource(proxy), resource(app));
    let name = |resource: &Resource| vocabulary.names.text(resource.service.name);
    let rest = name(&proxy).strip_prefix(name(&app));
    let is_same = |left: Name, right: Name| !left.is_empty() && left == right;
    // A proxy on a host of its own, such as `frontend-proxy` at the edge, is no sidecar, whatever it is called after.
    let are_apart = !proxy.host.is_empty() && !app.host.is_empty() && proxy.host != app.host;
    let is_called_after = !are_apart && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']));
    if is_same(proxy.instance, app.instance) {
        Some(Nearness::Instance)
    } else if is_called_after {
        Some(Nearness::Name(name(&app).len()))
    } else {
        is_same(proxy.host, app.host).then_some(Nearness::Host)
    }
}

/// The service that a proxy is the surest to stand before; none where nothing says so of any, or the same of several.
fn nearest_service(proxy: &Span, spans: &[Span], vocabulary: &Vocabulary) -> Option<ServiceKey> {
    let apps = || spans.iter().filter(|span| !span.marks.is_of_proxy());
    let nearness = |app: &&Span| nearness(proxy, app, vocabulary);
    let nearest = apps().filter_map(|app| nearness(&app)).max()?;
    let mut services = apps().filter(|app| nearness(app) == Some(nearest)).map(|app| app.shape.service);
    services.next().filter(|&first| services.all(|other| other == first))
}

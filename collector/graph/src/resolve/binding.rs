//! Which raw peer is which service.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::EnvironmentFacts;
use crate::name::{Name, NameTable};
use crate::semantics::is_address;
use crate::span::{NodeKey, ServiceKey};

/// The share of the calls for a host that the service answers which is asked for it.
const MIN_ANSWER_SHARE: f64 = 0.9;
/// The fewest traces in which a host is asked for that make it the service's.
const MIN_ANSWERS: u64 = 3;

/// The services of an environment by name, and by what they offer.
pub(super) struct Binding<'a> {
    by_name: BTreeMap<&'a str, Vec<ServiceKey>>,
    /// Who offers the methods of an interface for remote procedure calls; none where it is several.
    by_interface: BTreeMap<&'a str, Option<ServiceKey>>,
    /// Who takes requests of the outside world that were sent to a host.
    by_host: BTreeMap<&'a str, ServiceKey>,
    /// Who answered the calls of other services for a host, which lost its answer now and then.
    by_answer: BTreeMap<&'a str, ServiceKey>,
    names: &'a NameTable,
}

impl<'a> Binding<'a> {
    pub(super) fn of(facts: &EnvironmentFacts, names: &'a NameTable) -> Self {
        let mut by_name: BTreeMap<&str, Vec<ServiceKey>> = BTreeMap::new();
        for (service, _) in facts.services.sorted() {
            by_name.entry(names.text(service.name)).or_default().push(service);
        }
        let mut by_interface: BTreeMap<&str, Option<ServiceKey>> = BTreeMap::new();
        for (operation, _) in facts.operations.sorted() {
            let Some((interface, _)) = names.text(operation.operation).rsplit_once('/') else { continue };
            let offers = by_interface.entry(interface).or_insert(Some(operation.service));
            *offers = offers.filter(|known| *known == operation.service);
        }
        Self { by_name, by_interface, by_host: by_host(facts, names), by_answer: by_answer(facts, names), names }
    }

    /// A peer is a service if it has its name, or if it is a host of a cluster whose first label is that name
    /// (`cart.shop.svc.cluster.local:8080`), or a member of a set of that name (`cart-3.cart`), or a host that it alone is
    /// asked as or answers for, where no cluster says otherwise. Of several with one name the caller's namespace decides.
    /// Other hosts that begin like a service (`api.stripe.com`) are not it.
    pub(super) fn bind(&self, caller: NodeKey, callee: NodeKey) -> NodeKey {
        let NodeKey::Peer(peer) = callee else { return callee };
        let text = self.names.text(peer);
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        if let Some(service) = [text, host].into_iter().find_map(|name| self.choose(caller, name, None)) {
            return NodeKey::Service(service);
        }
        // Where nothing else was told of the callee, it is named by the interface that it was called for.
        if let Some(Some(service)) = self.by_interface.get(text) {
            let bound = NodeKey::Service(*service);
            return if bound == caller { callee } else { bound };
        }
        // `shop/cart` is how a caller names a service of another namespace.
        if let Some((namespace, name)) = text.split_once('/') {
            return self.choose(caller, name, Some(namespace)).map_or(callee, NodeKey::Service);
        }
        let (label, rest) = host.split_once('.').unwrap_or((host, ""));
        let zone = rest.split('.').next().filter(|zone| !zone.is_empty());
        let bound = if rest.is_empty() {
            None
        } else if let Some(set) = zone.filter(|set| is_member(label, set)) {
            self.choose(caller, set, None)
        } else if is_within_cluster(rest) {
            self.choose(caller, label, zone).or_else(|| self.choose(caller, label, None))
        } else {
            // `cart.shop` is the short form within a cluster: the second label is the namespace.
            zone.filter(|zone| *zone == rest).and_then(|zone| self.choose(caller, label, Some(zone)))
        };
        // A name of a network is who answers to it; an address may have been another's before.
        let answers = || self.by_host.get(text).or_else(|| self.by_answer.get(host)).filter(|_| !is_address(host));
        let bound = bound.or_else(|| answers().copied());
        // A service does not reach itself under a name that only begins like its own.
        bound.map(NodeKey::Service).filter(|bound| *bound != caller).unwrap_or(callee)
    }

    /// The service of this name (and namespace, where given); of several that of the caller's namespace.
    fn choose(&self, caller: NodeKey, name: &str, namespace: Option<&str>) -> Option<ServiceKey> {
        let candidates = self.by_name.get(name)?;
        let fits = |service: &&ServiceKey| namespace.is_none_or(|wanted| self.names.text(service.namespace) == wanted);
        let is_near =
            |service: &&ServiceKey| matches!(caller, NodeKey::Service(own) if own.namespace == service.namespace);
        let mut fitting = candidates.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Some(*only),
            _ => candidates.iter().filter(fits).find(is_near).copied(),
        }
    }
}

/// Who is asked for each host. Anybody may ask anybody for any host, so only that counts for which clients ask a service
/// for the most part, again and again, and hardly ask another; and nothing where a call to that host led to another.
fn by_host<'a>(facts: &EnvironmentFacts, names: &'a NameTable) -> BTreeMap<&'a str, ServiceKey> {
    let mut asked: BTreeMap<&str, Asked> = BTreeMap::new();
    let mut led: BTreeSet<(&str, ServiceKey)> = BTreeSet::new();
    for (key, edge) in facts.edges.sorted() {
        let NodeKey::Service(service) = key.callee else { continue };
        let hosts = edge.hosts.sorted().into_iter().map(|(host, calls)| (names.text(host), *calls));
        if key.caller != NodeKey::Client {
            led.extend(hosts.map(|(host, _)| (host, service)));
            continue;
        }
        for (host, calls) in hosts {
            let asked = asked.entry(host).or_default();
            asked.calls = asked.calls.saturating_add(calls);
            let is_usual = calls > edge.calls / 2 && calls.min(edge.traces) >= MIN_ANSWERS;
            if is_usual && calls > asked.most {
                (asked.most, asked.service) = (calls, Some(service));
            }
        }
    }
    let is_alone = |asked: &Asked| asked.most as f64 >= asked.calls as f64 * MIN_ANSWER_SHARE;
    // On the own host each port is another service's.
    let leads_elsewhere = |host: &str, service: ServiceKey| {
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let mut known = led.range((host, ServiceKey::default())..).take_while(|(known, _)| *known == host);
        host != "localhost" && known.any(|(_, known)| *known != service)
    };
    let alone = asked.into_iter().filter(|(_, asked)| is_alone(asked));
    let answering = alone.filter_map(|(host, asked)| Some((host, asked.service?)));
    answering.filter(|(host, service)| !leads_elsewhere(host, *service)).collect()
}

/// Who answers for each host that services call: one service nearly alone, again and again, for at least half of what is
/// asked there, and at one port as far as is known.
fn by_answer<'a>(facts: &EnvironmentFacts, names: &'a NameTable) -> BTreeMap<&'a str, ServiceKey> {
    let mut asked: BTreeMap<&str, Answered> = BTreeMap::new();
    for (key, edge) in facts.edges.sorted() {
        let NodeKey::Service(_) = key.caller else { continue };
        for (host, &calls) in edge.hosts.sorted() {
            let asked = asked.entry(names.text(host)).or_default();
            match key.callee {
                NodeKey::Service(service) => {
                    let answers = asked.by_service.entry(service).or_default();
                    (answers.0, answers.1) = (answers.0 + calls, answers.1 + calls.min(edge.traces));
                }
                NodeKey::Peer(peer) => {
                    asked.unanswered = asked.unanswered.saturating_add(calls);
                    asked.peers.insert(peer);
                }
                _ => {}
            }
        }
    }
    let at_one_port = asked.into_iter().filter(|(_, asked)| asked.peers.len() == 1);
    at_one_port.filter_map(|(host, asked)| Some((host, asked.service()?))).collect()
}

/// Who answered what services asked a host for.
#[derive(Default)]
struct Answered {
    /// Calls, and traces with them.
    by_service: BTreeMap<ServiceKey, (u64, u64)>,
    unanswered: u64,
    /// The host as those name it whom nobody answered, port and all.
    peers: BTreeSet<Name>,
}

impl Answered {
    fn service(&self) -> Option<ServiceKey> {
        let answered: u64 = self.by_service.values().map(|(calls, _)| calls).sum();
        let (service, &(most, traces)) = self.by_service.iter().max_by_key(|(_, (calls, _))| *calls)?;
        let is_alone = most as f64 >= answered as f64 * MIN_ANSWER_SHARE && most >= self.unanswered;
        (is_alone && traces >= MIN_ANSWERS).then_some(*service)
    }
}

/// How clients ask for a host.
#[derive(Default)]
struct Asked {
    calls: u64,
    /// Of these, those of `service`.
    most: u64,
    /// Who answers most of them, if it is mostly asked for this host.
    service: Option<ServiceKey>,
}

/// Whether a host is the numbered member of a set: `cart-3` of `cart`.
fn is_member(label: &str, set: &str) -> bool {
    let number = label.strip_prefix(set).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Whether what follows the first label of a host belongs to a cluster or a private network.
fn is_within_cluster(rest: &str) -> bool {
    let is_last = |zone: &str| rest == zone || rest.strip_suffix(zone).is_some_and(|before| before.ends_with('.'));
    ["svc", "local", "internal", "consul", "localdomain"].into_iter().any(is_last) || rest.contains(".svc.")
}

//! Waypoints of an ambient mesh: proxies that take the requests for many services, each named by the proxy's upstream.

use super::attributes::Field;
use super::inputs::Inputs;
use super::intern;
use crate::name::NameTable;
use crate::span::ServiceKey;

/// What the node of a waypoint begins with.
pub(super) const NODE: &str = "waypoint~";

/// The service that `inputs` say of whom a span is: the waypoint's own, unless it took a request for one of the cluster.
/// That is called as sidecars call it: `cart.shop` where `inbound-vip|80|http|cart.shop.svc.cluster.local` is upstream.
pub(super) fn service(inputs: &Inputs<'_>, own: ServiceKey, names: &mut NameTable) -> ServiceKey {
    if !inputs.text(Field::ProxyNode).starts_with(NODE) {
        return own;
    }
    let cluster = inputs.text(Field::Upstream);
    let host = cluster.strip_prefix("inbound-vip|").and_then(|rest| rest.rsplit('|').next());
    let of_cluster = host.and_then(|host| host.split_once(".svc.")).map_or("", |(service, _)| service);
    if of_cluster.is_empty() { own } else { ServiceKey { name: intern(names, of_cluster), ..own } }
}

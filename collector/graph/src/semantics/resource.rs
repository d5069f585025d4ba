//! Resource attributes: who sent the spans.

use super::intern;
use crate::name::{Name, NameTable};
use crate::span::{Attribute, Resource, ServiceKey, Value};

/// Keys that name the owner of a service, in order of preference; the semantic conventions have none.
const OWNER_KEYS: [&str; 5] = ["service.owner", "service.owner.name", "service.team", "owner", "team"];

/// Reads what facts need of a resource.
pub(super) fn read(attributes: &[Attribute<'_>], names: &mut NameTable) -> Resource {
    let mut named = |value: Option<&Value<'_>>| value.map_or(Name::EMPTY, |value| intern(names, &value.to_text()));
    let first = |keys: &[&str]| -> Option<&Value<'_>> {
        keys.iter().find_map(|key| {
            let found = attributes.iter().find(|(name, value)| name == key && !value.to_text().is_empty());
            found.map(|(_, value)| value)
        })
    };
    let host = first(&["host.id", "host.name", "k8s.pod.uid", "k8s.pod.name", "container.id", "hostname"]);
    let process = first(&["process.pid"]);
    let instance = first(&["service.instance.id", "k8s.pod.uid", "k8s.pod.name", "container.id"]);
    // A host alone names no instance: several services run on one.
    let instance = match (instance, host, process) {
        (Some(instance), _, _) => instance.to_text().into_owned(),
        (None, Some(host), Some(process)) => format!("{}/{}", host.to_text(), process.to_text()),
        (None, ..) => String::new(),
    };
    let environment = named(first(&["deployment.environment.name", "deployment.environment"]));
    let namespace = named(first(&["service.namespace"]));
    let version = named(first(&["service.version"]));
    let owner = named(first(&OWNER_KEYS));
    let language = named(first(&["telemetry.sdk.language"]));
    let host = named(host);
    let name = first(&["service.name"]).map_or("unknown_service".into(), Value::to_text);
    let name = if name.starts_with("unknown_service") && !instance.is_empty() {
        intern(names, &format!("{name} ({instance})"))
    } else {
        intern(names, &name)
    };
    let instance = intern(names, &instance);
    Resource { environment, service: ServiceKey { namespace, name }, version, instance, owner, language, host }
}

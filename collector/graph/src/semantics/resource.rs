//! Resource attributes: who sent the spans.

use super::attributes::Field;
use super::inputs::Inputs;
use crate::name::{Name, NameTable};
use crate::span::{Attribute, Resource, ServiceKey, Value};

/// The most bytes of a name in a resource, as long as names of hosts and files may be: it comes again in every node, edge
/// and finding of its service.
pub(super) const MAX_RESOURCE_NAME_BYTES: usize = 255;

/// The service that a span is of: its resource's, unless it says that this is named after a library, as Datadog's
/// tracers name what calls a database or another service.
pub(super) fn own_service(inputs: &Inputs<'_>, service: ServiceKey, names: &mut NameTable) -> ServiceKey {
    match &*inputs.text(Field::BaseService) {
        "" => service,
        base => ServiceKey { name: super::intern(names, base), ..service },
    }
}

/// Reads what facts need of a resource, its owner by the first of `owner_keys` that it has.
pub(super) fn read(attributes: &[Attribute<'_>], owner_keys: &[String], names: &mut NameTable) -> Resource {
    let mut intern = |text: &str| super::intern(names, &text[..text.floor_char_boundary(MAX_RESOURCE_NAME_BYTES)]);
    let mut named = |value: Option<&Value<'_>>| value.map_or(Name::EMPTY, |value| intern(&value.to_text()));
    let given = |key: &str| -> Option<&Value<'_>> {
        let found = attributes.iter().find(|(name, value)| name == key && !value.to_text().is_empty());
        found.map(|(_, value)| value)
    };
    let first = |keys: &[&str]| keys.iter().find_map(|key| given(key));
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
    let owner = named(owner_keys.iter().find_map(|key| given(key)));
    let language = named(first(&["telemetry.sdk.language"]));
    let host = named(host);
    let name = first(&["service.name"]).map_or("unknown_service".into(), Value::to_text);
    let name = if name.starts_with("unknown_service") && !instance.is_empty() {
        intern(&format!("{name} ({instance})"))
    } else {
        intern(&name)
    };
    let instance = intern(&instance);
    Resource { environment, service: ServiceKey { namespace, name }, version, instance, owner, language, host }
}

//! Which services take part: by profiles, by name with what they depend on; and what they need of the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Node, Path, Place};
use super::sink::{Sink, Stop};

/// Services by name, those that take part and those that do not.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// Those that take part.
    pub enabled: BTreeMap<String, Node>,
    /// Those of other profiles.
    pub disabled: BTreeMap<String, Node>,
}

/// The profiles of a service.
pub(super) fn profiles(service: &Node) -> Vec<&str> {
    service.get("profiles").and_then(Node::as_list).unwrap_or_default().iter().filter_map(Node::as_text).collect()
}

impl Services {
    /// All services of a configuration, parted by active profiles; `*` is all of them.
    pub fn new(root: &Node, active: &[String]) -> Self {
        let all = root.get("services").and_then(Node::as_map).cloned().unwrap_or_default();
        let takes_part = |node: &Node| {
            let own = profiles(node);
            own.is_empty() || active.iter().any(|profile| profile == "*" || own.contains(&profile.as_str()))
        };
        let (enabled, disabled) = all.into_iter().partition(|(_, node)| takes_part(node));
        Self { enabled, disabled }
    }

    /// Activates the profiles of services that are asked for by name.
    pub fn enable(self, root: &Node, names: &[String], active: &[String]) -> Self {
        let asked = names.iter().filter_map(|name| self.disabled.get(name));
        let mut active = active.to_vec();
        active.extend(asked.flat_map(profiles).map(str::to_owned));
        if names.is_empty() { self } else { Self::new(root, &active) }
    }

    /// Keeps the services that are asked for and what they depend on.
    pub fn select(&mut self, names: &[String], sink: &Sink) -> Result<(), Stop> {
        if names.is_empty() {
            return Ok(());
        }
        let mut kept = BTreeSet::new();
        let mut open: Vec<(String, bool)> = names.iter().map(|name| (name.clone(), true)).collect();
        while let Some((name, required)) = open.pop() {
            let Some(service) = self.enabled.get(&name) else {
                if required {
                    return sink.fail(&Path::of(&["services"]), Place::default(), format!("no such service: {name}"));
                }
                continue;
            };
            if kept.insert(name) {
                let dependencies = service.get("depends_on").and_then(Node::as_map).into_iter().flatten();
                open.extend(dependencies.map(|(name, node)| (name.clone(), !is_optional(node))));
            }
        }
        for (name, service) in std::mem::take(&mut self.enabled) {
            if kept.contains(&name) {
                self.enabled.insert(name, service);
            } else {
                self.disabled.insert(name, service);
            }
        }
        for service in self.enabled.values_mut().filter_map(Node::as_map_mut) {
            if let Some(known) = service.get_mut("depends_on").and_then(Node::as_map_mut) {
                known.retain(|name, _| kept.contains(name));
            }
        }
        Ok(())
    }

    /// The keys of a kind of resource that enabled services use.
    pub fn uses(&self, part: &str) -> BTreeSet<String> {
        let services = self.enabled.values();
        let keys = |service: &Node| -> Vec<String> {
            let map =
                |key: &str| service.get(key).and_then(Node::as_map).into_iter().flatten().map(|(key, _)| key.clone()).collect();
            let sources = |holder: &Node, key: &str| {
                let items = holder.get(key).and_then(Node::as_list).unwrap_or_default();
                items.iter().filter_map(|item| Some(item.get("source")?.as_text()?.to_owned())).collect::<Vec<_>>()
            };
            match part {
                "networks" | "models" => map(part),
                "volumes" => named_volumes(service).map(|(_, source)| source.to_owned()).collect(),
                "secrets" => {
                    let mut keys = sources(service, part);
                    keys.extend(service.get("build").into_iter().flat_map(|build| sources(build, part)));
                    keys
                }
                _ => sources(service, part),
            }
        };
        services.flat_map(keys).collect()
    }
}

/// Whether a dependency may be missing.
pub(super) fn is_optional(dependency: &Node) -> bool {
    dependency.get("required").is_some_and(|required| required.value == super::node::Value::Bool(false))
}

/// Mounts of volumes that have a name: their position and that.
pub(super) fn named_volumes(service: &Node) -> impl Iterator<Item = (usize, &str)> {
    let mounts = service.get("volumes").and_then(Node::as_list).unwrap_or_default();
    mounts.iter().enumerate().filter_map(|(index, mount)| {
        let is_volume = mount.get("type").and_then(Node::as_text) == Some("volume");
        let source = mount.get("source").and_then(Node::as_text).filter(|source| is_volume && !source.is_empty())?;
        Some((index, source))
    })
}

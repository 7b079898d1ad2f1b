//! What a file means without saying it: the network `default`, dependencies, real names, variables from outside.

use std::collections::BTreeMap;

use super::canonical::dependency;
use super::node::{Map, Node, Place, Value};
use super::paths::clean;

/// Writes out what a whole configuration implies.
pub(super) fn normalise(root: &mut Node, project: &str, environment: &BTreeMap<String, String>) {
    let Some(root) = root.as_map_mut() else { return };
    networks(root);
    if let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) {
        services.values_mut().filter_map(Node::as_map_mut).for_each(|service| self::service(service, environment));
    }
    for part in ["networks", "volumes", "configs", "secrets"] {
        if let Some(resources) = root.get_mut(part).and_then(Node::as_map_mut) {
            resources.iter_mut().for_each(|(key, resource)| name(key, resource, project));
        }
    }
}

/// A service without networks joins `default`, which is there once somebody joins it.
fn networks(root: &mut Map) {
    let mut joined = None;
    if let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) {
        for node in services.values_mut() {
            let place = node.place;
            let Some(service) = node.as_map_mut() else { continue };
            if service.contains_key("provider") || service.contains_key("network_mode") {
                continue;
            }
            let given = service.get("networks").and_then(Node::as_map).filter(|networks| !networks.is_empty());
            match given {
                Some(networks) => joined = networks.get("default").map(|node| node.place).or(joined),
                None => {
                    let default = Node::map([("default", Node { value: Value::Null, place })], place);
                    service.insert("networks".to_owned(), default);
                    joined = Some(place);
                }
            }
        }
    }
    let Some(place) = joined else { return };
    let networks = root.entry("networks".to_owned()).or_insert(Node { value: Value::Map(Map::new()), place });
    if let Some(networks) = networks.as_map_mut() {
        networks.entry("default".to_owned()).or_insert(Node { value: Value::Null, place });
    }
}

fn service(service: &mut Map, environment: &BTreeMap<String, String>) {
    if service.get("pull_policy").and_then(Node::as_text) == Some("if_not_present")
        && let Some(policy) = service.get_mut("pull_policy")
    {
        policy.value = Value::Text("missing".to_owned());
    }
    if let Some(build) = service.get_mut("build") {
        self::build(build, environment);
    }
    if let Some(variables) = service.get_mut("environment") {
        from_outside(variables, environment, true);
    }
    if let Some(volumes) = service.get_mut("volumes")
        && let Value::List(volumes) = &mut volumes.value
    {
        for volume in volumes.iter_mut().filter_map(Node::as_map_mut) {
            if let Some(Value::Text(target)) = volume.get_mut("target").map(|target| &mut target.value) {
                *target = clean(target);
            }
        }
    }
    let implied = implied(service);
    if !implied.is_empty() {
        let place = implied[0].1;
        let known = service.entry("depends_on".to_owned()).or_insert(Node { value: Value::Map(Map::new()), place });
        if let Some(known) = known.as_map_mut() {
            for (name, place, restart) in implied {
                known.entry(name).or_insert_with(|| {
                    let mut node = dependency(place);
                    if let Some(map) = node.as_map_mut() {
                        map.insert("restart".to_owned(), Node { value: Value::Bool(restart), place });
                    }
                    node
                });
            }
        }
    }
}

fn build(build: &mut Node, environment: &BTreeMap<String, String>) {
    let place = build.place;
    let Some(build) = build.as_map_mut() else { return };
    let missing = |build: &Map, key: &str| build.get(key).is_none_or(Node::is_null);
    if missing(build, "context") {
        build.insert("context".to_owned(), Node::text(".", place));
    }
    if missing(build, "dockerfile") && missing(build, "dockerfile_inline") {
        build.insert("dockerfile".to_owned(), Node::text("Dockerfile", place));
    }
    if let Some(args) = build.get_mut("args") {
        from_outside(args, environment, false);
    }
}

/// Variables without a value get that of the environment. `keep`: those that it has not either stay, without a value.
fn from_outside(node: &mut Node, environment: &BTreeMap<String, String>, keep: bool) {
    match &mut node.value {
        Value::Map(map) => map.retain(|key, value| match environment.get(key) {
            Some(outside) if value.is_null() => {
                value.value = Value::Text(outside.clone());
                true
            }
            _ => !value.is_null() || keep,
        }),
        Value::List(items) => items.retain_mut(|item| match &mut item.value {
            Value::Text(line) if !line.contains('=') => match environment.get(line.as_str()) {
                Some(outside) => {
                    *line = format!("{line}={outside}");
                    true
                }
                None => keep,
            },
            _ => true,
        }),
        _ => {}
    }
}

/// Dependencies that other keys imply: the service, where that stands, whether it is restarted along.
fn implied(service: &Map) -> Vec<(String, Place, bool)> {
    let texts = |key: &str| {
        let items = service.get(key).and_then(Node::as_list).unwrap_or_default();
        items.iter().filter_map(|item| Some((item.as_text()?, item.place)))
    };
    let mut implied = Vec::new();
    for (link, place) in texts("links") {
        let parts: Vec<&str> = link.split(':').collect();
        let name = if parts.len() == 2 { parts[0] } else { link };
        implied.push((name.to_owned(), place, true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(node) = service.get(key)
            && let Some(shared) = node.as_text().and_then(|text| text.strip_prefix("service:"))
        {
            implied.push((shared.to_owned(), node.place, true));
        }
    }
    for (source, place) in texts("volumes_from") {
        if !source.starts_with("container:") {
            implied.push((source.split(':').next().unwrap_or_default().to_owned(), place, false));
        }
    }
    implied
}

fn name(key: &str, resource: &mut Node, project: &str) {
    let place = resource.place;
    if resource.is_null() {
        resource.value = Value::Map(Map::new());
    }
    let Some(map) = resource.as_map_mut() else { return };
    if map.get("name").is_none_or(Node::is_null) {
        let external = map.get("external").is_some_and(|external| external.value == Value::Bool(true));
        let name = if external { key.to_owned() } else { format!("{project}_{key}") };
        map.insert("name".to_owned(), Node::text(name, place));
    }
}

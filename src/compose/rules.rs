//! Defaults that Compose fills in, and what it checks of a tree beyond the schema.

use super::node::{Node, Path, Value};
use super::sink::Sink;

/// Fills in what was left out of maps.
pub(super) fn fill_in(node: &mut Node, path: &Path) {
    let place = node.place;
    let default = |value: Value| Node { value, place };
    let text = |text: &str| Value::Text(text.to_owned());
    if let Some(map) = node.as_map_mut() {
        let mut entry = |key: &str, value: Value| {
            map.entry(key.to_owned()).or_insert_with(|| default(value));
        };
        if path.is("services.*.build") {
            return entry("context", text("."));
        }
        if path.is("services.*.ports.*") {
            entry("protocol", text("tcp"));
            return entry("mode", text("ingress"));
        }
        if path.is("services.*.secrets.*") {
            let source = map.get("source").map(Node::print).unwrap_or_default();
            map.entry("target".to_owned()).or_insert_with(|| default(Value::Text(format!("/run/secrets/{source}"))));
            return;
        }
        if is_device_request(path) {
            if !map.contains_key("device_ids") {
                map.entry("count".to_owned()).or_insert_with(|| default(text("all")));
            }
            return;
        }
    }
    match &mut node.value {
        Value::Map(map) => map.iter_mut().for_each(|(key, node)| fill_in(node, &path.key(key))),
        Value::List(items) => items.iter_mut().enumerate().for_each(|(index, item)| fill_in(item, &path.item(index))),
        _ => {}
    }
}

fn is_device_request(path: &Path) -> bool {
    path.is("services.*.deploy.resources.reservations.devices.*") || path.is("services.*.gpus.*")
}

/// Tells what in a tree contradicts itself.
pub(super) fn check(node: &Node, path: &Path, sink: &Sink) {
    match () {
        () if path.is("volumes.*") => external(node, path, sink),
        () if path.is("configs.*") => source(node, path, &["file", "environment", "content"], sink),
        () if path.is("secrets.*") => source(node, path, &["file", "environment"], sink),
        () if path.is("services.*.ports.*") => {
            let address = node.get("host_ip").and_then(Node::as_text);
            if let Some(address) = address.filter(|address| address.parse::<std::net::IpAddr>().is_err()) {
                sink.error(&path.key("host_ip"), node.place, format!("{address:?} is no IP address"));
            }
        }
        // Compose itself comes down on this one.
        () if path.is("services.*.pid") && node.is_null() => {
            sink.error(path, node.place, "must not be empty: write host, service:NAME or container:NAME, or leave it out");
        }
        () if path.is("services.*.develop.watch.*.path") => {
            if node.as_text() == Some("") {
                sink.error(path, node.place, "must not be empty");
            }
        }
        () if is_device_request(path) => {
            if node.get("count").is_some() && node.get("device_ids").is_some() {
                sink.error(path, node.place, "has count and device_ids: keep one");
            }
        }
        () => match &node.value {
            Value::Map(map) => map.iter().for_each(|(key, node)| check(node, &path.key(key), sink)),
            Value::List(items) => items.iter().enumerate().for_each(|(index, item)| check(item, &path.item(index), sink)),
            _ => {}
        },
    }
}

fn external(node: &Node, path: &Path, sink: &Sink) {
    let Some(map) = node.as_map() else { return };
    if map.get("external").map(|external| &external.value) != Some(&Value::Bool(true)) {
        return;
    }
    for (key, value) in map {
        if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
            let message = "cannot be given for an external volume, which somebody else made".to_owned();
            sink.error(&path.key(key), value.place, message);
        }
    }
}

fn source(node: &Node, path: &Path, keys: &[&str], sink: &Sink) {
    let Some(map) = node.as_map() else { return };
    let given: Vec<&str> = keys.iter().copied().filter(|key| map.contains_key(*key)).collect();
    match given.as_slice() {
        [] if map.contains_key("driver") || map.contains_key("external") => {}
        [] => sink.error(path, node.place, format!("must have one of {}", keys.join(", "))),
        [_] => {}
        several => sink.error(path, node.place, format!("has {}: keep one", several.join(" and "))),
    }
}

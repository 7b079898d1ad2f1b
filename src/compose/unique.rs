//! What stands twice in a list is kept once: in the place of the first, as the last says.

use std::collections::HashMap;

use super::mounts;
use super::node::{Node, Path, Value};
use super::sink::{Sink, Stop};

/// What makes two items of a list the same.
#[derive(Debug, Clone, Copy)]
enum Key {
    /// Text up to its `=`.
    Name,
    /// The target of a mount.
    Mount,
    /// The target of a device.
    Device,
    /// The path of an env file.
    EnvFile,
    /// The port.
    Expose,
    /// Address, ports and protocol.
    Port,
    /// The target of a secret or config; a bare name lies in that folder.
    File(&'static str),
}

const KEYS: [(&str, Key); 29] = [
    ("networks.*.labels", Key::Name),
    ("networks.*.ipam.options", Key::Name),
    ("services.*.annotations", Key::Name),
    ("services.*.build.args", Key::Name),
    ("services.*.build.additional_contexts", Key::Name),
    ("services.*.build.platform", Key::Name),
    ("services.*.build.tags", Key::Name),
    ("services.*.build.labels", Key::Name),
    ("services.*.cap_add", Key::Name),
    ("services.*.cap_drop", Key::Name),
    ("services.*.devices", Key::Device),
    ("services.*.configs", Key::File("")),
    ("services.*.deploy.labels", Key::Name),
    ("services.*.dns", Key::Name),
    ("services.*.dns_opt", Key::Name),
    ("services.*.dns_search", Key::Name),
    ("services.*.environment", Key::Name),
    ("services.*.env_file", Key::EnvFile),
    ("services.*.expose", Key::Expose),
    ("services.*.labels", Key::Name),
    ("services.*.links", Key::Name),
    ("services.*.networks.*.aliases", Key::Name),
    ("services.*.networks.*.link_local_ips", Key::Name),
    ("services.*.ports", Key::Port),
    ("services.*.profiles", Key::Name),
    ("services.*.secrets", Key::File("/run/secrets")),
    ("services.*.sysctls", Key::Name),
    ("services.*.tmpfs", Key::Name),
    ("services.*.volumes", Key::Mount),
];

/// Takes repetitions out of the lists where Compose does.
pub(super) fn enforce(node: &mut Node, path: &Path, sink: &Sink) -> Result<(), Stop> {
    match &mut node.value {
        Value::Map(map) => map.iter_mut().try_for_each(|(key, node)| enforce(node, &path.key(key), sink)),
        Value::List(items) => {
            let Some((_, key)) = KEYS.iter().find(|(pattern, _)| path.is(pattern)) else { return Ok(()) };
            let (mut kept, mut known) = (Vec::<Node>::with_capacity(items.len()), HashMap::new());
            for (index, item) in std::mem::take(items).into_iter().enumerate() {
                let name = identity(*key, &item).or_else(|error| sink.fail(&path.item(index), item.place, error))?;
                match known.get(&name) {
                    Some(at) => kept[*at] = item,
                    None => {
                        known.insert(name, kept.len());
                        kept.push(item);
                    }
                }
            }
            *items = kept;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn identity(key: Key, item: &Node) -> Result<String, String> {
    let field = |name: &str| item.get(name).map(Node::print);
    match (key, &item.value) {
        (Key::Name, Value::Text(text)) => Ok(text.split('=').next().unwrap_or_default().to_owned()),
        (Key::Name, _) => Err(format!("must be text, not {}", item.kind())),
        (Key::Mount, Value::Text(text)) => mounts::parse(text).map(|mount| mount.target),
        (Key::Mount, Value::Map(_)) => field("target").ok_or_else(|| "is missing its target".to_owned()),
        (Key::Device, Value::Text(text)) => {
            let parts: Vec<&str> = text.split(':').collect();
            Ok(parts.get(1).unwrap_or(&parts[0]).to_string())
        }
        (Key::Device, Value::Map(_)) => field("target").ok_or_else(|| "is missing its target".to_owned()),
        (Key::EnvFile, Value::Text(text)) => Ok(text.clone()),
        (Key::EnvFile, Value::Map(_)) => field("path").ok_or_else(|| "is missing its path".to_owned()),
        (Key::Expose, Value::Text(_) | Value::Int(_)) => Ok(item.print()),
        (Key::Expose, _) => Err(format!("must be a port, not {}", item.print())),
        (Key::Port, Value::Text(_) | Value::Int(_)) => Ok(item.print()),
        (Key::Port, Value::Map(_)) => {
            let Some(target) = field("target") else { return Err("is missing its target port".to_owned()) };
            let published = item.get("published").map(|node| (node.kind(), node.print()));
            let address = field("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
            let protocol = field("protocol").unwrap_or_else(|| "tcp".to_owned());
            Ok(format!("{address}:{published:?}:{target}/{protocol}"))
        }
        (Key::File(folder), Value::Text(text)) => Ok(format!("{folder}/{text}")),
        (Key::File(folder), Value::Map(_)) => match item.get("target") {
            Some(target) => Ok(target.print()),
            None => Ok(format!("{folder}/{}", field("source").unwrap_or_default())),
        },
        (Key::File(_), _) => Err(format!("must be text or a map, not {}", item.kind())),
        _ => Ok(String::new()),
    }
}

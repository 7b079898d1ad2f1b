//! Compose's rules for laying one file over another, and a service over the one that it extends.

use super::node::{Map, Node, Path, Value};
use super::sink::{Sink, Stop};

/// How two values of one key become one.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// Lists of `key=value`, one behind the other.
    Sequence,
    /// The later one alone.
    Override,
    /// `build`: text is a context.
    Build,
    /// `depends_on`: a list is a map with Compose's defaults.
    Dependencies,
    /// A list is a map of keys with nothing.
    Keys,
    /// Lines that are there already are not repeated.
    Hosts,
    /// Options stay only while the driver does.
    Logging,
    /// By subnet.
    Pools,
}

const RULES: [(&str, Rule); 29] = [
    ("networks.*.ipam.config", Rule::Pools),
    ("networks.*.labels", Rule::Sequence),
    ("volumes.*.labels", Rule::Sequence),
    ("services.*.annotations", Rule::Sequence),
    ("services.*.build", Rule::Build),
    ("services.*.build.args", Rule::Sequence),
    ("services.*.build.additional_contexts", Rule::Sequence),
    ("services.*.build.extra_hosts", Rule::Hosts),
    ("services.*.build.labels", Rule::Sequence),
    ("services.*.command", Rule::Override),
    ("services.*.depends_on", Rule::Dependencies),
    ("services.*.deploy.labels", Rule::Sequence),
    ("services.*.dns", Rule::Sequence),
    ("services.*.dns_opt", Rule::Sequence),
    ("services.*.dns_search", Rule::Sequence),
    ("services.*.entrypoint", Rule::Override),
    ("services.*.env_file", Rule::Sequence),
    ("services.*.label_file", Rule::Sequence),
    ("services.*.environment", Rule::Sequence),
    ("services.*.extra_hosts", Rule::Hosts),
    ("services.*.healthcheck.test", Rule::Override),
    ("services.*.labels", Rule::Sequence),
    ("services.*.volumes.*.volume.labels", Rule::Sequence),
    ("services.*.logging", Rule::Logging),
    ("services.*.models", Rule::Keys),
    ("services.*.networks", Rule::Keys),
    ("services.*.sysctls", Rule::Sequence),
    ("services.*.tmpfs", Rule::Sequence),
    ("services.*.ulimits.*", Rule::Override),
];

/// Lays `over` on `base`; `path` is theirs.
pub(super) fn merge(base: Node, over: Node, path: &Path, sink: &Sink) -> Result<Node, Stop> {
    if let Some((_, rule)) = RULES.iter().find(|(pattern, _)| path.is(pattern)) {
        return special(*rule, base, over, path, sink);
    }
    if over.is_null() {
        return Ok(base);
    }
    let place = over.place;
    match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => Ok(Node { value: Value::Map(maps(base, over, path, sink)?), place }),
        (Value::List(mut base), Value::List(over)) => {
            base.extend(over);
            Ok(Node { value: Value::List(base), place })
        }
        (Value::Map(_), _) => sink.fail(path, place, "must be a map, as what it is laid over"),
        (Value::List(_), _) => sink.fail(path, place, "must be a list, as what it is laid over"),
        (_, over) => Ok(Node { value: over, place }),
    }
}

/// Lays a service over the one it extends.
pub(super) fn extend(base: Node, service: Node, name: &str, sink: &Sink) -> Result<Node, Stop> {
    merge(base, service, &Path::of(&["services", name]), sink)
}

fn maps(mut base: Map, over: Map, path: &Path, sink: &Sink) -> Result<Map, Stop> {
    for (key, node) in over {
        let merged = match base.remove(&key) {
            Some(before) => merge(before, node, &path.key(&key), sink)?,
            None => node,
        };
        base.insert(key, merged);
    }
    Ok(base)
}

fn special(rule: Rule, base: Node, over: Node, path: &Path, sink: &Sink) -> Result<Node, Stop> {
    let place = over.place;
    let value = match rule {
        Rule::Override => return Ok(over),
        Rule::Sequence => {
            let mut lines = sequence(base);
            lines.extend(sequence(over));
            Value::List(lines)
        }
        Rule::Hosts => {
            let mut lines = sequence(base);
            let new: Vec<Node> = sequence(over).into_iter().filter(|line| !lines.contains(line)).collect();
            lines.extend(new);
            Value::List(lines)
        }
        Rule::Build => Value::Map(maps(context(base), context(over), path, sink)?),
        Rule::Dependencies => Value::Map(maps(keys(base, true), keys(over, true), path, sink)?),
        Rule::Keys => Value::Map(maps(keys(base, false), keys(over, false), path, sink)?),
        Rule::Logging => {
            let (Value::Map(base), Value::Map(over)) = (base.value, over.value) else {
                return sink.fail(path, place, "must be a map");
            };
            let changed = matches!((base.get("driver"), over.get("driver")), (Some(one), Some(other)) if one != other);
            Value::Map(if changed { over } else { maps(base, over, path, sink)? })
        }
        Rule::Pools => {
            let (Value::List(base), Value::List(over)) = (base.value, over.value) else {
                return sink.fail(path, place, "must be a list");
            };
            Value::List(pools(base, over, path, sink)?)
        }
    };
    Ok(Node { value, place })
}

/// `key=value` lines, those of a map sorted.
fn sequence(node: Node) -> Vec<Node> {
    match node.value {
        Value::List(items) => items,
        Value::Text(_) => vec![node],
        Value::Map(map) => {
            let mut lines: Vec<(String, super::node::Place)> = Vec::new();
            for (key, node) in map {
                match &node.value {
                    Value::Null => lines.push((key, node.place)),
                    Value::List(items) => {
                        lines.extend(items.iter().map(|item| (format!("{key}={}", item.print()), item.place)));
                    }
                    _ => lines.push((format!("{key}={}", node.print()), node.place)),
                }
            }
            lines.sort();
            lines.into_iter().map(|(line, place)| Node::text(line, place)).collect()
        }
        _ => Vec::new(),
    }
}

fn context(node: Node) -> Map {
    match node.value {
        Value::Map(map) => map,
        Value::Text(_) => Map::from([("context".to_owned(), node)]),
        _ => Map::new(),
    }
}

fn keys(node: Node, dependencies: bool) -> Map {
    match node.value {
        Value::Map(map) => map,
        Value::List(items) => {
            let entry = |item: Node| {
                let key = item.as_text()?.to_owned();
                let value = if dependencies { super::canonical::dependency(item.place) } else { item.with(Value::Null) };
                Some((key, value))
            };
            items.into_iter().filter_map(entry).collect()
        }
        _ => Map::new(),
    }
}

/// Address pools are the same where their subnets are.
fn pools(base: Vec<Node>, over: Vec<Node>, path: &Path, sink: &Sink) -> Result<Vec<Node>, Stop> {
    let mut pools: Vec<Node> = Vec::new();
    let find = |pools: &[Node], subnet: Option<&Node>| pools.iter().position(|pool| pool.get("subnet") == subnet);
    for original in base {
        let mut original = original;
        for later in &over {
            let subnet = later.get("subnet");
            if subnet != original.get("subnet") && find(&pools, subnet).is_none() {
                pools.push(later.clone());
                continue;
            }
            let place = original.place;
            let (Value::Map(one), Value::Map(other)) = (original.value, later.value.clone()) else {
                return sink.fail(path, place, "must be a list of maps");
            };
            original = Node { value: Value::Map(maps(one, other, path, sink)?), place };
            match find(&pools, original.get("subnet")) {
                Some(at) => pools[at] = original.clone(),
                None => pools.push(original.clone()),
            }
        }
    }
    Ok(pools)
}

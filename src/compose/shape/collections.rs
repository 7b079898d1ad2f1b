//! Lists and maps of text as `docker compose config` writes them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::scalars::text;
use super::{Kind, View};
use crate::compose::node::{Node, Value};
use crate::crd::compose::split_words;

type Written = Result<Option<Json>, String>;

/// A collection; none: it is of no such kind.
pub(super) fn write(kind: Kind, node: &Node, view: View) -> Option<Written> {
    Some(match kind {
        Kind::Command => command(node),
        Kind::Test => test(node),
        Kind::Texts => list(node, text),
        Kind::Printed => list(node, |item| Ok(item.print())),
        Kind::Mapping => mapping(node).map(filled),
        Kind::Environment => environment(node),
        Kind::Options => options(node, |node| Ok(if node.is_null() { String::new() } else { node.print() })),
        Kind::TextMap => options(node, text),
        Kind::Lists => lists(node),
        Kind::Hosts => hosts(node),
        Kind::Ssh => ssh(node, view),
        _ => return None,
    })
}

fn filled(map: BTreeMap<String, String>) -> Option<Json> {
    (!map.is_empty()).then(|| json!(map))
}

fn list(node: &Node, read: impl Fn(&Node) -> Result<String, String>) -> Written {
    let items = match &node.value {
        Value::Text(text) => vec![text.clone()],
        Value::List(items) => items.iter().map(read).collect::<Result<_, _>>()?,
        _ => return Err(format!("must be text or a list of it, not {}", node.kind())),
    };
    Ok((!items.is_empty()).then(|| json!(items)))
}

fn command(node: &Node) -> Written {
    match &node.value {
        Value::Text(line) => Ok(Some(json!(split_words(line).map_err(|error| format!("is no command line: it {error}"))?))),
        Value::List(items) => Ok(Some(items.iter().map(|item| text(item).map(Json::from)).collect::<Result<_, _>>()?)),
        _ => Ok(Some(Json::Null)),
    }
}

fn test(node: &Node) -> Written {
    match &node.value {
        Value::Text(line) => Ok(Some(json!(["CMD-SHELL", line]))),
        _ => list(node, text),
    }
}

/// `key=value` lines or a map; without a value it is empty.
fn mapping(node: &Node) -> Result<BTreeMap<String, String>, String> {
    match &node.value {
        Value::Map(map) => {
            let value = |node: &Node| if node.is_null() { String::new() } else { node.print() };
            Ok(map.iter().map(|(key, node)| (key.clone(), value(node))).collect())
        }
        Value::List(items) => {
            let pair = |item: &Node| {
                let line = item.print();
                let (key, value) = line.split_once('=').unwrap_or((&line, ""));
                (key.to_owned(), value.to_owned())
            };
            Ok(items.iter().map(pair).collect())
        }
        _ => Err(format!("must be a map, or a list of key=value, not {}", node.kind())),
    }
}

fn environment(node: &Node) -> Written {
    let variables: BTreeMap<String, Option<String>> = match &node.value {
        Value::Map(map) => map.iter().map(|(key, node)| (key.clone(), (!node.is_null()).then(|| node.print()))).collect(),
        Value::List(items) => {
            let mut variables = BTreeMap::new();
            for item in items {
                let line = item.print();
                let (key, value) =
                    line.split_once('=').map_or((line.as_str(), None), |(key, value)| (key, Some(value.to_owned())));
                if key.ends_with(char::is_whitespace) {
                    return Err(format!("has a space behind the name of the variable {key:?}"));
                }
                variables.insert(key.to_owned(), value);
            }
            variables
        }
        _ => return Err(format!("must be a map, or a list of KEY=value, not {}", node.kind())),
    };
    Ok((!variables.is_empty()).then(|| json!(variables)))
}

fn options(node: &Node, read: impl Fn(&Node) -> Result<String, String>) -> Written {
    let Some(map) = node.as_map() else { return Err(format!("must be a map, not {}", node.kind())) };
    let options = map.iter().map(|(key, node)| Ok((key.clone(), read(node).map_err(|error| format!("{key} {error}"))?)));
    options.collect::<Result<BTreeMap<_, _>, String>>().map(filled)
}

fn lists(node: &Node) -> Written {
    let Some(map) = node.as_map() else { return Err(format!("must be a map, not {}", node.kind())) };
    let values = |node: &Node| match &node.value {
        Value::List(items) => items.iter().map(Node::print).collect::<Vec<_>>(),
        _ => vec![node.print()],
    };
    let lists: BTreeMap<_, _> =
        map.iter().map(|(key, node)| (key, values(node))).filter(|(_, values)| !values.is_empty()).collect();
    Ok((!lists.is_empty()).then(|| json!(lists)))
}

/// `host=address` lines, sorted.
fn hosts(node: &Node) -> Written {
    let mut hosts: Vec<(String, String)> = Vec::new();
    match &node.value {
        Value::Map(map) => {
            for (host, node) in map {
                match &node.value {
                    Value::List(items) => hosts.extend(items.iter().map(|item| (host.clone(), item.print()))),
                    Value::Null => hosts.push((host.clone(), String::new())),
                    _ => hosts.push((host.clone(), node.print())),
                }
            }
        }
        Value::List(items) => {
            for line in items.iter().map(Node::print) {
                let Some((host, addresses)) = line.split_once('=').or_else(|| line.split_once(':')) else {
                    return Err(format!("{line:?} is missing an address: write host=address"));
                };
                hosts.extend(addresses.split(',').map(|address| (host.to_owned(), address.to_owned())));
            }
        }
        _ => return Err(format!("must be a map, or a list of host=address, not {}", node.kind())),
    }
    if let Some((host, _)) = hosts.iter().find(|(host, _)| host.is_empty() || host.contains([':', '='])) {
        return Err(format!("{host:?} is no name of a host"));
    }
    let bare = |address: &str| match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) if !inner.is_empty() => inner.to_owned(),
        _ => address.to_owned(),
    };
    let mut lines: Vec<String> = hosts.iter().map(|(host, address)| format!("{host}={}", bare(address))).collect();
    lines.sort();
    Ok((!lines.is_empty()).then(|| json!(lines)))
}

/// Keys for builds. Compose's own JSON of a key with a path is none, and it says so; YAML can have it.
fn ssh(node: &Node, view: View) -> Written {
    let Some(map) = node.as_map() else { return Err(format!("must be a map or a list, not {}", node.kind())) };
    let mut keys = Vec::new();
    for (id, path) in map {
        match path.print() {
            path if path.is_empty() || path == "<nil>" => keys.push(id.clone()),
            path if view == View::Yaml => keys.push(format!("{id}: {path}")),
            _ => {
                return Err("cannot be shown as JSON when a key has a path, as with docker compose: use --format yaml".to_owned());
            }
        }
    }
    Ok((!keys.is_empty()).then(|| json!(keys)))
}

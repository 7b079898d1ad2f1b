//! Short forms written out: every key in the one form that the rest of the loader knows.

use super::mounts;
use super::node::{Map, Node, Path, Place, Value};
use super::ports;
use super::sink::Sink;

/// What is done with the value at a path.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Text is a map with that key alone.
    Under(&'static str),
    /// As `Under`, and its fields are looked at too.
    Build,
    /// Anything becomes text.
    Printed,
    /// `key=value` lines become a map.
    Pairs,
    Dependencies,
    EnvFiles,
    /// Text becomes a list.
    OneOrMany,
    /// A list becomes a map of nothing.
    Keys,
    Mount,
    Device,
    Gpus,
    Ports,
    Ssh,
    Ulimit,
    External,
}

const FORMS: [(&str, Form); 27] = [
    ("services.*.build.secrets.*", Form::Under("source")),
    ("services.*.build.provenance", Form::Printed),
    ("services.*.build.sbom", Form::Printed),
    ("services.*.build.additional_contexts", Form::Pairs),
    ("services.*.depends_on", Form::Dependencies),
    ("services.*.env_file", Form::EnvFiles),
    ("services.*.label_file", Form::OneOrMany),
    ("services.*.extends", Form::Under("service")),
    ("services.*.gpus", Form::Gpus),
    ("services.*.networks", Form::Keys),
    ("services.*.models", Form::Keys),
    ("services.*.volumes.*", Form::Mount),
    ("services.*.dns", Form::OneOrMany),
    ("services.*.devices.*", Form::Device),
    ("services.*.secrets.*", Form::Under("source")),
    ("services.*.configs.*", Form::Under("source")),
    ("services.*.ports", Form::Ports),
    ("services.*.build", Form::Build),
    ("services.*.build.ssh", Form::Ssh),
    ("services.*.ulimits.*", Form::Ulimit),
    ("services.*.build.ulimits.*", Form::Ulimit),
    ("services.*.develop.watch.*.ignore", Form::OneOrMany),
    ("services.*.develop.watch.*.include", Form::OneOrMany),
    ("volumes.*", Form::External),
    ("networks.*", Form::External),
    ("secrets.*", Form::External),
    ("configs.*", Form::External),
];

/// Writes all short forms of a tree out. `lenient`: what holds variables still may stay as it is.
pub(super) fn write_out(node: &mut Node, path: &Path, lenient: bool, sink: &Sink) {
    let form = FORMS.iter().find(|(pattern, _)| path.is(pattern)).map(|(_, form)| *form);
    match form {
        Some(form) => apply(form, node, path, lenient, sink),
        None => below(node, path, lenient, sink),
    }
}

fn below(node: &mut Node, path: &Path, lenient: bool, sink: &Sink) {
    match &mut node.value {
        Value::Map(map) => map.iter_mut().for_each(|(key, node)| write_out(node, &path.key(key), lenient, sink)),
        Value::List(items) => {
            items.iter_mut().enumerate().for_each(|(index, item)| write_out(item, &path.item(index), lenient, sink));
        }
        _ => {}
    }
}

fn apply(form: Form, node: &mut Node, path: &Path, lenient: bool, sink: &Sink) {
    let place = node.place;
    let wrong = |message: String| {
        if !lenient {
            sink.error(path, place, message)
        }
    };
    match (form, &mut node.value) {
        (Form::Under(_) | Form::Build, Value::Text(text)) => {
            let key = if let Form::Under(key) = form { key } else { "context" };
            let text = std::mem::take(text);
            *node = Node::map([(key, Node::text(text, place))], place);
        }
        (Form::Build | Form::Under(_), _) => below(node, path, lenient, sink),
        (Form::Printed, _) => node.value = Value::Text(node.print()),
        (Form::Pairs, Value::List(items)) => match pairs(items) {
            Ok(map) => node.value = Value::Map(map),
            Err(line) => wrong(format!("must be key=value lines: {line:?} is none")),
        },
        (Form::Dependencies, value) => dependencies(value),
        (Form::EnvFiles, Value::Text(text)) => node.value = Value::List(vec![env_file(text, place)]),
        (Form::EnvFiles, Value::List(items)) => {
            for item in items {
                match &mut item.value {
                    Value::Text(text) => *item = env_file(text, item.place),
                    Value::Map(map) => {
                        let required = Node { value: Value::Bool(true), place: item.place };
                        map.entry("required".to_owned()).or_insert(required);
                    }
                    _ => {}
                }
            }
        }
        (Form::OneOrMany, Value::Text(_)) => {
            let text = std::mem::take(node);
            *node = Node { value: Value::List(vec![text]), place };
        }
        (Form::Keys, Value::List(items)) => {
            let key = |item: &Node| Some((item.as_text()?.to_owned(), item.with(Value::Null)));
            node.value = Value::Map(items.iter().filter_map(key).collect());
        }
        (Form::Mount, Value::Text(text)) => match mounts::parse(text) {
            Ok(mount) => *node = mount.into_node(place),
            Err(error) => wrong(error),
        },
        (Form::Device, Value::Text(text)) => match device(text, place) {
            Some(device) => *node = device,
            None => wrong(format!("{text:?} has too many colons: write source, target and permissions in a map")),
        },
        (Form::Gpus, Value::Text(_)) => {
            let all = Node::map([("count", Node::text("all", place))], place);
            node.value = Value::List(vec![all]);
        }
        (Form::Ports, Value::List(items)) => {
            let mut all = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                match (&item.value, ports::parse(&item.print())) {
                    (Value::Map(_), _) => all.push(item.clone()),
                    (Value::Int(_) | Value::Text(_), Ok(ports)) => {
                        all.extend(ports.into_iter().map(|port| port.into_node(item.place)));
                    }
                    (Value::Int(_) | Value::Text(_), Err(_)) if lenient => return,
                    (Value::Int(_) | Value::Text(_), Err(error)) => sink.error(&path.item(index), item.place, error),
                    _ => sink.error(&path.item(index), item.place, format!("must be a port, not {}", item.kind())),
                }
            }
            *items = all;
        }
        (Form::Ssh, Value::List(items)) => ssh(items.clone(), node, path, sink),
        (Form::Ulimit, Value::Map(_) | Value::Int(_)) => {}
        (Form::Ulimit, _) => wrong(format!("must be a whole number, or soft and hard ones, not {}", node.kind())),
        (Form::External, Value::Map(_)) => {
            below(node, path, lenient, sink);
            external(node, path, sink);
        }
        _ => {}
    }
}

fn pairs(items: &[Node]) -> Result<Map, String> {
    let pair = |item: &Node| match item.as_text().and_then(|text| text.split_once('=')) {
        Some((key, value)) => Ok((key.to_owned(), Node::text(value, item.place))),
        None => Err(item.print()),
    };
    items.iter().map(pair).collect()
}

/// A dependency without words of its own.
pub(super) fn dependency(place: Place) -> Node {
    let required = Node { value: Value::Bool(true), place };
    Node::map([("condition", Node::text("service_started", place)), ("required", required)], place)
}

fn dependencies(value: &mut Value) {
    match value {
        Value::List(items) => {
            let entry = |item: &Node| Some((item.as_text()?.to_owned(), dependency(item.place)));
            *value = Value::Map(items.iter().filter_map(entry).collect());
        }
        Value::Map(map) => {
            for node in map.values_mut() {
                let place = node.place;
                if let (Value::Map(given), Value::Map(defaults)) = (&mut node.value, dependency(place).value) {
                    for (key, default) in defaults {
                        given.entry(key).or_insert(default);
                    }
                }
            }
        }
        _ => {}
    }
}

fn env_file(path: &str, place: Place) -> Node {
    let required = Node { value: Value::Bool(true), place };
    Node::map([("path", Node::text(path, place)), ("required", required)], place)
}

fn device(text: &str, place: Place) -> Option<Node> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, "", "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => return None,
    };
    let target = if target.is_empty() { source } else { target };
    let text = |text: &str| Node::text(text, place);
    Some(Node::map([("source", text(source)), ("target", text(target)), ("permissions", text(permissions))], place))
}

fn ssh(items: Vec<Node>, node: &mut Node, path: &Path, sink: &Sink) {
    let mut map = Map::new();
    for (index, item) in items.into_iter().enumerate() {
        let text = item.as_text().unwrap_or_default();
        match text.split_once('=') {
            Some((id, path)) => drop(map.insert(id.to_owned(), Node::text(path, item.place))),
            None if text == "default" => drop(map.insert(text.to_owned(), item.with(Value::Null))),
            None => sink.error(&path.item(index), item.place, format!("must be default or id=path, not {text:?}")),
        }
    }
    node.value = Value::Map(map);
}

/// `external: {name: x}` is the old form of `external: true` and `name: x`.
fn external(node: &mut Node, path: &Path, sink: &Sink) {
    let Some(map) = node.as_map_mut() else { return };
    let Some(external) = map.get_mut("external").filter(|external| external.as_map().is_some()) else { return };
    let name = external.get("name").cloned();
    external.value = Value::Bool(true);
    let place = external.place;
    match (name, map.get("name")) {
        (Some(old), Some(new)) if old != *new => {
            sink.error(path, place, "has two names, in name and in external.name: keep name");
        }
        (Some(old), None) => drop(map.insert("name".to_owned(), old)),
        _ => {}
    }
}

//! The shape of `docker compose config`: which fields there are, in which order, and how each value is written.

mod collections;
mod scalars;
mod tables;

use std::collections::BTreeMap;

use serde_json::{Map as Object, Value as Json};

use super::node::{Node, Path, Value};
use super::select::Services;
use super::sink::Sink;

pub(super) use tables::{CONFIG, MODEL, NETWORK, SECRET, SERVICE, VOLUME};

/// A field of a struct.
pub(super) struct Field {
    /// Its key in the file.
    key: &'static str,
    /// Its key in JSON, where that is another.
    json: &'static str,
    /// What it holds.
    kind: Kind,
    /// Written though it is empty.
    always: bool,
}

/// What a field holds. Unless said otherwise what is empty (`""`, 0, false, nothing) is left out.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// True or false.
    Flag,
    /// True or false, also when false.
    GivenFlag,
    /// A whole number.
    Whole,
    /// A whole number, also when 0.
    GivenWhole,
    /// A whole number from 0 on.
    Count,
    /// A whole number from 0 on, also when 0.
    GivenCount,
    /// A number with 32 bits.
    Short,
    /// A number of bytes.
    Bytes,
    /// A span of time.
    Span,
    /// A span of time, also when 0.
    GivenSpan,
    /// Permissions, in octal.
    Mode,
    /// A command: nothing is written as null, an empty one as an empty list.
    Command,
    /// The probe of a health check.
    Test,
    /// A list of text.
    Texts,
    /// A list of text and numbers.
    Printed,
    /// Text by key, without a value it is empty.
    Mapping,
    /// Text by key, without a value it is null.
    Environment,
    /// Text by key.
    Options,
    /// Lists of text by key.
    Lists,
    /// Text by key, of text and whole numbers only.
    TextMap,
    /// Addresses of hosts.
    Hosts,
    /// Keys for builds.
    Ssh,
    /// How many devices: `all` is -1.
    Devices,
    /// One limit, or a soft and a hard one.
    Ulimit,
    /// A map that is written though it is empty.
    Inline(&'static [Field]),
    /// A map that is written once it is there.
    Map(&'static [Field]),
    /// A list of maps.
    List(&'static [Field]),
    /// Something by key; nothing stays null.
    Keyed(&'static Kind),
}

/// What it is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// JSON, as Compose writes it.
    Json,
    /// YAML, as Compose writes it: with the extensions, and without what is empty.
    Yaml,
}

/// Writes values.
pub(super) struct Writer<'a> {
    /// For what.
    pub view: View,
    /// Where what is wrong goes.
    pub sink: &'a Sink,
}

impl Writer<'_> {
    /// All services that take part.
    pub fn services(&self, services: &Services) -> BTreeMap<String, Object<String, Json>> {
        let one = |(name, node): (&String, &Node)| (name.clone(), self.fields(SERVICE, node, &Path::of(&["services", name])));
        services.enabled.iter().map(one).collect()
    }

    /// A struct.
    pub fn fields(&self, fields: &'static [Field], node: &Node, path: &Path) -> Object<String, Json> {
        let mut object = Object::new();
        for field in fields {
            let child = node.get(field.key).filter(|child| !child.is_null());
            let value = match child {
                Some(child) => self.value(field.kind, child, &path.key(field.key)),
                None => self.absent(field.kind, node, path),
            };
            let value = value.or_else(|| field.always.then(|| empty(field.kind)));
            if let Some(value) = value {
                let name = if self.view == View::Json { field.json } else { field.key };
                object.insert(name.to_owned(), value);
            }
        }
        if self.view == View::Yaml {
            self.extensions(node, &mut object);
        }
        object
    }

    /// Keys that start with `x-`.
    pub fn extensions(&self, node: &Node, object: &mut Object<String, Json>) {
        let extensions = node.as_map().into_iter().flatten().filter(|(key, _)| key.starts_with("x-"));
        object.extend(extensions.map(|(key, node)| (key.clone(), node.to_json())));
    }

    /// What is written for a field that was not given.
    fn absent(&self, kind: Kind, node: &Node, path: &Path) -> Option<Json> {
        match (kind, self.view) {
            (Kind::Command, View::Json) => Some(Json::Null),
            (Kind::Inline(fields), View::Json) => {
                let empty = Node { value: Value::Null, place: node.place };
                Some(Json::Object(self.fields(fields, &empty, path)))
            }
            _ => None,
        }
    }

    /// A value; none where it is left out or wrong.
    pub fn value(&self, kind: Kind, node: &Node, path: &Path) -> Option<Json> {
        let wrong = |wanted: &str| {
            self.sink.error(path, node.place, format!("must be {wanted}, not {}", node.kind()));
            None
        };
        match kind {
            Kind::Inline(fields) | Kind::Map(fields) => match node.as_map() {
                Some(_) => {
                    let object = self.fields(fields, node, path);
                    let inline = matches!(kind, Kind::Inline(_)) && self.view == View::Yaml;
                    (!inline || !object.is_empty()).then_some(Json::Object(object))
                }
                None => wrong("a map"),
            },
            Kind::List(fields) => match node.as_list() {
                Some(items) => {
                    let item = |(index, item): (usize, &Node)| Json::Object(self.fields(fields, item, &path.item(index)));
                    let items: Vec<Json> = items.iter().enumerate().map(item).collect();
                    (!items.is_empty()).then_some(Json::Array(items))
                }
                None => wrong("a list"),
            },
            Kind::Keyed(kind) => match node.as_map() {
                Some(map) => {
                    let entry = |(key, node): (&String, &Node)| match node.is_null() {
                        true => Some((key.clone(), Json::Null)),
                        false => Some((key.clone(), self.value(*kind, node, &path.key(key))?)),
                    };
                    let entries: Object<String, Json> = map.iter().filter_map(entry).collect();
                    (!entries.is_empty()).then_some(Json::Object(entries))
                }
                None => wrong("a map"),
            },
            _ => match scalars::write(kind, node).or_else(|| collections::write(kind, node, self.view)) {
                Some(Ok(value)) => value,
                Some(Err(message)) => {
                    self.sink.error(path, node.place, message);
                    None
                }
                None => None,
            },
        }
    }
}

/// Puts the fields of a service in the order in which Compose writes them.
pub(super) fn in_order(service: &mut Object<String, Json>) {
    let place = |key: &String| SERVICE.iter().position(|field| field.json == key).unwrap_or(SERVICE.len());
    let mut fields: Vec<(String, Json)> = std::mem::take(service).into_iter().collect();
    fields.sort_by_key(|(key, _)| place(key));
    service.extend(fields);
}

fn empty(kind: Kind) -> Json {
    match kind {
        Kind::Text => Json::String(String::new()),
        Kind::Bytes => Json::String("0".to_owned()),
        Kind::Flag => Json::Bool(false),
        _ => Json::from(0),
    }
}

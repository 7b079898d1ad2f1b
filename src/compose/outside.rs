//! What services take from files beside them: `env_file` and `label_file`.

use std::collections::BTreeMap;

use serde_json::{Map as Object, Value as Json, json};

use super::dotenv;
use super::load::{Context, Variables, said};
use super::node::{Node, Path};
use super::sink::Stop;
use super::variables::Lookup;

/// Variables of a service for the values in its files: the project's first, then its own.
struct Scope<'a> {
    project: &'a Variables,
    own: &'a Object<String, Json>,
    context: &'a Context<'a>,
}

impl Lookup for Scope<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let own = || self.own.get(name).and_then(Json::as_str).map(str::to_owned);
        self.project.get(name).cloned().or_else(own)
    }
    fn unset(&self, name: &str) {
        self.context.sink.unset(name);
    }
}

/// Labels read so far.
struct Labels<'a>(&'a BTreeMap<String, String>, &'a Context<'a>);

impl Lookup for Labels<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
    fn unset(&self, name: &str) {
        self.1.sink.unset(name);
    }
}

/// Puts the variables of a service's files beneath its own.
pub(super) fn environment(
    context: &Context<'_>,
    node: &Node,
    path: &Path,
    written: &mut Object<String, Json>,
    variables: &Variables,
) -> Result<(), Stop> {
    let mut own = written.get("environment").and_then(Json::as_object).cloned().unwrap_or_default();
    for (name, value) in &mut own {
        if let (Json::Null, Some(outside)) = (&*value, variables.get(name)) {
            *value = json!(outside);
        }
    }
    let given = own.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let mut all: BTreeMap<String, String> = given.collect();
    let scope = Scope { project: variables, own: &own, context };
    for (index, file) in node.get("env_file").and_then(Node::as_list).unwrap_or_default().iter().enumerate() {
        let name = file.get("path").and_then(Node::as_text).unwrap_or_default();
        let path = path.key("env_file").item(index);
        let fail = |message: String| {
            context.sink.error(&path, file.place, message);
            Stop
        };
        let optional = super::select::is_optional(file);
        let text = match (context.files.kind(name), context.files.read(name)) {
            (None, _) if optional => continue,
            (_, Ok(text)) => text,
            (_, Err(error)) => return Err(fail(format!("the env file {name} cannot be read: {}", said(&error)))),
        };
        let read = match file.get("format").and_then(Node::as_text) {
            None | Some("" | ".env") => dotenv::read(&text, &mut all, &scope),
            Some("raw") => dotenv::read_raw(&text, &mut all, &scope),
            Some(other) => return Err(fail(format!("has the format {other:?}; known is raw"))),
        };
        read.map_err(|(line, why)| fail(format!("{name}, line {line}: {why}")))?;
    }
    let mut merged: BTreeMap<String, Json> = all.into_iter().map(|(name, value)| (name, json!(value))).collect();
    merged.extend(own);
    put(written, "environment", merged);
    Ok(())
}

/// Puts the labels of a service's files beneath its own.
pub(super) fn labels(context: &Context<'_>, node: &Node, path: &Path, written: &mut Object<String, Json>) -> Result<(), Stop> {
    let files = node.get("label_file").and_then(Node::as_list).unwrap_or_default();
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        let name = file.as_text().unwrap_or_default();
        let path = path.key("label_file").item(index);
        let fail = |message: String| {
            context.sink.error(&path, file.place, message);
            Stop
        };
        let text = context.files.read(name);
        let text = text.map_err(|error| fail(format!("the label file {name} cannot be read: {}", said(&error))))?;
        let mut read = BTreeMap::new();
        let known = Labels(&labels, context);
        dotenv::read(&text, &mut read, &known).map_err(|(line, why)| fail(format!("{name}, line {line}: {why}")))?;
        labels.extend(read);
    }
    let mut merged: BTreeMap<String, Json> = labels.into_iter().map(|(name, value)| (name, json!(value))).collect();
    merged.extend(written.get("labels").and_then(Json::as_object).cloned().unwrap_or_default());
    put(written, "labels", merged);
    Ok(())
}

/// Writes a field where it belongs in the order of fields; an empty one is left out.
fn put(written: &mut Object<String, Json>, key: &'static str, map: BTreeMap<String, Json>) {
    if map.is_empty() {
        written.shift_remove(key);
    } else if let Some(known) = written.get_mut(key) {
        *known = json!(map);
    } else {
        written.insert(key.to_owned(), json!(map));
        super::shape::in_order(written);
    }
}

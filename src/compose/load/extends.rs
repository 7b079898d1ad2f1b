//! `extends`: a service laid over another one of the same file or of another.

use super::{Context, Model, reset};
use crate::compose::merge;
use crate::compose::node::{Map, Node, Path, Value};
use crate::compose::paths::{Resolver, folder, join, relative};
use crate::compose::sink::Stop;
use crate::compose::text::Document;

/// Where the services of one level come from.
struct Level {
    services: Map,
    resets: Vec<Path>,
    /// As the extending file names it.
    file: String,
}

/// Lays each service of a document over what it extends.
pub(super) fn apply(context: &Context<'_>, document: &mut Document, name: &str, model: &Model<'_>) -> Result<(), Stop> {
    let place = document.root.place;
    let Some(node) = document.root.as_map_mut().and_then(|root| root.get_mut("services")) else { return Ok(()) };
    let Value::Map(services) = std::mem::take(&mut node.value) else {
        let place = if node.place.line == 0 { place } else { node.place };
        return context.sink.fail(&Path::of(&["services"]), place, "must be a map of services");
    };
    let mut level = Level { services, resets: document.resets.clone(), file: name.to_owned() };
    let names: Vec<String> = level.services.keys().cloned().collect();
    let extender = Extender { context, model };
    for name in names {
        let merged = extender.service(&name, &mut level, &[])?;
        level.services.insert(name, merged);
    }
    node.value = Value::Map(level.services);
    Ok(())
}

struct Extender<'a> {
    context: &'a Context<'a>,
    model: &'a Model<'a>,
}

impl Extender<'_> {
    /// The service with what it extends beneath it. `way`: file and service of those that extend it.
    fn service(&self, name: &str, level: &mut Level, way: &[(String, String)]) -> Result<Node, Stop> {
        let sink = self.context.sink;
        let path = Path::of(&["services", name]);
        let Some(service) = level.services.get(name).cloned() else { return Ok(Node::default()) };
        let Some(map) = service.as_map() else {
            if service.is_null() {
                return Ok(service);
            }
            return sink.fail(&path, service.place, "must be a map");
        };
        let Some(extends) = map.get("extends") else { return Ok(service) };
        let (path, place) = (path.key("extends"), extends.place);
        let (target, file) = match &extends.value {
            Value::Text(target) => (target.clone(), None),
            Value::Map(map) => match map.get("service").and_then(Node::as_text) {
                Some(target) => (target.to_owned(), map.get("file")),
                None => return sink.fail(&path, place, "is missing service, the name of what is extended"),
            },
            _ => return sink.fail(&path, place, "must be the name of a service, or a map with service and file"),
        };
        let resets = level.resets.clone();
        let mut other = None;
        let came_from = match file {
            Some(file) => {
                let Some(text) = file.as_text() else { return sink.fail(&path.key("file"), file.place, "must be text") };
                other = Some(self.file(text, &target, &path, file)?);
                text.to_owned()
            }
            None if !level.services.contains_key(&target) => {
                let message = format!("the service {target} is not there to be extended");
                return sink.fail(&path, place, message);
            }
            None => level.file.clone(),
        };
        let step = (came_from, name.to_owned());
        if way.contains(&step) {
            let names: Vec<&str> = way.iter().map(|(_, name)| name.as_str()).chain([name]).collect();
            return sink.fail(&path, place, format!("services extend one another in a circle: {}", names.join(" -> ")));
        }
        let mut way = way.to_vec();
        way.push(step);
        let base = self.service(&target, other.as_mut().unwrap_or(level), &way)?;
        if base.is_null() {
            return Ok(service);
        }
        let mut wrapped = Node::map([("services", Node::map([(name, base)], place))], place);
        reset(&mut wrapped, &Path::default(), &resets);
        let base = wrapped.get("services").and_then(|services| services.get(name)).cloned().unwrap_or_default();
        let mut merged = merge::extend(base, service, name, sink)?;
        if let Some(map) = merged.as_map_mut() {
            map.remove("extends");
        }
        if other.is_none() {
            level.services.insert(name.to_owned(), merged.clone());
        }
        Ok(merged)
    }

    /// The services of another file, in their long forms, with paths as seen from here.
    fn file(&self, name: &str, target: &str, path: &Path, asked: &Node) -> Result<Level, Stop> {
        let (context, model) = (self.context, self.model);
        let sink = context.sink;
        let local = if name.starts_with('/') { name.to_owned() } else { join(&model.absolute, name) };
        let (_, documents) = context.documents(&local, Some((&path.key("file"), asked.place)))?;
        let mut tree = Node { value: Value::Map(Map::new()), place: asked.place };
        let mut resets = Vec::new();
        for mut document in documents {
            context.read_in(&mut document, asked.place, model.variables)?;
            reset(&mut tree, &Path::default(), &document.resets);
            tree = merge::merge(tree, document.root, &Path::default(), sink)?;
            crate::compose::unique::enforce(&mut tree, &Path::default(), sink)?;
            context.write_out(&mut tree)?;
            resets = document.resets;
        }
        let base = relative(&model.absolute, &folder(&local));
        let resolver = Resolver { base: &base, home: context.home.as_deref(), files: context.files };
        resolver.resolve(&mut tree, &Path::default(), sink);
        sink.check()?;
        let Some(Value::Map(services)) = tree.as_map_mut().and_then(|root| root.remove("services")).map(|node| node.value) else {
            return sink.fail(path, asked.place, format!("the file {name} has no services to extend"));
        };
        if !services.contains_key(target) {
            return sink.fail(path, asked.place, format!("the service {target} is not in {name}"));
        }
        Ok(Level { services, resets, file: name.to_owned() })
    }
}

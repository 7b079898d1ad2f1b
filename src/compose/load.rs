//! Files to one tree: each is interpolated, extended, laid over those before it and checked.

mod extends;
mod include;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use super::canonical::write_out;
use super::files::Files;
use super::interpolate::interpolate;
use super::merge::merge;
use super::node::{Map, Node, Path, Place, Step, Value};
use super::paths::Resolver;
use super::sink::{Sink, Stop};
use super::text::{self, Document};
use super::variables::Lookup;
use super::{rules, schema, unique};

/// Variables by name.
pub(super) type Variables = BTreeMap<String, String>;

/// What all files of one project have in common.
pub(super) struct Context<'a> {
    /// Where files are read from.
    pub files: &'a dyn Files,
    /// What `~` stands for.
    pub home: Option<String>,
    /// Whether variables are put in.
    pub interpolate: bool,
    /// Texts that are known already, by path (`-`: standard input).
    pub texts: RefCell<BTreeMap<String, String>>,
    /// Projects that were included before: one that is reached on many ways is loaded once.
    pub included: RefCell<BTreeMap<Included, Node>>,
    /// Where what is wrong goes.
    pub sink: &'a Sink,
}

/// What makes an included project: its files, its folder as it is seen and as it is, its variables.
pub(super) type Included = (Vec<String>, String, String, Variables);

/// Variables for interpolation.
pub(super) struct Outside<'a> {
    /// The variables.
    pub variables: &'a Variables,
    /// Where unset ones are told.
    pub sink: &'a Sink,
}

impl Lookup for Outside<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
    fn unset(&self, name: &str) {
        self.sink.unset(name);
    }
}

/// One set of files: those of the project, or those that an `include` names.
pub(super) struct Model<'a> {
    /// Its files, the first being the base.
    pub files: Vec<String>,
    /// The folder that its relative paths start from; of an included model it is relative to that of the including one.
    pub folder: String,
    /// Its absolute folder: where files that it names are read.
    pub absolute: String,
    /// Its variables.
    pub variables: &'a Variables,
    /// Files on the way here, each including the next.
    pub included: Vec<String>,
}

impl Context<'_> {
    /// Reads the documents of a file. `asked`: where it was asked for, if not by the command line.
    pub fn documents(&self, name: &str, asked: Option<(&Path, Place)>) -> Result<(usize, Vec<Document>), Stop> {
        let file = self.sink.file(if name == "-" { "<stdin>" } else { name });
        let text = match self.texts.borrow().get(name) {
            Some(text) => Ok(text.clone()),
            None => self.files.read(name),
        };
        let text = text.or_else(|error| {
            let (path, place) =
                asked.map_or((Path::default(), Place { file, line: 1, column: 1 }), |(path, place)| (path.clone(), place));
            self.sink.fail(&path, place, format!("the file {name} cannot be read: {}", said(&error)))
        })?;
        let documents = text::read(file, &text).map_err(|wrong| {
            wrong.into_iter().for_each(|wrong| self.sink.error(&wrong.path, wrong.place, wrong.message));
            Stop
        })?;
        Ok((file, documents))
    }

    /// Loads a model: its files laid one over the other, checked, its paths resolved.
    pub fn model(&self, model: &Model<'_>) -> Result<Node, Stop> {
        let mut tree = Node { value: Value::Map(Map::new()), place: Place { file: 0, line: 1, column: 1 } };
        for name in &model.files {
            tree = self.file(name, model, tree)?;
        }
        rules::fill_in(&mut tree, &Path::default());
        rules::check(&tree, &Path::default(), self.sink);
        self.sink.check()?;
        let resolver = Resolver { base: &model.folder, home: self.home.as_deref(), files: self.files };
        resolver.resolve(&mut tree, &Path::default(), self.sink);
        self.sink.check()?;
        environment(&mut tree, model.variables);
        Ok(tree)
    }

    fn file(&self, name: &str, model: &Model<'_>, mut tree: Node) -> Result<Node, Stop> {
        let (file, documents) = self.documents(name, None)?;
        for mut document in documents {
            let place = Place { file, line: 1, column: 1 };
            self.read_in(&mut document, place, model.variables)?;
            extends::apply(self, &mut document, name, model)?;
            reset(&mut tree, &Path::default(), &document.resets);
            let mut included = model.included.clone();
            included.push(name.to_owned());
            include::apply(self, &mut document.root, model, &included)?;
            tree = merge(tree, document.root, &Path::default(), self.sink)?;
            unique::enforce(&mut tree, &Path::default(), self.sink)?;
            schema::validate(&tree, self.sink);
            self.sink.check()?;
            if let Some(map) = tree.as_map_mut()
                && map.remove("version").is_some()
            {
                self.sink.warn(format!("{}: the key version is obsolete and not read: remove it", self.sink.name(file)));
            }
            self.write_out(&mut tree)?;
        }
        Ok(tree)
    }

    /// A document with its variables put in.
    fn read_in(&self, document: &mut Document, place: Place, variables: &Variables) -> Result<(), Stop> {
        if document.root.as_map().is_none() {
            let place = if document.root.place.line == 0 { place } else { document.root.place };
            let message = "services: a Compose file is a map that has services, and this document is none";
            return self.sink.fail(&Path::default(), place, message);
        }
        if self.interpolate {
            let outside = Outside { variables, sink: self.sink };
            interpolate(&mut document.root, &Path::default(), &outside, self.sink);
        }
        self.sink.check()
    }

    /// A tree in its long forms.
    fn write_out(&self, tree: &mut Node) -> Result<(), Stop> {
        write_out(tree, &Path::default(), !self.interpolate, self.sink);
        self.sink.check()?;
        omit_empty(tree);
        unique::enforce(tree, &Path::default(), self.sink)
    }
}

/// An error of the machine in few words.
pub(super) fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    }
}

/// Empty DNS servers are none.
fn omit_empty(tree: &mut Node) {
    let services = tree.as_map_mut().and_then(|root| root.get_mut("services")).and_then(Node::as_map_mut);
    for service in services.into_iter().flat_map(|services| services.values_mut()).filter_map(Node::as_map_mut) {
        if let Some(Value::List(servers)) = service.get_mut("dns").map(|dns| &mut dns.value) {
            servers.retain(|server| !server.is_null() && server.as_text() != Some(""));
        }
    }
}

/// Takes away what `!reset` and `!override` name.
fn reset(node: &mut Node, path: &Path, resets: &[Path]) {
    if resets.is_empty() {
        return;
    }
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|key, _| {
                let here = path.key(key);
                !resets.iter().any(|reset| matches_reset(&here, reset))
            });
            map.iter_mut().for_each(|(key, node)| reset(node, &path.key(key), resets));
        }
        Value::List(items) => {
            items.iter_mut().enumerate().for_each(|(index, item)| reset(item, &path.item(index), resets));
        }
        _ => {}
    }
}

/// A key written `*` in the file that resets stands for any.
fn matches_reset(path: &Path, reset: &Path) -> bool {
    let step = |pair: (&Step, &Step)| match pair {
        (_, Step::Key(pattern)) if pattern == "*" => true,
        (Step::Key(key), Step::Key(pattern)) => key == pattern,
        _ => false,
    };
    path.0.len() == reset.0.len() && path.0.iter().zip(&reset.0).all(step)
}

/// Variables without a value in lists of an included file come from its own environment.
fn environment(tree: &mut Node, variables: &Variables) {
    let services = tree.as_map_mut().and_then(|root| root.get_mut("services")).and_then(Node::as_map_mut);
    for service in services.into_iter().flat_map(|services| services.values_mut()).filter_map(Node::as_map_mut) {
        let Some(Value::List(lines)) = service.get_mut("environment").map(|node| &mut node.value) else { continue };
        for line in lines {
            if let Value::Text(text) = &mut line.value
                && let Some(value) = variables.get(text.as_str())
            {
                *text = format!("{text}={value}");
            }
        }
    }
}

//! Compose files as they are: several files, variables, `extends`, `include`, overrides and profiles become the one
//! configuration that `docker compose config` prints.
//!
//! # Flow
//! Text becomes a tree in which every value knows its place (`text`); variables are put into its text
//! (`interpolate`); services are laid over those they extend, included projects are taken over (`load`); the files
//! are laid over one another (`merge`), held against the Specification's schema (`schema`), and brought into one form
//! (`canonical`, `rules`, `paths`, `normalise`); the result is written as Compose writes it (`shape`) and
//! checked as a whole (`consistency`).
//!
//! # Promises
//! The rules are compose-go's, release 2.9.1 (docker compose 2.40); `docs/compose.md` lists where they are left on purpose.
//! What is wrong comes back with file, line, column and field, all of one stage at once. Files are only read through
//! [`Files`], and nothing else of the machine is asked.

mod canonical;
mod consistency;
mod deployment;
mod dotenv;
mod files;
mod interpolate;
mod load;
mod merge;
mod mounts;
mod node;
mod normalise;
mod outside;
mod paths;
mod ports;
mod project;
mod rules;
mod scalar;
mod schema;
mod select;
mod shape;
mod sink;
#[cfg(test)]
mod tests;
mod text;
mod unique;
mod variables;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map as Object, Value as Json, json};

use crate::crd::FieldError;
use load::{Context, Model};
use node::{Node, Path, Place};
use select::Services;
use shape::{View, Writer};
use sink::{Sink, Stop};

pub use deployment::{Made, deployment, folder_name, is_compose, object_name, own_profiles};
pub use files::{Disk, Files, Given, Kind, Noted, open_regular};
pub use project::{Asked, Found, NAMES, OVERRIDES, find, normalise_name};

/// What is loaded.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The Compose files by absolute path, the first being the base; `-` is standard input.
    pub files: Vec<String>,
    /// Texts that need not be read, by the path they stand for (`-`: standard input).
    pub texts: BTreeMap<String, String>,
    /// The absolute folder that relative paths start from.
    pub folder: String,
    /// The project's name as it was given; it wins over `name:` in the files.
    pub name: Option<String>,
    /// The project's name where nobody says one.
    pub default_name: String,
    /// Variables for interpolation and for what services take from outside.
    pub environment: BTreeMap<String, String>,
    /// Active profiles; `*` is all of them.
    pub profiles: Vec<String>,
    /// Services to keep, with what they depend on; empty: all.
    pub services: Vec<String>,
    /// Keeps networks, volumes and the like that no service uses.
    pub all_resources: bool,
    /// Leaves out what concerns a whole project: undefined references, circles, missing images.
    pub no_consistency: bool,
}

/// One project, as Compose understands its files.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// The folder that its relative paths start from.
    pub folder: String,
    /// The effective configuration in the shape of `docker compose config --format json`; dollars are single.
    pub config: Json,
    /// The same in the shape of `docker compose config --format yaml`: with models and extensions, without empty fields.
    pub yaml: Json,
    /// The profiles that its services name.
    pub profiles: BTreeSet<String>,
    /// What is worth a word: obsolete keys, variables that are not set.
    pub warnings: Vec<String>,
    /// Why it cannot be shown as JSON, if it cannot: then `config` lacks that.
    pub not_json: Vec<FieldError>,
    /// What it was made with.
    variables: load::Variables,
    places: Node,
    sources: Vec<String>,
}

/// Why nothing could be loaded.
#[derive(Debug, Clone)]
pub struct Refused {
    /// All that is wrong, by place.
    pub errors: Vec<FieldError>,
    /// What is worth a word.
    pub warnings: Vec<String>,
}

/// Loads a project.
///
/// # Errors
/// All that is wrong with its files, or with what they name.
pub fn load(request: &Request, files: &dyn Files) -> Result<Loaded, Refused> {
    let sink = Sink::default();
    let loaded = Load { request, files, sink: &sink }.run();
    let (mut errors, warnings) = sink.into_findings();
    match loaded {
        Ok(loaded) if errors.is_empty() => Ok(Loaded { warnings, ..loaded }),
        _ => {
            errors.dedup();
            Err(Refused { errors, warnings })
        }
    }
}

/// The tree of a project without its variables put in, as `docker compose config --no-interpolate` prints it.
///
/// # Errors
/// All that is wrong with its files.
pub fn load_raw(request: &Request, files: &dyn Files) -> Result<Json, Refused> {
    let sink = Sink::default();
    let load = Load { request, files, sink: &sink };
    let raw = load.name(false).and_then(|name| load.tree(&name, false)).map(|(tree, _)| tree.to_json());
    let (errors, warnings) = sink.into_findings();
    match raw {
        Ok(raw) if errors.is_empty() => Ok(raw),
        _ => Err(Refused { errors, warnings }),
    }
}

impl Loaded {
    /// Where a field of the configuration was written, or the nearest that was: `["services", "web", "image"]`.
    pub fn locate(&self, steps: &[&str]) -> crate::crd::Location {
        let place = self.places.locate(steps);
        let file = self.sources.get(place.file).cloned().unwrap_or_default();
        crate::crd::Location { file, line: place.line.max(1), column: place.column.max(1) }
    }
}

/// Services by name, as they are written.
type Written = BTreeMap<String, Object<String, Json>>;

struct Load<'a> {
    request: &'a Request,
    files: &'a dyn Files,
    sink: &'a Sink,
}

impl Load<'_> {
    fn run(&self) -> Result<Loaded, Stop> {
        let name = self.name(true)?;
        let (tree, variables) = self.tree(&name, true)?;
        let request = self.request;
        let mut services = Services::new(&tree, &request.profiles);
        let plain = Writer { view: View::Yaml, sink: self.sink };
        let written = plain.services(&services);
        self.resources(&plain, &tree, None);
        self.sink.check()?;
        self.check(consistency::check, &tree, &services, &written)?;
        services = services.enable(&tree, &request.services, &request.profiles);
        services.select(&request.services, self.sink)?;
        let shown = Sink::default();
        let strict = Writer { view: View::Json, sink: &shown };
        let written = self.resolved(&plain, &services, &variables)?;
        let json = self.resolved(&strict, &services, &variables)?;
        self.check(consistency::container_names, &tree, &services, &written)?;
        let used = (!request.all_resources).then_some(&services);
        let whole = |writer: &Writer<'_>, services: Written| {
            let mut whole = Object::from_iter([("name".to_owned(), json!(name)), ("services".to_owned(), json!(services))]);
            whole.extend(self.resources(writer, &tree, used));
            writer.extensions(&tree, &mut whole);
            whole
        };
        let (yaml, mut config) = (whole(&plain, written), whole(&strict, json));
        // Compose's JSON has no models.
        config.remove("models");
        infinities(&tree, &shown);
        let all = [&services.enabled, &services.disabled].into_iter().flat_map(BTreeMap::values);
        let profiles = all.flat_map(select::profiles).map(str::to_owned).collect();
        let sources = self.sink.names();
        shown.take_names(&sources);
        let not_json = shown.into_findings().0;
        let (config, yaml) = (Json::Object(config), Json::Object(yaml));
        let folder = request.folder.clone();
        Ok(Loaded { name, folder, config, yaml, profiles, warnings: Vec::new(), not_json, variables, places: tree, sources })
    }

    /// Makes a check of the whole project, unless none is wanted.
    fn check(
        &self,
        check: impl Fn(&consistency::Project<'_>),
        root: &Node,
        services: &Services,
        written: &Written,
    ) -> Result<(), Stop> {
        if !self.request.no_consistency {
            check(&consistency::Project { root, services, written, sink: self.sink });
        }
        self.sink.check()
    }

    /// Services as they are written, with what they take from files beside them.
    fn resolved(&self, writer: &Writer<'_>, services: &Services, variables: &load::Variables) -> Result<Written, Stop> {
        let context = self.context(true);
        let mut all = writer.services(services);
        for (name, node) in &services.enabled {
            let path = Path::of(&["services", name]);
            if let Some(written) = all.get_mut(name) {
                outside::environment(&context, node, &path, written, variables)?;
                outside::labels(&context, node, &path, written)?;
            }
        }
        Ok(all)
    }

    /// Networks, volumes and the like; those that are used, or all.
    fn resources(&self, writer: &Writer<'_>, tree: &Node, used: Option<&Services>) -> Object<String, Json> {
        let parts = [
            ("networks", shape::NETWORK),
            ("volumes", shape::VOLUME),
            ("secrets", shape::SECRET),
            ("configs", shape::CONFIG),
            ("models", shape::MODEL),
        ];
        let mut object = Object::new();
        for (part, fields) in parts {
            let used = used.map(|services| services.uses(part));
            let all = tree.get(part).and_then(Node::as_map).into_iter().flatten();
            let kept = all.filter(|(key, _)| used.as_ref().is_none_or(|used| used.contains(*key)));
            let write = |(key, node): (&String, &Node)| {
                let mut resource = writer.fields(fields, node, &Path::of(&[part, key]));
                if part == "configs" && resource.contains_key("environment") {
                    resource.remove("content");
                }
                (key.clone(), Json::Object(resource))
            };
            let written: Object<String, Json> = kept.map(write).collect();
            if !written.is_empty() {
                object.insert(part.to_owned(), Json::Object(written));
            }
        }
        object
    }

    fn context(&self, interpolate: bool) -> Context<'_> {
        Context {
            files: self.files,
            home: self.request.environment.get("HOME").filter(|home| !home.is_empty()).cloned(),
            interpolate,
            texts: RefCell::new(self.request.texts.clone()),
            included: RefCell::default(),
            sink: self.sink,
        }
    }

    /// The whole tree, normalised, and the variables it was made with.
    fn tree(&self, name: &str, interpolate: bool) -> Result<(Node, load::Variables), Stop> {
        let request = self.request;
        let context = self.context(interpolate);
        let mut variables = request.environment.clone();
        variables.insert("COMPOSE_PROJECT_NAME".to_owned(), name.to_owned());
        let model = Model {
            files: request.files.clone(),
            folder: request.folder.clone(),
            absolute: request.folder.clone(),
            variables: &variables,
            included: Vec::new(),
        };
        let mut tree = context.model(&model)?;
        let first = Place { file: 0, line: 1, column: 1 };
        if tree.as_map().is_none_or(BTreeMap::is_empty) {
            return self.sink.fail(&Path::default(), first, "services: the file is empty; a Compose file has services");
        }
        if let Some(root) = tree.as_map_mut() {
            root.insert("name".to_owned(), Node::text(name, first));
        }
        normalise::normalise(&mut tree, name, &variables);
        Ok((tree, variables))
    }

    /// The project's name: as given, else as the files say, else the default.
    fn name(&self, interpolate: bool) -> Result<String, Stop> {
        let request = self.request;
        let first = Place { file: self.sink.file(&self.shown(0)), line: 1, column: 1 };
        let path = Path::of(&["name"]);
        if let Some(name) = &request.name {
            if normalise_name(name) != *name || name.is_empty() {
                let message = format!(
                    "the project name {name:?} must start with a letter or digit and have only lower-case letters, digits, '-' and '_'"
                );
                return self.sink.fail(&path, first, message);
            }
            return Ok(name.clone());
        }
        let context = self.context(interpolate);
        let mut named = None;
        for file in &request.files {
            let Ok((_, documents)) = context.documents(file, None) else { continue };
            for document in documents {
                if let Some(node) = document.root.get("name").filter(|node| node.as_text().is_some_and(|text| !text.is_empty())) {
                    named = Some(node.clone());
                }
            }
        }
        self.sink.check()?;
        let mut name = request.default_name.clone();
        if let Some(mut node) = named {
            if interpolate {
                let outside = load::Outside { variables: &request.environment, sink: self.sink };
                interpolate::interpolate(&mut node, &path, &outside, self.sink);
                self.sink.check()?;
            }
            name = Some(normalise_name(node.as_text().unwrap_or_default())).filter(|name| !name.is_empty()).unwrap_or(name);
        }
        if name.is_empty() {
            let message = "the project has no name: write name in the file, or give one with --project-name";
            return self.sink.fail(&path, first, message);
        }
        Ok(name)
    }

    fn shown(&self, index: usize) -> String {
        self.request
            .files
            .get(index)
            .map_or_else(String::new, |file| if file == "-" { "<stdin>".to_owned() } else { file.clone() })
    }
}

/// Extensions that hold what JSON has no word for.
fn infinities(tree: &Node, sink: &Sink) {
    for (key, node) in tree.as_map().into_iter().flatten() {
        if key.starts_with("x-") && node.has_infinity() {
            sink.error(&Path::of(&[key]), node.place, "cannot be shown as JSON: it holds .inf or .nan");
        }
    }
}

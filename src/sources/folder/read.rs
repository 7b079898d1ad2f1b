//! What the files of a folder declare. Manifests are texts that are in hand; what a Compose file names is read from the disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use crate::crd::yaml::{Document, parse_manifests};
use crate::crd::{API_VERSION, FieldError, list_errors};
use crate::model::Key;
use crate::sources::files::Scan;
use crate::sources::{compose, merge};

/// All that a folder declares, and what cannot be said about it.
#[derive(Debug, Default)]
pub struct Reading {
    /// Deployments that are right, by name.
    pub declared: BTreeMap<Key, Arc<Declared>>,
    /// Manifests that cannot be used, in order of file and line.
    pub broken: Vec<Broken>,
    /// Folders that could not be looked into, relative, and why.
    pub unseen: BTreeMap<String, String>,
    /// What is not followed and may have been a folder with manifests, relative, and why.
    pub not_followed: BTreeMap<String, String>,
}

/// A Deployment as a manifest declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// `path:line` of its document.
    pub source: String,
    /// The object, defaults filled in.
    pub object: Value,
    /// Its document, to find the place of what is found wrong later.
    pub document: Document,
    /// Things worth a word.
    pub warnings: Vec<String>,
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// File, relative to the folder.
    pub file: String,
    /// What it would have declared.
    pub about: About,
    /// What is wrong, with places, in one line.
    pub message: String,
    /// Tells contents apart: the same trouble in another version of the file is told again.
    pub content: u64,
}

/// What a broken manifest would have declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// This deployment: what is stored of it is the last good version.
    Deployment(Key),
    /// No deployment that could be missed: a Hold, or one that is declared elsewhere too.
    Nobody,
    /// That cannot be read: it may be any deployment that is missed.
    Unknown,
}

/// Documents of files that were read before: what did not change is not parsed again.
#[derive(Debug, Default)]
pub struct Cache {
    /// What a document that names no namespace is for.
    namespace: Namespace,
    files: HashMap<String, (u64, Vec<Checked>)>,
    /// Compose projects by their main file, with the digest of all that they read.
    projects: BTreeMap<String, Project>,
}

/// A Compose project that was read before.
#[derive(Debug)]
struct Project {
    digest: u64,
    read: compose::Read,
    checked: Checked,
}

/// Which namespace a document is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// That of those that name none.
    pub default: String,
    /// All are for the default one, whatever they name.
    pub forced: bool,
}

impl Default for Namespace {
    fn default() -> Self {
        Self { default: "default".to_owned(), forced: false }
    }
}

/// A document, checked.
#[derive(Debug, Clone)]
enum Checked {
    Right(Key, Arc<Declared>),
    Wrong(Broken),
}

/// Reads what a scan found.
pub fn read(scan: &Scan, cache: &mut Cache) -> Reading {
    let mut reading = Reading { unseen: scan.unseen.clone(), not_followed: scan.not_followed.clone(), ..Reading::default() };
    cache.files.retain(|name, _| scan.files.contains_key(name));
    let parts = cache.compose(scan);
    for (file, text) in &scan.files {
        if let Some(project) = cache.projects.get(file) {
            reading.add(project.checked.clone());
            continue;
        }
        if parts.contains(file) {
            continue;
        }
        match text {
            Ok(text) => cache.documents(file, text).iter().cloned().for_each(|document| reading.add(document)),
            Err(why) => {
                let message = format!("{file}: {why}");
                reading.broken.push(Broken { file: file.clone(), about: About::Unknown, message, content: 0 });
            }
        }
    }
    reading
}

impl Cache {
    /// Says which namespace documents are for; another one than before makes it forget all.
    pub fn set_namespace(&mut self, namespace: Namespace) {
        if self.namespace != namespace {
            *self = Self { namespace, ..Self::default() };
        }
    }

    /// Files that Compose files name or look for, by absolute path.
    pub fn named(&self) -> BTreeSet<String> {
        self.projects.values().flat_map(|project| project.read.asked.iter().cloned()).collect()
    }

    /// Reads the Compose projects of a folder where something of them changed; the files that are no manifests of their own.
    fn compose(&mut self, scan: &Scan) -> BTreeSet<String> {
        let mains = if scan.root.as_os_str().is_empty() { Vec::new() } else { compose::mains(&scan.files) };
        self.projects.retain(|main, _| mains.contains(main));
        for main in mains {
            let known = self.projects.get(&main).map(|project| (project.digest, compose::digest(scan, &project.read.asked)));
            if known.is_some_and(|(before, now)| before == now) {
                continue;
            }
            let read = compose::read_folder(scan, &main);
            let digest = compose::digest(scan, &read.asked);
            let document = self.namespace.given_to(read.document.clone());
            let checked = check(document, digest, &self.namespace, &read.warnings);
            self.projects.insert(main, Project { digest, read, checked });
        }
        compose::parts(&scan.root, &scan.files, self.projects.iter().map(|(main, project)| (main, &project.read)))
    }

    fn documents(&mut self, file: &str, text: &str) -> &[Checked] {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let content = hasher.finish();
        let namespace = &self.namespace;
        let check = || (content, check_all(file, text, content, namespace));
        let (known, documents) = self.files.entry(file.to_owned()).or_insert_with(check);
        if *known != content {
            (*known, *documents) = check();
        }
        documents
    }
}

fn check_all(file: &str, text: &str, content: u64, namespace: &Namespace) -> Vec<Checked> {
    let documents = parse_manifests(file, text).into_iter();
    documents.map(|document| check(namespace.given_to(document), content, namespace, &[])).collect()
}

impl Namespace {
    /// The document, in the namespace that it is for.
    fn given_to(&self, mut document: Document) -> Document {
        if self.forced && document.value["metadata"].is_object() {
            document.value["metadata"]["namespace"] = self.default.as_str().into();
        }
        // One that cannot be read may be known to be for another namespace all the same.
        let unsaid = document.value["metadata"]["namespace"].is_null() && document.namespace == "default";
        if self.forced || unsaid {
            document.namespace.clone_from(&self.default);
        }
        document
    }
}

/// `more` are warnings that go with it.
fn check(document: Document, content: u64, namespace: &Namespace, more: &[String]) -> Checked {
    match merge::check(&document, &namespace.default) {
        Ok(checked) => {
            let source = format!("{}:{}", document.file, document.line);
            let warnings = checked.warnings.into_iter().chain(more.iter().cloned()).collect();
            let declared = Declared { source, object: checked.object, document, warnings };
            Checked::Right(checked.key, Arc::new(declared))
        }
        Err(errors) => {
            let about = match document.kind.as_str() {
                "Hold" | "Source" | "Channel" | "Alert" | "Incident" => About::Nobody,
                _ if document.name.is_empty() => About::Unknown,
                _ => About::Deployment(Key::new(&document.namespace, &document.name)),
            };
            let errors: Vec<FieldError> = errors.into_iter().map(of_a_source).collect();
            Checked::Wrong(Broken { file: document.file, about, message: list_errors(&errors), content })
        }
    }
}

/// Of the kinds that can be applied by hand a Source takes one.
fn of_a_source(error: FieldError) -> FieldError {
    let is_of_kinds = error.message.starts_with("unknown kind") || error.message.starts_with("kind is missing");
    match error.message.split_once(": known are ").filter(|_| is_of_kinds) {
        Some((what, _)) => {
            FieldError { message: format!("{what}: a Source takes Deployments ({API_VERSION}) and Compose files"), ..error }
        }
        None => error,
    }
}

impl Reading {
    /// The first by path and line keeps a name, broken or not: which one it is must not depend on who came when.
    fn add(&mut self, document: Checked) {
        match document {
            Checked::Right(key, declared) => match self.holder(&key) {
                None => drop(self.declared.insert(key, declared)),
                Some(first) => self.broken.push(second(&key, &declared, &first)),
            },
            Checked::Wrong(broken) => self.broken.push(broken),
        }
    }

    /// Where a name was declared before.
    fn holder(&self, key: &Key) -> Option<String> {
        let broken = self.broken.iter().find(|broken| broken.about == About::Deployment(key.clone()));
        self.declared.get(key).map(|declared| declared.source.clone()).or_else(|| broken.map(|broken| broken.file.clone()))
    }

    /// Why a deployment that came from this file may still be declared there, if it may.
    pub fn may_hold(&self, file: &str) -> Option<&str> {
        // A Compose file that is broken may have said by another name what it declares.
        let unsure = |broken: &&Broken| broken.about == About::Unknown || compose::is_main(file);
        let unread = self.broken.iter().filter(|broken| broken.file == file).find(unsure);
        let unseen = self.unseen.iter().chain(&self.not_followed);
        let unseen =
            unseen.into_iter().find(|(folder, _)| file.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/')));
        unread.map(|broken| broken.message.as_str()).or_else(|| unseen.map(|(_, why)| why.as_str()))
    }

    /// Why it is not known what all of the folder declares, if it is not: nothing is pruned then.
    pub fn unknown(&self) -> Option<&str> {
        let unread = self.broken.iter().find(|broken| broken.about == About::Unknown);
        unread.map(|broken| broken.message.as_str()).or_else(|| self.unseen.values().next().map(String::as_str))
    }
}

fn second(key: &Key, declared: &Declared, first: &str) -> Broken {
    let message = format!("deployment {key} is declared in {first} already: this one is not used");
    let errors = declared.document.place(vec![FieldError { path: "metadata.name".to_owned(), message, location: None }]);
    Broken { file: declared.document.file.clone(), about: About::Nobody, message: list_errors(&errors), content: 0 }
}

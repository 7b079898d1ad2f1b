//! What must be written so that the store says what the folder declares. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::read::{About, Declared, Reading};
use crate::model::{Key, MANIFESTS_SOURCE, annotations};
use crate::sources::merge::{annotate, annotation, desired};
use crate::store::{Object, revision_of};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Put a manifest in force.
    Write(Key),
    /// Leave it alone: another Source keeps it, for this reason.
    Refuse(Key, String),
    /// Note on the object why its manifest's newest version is not in force.
    Mark(Key, String),
    /// Note that its manifest is gone.
    Orphan(Key),
    /// Delete it, since its manifest is gone.
    Prune(Key),
}

impl Step {
    /// Whom it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Write(key) | Self::Refuse(key, _) | Self::Mark(key, _) | Self::Orphan(key) | Self::Prune(key) => key,
        }
    }
}

/// What is known beside the files and the store.
#[derive(Debug, Default)]
pub struct Circumstances {
    /// Deployments whose manifests are gone are deleted.
    pub prune: bool,
    /// Deployments whose manifests have been gone for long enough that it is no file being replaced.
    pub long_gone: BTreeSet<Key>,
    /// Deployments that came from another folder than this one: they are not deleted.
    pub spared: BTreeSet<Key>,
    /// Who declares.
    pub origin: Origin,
    /// The other Sources there are, by name: what they declared is theirs.
    pub others: BTreeSet<String>,
    /// What was in force before.
    pub known: Known,
}

/// Who declares, and what state of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The Source, `namespace/name`.
    pub source: String,
    /// Its revision, where it has any.
    pub revision: Option<String>,
}

impl Default for Origin {
    fn default() -> Self {
        Self { source: MANIFESTS_SOURCE.to_owned(), revision: None }
    }
}

/// Revisions that are remembered on an object.
const REVISIONS: usize = 10;

/// Warnings of a manifest that are kept on its object.
const WARNINGS: usize = 20;

/// What is to be done, whose manifest is gone, and what is as it should be.
#[derive(Debug, Default, PartialEq)]
pub struct Diff {
    /// In order.
    pub steps: Vec<Step>,
    /// Deployments that came from the folder and are not in it.
    pub gone: BTreeSet<Key>,
    /// What is in force.
    pub known: Known,
}

/// Manifests that were found in force, each with the resourceVersion of its object then: what did not change since is so still.
pub type Known = HashMap<Key, (Arc<Declared>, u64)>;

/// Deployments that came from this Source and are not in its files.
pub fn gone(reading: &Reading, stored: &[Object], origin: &Origin) -> BTreeSet<Key> {
    not_declared(reading, stored, origin).filter(|(_, _, kept)| kept.is_none()).map(|(key, ..)| key).collect()
}

/// Those that its files do not declare as they are now: each with why it may be in them all the same, if it may.
fn not_declared<'a>(
    reading: &'a Reading,
    stored: &'a [Object],
    origin: &'a Origin,
) -> impl Iterator<Item = (Key, &'a Value, Option<&'a str>)> {
    stored.iter().map(AsRef::as_ref).filter_map(move |object: &Value| {
        let source = annotation(object, annotations::SOURCE).filter(|_| !is_deleting(object))?;
        let key = Some(key_of(object)).filter(|key| !reading.declared.contains_key(key))?;
        if owner(object) != Some(origin.source.as_str()) {
            return None;
        }
        let about = About::Deployment(key.clone());
        let broken = reading.broken.iter().find(|broken| broken.about == about).map(|broken| broken.message.as_str());
        let kept = broken.or_else(|| reading.may_hold(file_of(source)));
        Some((key, object, kept))
    })
}

/// Holds the folder against the store.
pub fn diff(reading: &Reading, stored: &[Object], circumstances: &Circumstances) -> Diff {
    let mut diff = Diff::default();
    let objects: BTreeMap<Key, &Value> = stored.iter().map(|object| (key_of(object), object.as_ref())).collect();
    for (key, declared) in &reading.declared {
        match objects.get(key).copied() {
            // What is being deleted comes back when it is gone.
            Some(object) if is_deleting(object) => {}
            Some(object) if circumstances.is_known(key, declared, object) => diff.keep(key, declared, object),
            Some(object) => match kept_by_another(object, &circumstances.origin, &circumstances.others) {
                Some(other) => diff.steps.push(Step::Refuse(key.clone(), second_source(key, other))),
                None if in_force(declared, Some(object), &circumstances.origin) == *object => diff.keep(key, declared, object),
                None => diff.steps.push(Step::Write(key.clone())),
            },
            None => diff.steps.push(Step::Write(key.clone())),
        }
    }
    for (key, object, kept) in not_declared(reading, stored, &circumstances.origin) {
        diff.not_declared(reading, key, object, kept, circumstances);
    }
    diff
}

impl Circumstances {
    fn is_known(&self, key: &Key, declared: &Arc<Declared>, object: &Value) -> bool {
        self.known.get(key).is_some_and(|(known, version)| Arc::ptr_eq(known, declared) && *version == revision_of(object))
    }
}

impl Diff {
    fn keep(&mut self, key: &Key, declared: &Arc<Declared>, object: &Value) {
        self.known.insert(key.clone(), (Arc::clone(declared), revision_of(object)));
    }

    fn not_declared(&mut self, reading: &Reading, key: Key, object: &Value, kept: Option<&str>, circumstances: &Circumstances) {
        if let Some(why) = kept {
            if annotation(object, annotations::SOURCE_ERROR) != Some(why) {
                self.steps.push(Step::Mark(key, why.to_owned()));
            }
            return;
        }
        self.gone.insert(key.clone());
        if !circumstances.long_gone.contains(&key) {
            return;
        }
        if circumstances.prune && !circumstances.spared.contains(&key) && reading.unknown().is_none() {
            self.steps.push(Step::Prune(key));
        } else if annotation(object, annotations::ORPHANED) != Some("true") {
            self.steps.push(Step::Orphan(key));
        }
    }
}

/// The object as it must be stored for the manifest to be in force.
pub fn in_force(declared: &Declared, stored: Option<&Value>, origin: &Origin) -> Value {
    let mut object = desired(&declared.object, stored);
    annotate(&mut object, annotations::SOURCE, Some(&declared.source));
    annotate(&mut object, annotations::SOURCE_NAME, Some(&origin.source));
    annotate(&mut object, annotations::SOURCE_ERROR, None);
    let warnings: Vec<String> = declared.warnings.iter().take(WARNINGS).map(|line| line.replace('\n', " ")).collect();
    let warnings = warnings.join("\n");
    annotate(&mut object, annotations::SOURCE_WARNINGS, Some(warnings.as_str()).filter(|lines| !lines.is_empty()));
    annotate(&mut object, annotations::ORPHANED, None);
    // A commit that does not change an object is no write to it.
    if let Some(revision) = origin.revision.as_ref().filter(|_| stored != Some(&object)) {
        let all = revisions(&object, revision);
        annotate(&mut object, annotations::SOURCE_REVISIONS, Some(&all));
    }
    object
}

/// The revisions that an object ran with, and this one before them.
pub fn revisions(object: &Value, revision: &str) -> String {
    let before = annotation(object, annotations::SOURCE_REVISIONS).unwrap_or_default();
    let others = before.split(' ').filter(|other| !other.is_empty() && *other != revision);
    let all: Vec<&str> = std::iter::once(revision).chain(others).take(REVISIONS).collect();
    all.join(" ")
}

/// The Source that an object came from, if it came from one.
pub fn owner(object: &Value) -> Option<&str> {
    annotation(object, annotations::SOURCE)?;
    annotation(object, annotations::SOURCE_NAME).or(Some(MANIFESTS_SOURCE))
}

/// The other Source that keeps an object. What it let go is nobody's.
pub fn kept_by_another<'a>(object: &'a Value, origin: &Origin, others: &BTreeSet<String>) -> Option<&'a str> {
    let let_go = annotation(object, annotations::ORPHANED) == Some("true");
    owner(object).filter(|owner| !let_go && *owner != origin.source && others.contains(*owner))
}

/// Why a Deployment is left to another Source.
pub fn second_source(key: &Key, other: &str) -> String {
    format!("deployment {key} is declared by Source {other} already, which keeps it: take it out of one of the two")
}

/// An object's name.
pub fn key_of(object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    Key::new(text("namespace"), text("name"))
}

/// Whether it is being deleted.
pub fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// `team/web.yaml` of `team/web.yaml:12`.
fn file_of(source: &str) -> &str {
    source.rsplit_once(':').map_or(source, |(file, _)| file)
}

//! What must be written so that the store says what the folder declares. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::read::{About, Declared, Reading};
use crate::model::{Key, MANIFESTS_SOURCE, annotations};
use crate::sources::merge::{annotate, annotation, desired};
use crate::store::Object;

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

/// What is to be done, and whose manifest is gone.
#[derive(Debug, Default, PartialEq)]
pub struct Diff {
    /// In order.
    pub steps: Vec<Step>,
    /// Deployments that came from the folder and are not in it.
    pub gone: BTreeSet<Key>,
}

/// Holds the folder against the store.
pub fn diff(reading: &Reading, stored: &[Object], circumstances: &Circumstances) -> Diff {
    let mut diff = Diff::default();
    let stored: BTreeMap<Key, &Value> = stored.iter().map(|object| (key_of(object), object.as_ref())).collect();
    for (key, declared) in &reading.declared {
        match stored.get(key).copied() {
            // What is being deleted comes back when it is gone.
            Some(object) if is_deleting(object) => {}
            Some(object) => match kept_by_another(object, &circumstances.origin, &circumstances.others) {
                Some(other) => diff.steps.push(Step::Refuse(key.clone(), second_source(key, other))),
                None if in_force(declared, Some(object), &circumstances.origin) == *object => {}
                None => diff.steps.push(Step::Write(key.clone())),
            },
            None => diff.steps.push(Step::Write(key.clone())),
        }
    }
    for (key, object) in stored {
        let Some(source) = annotation(object, annotations::SOURCE).filter(|_| !is_deleting(object)) else { continue };
        if owner(object) == Some(circumstances.origin.source.as_str()) && !reading.declared.contains_key(&key) {
            diff.not_declared(reading, key, object, file_of(source), circumstances);
        }
    }
    diff
}

impl Diff {
    fn not_declared(&mut self, reading: &Reading, key: Key, object: &Value, file: &str, circumstances: &Circumstances) {
        let about = About::Deployment(key.clone());
        let broken = reading.broken.iter().find(|broken| broken.about == about).map(|broken| broken.message.as_str());
        if let Some(why) = broken.or_else(|| reading.may_hold(file)) {
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
    annotate(&mut object, annotations::ORPHANED, None);
    // A commit that does not change an object is no write to it.
    if let Some(revision) = origin.revision.as_ref().filter(|_| stored != Some(&object)) {
        let before = annotation(&object, annotations::SOURCE_REVISIONS).unwrap_or_default();
        let others = before.split(' ').filter(|other| !other.is_empty() && other != revision);
        let all: Vec<&str> = std::iter::once(revision.as_str()).chain(others).take(REVISIONS).collect();
        let all = all.join(" ");
        annotate(&mut object, annotations::SOURCE_REVISIONS, Some(&all));
    }
    object
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

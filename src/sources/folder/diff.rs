//! What must be written so that the store says what the folder declares. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::read::{About, Declared, Reading};
use crate::model::{Key, annotations};
use crate::sources::merge::{annotate, annotation, desired};
use crate::store::Object;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Put a manifest in force.
    Write(Key),
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
}

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
            Some(object) if in_force(declared, Some(object)) == *object => {}
            _ => diff.steps.push(Step::Write(key.clone())),
        }
    }
    for (key, object) in stored {
        let Some(source) = annotation(object, annotations::SOURCE).filter(|_| !is_deleting(object)) else { continue };
        if !reading.declared.contains_key(&key) {
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
pub fn in_force(declared: &Declared, stored: Option<&Value>) -> Value {
    let mut object = desired(&declared.object, stored);
    annotate(&mut object, annotations::SOURCE, Some(&declared.source));
    annotate(&mut object, annotations::SOURCE_ERROR, None);
    annotate(&mut object, annotations::ORPHANED, None);
    object
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

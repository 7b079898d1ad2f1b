//! The writes themselves. Each is made to the object that was looked at, and to no other: who takes it over meanwhile keeps it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tracing::Instrument;

use super::Applier;
use super::diff::{in_force, is_deleting, kept_by_another, key_of, owner, revisions, second_source};
use super::memory::Memory;
use super::read::{Declared, Reading};
use super::results::Results;
use crate::model::{Key, annotations};
use crate::registry::{DeleteOptions, RegistryError, WriteOptions, Written, project};
use crate::sources::merge::annotation;
use crate::sources::turn::Turn;
use crate::store::{Kind, Object, Part, StoreError};

/// How often a write is tried when somebody else writes the same object.
const TRIES: usize = 5;

/// Writes under way at a time: those that come together share one sync of the disk.
const AT_A_TIME: usize = 64;

impl Applier {
    /// Puts manifests in force, many at a time. What the registry refuses is told like any other mistake in it.
    pub(super) async fn write_all(
        &mut self,
        all: Vec<(Key, Arc<Declared>)>,
        reading: &Reading,
        results: &mut Results,
        turn: &Turn,
    ) -> anyhow::Result<()> {
        // Of those that share a project the first by name claims it, whoever is quicker.
        let mut projects = BTreeSet::new();
        let (first, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, declared)| projects.insert(project(&declared.object)));
        for (batch, at_a_time) in [(first, AT_A_TIME), (others, 1)] {
            let me = &*self;
            let write = |(key, declared): (Key, Arc<Declared>)| async move {
                let done = me.replace(&key, &declared, Some(turn)).await;
                (key, declared, done)
            };
            let done: Vec<_> = stream::iter(batch.into_iter().map(write)).buffered(at_a_time).collect().await;
            for (key, declared, done) in done {
                self.written(&key, &declared, done, reading, results).await?;
            }
        }
        Ok(())
    }

    /// Tells what came of a write.
    async fn written(
        &mut self,
        key: &Key,
        declared: &Declared,
        done: Result<bool, RegistryError>,
        reading: &Reading,
        results: &mut Results,
    ) -> anyhow::Result<()> {
        if let Ok(changed) = &done {
            if *changed {
                tracing::info!(deployment = %key, source = declared.source, "manifest put in force");
                declared.warnings.iter().for_each(|warning| tracing::warn!(deployment = %key, "{warning}"));
            }
            self.told.right(&declared.source);
        }
        let Some(refused) = self.refusal(done, declared)? else { return Ok(()) };
        self.refuse(key, reading, &refused, results).await?;
        Ok(self.annotate(key, annotations::SOURCE_ERROR, &refused).await.map(drop)?)
    }

    /// Whether anything had to be changed. Without a turn nothing is, and it is only found out whether it might be.
    pub(super) async fn replace(&self, key: &Key, declared: &Declared, turn: Option<&Turn>) -> Result<bool, RegistryError> {
        for _ in 0..TRIES {
            let stored = self.registry.store().get(Kind::Deployment, key)?;
            // Another Source may have made it since it was compared.
            if let Some(other) = stored.as_deref().and_then(|object| kept_by_another(object, &self.origin, &self.others)) {
                return Err(RegistryError::Refused(second_source(key, other)));
            }
            let object = in_force(declared, stored.as_deref(), &self.origin);
            if stored.as_deref() == Some(&object) {
                return Ok(false);
            }
            let options = WriteOptions { expected: version(stored.as_ref()), dry_run: turn.is_none(), ..options() };
            match self.put(key, object, stored.is_some(), options, turn).await {
                // Somebody wrote in between: what he wrote is not to be lost.
                Err(error) if is_overtaken(&error) => {}
                Err(error) => return Err(error),
                Ok(written) => return Ok(version(Some(&written.object)) != version(stored.as_ref())),
            }
        }
        Err(RegistryError::Refused("others keep changing it; it is tried again at the next look".to_owned()))
    }

    /// A write that has begun is made even if nobody waits for it any more: it is part of the turn until then.
    async fn put(
        &self,
        key: &Key,
        object: Value,
        is_there: bool,
        options: WriteOptions,
        turn: Option<&Turn>,
    ) -> Result<Written, RegistryError> {
        let (registry, key, held) = (self.registry.clone(), key.clone(), turn.map(Turn::hold));
        let write = async move {
            let _held = held;
            match is_there {
                true => registry.replace(Kind::Deployment, &key, object, Part::Main, false, &options).await,
                false => registry.create(Kind::Deployment, named(object, &key), &options).await,
            }
        };
        match tokio::spawn(write.in_current_span()).await {
            Ok(written) => written,
            Err(failure) => Err(RegistryError::Refused(format!("it could not be written: {failure}"))),
        }
    }

    /// Deletes a Deployment whose manifest is gone. Returns whether it was this Source's to delete.
    pub(super) async fn prune(&self, key: &Key) -> Result<bool, RegistryError> {
        for _ in 0..TRIES {
            let Some(stored) = self.own(key)? else { return Ok(false) };
            let options = DeleteOptions { pruned: true, expected: version(Some(&stored)), ..DeleteOptions::default() };
            match self.registry.delete(Kind::Deployment, key, &options).await {
                Err(error) if is_overtaken(&error) => {}
                done => return done.map(|_| true),
            }
        }
        Ok(false)
    }

    /// Lets go all that the Source declared: deletes it, or leaves it running as nobody's. Forgets what is remembered.
    ///
    /// # Errors
    /// The store failed.
    pub async fn let_go(&self, prune: bool) -> anyhow::Result<()> {
        for object in self.registry.store().list(Kind::Deployment, None)?.items {
            if !self.is_own(&object) {
                continue;
            }
            let key = key_of(&object);
            if prune {
                self.prune(&key).await?
            } else {
                self.annotate(&key, annotations::ORPHANED, "true").await?
            };
        }
        Ok(Memory::forget(self.registry.store(), &self.origin.source).await?)
    }

    /// Writes an annotation on a Deployment. Returns whether it is this Source's.
    pub(super) async fn annotate(&self, key: &Key, name: &str, value: &str) -> Result<bool, RegistryError> {
        for _ in 0..TRIES {
            let Some(stored) = self.own(key)? else { return Ok(false) };
            let patch = json!({"metadata": {"annotations": {name: value}}});
            let options = WriteOptions { expected: version(Some(&stored)), ..options() };
            match self.registry.patch(Kind::Deployment, key, patch, Part::Main, &options).await {
                Err(error) if is_overtaken(&error) => {}
                done => return done.map(|_| true),
            }
        }
        Ok(false)
    }

    /// Notes the revision on Deployments that mount a file that it changed: their objects say nothing new, and yet it is what made
    /// their containers what they are.
    pub(super) async fn credit(&self, reading: &Reading, changed: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
        let Some(revision) = self.origin.revision.as_deref().filter(|_| !changed.is_empty()) else { return Ok(()) };
        for (key, declared) in &reading.declared {
            if !names_any(&declared.object["spec"], changed) {
                continue;
            }
            let Some(stored) = self.own(key)?.filter(|object| self.is_own(object)) else { continue };
            let all = revisions(&stored, revision);
            if annotation(&stored, annotations::SOURCE_REVISIONS) != Some(&all) {
                self.annotate(key, annotations::SOURCE_REVISIONS, &all).await?;
            }
        }
        Ok(())
    }

    /// A Deployment, if it is there and this Source's or nobody's.
    fn own(&self, key: &Key) -> Result<Option<Object>, RegistryError> {
        let stored = self.registry.store().get(Kind::Deployment, key)?;
        Ok(stored.filter(|object| !is_deleting(object) && owner(object).is_none_or(|owner| owner == self.origin.source)))
    }

    fn is_own(&self, object: &Value) -> bool {
        owner(object) == Some(self.origin.source.as_str()) && !is_deleting(object)
    }
}

/// Whether any text in there is one of these paths.
fn names_any(value: &Value, paths: &BTreeSet<PathBuf>) -> bool {
    match value {
        Value::String(text) => paths.contains(Path::new(text)),
        Value::Array(items) => items.iter().any(|item| names_any(item, paths)),
        Value::Object(fields) => fields.values().any(|field| names_any(field, paths)),
        _ => false,
    }
}

/// Somebody wrote the object since it was looked at.
fn is_overtaken(error: &RegistryError) -> bool {
    let RegistryError::Store(error) = error else { return false };
    matches!(error, StoreError::Conflict { .. } | StoreError::AlreadyExists { .. } | StoreError::NotFound { .. })
}

/// The object under the name that it is declared by.
fn named(mut object: Value, key: &Key) -> Value {
    object["metadata"]["name"] = key.name.clone().into();
    object["metadata"]["namespace"] = key.namespace.clone().into();
    object
}

/// Two manifests of one project are both stored: the planner shows whose it is.
fn options() -> WriteOptions {
    WriteOptions { by: "folder".to_owned(), allow_claimed: true, ..WriteOptions::default() }
}

fn version(stored: Option<&Object>) -> Option<u64> {
    stored?["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

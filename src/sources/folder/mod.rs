//! The watched folder of manifests (`--manifests`).
//!
//! # Flow
//! `watch` notices a change, `scan` reads all files, `read` says what they declare, `diff` holds that against the
//! store (pure), and the steps are written through the [`Registry`]. Level-triggered: a scan looks at everything, so a
//! missed event costs at most a rescan.
//!
//! # Guarantees
//! - A file that is right is in force whatever is wrong with its neighbours; of a broken one the last good version runs on.
//! - A Deployment is deleted only with `--prune`, if it came from this folder, if all of the folder could be read, and if its
//!   manifest was missing twice, a second apart.
//! - Files that did not change cause no write, unless the object was changed behind their back: then they win.

mod diff;
mod memory;
mod read;
mod tell;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::instrument;

use crate::crd::list_errors;
use crate::model::{Key, annotations};
use crate::registry::{DeleteOptions, Registry, RegistryError, WriteOptions};
use crate::sources::files::{Scan, scan};
use crate::sources::watch::Watch;
use crate::store::{Kind, Object, Part, StoreError};
use diff::{Circumstances, Diff, Step, diff, in_force, is_deleting, key_of};
use memory::Memory;
use read::{Cache, Declared, Reading, read};
use tell::Told;

/// How often everything is read although nothing was noticed.
const RESCAN: Duration = Duration::from_secs(30);

/// How often a folder that is not there is looked for, and a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// How long a manifest must be missing before it counts as gone: editors and git remove files to write them anew.
const GONE_AFTER: Duration = Duration::from_secs(1);

/// How often a write is tried when somebody else writes the same object.
const TRIES: usize = 5;

/// A folder whose manifests are kept in force.
pub struct Folder {
    root: PathBuf,
    prune: bool,
    registry: Registry,
    cache: Cache,
    told: Told,
    missing: BTreeMap<Key, Instant>,
}

impl Folder {
    /// A folder that is kept in force through `registry`; with `prune` what leaves it is deleted.
    pub fn new(root: PathBuf, prune: bool, registry: Registry) -> Self {
        let told = Told::new(registry.store().clone());
        Self { root, prune, registry, cache: Cache::default(), told, missing: BTreeMap::new() }
    }

    /// Keeps it in force until `stopping`.
    pub async fn run(mut self, stopping: CancellationToken) {
        loop {
            // Watching starts before reading, so that nothing falls in between; and anew each time, for the folder may
            // be another one by now.
            let root = self.root.clone();
            let watched = tokio::task::spawn_blocking(move || Watch::start(&root)).await;
            let next = self.sync().await;
            let (watch, blind) = watched.map_or_else(|error| (None, Some(error.to_string())), |(watch, why)| (Some(watch), why));
            // A folder that is not there has been told already.
            self.told.trouble("watch", blind.filter(|_| self.root.exists()).map(|why| self.cannot_watch(&why)));
            tokio::select! {
                () = stopping.cancelled() => return,
                () = changed(watch.as_ref()) => {}
                () = sleep(next) => {}
            }
        }
    }

    fn cannot_watch(&self, why: &str) -> String {
        format!("cannot watch {}, so changes are seen every {} s only: {why}", self.root.display(), RESCAN.as_secs())
    }

    /// Reads everything once and writes what differs. Returns when to look again at the latest.
    #[instrument(name = "folder", skip_all, fields(folder = %self.root.display()))]
    pub async fn sync(&mut self) -> Duration {
        let root = self.root.clone();
        let scanned =
            tokio::task::spawn_blocking(move || scan(&root)).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let trouble = scanned
            .as_ref()
            .err()
            .map(|error| format!("cannot read the manifests in {}, what is stored stays in force: {error}", self.root.display()));
        self.told.trouble("folder", trouble);
        let Ok(scan) = scanned else { return RETRY };
        match self.converge(&scan).await {
            Ok(next) => {
                self.told.trouble("store", None);
                next
            }
            Err(error) => {
                self.told.trouble("store", Some(format!("cannot put manifests in force: {error:#}")));
                RETRY
            }
        }
    }

    async fn converge(&mut self, scan: &Scan) -> anyhow::Result<Duration> {
        let reading = read(scan, &mut self.cache);
        let stored = self.registry.store().list(Kind::Deployment, None)?.items;
        let now = Instant::now();
        let long_gone = self.missing.iter().filter(|(_, since)| now - **since >= GONE_AFTER).map(|(key, _)| key.clone());
        let mut circumstances = Circumstances { prune: self.prune, long_gone: long_gone.collect(), ..Circumstances::default() };
        let gone = diff(&reading, &stored, &circumstances).gone;
        circumstances.spared = Memory::spared(self.registry.store(), &self.root, scan, &gone).await?;
        let Diff { steps, gone } = diff(&reading, &stored, &circumstances);

        self.missing.retain(|key, _| gone.contains(key));
        let leaving = stored.iter().any(|object| is_deleting(object) && reading.declared.contains_key(&key_of(object)));
        let waiting = gone.iter().any(|key| !circumstances.long_gone.contains(key));
        for key in gone {
            self.missing.entry(key).or_insert(now);
        }

        self.told.broken(&reading.broken, &stored).await?;
        let unpruned = circumstances.prune && !circumstances.long_gone.is_empty();
        self.told.trouble("prune", reading.unknown().filter(|_| unpruned).map(|why| format!("nothing is pruned while {why}")));
        for step in steps {
            self.take(step, &reading).await?;
        }
        Ok(match (waiting, leaving) {
            (true, _) => GONE_AFTER,
            // It is declared again while it is still being deleted: it is made anew once it is gone.
            (false, true) => RETRY,
            (false, false) => RESCAN,
        })
    }

    async fn take(&mut self, step: Step, reading: &Reading) -> anyhow::Result<()> {
        match step {
            Step::Write(key) => match reading.declared.get(&key) {
                Some(declared) => self.write(&key, declared).await,
                None => Ok(()),
            },
            Step::Mark(key, why) => Ok(self.annotate(&key, annotations::SOURCE_ERROR, &why).await?),
            Step::Orphan(key) => {
                self.annotate(&key, annotations::ORPHANED, "true").await?;
                tracing::warn!(deployment = %key, "its manifest is gone: it runs on as it is, until it is deleted or its manifest is back");
                Ok(())
            }
            Step::Prune(key) => {
                let options = DeleteOptions { pruned: true, ..DeleteOptions::default() };
                match self.registry.delete(Kind::Deployment, &key, &options).await {
                    Ok(_) => tracing::info!(deployment = %key, "its manifest is gone: it is deleted"),
                    Err(RegistryError::Store(StoreError::NotFound { .. })) => {}
                    Err(error) => return Err(error.into()),
                }
                Ok(())
            }
        }
    }

    /// Puts a manifest in force. What the registry refuses is told like any other mistake in it.
    async fn write(&mut self, key: &Key, declared: &Declared) -> anyhow::Result<()> {
        let refused = match self.replace(key, declared).await {
            Ok(changed) => {
                if changed {
                    tracing::info!(deployment = %key, source = declared.source, "manifest put in force");
                    declared.warnings.iter().for_each(|warning| tracing::warn!(deployment = %key, "{warning}"));
                }
                self.told.right(&declared.source);
                return Ok(());
            }
            Err(RegistryError::Invalid { errors, .. }) => list_errors(&declared.document.place(errors)),
            Err(RegistryError::Refused(why)) => format!("{}: {why}", declared.source),
            Err(error) => return Err(error.into()),
        };
        let stored = self.registry.store().get(Kind::Deployment, key)?;
        self.told.refused(key, stored.as_deref(), &declared.source, &refused).await?;
        match stored {
            Some(_) => Ok(self.annotate(key, annotations::SOURCE_ERROR, &refused).await?),
            None => Ok(()),
        }
    }

    /// Whether anything had to be changed.
    async fn replace(&self, key: &Key, declared: &Declared) -> Result<bool, RegistryError> {
        for _ in 0..TRIES {
            let stored = self.registry.store().get(Kind::Deployment, key)?;
            let object = in_force(declared, stored.as_deref());
            if stored.as_deref() == Some(&object) {
                return Ok(false);
            }
            let options = WriteOptions { expected: version(stored.as_ref()), ..options() };
            match self.registry.replace(Kind::Deployment, key, object, Part::Main, true, &options).await {
                // Somebody wrote in between: what he wrote is not to be lost.
                Err(RegistryError::Store(StoreError::Conflict { .. })) => {}
                Err(error) => return Err(error),
                Ok(written) => return Ok(version(Some(&written.object)) != version(stored.as_ref())),
            }
        }
        Err(RegistryError::Refused("others keep changing it; it is tried again at the next look".to_owned()))
    }

    async fn annotate(&self, key: &Key, name: &str, value: &str) -> Result<(), RegistryError> {
        let patch = json!({"metadata": {"annotations": {name: value}}});
        match self.registry.patch(Kind::Deployment, key, patch, Part::Main, &options()).await {
            Ok(_) | Err(RegistryError::Store(StoreError::NotFound { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

async fn changed(watch: Option<&Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// Two manifests of one project are both stored: the planner shows whose it is.
fn options() -> WriteOptions {
    WriteOptions { by: "folder".to_owned(), allow_claimed: true, ..WriteOptions::default() }
}

fn version(stored: Option<&Object>) -> Option<u64> {
    stored?["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

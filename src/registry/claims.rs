//! Which Deployment claimed a project first.
//!
//! An index over the stored Deployments that follows the store's changes whenever it is asked, so that a claim costs no
//! look at all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::Result;
use crate::crd::{Deployment, project_of};
use crate::model::{Key, annotations};
use crate::store::{ChangeKind, Kind, Object, Store, StoreError};

/// Order of claims: first come, first served. uids are in order of creation, too.
type Claim = (String, String, Key);

#[derive(Default)]
pub(super) struct Claims {
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    /// The revision it is the state of; 0: it was never filled.
    revision: u64,
    by_project: HashMap<String, BTreeSet<Claim>>,
    by_key: BTreeMap<Key, (String, Claim)>,
    /// Projects of Deployments that are being created.
    reserved: HashMap<String, Key>,
}

/// Keeps a project for a Deployment while that is being created.
pub(super) struct Reservation<'a> {
    claims: &'a Claims,
    project: String,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.claims.lock().reserved.remove(&self.project);
    }
}

impl Claims {
    /// The Deployment that claimed `project` first, if it is another one than `key`.
    pub fn claimant(&self, store: &Store, key: &Key, project: &str) -> Result<Option<Key>> {
        let mut index = self.lock();
        index.catch_up(store)?;
        Ok(index.first(project).filter(|first| *first != key).cloned())
    }

    /// Claims `project` for a Deployment that is about to be created, or says whose it is.
    pub fn reserve(&self, store: &Store, key: &Key, project: &str) -> Result<std::result::Result<Reservation<'_>, Key>> {
        let mut index = self.lock();
        index.catch_up(store)?;
        let holder = index.first(project).or_else(|| index.reserved.get(project));
        if let Some(holder) = holder {
            return Ok(Err(holder.clone()));
        }
        index.reserved.insert(project.to_owned(), key.clone());
        Ok(Ok(Reservation { claims: self, project: project.to_owned() }))
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn first(&self, project: &str) -> Option<&Key> {
        self.by_project.get(project)?.first().map(|(_, _, key)| key)
    }

    fn catch_up(&mut self, store: &Store) -> Result<()> {
        loop {
            match store.changes_after(Kind::Deployment, self.revision) {
                Ok(changes) if changes.is_empty() => return Ok(()),
                Ok(changes) => {
                    for change in changes {
                        self.revision = change.revision;
                        self.forget(&key_of(&change.object));
                        if change.kind != ChangeKind::Deleted {
                            self.learn(&change.object);
                        }
                    }
                }
                Err(StoreError::Expired { .. }) => self.fill(store)?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn fill(&mut self, store: &Store) -> Result<()> {
        self.by_project.clear();
        self.by_key.clear();
        let listing = store.list(Kind::Deployment, None)?;
        for object in &listing.items {
            self.learn(object);
        }
        self.revision = listing.revision;
        Ok(())
    }

    fn learn(&mut self, object: &Object) {
        let key = key_of(object);
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let claim = (text("creationTimestamp"), text("uid"), key.clone());
        let project = project(object);
        self.by_project.entry(project.clone()).or_default().insert(claim.clone());
        self.by_key.insert(key, (project, claim));
    }

    fn forget(&mut self, key: &Key) {
        let Some((project, claim)) = self.by_key.remove(key) else { return };
        if let Some(claims) = self.by_project.get_mut(&project) {
            claims.remove(&claim);
            if claims.is_empty() {
                self.by_project.remove(&project);
            }
        }
    }
}

/// Project of a Deployment.
pub fn project(object: &Value) -> String {
    // Only what the project is derived from: the whole of a large object is not parsed for it.
    let mut deployment = Deployment::default();
    let key = key_of(object);
    deployment.metadata.name = Some(key.name);
    deployment.metadata.namespace = Some(key.namespace);
    deployment.spec.project = object["spec"]["project"].as_str().map(str::to_owned);
    project_of(&deployment)
}

/// Why a project cannot be had.
pub(super) fn refusal(store: &Store, project: &str, holder: &Key) -> String {
    let object = store.get(Kind::Deployment, holder).ok().flatten();
    let source = object.as_ref().and_then(|object| object["metadata"]["annotations"][annotations::SOURCE].as_str());
    let source = source.map(|source| format!(", which comes from {source}")).unwrap_or_default();
    format!(
        "project {project:?} is claimed by Deployment {holder}{source}; give this one another spec.project, or remove that one"
    )
}

fn key_of(object: &Value) -> Key {
    let metadata = &object["metadata"];
    Key::new(metadata["namespace"].as_str().unwrap_or("default"), metadata["name"].as_str().unwrap_or_default())
}

//! The one door to the store: everything that comes in, whoever brings it, is admitted here.
//!
//! The API, the watched folder and the commands of people all write through [`Registry`]: it defaults and validates
//! (`crd::admit`), checks that a project is claimed once, and keeps the order between a stop and a start.

use serde_json::Value;

use crate::clock::SharedClock;
use crate::crd::FieldError;
use crate::model::{Key, ReplicaId};
use crate::store::{Kind, Object, Part, Store, StoreError};

/// Handle on the door; clones share it.
#[derive(Clone)]
pub struct Registry {}

/// How a write is to be made.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Who writes, for `by` of a Hold: `cli:root`, `token:admin`, `folder`, `docker`.
    pub by: String,
    /// Compute and return, do not store.
    pub dry_run: bool,
    /// Store a Deployment whose project is claimed by another one, flagged by the planner, instead of refusing it.
    pub allow_claimed: bool,
    /// The resourceVersion the object must have.
    pub expected: Option<u64>,
    /// Unknown fields are warnings instead of errors (`fieldValidation=Warn`).
    pub lenient: bool,
}

/// An admitted write.
#[derive(Debug, Clone)]
pub struct Written {
    /// The object as stored.
    pub object: Object,
    /// Things worth a word that did not stop it.
    pub warnings: Vec<String>,
}

/// How a deletion is to be made.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Leave containers running.
    pub orphan: bool,
    /// Remove volumes too.
    pub volumes: bool,
    /// Only this object, not another of the same name.
    pub expected_uid: Option<String>,
    /// Compute and return, do not delete.
    pub dry_run: bool,
    /// Its manifest was taken away, not the Deployment by hand: its Holds stay, for it may come back.
    pub pruned: bool,
}

/// Which part of a Deployment a command is about; both empty: all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Services by name.
    pub services: Vec<String>,
    /// Single replicas.
    pub replicas: Vec<ReplicaId>,
}

/// Why the door stayed shut.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The object is wrong: all that is wrong with it.
    #[error("{} {name:?} is invalid: {}", kind.singular(), crate::crd::list_errors(errors))]
    Invalid {
        /// Kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// All that is wrong.
        errors: Vec<FieldError>,
    },
    /// It is right, and it cannot be had now: the message names who or what stands in the way and what to do.
    #[error("{0}")]
    Refused(String),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Results of the door.
pub type Result<T> = std::result::Result<T, RegistryError>;

#[allow(unused_variables, clippy::unimplemented, missing_docs)]
impl Registry {
    pub fn new(store: Store, clock: SharedClock) -> Self {
        unimplemented!()
    }

    /// The store behind it, for reading.
    pub fn store(&self) -> &Store {
        unimplemented!()
    }

    /// Admits and writes a new object.
    pub async fn create(&self, kind: Kind, object: Value, options: &WriteOptions) -> Result<Written> {
        unimplemented!()
    }

    /// Admits and writes an object in place of the one of its name; one that is not there is made if `create_missing`.
    pub async fn replace(
        &self,
        kind: Kind,
        key: &Key,
        object: Value,
        part: Part,
        create_missing: bool,
        options: &WriteOptions,
    ) -> Result<Written> {
        unimplemented!()
    }

    /// Merges an RFC 7386 patch into the object and admits what comes out.
    pub async fn patch(&self, kind: Kind, key: &Key, patch: Value, part: Part, options: &WriteOptions) -> Result<Written> {
        unimplemented!()
    }

    /// Deletes. Returns the object's last state and whether it is gone. Deleting a Deployment removes its Holds once it is gone.
    pub async fn delete(&self, kind: Kind, key: &Key, options: &DeleteOptions) -> Result<(Object, bool)> {
        unimplemented!()
    }

    /// `evenkeel stop`: lays Holds `Stopped`. On disk when this returns; nothing is started afterwards.
    pub async fn stop(&self, key: &Key, scope: &Scope, reason: Option<String>, by: &str) -> Result<Vec<Object>> {
        unimplemented!()
    }

    /// `evenkeel suspend`: lays Holds `Suspended`, until a time or until lifted.
    pub async fn suspend(
        &self,
        key: &Key,
        scope: &Scope,
        until: Option<jiff::Timestamp>,
        reason: Option<String>,
        by: &str,
    ) -> Result<Vec<Object>> {
        unimplemented!()
    }

    /// `evenkeel start`: lifts all Holds of the scope (of the whole Deployment: all). Refused on `spec.state: Stopped`,
    /// naming the file and line that says so. Returns the lifted Holds.
    pub async fn start(&self, key: &Key, scope: &Scope, by: &str) -> Result<Vec<Object>> {
        unimplemented!()
    }

    /// `evenkeel resume`: lifts Holds `Suspended` of the scope.
    pub async fn resume(&self, key: &Key, scope: &Scope, by: &str) -> Result<Vec<Object>> {
        unimplemented!()
    }

    /// `evenkeel release`: lays a Hold `Suspended`, reason `Released`; the controller gives the declared policies back to Docker.
    pub async fn release(&self, key: &Key, by: &str) -> Result<Object> {
        unimplemented!()
    }

    /// `evenkeel restart`: annotates restartedAt, of the Deployment or of each service.
    pub async fn restart(&self, key: &Key, scope: &Scope) -> Result<Object> {
        unimplemented!()
    }

    /// `evenkeel retry`: annotates retriedAt, of the Deployment or of each service.
    pub async fn retry(&self, key: &Key, scope: &Scope) -> Result<Object> {
        unimplemented!()
    }

    /// Lays the Hold that an outside stop at `at` (its `since`) was understood as (`by: docker`, reason `ExternalStop`), unless one
    /// is there. None is laid while the replica is suspended (hands off: nothing is read into a stop either), where the Deployment
    /// says `externalStop: Revert`, or where there is no such Deployment. Returns whether one was laid.
    pub async fn hold_external_stop(&self, key: &Key, replica: &ReplicaId, at: jiff::Timestamp) -> Result<bool> {
        unimplemented!()
    }

    /// Lifts the outside-stop Hold of a replica, since somebody started it by hand at `at`. One laid for a later stop stays.
    /// Returns whether there was one.
    pub async fn lift_external_stop(&self, key: &Key, replica: &ReplicaId, at: jiff::Timestamp) -> Result<bool> {
        unimplemented!()
    }

    /// Asked right before any start, with the key's gate taken: `Ok(guard)` lets the start be made while the guard lives; `Err(why)`
    /// says which Hold or state forbids it. A stop that is being written waits for the guard, at most 800 ms.
    pub async fn may_start(
        &self,
        key: &Key,
        replica: &ReplicaId,
    ) -> std::result::Result<tokio::sync::OwnedMutexGuard<()>, String> {
        unimplemented!()
    }

    /// The Deployment that claimed `project` first, if it is another one than `key`.
    pub fn claimant(&self, key: &Key, project: &str) -> Result<Option<Key>> {
        unimplemented!()
    }

    /// The Holds on a Deployment, as the planner sees them.
    pub fn holds_of(&self, key: &Key) -> Result<Vec<crate::model::HoldView>> {
        unimplemented!()
    }

    /// Removes what is left of a Deployment that has gone: its Holds, its history and memory. Called by the controller once
    /// it took the finalizers off; does nothing while the object is still there.
    pub async fn gone(&self, key: &Key) -> Result<()> {
        unimplemented!()
    }
}

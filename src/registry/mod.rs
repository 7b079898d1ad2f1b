//! The one door to the store: everything that comes in, whoever brings it, is admitted here.
//!
//! The API, the watched folder and the commands of people all write through [`Registry`]: it defaults and validates
//! (`crd::admit`), checks that a project is claimed once, and keeps the order between a stop and a start.
//!
//! | file | what it is |
//! |---|---|
//! | `write` | objects coming in: create, replace, patch, delete |
//! | `commands` | what people command: stop, start, suspend, resume, release, restart, retry |
//! | `incidents` | what people say of incidents, and tests of Channels |
//! | `suggestions` | what people say to suggestions of recovery |
//! | `outside` | what was understood from Docker, and the last look before a start |
//! | `holds` | Holds read, laid and lifted |
//! | `target` | what a Hold covers, and how a wide one is cut |
//! | `claims` | which Deployment claimed a project first |
//! | `gates` | the order between a start and a stop |

mod claims;
mod commands;
mod gates;
mod holds;
mod incidents;
mod outside;
mod suggestions;
mod target;
mod write;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::claims::project;
pub use self::gates::StartPermit;
pub use self::incidents::Word;
use crate::clock::SharedClock;
use crate::crd::FieldError;
use crate::model::{Key, ReplicaId};
use crate::store::{Kind, Object, Store, StoreError};

/// Handle on the door; clones share it.
#[derive(Clone)]
pub struct Registry {
    store: Store,
    clock: SharedClock,
    gates: Arc<gates::Gates>,
    claims: Arc<claims::Claims>,
}

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
    /// The resourceVersion the object must have.
    pub expected: Option<u64>,
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

impl Registry {
    /// A door to a store.
    pub fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock, gates: Arc::default(), claims: Arc::default() }
    }

    /// The store behind it, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The Deployment that claimed `project` first, if it is another one than `key`.
    pub fn claimant(&self, key: &Key, project: &str) -> Result<Option<Key>> {
        self.claims.claimant(&self.store, key, project)
    }
}

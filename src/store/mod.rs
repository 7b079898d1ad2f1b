//! Objects, history and events on disk: a journal that is the truth for what cannot be found again, and sled as its index.
//!
//! Writes return when they are on disk. Reads are answered from memory and never wait for a write or a disk.
//!
//! | file | what it is |
//! |---|---|
//! | `writer` | the way of a write: staged, journaled, published, indexed, answered |
//! | `objects` | what the store owns of an object |
//! | `events`, `history` | what is told, what is remembered |
//! | `state` | all of it in memory |
//! | `changes` | the change feed |
//! | `journal`, `record` | the journal and its lines |
//! | `index`, `mirror` | sled, and what happens when it fails |
//! | `open` | the start: journal and sled held against each other |
//! | `lock` | one process per data folder, one operator per engine and instance |
//! | `row` | names of rows |

mod changes;
mod events;
mod history;
mod index;
mod journal;
mod lock;
mod mirror;
mod objects;
mod open;
mod record;
mod rest;
mod row;
mod state;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::stream::BoxStream;
use serde_json::Value;

pub use self::lock::{Lock, lock_engine};
pub use self::objects::{expect_uid, merged};
pub use self::rest::Rest;
pub use self::state::revision_of;
use self::writer::{Batch, Inner};
use crate::clock::SharedClock;
use crate::model::{Happening, Key};

/// Kinds that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `deployments.evenkeel.dev`.
    Deployment,
    /// `holds.evenkeel.dev`.
    Hold,
    /// `sources.evenkeel.dev`.
    Source,
    /// `channels.evenkeel.dev`.
    Channel,
    /// `alerts.evenkeel.dev`.
    Alert,
    /// `incidents.evenkeel.dev`; their status is journaled too.
    Incident,
    /// core/v1 `events`: kept one hour, not journaled.
    Event,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Deployment, Self::Hold, Self::Source, Self::Channel, Self::Alert, Self::Incident, Self::Event];

    /// `deployment`, `hold`, `source`, ..
    pub fn singular(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Hold => "hold",
            Self::Source => "source",
            Self::Channel => "channel",
            Self::Alert => "alert",
            Self::Incident => "incident",
            Self::Event => "event",
        }
    }
}

/// One stored object, whole: apiVersion, kind, metadata, spec, status.
pub type Object = Arc<Value>;

/// Handle on the store; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// What was found when the store was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Why sled was rebuilt from the journal, if it was, and where the old folder went.
    pub rebuilt: Option<String>,
    /// What was wrong with the journal, if anything, and what was done about it.
    pub repaired: Option<String>,
    /// What may have been lost with it, if anything: what it alone had.
    pub lost: Option<String>,
}

/// Objects of a kind at one revision.
#[derive(Debug, Clone)]
pub struct Listing {
    /// In order of namespace and name.
    pub items: Vec<Object>,
    /// The revision this is the state of.
    pub revision: u64,
}

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The object after it; for a deletion its last state with a new resourceVersion.
    pub object: Object,
    /// The store's revision after it.
    pub revision: u64,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is different.
    Modified,
    /// It is gone.
    Deleted,
}

/// What a write replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything but the status.
    Main,
    /// The status only.
    Status,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Create: it is there already.
    #[error("{kind:?} {key} already exists")]
    AlreadyExists {
        /// Kind.
        kind: Kind,
        /// Name.
        key: Key,
    },
    /// It is not there.
    #[error("{kind:?} {key} not found")]
    NotFound {
        /// Kind.
        kind: Kind,
        /// Name.
        key: Key,
    },
    /// It was changed since the version the write was made from.
    #[error("{kind:?} {key} has been changed: the write was made from version {wanted}, it is at {found}")]
    Conflict {
        /// Kind.
        kind: Kind,
        /// Name.
        key: Key,
        /// resourceVersion of the write.
        wanted: String,
        /// resourceVersion in the store.
        found: u64,
    },
    /// The revision is older than the window of kept changes.
    #[error("revision {wanted} is too old, the oldest kept is {oldest}")]
    Expired {
        /// Asked for.
        wanted: u64,
        /// Oldest kept.
        oldest: u64,
    },
    /// The data folder is used by another process.
    #[error("{0}")]
    Locked(String),
    /// The disk said no. Nothing was acknowledged.
    #[error("{attempt}{}", advice(source))]
    Io {
        /// What was attempted, on which path.
        attempt: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A stored record cannot be read.
    #[error("{0}")]
    Corrupt(String),
}

/// What to do about a disk that says no, in brackets behind the attempt.
fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => " (make space on its disk, then try again)",
        ReadOnlyFilesystem => " (its disk is read-only: mount it writable, or take another folder with --data-dir)",
        PermissionDenied => " (let the user evenkeel runs as write there, or take another folder with --data-dir)",
        _ => "",
    }
}

/// Results of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

impl Store {
    /// Opens the store of a data folder, which is made if it is missing, and locks the folder. Blocks while it reads.
    pub fn open(dir: &Path, clock: SharedClock) -> Result<(Self, Opened)> {
        let (inner, opened) = open::open(dir, clock)?;
        Ok((Self { inner: Arc::new(inner) }, opened))
    }

    /// One object.
    pub fn get(&self, kind: Kind, key: &Key) -> Result<Option<Object>> {
        let object = read(&self.inner.state).object(kind, key).map(|versioned| versioned.object.clone());
        Ok(object.filter(|object| self.is_shown(kind, object)))
    }

    /// All objects of a kind, of one namespace or of all.
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Listing> {
        let state = read(&self.inner.state);
        let items = state.objects(kind, namespace).map(|(_, object)| object.clone());
        Ok(Listing { items: items.filter(|object| self.is_shown(kind, object)).collect(), revision: state.revision })
    }

    /// Writes a new object: sets uid, creationTimestamp, generation 1, resourceVersion.
    pub async fn create(&self, kind: Kind, object: Value) -> Result<Object> {
        self.write(move |batch| objects::create(batch, kind, object)).await
    }

    /// Reads, changes and writes one object with no other write in between; `change` gets a copy and may refuse.
    /// `expected`: the resourceVersion it must have. A changed spec bumps the generation. A write that changes nothing
    /// returns the old object, with no new version and no change in the feed. uid, creationTimestamp and deletionTimestamp
    /// cannot be changed; the other part's fields are put back. When a deleted object loses its last finalizer it goes.
    pub async fn modify<E: From<StoreError> + Send + 'static>(
        &self,
        kind: Kind,
        key: &Key,
        part: Part,
        expected: Option<u64>,
        change: impl FnOnce(&mut Value) -> std::result::Result<(), E> + Send + 'static,
    ) -> std::result::Result<Object, E> {
        let key = key.clone();
        self.write(move |batch| objects::modify(batch, kind, &key, part, expected, change)).await
    }

    /// Deletes an object: at once if it has no finalizers, else by setting its deletionTimestamp. Returns its last state,
    /// and whether it is gone.
    pub async fn delete(&self, kind: Kind, key: &Key, expected_uid: Option<String>) -> Result<(Object, bool)> {
        let key = key.clone();
        self.write(move |batch| objects::delete(batch, kind, &key, |object| objects::expect_uid(kind, object, expected_uid)))
            .await
    }

    /// The same, with no other write in between: `change` gets a copy of the object first, and may change or refuse.
    pub async fn delete_as<E: From<StoreError> + Send + 'static>(
        &self,
        kind: Kind,
        key: &Key,
        change: impl FnOnce(&mut Value) -> std::result::Result<(), E> + Send + 'static,
    ) -> std::result::Result<(Object, bool), E> {
        let key = key.clone();
        self.write(move |batch| objects::delete(batch, kind, &key, change)).await
    }

    /// The change feed of a kind: what came after revision `since` (else from now on), then live. A reader that falls
    /// behind the window of 10,000 changes (or 16 MiB of Deployments, 2 MiB of any other kind) gets [`StoreError::Expired`]
    /// as its last item, and one that asks for a revision that was not handed out yet gets it at once. Never blocks a writer.
    pub fn changes(&self, kind: Kind, since: Option<u64>) -> Result<BoxStream<'static, Result<Change>>> {
        let revision = self.revision();
        let since = since.unwrap_or(revision);
        if since > revision {
            return Err(StoreError::Expired { wanted: since, oldest: revision });
        }
        self.inner.feed.follow(kind, since)
    }

    /// The next changes of a kind after revision `since`, oldest first, without waiting; none: it is up to date.
    pub fn changes_after(&self, kind: Kind, since: u64) -> Result<Vec<Change>> {
        self.inner.feed.after(kind, since)
    }

    /// The newest revision handed out.
    pub fn revision(&self) -> u64 {
        read(&self.inner.state).revision
    }

    /// Writes a core/v1 Event. One that repeats an earlier one (same object, reason, message) within an hour bumps its
    /// count and lastTimestamp. Trace ids are kept in the annotation `evenkeel.dev/trace-id`.
    pub async fn tell(&self, happening: Happening) -> Result<()> {
        self.write(move |batch| events::tell(batch, &happening)).await
    }

    /// Runs a write to its end. It is made even if the caller stops waiting for it.
    async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Batch<'_>) -> std::result::Result<T, E> + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let inner = self.inner.clone();
        match tokio::task::spawn_blocking(move || inner.submit(work)).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => {
                    let source = std::io::ErrorKind::Interrupted.into();
                    Err(StoreError::Io { attempt: "write while the process is shutting down".into(), source }.into())
                }
            },
        }
    }

    fn is_shown(&self, kind: Kind, object: &Value) -> bool {
        kind != Kind::Event || events::is_current(object, self.inner.clock.now())
    }
}

/// A lock whose holder panicked is still good: what it guards is only changed in whole steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;

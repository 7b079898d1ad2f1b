//! Objects, history and events on disk: a journal that is the truth for what cannot be found again, and sled as its index.
//!
//! Writes return when they are on disk. Reads never block on writes.

use std::path::Path;
use std::sync::Arc;

use futures::stream::BoxStream;
use serde_json::Value;

use crate::clock::SharedClock;
use crate::model::{End, EngineRun, EventCursor, Happening, History, Key, Memory};

/// Kinds that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `deployments.evenkeel.dev`.
    Deployment,
    /// `holds.evenkeel.dev`.
    Hold,
    /// core/v1 `events`: kept one hour, not journaled.
    Event,
}

impl Kind {
    /// `deployment`, `hold`, `event`.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Hold => "hold",
            Self::Event => "event",
        }
    }
}

/// One stored object, whole: apiVersion, kind, metadata, spec, status.
pub type Object = Arc<Value>;

/// Handle on the store; clones share it.
#[derive(Clone)]
pub struct Store {}

/// What was found when the store was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Why sled was rebuilt from the journal, if it was, and where the old folder went.
    pub rebuilt: Option<String>,
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
    #[error("{attempt}")]
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

/// Results of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

#[allow(unused_variables, clippy::unimplemented, missing_docs)]
impl Store {
    /// Opens the store of a data folder, which is made if it is missing, and locks the folder.
    pub fn open(dir: &Path, clock: SharedClock) -> Result<(Self, Opened)> {
        unimplemented!()
    }

    /// One object.
    pub fn get(&self, kind: Kind, key: &Key) -> Result<Option<Object>> {
        unimplemented!()
    }

    /// All objects of a kind, of one namespace or of all.
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Listing> {
        unimplemented!()
    }

    /// Writes a new object: sets uid, creationTimestamp, generation 1, resourceVersion.
    pub async fn create(&self, kind: Kind, object: Value) -> Result<Object> {
        unimplemented!()
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
        unimplemented!()
    }

    /// Deletes an object: at once if it has no finalizers, else by setting its deletionTimestamp. Returns its last state,
    /// and whether it is gone.
    pub async fn delete(&self, kind: Kind, key: &Key, expected_uid: Option<String>) -> Result<(Object, bool)> {
        unimplemented!()
    }

    /// The change feed of a kind: what came after revision `since` (else from now on), then live. A reader that falls
    /// behind the window of 10,000 changes gets [`StoreError::Expired`] as its last item. Never blocks a writer.
    pub fn changes(&self, kind: Kind, since: Option<u64>) -> Result<BoxStream<'static, Result<Change>>> {
        unimplemented!()
    }

    /// The newest revision handed out.
    pub fn revision(&self) -> u64 {
        unimplemented!()
    }

    /// The record of a Deployment; an empty one if there is none.
    pub fn history(&self, key: &Key) -> Result<History> {
        unimplemented!()
    }

    /// Writes it, unless it is what is stored already.
    pub async fn put_history(&self, key: &Key, history: History) -> Result<()> {
        unimplemented!()
    }

    /// What must never be lost of a Deployment (journaled).
    pub fn memory(&self, key: &Key) -> Result<Memory> {
        unimplemented!()
    }

    /// Writes it to the journal, unless it is what is stored already.
    pub async fn put_memory(&self, key: &Key, memory: Memory) -> Result<()> {
        unimplemented!()
    }

    /// Forgets history and memory of a Deployment that is gone.
    pub async fn forget(&self, key: &Key) -> Result<()> {
        unimplemented!()
    }

    /// All recorded ends of containers, by container id.
    pub fn ends(&self) -> Result<Vec<(String, End)>> {
        unimplemented!()
    }

    /// Writes (`Some`) or forgets (`None`) the end of a container's run. Survives a SIGKILL from then on.
    pub async fn put_end(&self, container_id: &str, end: Option<End>) -> Result<()> {
        unimplemented!()
    }

    /// The last engine event that needs no second look, and the engine run it was seen on.
    pub fn engine_seen(&self) -> Result<(Option<EventCursor>, Option<EngineRun>)> {
        unimplemented!()
    }

    /// Writes it. Not flushed: losing the last ones costs a replay.
    pub async fn put_engine_seen(&self, cursor: Option<EventCursor>, run: EngineRun) -> Result<()> {
        unimplemented!()
    }

    /// Writes a core/v1 Event. One that repeats an earlier one (same object, reason, message) within an hour bumps its
    /// count and lastTimestamp. Trace ids are kept in the annotation `evenkeel.dev/trace-id`.
    pub async fn tell(&self, happening: Happening) -> Result<()> {
        unimplemented!()
    }

    /// A text that names what is stored under a small key of its own (journaled), e.g. the boot episode.
    pub fn note(&self, name: &str) -> Result<Option<Value>> {
        unimplemented!()
    }

    /// Writes (`Some`) or forgets (`None`) it.
    pub async fn put_note(&self, name: &str, value: Option<Value>) -> Result<()> {
        unimplemented!()
    }
}

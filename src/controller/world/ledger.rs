//! What the world writes down, and what it reads again at its next start.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::controller::intent::{Owner, Signals};
use crate::model::{End, EngineRun, EventCursor, Key, ReplicaId};
use crate::registry::{self, Registry};
use crate::store::{self, Lock, Store, StoreError};

/// Signals of running containers, by container id.
pub(super) type Signalled = BTreeMap<String, Signals>;

/// Where [`Signalled`] is kept.
const SIGNALS: &str = "intent/signals";
/// Where [`Baseline`] is kept.
const BASELINE: &str = "intent/baseline";

/// Where the reading of a daemon's events began: survives a SIGKILL from the moment the engine was first seen as a whole, as how
/// far they have been read since does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Baseline {
    /// The last event before.
    pub(super) cursor: Option<EventCursor>,
    /// The run of the daemon.
    pub(super) run: EngineRun,
    /// The moment, in the daemon's nanoseconds, before which its events were not for us.
    pub(super) floor: i64,
    /// When that run was met: what ended before went down with an older one, also what could not be looked at then.
    #[serde(default)]
    pub(super) met_at: Option<Timestamp>,
}

/// What was written down before.
#[derive(Debug, Default, Clone)]
pub(super) struct Recorded {
    pub(super) ends: Vec<(String, End)>,
    pub(super) signals: Signalled,
    pub(super) cursor: Option<EventCursor>,
    pub(super) run: Option<EngineRun>,
    pub(super) floor: i64,
    pub(super) met_at: Option<Timestamp>,
}

/// The door to the disk, as far as the world needs it. A seam, so that its tests can let writes fail.
#[async_trait]
pub(super) trait Ledger: Send + Sync + 'static {
    fn recorded(&self) -> store::Result<Recorded>;
    /// The Deployment a Compose project belongs to.
    fn claimant(&self, project: &str) -> Option<Key>;
    /// Whether a container of ours stood for this replica before. Only then does one that `docker compose` made stand in for it:
    /// who takes down a project of his own stops nothing of ours.
    fn stood_there(&self, _key: &Key, _replica: &ReplicaId) -> bool {
        true
    }
    /// Makes this operator the only one of its instance that works on the engine, for as long as the lock lives.
    fn lock_engine(&self, _engine_id: &str, _instance: &str) -> store::Result<Option<Lock>> {
        Ok(None)
    }
    async fn put_end(&self, container_id: &str, end: Option<End>) -> store::Result<()>;
    async fn put_signals(&self, signals: &Signalled) -> store::Result<()>;
    async fn put_seen(&self, cursor: Option<EventCursor>, run: EngineRun) -> store::Result<()>;
    async fn put_baseline(&self, baseline: &Baseline) -> store::Result<()>;
    async fn hold(&self, owner: &Owner, at: Timestamp) -> registry::Result<()>;
    async fn lift(&self, owner: &Owner, at: Timestamp) -> registry::Result<()>;
}

#[async_trait]
impl Ledger for Registry {
    fn recorded(&self) -> store::Result<Recorded> {
        let store = self.store();
        let (cursor, run) = store.engine_seen()?;
        let signals = note(store, SIGNALS)?.unwrap_or_default();
        Ok(Recorded { ends: store.ends()?, signals, ..resume(note(store, BASELINE)?, cursor, run) })
    }

    fn claimant(&self, project: &str) -> Option<Key> {
        // Nobody has an empty name: whoever claims the project is another one.
        Self::claimant(self, &Key::new("", ""), project).ok().flatten()
    }

    fn stood_there(&self, key: &Key, replica: &ReplicaId) -> bool {
        let ran = self.store().history(key).is_ok_and(|history| history.replica(replica).was_ours);
        ran || self.store().memory(key).is_ok_and(|memory| memory.adopted.contains_key(&replica.to_string()))
    }

    fn lock_engine(&self, engine_id: &str, instance: &str) -> store::Result<Option<Lock>> {
        store::lock_engine(engine_id, instance).map(Some)
    }

    async fn put_end(&self, container_id: &str, end: Option<End>) -> store::Result<()> {
        self.store().put_end(container_id, end).await
    }

    async fn put_signals(&self, signals: &Signalled) -> store::Result<()> {
        let note = match signals.is_empty() {
            true => None,
            false => Some(serde_json::to_value(signals).map_err(|error| StoreError::Corrupt(error.to_string()))?),
        };
        self.store().put_note(SIGNALS, note).await
    }

    async fn put_seen(&self, cursor: Option<EventCursor>, run: EngineRun) -> store::Result<()> {
        self.store().put_engine_seen(cursor, run).await
    }

    async fn put_baseline(&self, baseline: &Baseline) -> store::Result<()> {
        let note = serde_json::to_value(baseline).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.store().put_note(BASELINE, Some(note)).await
    }

    async fn hold(&self, owner: &Owner, at: Timestamp) -> registry::Result<()> {
        self.hold_external_stop(&owner.key, &owner.replica, at).await.map(drop)
    }

    async fn lift(&self, owner: &Owner, at: Timestamp) -> registry::Result<()> {
        self.lift_external_stop(&owner.key, &owner.replica, at).await.map(drop)
    }
}

/// How far the events have been read, of which the last second may be lost, held against the baseline, which never is.
pub(super) fn resume(baseline: Option<Baseline>, cursor: Option<EventCursor>, run: Option<EngineRun>) -> Recorded {
    let Some(baseline) = baseline else { return Recorded { cursor, run, ..Recorded::default() } };
    let is_later = |seen: &EventCursor| baseline.cursor.as_ref().is_none_or(|base| base.time_nanos <= seen.time_nanos);
    let of_this_run = cursor.filter(|seen| run.as_ref() == Some(&baseline.run) && is_later(seen));
    Recorded {
        cursor: of_this_run.or(baseline.cursor),
        run: Some(baseline.run),
        floor: baseline.floor,
        met_at: baseline.met_at,
        ..Recorded::default()
    }
}

fn note<T: DeserializeOwned>(store: &Store, name: &str) -> store::Result<Option<T>> {
    let read = |value| serde_json::from_value(value);
    store.note(name)?.map(read).transpose().map_err(|error| StoreError::Corrupt(format!("read the note {name:?}: {error}")))
}

//! All Sources: each is kept in force by a task of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use super::folder::key_of;
use super::keeper::{Keeper, Signals, Surroundings};
use crate::model::{Key, annotations};
use crate::store::{self, Change, ChangeKind, Kind};

/// Pause when the store cannot be read, or a keeper failed.
const RETRY: Duration = Duration::from_secs(1);

/// How long keepers may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps all Sources in force.
pub struct Keepers {
    surroundings: Surroundings,
    kept: HashMap<Key, Kept>,
}

struct Kept {
    uid: Value,
    /// Of the specification; a deletion is a new one too.
    generation: Value,
    /// When somebody asked for a look.
    asked: Value,
    signals: Arc<Signals>,
    task: AbortOnDropHandle<()>,
}

impl Keepers {
    /// Does nothing until it is run.
    pub fn new(surroundings: Surroundings) -> Self {
        Self { surroundings, kept: HashMap::new() }
    }

    /// Keeps them in force until `stopping`.
    pub async fn run(mut self, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            let followed = self.follow(&stopping).await;
            if let Err(error) = followed {
                warn!(%error, "the Sources cannot be followed; trying again");
                sleep(RETRY).await;
            }
        }
        let ending = self.kept.drain().map(|(_, kept)| kept.task);
        let _ = tokio::time::timeout(GRACE, futures::future::join_all(ending)).await;
    }

    /// Lists them, then follows their changes; an error where these can be followed no longer.
    async fn follow(&mut self, stopping: &CancellationToken) -> store::Result<()> {
        let store = self.surroundings.registry().store().clone();
        let mut changes: BoxStream<'static, store::Result<Change>> = store.changes(Kind::Source, None)?;
        let all = store.list(Kind::Source, None)?.items;
        self.kept.retain(|key, _| all.iter().any(|source| key_of(source) == *key));
        for source in &all {
            self.look(source, stopping);
        }
        loop {
            let change = tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                change = changes.next() => change,
            };
            match change.transpose()? {
                None => {
                    sleep(RETRY).await;
                    return Ok(());
                }
                Some(Change { kind: ChangeKind::Deleted, object, .. }) => drop(self.kept.remove(&key_of(&object))),
                Some(Change { object, .. }) => self.look(&object, stopping),
            }
        }
    }

    /// Starts the keeper of a Source, or calls it if it has something to see.
    fn look(&mut self, source: &Value, stopping: &CancellationToken) {
        let (key, metadata) = (key_of(source), &source["metadata"]);
        let (uid, generation) = (metadata["uid"].clone(), metadata["generation"].clone());
        let asked = metadata["annotations"][annotations::REQUESTED_AT].clone();
        match self.kept.get_mut(&key).filter(|kept| kept.uid == uid) {
            Some(kept) => {
                if std::mem::replace(&mut kept.generation, generation.clone()) != generation {
                    kept.signals.changed.notify_one();
                }
                if std::mem::replace(&mut kept.asked, asked.clone()) != asked {
                    kept.signals.wake.notify_one();
                }
            }
            None => {
                let signals = Arc::<Signals>::default();
                let keeping = keep(key.clone(), self.surroundings.clone(), Arc::clone(&signals), stopping.clone());
                let task = AbortOnDropHandle::new(tokio::spawn(keeping));
                self.kept.insert(key, Kept { uid, generation, asked, signals, task });
            }
        }
    }
}

/// Keeps one Source in force, whatever happens to its keeper.
async fn keep(key: Key, surroundings: Surroundings, signals: Arc<Signals>, stopping: CancellationToken) {
    loop {
        let keeper = Keeper::new(key.clone(), surroundings.clone()).heeding(Arc::clone(&signals));
        match AbortOnDropHandle::new(tokio::spawn(keeper.run(stopping.clone()))).await {
            Err(failure) if failure.is_panic() => {
                error!(source = %key, %failure, "the keeper of this Source failed, and is started anew");
                sleep(RETRY).await;
            }
            _ => return,
        }
    }
}

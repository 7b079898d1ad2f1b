//! All Sources: each is kept in force by a task of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::folder::key_of;
use super::keeper::{Keeper, Surroundings, calls_for_a_look};
use crate::model::Key;
use crate::store::{self, Change, ChangeKind, Kind};

/// Pause when the store cannot be read.
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
    seen: (Value, Value, bool),
    wake: Arc<Notify>,
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
        let store = self.surroundings.registry.store().clone();
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

    /// Starts the keeper of a Source, or wakes it if it has something to see.
    fn look(&mut self, source: &Value, stopping: &CancellationToken) {
        let (key, uid, seen) = (key_of(source), source["metadata"]["uid"].clone(), calls_for_a_look(source));
        match self.kept.get_mut(&key).filter(|kept| kept.uid == uid) {
            Some(kept) if kept.seen == seen => {}
            Some(kept) => {
                kept.seen = seen;
                kept.wake.notify_one();
            }
            None => {
                let keeper = Keeper::new(key.clone(), self.surroundings.clone());
                let wake = keeper.waker();
                let task = AbortOnDropHandle::new(tokio::spawn(keeper.run(stopping.clone())));
                self.kept.insert(key, Kept { uid, seen, wake, task });
            }
        }
    }
}

//! All Channels: each has a task of its own, so that none waits for another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use super::outbox::Outbox;
use super::postman::Postman;
use super::send::Transport;
use crate::clock::SharedClock;
use crate::model::{Key, annotations};
use crate::store::{self, Change, ChangeKind, Kind, Store};

/// Pause when the store cannot be read, or a postman failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long postmen may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Delivers what is in the outbox.
pub struct Postmen {
    store: Store,
    outbox: Outbox,
    clock: SharedClock,
    transport: Arc<dyn Transport>,
    at_work: HashMap<Key, AtWork>,
}

struct AtWork {
    uid: Value,
    /// Of the specification.
    generation: Value,
    /// When a test was asked for.
    tested: Value,
    changed: Arc<Notify>,
    task: AbortOnDropHandle<()>,
}

impl Postmen {
    /// Does nothing until it is run.
    pub fn new(store: Store, outbox: Outbox, clock: SharedClock, transport: Arc<dyn Transport>) -> Self {
        Self { store, outbox, clock, transport, at_work: HashMap::new() }
    }

    /// Delivers until `stopping`. An attempt under way is cut off then, and made again at the next start; what came of one is written
    /// down.
    pub async fn run(mut self, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            self.outbox.tidy().await;
            if let Err(error) = self.follow(&stopping).await {
                warn!(%error, "the Channels cannot be followed; trying again");
                sleep(RETRY).await;
            }
        }
        let ending = self.at_work.drain().map(|(_, at_work)| at_work.task);
        let _ = tokio::time::timeout(GRACE, futures::future::join_all(ending)).await;
    }

    async fn follow(&mut self, stopping: &CancellationToken) -> store::Result<()> {
        let mut changes = self.store.changes(Kind::Channel, None)?;
        let all = self.store.list(Kind::Channel, None)?.items;
        let gone: Vec<Key> =
            self.at_work.keys().filter(|key| !all.iter().any(|channel| key_of(channel) == **key)).cloned().collect();
        for key in gone {
            self.dismiss(&key).await;
        }
        for channel in &all {
            self.look(channel, stopping);
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
                Some(Change { kind: ChangeKind::Deleted, object, .. }) => self.dismiss(&key_of(&object)).await,
                Some(Change { object, .. }) => self.look(&object, stopping),
            }
        }
    }

    /// A Channel that is gone takes with it what waits for it.
    async fn dismiss(&mut self, key: &Key) {
        self.at_work.remove(key);
        self.outbox.forget(key).await;
    }

    fn look(&mut self, channel: &Value, stopping: &CancellationToken) {
        let (key, metadata) = (key_of(channel), &channel["metadata"]);
        let (uid, generation) = (metadata["uid"].clone(), metadata["generation"].clone());
        let tested = metadata["annotations"][annotations::TESTED_AT].clone();
        if let Some(known) = self.at_work.get_mut(&key).filter(|known| known.uid == uid) {
            let other = std::mem::replace(&mut known.generation, generation.clone()) != generation;
            if std::mem::replace(&mut known.tested, tested.clone()) != tested || other {
                known.changed.notify_one();
            }
            return;
        }
        let changed = Arc::<Notify>::default();
        let postman = Postman {
            key: key.clone(),
            store: self.store.clone(),
            outbox: self.outbox.clone(),
            clock: Arc::clone(&self.clock),
            transport: Arc::clone(&self.transport),
            changed: Arc::clone(&changed),
        };
        let work = keep(key.clone(), postman, stopping.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(work));
        self.at_work.insert(key.clone(), AtWork { uid, generation, tested, changed, task });
    }
}

/// Lets a postman work; one that panicked is replaced.
async fn keep(key: Key, postman: Postman, stopping: CancellationToken) {
    loop {
        match AbortOnDropHandle::new(tokio::spawn(postman.clone().run(stopping.clone()))).await {
            Err(failure) if failure.is_panic() => {
                error!(channel = %key, %failure, "the delivery of this Channel failed, and is started anew");
                sleep(RETRY).await;
            }
            _ => return,
        }
    }
}

fn key_of(object: &Value) -> Key {
    let metadata = &object["metadata"];
    Key::new(metadata["namespace"].as_str().unwrap_or("default"), metadata["name"].as_str().unwrap_or_default())
}

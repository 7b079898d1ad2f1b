//! One summary after a restart of the daemon or the host: what was brought back, and what was not.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::SharedClock;
use crate::model::{About, ActionResult, Cause, Desired, Happening, Key, Op, Outcome, Plan, Reason, Severity, WaitReason};
use crate::store::{Kind, Store};

use super::Controller;
use super::world::WorldChange;

/// How long a summary waits for the last Deployment to be ready.
const PATIENCE: Duration = Duration::from_secs(300);

/// The store's name for the episode, so that it survives a restart of the operator.
const NOTE: &str = "boot-episode";

/// What came back after a restart.
pub(super) struct Boot {
    store: Store,
    clock: SharedClock,
    episode: Mutex<Option<Episode>>,
    /// Brought back before the restart itself was heard of.
    early: Mutex<BTreeSet<Key>>,
    changed: Notify,
}

/// One restart and what has come of it so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Episode {
    /// The host was booted, too.
    host: bool,
    /// When it was noticed.
    at: Timestamp,
    /// Not yet seen settled since then.
    pending: BTreeSet<Key>,
    /// Something of it was started because of the restart.
    recovered: BTreeSet<Key>,
    /// The summary was told.
    told: bool,
}

impl Boot {
    pub fn new(store: Store, clock: SharedClock) -> Self {
        let stored = store.note(NOTE).ok().flatten().and_then(|value| serde_json::from_value(value).ok());
        Self { store, clock, episode: Mutex::new(stored), early: Mutex::default(), changed: Notify::new() }
    }

    /// When the host was booted last, as far as it was noticed: failures before it are forgiven.
    pub fn host_booted_at(&self) -> Option<Timestamp> {
        self.lock().as_ref().filter(|episode| episode.host).map(|episode| episode.at)
    }

    /// The daemon, or the host too, was restarted.
    async fn begin(&self, host: bool) {
        let keys = match self.store.list(Kind::Deployment, None) {
            Ok(listing) => listing.items.iter().filter_map(|object| key_of(object)).collect(),
            Err(error) => return warn!(%error, "listing deployments after a restart of the engine failed"),
        };
        let recovered = std::mem::take(&mut *self.early.lock().unwrap_or_else(PoisonError::into_inner));
        let episode = Episode { host, at: self.clock.now(), pending: keys, recovered, told: false };
        info!(host, deployments = episode.pending.len(), "the engine was restarted; bringing back what should run");
        *self.lock() = Some(episode);
        self.save().await;
        self.changed.notify_one();
    }

    /// What a turn saw and did.
    pub fn report(&self, desired: &Desired, plan: &Plan, outcomes: &[Outcome]) {
        let brought_back = |outcome: &Outcome| {
            matches!((&outcome.action.op, &outcome.action.cause), (Op::Start(_), Cause::EngineRestarted | Cause::IntentUnknown))
                && matches!(outcome.result, ActionResult::Done { .. })
        };
        let back = outcomes.iter().any(brought_back);
        let mut guard = self.lock();
        let Some(episode) = guard.as_mut().filter(|episode| !episode.told) else {
            if back {
                self.early.lock().unwrap_or_else(PoisonError::into_inner).insert(desired.key.clone());
            }
            return;
        };
        let mut changed = back && episode.recovered.insert(desired.key.clone());
        if plan.actions.is_empty() && plan.waiting.iter().all(|waiting| is_settled(&waiting.reason)) {
            changed |= episode.pending.remove(&desired.key);
        }
        drop(guard);
        if changed {
            self.changed.notify_one();
        }
    }

    /// A Deployment that is gone is waited for no longer.
    pub fn forget(&self, key: &Key) {
        if let Some(episode) = self.lock().as_mut() {
            episode.pending.remove(key);
            episode.recovered.remove(key);
        }
        self.changed.notify_one();
    }

    async fn save(&self) {
        let value = self.lock().as_ref().and_then(|episode| serde_json::to_value(episode).ok());
        if let Err(error) = self.store.put_note(NOTE, value).await {
            warn!(%error, "writing down the restart of the engine failed");
        }
    }

    /// Tells the summary, once all is settled or patience ends. Returns how long to wait otherwise.
    async fn tell_when_done(&self) -> Option<Duration> {
        let episode = self.lock().clone().filter(|episode| !episode.told)?;
        let waited = Duration::try_from(self.clock.now().duration_since(episode.at)).unwrap_or_default();
        if !episode.pending.is_empty() && waited < PATIENCE {
            return Some(PATIENCE - waited);
        }
        if let Some(happening) = summary(&episode) {
            info!("{}", happening.message);
            if let Err(error) = self.store.tell(happening).await {
                warn!(%error, "writing the summary of a restart failed");
            }
        }
        if let Some(current) = self.lock().as_mut().filter(|current| current.at == episode.at) {
            current.told = true;
        }
        self.save().await;
        None
    }

    fn lock(&self) -> MutexGuard<'_, Option<Episode>> {
        self.episode.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a Deployment waits for without being on its way: the summary does not wait with it.
fn is_settled(reason: &WaitReason) -> bool {
    matches!(reason, WaitReason::Completed | WaitReason::Stopped { .. } | WaitReason::Suspended { .. } | WaitReason::Paused)
        || matches!(
            reason,
            WaitReason::Refreshing | WaitReason::NotRefreshed { .. } | WaitReason::RegistryBusy { needed: false, .. }
        )
        || matches!(reason, WaitReason::BackOffExhausted { .. } | WaitReason::JobFailed { .. } | WaitReason::NotOwned { .. })
}

/// The summary; `None` if nothing had to be brought back.
fn summary(episode: &Episode) -> Option<Happening> {
    if episode.recovered.is_empty() && episode.pending.is_empty() {
        return None;
    }
    let what = if episode.host { "host" } else { "daemon" };
    let back: Vec<&Key> = episode.recovered.difference(&episode.pending).collect();
    let plural = if back.len() == 1 { "" } else { "s" };
    let mut message = format!("recovered {} deployment{plural} after {what} restart", back.len());
    if !back.is_empty() {
        message.push_str(&format!(": {}", names(&back)));
    }
    let missing: Vec<&Key> = episode.pending.iter().collect();
    if !missing.is_empty() {
        message.push_str(&format!("; not back yet: {}", names(&missing)));
    }
    let severity = if missing.is_empty() { Severity::Normal } else { Severity::Warning };
    Some(Happening { about: About::Host, reason: Reason::Recovered, severity, message, trace_id: crate::telemetry::trace_id() })
}

fn names(keys: &[&Key]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn key_of(object: &serde_json::Value) -> Option<Key> {
    let metadata = object.get("metadata")?;
    Some(Key::new(metadata.get("namespace")?.as_str()?, metadata.get("name")?.as_str()?))
}

impl Controller {
    /// Follows restarts of the engine and tells one summary after each.
    pub(super) async fn summarise_restarts(self: Arc<Self>, shutdown: CancellationToken) {
        let mut changes = self.world.changes();
        loop {
            let wait = self.boot.tell_when_done().await;
            tokio::select! {
                () = shutdown.cancelled() => return self.boot.save().await,
                () = self.boot.changed.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or(PATIENCE)) => {}
                change = changes.recv() => match change {
                    Ok(WorldChange::EngineRestarted { host }) => self.boot.begin(host).await,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

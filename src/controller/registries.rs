//! What is known of image registries, over all Deployments: pulls under way, and who refuses to be asked so often.
//!
//! The planner decides by a view of it. A refusal is written down as a note of the store, so that it counts after a restart too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tracing::warn;

use crate::clock::SharedClock;
use crate::model::{EngineFailure, FailureKind, Key, Plan, RateLimit, RegistryView, WaitReason, limit_pause, registry_of};
use crate::store::Store;

use super::plan::spread;

/// The store's name for the refusals.
const NOTE: &str = "registries";

/// A refusal is forgotten so long after it is over, if nothing was pulled from there since.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The least pause after a refusal: some registries ask for microseconds, and mean a line of callers.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// The registries. Clones share them.
#[derive(Clone)]
pub(super) struct Registries {
    store: Store,
    clock: SharedClock,
    state: Arc<Mutex<State>>,
    /// Whose turn comes when a pull is over.
    wake: broadcast::Sender<Key>,
}

#[derive(Default)]
struct State {
    pulling: BTreeMap<String, usize>,
    limits: BTreeMap<String, RateLimit>,
    /// Deployments that wait for a pull of others to end, by registry.
    waiting: BTreeMap<String, BTreeSet<Key>>,
}

/// One pull under way; it counts until this is dropped.
pub(super) struct Slot {
    registries: Registries,
    registry: String,
}

impl Registries {
    pub fn new(store: Store, clock: SharedClock, wake: broadcast::Sender<Key>) -> Self {
        let limits = store.note(NOTE).ok().flatten().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
        let state = State { limits, ..State::default() };
        Self { store, clock, state: Arc::new(Mutex::new(state)), wake }
    }

    /// All that is known, for a plan.
    pub fn view(&self) -> BTreeMap<String, RegistryView> {
        let state = self.lock();
        let names: BTreeSet<&String> = state.pulling.keys().chain(state.limits.keys()).collect();
        names.into_iter().map(|name| (name.clone(), state.view(name))).collect()
    }

    /// Takes a place for a pull; `None`: all are taken, since the plan was made.
    pub fn begin(&self, image: &str) -> Option<Slot> {
        let registry = registry_of(image).to_owned();
        let mut state = self.lock();
        let view = state.view(&registry);
        if !view.has_room(0) || view.limited_until(self.clock.now()).is_some() {
            return None;
        }
        *state.pulling.entry(registry.clone()).or_default() += 1;
        Some(Slot { registries: self.clone(), registry })
    }

    /// Remembers who waits for a place, to wake them when there is one.
    pub fn note_waiting(&self, plan: &Plan) {
        let busy = plan.waiting.iter().filter_map(|waiting| match &waiting.reason {
            WaitReason::RegistryBusy { registry, .. } => Some(registry),
            _ => None,
        });
        let mut state = self.lock();
        for registry in busy {
            let free = state.view(registry).has_room(0);
            state.waiting.entry(registry.clone()).or_default().insert(plan.key.clone());
            if free {
                // A pull ended since the plan was made, and did not know yet who waits.
                let _ = self.wake.send(plan.key.clone());
            }
        }
    }

    /// A registry wants to be asked less often: it is left alone for as long as it says, else longer each time.
    pub async fn refused(&self, image: &str, failure: &EngineFailure) {
        let FailureKind::RateLimited { retry_after } = failure.kind else { return };
        let registry = registry_of(image).to_owned();
        {
            let mut state = self.lock();
            let tries = state.limits.get(&registry).map_or(0, |limit| limit.tries).saturating_add(1);
            let pause = retry_after.unwrap_or_else(|| limit_pause(tries)).max(LEAST_PAUSE);
            let pause = spread(pause, &format!("{registry}#{tries}"));
            let until = self.clock.now().saturating_add(pause).unwrap_or(jiff::Timestamp::MAX);
            warn!(registry, %until, tries, "a registry wants to be asked less often; nothing is pulled from it before then");
            state.limits.insert(registry, RateLimit { until, tries, message: failure.message.clone() });
        }
        self.save().await;
    }

    /// A pull succeeded: what the registry refused before is over.
    pub async fn succeeded(&self, image: &str) {
        let forgotten = self.lock().limits.remove(registry_of(image)).is_some();
        if forgotten {
            self.save().await;
        }
    }

    async fn save(&self) {
        let value = {
            let (mut state, now) = (self.lock(), self.clock.now());
            state.limits.retain(|_, limit| limit.until.saturating_add(FORGOTTEN_AFTER).is_ok_and(|end| end > now));
            serde_json::to_value(&state.limits).ok().filter(|_| !state.limits.is_empty())
        };
        if let Err(error) = self.store.put_note(NOTE, value).await {
            warn!(%error, "writing down which registries want to be left alone failed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn view(&self, registry: &str) -> RegistryView {
        RegistryView {
            pulling: self.pulling.get(registry).copied().unwrap_or_default(),
            limit: self.limits.get(registry).cloned(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.registries.lock();
        if let Some(pulling) = state.pulling.get_mut(&self.registry) {
            *pulling = pulling.saturating_sub(1);
        }
        state.pulling.retain(|_, pulling| *pulling > 0);
        for key in state.waiting.remove(&self.registry).unwrap_or_default() {
            // No receiver: the operator is going down.
            let _ = self.registries.wake.send(key);
        }
    }
}

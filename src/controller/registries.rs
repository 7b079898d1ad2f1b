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

use super::plan::{later, spread};

/// The store's name for the refusals.
const NOTE: &str = "registries";

/// A refusal is forgotten so long after it is over, if nothing was pulled from there since.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The least pause after a refusal: some registries ask for microseconds, and mean a line of callers.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// The longest: what a registry says may be a slip, and nobody can take it back.
const MOST_PAUSE: Duration = Duration::from_secs(3600);

/// The registries. Clones share them.
#[derive(Clone)]
pub(super) struct Registries {
    store: Store,
    clock: SharedClock,
    state: Arc<Mutex<State>>,
    /// Held while the refusals are written down, so that the newest are written last.
    saving: Arc<tokio::sync::Mutex<()>>,
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
        let note = store.note(NOTE).ok().flatten();
        let mut limits: BTreeMap<String, RateLimit> =
            note.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
        // It may have been written with another clock.
        let most = later(clock.now(), MOST_PAUSE);
        limits.values_mut().for_each(|limit| limit.until = limit.until.min(most));
        let state = State { limits, ..State::default() };
        Self { store, clock, state: Arc::new(Mutex::new(state)), saving: Arc::default(), wake }
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

    /// Remembers who waits for a place, to wake them when there is one. `seen` is what the plan was made from.
    pub fn note_waiting(&self, plan: &Plan, seen: &BTreeMap<String, RegistryView>) {
        let busy = plan.waiting.iter().filter_map(|waiting| match &waiting.reason {
            WaitReason::RegistryBusy { registry, .. } => Some(registry),
            _ => None,
        });
        let mut state = self.lock();
        for registry in busy {
            let before = seen.get(registry).map_or(0, |view| view.pulling);
            if state.view(registry).pulling < before {
                // A pull ended since, and did not know yet who waits.
                let _ = self.wake.send(plan.key.clone());
            } else {
                state.waiting.entry(registry.clone()).or_default().insert(plan.key.clone());
            }
        }
    }

    /// A registry wants to be asked less often: it is left alone for as long as it says, at most an hour, else longer each time.
    /// Pulls that are refused while it is left alone began before: they count as the refusal that is known.
    pub async fn refused(&self, image: &str, failure: &EngineFailure) {
        let FailureKind::RateLimited { retry_after } = failure.kind else { return };
        let registry = registry_of(image).to_owned();
        {
            let (mut state, now) = (self.lock(), self.clock.now());
            let known = state.limits.get(&registry);
            let in_force = known.filter(|limit| now < limit.until);
            let tries = known.map_or(0, |limit| limit.tries).saturating_add(u32::from(in_force.is_none()));
            let pause = retry_after.unwrap_or_else(|| limit_pause(tries)).clamp(LEAST_PAUSE, MOST_PAUSE);
            let until = later(now, spread(pause, &format!("{registry}#{tries}")));
            let until = in_force.map_or(until, |limit| limit.until.max(until));
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
        let _turn = self.saving.lock().await;
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

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::clock::Clock;
    use crate::model::{Subject, Waiting};

    /// A clock that is set by hand.
    struct Hands(Mutex<Timestamp>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    struct Scene {
        registries: Registries,
        clock: Arc<Hands>,
        woken: broadcast::Receiver<Key>,
        _dir: tempfile::TempDir,
    }

    fn scene() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hands(Mutex::new("2026-01-01T12:00:00Z".parse().unwrap())));
        let (store, _) = Store::open(&dir.path().join("data"), clock.clone()).unwrap();
        let (wake, woken) = broadcast::channel(8);
        Scene { registries: Registries::new(store, clock.clone(), wake), clock, woken, _dir: dir }
    }

    impl Scene {
        /// The same after a restart.
        fn reopened(&self) -> Registries {
            Registries::new(self.registries.store.clone(), self.clock.clone(), self.registries.wake.clone())
        }

        /// How long `a.io` is left alone from now on, in seconds.
        fn pause(&self) -> i64 {
            let limit = self.registries.view()["a.io"].limit.clone().unwrap();
            limit.until.duration_since(self.clock.now()).as_secs()
        }

        fn pass(&self, seconds: i64) {
            *self.clock.0.lock().unwrap() += SignedDuration::from_secs(seconds);
        }
    }

    fn refusal(seconds: Option<u64>) -> EngineFailure {
        let kind = FailureKind::RateLimited { retry_after: seconds.map(Duration::from_secs) };
        EngineFailure { kind, message: "toomanyrequests".into() }
    }

    #[test]
    fn three_pulls_of_one_registry_at_once_and_a_place_is_given_back() {
        let scene = scene();
        let slots: Vec<Option<Slot>> = (0..4).map(|n| scene.registries.begin(&format!("a.io/app:{n}"))).collect();
        assert_eq!(slots.iter().filter(|slot| slot.is_some()).count(), 3);
        assert!(scene.registries.begin("b.io/app:1").is_some(), "another registry has its own");
        assert_eq!(scene.registries.view()["a.io"].pulling, 3);
        drop(slots);
        assert!(scene.registries.view().is_empty());
    }

    #[tokio::test]
    async fn a_refusal_counts_for_all_images_of_a_registry_over_a_restart_until_it_is_over() {
        let scene = scene();
        scene.registries.refused("a.io/app:1", &refusal(Some(100))).await;
        for registries in [&scene.registries, &scene.reopened()] {
            assert!(registries.begin("a.io/other:1").is_none());
            assert!(registries.begin("b.io/app:1").is_some());
        }
        scene.pass(99);
        assert!(scene.registries.begin("a.io/app:1").is_none(), "never too early");
        scene.pass(12);
        let first = scene.registries.begin("a.io/app:1");
        assert!(first.is_some() && scene.registries.begin("a.io/app:2").is_none(), "one at a time until one succeeds");
        drop(first);
        scene.registries.succeeded("a.io/app:1").await;
        assert!(scene.registries.view().is_empty() && scene.reopened().view().is_empty());
    }

    #[tokio::test]
    async fn one_that_does_not_say_how_long_is_left_alone_for_longer_each_time() {
        let scene = scene();
        let mut pauses = Vec::new();
        for _ in 0..3 {
            scene.registries.refused("a.io/app:1", &refusal(None)).await;
            let pause = scene.pause();
            pauses.push(pause / 60);
            scene.pass(pause + 1);
        }
        assert_eq!(pauses, [1, 2, 4]);
        let other = EngineFailure { kind: FailureKind::ImageNotFound, message: String::new() };
        scene.registries.refused("b.io/app:1", &other).await;
        assert!(!scene.registries.view().contains_key("b.io"), "only a rate limit is one");
    }

    #[tokio::test]
    async fn pulls_that_are_refused_together_count_once_and_the_longest_pause_holds() {
        let scene = scene();
        for seconds in [None, None, None] {
            scene.registries.refused("a.io/app:1", &refusal(seconds)).await;
        }
        assert_eq!((scene.pause() / 60, scene.registries.view()["a.io"].limit.as_ref().unwrap().tries), (1, 1));
        scene.registries.refused("a.io/app:2", &refusal(Some(600))).await;
        scene.registries.refused("a.io/app:3", &refusal(Some(1))).await;
        assert!((600..=660).contains(&scene.pause()), "{}", scene.pause());
    }

    #[tokio::test]
    async fn no_registry_is_left_alone_for_longer_than_an_hour_whatever_it_says() {
        let scene = scene();
        scene.registries.refused("a.io/app:1", &refusal(Some(8760 * 3600))).await;
        assert!((3600..=3960).contains(&scene.pause()), "{}", scene.pause());
        // The clock was a day ahead when that was written.
        scene.pass(-24 * 3600);
        let reopened = scene.reopened();
        scene.pass(3601);
        assert!(reopened.begin("a.io/app:1").is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn refusals_at_the_same_moment_are_all_written_down() {
        let scene = scene();
        let refused = (0..64).map(|n| {
            let registries = scene.registries.clone();
            tokio::spawn(async move { registries.refused(&format!("r{n}.io/app:1"), &refusal(Some(60))).await })
        });
        for done in refused.collect::<Vec<_>>() {
            done.await.unwrap();
        }
        assert_eq!(scene.reopened().view().len(), 64);
    }

    #[test]
    fn who_waits_for_a_place_is_woken_when_there_is_one() {
        let mut scene = scene();
        let mut plan = Plan::empty(Key::new("default", "web"), 1);
        let reason = WaitReason::RegistryBusy { registry: "a.io".into(), needed: true };
        plan.waiting.push(Waiting { subject: Subject::Image("a.io/app:1".into()), reason, until: None });
        let slot = scene.registries.begin("a.io/other:1");
        let seen = scene.registries.view();
        scene.registries.note_waiting(&plan, &seen);
        assert!(scene.woken.try_recv().is_err());
        drop(slot);
        assert_eq!(scene.woken.try_recv().unwrap(), plan.key);
        scene.registries.note_waiting(&plan, &seen);
        assert_eq!(scene.woken.try_recv().unwrap(), plan.key, "the place was given back before it was known who waits");
    }
}

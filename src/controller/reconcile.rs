//! One turn of one Deployment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action as Requeue;
use tracing::{Instrument, debug, info_span, warn};

use crate::crd::{Deployment, DeploymentStatus, Source};
use crate::model::annotations::{SOURCE, SOURCE_NAME};
use crate::model::{Desired, History, Key, MANIFESTS_SOURCE, Memory, Observed, Plan, Reason, Severity};
use crate::resolve::{remains, resolve};
use crate::store::{Kind, StoreError};

use super::act::Turn;
use super::plan::plan;
use super::status::{Sight, blind, invalid, status};
use super::triggers::fingerprint;
use super::world::View;
use super::{Controller, follow, record};

/// Longest pause of a Deployment whose plan stays the same though it was carried out.
const CIRCLING_CAP: Duration = Duration::from_secs(5);

/// When to look again at a start, while the engine has not answered for the first time: what was known before stays as it is.
const FIRST_LOOK: Duration = Duration::from_millis(200);

/// Pause when the moment has passed that a plan waits for: what should have come then is late, and haste does not bring it.
const OVERDUE: Duration = Duration::from_millis(100);

/// How long a Hold that ended by itself can still be read; twice what the decision table takes at most.
const ENDED_HOLD_STAYS: Duration = Duration::from_secs(60);

/// Why a turn could not be finished: the store failed. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The store did not do it.
    #[error("reconciling deployment {key}")]
    Store {
        /// Whose turn.
        key: Key,
        /// Why.
        #[source]
        source: Box<StoreError>,
    },
    /// A stored object cannot be read.
    #[error("reading deployment {key} from the store")]
    Unreadable {
        /// Whose turn.
        key: Key,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The turn panicked: a bug. The others go on.
    #[error("reconciling deployment {key} panicked: {message}")]
    Panic {
        /// Whose turn.
        key: Key,
        /// What the panic said.
        message: String,
    },
}

/// What is loaded at the start of a turn.
struct Loaded {
    object: Deployment,
    /// What of it calls for a turn.
    asked: serde_json::Value,
    history: History,
    memory: Memory,
}

impl Controller {
    /// One turn: load, observe, plan, act, record. Returns when to look again though nothing happened.
    pub(super) async fn reconcile(self: Arc<Self>, key: Key) -> Result<Requeue, TurnError> {
        let span = info_span!("reconcile", deployment = %key, actions = tracing::field::Empty);
        self.turn(&key).instrument(span).await.map_err(|error| match error {
            Failure::Store(source) => TurnError::Store { key, source: Box::new(source) },
            Failure::Unreadable(source) => TurnError::Unreadable { key, source },
        })
    }

    async fn turn(self: &Arc<Self>, key: &Key) -> Result<Requeue, Failure> {
        let Some(mut loaded) = self.load(key)? else { return Ok(Requeue::await_change()) };
        let desired = match self.desired(key, &loaded.object) {
            Ok(desired) => Arc::new(desired),
            Err(why) => return self.finish(key, invalid(&loaded.object, &why, self.clock.now())).await,
        };
        self.inputs.want(&desired);
        let mut observed = match self.observe(&desired) {
            Ok(observed) => observed,
            Err(_) if !self.world.was_tried() => return Ok(Requeue::requeue(FIRST_LOOK)),
            Err(why) => return self.finish(key, blind(&loaded.object, &why, self.clock.now())).await,
        };
        self.probes.want(&desired, &observed.snapshot, &loaded.history, &loaded.memory, self.clock.now());
        observed.likeness = self.likeness(&desired, &observed.snapshot, &loaded.history, &loaded.memory);
        // What recovery needs is not kept from it by a disk that is full.
        if let Err(Failure::Store(error)) = self.remove_ended_holds(&desired).await {
            warn!(deployment = %key, %error, "a Hold that ended cannot be removed yet");
        }
        let mut outcomes = record::finished_jobs(self, &desired, &mut loaded.history, &mut loaded.memory).await;
        record::diagnosis::explain(self, &desired, &observed.snapshot, &mut loaded.history, &loaded.memory).await;
        let plan = {
            let _span = info_span!("plan").entered();
            plan(&desired, &observed, &loaded.history, &loaded.memory, self.clock.now())
        };
        tracing::Span::current().record("actions", plan.actions.len());
        self.registries.note_waiting(&plan, &observed.registries);
        record::before_acting(self, &desired, &observed, &plan, &mut loaded.history, &mut loaded.memory).await?;
        let turn = Turn::begin(self, &desired, loaded.asked.take(), &observed);
        let mut course = self.act(&desired, &plan, &turn);
        let mut unwritten = None;
        while let Some(mut done) = course.next().await {
            // What this turn goes on with may have been made possible by a job that ended with it: it is told in its place.
            done.extend(self.jobs.take_finished(key));
            let done = record::in_order(done);
            let now_seen = self.observe(&desired);
            let told = self.sight_status(&loaded, &desired, now_seen.as_ref().unwrap_or(&observed), &plan);
            // What has been begun is not cut off because it cannot be told.
            let recording = self.record(&desired, &done, &mut loaded, told).instrument(info_span!("record"));
            if let Err(error) = course.beside(recording).await {
                unwritten.get_or_insert(error);
            }
            outcomes.extend(done);
        }
        if let Some(error) = unwritten {
            return Err(error);
        }
        let requeue = self.requeue(key, &plan, !plan.actions.is_empty());
        self.boot.report(&desired, &plan, &outcomes);
        Ok(requeue)
    }

    fn load(&self, key: &Key) -> Result<Option<Loaded>, Failure> {
        let _span = info_span!("load").entered();
        let Some(object) = self.store.get(Kind::Deployment, key)? else { return Ok(None) };
        let asked = fingerprint(&object);
        let object = serde_json::from_value((*object).clone()).map_err(Failure::Unreadable)?;
        let memory = self.owed(key).map_or_else(|| self.store.memory(key), Ok)?;
        Ok(Some(Loaded { object, asked, history: self.store.history(key)?, memory }))
    }

    /// What should be, or what is wrong with the object.
    pub(super) fn desired(&self, key: &Key, object: &Deployment) -> Result<Desired, String> {
        let project = crate::crd::project_of(object);
        let read = |error: crate::registry::RegistryError| error.to_string();
        let claimed_by = self.registry.claimant(key, &project).map_err(read)?;
        let holds = self.registry.holds_of(key).map_err(read)?;
        let source = self.source_file(object);
        let desired = resolve(object, holds, &self.options.instance, self.options.bound, claimed_by, source.as_deref());
        let desired = match desired {
            Err(_) if object.metadata.deletion_timestamp.is_some() => remains(object, &self.options.instance, self.options.bound),
            resolved => resolved.map_err(|errors| crate::crd::list_errors(&errors))?,
        };
        let mut desired = Desired { host_booted_at: self.boot.host_booted_at(), api: self.options.api.clone(), ..desired };
        follow::mounted(&mut desired, self.source_folder(object).as_deref());
        Ok(desired)
    }

    /// Removes Holds that ended by themselves, a while later: an outside stop that fell into one is still being judged.
    async fn remove_ended_holds(&self, desired: &Desired) -> Result<(), Failure> {
        let now = self.clock.now();
        let over = |until: Timestamp| until.saturating_add(ENDED_HOLD_STAYS).is_ok_and(|gone| gone <= now);
        if desired.holds.iter().filter_map(|hold| hold.until).any(over) {
            self.registry.lift_ended(&desired.key).await?;
        }
        Ok(())
    }

    /// The manifest's path on this machine, for Compose's label.
    fn source_file(&self, object: &Deployment) -> Option<String> {
        let annotations = object.metadata.annotations.as_ref()?;
        let owner = annotations.get(SOURCE_NAME).map_or(MANIFESTS_SOURCE, String::as_str);
        let annotation = annotations.get(SOURCE).filter(|_| owner == MANIFESTS_SOURCE)?;
        let path = annotation.rsplit_once(':').map_or(annotation.as_str(), |(path, _)| path);
        Some(self.options.manifests.as_ref()?.join(path).display().to_string())
    }

    /// The folder of the Source that an object came from: files in it that containers mount belong to what it declares.
    fn source_folder(&self, object: &Deployment) -> Option<PathBuf> {
        let annotations = object.metadata.annotations.as_ref()?;
        annotations.get(SOURCE)?;
        let name = annotations.get(SOURCE_NAME).map_or(MANIFESTS_SOURCE, String::as_str);
        let Ok(key) = name.parse::<Key>();
        let source = self.store.get(Kind::Source, &key).ok()?;
        let source = source.and_then(|source| serde_json::from_value::<Source>((*source).clone()).ok());
        let Some(Source { spec, .. }) = source else {
            return self.options.manifests.clone().filter(|_| name == MANIFESTS_SOURCE);
        };
        let here = spec.folder.map(|folder| folder.path).or(spec.worktree.map(|tree| tree.path));
        Some(here.unwrap_or_else(|| self.options.sources.join(key.namespace).join(key.name).join("tree")))
    }

    /// What is: the cached picture, without a call to the engine.
    pub(super) fn observe(&self, desired: &Desired) -> Result<Observed, String> {
        let _span = info_span!("observe").entered();
        match self.world.view() {
            View::Seen(snapshot) => Ok(Observed {
                snapshot,
                jobs: self.jobs.of(&desired.key),
                inputs: self.inputs.of(desired),
                files: self.inputs.files_of(desired),
                registries: self.registries.view(),
                probed: self.probes.of(&desired.key),
                likeness: Default::default(),
            }),
            View::Blind { why, .. } => Err(why),
        }
    }

    fn sight_status(&self, loaded: &Loaded, desired: &Desired, observed: &Observed, plan: &Plan) -> DeploymentStatus {
        status(&Sight {
            object: &loaded.object,
            desired,
            snapshot: &observed.snapshot,
            probed: &observed.probed,
            plan,
            history: &loaded.history,
            memory: &loaded.memory,
            now: self.clock.now(),
        })
    }

    /// Writes down what came of the actions, and the status with it.
    async fn record(
        &self,
        desired: &Desired,
        outcomes: &[crate::model::Outcome],
        loaded: &mut Loaded,
        told: DeploymentStatus,
    ) -> Result<(), Failure> {
        record::outcomes(self, desired, outcomes, &mut loaded.history, &mut loaded.memory).await;
        record::diagnosis::tell_what_is_in_the_way(self, desired, &told, &mut loaded.history).await;
        let last_actions = super::status::last_actions(&loaded.history);
        self.write_status(&desired.key, DeploymentStatus { last_actions, ..told }).await
    }

    async fn finish(&self, key: &Key, status: DeploymentStatus) -> Result<Requeue, Failure> {
        self.write_status(key, status).await?;
        Ok(Requeue::await_change())
    }

    /// Writes the status if it differs, but for the alerts in it, which who samples writes. An object that is gone by now needs none.
    async fn write_status(&self, key: &Key, status: DeploymentStatus) -> Result<(), Failure> {
        let status = serde_json::to_value(status).map_err(Failure::Unreadable)?;
        let change = move |object: &mut serde_json::Value| {
            let alerts = object["status"]["alerts"].take();
            object["status"] = status;
            if let Some(status) = object["status"].as_object_mut() {
                status.shift_remove("alerts");
                if !alerts.is_null() {
                    status.insert("alerts".to_owned(), alerts);
                }
            }
            Ok::<_, StoreError>(())
        };
        match self.store.modify(Kind::Deployment, key, crate::store::Part::Status, None, change).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// At once after acting, to see what came of it; slower and slower if the same plan comes again and again.
    fn requeue(&self, key: &Key, plan: &Plan, acted: bool) -> Requeue {
        let mut repeats = self.repeats.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !acted {
            repeats.remove(key);
            return Requeue::requeue(pause_before(plan.wake_at, self.clock.now(), self.options.resync));
        }
        let text = plan.to_string();
        let (last, times) = repeats.entry(key.clone()).or_default();
        *times = if *last == text { times.saturating_add(1) } else { 0 };
        *last = text;
        let pause =
            Duration::from_millis(50).saturating_mul(2_u32.saturating_pow((*times).min(16)).saturating_sub(1)).min(CIRCLING_CAP);
        if pause == CIRCLING_CAP {
            debug!(deployment = %key, "the same plan comes again and again; slowing down");
        }
        Requeue::requeue(pause)
    }

    /// Tells people, or says in the log that it could not.
    pub(super) async fn tell(&self, desired: &Desired, reason: Reason, severity: Severity, message: String) {
        self.tell_of(desired, reason, severity, message, crate::telemetry::trace_id()).await;
    }

    /// The same of something that happened in another trace than this turn's.
    pub(super) async fn tell_of(
        &self,
        desired: &Desired,
        reason: Reason,
        severity: Severity,
        message: String,
        trace_id: Option<String>,
    ) {
        let happening = crate::model::Happening {
            about: crate::model::About::Deployment(desired.key.clone(), Some(desired.uid.clone())),
            reason,
            severity,
            message,
            trace_id,
        };
        if let Err(error) = self.store.tell(happening).await {
            warn!(deployment = %desired.key, %error, "writing an Event failed");
        }
    }
}

/// How long to wait for the moment a plan asks for, at most until the resync.
fn pause_before(wake_at: Option<Timestamp>, now: Timestamp, resync: Duration) -> Duration {
    let Some(at) = wake_at else { return resync };
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    if wait.is_zero() { OVERDUE } else { wait.min(resync) }
}

/// Failure inside a turn, before it is given its key.
pub(super) enum Failure {
    /// The store did not do it.
    Store(StoreError),
    /// JSON of an object.
    Unreadable(serde_json::Error),
}

impl From<crate::registry::RegistryError> for Failure {
    fn from(error: crate::registry::RegistryError) -> Self {
        match error {
            crate::registry::RegistryError::Store(error) => Self::Store(error),
            other => Self::Store(StoreError::Corrupt(other.to_string())),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_has_passed_is_not_waited_for_in_a_hurry() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let pause = |millis: i64| {
            pause_before(Some(now + jiff::SignedDuration::from_millis(millis)), now, Duration::from_secs(30)).as_millis()
        };
        assert_eq!([-5_000, 0, 1, 2_000, 60_000].map(pause), [100, 100, 1, 2_000, 30_000]);
        assert_eq!(pause_before(None, now, Duration::from_secs(30)), Duration::from_secs(30));
    }
}

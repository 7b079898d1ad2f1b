//! Each action as calls to the engine, and the picture brought up to date with what it did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::docker;
use crate::model::{
    Action, ActionResult, ContainerSpec, Desired, EngineFailure, FailureKind, HookSpec, JobKind, NetworkAttachment, NetworkRef,
    Op, Outcome, Plan, Progress, ReplicaId, Secrets, StopReason, Subject, Target,
};

use crate::controller::Controller;
use crate::controller::world::{Mark, View};

/// How long a command may take that is run right after a start.
const HOOK: Duration = Duration::from_secs(600);

/// Ids of what earlier actions of the plan made, by action index.
pub(super) struct Made(BTreeMap<usize, String>);

impl Made {
    /// What the actions before `index` made.
    pub fn of(plan: &Plan, index: usize, outcomes: &[Option<Outcome>]) -> Self {
        let id = |before: usize| match outcomes.get(before)?.as_ref().map(|outcome| &outcome.result) {
            Some(ActionResult::Done { id: Some(id) }) => Some((before, id.clone())),
            _ => None,
        };
        Self((0..plan.actions.len()).filter(|before| *before != index).filter_map(id).collect())
    }

    fn get(&self, action: usize) -> docker::Result<String> {
        self.0.get(&action).cloned().ok_or_else(|| EngineFailure {
            kind: FailureKind::NotFound,
            message: "what an earlier step of the plan should have made is not there; the next turn plans anew".into(),
        })
    }

    fn target(&self, target: &Target) -> docker::Result<String> {
        match target {
            Target::Existing { id, .. } => Ok(id.clone()),
            Target::Made { action, .. } => self.get(*action),
        }
    }

    fn network(&self, network: &NetworkRef) -> docker::Result<String> {
        match network {
            NetworkRef::Id(id) => Ok(id.clone()),
            NetworkRef::Made(action) => self.get(*action),
        }
    }
}

/// An outcome in one word, for traces.
pub(super) fn word(result: &ActionResult) -> &'static str {
    match result {
        ActionResult::Done { .. } | ActionResult::Pulled(_) | ActionResult::Built(_) => "done",
        ActionResult::Started => "started",
        ActionResult::Failed(_) => "failed",
        ActionResult::Skipped { .. } => "skipped",
    }
}

/// What a hook said, which may be what is not for people's eyes.
fn redacted(failure: EngineFailure, env: &[String], hook: &HookSpec) -> EngineFailure {
    let message = Secrets::of_env(env.iter().chain(&hook.env)).hide(&failure.message);
    EngineFailure { message, ..failure }
}

impl Controller {
    /// Does one action.
    pub(super) async fn carry_out(&self, desired: &Desired, action: &Action, made: &Made) -> ActionResult {
        // A start asks for itself, under the lock.
        let starts = matches!(action.op, Op::Start(_));
        if !starts && self.registry.holds_of(&desired.key).is_ok_and(|holds| holds != desired.holds) {
            return ActionResult::Skipped { why: "a Hold came or went since this was planned".into() };
        }
        match &action.op {
            Op::Pull { image, platform } => self.pull(desired, action, image, platform.as_deref()),
            Op::Build { spec, input } => self.build(desired, action, spec, input),
            Op::Stop { target: Target::Existing { id, .. }, grace, reason } => self.stop(desired, action, id, *grace, *reason),
            Op::Start(target) => self.start(desired, action, target, made).await,
            _ => match self.call(action, made).await {
                Ok(id) => ActionResult::Done { id },
                Err(failure) if self.was_overtaken(action, &failure).await => ActionResult::Skipped { why: failure.message },
                Err(failure) => ActionResult::Failed(failure),
            },
        }
    }

    /// Whether the plan was to attach to a network that somebody has removed since: nothing is in the way, and the next turn makes
    /// it anew.
    async fn was_overtaken(&self, action: &Action, failure: &EngineFailure) -> bool {
        let Op::Connect { network: NetworkRef::Id(network), .. } = &action.op else { return false };
        failure.kind == FailureKind::NetworkMissing
            && self.world.refresh_networks().await.is_ok()
            && matches!(self.world.view(), View::Seen(snapshot) if !snapshot.networks.contains_key(network))
    }

    async fn call(&self, action: &Action, made: &Made) -> docker::Result<Option<String>> {
        match &action.op {
            Op::CreateNetwork(spec) => {
                let id = self.engine.create_network(spec).await?;
                self.world.refresh_networks().await?;
                return Ok(Some(id));
            }
            Op::RemoveNetwork { id } => {
                self.engine.remove_network(id).await?;
                self.world.refresh_networks().await?;
            }
            Op::CreateVolume(spec) => {
                self.engine.create_volume(spec).await?;
                self.world.refresh_volumes().await?;
            }
            Op::RemoveVolume { name } => {
                self.engine.remove_volume(name).await?;
                self.world.refresh_volumes().await?;
            }
            Op::CreateContainer { spec, networks } => return self.create(spec, networks, made).await.map(Some),
            Op::Signal { target, signal, .. } => {
                let id = made.target(target)?;
                self.world.mark_signal(&id, *signal);
                self.engine.signal_container(&id, *signal).await?;
            }
            Op::RemoveContainer(target) => {
                let id = made.target(target)?;
                self.engine.remove_container(&id, false).await?;
                self.world.refresh_container(&id).await?;
            }
            Op::Rename { target, to } => {
                let id = made.target(target)?;
                self.engine.rename_container(&id, to).await?;
                self.world.refresh_container(&id).await?;
            }
            Op::Connect { target, network, attachment, .. } => self.connect(made, target, network, attachment).await?,
            Op::Disconnect { target, network } => {
                let id = made.target(target)?;
                self.engine.disconnect_network(network, &id).await?;
                self.world.refresh_container(&id).await?;
            }
            Op::SetRestartPolicy { target, policy } => {
                let id = made.target(target)?;
                self.engine.set_restart_policy(&id, policy).await?;
                self.world.refresh_container(&id).await?;
            }
            Op::Tag { image_id, reference } => {
                self.engine.tag(image_id, reference).await?;
                self.world.refresh_images().await?;
            }
            Op::Pull { .. } | Op::Build { .. } | Op::Stop { .. } | Op::Start(_) => {}
        }
        Ok(None)
    }

    async fn create(&self, spec: &ContainerSpec, networks: &BTreeMap<String, NetworkRef>, made: &Made) -> docker::Result<String> {
        let ids: docker::Result<BTreeMap<String, String>> =
            networks.iter().map(|(key, network)| Ok((key.clone(), made.network(network)?))).collect();
        let id = self.engine.create_container(spec, &ids?).await?;
        self.world.refresh_container(&id).await?;
        Ok(id)
    }

    async fn connect(
        &self,
        made: &Made,
        target: &Target,
        network: &NetworkRef,
        attachment: &NetworkAttachment,
    ) -> docker::Result<()> {
        let id = made.target(target)?;
        self.engine.connect_network(&made.network(network)?, &id, attachment).await?;
        self.world.refresh_container(&id).await
    }

    /// Starts a container, unless something holds it by now.
    async fn start(&self, desired: &Desired, action: &Action, target: &Target, made: &Made) -> ActionResult {
        let Subject::Replica(replica) = &action.subject else {
            return ActionResult::Skipped { why: "only a replica is ever started".into() };
        };
        let id = match made.target(target) {
            Ok(id) => id,
            Err(failure) => return ActionResult::Failed(failure),
        };
        let guard = match self.registry.may_start(&desired.key, replica).await {
            Ok(guard) => guard,
            Err(why) => return ActionResult::Skipped { why },
        };
        // Earlier actions of this plan may have taken long: somebody may have started and stopped it meanwhile.
        if let Err(why) = self.world.may_start(&id) {
            return ActionResult::Skipped { why };
        }
        let started = match self.files(desired, replica, &id).await {
            Ok(()) => self.engine.start_container(&id).await,
            failed => failed,
        };
        drop(guard);
        let seen = self.world.refresh_container(&id).await;
        let started = match started.and(seen) {
            Ok(()) => self.post_start(desired, replica, &id).await,
            failed => failed,
        };
        match started {
            Ok(()) => ActionResult::Done { id: Some(id) },
            Err(failure) => ActionResult::Failed(failure),
        }
    }

    /// Writes configs and secrets into a container that has never run: whoever made it may not have come to that.
    async fn files(&self, desired: &Desired, replica: &ReplicaId, id: &str) -> docker::Result<()> {
        let Some(service) = desired.services.get(&replica.service) else { return Ok(()) };
        let has_run = match self.world.view() {
            View::Seen(snapshot) => snapshot.containers.get(id).is_some_and(|container| container.started_at.is_some()),
            View::Blind { .. } => false,
        };
        if has_run { Ok(()) } else { self.engine.write_files(id, &service.template.files).await }
    }

    /// Runs what a service wants run right after a start, up to the first that fails. The container runs on then, as with Compose.
    async fn post_start(&self, desired: &Desired, replica: &ReplicaId, id: &str) -> docker::Result<()> {
        for hook in desired.services.get(&replica.service).iter().flat_map(|service| &service.post_start) {
            let env = desired.services.get(&replica.service).map(|service| service.template.env.as_slice()).unwrap_or_default();
            self.engine.run_hook(id, hook, HOOK).await.map_err(|failure| redacted(failure, env, hook))?;
        }
        Ok(())
    }

    /// A graceful stop, as a job. That it is ours is on disk before it is made.
    fn stop(&self, desired: &Desired, action: &Action, id: &str, grace: u64, reason: StopReason) -> ActionResult {
        let (engine, world, clock) = (Arc::clone(&self.engine), Arc::clone(&self.world), Arc::clone(&self.clock));
        let (action, container) = (action.clone(), id.to_owned());
        let service = match &action.subject {
            Subject::Replica(replica) => desired.services.get(&replica.service),
            _ => None,
        };
        let (hooks, env) = service.map(|service| (service.pre_stop.clone(), service.template.env.clone())).unwrap_or_default();
        let silent = tokio::sync::watch::Sender::new(Progress::default()).subscribe();
        self.jobs.start(&desired.key, JobKind::Stop(id.to_owned()), silent, async move {
            let began = tokio::time::Instant::now();
            let stopped = async {
                let unwritten = |error: crate::store::StoreError| EngineFailure {
                    kind: FailureKind::Transient,
                    message: format!("cannot write down whose stop this is: {error}"),
                };
                // Before the hooks: one of them may end the main process.
                let mark = world.mark_stop(&container, reason).await.map_err(unwritten)?;
                for hook in hooks {
                    // The stop is wanted all the same.
                    if let Err(failure) = engine.run_hook(&container, &hook, Duration::from_secs(grace.max(1))).await {
                        let failure = redacted(failure, &env, &hook);
                        warn!(container, error = failure.message, "a pre_stop hook failed");
                    }
                }
                let ended = match (mark, reason) {
                    // Whoever comes after this process must not take it for a person's stop, and hold it.
                    (Mark::Kept, StopReason::Unhealthy) => engine.kill_container(&container).await,
                    _ => engine.stop_container(&container, grace).await,
                };
                if let Err(failure) = ended {
                    // Refused: a stop that comes later is somebody else's. Unanswered: it may still be carried out.
                    if !matches!(failure.kind, FailureKind::Timeout | FailureKind::Unavailable) {
                        world.unmark_stop(&container).await.map_err(unwritten)?;
                    }
                    return Err(failure);
                }
                // Others see that it is down, and go on with that, while it is being looked at here.
                let at = clock.now();
                world.refresh_container(&container).await.map(|()| at)
            };
            let (result, at) = match stopped.await {
                Ok(at) => (ActionResult::Done { id: None }, at),
                Err(failure) => (ActionResult::Failed(failure), clock.now()),
            };
            Outcome { at, ..super::outcome(&clock, action, result, began.elapsed()) }
        });
        ActionResult::Started
    }
}

//! What people laid on top: whether a replica may run, must not, or is not to be touched.

use crate::model::{
    Cause, Container, ContainerState, DesiredService, DockerRestart, HoldState, HoldView, JobKind, Op, REASON_EXTERNAL_STOP,
    REASON_RELEASED, ReplicaId, RunState, StopReason, Subject, Target, WaitReason, labels,
};

use super::Planner;
use super::containers::take_policy_off;
use super::identity::{Slot, owns};

/// What holds say of a replica.
pub(super) enum Standing {
    /// It should run.
    Free,
    /// It must not run.
    Stopped {
        /// Which Hold, or the manifest.
        cause: Cause,
        /// For people.
        reason: String,
    },
    /// Hands off.
    Suspended {
        /// For people.
        reason: String,
    },
}

/// What the manifest and the Holds say of a replica, the most specific Hold first.
pub(super) fn standing(planner: &Planner<'_>, replica: &ReplicaId) -> Standing {
    standing_by(planner, replica, |_| true)
}

/// The same by those Holds that `counts`.
fn standing_by(planner: &Planner<'_>, replica: &ReplicaId, counts: impl Fn(&HoldView) -> bool) -> Standing {
    match planner.desired.hold_of(replica, planner.now, |hold| counts(hold) && !is_outrun(planner, replica, hold)) {
        Some(hold) if hold.state == HoldState::Suspended => Standing::Suspended { reason: hold.reason.clone() },
        Some(hold) => Standing::Stopped { cause: Cause::Held { reason: hold.reason.clone() }, reason: hold.reason.clone() },
        None if planner.desired.state == RunState::Stopped => {
            Standing::Stopped { cause: Cause::DeclaredStopped, reason: "spec.state: Stopped".into() }
        }
        None => Standing::Free,
    }
}

/// Whether somebody started the replica again after the outside stop that a Hold stands for: the Hold is being lifted, and the
/// picture may show the start before that is on disk.
fn is_outrun(planner: &Planner<'_>, replica: &ReplicaId, hold: &HoldView) -> bool {
    let desired = planner.desired;
    let ours = |container: &Container| {
        let project = container.labels.get(labels::COMPOSE_PROJECT);
        owns(desired, &container.labels)
            || (project == Some(&desired.project) && !container.labels.contains_key(labels::INSTANCE))
    };
    let runs_since = |container: &Container| container.is_up() && container.started_at.is_some_and(|start| start > hold.since);
    let mut containers = planner.snapshot.containers.related(&desired.key, &desired.project);
    hold.reason == REASON_EXTERNAL_STOP
        && containers.any(|found| runs_since(found) && found.replica().as_ref() == Some(replica) && ours(found))
}

/// Whether any declared replica of a service may run.
pub(super) fn any_free(planner: &Planner<'_>, service: &DesiredService) -> bool {
    (1..=service.replicas).any(|number| matches!(standing(planner, &ReplicaId::new(&service.name, number)), Standing::Free))
}

/// Whether a Hold `Suspended` covers the Deployment as a whole: then what is no longer declared is not touched either.
pub(super) fn suspended_entirely(planner: &Planner<'_>) -> bool {
    let whole = |hold: &&crate::model::HoldView| hold.service.is_none() && hold.state == HoldState::Suspended;
    planner.desired.holds.iter().filter(whole).any(|hold| hold.in_force(planner.now))
}

/// Brings a replica to rest and keeps it there.
pub(super) fn keep_stopped(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    slot: Slot<'_>,
    cause: Cause,
    reason: String,
) {
    match slot.current {
        Some(container) if container.is_up() => stop(planner, service, replica, container, StopReason::Held, cause, vec![]),
        current => {
            if let Some(container) = current.filter(|container| at_rest(container)) {
                match is_released(planner) {
                    true => give_back(planner, service, replica, container, Cause::Released),
                    // A restart of the daemon would bring it back.
                    false => take_policy_off(planner, replica, container),
                }
            }
            planner.wait_replica(replica, WaitReason::Stopped { reason }, None);
        }
    }
}

/// Whether all of it was given back to Docker.
fn is_released(planner: &Planner<'_>) -> bool {
    planner.desired.holds.iter().any(|hold| hold.reason == REASON_RELEASED && hold.in_force(planner.now))
}

/// Whether it does not run, and Docker can still be told something of it.
fn at_rest(container: &Container) -> bool {
    matches!(container.state, ContainerState::Created | ContainerState::Exited)
}

/// Whether Docker can carry on with it by a policy.
pub(super) fn can_be_told(container: &Container) -> bool {
    container.is_up() || at_rest(container)
}

/// Leaves a replica alone; a released one gets its declared policy, so that Docker carries on: at once, or from the next start of the
/// daemon or of the container on.
pub(super) fn leave_alone(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    slot: Slot<'_>,
    reason: String,
) {
    if reason == REASON_RELEASED
        && let Some(container) = slot.current.filter(|container| can_be_told(container))
    {
        give_back(planner, service, replica, container, Cause::Released);
    }
    planner.wait_replica(replica, WaitReason::Suspended { reason }, None);
}

/// Puts the restart policy on a container that Docker is to carry on with, if it is not there: the declared one, or the one that it
/// had when it was taken over. What is to be stopped and does not run gets none: Docker may start it by any other at its own next start,
/// `unless-stopped` included where it ended by itself before. The release, which only takes hands off, does not say what is to be.
pub(super) fn give_back(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    cause: Cause,
) {
    let adopted = planner.memory.adopted(replica, &container.id);
    let is_stopped = matches!(standing_by(planner, replica, |hold| hold.reason != REASON_RELEASED), Standing::Stopped { .. });
    let policy = match adopted.map_or(&service.declared_restart, |adopted| &adopted.restart) {
        _ if is_stopped && !container.is_up() => DockerRestart::No,
        // It is on its way down, or may not be stopped in this mode.
        DockerRestart::Always if is_stopped => DockerRestart::UnlessStopped,
        policy => policy.clone(),
    };
    if container.restart_policy != policy {
        let op = Op::SetRestartPolicy { target: existing(container), policy };
        planner.act(op, Subject::Replica(replica.clone()), cause, vec![]);
    }
}

/// Plans a graceful stop, unless one is under way or has failed a moment ago: it is a job, whose end calls for the next turn.
pub(super) fn stop(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    reason: StopReason,
    cause: Cause,
    after: Vec<usize>,
) {
    if planner.job(&JobKind::Stop(container.id.clone())) {
        planner.wait_replica(replica, WaitReason::Stopping, None);
        return;
    }
    let subject = Subject::Replica(replica.clone());
    if let Some((wait, until)) = planner.obstacle_to_stop(&subject) {
        return planner.wait(subject, wait, Some(until));
    }
    let op = Op::Stop { target: existing(container), grace: service.stop_grace.as_secs(), reason };
    planner.act(op, subject, cause, after);
}

/// A container that exists, as a target.
pub(super) fn existing(container: &Container) -> Target {
    Target::Existing { id: container.id.clone(), name: container.name.clone() }
}

//! What becomes of each replica of a service.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    Cause, Completion, Container, ContainerSpec, ContainerState, DesiredService, DockerRestart, NetworkRef, Note, Op, Reason,
    ReplicaHistory, ReplicaId, Subject, Target, Vacated, WaitReason,
};

use super::holds::{Standing, existing, keep_stopped, leave_alone, standing};
use super::identity::{Slot, container_name, owns};
use super::recovery::{Next, Trouble};
use super::{Planner, Slots, adopt, ended, files, images, order, recovery, remedy, replace, running, spec, volumes};

/// Plans for all declared replicas of a service.
pub(super) fn service(planner: &mut Planner<'_>, slots: &Slots<'_>, service: &DesiredService) {
    for number in 1..=service.replicas {
        let replica = ReplicaId::new(&service.name, number);
        if planner.settled.contains(&replica) {
            continue;
        }
        let slot = slots.get(&replica);
        let standing = standing(planner, &replica);
        let to_be_stopped = matches!(standing, Standing::Stopped { .. }) && slot.current.is_some_and(Container::is_up);
        if let Some(wait) = planner.unanswered(&Subject::Replica(replica.clone())).filter(|_| !to_be_stopped) {
            planner.wait_replica(&replica, wait, None);
            continue;
        }
        match standing {
            Standing::Suspended { reason } => leave_alone(planner, service, &replica, slot, reason),
            Standing::Stopped { cause, reason } => keep_stopped(planner, service, &replica, slot, cause, reason),
            Standing::Free if undecided(planner, &replica, slot) => {}
            Standing::Free => keep_running(planner, slots, service, &replica, slot),
        }
    }
}

/// Nothing is made in a place that was emptied a moment ago, no container replaced of which it is not decided who ended it, and
/// nothing done to one that does not answer. Says so.
fn undecided(planner: &mut Planner<'_>, replica: &ReplicaId, slot: Slot<'_>) -> bool {
    let silent = [slot.current, slot.successor].into_iter().flatten().find(|found| planner.snapshot.unread.contains(&found.id));
    if let Some(container) = silent {
        let message =
            format!("the engine does not tell the state of container {}; it is asked again at every resync", container.name);
        planner.wait_replica(replica, WaitReason::Obstacle { reason: Reason::EngineError, message }, None);
        return true;
    }
    let left = |place: &&Vacated| place.key == planner.desired.key && place.replica == *replica;
    let emptied = planner.snapshot.vacated.iter().filter(|_| slot.current.is_none()).find(left).map(|place| place.until);
    let until = emptied.or_else(|| slot.current.and_then(|container| ended::pending(planner, container)));
    if until.is_some() {
        planner.wait_replica(replica, WaitReason::IntentPending, until);
    }
    until.is_some()
}

fn keep_running(planner: &mut Planner<'_>, slots: &Slots<'_>, service: &DesiredService, replica: &ReplicaId, slot: Slot<'_>) {
    if let Some(container) = slot.current {
        remember(planner, replica, container);
        files::remember(planner, service, replica, container);
    }
    let up = slot.current.is_some_and(Container::is_up);
    if let Some(done) = completion(planner, service, replica).filter(|_| !up) {
        let reason = finished(done);
        if let Some(container) = slot.current.filter(|container| container.state == ContainerState::Exited) {
            take_policy_off(planner, replica, container);
        }
        return planner.wait_replica(replica, reason, None);
    }
    let Some(container) = slot.current else { return make(planner, slots, service, replica) };
    match container.state {
        ContainerState::Paused => planner.wait_replica(replica, WaitReason::Paused, None),
        ContainerState::Removing => planner.wait_replica(replica, WaitReason::Removing, None),
        ContainerState::Dead => {
            let op = Op::RemoveContainer(existing(container));
            planner.act(op, Subject::Replica(replica.clone()), Cause::Unfinished, vec![]);
        }
        ContainerState::Restarting => {
            take_policy_off(planner, replica, container);
            planner.wait_replica(replica, WaitReason::Restarting, None);
        }
        state => {
            let due = replace::due(planner, slots, service, container).or_else(|| files::half_way(planner, service, slot));
            if due.is_none() {
                drop_successor(planner, replica, slot);
            }
            if due.is_some_and(|cause| replace::step(planner, slots, service, replica, slot, cause)) {
                return;
            }
            match state {
                ContainerState::Running => running::keep(planner, slots, service, replica, container),
                ContainerState::Created => never_started(planner, slots, service, replica, container),
                _ => ended::decide(planner, slots, service, replica, container),
            }
        }
    }
}

/// What it was made for is not wanted any more: a file that changed is as it was before.
fn drop_successor(planner: &mut Planner<'_>, replica: &ReplicaId, slot: Slot<'_>) {
    if let Some(successor) = slot.successor {
        planner.act(Op::RemoveContainer(existing(successor)), Subject::Replica(replica.clone()), Cause::NotDeclared, vec![]);
    }
}

/// A finished run that still counts: for this spec, and nobody asked for another since.
fn completion<'a>(planner: &Planner<'a>, service: &DesiredService, replica: &ReplicaId) -> Option<&'a Completion> {
    let asked_again = service.restarted_at.max(service.recreated_at).max(service.retried_at);
    planner.memory.completed(replica, &service.spec_hash).filter(|done| asked_again.is_none_or(|at| at <= done.at))
}

/// How a finished run is shown.
fn finished(done: &Completion) -> WaitReason {
    match done.exit_code {
        0 => WaitReason::Completed,
        code => WaitReason::JobFailed { failure: format!("exit code {code}") },
    }
}

/// Keeps what cannot be found again once the container is gone: its anonymous volumes.
fn remember(planner: &mut Planner<'_>, replica: &ReplicaId, container: &Container) {
    let names = spec::anonymous_volumes(container);
    if !names.is_empty() && planner.memory.volumes.get(&replica.to_string()) != Some(&names) {
        planner.note(Note::Volumes { replica: replica.clone(), names });
    }
}

/// Docker's own restart policy would be a second controller: it is taken off.
pub(super) fn take_policy_off(planner: &mut Planner<'_>, replica: &ReplicaId, container: &Container) {
    if container.restart_policy != DockerRestart::No {
        let op = Op::SetRestartPolicy { target: existing(container), policy: DockerRestart::No };
        let cause = adopt::policy_cause(planner, replica, container);
        planner.act(op, Subject::Replica(replica.clone()), cause, vec![]);
    }
}

/// There is no container: make and start one.
fn make(planner: &mut Planner<'_>, slots: &Slots<'_>, service: &DesiredService, replica: &ReplicaId) {
    files::expect(planner, service, replica);
    let record = recovery::record(planner, service, replica);
    let fresh = if record.was_running { Cause::Vanished } else { Cause::Missing };
    let counts = !record.was_running;
    let Some(cause) = after_failure(planner, slots, service, replica, None, &record, counts, fresh) else { return };
    if let Some(made) = create(planner, slots, service, replica, None, cause) {
        let start = planner.act(Op::Start(made.target()), Subject::Replica(replica.clone()), Cause::Created, made.before_start());
        planner.starts.insert(replica.clone(), start);
    }
}

/// The cause of a try now: `fresh`, or, where a failure stands (`counts`), the next attempt when it is due.
#[expect(clippy::too_many_arguments, reason = "each is one fact about the replica")]
fn after_failure(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: Option<&Container>,
    record: &ReplicaHistory,
    counts: bool,
    fresh: Cause,
) -> Option<Cause> {
    let Some(failure) = record.failure.as_ref().filter(|_| counts) else { return Some(fresh) };
    let trouble = Trouble { container, record, at: failure.at, ran_for: Duration::ZERO, message: &failure.message };
    match recovery::next(planner, service, replica, &trouble) {
        Next::Now(cause) => (!remedy::carry_out(planner, slots, service, replica, container, &cause)).then_some(cause),
        Next::UnderWay => None,
        Next::Wait(reason, until) => {
            planner.wait_replica(replica, reason, until);
            None
        }
    }
}

/// A container that this plan makes.
pub(super) struct Made {
    /// Index of its creation.
    pub action: usize,
    /// The name it gets.
    pub name: String,
    /// Starts of this plan that its own start comes after.
    pub dependencies: Vec<usize>,
}

impl Made {
    /// It, as a target of later actions.
    pub fn target(&self) -> Target {
        Target::Made { action: self.action, name: self.name.clone() }
    }

    fn before_start(&self) -> Vec<usize> {
        let mut before = self.dependencies.clone();
        before.push(self.action);
        before
    }
}

/// Plans the creation of a replica's container, if all it needs is there; else says what it waits for. With `old`, it is
/// made under a temporary name, to take that one's place.
pub(super) fn create(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    old: Option<&Container>,
    cause: Cause,
) -> Option<Made> {
    let subject = Subject::Replica(replica.clone());
    if let Some((wait, until)) = planner.obstacle(&subject) {
        planner.wait(subject, wait, Some(until));
        return None;
    }
    if !images::ensure(planner, service, old.is_some_and(Container::is_up)) {
        return None;
    }
    let needed = needs(planner, slots, service, replica, old);
    let Needed { mut spec, networks, mut after, dependencies } = match needed {
        Ok(needed) => needed,
        Err(wait) => {
            planner.wait(subject, wait, None);
            return None;
        }
    };
    if let Some(old) = old {
        spec.name = super::identity::temporary_name(old, &spec.name);
    }
    if let Some(wait) = name_taken(planner, &spec.name) {
        planner.wait(subject, wait, None);
        return None;
    }
    if !images::newest(planner, service, replica, &cause, old.is_some_and(Container::is_up)) {
        return None;
    }
    after.extend(images::take_back(planner, service));
    let name = spec.name.clone();
    let action = planner.act(Op::CreateContainer { spec: Box::new(spec), networks }, subject, cause, after);
    Some(Made { action, name, dependencies })
}

/// Everything but the image that a container needs before it can be made.
struct Needed {
    spec: ContainerSpec,
    networks: BTreeMap<String, NetworkRef>,
    /// Actions of this plan that make its networks and volumes.
    after: Vec<usize>,
    /// Starts of this plan that its start comes after.
    dependencies: Vec<usize>,
}

fn needs(
    planner: &Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    old: Option<&Container>,
) -> Result<Needed, WaitReason> {
    let dependencies = order::ready(planner, slots, service)?;
    let (networks, mut after) = spec::networks_of(planner, service)?;
    after.extend(volumes::needed(planner, service)?);
    after.sort_unstable();
    after.dedup();
    let spec = spec::container_spec(planner, slots, service, replica, old)?;
    Ok(Needed { spec, networks, after, dependencies })
}

/// What to wait for if a container name is taken: by a leftover of ours, which this plan removes, or by somebody else.
fn name_taken(planner: &Planner<'_>, name: &str) -> Option<WaitReason> {
    let container = planner.snapshot.containers.values().find(|container| container.name == name)?;
    if owns(planner.desired, &container.labels) {
        return Some(WaitReason::Removing);
    }
    let id = container.id.get(..12).unwrap_or(&container.id);
    let holder = format!(
        "container name {name:?} is held by container {id} (image {}), which this deployment does not own; remove or rename it",
        container.image
    );
    Some(WaitReason::NotOwned { holder })
}

/// It was made and never started, or its start failed.
fn never_started(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
) {
    let record = recovery::record(planner, service, replica);
    let container_of = Some(container);
    let Some(cause) = after_failure(planner, slots, service, replica, container_of, &record, true, Cause::Unfinished) else {
        return;
    };
    start(planner, slots, service, replica, container, cause);
}

/// Plans the start of a container that exists, once its dependencies are there: given its declared name and networks first.
pub(super) fn start(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    cause: Cause,
) {
    let subject = Subject::Replica(replica.clone());
    if let Some((wait, until)) = planner.obstacle(&subject) {
        return planner.wait(subject, wait, Some(until));
    }
    let ready = order::ready(planner, slots, service)
        .and_then(|after| spec::networks_of(planner, service).map(|(_, made)| (after, made)));
    let mut after = match ready {
        Ok((after, made)) => [after, made].concat(),
        Err(wait) => return planner.wait(subject, wait, None),
    };
    take_policy_off(planner, replica, container);
    let name = container_name(planner.desired, service, replica.number);
    after.extend(running::rename(planner, replica, container, &name));
    after.extend(running::reattach(planner, service, replica, container));
    after.sort_unstable();
    after.dedup();
    let start = planner.act(Op::Start(existing(container)), subject, cause, after);
    planner.starts.insert(replica.clone(), start);
}

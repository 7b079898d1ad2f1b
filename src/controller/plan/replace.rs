//! Recreate: a small transaction whose every half-way state is recognised.
//!
//! make the successor under a temporary name, stop the old one, remove it, give the successor its name, start it.
//! Until the successor is made the old one goes on serving.

use crate::model::{Cause, Container, DesiredService, JobKind, Op, ReplicaId, StopReason, Subject, Target, WaitReason};

use super::health::wellness;
use super::holds::{Standing, existing, standing, stop};
use super::identity::{Slot, container_name, owns};
use super::{Planner, Slots, adopt, containers, files, images, remedy, spec};

/// Why a container must be replaced, if it must.
pub(super) fn due(planner: &Planner<'_>, slots: &Slots<'_>, service: &DesiredService, container: &Container) -> Option<Cause> {
    let made_from = if owns(planner.desired, &container.labels) {
        container.spec_hash()
    } else {
        let adopted = container.replica().and_then(|replica| planner.memory.adopted(&replica, &container.id));
        if adopted.is_some_and(|adopted| adopt::recreation_due(service, adopted, container)) {
            return Some(Cause::RecreateRequested);
        }
        adopted.map_or(Some(service.spec_hash.as_str()), |adopted| Some(&adopted.spec_hash))
    };
    if made_from != Some(service.spec_hash.as_str()) {
        return Some(Cause::SpecChanged);
    }
    if service.recreated_at.is_some_and(|asked| container.created_at.is_some_and(|made| made < asked)) {
        return Some(Cause::RecreateRequested);
    }
    if let Some(cause) = remedy::recreation(planner, service, container) {
        return Some(cause);
    }
    let stale = spec::stale_parent(slots, service, container).map(|service| Cause::DependencyRestarted { service });
    stale.or_else(|| images::outdated(planner, service, container)).or_else(|| files::outdated(planner, service, container))
}

/// Plans the next steps of a replacement. Returns whether it goes ahead; if not, the old container is still the one to look after.
pub(super) fn step(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    slot: Slot<'_>,
    cause: Cause,
) -> bool {
    let Some(old) = slot.current else { return false };
    // One that failed does not serve, and waits for no other.
    let brings_back = cause.is_urgent() || (matches!(cause, Cause::RolledBack { .. }) && !old.is_up());
    if !brings_back && let Some(before) = turn_of(planner, slots, service, replica) {
        planner.wait_replica(replica, WaitReason::RollingUpdate { replica: before }, None);
        return false;
    }
    let (successor, made) = match slot.successor {
        // Made from an image that a newer one has outdated since: it never gets to run.
        Some(successor) if images::outdated(planner, service, successor).is_some() => {
            planner.act(Op::RemoveContainer(existing(successor)), Subject::Replica(replica.clone()), cause, vec![]);
            return true;
        }
        Some(successor) => (existing(successor), vec![]),
        None => match containers::create(planner, slots, service, replica, Some(old), cause.clone()) {
            Some(made) => (made.target(), vec![made.action]),
            None => return false,
        },
    };
    if old.is_up() {
        stop(planner, service, replica, old, StopReason::Replace, cause, made);
    } else {
        take_over(planner, slots, service, replica, old, successor, made, cause);
    }
    true
}

/// The old one has stopped: the successor takes its place.
#[expect(clippy::too_many_arguments, reason = "each is one part of the transaction")]
fn take_over(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    old: &Container,
    successor: Target,
    made: Vec<usize>,
    cause: Cause,
) {
    let subject = || Subject::Replica(replica.clone());
    let mut after = match super::order::ready(planner, slots, service) {
        Ok(after) => after,
        Err(wait) => return planner.wait(subject(), wait, None),
    };
    let removed = planner.act(Op::RemoveContainer(existing(old)), subject(), cause.clone(), made);
    let to = container_name(planner.desired, service, replica.number);
    let successor_named = successor.named(&to);
    let renamed = planner.act(Op::Rename { target: successor, to }, subject(), cause.clone(), vec![removed]);
    after.push(renamed);
    let start = planner.act(Op::Start(successor_named), subject(), cause, after);
    planner.starts.insert(replica.clone(), start);
}

/// The replica whose turn it is instead, if it is not this one's: one at a time, and the one before must be well again.
fn turn_of(planner: &Planner<'_>, slots: &Slots<'_>, service: &DesiredService, replica: &ReplicaId) -> Option<ReplicaId> {
    let replicas = (1..=service.replicas).map(|number| ReplicaId::new(&service.name, number));
    let mut waiting: Vec<(bool, bool, ReplicaId)> = Vec::new();
    for other in replicas.filter(|other| matches!(standing(planner, other), Standing::Free)) {
        let slot = slots.get(&other);
        let Some(container) = slot.current else { continue };
        if due(planner, slots, service, container).is_some() {
            let stopping = planner.job(&JobKind::Stop(container.id.clone()));
            waiting.push((slot.successor.is_none() && !stopping, container.is_up(), other));
        } else if other != *replica
            && !is_well(planner, service, container)
            && planner.memory.completed(&other, &service.spec_hash).is_none()
        {
            return Some(other);
        }
    }
    let first = waiting.into_iter().min().map(|(_, _, first)| first);
    first.filter(|first| first != replica)
}

/// Runs, and no probe says otherwise.
fn is_well(planner: &Planner<'_>, service: &DesiredService, container: &Container) -> bool {
    container.is_up() && wellness(service, container, planner.probed).is_well()
}

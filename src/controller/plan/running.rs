//! A container that runs and is the wanted one: what can be mended without touching its processes, and whether to restart it.

use crate::model::{
    Attachment, Cause, Container, DecisionResult, DesiredService, NetworkAttachment, NetworkRef, Note, Op, ReplicaId, StopReason,
    Subject,
};

use super::holds::{existing, stop};
use super::identity::{container_name, owns};
use super::{Planner, Slots, containers, files, health, images, later, order};

/// Plans for a running container.
pub(super) fn keep(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
) {
    if service.restarted_at.is_some_and(|asked| container.started_at.is_some_and(|started| started < asked)) {
        return stop(planner, service, replica, container, StopReason::Restart, Cause::RestartRequested, vec![]);
    }
    if let Some(parent) = order::outdated_by(planner, slots, service, container) {
        let cause = Cause::DependencyRestarted { service: parent };
        return stop(planner, service, replica, container, StopReason::Restart, cause, vec![]);
    }
    if files::restarts(planner, service, replica, container) {
        return;
    }
    if health::tend(planner, slots, service, replica, container) {
        return;
    }
    containers::take_policy_off(planner, replica, container);
    let name = container_name(planner.desired, service, replica.number);
    rename(planner, replica, container, &name);
    reattach(planner, service, replica, container);
    images::retag(planner, service, container);
    files::signal(planner, service, replica, container);
    forgive(planner, service, replica, container);
}

/// After a stable window of running, and well, the attempts start over; a mere start never resets them.
fn forgive(planner: &mut Planner<'_>, service: &DesiredService, replica: &ReplicaId, container: &Container) {
    let record = planner.history.replica(replica);
    if record.attempts == 0 && record.failure.is_none() || !health::wellness(service, container, planner.probed).is_well() {
        return;
    }
    // It may have been unhealthy in this very run.
    let Some(since) = container.started_at.max(record.failure.as_ref().map(|failure| failure.at)) else { return };
    // Then it is known whether what was done has helped.
    let verified = later(since, planner.desired.recovery.verify_window);
    if record.last_decision().is_some_and(|last| last.result == DecisionResult::Pending) && planner.now < verified {
        planner.plan.wake(verified);
    }
    let stable = later(since, planner.desired.recovery.stable_window);
    if stable <= planner.now {
        planner.note(Note::Stable(replica.clone()));
    } else {
        planner.plan.wake(stable);
    }
}

/// Gives a container of ours its declared name, if that is free.
pub(super) fn rename(planner: &mut Planner<'_>, replica: &ReplicaId, container: &Container, name: &str) -> Option<usize> {
    let taken = || planner.snapshot.containers.values().any(|other| other.name == name);
    if container.name == name || !owns(planner.desired, &container.labels) || taken() {
        return None;
    }
    let cause = if container.name.ends_with(&format!("_{name}")) { Cause::Unfinished } else { Cause::Renamed };
    let op = Op::Rename { target: existing(container), to: name.to_owned() };
    Some(planner.act(op, Subject::Replica(replica.clone()), cause, vec![]))
}

/// Attaches a container to the networks it should be on and is not, or is on under an id that is gone. Its names there are
/// given again, since Docker forgets them.
pub(super) fn reattach(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
) -> Vec<usize> {
    let subject = Subject::Replica(replica.clone());
    let mut last = Vec::new();
    for declared in &service.template.networks {
        let Some(Ok(network)) = planner.networks.get(&declared.network).cloned() else { continue };
        let Some(name) = planner.desired.networks.get(&declared.network).map(|network| network.name.clone()) else { continue };
        let attached = container.networks.get(&name);
        if attached.is_some_and(|attached| same_network(attached, &network)) {
            continue;
        }
        if let Some((wait, until)) = planner.obstacle(&subject) {
            planner.wait(subject, wait, Some(until));
            return vec![];
        }
        let mut after = match &network {
            NetworkRef::Made(action) => vec![*action],
            NetworkRef::Id(_) => vec![],
        };
        if attached.is_some() && !planner.detached.contains(&(container.id.clone(), name.clone())) {
            let op = Op::Disconnect { target: existing(container), network: name.clone() };
            after.push(planner.act(op, subject.clone(), Cause::NetworkChanged, vec![]));
        }
        let attachment = Box::new(named(planner, service, replica, declared));
        let op = Op::Connect { target: existing(container), network, name, attachment };
        last.push(planner.act(op, subject.clone(), Cause::NetworkChanged, after));
    }
    last
}

/// A container that never ran has no network id yet: it is taken at its word.
fn same_network(attached: &Attachment, network: &NetworkRef) -> bool {
    match network {
        NetworkRef::Id(id) => attached.network_id.is_empty() || attached.network_id == *id,
        NetworkRef::Made(_) => false,
    }
}

/// The attachment with the container's own name among its aliases.
fn named(
    planner: &Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    declared: &NetworkAttachment,
) -> NetworkAttachment {
    let mut attachment = declared.clone();
    let name = container_name(planner.desired, service, replica.number);
    if !attachment.aliases.contains(&name) {
        attachment.aliases.push(name);
    }
    attachment
}

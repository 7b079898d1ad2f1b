//! What is no longer declared goes; what a deleted Deployment made goes. Volumes only on an explicit word.

use crate::model::{
    Cause, Container, ContainerState, Deletion, DesiredService, HoldState, JobKind, Network, Note, Op, ReplicaId, StopReason,
    Subject, WaitReason,
};

use super::holds::{can_be_told, existing, give_back, suspended_entirely};
use super::identity::{owns_network, owns_volume};
use super::{Planner, Slots, adopt, sorted};

/// Stop grace of a container whose service is no longer known, in seconds: Docker's own default.
const DEFAULT_GRACE: u64 = 10;

/// Removes containers that stand for nothing declared, and networks that no service uses.
pub(super) fn undeclared(planner: &mut Planner<'_>, slots: &Slots<'_>) {
    if suspended_entirely(planner) {
        return;
    }
    for container in &slots.undeclared {
        let held = container.replica().and_then(|replica| planner.desired.hold(&replica, planner.now));
        if held.is_none_or(|hold| hold.state != HoldState::Suspended) {
            remove(planner, container, Cause::NotDeclared);
        }
    }
    let declared = |network: &&Network| planner.desired.networks.values().any(|spec| spec.name == network.name);
    let unused: Vec<&Network> = owned_networks(planner).into_iter().filter(|network| !declared(network)).collect();
    for network in unused {
        let attached = |container: &Container| container.networks.contains_key(&network.name);
        if !slots.all().any(attached) && !adopt::is_shared(planner, slots, network) {
            remove_network(planner, network, Cause::NotDeclared);
        }
    }
}

/// Removes everything the Deployment made, dependents first; or, with `orphan`, leaves it running under Docker's own policies.
pub(super) fn delete(planner: &mut Planner<'_>, slots: &Slots<'_>, deletion: Deletion) {
    // What hangs may still make something: it is waited for, or nobody would own that.
    let calls = planner.calls();
    for (subject, wait) in calls.clone() {
        planner.wait(subject, wait, None);
    }
    if deletion.orphan {
        // A stop under way is finished first: it was promised.
        let stopping = planner.jobs.iter().any(|job| matches!(job.kind, JobKind::Stop(_)));
        if stopping {
            planner.wait(Subject::Deployment, WaitReason::Stopping, None);
        }
        return leave_running(planner, slots, calls.is_empty() && !stopping);
    }
    let containers: Vec<&Container> = slots.all().collect();
    for container in &containers {
        if has_running_dependent(planner, slots, container) {
            planner.wait(Subject::Container(container.name.clone()), WaitReason::Stopping, None);
        } else {
            remove(planner, container, Cause::Deleted);
        }
    }
    if !containers.is_empty() {
        return;
    }
    let shared = |network: &&Network| !adopt::is_shared(planner, slots, network);
    // What is declared external by now is somebody else's.
    let external = |network: &&Network| planner.desired.networks.values().any(|spec| spec.external && spec.name == network.name);
    let networks: Vec<&Network> =
        owned_networks(planner).into_iter().filter(shared).filter(|network| !external(network)).collect();
    for network in &networks {
        remove_network(planner, network, Cause::Deleted);
    }
    let volumes: Vec<String> = match deletion.volumes {
        true => {
            let external = |name: &str| planner.desired.volumes.values().any(|spec| spec.external && spec.name == name);
            let ours = planner.snapshot.volumes.values().filter(|v| owns_volume(planner.desired, planner.memory, v));
            ours.filter(|volume| !external(&volume.name)).map(|volume| volume.name.clone()).collect()
        }
        false => vec![],
    };
    for name in &volumes {
        let subject = Subject::Volume(name.clone());
        if let Some((wait, until)) = planner.obstacle(&subject) {
            planner.wait(subject, wait, Some(until));
        } else {
            planner.act(Op::RemoveVolume { name: name.clone() }, subject, Cause::Deleted, vec![]);
        }
    }
    if networks.is_empty() && volumes.is_empty() && calls.is_empty() {
        planner.note(Note::Cleaned);
    }
}

/// Gives Docker its declared policies back; done when all have them and no call is `answered` late.
fn leave_running(planner: &mut Planner<'_>, slots: &Slots<'_>, answered: bool) {
    let before = planner.plan.actions.len();
    for service in sorted(planner.desired) {
        for number in 1..=service.replicas {
            let replica = ReplicaId::new(&service.name, number);
            if let Some(container) = slots.get(&replica).current.filter(|container| can_be_told(container)) {
                give_back(planner, service, &replica, container, Cause::Released);
            }
        }
    }
    if planner.plan.actions.len() == before && answered {
        planner.note(Note::Cleaned);
    }
}

/// Whether a container of a service that depends on this one's still runs.
fn has_running_dependent(planner: &Planner<'_>, slots: &Slots<'_>, container: &Container) -> bool {
    let Some(ReplicaId { service, .. }) = container.replica() else { return false };
    let depends = |other: &DesiredService| other.depends_on.contains_key(&service);
    let service_of = |other: &Container| other.replica().and_then(|replica| planner.desired.services.get(&replica.service));
    slots.all().any(|other| other.is_up() && service_of(other).is_some_and(depends))
}

/// Stops it if it is up, removes it if it is not.
fn remove(planner: &mut Planner<'_>, container: &Container, cause: Cause) {
    let subject = Subject::Container(container.name.clone());
    if planner.job(&JobKind::Stop(container.id.clone())) {
        return planner.wait(subject, WaitReason::Stopping, None);
    }
    if let Some((wait, until)) = planner.obstacle(&subject) {
        return planner.wait(subject, wait, Some(until));
    }
    if container.state == ContainerState::Removing {
        return planner.wait(subject, WaitReason::Removing, None);
    }
    if container.is_up() {
        let service = container.replica().and_then(|replica| planner.desired.services.get(&replica.service));
        let grace = service.map_or(DEFAULT_GRACE, |service| service.stop_grace.as_secs());
        planner.act(Op::Stop { target: existing(container), grace, reason: StopReason::Remove }, subject, cause, vec![]);
    } else {
        planner.act(Op::RemoveContainer(existing(container)), subject, cause, vec![]);
    }
}

fn remove_network(planner: &mut Planner<'_>, network: &Network, cause: Cause) {
    let subject = Subject::Network(network.name.clone());
    if let Some((wait, until)) = planner.obstacle(&subject) {
        planner.wait(subject, wait, Some(until));
    } else {
        planner.act(Op::RemoveNetwork { id: network.id.clone() }, subject, cause, vec![]);
    }
}

fn owned_networks<'a>(planner: &Planner<'a>) -> Vec<&'a Network> {
    planner.snapshot.networks.values().filter(|network| owns_network(planner.desired, planner.memory, network)).collect()
}

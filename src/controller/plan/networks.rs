//! Networks: made once, by one writer, used by id.

use crate::model::{
    Cause, Container, DesiredService, HoldState, Network, NetworkRef, NetworkSpec, Op, Reason, Subject, WaitReason, labels,
};

use super::holds::{any_free, existing};
use super::identity::{owns, owns_network};
use super::{Planner, Slots, adopt};

/// Finds or plans each network that a service which may run needs.
pub(super) fn ensure(planner: &mut Planner<'_>, slots: &Slots<'_>) {
    let desired = planner.desired;
    for (key, spec) in &desired.networks {
        let uses = |service: &&DesiredService| service.template.networks.iter().any(|attachment| attachment.network == *key);
        if !desired.services.values().filter(uses).any(|service| any_free(planner, service)) {
            continue;
        }
        let found = find(planner, slots, spec);
        if let Err(wait) = &found {
            planner.wait(Subject::Network(spec.name.clone()), wait.clone(), None);
        }
        planner.networks.insert(key.clone(), found);
    }
}

fn find(planner: &mut Planner<'_>, slots: &Slots<'_>, spec: &NetworkSpec) -> Result<NetworkRef, WaitReason> {
    let mut named: Vec<&Network> = planner.snapshot.networks.values().filter(|network| network.name == spec.name).collect();
    if spec.external {
        let message =
            format!("network {} is external and does not exist; make it: docker network create {}", spec.name, spec.name);
        let missing = WaitReason::Obstacle { reason: Reason::NetworkMissing, message };
        return named.first().map(|network| NetworkRef::Id(network.id.clone())).ok_or(missing);
    }
    named.sort_by_key(|network| {
        (!owns_network(planner.desired, planner.memory, network), !is_in_use(planner, network), network.id.clone())
    });
    if let Some(wait) = made_twice(planner, &named) {
        return Err(wait);
    }
    match named.first() {
        Some(network) if !owns_network(planner.desired, planner.memory, network) => {
            adopt::network(planner, slots, spec, network).map_or_else(|| Ok(NetworkRef::Id(network.id.clone())), Err)
        }
        Some(network) if made_from(planner, network) == Some(&spec.hash) => Ok(NetworkRef::Id(network.id.clone())),
        Some(network) => make_anew(planner, slots, spec, network),
        None => create(planner, spec, Cause::Missing, vec![]),
    }
}

/// Hash of the definition that a network of ours is of.
fn made_from<'p>(planner: &'p Planner<'_>, network: &'p Network) -> Option<&'p String> {
    let adopted = planner.memory.adopted_shared.networks.get(&network.name).filter(|adopted| adopted.id == network.id);
    network.labels.get(labels::SPEC_HASH).or(adopted.map(|adopted| &adopted.spec_hash))
}

fn create(planner: &mut Planner<'_>, spec: &NetworkSpec, cause: Cause, after: Vec<usize>) -> Result<NetworkRef, WaitReason> {
    let subject = Subject::Network(spec.name.clone());
    if let Some((wait, until)) = planner.obstacle(&subject) {
        planner.plan.wake(until);
        return Err(wait);
    }
    Ok(NetworkRef::Made(planner.act(Op::CreateNetwork(Box::new(spec.clone())), subject, cause, after)))
}

/// An operator that was killed, or got no answer, while it made a network has made another since. Nothing can be started on one
/// of two of the same name: those that nothing is on are removed first.
fn made_twice(planner: &mut Planner<'_>, named: &[&Network]) -> Option<WaitReason> {
    let ours = named.iter().filter(|network| owns(planner.desired, &network.labels));
    let spare: Vec<&&Network> = ours.skip(1).filter(|network| !is_in_use(planner, network)).collect();
    let name = &spare.first()?.name;
    let subject = Subject::Network(name.clone());
    if let Some((wait, until)) = planner.obstacle(&subject) {
        planner.plan.wake(until);
        return Some(wait);
    }
    for network in &spare {
        planner.act(Op::RemoveNetwork { id: network.id.clone() }, subject.clone(), Cause::Unfinished, vec![]);
    }
    let message = format!("network {name} was made more than once; what nothing is on is removed");
    Some(WaitReason::Obstacle { reason: Reason::EngineError, message })
}

fn is_in_use(planner: &Planner<'_>, network: &Network) -> bool {
    planner.snapshot.containers.values().any(|container| is_on(container, network))
}

/// Whether a container is known to be on a network. One that never ran is on it by name alone.
fn is_on(container: &Container, network: &Network) -> bool {
    container.networks.values().any(|attached| attached.network_id == network.id)
}

/// Who keeps a network from being made anew: somebody else's container on it, or one of ours that is not to be touched.
fn in_the_way(planner: &Planner<'_>, slots: &Slots<'_>, old: &Network) -> Option<WaitReason> {
    let on_it = |container: &&Container| is_on(container, old);
    planner.snapshot.containers.values().map(AsRef::as_ref).filter(on_it).find_map(|container| {
        if !slots.all().any(|ours| ours.id == container.id) {
            let holder = format!(
                "the definition of network {} changed, and it cannot be made anew while container {} of somebody else is on it; \
                 disconnect that one",
                old.name, container.name
            );
            return Some(WaitReason::NotOwned { holder });
        }
        let hold = container.replica().and_then(|replica| planner.desired.hold(&replica, planner.now))?;
        (hold.state == HoldState::Suspended).then(|| WaitReason::Suspended { reason: hold.reason.clone() })
    })
}

/// Its definition changed: everything is taken off it, and it is made anew. Containers are attached again by their own turn.
fn make_anew(planner: &mut Planner<'_>, slots: &Slots<'_>, spec: &NetworkSpec, old: &Network) -> Result<NetworkRef, WaitReason> {
    let subject = Subject::Network(spec.name.clone());
    if let Some((_, until)) = planner.obstacle(&subject) {
        planner.plan.wake(until);
        return Ok(NetworkRef::Id(old.id.clone()));
    }
    if let Some(wait) = in_the_way(planner, slots, old) {
        planner.wait(subject, wait, None);
        return Ok(NetworkRef::Id(old.id.clone()));
    }
    let mut detached = Vec::new();
    for container in slots.all().filter(|container| container.networks.contains_key(&old.name)) {
        let op = Op::Disconnect { target: existing(container), network: old.name.clone() };
        detached.push(planner.act(op, subject.clone(), Cause::SpecChanged, vec![]));
        planner.detached.insert((container.id.clone(), old.name.clone()));
    }
    let removed = planner.act(Op::RemoveNetwork { id: old.id.clone() }, subject, Cause::SpecChanged, detached);
    create(planner, spec, Cause::SpecChanged, vec![removed])
}

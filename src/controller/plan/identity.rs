//! Which observed container is which replica, and which are left over.

use std::collections::BTreeMap;

use crate::model::{
    Container, ContainerState, Desired, DesiredService, History, Memory, Network, ReplicaId, Snapshot, Volume, labels,
};

/// The containers of a Deployment, sorted by what they stand for.
#[derive(Debug, Default)]
pub(crate) struct Slots<'a> {
    by_replica: BTreeMap<ReplicaId, Slot<'a>>,
    /// What Compose made in a place where none of ours ever was: somebody else's, unless it is taken over.
    strangers: BTreeMap<ReplicaId, &'a Container>,
    /// Ours, but no longer declared, or left over from a step that another one outdated.
    pub undeclared: Vec<&'a Container>,
}

/// One declared replica.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Slot<'a> {
    /// The container that stands for it.
    pub current: Option<&'a Container>,
    /// A newer one, made under a temporary name to take its place, never started.
    pub successor: Option<&'a Container>,
}

impl<'a> Slots<'a> {
    /// Keeps a stranger: of several for one replica, one that runs, else the newest.
    fn strange(&mut self, replica: ReplicaId, container: &'a Container) {
        let rank = |found: &Container| (found.is_up(), found.created_at);
        let known = self.strangers.entry(replica).or_insert(container);
        if rank(container) > rank(known) {
            *known = container;
        }
    }

    /// The slot of a replica.
    pub fn get(&self, replica: &ReplicaId) -> Slot<'a> {
        self.by_replica.get(replica).copied().unwrap_or_default()
    }

    /// Containers that Compose made for replicas which have none of ours.
    pub(super) fn strangers(&self) -> Vec<(ReplicaId, &'a Container)> {
        let free = self.strangers.iter().filter(|(replica, _)| self.get(replica).current.is_none());
        free.map(|(replica, container)| (replica.clone(), *container)).collect()
    }

    /// A stranger stands for the replica from now on.
    pub(super) fn take_over(&mut self, replica: ReplicaId, container: &'a Container) {
        self.by_replica.insert(replica, Slot { current: Some(container), successor: None });
    }

    /// Containers that Compose put in the place of ours, which are not on record yet.
    pub(super) fn unrecorded(&self, planner: &super::Planner<'_>) -> Vec<(ReplicaId, &'a Container)> {
        let new = |replica: &ReplicaId, container: &Container| {
            let known = planner.memory.adopted(replica, &container.id).is_some();
            !owns(planner.desired, &container.labels) && !known && !self.is_stranger(&container.id)
        };
        let current = self.by_replica.iter().filter_map(|(replica, slot)| Some((replica, slot.current?)));
        current.filter(|(replica, found)| new(replica, found)).map(|(replica, found)| (replica.clone(), found)).collect()
    }

    fn is_stranger(&self, id: &str) -> bool {
        self.strangers.values().any(|container| container.id == id)
    }

    /// Every container of the Deployment, declared or not.
    pub fn all(&self) -> impl Iterator<Item = &'a Container> {
        let declared = self.by_replica.values().flat_map(|slot| [slot.current, slot.successor]).flatten();
        declared.chain(self.undeclared.iter().copied())
    }
}

/// The name a replica's container has: `container_name`, else `<project>-<service>-<n>`.
pub(crate) fn container_name(desired: &Desired, service: &DesiredService, number: u32) -> String {
    service.container_name.clone().unwrap_or_else(|| format!("{}-{}-{number}", desired.project, service.name))
}

/// The name a replacement has until it takes over: Compose's, so that Compose recognises a half-way state too.
pub(super) fn temporary_name(old: &Container, name: &str) -> String {
    format!("{}_{name}", old.id.get(..12).unwrap_or(&old.id))
}

/// Sorts what was observed.
pub(crate) fn slots<'a>(desired: &Desired, snapshot: &'a Snapshot, history: &History, memory: &Memory) -> Slots<'a> {
    let mut slots = Slots::default();
    let mut candidates: BTreeMap<ReplicaId, Vec<&Container>> = BTreeMap::new();
    for container in snapshot.containers.related(&desired.key, &desired.project) {
        let ours = owns(desired, &container.labels);
        if !ours && !stands_in(desired, container, history, memory) {
            if let Some(replica) = made_by_compose(desired, container).filter(|replica| is_declared(desired, replica)) {
                slots.strange(replica, container);
            }
            continue;
        }
        match container.replica() {
            Some(replica) if is_declared(desired, &replica) => candidates.entry(replica).or_default().push(container),
            replica if ours || replica.as_ref().is_some_and(|it| memory.adopted(it, &container.id).is_some()) => {
                slots.undeclared.push(container);
            }
            _ => {}
        }
    }
    for (replica, containers) in candidates {
        let slot = fill(desired, &replica, containers, &mut slots.undeclared);
        slots.by_replica.insert(replica, slot);
    }
    slots
}

/// Containers that Compose made for declared replicas which have none of ours, and that its own hash does not say to be as declared.
pub(crate) fn strangers<'a>(
    desired: &Desired,
    snapshot: &'a Snapshot,
    history: &History,
    memory: &Memory,
) -> Vec<(ReplicaId, &'a Container)> {
    let known = |replica: &ReplicaId, container: &Container| {
        desired.services.get(&replica.service).is_none_or(|service| super::adopt::same_hash(service, container))
    };
    let mut strangers = slots(desired, snapshot, history, memory).strangers();
    strangers.retain(|(replica, container)| !known(replica, container));
    strangers
}

/// Whether labels say that this operator made the object for this Deployment.
pub(super) fn owns(desired: &Desired, found: &BTreeMap<String, String>) -> bool {
    let is = |label: &str, value: &str| found.get(label).is_some_and(|found| found == value);
    is(labels::INSTANCE, &desired.instance)
        && is(labels::NAMESPACE, &desired.key.namespace)
        && is(labels::DEPLOYMENT, &desired.key.name)
}

/// Whether a network is ours: by its labels, or by the record of what was taken over.
pub(super) fn owns_network(desired: &Desired, memory: &Memory, network: &Network) -> bool {
    let adopted = memory.adopted_shared.networks.get(&network.name);
    owns(desired, &network.labels) || adopted.is_some_and(|adopted| adopted.id == network.id)
}

/// Whether a volume is ours: by its labels, or by the record of what was taken over, while Compose's labels still name the project.
pub(super) fn owns_volume(desired: &Desired, memory: &Memory, volume: &Volume) -> bool {
    let adopted = memory.adopted_shared.volumes.contains_key(&volume.name);
    let of_project = volume.labels.get(labels::COMPOSE_PROJECT) == Some(&desired.project);
    owns(desired, &volume.labels) || (adopted && of_project && !volume.labels.contains_key(labels::INSTANCE))
}

/// Made by `docker compose` by hand, in the place of one of ours, or taken over from it: same project and service, and that
/// replica was ours before or the record names the container.
fn stands_in(desired: &Desired, container: &Container, history: &History, memory: &Memory) -> bool {
    let known = |replica: &ReplicaId| {
        let was_ours = history.replicas.get(&replica.to_string()).is_some_and(|record| record.was_ours);
        memory.adopted(replica, &container.id).is_some() || was_ours
    };
    made_by_compose(desired, container).is_some_and(|replica| known(&replica))
}

/// The replica that a container stands for which `docker compose` made for the project, and no operator.
fn made_by_compose(desired: &Desired, container: &Container) -> Option<ReplicaId> {
    let of_project = container.labels.get(labels::COMPOSE_PROJECT) == Some(&desired.project);
    let made_by_an_operator = container.labels.contains_key(labels::INSTANCE);
    container.replica().filter(|_| of_project && !made_by_an_operator)
}

fn is_declared(desired: &Desired, replica: &ReplicaId) -> bool {
    desired.services.get(&replica.service).is_some_and(|service| (1..=service.replicas).contains(&replica.number))
}

/// Chooses who stands for a replica: what runs, else what has run, else what bears the right name, else the newest. A
/// never-started one of the wanted spec beside it is its successor; any further one of ours is left over.
fn fill<'a>(
    desired: &Desired,
    replica: &ReplicaId,
    mut containers: Vec<&'a Container>,
    rest: &mut Vec<&'a Container>,
) -> Slot<'a> {
    let service = &desired.services[&replica.service];
    let name = container_name(desired, service, replica.number);
    let never_started = |c: &Container| c.state == ContainerState::Created && c.started_at.is_none();
    containers.sort_by_key(|c| std::cmp::Reverse((c.is_up(), !never_started(c), c.name == name, c.created_at)));
    let mut containers = containers.into_iter();
    let mut slot = Slot { current: containers.next(), successor: None };
    for container in containers {
        let wanted = container.spec_hash() == Some(service.spec_hash.as_str());
        if slot.successor.is_none() && never_started(container) && wanted {
            slot.successor = Some(container);
        } else if owns(desired, &container.labels) {
            rest.push(container);
        }
    }
    slot
}

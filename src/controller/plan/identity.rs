//! Which observed container is which replica, and which are left over.

use std::collections::BTreeMap;

use crate::model::{Container, ContainerState, Desired, DesiredService, History, Memory, ReplicaId, Snapshot, labels};

/// The containers of a Deployment, sorted by what they stand for.
#[derive(Debug, Default)]
pub(crate) struct Slots<'a> {
    by_replica: BTreeMap<ReplicaId, Slot<'a>>,
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
    /// The slot of a replica.
    pub fn get(&self, replica: &ReplicaId) -> Slot<'a> {
        self.by_replica.get(replica).copied().unwrap_or_default()
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
            continue;
        }
        match container.replica() {
            Some(replica) if is_declared(desired, &replica) => candidates.entry(replica).or_default().push(container),
            _ if ours => slots.undeclared.push(container),
            _ => {}
        }
    }
    for (replica, containers) in candidates {
        let slot = fill(desired, &replica, containers, &mut slots.undeclared);
        slots.by_replica.insert(replica, slot);
    }
    slots
}

/// Whether labels say that this operator made the object for this Deployment.
pub(super) fn owns(desired: &Desired, found: &BTreeMap<String, String>) -> bool {
    let is = |label: &str, value: &str| found.get(label).is_some_and(|found| found == value);
    is(labels::INSTANCE, &desired.instance)
        && is(labels::NAMESPACE, &desired.key.namespace)
        && is(labels::DEPLOYMENT, &desired.key.name)
}

/// Made by `docker compose` by hand, in the place of one of ours: same project and service, and that replica was ours before.
fn stands_in(desired: &Desired, container: &Container, history: &History, memory: &Memory) -> bool {
    let of_project = container.labels.get(labels::COMPOSE_PROJECT).is_some_and(|project| *project == desired.project);
    let one_off = container.labels.get(labels::COMPOSE_ONEOFF).is_some_and(|value| value == "True");
    let made_by_an_operator = container.labels.contains_key(labels::INSTANCE);
    let known = |replica: &ReplicaId| {
        let id = replica.to_string();
        memory.adopted.get(&id).is_some_and(|adopted| adopted.container_id == container.id)
            || history.replicas.get(&id).is_some_and(|record| record.was_ours)
    };
    of_project && !one_off && !made_by_an_operator && container.replica().is_some_and(|replica| known(&replica))
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

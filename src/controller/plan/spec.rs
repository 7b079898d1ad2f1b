//! From a service's template to what one container is made from.

use std::collections::BTreeMap;

use crate::model::{
    Container, ContainerSpec, DependencyCondition, DesiredService, Mount, MountSource, MountSpec, NamespaceMode, NetworkMode,
    NetworkRef, ReplicaId, WaitReason, labels,
};

use super::identity::container_name;
use super::{Planner, Slots};

/// Compose's label of the image a container was made from.
const COMPOSE_IMAGE: &str = "com.docker.compose.image";

/// What a replica's container is made from: names, labels, namespace parents and carried-over volumes filled in.
/// Waits where a parent is not there yet.
pub(super) fn container_spec(
    planner: &Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    old: Option<&Container>,
) -> Result<ContainerSpec, WaitReason> {
    let mut spec = service.template.clone();
    spec.name = container_name(planner.desired, service, replica.number);
    let number = replica.number.to_string();
    spec.labels.insert(labels::REPLICA.into(), number.clone());
    spec.labels.insert(labels::COMPOSE_NUMBER.into(), number);
    if let Some(image) = planner.snapshot.image(&spec.image) {
        spec.labels.insert(COMPOSE_IMAGE.into(), image.id.clone());
    }
    for attachment in &mut spec.networks {
        if !attachment.aliases.contains(&spec.name) {
            attachment.aliases.push(spec.name.clone());
        }
    }
    resolve_parents(slots, &mut spec)?;
    carry_over(planner, replica, &mut spec, old);
    Ok(spec)
}

/// The services whose namespaces a service joins.
pub(super) fn namespace_parents(service: &DesiredService) -> Vec<&str> {
    let template = &service.template;
    let network = if let NetworkMode::Service(name) = &template.network { Some(name.as_str()) } else { None };
    let shared = [&template.ipc, &template.pid].into_iter().filter_map(|mode| match mode {
        Some(NamespaceMode::Service(name)) => Some(name.as_str()),
        _ => None,
    });
    network.into_iter().chain(shared).collect()
}

/// The service of a namespace parent that `container` does not share with any more, if there is one.
pub(super) fn stale_parent(slots: &Slots<'_>, service: &DesiredService, container: &Container) -> Option<String> {
    let parent_of = |name: &str| slots.get(&ReplicaId::new(name, 1)).current;
    let network = match &service.template.network {
        NetworkMode::Service(name) => parent_of(name)
            .filter(|parent| container.network_mode.strip_prefix("container:").is_some_and(|id| id != parent.id))
            .map(|_| name.clone()),
        _ => None,
    };
    let other = |mode: &Option<NamespaceMode>| match mode {
        Some(NamespaceMode::Service(name)) => {
            parent_of(name).filter(|parent| !container.namespace_parents.contains(&parent.id)).map(|_| name.clone())
        }
        _ => None,
    };
    network.or_else(|| other(&service.template.ipc)).or_else(|| other(&service.template.pid))
}

fn resolve_parents(slots: &Slots<'_>, spec: &mut ContainerSpec) -> Result<(), WaitReason> {
    let parent =
        |name: &str| {
            slots.get(&ReplicaId::new(name, 1)).current.map(|container| container.id.clone()).ok_or_else(|| {
                WaitReason::Dependency { service: name.into(), condition: DependencyCondition::ServiceStarted, failed: false }
            })
        };
    if let NetworkMode::Service(name) = &spec.network {
        spec.network = NetworkMode::Container(parent(name)?);
    }
    for mode in [&mut spec.ipc, &mut spec.pid].into_iter().flatten() {
        if let NamespaceMode::Service(name) = mode {
            *mode = NamespaceMode::Container(parent(name)?);
        }
    }
    Ok(())
}

/// Gives a new container the anonymous volumes of the one it replaces, or of the one that was removed.
fn carry_over(planner: &Planner<'_>, replica: &ReplicaId, spec: &mut ContainerSpec, old: Option<&Container>) {
    let remembered = planner.memory.volumes.get(&replica.to_string());
    let names = old.map(anonymous_volumes).filter(|names| !names.is_empty()).or_else(|| remembered.cloned()).unwrap_or_default();
    for (path, name) in names {
        if !planner.snapshot.volumes.contains_key(&name) || spec.tmpfs.contains_key(&path) {
            continue;
        }
        match spec.mounts.iter_mut().find(|mount| mount.target == path) {
            Some(MountSpec { source: MountSource::Anonymous { carry_over }, .. }) => *carry_over = Some(name),
            Some(_) => {}
            None => spec.mounts.push(MountSpec {
                source: MountSource::Anonymous { carry_over: Some(name) },
                target: path,
                read_only: false,
            }),
        }
    }
}

/// A container's anonymous volumes, mount path -> name.
pub(super) fn anonymous_volumes(container: &Container) -> BTreeMap<String, String> {
    let anonymous = |mount: &&Mount| {
        mount.kind == "volume" && mount.source.len() == 64 && mount.source.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    container.mounts.iter().filter(anonymous).map(|mount| (mount.destination.clone(), mount.source.clone())).collect()
}

/// The ids of the networks a service joins, or what it waits for; and the actions of this plan that make them.
pub(super) fn networks_of(
    planner: &Planner<'_>,
    service: &DesiredService,
) -> Result<(BTreeMap<String, NetworkRef>, Vec<usize>), WaitReason> {
    let mut refs = BTreeMap::new();
    let mut after = Vec::new();
    for attachment in &service.template.networks {
        match planner.networks.get(&attachment.network) {
            Some(Ok(network)) => {
                if let NetworkRef::Made(action) = network {
                    after.push(*action);
                }
                refs.insert(attachment.network.clone(), network.clone());
            }
            Some(Err(wait)) => return Err(wait.clone()),
            None => {}
        }
    }
    Ok((refs, after))
}

//! Named volumes: made when missing, never changed, never removed without an explicit word.

use crate::model::{Cause, DesiredService, MountSource, Op, Reason, Subject, VolumeSpec, WaitReason};

use super::holds::any_free;
use super::identity::owns_volume;
use super::{Planner, adopt};

/// Finds or plans each volume that a service which may run mounts.
pub(super) fn ensure(planner: &mut Planner<'_>) {
    let desired = planner.desired;
    for spec in desired.volumes.values() {
        let mounts = |service: &&DesiredService| names(service).any(|name| *name == spec.name);
        if !desired.services.values().filter(mounts).any(|service| any_free(planner, service)) {
            continue;
        }
        if let Some(state) = find(planner, spec) {
            if let Err(wait) = &state {
                planner.wait(Subject::Volume(spec.name.clone()), wait.clone(), None);
            }
            planner.volumes.insert(spec.name.clone(), state);
        }
    }
}

/// The actions of this plan that make a service's volumes, or what it waits for.
pub(super) fn needed(planner: &Planner<'_>, service: &DesiredService) -> Result<Vec<usize>, WaitReason> {
    names(service).filter_map(|name| planner.volumes.get(name).cloned()).collect()
}

fn names(service: &DesiredService) -> impl Iterator<Item = &String> {
    service.template.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some(name),
        _ => None,
    })
}

/// `None`: it is there.
fn find(planner: &mut Planner<'_>, spec: &VolumeSpec) -> Option<Result<usize, WaitReason>> {
    match planner.snapshot.volumes.get(&spec.name) {
        Some(_) if spec.external => None,
        Some(volume) if owns_volume(planner.desired, planner.memory, volume) => None,
        Some(volume) => adopt::volume(planner, spec, volume).map(Err),
        None if spec.external => {
            let message =
                format!("volume {} is external and does not exist; make it: docker volume create {}", spec.name, spec.name);
            Some(Err(WaitReason::Obstacle { reason: Reason::VolumeMissing, message }))
        }
        None => {
            let subject = Subject::Volume(spec.name.clone());
            if let Some((wait, until)) = planner.obstacle(&subject) {
                planner.plan.wake(until);
                return Some(Err(wait));
            }
            Some(Ok(planner.act(Op::CreateVolume(Box::new(spec.clone())), subject, Cause::Missing, vec![])))
        }
    }
}

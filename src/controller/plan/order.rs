//! Dependencies between services: who comes first, and whether it is where it must be.

use std::collections::BTreeSet;

use crate::model::{Container, Dependency, DependencyCondition, Desired, DesiredService, ReplicaId, WaitReason};

use super::health::{Wellness, wellness};
use super::holds::{Standing, standing};
use super::{Planner, Slots};

/// Services so that each comes after those it depends on. Validation has refused cycles; a service in one would come last.
pub(crate) fn sorted(desired: &Desired) -> Vec<&DesiredService> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut order = Vec::new();
    while order.len() < desired.services.len() {
        let ready = |service: &&DesiredService| {
            !done.contains(service.name.as_str())
                && service.depends_on.keys().all(|name| done.contains(name.as_str()) || !desired.services.contains_key(name))
        };
        let next: Vec<&DesiredService> = desired.services.values().filter(ready).collect();
        let next = if next.is_empty() {
            desired.services.values().filter(|service| !done.contains(service.name.as_str())).collect()
        } else {
            next
        };
        done.extend(next.iter().map(|service| service.name.as_str()));
        order.extend(next);
    }
    order
}

/// How far a dependency is.
enum State {
    /// It is where it must be; the starts of this plan to come after.
    Met(Vec<usize>),
    /// Not yet.
    Unmet {
        /// It will not get there by itself.
        failed: bool,
    },
}

/// Whether a service may be started now: the starts of this plan to come after, or what it waits for.
pub(super) fn ready(planner: &Planner<'_>, slots: &Slots<'_>, service: &DesiredService) -> Result<Vec<usize>, WaitReason> {
    let mut after = Vec::new();
    for (name, dependency) in &service.depends_on {
        let Some(on) = planner.desired.services.get(name) else { continue };
        match state(planner, slots, on, dependency) {
            State::Met(starts) => after.extend(starts),
            State::Unmet { failed: true } if !dependency.required => {}
            State::Unmet { failed } => {
                return Err(WaitReason::Dependency { service: name.clone(), condition: dependency.condition, failed });
            }
        }
    }
    Ok(after)
}

fn state(planner: &Planner<'_>, slots: &Slots<'_>, on: &DesiredService, dependency: &Dependency) -> State {
    let mut after = Vec::new();
    for number in 1..=on.replicas {
        let replica = ReplicaId::new(&on.name, number);
        match replica_state(planner, slots, on, &replica, dependency.condition) {
            State::Met(starts) => after.extend(starts),
            unmet => return unmet,
        }
    }
    State::Met(after)
}

fn replica_state(
    planner: &Planner<'_>,
    slots: &Slots<'_>,
    on: &DesiredService,
    replica: &ReplicaId,
    condition: DependencyCondition,
) -> State {
    let container = slots.get(replica).current;
    let completed = planner.memory.completed(replica, &on.spec_hash);
    let free = matches!(standing(planner, replica), Standing::Free);
    match condition {
        DependencyCondition::ServiceCompletedSuccessfully => match completed {
            Some(done) if done.exit_code == 0 => State::Met(vec![]),
            Some(_) => State::Unmet { failed: true },
            None => State::Unmet { failed: !free },
        },
        DependencyCondition::ServiceStarted => {
            if completed.is_some() || container.is_some_and(Container::is_up) {
                State::Met(vec![])
            } else if let Some(start) = planner.starts.get(replica) {
                State::Met(vec![*start])
            } else if free {
                State::Unmet { failed: false }
            } else {
                // A person took this service out of the order: those that only come after it go on without it.
                State::Met(vec![])
            }
        }
        DependencyCondition::ServiceHealthy => match container.filter(|container| container.is_up()) {
            Some(container) => match wellness(on, container, planner.probed) {
                Wellness::Well | Wellness::Unknown { was_well: true } => State::Met(vec![]),
                Wellness::Starting | Wellness::Unready { .. } | Wellness::Unhealthy { .. } => State::Unmet { failed: false },
                Wellness::Unknown { was_well: false } => State::Unmet { failed: false },
                Wellness::Unprobed | Wellness::Broken { .. } => State::Unmet { failed: true },
            },
            None => State::Unmet { failed: !free },
        },
    }
}

/// A service whose restart or replacement calls for a restart of `container`, if there is one: it shares a namespace with
/// it, or asks for it by `depends_on.restart`.
pub(super) fn outdated_by(
    planner: &Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    container: &Container,
) -> Option<String> {
    let started = container.started_at?;
    let parents = super::spec::namespace_parents(service);
    service.depends_on.iter().find_map(|(name, dependency)| {
        let on = planner.desired.services.get(name)?;
        let parent = slots.get(&ReplicaId::new(name, 1)).current.filter(|parent| parent.is_up())?;
        let parent_started = parent.started_at?;
        let shares = parents.contains(&name.as_str()) && parent_started > started;
        let asked = on.restarted_at.is_some_and(|at| at > started && parent_started >= at);
        let replaced = parent.created_at.is_some_and(|made| made > started);
        (shares || (dependency.restart && (asked || replaced))).then(|| name.clone())
    })
}

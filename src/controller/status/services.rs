//! Services and their containers, as the status shows them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::crd::{ContainerStatus, MADE_BY_COMPOSE, ServiceStatus};
use crate::model::{Container, ContainerState, DesiredService, HoldState, ReplicaId, RunState, Subject, WaitReason, labels};

use super::{Sight, builds, diagnosis, images};
use crate::controller::plan::{Slots, Wellness, wellness};

/// Replicas counted by what they are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    /// Declared and not held stopped.
    pub wanted: u32,
    /// Of those: running and not ailing, or completed.
    pub ready: u32,
    /// Of those: ran to their end.
    pub completed: u32,
    /// Held stopped, or declared stopped.
    pub stopped: u32,
    /// Under a Hold `Suspended`.
    pub suspended: u32,
    /// Those with a probe.
    pub probes: Probes,
}

/// Replicas with a probe, counted by what it says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Probes {
    /// It succeeds.
    pub healthy: u32,
    /// It fails.
    pub unhealthy: u32,
    /// It lives, and is not to be used.
    pub unready: u32,
    /// It has no verdict yet.
    pub starting: u32,
    /// It cannot be made.
    pub broken: u32,
    /// It is not made any more, or the replica is paused.
    pub unknown: u32,
}

/// Counts the replicas.
pub(super) fn tally(sight: &Sight<'_>, slots: &Slots<'_>) -> Tally {
    let mut tally = Tally::default();
    for service in sight.desired.services.values() {
        for number in 1..=service.replicas {
            let replica = ReplicaId::new(&service.name, number);
            let container = slots.get(&replica).current;
            count(sight, service, &replica, container, &mut tally);
        }
    }
    tally
}

fn count(sight: &Sight<'_>, service: &DesiredService, replica: &ReplicaId, container: Option<&Container>, tally: &mut Tally) {
    match sight.desired.hold(replica, sight.now).map(|hold| hold.state) {
        Some(HoldState::Stopped) => return tally.stopped += 1,
        Some(HoldState::Suspended) => tally.suspended += 1,
        None if sight.desired.state == RunState::Stopped => return tally.stopped += 1,
        None => {}
    }
    tally.wanted += 1;
    if is_completed(sight, service, replica) {
        tally.completed += 1;
    }
    if is_ready(sight, service, replica, container) {
        tally.ready += 1;
    }
    let probes = &mut tally.probes;
    match container.filter(|c| c.is_up()).map(|c| wellness(service, c, sight.probed)) {
        Some(Wellness::Well) => probes.healthy += 1,
        Some(Wellness::Unhealthy { .. }) => probes.unhealthy += 1,
        Some(Wellness::Unready { .. }) => probes.unready += 1,
        Some(Wellness::Starting) => probes.starting += 1,
        Some(Wellness::Broken { .. }) => probes.broken += 1,
        Some(Wellness::Unknown { .. }) => probes.unknown += 1,
        Some(Wellness::Unprobed) | None => {}
    }
}

fn is_completed(sight: &Sight<'_>, service: &DesiredService, replica: &ReplicaId) -> bool {
    sight.memory.completed(replica, &service.spec_hash).is_some_and(|done| done.exit_code == 0)
        || waits(sight, replica).any(|reason| *reason == WaitReason::Completed)
}

fn is_ready(sight: &Sight<'_>, service: &DesiredService, replica: &ReplicaId, container: Option<&Container>) -> bool {
    let running = container.is_some_and(|c| c.state == ContainerState::Running && wellness(service, c, sight.probed).is_well());
    running || (is_completed(sight, service, replica) && container.is_none_or(|c| !c.is_up()))
}

fn waits<'s>(sight: &Sight<'s>, replica: &ReplicaId) -> impl Iterator<Item = &'s WaitReason> {
    let subject = Subject::Replica(replica.clone());
    sight.plan.waiting.iter().filter(move |waiting| waiting.subject == subject).map(|waiting| &waiting.reason)
}

/// The services as the status lists them.
pub(super) fn services(sight: &Sight<'_>, slots: &Slots<'_>) -> Vec<ServiceStatus> {
    let show = |service: &DesiredService| {
        let replicas = (1..=service.replicas).map(|number| ReplicaId::new(&service.name, number));
        let found: Vec<(ReplicaId, Option<&Container>)> = replicas.map(|id| (id.clone(), slots.get(&id).current)).collect();
        let ready = found.iter().filter(|(id, container)| is_ready(sight, service, id, *container)).count();
        ServiceStatus {
            name: service.name.clone(),
            replicas: service.replicas,
            ready_replicas: u32::try_from(ready).unwrap_or(u32::MAX),
            image: images::image_status(sight, service),
            build: builds::build_status(sight, service),
            diagnoses: diagnosis::diagnoses(sight, service),
            containers: found
                .iter()
                .filter_map(|(id, container)| container.map(|c| container_status(sight, service, id, c)))
                .collect(),
        }
    };
    sight.desired.services.values().map(show).collect()
}

fn container_status(sight: &Sight<'_>, service: &DesiredService, replica: &ReplicaId, container: &Container) -> ContainerStatus {
    let ended = matches!(container.state, ContainerState::Exited | ContainerState::Dead) && container.started_at.is_some();
    let digest = sight.snapshot.images.get(&container.image_id).and_then(|image| image.digests.first());
    let wellness = if container.is_up() { wellness(service, container, sight.probed) } else { Wellness::Unprobed };
    ContainerStatus {
        id: container.id.clone(),
        name: container.name.clone(),
        replica: replica.number,
        state: state_word(container.state).into(),
        ready: is_ready(sight, service, replica, Some(container)),
        health: health_word(&wellness).map(str::to_owned),
        health_output: failing_output(&wellness),
        exit_code: ended.then_some(container.exit_code),
        oom_killed: container.oom_killed,
        restarts: sight.history.replica(replica).attempts,
        started_at: container.started_at.map(Time),
        image: container.image.clone(),
        image_id: container.image_id.clone(),
        image_digest: digest.and_then(|digest| digest.split_once('@')).map(|(_, sum)| sum.to_owned()),
        drift: drift(sight, replica, container)
            .into_iter()
            .chain(images::drift(sight, replica, container))
            .chain(images::taken_back(sight, replica, container))
            .collect(),
    }
}

/// Differences that are shown and not fought.
fn drift(sight: &Sight<'_>, replica: &ReplicaId, container: &Container) -> Vec<String> {
    if container.labels.contains_key(labels::INSTANCE) {
        return vec![];
    }
    let adopted = sight.memory.adopted(replica, &container.id);
    let policy = adopted.map(|adopted| adopted.restart.to_string()).filter(|policy| policy != "no");
    let policy = policy.map(|policy| format!(" (its restart policy was {policy})")).unwrap_or_default();
    let made = format!("{MADE_BY_COMPOSE}{policy}: looked after as it is, replaced when the manifest changes");
    let differs = adopted.into_iter().flat_map(|adopted| adopted.differs.clone());
    std::iter::once(made).chain(differs).collect()
}

fn state_word(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting => "restarting",
        ContainerState::Removing => "removing",
        ContainerState::Exited => "exited",
        ContainerState::Dead => "dead",
    }
}

fn health_word(wellness: &Wellness) -> Option<&'static str> {
    match wellness {
        Wellness::Unprobed => None,
        Wellness::Well => Some("healthy"),
        Wellness::Starting => Some("starting"),
        Wellness::Unhealthy { .. } => Some("unhealthy"),
        Wellness::Unready { .. } => Some("unready"),
        Wellness::Broken { .. } | Wellness::Unknown { .. } => Some("unknown"),
    }
}

/// What a probe said that does not succeed.
fn failing_output(wellness: &Wellness) -> Option<String> {
    match wellness {
        Wellness::Unhealthy { failure, .. } | Wellness::Unready { failure } | Wellness::Broken { failure } => {
            Some(failure.clone())
        }
        Wellness::Unprobed | Wellness::Well | Wellness::Starting | Wellness::Unknown { .. } => None,
    }
}

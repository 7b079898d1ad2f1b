//! Services and their containers, as the status shows them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::crd::{ContainerStatus, ServiceStatus};
use crate::model::{
    Container, ContainerState, DesiredService, HealthStatus, HoldState, ReplicaId, RunState, Subject, WaitReason, labels,
};

use super::{Sight, builds, images};
use crate::controller::plan::Slots;

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
    /// With a probe: healthy, unhealthy, without a verdict.
    pub probes: [u32; 3],
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
    match container.filter(|c| c.is_up()).and_then(|c| c.health.as_ref()).map(|health| health.status) {
        Some(HealthStatus::Healthy) => tally.probes[0] += 1,
        Some(HealthStatus::Unhealthy) => tally.probes[1] += 1,
        Some(HealthStatus::Starting) => tally.probes[2] += 1,
        None => {}
    }
}

fn is_completed(sight: &Sight<'_>, service: &DesiredService, replica: &ReplicaId) -> bool {
    sight.memory.completed(replica, &service.spec_hash).is_some_and(|done| done.exit_code == 0)
        || waits(sight, replica).any(|reason| *reason == WaitReason::Completed)
}

fn is_ready(sight: &Sight<'_>, service: &DesiredService, replica: &ReplicaId, container: Option<&Container>) -> bool {
    let running = container.is_some_and(|c| {
        c.state == ContainerState::Running && c.health.as_ref().is_none_or(|health| health.status == HealthStatus::Healthy)
    });
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
            containers: found.iter().filter_map(|(id, container)| container.map(|c| container_status(sight, id, c))).collect(),
        }
    };
    sight.desired.services.values().map(show).collect()
}

fn container_status(sight: &Sight<'_>, replica: &ReplicaId, container: &Container) -> ContainerStatus {
    let ended = matches!(container.state, ContainerState::Exited | ContainerState::Dead) && container.started_at.is_some();
    let digest = sight.snapshot.images.get(&container.image_id).and_then(|image| image.digests.first());
    ContainerStatus {
        id: container.id.clone(),
        name: container.name.clone(),
        replica: replica.number,
        state: state_word(container.state).into(),
        health: container.health.as_ref().filter(|_| container.is_up()).map(|health| health_word(health.status).into()),
        exit_code: ended.then_some(container.exit_code),
        oom_killed: container.oom_killed,
        restarts: sight.history.replica(replica).attempts,
        started_at: container.started_at.map(Time),
        image: container.image.clone(),
        image_id: container.image_id.clone(),
        image_digest: digest.and_then(|digest| digest.split_once('@')).map(|(_, sum)| sum.to_owned()),
        drift: drift(sight, replica, container).into_iter().chain(images::drift(sight, replica, container)).collect(),
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
    let made = format!("made by docker compose{policy}: looked after as it is, replaced when the manifest changes");
    let differs = adopted.into_iter().flat_map(|adopted| &adopted.differs).map(|line| format!("differs: {line}"));
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

fn health_word(health: HealthStatus) -> &'static str {
    match health {
        HealthStatus::Starting => "starting",
        HealthStatus::Healthy => "healthy",
        HealthStatus::Unhealthy => "unhealthy",
    }
}

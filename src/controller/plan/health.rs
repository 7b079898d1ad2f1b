//! What probes say of a running container, and what follows: one that is unhealthy is restarted as one that crashed is, with the
//! same attempts and back-off. A probe that is itself broken says nothing of the container, and restarts nothing.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Cause, Container, ContainerState, DesiredService, FailedRun, HealthStatus, JobKind, Note, ProbeKind, ProbeStanding,
    ProbeVerdict, Probed, ReplicaId, RestartRule, Secrets, StopReason, WaitReason, cannot_be_run,
};

use super::holds::stop;
use super::recovery::{Next, Trouble};
use super::{Planner, Slots, recovery, remedy};

/// Longest output of a probe that is shown.
const OUTPUT: usize = 300;

/// How a container is by its probes. The later in this list, the more it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wellness {
    /// It has none.
    Unprobed,
    /// They succeed.
    Well,
    /// No verdict yet: not a failure.
    Starting,
    /// They are not made any more, or a person paused it.
    Unknown {
        /// The last verdict was good.
        was_well: bool,
    },
    /// It lives, and is not to be used.
    Unready {
        /// Which probe fails, and its last output.
        failure: String,
    },
    /// They cannot be made as they are declared: they say nothing of the container.
    Broken {
        /// Which, and what is wrong with it.
        failure: String,
    },
    /// They fail.
    Unhealthy {
        /// When that came about.
        at: Option<Timestamp>,
        /// Which probe fails, and its last output.
        failure: String,
    },
}

impl Wellness {
    /// Nothing speaks against it.
    pub fn is_well(&self) -> bool {
        matches!(self, Self::Unprobed | Self::Well | Self::Unknown { was_well: true })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Unprobed => 0,
            Self::Well => 1,
            Self::Unknown { was_well: true } => 2,
            Self::Starting => 3,
            Self::Unknown { was_well: false } => 4,
            Self::Unready { .. } => 5,
            Self::Broken { .. } => 6,
            Self::Unhealthy { .. } => 7,
        }
    }
}

/// How a container is, by the engine's health check and by our own probes: the worse counts. Meaningful while it is up.
pub(crate) fn wellness(service: &DesiredService, container: &Container, probed: &Probed) -> Wellness {
    if container.state == ContainerState::Paused && (container.health.is_some() || !service.probes.is_empty()) {
        return Wellness::Unknown { was_well: false };
    }
    let all = by_engine(service, container).into_iter().chain(by_probes(service, container, probed));
    all.max_by_key(Wellness::rank).unwrap_or(Wellness::Unprobed)
}

fn by_engine(service: &DesiredService, container: &Container) -> Option<Wellness> {
    let health = container.health.as_ref()?;
    Some(match health.status {
        _ if health.stale => Wellness::Unknown { was_well: health.status == HealthStatus::Healthy },
        HealthStatus::Starting => Wellness::Starting,
        HealthStatus::Healthy => Wellness::Well,
        // What a monitor leaves behind that ended: the next probe says how it is.
        HealthStatus::Unhealthy if health.failing_streak < health.retries => Wellness::Starting,
        HealthStatus::Unhealthy => {
            let output = Secrets::of_env(&service.template.env).excerpt(&health.last_output, OUTPUT);
            match health.last_exit_code {
                Some(code) if cannot_be_run(code, &health.last_output) => {
                    Wellness::Broken { failure: said("health check", &output) }
                }
                _ => Wellness::Unhealthy { at: health.last_probe_at, failure: fails("health check", &output) },
            }
        }
    })
}

fn by_probes(service: &DesiredService, container: &Container, probed: &Probed) -> Vec<Wellness> {
    let news = probed.get(&container.id).filter(|news| news.run.started_at == container.started_at);
    let verdict = |kind| news.and_then(|news| news.verdicts.get(&kind));
    let one = |kind: ProbeKind| {
        let Some(ProbeVerdict { standing, at, output }) = verdict(kind) else { return Wellness::Starting };
        match (standing, kind) {
            (ProbeStanding::Good, _) => Wellness::Well,
            (ProbeStanding::Broken, _) => Wellness::Broken { failure: said(kind.word(), output) },
            (ProbeStanding::Bad, ProbeKind::Readiness) => Wellness::Unready { failure: fails(kind.word(), output) },
            (ProbeStanding::Bad, _) => Wellness::Unhealthy { at: Some(*at), failure: fails(kind.word(), output) },
            (ProbeStanding::Flapping, _) => {
                Wellness::Unready { failure: format!("its {} goes up and down; it is waited for until that ends", kind.word()) }
            }
        }
    };
    service.probes.each().map(|(kind, _)| one(kind)).collect()
}

/// `its liveness probe fails: connection refused`.
fn fails(probe: &str, output: &str) -> String {
    if output.is_empty() { format!("its {probe} fails") } else { format!("its {probe} fails: {output}") }
}

/// `its health check cannot be made ..: /bin/sh: curl: not found`.
fn said(probe: &str, output: &str) -> String {
    format!("its {probe} cannot be made, which says nothing of the container: {output}")
}

/// Plans by what the probes of a running container say. Returns whether it is being stopped for that.
pub(super) fn tend(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
) -> bool {
    let waits_for = match wellness(service, container, planner.probed) {
        Wellness::Unprobed | Wellness::Well | Wellness::Unknown { was_well: true } => return false,
        Wellness::Starting => WaitReason::HealthStarting,
        Wellness::Unknown { was_well: false } => WaitReason::HealthUnknown,
        Wellness::Unready { failure } => WaitReason::NotReady { failure },
        Wellness::Broken { failure } => WaitReason::ProbeBroken { failure },
        Wellness::Unhealthy { at, failure } if is_restarted(service) => {
            return restart(planner, slots, service, replica, container, at, format!("unhealthy, {failure}"));
        }
        Wellness::Unhealthy { failure, .. } => WaitReason::Unhealthy { failure: format!("unhealthy, {failure}") },
    };
    planner.wait_replica(replica, waits_for, None);
    false
}

/// What is to run once is not run again because of its probe.
fn is_restarted(service: &DesiredService) -> bool {
    service.restart != RestartRule::Once && !service.job
}

/// An unhealthy container is stopped, to be started again, when that is due.
fn restart(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    at: Option<Timestamp>,
    failure: String,
) -> bool {
    if planner.job(&JobKind::Stop(container.id.clone())) {
        planner.wait_replica(replica, WaitReason::Stopping, None);
        return true;
    }
    let record = recovery::record(planner, service, replica);
    // A run is unhealthy once, however its probes go up and down in it.
    let known = record
        .failure
        .clone()
        .filter(|known| known.unhealthy && (known.run.is_of(container) || Some(known.at) >= container.started_at));
    let at = known.as_ref().map_or(at.unwrap_or(planner.now), |known| known.at);
    let forgiven = recovery::forgiven_at(planner, service).is_some_and(|forgiven| forgiven >= at);
    if known.is_none() && !forgiven {
        planner.note(Note::Failed {
            replica: replica.clone(),
            spec_hash: service.spec_hash.clone(),
            at,
            failure: failure.clone(),
            exit_code: None,
            oom_killed: false,
            run: FailedRun {
                container: container.id.clone(),
                started_at: container.started_at,
                failed_before: record.failure.as_ref().map(|failure| failure.at),
                never_well: record.well_in.is_none_or(|well| Some(well) != container.started_at),
                ..FailedRun::default()
            },
        });
    }
    let failure = known.map_or(failure, |known| known.message);
    let ran_for =
        container.started_at.map_or(Duration::ZERO, |from| Duration::try_from(at.duration_since(from)).unwrap_or_default());
    let trouble = Trouble { container: Some(container), record: &record, at, ran_for, message: &failure };
    match recovery::next(planner, service, replica, &trouble) {
        Next::Now(cause) => {
            let cause = while_it_runs(cause);
            if remedy::carry_out(planner, slots, service, replica, Some(container), &cause) {
                return true;
            }
            stop(planner, service, replica, container, StopReason::Unhealthy, cause, vec![]);
            true
        }
        Next::Wait(reason, until) => {
            planner.wait_replica(replica, reason, until);
            false
        }
        Next::UnderWay => true,
    }
}

/// The cause of a recovery, for one that has not ended.
pub(super) fn while_it_runs(cause: Cause) -> Cause {
    match cause {
        Cause::Recovery { attempt, max, failure, rung, rule } => Cause::Unhealthy { attempt, max, failure, rung, rule },
        other => other,
    }
}

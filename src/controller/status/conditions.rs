//! Conditions and phase: one verdict, from the worst of what the plan waits for.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::controller::plan::taken_back;
use crate::crd::{DeploymentStatus, Phase};
use crate::model::{HoldState, HoldView, REASON_RELEASED, Reason, RunState, WaitReason, Waiting, annotations};

use super::Sight;
use super::services::{Probes, Tally};

/// How a Deployment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// For people.
    pub phase: Phase,
    /// Status of `Ready`: `True`, `False`, `Unknown`.
    pub ready: &'static str,
    /// Its reason.
    pub reason: Reason,
    /// Its message.
    pub message: String,
    /// Whether only a change by the user helps.
    pub stalled: bool,
}

impl Verdict {
    fn new(phase: Phase, ready: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { phase, ready, reason, message: message.into(), stalled: false }
    }

    /// The engine cannot be seen.
    pub fn unknown(reason: Reason, message: &str) -> Self {
        Self::new(Phase::Unknown, "Unknown", reason, message)
    }

    /// Nothing goes on until the user changes something.
    pub fn stalled(reason: Reason, message: &str) -> Self {
        Self { stalled: true, ..Self::new(Phase::Failed, "False", reason, message) }
    }
}

/// How bad a wait is, and how it is shown; `None`: it does not stand in the way of being ready.
fn weigh(waiting: &Waiting) -> Option<(u8, Phase, Reason)> {
    Some(match &waiting.reason {
        WaitReason::BackOffExhausted { .. } => (9, Phase::Failed, Reason::BackOffExhausted),
        WaitReason::JobFailed { .. } => (8, Phase::Failed, Reason::JobFailed),
        WaitReason::NotOwned { .. } => (7, Phase::Degraded, Reason::NotOwned),
        WaitReason::NotAdopted { .. } => (7, Phase::Degraded, Reason::NotAdopted),
        WaitReason::Comparing { .. } => (1, Phase::Progressing, Reason::Progressing),
        WaitReason::Obstacle { reason, .. } => (6, Phase::Degraded, *reason),
        WaitReason::Withheld | WaitReason::Suggested { .. } => (5, Phase::Degraded, Reason::Withheld),
        WaitReason::BackOff { .. } => (5, Phase::Degraded, Reason::BackOff),
        WaitReason::Unhealthy { .. } => (4, Phase::Degraded, Reason::Unhealthy),
        WaitReason::NotReady { .. } => (3, Phase::Degraded, Reason::NotReady),
        WaitReason::ProbeBroken { .. } => (4, Phase::Degraded, Reason::ProbeBroken),
        WaitReason::HealthUnknown => (4, Phase::Degraded, Reason::HealthUnknown),
        WaitReason::Paused => (4, Phase::Paused, Reason::Paused),
        WaitReason::Dependency { failed: true, .. } => (3, Phase::Degraded, Reason::DependencyNotReady),
        WaitReason::Dependency { failed: false, .. } => (2, Phase::Progressing, Reason::DependencyNotReady),
        WaitReason::HealthStarting => (2, Phase::Progressing, Reason::HealthStarting),
        WaitReason::IntentPending => (2, Phase::Progressing, Reason::IntentPending),
        WaitReason::Building { failed: Some(_), .. } => (6, Phase::Degraded, Reason::BuildFailed),
        WaitReason::Building { failed: None, .. } | WaitReason::ReadingInput => (1, Phase::Progressing, Reason::Progressing),
        WaitReason::Pulling | WaitReason::Stopping | WaitReason::Removing | WaitReason::Restarting => {
            (1, Phase::Progressing, Reason::Progressing)
        }
        WaitReason::RegistryBusy { needed: true, .. } | WaitReason::RollingUpdate { .. } | WaitReason::Unanswered { .. } => {
            (1, Phase::Progressing, Reason::Progressing)
        }
        WaitReason::Refreshing | WaitReason::NotRefreshed { .. } | WaitReason::RegistryBusy { needed: false, .. } => return None,
        WaitReason::Completed | WaitReason::Stopped { .. } | WaitReason::Suspended { .. } => return None,
    })
}

/// The verdict on a Deployment.
pub(super) fn verdict(sight: &Sight<'_>, tally: &Tally) -> Verdict {
    if sight.desired.deletion.is_some() {
        return Verdict::new(Phase::Progressing, "False", Reason::Deleting, "it is being deleted");
    }
    let weighed = sight.plan.waiting.iter().filter_map(|waiting| weigh(waiting).map(|weight| (weight, waiting)));
    if let Some(((_, phase, reason), waiting)) = weighed.max_by_key(|((weight, ..), _)| *weight) {
        let stalled = sight.desired.claimed_by.is_some();
        let reason = if stalled { Reason::ProjectClaimed } else { reason };
        return Verdict { stalled, ..Verdict::new(phase, "False", reason, waiting.to_string()) };
    }
    if tally.wanted > 0 && tally.suspended == tally.wanted {
        let ready = if tally.ready == tally.wanted { "True" } else { "False" };
        let name = &sight.desired.key.name;
        let in_force = |hold: &&HoldView| hold.state == HoldState::Suspended && hold.in_force(sight.now);
        let message = match sight.desired.holds.iter().filter(in_force).any(|hold| hold.reason == REASON_RELEASED) {
            true => format!("it is given back to Docker and its restart policies; `evenkeel resume {name}` takes it back"),
            false => format!("hands off: a Hold suspends it; `evenkeel resume {name}` ends that"),
        };
        return Verdict::new(Phase::Suspended, ready, Reason::Suspended, message);
    }
    let moves = moves_containers(sight);
    if tally.wanted == 0 && tally.stopped > 0 {
        return if moves { Verdict::new(Phase::Progressing, "False", Reason::Progressing, "stopping") } else { stopped(sight) };
    }
    if tally.ready < tally.wanted || moves {
        let message = format!("{} of {} replicas ready", tally.ready, tally.wanted);
        return Verdict::new(Phase::Progressing, "False", Reason::Progressing, message);
    }
    if tally.stopped > 0 {
        let message = format!("{} of {} replicas ready, {} held stopped", tally.ready, tally.wanted, tally.stopped);
        return Verdict::new(Phase::Running, "False", Reason::Held, message);
    }
    if tally.completed > 0 && tally.completed == tally.wanted {
        return Verdict::new(Phase::Completed, "True", Reason::Completed, "all of it ran to its end");
    }
    let message = format!("{} of {} replicas ready{}", tally.ready, tally.wanted, rolled_back(sight));
    Verdict::new(Phase::Running, "True", Reason::Running, message)
}

/// What is ready, but not with what was declared last: services that run the image before.
fn rolled_back(sight: &Sight<'_>) -> String {
    let services = sight.desired.services.values();
    let back: Vec<&str> = services
        .filter(|service| taken_back(sight.desired, sight.memory, service).is_some())
        .map(|service| service.name.as_str())
        .collect();
    match back.as_slice() {
        [] => String::new(),
        names => format!("; rolled back to the image before: {} (`evenkeel diff` says what ends that)", names.join(", ")),
    }
}

fn stopped(sight: &Sight<'_>) -> Verdict {
    let mut reasons: Vec<&str> =
        sight.desired.holds.iter().filter(|h| h.in_force(sight.now)).map(|h| h.reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    if sight.desired.state == RunState::Stopped && reasons.is_empty() {
        return Verdict::new(Phase::Stopped, "False", Reason::Stopped, "the manifest says spec.state: Stopped");
    }
    let message = format!("held stopped ({}); `evenkeel start {}` starts it", reasons.join(", "), sight.desired.key.name);
    Verdict::new(Phase::Stopped, "False", Reason::Held, message)
}

/// Whether the plan starts, stops or makes a container: then the new state is not reached yet.
fn moves_containers(sight: &Sight<'_>) -> bool {
    use crate::model::Op;
    let moves = |op: &Op| matches!(op, Op::CreateContainer { .. } | Op::Start(_) | Op::Stop { .. });
    sight.plan.actions.iter().any(|action| moves(&action.op))
}

/// All conditions of a Deployment that could be looked at.
pub(super) fn conditions(sight: &Sight<'_>, verdict: &Verdict, tally: &Tally, previous: &DeploymentStatus) -> Vec<Condition> {
    let generation = sight.desired.generation;
    let mut conditions = simple(verdict, generation, previous, sight.now);
    let mut add = |kind: &str, status: &str, reason: Reason, message: String| {
        conditions.push(condition(kind, status, reason, message, generation, previous, sight.now));
    };
    if let Some((status, reason, message)) = healthy(&tally.probes) {
        add("Healthy", status, reason, message);
    }
    let stalled = verdict.stalled || matches!(verdict.phase, Phase::Failed);
    let working = !sight.plan.actions.is_empty() || matches!(verdict.phase, Phase::Progressing);
    if working && !stalled {
        add("Reconciling", "True", Reason::Progressing, verdict.message.clone());
    }
    let annotations = sight.object.metadata.annotations.as_ref();
    if annotations.and_then(|all| all.get(annotations::ORPHANED)).is_some_and(|value| value == "true") {
        let message = "its manifest is gone from the watched folder; it runs on (delete it, put it back, or run with --prune)";
        add("Orphaned", "True", Reason::Orphaned, message.into());
    }
    conditions
}

/// The condition `Healthy`, where there are probes: the worst of what they say.
fn healthy(probes: &Probes) -> Option<(&'static str, Reason, String)> {
    let Probes { healthy, unhealthy, unready, starting, broken, unknown } = *probes;
    let (status, reason) = match (unhealthy, broken, unknown, starting) {
        (1.., ..) => ("False", Reason::Unhealthy),
        _ if unready > 0 => ("False", Reason::NotReady),
        (_, 1.., ..) => ("Unknown", Reason::ProbeBroken),
        (_, _, 1.., _) => ("Unknown", Reason::HealthUnknown),
        (.., 1..) => ("Unknown", Reason::HealthStarting),
        _ => ("True", Reason::Healthy),
    };
    let all = healthy + unhealthy + unready + starting + broken + unknown;
    (all > 0).then(|| (status, reason, format!("{healthy} of {all} probed replicas are healthy")))
}

/// `Ready`, and `Stalled` where it is so.
pub(super) fn simple(verdict: &Verdict, generation: i64, previous: &DeploymentStatus, now: Timestamp) -> Vec<Condition> {
    let make =
        |kind: &str, status: &str| condition(kind, status, verdict.reason, verdict.message.clone(), generation, previous, now);
    let mut conditions = vec![make("Ready", verdict.ready)];
    if verdict.stalled {
        conditions.push(make("Stalled", "True"));
    }
    conditions
}

/// A condition; its transition time moves only when its status does.
fn condition(
    kind: &str,
    status: &str,
    reason: Reason,
    message: String,
    generation: i64,
    previous: &DeploymentStatus,
    now: Timestamp,
) -> Condition {
    let before = previous.conditions.iter().find(|condition| condition.type_ == kind && condition.status == status);
    Condition {
        type_: kind.into(),
        status: status.into(),
        reason: reason.to_string(),
        message,
        observed_generation: Some(generation),
        last_transition_time: before.map_or(Time(now), |condition| condition.last_transition_time.clone()),
    }
}

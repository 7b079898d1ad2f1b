//! What to tell people of a Deployment. Pure: the status follows from the plan, what was observed and what is remembered.

mod builds;
mod conditions;
mod diagnosis;
mod images;
mod ladder;
mod services;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::crd::{Deployment, DeploymentStatus, FailureStatus, HoldStatus, LastAction, OriginStatus, Phase, RecoveryStatus};
use crate::model::{
    Desired, History, HoldState, MANIFESTS_SOURCE, Memory, Plan, Probed, Reason, Snapshot, Subject, WaitReason, annotations,
};

use super::plan::slots;
use conditions::Verdict;

/// What one turn knows of a Deployment.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The object.
    pub object: &'a Deployment,
    /// What should be.
    pub desired: &'a Desired,
    /// What is.
    pub snapshot: &'a Snapshot,
    /// What probes of our own say.
    pub probed: &'a Probed,
    /// What is to be done.
    pub plan: &'a Plan,
    /// What is remembered.
    pub history: &'a History,
    /// What must never be lost.
    pub memory: &'a Memory,
    /// The time.
    pub now: Timestamp,
}

/// The status after a turn that could see the engine.
pub fn status(sight: &Sight<'_>) -> DeploymentStatus {
    let slots = slots(sight.desired, sight.snapshot, sight.history, sight.memory);
    let services = services::services(sight, &slots);
    let tally = services::tally(sight, &slots);
    let verdict = conditions::verdict(sight, &tally);
    let previous = sight.object.status.clone().unwrap_or_default();
    let mut status = DeploymentStatus {
        observed_generation: sight.desired.generation,
        phase: verdict.phase,
        ready: format!("{}/{}", tally.ready, tally.wanted),
        replicas: tally.wanted,
        ready_replicas: tally.ready,
        conditions: vec![],
        services,
        recovery: recovery(sight),
        decisions: ladder::decisions(sight),
        suggestions: ladder::suggestions(sight),
        holds: holds(sight),
        source: source(sight.object),
        // Who samples writes them.
        alerts: vec![],
        waiting: sight.plan.waiting.iter().map(one_line).collect(),
        last_actions: last_actions(sight.history),
    };
    status.conditions = conditions::conditions(sight, &verdict, &tally, &previous);
    status
}

/// The status when the engine cannot be seen: the old facts stay, `Ready` is unknown.
pub fn blind(object: &Deployment, why: &str, now: Timestamp) -> DeploymentStatus {
    let previous = object.status.clone().unwrap_or_default();
    let verdict = Verdict::unknown(Reason::EngineUnavailable, why);
    let generation = object.metadata.generation.unwrap_or_default();
    let conditions = conditions::simple(&verdict, generation, &previous, now);
    DeploymentStatus { phase: Phase::Unknown, conditions, source: source(object), ..previous }
}

/// The status of an object whose specification is wrong: what runs goes on running.
pub fn invalid(object: &Deployment, why: &str, now: Timestamp) -> DeploymentStatus {
    let previous = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let verdict = Verdict::stalled(Reason::InvalidSpec, why);
    let conditions = conditions::simple(&verdict, generation, &previous, now);
    DeploymentStatus { phase: verdict.phase, observed_generation: generation, conditions, source: source(object), ..previous }
}

/// What is waited for, without the output of a build, which the condition and `services[].build` show.
fn one_line(waiting: &crate::model::Waiting) -> String {
    waiting.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Recovery of the replica that is worst off: given up, else the highest attempt.
fn recovery(sight: &Sight<'_>) -> Option<RecoveryStatus> {
    let wait_of = |name: &str| {
        let of_replica = |w: &&crate::model::Waiting| matches!(&w.subject, Subject::Replica(id) if id.to_string() == name);
        sight.plan.waiting.iter().find(of_replica)
    };
    let declared = |name: &str| {
        name.parse().is_ok_and(|id: crate::model::ReplicaId| {
            sight.desired.services.get(&id.service).is_some_and(|service| id.number <= service.replicas)
        })
    };
    // A run-once service is not recovered: what it failed of is told as its diagnosis.
    let ended = |name: &str, failure: &crate::model::Failure| name.parse().is_ok_and(|id| sight.memory.ended_with(&id, failure));
    let (name, record) = sight
        .history
        .replicas
        .iter()
        .filter(|(name, record)| {
            declared(name) && (record.attempts > 0 || record.failure.as_ref().is_some_and(|failure| !ended(name, failure)))
        })
        .max_by_key(|(_, record)| (record.exhausted, record.attempts, record.failure.as_ref().map(|failure| failure.at)))?;
    let waits = |w: &&crate::model::Waiting| matches!(w.reason, WaitReason::BackOff { .. } | WaitReason::BackOffExhausted { .. });
    let next = wait_of(name).filter(waits).and_then(|w| w.until);
    let given_up = wait_of(name).and_then(|w| match w.reason {
        WaitReason::BackOffExhausted { rule, .. } => Some(rule.to_string()),
        _ => None,
    });
    Some(RecoveryStatus {
        replica: name.clone(),
        attempt: record.attempts,
        max_attempts: sight.desired.recovery.max_attempts,
        next_attempt_at: next.map(Time),
        given_up,
        failure: record.failure.as_ref().map(|failure| FailureStatus {
            message: failure.message.clone(),
            exit_code: failure.exit_code,
            oom_killed: failure.oom_killed,
            at: Some(Time(failure.at)),
        }),
    })
}

fn holds(sight: &Sight<'_>) -> Vec<HoldStatus> {
    let in_force = sight.desired.holds.iter().filter(|hold| hold.in_force(sight.now));
    let show = |hold: &crate::model::HoldView| HoldStatus {
        name: hold.name.clone(),
        service: hold.service.clone(),
        replica: hold.replica,
        state: match hold.state {
            HoldState::Stopped => "Stopped".into(),
            HoldState::Suspended => "Suspended".into(),
        },
        reason: hold.reason.clone(),
        until: hold.until.map(Time),
        since: Some(Time(hold.since)),
    };
    in_force.map(show).collect()
}

fn source(object: &Deployment) -> Option<OriginStatus> {
    let annotation = |name: &str| object.metadata.annotations.as_ref().and_then(|all| all.get(name)).cloned();
    let path = annotation(annotations::SOURCE)?;
    let revisions: Vec<String> =
        annotation(annotations::SOURCE_REVISIONS).iter().flat_map(|all| all.split(' ')).map(str::to_owned).collect();
    Some(OriginStatus {
        name: annotation(annotations::SOURCE_NAME).unwrap_or_else(|| MANIFESTS_SOURCE.to_owned()),
        path,
        revision: revisions.first().cloned(),
        revisions,
        error: annotation(annotations::SOURCE_ERROR),
        warnings: annotation(annotations::SOURCE_WARNINGS).iter().flat_map(|all| all.lines()).map(str::to_owned).collect(),
    })
}

/// The newest actions, from the record.
pub fn last_actions(history: &History) -> Vec<LastAction> {
    let show = |action: &crate::model::ActionRecord| LastAction {
        at: Some(Time(action.at)),
        action: action.action.clone(),
        cause: action.cause.clone(),
        result: action.result.clone(),
        trace_id: action.trace_id.clone(),
    };
    history.last_actions.iter().map(show).collect()
}

//! Why replicas are not as they should be: from what is in their way now, else from how they failed last.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use crate::controller::plan::later;
use crate::crd::DiagnosisStatus;
use crate::diagnose::rules::{Facts, diagnose};
use crate::model::{Cause, DesiredService, Diagnosis, Failure, Op, ReplicaId, Subject, WaitReason};

use super::Sight;

/// The diagnoses of a service's replicas, those of which there is one.
pub(super) fn diagnoses(sight: &Sight<'_>, service: &DesiredService) -> Vec<DiagnosisStatus> {
    (1..=service.replicas).filter_map(|number| of_replica(sight, service, &ReplicaId::new(&service.name, number))).collect()
}

fn of_replica(sight: &Sight<'_>, service: &DesiredService, replica: &ReplicaId) -> Option<DiagnosisStatus> {
    if sight.desired.hold(replica, sight.now).is_some() {
        return None;
    }
    let subjects = [Subject::Replica(replica.clone()), Subject::Image(service.template.image.clone())];
    let now = || subjects.iter().find_map(|subject| in_the_way(sight, subject));
    let record = sight.history.replica(replica);
    let (diagnosis, failed_at) = match now().or_else(|| went_down(sight, replica)) {
        Some(diagnosis) => (diagnosis, None),
        // How it failed last, as long as that counts.
        None => (record.failure.as_ref()?.diagnosis.clone()?, record.failure.as_ref().map(|failure| MicroTime(failure.at))),
    };
    let Diagnosis { cause, message, evidence, signature } = diagnosis;
    Some(DiagnosisStatus {
        replica: replica.number,
        cause: cause.to_string(),
        message,
        evidence,
        signature,
        failed_at,
        attempts: record.attempts,
        given_up: record.exhausted,
    })
}

/// It went down with the daemon or the host, and is being started for that.
fn went_down(sight: &Sight<'_>, replica: &ReplicaId) -> Option<Diagnosis> {
    let subject = Subject::Replica(replica.clone());
    let start = sight.plan.actions.iter().find(|action| action.subject == subject && matches!(action.op, Op::Start(_)))?;
    let host_booted_at = sight.desired.host_booted_at;
    match start.cause {
        Cause::EngineRestarted => diagnose(&Facts::WentDown { host_booted_at }),
        Cause::IntentUnknown if host_booted_at.is_some() => diagnose(&Facts::WentDown { host_booted_at }),
        _ => None,
    }
}

/// What keeps it from running now.
fn in_the_way(sight: &Sight<'_>, subject: &Subject) -> Option<Diagnosis> {
    let mut waits = sight.plan.waiting.iter().filter(|waiting| waiting.subject == *subject).map(|waiting| &waiting.reason);
    waits.find_map(|reason| match reason {
        WaitReason::Obstacle { .. } => {
            let met = sight.history.obstacles.get(&subject.to_string());
            let known = met.and_then(|met| diagnose(&Facts::InTheWay { subject, kind: &met.kind, message: &met.message }));
            known.or_else(|| diagnose(&Facts::Waits(reason)))
        }
        WaitReason::JobFailed { .. } => of_job(sight, subject, reason),
        // One that is merely on its way is no fault.
        WaitReason::Dependency { service, failed: false, .. } if !is_ailing(sight, service) => None,
        reason => diagnose(&Facts::Waits(reason)),
    })
}

/// Why a run-once service failed: as its log says, once that has been read.
fn of_job(sight: &Sight<'_>, subject: &Subject, reason: &WaitReason) -> Option<Diagnosis> {
    let Subject::Replica(replica) = subject else { return None };
    let failure = sight.history.replica(replica).failure.filter(|failure| sight.memory.ended_with(replica, failure));
    match failure {
        Some(Failure { diagnosis: Some(diagnosis), .. }) => Some(diagnosis),
        Some(Failure { at, .. }) if sight.now < later(at, crate::model::DIAGNOSED_WITHIN) => None,
        _ => diagnose(&Facts::Waits(reason)),
    }
}

/// Whether a service has something wrong with it of its own.
fn is_ailing(sight: &Sight<'_>, name: &str) -> bool {
    let Some(service) = sight.desired.services.get(name) else { return false };
    (1..=service.replicas).map(|number| ReplicaId::new(name, number)).any(|replica| {
        let subjects = [Subject::Replica(replica.clone()), Subject::Image(service.template.image.clone())];
        let waits = sight.plan.waiting.iter().filter(|waiting| subjects.contains(&waiting.subject));
        let ails = |reason: &WaitReason| {
            matches!(
                reason,
                WaitReason::Obstacle { .. }
                    | WaitReason::BackOff { .. }
                    | WaitReason::BackOffExhausted { .. }
                    | WaitReason::JobFailed { .. }
                    | WaitReason::Unhealthy { .. }
                    | WaitReason::ProbeBroken { .. }
                    | WaitReason::NotOwned { .. }
                    | WaitReason::Dependency { failed: true, .. }
            )
        };
        waits.map(|waiting| &waiting.reason).any(ails)
    })
}

//! Why replicas are not as they should be: from what is in their way now, else from how they failed last.

use crate::crd::DiagnosisStatus;
use crate::diagnose::rules::{Facts, diagnose};
use crate::model::{DesiredService, Diagnosis, ReplicaId, Subject, WaitReason};

use super::Sight;

/// The diagnoses of a service's replicas, those of which there is one.
pub(super) fn diagnoses(sight: &Sight<'_>, service: &DesiredService) -> Vec<DiagnosisStatus> {
    let one = |number| {
        let Diagnosis { cause, message, evidence, signature } =
            of_replica(sight, service, &ReplicaId::new(&service.name, number))?;
        Some(DiagnosisStatus { replica: number, cause: cause.to_string(), message, evidence, signature })
    };
    (1..=service.replicas).filter_map(one).collect()
}

fn of_replica(sight: &Sight<'_>, service: &DesiredService, replica: &ReplicaId) -> Option<Diagnosis> {
    if sight.desired.hold(replica, sight.now).is_some() {
        return None;
    }
    let subjects = [Subject::Replica(replica.clone()), Subject::Image(service.template.image.clone())];
    subjects.iter().find_map(|subject| in_the_way(sight, subject)).or_else(|| of_failure(sight, replica))
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
        // One that is merely on its way is no fault.
        WaitReason::Dependency { service, failed: false, .. } if !is_ailing(sight, service) => None,
        reason => diagnose(&Facts::Waits(reason)),
    })
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

/// How it failed last, as long as that counts.
fn of_failure(sight: &Sight<'_>, replica: &ReplicaId) -> Option<Diagnosis> {
    sight.history.replicas.get(&replica.to_string())?.failure.as_ref()?.diagnosis.clone()
}

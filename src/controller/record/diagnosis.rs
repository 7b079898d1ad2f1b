//! Why replicas failed, written down: at once from what is known, again when their logs have been read.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::crd::{ContainerStatus, DeploymentStatus};
use crate::diagnose::rules::{Ended, Facts, diagnose};
use crate::model::{
    Desired, Diagnosis, Failure, FailureCause, History, Memory, Reason, ReplicaHistory, ReplicaId, Severity, Snapshot,
};

use crate::controller::Controller;

/// The daemon tells a kill for lack of memory and the end that it led to in any order, at most so far apart.
const OUT_OF_ORDER: Duration = Duration::from_secs(2);

/// Judges again what was noted before, with what logs say and what the engine told since, and tells what is new.
pub(in crate::controller) async fn explain(
    controller: &Controller,
    desired: &Desired,
    snapshot: &Snapshot,
    history: &mut History,
    memory: &Memory,
) {
    let mut changed = false;
    for news in controller.evidence.take(&desired.key) {
        let Some(record) = history.replicas.get_mut(&news.replica.to_string()) else { continue };
        let Some(failure) = record.failure.as_mut().filter(|failure| failure.at == news.failed_at) else { continue };
        failure.oom_killed |= ran_out_of_memory(failure, snapshot);
        let limited = desired.services.get(&news.replica.service).is_some_and(|it| it.template.resources.memory.is_some());
        let Some(diagnosis) = of_run(record, &news.lines, limited) else { continue };
        let Some(failure) = record.failure.as_mut() else { continue };
        changed = true;
        failure.diagnosis = Some(diagnosis.clone());
        if let Some(last) = record.decisions.last_mut().filter(|last| last.is_about(news.failed_at)) {
            last.explain(&diagnosis);
        }
        // What a run-once service failed of stays in its way, and is told as that.
        let told_elsewhere = record.failure.as_ref().is_some_and(|failure| memory.ended_with(&news.replica, failure));
        if !told_elsewhere && record.told_signature != diagnosis.signature {
            record.told_signature.clone_from(&diagnosis.signature);
            let message = in_words(&news.replica, &diagnosis.cause.to_string(), &diagnosis.message, &diagnosis.evidence);
            controller.tell(desired, Reason::Diagnosed, Severity::Warning, message).await;
        }
    }
    if changed {
        super::put_history(controller, desired, history).await;
    }
}

/// Tells what keeps replicas from running, once until it is something else, or was over. What several replicas of a service have in
/// common is told once; what merely follows from another service's trouble, or from a restart of the engine, is not.
pub(in crate::controller) async fn tell_what_is_in_the_way(
    controller: &Controller,
    desired: &Desired,
    status: &DeploymentStatus,
    history: &mut History,
) {
    let mut changed = false;
    for service in &status.services {
        let mut told = BTreeSet::new();
        for found in service.diagnoses.iter().filter(|found| found.failed_at.is_none() && is_news(&found.cause)) {
            let replica = ReplicaId::new(&service.name, found.replica);
            let record = super::replica_mut(history, &replica);
            if record.told_obstacle == found.signature {
                continue;
            }
            (record.told_obstacle, changed) = (found.signature.clone(), true);
            if told.insert(&found.signature) {
                let message = in_words(&replica, &found.cause, &found.message, &found.evidence);
                controller.tell(desired, Reason::Diagnosed, Severity::Warning, message).await;
            }
        }
        let well = |container: &&ContainerStatus| {
            container.ready && service.diagnoses.iter().all(|found| found.replica != container.replica)
        };
        for container in service.containers.iter().filter(well) {
            let replica = ReplicaId::new(&service.name, container.replica).to_string();
            let told = |record: &&mut ReplicaHistory| !record.told_obstacle.is_empty();
            if let Some(record) = history.replicas.get_mut(&replica).filter(told) {
                record.told_obstacle.clear();
                changed = true;
            }
        }
    }
    if changed {
        super::put_history(controller, desired, history).await;
    }
}

fn is_news(cause: &str) -> bool {
    let follows = [FailureCause::DependencyDown, FailureCause::EngineRestart, FailureCause::HostRestart];
    follows.iter().all(|follows| follows.to_string() != cause)
}

fn in_words(replica: &ReplicaId, cause: &str, message: &str, evidence: &[String]) -> String {
    format!("replica {replica}: {cause}: {message} ({})", evidence.join("; "))
}

/// Whether the kernel killed in the failed run for lack of memory, as the engine told beside its end or after it.
fn ran_out_of_memory(failure: &Failure, snapshot: &Snapshot) -> bool {
    let Some(killed) = snapshot.out_of_memory.get(&failure.run.container) else { return false };
    let in_this_run = failure.run.started_at.is_none_or(|from| from <= *killed) && *killed <= failure.at + OUT_OF_ORDER;
    failure.exit_code == Some(137) && in_this_run
}

/// What can be told of a failure before its log has been read: only what no log can change.
pub(super) fn first(record: &mut ReplicaHistory) {
    let told = |failure: &&Failure| failure.oom_killed || failure.run.killed || !failure.run.error.is_empty();
    let diagnosis = record.failure.as_ref().filter(told).and_then(|_| of_run(record, &[], false));
    if let Some(failure) = &mut record.failure {
        failure.diagnosis = diagnosis;
    }
}

/// What the failure of a run comes from, by what is remembered of it and the last lines of its log.
fn of_run(record: &ReplicaHistory, log: &[String], limited: bool) -> Option<Diagnosis> {
    let failure = record.failure.as_ref()?;
    let Failure { message, exit_code, oom_killed, unhealthy, run, at, .. } = failure;
    if *unhealthy {
        return diagnose(&Facts::Unhealthy { failure: message, never_well: run.never_well, log });
    }
    let ran_for = run.started_at.map(|from| Duration::try_from(at.duration_since(from)).unwrap_or_default());
    diagnose(&Facts::Ended(Ended {
        exit_code: (*exit_code)?,
        oom_killed: *oom_killed,
        killed: run.killed,
        limited,
        error: &run.error,
        ran_for,
        failures: record.attempts.saturating_add(1),
        log,
    }))
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;

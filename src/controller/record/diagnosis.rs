//! Why replicas failed, written down: at once from what is known, again when their logs have been read.

use std::time::Duration;

use crate::diagnose::rules::{Ended, Facts, diagnose};
use crate::model::{Desired, Diagnosis, Failure, History, Reason, ReplicaHistory, Severity, Snapshot};

use crate::controller::Controller;

/// The daemon tells a kill for lack of memory and the end that it led to in any order, at most so far apart.
const OUT_OF_ORDER: Duration = Duration::from_secs(2);

/// Judges again what was noted before, with what logs say and what the engine told since, and tells what is new.
pub(in crate::controller) async fn explain(
    controller: &Controller,
    desired: &Desired,
    snapshot: &Snapshot,
    history: &mut History,
) {
    let mut changed = false;
    for news in controller.evidence.take(&desired.key) {
        let Some(record) = history.replicas.get_mut(&news.replica.to_string()) else { continue };
        let Some(failure) = record.failure.as_mut().filter(|failure| failure.at == news.failed_at) else { continue };
        failure.oom_killed |= ran_out_of_memory(failure, snapshot);
        let Some(diagnosis) = of_run(record, &news.lines) else { continue };
        let Some(failure) = record.failure.as_mut() else { continue };
        changed = true;
        failure.diagnosis = Some(diagnosis.clone());
        if record.told_signature != diagnosis.signature {
            record.told_signature.clone_from(&diagnosis.signature);
            let evidence = diagnosis.evidence.join("; ");
            let message = format!("replica {}: {}: {} ({evidence})", news.replica, diagnosis.cause, diagnosis.message);
            controller.tell(desired, Reason::Diagnosed, Severity::Warning, message).await;
        }
    }
    if changed {
        super::put_history(controller, desired, history).await;
    }
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
    let diagnosis = record.failure.as_ref().filter(told).and_then(|_| of_run(record, &[]));
    if let Some(failure) = &mut record.failure {
        failure.diagnosis = diagnosis;
    }
}

/// What the failure of a run comes from, by what is remembered of it and the last lines of its log.
fn of_run(record: &ReplicaHistory, log: &[String]) -> Option<Diagnosis> {
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
        error: &run.error,
        ran_for,
        failures: record.attempts.saturating_add(1),
        log,
    }))
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;

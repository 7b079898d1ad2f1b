//! A container that is not running: who ended it, and what follows. The verdict comes from the decision table
//! (`controller::intent`); what it means for this service is decided here.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Cause, Container, DesiredService, End, ExternalStop, Note, ReplicaId, RestartRule, StopReason, Verdict, WaitReason,
};

use super::recovery::Next;
use super::{Planner, Slots, containers, later, recovery};

/// How long a container may be seen ended before its verdict is known; then it counts as unknown.
const VERDICT_GRACE: Duration = Duration::from_secs(15);

/// Plans for an ended container whose specification is the wanted one.
pub(super) fn decide(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
) {
    let end = planner.snapshot.ends.get(&container.id).filter(|end| end.started_at == container.started_at);
    let at = end.map(|end| end.at).or(container.finished_at).unwrap_or(planner.now);
    let start = |planner: &mut Planner<'_>, cause| containers::start(planner, slots, service, replica, container, cause);
    let asked_again = service.restarted_at.max(service.retried_at).is_some_and(|asked| asked > at);
    match verdict(planner, end, container) {
        Verdict::Pending { until } => planner.wait_replica(replica, WaitReason::IntentPending, Some(until)),
        Verdict::ExternalStop if planner.desired.recovery.external_stop == ExternalStop::Revert => {
            start(planner, Cause::StopReverted);
        }
        Verdict::ExternalStop | Verdict::Ours(StopReason::Held) => start(planner, Cause::HoldEnded),
        Verdict::Ours(StopReason::Restart) => start(planner, Cause::RestartRequested),
        Verdict::Ours(StopReason::Replace | StopReason::Remove) => start(planner, Cause::Unfinished),
        Verdict::Shutdown => start(planner, asked(service, at).unwrap_or(Cause::EngineRestarted)),
        Verdict::Unknown | Verdict::OwnAccord | Verdict::Killed if asked_again => start(planner, Cause::RestartRequested),
        Verdict::Unknown if container.exit_code == 0 && completes(service, 0) => complete(planner, service, replica, at, 0),
        Verdict::Unknown => {
            if planner.history.replica(replica).was_running {
                planner.note(Note::IntentUnknown(replica.clone()));
            }
            start(planner, asked(service, at).unwrap_or(Cause::IntentUnknown));
        }
        Verdict::OwnAccord if completes(service, container.exit_code) => {
            complete(planner, service, replica, at, container.exit_code);
        }
        Verdict::OwnAccord => failed(planner, slots, service, replica, container, at),
        Verdict::Killed if service.restart == RestartRule::Once => {
            complete(planner, service, replica, at, if container.exit_code == 0 { 137 } else { container.exit_code });
        }
        Verdict::Killed => failed(planner, slots, service, replica, container, at),
    }
}

/// Until when it is open who ended a container, if that is being decided: a person may have stopped it.
pub(super) fn pending(planner: &Planner<'_>, container: &Container) -> Option<Timestamp> {
    let end = planner.snapshot.ends.get(&container.id).filter(|end| end.started_at == container.started_at)?;
    match end.verdict {
        Verdict::Pending { until } if !container.is_up() => Some(until),
        _ => None,
    }
}

/// The verdict, or that none is to be had: the event that brings it may still be on its way.
fn verdict(planner: &Planner<'_>, end: Option<&End>, container: &Container) -> Verdict {
    if let Some(end) = end {
        return end.verdict.clone();
    }
    let until = later(container.finished_at.unwrap_or(planner.now), VERDICT_GRACE);
    if planner.now < until { Verdict::Pending { until } } else { Verdict::Unknown }
}

/// Whether an end of its own accord with that exit code is the end of the work.
fn completes(service: &DesiredService, exit_code: i64) -> bool {
    match service.restart {
        RestartRule::Once => true,
        RestartRule::Always => service.job && exit_code == 0,
        RestartRule::OnFailure { .. } | RestartRule::UntilCompleted => exit_code == 0,
    }
}

fn complete(planner: &mut Planner<'_>, service: &DesiredService, replica: &ReplicaId, at: Timestamp, exit_code: i64) {
    planner.note(Note::Completed { replica: replica.clone(), spec_hash: service.spec_hash.clone(), at, exit_code });
    let reason = match exit_code {
        0 => WaitReason::Completed,
        code => WaitReason::JobFailed { failure: format!("exit code {code}") },
    };
    planner.wait_replica(replica, reason, None);
}

/// It failed: notes the failure once, and tries again when that is due.
fn failed(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    at: Timestamp,
) {
    let record = recovery::record(planner, service, replica);
    let known = record.failure.as_ref().filter(|failure| failure.at >= at);
    let (failed_at, message) = match known {
        Some(failure) => (failure.at, failure.message.clone()),
        None => (at, describe(container)),
    };
    let forgiven = recovery::forgiven_at(planner, service).is_some_and(|forgiven| forgiven >= at);
    if known.is_none() && !forgiven {
        planner.note(Note::Failed {
            replica: replica.clone(),
            spec_hash: service.spec_hash.clone(),
            at,
            failure: message.clone(),
            exit_code: container.exit_code,
            oom_killed: container.oom_killed,
        });
    }
    let ran_for = match (container.started_at, container.finished_at) {
        (Some(from), Some(to)) => Duration::try_from(to.duration_since(from)).unwrap_or_default(),
        _ => Duration::ZERO,
    };
    match recovery::next(planner, service, replica, &record, failed_at, ran_for, &message) {
        Next::Now(cause) => {
            let cause = asked(service, at).unwrap_or(cause);
            containers::start(planner, slots, service, replica, container, cause);
        }
        Next::Wait(reason, until) => planner.wait_replica(replica, reason, until),
    }
}

/// The cause of a start that somebody asked for since the end: it carries out a wish, and recovers nothing.
fn asked(service: &DesiredService, ended_at: Timestamp) -> Option<Cause> {
    service.start_asked_at.filter(|asked| *asked > ended_at).map(|_| Cause::StartRequested)
}

/// An end, in words: `exit code 137, probably out of memory`.
fn describe(container: &Container) -> String {
    let oom = if container.oom_killed { ", probably out of memory" } else { "" };
    let error = if container.error.is_empty() { String::new() } else { format!(": {}", container.error) };
    format!("exit code {}{oom}{error}", container.exit_code)
}

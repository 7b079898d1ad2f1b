//! A container that is not running: who ended it, and what follows. The verdict comes from the decision table
//! (`controller::intent`); what it means for this service is decided here.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Cause, Container, Decision, DesiredService, End, ExternalStop, FailedRun, Note, ReplicaHistory, ReplicaId, RestartRule,
    Secrets, StopReason, Verdict, WaitReason,
};

use super::recovery::{Next, Trouble};
use super::{Planner, Slots, containers, later, recovery, remedy, replace};

/// How long a container may be seen ended before its verdict is known; then it counts as unknown.
const VERDICT_GRACE: Duration = Duration::from_secs(15);

/// Longest error text of the engine's that is kept, in characters.
const ERROR: usize = 500;

/// Plans for an ended container: of the wanted specification, or one whose replacement has to wait.
pub(super) fn decide(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
) {
    let end = planner.snapshot.ends.get(&container.id).filter(|end| end.started_at == container.started_at);
    let at = end.map(|end| end.at).or(container.finished_at).unwrap_or(planner.now);
    let verdict = verdict(planner, end, container);
    if let Verdict::Pending { until } = verdict {
        return planner.wait_replica(replica, WaitReason::IntentPending, Some(until));
    }
    // What has failed since the end is a start: then it is that which counts, whoever ended the run before.
    let record = recovery::record(planner, service, replica);
    let failed_start = record.failure.as_ref().filter(|failure| failure.at > at);
    let last = failed_start.map_or(at, |failure| failure.at);
    let wishes = service.restarted_at.max(service.recreated_at).max(service.retried_at);
    let by_itself = matches!(verdict, Verdict::Unknown | Verdict::OwnAccord | Verdict::Killed);
    if by_itself && wishes.is_some_and(|asked| asked > last) {
        return containers::start(planner, slots, service, replica, container, Cause::RestartRequested);
    }
    if let Some(code) = completed_with(&verdict, service, container) {
        return complete(planner, slots, service, replica, container, at, code);
    }
    if let Some(failure) = failed_start {
        let trouble = Trouble {
            container: Some(container),
            record: &record,
            at: failure.at,
            ran_for: Duration::ZERO,
            message: &failure.message,
        };
        let next = recovery::next(planner, service, replica, &trouble);
        return carry_on(planner, slots, service, replica, container, next);
    }
    let asked = service.start_asked_at.filter(|asked| *asked > at).map(|_| Cause::StartRequested);
    let cause = match verdict {
        Verdict::ExternalStop if planner.desired.recovery.external_stop == ExternalStop::Revert => Cause::StopReverted,
        Verdict::ExternalStop | Verdict::Ours(StopReason::Held) => Cause::HoldEnded,
        Verdict::Ours(StopReason::Restart) => Cause::RestartRequested,
        Verdict::Ours(StopReason::Unhealthy) => unhealthy(planner, service, &record),
        Verdict::Ours(StopReason::Replace | StopReason::Remove) => Cause::Unfinished,
        Verdict::Shutdown => asked.unwrap_or(Cause::EngineRestarted),
        Verdict::Unknown => {
            if record.was_running {
                planner.note(Note::IntentUnknown(replica.clone()));
            }
            asked.unwrap_or(Cause::IntentUnknown)
        }
        Verdict::OwnAccord | Verdict::Killed | Verdict::Pending { .. } => {
            return failed(planner, slots, service, replica, container, &record, at, asked);
        }
    };
    containers::start(planner, slots, service, replica, container, cause);
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

/// The exit code that a run which came to its end for good is remembered with; `None`: it did not.
fn completed_with(verdict: &Verdict, service: &DesiredService, container: &Container) -> Option<i64> {
    let code = container.exit_code;
    match verdict {
        Verdict::Unknown => (code == 0 && completes(service, code)).then_some(code),
        Verdict::OwnAccord => completes(service, code).then_some(code),
        Verdict::Killed if service.restart == RestartRule::Once => Some(if code == 0 { 137 } else { code }),
        _ => None,
    }
}

/// Whether an end of its own accord with that exit code is the end of the work.
fn completes(service: &DesiredService, exit_code: i64) -> bool {
    match service.restart {
        RestartRule::Once => true,
        RestartRule::Always => service.job && exit_code == 0,
        RestartRule::OnFailure { .. } | RestartRule::UntilCompleted => exit_code == 0,
    }
}

/// The end of the work, unless its specification has changed and its replacement is waited for: then the new one has not run.
fn complete(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    at: Timestamp,
    exit_code: i64,
) {
    if replace::due(planner, slots, service, container) == Some(Cause::SpecChanged) {
        return;
    }
    planner.note(completed(planner, service, replica, container, at, exit_code));
    let reason = match exit_code {
        0 => WaitReason::Completed,
        code => WaitReason::JobFailed { failure: format!("exit code {code}") },
    };
    planner.wait_replica(replica, reason, None);
}

/// A run that came to its end for good, with what its log is found by, should it have failed.
pub(super) fn completed(
    planner: &Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    at: Timestamp,
    exit_code: i64,
) -> Note {
    let before = planner.history.replicas.get(&replica.to_string()).and_then(|record| record.failure.as_ref());
    Note::Completed {
        replica: replica.clone(),
        spec_hash: service.spec_hash.clone(),
        at,
        exit_code,
        oom_killed: container.oom_killed,
        run: run(planner, service, container, before.map(|failure| failure.at)),
    }
}

/// A run that ended by itself, as it is remembered.
fn run(planner: &Planner<'_>, service: &DesiredService, container: &Container, failed_before: Option<Timestamp>) -> FailedRun {
    FailedRun {
        container: container.id.clone(),
        started_at: container.started_at,
        failed_before,
        killed: planner.snapshot.ends.get(&container.id).is_some_and(|end| end.verdict == Verdict::Killed),
        error: engine_error(service, container),
        never_well: false,
    }
}

/// Tries again now, or says what that waits for.
fn carry_on(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    next: Next,
) {
    match next {
        Next::Now(cause) if remedy::carry_out(planner, slots, service, replica, Some(container), &cause) => {}
        Next::Now(cause) => containers::start(planner, slots, service, replica, container, cause),
        Next::Wait(reason, until) => planner.wait_replica(replica, reason, until),
        Next::UnderWay => {}
    }
}

/// The cause of the start that belongs to a stop for ill health: the attempt was counted with the stop.
fn unhealthy(planner: &Planner<'_>, service: &DesiredService, record: &ReplicaHistory) -> Cause {
    let failure = record.failure.as_ref().map_or_else(|| "unhealthy".to_owned(), |failure| failure.message.clone());
    let max = recovery::max_attempts(&planner.desired.recovery, service);
    let Decision { rung, rule, .. } = record.last_decision().cloned().unwrap_or_default();
    Cause::Unhealthy { attempt: record.attempts.max(1), max, failure, rung, rule }
}

/// It failed: notes the failure once, and tries again when that is due, or for the cause that somebody asked for.
#[expect(clippy::too_many_arguments, reason = "each is one fact about the end")]
fn failed(
    planner: &mut Planner<'_>,
    slots: &Slots<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    container: &Container,
    record: &ReplicaHistory,
    at: Timestamp,
    asked: Option<Cause>,
) {
    let known = record.failure.as_ref().filter(|failure| failure.at == at);
    let message = known.map_or_else(|| describe(service, container), |failure| failure.message.clone());
    let forgiven = recovery::forgiven_at(planner, service).is_some_and(|forgiven| forgiven >= at);
    if known.is_none() && !forgiven {
        planner.note(Note::Failed {
            replica: replica.clone(),
            spec_hash: service.spec_hash.clone(),
            at,
            failure: message.clone(),
            exit_code: Some(container.exit_code),
            oom_killed: container.oom_killed,
            run: run(planner, service, container, record.failure.as_ref().map(|failure| failure.at)),
        });
    }
    let ran_for = match (container.started_at, container.finished_at) {
        (Some(from), Some(to)) => Duration::try_from(to.duration_since(from)).unwrap_or_default(),
        _ => Duration::ZERO,
    };
    let trouble = Trouble { container: Some(container), record, at, ran_for, message: &message };
    let next = match (recovery::next(planner, service, replica, &trouble), asked) {
        (Next::Now(_), Some(asked)) => Next::Now(asked),
        (next, _) => next,
    };
    carry_on(planner, slots, service, replica, container, next);
}

/// An end, in words: `exit code 137, probably out of memory`.
fn describe(service: &DesiredService, container: &Container) -> String {
    let oom = if container.oom_killed { ", probably out of memory" } else { "" };
    let error = engine_error(service, container);
    let error = if error.is_empty() { error } else { format!(": {error}") };
    format!("exit code {}{oom}{error}", container.exit_code)
}

/// The engine's own words about a run, without what they repeat of its environment.
fn engine_error(service: &DesiredService, container: &Container) -> String {
    Secrets::of_env(&service.template.env).excerpt(&container.error, ERROR)
}

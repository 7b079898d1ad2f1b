//! Back-off, budgets and counters of a replica that fails.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{Cause, DesiredService, Note, RecoveryPolicy, ReplicaHistory, ReplicaId, RestartRule, WaitReason, fraction};

use super::{Planner, later};

/// Spread of delays, each way: enough to keep many crashed containers from starting in step.
const JITTER: f64 = 0.1;

/// How long to wait before the `attempt`-th try: none before the first, then `initial`, times `factor`, up to `max`. The
/// jitter comes from `seed`, so that the same question always has the same answer.
pub(super) fn delay(policy: &RecoveryPolicy, attempt: u32, seed: &str) -> Duration {
    let Some(doublings) = attempt.checked_sub(2) else { return Duration::ZERO };
    let exponent = i32::try_from(doublings).unwrap_or(i32::MAX);
    let raw = policy.initial.as_secs_f64() * policy.factor.powi(exponent);
    let capped = raw.min(policy.max.as_secs_f64());
    let spread = 1.0 + JITTER * (2.0 * fraction(&format!("{seed}#{attempt}")) - 1.0);
    Duration::try_from_secs_f64(capped * spread).unwrap_or(policy.max)
}

/// A delay with up to a tenth more, so that many who were told the same do not come back in step, and none too early.
pub(crate) fn spread(delay: Duration, seed: &str) -> Duration {
    delay.saturating_add(delay.mul_f64(JITTER * fraction(seed)))
}

/// What is remembered of a replica, unless a changed spec, `retry` or a host boot made it start over.
pub(super) fn record(planner: &mut Planner<'_>, service: &DesiredService, replica: &ReplicaId) -> ReplicaHistory {
    let record = planner.history.replica(replica);
    let other_spec = !record.spec_hash.is_empty() && record.spec_hash != service.spec_hash;
    let last = record.failure.as_ref().map(|failure| failure.at).max(record.last_attempt_at);
    let retried = forgiven_at(planner, service).is_some_and(|at| last.is_some_and(|last| last < at));
    if !other_spec && !retried {
        return record;
    }
    if record.attempts > 0 || record.failure.is_some() {
        planner.note(Note::StartedOver(replica.clone()));
    }
    record.started_over()
}

/// Failures before this moment count no more: `retry` or `start` was asked for, or the host was booted.
pub(super) fn forgiven_at(planner: &Planner<'_>, service: &DesiredService) -> Option<Timestamp> {
    service.retried_at.max(service.start_asked_at).max(planner.desired.host_booted_at)
}

/// How many attempts a replica has.
pub(super) fn max_attempts(policy: &RecoveryPolicy, service: &DesiredService) -> u32 {
    match service.restart {
        RestartRule::OnFailure { max: Some(max) } => max,
        _ => policy.max_attempts,
    }
}

/// What to do about a failure.
pub(super) enum Next {
    /// Try now.
    Now(Cause),
    /// Not yet, or not any more; said why.
    Wait(WaitReason, Option<Timestamp>),
}

/// Decides about the failure of a replica at `failed_at`, after a run of `ran_for`.
pub(super) fn next(
    planner: &mut Planner<'_>,
    service: &DesiredService,
    replica: &ReplicaId,
    record: &ReplicaHistory,
    failed_at: Timestamp,
    ran_for: Duration,
    failure: &str,
) -> Next {
    let policy = &planner.desired.recovery;
    let spent = if ran_for >= policy.stable_window { 0 } else { record.attempts };
    let max = max_attempts(policy, service);
    if spent >= policy.alert_after && !record.alerted {
        planner.note(Note::Alert { replica: replica.clone(), attempts: spent });
    }
    if spent >= max {
        if !record.exhausted {
            planner.note(Note::Exhausted { replica: replica.clone(), attempts: spent });
        }
        return Next::Wait(WaitReason::BackOffExhausted { attempts: spent, failure: failure.into() }, None);
    }
    let attempt = spent + 1;
    let due = later(failed_at, delay(policy, attempt, &format!("{}/{replica}", planner.desired.key)));
    if planner.now < due {
        return Next::Wait(WaitReason::BackOff { attempt, max, failure: failure.into() }, Some(due));
    }
    Next::Now(Cause::Recovery { attempt, max, failure: failure.into() })
}

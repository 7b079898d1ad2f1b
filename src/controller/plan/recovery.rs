//! Back-off, budgets and counters of a replica that fails.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Cause, Container, DIAGNOSED_WITHIN, Decision, DesiredService, Note, RecoveryMode, RecoveryPolicy, ReplicaHistory, ReplicaId,
    RestartRule, Rule, Rung, WaitReason, fraction,
};

use super::{Planner, ladder, later, remedy};

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
    /// Try now, in the way that the cause names.
    Now(Cause),
    /// Not yet, or not any more; said why.
    Wait(WaitReason, Option<Timestamp>),
    /// A step of it takes several turns, and what that waits for is said.
    UnderWay,
}

/// A failure, as it is decided about.
pub(super) struct Trouble<'a> {
    /// The container that failed, where there is one.
    pub container: Option<&'a Container>,
    /// What is remembered of the replica.
    pub record: &'a ReplicaHistory,
    /// When it failed.
    pub at: Timestamp,
    /// How long the run lasted.
    pub ran_for: Duration,
    /// What failed, for people.
    pub message: &'a str,
}

/// Decides about the failure of a replica.
pub(super) fn next(planner: &mut Planner<'_>, service: &DesiredService, replica: &ReplicaId, trouble: &Trouble<'_>) -> Next {
    let policy = &planner.desired.recovery;
    let spent = if trouble.ran_for >= policy.stable_window { 0 } else { trouble.record.attempts };
    let max = max_attempts(policy, service);
    if let Some(under_way) = remedy::under_way(service, trouble) {
        let Decision { attempt, rung, rule, .. } = *under_way;
        return match rung {
            Rung::Recreate if trouble.container.is_some() => Next::UnderWay,
            _ => Next::Now(Cause::Recovery { attempt, max, failure: trouble.message.into(), rung, rule }),
        };
    }
    let situation = remedy::situation(planner, service, replica, trouble, spent, max);
    let (chosen, again) = (ladder::choose(&situation), ladder::may_be_mended(&situation));
    // What was forgiven is not noted as a failure, and never diagnosed.
    let forgiven = forgiven_at(planner, service).is_some_and(|forgiven| forgiven >= trouble.at);
    let diagnosed_by = Some(later(trouble.at, DIAGNOSED_WITHIN)).filter(|_| situation.diagnosis.is_none() && !forgiven);
    match chosen {
        // People are asked with the diagnosis, not before it.
        (Some(rung), rule) if policy.mode == RecoveryMode::Suggest => {
            attempt(planner, replica, trouble, (spent, max), (rung, rule), diagnosed_by)
        }
        (Some(rung), rule) => attempt(planner, replica, trouble, (spent, max), (rung, rule), None),
        // Without a gentle rung nothing is done before the diagnosis is there; nor is it given up.
        (None, Rule::NothingAllowed | Rule::Rejected) if diagnosed_by.is_some_and(|by| planner.now < by) => {
            let failure = trouble.message.to_owned();
            Next::Wait(WaitReason::BackOff { attempt: spent + 1, max, failure }, diagnosed_by)
        }
        (None, Rule::NeedsPerson) if again => {
            let due = later(trouble.at, policy.max);
            match planner.now < due {
                true => give_up(planner, replica, trouble, spent, Rule::NeedsPerson, Some(due)),
                false => attempt(planner, replica, trouble, (spent, max), (Rung::Restart, Rule::MayBeBack), None),
            }
        }
        (None, rule) => give_up(planner, replica, trouble, spent, rule, None),
    }
}

/// The next attempt, of so many, when its back-off is over, and not before `earliest`.
fn attempt(
    planner: &mut Planner<'_>,
    replica: &ReplicaId,
    trouble: &Trouble<'_>,
    (spent, max): (u32, u32),
    (rung, rule): (Rung, Rule),
    earliest: Option<Timestamp>,
) -> Next {
    alert(planner, replica, trouble, spent);
    let (attempt, failure) = (spent + 1, trouble.message.to_owned());
    let pause = delay(&planner.desired.recovery, attempt, &format!("{}/{replica}", planner.desired.key));
    let due = later(trouble.at, pause);
    let due = earliest.map_or(due, |earliest| due.max(earliest));
    if planner.now < due {
        return Next::Wait(WaitReason::BackOff { attempt, max, failure }, Some(due));
    }
    Next::Now(Cause::Recovery { attempt, max, failure, rung, rule })
}

/// Tells people once that so many attempts have not helped.
fn alert(planner: &mut Planner<'_>, replica: &ReplicaId, trouble: &Trouble<'_>, attempts: u32) {
    if attempts >= planner.desired.recovery.alert_after && !trouble.record.alerted {
        planner.note(Note::Alert { replica: replica.clone(), attempts });
    }
}

/// No attempt is made any more, or none before `until`: each told once.
fn give_up(
    planner: &mut Planner<'_>,
    replica: &ReplicaId,
    trouble: &Trouble<'_>,
    attempts: u32,
    rule: Rule,
    until: Option<Timestamp>,
) -> Next {
    alert(planner, replica, trouble, attempts);
    let told = if until.is_some() { trouble.record.person_called } else { trouble.record.exhausted };
    if !told {
        planner.note(Note::Exhausted { replica: replica.clone(), attempts, rule, until });
    }
    let (failure, again) = (trouble.message.to_owned(), until.is_some());
    Next::Wait(WaitReason::BackOffExhausted { attempts, failure, rule, again }, until)
}

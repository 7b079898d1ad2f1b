//! What came of recovery, written down: decisions as they are carried out, whether they held, and what that teaches.

use jiff::Timestamp;

use crate::controller::plan::{Wellness, later, slots, wellness};
use crate::model::{
    Action, Cause, Container, Decision, DecisionResult, Desired, DesiredService, EXPERIENCE, Experience, Failure, GoodImage,
    History, Memory, Observed, Op, ReplicaHistory, ReplicaId, Rule, Rung, Subject, Suggestion,
};

use super::replica_mut;

/// What can be learned of a rung.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lesson {
    Held,
    Failed,
    Approved,
    Rejected,
}

/// An attempt that an action makes: whose, and the cause that numbers it.
pub(super) fn attempt(action: &Action) -> Option<(&ReplicaId, &Cause)> {
    match (&action.cause, &action.subject, &action.op) {
        (Cause::Remedy { replica, cause }, ..) => Some((replica, cause)),
        (cause @ Cause::Recovery { .. }, Subject::Replica(replica), _) => Some((replica, cause)),
        // What is unhealthy is stopped first, or its successor made, which counts for the start too.
        (cause @ Cause::Unhealthy { .. }, Subject::Replica(replica), Op::Stop { .. } | Op::CreateContainer { .. }) => {
            Some((replica, cause))
        }
        _ => None,
    }
}

/// The number of the attempt that a cause speaks of.
fn number(cause: &Cause) -> Option<u32> {
    match cause {
        Cause::Recovery { attempt, .. } | Cause::Unhealthy { attempt, .. } => Some(*attempt),
        _ => None,
    }
}

/// Counts the attempt that an action is about to make, and keeps the decision.
pub(super) fn count(desired: &Desired, action: &Action, history: &mut History, now: Timestamp) {
    let Some((replica, cause)) = attempt(action) else { return };
    let Some(service) = desired.services.get(&replica.service) else { return };
    let record = replica_mut(history, replica);
    let Some(decision) = decision(cause, &record.failure.clone().unwrap_or_default(), now) else { return };
    let attempt = decision.attempt;
    // What is tried once more after it was given up has been told.
    if attempt == 1 && decision.rule != Rule::MayBeBack {
        (record.alerted, record.exhausted, record.person_called) = (false, false, false);
    }
    // All calls of an attempt are one decision.
    if !record.last_decision().is_some_and(|last| last.attempt == attempt && last.is_about(decision.failed_at)) {
        if attempt == 1 {
            record.taken.clear();
        }
        *record.taken.entry(decision.rung).or_default() += 1;
        record.keep(decision);
    }
    record.attempts = attempt;
    record.spec_hash = service.spec_hash.clone();
    record.last_attempt_at = Some(now);
}

/// What a cause decides about a failure.
fn decision(cause: &Cause, failed: &Failure, now: Timestamp) -> Option<Decision> {
    let (Cause::Recovery { attempt, failure, rung, rule, .. } | Cause::Unhealthy { attempt, failure, rung, rule, .. }) = cause
    else {
        return None;
    };
    let mut decision = Decision {
        at: now,
        failed_at: failed.at,
        attempt: *attempt,
        rung: *rung,
        rule: *rule,
        failure: failure.clone(),
        container: failed.run.container.clone(),
        trace_id: crate::telemetry::trace_id(),
        ..Decision::default()
    };
    if let Some(diagnosis) = &failed.diagnosis {
        decision.explain(diagnosis);
    }
    Some(decision)
}

/// An attempt that was not made after all does not count.
pub(super) fn give_back(history: &mut History, action: &Action) {
    let Some((replica, cause)) = attempt(action) else { return };
    // A successor that was made goes on to take its place.
    let begun = cause.rung() == Some(Rung::Recreate) && !matches!(action.op, Op::CreateContainer { .. });
    let record = replica_mut(history, replica);
    if begun || number(cause) != Some(record.attempts) {
        return;
    }
    if record.last_decision().is_some_and(|last| Some(last.attempt) == number(cause))
        && let Some(decision) = record.decisions.pop()
    {
        let count = record.taken.entry(decision.rung).or_default();
        *count = count.saturating_sub(1);
    }
    record.attempts = record.attempts.saturating_sub(1);
}

/// The replica failed again: what was done last has not helped.
pub(super) fn failed(replica: &ReplicaId, history: &mut History, memory: &mut Memory, now: Timestamp) {
    let record = replica_mut(history, replica);
    record.rejected.clear();
    settle(record, replica, memory, DecisionResult::Failed, now);
}

/// The replica has ended its work: what was done last has helped.
pub(super) fn completed(replica: &ReplicaId, history: &mut History, memory: &mut Memory, now: Timestamp) {
    settle(replica_mut(history, replica), replica, memory, DecisionResult::Held, now);
}

fn settle(
    record: &mut ReplicaHistory,
    replica: &ReplicaId,
    memory: &mut Memory,
    result: DecisionResult,
    now: Timestamp,
) -> Option<Decision> {
    if record.attempts == 0 {
        return None;
    }
    let last = record.decisions.last_mut().filter(|last| last.result == DecisionResult::Pending)?;
    last.result = result;
    let lesson = if result == DecisionResult::Held { Lesson::Held } else { Lesson::Failed };
    learn(memory, &replica.service, &last.signature.clone(), last.rung, lesson, now);
    Some(last.clone())
}

/// Looks at what runs: what has been well for the verify window was mended, and its image works. Returns the decisions that held.
pub(in crate::controller) fn verify(
    desired: &Desired,
    observed: &Observed,
    history: &mut History,
    memory: &mut Memory,
    now: Timestamp,
) -> Vec<(ReplicaId, Decision)> {
    memory.good.retain(|service, _| desired.services.contains_key(service));
    let well = well_for_the_window(desired, observed, history, memory, now);
    let mut held = vec![];
    for (service, replica, container) in well {
        remember_image(service, container, observed, memory);
        let Some(record) = history.replicas.get_mut(&replica.to_string()) else { continue };
        // The run that failed is no proof, whatever it looks like now.
        let failed_run = record.failure.as_ref().is_some_and(|failure| failure.run.is_of(container));
        if failed_run {
            continue;
        }
        held.extend(settle(record, &replica, memory, DecisionResult::Held, now).map(|decision| (replica, decision)));
    }
    held
}

fn well_for_the_window<'d>(
    desired: &'d Desired,
    observed: &'d Observed,
    history: &History,
    memory: &Memory,
    now: Timestamp,
) -> Vec<(&'d DesiredService, ReplicaId, &'d Container)> {
    let slots = slots(desired, &observed.snapshot, history, memory);
    let replicas = desired.services.values().flat_map(|s| (1..=s.replicas).map(move |n| (s, ReplicaId::new(&s.name, n))));
    let well = replicas.filter_map(|(service, replica)| {
        let container = slots.get(&replica).current.filter(|container| container.is_up())?;
        let wellness = wellness(service, container, &observed.probed);
        let record = history.replicas.get(&replica.to_string());
        let failed_at = record.and_then(|record| record.failure.as_ref()).map(|failure| failure.at);
        let decided_at = record.and_then(|record| record.last_decision()).map(|decision| decision.at);
        let since = container.started_at.max(failed_at).max(decided_at)?;
        let long = later(since, desired.recovery.verify_window) <= now;
        (long && matches!(wellness, Wellness::Well | Wellness::Unprobed)).then_some((service, replica, container))
    });
    well.collect()
}

/// The image that the reference names now is one that works, if that is what has been well.
fn remember_image(service: &DesiredService, container: &Container, observed: &Observed, memory: &mut Memory) {
    let reference = &service.template.image;
    let is_tagged = observed.snapshot.image(reference).is_some_and(|tagged| tagged.id == container.image_id);
    if !is_tagged || container.spec_hash() != Some(service.spec_hash.as_str()) {
        return;
    }
    let (spec_hash, image_id) = (service.spec_hash.clone(), container.image_id.clone());
    let good = GoodImage { spec_hash, reference: reference.clone(), image_id };
    memory.good.insert(service.name.clone(), good);
}

/// What a person said to a suggestion teaches too; a rung that was rejected is not suggested again for the same failure.
pub(super) fn answered(replica: &ReplicaId, suggestion: &Suggestion, history: &mut History, memory: &mut Memory) {
    let (Some(answer), Some(rung)) = (&suggestion.answer, suggestion.rung) else { return };
    let lesson = if answer.approved { Lesson::Approved } else { Lesson::Rejected };
    let signature = suggestion.diagnosis.as_ref().map(|diagnosis| diagnosis.kin()).unwrap_or_default();
    learn(memory, &replica.service, &signature, rung, lesson, answer.at);
    if !answer.approved {
        replica_mut(history, replica).rejected.push(rung);
    }
}

/// Adds to what is known; what is known of longest ago makes room.
pub(super) fn learn(memory: &mut Memory, service: &str, signature: &str, rung: Rung, lesson: Lesson, now: Timestamp) {
    if signature.is_empty() {
        return;
    }
    let same = |known: &Experience| known.service == service && known.signature == signature && known.rung == rung;
    let mut known = match memory.experience.iter().position(same) {
        Some(index) => memory.experience.remove(index),
        None => Experience { service: service.to_owned(), signature: signature.to_owned(), rung, ..Experience::default() },
    };
    let count = match lesson {
        Lesson::Held => &mut known.held,
        Lesson::Failed => &mut known.failed,
        Lesson::Approved => &mut known.approved,
        Lesson::Rejected => &mut known.rejected,
    };
    *count = count.saturating_add(1);
    known.at = now;
    memory.experience.push(known);
    let surplus = memory.experience.len().saturating_sub(EXPERIENCE);
    memory.experience.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::plan::sample_service;
    use crate::controller::plan::scene::{Scene, ago, container, noon};
    use crate::model::{DECISIONS, FailedRun, Target};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_learned_is_counted_by_failure_and_rung_and_bounded() {
        let mut memory = Memory::default();
        for lesson in [Lesson::Failed, Lesson::Held, Lesson::Held, Lesson::Approved, Lesson::Rejected] {
            learn(&mut memory, "app", "it broke", Rung::Recreate, lesson, at(1));
        }
        learn(&mut memory, "app", "", Rung::Recreate, Lesson::Held, at(1));
        let [known] = memory.experience.as_slice() else { panic!("one piece: {:?}", memory.experience) };
        assert_eq!((known.held, known.failed, known.approved, known.rejected), (2, 1, 1, 1));
        assert!(known.helps() && !known.is_hopeless());
        for second in 0..1000 {
            learn(&mut memory, "app", &format!("failure {second}"), Rung::Restart, Lesson::Failed, at(second));
        }
        assert_eq!(memory.experience.len(), EXPERIENCE);
        assert_eq!(memory.experience.last().unwrap().signature, "failure 999");
    }

    #[test]
    fn a_decision_is_judged_once_by_what_comes_first() {
        let replica = ReplicaId::new("app", 1);
        let (mut history, mut memory) = (History::default(), Memory::default());
        let record = replica_mut(&mut history, &replica);
        record.attempts = 1;
        record.keep(Decision { attempt: 1, signature: "it broke".into(), ..Decision::default() });
        completed(&replica, &mut history, &mut memory, at(1));
        failed(&replica, &mut history, &mut memory, at(2));
        assert_eq!(history.replica(&replica).decisions[0].result, DecisionResult::Held);
        assert_eq!((memory.experience[0].held, memory.experience[0].failed), (1, 0));
    }

    #[test]
    fn only_a_run_after_the_decision_shows_that_it_held() {
        let held = |decided: i64, failure: Failure| {
            let record = ReplicaHistory {
                attempts: 1,
                failure: Some(failure),
                decisions: vec![Decision { at: ago(decided), attempt: 1, ..Decision::default() }],
                ..ReplicaHistory::default()
            };
            let scene = Scene::declares([sample_service("app")]).with(container("app-1")).remembers("app-1", record);
            let (mut history, mut memory) = (scene.history.clone(), scene.memory.clone());
            verify(&scene.desired, &scene.observed(), &mut history, &mut memory, noon()).len()
        };
        let before = || Failure { at: ago(5000), ..Failure::default() };
        assert_eq!(held(61, before()), 1);
        assert_eq!(held(59, before()), 0, "it was decided less than the verify window ago");
        let run =
            FailedRun { container: container("app-1").id, started_at: container("app-1").started_at, ..FailedRun::default() };
        let unhealthy = Failure { at: ago(100), unhealthy: true, run, ..Failure::default() };
        assert_eq!(held(90, unhealthy), 0, "the run that was unhealthy got well by itself");
    }

    #[test]
    fn attempts_are_counted_by_rung_beyond_the_decisions_that_are_kept() {
        let scene = Scene::declares([sample_service("app")]);
        let replica = ReplicaId::new("app", 1);
        let action = |attempt| {
            let (failure, rung, rule) = ("exit code 1".into(), Rung::Restart, Rule::MayPass);
            Action {
                op: Op::Start(Target::Existing { id: "1".into(), name: "web-app-1".into() }),
                subject: Subject::Replica(replica.clone()),
                cause: Cause::Recovery { attempt, max: 20, failure, rung, rule },
                after: vec![],
            }
        };
        let mut history = History::default();
        let taken = |history: &History| history.replica(&replica).taken.get(&Rung::Restart).copied();
        (1..=12).for_each(|attempt| count(&scene.desired, &action(attempt), &mut history, noon()));
        assert_eq!((taken(&history), history.replica(&replica).decisions.len()), (Some(12), DECISIONS));
        give_back(&mut history, &action(12));
        assert_eq!(taken(&history), Some(11));
        count(&scene.desired, &action(1), &mut history, noon());
        assert_eq!(taken(&history), Some(1), "another series");
    }
}

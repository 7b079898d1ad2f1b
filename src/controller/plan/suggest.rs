//! What the mode keeps from being done, and what of that is suggested to people: a replica's recovery is one suggestion, with its
//! diagnosis, as long as the situation stays the same. [docs/adr/0020](../../../docs/adr/0020-suggestions.md) has the reasons.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::{
    Action, Cause, ContainerState, Job, JobKind, Note, Op, Plan, RecoveryMode, ReplicaId, StopReason, Subject, Suggestion,
    Target, Verdict, WaitReason, Waiting, fraction,
};

use super::identity::owns;
use super::{Planner, Slots, recovery, slots};

/// Takes out what the mode does not allow and no person approved, and whatever comes after it.
pub(super) fn withhold(planner: &mut Planner<'_>) {
    let policy = &planner.desired.recovery;
    let (mode, bound) = (policy.mode, policy.bound);
    let suggestions = if mode == RecoveryMode::Suggest { suggestions(planner) } else { BTreeMap::new() };
    if suggestions != planner.history.suggestions {
        planner.note(Note::Suggestions(suggestions.clone()));
        // What was rejected makes room for something else.
        planner.plan.wake(planner.now);
    }
    if mode == RecoveryMode::Auto && bound == RecoveryMode::Auto {
        return;
    }
    let allowed = allowed(planner, bound, &suggestions);
    let plan = &mut planner.plan;
    let mut new_index = vec![None; plan.actions.len()];
    let mut kept: Vec<Action> = Vec::new();
    for (index, mut action) in std::mem::take(&mut plan.actions).into_iter().enumerate() {
        if allowed.contains(&index) && action.after.iter().all(|before| new_index[*before].is_some()) {
            action.renumber(&new_index);
            new_index[index] = Some(kept.len());
            kept.push(action);
        } else {
            unsay(plan, &action);
            let waiting = waiting(plan, planner.desired.api.as_ref(), &action, &suggestions);
            if !plan.waiting.contains(&waiting) {
                plan.waiting.push(waiting);
            }
            plan.withheld.push(action);
        }
    }
    plan.actions = kept;
}

/// What may be done: what is no recovery, unless the whole host is bound, what was approved with all that it comes after, and what
/// ends a step that was allowed before.
fn allowed(planner: &Planner<'_>, bound: RecoveryMode, suggestions: &BTreeMap<String, Suggestion>) -> BTreeSet<usize> {
    let plan = &planner.plan;
    let approved = |action: &Action| {
        let suggestion = replica_of(action).and_then(|replica| suggestions.get(&replica.to_string()));
        (action.cause.is_recovery() || follows(&action.cause)) && suggestion.is_some_and(is_approved)
    };
    let mut allowed = BTreeSet::new();
    for (index, action) in plan.actions.iter().enumerate().rev() {
        // What a person wants given back to Docker is nothing that evenkeel decides.
        let free = action.cause == Cause::Released || bound == RecoveryMode::Auto && !action.cause.is_recovery();
        let ends_a_step = bound == RecoveryMode::Suggest && left_half_way(planner, action);
        if approved(action) || ends_a_step || allowed.contains(&index) {
            allowed.insert(index);
            allowed.extend(action.after.iter().copied());
        } else if free {
            allowed.insert(index);
        }
    }
    allowed
}

/// What comes of a recovery that was approved.
fn follows(cause: &Cause) -> bool {
    matches!(cause, Cause::Created | Cause::Unfinished | Cause::RolledBack { .. } | Cause::ImageChanged { .. })
}

/// The start of a container that evenkeel itself stopped to start it again, or made to start it: that was allowed, and nobody is
/// asked twice.
fn left_half_way(planner: &Planner<'_>, action: &Action) -> bool {
    let (Op::Start(Target::Existing { id, .. }), Cause::RestartRequested | Cause::Unfinished) = (&action.op, &action.cause)
    else {
        return false;
    };
    let Some(container) = planner.snapshot.containers.get(id) else { return false };
    let made = container.state == ContainerState::Created && owns(planner.desired, &container.labels);
    let end = planner.snapshot.ends.get(id).filter(|end| end.started_at == container.started_at);
    let stopped = end.is_some_and(|end| matches!(end.verdict, Verdict::Ours(StopReason::Restart | StopReason::Replace)));
    made || stopped
}

fn is_approved(suggestion: &Suggestion) -> bool {
    suggestion.answer.as_ref().is_some_and(|answer| answer.approved)
}

/// How an action is shown that is not done.
fn waiting(plan: &Plan, api: Option<&String>, action: &Action, suggestions: &BTreeMap<String, Suggestion>) -> Waiting {
    let suggestion = replica_of(action).and_then(|replica| Some((replica, suggestions.get(&replica.to_string())?)));
    let Some((replica, open)) = suggestion.filter(|(_, suggestion)| suggestion.answer.is_none()) else {
        return Waiting { subject: action.subject.clone(), reason: WaitReason::Withheld, until: None };
    };
    let command = format!("{} {}", plan.key.as_arguments(), open.id);
    let post = api.map(|api| format!(", and so does a POST to {api}{}", plan.key.approve_path())).unwrap_or_default();
    let message = format!("{}; `evenkeel approve {command}` has it done{post}", open.in_words());
    Waiting { subject: Subject::Replica(replica.clone()), reason: WaitReason::Suggested { message }, until: None }
}

/// The replica that an action mends.
fn replica_of(action: &Action) -> Option<&ReplicaId> {
    match (&action.cause, &action.subject) {
        (Cause::Remedy { replica, .. } | Cause::PullAlways { replica, .. }, _) | (_, Subject::Replica(replica)) => Some(replica),
        _ => None,
    }
}

/// What is suggested now, by replica: what was suggested before stays the same as long as its cause does.
fn suggestions(planner: &Planner<'_>) -> BTreeMap<String, Suggestion> {
    let mut found: BTreeMap<String, Suggestion> = BTreeMap::new();
    for action in planner.plan.actions.iter().filter(|action| action.cause.is_recovery()) {
        let Some(replica) = replica_of(action) else { continue };
        let name = replica.to_string();
        match found.get_mut(&name) {
            Some(known) => known.actions.push(action.op.to_string()),
            None => drop(found.insert(name, suggestion(planner, replica, action))),
        }
    }
    // What was approved may take several turns, in some of which nothing is to be done.
    for (name, known) in planner.history.suggestions.iter().filter(|(_, known)| is_approved(known)) {
        let Ok(replica) = name.parse() else { continue };
        let goes_on = match known.failed_at {
            Some(failed_at) => last_failure(planner, &replica) == Some(failed_at),
            None => {
                let slots = slots(planner.desired, planner.snapshot, planner.history, planner.memory);
                is_under_way(planner, &slots, &replica)
            }
        };
        if goes_on && !found.contains_key(name) {
            found.insert(name.clone(), known.clone());
        }
    }
    found
}

/// When a replica failed last, by what is remembered or noticed just now.
fn last_failure(planner: &Planner<'_>, replica: &ReplicaId) -> Option<Timestamp> {
    let noted = planner.plan.notes.iter().find_map(|note| match note {
        Note::Failed { replica: failed, at, .. } if failed == replica => Some(*at),
        _ => None,
    });
    noted.or_else(|| Some(planner.history.replicas.get(&replica.to_string())?.failure.as_ref()?.at))
}

/// Whether what is done to a replica goes on: a stop or another call, a successor that is to take its place, or an image that it is
/// to be made from.
fn is_under_way(planner: &Planner<'_>, slots: &Slots<'_>, replica: &ReplicaId) -> bool {
    let slot = slots.get(replica);
    let subject = Subject::Replica(replica.clone());
    let image = planner.desired.services.get(&replica.service).map(|service| service.template.image.as_str());
    let of_it = |job: &Job| match &job.kind {
        JobKind::Stop(id) => slot.current.is_some_and(|container| container.id == *id),
        JobKind::Call { subject: about, .. } => *about == subject,
        JobKind::Pull(got) | JobKind::Build { image: got, .. } => image == Some(got.as_str()),
    };
    let lacks_image = |waiting: &Waiting| matches!(&waiting.subject, Subject::Image(needed) if image == Some(needed.as_str()));
    let down = slot.current.is_none_or(|container| !container.is_up());
    slot.successor.is_some() || planner.jobs.iter().any(of_it) || (down && planner.plan.waiting.iter().any(lacks_image))
}

fn suggestion(planner: &Planner<'_>, replica: &ReplicaId, action: &Action) -> Suggestion {
    let why = match &action.cause {
        Cause::Remedy { cause: mends, .. } | Cause::PullAlways { made: mends, .. } => mends.to_string(),
        cause => cause.to_string(),
    };
    let failed_at = last_failure(planner, replica).filter(|_| action.cause.rung().is_some());
    let failure = planner.history.replicas.get(&replica.to_string()).and_then(|record| record.failure.as_ref());
    let failure = failure.filter(|failure| Some(failure.at) == failed_at);
    let known = planner.history.suggestions.get(&replica.to_string());
    let known = known.filter(|known| known.why == why && known.failed_at == failed_at && !is_taken_back(planner, replica, known));
    let digits = fraction(&format!("{}/{replica} {} {why}", planner.desired.key, planner.now)).to_bits();
    let fresh = || format!("{replica}-{:04x}", digits & 0xffff);
    let id = known.map_or_else(fresh, |known| known.id.clone());
    let at = known.map_or(planner.now, |known| known.at);
    // Four digits meet again some day: an answer from before is none to this.
    let said = planner.desired.answers.iter().find(|answer| answer.id == id && answer.at >= at).cloned();
    Suggestion {
        at,
        rung: action.cause.rung(),
        actions: vec![action.op.to_string()],
        why,
        failed_at,
        diagnosis: failure.and_then(|failure| failure.diagnosis.clone()),
        answer: said.or_else(|| known.and_then(|known| known.answer.clone())),
        id,
    }
}

/// Whether somebody who rejected it has asked since that the replica be mended after all.
fn is_taken_back(planner: &Planner<'_>, replica: &ReplicaId, known: &Suggestion) -> bool {
    let Some(answer) = known.answer.as_ref().filter(|answer| !answer.approved) else { return false };
    let service = planner.desired.services.get(&replica.service);
    let asked = service.and_then(|service| recovery::forgiven_at(planner, service).max(service.recreated_at));
    asked.is_some_and(|asked| asked > answer.at)
}

/// Takes back what is said of an action as if it were done.
fn unsay(plan: &mut Plan, action: &Action) {
    let is_job =
        |reason: &WaitReason| matches!(reason, WaitReason::Pulling | WaitReason::Refreshing | WaitReason::Building { .. });
    match (&action.op, &action.subject) {
        (Op::Pull { .. } | Op::Build { .. }, subject) => {
            plan.waiting.retain(|waiting| waiting.subject != *subject || !is_job(&waiting.reason));
        }
        (Op::CreateContainer { .. }, Subject::Replica(made)) => {
            plan.notes.retain(|note| !matches!(note, Note::OldImage { replica, .. } if replica == made));
        }
        (Op::Tag { .. }, _) => {
            let Cause::Remedy { replica, .. } = &action.cause else { return };
            plan.notes.retain(|note| !matches!(note, Note::RolledBack { service, .. } if *service == replica.service));
        }
        _ => {}
    }
}

//! What the plan noticed, written down.

use std::collections::BTreeMap;

use tracing::debug;

use crate::model::{
    Completion, Decision, Desired, Failure as Failed, History, Memory, Note, Plan, Reason, ReplicaId, RolledBack, Rule, Rung,
    Severity, Suggestion,
};

use super::{diagnosis, experience, replica_mut};
use crate::controller::Controller;
use crate::controller::plan::adoption;
use crate::controller::reconcile::Failure;

/// Brings history and memory up to what the plan noticed, and tells people what is new.
pub(super) async fn apply(
    controller: &Controller,
    desired: &Desired,
    plan: &Plan,
    history: &mut History,
    memory: &mut Memory,
) -> Result<(), Failure> {
    memory.rolled_back.retain(|service, _| desired.services.contains_key(service));
    history.owed_pulls.retain(|image| desired.services.values().any(|service| service.template.image == *image));
    for note in &plan.notes {
        if let Note::Suggestions(suggestions) = note {
            suggest(controller, desired, suggestions, history, memory).await;
        }
        if let Note::Adopted { replica, at_rest: Some(at), .. } = note {
            controller.registry.hold_external_stop(&desired.key, replica, *at).await?;
        }
        let told = keep(note, history, memory);
        controller.evidence.want(desired, note);
        if let Some((reason, severity, message)) = told {
            controller.tell(desired, reason, severity, message).await;
        }
    }
    Ok(())
}

/// Keeps what is suggested by now; tells what is new, and what a person said.
async fn suggest(
    controller: &Controller,
    desired: &Desired,
    suggestions: &BTreeMap<String, Suggestion>,
    history: &mut History,
    memory: &mut Memory,
) {
    let before = std::mem::replace(&mut history.suggestions, suggestions.clone());
    for (name, suggestion) in suggestions {
        let known = before.get(name).filter(|known| known.id == suggestion.id);
        let Suggestion { id, answer, .. } = suggestion;
        if known.is_none() && answer.is_none() {
            let deployment = desired.key.as_arguments();
            let message = format!("{id}: {}; `evenkeel approve {deployment} {id}` has it done", suggestion.in_words());
            controller.tell(desired, Reason::RecoverySuggested, Severity::Warning, message).await;
        }
        let (Some(answer), None) = (answer, known.and_then(|known| known.answer.as_ref())) else { continue };
        if let Ok(replica) = name.parse() {
            experience::answered(&replica, suggestion, history, memory);
        }
        let word = if answer.approved { "approved" } else { "rejected" };
        let message = format!("{id} was {word} by {}: {}", answer.by, suggestion.in_words());
        controller.tell(desired, Reason::RecoveryAnswered, Severity::Normal, message).await;
    }
}

/// Tells that what recovery did has helped, where it was more than a restart.
pub(super) async fn tell_held(controller: &Controller, desired: &Desired, replica: &ReplicaId, decision: &Decision) {
    if decision.rung == Rung::Restart {
        return;
    }
    let Decision { rung, failure, .. } = decision;
    let message = format!("replica {replica} has been well for the verify window after {rung} against: {failure}");
    controller.tell(desired, Reason::Recovered, Severity::Normal, message).await;
}

/// What people are told, if anything.
type Told = Option<(Reason, Severity, String)>;

/// Keeps one; says what is to be told of it.
pub(in crate::controller) fn keep(note: &Note, history: &mut History, memory: &mut Memory) -> Told {
    match note {
        Note::Stable(replica) => {
            let record = replica_mut(history, replica);
            *record = record.started_over();
            Some((
                Reason::Recovered,
                Severity::Normal,
                format!("replica {replica} has been running for the stable window; attempts start over"),
            ))
        }
        Note::Completed { replica, spec_hash, at, exit_code, oom_killed, run } => {
            let record = replica_mut(history, replica);
            record.was_running = false;
            if *exit_code != 0 {
                // Its log tells why, as that of any other failure.
                let (message, run) = (format!("exit code {exit_code}"), run.clone());
                let (exit_code, oom_killed) = (Some(*exit_code), *oom_killed);
                record.failure = Some(Failed { at: *at, message, exit_code, oom_killed, run, ..Failed::default() });
                record.spec_hash = spec_hash.clone();
                diagnosis::first(record);
            } else if record.attempts == 0 {
                record.failure = None;
            }
            if *exit_code == 0 {
                experience::completed(replica, history, memory, *at);
            }
            memory
                .completions
                .insert(replica.to_string(), Completion { spec_hash: spec_hash.clone(), at: *at, exit_code: *exit_code });
            Some(match exit_code {
                0 => (Reason::Completed, Severity::Normal, format!("replica {replica} ran to its end")),
                code => {
                    (Reason::JobFailed, Severity::Warning, format!("replica {replica} ran once and ended with exit code {code}"))
                }
            })
        }
        Note::Failed { replica, spec_hash, at, failure, exit_code, oom_killed, run } => {
            experience::failed(replica, history, memory, *at);
            let record = replica_mut(history, replica);
            let (message, unhealthy) = (failure.clone(), exit_code.is_none());
            let (exit_code, oom_killed, run) = (*exit_code, *oom_killed, run.clone());
            record.failure = Some(Failed { at: *at, message, exit_code, oom_killed, unhealthy, run, diagnosis: None });
            diagnosis::first(record);
            record.spec_hash = spec_hash.clone();
            record.was_running &= unhealthy;
            Some(match unhealthy {
                true => (Reason::Unhealthy, Severity::Warning, format!("replica {replica} is {failure}")),
                false => (Reason::Crashed, Severity::Warning, format!("replica {replica} ended: {failure}")),
            })
        }
        Note::Alert { replica, attempts } => {
            replica_mut(history, replica).alerted = true;
            let message = format!("replica {replica} failed again after {attempts} attempts to recover it");
            Some((Reason::RecoveryAlert, Severity::Warning, message))
        }
        Note::Exhausted { replica, rule, until: Some(until), .. } => {
            replica_mut(history, replica).person_called = true;
            let why = rule.words();
            let message = format!("replica {replica} failed, and {why}; it is tried again at {until}, or with `evenkeel retry`");
            Some((Reason::BackOffExhausted, Severity::Warning, message))
        }
        Note::Exhausted { replica, attempts, rule, until: None } => {
            replica_mut(history, replica).exhausted = true;
            let why = if *rule == Rule::AttemptsSpent { String::new() } else { format!(", since {}", rule.words()) };
            let message = format!("replica {replica} is given up after {attempts} attempts{why}; mend it, then `evenkeel retry`");
            Some((Reason::BackOffExhausted, Severity::Warning, message))
        }
        Note::StartedOver(replica) => {
            let record = replica_mut(history, replica);
            *record = record.started_over();
            None
        }
        Note::IntentUnknown(replica) => {
            replica_mut(history, replica).was_running = false;
            let message = format!("replica {replica} is not running and nobody saw why; it should run, so it is started");
            Some((Reason::IntentUnknown, Severity::Warning, message))
        }
        Note::Volumes { replica, names } => {
            memory.volumes.insert(replica.to_string(), names.clone());
            None
        }
        Note::Adopted { replica, record, .. } => {
            memory.adopted.insert(replica.to_string(), record.clone());
            adoption(note).map(|told| (Reason::Adopted, Severity::Normal, told))
        }
        Note::AdoptedNetwork { name, record } => {
            memory.adopted_shared.networks.insert(name.clone(), record.clone());
            adoption(note).map(|told| (Reason::Adopted, Severity::Normal, told))
        }
        Note::AdoptedVolume { name, at } => {
            memory.adopted_shared.volumes.insert(name.clone(), *at);
            adoption(note).map(|told| (Reason::Adopted, Severity::Normal, told))
        }
        Note::OldImage { replica, image, failure } => {
            history.owed_pulls.insert(image.clone());
            let message = format!(
                "replica {replica} is made from the image {image} that is here, since no newer one could be pulled: {failure}"
            );
            Some((Reason::ImagePullBackOff, Severity::Warning, message))
        }
        Note::Files { replica, marks } => {
            match marks.is_empty() {
                true => memory.files.remove(&replica.to_string()),
                false => memory.files.insert(replica.to_string(), marks.clone()),
            };
            None
        }
        Note::RolledBack { service, reference, record } => {
            memory.rolled_back.insert(service.clone(), record.clone());
            let RolledBack { from, to, .. } = record;
            let message =
                format!("image {reference} of service {service} is taken back from {from}, which failed, to {to}, which worked");
            Some((Reason::RolledBack, Severity::Warning, message))
        }
        // Kept and told together, since a person may have answered.
        Note::Suggestions(_) | Note::Cleaned => None,
    }
}

/// Has what was taken over looked at: from now on its ends are read like those of ours.
pub(super) async fn look_at_adopted(controller: &Controller, plan: &Plan) {
    for note in &plan.notes {
        if let Note::Adopted { name, record, .. } = note
            && let Err(error) = controller.world.refresh_container(&record.container_id).await
        {
            debug!(container = %name, %error, "looking at a container that was taken over failed; the next full look shows it");
        }
    }
}

/// When all that a deletion must remove is gone, the object may go.
pub(super) async fn clean_up(controller: &Controller, desired: &Desired, plan: &Plan) -> Result<(), Failure> {
    if !plan.notes.contains(&Note::Cleaned) {
        return Ok(());
    }
    debug!(deployment = %desired.key, "all it made is gone");
    controller.registry.gone(&desired.key).await.map_err(Failure::from)
}

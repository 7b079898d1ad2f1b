//! What a turn leaves behind: history, memory, Events. History is written before the action that relies on it, so that a
//! counter survives a kill at any instant.

mod builds;
pub(super) mod diagnosis;
pub(super) mod experience;
pub(super) mod notes;
mod pulls;

use jiff::Timestamp;
use tracing::warn;

use crate::model::{
    Action, ActionRecord, ActionResult, Cause, Desired, EngineFailure, FailedRun, Failure as Failed, FailureKind, History,
    LAST_ACTIONS, Memory, Note, Observed, Obstacle, Op, Outcome, Plan, Reason, ReplicaHistory, ReplicaId, Secrets, Severity,
    Subject, Target,
};

use crate::diagnose::rules::{Facts, diagnose};
use crate::telemetry::chain;

use super::Controller;
use super::plan::{Wellness, slots, wellness};
use super::reconcile::Failure;
use super::world::View;
use crate::store::StoreError;

/// Longest words of an engine that refuses which are kept for the diagnosis, in characters.
const REFUSAL: usize = 500;

/// Records what jobs brought that ended since the last turn, and returns it.
pub(super) async fn finished_jobs(
    controller: &Controller,
    desired: &Desired,
    history: &mut History,
    memory: &mut Memory,
) -> Vec<Outcome> {
    let finished = in_order(controller.jobs.take_finished(&desired.key));
    outcomes(controller, desired, &finished, history, memory).await;
    finished
}

/// Outcomes in the order in which they ended: a turn goes on with what a job made possible before that job has been recorded.
pub(super) fn in_order(mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.sort_by_key(|outcome| outcome.at);
    outcomes
}

/// Records what the plan noticed, and counts the attempts it is about to make.
pub(super) async fn before_acting(
    controller: &Controller,
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    history: &mut History,
    memory: &mut Memory,
) -> Result<(), Failure> {
    let (old_history, old_memory) = (history.clone(), memory.clone());
    let now = controller.clock.now();
    see_running(desired, observed, history, memory);
    for (replica, decision) in experience::verify(desired, observed, history, memory, now) {
        notes::tell_held(controller, desired, &replica, &decision).await;
    }
    notes::apply(controller, desired, plan, history, memory).await?;
    count_attempts(desired, plan, history, now);
    // A full disk must not keep a crashed container down: what could not be written is tried again with the next turn.
    if *memory != old_memory || controller.owes(&desired.key) {
        let written = put_memory(controller, desired, memory).await;
        // Docker's own restart policy must be on disk before it becomes `no`: else nobody could give it back.
        if takes_over(plan) {
            written?;
        }
    }
    if *history != old_history {
        put_history(controller, desired, history).await;
    }
    notes::look_at_adopted(controller, plan).await;
    notes::clean_up(controller, desired, plan).await
}

/// Records what came of actions.
pub(super) async fn outcomes(
    controller: &Controller,
    desired: &Desired,
    outcomes: &[Outcome],
    history: &mut History,
    memory: &mut Memory,
) {
    if outcomes.is_empty() {
        return;
    }
    for outcome in outcomes {
        match &outcome.result {
            ActionResult::Done { .. } => {
                forget_obstacle(controller, history, outcome);
                if keep_signal(memory, outcome) {
                    // Told there; it is kept until it can be written.
                    let _ = put_memory(controller, desired, memory).await;
                }
                keep_action(history, outcome, "ok".into());
                tell_done(controller, desired, outcome).await;
            }
            ActionResult::Built(built) => {
                forget_obstacle(controller, history, outcome);
                let new = builds::keep(memory, &outcome.action, built);
                keep_action(history, outcome, "ok".into());
                let _ = put_memory(controller, desired, memory).await;
                let message = builds::told(&outcome.action, built, new);
                controller.tell_of(desired, Reason::Built, Severity::Normal, message, outcome.trace_id.clone()).await;
            }
            ActionResult::Pulled(pulled) => {
                forget_obstacle(controller, history, outcome);
                if let Op::Pull { image, .. } = &outcome.action.op {
                    history.owed_pulls.remove(image);
                }
                let brought = pulls::keep(desired, memory, outcome, pulled);
                keep_action(history, outcome, brought.in_short());
                let _ = put_memory(controller, desired, memory).await;
                let message = brought.told(&outcome.action);
                controller.tell_of(desired, Reason::Pulled, Severity::Normal, message, outcome.trace_id.clone()).await;
            }
            ActionResult::Failed(failure) => {
                let failure = redacted(desired, outcome, name_port_holder(controller, failure));
                let short = failure.message.lines().next().unwrap_or_default().to_owned();
                keep_action(history, outcome, short);
                let first = keep_failure(controller, desired, history, memory, outcome, &failure);
                if first {
                    let message = format!("{} failed: {}", outcome.action.op, failure.message);
                    let reason = failure_reason(outcome, &failure);
                    controller.tell_of(desired, reason, Severity::Warning, message, outcome.trace_id.clone()).await;
                }
            }
            ActionResult::Skipped { .. } => experience::give_back(history, &outcome.action),
            ActionResult::Started => {}
        }
    }
    put_history(controller, desired, history).await;
}

/// A container that was told of changed files knows them. Returns whether that is one.
fn keep_signal(memory: &mut Memory, outcome: &Outcome) -> bool {
    let (Op::Signal { marks, .. }, Subject::Replica(replica)) = (&outcome.action.op, &outcome.action.subject) else {
        return false;
    };
    memory.files.insert(replica.to_string(), marks.clone());
    true
}

/// Writes what must not be lost. What the disk does not take is kept in this process and written with a later turn: a pull that
/// filled the disk must not be made again and again.
async fn put_memory(controller: &Controller, desired: &Desired, memory: &Memory) -> Result<(), StoreError> {
    let written = controller.store.put_memory(&desired.key, memory.clone()).await;
    if let Err(error) = &written {
        warn!(deployment = %desired.key, error = %chain(error), "writing down what must not be lost failed; it is kept until it can be");
    }
    controller.owe(&desired.key, written.is_err().then(|| memory.clone()));
    written
}

/// Whether the plan takes a container over, or goes on with that after its record could not be written.
fn takes_over(plan: &Plan) -> bool {
    plan.notes.iter().any(|note| matches!(note, Note::Adopted { .. }))
        || plan.actions.iter().any(|action| action.cause == Cause::Adopted)
}

/// Writes the history. What the disk does not take holds in this process until it does, and must not end a turn.
async fn put_history(controller: &Controller, desired: &Desired, history: &History) {
    if let Err(error) = controller.store.put_history(&desired.key, history.clone()).await {
        warn!(deployment = %desired.key, error = %chain(&error), "writing down what was done failed");
    }
}

/// Notes which replicas run, and in which run their probes have succeeded.
pub(super) fn see_running(desired: &Desired, observed: &Observed, history: &mut History, memory: &Memory) {
    let running: Vec<(ReplicaId, Option<Timestamp>)> = {
        let slots = slots(desired, &observed.snapshot, history, memory);
        let replicas = desired.services.values().flat_map(|s| (1..=s.replicas).map(move |n| (s, ReplicaId::new(&s.name, n))));
        let up = replicas.filter_map(|(service, replica)| {
            let container = slots.get(&replica).current.filter(|container| container.is_up())?;
            let well = wellness(service, container, &observed.probed) == Wellness::Well;
            Some((replica, container.started_at.filter(|_| well)))
        });
        up.collect()
    };
    for (replica, well_in) in running {
        let record = replica_mut(history, &replica);
        record.was_running = true;
        record.was_ours = true;
        record.well_in = well_in.or(record.well_in);
    }
}

/// Attempts are counted before they are made.
pub(super) fn count_attempts(desired: &Desired, plan: &Plan, history: &mut History, now: Timestamp) {
    plan.actions.iter().for_each(|action| experience::count(desired, action, history, now));
}

fn replica_mut<'h>(history: &'h mut History, replica: &ReplicaId) -> &'h mut ReplicaHistory {
    history.replicas.entry(replica.to_string()).or_default()
}

/// A replica's obstacle is gone when it was started, or attached while it ran; any other subject's when an action on it succeeded.
fn forget_obstacle(controller: &Controller, history: &mut History, outcome: &Outcome) {
    let gone = match (&outcome.action.subject, &outcome.action.op) {
        (Subject::Replica(_), Op::Start(_) | Op::Signal { .. }) => true,
        (Subject::Replica(_), Op::Connect { target: Target::Existing { id, .. }, .. }) => runs(controller, id),
        (Subject::Replica(_), _) => false,
        _ => true,
    };
    if gone {
        history.obstacles.remove(&outcome.action.subject.to_string());
    }
}

fn runs(controller: &Controller, container: &str) -> bool {
    let View::Seen(snapshot) = controller.world.view() else { return false };
    snapshot.containers.get(container).is_some_and(|container| container.is_up())
}

/// Keeps an action in its place: one that ended before others may be told after them.
fn keep_action(history: &mut History, outcome: &Outcome, result: String) {
    let place = history.last_actions.partition_point(|before| before.at <= outcome.at);
    let record = ActionRecord {
        at: outcome.at,
        action: outcome.action.op.to_string(),
        cause: outcome.action.cause.to_string(),
        result,
        trace_id: outcome.trace_id.clone(),
    };
    history.last_actions.insert(place, record);
    let excess = history.last_actions.len().saturating_sub(LAST_ACTIONS);
    history.last_actions.drain(..excess);
}

/// Keeps a failure: as the container's own, which spends attempts, or as an obstacle. Returns whether it is new.
fn keep_failure(
    controller: &Controller,
    desired: &Desired,
    history: &mut History,
    memory: &mut Memory,
    outcome: &Outcome,
    failure: &EngineFailure,
) -> bool {
    let now = controller.clock.now();
    let makes_it_run = matches!(outcome.action.op, Op::CreateContainer { .. } | Op::Start(_));
    if let Subject::Replica(replica) = &outcome.action.subject
        && failure.kind.spends_attempt()
        && makes_it_run
    {
        let spec_hash = desired.services.get(&replica.service).map(|service| service.spec_hash.clone()).unwrap_or_default();
        let refused = Secrets::default().excerpt(&failure.message, REFUSAL);
        let diagnosis = diagnose(&Facts::Refused { message: &refused });
        experience::failed(replica, history, memory, now);
        let record = replica_mut(history, replica);
        let new = record.failure.as_ref().is_none_or(|before| before.message != failure.message);
        let run = FailedRun { container: container_of(&outcome.action), ..FailedRun::default() };
        record.failure = Some(Failed { at: now, message: failure.message.clone(), diagnosis, run, ..Failed::default() });
        record.spec_hash = spec_hash;
        record.was_running = false;
        return new;
    }
    let obstacle = history.obstacles.entry(outcome.action.subject.to_string());
    let known =
        matches!(&obstacle, std::collections::btree_map::Entry::Occupied(known) if is_same(&known.get().kind, &failure.kind));
    let obstacle = obstacle.or_insert_with(|| Obstacle {
        kind: failure.kind.clone(),
        message: String::new(),
        tries: 0,
        since: now,
        last_at: now,
        input: None,
    });
    let input = builds::input_of(&outcome.action);
    if obstacle.input != input {
        // Something else is tried than what failed before: it starts over.
        (obstacle.tries, obstacle.since) = (0, now);
    }
    let known = known && obstacle.input == input;
    obstacle.input = input;
    obstacle.kind = failure.kind.clone();
    obstacle.message = failure.message.clone();
    obstacle.tries = obstacle.tries.saturating_add(1);
    obstacle.last_at = now;
    !known
}

/// The container that an action is about; empty where it was only to be made.
fn container_of(action: &Action) -> String {
    match &action.op {
        Op::Start(Target::Existing { id, .. }) => id.clone(),
        _ => String::new(),
    }
}

/// The same trouble as before, though a registry may ask for another pause.
fn is_same(one: &FailureKind, other: &FailureKind) -> bool {
    one == other || matches!((one, other), (FailureKind::RateLimited { .. }, FailureKind::RateLimited { .. }))
}

/// The engine's words may repeat what a container was to get, such as its environment: they go to statuses, Events and messages.
fn redacted(desired: &Desired, outcome: &Outcome, failure: EngineFailure) -> EngineFailure {
    let service = match &outcome.action.subject {
        Subject::Replica(replica) => desired.services.get(&replica.service),
        _ => None,
    };
    let secrets = Secrets::of_env(service.iter().flat_map(|service| &service.template.env));
    EngineFailure { message: secrets.hide(&failure.message), ..failure }
}

/// Says who holds a port that could not be bound: a container, else a process where that can be read.
fn name_port_holder(controller: &Controller, failure: &EngineFailure) -> EngineFailure {
    let FailureKind::PortHeld { port: Some(port), protocol } = &failure.kind else { return failure.clone() };
    let container = match controller.world.view() {
        View::Seen(snapshot) => snapshot
            .containers
            .values()
            .find(|c| c.is_up() && c.ports.iter().any(|held| held.port == *port && held.protocol == *protocol))
            .map(|c| format!("container {}", c.name)),
        View::Blind { .. } => None,
    };
    let holder = container.or_else(|| controller.engine.port_holder(*port, protocol)).unwrap_or_else(|| "another process".into());
    let message = format!("host port {port}/{protocol} is held by {holder}; free it or declare another ({})", failure.message);
    EngineFailure { kind: failure.kind.clone(), message }
}

fn failure_reason(outcome: &Outcome, failure: &EngineFailure) -> Reason {
    match (&failure.kind, &outcome.action.op) {
        (FailureKind::PortHeld { .. }, _) => Reason::PortHeld,
        (FailureKind::NameHeld, _) => Reason::NameHeld,
        (FailureKind::NetworkMissing, _) => Reason::NetworkMissing,
        (FailureKind::Unavailable, _) => Reason::EngineUnavailable,
        (FailureKind::BuildFailed, _) | (_, Op::Build { .. }) => Reason::BuildFailed,
        (kind, Op::Pull { .. }) => kind.pull_reason(),
        (FailureKind::WrongPlatform, _) => Reason::WrongPlatform,
        (FailureKind::ImageMissing, _) => Reason::ImageMissing,
        (_, Op::Start(_)) => Reason::StartFailed,
        (_, Op::CreateContainer { .. } | Op::CreateNetwork(_) | Op::CreateVolume(_)) => Reason::CreateFailed,
        _ => Reason::EngineError,
    }
}

/// The Event of an action that succeeded, where people would want one.
async fn tell_done(controller: &Controller, desired: &Desired, outcome: &Outcome) {
    let action = &outcome.action;
    let reason = match (&action.op, &action.cause) {
        (Op::CreateContainer { .. } | Op::CreateNetwork(_) | Op::CreateVolume(_), _) => Reason::Created,
        (Op::Start(_), Cause::Recovery { .. } | Cause::Unhealthy { .. }) => Reason::RecoveryStarted,
        (Op::Start(_), Cause::RestartRequested) => Reason::Restarted,
        (
            Op::Start(_),
            Cause::SpecChanged | Cause::ImageChanged { .. } | Cause::RecreateRequested | Cause::FilesChanged { .. },
        ) => Reason::Replaced,
        (Op::Start(_), _) => Reason::Started,
        (Op::Stop { .. }, _) => Reason::Stopped,
        (Op::RemoveContainer(_) | Op::RemoveNetwork { .. } | Op::RemoveVolume { .. }, _) => Reason::Removed,
        _ => Reason::Updated,
    };
    let message = format!("{}, because {}", action.op, action.cause);
    controller.tell_of(desired, reason, Severity::Normal, message, outcome.trace_id.clone()).await;
}

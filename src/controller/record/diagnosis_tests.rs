use super::super::{keep_action, notes};
use super::*;
use crate::clock::Timestamp;
use crate::controller::plan::sample_service;
use crate::controller::plan::scene::{Scene, noon};
use crate::model::{
    Action, ActionResult, Cause, DesiredService, FailedRun, Memory, Op, Outcome, RestartRule, StopReason, Subject, Target,
    Verdict,
};

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A run of `web` from second 10 to 20.
fn failure(exit_code: i64) -> Failure {
    Failure {
        at: second(20),
        message: format!("exit code {exit_code}"),
        exit_code: Some(exit_code),
        oom_killed: false,
        unhealthy: false,
        run: FailedRun { container: "web".to_owned(), started_at: Some(second(10)), ..FailedRun::default() },
        diagnosis: None,
    }
}

fn killed_for_memory(container: &str, at: i64) -> Snapshot {
    Snapshot { out_of_memory: [(container.to_owned(), second(at))].into_iter().collect(), ..Snapshot::default() }
}

#[test]
fn a_kill_for_memory_counts_for_the_run_in_which_it_was_whenever_it_is_told() {
    for (at, counts) in [(5, false), (10, true), (20, true), (21, true), (23, false)] {
        assert_eq!(ran_out_of_memory(&failure(137), &killed_for_memory("web", at)), counts, "at second {at}");
    }
}

#[test]
fn a_kill_for_memory_explains_nothing_else() {
    assert!(!ran_out_of_memory(&failure(1), &killed_for_memory("web", 20)), "another exit code");
    assert!(!ran_out_of_memory(&failure(137), &killed_for_memory("db", 20)), "another container");
    assert!(!ran_out_of_memory(&failure(137), &Snapshot::default()), "none");
}

/// A run-once service that has just ended with exit code 2, as it is remembered.
fn failed_job() -> Scene {
    let scene = Scene::declares([DesiredService { restart: RestartRule::Once, ..sample_service("app") }]);
    let mut scene = scene.ended("app-1", 2, 1, Verdict::OwnAccord);
    for note in &scene.plan().notes {
        notes::keep(note, &mut scene.history, &mut scene.memory);
    }
    scene
}

#[test]
fn what_a_run_once_service_failed_of_is_what_its_log_says() {
    let mut scene = failed_job();
    let record = scene.history.replicas.get_mut("app-1").unwrap();
    assert_eq!(record.attempts, 0);
    let log = ["ERROR: environment variable DB_URL is not set".to_owned()];
    let diagnosis = of_run(record, &log, false);
    record.failure.as_mut().unwrap().diagnosis = diagnosis;
    let status = scene.status();
    let found = &status.services[0].diagnoses[0];
    assert_eq!((found.cause.as_str(), found.failed_at.is_some()), ("ConfigError", false));
    assert_eq!(found.evidence, ["exit code 2", "log: ERROR: environment variable DB_URL is not set"]);
    assert_eq!(status.recovery, None, "it is not recovered");
}

#[test]
fn what_a_run_once_service_failed_of_waits_for_its_log_and_not_for_ever() {
    let mut scene = failed_job();
    assert!(scene.status().services[0].diagnoses.is_empty());
    let lost = noon() - jiff::SignedDuration::from_secs(60);
    scene.history.replicas.get_mut("app-1").unwrap().failure.as_mut().unwrap().at = lost;
    scene.memory.completions.get_mut("app-1").unwrap().at = lost;
    assert_eq!(scene.status().services[0].diagnoses[0].cause, "ApplicationError");
}

#[test]
fn a_run_once_service_that_succeeds_has_failed_no_more() {
    let mut scene = failed_job();
    let mut memory = Memory::default();
    let again = Scene::declares([sample_service("app")]).ended("app-1", 0, 1, Verdict::OwnAccord);
    for note in &again.plan().notes {
        notes::keep(note, &mut scene.history, &mut memory);
    }
    assert_eq!(scene.history.replicas["app-1"].failure, None);
}

#[test]
fn actions_are_kept_in_the_order_in_which_they_ended() {
    let target = || Target::Existing { id: "old".into(), name: "web-1".into() };
    let ended = |op: Op, at: i64| Outcome {
        action: Action { subject: Subject::Deployment, op, cause: Cause::SpecChanged, after: vec![] },
        result: ActionResult::Done { id: None },
        at: second(at),
        took: Duration::ZERO,
        trace_id: None,
    };
    let stop = ended(Op::Stop { target: target(), grace: 10, reason: StopReason::Replace }, 1);
    let (remove, start) = (ended(Op::RemoveContainer(target()), 2), ended(Op::Start(target()), 3));
    let mut history = History::default();
    for outcome in [&remove, &start, &stop] {
        keep_action(&mut history, outcome, "ok".into());
    }
    let kept: Vec<&str> = history.last_actions.iter().map(|action| action.action.split(' ').next().unwrap()).collect();
    assert_eq!(kept, ["stop", "remove", "start"]);
    let told: Vec<_> = super::super::in_order(vec![start, stop, remove]).into_iter().map(|outcome| outcome.at).collect();
    assert_eq!(told, [second(1), second(2), second(3)]);
}

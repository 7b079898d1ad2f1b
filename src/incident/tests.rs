use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::crd::{AlertSeverity, Incident, IncidentPhase, Remark};

mod goes_on;
mod told;

fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// A Deployment of one replica with this condition and, where it failed, its recovery: attempts, and when it failed last.
fn deployment(phase: &str, status: &str, reason: &str, message: &str, recovery: Option<(u32, i64)>) -> Value {
    let ready = status == "True";
    let diagnoses: Vec<Value> = recovery
        .map(|(attempt, failed)| diagnosis(1, "ApplicationError", attempt, failed, reason == "BackOffExhausted"))
        .into_iter()
        .collect();
    let recovery = recovery.map(|(attempt, failed)| {
        let failure = json!({"message": "exit code 1", "exitCode": 1, "at": at(failed).to_string()});
        json!({"replica": "app-1", "attempt": attempt, "failure": failure})
    });
    json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
        "spec": {"recovery": {"alertAfter": 3, "verifyWindow": "60s"}},
        "status": {"phase": phase, "recovery": recovery, "services": [service(&[ready], diagnoses)],
            "conditions": [{"type": "Ready", "status": status, "reason": reason, "message": message}]},
    })
}

/// Service `app` with replicas that are ready or not.
fn service(ready: &[bool], diagnoses: Vec<Value>) -> Value {
    let containers: Vec<Value> =
        ready.iter().zip(1..).map(|(ready, replica)| json!({"replica": replica, "state": "running", "ready": ready})).collect();
    let well = ready.iter().filter(|ready| **ready).count();
    json!({"name": "app", "replicas": ready.len(), "readyReplicas": well, "containers": containers, "diagnoses": diagnoses})
}

/// How a replica failed.
fn diagnosis(replica: u32, cause: &str, attempts: u32, failed: i64, given_up: bool) -> Value {
    json!({"replica": replica, "cause": cause, "message": "it ended by itself with exit code 1", "evidence": ["exit code 1", "log: boom"],
        "signature": format!("{cause}: boom"), "attempts": attempts, "givenUp": given_up, "failedAt": at(failed).to_string()})
}

/// What is in a replica's way.
fn obstacle(replica: u32, cause: &str) -> Value {
    json!({"replica": replica, "cause": cause, "message": "free it", "evidence": ["it is held"], "signature": cause, "attempts": 0})
}

/// A Deployment of several replicas that are ready or not, of which one says why `Ready` is False.
fn several(reason: &str, ready: &[bool], diagnoses: Vec<Value>) -> Value {
    let mut object = deployment("Degraded", "False", reason, "replica app-1: ..", None);
    object["status"]["services"] = json!([service(ready, diagnoses)]);
    object
}

fn fine() -> Value {
    deployment("Running", "True", "Running", "1 of 1 replicas ready", None)
}

fn back_off(attempt: u32, failed: i64) -> Value {
    deployment("Degraded", "False", "BackOff", "replica app-1: back-off", Some((attempt, failed)))
}

/// Incidents as a store would keep them, and what is told of them as text.
#[derive(Default)]
struct Story {
    incidents: Vec<Incident>,
    text: String,
}

impl Story {
    fn step(&mut self, seconds: i64, object: &Value) -> Folded {
        self.fold(seconds, &Facts::of_deployment(object))
    }

    fn fold(&mut self, seconds: i64, facts: &Facts) -> Folded {
        let folded = fold(&self.incidents, facts, at(seconds));
        for incident in &folded.changed {
            let known = self.incidents.iter_mut().find(|known| known.metadata.name == incident.metadata.name);
            let before = known.as_ref().and_then(|known| known.status.clone()).unwrap_or_default();
            let status = incident.status.clone().unwrap();
            for entry in status.timeline.iter().filter(|entry| !before.timeline.contains(entry)) {
                self.text += &format!("{seconds:>5} {} {}: {}\n", incident.spec.cause, entry.what, entry.message);
            }
            match known {
                Some(known) => *known = incident.clone(),
                None => self.incidents.push(incident.clone()),
            }
        }
        folded
    }

    fn status(&self) -> &crate::crd::IncidentStatus {
        self.incidents.last().unwrap().status.as_ref().unwrap()
    }
}

#[test]
fn a_crash_loop_is_one_incident_from_its_first_failure_to_its_repair() {
    let mut story = Story::default();
    story.step(0, &fine());
    story.step(10, &back_off(1, 9));
    // It runs for a moment, then fails again.
    story.step(11, &deployment("Running", "True", "Running", "", Some((1, 9))));
    story.step(20, &back_off(2, 20));
    story.step(30, &back_off(3, 30));
    story.step(40, &deployment("Failed", "False", "BackOffExhausted", "replica app-1: given up", Some((4, 40))));
    story.step(50, &deployment("Progressing", "False", "Progressing", "0 of 1 replicas ready", None));
    let folded = story.step(60, &fine());
    assert_eq!(folded.look_again, Some(at(120)));
    story.step(119, &fine());
    story.step(120, &fine());
    assert_eq!(
        story.text,
        "   10 ApplicationError Opened: replica app-1: it ended by itself with exit code 1\n   \
            20 ApplicationError Failed: replica app-1: it ended by itself with exit code 1, attempt 2\n   \
            30 ApplicationError Failed: replica app-1: it ended by itself with exit code 1, attempt 3\n   \
            30 ApplicationError Escalated: warning: replica app-1: it ended by itself with exit code 1\n   \
            40 ApplicationError Failed: replica app-1 is given up after 4 attempts: it ended by itself with exit code 1, attempt 4\n   \
            40 ApplicationError Escalated: critical: replica app-1 is given up after 4 attempts: it ended by itself with exit code 1\n   \
            60 ApplicationError Mended: it is well again\n  \
           120 ApplicationError Resolved: it was down for 41s\n"
    );
    assert_eq!((story.incidents.len(), story.status().attempts, story.status().openings), (1, 4, 1));
    assert_eq!(
        (&story.status().evidence, story.status().signature.as_str()),
        (&vec!["exit code 1".into(), "log: boom".into()], "ApplicationError: boom")
    );
}

#[test]
fn an_incident_ends_when_its_replicas_are_well_whatever_is_wrong_with_others() {
    let mut story = Story::default();
    let phase = |story: &Story, index: usize| story.incidents[index].status.as_ref().unwrap().phase;
    let both = || vec![diagnosis(1, "ApplicationError", 1, 0, false), obstacle(2, "PortHeld")];
    story.step(0, &several("PortHeld", &[false, false], both()));
    assert_eq!(story.incidents.len(), 2);
    story.step(5, &several("PortHeld", &[true, false], both()));
    assert_eq!((phase(&story, 0), phase(&story, 1)), (IncidentPhase::Mended, IncidentPhase::Open));
    story.step(100, &several("PortHeld", &[true, false], vec![obstacle(2, "PortHeld")]));
    assert_eq!((phase(&story, 0), phase(&story, 1)), (IncidentPhase::Resolved, IncidentPhase::Open));
    assert_eq!(story.incidents[1].spec.cause, "PortHeld");
    // A replica that people hold, and one that is not declared any more, need nobody either.
    let mut held = several("NotReady", &[true, false], vec![]);
    held["status"]["holds"] = json!([{"name": "h", "service": "app", "replica": 2, "state": "Stopped", "reason": "by ada"}]);
    story.step(110, &held);
    assert_eq!(phase(&story, 1), IncidentPhase::Resolved);
    assert!(story.text.contains("110 PortHeld Resolved: app-2 is held stopped (by ada)"), "{}", story.text);
}

#[test]
fn one_more_replica_that_is_given_up_is_told_though_the_incident_is_critical() {
    let mut story = Story::default();
    let given_up = |second: bool| {
        let both = vec![diagnosis(1, "CrashLoop", 9, 0, true), diagnosis(2, "CrashLoop", 4, 1, second)];
        several("BackOffExhausted", &[false, false], both)
    };
    story.step(10, &given_up(false));
    assert_eq!((story.status().severity, story.status().escalations), (AlertSeverity::Critical, 1));
    story.step(20, &given_up(true));
    story.step(30, &given_up(true));
    assert_eq!((story.incidents.len(), story.status().escalations), (1, 2));
    assert_eq!((&story.status().replicas, story.status().given_up.len()), (&vec!["app-1".to_owned(), "app-2".to_owned()], 2));
    assert!(story.text.contains("20 CrashLoop Escalated: critical: replica app-2 is given up"), "{}", story.text);
}

#[test]
fn the_failures_of_a_replica_are_one_incident_though_their_cause_changes() {
    let mut story = Story::default();
    let failed = |cause: &str, attempt, at| several("BackOff", &[false], vec![diagnosis(1, cause, attempt, at, false)]);
    let again = |attempt, failed| {
        let mut object = back_off(attempt, failed);
        object["status"]["services"][0]["diagnoses"] = json!([]);
        object
    };
    story.step(1, &failed("ApplicationError", 0, 0));
    story.step(2, &several("BackOff", &[true], vec![diagnosis(1, "ApplicationError", 1, 0, false)]));
    // Its log is being read: until then it is what it was, and gets no worse.
    story.step(11, &again(3, 10));
    assert_eq!((story.status().phase, story.status().severity), (IncidentPhase::Open, AlertSeverity::Info));
    story.step(12, &failed("CrashLoop", 3, 10));
    story.step(21, &again(4, 20));
    story.step(22, &failed("OutOfMemory", 4, 20));
    assert_eq!((story.incidents.len(), story.incidents[0].spec.cause.as_str()), (1, "OutOfMemory"));
    assert_eq!(story.status().severity, AlertSeverity::Warning);
    assert!(story.text.contains("12 CrashLoop Diagnosed: CrashLoop: replica app-1: "), "{}", story.text);
    // What keeps it from running afterwards is no failure of its own.
    story.step(30, &several("ImageMissing", &[false], vec![obstacle(1, "ImageMissing")]));
    let causes: Vec<&str> = story.incidents.iter().map(|incident| incident.spec.cause.as_str()).collect();
    assert_eq!(causes, ["OutOfMemory", "ImageMissing"]);
    assert_eq!(story.incidents[0].status.as_ref().unwrap().phase, IncidentPhase::Mended);
}

#[test]
fn what_is_well_again_before_it_is_known_is_open_for_a_moment_so_that_it_is_told() {
    let mut story = Story::default();
    let mended = deployment("Running", "True", "Running", "", Some((1, 9)));
    let folded = story.step(10, &mended);
    assert_eq!(story.status().phase, IncidentPhase::Open);
    assert!(folded.look_again.is_some_and(|again| again > at(10) && again < at(11)));
    story.step(11, &mended);
    assert_eq!(story.status().phase, IncidentPhase::Mended);
}

#[test]
fn a_failure_waits_for_its_diagnosis_and_not_for_long() {
    let mut story = Story::default();
    let mut crashed = back_off(1, 9);
    crashed["status"]["services"][0]["diagnoses"] = json!([]);
    assert_eq!(story.step(10, &crashed).look_again, Some(at(14)));
    assert_eq!(story.incidents.len(), 0);
    story.step(14, &crashed);
    assert_eq!(story.incidents[0].spec.cause, "Crashed");
    let mut sick = crashed.clone();
    sick["status"]["recovery"]["failure"].as_object_mut().unwrap().remove("exitCode");
    let facts = Facts::of_deployment(&sick);
    assert_eq!(facts.findings[0].cause, "Unhealthy");
}

#[test]
fn what_follows_from_something_else_is_no_incident_of_its_own() {
    let mut story = Story::default();
    for cause in ["HostRestart", "EngineRestart", "DependencyDown"] {
        let mut object = several("Progressing", &[false, false], vec![obstacle(1, cause), obstacle(2, cause)]);
        object["status"]["phase"] = json!("Progressing");
        story.step(0, &object);
    }
    assert_eq!(story.incidents.len(), 0);
    story.step(1, &several("BackOff", &[false], vec![diagnosis(1, "DependencyDown", 1, 0, false)]));
    assert_eq!(story.incidents.len(), 1, "one that fails for it is");
}

#[test]
fn a_job_that_failed_is_critical_by_its_diagnosis() {
    for cause in ["ApplicationError", "ConfigError"] {
        let mut story = Story::default();
        story.step(0, &several("JobFailed", &[false], vec![obstacle(1, cause)]));
        assert_eq!((story.incidents.len(), story.status().severity), (1, AlertSeverity::Critical), "{cause}");
    }
}

#[test]
fn a_failure_that_nobody_saw_in_the_phase_is_read_from_the_recovery() {
    let mut story = Story::default();
    let running = deployment("Running", "True", "Running", "", Some((1, 9)));
    story.step(10, &running);
    story.step(500, &running);
    assert_eq!(story.status().phase, IncidentPhase::Mended, "attempts are not forgotten yet");
    story.step(600, &fine());
    assert_eq!((story.status().phase, story.status().severity), (IncidentPhase::Resolved, AlertSeverity::Info));
    story.step(700, &fine());
    assert_eq!(story.incidents.len(), 1);
}

#[test]
fn an_obstacle_is_called_so_only_when_it_lasts() {
    let mut story = Story::default();
    let held = deployment("Degraded", "False", "PortHeld", "port 80 is held by nginx", None);
    let folded = story.step(0, &held);
    assert_eq!((folded.look_again, story.status().severity), (Some(at(20)), AlertSeverity::Info));
    story.step(20, &held);
    assert_eq!((story.status().severity, story.incidents[0].spec.cause.as_str()), (AlertSeverity::Warning, "PortHeld"));
    // Another trouble is another incident, and neither is over before all is well.
    story.step(30, &deployment("Degraded", "False", "Unhealthy", "the probe fails", None));
    assert_eq!(story.incidents.len(), 2);
    story.step(40, &fine());
    story.step(100, &fine());
    assert!(story.incidents.iter().all(|incident| incident.status.as_ref().unwrap().phase == IncidentPhase::Resolved));
}

#[test]
fn what_flaps_becomes_one_incident_that_takes_longer_to_end_each_time() {
    let (mut story, mut now, mut ends) = (Story::default(), 0, vec![]);
    let sick = deployment("Degraded", "False", "Unhealthy", "the probe fails", None);
    for _ in 0..4 {
        story.step(now, &sick);
        let due = story.step(now + 5, &fine()).look_again.unwrap();
        ends.push(due.duration_since(at(now + 5)).as_secs());
        now = due.duration_since(start()).as_secs();
        story.step(now, &fine());
        now += 30;
    }
    assert_eq!(ends, [60, 120, 240, 480]);
    assert_eq!((story.incidents.len(), story.status().openings), (1, 4));
    assert_eq!(story.status().downtime.unwrap().to_string(), "20s");
    // Long after its end it is another incident.
    story.step(now + 4000, &sick);
    assert_eq!(story.incidents.len(), 2);
}

#[test]
fn what_people_want_is_no_trouble_and_ends_it() {
    for (phase, reason) in [("Stopped", "Held"), ("Suspended", "Suspended"), ("Paused", "Paused"), ("Completed", "Completed")] {
        let mut story = Story::default();
        story.step(0, &deployment(phase, "False", reason, "by ada", Some((2, 0))));
        assert_eq!(story.incidents.len(), 0, "{reason}");
        story.step(10, &back_off(3, 9));
        story.step(20, &deployment(phase, "False", reason, "by ada", Some((3, 9))));
        assert_eq!(story.status().phase, IncidentPhase::Resolved, "{reason}");
    }
    for reason in ["Progressing", "HealthStarting", "IntentPending", "DependencyNotReady"] {
        let mut story = Story::default();
        story.step(0, &deployment("Progressing", "False", reason, "", None));
        assert_eq!(story.incidents.len(), 0, "{reason}");
    }
}

#[test]
fn a_closed_incident_is_not_opened_again_by_what_it_was_closed_for() {
    let mut story = Story::default();
    let sick = deployment("Degraded", "False", "Unhealthy", "the probe fails", None);
    story.step(0, &sick);
    story.incidents[0].spec.closed =
        Some(Remark { by: "ada".into(), at: Some(MicroTime(at(5))), note: "known".into(), until: None });
    story.step(10, &sick);
    story.step(20, &sick);
    assert_eq!((story.incidents.len(), story.status().phase), (1, IncidentPhase::Closed));
    assert!(story.text.contains("Closed: by ada: known"), "{}", story.text);
    story.step(30, &fine());
    story.step(40, &sick);
    assert_eq!(story.incidents.len(), 2, "all was well in between");
}

#[test]
fn a_namesake_and_what_is_gone_are_told_apart() {
    let mut story = Story::default();
    let mut sick = deployment("Degraded", "False", "Unhealthy", "the probe fails", None);
    story.step(0, &sick);
    let subject = story.incidents[0].spec.subject.clone();
    sick["metadata"]["uid"] = json!("u2");
    story.step(10, &sick);
    assert_eq!(story.incidents.len(), 2);
    story.fold(20, &Facts::of_gone("default", &subject));
    assert_eq!(story.incidents[0].status.as_ref().unwrap().phase, IncidentPhase::Resolved);
    assert_eq!(story.incidents[1].status.as_ref().unwrap().phase, IncidentPhase::Open);
}

#[test]
fn no_two_incidents_of_a_subject_bear_one_name() {
    let sick = Facts::of_deployment(&deployment("Degraded", "False", "Unhealthy", "the probe fails", None));
    let made = |previous: &[Incident]| fold(previous, &sick, at(0)).changed.remove(0).metadata.name.unwrap();
    let first = made(&[]);
    let mut other = Incident::new(&first, crate::crd::IncidentSpec::default());
    other.metadata.namespace = Some("default".into());
    assert_ne!(made(&[other]), first);
}

#[test]
fn an_engine_that_is_away_is_one_incident_of_the_host() {
    let blind = deployment("Unknown", "Unknown", "EngineUnavailable", "no daemon", Some((1, 0)));
    let facts = Facts::of_deployment(&blind);
    assert!(facts.blind && facts.state == State::Unseen);
    let mut story = Story::default();
    story.fold(0, &Facts::of_host(7, "no daemon"));
    assert_eq!(story.status().severity, AlertSeverity::Info, "a restart of the daemon is no trouble");
    story.fold(60, &Facts::of_host(7, "no daemon"));
    assert_eq!(story.status().severity, AlertSeverity::Critical);
    story.fold(70, &Facts::of_host(0, ""));
    story.fold(80, &Facts::of_host(0, ""));
    assert_eq!((story.incidents.len(), story.status().phase), (1, IncidentPhase::Resolved));
}

#[test]
fn a_source_that_is_not_ready_is_trouble_and_a_suspended_one_is_not() {
    let source = |suspend: bool, status: &str, reason: &str| {
        json!({"metadata": {"name": "shop", "namespace": "default", "uid": "s"}, "spec": {"suspend": suspend},
            "status": {"conditions": [{"type": "Ready", "status": status, "reason": reason, "message": "git says no"}]}})
    };
    let mut story = Story::default();
    story.fold(0, &Facts::of_source(&source(false, "False", "AuthenticationFailed")));
    story.fold(20, &Facts::of_source(&source(false, "False", "AuthenticationFailed")));
    assert_eq!(
        (story.status().severity, story.incidents[0].spec.cause.as_str()),
        (AlertSeverity::Warning, "AuthenticationFailed")
    );
    story.fold(30, &Facts::of_source(&source(true, "False", "AuthenticationFailed")));
    assert_eq!(story.status().phase, IncidentPhase::Resolved);
}

fn any_object() -> impl Strategy<Value = (i64, Value)> {
    let reasons = [
        ("Running", "True", "Running"),
        ("Degraded", "False", "BackOff"),
        ("Failed", "False", "BackOffExhausted"),
        ("Degraded", "False", "Unhealthy"),
        ("Degraded", "False", "PortHeld"),
        ("Progressing", "False", "Progressing"),
        ("Stopped", "False", "Held"),
        ("Unknown", "Unknown", "EngineUnavailable"),
        ("Degraded", "False", "NobodyKnowsThis"),
    ];
    let recovery = prop::option::of((1..12_u32, 0..600_i64));
    let causes = prop::sample::select(vec!["", "ApplicationError", "CrashLoop", "OutOfMemory"]);
    (1..600_i64, prop::sample::select(reasons.to_vec()), recovery, causes).prop_map(
        |(wait, (phase, status, reason), recovery, cause)| {
            let mut object = deployment(phase, status, reason, "m", recovery);
            match object.pointer_mut("/status/services/0/diagnoses/0/cause") {
                Some(_) if cause.is_empty() => object["status"]["services"][0]["diagnoses"] = json!([]),
                Some(stated) => *stated = json!(cause),
                None => {}
            }
            (wait, object)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: one live incident for a cause, nothing changes twice, nothing grows without end, and it ends.
    #[test]
    fn whatever_happens_incidents_stay_in_order(steps in prop::collection::vec(any_object(), 1..60)) {
        let (mut story, mut now) = (Story::default(), 0);
        for (wait, object) in &steps {
            now += wait;
            story.step(now, object);
            let again = story.step(now, object);
            prop_assert!(again.changed.is_empty(), "the same facts at the same time changed {:?}", again.changed);
            let mut live: Vec<&str> = story.incidents.iter()
                .filter(|incident| !incident.status.as_ref().unwrap().phase.is_over())
                .map(|incident| incident.spec.cause.as_str()).collect();
            let count = live.len();
            live.sort_unstable();
            live.dedup();
            prop_assert_eq!(live.len(), count);
            for incident in &story.incidents {
                let status = incident.status.as_ref().unwrap();
                let age = Duration::try_from(at(now).duration_since(status.opened_at.as_ref().unwrap().0)).unwrap();
                prop_assert!(status.downtime.unwrap_or_default().0 <= age);
                prop_assert!(status.timeline.len() <= 50 && status.evidence.len() <= 10);
                prop_assert_eq!(status.down_since.is_some(), status.phase == IncidentPhase::Open);
            }
        }
        // When all is well for long enough, all is over.
        story.step(now + 1, &fine());
        story.step(now + 3700, &fine());
        prop_assert!(story.incidents.iter().all(|incident| incident.status.as_ref().unwrap().phase.is_over()));
    }
}

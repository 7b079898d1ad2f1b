use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::crd::{AlertSeverity, IncidentPhase};

fn at(second: i64) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

/// A Deployment with this `Ready`, and what of its figures fires.
fn deployment(phase: &str, reason: &str, firing: &[(&str, &str)]) -> Value {
    let status = if phase == "Running" { "True" } else { "False" };
    let alert = |(cause, message): &(&str, &str)| json!({"cause": cause, "subject": "app-1", "metric": "cpu", "state": "Firing", "severity": "warning", "message": message});
    let pending = json!({"cause": "HighPids", "subject": "app-1", "metric": "pids", "state": "Pending"});
    let alerts: Vec<Value> = firing.iter().map(alert).chain([pending]).collect();
    json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "u1"}, "spec": {"recovery": {"verifyWindow": "60s"}},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": status, "reason": reason, "message": "m"}], "alerts": alerts},
    })
}

#[derive(Default)]
struct Story(Vec<Incident>);

impl Story {
    fn step(&mut self, second: i64, facts: &Facts) -> Folded {
        let folded = fold(&self.0, facts, at(second));
        for incident in &folded.changed {
            match self.0.iter_mut().find(|known| known.metadata.name == incident.metadata.name) {
                Some(known) => *known = incident.clone(),
                None => self.0.push(incident.clone()),
            }
        }
        assert_eq!(fold(&self.0, facts, at(second)).changed, [], "the same facts twice change nothing");
        folded
    }

    fn see(&mut self, second: i64, phase: &str, reason: &str, firing: &[(&str, &str)]) -> Folded {
        self.step(second, &Facts::of_deployment(&deployment(phase, reason, firing)))
    }

    fn phases(&self) -> Vec<(String, IncidentPhase)> {
        let phase = |incident: &Incident| incident.status.as_ref().unwrap().phase;
        self.0.iter().map(|incident| (incident.spec.cause.clone(), phase(incident))).collect()
    }
}

fn told(phases: &[(&str, IncidentPhase)]) -> Vec<(String, IncidentPhase)> {
    phases.iter().map(|(cause, phase)| ((*cause).to_owned(), *phase)).collect()
}

const CPU: (&str, &str) = ("HighCpu", "CPU of app-1 is 97.0%, above 80% for 5m");
const MEMORY: (&str, &str) = ("HighMemory", "memory of app-1 is 1.0GiB, above 0.9GiB for 5m");

#[test]
fn what_fires_is_an_incident_of_a_deployment_that_is_ready() {
    let mut story = Story::default();
    story.see(0, "Running", "Running", &[]);
    assert_eq!(story.phases(), told(&[]), "pending is none");
    story.see(10, "Running", "Running", &[CPU]);
    let status = story.0[0].status.clone().unwrap();
    assert_eq!((status.severity, status.summary.as_str()), (AlertSeverity::Warning, CPU.1));
    let folded = story.see(100, "Running", "Running", &[]);
    assert_eq!((story.phases(), folded.look_again), (told(&[("HighCpu", IncidentPhase::Mended)]), Some(at(160))));
    story.see(160, "Running", "Running", &[]);
    assert_eq!(story.phases(), told(&[("HighCpu", IncidentPhase::Resolved)]));
    story.see(200, "Running", "Running", &[CPU]);
    assert_eq!((story.0.len(), story.0[0].status.as_ref().unwrap().openings), (1, 2), "the same one again within the hour");
}

#[test]
fn each_cause_is_by_itself_and_beside_what_ready_says() {
    let mut story = Story::default();
    story.see(0, "Running", "Running", &[CPU, MEMORY]);
    story.see(10, "Degraded", "Unhealthy", &[MEMORY]);
    let (open, mended) = (IncidentPhase::Open, IncidentPhase::Mended);
    let mut phases = story.phases();
    phases.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(phases, told(&[("HighCpu", mended), ("HighMemory", open), ("Unhealthy", open)]));
    story.see(20, "Running", "Running", &[MEMORY]);
    assert!(story.phases().contains(&("Unhealthy".to_owned(), mended)), "{:?}", story.phases());
    assert!(story.phases().contains(&("HighMemory".to_owned(), open)), "what fires is not ended by what is ready");
}

#[test]
fn a_figure_that_still_fires_is_not_over_because_people_stop_or_suspend_it() {
    let mut story = Story::default();
    story.see(0, "Running", "Running", &[CPU]);
    story.see(10, "Suspended", "Suspended", &[CPU]);
    assert_eq!(story.phases(), told(&[("HighCpu", IncidentPhase::Open)]));
    story.see(20, "Stopped", "Held", &[]);
    assert_eq!(story.phases(), told(&[("HighCpu", IncidentPhase::Resolved)]), "its container is gone, as wanted");
}

#[test]
fn what_is_gone_or_on_its_way_ends_it_at_once() {
    let mut story = Story::default();
    story.see(0, "Running", "Running", &[CPU]);
    let mut object = deployment("Running", "Running", &[CPU]);
    object["metadata"]["deletionTimestamp"] = json!("2026-03-01T12:00:10Z");
    story.step(10, &Facts::of_deployment(&object));
    assert_eq!(story.phases(), told(&[("HighCpu", IncidentPhase::Resolved)]));
    let mut story = Story::default();
    story.see(0, "Running", "Running", &[CPU]);
    let subject = story.0[0].spec.subject.clone();
    story.step(10, &Facts::of_gone("default", &subject));
    assert_eq!(story.phases(), told(&[("HighCpu", IncidentPhase::Resolved)]));
}

#[test]
fn a_figure_of_a_replica_that_is_given_up_mends_nothing() {
    let mut story = Story::default();
    let mut object = deployment("Failed", "BackOffExhausted", &[]);
    object["status"]["services"] = json!([{
        "name": "app", "replicas": 1, "readyReplicas": 0,
        "containers": [{"name": "web-app-1", "replica": 1, "state": "exited", "ready": false}],
        "diagnoses": [{"replica": 1, "cause": "ApplicationError", "message": "it throws", "failedAt": "2026-03-01T12:00:00Z",
            "attempts": 10, "givenUp": true, "at": "2026-03-01T12:00:00Z"}],
    }]);
    story.step(0, &Facts::of_deployment(&object));
    object["status"]["alerts"] = deployment("Failed", "BackOffExhausted", &[MEMORY])["status"]["alerts"].clone();
    story.step(10, &Facts::of_deployment(&object));
    story.step(100, &Facts::of_deployment(&object));
    let open = IncidentPhase::Open;
    assert_eq!(story.phases(), told(&[("ApplicationError", open), ("HighMemory", open)]));
}

#[test]
fn the_host_has_them_beside_its_engine() {
    let alert = |cause, subject: &str, severity| ResourceAlert {
        cause,
        subject: subject.into(),
        state: AlertState::Firing,
        severity,
        message: format!("{subject} is full"),
        ..ResourceAlert::default()
    };
    let full = [
        alert(ResourceCause::DiskFilling, "/a", AlertSeverity::Warning),
        alert(ResourceCause::DiskFilling, "/b", AlertSeverity::Critical),
    ];
    let mut story = Story::default();
    story.step(0, &Facts::of_host(1, "no daemon").alerting(&full));
    assert_eq!(story.phases().len(), 2);
    let filling = story.0.iter().find(|incident| incident.spec.cause == "DiskFilling").unwrap().status.clone().unwrap();
    assert_eq!((filling.severity, filling.summary.as_str()), (AlertSeverity::Critical, "/a is full; /b is full"));
    story.step(10, &Facts::of_host(0, "").alerting(&full));
    assert!(story.phases().contains(&("DiskFilling".to_owned(), IncidentPhase::Open)), "{:?}", story.phases());
}

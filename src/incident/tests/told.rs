//! What an incident says is true: of each replica, of what waits for a person, of what people stopped, and of what serves.

use super::*;

/// A Deployment whose replica `app-1` failed and waits for a person's answer.
fn suggested(failed: i64, attempts: u32, diagnosed: bool) -> Value {
    let ready = "replica app-1: suggested: Restart, because exit code 7; `evenkeel approve web app-1-00ff` has it done";
    let mut object = deployment("Degraded", "False", "Withheld", ready, Some((attempts, failed)));
    object["status"]["waiting"] = json!([ready]);
    object["status"]["suggestions"] =
        json!([{"id": "app-1-00ff", "replica": "app-1", "rung": "Restart", "why": "exit code 7", "actions": ["start app-1"]}]);
    if !diagnosed {
        object["status"]["services"][0]["diagnoses"] = json!([]);
    }
    object
}

#[test]
fn a_failure_that_waits_for_a_person_is_one_incident_which_says_how_to_answer_and_gets_worse() {
    let mut story = Story::default();
    assert_eq!(story.step(10, &suggested(10, 0, false)).look_again, Some(at(15)));
    let folded = story.step(11, &suggested(10, 0, true));
    let causes: Vec<&str> = story.incidents.iter().map(|incident| incident.spec.cause.as_str()).collect();
    assert_eq!((causes, folded.look_again), (vec!["ApplicationError"], Some(at(31))));
    assert_eq!(
        story.status().summary,
        "replica app-1: it ended by itself with exit code 1; suggested: Restart, because exit code 7; `evenkeel approve web \
         app-1-00ff` has it done"
    );
    story.step(31, &suggested(10, 0, true));
    assert_eq!((story.status().severity, story.incidents.len()), (AlertSeverity::Warning, 1), "nobody else mends it");
    // It was approved.
    story.step(40, &deployment("Running", "True", "Running", "", Some((1, 10))));
    assert_eq!(story.status().phase, IncidentPhase::Mended);
}

#[test]
fn what_is_only_observed_gets_worse_too_and_what_no_diagnosis_explains_is_withheld() {
    let mut story = Story::default();
    let withheld = |recovery| deployment("Degraded", "False", "Withheld", "replica app-1: withheld", recovery);
    story.step(0, &withheld(Some((0, 0))));
    story.step(20, &withheld(Some((0, 0))));
    assert_eq!((story.incidents.len(), story.status().severity), (1, AlertSeverity::Warning), "{}", story.text);
    assert!(story.status().summary.ends_with("; the recovery mode keeps evenkeel from acting"), "{}", story.status().summary);
    let mut story = Story::default();
    story.step(0, &withheld(None));
    assert_eq!(story.incidents[0].spec.cause, "Withheld");
}

/// A Deployment of two services, each of one replica that is down.
fn flap_and_job(flap: Value) -> Value {
    let mut object = several("BackOff", &[false], vec![]);
    let named = |name: &str, diagnosis: Value| {
        let mut service = service(&[false], vec![diagnosis]);
        service["name"] = json!(name);
        service
    };
    let mut job = obstacle(1, "ApplicationError");
    job["message"] = json!("it ended by itself with exit code 2");
    object["status"]["services"] = json!([named("flap", flap), named("job", job)]);
    object
}

#[test]
fn a_crash_loop_stays_one_incident_beside_another_service_that_fails_for_the_same_cause() {
    let mut story = Story::default();
    story.step(0, &flap_and_job(diagnosis(1, "ApplicationError", 1, 0, false)));
    story.step(10, &flap_and_job(diagnosis(1, "ApplicationError", 2, 10, false)));
    story.step(20, &flap_and_job(diagnosis(1, "CrashLoop", 3, 20, false)));
    let told = story.incidents.iter().map(|incident| {
        let status = incident.status.as_ref().unwrap();
        (incident.spec.cause.as_str(), status.replicas.join(" "), status.attempts, status.summary.as_str())
    });
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [
            ("CrashLoop", "flap-1".to_owned(), 3, "replica flap-1: it ended by itself with exit code 1"),
            ("ApplicationError", "job-1".to_owned(), 0, "replica job-1: it ended by itself with exit code 2"),
        ]
    );
    assert_ne!(story.incidents[0].metadata.name, story.incidents[1].metadata.name);
}

#[test]
fn replicas_that_share_a_cause_are_each_told_in_their_own_words() {
    let mut second = diagnosis(2, "ApplicationError", 1, 0, false);
    second["message"] = json!("it ended by itself with exit code 2");
    let mut story = Story::default();
    story.step(0, &several("BackOff", &[false, false], vec![diagnosis(1, "ApplicationError", 4, 0, false), second.clone()]));
    assert_eq!(
        story.status().summary,
        "replica app-1: it ended by itself with exit code 1; replica app-2: it ended by itself with exit code 2"
    );
    // The first is forgotten: its attempts are not the second's.
    story.step(10, &several("BackOff", &[true, false], vec![second]));
    assert_eq!((story.incidents.len(), story.status().attempts), (1, 1));
}

#[test]
fn what_a_person_stopped_is_no_trouble_while_it_is_stopped_again() {
    let stopping = || deployment("Progressing", "False", "Progressing", "stopping", Some((6, 0)));
    let mut held = stopping();
    held["status"]["services"][0]["diagnoses"] = json!([]);
    held["status"]["holds"] = json!([{"name": "h", "state": "Stopped", "reason": "by ada"}]);
    let mut declared = stopping();
    declared["spec"]["state"] = json!("Stopped");
    for object in [held, declared] {
        let mut story = Story::default();
        story.step(100, &object);
        story.step(200, &object);
        assert_eq!(story.incidents.len(), 0, "{}", story.text);
    }
}

#[test]
fn what_serves_while_something_is_in_its_way_is_not_down() {
    let mut failed = obstacle(1, "BuildFailed");
    // From a crash of before.
    failed["attempts"] = json!(3);
    let failing = several("BuildFailed", &[true], vec![failed.clone()]);
    let mut story = Story::default();
    assert_eq!(story.step(0, &failing).look_again, Some(at(20)));
    story.step(20, &failing);
    let status = story.status();
    assert_eq!((status.severity, status.attempts), (AlertSeverity::Warning, 0));
    assert_eq!((&status.down_since, status.downtime), (&None, None));
    // It goes down, and comes back.
    story.step(30, &several("BuildFailed", &[false], vec![failed]));
    story.step(35, &failing);
    assert_eq!(story.status().downtime.unwrap().to_string(), "5s");
    let mut story = Story::default();
    story.step(0, &failing);
    story.step(10, &fine());
    story.step(70, &fine());
    assert!(story.text.ends_with("70 BuildFailed Resolved: it was ready all the while\n"), "{}", story.text);
}

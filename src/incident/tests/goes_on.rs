//! What is the same trouble still, whatever a person or an older version made of its incident.

use super::*;

#[test]
fn a_crash_loop_that_was_closed_stays_closed_until_its_failures_are_forgotten() {
    let mut story = Story::default();
    let failing =
        |cause: &str, attempts, failed| several("BackOff", &[false], vec![diagnosis(1, cause, attempts, failed, false)]);
    story.step(0, &failing("ApplicationError", 1, 0));
    story.incidents[0].spec.closed = Some(Remark { by: "ada".into(), at: Some(MicroTime(at(5))), ..Remark::default() });
    // Well for a moment, then it fails again; and what it comes from turns out to be something else.
    story.step(10, &deployment("Running", "True", "Running", "", Some((1, 0))));
    story.step(20, &failing("ApplicationError", 2, 20));
    story.step(30, &failing("CrashLoop", 3, 30));
    assert_eq!((story.incidents.len(), story.status().phase), (1, IncidentPhase::Closed), "{}", story.text);
    story.step(40, &fine());
    story.step(50, &failing("CrashLoop", 1, 50));
    assert_eq!((story.incidents.len(), story.status().phase), (2, IncidentPhase::Open), "all was well in between");
}

#[test]
fn what_an_older_version_opened_goes_on_and_is_not_told_twice() {
    let mut story = Story::default();
    story.step(0, &several("BackOff", &[false], vec![diagnosis(1, "Crashed", 1, 0, false)]));
    story.incidents[0].status.as_mut().unwrap().replicas.clear();
    let mut old = several("BackOff", &[false], vec![json!({"replica": 1, "cause": "ApplicationError", "message": "m"})]);
    old["status"]["recovery"] =
        json!({"replica": "app-1", "attempt": 1, "failure": {"message": "exit code 1", "exitCode": 1, "at": at(0).to_string()}});
    old["status"]["services"][0]["containers"][0].as_object_mut().unwrap().remove("ready");
    story.step(10, &old);
    assert_eq!(story.incidents.len(), 1, "{}", story.text);
    story.step(20, &several("BackOff", &[false], vec![diagnosis(1, "ApplicationError", 2, 20, false)]));
    assert_eq!((story.incidents.len(), story.incidents[0].spec.cause.as_str()), (1, "ApplicationError"), "{}", story.text);
}

use serde_json::json;

use super::*;

fn look() -> Look {
    Look { color: false, width: None, now: "2026-08-21T12:00:00Z".parse().unwrap() }
}

fn hold(deployment: &str) -> Value {
    json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Hold",
        "metadata": {"name": format!("{deployment}-1"), "namespace": "default"},
        "spec": {"deployment": deployment, "service": "worker", "replica": 1, "state": "Stopped", "reason": "ExternalStop",
            "by": "docker", "since": "2026-08-21T09:30:00Z"}
    })
}

fn troubled() -> Subject {
    let deployment = json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "default", "generation": 5, "creationTimestamp": "2026-08-18T12:00:00Z",
            "labels": {"team": "sea"}},
        "spec": {"project": "shop", "state": "Running", "services": {"web": {"image": "web:2"}, "worker": {"image": "worker:1"}}},
        "status": {
            "observedGeneration": 5, "phase": "Degraded", "ready": "1/3", "replicas": 3, "readyReplicas": 1,
            "conditions": [
                {"type": "Ready", "status": "False", "reason": "BackOff", "message": "web-2 exited with code 137, next attempt in 20s",
                    "lastTransitionTime": "2026-08-21T11:58:00Z"},
                {"type": "Healthy", "status": "True", "reason": "Healthy", "message": "", "lastTransitionTime": "2026-08-18T12:01:00Z"},
            ],
            "services": [
                {"name": "web", "replicas": 2, "readyReplicas": 1,
                    "image": {"reference": "web:2", "id": "sha256:1", "digest": "sha256:0123456789abcdef0123", "pulledAt": "2026-08-21T11:00:00.25Z",
                        "nextPullAt": "2026-08-21T12:30:00Z", "failure": {"reason": "RegistryUnavailable", "message": "connection refused",
                            "tries": 2, "at": "2026-08-21T11:59:00.5Z"}}, "containers": [
                    {"id": "a", "name": "shop-web-1", "replica": 1, "state": "running", "health": "healthy", "restarts": 0,
                        "startedAt": "2026-08-18T12:00:30Z", "image": "web:2", "imageId": "sha256:1",
                        "imageDigest": "web@sha256:0123456789abcdef0123", "drift": ["network back: aliases are [x] instead of [web]"]},
                    {"id": "b", "name": "shop-web-2", "replica": 2, "state": "exited", "exitCode": 137, "oomKilled": true,
                        "restarts": 3, "startedAt": "2026-08-21T11:59:30Z", "image": "web:2", "imageId": "sha256:1"},
                ], "diagnoses": [{"replica": 2, "cause": "OutOfMemory", "message": "probably; raise mem_limit",
                    "evidence": ["exit code 137 (SIGKILL)", "Docker's out-of-memory flag is set"], "signature": "OutOfMemory",
                    "failedAt": "2026-08-21T11:59:40.000000Z"}]},
                {"name": "worker", "replicas": 1, "readyReplicas": 0, "containers": []},
            ],
            "recovery": {"replica": "web-2", "attempt": 3, "maxAttempts": 10, "nextAttemptAt": "2026-08-21T12:00:20Z",
                "failure": {"message": "exit code 137", "exitCode": 137, "oomKilled": true, "at": "2026-08-21T11:59:40Z"}},
            "source": {"path": "shop.yaml:1", "error": "shop.yaml:9:5: spec.services.web.prots: unknown field"},
            "waiting": ["replica web-2: back-off, attempt 4 of 10", "replica worker-1: stopped (ExternalStop)"],
            "lastActions": [
                {"at": "2026-08-21T11:59:30Z", "action": "start container shop-web-2", "cause": "recovery, attempt 3 of 10: exit code 137",
                    "result": "ok", "traceId": "0af7651916cd43dd8448eb211c80319c"},
            ],
        }
    });
    let event = |minute: u32, kind: &str, reason: &str, count: u32, message: &str| {
        json!({"metadata": {"name": "e", "namespace": "default"}, "involvedObject": {"kind": "Deployment", "name": "shop"},
            "type": kind, "reason": reason, "message": message, "count": count,
            "lastTimestamp": format!("2026-08-21T11:{minute}:00Z")})
    };
    let events = [
        event(59, "Warning", "Crashed", 3, "web-2 exited with code 137, probably out of memory"),
        event(30, "Normal", "ExternalStop", 1, "worker-1 was stopped from outside and stays stopped"),
    ];
    Subject::read(deployment, json!({"items": [hold("shop"), hold("other")]}), json!({"items": events})).unwrap()
}

#[test]
fn a_troubled_deployment_is_described_with_the_most_urgent_first() {
    insta::assert_snapshot!(troubled().render(&look()));
}

#[test]
fn what_is_over_is_not_told_as_if_it_were_so_now() {
    let mut subject = troubled();
    let status = subject.deployment.status.as_mut().unwrap();
    status.waiting.clear();
    let recovery = status.recovery.as_mut().unwrap();
    (recovery.attempt, recovery.next_attempt_at) = (10, None);
    assert!(subject.render(&look()).contains("web-2: attempt 10 of 10: given up, `evenkeel retry` starts over"));
    let status = subject.deployment.status.as_mut().unwrap();
    status.holds = vec![crate::crd::HoldStatus { service: Some("web".to_owned()), replica: Some(2), ..Default::default() }];
    status.recovery.as_mut().unwrap().failure.as_mut().unwrap().message = "probably out of memory".to_owned();
    let text = subject.render(&look());
    assert!(text.contains("web-2: attempt 10 of 10: given up; it is held\n"), "{text}");
    assert!(text.contains("ago: probably out of memory\n"), "told once: {text}");
    let status = subject.deployment.status.as_mut().unwrap();
    (status.services[0].containers[1].state, status.services[0].containers[1].exit_code) = ("running".into(), None);
    let text = subject.render(&look());
    assert!(text.contains("web-2: attempt 10 of 10: it runs, and starts over once it is stable"), "{text}");
    assert!(text.contains("raise mem_limit (it failed so before; it runs now)"), "{text}");
    subject.deployment.status.as_mut().unwrap().services[0].diagnoses[0].failed_at = None;
    let text = subject.render(&look());
    assert!(text.contains("raise mem_limit\n"), "what is in its way now is not over: {text}");

    subject.deployment.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(look().now));
    let text = subject.render(&look());
    assert!(text.contains("Phase:     Progressing") && text.contains("Why:       Deleting"), "{text}");
}

#[test]
fn a_narrow_terminal_folds_messages_not_names() {
    let text = troubled().render(&Look { width: Some(100), ..look() });
    let holds = text.lines().skip_while(|line| *line != "Holds").take(3).collect::<Vec<_>>();
    assert!(holds[2].contains("worker-1   Stopped"), "{holds:?}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_deployment_nobody_looked_at_yet_is_described_too() {
    let deployment = json!({
        "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Deployment",
        "metadata": {"name": "new", "generation": 1}, "spec": {"services": {}}
    });
    let subject = Subject::read(deployment, json!({"items": []}), json!({"items": []})).unwrap();
    insta::assert_snapshot!(subject.render(&look()));
}

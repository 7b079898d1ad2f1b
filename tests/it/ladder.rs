//! Recovery as a ladder, on a real engine: each rung where it helps, none where it cannot, and none before it is approved.

use serde_json::{Value, json};

use crate::support::{Operator, Registry, Sandbox, check, condition, eventually, holds_for, same, secs, service};

/// Works until `/state` is there: what is left behind in the container is what breaks it.
fn breakable(image: &str) -> Value {
    service::shell(
        image,
        "[ -e /state ] && { echo 'the state is corrupt' >&2; exit 1; }; trap 'exit 143' TERM; sleep infinity & wait",
    )
}

fn deployment(sandbox: &Sandbox, app: Value, recovery: Value) -> Value {
    let mut web = sandbox.deployment("web", json!({"app": service::with(app, json!({"network_mode": "none"}))}));
    json_patch::merge(&mut web["spec"]["recovery"], &json!({"backoff": {"initial": "500ms", "max": "1s"}, "verifyWindow": "1s"}));
    json_patch::merge(&mut web["spec"]["recovery"], &recovery);
    web
}

fn decisions(operator: &Operator) -> Vec<Value> {
    operator.api().status("web").unwrap()["decisions"].as_array().cloned().unwrap_or_default()
}

fn rungs(operator: &Operator) -> Vec<String> {
    decisions(operator).iter().map(|decision| decision["rung"].as_str().unwrap().to_owned()).collect()
}

fn told(operator: &Operator, reason: &str) -> Vec<String> {
    let events = operator.api().events("web");
    let of_reason = events.iter().filter(|event| event["reason"] == reason);
    of_reason.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_container_whose_state_is_broken_is_made_anew_and_at_once_the_next_time() {
    let sandbox = Sandbox::new();
    let mut operator = Operator::start_on(&sandbox);
    let (docker, name) = (sandbox.docker(), sandbox.container("web", "app", 1));
    operator.api().apply(&deployment(&sandbox, breakable(&sandbox.volume_image()), json!({})));
    operator.wait_ready("web");
    let (first, volume) = (docker.id(&name), docker.inspect(&name)["Mounts"][0]["Name"].clone());

    docker.exec(&name, &["touch", "/state", "/data/kept"]);
    docker.crash(&name);
    eventually(secs(20), "another container runs", || {
        docker.running(&name)?;
        check(docker.id(&name) != first, || "the same still".into())
    });
    assert_eq!(docker.inspect(&name)["Mounts"][0]["Name"], volume, "its anonymous volume goes with it");
    docker.exec(&name, &["test", "-e", "/data/kept"]);
    let held = eventually(secs(20), "it held for the verify window", || {
        let last = decisions(&operator).last().cloned().unwrap_or_default();
        check(last["result"] == "Held", || last.to_string())?;
        Ok(last)
    });
    assert_eq!((&held["rung"], &held["rule"]), (&json!("Recreate"), &json!("NothingLessHelped")), "{held}");
    assert_eq!(rungs(&operator), ["Restart", "Restart", "Recreate"]);
    assert!(held["evidence"].to_string().contains("the state is corrupt"), "{held}");
    assert!(told(&operator, "Recovered").iter().any(|message| message.contains("Recreate")));
    for told in [operator.evenkeel(&["why", "web"]), operator.evenkeel(&["describe", "web"])] {
        assert!(told.contains("Recreate") && told.contains("NothingLessHelped"), "{told}");
    }

    // What helped is remembered, whatever becomes of the operator.
    eventually(secs(20), "attempts start over", || same(operator.api().status("web")?["recovery"].is_null(), true));
    operator.kill();
    operator.start();
    operator.wait_ready("web");
    let second = docker.id(&name);
    docker.exec(&name, &["touch", "/state"]);
    docker.crash(&name);
    eventually(secs(20), "another container runs", || {
        docker.running(&name)?;
        check(docker.id(&name) != second, || "the same still".into())
    });
    let all = decisions(&operator);
    let last = all.last().unwrap();
    assert_eq!((&last["rung"], &last["rule"]), (&json!("Recreate"), &json!("HelpedBefore")), "{all:#?}");
    assert_eq!(last["attempt"], 2, "{all:#?}");
}

#[test]
fn a_tag_whose_new_digest_is_broken_is_taken_back_to_the_one_that_worked() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let (docker, name) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let reference = registry.push(&sandbox.version_of_image("good"), "app:1");
    let operator = Operator::of(&sandbox).resync("1s").start();
    let app = service::shell(
        &reference,
        "[ -e /noise ] && { echo 'this version is broken' >&2; exit 1; }; trap 'exit 143' TERM; sleep infinity & wait",
    );
    let app = service::with(app, json!({"pull_policy": "always"}));
    operator.api().apply(&deployment(&sandbox, app, json!({"stableWindow": "60s"})));
    operator.wait_ready("web");
    let good = docker.inspect(&name)["Image"].clone();
    // Longer than the verify window and a resync: now it is known to work.
    holds_for(secs(4), "it works", || docker.running(&name));

    registry.push(&sandbox.large_image("broken"), "app:1");
    operator.evenkeel(&["pull", "web"]);
    eventually(secs(20), "it runs the new one, which fails", || {
        let seen = docker.find(&name).map(|found| found["Image"].clone());
        check(seen.as_ref().is_some_and(|id| *id != good), || format!("{seen:?}"))
    });
    eventually(secs(30), "it runs the one that worked", || {
        docker.running(&name)?;
        same(docker.inspect(&name)["Image"].clone(), good.clone())
    });
    operator.wait_ready("web");
    let all = decisions(&operator);
    let last = all.last().unwrap();
    assert_eq!((&last["rung"], &last["rule"]), (&json!("Rollback"), &json!("NewImage")), "{all:#?}");
    assert_eq!(told(&operator, "RolledBack").len(), 1);
    holds_for(secs(5), "it stays so", || same(docker.inspect(&name)["Image"].clone(), good.clone()));
}

#[test]
fn what_is_unhealthy_by_its_state_is_made_anew() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let (docker, name) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let probe = json!({"test": ["CMD-SHELL", "test ! -e /state"], "interval": "300ms", "timeout": "2s", "retries": 2});
    let app = service::with(service::sleeper(&sandbox.image()), json!({"healthcheck": probe}));
    operator.api().apply(&deployment(&sandbox, app, json!({"stableWindow": "60s"})));
    operator.wait_ready("web");
    let first = docker.id(&name);
    docker.exec(&name, &["touch", "/state"]);
    eventually(secs(40), "another container is well", || {
        check(docker.id(&name) != first, || "the same still".into())?;
        operator.api().ready("web")
    });
    assert_eq!(rungs(&operator), ["Restart", "Restart", "Recreate"]);
}

#[test]
fn what_runs_out_of_memory_is_restarted_and_neither_pulled_nor_made_anew() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let reference = registry.push(&sandbox.version_of_image("hungry"), "app:1");
    let operator = Operator::start_on(&sandbox);
    let hungry = json!({
        "image": reference, "pull_policy": "always", "mem_limit": "16m", "memswap_limit": "16m",
        "command": ["dd", "if=/dev/zero", "of=/dev/null", "bs=400M", "count=1"],
    });
    operator.api().apply(&deployment(&sandbox, hungry, json!({"maxAttempts": 5, "stableWindow": "60s"})));
    eventually(secs(60), "it is given up", || operator.api().phase("web", "Failed"));
    let all = decisions(&operator);
    assert_eq!(rungs(&operator), ["Restart"; 5], "{all:#?}");
    // Docker does not set its flag each time.
    assert!(all.iter().any(|decision| decision["cause"] == "OutOfMemory"), "{all:#?}");
    assert_eq!(told(&operator, "Pulled").len(), 1, "the first one, when it was made");
}

#[test]
fn a_missing_command_is_told_at_once_without_an_attempt() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let app = service::with(service::sleeper(&sandbox.image()), json!({"command": ["frobnicate"]}));
    operator.api().apply(&deployment(&sandbox, app, json!({})));
    let failed = eventually(secs(10), "it is told", || operator.api().phase("web", "Failed"));
    let ready = condition(&failed, "Ready");
    assert_eq!(ready["reason"], "BackOffExhausted", "{ready}");
    assert!(ready["message"].as_str().unwrap().contains("only a person can mend that"), "{ready}");
    holds_for(secs(3), "nothing is tried", || same(decisions(&operator).len(), 0));
    assert_eq!(told(&operator, "BackOffExhausted").len(), 1);
}

#[test]
fn in_mode_suggest_nothing_is_done_before_it_is_approved_and_what_is_rejected_is_not_asked_again() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let (docker, name) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let suggest = json!({"mode": "Suggest", "stableWindow": "60s"});
    operator.api().apply(&deployment(&sandbox, service::sleeper(&sandbox.image()), suggest));
    operator.wait_ready("web");
    let id = docker.id(&name);
    let suggested = |rung: &str| {
        eventually(secs(15), &format!("{rung} is suggested"), || {
            let status = operator.api().status("web")?;
            let found = &status["suggestions"][0];
            check(found["rung"] == rung, || status["waiting"].to_string())?;
            Ok(found.clone())
        })
    };

    docker.crash(&name);
    let first = suggested("Restart");
    assert_eq!(first["cause"], "Killed", "with its diagnosis: {first}");
    holds_for(secs(3), "nothing is done", || docker.in_state(&name, "exited"));
    let first = first["id"].as_str().unwrap().to_owned();
    let listed = operator.evenkeel(&["suggestions"]);
    assert!(listed.contains(&first) && listed.contains("Killed"), "{listed}");
    assert!(told(&operator, "RecoverySuggested")[0].contains(&format!("evenkeel approve web {first}")));
    let message = condition(&operator.api().deployment("web").unwrap(), "Ready")["message"].clone();
    assert!(message.as_str().unwrap().contains(&format!("evenkeel approve web {first}")), "{message}");

    let incidents = || operator.api().list("/apis/evenkeel.dev/v1alpha1/incidents");
    eventually(secs(10), "who is told of it can approve it", || {
        let summaries: Vec<String> = incidents().iter().map(|incident| incident["status"]["summary"].to_string()).collect();
        check(summaries.iter().any(|summary| summary.contains("evenkeel approve web")), || format!("{summaries:?}"))
    });

    operator.evenkeel(&["approve", "web", &first]);
    eventually(secs(10), "it is started", || docker.running(&name));
    operator.wait_ready("web");
    assert_eq!((docker.id(&name), rungs(&operator)), (id.clone(), vec!["Restart".to_owned()]));

    docker.crash(&name);
    let second = suggested("Restart")["id"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    let stale = operator.cli(&["approve", "web", &first]);
    assert!(!stale.status.success() && String::from_utf8_lossy(&stale.stderr).contains("any more"), "{stale:?}");
    operator.evenkeel(&["reject", "web", &second]);
    eventually(secs(10), "it is given up: nothing else helps against a kill", || operator.api().phase("web", "Failed"));
    holds_for(secs(2), "nothing is done", || docker.in_state(&name, "exited"));
    assert_eq!(told(&operator, "RecoveryAnswered").len(), 2);
    operator.evenkeel(&["start", "web"]);
    eventually(secs(10), "a person's word is enough", || docker.running(&name));
}

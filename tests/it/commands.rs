//! What people say through evenkeel: stop, start, suspend, restart, retry, release, delete.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Fault, FaultProxy, Operator, Sandbox, check, eventually, holds_for, same, secs, service};

fn scene(services: Value) -> (Sandbox, Operator) {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    operator.wait_ready("web");
    (sandbox, operator)
}

fn two(image: &str) -> Value {
    json!({"app": service::sleeper(image), "db": service::sleeper(image)})
}

fn stays_stopped(sandbox: &Sandbox, container: &str, seconds: u64) {
    holds_for(secs(seconds), "it stays stopped", || {
        let state = sandbox.docker().state(container);
        check(state != "running", || state)
    });
}

#[test]
fn what_is_stopped_stays_stopped_over_restarts_commits_and_a_new_image_until_it_is_started() {
    let image = Sandbox::new().image();
    let (sandbox, mut operator) = scene(json!({"app": service::sleeper(&image)}));
    let app = sandbox.container("web", "app", 1);
    operator.evenkeel(&["stop", "web"]);
    eventually(secs(13), "it stops", || sandbox.docker().in_state(&app, "exited"));
    eventually(secs(5), "it is shown", || operator.api().phase("web", "Stopped"));

    operator.kill();
    operator.start();
    sandbox.write_manifest("other.yaml", &sandbox.deployment("other", json!({"app": service::sleeper(&image)})));
    operator.wait_ready("other");
    let newer = sandbox.own_image("newer");
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::sleeper(&newer)})));
    stays_stopped(&sandbox, &app, 10);

    operator.evenkeel(&["start", "web"]);
    eventually(secs(8), "it runs, with the new image", || {
        sandbox.docker().running(&app)?;
        same(sandbox.docker().inspect(&app)["Config"]["Image"].clone(), json!(newer))
    });
    assert!(operator.api().holds("web").is_empty());
}

#[test]
fn one_service_or_one_replica_can_be_stopped_and_a_manifest_that_says_stopped_is_named() {
    let image = Sandbox::new().image();
    let workers = service::with(service::sleeper(&image), json!({"deploy": {"replicas": 2}}));
    let (sandbox, operator) = scene(json!({"app": workers, "db": service::sleeper(&image)}));
    let [one, two, db] = [("app", 1), ("app", 2), ("db", 1)].map(|(service, number)| sandbox.container("web", service, number));
    operator.evenkeel(&["stop", "web", "app-2", "db"]);
    eventually(secs(13), "they stop", || [&two, &db].iter().try_for_each(|name| sandbox.docker().in_state(name, "exited")));
    stays_stopped(&sandbox, &two, 3);
    sandbox.docker().running(&one).unwrap();
    operator.evenkeel(&["start", "web"]);
    eventually(secs(8), "all run", || [&one, &two, &db].iter().try_for_each(|name| sandbox.docker().running(name)));

    let mut stopped = sandbox.deployment("web", json!({"app": service::sleeper(&image)}));
    stopped["spec"]["state"] = json!("Stopped");
    sandbox.write_manifest("web.yaml", &stopped);
    eventually(secs(20), "it stops", || sandbox.docker().in_state(&one, "exited"));
    let refused = operator.cli(&["start", "web"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("web.yaml:") && text.contains("Stopped"), "{text}");
    stays_stopped(&sandbox, &one, 2);
}

#[test]
fn a_suspended_deployment_is_not_touched_until_its_time_is_over() {
    let image = Sandbox::new().image();
    let (sandbox, operator) = scene(json!({"app": service::sleeper(&image)}));
    let app = sandbox.container("web", "app", 1);
    operator.evenkeel(&["suspend", "web", "--until", "8s", "--reason", "backup"]);
    sandbox.docker().run(&["stop", "-t", "2", &app]);
    stays_stopped(&sandbox, &app, 4);
    eventually(secs(12), "it runs again by itself", || sandbox.docker().running(&app));
    let status = eventually(secs(5), "it is ready", || operator.api().ready("web"));
    assert!(status["status"].get("holds").is_none(), "{status}");
}

#[test]
fn holds_survive_a_replace_a_pruned_manifest_that_comes_back_and_go_with_a_deletion() {
    let sandbox = Sandbox::new();
    let image = sandbox.image();
    let operator = Operator::of(&sandbox).arg("--prune").start();
    let manifest = sandbox.deployment("web", two(&image));
    sandbox.write_manifest("web.yaml", &manifest);
    operator.wait_ready("web");
    let [app, db] = ["app", "db"].map(|service| sandbox.container("web", service, 1));
    operator.evenkeel(&["stop", "web", "app"]);
    eventually(secs(13), "it stops", || sandbox.docker().in_state(&app, "exited"));

    sandbox.remove_manifest("web.yaml");
    eventually(secs(20), "it is pruned", || check(sandbox.docker().find(&db).is_none(), || "still there".into()));
    sandbox.write_manifest("web.yaml", &manifest);
    eventually(secs(20), "it is back", || sandbox.docker().running(&db));
    holds_for(secs(3), "what was stopped is not", || {
        let state = sandbox.docker().find(&app).map(|found| found["State"]["Status"].to_string());
        check(state.as_deref() != Some("\"running\""), || format!("{state:?}"))
    });

    sandbox.remove_manifest("web.yaml");
    eventually(secs(20), "it is pruned again", || check(operator.api().deployment("web").is_err(), || "still there".into()));
}

#[test]
fn a_stop_during_a_long_pull_is_answered_at_once_and_nothing_is_started_afterwards_while_a_sibling_is_healed() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    proxy.fault(|call| call.is("POST", "/images/create"), Fault::Delay(secs(20)));
    let operator = Operator::of(&sandbox).docker_host(&proxy.host()).start();
    let missing = service::sleeper("127.0.0.1:9/nothing:1");
    let services = json!({"late": missing, "app": service::sleeper(&sandbox.image())});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    let app = sandbox.container("web", "app", 1);
    eventually(secs(10), "the sibling runs", || sandbox.docker().running(&app));
    eventually(secs(10), "the pull is under way", || {
        check(proxy.count(|call| call.is("POST", "/images/create")) > 0, || "no".into())
    });

    let before = sandbox.docker().runs(&app);
    sandbox.docker().crash(&app);
    eventually(secs(4), "the sibling is healed", || {
        sandbox.docker().running(&app)?;
        check(sandbox.docker().runs(&app) != before, || "not started anew".into())
    });
    let began = Instant::now();
    operator.evenkeel(&["stop", "web"]);
    let took = began.elapsed();
    assert!(took < secs(1), "the stop was answered after {took:?}");
    eventually(secs(13), "the sibling stops", || sandbox.docker().in_state(&app, "exited"));
    stays_stopped(&sandbox, &app, 8);
    assert!(sandbox.docker().find(&sandbox.container("web", "late", 1)).is_none());
}

#[test]
fn a_stop_that_meets_a_waiting_back_off_wins_and_retry_after_giving_up_starts_over() {
    let sandbox = Sandbox::new();
    let image = sandbox.image();
    let operator = Operator::start_on(&sandbox);
    let mut deployment =
        sandbox.deployment("web", json!({"app": service::with(service::exits(&image, 3), json!({"restart": "always"}))}));
    deployment["spec"]["recovery"]["maxAttempts"] = json!(3);
    sandbox.write_manifest("web.yaml", &deployment);
    let app = sandbox.container("web", "app", 1);
    eventually(secs(10), "a back-off waits", || operator.api().phase("web", "Degraded"));
    operator.evenkeel(&["stop", "web"]);
    let runs = sandbox.docker().runs(&app);
    holds_for(secs(6), "nothing is started", || same(sandbox.docker().runs(&app), runs.clone()));

    operator.evenkeel(&["start", "web"]);
    eventually(secs(30), "it is given up", || operator.api().phase("web", "Failed"));
    let runs = sandbox.docker().runs(&app);
    holds_for(secs(3), "given up is given up", || same(sandbox.docker().runs(&app), runs.clone()));
    operator.evenkeel(&["retry", "web"]);
    eventually(secs(5), "it is tried again", || check(sandbox.docker().runs(&app) != runs, || "not yet".into()));
}

#[test]
fn a_stop_that_meets_a_recovery_at_any_moment_wins() {
    let image = Sandbox::new().image();
    let (sandbox, operator) = scene(json!({"app": service::sleeper(&image)}));
    let app = sandbox.container("web", "app", 1);
    // A crash without a signal from Docker is recovered from at once; the first start takes some 300 ms.
    for delay in [0, 20, 50, 100, 200, 350, 500] {
        operator.evenkeel(&["retry", "web"]);
        operator.wait_ready("web");
        sandbox.docker().crash(&app);
        std::thread::sleep(std::time::Duration::from_millis(delay));
        operator.evenkeel(&["stop", "web"]);
        eventually(secs(13), &format!("{delay} ms after the crash: it stops"), || operator.api().phase("web", "Stopped"));
        stays_stopped(&sandbox, &app, 3);
        operator.evenkeel(&["start", "web"]);
    }
}

#[test]
fn restart_restarts_once_release_gives_docker_its_policies_back_and_resume_takes_them() {
    let image = Sandbox::new().image();
    let (sandbox, operator) = scene(json!({"app": service::with(service::sleeper(&image), json!({"restart": "always"}))}));
    let app = sandbox.container("web", "app", 1);
    let policy = || sandbox.docker().inspect(&app)["HostConfig"]["RestartPolicy"]["Name"].clone();
    let (id, before) = (sandbox.docker().id(&app), sandbox.docker().runs(&app));
    operator.evenkeel(&["restart", "web"]);
    eventually(secs(8), "it was restarted", || {
        sandbox.docker().running(&app)?;
        check(sandbox.docker().runs(&app) != before, || "not yet".into())
    });
    assert_eq!(sandbox.docker().id(&app), id);
    operator.wait_ready("web");
    let once = sandbox.docker().runs(&app);

    operator.evenkeel(&["release", "web"]);
    assert_eq!(policy(), json!("always"));
    assert_eq!(sandbox.docker().runs(&app), once, "its processes were not touched");
    operator.evenkeel(&["resume", "web"]);
    eventually(secs(5), "evenkeel looks after it again", || same(policy(), json!("no")));
    assert_eq!(sandbox.docker().runs(&app), once, "its processes were not touched");
}

#[test]
fn release_gives_back_what_does_not_run_too_also_where_evenkeel_may_only_observe() {
    let image = Sandbox::new().image();
    let app = service::with(service::sleeper(&image), json!({"restart": "always"}));
    let crashed = service::with(service::sleeper(&image), json!({"restart": "unless-stopped"}));
    let (sandbox, mut operator) = scene(json!({"app": app, "db": app, "late": crashed}));
    let [app, db, late] = ["app", "db", "late"].map(|service| sandbox.container("web", service, 1));
    let policy = |name: &str| sandbox.docker().inspect(name)["HostConfig"]["RestartPolicy"]["Name"].clone();
    operator.evenkeel(&["stop", "web", "db"]);
    eventually(secs(15), "it is stopped", || sandbox.docker().in_state(&db, "exited"));
    operator.stop();
    // Nothing heals it in this mode.
    sandbox.docker().crash(&late);
    let operator = Operator::of(&sandbox).arg("--mode").arg("Observe").start();
    let told = operator.evenkeel(&["release", "web"]);
    assert!(told.contains("evenkeel resume web"), "{told}");
    assert_eq!((policy(&app), policy(&late)), (json!("always"), json!("unless-stopped")));
    assert_eq!(policy(&db), json!("no"), "Docker never starts what a person stopped");
    assert!(operator.evenkeel(&["status", "web"]).contains("`evenkeel resume web` takes it back"));
}

#[test]
fn release_lets_docker_start_nothing_that_was_stopped_as_a_whole() {
    let image = Sandbox::new().image();
    let (sandbox, operator) = scene(json!({"app": service::with(service::sleeper(&image), json!({"restart": "always"}))}));
    let app = sandbox.container("web", "app", 1);
    let policy = || sandbox.docker().inspect(&app)["HostConfig"]["RestartPolicy"]["Name"].clone();
    operator.evenkeel(&["stop", "web"]);
    eventually(secs(15), "it is stopped", || sandbox.docker().in_state(&app, "exited"));
    operator.evenkeel(&["release", "--all"]);
    assert_eq!(policy(), json!("no"));
    sandbox.docker().in_state(&app, "exited").unwrap();
}

#[test]
fn a_deletion_removes_what_was_made_but_volumes_and_with_orphan_nothing() {
    let sandbox = Sandbox::new();
    let image = sandbox.image();
    let operator = Operator::start_on(&sandbox);
    let mut deployment =
        sandbox.deployment("web", json!({"app": service::with(service::sleeper(&image), json!({"volumes": ["data:/data"]}))}));
    deployment["spec"]["volumes"] = json!({"data": {}});
    operator.api().apply(&deployment);
    operator.wait_ready("web");
    let (app, project) = (sandbox.container("web", "app", 1), sandbox.project("web"));
    operator.evenkeel(&["delete", "web", "--wait"]);
    assert!(sandbox.docker().find(&app).is_none());
    assert_eq!(sandbox.docker().run(&["network", "ls", "-q", "--filter", &format!("name={project}")]), "");
    assert!(sandbox.docker().run(&["volume", "ls", "-q"]).contains(&format!("{project}_data")), "a volume is never removed");

    operator.api().apply(&deployment);
    operator.wait_ready("web");
    let runs = sandbox.docker().runs(&app);
    operator.evenkeel(&["delete", "web", "--orphan", "--wait"]);
    assert_eq!(sandbox.docker().runs(&app), runs);
}

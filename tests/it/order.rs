//! What depends on something waits for it, at the first start and after a crash.

use serde_json::{Value, json};

use crate::support::{Event, Operator, Sandbox, check, eventually, holds_for, same, secs, service};

/// Healthy while `/state/healthy` exists; the file is lost with every start. Until then it is starting, not unhealthy.
pub fn forgetful(image: &str) -> Value {
    let probe = json!({"test": ["CMD", "test", "-e", "/state/healthy"], "interval": "500ms", "start_period": "5m"});
    service::with(service::sleeper(image), json!({"healthcheck": probe, "tmpfs": ["/state"]}))
}

/// The service with a dependency.
pub fn after(service: Value, dependency: &str, condition: &str) -> Value {
    service::with(service, json!({"depends_on": {dependency: {"condition": condition}}}))
}

fn place(events: &[Event], container: &str, action: &str) -> usize {
    let found = events.iter().position(|event| event.kind == "container" && event.name == container && event.action == action);
    found.unwrap_or_else(|| panic!("no {action} of {container} in {events:#?}"))
}

/// Looks that nothing runs under that name for a while.
#[track_caller]
fn does_not_run(sandbox: &Sandbox, container: &str) {
    holds_for(secs(3), &format!("{container} waits"), || {
        let state = sandbox.docker().state(container);
        check(state != "running", || state)
    });
}

#[test]
fn a_service_waits_until_the_one_it_needs_is_healthy_at_first_start_and_after_crashes() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let services = json!({"db": forgetful(&image), "app": after(service::sleeper(&image), "db", "service_healthy")});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    let (docker, db, app) = (sandbox.docker(), sandbox.container("web", "db", 1), sandbox.container("web", "app", 1));
    let turn_healthy = || {
        docker.exec(&db, &["touch", "/state/healthy"]);
        eventually(secs(5), "what waited runs", || docker.running(&app));
    };

    eventually(secs(10), "what is needed runs", || docker.running(&db));
    does_not_run(&sandbox, &app);
    let waiting = operator.api().status("web").unwrap()["waiting"].to_string();
    assert!(waiting.contains("db"), "the status says what is waited for: {waiting}");
    turn_healthy();
    operator.wait_ready("web");

    let before = docker.runs(sandbox.prefix());
    docker.crash(&db);
    docker.crash(&app);
    eventually(secs(5), "what is needed is back", || {
        docker.running(&db)?;
        check(docker.runs(&db)[&db] != before[&db], || "not started anew".into())
    });
    does_not_run(&sandbox, &app);
    turn_healthy();
    operator.wait_ready("web");
}

#[test]
fn a_crash_of_what_is_needed_leaves_those_that_need_it_running() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let services = json!({"db": service::sleeper(&image), "app": after(service::sleeper(&image), "db", "service_started")});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    operator.wait_ready("web");
    let (docker, db, app) = (sandbox.docker(), sandbox.container("web", "db", 1), sandbox.container("web", "app", 1));
    let before = docker.runs(sandbox.prefix());
    docker.crash(&db);
    eventually(secs(4), "it is back", || {
        docker.running(&db)?;
        check(docker.runs(&db)[&db] != before[&db], || "not started anew".into())
    });
    operator.wait_ready("web");
    assert_eq!(docker.runs(&app)[&app], before[&app]);
}

#[test]
fn with_restart_true_those_that_need_it_are_restarted_after_it() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let app =
        service::with(service::sleeper(&image), json!({"depends_on": {"db": {"condition": "service_started", "restart": true}}}));
    let db = |mark: &str| service::with(service::sleeper(&image), json!({"environment": {"MARK": mark}}));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"db": db("one"), "app": app})));
    operator.wait_ready("web");
    let docker = sandbox.docker();
    let name = sandbox.container("web", "app", 1);
    let before = docker.runs(&name);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"db": db("two"), "app": app})));
    eventually(secs(15), "it is restarted too", || {
        operator.api().ready("web")?;
        check(docker.runs(&name) != before, || "not started anew".into())
    });
}

#[test]
fn services_start_in_order_and_what_needs_a_finished_job_starts_after_it() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let events = sandbox.docker().record(sandbox.prefix());
    let job = after(service::shell(&image, "sleep 2"), "base", "service_started");
    let services = json!({
        "base": service::sleeper(&image),
        "migrate": job,
        "app": after(service::sleeper(&image), "migrate", "service_completed_successfully"),
    });
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    eventually(secs(15), "all is up", || operator.api().ready("web"));
    let events = events.all();
    let [base, migrate, app] = ["base", "migrate", "app"].map(|service| sandbox.container("web", service, 1));
    assert!(place(&events, &base, "start") < place(&events, &migrate, "start"));
    assert!(place(&events, &migrate, "die") < place(&events, &app, "start"));
}

#[test]
fn what_needs_a_job_that_failed_does_not_start() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let services = json!({
        "migrate": service::with(service::exits(&image, 3), json!({"restart": "no"})),
        "app": after(service::sleeper(&image), "migrate", "service_completed_successfully"),
    });
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    eventually(secs(10), "the job has failed", || sandbox.docker().in_state(&sandbox.container("web", "migrate", 1), "exited"));
    does_not_run(&sandbox, &sandbox.container("web", "app", 1));
    same(operator.api().ready_is("web", "False").is_ok(), true).unwrap();
}

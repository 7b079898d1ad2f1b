//! What ends of its own accord with success is done; what must run once runs once.

use serde_json::{Value, json};

use crate::support::{Operator, Sandbox, condition, eventually, holds_for, same, secs, service};

fn job(sandbox: &Sandbox, keys: Value) -> Value {
    service::with(service::shell(&sandbox.image(), "echo done"), keys)
}

fn wait_completed(operator: &Operator, name: &str) {
    let done = eventually(secs(10), "it is completed", || operator.api().phase(name, "Completed"));
    let ready = condition(&done, "Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("True"), &json!("Completed")));
}

/// A job runs once, whatever comes: resyncs, the loss of its container, restarts of the operator.
fn runs_once(keys: Value) {
    let sandbox = Sandbox::new();
    let mut operator = Operator::of(&sandbox).resync("1s").start();
    let events = sandbox.docker().record(sandbox.prefix());
    sandbox.write_manifest("once.yaml", &sandbox.deployment("once", json!({"job": job(&sandbox, keys)})));
    wait_completed(&operator, "once");
    let container = sandbox.container("once", "job", 1);
    let starts = || events.times(&container, "start").len();
    holds_for(secs(3), "it is not run again", || same(starts(), 1));

    // What `docker system prune` does to it.
    sandbox.docker().run(&["rm", &container]);
    operator.kill();
    operator.start();
    wait_completed(&operator, "once");
    holds_for(secs(3), "it is not run again", || same(starts(), 1));
}

#[test]
fn a_service_without_restart_policy_that_ends_with_zero_is_completed_for_good() {
    runs_once(json!({}));
}

#[test]
fn a_service_restarted_on_failure_that_ends_with_zero_is_completed_for_good() {
    runs_once(json!({"restart": "on-failure"}));
}

#[test]
fn a_one_shot_runs_once_per_spec() {
    runs_once(json!({"restart": "no"}));

    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let events = sandbox.docker().record(sandbox.prefix());
    let spec = |mark: &str| {
        sandbox.deployment("once", json!({"job": job(&sandbox, json!({"restart": "no", "environment": {"MARK": mark}}))}))
    };
    sandbox.write_manifest("once.yaml", &spec("one"));
    wait_completed(&operator, "once");
    sandbox.write_manifest("once.yaml", &spec("two"));
    eventually(secs(10), "it runs once more", || same(events.times(&sandbox.container("once", "job", 1), "start").len(), 2));
    wait_completed(&operator, "once");
}

#[test]
fn a_one_shot_that_fails_is_not_run_again_and_shown_as_failed() {
    let sandbox = Sandbox::new();
    let mut operator = Operator::of(&sandbox).resync("1s").start();
    let events = sandbox.docker().record(sandbox.prefix());
    let job = service::with(service::exits(&sandbox.image(), 3), json!({"restart": "no"}));
    sandbox.write_manifest("once.yaml", &sandbox.deployment("once", json!({"job": job})));
    let failed = eventually(secs(10), "it is shown as failed", || operator.api().phase("once", "Failed"));
    assert_eq!(condition(&failed, "Ready")["status"], json!("False"));
    operator.kill();
    operator.start();
    let container = sandbox.container("once", "job", 1);
    holds_for(secs(4), "it is not run again", || same(events.times(&container, "start").len(), 1));
}

#[test]
fn a_service_without_restart_policy_that_fails_is_restarted() {
    let sandbox = Sandbox::new();
    let _operator = Operator::start_on(&sandbox);
    let events = sandbox.docker().record(sandbox.prefix());
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::exits(&sandbox.image(), 2)})));
    let container = sandbox.container("web", "app", 1);
    eventually(secs(10), "it is started again", || {
        let starts = events.times(&container, "start").len();
        if starts >= 3 { Ok(()) } else { Err(format!("{starts} starts")) }
    });
}

#[test]
fn a_migration_that_others_wait_for_runs_once() {
    let sandbox = Sandbox::new();
    let mut operator = Operator::of(&sandbox).resync("1s").start();
    let events = sandbox.docker().record(sandbox.prefix());
    let image = sandbox.image();
    let app = service::with(
        service::sleeper(&image),
        json!({"restart": "always", "depends_on": {"migrate": {"condition": "service_completed_successfully"}}}),
    );
    // Even one that says it is to be restarted is a job when it is awaited.
    let migrate = service::with(service::shell(&image, "echo done"), json!({"restart": "unless-stopped"}));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"migrate": migrate, "app": app})));
    operator.wait_ready("web");

    sandbox.docker().crash(&sandbox.container("web", "app", 1));
    operator.wait_ready("web");
    sandbox.docker().run(&["rm", &sandbox.container("web", "migrate", 1)]);
    operator.kill();
    operator.start();
    operator.wait_ready("web");
    sandbox.docker().run(&["rm", "--force", &sandbox.container("web", "app", 1)]);
    eventually(secs(10), "the other is back", || sandbox.docker().running(&sandbox.container("web", "app", 1)));
    assert_eq!(events.times(&sandbox.container("web", "migrate", 1), "start").len(), 1);
}

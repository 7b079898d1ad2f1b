//! After a restart of the daemon: in dependency order, jobs that were cut off run again, servers that ended politely run.

use serde_json::json;

use crate::order::{after, forgetful};
use crate::support::{Operator, OwnDaemon, Sandbox, check, eventually, holds_for, same, secs, service};

#[test]
fn after_a_daemon_restart_what_depends_on_something_waits_for_it() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    let operator = Operator::of(&sandbox).docker_host(daemon.docker().host()).start();
    let image = daemon.image();
    let services = json!({"db": forgetful(&image), "app": after(service::sleeper(&image), "db", "service_healthy")});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    let (db, app) = (sandbox.container("web", "db", 1), sandbox.container("web", "app", 1));
    eventually(secs(15), "what is needed runs", || daemon.docker().running(&db));
    daemon.docker().exec(&db, &["touch", "/state/healthy"]);
    operator.wait_ready("web");

    daemon.restart();
    eventually(secs(30), "what is needed is back", || daemon.docker().running(&db));
    holds_for(secs(3), "what depends on it waits", || {
        let state = daemon.docker().state(&app);
        check(state != "running", || state)
    });
    daemon.docker().exec(&db, &["touch", "/state/healthy"]);
    eventually(secs(10), "what waited runs", || daemon.docker().running(&app));
    assert!(operator.api().holds("web").is_empty());
}

#[test]
fn a_server_that_ended_with_zero_at_a_daemon_restart_runs_again_and_a_job_that_was_cut_off_too() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    let operator = Operator::of(&sandbox).docker_host(daemon.docker().host()).start();
    let image = daemon.image();
    let slow = service::shell(&image, "trap 'exit 0' TERM; sleep 12 & wait");
    let services = json!({
        "server": service::with(service::polite(&image), json!({"restart": "on-failure"})),
        "plain": service::polite(&image),
        "slow": service::with(slow, json!({"restart": "no"})),
        "quick": service::with(service::shell(&image, "echo done"), json!({"restart": "no"})),
    });
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    let [server, plain, slow, quick] = ["server", "plain", "slow", "quick"].map(|service| sandbox.container("web", service, 1));
    let docker = daemon.docker().clone();
    eventually(secs(15), "all have started", || {
        [&server, &plain, &slow].iter().try_for_each(|name| docker.running(name))?;
        docker.in_state(&quick, "exited")
    });
    eventually(secs(5), "the traps are set", || {
        let set = [&server, &plain, &slow].iter().all(|name| docker.exec(name, &["ps"]).contains("sleep"));
        check(set, || "not yet".into())
    });
    let quick_before = docker.runs(&quick);

    daemon.restart();
    eventually(secs(30), "the servers are back", || [&server, &plain].iter().try_for_each(|name| docker.running(name)));
    eventually(secs(10), "the job runs again", || docker.running(&slow));
    eventually(secs(20), "the job ends", || docker.in_state(&slow, "exited"));
    let ready = eventually(secs(10), "all is ready", || operator.api().ready("web"));
    assert_eq!(ready["status"]["phase"], json!("Running"));
    same(docker.runs(&quick), quick_before).unwrap();
    assert!(operator.api().holds("web").is_empty());
}

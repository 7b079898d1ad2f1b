//! The daemon goes and comes: what should run is back, what is stopped stays, and one summary says so.

use serde_json::{Value, json};

use crate::support::{Operator, OwnDaemon, Sandbox, check, eventually, holds_for, same, secs, service};

#[test]
fn after_a_daemon_restart_the_five_are_back_the_two_stay_stopped_and_one_summary_tells() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    let operator = Operator::of(&sandbox).docker_host(daemon.docker().host()).start();
    let image = daemon.image();
    let names: Vec<String> = (1..=7).map(|number| format!("d{number}")).collect();
    for name in &names {
        let app = if name == "d2" || name == "d7" { service::polite(&image) } else { service::sleeper(&image) };
        sandbox.write_manifest(&format!("{name}.yaml"), &sandbox.deployment(name, json!({"app": app})));
    }
    for name in &names {
        eventually(secs(30), "all run", || operator.api().ready(name));
    }
    let container = |name: &str| sandbox.container(name, "app", 1);
    operator.evenkeel(&["stop", "d6"]);
    daemon.docker().run(&["stop", &container("d7")]);
    eventually(secs(15), "two are stopped", || {
        ["d6", "d7"].iter().try_for_each(|name| operator.api().phase(name, "Stopped").map(drop))
    });

    let summaries = || -> Vec<Value> {
        let told = |event: &Value| event["message"].as_str().is_some_and(|text| text.starts_with("recovered"));
        operator.api().list("/api/v1/namespaces/default/events").into_iter().filter(told).collect()
    };
    daemon.restart();
    eventually(secs(30), "the five are up", || names[..5].iter().try_for_each(|name| daemon.docker().running(&container(name))));
    let told = eventually(secs(40), "the summary is told", || summaries().first().cloned().ok_or_else(|| "not yet".to_owned()));
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("recovered 5 deployments after daemon restart"), "{message}");
    holds_for(secs(3), "the two stay stopped", || {
        ["d6", "d7"].iter().try_for_each(|name| {
            let state = daemon.docker().state(&container(name));
            check(state != "running", || format!("{name} is {state}"))
        })
    });
    assert_eq!(summaries().len(), 1);
    assert_eq!(summaries()[0]["count"], json!(1));
    for name in &names[..5] {
        assert!(operator.api().holds(name).is_empty(), "{name}");
    }
}

#[test]
fn while_the_daemon_is_away_the_api_answers_and_says_so_and_afterwards_all_converges() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    let operator = Operator::of(&sandbox).docker_host(daemon.docker().host()).start();
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::sleeper(&daemon.image())})));
    operator.wait_ready("web");
    daemon.stop();
    eventually(secs(10), "readyz says so", || {
        let reply = operator.api().get("/readyz")?;
        check(reply.status == 503, || format!("{}", reply.status))
    });
    holds_for(secs(60), "the API answers at once", || {
        let began = std::time::Instant::now();
        operator.api().deployment("web")?;
        check(began.elapsed() < secs(1), || format!("{:?}", began.elapsed()))
    });
    eventually(secs(5), "the status says so", || same(operator.api().status("web")?["phase"].clone(), json!("Unknown")));
    daemon.start();
    eventually(secs(10), "it converges", || operator.api().ready("web"));
}

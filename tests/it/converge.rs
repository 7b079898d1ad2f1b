//! What is declared runs, and what runs as declared is left alone.

use serde_json::{Value, json};

use crate::support::{
    Docker, Event, FaultProxy, Operator, Sandbox, check, condition, eventually, holds_for, same, secs, service, settled,
};

/// Names of containers of a deployment and their labels.
fn labels(docker: &Docker, container: &str) -> Value {
    docker.inspect(container)["Config"]["Labels"].clone()
}

/// Events that show that something was touched; probes are not.
fn touched(events: Vec<Event>) -> Vec<String> {
    let probe = |event: &Event| event.action.starts_with("exec_") || event.action.starts_with("health_status");
    events.iter().filter(|event| !probe(event)).map(|event| format!("{} {} {}", event.kind, event.action, event.name)).collect()
}

fn no_failure_is_told(operator: &Operator, name: &str) {
    let reasons: Vec<Value> = operator.api().events(name).iter().map(|event| event["reason"].clone()).collect();
    let failures = ["Crashed", "RecoveryStarted", "RecoveryAlert", "BackOffExhausted", "ExternalStop", "IntentUnknown"];
    assert!(!reasons.iter().any(|reason| failures.iter().any(|failure| reason == failure)), "{reasons:?}");
    let recovery = operator.api().status(name).unwrap()["recovery"].clone();
    assert!(recovery.is_null(), "{recovery}");
}

#[test]
fn a_manifest_put_into_the_folder_runs_within_ten_seconds_labelled_as_ours_and_composes() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())})));

    let web = operator.wait_ready("web");
    assert_eq!(web["status"]["observedGeneration"], web["metadata"]["generation"]);
    assert_eq!((&web["status"]["phase"], &web["status"]["ready"]), (&json!("Running"), &json!("1/1")));

    let container = sandbox.container("web", "app", 1);
    sandbox.docker().running(&container).unwrap();
    let labels = labels(sandbox.docker(), &container);
    for (label, value) in [
        ("evenkeel.dev/instance", sandbox.prefix()),
        ("evenkeel.dev/namespace", "default"),
        ("evenkeel.dev/deployment", "web"),
        ("evenkeel.dev/service", "app"),
        ("evenkeel.dev/replica", "1"),
        ("com.docker.compose.project", &sandbox.project("web")),
        ("com.docker.compose.service", "app"),
        ("com.docker.compose.container-number", "1"),
        ("com.docker.compose.oneoff", "False"),
    ] {
        assert_eq!(labels[label], json!(value), "{label}");
    }
    for label in ["evenkeel.dev/spec-hash", "com.docker.compose.config-hash"] {
        assert!(labels[label].as_str().is_some_and(|hash| hash.len() >= 8), "{label}: {}", labels[label]);
    }
    let policy = &sandbox.docker().inspect(&container)["HostConfig"]["RestartPolicy"]["Name"];
    assert!(policy == "no" || policy == "", "Docker's own policy stays out of it: {policy}");
}

#[test]
fn a_deployment_that_is_applied_runs_within_ten_seconds_and_its_status_names_its_container() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let file = sandbox.dir().join("web.json");
    let web = sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())}));
    std::fs::write(&file, web.to_string()).unwrap();
    operator.evenkeel(&["apply", "-f", file.to_str().unwrap()]);

    let web = operator.wait_ready("web");
    let seen = &web["status"]["services"][0]["containers"][0];
    let container = sandbox.container("web", "app", 1);
    assert_eq!(seen["id"], json!(sandbox.docker().id(&container)));
    assert_eq!((&seen["name"], &seen["state"]), (&json!(container), &json!("running")));
    assert_eq!(condition(&web, "Ready")["reason"], json!("Running"));
}

#[test]
fn a_deployment_that_is_deleted_takes_its_containers_and_networks_along_and_leaves_its_volumes() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let app = service::with(service::sleeper(&sandbox.image()), json!({"volumes": ["data:/data"]}));
    let mut web = sandbox.deployment("web", json!({"app": app}));
    web["spec"]["volumes"] = json!({"data": {}});
    operator.api().apply(&web);
    operator.wait_ready("web");

    operator.evenkeel(&["delete", "web"]);
    eventually(secs(15), "it is gone", || {
        let listed = |what| sandbox.docker().run(&[what, "ls", "--quiet", "--filter", &format!("name={}", sandbox.prefix())]);
        same(
            (operator.api().get(&crate::support::Api::path("web"))?.status, sandbox.docker().names(sandbox.prefix())),
            (404, vec![]),
        )?;
        same((listed("network").as_str(), listed("volume").lines().count()), ("", 1))
    });
}

#[test]
fn a_converged_deployment_is_not_touched_by_twenty_resyncs_nor_by_restarts_of_the_operator() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    let mut operator = Operator::of(&sandbox).docker_host(&proxy.host()).resync("1s").start();
    let services = json!({
        "app": service::with(service::sleeper(&sandbox.image()), json!({"deploy": {"replicas": 2}, "volumes": ["data:/data"]})),
        "job": service::with(service::exits(&sandbox.image(), 0), json!({"restart": "no"})),
        "anonymous": service::sleeper(&sandbox.volume_image()),
    });
    let mut web = sandbox.deployment("web", services);
    web["spec"]["volumes"] = json!({"data": {}});
    sandbox.write_manifest("web.yaml", &web);
    operator.wait_ready("web");

    let (before, events) = (sandbox.docker().runs(sandbox.prefix()), sandbox.docker().record(sandbox.prefix()));
    let lists = || proxy.count(|call| call.is("GET", "/containers/json"));
    let start = lists();
    eventually(secs(60), "twenty resyncs", || check(lists() >= start + 20, || format!("{} of 20", lists() - start)));
    operator.stop();
    operator.start();
    operator.wait_ready("web");
    operator.kill();
    operator.start();
    operator.wait_ready("web");
    let start = lists();
    eventually(secs(10), "two resyncs more", || check(lists() >= start + 2, || "not yet".into()));

    assert_eq!(sandbox.docker().runs(sandbox.prefix()), before);
    assert_eq!(touched(events.all()), Vec::<String>::new());
}

#[test]
fn a_converged_deployment_costs_no_docker_call_between_resyncs() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    let operator = Operator::of(&sandbox).docker_host(&proxy.host()).resync("10m").start();
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())})));
    operator.wait_ready("web");

    // Other tests' containers come and go on this engine; what is asked about those does not count.
    let id = sandbox.docker().id(&sandbox.container("web", "app", 1));
    let project = sandbox.project("web");
    let ours = || proxy.count(|call| call.path.contains(&id) || call.path.contains(&project) || call.path.contains("/json?all"));
    let before = settled(secs(2), secs(10), "the last looks are over", ours);
    holds_for(secs(8), "no call", || same(ours(), before));
}

#[test]
fn replicas_are_named_by_number_and_only_the_one_concerned_is_touched() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let app = |replicas: u32| service::with(service::sleeper(&sandbox.image()), json!({"deploy": {"replicas": replicas}}));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app(3)})));
    operator.wait_ready("web");
    let [one, two, three] = [1, 2, 3].map(|number| sandbox.container("web", "app", number));
    assert_eq!(sandbox.docker().names(sandbox.prefix()), [one.clone(), two.clone(), three.clone()]);

    let before = sandbox.docker().runs(sandbox.prefix());
    sandbox.docker().crash(&two);
    eventually(secs(4), "the second is back", || {
        let after = sandbox.docker().runs(sandbox.prefix());
        sandbox.docker().running(&two)?;
        check(after[&two] != before[&two], || format!("{after:?}"))
    });
    let after = sandbox.docker().runs(sandbox.prefix());
    assert_eq!((&after[&one], &after[&three]), (&before[&one], &before[&three]));

    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app(1)})));
    eventually(secs(10), "two are removed", || same(sandbox.docker().names(sandbox.prefix()), vec![one.clone()]));
    assert_eq!(sandbox.docker().runs(sandbox.prefix())[&one], before[&one]);
}

#[test]
fn an_update_a_stop_and_a_scale_down_of_our_own_are_no_failures_and_not_told_as_such() {
    let sandbox = Sandbox::new();
    let operator = Operator::of(&sandbox).resync("1s").start();
    let app = |seconds: u32, replicas: u32| {
        let script = format!("trap 'exit 143' TERM; sleep {seconds} & wait");
        service::with(service::shell(&sandbox.image(), &script), json!({"deploy": {"replicas": replicas}}))
    };
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app(1000, 2)})));
    operator.wait_ready("web");
    let container = sandbox.container("web", "app", 1);
    let first = sandbox.docker().id(&container);

    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app(2000, 2)})));
    eventually(secs(15), "both run the new command", || {
        let new = |number| {
            let found = sandbox.docker().find(&sandbox.container("web", "app", number)).ok_or("absent")?;
            check(found["Config"]["Cmd"].to_string().contains("sleep 2000"), || found["Config"]["Cmd"].to_string())
        };
        new(1).and_then(|()| new(2))?;
        operator.api().ready("web")
    });
    assert_ne!(sandbox.docker().id(&container), first);

    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": app(2000, 1)})));
    eventually(secs(10), "one is left", || same(sandbox.docker().names(sandbox.prefix()), vec![container.clone()]));
    operator.evenkeel(&["stop", "web"]);
    eventually(secs(10), "it is stopped", || {
        sandbox.docker().in_state(&container, "exited")?;
        operator.api().phase("web", "Stopped")
    });
    holds_for(secs(3), "it stays stopped", || sandbox.docker().in_state(&container, "exited"));
    no_failure_is_told(&operator, "web");
}

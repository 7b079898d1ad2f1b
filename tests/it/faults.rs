//! Trouble outside the containers: each obstacle is named, others are unaffected, and when it goes all is well.

use std::net::TcpListener;

use http::Method;
use serde_json::{Value, json};

use crate::support::{Fault, FaultProxy, Operator, Sandbox, check, condition, eventually, holds_for, same, secs, service};

/// What `Ready` says: reason and message.
fn why(operator: &Operator, name: &str) -> Result<String, String> {
    let ready = condition(&operator.api().deployment(name)?, "Ready");
    Ok(format!("{} {}", ready["reason"], ready["message"]))
}

fn says(operator: &Operator, name: &str, parts: &[&str]) {
    eventually(secs(15), &format!("the condition says {parts:?}"), || {
        let text = why(operator, name)?;
        check(parts.iter().all(|part| text.contains(part)), || text)
    });
}

#[test]
fn a_missing_external_network_is_named_and_its_coming_ends_the_wait() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let network = format!("{}-outside", sandbox.prefix());
    let app = service::with(service::sleeper(&sandbox.image()), json!({"networks": ["outside"]}));
    let mut deployment = sandbox.deployment("web", json!({"app": app}));
    deployment["spec"]["networks"] = json!({"outside": {"external": true, "name": network}});
    sandbox.write_manifest("web.yaml", &deployment);
    says(&operator, "web", &["NetworkMissing", &network]);
    sandbox.docker().run(&["network", "create", &network]);
    eventually(secs(11), "it runs", || operator.api().ready("web"));
    operator.evenkeel(&["delete", "web", "--wait"]);
    assert!(sandbox.docker().run(&["network", "ls"]).contains(&network), "what is external is never removed");
}

#[test]
fn a_held_port_and_a_held_name_are_named_with_their_holder_and_the_holder_is_not_touched() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ports = json!({"ports": [format!("127.0.0.1:{port}:80")]});
    sandbox
        .write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::with(service::sleeper(&image), ports)})));
    says(&operator, "web", &["PortHeld", &port.to_string(), &std::process::id().to_string()]);
    let diagnosed = operator.api().events("web").into_iter().filter(|event| event["reason"] == "Diagnosed").collect::<Vec<_>>();
    let told_once = |event: &serde_json::Value| event["count"] == 1 && event["message"].as_str().unwrap().contains("PortHeld");
    assert!(matches!(diagnosed.as_slice(), [one] if told_once(one)), "{diagnosed:#?}");
    drop(listener);
    eventually(secs(11), "it runs", || operator.api().ready("web"));

    let name = sandbox.container("other", "app", 1);
    sandbox.docker().run(&["run", "-d", "--name", &name, &image, "sleep", "1000"]);
    let foreigner = sandbox.docker().inspect(&name);
    sandbox.write_manifest("other.yaml", &sandbox.deployment("other", json!({"app": service::sleeper(&image)})));
    says(&operator, "other", &["NotOwned", &name, &foreigner["Id"].as_str().unwrap()[..12]]);
    assert_eq!(sandbox.docker().inspect(&name), foreigner, "the foreigner is as it was");
    sandbox.docker().run(&["rm", "-f", &name]);
    eventually(secs(11), "it runs", || operator.api().ready("other"));
}

#[test]
fn a_project_is_claimed_once_by_whoever_came_first_and_free_when_that_one_goes() {
    let sandbox = Sandbox::new();
    let operator = Operator::of(&sandbox).arg("--prune").start();
    let image = sandbox.image();
    let first = sandbox.deployment("web", json!({"app": service::sleeper(&image)}));
    sandbox.write_manifest("a.yaml", &first);
    operator.wait_ready("web");
    let runs = sandbox.docker().runs(&sandbox.container("web", "app", 1));
    let mut second = sandbox.deployment("second", json!({"app": service::sleeper(&image)}));
    second["spec"]["project"] = first["spec"]["project"].clone();
    sandbox.write_manifest("b.yaml", &second);
    says(&operator, "second", &["ProjectClaimed", "default/web"]);
    let mut elsewhere = second.clone();
    elsewhere["metadata"]["namespace"] = json!("team");
    let deployments = "/apis/evenkeel.dev/v1alpha1/namespaces/team/deployments";
    let refused = operator.api().send(Method::POST, deployments, "application/json", Some(&elsewhere)).unwrap();
    let message = refused.body["message"].to_string();
    assert!(refused.status == 409 && message.contains("default/web") && message.contains("a.yaml:1"), "{refused:?}");
    assert_eq!(sandbox.docker().runs(&sandbox.container("web", "app", 1)), runs);
    sandbox.remove_manifest("a.yaml");
    eventually(secs(30), "the second one has it", || operator.api().ready("second"));
}

#[test]
fn two_operators_of_other_instances_leave_each_other_alone() {
    let sandbox = Sandbox::new();
    let image = sandbox.image();
    let first = Operator::of(&sandbox).start();
    first.api().apply(&sandbox.deployment("web", json!({"app": service::sleeper(&image)})));
    first.wait_ready("web");
    let runs = sandbox.docker().runs(&sandbox.container("web", "app", 1));
    let second = Operator::of(&sandbox).name("second").start();
    second.api().apply(&sandbox.deployment("web", json!({"app": service::sleeper(&image)})));
    says(&second, "web", &["NotOwned"]);
    assert_eq!(sandbox.docker().runs(&sandbox.container("web", "app", 1)), runs);
}

#[test]
fn a_cut_event_stream_slow_calls_and_errors_of_the_engine_delay_only_those_they_meet() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    let operator = Operator::of(&sandbox).docker_host(&proxy.host()).resync("4s").start();
    let image = sandbox.image();
    for name in ["slow", "quick"] {
        sandbox.write_manifest(&format!("{name}.yaml"), &sandbox.deployment(name, json!({"app": service::sleeper(&image)})));
        operator.wait_ready(name);
    }
    let [slow, quick] = ["slow", "quick"].map(|name| sandbox.container(name, "app", 1));
    let crash = |container: &str| {
        let before = sandbox.docker().runs(container);
        sandbox.docker().crash(container);
        before
    };
    let anew = |container: &str, before: &_| {
        sandbox.docker().running(container)?;
        check(sandbox.docker().runs(container) != *before, || "not started anew".into())
    };

    let slow_id = sandbox.docker().id(&slow);
    proxy.fault(move |call| call.path.contains(&slow_id), Fault::Delay(secs(30)));
    let (_, before) = (crash(&slow), crash(&quick));
    eventually(secs(6), "the other is unaffected", || anew(&quick, &before));
    proxy.clear();

    for status in [500, 429] {
        proxy.fault(|call| call.method == "POST", Fault::Status(status, "no reason"));
        let before = crash(&quick);
        holds_for(secs(3), "the engine lets nothing start", || check(anew(&quick, &before).is_err(), || "started".into()));
        proxy.clear();
        eventually(secs(8), "it runs after the fault", || anew(&quick, &before));
    }
    proxy.cut_events();
    let before = crash(&quick);
    // Its attempts so far count: a back-off of up to 8 s comes first.
    eventually(secs(12), "it is healed though the stream was cut", || anew(&quick, &before));
    eventually(secs(45), "the slow one is well", || operator.api().ready("slow"));
    assert!(operator.api().holds("slow").is_empty() && operator.api().holds("quick").is_empty());
}

#[test]
fn a_call_that_hangs_stalls_its_own_replica_and_not_the_rest_of_its_deployment() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    let operator = Operator::of(&sandbox).docker_host(&proxy.host()).start();
    let image = sandbox.image();
    let services = json!({"slow": service::sleeper(&image), "quick": service::sleeper(&image)});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    operator.wait_ready("web");
    let (docker, [slow, quick]) = (sandbox.docker(), ["slow", "quick"].map(|service| sandbox.container("web", service, 1)));
    let slow_id = docker.id(&slow);
    proxy.fault(move |call| call.path.contains(&format!("{slow_id}/start")), Fault::Delay(secs(20)));
    docker.crash(&slow);
    says(&operator, "web", &["the engine has not answered yet", &slow]);
    let before = docker.runs(&quick);
    docker.crash(&quick);
    eventually(secs(6), "its sibling is healed meanwhile", || {
        docker.running(&quick)?;
        check(docker.runs(&quick) != before, || "not started anew".into())
    });
    assert!(docker.running(&slow).is_err(), "the slow one still waits for its answer");
    eventually(secs(40), "all is well when the engine has answered", || operator.api().ready("web"));
}

#[test]
fn an_operator_killed_at_any_moment_of_a_replacement_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let mut operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let manifest = |round: u64| {
        let app =
            service::with(service::sleeper(&image), json!({"environment": {"ROUND": round.to_string()}, "volumes": ["/cache"]}));
        sandbox.deployment("web", json!({"app": app, "db": service::sleeper(&image)}))
    };
    sandbox.write_manifest("web.yaml", &manifest(0));
    operator.wait_ready("web");
    let app = sandbox.container("web", "app", 1);
    let volume = |found: &Value| found["Mounts"][0]["Name"].clone();
    let kept = volume(&sandbox.docker().inspect(&app));
    for round in 1..=8_u64 {
        sandbox.write_manifest("web.yaml", &manifest(round));
        let began = std::time::Instant::now();
        eventually(secs(5), "the moment has come", || {
            check(began.elapsed().as_millis() as u64 >= round * 130, || "not yet".into())
        });
        operator.kill();
        operator.start();
        eventually(secs(20), "it converges", || {
            let env = sandbox.docker().find(&app).map(|found| found["Config"]["Env"].to_string()).unwrap_or_default();
            check(env.contains(&format!("ROUND={round}")), || env)?;
            sandbox.docker().running(&app)
        });
        eventually(secs(10), "nothing is left over", || same(sandbox.docker().names(&sandbox.project("web")).len(), 2));
        assert!(operator.api().holds("web").is_empty(), "round {round}: {:?}", operator.api().holds("web"));
    }
    assert_eq!(volume(&sandbox.docker().inspect(&app)), kept, "the anonymous volume is carried over");
}

#[test]
fn twenty_resyncs_and_a_restart_of_the_operator_cost_a_converged_deployment_no_call_that_changes_anything() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    let mut operator = Operator::of(&sandbox).docker_host(&proxy.host()).resync("1s").start();
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())})));
    operator.wait_ready("web");
    let runs = sandbox.docker().runs(&sandbox.project("web"));
    let changes = || proxy.count(|call| call.method != "GET" && call.method != "HEAD");
    let before = changes();
    let lists = proxy.count(|call| call.is("GET", "/containers/json"));
    eventually(secs(60), "twenty resyncs", || {
        let seen = proxy.count(|call| call.is("GET", "/containers/json")) - lists;
        check(seen >= 20, || seen.to_string())
    });
    operator.stop();
    operator.start();
    operator.wait_ready("web");
    assert_eq!(changes(), before);
    assert_eq!(sandbox.docker().runs(&sandbox.project("web")), runs);
}

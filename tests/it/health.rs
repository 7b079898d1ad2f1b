//! What is unhealthy is restarted, told, and given up as what crashes; what is no verdict restarts nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Operator, Sandbox, check, condition, eventually, holds_for, secs, service};

/// A service that is healthy as long as `/tmp/healthy` is there; on its first start it makes it itself.
fn ailing(image: &str) -> Value {
    let script = "trap 'exit 143' TERM; [ -e /tmp/once ] || touch /tmp/healthy /tmp/once; sleep infinity & wait";
    let test = json!(["CMD-SHELL", "cat /tmp/healthy || { echo PASSWORD=hunter2 is no use; exit 1; }"]);
    let probe = json!({"test": test, "interval": "500ms", "timeout": "2s", "retries": 2, "start_period": "1s"});
    service::with(service::shell(image, script), json!({"healthcheck": probe}))
}

fn deploy(sandbox: &Sandbox, app: Value, recovery: Value) -> Value {
    let mut web = sandbox.deployment("web", json!({"app": app}));
    json_patch::merge(&mut web["spec"]["recovery"], &recovery);
    sandbox.write_manifest("web.yaml", &web);
    web
}

/// When Docker told that it is unhealthy, and when it was next sent its stop signal, in seconds.
fn reaction(sandbox: &Sandbox, events: &crate::support::Events) -> f64 {
    let name = sandbox.container("web", "app", 1);
    let all = events.all();
    let mut of_it = all.iter().filter(|event| event.name == name && event.kind == "container");
    let told = of_it.find(|event| event.action == "health_status: unhealthy").expect("it was unhealthy").nanos;
    let killed = of_it.find(|event| event.action == "kill").expect("it was stopped").nanos;
    (killed - told) as f64 / 1e9
}

#[test]
fn what_turns_unhealthy_is_restarted_at_once_and_the_cause_is_told_without_secrets() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    deploy(&sandbox, ailing(&sandbox.image()), json!({"stableWindow": "60s"}));
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let (before, events) = (docker.id(&container), docker.record(sandbox.prefix()));

    docker.exec(&container, &["rm", "/tmp/healthy"]);
    let status = eventually(secs(10), "the attempt is told", || {
        let status = operator.api().status("web")?;
        check(status["recovery"]["attempt"] == json!(1), || status.to_string()).map(|()| status)
    });
    eventually(secs(5), "it was started again", || {
        let actions = events.actions(&container);
        check(actions.last().is_some_and(|last| last == "start"), || format!("{actions:?}"))
    });
    let reaction = reaction(&sandbox, &events);
    eprintln!("from Docker's unhealthy event to the stop signal: {:.0} ms", reaction * 1e3);
    assert!(reaction < 2.0, "{reaction} s");
    assert_eq!(docker.id(&container), before, "the same container is started again");

    let failure = status["recovery"]["failure"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(failure.contains("unhealthy") && failure.contains("No such file") && failure.contains("***"), "{status}");
    let cause =
        |status: &Value| status["lastActions"].as_array().and_then(|all| all.last()).map(|last| last["cause"].to_string());
    eventually(secs(5), "the start has the cause of the stop", || {
        let cause = cause(&operator.api().status("web")?).unwrap_or_default();
        check(cause.contains("unhealthy") && cause.contains("attempt 1 of 10"), || cause)
    });
    let told = operator.api().events("web");
    assert!(told.iter().any(|event| event["reason"] == "Unhealthy"), "{told:?}");
    for text in [json!(told).to_string(), operator.api().status("web").unwrap().to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(operator.api().events("web").iter().all(|event| event["reason"] != "ExternalStop"), "our own stop is no Hold");

    docker.exec(&container, &["touch", "/tmp/healthy"]);
    operator.wait_ready("web");
}

#[test]
fn what_stays_unhealthy_spends_its_attempts_and_is_given_up_and_is_ready_once_it_is_repaired() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let recovery = json!({"maxAttempts": 2, "stableWindow": "60s", "backoff": {"initial": "1s", "max": "1s"}});
    deploy(&sandbox, ailing(&sandbox.image()), recovery);
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let events = docker.record(sandbox.prefix());

    docker.exec(&container, &["rm", "/tmp/healthy"]);
    eventually(secs(30), "it is given up", || operator.api().phase("web", "Failed"));
    let status = operator.api().status("web").unwrap();
    assert_eq!(condition(&json!({"status": status}), "Ready")["reason"], json!("BackOffExhausted"), "{status}");
    let starts = || events.actions(&container).iter().filter(|action| *action == "start").count();
    holds_for(secs(3), "it is left running", || docker.running(&container).and(check(starts() == 2, || starts().to_string())));

    docker.exec(&container, &["touch", "/tmp/healthy"]);
    operator.wait_ready("web");
    let told = operator.api().events("web");
    let exhausted = told.iter().filter(|event| event["reason"] == "BackOffExhausted").count();
    assert_eq!(exhausted, 1, "{told:?}");
}

#[test]
fn a_broken_probe_is_told_apart_and_restarts_nothing() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let probe = |test: Value| {
        let check = json!({"test": test, "interval": "300ms", "timeout": "2s", "retries": 2});
        service::with(service::sleeper(&sandbox.image()), json!({"healthcheck": check}))
    };
    let services = json!({
        "shell": probe(json!(["CMD-SHELL", "curl -f http://localhost/"])),
        "missing": probe(json!(["CMD", "/no/such/program"])),
        "forbidden": probe(json!(["CMD", "/www/index.html"])),
    });
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    eventually(secs(15), "all three are told to be broken", || {
        let status = operator.api().status("web")?;
        let waiting = status["waiting"].to_string();
        check(waiting.matches("cannot be made").count() == 3, || status.to_string())?;
        let healthy = condition(&json!({"status": status}), "Healthy");
        check(healthy["reason"] == json!("ProbeBroken") && healthy["status"] == json!("Unknown"), || healthy.to_string())
    });
    let runs = sandbox.docker().runs(sandbox.prefix());
    holds_for(secs(3), "nothing is restarted", || check(sandbox.docker().runs(sandbox.prefix()) == runs, || "restarted".into()));
}

#[test]
fn paused_suspended_or_held_it_gets_no_verdict() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    deploy(&sandbox, ailing(&sandbox.image()), json!({}));
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let runs = docker.runs(&container);

    docker.run(&["pause", &container]);
    eventually(secs(5), "Docker calls it unhealthy", || {
        let health = docker.inspect(&container)["State"]["Health"]["Status"].clone();
        check(health == json!("unhealthy"), || health.to_string())
    });
    eventually(secs(5), "it is shown as paused", || operator.api().phase("web", "Paused"));
    docker.run(&["unpause", &container]);
    operator.wait_ready("web");

    operator.evenkeel(&["suspend", "web"]);
    docker.exec(&container, &["rm", "/tmp/healthy"]);
    eventually(secs(10), "Docker calls it unhealthy", || {
        let health = docker.inspect(&container)["State"]["Health"]["Status"].clone();
        check(health == json!("unhealthy"), || health.to_string())
    });
    holds_for(Duration::from_secs(2), "it is left alone", || check(docker.runs(&container) == runs, || "restarted".into()));
    operator.evenkeel(&["resume", "web"]);
    eventually(secs(5), "it is restarted now", || check(docker.runs(&container) != runs, || "not yet".into()));
}

/// A service with probes of evenkeel's own that ask each second.
fn watched(app: Value, probes: Value) -> Value {
    let mut probes = probes;
    for probe in probes.as_object_mut().unwrap().values_mut() {
        for (key, value) in [("periodSeconds", 1), ("failureThreshold", 2), ("timeoutSeconds", 2)] {
            probe.as_object_mut().unwrap().entry(key).or_insert(json!(value));
        }
    }
    service::with(app, json!({"x-evenkeel": {"probes": probes}}))
}

#[test]
fn a_liveness_probe_that_fails_restarts_and_a_readiness_probe_only_says_so() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let probes = json!({
        "liveness": {"exec": {"command": ["test", "!", "-e", "/tmp/hung"]}},
        "readiness": {"httpGet": {"port": 8080, "path": "/index.html"}},
    });
    let app = service::shell(&image, "rm -f /tmp/hung; trap 'exit 143' TERM; httpd -f -h /www -p 8080 & wait");
    let waiting = service::with(service::sleeper(&image), json!({"depends_on": {"app": {"condition": "service_healthy"}}}));
    let services = json!({"app": watched(app, probes), "waiting": waiting});
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", services));
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let runs = docker.runs(&container);
    let whole = || operator.api().status("web").map(|status| json!({"status": status}));

    docker.exec(&container, &["mv", "/www/index.html", "/www/away"]);
    eventually(secs(10), "it is not ready", || {
        let status = whole()?;
        let (ready, healthy) = (condition(&status, "Ready"), condition(&status, "Healthy"));
        check(ready["reason"] == json!("NotReady") && healthy["status"] == json!("False"), || status.to_string())?;
        check(ready["message"].to_string().contains("HTTP 404"), || ready.to_string())
    });
    holds_for(secs(3), "nothing is restarted", || check(docker.runs(&container) == runs, || "restarted".into()));
    docker.exec(&container, &["mv", "/www/away", "/www/index.html"]);
    operator.wait_ready("web");

    docker.exec(&container, &["touch", "/tmp/hung"]);
    eventually(secs(10), "it is restarted", || check(docker.runs(&container) != runs, || "not yet".into()));
    operator.wait_ready("web");
    let status = operator.api().status("web").unwrap();
    let failure = status["recovery"]["failure"]["message"].to_string();
    assert!(failure.contains("its liveness probe fails: exit code 1") || status["recovery"].is_null(), "{status}");
    let told = operator.api().events("web");
    let unhealthy =
        told.iter().any(|event| event["reason"] == "Unhealthy" && event["message"].to_string().contains("liveness probe"));
    assert!(unhealthy, "{told:?}");
}

#[test]
fn a_heartbeat_file_that_is_no_longer_written_restarts_and_a_broken_probe_does_not() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let image = sandbox.image();
    let script = "trap 'exit 143' TERM; while :; do [ -e /tmp/hung ] || touch /tmp/beat; rm -f /tmp/none; sleep 0.3; done";
    let beats = watched(service::shell(&image, script), json!({"heartbeat": {"file": "/tmp/beat", "freshness": "2s"}}));
    let broken = watched(service::sleeper(&image), json!({"liveness": {"exec": {"command": ["/no/such/program"]}}}));
    sandbox.write_manifest("web.yaml", &sandbox.deployment("web", json!({"app": beats})));
    sandbox.write_manifest("odd.yaml", &sandbox.deployment("odd", json!({"app": broken})));
    operator.wait_ready("web");
    let (docker, container) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let runs = docker.runs(&container);
    holds_for(secs(4), "it beats", || check(docker.runs(&container) == runs, || "restarted".into()));
    docker.exec(&container, &["touch", "/tmp/hung"]);
    eventually(secs(10), "it is restarted", || check(docker.runs(&container) != runs, || "not yet".into()));
    let told = operator.api().events("web");
    assert!(told.iter().any(|event| event["message"].to_string().contains("last sign of life")), "{told:?}");

    let odd = sandbox.container("odd", "app", 1);
    eventually(secs(10), "the other's probe is told to be broken", || {
        let status = json!({"status": operator.api().status("odd")?});
        check(condition(&status, "Healthy")["reason"] == json!("ProbeBroken"), || status.to_string())
    });
    let runs = docker.runs(&odd);
    holds_for(secs(3), "and nothing is restarted for it", || check(docker.runs(&odd) == runs, || "restarted".into()));
}

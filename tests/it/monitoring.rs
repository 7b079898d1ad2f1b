//! Figures beyond their thresholds: seen, told once, and over when they are back, or when nobody is there any more.

use serde_json::{Value, json};

use crate::disk::SmallDisk;
use crate::notify::with_hook;
use crate::support::{Operator, Options, Receiver, Sandbox, check, eventually, holds_for, secs, service};

/// An operator that samples each second.
fn quick(sandbox: &Sandbox) -> Options<'_> {
    Operator::of(sandbox).arg("--sample-interval").arg("1s")
}

/// Takes a CPU until `/tmp/calm` exists.
fn burner(sandbox: &Sandbox) -> Value {
    alone(service::shell(&sandbox.image(), "trap 'exit 143' TERM; until [ -e /tmp/calm ]; do :; done; sleep infinity & wait"))
}

/// A service without a network: the engine has few, and none is needed here.
fn alone(service: Value) -> Value {
    service::with(service, json!({"network_mode": "none"}))
}

fn monitored(sandbox: &Sandbox, services: Value, monitoring: Value) -> Value {
    let mut web = sandbox.deployment("web", services);
    web["spec"]["monitoring"] = monitoring;
    web["spec"]["recovery"]["verifyWindow"] = json!("1s");
    web
}

/// Cause, subject and state of each alert.
fn alerts(operator: &Operator) -> Result<Vec<(String, String, String)>, String> {
    let status = operator.api().status("web")?;
    let text = |alert: &Value, field: &str| alert[field].as_str().unwrap_or_default().to_owned();
    let all = status["alerts"].as_array().cloned().unwrap_or_default();
    Ok(all.iter().map(|alert| (text(alert, "cause"), text(alert, "subject"), text(alert, "state"))).collect())
}

#[track_caller]
fn await_alert(operator: &Operator, bound: u64, cause: &str, subject: &str, state: &str) {
    eventually(secs(bound), &format!("{cause} of {subject} is {state}"), || {
        let found = alerts(operator)?;
        let wanted = (cause.to_owned(), subject.to_owned(), state.to_owned());
        check(found.contains(&wanted), || format!("{found:?}"))
    });
}

fn told(receiver: &Receiver) -> Vec<String> {
    let word = |body: &Value, field: &str| body[field].as_str().unwrap_or_default().to_owned();
    receiver.taken().iter().map(|body| format!("{} {}", word(body, "kind"), word(body, "cause"))).collect()
}

fn reasons(operator: &Operator, about: &str) -> Vec<String> {
    let events = operator.api().events(about);
    let ours = events.iter().filter(|event| event["reason"].as_str().is_some_and(|reason| reason.starts_with("Alert")));
    let mut reasons: Vec<_> = ours.map(|event| format!("{} x{}", event["reason"].as_str().unwrap(), event["count"])).collect();
    reasons.sort();
    reasons
}

#[test]
fn a_cpu_that_burns_is_told_once_over_a_sigkill_and_over_when_it_calms() {
    let sandbox = Sandbox::new();
    let receiver = Receiver::start(&[]);
    let mut operator = with_hook(&sandbox, quick(&sandbox), &receiver);
    let rules = json!({"cpu": {"above": "8%", "for": "3s", "hysteresis": "50%"}});
    let services = json!({"app": burner(&sandbox), "idle": alone(service::sleeper(&sandbox.image()))});
    sandbox.write_manifest("web.yaml", &monitored(&sandbox, services, rules));

    await_alert(&operator, 40, "HighCpu", "app-1", "Firing");
    let taken = receiver.wait_taken(1, 20);
    assert!(taken[0]["summary"].as_str().unwrap().starts_with("CPU of app-1 is "), "{taken:#?}");
    assert_eq!((alerts(&operator).unwrap().len(), told(&receiver)), (1, vec!["Opened HighCpu".to_owned()]));
    let web = operator.wait_ready("web");
    assert_eq!(web["status"]["phase"], "Running", "it runs all the same");
    let shown = [operator.evenkeel(&["get"]), operator.evenkeel(&["describe", "web"]), operator.evenkeel(&["incident", "list"])];
    for text in shown {
        assert!(text.contains("HighCpu") && text.contains("above 8%"), "{text}");
    }
    let top = operator.cli(&["top"]);
    assert!(String::from_utf8_lossy(&top.stderr).contains("web: HighCpu: CPU of app-1"), "{top:?}");

    operator.kill();
    operator.start();
    holds_for(secs(6), "it goes on, and is not told again", || {
        let (found, told) = (alerts(&operator)?, told(&receiver));
        check(found.len() == 1 && found[0].2 == "Firing" && told.len() == 1, || format!("{found:?} {told:?}"))
    });
    sandbox.docker().exec(&sandbox.container("web", "app", 1), &["touch", "/tmp/calm"]);
    await_alert(&operator, 20, "HighCpu", "app-1", "Resolved");
    receiver.wait_taken(2, 20);
    assert_eq!(told(&receiver), ["Opened HighCpu", "Resolved HighCpu"]);
    assert_eq!(reasons(&operator, "web"), ["AlertFiring x1", "AlertResolved x1"]);
}

#[test]
fn a_container_that_is_removed_while_it_fires_resolves() {
    let sandbox = Sandbox::new();
    let receiver = Receiver::start(&[]);
    let operator = with_hook(&sandbox, quick(&sandbox), &receiver);
    let rules = || json!({"cpu": {"above": "8%", "for": "1s"}});
    let idle = || alone(service::sleeper(&sandbox.image()));
    sandbox.write_manifest("web.yaml", &monitored(&sandbox, json!({"app": burner(&sandbox), "idle": idle()}), rules()));
    await_alert(&operator, 40, "HighCpu", "app-1", "Firing");
    receiver.wait_taken(1, 20);
    sandbox.write_manifest("web.yaml", &monitored(&sandbox, json!({"idle": idle()}), rules()));
    await_alert(&operator, 30, "HighCpu", "app-1", "Resolved");
    receiver.wait_taken(2, 20);
    assert_eq!(told(&receiver), ["Opened HighCpu", "Resolved HighCpu"]);
}

#[test]
fn memory_above_its_bound_memory_that_grows_and_a_cpu_that_jumps_are_told_apart() {
    let sandbox = Sandbox::new();
    let operator = quick(&sandbox).start();
    let large = "trap 'exit 143' TERM; x=$(head -c 30000000 /dev/zero | tr '\\0' a); sleep infinity & wait";
    // Half a MiB a second.
    let leak = "trap 'exit 143' TERM; x=; while :; do x=$x$(head -c 500000 /dev/zero | tr '\\0' a); sleep 1; done";
    let jumps = "trap 'exit 143' TERM; sleep 50; while :; do :; done";
    let service = |script: &str| alone(service::shell(&sandbox.image(), script));
    let services = json!({
        "large": service::with(service(large), json!({"mem_limit": "200m"})), "leak": service(leak), "jumps": service(jumps),
    });
    let rules = json!({"services": {
        "large": {"memory": {"above": "10%", "for": "2s"}},
        "leak": {"growth": {"above": "20%", "over": "1m"}},
        "jumps": {"spike": {"past": "1m", "for": "2s", "metrics": ["cpu"]}, "growth": {"over": "1m"}},
    }});
    sandbox.write_manifest("web.yaml", &monitored(&sandbox, services, rules));
    await_alert(&operator, 40, "HighMemory", "large-1", "Firing");
    await_alert(&operator, 90, "Spike", "jumps-1", "Firing");
    await_alert(&operator, 60, "MemoryLeak", "leak-1", "Firing");
    let found = alerts(&operator).unwrap();
    let firing: Vec<_> = found.iter().filter(|alert| alert.2 == "Firing").collect();
    assert!(firing.iter().all(|(cause, subject, _)| cause != "MemoryLeak" || subject == "leak-1"), "{found:?}");
    let status = operator.api().status("web").unwrap();
    let message = |cause: &str| {
        let alert = status["alerts"].as_array().unwrap().iter().find(|alert| alert["cause"] == cause).unwrap().clone();
        alert["message"].as_str().unwrap().to_owned()
    };
    assert!(message("HighMemory").contains("of 200MiB), above 10%"), "{}", message("HighMemory"));
    assert!(message("Spike").contains("is usual"), "{}", message("Spike"));
    assert!(message("MemoryLeak").ends_with("in 1m"), "{}", message("MemoryLeak"));
}

#[test]
fn restarts_beyond_their_bound_are_told_and_over_when_it_is_stopped() {
    let sandbox = Sandbox::new();
    let operator = quick(&sandbox).start();
    let mut web =
        monitored(&sandbox, json!({"app": alone(service::exits(&sandbox.image(), 1))}), json!({"restarts": {"above": 2}}));
    web["spec"]["recovery"]["backoff"] = json!({"initial": "1s", "max": "1s"});
    sandbox.write_manifest("web.yaml", &web);
    await_alert(&operator, 40, "RestartsHigh", "app-1", "Firing");
    operator.evenkeel(&["stop", "web"]);
    await_alert(&operator, 30, "RestartsHigh", "app-1", "Resolved");
}

#[test]
fn a_disk_of_the_host_that_fills_is_an_incident_of_the_host() {
    let sandbox = Sandbox::new();
    let disk = SmallDisk::under_the_operator_of(&sandbox);
    let receiver = Receiver::start(&[]);
    let rules = "{disk: {above: 60%, for: 2s}, inodes: {above: 100%}}";
    let operator = with_hook(&sandbox, quick(&sandbox).arg("--host-monitoring").arg(rules), &receiver);
    let path = disk.folder().display().to_string();
    let found = |operator: &Operator| -> Result<Value, String> {
        let host = operator.api().get("/apis/evenkeel.dev/v1alpha1/host")?.success()?;
        let alerts = host["alerts"].as_array().cloned().unwrap_or_default();
        alerts.into_iter().find(|alert| alert["subject"] == path.as_str()).ok_or_else(|| host["usage"].to_string())
    };
    eventually(secs(20), "the host is sampled", || {
        let host = operator.api().get("/apis/evenkeel.dev/v1alpha1/host")?.success()?;
        check(host["usage"].to_string().contains(&path), || host.to_string())
    });
    assert!(found(&operator).is_err(), "{:?}", found(&operator));
    disk.weigh_down(5 << 20);
    eventually(secs(20), "it fires", || {
        let alert = found(&operator)?;
        check(alert["state"] == "Firing" && alert["cause"] == "DiskFilling", || alert.to_string())
    });
    let shown = operator.evenkeel(&["top", "--host"]);
    assert!(shown.contains("DiskFilling, firing"), "{shown}");
    // The machine's own disk may be as full: then that was told before, and this one is of the same incident.
    eventually(secs(20), "people are told", || {
        let taken = receiver.taken();
        check(taken.iter().any(|body| body["subjectKind"] == "Host" && body["cause"] == "DiskFilling"), || format!("{taken:#?}"))
    });
    eventually(secs(20), "the incident names it", || {
        let incidents = operator.evenkeel(&["get", "incidents", "-o", "json"]);
        check(incidents.contains(&path), || incidents.clone())
    });
    disk.make_space();
    eventually(secs(20), "it is over", || {
        let alert = found(&operator)?;
        check(alert["state"] == "Resolved", || alert.to_string())
    });
    let events = operator.evenkeel(&["get", "events"]);
    assert!(events.contains("AlertFiring") && events.contains("AlertResolved"), "{events}");
}

#[test]
fn a_wrong_threshold_is_told_with_its_place() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let mut web = monitored(&sandbox, json!({"app": alone(service::sleeper(&sandbox.image()))}), Value::Null);
    web["spec"]["monitoring"] = json!({"cpu": {"above": "2GiB"}});
    let file = sandbox.dir().join("web.yaml");
    std::fs::write(&file, serde_yaml::to_string(&web).unwrap()).unwrap();
    let refused = operator.cli(&["validate", "-f", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    let line = std::fs::read_to_string(&file).unwrap().lines().position(|line| line.contains("2GiB")).unwrap() + 1;
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains(&format!("web.yaml:{line}:")) && said.contains("spec.monitoring.cpu.above: must be percent"), "{said}");
}

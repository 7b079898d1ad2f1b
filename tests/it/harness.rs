//! The harness itself: what other tests lean on must hold.

use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::json;

use crate::support::{
    Call, Collector, Docker, Fault, FaultProxy, Registry, Sandbox, check, eventually, holds_for, same, secs, service,
};

/// Runs a test service by hand, as `evenkeel` would.
fn run(sandbox: &Sandbox, name: &str, service: &serde_json::Value) -> String {
    let container = format!("{}-{name}", sandbox.prefix());
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut args = vec!["run".into(), "--detach".into(), "--name".into(), container.clone(), text(&service["image"])];
    args.extend(service["command"].as_array().unwrap().iter().map(text));
    sandbox.docker().run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    container
}

#[test]
fn a_sandbox_removes_what_carries_its_prefix_and_nothing_else() {
    let (kept, gone) = (Sandbox::new(), Sandbox::new());
    let docker = Docker::machine();
    for sandbox in [&kept, &gone] {
        run(sandbox, "c", &service::sleeper(&sandbox.volume_image()));
        docker.run(&["network", "create", &format!("{}_n", sandbox.prefix())]);
        docker.run(&["volume", "create", &format!("{}_v", sandbox.prefix())]);
        sandbox.own_image("i");
    }
    let (prefix, dir) = (gone.prefix().to_owned(), gone.dir().to_owned());
    drop(gone);
    let left = |prefix: &str| {
        let filter = format!("name={prefix}");
        let containers = docker.run(&["ps", "-aq", "--filter", &filter]);
        let networks = docker.run(&["network", "ls", "-q", "--filter", &filter]);
        let volumes = docker.run(&["volume", "ls", "-q", "--filter", &filter]);
        let images = docker.run(&["images", "-q", &format!("{prefix}*")]);
        [containers, networks, volumes, images].map(|text| text.lines().count())
    };
    assert_eq!(left(&prefix), [0; 4]);
    assert!(!dir.exists());
    assert_eq!(left(kept.prefix()), [1; 4]);
}

#[test]
fn test_services_end_as_they_say() {
    let sandbox = Sandbox::new();
    let (docker, image) = (sandbox.docker(), sandbox.image());
    let exit = |name: &str| docker.inspect(name)["State"]["ExitCode"].as_i64().unwrap();
    let sleeper = run(&sandbox, "sleeper", &service::sleeper(&image));
    let polite = run(&sandbox, "polite", &service::polite(&image));
    let deaf = run(&sandbox, "deaf", &service::deaf(&image));
    let job = run(&sandbox, "job", &service::exits(&image, 3));
    for name in [&sleeper, &polite, &deaf] {
        docker.running(name).unwrap();
        eventually(secs(5), "its shell has set the trap", || {
            check(docker.exec(name, &["ps"]).contains("sleep"), || docker.exec(name, &["ps"]))
        });
        docker.run(&["stop", "--time", "1", name]);
    }
    eventually(secs(5), "the job has ended", || docker.in_state(&job, "exited"));
    assert_eq!([exit(&sleeper), exit(&polite), exit(&deaf), exit(&job)], [143, 0, 137, 3]);
}

#[test]
fn the_recorder_sees_all_that_happens_to_the_prefix_in_order() {
    let sandbox = Sandbox::new();
    let docker = sandbox.docker();
    let events = docker.record(sandbox.prefix());
    let name = run(&sandbox, "c", &service::sleeper(&sandbox.image()));
    docker.crash(&name);
    eventually(secs(5), "it has died", || docker.in_state(&name, "exited"));
    assert_eq!(events.actions(&name), ["create", "start", "die"]);
    assert_eq!(events.times(&name, "start"), [0.0]);
}

#[test]
#[should_panic(expected = "not within 200ms: the moon; last seen: cheese")]
fn waiting_in_vain_fails_with_the_last_state_seen() {
    eventually(std::time::Duration::from_millis(200), "the moon", || Err::<(), _>("cheese".into()));
}

#[test]
#[should_panic(expected = "seen: 3 instead of 2")]
fn what_does_not_stay_so_fails_at_once() {
    let mut looks = 0;
    holds_for(secs(60), "few looks", || {
        looks += 1;
        same(looks.max(2), 2)
    });
}

#[test]
fn manifests_are_written_whole() {
    let sandbox = Sandbox::new();
    let manifest = sandbox.deployment("web", json!({"app": service::http("x", 80)}));
    sandbox.write_manifest("deep/web.yaml", &manifest);
    let text = std::fs::read_to_string(sandbox.manifests().join("deep/web.yaml")).unwrap();
    assert_eq!(serde_yaml::from_str::<serde_json::Value>(&text).unwrap(), manifest);
}

#[test]
fn a_registry_takes_and_gives_images_to_those_who_know_the_password() {
    let sandbox = Sandbox::new();
    let mut registry = Registry::with_password(&sandbox);
    let reference = registry.push(&sandbox.image(), "app:1");
    let pull = || sandbox.docker().attempt(&["pull", &reference]);
    assert!(pull().unwrap_err().contains("no basic auth credentials"));
    registry.stop();
    assert!(pull().unwrap_err().contains("connection refused"));
    registry.start();
    assert!(pull().unwrap_err().contains("no basic auth credentials"));

    let open = Sandbox::new();
    let registry = Registry::start_in(&open);
    let reference = registry.push(&open.image(), "app:1");
    open.docker().run(&["pull", &reference]);
}

#[test]
fn a_proxy_passes_on_counts_delays_refuses_and_cuts() {
    let sandbox = Sandbox::new();
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    let through = Docker::at(proxy.host());
    let name = run(&sandbox, "c", &service::sleeper(&sandbox.image()));
    through.running(&name).unwrap();
    assert_eq!(proxy.count(|call| call.is("GET", "/containers/") && !call.path.starts_with("/v1")), 1);

    proxy.fault_times(1, |call| call.is("GET", "/containers/"), Fault::Status(409, "come back later"));
    assert!(through.attempt(&["container", "inspect", &name]).unwrap_err().contains("come back later"));
    through.running(&name).unwrap();

    proxy.fault(|call| call.is("GET", "/json"), Fault::Delay(secs(1)));
    let start = std::time::Instant::now();
    through.running(&name).unwrap();
    assert!(start.elapsed() >= secs(1));
    proxy.fault(|call| call.is("GET", "/networks"), Fault::LoseAnswer);
    assert!(through.attempt(&["network", "ls"]).is_err());
    proxy.clear();

    let mut events = through.command().args(["events"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually(secs(5), "the events are subscribed to", || check(proxy.count(Call::is_events) == 1, || "not yet".into()));
    proxy.cut_events();
    let ended = eventually(secs(5), "the cut ends it", || events.try_wait().unwrap().ok_or_else(|| "it goes on".to_owned()));
    assert!(!ended.success(), "a stream that was cut is an error to the one who reads it");
}

#[test]
fn a_collector_writes_down_the_spans_it_receives() {
    let sandbox = Sandbox::new();
    let collector = Collector::start_in(&sandbox);
    let span = json!({"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "reconcile", "kind": 1,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000"});
    let body = json!({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "test"}, "spans": [span]}]}]}).to_string();
    let mut stream = TcpStream::connect(collector.endpoint().trim_start_matches("http://")).unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let received = eventually(secs(5), "the span is received", || collector.spans().pop().ok_or_else(|| collector.received()));
    assert_eq!((received.trace.as_str(), received.name.as_str()), ("5b8efff798038103d269b633813fc60c", "reconcile"));
    assert_eq!((received.id.as_str(), received.parent.as_str()), ("eee19b7ec3c1b174", ""));
}

//! The harness itself: what other tests lean on must hold.

use serde_json::json;

use crate::support::{Docker, Sandbox, check, eventually, holds_for, same, secs, service};

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

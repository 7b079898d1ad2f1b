//! The operator is killed in the middle of what it does: the next one goes on, and nothing is made twice, left over or lost.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Fault, FaultProxy, Operator, Registry, Sandbox, check, eventually, holds_for, same, secs, service};

/// Moments after a command at which the operator is killed, in milliseconds: a container takes some 400 ms to be made and started.
const MOMENTS: [u64; 6] = [0, 60, 150, 300, 500, 900];

fn kill_and_start_after(operator: &mut Operator, millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
    operator.kill();
    operator.start();
}

/// Three services with a network and a volume.
fn three(sandbox: &Sandbox, name: &str) -> Value {
    let image = sandbox.image();
    let app = service::with(service::sleeper(&image), json!({"volumes": ["data:/data"]}));
    let mut deployment =
        sandbox.deployment(name, json!({"app": app, "db": service::sleeper(&image), "cache": service::sleeper(&image)}));
    deployment["spec"]["volumes"] = json!({"data": {}});
    deployment
}

fn listed(sandbox: &Sandbox, args: &[&str], project: &str) -> BTreeSet<String> {
    let text = sandbox.docker().run(args);
    text.lines().filter(|line| line.contains(project)).map(str::to_owned).collect()
}

fn networks(sandbox: &Sandbox, project: &str) -> usize {
    listed(sandbox, &["network", "ls", "--format", "{{.ID}} {{.Name}}"], project).len()
}

#[test]
fn in_the_middle_of_making_a_deployment() {
    let sandbox = Sandbox::new();
    let mut operator = Operator::start_on(&sandbox);
    for (round, millis) in MOMENTS.into_iter().enumerate() {
        let name = format!("d{round}");
        operator.api().apply(&three(&sandbox, &name));
        kill_and_start_after(&mut operator, millis);
        eventually(secs(20), &format!("{millis} ms: it converges"), || operator.api().ready(&name));
        let project = sandbox.project(&name);
        let wanted = ["app", "cache", "db"].map(|service| sandbox.container(&name, service, 1));
        assert_eq!(sandbox.docker().names(&project), wanted, "{millis} ms: each is there once, under its name");
        assert_eq!(networks(&sandbox, &project), 1, "{millis} ms");
        assert!(operator.api().holds(&name).is_empty(), "{millis} ms");
    }
}

#[test]
fn in_the_middle_of_a_stop() {
    let sandbox = Sandbox::new();
    let mut operator = Operator::start_on(&sandbox);
    let slow = service::shell(&sandbox.image(), "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done");
    operator.api().apply(&sandbox.deployment("web", json!({"app": slow, "db": service::sleeper(&sandbox.image())})));
    let [app, db] = ["app", "db"].map(|service| sandbox.container("web", service, 1));
    let docker = sandbox.docker();
    for millis in MOMENTS {
        operator.wait_ready("web");
        operator.evenkeel(&["stop", "web"]);
        kill_and_start_after(&mut operator, millis);
        let stopped = || [&app, &db].iter().try_for_each(|name| docker.in_state(name, "exited"));
        eventually(secs(15), &format!("{millis} ms: all stop"), stopped);
        holds_for(secs(7), &format!("{millis} ms: all stay stopped"), stopped);
        let reasons: Vec<Value> = operator.api().holds("web").iter().map(|hold| hold["spec"]["reason"].clone()).collect();
        assert_eq!(reasons, [json!("Stopped")], "{millis} ms: its own stops are not taken for somebody else's");
        operator.evenkeel(&["start", "web"]);
    }
}

#[test]
fn in_the_middle_of_a_deletion() {
    let sandbox = Sandbox::new();
    let mut operator = Operator::start_on(&sandbox);
    for (round, millis) in MOMENTS.into_iter().enumerate() {
        let name = format!("d{round}");
        operator.api().apply(&three(&sandbox, &name));
        operator.wait_ready(&name);
        operator.evenkeel(&["delete", &name]);
        kill_and_start_after(&mut operator, millis);
        eventually(secs(20), &format!("{millis} ms: it is gone"), || {
            check(operator.api().deployment(&name).is_err(), || "still there".into())
        });
        let project = sandbox.project(&name);
        assert_eq!(sandbox.docker().names(&project), Vec::<String>::new(), "{millis} ms");
        assert_eq!(networks(&sandbox, &project), 0, "{millis} ms");
        let volumes = listed(&sandbox, &["volume", "ls", "--format", "{{.Name}}"], &project);
        assert_eq!(volumes, [format!("{project}_data")].into(), "{millis} ms: a volume is never removed");
    }
}

#[test]
fn in_the_middle_of_a_pull() {
    let sandbox = Sandbox::new();
    let registry = Registry::start_in(&sandbox);
    let reference = registry.push(&sandbox.image(), "app:1");
    let proxy = FaultProxy::start_in(&sandbox, sandbox.docker());
    let mut operator = Operator::of(&sandbox).docker_host(&proxy.host()).start();
    let pulls = || proxy.count(|call| call.is("POST", "/images/create"));
    for (round, millis) in MOMENTS.into_iter().enumerate() {
        let _ = sandbox.docker().attempt(&["rmi", "--force", &reference]);
        let (name, before) = (format!("d{round}"), pulls());
        proxy.clear();
        proxy.fault_times(1, |call| call.is("POST", "/images/create"), Fault::Delay(secs(2)));
        operator.api().apply(&sandbox.deployment(&name, json!({"app": service::sleeper(&reference)})));
        eventually(secs(10), "the pull is under way", || check(pulls() > before, || "no".into()));
        kill_and_start_after(&mut operator, millis);
        eventually(secs(20), &format!("{millis} ms: it converges"), || operator.api().ready(&name));
        same(sandbox.docker().names(&sandbox.project(&name)).len(), 1).unwrap();
        operator.evenkeel(&["delete", &name, "--wait"]);
    }
}

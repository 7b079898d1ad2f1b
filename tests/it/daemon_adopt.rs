//! All that runs under `docker compose` on an engine is taken over at once. On an engine of the test's own: on the machine's there are
//! projects of others.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::json;

use crate::support::{Operator, OwnDaemon, Sandbox, check, eventually, holds_for, same, secs, service};

const PROJECTS: [&str; 3] = ["blog", "mail", "shop"];

/// Three projects of docker compose's, of three services each; nothing, without a docker compose.
fn projects(sandbox: &Sandbox, daemon: &OwnDaemon) -> Option<()> {
    let Ok(compose) = std::env::var("EVENKEEL_COMPOSE") else {
        eprintln!("SKIPPED: EVENKEEL_COMPOSE is not set, no project of docker compose was taken over");
        return None;
    };
    let image = daemon.image();
    let with = |policy: &str| service::with(service::sleeper(&image), json!({"restart": policy}));
    for name in PROJECTS {
        let folder = sandbox.dir().join("srv").join(name);
        fs::create_dir_all(&folder).unwrap();
        let services = json!({"db": with("always"), "web": with("unless-stopped"), "work": with("on-failure:3")});
        let text = serde_yaml::to_string(&json!({"services": services})).unwrap().replace('$', "$$");
        fs::write(folder.join("compose.yaml"), text).unwrap();
        let mut command = Command::new(&compose);
        command.current_dir(&folder).args(["up", "--detach"]).env("DOCKER_HOST", daemon.docker().host());
        let output = command.output().unwrap();
        assert!(output.status.success(), "docker compose up: {}", String::from_utf8_lossy(&output.stderr));
    }
    Some(())
}

/// Docker's restart policies by container.
fn policies(daemon: &OwnDaemon) -> BTreeMap<String, String> {
    let policy =
        |name: &String| daemon.docker().inspect(name)["HostConfig"]["RestartPolicy"]["Name"].as_str().unwrap().to_owned();
    daemon.docker().names("").iter().map(|name| (name.clone(), policy(name))).collect()
}

fn all_are_taken_over(operator: &Operator, daemon: &OwnDaemon) {
    for name in PROJECTS {
        operator.wait_ready(name);
    }
    eventually(secs(10), "Docker restarts none of them any more", || {
        let policies = policies(daemon);
        check(policies.values().all(|policy| policy == "no"), || format!("{policies:?}"))
    });
}

fn adopt_all(operator: &Operator) {
    eventually(secs(15), "all are adopted", || {
        let adopted = operator.cli(&["adopt", "--all"]);
        check(adopted.status.success(), || String::from_utf8_lossy(&adopted.stderr).into_owned())
    });
}

#[test]
fn all_projects_are_taken_over_without_a_restart_and_given_back() {
    let sandbox = Sandbox::new();
    let daemon = OwnDaemon::start_in(&sandbox);
    let Some(()) = projects(&sandbox, &daemon) else { return };
    let (before, declared) = (daemon.docker().runs(""), policies(&daemon));
    let operator = Operator::of(&sandbox).docker_host(daemon.docker().host()).resync("1s").start();
    adopt_all(&operator);
    all_are_taken_over(&operator, &daemon);
    holds_for(secs(5), "looking again restarts nothing", || same(daemon.docker().runs(""), before.clone()));
    adopt_all(&operator);
    assert_eq!(daemon.docker().runs(""), before, "nothing is left to be adopted");
    operator.evenkeel(&["release", "--all"]);
    assert_eq!((policies(&daemon), daemon.docker().runs("")), (declared, before), "Docker has its policies back");
}

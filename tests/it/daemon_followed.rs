//! A followed repository, and a daemon that goes and comes: what a person stopped stays, everything else is back.

use serde_json::json;

use crate::followed::Host;
use crate::support::{Operator, OwnDaemon, Sandbox, check, eventually, holds_for, same, secs, service};

#[test]
fn what_a_person_stopped_stays_so_over_restarts_of_the_daemon_and_over_commits() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    let operator = Operator::of(&sandbox).docker_host(daemon.docker().host()).start();
    let mut host = Host::with(&sandbox, operator, false);
    let image = daemon.image();
    let manifest = |name: &str, image: &str| {
        let app = service::with(service::sleeper(image), json!({"network_mode": "none", "restart": "always"}));
        sandbox.deployment(name, json!({"app": app}))
    };
    let container = |name: &str| sandbox.container(name, "app", 1);
    host.repository.push(&[("web.yaml", &manifest("web", &image)), ("other.yaml", &manifest("other", &image))]);
    host.operator.wait_ready("web");
    host.operator.wait_ready("other");
    host.operator.evenkeel(&["stop", "web"]);
    eventually(secs(13), "it stops", || daemon.docker().in_state(&container("web"), "exited"));

    let stays = |daemon: &OwnDaemon, seconds: u64| {
        holds_for(secs(seconds), "it stays stopped", || {
            let state = daemon.docker().attempt(&["inspect", "--format", "{{.State.Status}}", &container("web")]);
            check(state.as_deref() != Ok("running"), || format!("{state:?}"))
        });
    };
    daemon.restart();
    eventually(secs(30), "what was not stopped is back", || daemon.docker().running(&container("other")));
    stays(&daemon, 5);
    let unrelated = host.repository.push(&[("more.yaml", &manifest("more", &image))]);
    host.looks_at(&unrelated);
    host.operator.wait_ready("more");
    host.operator.kill();
    daemon.kill();
    daemon.start();
    host.operator.start();
    eventually(secs(30), "what was not stopped is back", || daemon.docker().running(&container("other")));
    daemon.docker().run(&["tag", &image, "evenkeel-newer:1"]);
    let newer = host.repository.push(&[("web.yaml", &manifest("web", "evenkeel-newer:1"))]);
    host.looks_at(&newer);
    stays(&daemon, 10);
    host.operator.evenkeel(&["start", "web"]);
    eventually(secs(5), "it runs with the image of the last commit", || {
        daemon.docker().running(&container("web"))?;
        same(daemon.docker().inspect(&container("web"))["Config"]["Image"].clone(), json!("evenkeel-newer:1"))
    });
}

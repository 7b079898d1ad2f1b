//! Daemons and operators that come and go: nobody is taken for a person, and no person is forgotten.

use serde_json::json;

use crate::outside::{await_held, held_outside};
use crate::support::{
    Docker, Fault, FaultProxy, Operator, OwnDaemon, Sandbox, check, eventually, holds_for, same, secs, service,
};

const SERVERS: u32 = 10;

struct Scene {
    // In this order: the operator goes before its daemon, the daemon before its folder.
    operator: Operator,
    daemon: OwnDaemon,
    sandbox: Sandbox,
}

impl Scene {
    /// Ten servers, of which every other one ends politely, on a daemon of their own.
    fn new(config: serde_json::Value) -> Self {
        let sandbox = Sandbox::new();
        let daemon = OwnDaemon::start_with(&sandbox, config);
        let operator = Operator::of(&sandbox).docker_host(daemon.docker().host()).start();
        let image = daemon.image();
        let server = |number| if number % 2 == 0 { service::polite(&image) } else { service::sleeper(&image) };
        let quiet = |number| service::with(server(number), json!({"network_mode": "none"}));
        let services = (1..=SERVERS).map(|number| (format!("s{number}"), quiet(number)));
        let services: serde_json::Map<_, _> = services.collect();
        operator.api().apply(&sandbox.deployment("web", services.into()));
        let scene = Self { operator, daemon, sandbox };
        eventually(secs(60), "all run", || scene.operator.api().ready("web"));
        scene
    }

    fn docker(&self) -> &Docker {
        self.daemon.docker()
    }

    fn name(&self, number: u32) -> String {
        self.sandbox.container("web", &format!("s{number}"), 1)
    }

    fn held(&self) -> Vec<String> {
        held_outside(&self.operator, "web")
    }

    /// Waits until all but these run, and sees that these stay down and only these are held.
    #[track_caller]
    fn comes_back_without(&self, down: &[u32], held: &[&str]) {
        let others = || (1..=SERVERS).filter(|number| !down.contains(number));
        eventually(secs(40), "what should run is back", || {
            others().try_for_each(|number| self.docker().running(&self.name(number)))
        });
        await_held(&self.operator, "web", held);
        holds_for(secs(12), "it stays so", || {
            others().try_for_each(|number| self.docker().running(&self.name(number)))?;
            down.iter().try_for_each(|number| self.docker().in_state(&self.name(*number), "exited"))?;
            same(self.held(), held.iter().map(|held| (*held).to_owned()).collect())
        });
    }

    /// The test's daemon remembers 256 events; afterwards it remembers none of those before.
    fn roll_the_buffer_over(&self) {
        for _ in 0..130 {
            self.docker().run(&["volume", "create", "noise"]);
            self.docker().run(&["volume", "rm", "noise"]);
        }
    }
}

#[test]
fn daemons_that_are_restarted_hold_nothing_and_free_nothing() {
    let mut scene = Scene::new(json!({}));
    scene.docker().run(&["stop", &scene.name(1)]);
    await_held(&scene.operator, "web", &["s1-1"]);
    scene.operator.evenkeel(&["stop", "web", "s2"]);
    eventually(secs(15), "s2 has stopped", || scene.docker().in_state(&scene.name(2), "exited"));
    for _ in 0..2 {
        scene.daemon.restart();
        scene.comes_back_without(&[1, 2], &["s1-1"]);
    }
    scene.daemon.kill();
    scene.daemon.start();
    scene.comes_back_without(&[1, 2], &["s1-1"]);
}

#[test]
fn a_shutdown_that_waits_for_a_slow_container_holds_nothing() {
    let mut scene = Scene::new(json!({"shutdown-timeout": 40}));
    let image = scene.daemon.image();
    let slow = service::with(
        service::shell(&image, "trap 'sleep 20; exit 0' TERM; while :; do sleep 1; done"),
        json!({"stop_grace_period": "30s", "network_mode": "none"}),
    );
    scene.operator.api().apply(&scene.sandbox.deployment("slow", json!({"app": slow})));
    eventually(secs(15), "the slow one runs", || scene.operator.api().ready("slow"));
    scene.daemon.restart();
    scene.comes_back_without(&[], &[]);
    eventually(secs(30), "the slow one is back", || scene.docker().running(&scene.sandbox.container("slow", "app", 1)));
    assert_eq!(held_outside(&scene.operator, "slow"), Vec::<String>::new());
}

#[test]
fn a_daemon_restarted_while_the_operator_is_away_holds_nothing() {
    let mut scene = Scene::new(json!({}));
    scene.operator.stop();
    scene.daemon.restart();
    scene.operator.start();
    scene.comes_back_without(&[], &[]);
    scene.operator.kill();
    scene.daemon.kill();
    scene.daemon.start();
    scene.operator.start();
    scene.comes_back_without(&[], &[]);
}

#[test]
fn with_live_restore_a_restart_of_the_daemon_disturbs_nothing() {
    let mut scene = Scene::new(json!({"live-restore": true}));
    let before = scene.docker().runs(scene.sandbox.prefix());
    scene.daemon.restart();
    scene.comes_back_without(&[], &[]);
    assert_eq!(scene.docker().runs(scene.sandbox.prefix()), before);
    scene.daemon.kill();
    scene.daemon.start();
    scene.comes_back_without(&[], &[]);
    assert_eq!(scene.docker().runs(scene.sandbox.prefix()), before);
    scene.docker().run(&["stop", &scene.name(3)]);
    await_held(&scene.operator, "web", &["s3-1"]);
}

#[test]
fn what_people_did_while_the_operator_was_away_is_understood() {
    let mut scene = Scene::new(json!({}));
    scene.operator.stop();
    scene.docker().run(&["stop", &scene.name(1)]);
    scene.docker().run(&["kill", &scene.name(3)]);
    scene.docker().run(&["restart", &scene.name(5)]);
    scene.docker().crash(&scene.name(7));
    scene.operator.start();
    scene.comes_back_without(&[1], &["s1-1"]);
    // The other way round: what was held was started.
    scene.operator.kill();
    scene.docker().run(&["start", &scene.name(1)]);
    scene.operator.start();
    scene.comes_back_without(&[], &[]);
}

#[test]
fn an_operator_killed_in_the_middle_of_a_stop_understands_it_afterwards() {
    let mut scene = Scene::new(json!({}));
    for (number, millis) in [(1, 20), (2, 120), (3, 400), (4, 1_500), (5, 3_000)] {
        let stop = {
            let (docker, name) = (scene.docker().clone(), scene.name(number));
            std::thread::spawn(move || docker.run(&["stop", &name]))
        };
        std::thread::sleep(std::time::Duration::from_millis(millis));
        scene.operator.kill();
        stop.join().unwrap();
        scene.operator.start();
    }
    scene.comes_back_without(&[1, 2, 3, 4, 5], &["s1-1", "s2-1", "s3-1", "s4-1", "s5-1"]);
}

#[test]
fn what_nobody_saw_and_the_daemon_forgot_runs_again() {
    let mut scene = Scene::new(json!({}));
    scene.operator.stop();
    scene.docker().run(&["stop", &scene.name(1)]);
    scene.roll_the_buffer_over();
    scene.operator.start();
    scene.comes_back_without(&[], &[]);
    let told = |reason: &str| scene.operator.api().events("web").into_iter().any(|event| event["reason"] == json!(reason));
    check(told("IntentUnknown"), || "no Event IntentUnknown".into()).unwrap();
}

#[test]
fn what_evenkeel_stopped_stays_so_for_a_minute_of_restarts_of_everything_and_a_new_image_and_then_starts_with_it() {
    let sandbox = Sandbox::new();
    let mut daemon = OwnDaemon::start_in(&sandbox);
    let mut operator = Operator::of(&sandbox).docker_host(daemon.docker().host()).start();
    let image = daemon.image();
    let manifest = |name: &str, image: &str| {
        let app = service::with(service::sleeper(image), json!({"network_mode": "none", "restart": "always"}));
        sandbox.write_manifest(&format!("{name}.yaml"), &sandbox.deployment(name, json!({"app": app})));
    };
    manifest("web", &image);
    operator.wait_ready("web");
    let app = sandbox.container("web", "app", 1);
    operator.evenkeel(&["stop", "web"]);
    eventually(secs(13), "it stops", || daemon.docker().in_state(&app, "exited"));
    let stays = |daemon: &OwnDaemon, seconds: u64| {
        holds_for(secs(seconds), "it stays stopped", || {
            let state = daemon.docker().attempt(&["inspect", "--format", "{{.State.Status}}", &app]).unwrap_or_default();
            check(state != "running", || state)
        });
    };
    stays(&daemon, 10);
    operator.kill();
    operator.start();
    stays(&daemon, 5);
    manifest("other", &image);
    operator.wait_ready("other");
    daemon.restart();
    stays(&daemon, 15);
    daemon.kill();
    daemon.start();
    stays(&daemon, 10);
    daemon.docker().run(&["tag", &image, "evenkeel-newer:1"]);
    manifest("web", "evenkeel-newer:1");
    stays(&daemon, 20);
    operator.evenkeel(&["start", "web"]);
    eventually(secs(5), "it runs with the new image", || {
        daemon.docker().running(&app)?;
        same(daemon.docker().inspect(&app)["Config"]["Image"].clone(), json!("evenkeel-newer:1"))
    });
}

#[test]
fn a_stop_that_falls_into_a_gap_of_the_events_is_understood_when_they_are_read_again() {
    let sandbox = Sandbox::new();
    // A daemon of its own: on a busy one the gap may be longer than what it remembers.
    let daemon = OwnDaemon::start_in(&sandbox);
    let proxy = FaultProxy::start_in(&sandbox, daemon.docker());
    let operator = Operator::of(&sandbox).docker_host(&proxy.host()).start();
    let image = daemon.image();
    operator.api().apply(&sandbox.deployment("web", json!({"app": service::sleeper(&image), "db": service::sleeper(&image)})));
    operator.wait_ready("web");
    let (docker, app, db) = (daemon.docker(), sandbox.container("web", "app", 1), sandbox.container("web", "db", 1));
    let before = docker.runs(&db);
    proxy.fault(|call| call.is_events(), Fault::Status(500, "no reason"));
    proxy.cut_events();
    docker.run(&["stop", &app]);
    docker.crash(&db);
    // Whatever is looked at meanwhile: a container that ended in a gap is not started before it is known why.
    holds_for(secs(3), "it stays stopped in the gap", || docker.in_state(&app, "exited"));
    proxy.clear();
    // The proxy's socket says nothing of the daemon: it takes 10 s of quiet after it was found again.
    eventually(secs(20), "the stop is understood", || same(held_outside(&operator, "web"), vec!["app-1".to_owned()]));
    eventually(secs(8), "the crash is healed", || {
        docker.running(&db)?;
        check(docker.runs(&db) != before, || "not started anew".into())
    });
    holds_for(secs(12), "it stays stopped", || docker.in_state(&app, "exited"));
}

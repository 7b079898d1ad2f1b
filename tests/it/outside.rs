//! What people do with docker and docker-compose, and what evenkeel makes of it: the rows of docs/intent.md.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Docker, Operator, Sandbox, check, eventually, holds_for, same, secs, service};

/// Replicas held by an outside stop, sorted: `app-1`.
pub fn held_outside(operator: &Operator, deployment: &str) -> Vec<String> {
    let outside = operator.api().holds(deployment).into_iter().filter(|hold| hold["spec"]["reason"] == json!("ExternalStop"));
    let mut replicas: Vec<String> =
        outside.map(|hold| format!("{}-{}", hold["spec"]["service"].as_str().unwrap_or("?"), hold["spec"]["replica"])).collect();
    replicas.sort();
    replicas
}

/// Waits until exactly these replicas are held.
#[track_caller]
pub fn await_held(operator: &Operator, deployment: &str, replicas: &[&str]) {
    eventually(secs(12), &format!("held: {replicas:?}"), || {
        same(held_outside(operator, deployment), replicas.iter().map(|r| (*r).to_owned()).collect())
    });
}

/// Watches that a container stays as it is for longer than any wait in the decision.
#[track_caller]
fn stays(docker: &Docker, container: &str, state: &str) {
    holds_for(secs(12), &format!("{container} stays {state}"), || docker.in_state(container, state));
}

/// An operator with one Deployment `web`, ready.
fn scene(services: &Value) -> (Sandbox, Operator) {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    operator.api().apply(&sandbox.deployment("web", services.clone()));
    ready(&operator);
    (sandbox, operator)
}

/// Waits for Deployment `web`; twenty containers take a while on a busy machine.
#[track_caller]
fn ready(operator: &Operator) {
    eventually(secs(60), "web is ready", || operator.api().ready("web"));
}

fn sleeper() -> Value {
    let sandbox = Sandbox::new();
    json!({"app": service::sleeper(&sandbox.image())})
}

/// `docker-compose` on the project of `web`, with a compose file of these services.
fn compose(sandbox: &Sandbox, services: &Value, args: &[&str]) {
    let file = sandbox.dir().join("docker-compose.yml");
    let text = serde_yaml::to_string(&json!({"version": "3.7", "services": services})).unwrap();
    std::fs::write(&file, text).unwrap();
    let output = Command::new("docker-compose")
        .env("DOCKER_HOST", sandbox.docker().host())
        .args(["--project-name", &sandbox.project("web"), "--file"])
        .arg(&file)
        .args(args)
        .output()
        .expect("docker-compose is installed");
    assert!(output.status.success(), "docker-compose {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_docker_stop_stays_until_a_docker_start() {
    let (sandbox, operator) = scene(&sleeper());
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    docker.run(&["stop", &app]);
    assert_eq!(docker.state(&app), "exited", "stopped when docker stop returns");
    await_held(&operator, "web", &["app-1"]);
    eventually(secs(5), "it is shown as stopped", || operator.api().phase("web", "Stopped"));
    stays(docker, &app, "exited");

    docker.run(&["start", &app]);
    await_held(&operator, "web", &[]);
    stays(docker, &app, "running");
    // It is looked after again.
    let before = docker.runs(&app);
    docker.crash(&app);
    eventually(secs(5), "it runs again", || {
        docker.running(&app)?;
        check(docker.runs(&app) != before, || "not started anew".into())
    });
}

#[test]
fn a_docker_stop_stays_until_evenkeel_start_and_after_a_restart_of_the_operator() {
    let (sandbox, mut operator) = scene(&sleeper());
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    docker.run(&["stop", "--time", "0", &app]);
    await_held(&operator, "web", &["app-1"]);
    operator.kill();
    operator.start();
    stays(docker, &app, "exited");
    operator.evenkeel(&["start", "web"]);
    eventually(secs(5), "it runs", || docker.running(&app));
    assert_eq!(held_outside(&operator, "web"), Vec::<String>::new());
}

#[test]
fn of_a_hundred_stops_a_hundred_are_understood() {
    const REPLICAS: u32 = 20;
    let image = Sandbox::new().image();
    let many = service::with(service::polite(&image), json!({"scale": REPLICAS, "network_mode": "none"}));
    let (sandbox, operator) = scene(&json!({"app": many}));
    let docker = sandbox.docker();
    let names: Vec<String> = (1..=REPLICAS).map(|number| sandbox.container("web", "app", number)).collect();
    let every: Vec<String> = {
        let mut all: Vec<String> = (1..=REPLICAS).map(|number| format!("app-{number}")).collect();
        all.sort();
        all
    };
    for round in 1..=5 {
        std::thread::scope(|scope| {
            for (place, name) in names.iter().enumerate() {
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(70 * place as u64));
                    docker.run(&["stop", name]);
                    assert_eq!(docker.state(name), "exited");
                });
            }
        });
        eventually(secs(20), &format!("round {round}: all are held"), || same(held_outside(&operator, "web"), every.clone()));
        let up = docker.run(&["ps", "--quiet", "--filter", &format!("name={}", sandbox.project("web"))]);
        assert_eq!(up, "", "round {round}: none was started");
        docker.run(&[&["start"], names.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat());
        eventually(secs(20), "all are free", || same(held_outside(&operator, "web"), vec![]));
    }
}

#[test]
fn a_docker_kill_is_healed_and_no_signal_that_is_survived_matters() {
    let (sandbox, operator) =
        scene(&json!({"app": service::shell(&Sandbox::new().image(), "trap : HUP; while :; do sleep 1; done")}));
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let before = docker.runs(&app);
    docker.run(&["kill", "--signal", "HUP", &app]);
    holds_for(secs(3), "it runs on", || same(docker.runs(&app), before.clone()));
    docker.run(&["kill", &app]);
    eventually(secs(9), "it runs again", || {
        docker.running(&app)?;
        check(docker.runs(&app) != before, || "not started anew".into())
    });
    assert_eq!(held_outside(&operator, "web"), Vec::<String>::new());
}

#[test]
fn a_docker_restart_is_left_alone() {
    let (sandbox, operator) = scene(&sleeper());
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let events = docker.record(sandbox.prefix());
    for _ in 0..5 {
        docker.run(&["restart", &app]);
        docker.running(&app).unwrap();
    }
    stays(docker, &app, "running");
    assert_eq!(held_outside(&operator, "web"), Vec::<String>::new());
    let starts = events.actions(&app).iter().filter(|action| *action == "start").count();
    assert_eq!(starts, 5, "evenkeel started nothing itself");
}

#[test]
fn a_docker_restart_whose_start_fails_is_recovered_from() {
    let sandbox = Sandbox::new();
    let folder = sandbox.dir().join("program");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy("/bin/busybox", folder.join("sh")).unwrap();
    let app = json!({
        "image": sandbox.image(),
        "entrypoint": ["/program/sh", "-c", "trap 'exit 143' TERM; sleep infinity & wait"],
        "volumes": [format!("{}:/program", folder.display())],
    });
    let operator = Operator::start_on(&sandbox);
    operator.api().apply(&sandbox.deployment("web", json!({"app": app})));
    ready(&operator);
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));

    std::fs::rename(folder.join("sh"), folder.join("gone")).unwrap();
    let failed = docker.attempt(&["restart", &app]);
    assert!(failed.is_err(), "{failed:?}");
    holds_for(secs(6), "it is not taken for a stop", || same(held_outside(&operator, "web"), vec![]));
    std::fs::rename(folder.join("gone"), folder.join("sh")).unwrap();
    eventually(secs(12), "it runs again", || docker.running(&app));
}

#[test]
fn what_is_stopped_and_removed_stays_away_until_it_is_wanted_again() {
    let (sandbox, operator) = scene(&sleeper());
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    docker.run(&["stop", &app]);
    docker.run(&["rm", &app]);
    await_held(&operator, "web", &["app-1"]);
    stays(docker, &app, "absent");
    operator.evenkeel(&["start", "web"]);
    eventually(secs(8), "it is there again", || docker.running(&app));
}

#[test]
fn what_is_removed_by_force_is_made_again_unless_it_was_stopped_before() {
    let (sandbox, operator) = scene(&sleeper());
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let before = docker.id(&app);
    docker.run(&["rm", "--force", &app]);
    eventually(secs(5), "another one is there", || {
        docker.running(&app)?;
        check(docker.id(&app) != before, || "the old one is still there".into())
    });
    docker.run(&["stop", &app]);
    await_held(&operator, "web", &["app-1"]);
    docker.run(&["rm", "--force", &app]);
    stays(docker, &app, "absent");
    assert_eq!(held_outside(&operator, "web"), ["app-1"]);
}

#[test]
fn what_is_paused_is_shown_as_paused_and_left_alone() {
    let (sandbox, operator) = scene(&sleeper());
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    docker.run(&["pause", &app]);
    eventually(secs(5), "it is shown", || operator.api().phase("web", "Paused"));
    stays(docker, &app, "paused");
    docker.run(&["unpause", &app]);
    eventually(secs(5), "it is shown as running", || operator.api().phase("web", "Running"));
    assert_eq!(held_outside(&operator, "web"), Vec::<String>::new());
}

#[test]
fn what_ends_while_it_is_paused_is_healed() {
    let (sandbox, operator) = scene(&sleeper());
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    for end in [["kill", &app].as_slice(), &["rm", "--force", &app]] {
        docker.run(&["pause", &app]);
        eventually(secs(5), "it is shown as paused", || operator.api().phase("web", "Paused"));
        let before = docker.runs(&app);
        docker.run(end);
        eventually(secs(9), &format!("after {end:?} it runs"), || {
            docker.running(&app)?;
            check(docker.runs(&app) != before, || "not started anew".into())
        });
        ready(&operator);
    }
    assert_eq!(held_outside(&operator, "web"), Vec::<String>::new());
}

#[test]
fn a_container_that_eats_all_its_memory_has_crashed_and_so_has_one_killed_from_inside() {
    let image = Sandbox::new().image();
    // What the loop reads is in memory, and lost with each start: it eats once.
    let hungry = service::with(
        service::shell(&image, "while [ ! -e /state/eat ]; do sleep 0.1; done; exec tail /dev/zero"),
        json!({"mem_limit": "24m", "memswap_limit": "24m", "tmpfs": ["/state"]}),
    );
    let (sandbox, operator) = scene(&json!({"app": hungry, "db": service::sleeper(&image)}));
    let (docker, app, db) = (sandbox.docker(), sandbox.container("web", "app", 1), sandbox.container("web", "db", 1));
    let runs_anew = |container: &str, before: &_| {
        docker.running(container)?;
        check(docker.runs(container) != *before, || "not started anew".into())
    };
    let before = docker.runs(&app);
    docker.exec(&app, &["touch", "/state/eat"]);
    eventually(secs(12), "it runs again", || runs_anew(&app, &before));
    let failure = operator.api().status("web").unwrap()["recovery"]["failure"].clone();
    assert_eq!((&failure["oomKilled"], &failure["exitCode"]), (&json!(true), &json!(137)), "{failure}");

    let before = docker.runs(&db);
    // The shell is pid 1, which only an unhandled signal from outside its namespace kills; its trap ends it.
    docker.exec(&db, &["kill", "-TERM", "1"]);
    eventually(secs(12), "it runs again", || runs_anew(&db, &before));
    assert_eq!(held_outside(&operator, "web"), Vec::<String>::new());
}

#[test]
fn what_is_renamed_and_given_a_policy_by_hand_is_known_by_its_labels_and_mended_without_a_restart() {
    let (sandbox, operator) = scene(&sleeper());
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    let id = docker.id(&app);
    let started = || docker.inspect(&id)["State"]["StartedAt"].clone();
    let before = started();
    docker.run(&["update", "--restart", "always", &app]);
    docker.run(&["rename", &app, &format!("{}-pet", sandbox.prefix())]);
    eventually(secs(8), "it has its name and no policy", || {
        let found = docker.inspect(&id);
        same(found["Name"].clone(), json!(format!("/{app}")))?;
        same(found["HostConfig"]["RestartPolicy"]["Name"].clone(), json!("no"))
    });
    assert_eq!(started(), before);
    ready(&operator);
    assert_eq!(docker.names(&sandbox.project("web")), [app]);
}

#[test]
fn a_suspended_deployment_can_be_stopped_from_outside_without_a_trace() {
    let (sandbox, operator) = scene(&sleeper());
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    operator.evenkeel(&["suspend", "web", "--reason", "backup"]);
    docker.run(&["stop", &app]);
    stays(docker, &app, "exited");
    assert_eq!(held_outside(&operator, "web"), Vec::<String>::new());
    operator.evenkeel(&["resume", "web"]);
    eventually(secs(5), "it runs", || docker.running(&app));
}

#[test]
fn where_outside_stops_are_to_be_reverted_they_are() {
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let mut web = sandbox.deployment("web", json!({"app": service::sleeper(&sandbox.image())}));
    web["spec"]["recovery"]["externalStop"] = json!("Revert");
    operator.api().apply(&web);
    ready(&operator);
    let (docker, app) = (sandbox.docker(), sandbox.container("web", "app", 1));
    docker.run(&["stop", &app]);
    eventually(secs(9), "it runs again", || docker.running(&app));
    assert_eq!(held_outside(&operator, "web"), Vec::<String>::new());
}

#[test]
fn compose_stop_and_down_by_hand_stay_and_compose_start_lifts() {
    let image = Sandbox::new().image();
    let services = json!({"app": service::sleeper(&image), "db": service::polite(&image)});
    let (sandbox, operator) = scene(&services);
    let (docker, app, db) = (sandbox.docker(), sandbox.container("web", "app", 1), sandbox.container("web", "db", 1));
    compose(&sandbox, &services, &["stop"]);
    await_held(&operator, "web", &["app-1", "db-1"]);
    stays(docker, &app, "exited");
    compose(&sandbox, &services, &["start"]);
    await_held(&operator, "web", &[]);
    docker.running(&app).and(docker.running(&db)).unwrap();

    compose(&sandbox, &services, &["down"]);
    await_held(&operator, "web", &["app-1", "db-1"]);
    stays(docker, &app, "absent");
    docker.in_state(&db, "absent").unwrap();
    operator.evenkeel(&["start", "web"]);
    eventually(secs(10), "all is there again", || docker.running(&app).and(docker.running(&db)));
}

#[test]
fn a_recreate_by_compose_by_hand_is_taken_over() {
    let services = sleeper();
    let (sandbox, operator) = scene(&services);
    let docker = sandbox.docker();
    compose(&sandbox, &services, &["up", "--detach", "--force-recreate"]);
    let of_project = format!("label=com.docker.compose.project={}", sandbox.project("web"));
    let ids = || docker.run(&["ps", "--no-trunc", "--quiet", "--filter", &of_project]);
    let made = ids();
    assert_eq!(made.lines().count(), 1, "{made}");
    holds_for(secs(12), "it is not fought, and nothing is held", || {
        same(ids(), made.clone())?;
        same(held_outside(&operator, "web"), vec![])
    });
    // It is looked after: a crash is healed, a stop stays.
    let run = || docker.inspect(&made)["State"]["StartedAt"].clone();
    let before = run();
    docker.crash(&made);
    // Docker lists it as running for a moment more, and a stop in that moment is one that nobody can see (row 14).
    eventually(secs(8), "it runs again", || {
        docker.running(&made)?;
        check(run() != before, || "not started anew".into())
    });
    docker.run(&["stop", &made]);
    await_held(&operator, "web", &["app-1"]);
}

#[test]
fn a_recreate_by_compose_of_what_was_stopped_lifts_the_hold() {
    let services = sleeper();
    let (sandbox, operator) = scene(&services);
    let docker = sandbox.docker();
    docker.run(&["stop", &sandbox.container("web", "app", 1)]);
    await_held(&operator, "web", &["app-1"]);
    compose(&sandbox, &services, &["up", "--detach", "--force-recreate"]);
    await_held(&operator, "web", &[]);
    let of_project = format!("label=com.docker.compose.project={}", sandbox.project("web"));
    let running = || docker.run(&["ps", "--no-trunc", "--quiet", "--filter", &of_project]);
    let made = running();
    assert_eq!(made.lines().count(), 1, "{made}");
    holds_for(secs(6), "it runs on", || same(running(), made.clone()));
}

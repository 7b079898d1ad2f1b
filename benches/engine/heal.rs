//! SIGKILL of a container that had been stable, to running again.

use std::process::Command;
use std::time::{Duration, Instant};

use evenkeel::clock::{Clock, SystemClock, Timestamp};
use serde_json::{Map, Value};

use crate::bare::Bare;
use crate::report::Side;
use crate::support::{Operator, Sandbox, check, eventually, secs, service};

const TRIES: usize = 10;
/// Docker takes a container for stable after 10 s; its own delay begins anew then.
const STABLE: Duration = Duration::from_secs(11);

pub fn measure() {
    println!("\nSIGKILL to running, of {TRIES} containers that had been stable");
    let sandbox = Sandbox::new();
    let (docker, image) = (sandbox.docker(), sandbox.image());
    let operator = Operator::start_on(&sandbox);
    let services: Map<String, Value> = (0..TRIES).map(|number| (format!("s{number}"), service::sleeper(&image))).collect();
    operator.api().apply(&sandbox.deployment("web", services.into()));
    eventually(secs(60), "all are up", || operator.api().ready("web"));
    let network = format!("{}-docker", sandbox.prefix());
    docker.run(&["network", "create", &network]);
    let theirs_named = |number| format!("{}-docker-{number}", sandbox.prefix());
    for number in 0..TRIES {
        let name = theirs_named(number);
        docker.run(&["run", "--detach", "--restart", "always", "--network", &network, "--name", &name, &image, "sleep", "86400"]);
    }
    let up = Instant::now();
    eventually(secs(30), "all have been up long enough", || check(up.elapsed() > STABLE, || format!("{:?}", up.elapsed())));

    let engine = Bare::new(&sandbox);
    let [mut ours, mut theirs] = ["evenkeel", "docker, restart: always"].map(|name| Side::new(name, "s"));
    for number in 0..TRIES {
        ours.add(kill_and_await(&engine, &sandbox.container("web", &format!("s{number}"), 1)));
        theirs.add(kill_and_await(&engine, &theirs_named(number)));
    }
    [&ours, &theirs].into_iter().for_each(Side::print);
    ours.print_ratio(&theirs, 0.9);
}

/// Seconds from the signal to the moment that the engine names as the start.
fn kill_and_await(engine: &Bare, container: &str) -> f64 {
    let state = || engine.state(container);
    let before = state();
    let killed_at = SystemClock.now();
    let pid = before["Pid"].to_string();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let after = eventually(secs(30), "it runs again", || {
        let now = state();
        check(now["Running"] == true && now["StartedAt"] != before["StartedAt"], || now.to_string()).map(|()| now)
    });
    let started_at: Timestamp = after["StartedAt"].as_str().unwrap().parse().unwrap();
    started_at.duration_since(killed_at).as_secs_f64()
}

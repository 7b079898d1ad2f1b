//! 50 services up from nothing.

use std::time::Instant;

use crate::bare::Bare;
use crate::compose::Compose;
use crate::floor::Floor;
use crate::report::Side;
use crate::services;
use crate::support::{Docker, Operator, Sandbox, check, eventually, secs};

const SERVICES: usize = 50;
const ROUNDS: usize = 3;

pub fn measure() {
    println!("\n{SERVICES} services up from nothing");
    let sandbox = Sandbox::new();
    let services = services(&sandbox, SERVICES);
    let operator = Operator::start_on(&sandbox);
    let engine = Bare::new(&sandbox);
    let (floor, compose) = (Floor::new(&engine, &sandbox), Compose::project(&sandbox, &services));
    let [mut ours, mut least, mut theirs] = ["evenkeel", "bare client", "docker compose up -d"].map(|name| Side::new(name, "s"));
    for _ in 0..ROUNDS {
        least.add(floor.up(&services).as_secs_f64());
        clear(sandbox.docker(), &format!("{}-floor", sandbox.prefix()));
        let began = Instant::now();
        operator.api().apply(&sandbox.deployment("web", services.clone()));
        await_running(&engine, &sandbox.project("web"));
        ours.add(began.elapsed().as_secs_f64());
        operator.api().delete(&crate::support::Api::path("web"));
        eventually(secs(120), "it is gone", || {
            let left = sandbox.docker().names(&sandbox.project("web"));
            check(left.is_empty() && operator.api().deployment("web").is_err(), || format!("{} left", left.len()))
        });
        if let Some(compose) = &compose {
            theirs.add(compose.up().as_secs_f64());
            compose.down();
        }
    }
    [&ours, &least].into_iter().for_each(Side::print);
    ours.print_ratio(&least, 1.05);
    if compose.is_some() {
        theirs.print();
        ours.print_ratio(&theirs, 1.0);
    }
}

/// Waits until all of them run. Each list costs the engine as much as an inspect of all: they are few, and half a percent less precise.
fn await_running(engine: &Bare, prefix: &str) {
    let began = Instant::now();
    while engine.running(prefix) < SERVICES {
        assert!(began.elapsed() < secs(180), "{} of {SERVICES} run", engine.running(prefix));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

fn clear(docker: &Docker, prefix: &str) {
    let names = docker.names(prefix);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    docker.run(&[&["rm", "--force", "--volumes"], names.as_slice()].concat());
    docker.run(&["network", "rm", &format!("{prefix}_default")]);
}

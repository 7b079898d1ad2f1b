//! A pass over 50 services that finds nothing to do.

use std::time::Instant;

use serde_json::json;

use crate::compose::Compose;
use crate::report::Side;
use crate::services;
use crate::support::{Operator, Sandbox, eventually, secs};

const SERVICES: usize = 50;
const ROUNDS: u32 = 20;

pub fn measure() {
    println!("\na pass over {SERVICES} services that finds nothing to do");
    let sandbox = Sandbox::new();
    let services = services(&sandbox, SERVICES);
    let operator = Operator::start_on(&sandbox);
    operator.api().apply(&sandbox.deployment("web", services.clone()));
    eventually(secs(120), "all are up", || operator.api().ready("web"));
    let compose = Compose::project(&sandbox, &services);
    if let Some(compose) = &compose {
        compose.up();
    }
    let [mut ours, mut theirs] = ["evenkeel", "docker compose up -d"].map(|name| Side::new(name, "s"));
    for round in 0..ROUNDS {
        // A changed number that no container shows: admitted, stored, resolved, planned, and the status of it written.
        let began = Instant::now();
        let patched = operator.api().patch_deployment("web", &json!({"spec": {"recovery": {"maxAttempts": 11 + round}}}));
        let generation = patched["metadata"]["generation"].clone();
        while operator.api().status("web").unwrap()["observedGeneration"] != generation {}
        ours.add(began.elapsed().as_secs_f64());
        if let Some(compose) = &compose {
            theirs.add(compose.up().as_secs_f64());
        }
    }
    ours.print();
    if let Some(compose) = compose {
        theirs.print();
        ours.print_ratio(&theirs, 0.1);
        compose.down();
    }
}

//! What the operator costs when there is nothing to do.

use std::time::Instant;

use serde_json::Value;

use crate::report::Side;
use crate::services;
use crate::support::{Operator, Sandbox, check, eventually, secs};

const CONTAINERS: usize = 100;
const MINUTES: u64 = 2;

pub fn measure() {
    println!("\nidle, with {CONTAINERS} converged containers");
    let sandbox = Sandbox::new();
    let operator = Operator::start_on(&sandbox);
    let services: Value = services(&sandbox, CONTAINERS / 4);
    for name in ["a", "b", "c", "d"] {
        operator.api().apply(&sandbox.deployment(name, services.clone()));
    }
    for name in ["a", "b", "c", "d"] {
        eventually(secs(180), "all are up", || operator.api().ready(name));
    }
    let (mut busy, mut memory) = (Side::new("CPU seconds a minute", "s"), Side::new("resident memory", "MB"));
    for _ in 0..MINUTES {
        let (before, began) = (cpu_seconds(operator.pid()), Instant::now());
        eventually(secs(70), "a minute is over", || check(began.elapsed() >= secs(60), || format!("{:?}", began.elapsed())));
        busy.add(cpu_seconds(operator.pid()) - before);
        memory.add(resident_megabytes(operator.pid()));
    }
    busy.print();
    memory.print();
    println!("  goals: 0.12 s a minute (0.2 % of a core), 20 MB");
}

/// CPU time of a process so far, user and system, in seconds; the kernel counts hundredths.
fn cpu_seconds(pid: i64) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_megabytes(pid: i64) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

//! Figures on a real Docker Engine, each beside what it is held against, in one run: `make bench`.
//!
//! | file | figure | held against |
//! |---|---|---|
//! | `up` | 50 services up from nothing | the same Docker calls by a bare client, and `docker compose up -d` |
//! | `converged` | a pass over 50 services that finds nothing to do | a no-op `docker compose up -d` |
//! | `heal` | SIGKILL to running again | Docker's own `restart: always` |
//! | `idle` | CPU time and memory with 100 converged containers | |
//!
//! Rounds of the two sides alternate, and ratios are taken within a round, so that a machine that slows down slows both. The
//! machine should have nothing else to do. Arguments name the figures wanted; none: all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that meets the unexpected fails")]

#[path = "../../tests/it/support/mod.rs"]
mod support;

mod bare;
mod compose;
mod converged;
mod floor;
mod heal;
mod idle;
mod report;
mod up;

use serde_json::{Map, Value};

use support::{Sandbox, service};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let figures: [(&str, fn()); 4] =
        [("up", up::measure), ("converged", converged::measure), ("heal", heal::measure), ("idle", idle::measure)];
    for (name, measure) in figures {
        if wanted.is_empty() || wanted.iter().any(|want| want == name) {
            measure();
        }
    }
}

/// So many services that do nothing, by name.
fn services(sandbox: &Sandbox, count: usize) -> Value {
    let all: Map<String, Value> = (0..count).map(|number| (format!("s{number}"), service::sleeper(&sandbox.image()))).collect();
    all.into()
}

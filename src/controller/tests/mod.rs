//! The whole controller on the fake engine, under paused time: random stories with faults, and what must hold in all of them.
//!
//! | file | what |
//! |---|---|
//! | `story` | what stories there are: Deployments, strangers beside them, and what happens |
//! | `rig` | the host: fake engine, data folder, and the operator that is killed and started again |
//! | `wire` | the operator's line to the engine; whoever breaks a promise is caught on it |
//! | `steps` | makes a story happen |
//! | `settled` | whether everything is as specs and Holds say, decided without the planner |
//! | `properties` | the promises |
//! | `crowd` | a large Deployment beside a small one |
//! | `known` | stories that went wrong once |
//! | `model`, `planner` | the same for plans alone, on a pure model of the engine |
//!
//! `PROPTEST_CASES=1000 cargo test --lib controller::tests` runs more stories than usual. A story that fails is made shorter,
//! printed, and its seed kept in `proptest-regressions/`, from where the next runs take it first. Threads of the store are real, so
//! two runs of one story can differ within a moment of paused time.

mod crowd;
mod known;
mod model;
mod planner;
mod properties;
mod rig;
mod settled;
mod steps;
mod story;
mod wire;

use proptest::test_runner::{Config, FileFailurePersistence};

/// So many cases, unless the environment says otherwise.
fn config(cases: u32) -> Config {
    let set = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    Config {
        cases: set("PROPTEST_CASES").unwrap_or(cases),
        max_shrink_iters: set("PROPTEST_MAX_SHRINK_ITERS").unwrap_or(150),
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel("proptest-regressions"))),
        ..Config::default()
    }
}

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
//!
//! `PROPTEST_CASES=2000 cargo nextest run --lib controller::tests` runs more stories than usual. A story that fails is made shorter,
//! printed, and its seed kept in `proptest-regressions/`, from where the next runs take it first. Threads of the store are real, so
//! two runs of one story can differ within a moment of paused time.

mod properties;
mod rig;
mod settled;
mod steps;
mod story;
mod wire;

//! What every test against the real engine needs. `CONTRIBUTING.md` has a short tour.
#![allow(dead_code, unused_imports, reason = "a helper may wait for the first test that needs it")]

mod api;
mod docker;
mod events;
mod image;
mod operator;
mod processes;
mod sandbox;
pub mod service;
mod wait;

pub use api::{Api, Reply};
pub use docker::Docker;
pub use events::{Event, Events};
pub use operator::{Operator, Options};
pub use sandbox::Sandbox;
pub use wait::{check, eventually, holds_for, same, secs};

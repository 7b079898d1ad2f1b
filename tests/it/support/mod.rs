//! What every test against the real engine needs. `CONTRIBUTING.md` has a short tour.
#![allow(dead_code, unused_imports, reason = "a helper may wait for the first test that needs it")]

mod api;
mod collector;
mod daemon;
mod docker;
mod events;
mod image;
mod mailbox;
mod operator;
mod processes;
mod proxy;
mod receiver;
pub mod registry;
mod registry_proxy;
mod sandbox;
pub mod service;
mod wait;

pub use api::{Api, Reply, condition};
pub use collector::{Collector, Span};
pub use daemon::OwnDaemon;
pub use docker::Docker;
pub use events::{Event, Events};
pub use mailbox::Mailbox;
pub use operator::{Operator, Options};
pub use proxy::{Call, Fault, FaultProxy};
pub use receiver::{Answer, Receiver};
pub use registry::Registry;
pub use registry_proxy::{RegistryProxy, Trouble};
pub use sandbox::Sandbox;
pub use wait::{check, eventually, holds_for, same, secs, settled};

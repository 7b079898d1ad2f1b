//! evenkeel keeps declared Docker deployments running.
//!
//! | module | what it is |
//! |---|---|
//! | [`crd`] | what users write: kinds, Compose services, defaults, validation |
//! | [`compose`] | Compose files as they are: loaded as docker compose loads them |
//! | [`model`] | what modules hand each other |
//! | [`clock`] | the one place that asks what time it is |
//! | [`docker`] | the engine, real and fake |
//! | [`store`] | objects, history and events on disk |
//! | [`doctor`] | what evenkeel leans on, and how to mend it |
//! | [`diagnose`] | why something failed |
//! | [`health`] | probes of our own |
//! | [`resolve`] | a Deployment and its Holds as the planner sees them |
//! | [`telemetry`] | logs and traces |
//! | [`systemd`] | what the service manager is told |
//! | [`registry`] | the one door to the store: admission, claims, writes |
//! | [`controller`] | observe, plan, act, record |
//! | [`incident`] | what statuses come to over time |
//! | [`sources`] | the watched folder of manifests |
//! | [`notify`] | what people are told, and how it reaches them |
//! | [`api`] | Kubernetes-shaped HTTP |
//! | [`cli`] | the command line |
//! | [`config`], [`app`] | settings and wiring |
//!
//! Imports go down only; ARCHITECTURE.md has the layers and a test holds them.

pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod compose;
pub mod config;
pub mod controller;
pub mod crd;
pub mod diagnose;
pub mod docker;
pub mod doctor;
pub mod health;
pub mod incident;
pub mod model;
pub mod notify;
pub mod registry;
pub mod resolve;
pub mod resources;
pub mod sources;
pub mod store;
pub mod systemd;
pub mod telemetry;

//! The Compose model in own permissive types: short forms are read, one long form is kept.
//!
//! [`Project`] has the shape of `docker compose config --format json`: ports, mounts and dependencies are in their long
//! forms, the implicit `default` network is there, networks and volumes have their real names. Values are literal:
//! nothing is interpolated here, a `$` stays a `$`.

mod build;
#[cfg(test)]
pub(crate) mod corpus;
mod hash;
pub mod keys;
mod normalise;
mod parts;
mod pull;
pub(super) mod read;
mod resources;
mod scalars;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use super::decode::Sink;
use super::{DeploymentSpec, FieldError};

pub use build::{Build, SshKey};
pub use hash::{COMPOSE_VERSION, config_hash, json_hash, network_hash, service_hash, volume_hash};
pub use parts::*;
pub use pull::PullPolicy;
pub use resources::*;
pub use scalars::*;
pub use service::Service;

/// The words of a command line, split as Compose does: up to an operator of the shell, if there is one.
///
/// # Errors
/// What is left open, in words that go on a sentence.
pub fn split_words(line: &str) -> Result<Vec<String>, String> {
    read::split(line)
}

/// All services of a Deployment, with what they share.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Project {
    /// The Compose project's name.
    pub name: String,
    /// By name, those of inactive profiles included ([`Service::enabled`]).
    pub services: BTreeMap<String, Service>,
    /// By key, the implicit `default` included where a service uses it.
    #[serde(skip_serializing_if = "service::is_empty")]
    pub networks: BTreeMap<String, Network>,
    /// By key.
    #[serde(skip_serializing_if = "service::is_empty")]
    pub volumes: BTreeMap<String, Volume>,
    /// By key.
    #[serde(skip_serializing_if = "service::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
    /// By key.
    #[serde(skip_serializing_if = "service::is_empty")]
    pub configs: BTreeMap<String, Secret>,
}

impl Project {
    /// Reads a Deployment's Compose parts. All that is wrong comes back at once, with paths from `spec`.
    ///
    /// `name` is the Compose project ([`super::project_of`]). Checks that need more than one place (references, cycles,
    /// names, ports used twice) are made by [`super::admit`], not here.
    pub fn read(name: &str, spec: &DeploymentSpec) -> Result<Self, Vec<FieldError>> {
        let sink = Sink::new(false);
        let project = Self::collect(name, spec, &sink);
        let errors = sink.into_findings().errors;
        if errors.is_empty() { Ok(project) } else { Err(errors) }
    }

    /// As [`Project::read`], with what is wrong going to `sink`; what is wrong is left out of the project.
    pub(super) fn collect(name: &str, spec: &DeploymentSpec, sink: &Sink) -> Self {
        let mut project = read::project(name, spec, sink);
        normalise::normalise(&mut project);
        project
    }
}

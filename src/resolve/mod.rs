//! A Deployment and its Holds, resolved for the planner: Compose's words become [`Desired`].
//!
//! Pure. Everything a container is made from is decided here, once, from the object alone; the planner adds what depends
//! on the replica (name, number, namespace parents, volumes to carry over) and compares `spec_hash`.
//!
//! | file | what |
//! |---|---|
//! | `service` | one service: its policies, dependencies and template |
//! | `container` | the template: each key of a Compose service in Docker's terms |
//! | `build` | how its image is built |
//! | `network`, `mounts`, `resources` | parts of the template |
//! | `shared` | networks and volumes of the project |
//! | `labels` | the labels of all of them |
//! | `policy` | restart rules, recovery, deletion, requests by annotation |
//! | `hash` | what makes a container another one |

mod build;
mod container;
mod hash;
mod labels;
mod mounts;
mod network;
mod policy;
mod resources;
mod service;
mod shared;

use std::collections::{BTreeMap, BTreeSet};

use crate::crd::compose::{Project, Service};
use crate::crd::{DeclaredState, Deployment, FieldError, project_of};
use crate::model::{Desired, HoldView, Key, RecoveryMode, RunState};

/// What should be, of one Deployment.
///
/// `bound` is the operator's `--mode`, `claimed_by` the Deployment that claimed the project first, `config_source` the
/// absolute path of the manifest, for `docker compose ls`. What is wrong comes back all at once; on an admitted object
/// that is nothing.
pub fn resolve(
    deployment: &Deployment,
    mut holds: Vec<HoldView>,
    instance: &str,
    bound: RecoveryMode,
    claimed_by: Option<Key>,
    config_source: Option<&str>,
) -> Result<Desired, Vec<FieldError>> {
    let project = Project::read(&project_of(deployment), &deployment.spec)?;
    let metadata = &deployment.metadata;
    let key = Key::new(metadata.namespace.as_deref().unwrap_or("default"), metadata.name.as_deref().unwrap_or_default());
    let enabled = project.services.iter().filter(|(_, service)| service.enabled(&deployment.spec.profiles));
    let scope = Scope {
        deployment,
        key: &key,
        instance,
        config_source,
        enabled: enabled.map(|(name, service)| (name.as_str(), service)).collect(),
        project: &project,
    };
    let mut problems = Problems::default();
    let services = service::all(&scope, &mut problems);
    holds.sort_by_key(|hold| hold.since);
    let desired = Desired {
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        instance: instance.to_owned(),
        claimed_by,
        state: match deployment.spec.state {
            DeclaredState::Running => RunState::Running,
            DeclaredState::Stopped => RunState::Stopped,
        },
        deletion: policy::deletion(metadata),
        services,
        networks: shared::networks(&scope),
        volumes: shared::volumes(&scope),
        recovery: policy::recovery(&deployment.spec.recovery, bound),
        host_booted_at: None,
        answers: policy::answers(metadata),
        api: None,
        holds,
        key: key.clone(),
        project: project.name.clone(),
    };
    if problems.0.is_empty() { Ok(desired) } else { Err(problems.0) }
}

/// What should be of a Deployment that is being deleted though its specification cannot be resolved: nothing. What it made is
/// found by its labels.
pub fn remains(deployment: &Deployment, instance: &str, bound: RecoveryMode) -> Desired {
    let metadata = &deployment.metadata;
    Desired {
        key: Key::new(metadata.namespace.as_deref().unwrap_or("default"), metadata.name.as_deref().unwrap_or_default()),
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        instance: instance.to_owned(),
        project: project_of(deployment),
        claimed_by: None,
        state: RunState::Stopped,
        deletion: policy::deletion(metadata),
        services: BTreeMap::new(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        recovery: policy::recovery(&deployment.spec.recovery, bound),
        host_booted_at: None,
        answers: vec![],
        api: None,
        holds: vec![],
    }
}

/// What all parts of a resolution read.
struct Scope<'a> {
    deployment: &'a Deployment,
    key: &'a Key,
    instance: &'a str,
    config_source: Option<&'a str>,
    project: &'a Project,
    /// Services of active profiles.
    enabled: BTreeMap<&'a str, &'a Service>,
}

impl Scope<'_> {
    /// The name of a replica's container.
    fn container_name(&self, name: &str, service: &Service, number: u32) -> String {
        let declared = service.container_name.clone();
        declared.unwrap_or_else(|| format!("{}-{name}-{number}", self.project.name))
    }

    /// Keys of the networks that enabled services join.
    fn networks_in_use(&self) -> BTreeSet<&str> {
        self.enabled.values().flat_map(|service| service.networks.keys().map(String::as_str)).collect()
    }

    /// Keys of the volumes that enabled services mount.
    fn volumes_in_use(&self) -> BTreeSet<&str> {
        self.enabled.values().flat_map(|service| mounts::volume_keys(service)).collect()
    }
}

/// What is wrong, collected.
#[derive(Default)]
struct Problems(Vec<FieldError>);

impl Problems {
    /// Notes a problem of a service's field.
    fn add(&mut self, service: &str, field: impl std::fmt::Display, message: impl Into<String>) {
        let path = format!("spec.services.{service}.{field}");
        self.0.push(FieldError { path, message: message.into(), location: None });
    }
}

#[cfg(test)]
mod tests;

//! The Compose projects on the engine, and whose they are: what `evenkeel adopt` can take over.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::{Container, Key, Snapshot, labels};

use super::Controller;
use super::world::View;

/// One Compose project.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The Deployment that has it, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Another operator's instance that has containers in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The folder that Compose was called for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The Compose files, by their absolute paths.
    pub config_files: Vec<String>,
    /// Its containers, by name; those of `docker compose run` left out.
    pub containers: Vec<Member>,
    /// Names of its networks.
    pub networks: BTreeSet<String>,
    /// Names of its volumes.
    pub volumes: BTreeSet<String>,
}

/// One container of a project.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Its number, from 1.
    pub number: u32,
    /// Whether it runs.
    pub running: bool,
    /// Docker's restart policy on it.
    pub restart: String,
    /// Whether this operator looks after it.
    pub ours: bool,
}

impl Controller {
    /// All Compose projects on the engine, by name.
    ///
    /// # Errors
    /// When the engine cannot be seen, or the store not be read; as text for people.
    pub fn projects(&self) -> Result<Vec<Project>, String> {
        let snapshot = match self.world.view() {
            View::Seen(snapshot) => snapshot,
            View::Blind { why, .. } => return Err(why),
        };
        let mut projects = read(&snapshot, &self.options.instance);
        for project in &mut projects {
            // Nobody has an empty name: whoever claims the project is another one.
            let claimant = self.registry.claimant(&Key::new("", ""), &project.name).map_err(|error| error.to_string())?;
            let Some(key) = claimant else { continue };
            let memory = self.store.memory(&key).map_err(|error| error.to_string())?;
            let adopted: BTreeSet<&String> = memory.adopted.values().map(|adopted| &adopted.container_id).collect();
            project.containers.iter_mut().for_each(|member| member.ours |= adopted.contains(&member.id));
            project.deployment = Some(key.to_string());
        }
        Ok(projects)
    }
}

/// What the labels say.
fn read(snapshot: &Snapshot, instance: &str) -> Vec<Project> {
    let mut projects: BTreeMap<&String, (Project, Option<&Container>)> = BTreeMap::new();
    for container in snapshot.containers.values() {
        let Some(name) = container.labels.get(labels::COMPOSE_PROJECT) else { continue };
        let Some(replica) = container.replica() else { continue };
        let (project, newest) = projects.entry(name).or_default();
        let of = container.labels.get(labels::INSTANCE);
        project.instance = of.filter(|of| *of != instance).cloned().or_else(|| project.instance.take());
        project.containers.push(Member {
            id: container.id.clone(),
            name: container.name.clone(),
            service: replica.service,
            number: replica.number,
            running: container.is_up(),
            restart: container.restart_policy.to_string(),
            ours: of.is_some_and(|of| of == instance),
        });
        if newest.is_none_or(|newest| newest.created_at < container.created_at) {
            *newest = Some(container);
        }
    }
    let of_project =
        |labels: &BTreeMap<String, String>, name: &str| labels.get(labels::COMPOSE_PROJECT).is_some_and(|of| of == name);
    let finish = |(name, (project, newest)): (&String, (Project, Option<&Container>))| {
        let label = |label: &str| newest.and_then(|container| container.labels.get(label)).filter(|text| !text.is_empty());
        let files = label(labels::COMPOSE_CONFIG_FILES).map(String::as_str).unwrap_or_default();
        let networks = snapshot.networks.values().filter(|network| of_project(&network.labels, name));
        let volumes = snapshot.volumes.values().filter(|volume| of_project(&volume.labels, name));
        let mut project = Project {
            name: name.clone(),
            working_dir: label(labels::COMPOSE_WORKING_DIR).cloned(),
            config_files: files.split(',').filter(|file| !file.is_empty()).map(str::to_owned).collect(),
            networks: networks.map(|network| network.name.clone()).collect(),
            volumes: volumes.map(|volume| volume.name.clone()).collect(),
            ..project
        };
        project.containers.sort_by(|one, other| one.name.cmp(&other.name));
        project
    };
    projects.into_iter().map(finish).collect()
}

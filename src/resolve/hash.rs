//! What makes a container another one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Scope, mounts};
use crate::crd::compose::{Deploy, DeployResources, Secret, Service, json_hash};

/// Hex digits of a hash in our labels. 64 bits: it is compared with the hash of the same replica's last container only,
/// where an accidental match is out of the question, and people read it in labels and plans.
const DIGITS: usize = 16;

/// What a service takes from outside its own words.
#[derive(Serialize)]
struct Outside<'a> {
    /// Real names of its networks. Their definitions are not in it: a changed network is made anew and its containers
    /// are connected again.
    networks: BTreeMap<&'a str, &'a str>,
    /// Real names of its volumes.
    volumes: BTreeMap<&'a str, &'a str>,
    /// Where its secrets come from.
    secrets: BTreeMap<&'a str, &'a str>,
    /// Where its configs come from, or what is in them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    configs: BTreeMap<&'a str, &'a Secret>,
}

/// The hash in a container's label: another one means that it must be replaced.
///
/// Over the service in its long form, so that the spelling does not matter, but for what its containers do not show:
/// how many there are, when they start and are started again, and where the image comes from.
pub(super) fn spec_hash(scope: &Scope, service: &Service) -> String {
    let resources = service.deploy.as_ref().map(|deploy| deploy.resources.clone());
    let deploy = resources.filter(|resources| *resources != DeployResources::default());
    let own = Service {
        deploy: deploy.map(|resources| Deploy { resources, ..Deploy::default() }),
        profiles: Vec::new(),
        attach: None,
        build: None,
        depends_on: BTreeMap::new(),
        pull_policy: None,
        restart: None,
        scale: None,
        ..service.clone()
    };
    short(&json_hash(&(own, outside(scope, service))))
}

/// Cuts a hash to the length of our labels.
pub(super) fn short(hash: &str) -> String {
    hash.chars().take(DIGITS).collect()
}

fn outside<'a>(scope: &Scope<'a>, service: &'a Service) -> Outside<'a> {
    let project = scope.project;
    let networks = service.networks.keys().filter_map(|key| Some((key.as_str(), project.networks.get(key)?.name.as_str())));
    let volumes = mounts::volume_keys(service).filter_map(|key| Some((key, project.volumes.get(key)?.name.as_str())));
    let secrets = service.secrets.iter().map(|secret| secret.source.as_str());
    let secrets = secrets.filter_map(|key| {
        let Secret { file, environment, .. } = project.secrets.get(key)?;
        Some((key, environment.as_deref().unwrap_or(file)))
    });
    let configs = service.configs.iter().map(|config| config.source.as_str());
    let configs = configs.filter_map(|key| Some((key, project.configs.get(key)?)));
    Outside { networks: networks.collect(), volumes: volumes.collect(), secrets: secrets.collect(), configs: configs.collect() }
}

//! What the parts of a project imply for each other: the default network, dependencies, real names.

use super::{Dependency, Project, Service};
use crate::model::DependencyCondition;

/// Brings a project into the form that `docker compose config` prints.
pub(super) fn normalise(project: &mut Project) {
    for service in project.services.values_mut() {
        join_default_network(service);
        imply_dependencies(service);
        agree_on_replicas(service);
    }
    if project.services.values().any(|service| service.networks.contains_key("default")) {
        project.networks.entry("default".to_owned()).or_default();
    }
    let Project { name, networks, volumes, secrets, configs, .. } = project;
    networks.iter_mut().for_each(|(key, network)| fill_name(&mut network.name, key, network.external, name));
    volumes.iter_mut().for_each(|(key, volume)| fill_name(&mut volume.name, key, volume.external, name));
    let files = secrets.iter_mut().chain(configs.iter_mut());
    files.for_each(|(key, file)| fill_name(&mut file.name, key, false, name));
}

/// A service that names no network joins `default`.
fn join_default_network(service: &mut Service) {
    if service.network_mode.is_none() && service.networks.is_empty() {
        service.networks.insert("default".to_owned(), None);
    }
}

/// Links, shared namespaces and shared volumes are dependencies.
fn imply_dependencies(service: &mut Service) {
    let namespaces = [&service.network_mode, &service.ipc, &service.pid, &service.uts, &service.cgroup];
    let shared = namespaces.into_iter().flatten().filter_map(|mode| mode.strip_prefix("service:"));
    let linked = service.links.iter().map(|link| link.split(':').next().unwrap_or_default());
    let restarting: Vec<String> = linked.chain(shared).map(str::to_owned).collect();
    let volumes = service.volumes_from.iter().filter(|source| !source.starts_with("container:"));
    let mounted: Vec<String> = volumes.map(|source| source.split(':').next().unwrap_or_default().to_owned()).collect();
    for (name, restart) in restarting.into_iter().map(|name| (name, true)).chain(mounted.into_iter().map(|name| (name, false))) {
        let implied = Dependency { condition: DependencyCondition::ServiceStarted, restart, required: true };
        service.depends_on.entry(name).or_insert(implied);
    }
}

/// `scale` is written into `deploy.replicas` too.
fn agree_on_replicas(service: &mut Service) {
    if let (Some(scale), Some(deploy)) = (service.scale, &mut service.deploy)
        && deploy.replicas.is_none()
    {
        deploy.replicas = Some(scale);
    }
}

fn fill_name(name: &mut String, key: &str, external: bool, project: &str) {
    if name.is_empty() {
        *name = if external { key.to_owned() } else { format!("{project}_{key}") };
    }
}

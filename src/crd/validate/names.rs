//! Names: of the project, of services and containers, of networks and volumes on the engine.

use std::collections::BTreeMap;

use super::Checked;
use crate::crd::Deployment;
use crate::crd::compose::Project;
use crate::crd::decode::{Sink, field_path};

/// Names beyond this length do not resolve.
const LONGEST: usize = 63;

/// More replicas than this on one engine are a slip of the keyboard.
const MOST_REPLICAS: u32 = 1000;

/// The Compose project's name.
pub(super) fn project(deployment: &Deployment, name: &str, sink: &Sink) {
    let allowed = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-' || char == '_';
    let right = name.starts_with(|char: char| char.is_ascii_lowercase() || char.is_ascii_digit()) && name.chars().all(allowed);
    if right && name.len() <= LONGEST {
        return;
    }
    let rule = "at most 63 lower-case letters, digits, \"-\" and \"_\", with a letter or digit in front";
    match deployment.spec.project {
        Some(_) => sink.error("spec.project", format!("{name:?} is no Compose project name: {rule}")),
        None => sink.error(
            "metadata.name",
            format!("{name:?} would be the Compose project, which takes {rule}: give another one in spec.project"),
        ),
    }
}

/// Names of services, containers, networks and volumes.
pub(super) fn check(checked: &Checked) {
    keys(checked);
    hostnames(checked);
    containers(checked);
    real_names(checked);
}

fn keys(checked: &Checked) {
    let allowed = |name: &str| !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || "._-".contains(char));
    for part in ["services", "networks", "volumes", "secrets", "configs"] {
        for key in checked.places.declared(part) {
            let path = field_path(&field_path("spec", part), key);
            if !allowed(key) {
                checked.sink.error(&path, format!("{key:?} is no name: letters, digits, \".\", \"_\" and \"-\""));
            } else if part == "services" && key.len() > LONGEST {
                checked.sink.error(&path, format!("has {} characters: names over {LONGEST} do not resolve", key.len()));
            }
        }
    }
}

fn hostnames(checked: &Checked) {
    for (name, service) in &checked.project.services {
        if service.hostname.as_ref().is_some_and(|host| host.len() > LONGEST) {
            checked.sink.error(&checked.places.key(name, "hostname"), format!("is longer than {LONGEST} characters"));
        }
    }
}

/// Container names: right in themselves, and no two alike. `a-b` + `c` and `a` + `b-c` would both be `a-b-c`.
fn containers(checked: &Checked) {
    let Checked { project, places, sink, .. } = checked;
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for (name, service) in project.services.iter().filter(|(_, service)| service.enabled(checked.profiles)) {
        let own = service.container_name.as_deref();
        let path = if own.is_some() { places.key(name, "container_name") } else { field_path("spec.services", name) };
        if let Some(own) = own
            && !docker_name(own)
        {
            sink.error(&path, format!("{own:?} is no container name: letters, digits, \"_\", \".\" and \"-\", two at least"));
        }
        if own.is_some() && service.replicas() > 1 {
            sink.error(&path, format!("one name cannot be had by {} replicas: leave it out", service.replicas()));
        }
        if service.replicas() > MOST_REPLICAS {
            let key = if service.scale.is_some() { "scale" } else { "deploy" };
            sink.error(&places.key(name, key), format!("asks for {} replicas: {MOST_REPLICAS} are the most", service.replicas()));
            continue;
        }
        for container in container_names(project, name) {
            if container.len() > LONGEST {
                let message = format!(
                    "its container {container:?} has {} characters: names over {LONGEST} do not resolve",
                    container.len()
                );
                sink.error(&path, message);
                break;
            }
            if let Some(other) = taken.insert(container.clone(), name) {
                sink.error(&path, format!("its container {container:?} is named like one of service {other:?}"));
                break;
            }
        }
    }
}

/// Names that a service's containers have.
fn container_names(project: &Project, name: &str) -> Vec<String> {
    let Some(service) = project.services.get(name) else { return Vec::new() };
    match &service.container_name {
        Some(own) => vec![own.clone()],
        None => (1..=service.replicas()).map(|number| format!("{}-{name}-{number}", project.name)).collect(),
    }
}

fn docker_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && chars.all(|char| char.is_ascii_alphanumeric() || "_.-".contains(char))
}

/// Names on the engine: right in themselves; two keys of one name would fight over it.
fn real_names(checked: &Checked) {
    let Project { networks, volumes, .. } = checked.project;
    let networks = networks.iter().map(|(key, network)| (key, &network.name, network.external)).collect();
    let volumes = volumes.iter().map(|(key, volume)| (key, &volume.name, volume.external)).collect();
    for (part, items) in [("networks", networks), ("volumes", volumes)] {
        let items: Vec<(&String, &String, bool)> = items;
        let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, name, external) in items {
            let path = field_path(&field_path("spec", part), key);
            if !docker_name(name) {
                checked.sink.error(
                    &path,
                    format!("its name {name:?} is none for Docker: letters, digits, \"_\", \".\" and \"-\", two at least"),
                );
            }
            if let (false, Some(other)) = (external, taken.insert(name, key)) {
                checked.sink.error(&path, format!("is named {name:?} on the engine, like {other:?}"));
            }
        }
    }
}

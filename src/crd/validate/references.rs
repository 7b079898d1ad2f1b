//! What services refer to: it must be there, and no service may wait for itself.

use std::collections::{BTreeMap, BTreeSet};

use super::Checked;
use crate::crd::compose::{FileMount, MountKind, Secret, Service};
use crate::crd::decode::did_you_mean;
use crate::model::DependencyCondition;

/// Checks all references.
pub(super) fn check(checked: &Checked) {
    for (name, service) in &checked.project.services {
        resources(checked, name, service);
        namespaces(checked, name, service);
        dependencies(checked, name, service);
        security(checked, name, service);
    }
    cycles(checked);
}

/// Images, networks, volumes, secrets.
fn resources(checked: &Checked, name: &str, service: &Service) {
    let Checked { places, sink, project, .. } = checked;
    if !["image", "build", "extends", "provider"].iter().any(|key| places.says(name, key)) {
        sink.error(&places.key(name, "image"), "is required: what the containers are made from; or build it");
    }
    let undeclared = |key: &str, part: &str, what: &str, wanted: &str| {
        if !places.declares(part, wanted) {
            let near = did_you_mean(wanted, &places.declared(part));
            let message = format!("there is no {what} {wanted:?} under spec.{part}{near}");
            sink.error(&places.entry(name, key, wanted), message);
        }
    };
    for network in service.networks.keys().filter(|key| *key != "default") {
        undeclared("networks", "networks", "network", network);
    }
    for volume in service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume).filter_map(|mount| mount.source.as_ref())
    {
        undeclared("volumes", "volumes", "volume", volume);
    }
    for secret in &service.secrets {
        undeclared("secrets", "secrets", "secret", &secret.source);
        owned(checked, name, "secrets", secret, &project.secrets);
    }
    for config in &service.configs {
        undeclared("configs", "configs", "config", &config.source);
        owned(checked, name, "configs", config, &project.configs);
    }
    for secret in service.build.iter().flat_map(|build| &build.secrets) {
        undeclared("build", "secrets", "secret", &secret.source);
        if project.secrets.get(&secret.source).is_some_and(|declared| declared.file.is_empty()) {
            let message = format!("the secret {:?} for a build is not supported yet by evenkeel: give a file", secret.source);
            sink.error(&places.key(name, "build"), message);
        }
    }
}

/// Says that a file of the host keeps its owner.
fn owned(checked: &Checked, name: &str, key: &str, mount: &FileMount, declared: &BTreeMap<String, Secret>) {
    let asked = mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some();
    if asked && declared.get(&mount.source).is_some_and(|declared| !declared.file.is_empty()) {
        let message = "uid, gid and mode have no effect, as with Compose: the file keeps what it has on the host";
        checked.sink.warn(&checked.places.entry(name, key, &mount.source), message);
    }
}

/// `network_mode`, `ipc`, `pid`, `uts`, `userns_mode`.
fn namespaces(checked: &Checked, name: &str, service: &Service) {
    let check = |key: &str, mode: Option<&String>, words: &[&str], shared: &[&str]| {
        let Some(mode) = mode else { return };
        let of_another = shared.iter().any(|prefix| mode.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
        if of_another || words.contains(&mode.as_str()) {
            return;
        }
        let shared: String = shared.iter().map(|prefix| format!(", {prefix}NAME")).collect();
        let hint = if key == "network_mode" { "; to join a network list it under networks" } else { "" };
        checked.sink.error(&checked.places.key(name, key), format!("must be {}{shared}, not {mode:?}{hint}", words.join(", ")));
    };
    let shared = ["service:", "container:"];
    check("network_mode", service.network_mode.as_ref(), &["bridge", "default", "host", "none"], &shared);
    check("ipc", service.ipc.as_ref(), &["host", "private", "shareable", "none"], &shared);
    check("pid", service.pid.as_ref(), &["host"], &shared);
    check("uts", service.uts.as_ref(), &["host"], &[]);
    check("userns_mode", service.userns_mode.as_ref(), &["host"], &[]);
}

fn dependencies(checked: &Checked, name: &str, service: &Service) {
    let Checked { project, places, sink, profiles } = checked;
    for (wanted, dependency) in &service.depends_on {
        let path = places.dependency(name, wanted);
        if !places.declares("services", wanted) {
            sink.error(&path, format!("there is no service {wanted:?}{}", did_you_mean(wanted, &places.declared("services"))));
            continue;
        }
        let Some(other) = project.services.get(wanted) else { continue };
        if service.enabled(profiles) && !other.enabled(profiles) && dependency.required {
            sink.error(
                &path,
                format!(
                    "service {wanted:?} runs only with profile {}: name it in spec.profiles, or write required: false",
                    other.profiles.join(" or ")
                ),
            );
        }
        if dependency.condition == DependencyCondition::ServiceHealthy && other.healthcheck_disabled() {
            sink.error(&path, format!("service {wanted:?} can never be healthy: its health check is disabled"));
        }
    }
}

/// `security_opt`: a profile that is read from a file.
fn security(checked: &Checked, name: &str, service: &Service) {
    for option in &service.security_opt {
        let profile = option.strip_prefix("seccomp=").or_else(|| option.strip_prefix("seccomp:"));
        let message = match profile {
            Some(path) if ["unconfined", "builtin"].contains(&path) || path.starts_with('/') => continue,
            Some(path) => format!(
                "{path:?} is a relative path: a Deployment has no folder to start from; write an absolute path of the seccomp profile"
            ),
            None if option.starts_with("systempaths=") && option != "systempaths=unconfined" => {
                "must be systempaths=unconfined".to_owned()
            }
            None => continue,
        };
        let paths = checked.places.items(name, "security_opt", |item| item.as_str() == Some(option));
        paths.iter().for_each(|path| checked.sink.error(path, message.clone()));
    }
}

/// Services that wait for themselves, each circle told once.
fn cycles(checked: &Checked) {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for name in checked.project.services.keys() {
        let mut way: Vec<&str> = Vec::new();
        walk(checked, name, &mut way, &mut done);
    }
}

/// Follows dependencies from `name`; `way` is how it was come by.
fn walk<'a>(checked: &Checked<'a>, name: &'a str, way: &mut Vec<&'a str>, done: &mut BTreeSet<&'a str>) {
    if let Some(start) = way.iter().position(|earlier| *earlier == name) {
        let circle = way[start..].iter().chain([&name]).copied().collect::<Vec<_>>().join(" -> ");
        let last = way.last().copied().unwrap_or(name);
        checked.sink.error(&checked.places.dependency(last, name), format!("waits for itself: {circle}"));
        return;
    }
    if done.contains(name) {
        return;
    }
    way.push(name);
    if let Some(service) = checked.project.services.get(name) {
        for next in service.depends_on.keys() {
            walk(checked, next, way, done);
        }
    }
    way.pop();
    done.insert(name);
}

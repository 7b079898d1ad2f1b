//! What cannot be together: host ports, mounts, modes, and the two places Compose has for one limit.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Checked;
use crate::crd::compose::read::{port_range, short_ports};
use crate::crd::compose::{Cpus, Port, Service};
use crate::crd::decode::unsupported;

/// Checks all conflicts.
pub(super) fn check(checked: &Checked) {
    ports(checked);
    for (name, service) in &checked.project.services {
        mounts(checked, name, service);
        modes(checked, name, service);
        limits(checked, name, service);
        addresses(checked, name, service);
    }
}

/// A port that a service wants of the host.
struct Wanted<'a> {
    service: &'a str,
    port: &'a Port,
    host: u16,
    path: String,
}

/// Host ports, over all services that run.
fn ports(checked: &Checked) {
    let mut taken: BTreeMap<(&str, u16), Vec<Wanted>> = BTreeMap::new();
    for wanted in published(checked) {
        let holders = taken.entry((&wanted.port.protocol, wanted.host)).or_default();
        let ip = wanted.port.host_ip.as_deref();
        let Some(holder) = holders.iter().find(|holder| overlap(holder.port.host_ip.as_deref(), ip)) else {
            holders.push(wanted);
            continue;
        };
        let same = holder.service == wanted.service;
        let by = if same { "twice by this service".to_owned() } else { format!("by service {:?} too", holder.service) };
        checked.sink.error(&wanted.path, format!("host port {}/{} is published {by}", wanted.host, wanted.port.protocol));
    }
}

/// The host ports that are named, and what is wrong with each in itself.
fn published<'a>(checked: &Checked<'a>) -> Vec<Wanted<'a>> {
    let mut wanted = Vec::new();
    let running = checked.project.services.iter().filter(|(_, service)| service.enabled(checked.profiles));
    for (name, service) in running.filter(|(_, service)| service.network_mode.is_none()) {
        for port in &service.ports {
            let Some(Ok(range)) = port.published.as_deref().map(port_range) else { continue };
            let (host, path) = (*range.start(), path_of(checked, name, port));
            if range.len() > 1 {
                let what = format!("a range of host ports ({}-{}) for one container port", host, range.end());
                checked.sink.error(&path, unsupported(&what, "name one port"));
            } else if host > 0 {
                if service.replicas() > 1 {
                    let replicas = service.replicas();
                    let message = format!("host port {host} cannot be had by {replicas} replicas: leave it to Docker to choose");
                    checked.sink.error(&path, message);
                }
                wanted.push(Wanted { service: name, port, host, path });
            }
        }
    }
    wanted
}

/// Whether two host addresses stand in each other's way: the same, or one of them is all.
fn overlap(one: Option<&str>, other: Option<&str>) -> bool {
    let all = |ip: Option<&str>| matches!(ip, None | Some("0.0.0.0" | "::"));
    all(one) || all(other) || one == other
}

/// The path of the entry of `ports` that says this.
fn path_of(checked: &Checked, name: &str, port: &Port) -> String {
    let says = |item: &Value| match item {
        Value::Object(map) => {
            let target = map.get("target").map(|target| target.as_str().map_or_else(|| target.to_string(), str::to_owned));
            let published = map.get("published").map(|port| port.as_str().map_or_else(|| port.to_string(), str::to_owned));
            target == Some(port.target.to_string()) && published == port.published
        }
        Value::String(text) => short_ports(text).is_ok_and(|ports| ports.contains(port)),
        _ => false,
    };
    checked.places.items(name, "ports", says).pop().unwrap_or_else(|| checked.places.key(name, "ports"))
}

/// Two mounts at one place.
fn mounts(checked: &Checked, name: &str, service: &Service) {
    let in_run = |target: &str| if target.starts_with('/') { target.to_owned() } else { format!("/run/secrets/{target}") };
    let tmpfs = service.tmpfs.iter().map(|entry| ("tmpfs", entry.split(':').next().unwrap_or_default().to_owned()));
    let volumes = service.volumes.iter().map(|mount| ("volumes", mount.target.clone()));
    let secrets = service.secrets.iter().map(|mount| ("secrets", in_run(&mount.target)));
    let configs = service.configs.iter().map(|mount| {
        let target = if mount.target.is_empty() { &mount.source } else { &mount.target };
        ("configs", if target.starts_with('/') { target.clone() } else { format!("/{target}") })
    });
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for (key, target) in tmpfs.chain(volumes).chain(secrets).chain(configs) {
        if let Some(other) = taken.insert(target.clone(), key) {
            let by = if other == key { "twice".to_owned() } else { format!("by {other} too") };
            let entry = checked.places.items(name, key, |item| item.to_string().contains(&target)).pop();
            let path = entry.unwrap_or_else(|| checked.places.key(name, key));
            checked.sink.error(&path, format!("{target} is mounted {by}"));
        }
    }
}

/// Keys that a shared or absent network leaves no room for.
fn modes(checked: &Checked, name: &str, service: &Service) {
    let Some(mode) = &service.network_mode else { return };
    let mut wrong: Vec<&str> = Vec::new();
    if !service.networks.is_empty() {
        wrong.push("networks");
    }
    if mode.starts_with("service:") || mode.starts_with("container:") {
        let given = ["ports", "expose", "hostname", "dns", "dns_search", "dns_opt", "extra_hosts", "links", "mac_address"];
        wrong.extend(given.into_iter().filter(|key| checked.places.says(name, key)));
    } else if mode == "host" && !service.links.is_empty() {
        wrong.push("links");
    }
    for key in wrong {
        checked.sink.error(&checked.places.key(name, key), format!("cannot be given beside network_mode: {mode}"));
    }
    if service.uts.as_deref() == Some("host") && service.hostname.is_some() {
        checked.sink.error(&checked.places.key(name, "hostname"), "cannot be given beside uts: host");
    }
}

/// Compose has two places for some limits; they may not differ.
fn limits(checked: &Checked, name: &str, service: &Service) {
    let Some(deploy) = &service.deploy else { return };
    let same = |own: Option<String>, key: &str, other: Option<String>, path: &str| {
        if let (Some(own), Some(other)) = (own, other)
            && own != other
        {
            checked.sink.error(&checked.places.key(name, key), format!("is {own}, and deploy.{path} is {other}: keep one"));
        }
    };
    let text = |number: Option<i64>| number.map(|number| number.to_string());
    same(text(service.scale.map(i64::from)), "scale", text(deploy.replicas.map(i64::from)), "replicas");
    if let Some(limits) = &deploy.resources.limits {
        let cpus = |cpus: Option<Cpus>| cpus.map(|cpus| cpus.0.to_string());
        same(cpus(service.cpus), "cpus", cpus(limits.cpus), "resources.limits.cpus");
        let memory = limits.memory.map(|bytes| bytes.0);
        same(text(service.mem_limit.map(|bytes| bytes.0)), "mem_limit", text(memory), "resources.limits.memory");
        same(text(service.pids_limit), "pids_limit", text(limits.pids), "resources.limits.pids");
    }
    if let Some(reservations) = &deploy.resources.reservations {
        let memory = reservations.memory.map(|bytes| bytes.0);
        let own = service.mem_reservation.map(|bytes| bytes.0);
        same(text(own), "mem_reservation", text(memory), "resources.reservations.memory");
    }
}

/// A fixed address for several replicas.
fn addresses(checked: &Checked, name: &str, service: &Service) {
    if service.replicas() < 2 {
        return;
    }
    for (key, network) in &service.networks {
        let fixed = network.as_ref().is_some_and(|network| network.ipv4_address.is_some() || network.ipv6_address.is_some());
        if fixed {
            let path = checked.places.entry(name, "networks", key);
            checked.sink.error(&path, format!("one address cannot be had by {} replicas: leave it out", service.replicas()));
        }
    }
}

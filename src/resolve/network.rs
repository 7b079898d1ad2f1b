//! How a container is connected: mode, networks, names, ports.

use std::collections::BTreeMap;

use super::{Problems, Scope, service::missing};
use crate::crd::compose::{Port, Service, ServiceNetwork};
use crate::model::{HostPort, NetworkAttachment, NetworkMode, PortBinding};

/// `network_mode`.
pub(super) fn mode(scope: &Scope, name: &str, service: &Service, problems: &mut Problems) -> NetworkMode {
    let Some(word) = service.network_mode.as_deref() else { return NetworkMode::Networks };
    if let Some(other) = word.strip_prefix("service:") {
        if !scope.enabled.contains_key(other) {
            problems.add(name, "network_mode", missing(scope, other));
        }
        return NetworkMode::Service(other.to_owned());
    }
    match word {
        "bridge" | "default" => NetworkMode::Bridge,
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        other => match other.strip_prefix("container:") {
            Some(container) => NetworkMode::Container(container.to_owned()),
            None => {
                let message =
                    format!("{other:?} is no mode: name a network under networks (external: true if it is there already)");
                problems.add(name, "network_mode", message);
                NetworkMode::Networks
            }
        },
    }
}

/// The networks it joins: those of high priority first, then by key, as Compose sorts them.
pub(super) fn attachments(
    scope: &Scope,
    name: &str,
    service: &Service,
    mode: &NetworkMode,
    problems: &mut Problems,
) -> Vec<NetworkAttachment> {
    if *mode != NetworkMode::Networks {
        return Vec::new();
    }
    let links = links(scope, name, service, problems);
    let priority = |network: &Option<ServiceNetwork>| network.as_ref().map_or(0, |network| network.priority);
    let mut networks: Vec<_> = service.networks.iter().collect();
    networks.sort_by_key(|(key, network)| (std::cmp::Reverse(priority(network)), *key));
    for (key, _) in &networks {
        if !scope.project.networks.contains_key(*key) {
            problems.add(name, format_args!("networks.{key}"), format!("there is no network {key:?} in spec.networks"));
        }
    }
    let attach = |(key, network): (&String, &Option<ServiceNetwork>)| attachment(scope, name, key, network.clone(), &links);
    let mut attachments: Vec<_> = networks.into_iter().map(attach).collect();
    if let Some(first) = attachments.first_mut() {
        first.mac_address = first.mac_address.take().or_else(|| service.mac_address.clone());
    }
    attachments
}

fn attachment(scope: &Scope, service: &str, key: &str, network: Option<ServiceNetwork>, links: &[String]) -> NetworkAttachment {
    let ServiceNetwork { aliases, driver_opts, ipv4_address, ipv6_address, link_local_ips, mac_address, priority: _ } =
        network.unwrap_or_default();
    let mut names = vec![service.to_owned()];
    names.extend(aliases);
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|alias| seen.insert(alias.clone()));
    NetworkAttachment {
        network: key.to_owned(),
        name: scope.project.networks.get(key).map(|network| network.name.clone()).unwrap_or_default(),
        aliases: names,
        ipv4: ipv4_address,
        ipv6: ipv6_address,
        link_local_ips,
        driver_opts,
        mac_address,
        links: links.to_vec(),
    }
}

/// Links of a container on Docker's default bridge; on networks of the project they belong to the attachments.
pub(super) fn default_links(
    scope: &Scope,
    name: &str,
    service: &Service,
    mode: &NetworkMode,
    problems: &mut Problems,
) -> Vec<String> {
    if *mode == NetworkMode::Bridge { links(scope, name, service, problems) } else { Vec::new() }
}

/// `container:alias` of `links`, one for each replica of the service meant, and of `external_links`.
fn links(scope: &Scope, name: &str, service: &Service, problems: &mut Problems) -> Vec<String> {
    let mut links = Vec::new();
    for (index, link) in service.links.iter().enumerate() {
        let (other, alias) = link.split_once(':').unwrap_or((link, link));
        match scope.enabled.get(other) {
            Some(target) => {
                links.extend((1..=target.replicas()).map(|n| format!("{}:{alias}", scope.container_name(other, target, n))))
            }
            None => problems.add(name, format_args!("links[{index}]"), missing(scope, other)),
        }
    }
    let external = service.external_links.iter().map(|link| match link.split_once(':') {
        Some(_) => link.clone(),
        None => format!("{link}:{link}"),
    });
    links.extend(external);
    links
}

/// Published ports.
pub(super) fn ports(name: &str, service: &Service, problems: &mut Problems) -> Vec<PortBinding> {
    let mut bindings = Vec::new();
    for (index, port) in service.ports.iter().enumerate() {
        match binding(port) {
            Ok(binding) => bindings.push(binding),
            Err(message) => problems.add(name, format_args!("ports[{index}]"), message),
        }
    }
    bindings
}

fn binding(port: &Port) -> Result<PortBinding, String> {
    let published = port.published.as_deref().unwrap_or_default();
    if published.contains('-') {
        return Err(format!(
            "a range of host ports ({published}) for one container port is not supported: write one port, or none to let Docker choose"
        ));
    }
    let number = if published.is_empty() { Ok(0) } else { published.parse() };
    let number = number.map_err(|_| format!("{published:?} is no port: write a number from 1 to 65535"))?;
    let host = HostPort { ip: port.host_ip.clone().unwrap_or_default(), port: number, protocol: port.protocol.clone() };
    Ok(PortBinding { target: port.target, host })
}

/// `port/protocol` of `expose`, a range as its single ports.
pub(super) fn expose(name: &str, service: &Service, problems: &mut Problems) -> Vec<String> {
    let mut exposed = BTreeMap::new();
    for (index, text) in service.expose.iter().enumerate() {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        match (from.parse::<u16>(), to.parse::<u16>()) {
            (Ok(from), Ok(to)) => exposed.extend((from..=to).map(|port| ((port, protocol), ()))),
            _ => problems.add(
                name,
                format_args!("expose[{index}]"),
                format!("{text:?} is no port: write 8080, 8080/udp or 8080-8090"),
            ),
        }
    }
    exposed.into_keys().map(|(port, protocol)| format!("{port}/{protocol}")).collect()
}

//! Published ports: numbers, short forms with ranges, and the long form.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::super::Port;
use super::scalars::{integer, ip, one_of, printed, text, unique, word};
use crate::crd::decode::Node;

/// `ports`, one entry for each port.
pub(super) fn ports(node: &Node) -> Option<Vec<Port>> {
    let ports = node.items()?.iter().filter_map(entry).flatten().collect();
    let key = |port: &Port| (port.host_ip.clone(), port.published.clone(), port.target, port.protocol.clone());
    Some(unique(ports, key))
}

fn entry(node: &Node) -> Option<Vec<Port>> {
    match node.value {
        Value::Number(number) => short(&number.to_string()).or_else(|error| node.fail(error).ok_or(())).ok(),
        Value::String(text) => short(text).or_else(|error| node.fail(error).ok_or(())).ok(),
        Value::Object(_) => long(node).map(|port| vec![port]),
        _ => node.expected("a port: a number, text such as \"8080:80\", or a map"),
    }
}

fn long(node: &Node) -> Option<Port> {
    let mut fields = node.fields()?;
    let target = fields.required("target", integer);
    let port = Port {
        name: fields.read("name", word),
        mode: fields.read("mode", |node| one_of(node, &["ingress", "host"])).unwrap_or_else(|| "ingress".to_owned()),
        host_ip: fields.read("host_ip", ip),
        target: target.unwrap_or_default(),
        published: fields.read("published", published),
        protocol: fields.read("protocol", protocol).unwrap_or_else(|| "tcp".to_owned()),
        app_protocol: fields.read("app_protocol", word),
    };
    fields.finish();
    (target? != 0).then_some(port).or_else(|| node.fail("target must be a port from 1 to 65535"))
}

fn published(node: &Node) -> Option<String> {
    let text = printed(node).filter(|text| !text.is_empty())?;
    match range(&text) {
        Ok(_) => Some(text),
        Err(error) => node.fail(error),
    }
}

fn protocol(node: &Node) -> Option<String> {
    let word = text(node)?.to_lowercase();
    match word.as_str() {
        "" => None,
        "tcp" | "udp" | "sctp" => Some(word),
        _ => node.fail(format!("must be tcp, udp or sctp, not {word:?}")),
    }
}

/// `[[ip:][host]:]container[/protocol]`, host and container being ports or ranges.
pub(in crate::crd) fn short(spec: &str) -> Result<Vec<Port>, String> {
    let (rest, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("{spec:?}: the protocol must be tcp, udp or sctp"));
    }
    let (host, container) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (address, host) = host.rsplit_once(':').unwrap_or(("", host));
    let within = |error: String| if spec == container { error } else { format!("{spec:?}: {error}") };
    let host_ip = host_ip(address).map_err(within)?;
    let targets = range(container).map_err(within)?;
    if *targets.start() == 0 {
        return Err(format!("{spec:?}: a container's ports are 1 to 65535"));
    }
    let hosts = if host.is_empty() { None } else { Some(range(host).map_err(within)?) };
    let single = targets.start() == targets.end();
    if let Some(hosts) = &hosts
        && hosts.len() != targets.len()
        && !single
    {
        return Err(format!("{spec:?}: the ranges {host} and {container} differ in length"));
    }
    let mut ports: Vec<Port> = targets
        .enumerate()
        .map(|(index, target)| Port {
            mode: "ingress".to_owned(),
            host_ip: host_ip.clone(),
            target,
            published: hosts.as_ref().map(|hosts| match hosts.clone().nth(index) {
                Some(port) if !single || hosts.len() == 1 => port.to_string(),
                _ => format!("{}-{}", hosts.start(), hosts.end()),
            }),
            protocol: protocol.clone(),
            ..Port::default()
        })
        .collect();
    // Compose sorts what one entry expands to as text.
    ports.sort_by_key(|port| port.target.to_string());
    Ok(ports)
}

fn host_ip(text: &str) -> Result<Option<String>, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        _ if bare.is_empty() => Ok(None),
        Ok(_) => Ok(Some(bare.to_owned())),
        Err(_) => Err(format!("{bare:?} is not an IP address")),
    }
}

/// A port or a range of them.
pub(in crate::crd) fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let port = |text: &str| text.parse::<u16>().map_err(|_| format!("{text:?} is not a port"));
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let range = port(from)?..=port(to)?;
    if range.is_empty() { Err(format!("the range {text} runs backwards")) } else { Ok(range) }
}

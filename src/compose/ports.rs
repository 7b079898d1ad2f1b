//! The short form of ports: `[[ip:][host]:]container[/protocol]`, host and container being ports or ranges.

use std::net::IpAddr;

use super::node::{Map, Node, Place, Value};

/// One published port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Port {
    host_ip: String,
    published: String,
    target: u16,
    protocol: String,
}

/// Reads a short form; a range comes out as ports sorted as text, as Compose has them.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(spec: &str) -> Result<Vec<Port>, String> {
    let parts: Vec<&str> = spec.split(':').collect();
    let (address, host, container) = match parts.as_slice() {
        [container] => (String::new(), "", *container),
        [host, container] => (String::new(), *host, *container),
        [address @ .., host, container] => (address.join(":"), *host, *container),
        [] => (String::new(), "", ""),
    };
    let (container, protocol) = protocol(container);
    if container.is_empty() {
        return Err(format!("{spec:?} names no port"));
    }
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("{spec:?}: the protocol must be tcp, udp or sctp"));
    }
    let host_ip = host_ip(&address).ok_or_else(|| format!("{spec:?}: {address:?} is no IP address"))?;
    let (first, last) = range(container).ok_or_else(|| format!("{spec:?}: {container:?} is no port of a container"))?;
    let hosts = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("{spec:?}: {host:?} is no port of the host"))?),
    };
    if let Some((from, to)) = hosts
        && to - from != last - first
        && first != last
    {
        return Err(format!("{spec:?}: the ranges {container} and {host} differ in length"));
    }
    let published = |index: u16| match hosts {
        None => String::new(),
        Some((from, to)) if first == last && from != to => format!("{from}-{to}"),
        Some((from, _)) => (from + index).to_string(),
    };
    let port = |index: u16| Port {
        host_ip: host_ip.clone(),
        published: published(index),
        target: first + index,
        protocol: protocol.clone(),
    };
    let mut ports: Vec<Port> = (0..=last - first).map(port).collect();
    ports.sort_by_key(|port| port.target.to_string());
    Ok(ports)
}

fn protocol(container: &str) -> (&str, &str) {
    let mut parts = container.split('/');
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("", _) => ("", ""),
        (port, None | Some("")) => (port, "tcp"),
        (port, Some(protocol)) => (port, protocol),
    }
}

fn host_ip(text: &str) -> Option<String> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => text,
    };
    let is_address = || bare.split('%').next().unwrap_or_default().parse::<IpAddr>().is_ok() && !bare.contains('%');
    (bare.is_empty() || is_address()).then(|| bare.to_owned())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|_| !text.starts_with('+'));
    let mut ends = text.split('-');
    let first = port(ends.next()?)?;
    let last = ends.next().map_or(Some(first), port)?;
    (first <= last).then_some((first, last))
}

impl Port {
    /// The long form of it.
    pub fn into_node(self, place: Place) -> Node {
        let text = |text: &str| Node::text(text, place);
        let mut map = Map::from([("mode".to_owned(), text("ingress")), ("protocol".to_owned(), text(&self.protocol))]);
        let mut put = |key: &str, node: Node| drop(map.insert(key.to_owned(), node));
        if self.target != 0 {
            put("target", Node { value: Value::Int(self.target.into()), place });
        }
        if !self.host_ip.is_empty() {
            put("host_ip", text(&self.host_ip));
        }
        if !self.published.is_empty() {
            put("published", text(&self.published));
        }
        Node { value: Value::Map(map), place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(spec: &str) -> String {
        let ports = parse(spec).unwrap_or_else(|error| panic!("{error}"));
        let ports: Vec<String> =
            ports.iter().map(|port| format!("{}|{}|{}|{}", port.host_ip, port.published, port.target, port.protocol)).collect();
        ports.join(" ")
    }

    #[test]
    fn short_forms_are_read_as_compose_reads_them() {
        for (spec, ports) in [
            ("80", "||80|tcp"),
            ("8080:80/UDP", "|8080|80|udp"),
            ("127.0.0.1:8080:80", "127.0.0.1|8080|80|tcp"),
            ("127.0.0.1::80", "127.0.0.1||80|tcp"),
            ("[::1]:80:80", "::1|80|80|tcp"),
            ("::1:80:80", "::1|80|80|tcp"),
            ("9-11:9-11", "|10|10|tcp |11|11|tcp |9|9|tcp"),
            ("8000-8010:80", "|8000-8010|80|tcp"),
            ("80/", "||80|tcp"),
        ] {
            assert_eq!(told(spec), ports, "{spec}");
        }
        for spec in ["", "a", "80/x", "80-70", "1-2:3-5", "70000", "x:80:80", "1:+2", ":", "[::1:80:80"] {
            assert!(parse(spec).is_err(), "{spec}");
        }
    }
}

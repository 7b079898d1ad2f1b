//! `x-evenkeel.probes` of a service, in Kubernetes' words and with its defaults.

use std::time::Duration;

use super::refuse;
use super::scalars::*;
use crate::crd::compose::keys;
use crate::crd::decode::Node;
use crate::model::{Check, HttpGet, Probe, ProbeKind, Probes};

/// `probes` of a service.
pub(super) fn probes(node: &Node) -> Option<Probes> {
    let mut fields = node.fields()?;
    let probes = Probes {
        startup: fields.read("startup", |node| probe(node, ProbeKind::Startup)),
        liveness: fields.read("liveness", |node| probe(node, ProbeKind::Liveness)),
        readiness: fields.read("readiness", |node| probe(node, ProbeKind::Readiness)),
        heartbeat: fields.read("heartbeat", heartbeat),
    };
    fields.finish();
    Some(probes)
}

fn probe(node: &Node, kind: ProbeKind) -> Option<Probe> {
    let mut fields = node.fields()?;
    refuse(&mut fields, keys::PROBE);
    let checks = [
        fields.read("httpGet", http_get).map(Check::HttpGet),
        fields.read("tcpSocket", tcp_socket),
        fields.read("grpc", grpc),
        fields.read("exec", exec),
    ];
    let declared = ["httpGet", "tcpSocket", "grpc", "exec"].iter().filter(|key| fields.has(key)).count();
    let success_threshold = fields.read("successThreshold", at_least_one).unwrap_or(1);
    let mut probe = Probe {
        check: Check::Exec { command: vec![] },
        initial_delay: fields.or_default("initialDelaySeconds", seconds),
        period: fields.read("periodSeconds", some_seconds).unwrap_or(Duration::from_secs(10)),
        timeout: fields.read("timeoutSeconds", some_seconds).unwrap_or(Duration::from_secs(1)),
        success_threshold,
        failure_threshold: fields.read("failureThreshold", at_least_one).unwrap_or(3),
        flap_window: fields.read("flapWindowSeconds", seconds).unwrap_or(Duration::from_secs(60)),
    };
    fields.finish();
    if kind != ProbeKind::Readiness && success_threshold != 1 {
        return node.fail("successThreshold can be more than 1 for readiness only");
    }
    if declared != 1 {
        return node.fail("must have one of httpGet, tcpSocket, grpc and exec");
    }
    probe.check = checks.into_iter().flatten().next()?;
    Some(probe)
}

fn heartbeat(node: &Node) -> Option<Probe> {
    let mut fields = node.fields()?;
    let freshness = fields.required("freshness", span).map(|span| span.0);
    let file = fields.read("file", path);
    let page = fields.read("httpGet", http_get);
    let declared = ["file", "httpGet"].iter().filter(|key| fields.has(key)).count();
    let mut probe = Probe {
        check: Check::Exec { command: vec![] },
        initial_delay: Duration::ZERO,
        period: fields.read("periodSeconds", some_seconds).unwrap_or(Duration::from_secs(10)),
        timeout: fields.read("timeoutSeconds", some_seconds).unwrap_or(Duration::from_secs(1)),
        success_threshold: 1,
        failure_threshold: fields.read("failureThreshold", at_least_one).unwrap_or(1),
        flap_window: Duration::ZERO,
    };
    fields.finish();
    if declared != 1 {
        return node.fail("must have one of file and httpGet");
    }
    let freshness = freshness?;
    probe.check = match (file, page) {
        (Some(path), _) => Check::FreshFile { path, freshness },
        (None, Some(get)) => Check::FreshPage { get, freshness },
        (None, None) => return None,
    };
    Some(probe)
}

fn http_get(node: &Node) -> Option<HttpGet> {
    let mut fields = node.fields()?;
    let scheme = fields.read("scheme", |node| one_of(node, &["HTTP", "HTTPS"]));
    let port = fields.required("port", port);
    let get = HttpGet {
        tls: scheme.as_deref() == Some("HTTPS"),
        host: fields.read("host", host),
        port: port.unwrap_or_default(),
        path: fields.read("path", path).unwrap_or_else(|| "/".to_owned()),
        headers: fields.or_default("httpHeaders", |node| each(node, header)),
    };
    fields.finish();
    port.map(|_| get)
}

fn header(node: &Node) -> Option<(String, String)> {
    let mut fields = node.fields()?;
    let (name, value) = (fields.required("name", word), fields.required("value", text));
    fields.finish();
    let (name, value) = (name?, value?);
    let is_token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    match is_token && !value.chars().any(char::is_control) {
        true => Some((name, value)),
        false => node.fail("is not an HTTP header"),
    }
}

fn tcp_socket(node: &Node) -> Option<Check> {
    let mut fields = node.fields()?;
    let (host, port) = (fields.read("host", host), fields.required("port", port));
    fields.finish();
    Some(Check::TcpSocket { host, port: port? })
}

fn grpc(node: &Node) -> Option<Check> {
    let mut fields = node.fields()?;
    let (host, port) = (fields.read("host", host), fields.required("port", port));
    let service = fields.or_default("service", word);
    fields.finish();
    Some(Check::Grpc { host, port: port?, service })
}

fn exec(node: &Node) -> Option<Check> {
    let mut fields = node.fields()?;
    let command = fields.required("command", texts_as_they_are);
    fields.finish();
    match command? {
        command if command.is_empty() => node.fail("command must name a program"),
        command => Some(Check::Exec { command }),
    }
}

fn port(node: &Node) -> Option<u16> {
    match integer::<u16>(node)? {
        0 => node.fail("must be from 1 to 65535"),
        port => Some(port),
    }
}

fn path(node: &Node) -> Option<String> {
    let path = text(node)?;
    let wrong = !path.starts_with('/') || path.chars().any(|c| c.is_control() || c.is_whitespace());
    if wrong { node.fail("must be a path that begins with /, without blanks") } else { Some(path) }
}

fn host(node: &Node) -> Option<String> {
    let host = word(node)?;
    let known = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    if known { Some(host) } else { node.fail("must be a host name or an address") }
}

fn seconds(node: &Node) -> Option<Duration> {
    integer::<u32>(node).map(|seconds| Duration::from_secs(seconds.into()))
}

fn some_seconds(node: &Node) -> Option<Duration> {
    seconds(node).and_then(|span| if span.is_zero() { node.fail("must be at least 1") } else { Some(span) })
}

fn at_least_one(node: &Node) -> Option<u32> {
    integer::<u32>(node).and_then(|number| if number == 0 { node.fail("must be at least 1") } else { Some(number) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::crd::decode::Sink;

    fn read(probes: Value) -> Result<Probes, Vec<String>> {
        let sink = Sink::new(false);
        let read = super::probes(&Node::new(&probes, "x-evenkeel.probes", &sink));
        let errors = sink.into_findings().errors;
        if errors.is_empty() {
            Ok(read.unwrap())
        } else {
            Err(errors.into_iter().map(|e| format!("{}: {}", e.path, e.message)).collect())
        }
    }

    #[test]
    fn a_probe_has_kubernetes_defaults() {
        let probes = read(json!({"liveness": {"httpGet": {"port": 80}}})).unwrap();
        let probe = probes.liveness.unwrap();
        let secs = |span: Duration| span.as_secs();
        assert_eq!((secs(probe.initial_delay), secs(probe.period), secs(probe.timeout)), (0, 10, 1));
        assert_eq!((probe.success_threshold, probe.failure_threshold, secs(probe.flap_window)), (1, 3, 60));
        assert_eq!(probe.check, Check::HttpGet(HttpGet { port: 80, path: "/".into(), ..HttpGet::default() }));
    }

    #[test]
    fn each_kind_of_check_is_read() {
        let probes = read(json!({
            "startup": {"exec": {"command": ["test", "-e", "/ready"]}, "failureThreshold": 30, "periodSeconds": 1},
            "liveness": {"tcpSocket": {"port": "5432"}},
            "readiness": {"httpGet": {"port": 8443, "scheme": "HTTPS", "path": "/ready?deep=1", "httpHeaders": [{"name": "Host", "value": "shop"}]},
                "successThreshold": 2},
            "heartbeat": {"file": "/run/beat", "freshness": "90s"},
        }))
        .unwrap();
        assert_eq!(probes.each().count(), 4);
        let Check::HttpGet(get) = probes.readiness.unwrap().check else { panic!("no GET") };
        assert!(get.tls && get.headers == [("Host".to_owned(), "shop".to_owned())]);
        let grpc = read(json!({"liveness": {"grpc": {"port": 50051, "service": "shop"}}})).unwrap().liveness.unwrap();
        assert_eq!(grpc.check, Check::Grpc { host: None, port: 50051, service: "shop".into() });
        let beat = probes.heartbeat.unwrap();
        assert_eq!(beat.check, Check::FreshFile { path: "/run/beat".into(), freshness: Duration::from_secs(90) });
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = [
            (json!({"liveness": {}}), "x-evenkeel.probes.liveness: must have one of"),
            (json!({"liveness": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}}), "must have one of"),
            (json!({"liveness": {"tcpSocket": {}}}), "x-evenkeel.probes.liveness.tcpSocket.port: is required"),
            (json!({"liveness": {"tcpSocket": {"port": 0}}}), "tcpSocket.port: must be from 1"),
            (json!({"liveness": {"tcpSocket": {"port": 1}, "periodSeconds": 0}}), "periodSeconds: must be at least 1"),
            (json!({"startup": {"tcpSocket": {"port": 1}, "successThreshold": 2}}), "readiness only"),
            (json!({"startup": {"grpc": {}}}), "startup.grpc.port: is required"),
            (json!({"startup": {"grpc": {"port": 1}, "terminationGracePeriodSeconds": 5}}), "not supported yet"),
            (json!({"startup": {"httpget": {"port": 1}}}), "unknown field \"httpget\": did you mean \"httpGet\"?"),
            (json!({"heartbeat": {"file": "beat", "freshness": "1m"}}), "must be a path"),
            (json!({"heartbeat": {"file": "/beat"}}), "freshness: is required"),
            (json!({"readyness": {}}), "unknown field"),
        ];
        for (probes, message) in wrong {
            let errors = read(probes.clone()).unwrap_err();
            assert!(errors.iter().any(|error| error.contains(message)), "{probes}: {errors:?}");
        }
    }
}

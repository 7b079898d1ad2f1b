//! What the standard `OTEL_*` variables ask for.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector, TelemetryResourceDetector};

/// Where spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The URL asked for, for people; the exporter library reads the variables itself.
    pub endpoint: String,
    /// File of the certificate authority that the collector's certificate is checked with.
    pub certificate: Option<String>,
}

/// Where spans are to be sent, if anywhere, and what of the variables cannot be done.
pub fn target(read: impl Fn(&str) -> Option<String>) -> (Option<Target>, Vec<String>) {
    let read = |name: &str| read(name).filter(|value| !value.trim().is_empty());
    let of_traces =
        |name: &str| read(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}")).or_else(|| read(&format!("OTEL_EXPORTER_OTLP_{name}")));

    if read("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return (None, vec![]);
    }
    let endpoint = of_traces("ENDPOINT");
    match read("OTEL_TRACES_EXPORTER") {
        None if endpoint.is_none() => return (None, vec![]),
        None => {}
        Some(list) => {
            let (otlp, others): (Vec<&str>, Vec<&str>) =
                list.split(',').map(str::trim).filter(|name| !matches!(*name, "none" | "")).partition(|name| *name == "otlp");
            if otlp.is_empty() {
                return (None, others.iter().map(|name| unknown_exporter(name)).collect());
            }
        }
    }
    let protocol = of_traces("PROTOCOL").unwrap_or_else(|| "http/protobuf".to_owned());
    if protocol.trim() != "http/protobuf" {
        let remark = format!(
            "traces are not exported: OTEL_EXPORTER_OTLP_PROTOCOL asks for {protocol}, evenkeel speaks http/protobuf only \
             (port 4318 of most collectors)"
        );
        return (None, vec![remark]);
    }
    let endpoint = endpoint.unwrap_or_else(|| "http://localhost:4318".to_owned());
    (Some(Target { endpoint, certificate: of_traces("CERTIFICATE") }), vec![])
}

fn unknown_exporter(name: &str) -> String {
    format!("traces are not exported: OTEL_TRACES_EXPORTER asks for {name:?}, evenkeel knows otlp and none")
}

/// What every span says about its sender. The environment has the last word.
pub fn resource(read: impl Fn(&str) -> Option<String>, instance: &str) -> Resource {
    let from_environment = EnvResourceDetector::new().detect();
    let name = read("OTEL_SERVICE_NAME")
        .filter(|name| !name.is_empty())
        .or_else(|| from_environment.get(&"service.name".into()).map(|name| name.to_string()))
        .unwrap_or_else(|| "evenkeel".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("evenkeel.instance", instance.to_owned()))
        .with_attributes(host.map(|host| KeyValue::new("host.name", host.trim().to_owned())))
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attribute(KeyValue::new("service.name", name))
        .build()
}

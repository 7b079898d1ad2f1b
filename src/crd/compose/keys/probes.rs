//! Probes of a service, in Kubernetes' words.

use super::{Form, Key, key, refused};

/// Within `x-evenkeel.probes`.
pub const PROBES: &[Key] = &[
    key("heartbeat", Form::Map(HEARTBEAT), "A sign of life: restarted when it stays away."),
    key("liveness", Form::Map(PROBE), "Whether it lives: restarted when not."),
    key("readiness", Form::Map(PROBE), "Whether it can be used: not ready, and awaited by `service_healthy`, when not."),
    key(
        "startup",
        Form::Map(PROBE),
        "Whether it has started: the others wait for it, and it is restarted when it does not get there.",
    ),
];

/// Within a probe: one of `httpGet`, `tcpSocket`, `grpc`, `exec`, and how often.
pub const PROBE: &[Key] = &[
    key("exec", Form::Map(EXEC), "A command in the container; exit 0 is good."),
    key("failureThreshold", Form::Whole, "Failures in a row that make it bad. Default 3."),
    key(
        "flapWindowSeconds",
        Form::Whole,
        "One that turned bad three times within so many seconds stays bad until it has been good for as long. Default 60; 0 switches it off.",
    ),
    key("grpc", Form::Map(GRPC), "A call of `grpc.health.v1.Health/Check` over plain HTTP/2; SERVING is good."),
    key("httpGet", Form::Map(HTTP_GET), "A GET; 200 to 399 is good."),
    key("initialDelaySeconds", Form::Whole, "After the start, before the first one. Default 0."),
    key("periodSeconds", Form::Whole, "From one to the next. Default 10."),
    key("successThreshold", Form::Whole, "Successes in a row that make it good again. Default 1; only readiness takes more."),
    key("tcpSocket", Form::Map(TCP_SOCKET), "A connection that is taken."),
    key("timeoutSeconds", Form::Whole, "What takes longer has failed. Default 1."),
    refused("terminationGracePeriodSeconds", "use stop_grace_period of the service"),
];

/// Within `heartbeat`: `file` or `httpGet`, and how fresh.
pub const HEARTBEAT: &[Key] = &[
    key("failureThreshold", Form::Whole, "Looks in a row that find no fresh sign and make it bad. Default 1."),
    key(
        "file",
        Form::Text,
        "A file in the container: when it was written last is the sign. No program in the container is needed.",
    ),
    key(
        "freshness",
        Form::Span,
        "How old the sign may be, such as `90s`, counted from the container's start at the earliest. Required.",
    ),
    key(
        "httpGet",
        Form::Map(HTTP_GET),
        "A page that tells of the moment: its body (RFC 3339, or seconds since 1970), else its `Last-Modified`.",
    ),
    key("periodSeconds", Form::Whole, "From one look to the next. Default 10."),
    key("timeoutSeconds", Form::Whole, "What takes longer has failed. Default 1."),
];

/// Within `httpGet`.
pub const HTTP_GET: &[Key] = &[
    key("host", Form::Text, "Where, instead of the container's own address."),
    key("httpHeaders", Form::List(&Form::Map(HTTP_HEADER)), "Further headers."),
    key("path", Form::Text, "Path and query. Default `/`."),
    key("port", Form::Whole, "Port in the container. Required."),
    key("scheme", Form::Words(&["HTTP", "HTTPS"]), "Default HTTP. The certificate is not looked at."),
];

/// One of `httpHeaders`.
pub const HTTP_HEADER: &[Key] = &[key("name", Form::Text, "Name. Required."), key("value", Form::Text, "Value. Required.")];

/// Within `tcpSocket`.
pub const TCP_SOCKET: &[Key] = &[
    key("host", Form::Text, "Where, instead of the container's own address."),
    key("port", Form::Whole, "Port in the container. Required."),
];

/// Within `grpc`.
pub const GRPC: &[Key] = &[
    key("host", Form::Text, "Where, instead of the container's own address."),
    key("port", Form::Whole, "Port in the container. Required."),
    key("service", Form::Text, "Which service is asked after. Default: the server as a whole."),
];

/// Within `exec`.
pub const EXEC: &[Key] = &[key("command", super::TEXTS, "Program and arguments; no shell reads it. Required.")];

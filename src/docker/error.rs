//! What went wrong, in words for people and as a kind to decide by.
//!
//! The status decides where it can; the engine's text decides only where one status means several things. The texts are those
//! of Docker 20.10, 26 and 28.

use std::error::Error as _;
use std::time::Duration;

use bollard::errors::Error;

use crate::model::{EngineFailure, FailureKind};

/// What is being attempted: the same answer means different things to different calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Makes a container, or gives it another name.
    Name,
    /// Starts a container.
    Start,
    /// Attaches a container to a network.
    Connect,
    /// Pulls an image.
    Pull,
    /// Anything else.
    Other,
}

/// A call, as it is told to people: `start container 3f2a1b0c4d5e`.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) call: Call,
    pub(super) what: String,
}

impl Attempt {
    pub(super) fn new(call: Call, what: impl Into<String>) -> Self {
        Self { call, what: what.into() }
    }

    /// The deadline passed.
    pub(super) fn timed_out(&self, limit: Duration) -> EngineFailure {
        let message = format!("cannot {}: the engine did not answer within {} s", self.what, limit.as_secs());
        EngineFailure { kind: FailureKind::Timeout, message }
    }

    /// Refused by ourselves: what is asked cannot be said to this engine.
    pub(super) fn refused(&self, why: &str) -> EngineFailure {
        EngineFailure { kind: FailureKind::Refused, message: format!("cannot {}: {why}", self.what) }
    }

    /// The engine, or the way to it, said no.
    pub(super) fn failed(&self, engine: &str, error: &Error) -> EngineFailure {
        let (kind, said) = match error {
            Error::DockerResponseServerError { status_code, message } => {
                (by_status(self.call, *status_code, message), message.clone())
            }
            Error::DockerStreamError { error } => (in_stream(self.call, error), error.clone()),
            Error::JsonDataError { .. } | Error::JsonSerdeError { .. } | Error::APIVersionParseError {} => {
                (FailureKind::Transient, format!("its answer cannot be read: {error}"))
            }
            Error::RequestTimeoutError => (FailureKind::Timeout, error.to_string()),
            Error::IOError { .. } | Error::HyperResponseError { .. } | Error::HyperLegacyError { .. } => {
                (FailureKind::Unavailable, format!("no connection to {engine}: {}", chain(error)))
            }
            _ => (FailureKind::Refused, error.to_string()),
        };
        let said = if said.is_empty() { "the engine gave no reason" } else { said.trim_end() };
        EngineFailure { kind, message: format!("cannot {}: {said}", self.what) }
    }
}

/// An error and its causes; hyper's say the interesting thing last. bollard's own is transparent and repeats its cause.
fn chain(error: &Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if parts.last().is_none_or(|last| *last != text) {
            parts.push(text);
        }
        cause = error.source();
    }
    parts.join(": ")
}

fn by_status(call: Call, status: u16, message: &str) -> FailureKind {
    let text = message.to_ascii_lowercase();
    match (call, status) {
        (Call::Pull, _) => pull(status, &text),
        (Call::Name, 409) => FailureKind::NameHeld,
        (Call::Name, 404) if text.contains("no such image") => FailureKind::ImageMissing,
        (Call::Name, 400 | 404) if other_platform(&text) => FailureKind::WrongPlatform,
        (Call::Name | Call::Start | Call::Connect, 404 | 500) if names_missing_network(&text) => FailureKind::NetworkMissing,
        // Two networks of one name: even by id the engine starts nothing in either (20.10), until one of them is gone.
        (Call::Name | Call::Start | Call::Connect, 400 | 500) if text.contains("is ambiguous") => FailureKind::Conflict,
        (Call::Start, 400) => FailureKind::StartFailed,
        (Call::Start | Call::Connect, 500..) => start(&text),
        (_, 404) => FailureKind::NotFound,
        // libnetwork says 403 for "in use": active endpoints, a fixed address that another container has.
        (_, 403 | 409) => FailureKind::Conflict,
        (_, 400..=402 | 405..=408 | 501) => FailureKind::Refused,
        _ => FailureKind::Transient,
    }
}

/// `network 4f0c.. not found`, alone or at the end of a longer story.
fn names_missing_network(text: &str) -> bool {
    text.contains("network ") && text.trim_end().ends_with("not found") && !text.contains("no such container")
}

/// A start that the engine answers with 500: a port, the container's own fault, or the engine's.
fn start(text: &str) -> FailureKind {
    /// What OCI runtime and engine say of a container that cannot run as it is declared.
    const OWN_FAULT: [&str; 18] = [
        "oci runtime",
        "failed to create shim",
        "failed to create task",
        "exec format error",
        "executable file not found",
        "permission denied",
        "no such file or directory",
        "not a directory",
        "error mounting",
        "error while mounting volume",
        "error while creating mount source path",
        "linux spec",
        "unable to find user",
        "unable to find group",
        "not a shared mount",
        "logging driver",
        "error gathering device information",
        "could not select device driver",
    ];
    if let Some(held) = port_held(text) {
        return held;
    }
    if OWN_FAULT.iter().any(|words| text.contains(words)) { FailureKind::StartFailed } else { FailureKind::Transient }
}

/// The engine's words for a host port that is taken:
/// - by a container (all): `Bind for 0.0.0.0:8080 failed: port is already allocated`
/// - by a process (20.10 to 27): `Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use`
/// - by a process (28): `failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use`, later
///   `failed to bind host port 0.0.0.0:8080/tcp: address already in use`
fn port_held(text: &str) -> Option<FailureKind> {
    let taken = ["port is already allocated", "address already in use", "all ports are allocated"];
    if !taken.iter().any(|words| text.contains(words)) {
        return None;
    }
    let address = [
        "bind for ",
        "bind host port for ",
        "bind host port ",
        "listen tcp4 ",
        "listen tcp6 ",
        "listen tcp ",
        "listen udp4 ",
        "listen udp6 ",
        "listen udp ",
        "listen sctp ",
    ]
    .iter()
    .find_map(|before| Some(text.split_once(before)?.1.split(' ').next()?.trim_end_matches(':')));
    let protocol = ["udp", "sctp"]
        .into_iter()
        .find(|protocol| text.contains(&format!("/{protocol}")) || text.contains(&format!("listen {protocol}")));
    Some(FailureKind::PortHeld { port: address.and_then(host_port), protocol: protocol.unwrap_or("tcp").to_owned() })
}

/// The host port of `0.0.0.0:8080`, `:::8080`, `[::]:8080`, `0.0.0.0:8080/tcp` or `0.0.0.0:8080:172.17.0.2:80/tcp`.
fn host_port(address: &str) -> Option<u16> {
    let address = address.split('/').next()?;
    let parts: Vec<&str> = address.split(':').collect();
    match parts.as_slice() {
        // An IPv4 host address, followed by the container's address and port.
        [_, host, container, _] if container.contains('.') => host.parse().ok(),
        _ => parts.last()?.parse().ok(),
    }
}

/// An error within a stream that began well.
fn in_stream(call: Call, error: &str) -> FailureKind {
    match call {
        Call::Pull => pull(0, &error.to_ascii_lowercase()),
        _ => FailureKind::Transient,
    }
}

/// What the engine passes on from a registry. The statuses say little (bad credentials come as 500), so the text goes first; it
/// also holds the image's name and the registry's port, so that only whole phrases count.
fn pull(status: u16, text: &str) -> FailureKind {
    const LIMITED: &[&str] = &["toomanyrequests", "too many requests", "rate limit exceeded"];
    const DENIED: &[&str] = &[
        "unauthorized: ",
        "401 unauthorized",
        "403 forbidden",
        "no basic auth credentials",
        "authentication required",
        "access denied",
        "access to the resource is denied",
        "denied: ",
    ];
    const UNKNOWN: &[&str] = &["manifest unknown", "name unknown", "repository name not known", ": not found"];
    const DOWN: &[&str] = &[
        "dial tcp",
        "connection refused",
        "connection reset",
        "no such host",
        "i/o timeout",
        "timeout exceeded",
        "deadline exceeded",
        "request canceled",
        "tls: ",
        "tls handshake",
        "x509: ",
        ": eof",
        "unexpected http status",
        "unexpected status",
        "server gave http response",
        "bad gateway",
        "service unavailable",
    ];
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    match status {
        _ if says(LIMITED) => FailureKind::RateLimited { retry_after: retry_after(text) },
        _ if says(DENIED) => FailureKind::ImageDenied,
        _ if other_platform(text) => FailureKind::WrongPlatform,
        _ if says(UNKNOWN) => FailureKind::ImageNotFound,
        _ if says(DOWN) => FailureKind::RegistryUnavailable,
        400 => FailureKind::Refused,
        404 => FailureKind::ImageNotFound,
        _ => FailureKind::Transient,
    }
}

/// The image is there, but for other machines: there is no manifest for this one, or what is on the engine does not match.
fn other_platform(text: &str) -> bool {
    text.contains("no matching manifest for") || text.contains("does not match the specified platform")
}

/// How long a registry wants to be left alone. The engine keeps the header to itself and passes the text on, in which some
/// registries (ghcr.io) say it as Go prints a duration: `toomanyrequests: retry-after: 1m2.5s, allowed: 44000/minute`.
fn retry_after(text: &str) -> Option<Duration> {
    let (_, told) = text.split_once("retry-after: ")?;
    let end = told.find([',', ' ', ';', '"', '\n']).unwrap_or(told.len());
    let told = told[..end].trim_end_matches('.');
    let seconds = || told.parse::<u64>().ok().map(Duration::from_secs);
    let duration = told.parse::<crate::crd::Duration>().ok().map(|duration| duration.0);
    seconds().or(duration)
}

/// What is to be stopped, removed or detached and is not there needs no more work.
pub(super) fn gone_is_done(result: super::Result<()>) -> super::Result<()> {
    match result {
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
        result => result,
    }
}

/// The first twelve digits of an id, as the docker CLI shows it.
pub(super) fn short(id: &str) -> &str {
    let bare = id.strip_prefix("sha256:").unwrap_or(id);
    bare.get(..12).unwrap_or(bare)
}

/// Whether the engine said one of these.
pub(super) fn says(failure: &EngineFailure, words: &[&str]) -> bool {
    words.iter().any(|words| failure.message.contains(words))
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;

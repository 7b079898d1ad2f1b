//! How a command fails, in words and exit codes.

use std::error::Error;
use std::io;

use kube::core::Status;

use super::output::tell;
use crate::crd::FieldError;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The operator said no.
    Refused(Box<Status>),
    /// Manifests are wrong: all that is wrong, and what that means.
    Invalid(Vec<FieldError>, String),
    /// What was waited for did not come about in time.
    TimedOut(String),
    /// The command line makes no sense.
    Usage(String),
    /// Whoever read our output has had enough.
    ClosedPipe,
    /// Anything else, cause by cause.
    Other(anyhow::Error),
}

/// Exit codes, as `evenkeel --help` lists them.
pub mod exit {
    /// Something failed.
    pub const FAILED: u8 = 1;
    /// The command line makes no sense (clap's own code).
    pub const USAGE: u8 = 2;
    /// `wait`: it did not come about in time.
    pub const TIMED_OUT: u8 = 3;
    /// `plan --detailed-exitcode`: there is something to do.
    pub const CHANGES: u8 = 4;
    /// `diff`: there are differences.
    pub const DIFFERENCES: u8 = 1;
    /// `diff`: it failed.
    pub const DIFF_FAILED: u8 = 2;
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl Failure {
    /// Says it on stderr and returns the exit code.
    pub fn report(&self) -> u8 {
        for line in self.lines() {
            tell(&line);
        }
        match self {
            Self::ClosedPipe => 0,
            Self::Usage(_) => exit::USAGE,
            Self::TimedOut(_) => exit::TIMED_OUT,
            Self::Refused(_) | Self::Invalid(..) | Self::Other(_) => exit::FAILED,
        }
    }

    /// What is said of it, a line each.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::ClosedPipe => vec![],
            Self::Refused(status) => refusal(status),
            Self::Invalid(errors, summary) => {
                errors.iter().map(ToString::to_string).chain([format!("error: {summary}")]).collect()
            }
            Self::TimedOut(message) | Self::Usage(message) => vec![format!("error: {message}")],
            Self::Other(error) => vec![format!("error: {error:#}")],
        }
    }

    /// Whether the operator says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 404)
    }

    /// Whether the object was changed by somebody else meanwhile.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 409 && status.reason == "Conflict")
    }
}

/// A Kubernetes Status, as people need it: each cause on its own line.
fn refusal(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> = causes
        .map(|cause| if cause.field.is_empty() { cause.message.clone() } else { format!("{}: {}", cause.field, cause.message) })
        .collect();
    if causes.is_empty() {
        return vec![format!("error: {}", status.message)];
    }
    // The message repeats all causes in one line; what stands before them says what was wrong.
    let what = causes.iter().filter_map(|cause| status.message.find(cause.as_str())).min();
    let what = what.map_or(status.message.as_str(), |at| &status.message[..at]).trim_end_matches([' ', ':', '[']);
    causes.into_iter().map(|cause| format!("  {cause}")).rev().chain([format!("error: {what}:")]).rev().collect()
}

/// Words for a request that got no answer.
pub fn unreachable(server: &str, error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 401 => Failure::Other(anyhow::anyhow!(
            "the operator at {server} does not accept the token: give the one in its data folder with --token-file or \
             EVENKEEL_TOKEN, or a --kubeconfig made by `evenkeel kubeconfig`"
        )),
        kube::Error::Api(status) => Failure::Refused(status),
        error => {
            let (kind, cause) = io_error(&error);
            let cause = match kind {
                Some(io::ErrorKind::NotFound) => "there is no such socket".to_owned(),
                _ => cause,
            };
            let hint = if cause.contains("certificate") { OWN_CERTIFICATE.to_owned() } else { hint(kind, server) };
            Failure::Other(anyhow::anyhow!("no answer from the operator at {server}: {cause}{hint}"))
        }
    }
}

const OWN_CERTIFICATE: &str = "\nThe operator makes its own: name tls/ca.crt of its data folder with --ca, or use a --kubeconfig made by `evenkeel kubeconfig`";

/// What the system said, and the innermost cause in words.
fn io_error(error: &kube::Error) -> (Option<io::ErrorKind>, String) {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    let (mut kind, mut cause) = (None, String::new());
    while let Some(error) = source {
        kind = error.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        cause = error.to_string();
        source = error.source();
    }
    (kind, cause)
}

fn hint(kind: Option<io::ErrorKind>, server: &str) -> String {
    match kind {
        Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            "\nIs it running? Start it with `evenkeel run`, or say where it listens with --server or EVENKEEL_SERVER".to_owned()
        }
        Some(io::ErrorKind::PermissionDenied) => {
            let path = server.trim_start_matches("unix:");
            format!("\nOnly the socket's owner and group may use it (see `ls -l {path}`): try sudo, or join the group")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    #[test]
    fn every_cause_of_a_refusal_stands_on_its_own_line() {
        let cause = |field: &str, message: &str| StatusCause {
            reason: "FieldValueInvalid".into(),
            message: message.into(),
            field: field.into(),
        };
        let mut status = Status::failure(
            "deployment \"web\" is invalid: spec.services.web.ports[1]: not a port; spec.state: unknown word",
            "Invalid",
        );
        status.details = Some(StatusDetails {
            name: "web".into(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![cause("spec.services.web.ports[1]", "not a port"), cause("spec.state", "unknown word")],
            retry_after_seconds: 0,
        });
        assert_eq!(
            Failure::Refused(Box::new(status)).lines(),
            ["error: deployment \"web\" is invalid:", "  spec.services.web.ports[1]: not a port", "  spec.state: unknown word"]
        );
    }

    #[test]
    fn a_missing_operator_is_told_with_what_to_do() {
        let error = kube::Error::Service(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
        let lines = unreachable("unix:/run/x.sock", error).lines().join("\n");
        assert!(lines.contains("unix:/run/x.sock") && lines.contains("evenkeel run") && lines.contains("--server"), "{lines}");

        let error = kube::Error::Service(Box::new(io::Error::other("invalid peer certificate: UnknownIssuer")));
        assert!(unreachable("https://127.0.0.1:6440", error).lines().join("\n").contains("--ca"));

        let error = kube::Error::Service(Box::new(io::Error::from(io::ErrorKind::PermissionDenied)));
        let lines = unreachable("unix:/run/x.sock", error).lines().join("\n");
        assert!(lines.contains("ls -l /run/x.sock"), "{lines}");
    }
}

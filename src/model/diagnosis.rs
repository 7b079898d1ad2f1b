//! What a failure comes from, and what that rests on.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a failure waits for its diagnosis before it is suggested, shown or told without: its log is read within two seconds,
/// unless many are.
pub const DIAGNOSED_WITHIN: Duration = Duration::from_secs(5);

/// What a failure comes from: one closed list, documented in docs/reasons.md. `Unknown` where the facts do not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "docs/reasons.md says what each means")]
pub enum FailureCause {
    ApplicationError,
    CrashLoop,
    OutOfMemory,
    Killed,
    ConfigError,
    MissingCommand,
    ExecFormat,
    PermissionDenied,
    DiskFull,
    DependencyDown,
    Unhealthy,
    SlowStart,
    ProbeBroken,
    PortHeld,
    NameHeld,
    NetworkMissing,
    VolumeMissing,
    ImageMissing,
    ImageNotFound,
    ImageDenied,
    RegistryRateLimited,
    RegistryUnavailable,
    WrongPlatform,
    BuildFailed,
    EngineFailing,
    EngineRestart,
    HostRestart,
    #[default]
    Unknown,
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why something failed. Deterministic: the same facts give the same diagnosis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Diagnosis {
    /// What it comes from.
    pub cause: FailureCause,
    /// The same for people, and what to do.
    pub message: String,
    /// What it rests on, a line each: redacted, then cut.
    pub evidence: Vec<String>,
    /// What makes the failure this one, whenever and wherever it comes again: cause and evidence without ids, times, addresses, numbers
    /// and paths.
    pub signature: String,
}

/// One run that failed, as far as its end needs to be explained later, when its log has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FailedRun {
    /// Full id of the container.
    pub container: String,
    /// When the run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<jiff::Timestamp>,
    /// When it had failed before, if it had: what was written until then is not of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_before: Option<jiff::Timestamp>,
    /// It was ended through Docker, without a stop.
    pub killed: bool,
    /// Docker's own error text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// It was unhealthy from its start on.
    pub never_well: bool,
}

impl Diagnosis {
    /// The signature by which experience with a failure is found again: a crash loop is made of the failures before it.
    pub fn kin(&self) -> String {
        match self.signature.strip_prefix("CrashLoop: ") {
            Some(rest) => format!("ApplicationError: {rest}"),
            None => self.signature.clone(),
        }
    }
}

impl FailedRun {
    /// Whether it is the present run of this container, whatever the clocks say.
    pub fn is_of(&self, container: &super::Container) -> bool {
        self.container == container.id && self.started_at == container.started_at
    }
}

/// A log that is to be read: of a run that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct LogWish {
    /// The Deployment.
    pub key: super::Key,
    /// Which of its replicas.
    pub replica: super::ReplicaId,
    /// Which failure of it: when it was.
    pub failed_at: jiff::Timestamp,
    /// Full id of the container.
    pub container: String,
    /// When the run began.
    pub started_at: Option<jiff::Timestamp>,
    /// When it had failed before, if it had: what was written until then is not of this run.
    pub failed_before: Option<jiff::Timestamp>,
    /// What must not be told of it.
    pub secrets: super::Secrets,
}

/// The last lines of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogNews {
    /// The Deployment.
    pub key: super::Key,
    /// Which of its replicas.
    pub replica: super::ReplicaId,
    /// Which failure of it: when it was.
    pub failed_at: jiff::Timestamp,
    /// Redacted, then cut; oldest first, none from after the failure.
    pub lines: Vec<String>,
}

//! Machine-readable reasons of conditions and Events.

use std::fmt;

/// Machine-readable reasons of conditions and Events: one list, documented in docs/reasons.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "docs/reasons.md says what each means")]
pub enum Reason {
    Running,
    Completed,
    Stopped,
    Held,
    Suspended,
    Paused,
    Progressing,
    BackOff,
    BackOffExhausted,
    JobFailed,
    DependencyNotReady,
    HealthStarting,
    Unhealthy,
    NoProbe,
    Healthy,
    InvalidSpec,
    NotOwned,
    NameHeld,
    PortHeld,
    NetworkMissing,
    VolumeMissing,
    ImagePullBackOff,
    ImageMissing,
    ImageNotFound,
    ImageDenied,
    RegistryRateLimited,
    RegistryUnavailable,
    WrongPlatform,
    BuildFailed,
    StartFailed,
    CreateFailed,
    EngineUnavailable,
    EngineError,
    IntentPending,
    IntentUnknown,
    Withheld,
    Deleting,
    Orphaned,
    Crashed,
    RecoveryStarted,
    RecoveryAlert,
    Recovered,
    ExternalStop,
    HoldLifted,
    Created,
    Started,
    Replaced,
    Removed,
    Restarted,
    Pulled,
    Built,
    Updated,
    StoreRebuilt,
    StoreRepaired,
    StoreDamaged,
    InvalidManifest,
    ProjectClaimed,
    VolumeDrift,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

//! What the reason of `Ready` means for people, and how bad what is. An incident's cause is that of a diagnosis where there is one,
//! else such a reason.

use std::time::Duration;

use crate::crd::AlertSeverity;

/// A container that ended, of which nothing more is known.
pub const CRASHED: &str = "Crashed";
/// The engine cannot be reached.
pub const ENGINE_UNAVAILABLE: &str = "EngineUnavailable";
/// The summary after a restart of the host or the daemon.
pub const RECOVERED: &str = "Recovered";

/// How long an obstacle may last before somebody is called: many are over with the next try.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the engine may be away: a restart of it is no trouble.
const ENGINE_PATIENCE: Duration = Duration::from_secs(60);

/// What a reason means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// All is well.
    Fine,
    /// Nobody is to be called: people want it so.
    Wanted,
    /// On the way from one state to another: nothing is known yet.
    Between,
    /// The engine cannot be seen.
    Blind,
    /// A container failed: what is known of its recovery says the rest.
    Failing,
    /// Something is wrong.
    Trouble(Weight),
}

/// How bad something is, and how long it may last before that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// How bad.
    pub severity: AlertSeverity,
    /// It is `info` until it has lasted so long.
    pub patience: Duration,
}

/// The engine that cannot be reached.
pub const ENGINE: Weight = Weight { severity: AlertSeverity::Critical, patience: ENGINE_PATIENCE };
/// Something that keeps a replica from running, and is not its own fault.
pub const IN_THE_WAY: Weight = Weight { severity: AlertSeverity::Warning, patience: PATIENCE };
/// A Source that is not in force.
pub const SOURCE: Weight = Weight { severity: AlertSeverity::Warning, patience: PATIENCE };

/// Reads `Ready` of a Deployment: its status and reason, and the phase beside it.
///
/// A reason that is not named here is trouble where the phase says so: a new one is told rather than lost.
pub fn meaning(status: &str, reason: &str, phase: &str) -> Meaning {
    let trouble = |severity, patience| Meaning::Trouble(Weight { severity, patience });
    match reason {
        "EngineUnavailable" => Meaning::Blind,
        "Held" | "Stopped" | "Suspended" | "Paused" | "Deleting" | "Completed" => Meaning::Wanted,
        _ if status == "True" => Meaning::Fine,
        "BackOff" | "BackOffExhausted" => Meaning::Failing,
        "JobFailed" | "InvalidSpec" | "ProjectClaimed" => trouble(AlertSeverity::Critical, Duration::ZERO),
        "Unhealthy" => trouble(AlertSeverity::Warning, Duration::ZERO),
        _ if matches!(phase, "Degraded" | "Failed") => trouble(AlertSeverity::Warning, PATIENCE),
        _ => Meaning::Between,
    }
}

/// How bad a failing container is: being mended, past `alertAfter`, or given up.
pub fn failing(attempts: u32, alert_after: u32, given_up: bool) -> Weight {
    let severity = match () {
        () if given_up => AlertSeverity::Critical,
        () if attempts >= alert_after => AlertSeverity::Warning,
        () => AlertSeverity::Info,
    };
    Weight { severity, patience: Duration::ZERO }
}

/// Causes that a run which ended can have, told by its end and its log.
const OF_A_RUN: [&str; 8] =
    ["ApplicationError", "ConfigError", "OutOfMemory", "Killed", "MissingCommand", "ExecFormat", "PermissionDenied", "DiskFull"];

/// Whether a diagnosis says more precisely what a reason of `Ready` says: its cause, and whether it is of a failure.
pub fn is_told_by(reason: &str, cause: &str, failed: bool) -> bool {
    match reason {
        _ if reason == cause => true,
        "JobFailed" => !failed && OF_A_RUN.contains(&cause),
        "NotOwned" => cause == "NameHeld",
        "ImagePullBackOff" => cause.starts_with("Image") || cause.starts_with("Registry"),
        "CreateFailed" | "StartFailed" | "EngineError" => matches!(cause, "Unknown" | "EngineFailing") && !failed,
        _ => false,
    }
}

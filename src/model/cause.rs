//! Why an action is taken.

use super::{ReplicaId, Rule, Rung};

/// Why an action is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It is declared and not there.
    Missing,
    /// It was there, and somebody removed it.
    Vanished,
    /// It was just made.
    Created,
    /// Its specification changed.
    SpecChanged,
    /// It is no longer declared, or there are more replicas than declared.
    NotDeclared,
    /// The Deployment is being deleted.
    Deleted,
    /// A Hold covers it.
    Held {
        /// The Hold's reason.
        reason: String,
    },
    /// `spec.state: Stopped`.
    DeclaredStopped,
    /// A Hold on it ended.
    HoldEnded,
    /// It stopped, though it should run, and `externalStop: Revert` undoes that.
    StopReverted,
    /// It failed.
    Recovery {
        /// Attempt number from 1.
        attempt: u32,
        /// Of how many.
        max: u32,
        /// What failed, e.g. `exit code 137`.
        failure: String,
        /// How it is to be mended.
        rung: Rung,
        /// Why so.
        rule: Rule,
    },
    /// Its probes fail.
    Unhealthy {
        /// Attempt number from 1; its stop and its start are one attempt.
        attempt: u32,
        /// Of how many.
        max: u32,
        /// What failed, e.g. `unhealthy, its health check fails: connection refused`.
        failure: String,
        /// How it is to be mended.
        rung: Rung,
        /// Why so.
        rule: Rule,
    },
    /// Its image is got, or taken back, to mend a replica that failed.
    Remedy {
        /// Which.
        replica: ReplicaId,
        /// Why it is to be mended, and how.
        cause: Box<Cause>,
    },
    /// Its image was taken back to one that worked.
    RolledBack {
        /// Id of the one that failed.
        from: String,
        /// Id of the one that worked.
        to: String,
    },
    /// The daemon or the host went down with it.
    EngineRestarted,
    /// It is not running and nobody saw why.
    IntentUnknown,
    /// `evenkeel restart`.
    RestartRequested,
    /// `evenkeel recreate`.
    RecreateRequested,
    /// `evenkeel start`.
    StartRequested,
    /// A step of an earlier turn was left half-way.
    Unfinished,
    /// The service it depends on or shares a namespace with was restarted or replaced.
    DependencyRestarted {
        /// That service.
        service: String,
    },
    /// Its network was removed or made anew, or it was disconnected by hand.
    NetworkChanged,
    /// Docker's own restart policy is set on it.
    PolicyDrift,
    /// It is taken over from Compose.
    Adopted,
    /// `evenkeel release`.
    Released,
    /// Its name is not the declared one.
    Renamed,
    /// The image it runs lost its tag.
    TagMissing,
    /// What an image is built from changed.
    InputChanged,
    /// A file that it has mounted changed.
    FilesChanged {
        /// Their paths, the first of which is shown.
        paths: Vec<String>,
    },
    /// `evenkeel rebuild`.
    RebuildRequested,
    /// `pull_policy: always`, and a container is about to be made.
    PullAlways {
        /// Whose.
        replica: ReplicaId,
        /// Why it is made.
        made: Box<Cause>,
    },
    /// `pull_policy` asks for a look at the registry every so often, and it is time.
    PullDue,
    /// `evenkeel pull`.
    PullRequested,
    /// A pull or a build brought a newer version of the image than it runs.
    ImageChanged {
        /// Digest, or id, of what it runs.
        from: String,
        /// Digest, or id, of the newer one.
        to: String,
    },
}

impl Cause {
    /// Whether it brings back a single container that broke, which goes ahead of bulk work.
    pub fn is_urgent(&self) -> bool {
        matches!(self, Self::Vanished | Self::Recovery { .. } | Self::Unhealthy { .. })
    }

    /// Whether a container made for it is made from the image that is there, without a pull before.
    pub fn keeps_image(&self) -> bool {
        matches!(self, Self::Recovery { .. } | Self::Unhealthy { .. } | Self::ImageChanged { .. } | Self::RolledBack { .. })
    }

    /// The rung of recovery that it names.
    pub fn rung(&self) -> Option<Rung> {
        match self {
            Self::Recovery { rung, .. } | Self::Unhealthy { rung, .. } => Some(*rung),
            Self::Remedy { cause, .. } => cause.rung(),
            _ => None,
        }
    }

    /// Whether it mends what broke, rather than carrying out what somebody asked for.
    pub fn is_recovery(&self) -> bool {
        match self {
            Self::Vanished | Self::Recovery { .. } | Self::EngineRestarted | Self::IntentUnknown | Self::StopReverted => true,
            Self::NetworkChanged | Self::TagMissing | Self::Renamed | Self::DependencyRestarted { .. } => true,
            Self::Unhealthy { .. } => true,
            Self::Missing | Self::Created | Self::SpecChanged | Self::NotDeclared | Self::Deleted | Self::Held { .. } => false,
            Self::DeclaredStopped | Self::HoldEnded | Self::RestartRequested | Self::Unfinished | Self::PolicyDrift => false,
            Self::PullAlways { made, .. } => made.is_recovery(),
            Self::Remedy { cause, .. } => cause.is_recovery(),
            // What follows an approved step of recovery needs no further word.
            Self::RolledBack { .. } => false,
            Self::Adopted
            | Self::Released
            | Self::StartRequested
            | Self::PullDue
            | Self::PullRequested
            | Self::ImageChanged { .. } => false,
            Self::InputChanged | Self::RebuildRequested | Self::RecreateRequested | Self::FilesChanged { .. } => false,
        }
    }
}

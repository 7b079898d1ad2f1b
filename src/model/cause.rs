//! Why an action is taken.

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
        matches!(self, Self::Vanished | Self::Recovery { .. })
    }

    /// Whether it mends what broke, rather than carrying out what somebody asked for.
    pub fn is_recovery(&self) -> bool {
        match self {
            Self::Vanished | Self::Recovery { .. } | Self::EngineRestarted | Self::IntentUnknown | Self::StopReverted => true,
            Self::NetworkChanged | Self::TagMissing | Self::Renamed | Self::DependencyRestarted { .. } => true,
            Self::Missing | Self::Created | Self::SpecChanged | Self::NotDeclared | Self::Deleted | Self::Held { .. } => false,
            Self::DeclaredStopped | Self::HoldEnded | Self::RestartRequested | Self::Unfinished | Self::PolicyDrift => false,
            Self::PullAlways { made } => made.is_recovery(),
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

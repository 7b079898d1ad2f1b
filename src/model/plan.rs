//! What the planner decided: actions with their cause, what is waited for, and what must be remembered.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::{ContainerSpec, DependencyCondition, DockerRestart, JobKind, Key, NetworkSpec, ReplicaId, StopReason, VolumeSpec};

/// The whole decision for one Deployment at one moment. Prints as stable text.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Whose plan.
    pub key: Key,
    /// The generation it is for.
    pub generation: i64,
    /// In an order that respects `after`.
    pub actions: Vec<Action>,
    /// Actions that `recovery.mode` or `--mode` keeps from being done.
    pub withheld: Vec<Action>,
    /// What is not done now, and why.
    pub waiting: Vec<Waiting>,
    /// What must be remembered, whatever becomes of the actions.
    pub notes: Vec<Note>,
    /// Jobs under way that nobody wants any more.
    pub cancel: Vec<JobKind>,
    /// When to look again though nothing happened.
    pub wake_at: Option<Timestamp>,
}

/// One call to the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The call.
    pub op: Op,
    /// What it is about.
    pub subject: Subject,
    /// Why.
    pub cause: Cause,
    /// Indices of actions of the same plan that must have succeeded before.
    pub after: Vec<usize>,
}

/// What an action or a wait is about; also the key under which its failures are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A network, by its real name.
    Network(String),
    /// A volume, by its real name.
    Volume(String),
    /// An image, by reference.
    Image(String),
    /// A replica of a service.
    Replica(ReplicaId),
    /// A container that stands for no declared replica, by name.
    Container(String),
    /// The Deployment itself.
    Deployment,
}

/// A container an action works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One that exists: id and name.
    Existing {
        /// Full id.
        id: String,
        /// Its name now.
        name: String,
    },
    /// The one that an earlier action of this plan makes.
    Made {
        /// Index of the [`Op::CreateContainer`].
        action: usize,
        /// The name it gets.
        name: String,
    },
}

/// A network an action uses, always by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkRef {
    /// One that exists.
    Id(String),
    /// The one that an earlier action of this plan makes.
    Made(usize),
}

/// The calls.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Make a network.
    CreateNetwork(Box<NetworkSpec>),
    /// Remove a network, by id.
    RemoveNetwork {
        /// Full id.
        id: String,
    },
    /// Make a volume.
    CreateVolume(Box<VolumeSpec>),
    /// Remove a volume, by name: only on an explicit word.
    RemoveVolume {
        /// Name.
        name: String,
    },
    /// Pull an image. A job.
    Pull {
        /// Reference.
        image: String,
        /// `os/arch`.
        platform: Option<String>,
    },
    /// Make a container.
    CreateContainer {
        /// What it is made from.
        spec: Box<ContainerSpec>,
        /// The networks it joins, by their key in the spec.
        networks: BTreeMap<String, NetworkRef>,
    },
    /// Start a container.
    Start(Target),
    /// Stop it gracefully. A job; the reason is written down before.
    Stop {
        /// Which.
        target: Target,
        /// Seconds between the stop signal and KILL.
        grace: u64,
        /// Why, for the record that keeps it out of the decision table.
        reason: StopReason,
    },
    /// Remove a container that is not running; anonymous volumes stay.
    RemoveContainer(Target),
    /// Give it its final name.
    Rename {
        /// Which.
        target: Target,
        /// The name.
        to: String,
    },
    /// Attach it to a network of the spec, with its aliases.
    Connect {
        /// Which.
        target: Target,
        /// The network.
        network: NetworkRef,
        /// Its real name, for people.
        name: String,
        /// The attachment as declared.
        attachment: Box<super::NetworkAttachment>,
    },
    /// Detach it, by force.
    Disconnect {
        /// Which.
        target: Target,
        /// Network name or id.
        network: String,
    },
    /// Change Docker's own restart policy.
    SetRestartPolicy {
        /// Which.
        target: Target,
        /// The policy.
        policy: DockerRestart,
    },
    /// Give an image its tag back.
    Tag {
        /// `sha256:..`.
        image_id: String,
        /// Reference.
        reference: String,
    },
}

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
    /// `evenkeel release`.
    Released,
    /// Its name is not the declared one.
    Renamed,
    /// The image it runs lost its tag.
    TagMissing,
}

/// Something not done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What waits.
    pub subject: Subject,
    /// For what.
    pub reason: WaitReason,
    /// Until when, if that is known.
    pub until: Option<Timestamp>,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// The next attempt is not due yet.
    BackOff {
        /// The attempt that comes next.
        attempt: u32,
        /// Of how many.
        max: u32,
        /// What failed.
        failure: String,
    },
    /// All attempts are spent.
    BackOffExhausted {
        /// How many were made.
        attempts: u32,
        /// What failed last.
        failure: String,
    },
    /// A run-once service ended with a failure; it is not run again for this spec.
    JobFailed {
        /// What failed.
        failure: String,
    },
    /// Who stopped it is not known yet.
    IntentPending,
    /// Another service is not where it must be.
    Dependency {
        /// That service.
        service: String,
        /// What is asked of it.
        condition: DependencyCondition,
        /// It will not get there by itself.
        failed: bool,
    },
    /// It ran to its end; that counts until the spec changes.
    Completed,
    /// A replica before it is still being replaced.
    RollingUpdate {
        /// That replica.
        replica: ReplicaId,
    },
    /// A job is under way.
    Pulling,
    /// A job is under way.
    Stopping,
    /// It is within its health check's start period or has not become healthy yet.
    HealthStarting,
    /// Its health check fails.
    Unhealthy {
        /// Last output of the probe.
        output: String,
    },
    /// A person paused it.
    Paused,
    /// Docker is removing it.
    Removing,
    /// Docker's own restart policy is at work; it is being taken off.
    Restarting,
    /// Stopped by a Hold or by the manifest.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Hands off.
    Suspended {
        /// Why.
        reason: String,
    },
    /// A name, network, volume or the project belongs to somebody else.
    NotOwned {
        /// Who holds it.
        holder: String,
    },
    /// Something of the engine's or a registry's is in the way; tried again at the cap for ever.
    Obstacle {
        /// Machine-readable reason.
        reason: Reason,
        /// What is wrong, and what to do.
        message: String,
    },
    /// `recovery.mode` or `--mode` keeps evenkeel from doing it.
    Withheld,
}

/// Something the record must keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It ran long enough: its attempts are forgiven.
    Stable(ReplicaId),
    /// It ended and is done, for this spec hash.
    Completed {
        /// Which.
        replica: ReplicaId,
        /// Of which spec.
        spec_hash: String,
        /// When.
        at: Timestamp,
        /// 0, or that of a run-once service that failed.
        exit_code: i64,
    },
    /// A failure seen for the first time.
    Failed {
        /// Which.
        replica: ReplicaId,
        /// Of which spec.
        spec_hash: String,
        /// When it ended.
        at: Timestamp,
        /// What failed.
        failure: String,
        /// Its exit code.
        exit_code: i64,
        /// Docker's OOM flag.
        oom_killed: bool,
    },
    /// `alertAfter` attempts have failed.
    Alert {
        /// Which.
        replica: ReplicaId,
        /// Attempts so far.
        attempts: u32,
    },
    /// All attempts are spent: told once.
    Exhausted {
        /// Which.
        replica: ReplicaId,
        /// Attempts made.
        attempts: u32,
    },
    /// Started over: a changed spec, `retry`, or a host boot.
    StartedOver(ReplicaId),
    /// Nobody saw why it is not running, though it ran before.
    IntentUnknown(ReplicaId),
    /// Anonymous volumes in use, by mount path: kept so that a replacement gets them.
    Volumes {
        /// Whose.
        replica: ReplicaId,
        /// Path in the container -> volume name.
        names: BTreeMap<String, String>,
    },
    /// A container that evenkeel did not make is in the place of one it made, and is taken over.
    Adopted {
        /// Which.
        replica: ReplicaId,
        /// Full id of the container.
        container_id: String,
        /// Spec hash at that moment: the container is replaced only when this changes.
        spec_hash: String,
        /// Docker's restart policy that was on it.
        restart: DockerRestart,
    },
    /// All that a deletion must remove is gone: the finalizer can go.
    Cleaned,
}

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
    Updated,
    StoreRebuilt,
    InvalidManifest,
    ProjectClaimed,
    VolumeDrift,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Plan {
    /// A plan that does nothing.
    pub fn empty(key: Key, generation: i64) -> Self {
        Self { key, generation, actions: vec![], withheld: vec![], waiting: vec![], notes: vec![], cancel: vec![], wake_at: None }
    }

    /// Asks to be looked at again at `at`, if that is earlier than what is asked already.
    pub fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }
}

impl Op {
    /// What is done, without on what: a name for spans.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CreateNetwork(_) => "create network",
            Self::RemoveNetwork { .. } => "remove network",
            Self::CreateVolume(_) => "create volume",
            Self::RemoveVolume { .. } => "remove volume",
            Self::Pull { .. } => "pull image",
            Self::CreateContainer { .. } => "create container",
            Self::Start(_) => "start container",
            Self::Stop { .. } => "stop container",
            Self::RemoveContainer(_) => "remove container",
            Self::Rename { .. } => "rename container",
            Self::Connect { .. } => "connect container",
            Self::Disconnect { .. } => "disconnect container",
            Self::SetRestartPolicy { .. } => "set restart policy",
            Self::Tag { .. } => "tag image",
        }
    }
}

impl Action {
    /// Changes the indices it refers to, after other actions were taken out. Those it depends on must all have been kept.
    pub fn renumber(&mut self, new_index: &[Option<usize>]) {
        let moved = |index: &mut usize| *index = new_index[*index].unwrap_or(*index);
        self.after.iter_mut().for_each(moved);
        match &mut self.op {
            Op::CreateContainer { networks, .. } => {
                networks.values_mut().for_each(|network| {
                    if let NetworkRef::Made(index) = network {
                        moved(index)
                    }
                });
            }
            Op::Connect { target, network, .. } => {
                if let NetworkRef::Made(index) = network {
                    moved(index);
                }
                target.renumber(moved);
            }
            Op::Start(target) | Op::RemoveContainer(target) | Op::Stop { target, .. } | Op::Rename { target, .. } => {
                target.renumber(moved)
            }
            Op::Disconnect { target, .. } | Op::SetRestartPolicy { target, .. } => target.renumber(moved),
            Op::CreateNetwork(_) | Op::RemoveNetwork { .. } | Op::CreateVolume(_) | Op::RemoveVolume { .. } => {}
            Op::Pull { .. } | Op::Tag { .. } => {}
        }
    }
}

impl Cause {
    /// Whether it mends what broke, rather than carrying out what somebody asked for.
    pub fn is_recovery(&self) -> bool {
        match self {
            Self::Vanished | Self::Recovery { .. } | Self::EngineRestarted | Self::IntentUnknown | Self::StopReverted => true,
            Self::NetworkChanged | Self::TagMissing | Self::Renamed | Self::DependencyRestarted { .. } => true,
            Self::Missing | Self::Created | Self::SpecChanged | Self::NotDeclared | Self::Deleted | Self::Held { .. } => false,
            Self::DeclaredStopped | Self::HoldEnded | Self::RestartRequested | Self::Unfinished | Self::PolicyDrift => false,
            Self::Released => false,
        }
    }
}

impl Target {
    fn renumber(&mut self, moved: impl Fn(&mut usize)) {
        if let Self::Made { action, .. } = self {
            moved(action);
        }
    }

    /// The container's name, for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Existing { name, .. } | Self::Made { name, .. } => name,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) => write!(f, "network {name}"),
            Self::Volume(name) => write!(f, "volume {name}"),
            Self::Image(reference) => write!(f, "image {reference}"),
            Self::Replica(replica) => write!(f, "replica {replica}"),
            Self::Container(name) => write!(f, "container {name}"),
            Self::Deployment => f.write_str("deployment"),
        }
    }
}

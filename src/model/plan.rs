//! What the planner decided: actions with their cause, what is waited for, and what must be remembered.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::{
    BuildSpec, Cause, ContainerSpec, DockerRestart, FileMarks, JobKind, Key, NetworkSpec, Note, ReloadSignal, ReplicaId,
    StopReason, VolumeSpec, Waiting,
};

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
    /// Build an image. A job.
    Build {
        /// What it is built from.
        spec: Box<BuildSpec>,
        /// Digest of all that.
        input: String,
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
    /// Send its main process a signal, for it to read its files again. Never taken for somebody else's.
    Signal {
        /// Which.
        target: Target,
        /// The signal.
        signal: ReloadSignal,
        /// Contents that it has been told of then.
        marks: FileMarks,
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
            Self::Build { .. } => "build image",
            Self::CreateContainer { .. } => "create container",
            Self::Start(_) => "start container",
            Self::Stop { .. } => "stop container",
            Self::Signal { .. } => "signal container",
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
            Op::Signal { target, .. } => target.renumber(moved),
            Op::Disconnect { target, .. } | Op::SetRestartPolicy { target, .. } => target.renumber(moved),
            Op::CreateNetwork(_) | Op::RemoveNetwork { .. } | Op::CreateVolume(_) | Op::RemoveVolume { .. } => {}
            Op::Pull { .. } | Op::Build { .. } | Op::Tag { .. } => {}
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

    /// The same under the name that an earlier action of the plan gives it.
    #[must_use]
    pub fn named(&self, to: &str) -> Self {
        let name = to.to_owned();
        match self {
            Self::Existing { id, .. } => Self::Existing { id: id.clone(), name },
            Self::Made { action, .. } => Self::Made { action: *action, name },
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

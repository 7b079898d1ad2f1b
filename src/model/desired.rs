//! A Deployment resolved for the planner: Compose short forms expanded, defaults filled in, names made real.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AdoptRequest, Answer, BuildSpec, ContainerSpec, DockerRestart, FollowedFile, HookSpec, Key, NetworkSpec, OnChange, Probes,
    RebuildRequest, ReplicaId, Rung, VolumeSpec,
};

/// What should be, of one Deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Whose it is.
    pub key: Key,
    /// The object's uid.
    pub uid: String,
    /// The generation this was resolved from.
    pub generation: i64,
    /// `--instance` of this operator.
    pub instance: String,
    /// Compose project, unique on the engine.
    pub project: String,
    /// The Deployment that claimed the project first, if that is another one: nothing is touched then.
    pub claimed_by: Option<Key>,
    /// What the manifest declares.
    pub state: RunState,
    /// It is being deleted.
    pub deletion: Option<Deletion>,
    /// Enabled services by name. Those whose profile is not active are absent, their containers are removed.
    pub services: BTreeMap<String, DesiredService>,
    /// Networks in use, by key.
    pub networks: BTreeMap<String, NetworkSpec>,
    /// Declared volumes, by key.
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// Recovery policy, defaults filled in.
    pub recovery: RecoveryPolicy,
    /// When the host was booted last, as far as it was noticed: failures before it are forgiven.
    pub host_booted_at: Option<Timestamp>,
    /// Holds on this Deployment, oldest first.
    pub holds: Vec<HoldView>,
    /// What people said to suggestions.
    pub answers: Vec<Answer>,
    /// Where the operator's API is, `https://host:port`, if it is anywhere but on its socket.
    pub api: Option<String>,
}

/// `spec.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunState {
    /// Keep it running.
    #[default]
    Running,
    /// Keep it stopped.
    Stopped,
}

/// How a Deployment is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deletion {
    /// Leave the containers running, with their declared restart policies given back to Docker.
    pub orphan: bool,
    /// Remove its volumes too.
    pub volumes: bool,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredService {
    /// Its name.
    pub name: String,
    /// How many containers.
    pub replicas: u32,
    /// `container_name`: overrides `<project>-<service>-<n>`; only with one replica.
    pub container_name: Option<String>,
    /// Compose's `restart`, read as our policy.
    pub restart: RestartRule,
    /// The declared policy in Docker's words: given back by `release`.
    pub declared_restart: DockerRestart,
    /// Awaited by another service with `service_completed_successfully`: it runs to its end once per spec.
    pub job: bool,
    /// By service name: what must be before it starts.
    pub depends_on: BTreeMap<String, Dependency>,
    /// Hash over everything that makes a container different. Replicas, restart, depends_on, profiles, build and pull policy are not in it.
    pub spec_hash: String,
    /// What its containers are made from; name, replica labels and namespace parents are filled in by the planner.
    pub template: ContainerSpec,
    /// Between stop signal and KILL.
    pub stop_grace: Duration,
    /// When to pull.
    pub pull: PullRule,
    /// How its image is built; `None`: it is pulled.
    pub build: Option<BuildSpec>,
    /// Probes of our own.
    pub probes: Probes,
    /// Commands that are run in a container right after each start.
    pub post_start: Vec<HookSpec>,
    /// Commands that are run in it before it is stopped.
    pub pre_stop: Vec<HookSpec>,
    /// What follows when a file that its containers have mounted changes; `None`: it does not say.
    pub on_change: Option<OnChange>,
    /// Mounted files whose changes count: filled in by the controller, which knows where the manifest came from.
    pub followed: Vec<FollowedFile>,
    /// Containers started before this are restarted (annotation).
    pub restarted_at: Option<Timestamp>,
    /// Containers made before this are made anew (annotation).
    pub recreated_at: Option<Timestamp>,
    /// Failures before this are forgotten, and what ran to its end runs again (annotation).
    pub retried_at: Option<Timestamp>,
    /// Failures before this are forgotten (annotation): somebody asked for a start.
    pub start_asked_at: Option<Timestamp>,
    /// A pull was asked for then (annotation).
    pub pulled_at: Option<Timestamp>,
    /// What Compose made of it was asked to be taken over (annotation).
    pub adopt: Option<AdoptRequest>,
    /// A build of its image was asked for (annotation).
    pub rebuild: Option<RebuildRequest>,
}

/// When a container that ended is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartRule {
    /// `always`, `unless-stopped`: keep running, whatever the exit code.
    Always,
    /// `on-failure[:max]`: exit 0 completes it; `max` overrides `recovery.maxAttempts`.
    OnFailure {
        /// Attempts; `None`: `recovery.maxAttempts`.
        max: Option<u32>,
    },
    /// `"no"`: run once per spec, whatever the exit code.
    Once,
    /// Absent: an exit 0 of its own accord completes it, every other end is restarted.
    UntilCompleted,
}

/// `pull_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullRule {
    /// Pull when the image is not there.
    #[default]
    Missing,
    /// Never pull: a missing image is an error.
    Never,
    /// Pull whenever a container is made.
    Always,
    /// Pull whenever the last pull is so long ago.
    Every(Duration),
}

/// One entry of `depends_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// What must hold.
    pub condition: DependencyCondition,
    /// Restart with it when it is restarted or replaced.
    pub restart: bool,
    /// `false`: go on without it when it cannot be had.
    pub required: bool,
}

/// Compose's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
    /// It was started.
    ServiceStarted,
    /// Its health check passes.
    ServiceHealthy,
    /// It ended with exit 0.
    ServiceCompletedSuccessfully,
}

/// `spec.recovery` with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryPolicy {
    /// How far it may go on its own: the lower of the spec's and the operator's.
    pub mode: RecoveryMode,
    /// The operator's own bound (`run --mode`): below `Auto` nothing at all is done.
    pub bound: RecoveryMode,
    /// Delay before the second attempt.
    pub initial: Duration,
    /// Growth of the delay.
    pub factor: f64,
    /// Largest delay.
    pub max: Duration,
    /// Attempts before giving up.
    pub max_attempts: u32,
    /// Attempt at which people are told.
    pub alert_after: u32,
    /// Uptime after which the counter starts over.
    pub stable_window: Duration,
    /// How long a replica must be well for what mended it to count.
    pub verify_window: Duration,
    /// Whether a stop from outside is respected.
    pub external_stop: ExternalStop,
    /// What it may do.
    pub actions: Vec<Rung>,
}

/// `recovery.mode`, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum RecoveryMode {
    /// Report only.
    Observe,
    /// Record what would be done.
    Suggest,
    /// Do it.
    #[default]
    Auto,
}

/// `recovery.externalStop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ExternalStop {
    /// A stop from outside becomes a Hold.
    #[default]
    Respect,
    /// It is undone.
    Revert,
}

/// A Hold as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldView {
    /// The Hold object's name.
    pub name: String,
    /// Only this service.
    pub service: Option<String>,
    /// Only this replica of it.
    pub replica: Option<u32>,
    /// What it asks for.
    pub state: HoldState,
    /// Why, one word for machines (`ExternalStop`, `Stopped`, `Released`, ..) or a person's text.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// When it was laid.
    pub since: Timestamp,
}

/// What a Hold asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldState {
    /// Not running, and nothing starts it.
    Stopped,
    /// Hands off: observed, not touched.
    Suspended,
}

/// Reason of a Hold made from a stop seen on the engine.
pub const REASON_EXTERNAL_STOP: &str = "ExternalStop";
/// Reason of a Hold made by `evenkeel stop`, when no other was given.
pub const REASON_STOPPED: &str = "Stopped";
/// Reason of a Hold made by `evenkeel suspend`, when no other was given.
pub const REASON_SUSPENDED: &str = "Suspended";
/// Reason of a Hold made by `evenkeel release`: Docker's own restart policies carry on.
pub const REASON_RELEASED: &str = "Released";

impl DesiredService {
    /// Whether an exit 0 of its own accord is the end of its work.
    pub fn ends(&self) -> bool {
        !matches!(self.restart, RestartRule::Always)
    }
}

impl Desired {
    /// The Hold in force for a replica at `now`: the most specific scope wins, then the newest.
    pub fn hold(&self, replica: &ReplicaId, now: Timestamp) -> Option<&HoldView> {
        self.hold_of(replica, now, |_| true)
    }

    /// The same among those Holds that `counts`.
    pub fn hold_of(&self, replica: &ReplicaId, now: Timestamp, counts: impl Fn(&HoldView) -> bool) -> Option<&HoldView> {
        let covering = self.holds.iter().filter(|hold| hold.covers(replica) && hold.in_force(now) && counts(hold));
        covering.max_by_key(|hold| (hold.scope(), hold.since))
    }
}

impl HoldView {
    /// Whether it speaks of that replica.
    pub fn covers(&self, replica: &ReplicaId) -> bool {
        self.service.as_ref().is_none_or(|service| *service == replica.service)
            && self.replica.is_none_or(|number| number == replica.number)
    }

    /// Whether it has not ended yet.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// 0: the whole Deployment, 1: a service, 2: a replica.
    fn scope(&self) -> u8 {
        u8::from(self.service.is_some()) + u8::from(self.replica.is_some())
    }
}

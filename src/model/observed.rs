//! What a look at the engine shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::image::{familiar_reference, same_digest};
use super::{BuildInput, Containers, FileStates, Key, Likeness, Probed, RegistryView, ReplicaId, Shared, Subject, labels};

/// The engine as the cache knows it at one moment: everything on it, ours or not. Large parts are shared between moments.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// By full container id.
    pub containers: Containers,
    /// By full network id.
    pub networks: Shared<BTreeMap<String, Network>>,
    /// By volume name.
    pub volumes: Shared<BTreeMap<String, Volume>>,
    /// By image id (`sha256:..`).
    pub images: Shared<BTreeMap<String, Image>>,
    /// Why containers that are not running ended, by container id, as far as it is known.
    pub ends: OrdMap<String, End>,
    /// When the kernel last killed in a container for lack of memory, by container id. The daemon may tell it after the end,
    /// which then has no flag for it.
    pub out_of_memory: OrdMap<String, Timestamp>,
    /// Places that were emptied a moment ago (`docker compose down`, `stop && rm`): who did it is not decided yet, and
    /// nothing is made there before it is.
    pub vacated: Vec<Vacated>,
    /// Containers whose inspect has not answered yet: only id, name, labels, image and state are known. Hands off.
    pub unread: BTreeSet<String>,
    /// Which run of the daemon and host this was seen on.
    pub run: EngineRun,
}

/// The place of a container that was taken away while it was not decided who stopped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacated {
    /// Whose it was.
    pub key: Key,
    /// Which replica it was.
    pub replica: ReplicaId,
    /// When the decision falls at the latest.
    pub until: Timestamp,
}

/// What one deployment's planner gets to see.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The engine.
    pub snapshot: Arc<Snapshot>,
    /// Work of this deployment that is under way beside its turn.
    pub jobs: Vec<Job>,
    /// What is known of the files that its images are built from, by service; nothing yet of those that are absent.
    pub inputs: BTreeMap<String, BuildInput>,
    /// What is known of the files that its containers have mounted; `None`: nothing yet.
    pub files: Option<FileStates>,
    /// What is known of registries, by `host[:port]`; nothing is known of those that are absent.
    pub registries: BTreeMap<String, RegistryView>,
    /// What probes of our own say, by container id; nothing yet of those that are absent.
    pub probed: Probed,
    /// How containers that Compose made in our places compare with what is declared, by full id; those absent are not compared yet.
    pub likeness: BTreeMap<String, Likeness>,
}

/// Identifies a run of host and daemon; a change means everything may have been stopped by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineRun {
    /// The engine's own id (`docker info`, ID).
    pub engine_id: String,
    /// The host's boot id, where the engine is local.
    pub boot_id: Option<String>,
    /// dockerd's pid and start time (clock ticks since boot), where they can be read.
    pub daemon: Option<(i32, u64)>,
}

/// A container's state, Docker's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Made, never started, or its start failed.
    Created,
    /// Its main process runs.
    Running,
    /// Frozen by `docker pause`.
    Paused,
    /// Docker's own restart policy is between two tries.
    Restarting,
    /// Being removed; it can hang here.
    Removing,
    /// Its main process ended.
    Exited,
    /// Docker could not remove it fully; it never runs again.
    Dead,
}

/// Verdict of Docker's HEALTHCHECK.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Within the start period, no verdict yet: not a failure.
    #[default]
    Starting,
    /// The last probes passed.
    Healthy,
    /// `retries` probes in a row failed.
    Unhealthy,
}

/// Docker's health record of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The verdict, Docker's own word. A monitor that ends (pause, stop) leaves [`HealthStatus::Unhealthy`] behind.
    pub status: HealthStatus,
    /// Failed probes in a row.
    pub failing_streak: u32,
    /// So many of them make it unhealthy.
    pub retries: u32,
    /// From the end of a probe to the end of the next, at most: interval and timeout.
    pub period: Duration,
    /// The last probe was too long ago when the container was looked at: nobody probes it (live-restore on older engines).
    pub stale: bool,
    /// When the last probe ended.
    pub last_probe_at: Option<Timestamp>,
    /// The last probe's exit code.
    pub last_exit_code: Option<i64>,
    /// The last probe's output, as the engine keeps it: up to 4,096 bytes, not redacted. Redact before it is cut or shown.
    pub last_output: String,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Image id (`sha256:..`) it runs.
    pub image_id: String,
    /// The reference it was created with.
    pub image: String,
    /// Docker's state.
    pub state: ContainerState,
    /// Last exit code; meaningful when it has run and is not running.
    pub exit_code: i64,
    /// Docker's OOM flag. On newer engines true also for a running container whose child was killed.
    pub oom_killed: bool,
    /// Docker's own error text of the last start, empty if none.
    pub error: String,
    /// The signal `docker stop` sends, as written in its configuration (`SIGKILL`, `9`, ..); `None`: TERM.
    pub stop_signal: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it was last started; `None` if never.
    pub started_at: Option<Timestamp>,
    /// When it last ended; `None` if never.
    pub finished_at: Option<Timestamp>,
    /// HEALTHCHECK's record; `None`: there is no probe.
    pub health: Option<Health>,
    /// Docker's restart policy on it.
    pub restart_policy: DockerRestart,
    /// How often Docker's own policy restarted it.
    pub restart_count: i64,
    /// By network name: what it is attached to.
    pub networks: BTreeMap<String, Attachment>,
    /// Docker's network mode text (`bridge`, `host`, `none`, `container:<id>`, a network name).
    pub network_mode: String,
    /// Other namespaces taken from a container: full ids named by `ipc:`, `pid:` modes.
    pub namespace_parents: Vec<String>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// Host ports it asks for.
    pub ports: Vec<HostPort>,
}

/// Docker's own restart policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DockerRestart {
    /// `no`, or empty.
    #[default]
    No,
    /// `always`.
    Always,
    /// `unless-stopped`.
    UnlessStopped,
    /// `on-failure[:max]`; 0 is no limit.
    OnFailure(u32),
}

/// One network a container is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachment {
    /// The network's id; empty while the container is not started.
    pub network_id: String,
    /// Names it answers to there.
    pub aliases: Vec<String>,
    /// Its address there, empty when not running.
    pub address: String,
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `volume`, `bind`, `tmpfs`, ..: Docker's word.
    pub kind: String,
    /// Volume name, or host path.
    pub source: String,
    /// Path in the container.
    pub destination: String,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// Host address; empty means all.
    pub ip: String,
    /// Host port; 0 lets Docker choose.
    pub port: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
}

/// One network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Full id.
    pub id: String,
    /// Name; Docker allows several of one name.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Driver.
    pub driver: String,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name, unique.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Driver.
    pub driver: String,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:..` of its configuration.
    pub id: String,
    /// `name:tag` references, as Docker lists them.
    pub tags: Vec<String>,
    /// `name@sha256:..` references.
    pub digests: Vec<String>,
}

/// How and why a container's last run ended; section 3 of the intent contract decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// The run this is about: when the container was started. An End of an older run is void.
    pub started_at: Option<Timestamp>,
    /// The verdict so far.
    pub verdict: Verdict,
    /// When the `die` was seen, in the daemon's time. [`Verdict::Ours`] before that: when the stop was written down.
    pub at: Timestamp,
    /// The exit code the `die` told; another one on the container later means that a start failed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
}

/// Who ended a container's run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum Verdict {
    /// Not decided yet; neither start nor hold before `until`, when it will have been.
    Pending {
        /// When the decision falls at the latest.
        until: Timestamp,
    },
    /// It ended of its own accord: no signal through Docker since its start. The exit code tells crash from completion.
    OwnAccord,
    /// Killed through Docker without a stop (`docker kill`, rm -f): a crash.
    Killed,
    /// A person stopped it; a Hold has been laid.
    ExternalStop,
    /// The daemon or the host went down with it.
    Shutdown,
    /// We stopped it ourselves.
    Ours(StopReason),
    /// Nobody saw. Run it again if it should run.
    Unknown,
}

/// Why evenkeel itself stopped a container; written down before the stop is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum StopReason {
    /// A Hold, or `spec.state: Stopped`.
    Held,
    /// To start it again.
    Restart,
    /// Its probes fail: to start it again, as an attempt to recover it.
    Unhealthy,
    /// A newer container takes its place.
    Replace,
    /// No longer declared, scaled down, or its Deployment is deleted.
    Remove,
}

/// Work beside a key's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What is being done.
    pub kind: JobKind,
    /// Since when.
    pub since: Timestamp,
}

/// The kinds of work that take long.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    /// A pull of this reference.
    Pull(String),
    /// A build of this reference.
    Build {
        /// The reference.
        image: String,
        /// Digest of what it is built from.
        input: String,
    },
    /// A graceful stop of this container (full id).
    Stop(String),
    /// Any other call that the engine has not answered as soon as it should.
    Call {
        /// What it is about.
        subject: Subject,
        /// The call, for people: `start container web-app-1`.
        op: String,
    },
}

impl Container {
    /// Which replica of which service this is, see [`ReplicaId::from_labels`].
    pub fn replica(&self) -> Option<ReplicaId> {
        ReplicaId::from_labels(&self.labels)
    }

    /// The spec hash it was made from, if evenkeel made it.
    pub fn spec_hash(&self) -> Option<&str> {
        self.labels.get(labels::SPEC_HASH).map(String::as_str)
    }

    /// Running, paused included: its processes exist.
    pub fn is_up(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
    }

    /// How long its present run has lasted at `now`; zero if it is not up.
    pub fn uptime(&self, now: Timestamp) -> Duration {
        match (self.is_up(), self.started_at) {
            (true, Some(start)) => Duration::try_from(now.duration_since(start)).unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }
}

impl Snapshot {
    /// The image a reference names, by tag, digest or id; `name` alone means `name:latest`.
    pub fn image(&self, reference: &str) -> Option<&Image> {
        let full = familiar_reference(reference);
        self.images.get(reference).or_else(|| {
            self.images
                .values()
                .find(|image| image.tags.contains(&full) || image.digests.iter().any(|digest| same_digest(digest, &full)))
        })
    }
}

//! `status` of a Deployment: what the controller saw last.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DecisionStatus, ResourceAlert, SuggestionStatus};
use crate::model::ReplicaId;

/// What the controller saw last. Written only when it differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatus {
    /// `metadata.generation` that this status speaks of.
    pub observed_generation: i64,
    /// One word for people.
    pub phase: Phase,
    /// Running and ready containers of those wanted, `2/3`.
    pub ready: String,
    /// Containers wanted.
    pub replicas: u32,
    /// Containers that run and, where there is a probe, are healthy; finished ones included.
    pub ready_replicas: u32,
    /// `Ready` always; `Healthy` where probes are; `Reconciling`, `Stalled` and `Orphaned` only when true.
    pub conditions: Vec<Condition>,
    /// By service, in order of name.
    pub services: Vec<ServiceStatus>,
    /// Recovery in progress or given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryStatus>,
    /// What recovery decided, the last ten, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionStatus>,
    /// What recovery would do, and a person may approve (`recovery.mode: Suggest`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<SuggestionStatus>,
    /// Holds in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldStatus>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<OriginStatus>,
    /// Figures beyond the thresholds of `spec.monitoring`, or lately so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<ResourceAlert>,
    /// What is waited for, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
    /// The last ten actions, newest last.
    pub last_actions: Vec<LastAction>,
}

/// One word for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Not looked at yet.
    #[default]
    Pending,
    /// All that should run runs.
    Running,
    /// On the way there.
    Progressing,
    /// Something that should run does not.
    Degraded,
    /// Stopped on purpose.
    Stopped,
    /// Paused by a person.
    Paused,
    /// Hands off, by a Hold.
    Suspended,
    /// All of it ran to its end.
    Completed,
    /// Given up.
    Failed,
    /// The engine cannot be seen.
    Unknown,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Running,
        Self::Progressing,
        Self::Degraded,
        Self::Stopped,
        Self::Paused,
        Self::Suspended,
        Self::Completed,
        Self::Failed,
        Self::Unknown,
    ];
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Containers wanted.
    pub replicas: u32,
    /// Containers ready.
    pub ready_replicas: u32,
    /// What is known of its image, once evenkeel pulled it or tried to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageStatus>,
    /// What came of the builds of its image, once there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildStatus>,
    /// Why replicas are not as they should be, or failed last; those of which there is something to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<DiagnosisStatus>,
    /// Its containers, by number.
    pub containers: Vec<ContainerStatus>,
}

/// Why a replica is not as it should be, or failed last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiagnosisStatus {
    /// Replica number.
    pub replica: u32,
    /// One word of a closed list, docs/reasons.md; `Unknown` where the facts do not say.
    pub cause: String,
    /// The same for people, and what to do.
    pub message: String,
    /// What it rests on: redacted, cut.
    pub evidence: Vec<String>,
    /// The same for every occurrence of this failure: without ids, times, addresses, numbers and paths.
    pub signature: String,
    /// When it failed. Absent: nothing failed, something is in its way now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<MicroTime>,
    /// Attempts made to recover it since it was last stable.
    pub attempts: u32,
    /// It is given up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
}

/// An image, and what came of its pulls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStatus {
    /// Its reference, as declared.
    pub reference: String,
    /// Id of the image that the last pull brought: what the containers are to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Registry digest of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When the last pull that succeeded began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulled_at: Option<MicroTime>,
    /// When the registry is looked at again, as `pull_policy` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_pull_at: Option<Time>,
    /// Why the pulls since fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<PullFailure>,
}

/// A pull that fails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PullFailure {
    /// One word: `ImageNotFound`, `ImageDenied`, `RegistryRateLimited`, `RegistryUnavailable`, `WrongPlatform`, else
    /// `ImagePullBackOff`.
    pub reason: String,
    /// What was attempted and what the registry said.
    pub message: String,
    /// Tries that failed.
    pub tries: u32,
    /// When the last one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
}

/// An image that is built, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildStatus {
    /// The reference it gets.
    pub reference: String,
    /// Id of the image that the last build made: what the containers are to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Digest of what it was built from: context, Dockerfile, arguments and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// When the last build that succeeded began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub built_at: Option<MicroTime>,
    /// Why the builds since fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<BuildFailure>,
}

/// A build that fails.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildFailure {
    /// What went wrong, and under it the last lines that the build printed.
    pub message: String,
    /// Tries that failed.
    pub tries: u32,
    /// When the last one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Replica number.
    pub replica: u32,
    /// Docker's word: created, running, paused, restarting, removing, exited, dead.
    pub state: String,
    /// It runs and its probes do not speak against it, or it ran to its end as it should.
    pub ready: bool,
    /// `starting`, `healthy`, `unready`, `unhealthy`, `unknown`; absent: no probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// Which probe fails, or cannot be made, and what it said last: redacted, cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_output: Option<String>,
    /// Exit code of the last run, where it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Docker's out-of-memory flag.
    #[serde(rename = "oomKilled", skip_serializing_if = "std::ops::Not::not")]
    pub oom_killed: bool,
    /// Recovery attempts since it was last stable.
    pub restarts: u32,
    /// When it was last started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Image reference it was made with.
    pub image: String,
    /// Image id it runs.
    pub image_id: String,
    /// Registry digest of that image, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// Differences from the spec that are shown and not fought.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
}

/// How a line of `drift` begins that says where a container came from, which is no difference.
pub const MADE_BY_COMPOSE: &str = "made by docker compose";

impl ContainerStatus {
    /// In what it differs from its declaration.
    pub fn differences(&self) -> impl Iterator<Item = &String> {
        self.drift.iter().filter(|line| !line.starts_with(MADE_BY_COMPOSE))
    }
}

/// Recovery in progress or given up: that of the replica that is worst off.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecoveryStatus {
    /// `service-number`.
    pub replica: String,
    /// Attempts made since it was last stable.
    pub attempt: u32,
    /// Of how many.
    pub max_attempts: u32,
    /// When the next one is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Time>,
    /// Why no attempt is made any more, or none for a long time: one word of a closed list, docs/reasons.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
    /// What failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureStatus>,
}

/// A failure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailureStatus {
    /// For people.
    pub message: String,
    /// Exit code, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Docker's out-of-memory flag.
    #[serde(rename = "oomKilled", skip_serializing_if = "std::ops::Not::not")]
    pub oom_killed: bool,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// A Hold in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HoldStatus {
    /// The Hold object's name.
    pub name: String,
    /// Only this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only this replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<u32>,
    /// `Stopped` or `Suspended`.
    pub state: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// When it was laid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

impl HoldStatus {
    /// Whether it speaks of that replica.
    pub fn covers(&self, replica: &ReplicaId) -> bool {
        self.service.as_ref().is_none_or(|service| *service == replica.service)
            && self.replica.is_none_or(|number| number == replica.number)
    }
}

/// Where it came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OriginStatus {
    /// The Source it came from, `namespace/name`.
    pub name: String,
    /// File, relative to the source's folder, and the line its document starts at: `web.yaml:1`.
    pub path: String,
    /// The revision that it was changed by last: `main@sha1:..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The last ten revisions that it ran with, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
    /// Why its newest version was not taken; absent when it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is worth a word in it, such as variables that are not set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One action that was done or tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastAction {
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// `start container web-app-1`.
    pub action: String,
    /// Why.
    pub cause: String,
    /// `ok`, or what went wrong.
    pub result: String,
    /// Trace it belongs to, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

//! What is remembered of a Deployment between turns.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Adopted, AdoptedShared, BuildRecord, DECISIONS, Decision, Diagnosis, Experience, FailedRun, FailureKind, FileMarks,
    GoodImage, ImageRecord, ReplicaId, RolledBack, Rung, Suggestion,
};

/// How many last actions are kept.
pub const LAST_ACTIONS: usize = 10;

/// The record of one Deployment. Kept in sled; only [`Memory`] is in the journal too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct History {
    /// By `service-number`.
    pub replicas: BTreeMap<String, ReplicaHistory>,
    /// Failing actions that are tried again at the cap, by subject text (`network web_default`).
    pub obstacles: BTreeMap<String, Obstacle>,
    /// Images, by reference, of which containers were made without the pull that their policy wants: none succeeded since.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub owed_pulls: BTreeSet<String>,
    /// Newest last, at most [`LAST_ACTIONS`].
    pub last_actions: Vec<ActionRecord>,
    /// What is suggested to people, by `service-number`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub suggestions: BTreeMap<String, Suggestion>,
}

/// What cannot be found again on the engine: journaled before anything relies on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Finished runs by `service-number`: they hold for that spec hash, also when the container is gone.
    pub completions: BTreeMap<String, Completion>,
    /// Anonymous volumes by `service-number`, then mount path -> volume name.
    pub volumes: BTreeMap<String, BTreeMap<String, String>>,
    /// Containers that evenkeel did not make and looks after, by `service-number`.
    pub adopted: BTreeMap<String, Adopted>,
    /// Networks and volumes that evenkeel did not make and uses as its own.
    #[serde(skip_serializing_if = "AdoptedShared::is_empty")]
    pub adopted_shared: AdoptedShared,
    /// Contents of mounted files that containers have, by `service-number`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileMarks>,
    /// What evenkeel's own pulls brought, by reference as declared.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, ImageRecord>,
    /// What evenkeel's own builds made, by reference.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub builds: BTreeMap<String, BuildRecord>,
    /// What helped against which failure, and what did not; at most [`EXPERIENCE`](super::EXPERIENCE).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub experience: Vec<Experience>,
    /// The last image with which a service was well, by service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub good: BTreeMap<String, GoodImage>,
    /// Services whose image was taken back to one that worked, by service: two may share one, and fail at different times.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rolled_back: BTreeMap<String, RolledBack>,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// Spec hash it was for.
    pub spec_hash: String,
    /// When it ended.
    pub at: Timestamp,
    /// Exit code: 0, or that of a run-once service that failed.
    pub exit_code: i64,
}

/// Recovery of one replica.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaHistory {
    /// Attempts made since it was last stable. Counted before the start is made.
    pub attempts: u32,
    /// Spec hash the attempts are for.
    pub spec_hash: String,
    /// When the last attempt was made.
    pub last_attempt_at: Option<Timestamp>,
    /// The last failure.
    pub failure: Option<Failure>,
    /// `alertAfter` was reached and told.
    pub alerted: bool,
    /// Giving up was told.
    pub exhausted: bool,
    /// It was told that a person has to mend something, and that it is tried again meanwhile.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub person_called: bool,
    /// Signature of the diagnosis of a failure that was told last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub told_signature: String,
    /// Signature of what is in its way, as it was told last; empty once nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub told_obstacle: String,
    /// The start of the last run in which its probes succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub well_in: Option<Timestamp>,
    /// It was seen running at the last turn.
    pub was_running: bool,
    /// A container of evenkeel's stood for it once: one that `docker compose` puts in its place by hand is taken over.
    pub was_ours: bool,
    /// Attempts of the present series by what was done: more than [`DECISIONS`] may be of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub taken: BTreeMap<Rung, u32>,
    /// What recovery decided, newest last, at most [`DECISIONS`]; those of the present series are the last `attempts` ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
    /// Rungs that a person rejected for the present failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rung>,
}

/// One failure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// For people: `exit code 137`, `start failed: exec: "foo": not found`.
    pub message: String,
    /// Exit code, where there is one.
    pub exit_code: Option<i64>,
    /// Docker's OOM flag.
    pub oom_killed: bool,
    /// It did not end: its probes failed while it ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unhealthy: bool,
    /// The run that failed; empty where it did not come to one.
    #[serde(default)]
    pub run: FailedRun,
    /// What it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// An action that fails for a reason outside the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Obstacle {
    /// What kind.
    pub kind: FailureKind,
    /// For people, holder and remedy included.
    pub message: String,
    /// Tries that failed.
    pub tries: u32,
    /// When it first failed.
    pub since: Timestamp,
    /// When it last failed.
    pub last_at: Timestamp,
    /// Of a build: the digest of what it was built from. Another one is tried at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

/// One action that was done or tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionRecord {
    /// When it ended.
    pub at: Timestamp,
    /// For people: `start container web-app-1`.
    pub action: String,
    /// Why.
    pub cause: String,
    /// `ok`, or what went wrong.
    pub result: String,
    /// Trace it belongs to, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl History {
    /// The record of a replica; an empty one if there is none.
    pub fn replica(&self, id: &ReplicaId) -> ReplicaHistory {
        self.replicas.get(&id.to_string()).cloned().unwrap_or_default()
    }
}

impl ReplicaHistory {
    /// What stays of it when its attempts start over.
    pub fn started_over(&self) -> Self {
        let Self { was_running, was_ours, well_in, .. } = *self;
        Self { was_running, was_ours, well_in, decisions: self.decisions.clone(), ..Self::default() }
    }

    /// The decisions since it was last stable, oldest first.
    pub fn series(&self) -> &[Decision] {
        let known = usize::try_from(self.attempts).unwrap_or(usize::MAX).min(self.decisions.len());
        &self.decisions[self.decisions.len() - known..]
    }

    /// The decision that was carried out last, of the present series.
    pub fn last_decision(&self) -> Option<&Decision> {
        self.series().last()
    }

    /// Keeps a decision; the oldest makes room.
    pub fn keep(&mut self, decision: Decision) {
        self.decisions.push(decision);
        let surplus = self.decisions.len().saturating_sub(DECISIONS);
        self.decisions.drain(..surplus);
    }
}

impl Memory {
    /// The record of a container that was taken over as that replica.
    pub fn adopted(&self, id: &ReplicaId, container_id: &str) -> Option<&Adopted> {
        self.adopted.get(&id.to_string()).filter(|adopted| adopted.container_id == container_id)
    }

    /// Whether that replica has finished for that spec hash.
    pub fn completed(&self, id: &ReplicaId, spec_hash: &str) -> Option<&Completion> {
        self.completions.get(&id.to_string()).filter(|done| done.spec_hash == spec_hash)
    }

    /// Whether it is with that failure that the replica's last finished run ended: that of a run-once service.
    pub fn ended_with(&self, id: &ReplicaId, failure: &Failure) -> bool {
        self.completions.get(&id.to_string()).is_some_and(|done| done.at == failure.at)
    }
}

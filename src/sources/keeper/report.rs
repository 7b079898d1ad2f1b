//! The status of a Source: what came of a look, in conditions. Pure, but for writing it down.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::crd::{Source, SourceStatus};
use crate::model::{Key, Reason, Severity, annotations};
use crate::sources::folder::Results;
use crate::store::{Kind, Part, Store, StoreError};

/// Longest message of a condition.
const LONGEST: usize = 2000;

/// A status that is being made.
#[derive(Debug, Clone)]
pub struct Report {
    status: SourceStatus,
    now: Timestamp,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    ready: Option<bool>,
    stalled: bool,
    /// In one word.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// The revision is in force, as far as its files are right.
    pub in_force: bool,
}

impl Verdict {
    /// Nobody looks.
    pub fn suspended() -> Self {
        let message = "spec.suspend is true: what is in force stays as it is".to_owned();
        Self { ready: None, stalled: false, reason: Reason::Suspended, message, in_force: false }
    }

    /// There is no state to be had.
    pub fn failed(reason: Reason, message: String, stalled: bool) -> Self {
        Self { ready: Some(false), stalled, reason, message, in_force: false }
    }

    /// What the files came to; `obstacles` say what of them could not be put into the working folder.
    pub fn of(results: &Results, revision: &str, empty: bool, obstacles: &[String]) -> Self {
        let (files, failed, deployments) = (results.count(), results.failed(), results.deployments());
        let first = results.first_failure().unwrap_or_default();
        let counted = |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
        if results.withheld {
            let message = format!("{revision} is not taken, since {} of {files} files cannot be used: {first}", failed);
            return Self { ready: Some(false), stalled: true, reason: Reason::CommitWithheld, message, in_force: false };
        }
        if empty {
            let message = format!("{revision} has no manifest there: nothing is pruned (look at spec.path)");
            return Self { ready: Some(false), stalled: true, reason: Reason::NothingDeclared, message, in_force: true };
        }
        if failed > 0 {
            let message = format!("{} of {} cannot be used, the others are in force: {first}", failed, counted(files, "file"));
            return Self { ready: Some(false), stalled: true, reason: Reason::InvalidManifest, message, in_force: true };
        }
        if let Some(first) = obstacles.first() {
            let more = if obstacles.len() > 1 { format!(" (and {} more)", obstacles.len() - 1) } else { String::new() };
            let message =
                format!("{revision} is in force, but not all of its files are where containers mount them: {first}{more}");
            return Self { ready: Some(false), stalled: true, reason: Reason::PathObstructed, message, in_force: true };
        }
        let message = format!("{revision} is in force: {} from {}", counted(deployments, "deployment"), counted(files, "file"));
        Self { ready: Some(true), stalled: false, reason: Reason::Synced, message, in_force: true }
    }
}

impl Verdict {
    /// How bad that is.
    pub fn severity(&self) -> Severity {
        if self.ready == Some(false) { Severity::Warning } else { Severity::Normal }
    }
}

impl Report {
    /// Starts from what was said last.
    pub fn begin(source: &Source, now: Timestamp) -> Self {
        let mut status = source.status.clone().unwrap_or_default();
        status.observed_generation = source.metadata.generation.unwrap_or_default();
        Self { status, now }
    }

    /// It was looked at, as was asked for when this look began.
    pub fn answered(&mut self, source: &Source) {
        let asked = source.metadata.annotations.as_ref().and_then(|all| all.get(annotations::REQUESTED_AT));
        self.status.last_handled_reconcile_at = asked.cloned();
    }

    /// Nothing was ever said.
    pub fn is_new(&self) -> bool {
        self.status.conditions.is_empty()
    }

    /// Whether something is in force.
    pub fn has_revision(&self) -> bool {
        self.status.observed_revision.is_some()
    }

    /// It takes a while, and nothing can be said yet.
    pub fn reconciling(&mut self, message: &str) {
        self.set("Reconciling", Some(true), Reason::Progressing, message);
        self.set("Ready", None, Reason::Progressing, message);
    }

    /// What was tried.
    pub fn attempted(&mut self, revision: &str, notices: Vec<String>) {
        self.status.last_attempted_revision = Some(revision.to_owned());
        self.status.notices = notices;
    }

    /// A revision is in force; whether it is another one than before.
    pub fn observe(&mut self, revision: &str) -> bool {
        let another = self.status.observed_revision.as_deref() != Some(revision);
        if another {
            self.status.observed_revision = Some(revision.to_owned());
            self.status.last_applied_at = Some(Time(self.now));
        }
        another
    }

    /// What came of the files.
    pub fn files(&mut self, results: &Results) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.status.file_count = count(results.count());
        self.status.failed_file_count = count(results.failed());
        if !results.withheld {
            self.status.deployments = count(results.deployments());
        }
        self.status.files = results.listed();
    }

    /// Whether this is not what was said last.
    pub fn would_say(&self, reason: Reason, message: &str) -> bool {
        let ready = self.status.conditions.iter().find(|condition| condition.type_ == "Ready");
        ready.is_none_or(|ready| ready.reason != reason.to_string() || ready.message != message)
    }

    /// What came of it all.
    pub fn conclude(&mut self, verdict: Verdict) {
        self.status.conditions.retain(|condition| condition.type_ != "Reconciling");
        if verdict.stalled {
            self.set("Stalled", Some(true), verdict.reason, &verdict.message);
        } else {
            self.status.conditions.retain(|condition| condition.type_ != "Stalled");
        }
        self.set("Ready", verdict.ready, verdict.reason, &verdict.message);
        self.status.conditions.sort_by_key(|condition| condition.type_ != "Ready");
    }

    fn set(&mut self, kind: &str, status: Option<bool>, reason: Reason, message: &str) {
        let status = match status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = self.status.conditions.iter().position(|condition| condition.type_ == kind);
        let since = before.map(|at| self.status.conditions.remove(at)).filter(|before| before.status == status);
        self.status.conditions.push(Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_string(),
            message: message.chars().take(LONGEST).collect(),
            last_transition_time: since.map_or(Time(self.now), |before| before.last_transition_time),
            observed_generation: Some(self.status.observed_generation),
        });
    }

    /// Writes it where it differs from what is stored.
    ///
    /// # Errors
    /// The store failed. That the Source is gone is none.
    pub async fn write(self, store: &Store, key: &Key) -> Result<(), StoreError> {
        let status = serde_json::to_value(&self.status)
            .map_err(|error| StoreError::Corrupt(format!("the status of Source {key} cannot be written: {error}")))?;
        let put = move |object: &mut serde_json::Value| {
            object["status"] = status;
            Ok::<_, StoreError>(())
        };
        match store.modify(Kind::Source, key, Part::Status, None, put).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

//! Kind `Incident`: one trouble of one Deployment, Source or of the host, from its beginning to its end.

#![expect(clippy::duplicated_attributes, reason = "the columns of kubectl repeat their types")]

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AlertSeverity, Duration};

/// One trouble, from its beginning to its end. Made by evenkeel alone; people acknowledge, silence and close it.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "evenkeel.dev",
    version = "v1alpha1",
    kind = "Incident",
    plural = "incidents",
    singular = "incident",
    shortname = "inc",
    namespaced,
    status = "IncidentStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "One trouble of a Deployment, a Source or the host, from its beginning to its end.",
    printcolumn(name = "Subject", type_ = "string", json_path = ".spec.subject.name"),
    printcolumn(name = "Cause", type_ = "string", json_path = ".spec.cause"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".status.severity"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Attempts", type_ = "integer", json_path = ".status.attempts"),
    printcolumn(name = "Down", type_ = "string", json_path = ".status.downtime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".status.openedAt")
)]
#[serde(rename_all = "camelCase", default)]
pub struct IncidentSpec {
    /// What it is about.
    pub subject: IncidentSubject,
    /// What is wrong, in one word: a diagnosis where there is one. There is one incident at a time for each subject and cause.
    pub cause: String,
    /// Somebody looks after it: it is not told again, but for a worsening and its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Remark>,
    /// It is not told at all, until a time or for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silenced: Option<Remark>,
    /// Somebody declared it over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<Remark>,
}

/// What an incident is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IncidentSubject {
    /// `Deployment`, `Source` or `Host`.
    pub kind: SubjectKind,
    /// Its name, in the incident's namespace; of the host: `host`.
    pub name: String,
    /// Its uid, where it has one: a namesake made later has incidents of its own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// Kinds that have incidents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// A Deployment.
    #[default]
    Deployment,
    /// A Source.
    Source,
    /// The host and its engine.
    Host,
}

/// What a person said of an incident.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Remark {
    /// Who.
    pub by: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
    /// In their words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Of a silence: when it ends. Absent: with the incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// What came of it so far. Kept in the journal: it survives every restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IncidentStatus {
    /// Where it stands.
    pub phase: IncidentPhase,
    /// How bad it got since it was opened last.
    pub severity: AlertSeverity,
    /// The newest word on what is wrong.
    pub summary: String,
    /// What that rests on: the evidence of the newest diagnosis, redacted and cut.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Signature of that diagnosis: the same for every occurrence of the same failure. Empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signature: String,
    /// The replicas it is about, `service-number`, since it was opened last. None: the whole subject.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<String>,
    /// Those of them that are given up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<String>,
    /// How often it got worse: by its severity, or by one more replica that was given up.
    #[serde(skip_serializing_if = "is_zero")]
    pub escalations: u32,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<MicroTime>,
    /// When it was opened last: a trouble that comes back within an hour of its end opens the same incident again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reopened_at: Option<MicroTime>,
    /// Since when what it is about is down, in phase `Open`; absent while it serves all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_since: Option<MicroTime>,
    /// Since when all has been well, in phase `Mended` and after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mended_at: Option<MicroTime>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<MicroTime>,
    /// How long what it is about was down, all times together; grows when it is mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime: Option<Duration>,
    /// Attempts to mend it.
    pub attempts: u32,
    /// How often it was opened, 1 and up.
    pub openings: u32,
    /// The failure that was seen last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_at: Option<MicroTime>,
    /// What happened, oldest first; of a long one the beginning and the last part.
    pub timeline: Vec<TimelineEntry>,
    /// What the Alerts told of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
}

impl IncidentStatus {
    /// How long what it is about was down up to now, in seconds.
    pub fn down_for(&self, now: Timestamp) -> i64 {
        let before = i64::try_from(self.downtime.unwrap_or_default().0.as_secs()).unwrap_or(i64::MAX);
        let since = self.down_since.as_ref().filter(|_| self.phase == IncidentPhase::Open);
        before.saturating_add(since.map_or(0, |since| now.duration_since(since.0).as_secs().max(0)))
    }
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IncidentPhase {
    /// It is so.
    #[default]
    Open,
    /// All is well again, not yet for long enough.
    Mended,
    /// It is over.
    Resolved,
    /// A person declared it over.
    Closed,
}

impl IncidentPhase {
    /// Whether nothing more is expected of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Resolved | Self::Closed)
    }
}

impl Incident {
    /// Who looks after it, if somebody said so since it was opened last.
    pub fn acknowledged(&self) -> Option<&Remark> {
        self.spec.acknowledged.as_ref().filter(|remark| self.is_fresh(remark))
    }

    /// The silence that lies on it: until its time, or until the incident is over.
    pub fn silenced(&self, now: Timestamp) -> Option<&Remark> {
        let holds = |remark: &&Remark| remark.until.as_ref().map_or(self.is_fresh(remark), |until| now < until.0);
        self.spec.silenced.as_ref().filter(holds)
    }

    fn is_fresh(&self, remark: &Remark) -> bool {
        let reopened = self.status.as_ref().and_then(|status| status.reopened_at.as_ref());
        reopened.is_none_or(|reopened| remark.at.as_ref().is_some_and(|at| at.0 >= reopened.0))
    }
}

/// One line of the time line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TimelineEntry {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
    /// In one word: `Opened`, `Escalated`, `Failed`, `Diagnosed` (it comes from something else than was thought), `Mended`, `Reopened`, `Resolved`, `Acknowledged`, `Silenced`, `Closed`.
    pub what: String,
    /// For people.
    pub message: String,
}

/// What an Alert told of an incident.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Told {
    /// The Alert, `namespace/name`.
    pub alert: String,
    /// In which opening.
    pub opening: u32,
    /// How bad it was then.
    pub severity: AlertSeverity,
    /// How often it had got worse by then.
    #[serde(skip_serializing_if = "is_zero")]
    pub escalations: u32,
    /// When, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
    /// How often in this opening.
    pub times: u32,
    /// That it is over was told too.
    pub resolved: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

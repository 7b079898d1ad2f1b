//! Kind `Alert`: what is told to whom, and when.

#![expect(clippy::duplicated_attributes, reason = "the columns of kubectl repeat their types")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// What is told to whom, and when. Without any Alert nothing is sent.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "evenkeel.dev",
    version = "v1alpha1",
    kind = "Alert",
    plural = "alerts",
    singular = "alert",
    namespaced,
    status = "AlertStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "What is told to whom, and when.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity"),
    printcolumn(name = "Channels", type_ = "string", json_path = ".spec.channels"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertSpec {
    /// Where it is sent: names of Channels in the Alert's namespace, or `namespace/name`. At least one.
    pub channels: Vec<String>,
    /// The least that is told. Default `warning`.
    pub severity: AlertSeverity,
    /// Only what happens in these namespaces. Default: in all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Only Deployments with these labels. What is about a Source or the host is not told then. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<AlertSelector>,
    /// Only these causes, as in `spec.cause` of incidents; `Recovered` is the summary after a restart. Default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Time zone of the times of day below, as `Europe/Berlin`. Default `UTC`.
    pub time_zone: String,
    /// Times of the day when only what cannot wait is told. The rest is told afterwards, if it is still so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quiet_hours: Vec<QuietHours>,
    /// Times when nothing is told, not even what is critical. What is still so afterwards is told then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<MaintenanceWindow>,
    /// Tell it again as long as it lasts, nobody acknowledged it, and this long after the last time. Default: once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_interval: Option<Duration>,
    /// Tell when it is over what was told before. Default true.
    pub resolved: bool,
    /// The words. Default: those of evenkeel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<AlertTemplate>,
    /// Reports on what was down, for how long and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reports: Option<Reports>,
    /// Tell nothing. Default false.
    pub suspend: bool,
}

/// How bad something is, in ascending order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// Being mended: worth a line in a list.
    Info,
    /// Somebody should look.
    #[default]
    Warning,
    /// It does not go on without a person.
    Critical,
}

impl AlertSeverity {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Labels that a Deployment must have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AlertSelector {
    /// All of these, with these values.
    pub match_labels: BTreeMap<String, String>,
}

/// Times of the day when only what cannot wait is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuietHours {
    /// Time of day they begin, `22:00`.
    pub from: String,
    /// Time of day they end, `07:00`; if it is not later than `from`, on the next day.
    pub to: String,
    /// Days they begin on. Default: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// What is as bad as this is told all the same. Default `critical`.
    #[serde(default = "critical")]
    pub except: AlertSeverity,
}

/// Days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "days")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time when nothing is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MaintenanceWindow {
    /// When it begins (RFC 3339).
    pub from: Time,
    /// When it ends (RFC 3339).
    pub to: Time,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Words of a message, as minijinja templates. One that cannot be used is told in the Alert's status, and evenkeel's own words
/// are sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AlertTemplate {
    /// One line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Reports, at times of the Alert's time zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Reports {
    /// Each day at this time, `08:00`: on the 24 hours before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily: Option<String>,
    /// Each week at this day and time, `Mon 08:00`: on the seven days before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly: Option<String>,
}

/// Whether it can do its work. Written only when it differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertStatus {
    /// `metadata.generation` that this status speaks of.
    pub observed_generation: i64,
    /// `Ready`: all its Channels are there and its templates can be used.
    pub conditions: Vec<Condition>,
}

impl Default for AlertSpec {
    fn default() -> Self {
        Self {
            channels: Vec::new(),
            severity: AlertSeverity::Warning,
            namespaces: Vec::new(),
            selector: None,
            causes: Vec::new(),
            time_zone: "UTC".to_owned(),
            quiet_hours: Vec::new(),
            maintenance: Vec::new(),
            repeat_interval: None,
            resolved: true,
            template: None,
            reports: None,
            suspend: false,
        }
    }
}

fn critical() -> AlertSeverity {
    AlertSeverity::Critical
}

//! What is told: a notice for machines, and its words for people. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::crd::{self, Alert, AlertSeverity, Incident, IncidentStatus, SubjectKind};
use crate::incident::fold::rounded;
use crate::model::Key;

/// Longest text; what is more is cut off. All receivers take as much.
const LONGEST: usize = 1800;

/// What is told. Its JSON is the body of webhooks, and what templates see.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Notice {
    /// The same for each attempt to deliver it, also after a restart of the operator: who has it already may drop it.
    pub id: String,
    /// What kind of news it is.
    pub kind: News,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// `Deployment`, `Source` or `Host`.
    pub subject_kind: SubjectKind,
    /// Namespace of what it is about.
    pub namespace: String,
    /// Name of what it is about.
    pub name: String,
    /// What is wrong, in one word.
    pub cause: String,
    /// Name of the incident, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// What is wrong, for people.
    pub summary: String,
    /// What that rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The same for every occurrence of the same failure; empty where there is no diagnosis.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signature: String,
    /// Attempts to mend it.
    pub attempts: u32,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    /// How long it lasted, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime: Option<String>,
    /// When this was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The host that tells it.
    pub host: String,
    /// One line for people.
    pub title: String,
    /// The rest for people.
    pub text: String,
}

/// Kinds of news.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// Something is wrong.
    #[default]
    Opened,
    /// It got worse.
    Escalated,
    /// It came back.
    Reopened,
    /// It still is so.
    Repeated,
    /// It is over.
    Resolved,
    /// What came back after a restart of the host or the daemon.
    Recovered,
    /// Much at once, in one message.
    Several,
    /// A report.
    Report,
    /// Somebody asked for it.
    Test,
}

/// An id made of what makes a notice itself.
pub fn id_of(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\u{0}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Notice {
    /// News of an incident, as one Alert tells it on one Channel; `times`: how often this opening was told before.
    pub fn of_incident(news: News, incident: &Incident, alert: &Alert, channel: &Key, times: u32, now: Timestamp) -> Self {
        let empty = IncidentStatus::default();
        let status = incident.status.as_ref().unwrap_or(&empty);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let incident_name = text(&incident.metadata.name);
        let what = format!("{news:?}/{}/{}/{times}", status.openings, status.severity.word());
        let alert = alert.metadata.uid.as_deref().unwrap_or_default();
        let uid = text(&incident.metadata.uid);
        let mut notice = Self {
            id: id_of(&[&uid, &incident_name, alert, &channel.to_string(), &what]),
            kind: news,
            severity: status.severity,
            subject_kind: incident.spec.subject.kind,
            namespace: text(&incident.metadata.namespace),
            name: incident.spec.subject.name.clone(),
            cause: incident.spec.cause.clone(),
            incident: Some(incident_name),
            summary: status.summary.clone(),
            evidence: status.evidence.clone(),
            signature: status.signature.clone(),
            attempts: status.attempts,
            opened_at: status.opened_at.as_ref().map(|at| at.0),
            downtime: status.downtime.filter(|_| news == News::Resolved).map(|span| rounded(span).to_string()),
            at: Some(now),
            ..Self::default()
        };
        notice.word(incident);
        notice
    }

    /// A test of a Channel.
    pub fn test(channel: &Key, uid: &str, asked: &str, now: Timestamp) -> Self {
        Self {
            id: id_of(&[uid, "test", asked]),
            kind: News::Test,
            severity: AlertSeverity::Info,
            subject_kind: SubjectKind::Host,
            namespace: channel.namespace.clone(),
            name: channel.name.clone(),
            cause: "Test".into(),
            summary: "a test, asked for with `evenkeel notify test`".into(),
            at: Some(now),
            title: format!("evenkeel: test of channel {channel}"),
            text: "This is a test, asked for with `evenkeel notify test`. If you can read it, the channel works.".into(),
            ..Self::default()
        }
    }

    /// Much at once, in one message.
    pub fn several(parts: &[&Self], now: Timestamp) -> Self {
        let ids: Vec<&str> = parts.iter().map(|part| part.id.as_str()).collect();
        let worst = parts.iter().map(|part| part.severity).max().unwrap_or_default();
        let title = format!("[{}] {} messages at once", worst.word(), parts.len());
        let lines: Vec<String> = parts.iter().map(|part| format!("- {}", part.title)).collect();
        Self {
            id: id_of(&ids),
            kind: News::Several,
            severity: worst,
            subject_kind: SubjectKind::Host,
            namespace: "default".into(),
            name: "host".into(),
            cause: "Several".into(),
            summary: title.clone(),
            at: Some(now),
            host: parts.first().map(|part| part.host.clone()).unwrap_or_default(),
            title,
            text: cut(&format!("{}\nLook: evenkeel incident list --open -A", lines.join("\n")), LONGEST),
            ..Self::default()
        }
    }

    /// The summary after a restart of the host or the daemon.
    pub fn recovered(id: String, message: &str, now: Timestamp) -> Self {
        Self {
            id,
            kind: News::Recovered,
            severity: AlertSeverity::Warning,
            subject_kind: SubjectKind::Host,
            namespace: "default".into(),
            name: "host".into(),
            cause: crate::incident::cause::RECOVERED.into(),
            summary: message.into(),
            at: Some(now),
            title: format!("evenkeel: {}", cut(message, 120)),
            text: cut(message, LONGEST),
            ..Self::default()
        }
    }

    /// Where it came from is known to the sender only.
    pub fn from_host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Evenkeel's own words.
    fn word(&mut self, incident: &Incident) {
        let key = Key::new(&self.namespace, &self.name);
        let subject = match self.subject_kind {
            SubjectKind::Deployment => key.to_string(),
            SubjectKind::Source => format!("source {key}"),
            SubjectKind::Host => "the host".to_owned(),
        };
        let (severity, cause) = (self.severity.word(), self.cause.as_str());
        let lasted = self.downtime.as_ref().map(|lasted| format!(", down for {lasted}")).unwrap_or_default();
        self.title = match self.kind {
            News::Opened => format!("[{severity}] {subject}: {cause}"),
            News::Escalated => format!("[{severity}] {subject}: {cause}, worse than before"),
            News::Reopened => format!("[{severity}] {subject}: {cause}, again"),
            News::Repeated => format!("[{severity}] {subject}: still {cause}"),
            _ => format!("[resolved] {subject}: {cause}{lasted}"),
        };
        let mut lines = Vec::new();
        let last = incident.status.as_ref().and_then(|status| status.timeline.last());
        if self.kind == News::Resolved {
            let over = last.map(|entry| format!("{}: {}", entry.what, entry.message));
            lines.push(over.unwrap_or_else(|| "It is over.".into()));
            lines.push(format!("Was: {}", self.summary));
        } else {
            lines.push(self.summary.clone());
            let beyond = |line: &&String| !self.summary.contains(line.as_str());
            lines.extend(self.evidence.iter().filter(beyond).map(|line| format!("- {line}")));
        }
        if self.attempts > 0 {
            lines.push(format!("Attempts to recover it: {}", self.attempts));
        }
        if let Some(opened) = self.opened_at {
            lines.push(format!("Since: {}", opened.strftime("%Y-%m-%d %H:%M:%S UTC")));
        }
        if let Some(incident) = self.incident.as_deref().filter(|_| self.kind != News::Resolved) {
            let flag = if self.namespace == "default" { String::new() } else { format!(" -n {}", self.namespace) };
            let look = match self.subject_kind {
                SubjectKind::Deployment => format!("evenkeel describe {}{flag}", self.name),
                SubjectKind::Source => format!("evenkeel describe source {}{flag}", self.name),
                SubjectKind::Host => "evenkeel doctor".to_owned(),
            };
            lines.push(format!("Look: {look}"));
            lines.push(format!("Acknowledge: evenkeel incident ack {incident}{flag}"));
        }
        self.text = cut(&lines.join("\n"), LONGEST);
    }
}

/// A text that is not longer than so many bytes.
pub fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = (0..=longest.saturating_sub(3)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &text[..end])
}

/// How long something lasts, in the two largest units that matter.
pub fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    let coarse = match seconds {
        0..3600 => seconds,
        3600..86_400 => seconds / 60 * 60,
        _ => seconds / 3600 * 3600,
    };
    crd::Duration::from_secs(coarse).to_string()
}

//! Rows of incidents, channels and alerts.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::created;
use crate::cli::output::{Look, span};
use crate::crd::{Alert, Channel, Incident, IncidentStatus};

/// Columns of incidents.
pub const INCIDENTS: &[&str] = &["NAME", "SUBJECT", "CAUSE", "SEVERITY", "PHASE", "ATTEMPTS", "DOWN", "AGE", "WHAT"];

/// A row of an incident.
pub fn incident_row(look: &Look, incident: &Incident) -> Vec<String> {
    let status = incident.status.clone().unwrap_or_default();
    vec![
        incident.metadata.name.clone().unwrap_or_default(),
        subject(incident),
        incident.spec.cause.clone(),
        status.severity.word().to_owned(),
        phase(incident, look.now),
        status.attempts.to_string(),
        down(&status, look.now),
        look.age(status.opened_at.as_ref().map(|at| at.0)),
        status.summary.lines().next().unwrap_or_default().to_owned(),
    ]
}

/// `deployment/web`, `source/shop`, `host`.
pub fn subject(incident: &Incident) -> String {
    let subject = &incident.spec.subject;
    match format!("{:?}", subject.kind).to_lowercase().as_str() {
        "host" => "host".to_owned(),
        kind => format!("{kind}/{}", subject.name),
    }
}

/// Where it stands, with what people said of it.
pub fn phase(incident: &Incident, now: Timestamp) -> String {
    let phase = incident.status.as_ref().map(|status| status.phase).unwrap_or_default();
    let said = match () {
        () if phase.is_over() => "",
        () if incident.silenced(now).is_some() => ", silenced",
        () if incident.acknowledged().is_some() => ", acknowledged",
        () => "",
    };
    format!("{phase:?}{said}")
}

/// How long it was down, up to now.
pub fn down(status: &IncidentStatus, now: Timestamp) -> String {
    span(status.down_for(now))
}

/// A row of a channel.
pub fn channel_row(look: &Look, channel: &Channel) -> Vec<String> {
    let status = channel.status.clone().unwrap_or_default();
    let last = status.last_delivered_at.as_ref();
    vec![
        channel.metadata.name.clone().unwrap_or_default(),
        ready(&status.conditions),
        channel.spec.kind().to_owned(),
        status.server.clone(),
        status.queued.to_string(),
        status.delivered.to_string(),
        last.map(|at| look.age(Some(at.0))).unwrap_or_default(),
        look.age(created(&channel.metadata)),
        why(&status.conditions),
    ]
}

/// A row of an alert.
pub fn alert_row(look: &Look, alert: &Alert) -> Vec<String> {
    let conditions = alert.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    vec![
        alert.metadata.name.clone().unwrap_or_default(),
        ready(&conditions),
        alert.spec.severity.word().to_owned(),
        alert.spec.channels.join(","),
        look.age(created(&alert.metadata)),
        why(&conditions),
    ]
}

fn ready(conditions: &[Condition]) -> String {
    conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone())
}

fn why(conditions: &[Condition]) -> String {
    let wrong = conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status != "True");
    wrong.map(|ready| format!("{}: {}", ready.reason, ready.message.lines().next().unwrap_or_default())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Columns, Resource, render};
    use crate::cli::output::Look;

    #[test]
    fn incidents_channels_and_alerts_are_listed_with_what_is_worth_knowing() {
        let look = Look { color: false, width: None, now: "2026-08-21T12:00:00Z".parse().unwrap() };
        let plain = Columns { wide: false, namespace: false };
        let incidents = vec![
            json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "web-crashed-1a2b3"},
                "spec": {"subject": {"kind": "Deployment", "name": "web"}, "cause": "Crashed",
                    "acknowledged": {"by": "cli:ada", "at": "2026-08-21T11:59:00.000000Z"}},
                "status": {"phase": "Open", "severity": "critical", "summary": "given up", "attempts": 10, "openings": 1,
                    "openedAt": "2026-08-21T11:50:00.000000Z", "downSince": "2026-08-21T11:50:00.000000Z"}}),
            json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "host-engineunavailable-0c0c0"},
                "spec": {"subject": {"kind": "Host", "name": "host"}, "cause": "EngineUnavailable"},
                "status": {"phase": "Resolved", "severity": "critical", "summary": "no answer", "openings": 1,
                    "openedAt": "2026-08-20T11:50:00.000000Z", "downtime": "1m30s"}}),
        ];
        insta::assert_snapshot!("incidents", render(&look, Resource::Incidents, incidents, plain).unwrap());
        let channel = json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Channel",
            "metadata": {"name": "ops", "creationTimestamp": "2026-08-21T09:00:00Z"},
            "spec": {"slack": {"urlFrom": {"file": "/etc/evenkeel/slack"}}},
            "status": {"server": "hooks.slack.com", "queued": 2, "delivered": 7, "lastDeliveredAt": "2026-08-21T11:00:00Z",
                "conditions": [{"type": "Ready", "status": "False", "reason": "Undeliverable",
                    "message": "hooks.slack.com answered 500", "lastTransitionTime": "2026-08-21T11:30:00Z"}]}});
        insta::assert_snapshot!("channels", render(&look, Resource::Channels, vec![channel], plain).unwrap());
        let alert = json!({"apiVersion": "evenkeel.dev/v1alpha1", "kind": "Alert",
            "metadata": {"name": "all", "creationTimestamp": "2026-08-21T09:00:00Z"}, "spec": {"channels": ["ops", "infra/mail"]}});
        insta::assert_snapshot!("alerts", render(&look, Resource::Alerts, vec![alert], plain).unwrap());
    }
}

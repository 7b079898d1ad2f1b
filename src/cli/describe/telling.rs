//! `evenkeel describe incident`, `channel` and `alert`.

use anyhow::Context;
use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

use super::{conditions, events};
use crate::cli::client::{Api, encode, list_path, object_path};
use crate::cli::failure::Failure;
use crate::cli::get::telling::{down, phase, subject};
use crate::cli::get::{created, order};
use crate::cli::output::{Look, plain, print, table};
use crate::crd::{Alert, AlertSpec, Channel, Incident, IncidentStatus, Remark};

/// How the kinds may be called, and their plurals.
pub const KINDS: [(&[&str], &str); 3] = [
    (&["incident", "incidents", "inc"], "incidents"),
    (&["channel", "channels", "chan"], "channels"),
    (&["alert", "alerts"], "alerts"),
];

/// Describes one, of the kind with this plural.
pub async fn describe(api: &Api, plural: &str, namespace: &str, name: &str) -> Result<(), Failure> {
    let object = api.get(&object_path(plural, namespace, name, None)).await?;
    let look = Look::of_stdout();
    let text = match plural {
        "channels" => {
            let about = encode(&format!("involvedObject.name={name},involvedObject.kind=Channel"));
            let events = api.get(&format!("{}?fieldSelector={about}", list_path("events", Some(namespace)))).await?;
            channel(&look, object, events)
        }
        "alerts" => alert(&look, object),
        _ => incident(&look, object),
    };
    print(&text.context("the operator's answer has an unexpected shape; is it of another version than this command?")?)
}

/// Heading, then lines of a label and a text; what is empty is left out.
fn summary(look: &Look, heading: &str, lines: &[(&str, String)]) -> String {
    let lines = lines.iter().filter(|(_, text)| !text.is_empty());
    let lines: String = lines.map(|(label, text)| format!("  {:<11}{text}\n", format!("{label}:"))).collect();
    format!("{}\n{lines}", look.heading(heading))
}

fn section(look: &Look, title: &str, body: String) -> Option<String> {
    (!body.is_empty()).then(|| format!("{}\n{body}", look.heading(title)))
}

fn incident(look: &Look, object: Value) -> Result<String, serde_json::Error> {
    let incident: Incident = serde_json::from_value(object)?;
    let status = incident.status.clone().unwrap_or_default();
    let (name, namespace) = names(&incident.metadata);
    let opened = status.opened_at.as_ref().map(|at| format!("{} ago, {}", look.age(Some(at.0)), at.0)).unwrap_or_default();
    let again = if status.openings > 1 { format!(", {} times", status.openings) } else { String::new() };
    let said = |remark: &Option<Remark>| remark.as_ref().map(|remark| said(look, remark)).unwrap_or_default();
    let lines = [
        ("Phase", look.word(&phase(&incident, look.now))),
        ("Severity", look.word(status.severity.word())),
        ("About", subject(&incident)),
        ("Cause", incident.spec.cause.clone()),
        ("Replicas", status.replicas.join(", ")),
        ("What", plain(status.summary.lines().next().unwrap_or_default())),
        ("Opened", format!("{opened}{again}")),
        ("Down", down(&status, look.now)),
        ("Attempts", if status.attempts == 0 { String::new() } else { status.attempts.to_string() }),
        ("Acknowledged", said(&incident.spec.acknowledged)),
        ("Silenced", said(&incident.spec.silenced)),
        ("Closed", said(&incident.spec.closed)),
    ];
    let evidence: String = status.evidence.iter().map(|line| format!("  {}\n", plain(line))).collect();
    let sections = [
        Some(summary(look, &format!("Incident {name}, namespace {namespace}"), &lines)),
        section(look, "Time line", timeline(look, &status)),
        section(look, "Evidence", evidence),
        section(
            look,
            "Signature",
            if status.signature.is_empty() { String::new() } else { format!("  {}\n", plain(&status.signature)) },
        ),
        section(look, "Told", told(look, &status)),
    ];
    Ok(sections.into_iter().flatten().collect::<Vec<_>>().join("\n"))
}

fn said(look: &Look, remark: &Remark) -> String {
    let until = remark.until.as_ref().map(|until| format!(", until {}", until.0)).unwrap_or_default();
    let note = if remark.note.is_empty() { String::new() } else { format!(": {}", plain(&remark.note)) };
    format!(" by {}, {} ago{until}{note}", remark.by, look.age(remark.at.as_ref().map(|at| at.0)))
}

fn timeline(look: &Look, status: &IncidentStatus) -> String {
    let age = |at: Option<jiff::Timestamp>| look.age(at);
    let row = |entry: &crate::crd::TimelineEntry| {
        vec![age(entry.at.as_ref().map(|at| at.0)), look.word(&entry.what), plain(&entry.message)]
    };
    let rows: Vec<Vec<String>> = status.timeline.iter().map(row).collect();
    if rows.is_empty() { String::new() } else { table(look, "  ", &["AGE", "WHAT", "MESSAGE"], rows) }
}

fn told(look: &Look, status: &IncidentStatus) -> String {
    let row = |told: &crate::crd::Told| {
        let what = if told.resolved { "that it is over".to_owned() } else { told.severity.word().to_owned() };
        vec![look.age(told.at.as_ref().map(|at| at.0)), told.alert.clone(), what, told.times.to_string()]
    };
    let rows: Vec<Vec<String>> = status.told.iter().map(row).collect();
    if rows.is_empty() { String::new() } else { table(look, "  ", &["AGE", "ALERT", "TOLD", "TIMES"], rows) }
}

fn channel(look: &Look, object: Value, mut told: Value) -> Result<String, serde_json::Error> {
    let channel: Channel = serde_json::from_value(object)?;
    let mut told: Vec<Event> = serde_json::from_value(told["items"].take())?;
    told.sort_by_key(order);
    let status = channel.status.clone().unwrap_or_default();
    let (name, namespace) = names(&channel.metadata);
    let last = status.last_delivered_at.as_ref().map(|at| format!("{} ago", look.age(Some(at.0)))).unwrap_or_default();
    let failure = status.failure.as_ref().map(|failure| {
        let next = failure.next_at.as_ref().map(|at| format!(", next attempt {}", look.until(at.0))).unwrap_or_default();
        format!("{} (attempt {}{next})", plain(&failure.message), failure.tries)
    });
    let test = status.test.as_ref().map(|test| plain(&test.message)).unwrap_or_default();
    let lines = [
        ("Type", channel.spec.kind().to_owned()),
        ("Server", status.server.clone()),
        ("Suspended", if channel.spec.suspend { "true".to_owned() } else { String::new() }),
        ("Waiting", status.queued.to_string()),
        ("Delivered", status.delivered.to_string()),
        ("Given up", if status.given_up == 0 { String::new() } else { status.given_up.to_string() }),
        ("Last", last),
        ("Failing", failure.unwrap_or_default()),
        ("Last test", test),
        ("Age", look.age(created(&channel.metadata))),
    ];
    let sections = [
        Some(summary(look, &format!("Channel {name}, namespace {namespace}"), &lines)),
        section(look, "Conditions", conditions(look, &status.conditions)),
        section(look, "Events", events(look, &told)),
    ];
    Ok(sections.into_iter().flatten().collect::<Vec<_>>().join("\n"))
}

fn alert(look: &Look, object: Value) -> Result<String, serde_json::Error> {
    let alert: Alert = serde_json::from_value(object)?;
    let (name, namespace) = names(&alert.metadata);
    let AlertSpec { channels, severity, namespaces, selector, causes, time_zone, quiet_hours, maintenance, reports, .. } =
        &alert.spec;
    let labels = selector.iter().flat_map(|selector| &selector.match_labels).map(|(name, value)| format!("{name}={value}"));
    let quiet = quiet_hours.iter().map(|hours| {
        let days = if hours.days.is_empty() { String::new() } else { format!(" {:?}", hours.days) };
        format!("{} to {}{days}, but for {}", hours.from, hours.to, hours.except.word())
    });
    let windows = maintenance.iter().map(|window| format!("{} to {} {}", window.from.0, window.to.0, window.reason));
    let reports = reports.iter().flat_map(|reports| {
        let daily = reports.daily.as_ref().map(|at| format!("daily at {at}"));
        daily.into_iter().chain(reports.weekly.as_ref().map(|at| format!("weekly on {at}")))
    });
    let join = |items: Vec<String>| items.join(", ");
    let lines = [
        ("Channels", channels.join(", ")),
        ("Severity", format!("{} and worse", severity.word())),
        ("Namespaces", namespaces.join(", ")),
        ("Labels", join(labels.collect())),
        ("Causes", causes.join(", ")),
        ("Quiet", join(quiet.collect())),
        ("Maintenance", join(windows.collect())),
        ("Reports", join(reports.collect())),
        ("Repeat", alert.spec.repeat_interval.map(|interval| format!("every {interval}")).unwrap_or_default()),
        ("Time zone", time_zone.clone()),
        ("Suspended", if alert.spec.suspend { "true".to_owned() } else { String::new() }),
        ("Age", look.age(created(&alert.metadata))),
    ];
    let status = alert.status.clone().unwrap_or_default();
    let sections = [
        Some(summary(look, &format!("Alert {name}, namespace {namespace}"), &lines)),
        section(look, "Conditions", conditions(look, &status.conditions)),
    ];
    Ok(sections.into_iter().flatten().collect::<Vec<_>>().join("\n"))
}

fn names(metadata: &kube::core::ObjectMeta) -> (String, String) {
    (metadata.name.clone().unwrap_or_default(), metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look() -> Look {
        Look { color: false, width: None, now: "2026-08-21T12:00:00Z".parse().unwrap() }
    }

    #[test]
    fn an_incident_is_described_with_its_time_line() {
        let at = |time: &str| format!("2026-08-21T{time}.000000Z");
        let object = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "web-crashed-1a2b3", "namespace": "shop"},
            "spec": {"subject": {"kind": "Deployment", "name": "web"}, "cause": "Crashed",
                "acknowledged": {"by": "cli:ada", "at": at("11:55:00"), "note": "looking"}},
            "status": {"phase": "Resolved", "severity": "critical", "summary": "replica app-1 failed: exit code 1", "attempts": 4,
                "openings": 2, "openedAt": at("11:50:00"), "downtime": "8m10s",
                "evidence": ["replica app-1 failed: exit code 1"],
                "timeline": [
                    {"at": at("11:50:00"), "what": "Opened", "message": "replica app-1 failed: exit code 1"},
                    {"at": at("11:51:00"), "what": "Escalated", "message": "warning: replica app-1 failed: exit code 1"},
                    {"at": at("11:59:00"), "what": "Resolved", "message": "it was down for 8m10s"}],
                "told": [{"alert": "default/ops", "opening": 2, "severity": "critical", "at": at("11:59:00"), "times": 2, "resolved": true}]},
        });
        insta::assert_snapshot!("incident", incident(&look(), object).unwrap());
    }

    #[test]
    fn a_channel_in_trouble_and_an_alert_are_described() {
        let object = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Channel",
            "metadata": {"name": "ops", "namespace": "default", "creationTimestamp": "2026-08-21T09:00:00Z"},
            "spec": {"slack": {"urlFrom": {"file": "/etc/evenkeel/slack"}}},
            "status": {"type": "slack", "server": "hooks.slack.com", "queued": 2, "delivered": 7, "givenUp": 1,
                "lastDeliveredAt": "2026-08-21T11:00:00Z",
                "failure": {"message": "hooks.slack.com answered 500", "tries": 3, "nextAt": "2026-08-21T12:00:08Z"}},
        });
        insta::assert_snapshot!("channel", channel(&look(), object, json!({"items": []})).unwrap());
        let object = json!({
            "apiVersion": "evenkeel.dev/v1alpha1", "kind": "Alert",
            "metadata": {"name": "night", "namespace": "default", "creationTimestamp": "2026-08-21T09:00:00Z"},
            "spec": {"channels": ["ops"], "severity": "critical", "selector": {"matchLabels": {"team": "sea"}}, "timeZone": "Europe/Berlin",
                "quietHours": [{"from": "22:00", "to": "07:00"}], "repeatInterval": "4h", "reports": {"daily": "08:00", "weekly": "Mon 08:00"}},
        });
        insta::assert_snapshot!("alert", alert(&look(), object).unwrap());
    }
}

//! What is told to whom, and when. Pure.
//!
//! Level-triggered: what an incident is now is held against what each Alert told of it. A message that could not be told then (quiet
//! hours, a silence, an Alert that came later) is told at the next look, if it still is so, and none is told twice.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::notice::{News, Notice};
use crate::crd::{Alert, AlertSeverity, AlertSpec, Incident, IncidentPhase, IncidentStatus, SubjectKind, Told, times};
use crate::model::Key;

/// What is to be sent, and to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The Alert that wants it.
    pub alert: Key,
    /// Where it goes.
    pub channel: Key,
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// What.
    pub notice: Notice,
}

/// What came of a look at one incident.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Routed {
    /// To be sent.
    pub drafts: Vec<Draft>,
    /// What the Alerts told of the incident, once that is done.
    pub told: Vec<Told>,
    /// When time alone may bring something.
    pub look_again: Option<Timestamp>,
}

/// What is to be told of an incident. `labels` are those of its Deployment.
pub fn route(incident: &Incident, labels: &BTreeMap<String, String>, alerts: &[Alert], now: Timestamp) -> Routed {
    let empty = IncidentStatus::default();
    let status = incident.status.as_ref().unwrap_or(&empty);
    let mut routed = Routed { told: status.told.clone(), ..Routed::default() };
    if let Some(silence) = incident.silenced(now).filter(|_| !status.phase.is_over()) {
        routed.look_again = silence.until.as_ref().map(|until| until.0);
        return routed;
    }
    for alert in alerts {
        let name = key_of(alert).to_string();
        let told = routed.told.iter().find(|told| told.alert == name);
        let wants = matches(&alert.spec, incident, labels);
        match due(incident, status, &alert.spec, told, now) {
            Due::Nothing => {}
            // Who was told that it is so is told of its end, also when it came to have another cause.
            Due::Now(News::Resolved) if !alert.spec.suspend && !wants => {
                tell(&mut routed, incident, alert, News::Resolved, now);
            }
            _ if !wants => {}
            Due::Later(at) => note(&mut routed.look_again, at),
            Due::Now(news) => {
                let severity = told.map_or(status.severity, |told| told.severity.max(status.severity));
                if let Some(end) = muted_until(&alert.spec, severity, now) {
                    note(&mut routed.look_again, end);
                    continue;
                }
                tell(&mut routed, incident, alert, news, now);
                if let Some(interval) = alert.spec.repeat_interval.filter(|_| news != News::Resolved) {
                    note(&mut routed.look_again, now.saturating_add(interval.0).unwrap_or(now));
                }
            }
        }
    }
    routed
}

/// Whether there is something to tell.
enum Due {
    Nothing,
    Later(Timestamp),
    Now(News),
}

fn due(incident: &Incident, status: &IncidentStatus, alert: &AlertSpec, told: Option<&Told>, now: Timestamp) -> Due {
    let this_time = told.filter(|told| told.opening == status.openings);
    match (status.phase, this_time) {
        (IncidentPhase::Open, _) if status.severity < alert.severity => Due::Nothing,
        (IncidentPhase::Open, None) if told.is_some() => Due::Now(News::Reopened),
        (IncidentPhase::Open, None) => Due::Now(News::Opened),
        (IncidentPhase::Open, Some(told)) if told.severity < status.severity || told.escalations < status.escalations => {
            Due::Now(News::Escalated)
        }
        (IncidentPhase::Open, Some(told)) => match (alert.repeat_interval, &told.at) {
            (Some(interval), Some(at)) if incident.acknowledged().is_none() => {
                let due = at.0.saturating_add(interval.0).unwrap_or(now);
                if now >= due { Due::Now(News::Repeated) } else { Due::Later(due) }
            }
            _ => Due::Nothing,
        },
        (IncidentPhase::Resolved | IncidentPhase::Closed, Some(told)) if !told.resolved && alert.resolved => {
            Due::Now(News::Resolved)
        }
        _ => Due::Nothing,
    }
}

fn tell(routed: &mut Routed, incident: &Incident, alert: &Alert, news: News, now: Timestamp) {
    let (key, openings) = (key_of(alert), incident.status.as_ref().map_or(1, |status| status.openings));
    let (severity, escalations) =
        incident.status.as_ref().map_or((AlertSeverity::Info, 0), |status| (status.severity, status.escalations));
    let name = key.to_string();
    let before = routed.told.iter().position(|told| told.alert == name).map(|at| routed.told.remove(at));
    let before = before.filter(|told| told.opening == openings).unwrap_or_default();
    for channel in channels(alert) {
        let notice = Notice::of_incident(news, incident, alert, &channel, before.times, now);
        routed.drafts.push(Draft { alert: key.clone(), channel, not_before: None, notice });
    }
    routed.told.push(Told {
        alert: name,
        opening: openings,
        severity,
        escalations,
        at: Some(MicroTime(now)),
        times: before.times + 1,
        resolved: news == News::Resolved,
    });
}

/// Something that is told once: to all Alerts that want it, after their quiet hours. `notice` makes it for a Channel.
pub fn announce(
    alerts: &[Alert],
    severity: AlertSeverity,
    cause: &str,
    now: Timestamp,
    notice: impl Fn(&Alert, &Key) -> Notice,
) -> Vec<Draft> {
    let wants = |alert: &&Alert| {
        let spec = &alert.spec;
        !spec.suspend
            && severity >= spec.severity
            && spec.selector.is_none()
            && (spec.causes.is_empty() || spec.causes.iter().any(|wanted| wanted == cause))
            && (spec.namespaces.is_empty() || spec.namespaces.iter().any(|namespace| namespace == "default"))
    };
    let to_all = |alert: &Alert| {
        let not_before = muted_until(&alert.spec, severity, now);
        let draft = |channel: Key| {
            let notice = notice(alert, &channel);
            Draft { alert: key_of(alert), channel, not_before, notice }
        };
        channels(alert).into_iter().map(draft).collect::<Vec<_>>()
    };
    alerts.iter().filter(wants).flat_map(to_all).collect()
}

/// Whether an Alert is about an incident, whatever its severity.
pub fn matches(alert: &AlertSpec, incident: &Incident, labels: &BTreeMap<String, String>) -> bool {
    let namespace = incident.metadata.namespace.as_deref().unwrap_or("default");
    let selected = |selector: &crate::crd::AlertSelector| {
        incident.spec.subject.kind == SubjectKind::Deployment
            && selector.match_labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    };
    !alert.suspend
        && (alert.namespaces.is_empty() || alert.namespaces.iter().any(|wanted| wanted == namespace))
        && (alert.causes.is_empty() || alert.causes.contains(&incident.spec.cause))
        && alert.selector.as_ref().is_none_or(selected)
}

/// Until when an Alert keeps quiet about something so bad; `None`: it does not.
pub fn muted_until(alert: &AlertSpec, severity: AlertSeverity, now: Timestamp) -> Option<Timestamp> {
    let zone = times::zone(&alert.time_zone)?;
    let windows = alert.maintenance.iter().filter(|window| window.from.0 <= now && now < window.to.0).map(|window| window.to.0);
    let quiet = alert.quiet_hours.iter().filter(|hours| severity < hours.except).filter_map(|hours| hours.end(now, &zone));
    windows.chain(quiet).max()
}

/// The Channels of an Alert.
pub fn channels(alert: &Alert) -> Vec<Key> {
    let namespace = alert.metadata.namespace.as_deref().unwrap_or("default");
    let key = |name: &String| match name.split_once('/') {
        Some((namespace, name)) => Key::new(namespace, name),
        None => Key::new(namespace, name),
    };
    alert.spec.channels.iter().map(key).collect()
}

/// Namespace and name of an Alert.
pub fn key_of(alert: &Alert) -> Key {
    let metadata = &alert.metadata;
    Key::new(metadata.namespace.as_deref().unwrap_or("default"), metadata.name.as_deref().unwrap_or_default())
}

fn note(earliest: &mut Option<Timestamp>, at: Timestamp) {
    *earliest = Some(earliest.map_or(at, |known| known.min(at)));
}

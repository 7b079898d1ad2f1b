//! From figures to alerts: fine, pending, firing, resolved. Pure: what was, what is found now and the time say what comes of it.
//!
//! *Guarantees.* Nothing fires that was not seen beyond its threshold for the whole of its time: a gap in what is seen begins that
//! time anew. What fires goes on through gaps, and until the figure is back behind the hysteresis; between the two nothing changes.
//! What nobody looks at any more (a container that is gone, a rule that was taken out) is over.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::crd::{AlertSeverity, AlertState, ResourceAlert, ResourceCause};

/// How long one that is over is shown.
pub const SHOWN: SignedDuration = SignedDuration::from_mins(10);

/// How a figure is to its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Past it.
    Beyond,
    /// On the right side, but not by the hysteresis.
    Near,
    /// On the right side.
    Calm,
    /// There is no figure.
    Unknown,
}

impl Level {
    /// Of a figure that should not be above `limit`; `hysteresis` is a share, 0 to 1.
    pub fn under(figure: f64, limit: f64, hysteresis: f64) -> Self {
        match () {
            () if figure > limit => Self::Beyond,
            () if figure > limit * (1.0 - hysteresis) => Self::Near,
            () => Self::Calm,
        }
    }

    /// Of a figure that should not be below `limit`.
    pub fn over(figure: f64, limit: f64, hysteresis: f64) -> Self {
        match () {
            () if figure < limit => Self::Beyond,
            () if figure < limit * (1.0 + hysteresis) => Self::Near,
            () => Self::Calm,
        }
    }
}

/// One figure held against one rule, now.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What it would be.
    pub cause: ResourceCause,
    /// Of which figure.
    pub metric: &'static str,
    /// Of what.
    pub subject: String,
    /// How it is.
    pub level: Level,
    /// How long it must be so.
    pub lasting: Duration,
    /// How bad that would be.
    pub severity: AlertSeverity,
    /// The figure and its threshold, for people.
    pub message: String,
}

/// What names an alert.
type Id = (ResourceCause, String, String);

/// The alerts of a Deployment or of the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    alerts: Vec<ResourceAlert>,
    /// When those that are pending were last seen beyond.
    seen: BTreeMap<Id, Timestamp>,
}

impl Watched {
    /// As they were written down. Those that were pending begin anew: nobody looked meanwhile.
    pub fn restored(alerts: Vec<ResourceAlert>) -> Self {
        Self { alerts, seen: BTreeMap::new() }
    }

    /// What there is to show, in order of cause and subject. What is pending is shown from its second figure on: one that dances about
    /// its threshold is no news.
    pub fn shown(&self) -> Vec<ResourceAlert> {
        let is_shown = |alert: &&ResourceAlert| {
            let since = alert.since.as_ref().map(|since| since.0);
            alert.state != AlertState::Pending || self.seen.get(&id_of(alert)).copied() > since
        };
        self.alerts.iter().filter(is_shown).cloned().collect()
    }

    /// Takes in what is found now. `gap`: so long without a look is a gap. Returns what fires now and did not, and what is over and
    /// fired.
    pub fn step(&mut self, checks: &[Check], now: Timestamp, gap: SignedDuration) -> Vec<ResourceAlert> {
        let mut before: BTreeMap<Id, ResourceAlert> =
            std::mem::take(&mut self.alerts).into_iter().map(|alert| (id_of(&alert), alert)).collect();
        let seen = std::mem::take(&mut self.seen);
        let mut after = BTreeMap::new();
        let mut turned = vec![];
        for check in checks {
            let id = (check.cause, check.metric.to_owned(), check.subject.clone());
            let known = before.remove(&id);
            let last = seen.get(&id).copied().filter(|last| *last <= now && now.duration_since(*last) <= gap);
            let Some(alert) = next(known.clone(), check, last, now) else { continue };
            let news = known.is_none_or(|known| known.state != alert.state);
            if news && alert.state != AlertState::Pending {
                turned.push(alert.clone());
            }
            if let Some(at) = if check.level == Level::Beyond { Some(now) } else { last } {
                self.seen.insert(id.clone(), at);
            }
            after.insert(id, alert);
        }
        for (id, known) in before {
            let Some(alert) = unwatched(known.clone(), now) else { continue };
            if alert.state != known.state {
                turned.push(alert.clone());
            }
            after.insert(id, alert);
        }
        self.alerts = after.into_values().collect();
        turned
    }
}

fn id_of(alert: &ResourceAlert) -> Id {
    (alert.cause, alert.metric.clone(), alert.subject.clone())
}

/// What becomes of one alert. `last`: when it was last seen beyond, with no gap since.
fn next(known: Option<ResourceAlert>, check: &Check, last: Option<Timestamp>, now: Timestamp) -> Option<ResourceAlert> {
    match (known, check.level) {
        (Some(known), Level::Calm) if known.state == AlertState::Firing => Some(resolved(known, &check.message, now)),
        (Some(known), _) if known.state == AlertState::Firing => Some(ResourceAlert { severity: check.severity, ..known }),
        (Some(known), Level::Beyond) if known.state == AlertState::Pending && last.is_some() => {
            let since = known.since.clone().map_or(now, |since| since.0);
            if lasts(since, check.lasting, now) { Some(begun(check, AlertState::Firing, since, now)) } else { Some(known) }
        }
        (_, Level::Beyond) if check.lasting.is_zero() => Some(begun(check, AlertState::Firing, now, now)),
        (_, Level::Beyond) => Some(begun(check, AlertState::Pending, now, now)),
        (Some(known), Level::Unknown) if known.state == AlertState::Pending && last.is_some() => Some(known),
        (Some(known), _) => still_shown(known, now),
        (None, _) => None,
    }
}

fn lasts(since: Timestamp, lasting: Duration, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|passed| passed >= lasting)
}

fn begun(check: &Check, state: AlertState, since: Timestamp, now: Timestamp) -> ResourceAlert {
    let long = if check.lasting.is_zero() { String::new() } else { format!(" for {}", crate::crd::Duration(check.lasting)) };
    let long = if state == AlertState::Firing { long } else { String::new() };
    ResourceAlert {
        cause: check.cause,
        subject: check.subject.clone(),
        metric: check.metric.to_owned(),
        state,
        severity: check.severity,
        message: format!("{}{long}", check.message),
        since: Some(Time(since)),
        firing_at: (state == AlertState::Firing).then_some(Time(now)),
        resolved_at: None,
    }
}

fn resolved(known: ResourceAlert, message: &str, now: Timestamp) -> ResourceAlert {
    ResourceAlert { state: AlertState::Resolved, message: message.to_owned(), resolved_at: Some(Time(now)), ..known }
}

/// Nobody looks at it any more.
fn unwatched(known: ResourceAlert, now: Timestamp) -> Option<ResourceAlert> {
    match known.state {
        AlertState::Firing => {
            let message = format!("{} does not run any more, or this is not watched any more", known.subject);
            Some(resolved(known, &message, now))
        }
        AlertState::Pending | AlertState::Resolved => still_shown(known, now),
    }
}

fn still_shown(known: ResourceAlert, now: Timestamp) -> Option<ResourceAlert> {
    let until = known.resolved_at.as_ref().and_then(|at| at.0.checked_add(SHOWN).ok());
    until.is_some_and(|until| now < until).then_some(known)
}

#[cfg(test)]
mod tests;

//! Reports: what was down in a day or a week, for how long and why. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::notice::{News, Notice, cut, id_of, span};
use super::route::{self, Draft};
use crate::crd::times::{Weekly, daily_before, time_of_day, zone};
use crate::crd::{Alert, AlertSeverity, Incident, IncidentPhase, SubjectKind};
use crate::model::Key;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A report that is later than this is left out: its day is over.
const LATEST: SignedDuration = SignedDuration::from_hours(12);
/// Lines in a report; the longest troubles come first.
const LINES: usize = 25;

/// The two kinds of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// On 24 hours.
    Day,
    /// On seven days.
    Week,
}

impl Period {
    /// As it stands in a title.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "daily",
            Self::Week => "weekly",
        }
    }

    fn length(self) -> SignedDuration {
        match self {
            Self::Day => DAY,
            Self::Week => WEEK,
        }
    }
}

/// The reports of an Alert that are due: which, and for which moment. `sent` says which moment was served last; an Alert that is
/// new owes nothing for the time before it.
pub fn due(alert: &Alert, sent: impl Fn(Period) -> Option<Timestamp>, now: Timestamp) -> Vec<(Period, Timestamp)> {
    let Some((reports, zone)) = alert.spec.reports.as_ref().filter(|_| !alert.spec.suspend).zip(zone(&alert.spec.time_zone))
    else {
        return vec![];
    };
    let made = alert.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    let daily = reports.daily.as_deref().and_then(time_of_day).and_then(|time| daily_before(time, now, &zone));
    let weekly = reports.weekly.as_deref().and_then(Weekly::read).and_then(|weekly| weekly.before(now, &zone));
    let slots = [(Period::Day, daily), (Period::Week, weekly)];
    let owed = |(period, slot): (Period, Option<Timestamp>)| {
        let slot = slot?;
        let served = sent(period).unwrap_or(made) >= slot;
        (!served && now.duration_since(slot) < LATEST).then_some((period, slot))
    };
    slots.into_iter().filter_map(owed).collect()
}

/// When the next report is due.
pub fn next(alert: &Alert, now: Timestamp) -> Option<Timestamp> {
    let zone = zone(&alert.spec.time_zone)?;
    let reports = alert.spec.reports.as_ref()?;
    let daily = reports.daily.as_deref().and_then(time_of_day);
    let daily = daily.and_then(|time| first_after(now, 24, |at| daily_before(time, at, &zone)));
    let weekly = reports.weekly.as_deref().and_then(Weekly::read);
    let weekly = weekly.and_then(|weekly| first_after(now, 7 * 24, |at| weekly.before(at, &zone)));
    [daily, weekly].into_iter().flatten().min()
}

/// The first moment after `now`, given what finds the last one before a time. A day may have an hour more than others.
fn first_after(now: Timestamp, hours: i64, before: impl Fn(Timestamp) -> Option<Timestamp>) -> Option<Timestamp> {
    let later = |hours| now.checked_add(SignedDuration::from_hours(hours)).ok();
    (1..=hours + 2).find_map(|hours| before(later(hours)?).filter(|at| *at > now))
}

/// The messages of a report.
pub fn drafts(
    alert: &Alert,
    (period, slot): (Period, Timestamp),
    incidents: &[(Incident, BTreeMap<String, String>)],
    now: Timestamp,
) -> Vec<Draft> {
    let (title, text) = words(&alert.spec, period, slot, incidents);
    let draft = |channel: Key| {
        let uid = alert.metadata.uid.as_deref().unwrap_or_default();
        let notice = Notice {
            id: id_of(&[uid, "report", period.word(), &slot.to_string(), &channel.to_string()]),
            kind: News::Report,
            severity: AlertSeverity::Info,
            subject_kind: SubjectKind::Host,
            namespace: "default".into(),
            name: "host".into(),
            cause: "Report".into(),
            summary: title.clone(),
            at: Some(now),
            title: format!("evenkeel: {title}"),
            text: text.clone(),
            ..Notice::default()
        };
        Draft { alert: route::key_of(alert), channel, not_before: None, notice }
    };
    route::channels(alert).into_iter().map(draft).collect()
}

/// Title and text.
fn words(
    alert: &crate::crd::AlertSpec,
    period: Period,
    slot: Timestamp,
    incidents: &[(Incident, BTreeMap<String, String>)],
) -> (String, String) {
    let from = slot.saturating_sub(period.length()).unwrap_or(slot);
    let matching = incidents.iter().filter(|(incident, labels)| route::matches(alert, incident, labels));
    let mut lines: Vec<(Duration, bool, String)> = matching.filter_map(|(incident, _)| line(incident, from, slot)).collect();
    lines.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.2.cmp(&b.2)));
    let open = lines.iter().filter(|(_, open, ..)| *open).count();
    let was_down = || lines.iter().map(|(lasted, ..)| *lasted).filter(|lasted| !lasted.is_zero());
    let down = match was_down().count() {
        0 => "nothing was down".to_owned(),
        1 => format!("down for {}", span(was_down().sum())),
        _ => format!("down for {} together", span(was_down().sum())),
    };
    let title = match lines.len() {
        0 => format!("{} report: {down}", period.word()),
        1 => format!("{} report: 1 incident, {down}", period.word()),
        many => format!("{} report: {many} incidents, {down}, {open} open", period.word()),
    };
    let head = format!("{} to {} UTC", from.strftime("%Y-%m-%d %H:%M"), slot.strftime("%Y-%m-%d %H:%M"));
    let more = lines.len().saturating_sub(LINES);
    let shown = lines.into_iter().take(LINES).map(|(_, _, line)| line);
    let rest = (more > 0).then(|| format!("and {more} more"));
    let text: Vec<String> = std::iter::once(head).chain(shown).chain(rest).collect();
    (title, cut(&text.join("\n"), 3500))
}

/// One incident that was open within the period: how long something was down in it, whether it still is, and its line.
fn line(incident: &Incident, from: Timestamp, to: Timestamp) -> Option<(Duration, bool, String)> {
    let status = incident.status.as_ref()?;
    let opened = status.opened_at.as_ref()?.0;
    let ended = status.mended_at.as_ref().or(status.resolved_at.as_ref()).map_or(to, |at| at.0);
    if opened >= to || ended <= from {
        return None;
    }
    let whole = status.downtime.unwrap_or_default().0;
    let since = |at: Timestamp| Duration::try_from(to.duration_since(at.max(from))).unwrap_or_default();
    let lasted = whole + status.down_since.as_ref().map_or(Duration::ZERO, |at| since(at.0));
    // What of it lay before the period is not known to the second: no more than the period is told.
    let lasted = lasted.min(Duration::try_from(ended.min(to).duration_since(opened.max(from))).unwrap_or_default());
    let open = status.phase == IncidentPhase::Open;
    let name = Key::new(incident.metadata.namespace.as_deref().unwrap_or("default"), &incident.spec.subject.name);
    let times = if status.openings > 1 { format!(", {} times", status.openings) } else { String::new() };
    let still = if open { ", still open" } else { "" };
    let summary = cut(status.summary.lines().next().unwrap_or_default(), 160);
    let line = format!("- {name}: {}, {}{times}{still}: {summary}", incident.spec.cause, span(lasted));
    Some((lasted, open, line))
}

//! The fold itself.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use sha2::{Digest, Sha256};

use super::facts::{Facts, Finding};
use super::lay;
use crate::crd::{self, AlertSeverity, Incident, IncidentPhase, IncidentSpec, IncidentStatus, TimelineEntry};
use crate::model::DIAGNOSED_WITHIN;

/// A trouble that comes back within this time of its end opens the same incident again.
const REOPEN_WITHIN: Duration = Duration::from_secs(3600);
/// The longest an end must last to be called so.
const LONGEST_SETTLE: Duration = Duration::from_secs(3600);
/// Lines of a time line: of a long one the first ones and the last ones are kept.
const TIMELINE: usize = 50;
const TIMELINE_HEAD: usize = 10;
/// Pieces of evidence kept.
const EVIDENCE: usize = 10;
/// A moment later.
const NEXT_LOOK: Duration = Duration::from_millis(1);

/// What came of a look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folded {
    /// Incidents that are new or different.
    pub changed: Vec<Incident>,
    /// When time alone may change one.
    pub look_again: Option<Timestamp>,
}

/// What becomes of a subject's incidents, given how it is now. `previous` are all that are stored of it.
pub fn fold(previous: &[Incident], facts: &Facts, now: Timestamp) -> Folded {
    let same = |incident: &&Incident| {
        let subject = &incident.spec.subject;
        (subject.kind, &subject.name, &subject.uid) == (facts.subject.kind, &facts.subject.name, &facts.subject.uid)
    };
    let mut incidents: Vec<Incident> = previous.iter().filter(same).cloned().collect();
    incidents.iter_mut().for_each(|incident| hear_people(status(incident), now));
    let mut look_again = Earliest::default();
    for finding in &facts.findings {
        observe(&mut incidents, previous, facts, finding, now, &mut look_again);
    }
    for incident in &mut incidents {
        settle(incident, facts, now, &mut look_again);
    }
    let known = |incident: &Incident| previous.iter().any(|old| old == incident);
    Folded { changed: incidents.into_iter().filter(|incident| !known(incident)).collect(), look_again: look_again.0 }
}

/// The nearest of some times.
#[derive(Default)]
struct Earliest(Option<Timestamp>);

impl Earliest {
    fn note(&mut self, at: Timestamp) {
        self.0 = Some(self.0.map_or(at, |earliest| earliest.min(at)));
    }
}

/// An incident's parts as the fold changes them.
struct Parts<'a> {
    spec: &'a IncidentSpec,
    status: &'a mut IncidentStatus,
}

fn status(incident: &mut Incident) -> Parts<'_> {
    Parts { spec: &incident.spec, status: incident.status.get_or_insert_default() }
}

/// What people said is carried into the time line, and an incident that was closed is.
fn hear_people(incident: Parts<'_>, now: Timestamp) {
    let Parts { spec, status } = incident;
    let said = [("Acknowledged", &spec.acknowledged), ("Silenced", &spec.silenced), ("Closed", &spec.closed)];
    for (what, remark) in said.into_iter().filter_map(|(what, remark)| Some((what, remark.as_ref()?))) {
        if status.timeline.iter().any(|entry| entry.what == what && entry.at == remark.at) {
            continue;
        }
        let until = remark.until.as_ref().map(|until| format!(" until {}", until.0)).unwrap_or_default();
        let note = if remark.note.is_empty() { String::new() } else { format!(": {}", remark.note) };
        push(status, remark.at.as_ref().map_or(now, |at| at.0), what, format!("by {}{until}{note}", remark.by));
        if what == "Closed" && !status.phase.is_over() {
            end_downtime(status, now);
            status.phase = IncidentPhase::Closed;
            status.resolved_at = Some(MicroTime(now));
        }
    }
}

/// Lays a finding to the incident of its cause, or makes one.
fn observe(
    incidents: &mut Vec<Incident>,
    previous: &[Incident],
    facts: &Facts,
    finding: &Finding,
    now: Timestamp,
    look_again: &mut Earliest,
) {
    let Some(incident) = lay::incident_of(incidents, facts, finding) else {
        if let Some(due) = diagnosed_by(finding, now) {
            return look_again.note(due);
        }
        return open(incidents, previous, facts, finding, now, look_again);
    };
    let turned = incident.spec.cause != finding.cause && !finding.unread;
    if turned {
        incident.spec.cause.clone_from(&finding.cause);
    }
    let status = status(incident).status;
    // Made, and cut off by a SIGKILL before its status was written.
    if status.openings == 0 {
        return begin(status, finding, now, look_again);
    }
    if turned {
        push(status, now, "Diagnosed", format!("{}: {}", finding.cause, finding.summary));
    }
    // A failure of the past proves nothing by itself once it was seen; what lasts is so now.
    let failed_anew = is_newer(finding, status);
    let counts = finding.lasting || failed_anew;
    match status.phase {
        IncidentPhase::Open => again(status, finding, failed_anew && !turned, now, look_again),
        IncidentPhase::Mended if counts => again(status, finding, !turned, now, look_again),
        _ if !counts => {}
        // Closed while it was so: it is the same trouble until all has been well in between.
        IncidentPhase::Closed if status.mended_at.is_none() => note_failure(status, finding),
        IncidentPhase::Resolved if within(status.resolved_at.as_ref(), now) => reopen(status, finding, now, look_again),
        _ => open(incidents, previous, facts, finding, now, look_again),
    }
}

/// Until when a failure waits for its diagnosis; `None`: it does not any more.
fn diagnosed_by(finding: &Finding, now: Timestamp) -> Option<Timestamp> {
    let failed_at = finding.failed_at.filter(|_| finding.unread)?;
    // Also by a clock that was set back since.
    let is_fresh = now.duration_since(failed_at).unsigned_abs() < DIAGNOSED_WITHIN;
    is_fresh.then(|| after(failed_at, DIAGNOSED_WITHIN))
}

fn is_newer(finding: &Finding, status: &IncidentStatus) -> bool {
    finding.failed_at.is_some_and(|at| status.last_failure_at.as_ref().is_none_or(|last| last.0 < at))
}

fn within(resolved_at: Option<&MicroTime>, now: Timestamp) -> bool {
    resolved_at.is_some_and(|at| elapsed(at.0, now) < REOPEN_WITHIN)
}

fn open(
    incidents: &mut Vec<Incident>,
    previous: &[Incident],
    facts: &Facts,
    finding: &Finding,
    now: Timestamp,
    look_again: &mut Earliest,
) {
    let spec = IncidentSpec { subject: facts.subject.clone(), cause: finding.cause.clone(), ..IncidentSpec::default() };
    let taken: Vec<&Incident> = previous.iter().chain(incidents.iter()).collect();
    let mut incident = Incident::new(&name(&taken, facts, &finding.cause, now), spec);
    incident.metadata.namespace = Some(facts.namespace.clone());
    begin(status(&mut incident).status, finding, now, look_again);
    incidents.push(incident);
}

fn begin(status: &mut IncidentStatus, finding: &Finding, now: Timestamp, look_again: &mut Earliest) {
    status.severity = AlertSeverity::Info;
    status.opened_at = Some(MicroTime(now));
    status.openings = 1;
    push(status, now, "Opened", finding.summary.clone());
    learn(status, finding, now);
    weigh(status, finding, now, look_again);
}

fn reopen(status: &mut IncidentStatus, finding: &Finding, now: Timestamp, look_again: &mut Earliest) {
    status.phase = IncidentPhase::Open;
    status.openings += 1;
    status.severity = AlertSeverity::Info;
    status.reopened_at = Some(MicroTime(now));
    status.replicas.clear();
    status.given_up.clear();
    status.mended_at = None;
    status.resolved_at = None;
    push(status, now, "Reopened", finding.summary.clone());
    learn(status, finding, now);
    weigh(status, finding, now, look_again);
}

/// It is still so, or failed again.
fn again(status: &mut IncidentStatus, finding: &Finding, told: bool, now: Timestamp, look_again: &mut Earliest) {
    if told {
        let attempt = if finding.attempts > 0 { format!(", attempt {}", finding.attempts) } else { String::new() };
        push(status, now, "Failed", format!("{}{attempt}", finding.summary));
    }
    if status.phase == IncidentPhase::Mended {
        status.phase = IncidentPhase::Open;
        status.mended_at = None;
    }
    learn(status, finding, now);
    weigh(status, finding, now, look_again);
}

/// What the finding adds to what is known. What serves all the same is not down meanwhile.
fn learn(status: &mut IncidentStatus, finding: &Finding, now: Timestamp) {
    note_failure(status, finding);
    if finding.serves {
        end_downtime(status, now);
    } else {
        status.down_since.get_or_insert(MicroTime(now));
    }
    let new = finding.replicas.iter().filter(|replica| !status.replicas.contains(replica)).cloned().collect::<Vec<_>>();
    status.replicas.extend(new);
    // What is known by its diagnosis is not overlaid by a failure of which only the end is known.
    if !finding.unread || status.signature.is_empty() {
        status.summary.clone_from(&finding.summary);
        status.evidence = finding.evidence.iter().take(EVIDENCE).cloned().collect();
        status.signature.clone_from(&finding.signature);
    }
}

fn note_failure(status: &mut IncidentStatus, finding: &Finding) {
    status.attempts = finding.attempts;
    status.last_failure_at = finding.failed_at.map(MicroTime).max(status.last_failure_at.take());
}

/// It only gets worse as long as it is open.
fn weigh(status: &mut IncidentStatus, finding: &Finding, now: Timestamp, look_again: &mut Earliest) {
    if let Some(due) = diagnosed_by(finding, now) {
        return look_again.note(due);
    }
    let since = status.down_since.as_ref().or(status.reopened_at.as_ref()).or(status.opened_at.as_ref()).map_or(now, |at| at.0);
    let due = after(since, finding.patience);
    if now < due {
        return look_again.note(due);
    }
    // One more that is given up is told, however bad it was before.
    let worse = finding.severity > status.severity;
    let one_more = finding.given_up.iter().any(|replica| !status.given_up.contains(replica));
    status.given_up = finding.given_up.iter().cloned().collect();
    if worse || one_more {
        status.severity = finding.severity.max(status.severity);
        status.escalations += 1;
        push(status, now, "Escalated", format!("{}: {}", status.severity.word(), finding.summary));
    }
}

/// What time and a subject that is well make of an incident.
fn settle(incident: &mut Incident, facts: &Facts, now: Timestamp, look_again: &mut Earliest) {
    let is_well = lay::is_well(incident, facts);
    let is_remembered = lay::is_remembered(incident, facts);
    let wanted = lay::wanted(incident, facts);
    let is_forgotten = is_well && !is_remembered || wanted.is_some();
    let status = status(incident).status;
    match (wanted, status.phase) {
        (Some(why), IncidentPhase::Open | IncidentPhase::Mended) => resolve(status, now, why),
        // What was well again before it was known is told first, and called mended with the next look.
        (_, IncidentPhase::Open) if is_well && has_news(status, now) => look_again.note(after(now, NEXT_LOOK)),
        (_, IncidentPhase::Open) if is_well => {
            end_downtime(status, now);
            status.phase = IncidentPhase::Mended;
            status.mended_at = Some(MicroTime(now));
            // In a crash loop it is well for a moment each time, which is no news.
            if !is_remembered {
                push(status, now, "Mended", "it is well again".to_owned());
            }
            look_again.note(after(now, settle_time(facts, status)));
        }
        (_, IncidentPhase::Mended) if is_well && !is_remembered => {
            let mended = status.mended_at.as_ref().map_or(now, |at| at.0);
            let due = after(mended, settle_time(facts, status));
            if now < due {
                return look_again.note(due);
            }
            let lasted = status.downtime.filter(|lasted| !lasted.0.is_zero());
            let what =
                lasted.map_or("it was ready all the while".to_owned(), |lasted| format!("it was down for {}", rounded(lasted)));
            resolve(status, now, what);
        }
        // In a crash loop it is well for a moment each time: closed, it stays so until its failures are forgotten.
        (_, IncidentPhase::Closed) if is_forgotten && status.mended_at.is_none() => status.mended_at = Some(MicroTime(now)),
        _ => {}
    }
}

/// Whether something came to it right now.
fn has_news(status: &IncidentStatus, now: Timestamp) -> bool {
    status.timeline.last().is_some_and(|entry| entry.at == Some(MicroTime(now)))
}

/// How long it must be well: twice as long each time it came back.
fn settle_time(facts: &Facts, status: &IncidentStatus) -> Duration {
    let doublings = status.openings.saturating_sub(1).min(20);
    facts.settle.saturating_mul(1 << doublings).min(LONGEST_SETTLE.max(facts.settle))
}

fn resolve(status: &mut IncidentStatus, now: Timestamp, message: String) {
    end_downtime(status, now);
    status.phase = IncidentPhase::Resolved;
    status.resolved_at = Some(MicroTime(now));
    push(status, now, "Resolved", message);
}

fn end_downtime(status: &mut IncidentStatus, now: Timestamp) {
    if let Some(since) = status.down_since.take() {
        let before = status.downtime.unwrap_or_default().0;
        status.downtime = Some(crd::Duration(before + elapsed(since.0, now)));
    }
}

fn push(status: &mut IncidentStatus, at: Timestamp, what: &str, message: String) {
    status.timeline.push(TimelineEntry { at: Some(MicroTime(at)), what: what.to_owned(), message });
    if status.timeline.len() > TIMELINE {
        status.timeline.remove(TIMELINE_HEAD);
    }
}

/// `<subject>-<cause>-<five digits>`, as no other incident of the subject is called: there are so many over time that five digits
/// do meet.
fn name(known: &[&Incident], facts: &Facts, cause: &str, now: Timestamp) -> String {
    let subject: String = facts.subject.name.chars().take(180).collect();
    let start = format!("{}-{}", subject.trim_end_matches(['-', '.']), cause.to_lowercase());
    let taken = |name: &String| known.iter().any(|incident| incident.metadata.name.as_ref() == Some(name));
    let mut names = (0..).map(|salt: u32| {
        let digest = Sha256::digest(format!("{:?} {} {cause} {now} {salt}", facts.subject, facts.namespace));
        let digits: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
        format!("{start}-{}", &digits[..5])
    });
    names.find(|name| !taken(name)).unwrap_or(start)
}

/// A span for people: whole seconds, or what there is below one.
pub fn rounded(span: crd::Duration) -> crd::Duration {
    let whole = span.0.as_secs();
    if whole == 0 {
        crd::Duration(Duration::from_millis(u64::try_from(span.0.as_millis()).unwrap_or(0)))
    } else {
        crd::Duration::from_secs(whole)
    }
}

fn after(at: Timestamp, span: Duration) -> Timestamp {
    at.saturating_add(span).unwrap_or(at)
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

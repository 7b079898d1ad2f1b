//! Which incident a finding belongs to, and what of an incident's own is well. Pure.

use super::cause::CRASHED;
use super::facts::{Facts, Finding, State};
use crate::crd::{Incident, IncidentPhase, IncidentStatus};
use crate::model::ReplicaId;

/// The incident that a finding is laid to; `None`: there is none yet.
///
/// That of its cause, if it lives; else one in which a replica of it goes on failing: its failures are one trouble until they are
/// forgotten, also when the next one turns out to come from something else, and when a person closed it meanwhile; else the last one
/// of its cause that is over.
pub(super) fn incident_of<'i>(incidents: &'i mut [Incident], facts: &Facts, finding: &Finding) -> Option<&'i mut Incident> {
    let of_cause = |incident: &Incident| is_of(incident, finding);
    let goes_on = |incident: &Incident| {
        let taken = facts.findings.iter().any(|other| is_of(incident, other));
        finding.failed_at.is_some() && fails_in(incident, finding) && (finding.unread || !taken)
    };
    let choices: [&dyn Fn(&Incident) -> bool; 3] = [
        &|incident| lives(incident) && of_cause(incident),
        &|incident| (lives(incident) || is_closed_amid(incident)) && goes_on(incident),
        &of_cause,
    ];
    let index = choices.iter().find_map(|choice| {
        let fitting = incidents.iter().enumerate().filter(|(_, incident)| choice(incident));
        fitting.max_by_key(|(_, incident)| status(incident).and_then(|status| status.opened_at.as_ref()).map(|at| at.0))
    });
    let (index, _) = index?;
    incidents.get_mut(index)
}

/// Whether what an incident is about is well, whatever is wrong beside it.
pub(super) fn is_well(incident: &Incident, facts: &Facts) -> bool {
    let Some(status) = status(incident) else { return false };
    let is_so = facts.findings.iter().any(|finding| finding.lasting && is_of(incident, finding));
    if is_so || facts.state == State::Unseen {
        return false;
    }
    if status.replicas.is_empty() {
        return facts.state == State::Fine;
    }
    // One that ails for another reason by now has an incident of that.
    let ails_of_another = |replica: &String| {
        let mut others = facts.findings.iter().filter(|finding| !finding.unread && !is_of(incident, finding));
        others.any(|finding| finding.replicas.contains(replica))
    };
    status.replicas.iter().all(|replica| !facts.ailing.contains(replica) || ails_of_another(replica))
}

/// Whether a failure of it is not forgotten yet.
pub(super) fn is_remembered(incident: &Incident, facts: &Facts) -> bool {
    let of_it = |finding: &Finding| is_of(incident, finding) || finding.unread && fails_in(incident, finding);
    facts.findings.iter().any(of_it)
}

/// Why nobody is to be called for what an incident is about: people want all of it so.
pub(super) fn wanted(incident: &Incident, facts: &Facts) -> Option<String> {
    if let State::Wanted(why) = &facts.state {
        return Some(why.clone());
    }
    let replicas = &status(incident).filter(|status| !status.replicas.is_empty())?.replicas;
    let why: Option<Vec<&str>> = replicas.iter().map(|replica| facts.held.get(replica).map(String::as_str)).collect();
    why.map(|why| why.join(", "))
}

/// Whether a finding is what an incident is of: the same cause, and the same service where each fails by itself. An older version
/// laid several services to one: it goes on as that of the first.
fn is_of(incident: &Incident, finding: &Finding) -> bool {
    let replicas = status(incident).map(|status| status.replicas.as_slice()).unwrap_or_default();
    let is_of_service =
        |service: &String| replicas.first().is_none_or(|id| id.parse::<ReplicaId>().is_ok_and(|id| id.service == *service));
    incident.spec.cause == finding.cause && finding.service.as_ref().is_none_or(is_of_service)
}

fn lives(incident: &Incident) -> bool {
    status(incident).is_none_or(|status| !status.phase.is_over())
}

/// Whether a person closed it while its trouble lasts, which it still does.
fn is_closed_amid(incident: &Incident) -> bool {
    status(incident).is_some_and(|status| status.phase == IncidentPhase::Closed && status.mended_at.is_none())
}

/// Whether an incident is of failures, one of the same replica among them. One that an older version opened names no replicas: it
/// was of whichever failed.
fn fails_in(incident: &Incident, finding: &Finding) -> bool {
    status(incident).is_some_and(|status| {
        let names_none = status.replicas.is_empty() && incident.spec.cause == CRASHED;
        let failed = status.last_failure_at.is_some();
        failed && (names_none || status.replicas.iter().any(|replica| finding.replicas.contains(replica)))
    })
}

fn status(incident: &Incident) -> Option<&IncidentStatus> {
    incident.status.as_ref()
}

//! Which incident a finding belongs to, and what of an incident's own is well. Pure.

use super::cause::CRASHED;
use super::facts::{Facts, Finding, State};
use crate::crd::{Incident, IncidentPhase, IncidentStatus};

/// The incident that a finding is laid to; `None`: there is none yet.
///
/// That of its cause, if it lives; else one in which a replica of it goes on failing: its failures are one trouble until they are
/// forgotten, also when the next one turns out to come from something else, and when a person closed it meanwhile; else the last one
/// of its cause that is over.
pub(super) fn incident_of<'i>(incidents: &'i mut [Incident], facts: &Facts, finding: &Finding) -> Option<&'i mut Incident> {
    let of_cause = |incident: &Incident| incident.spec.cause == finding.cause;
    let goes_on = |incident: &Incident| {
        let taken = facts.findings.iter().any(|other| other.cause == incident.spec.cause);
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
    let is_so = facts.findings.iter().any(|finding| finding.lasting && finding.cause == incident.spec.cause);
    if is_so || facts.state == State::Unseen {
        return false;
    }
    if status.replicas.is_empty() {
        return facts.state == State::Fine;
    }
    // One that ails for another reason by now has an incident of that.
    let ails_of_another = |replica: &String| {
        let mut others = facts.findings.iter().filter(|finding| !finding.unread && finding.cause != incident.spec.cause);
        others.any(|finding| finding.replicas.contains(replica))
    };
    status.replicas.iter().all(|replica| !facts.ailing.contains(replica) || ails_of_another(replica))
}

/// Whether a failure of it is not forgotten yet.
pub(super) fn is_remembered(incident: &Incident, facts: &Facts) -> bool {
    let of_it = |finding: &Finding| finding.cause == incident.spec.cause || finding.unread && fails_in(incident, finding);
    facts.findings.iter().any(of_it)
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

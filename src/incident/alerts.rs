//! Figures beyond their thresholds as incidents: each cause by itself, beside what `Ready` says. A container that runs and uses too
//! much is ready all the same, and one that is not ready may use no more than it should.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::cause::Weight;
use super::facts::{Facts, Finding, State};
use super::fold::{self, Folded};
use crate::crd::{AlertState, Incident, ResourceAlert, ResourceCause};

/// What becomes of a subject's incidents, given how it is now. `previous` are all that are stored of it.
pub fn fold(previous: &[Incident], facts: &Facts, now: Timestamp) -> Folded {
    if facts.alerts.is_empty() && !previous.iter().any(|incident| is_of_figures(&incident.spec.cause)) {
        return fold::fold(previous, facts, now);
    }
    let (of_figures, others): (Vec<Incident>, Vec<Incident>) =
        previous.iter().cloned().partition(|incident| is_of_figures(&incident.spec.cause));
    let mut folded = fold::fold(&others, facts, now);
    let mut by_cause: BTreeMap<String, Vec<Incident>> =
        facts.alerts.iter().map(|finding| (finding.cause.clone(), vec![])).collect();
    for incident in of_figures {
        by_cause.entry(incident.spec.cause.clone()).or_default().push(incident);
    }
    for (cause, previous) in by_cause {
        let findings: Vec<Finding> = facts.alerts.iter().filter(|finding| finding.cause == cause).cloned().collect();
        let state = match &facts.state {
            _ if !findings.is_empty() => State::Trouble,
            State::Wanted(why) => State::Wanted(why.clone()),
            _ => State::Fine,
        };
        // What ails a replica is not what a figure is about.
        let facts = Facts { state, findings, ailing: BTreeSet::new(), alerts: vec![], ..facts.clone() };
        let Folded { changed, look_again } = fold::fold(&previous, &facts, now);
        folded.changed.extend(changed);
        folded.look_again = folded.look_again.into_iter().chain(look_again).min();
    }
    folded
}

/// Whether a cause is a figure beyond its threshold.
fn is_of_figures(cause: &str) -> bool {
    ResourceCause::ALL.iter().any(|known| known.word() == cause)
}

/// What the status of a Deployment says is beyond a threshold.
pub(super) fn findings_of(object: &Value) -> Vec<Finding> {
    let alerts = serde_json::from_value::<Vec<ResourceAlert>>(object["status"]["alerts"].clone());
    findings(&alerts.unwrap_or_default())
}

/// One finding for each cause that fires, as bad as the worst of it.
fn findings(alerts: &[ResourceAlert]) -> Vec<Finding> {
    let mut firing: BTreeMap<ResourceCause, Finding> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| alert.state == AlertState::Firing) {
        let weight = Weight { severity: alert.severity, patience: Duration::ZERO };
        match firing.entry(alert.cause) {
            Entry::Vacant(entry) => {
                // What uses too much runs all the same.
                entry.insert(Finding { serves: true, ..Finding::lasting(alert.cause.word(), weight, &alert.message) });
            }
            Entry::Occupied(entry) => {
                let finding = entry.into_mut();
                finding.severity = finding.severity.max(alert.severity);
                finding.summary = format!("{}; {}", finding.summary, alert.message);
                finding.evidence.push(alert.message.clone());
            }
        }
    }
    firing.into_values().collect()
}

impl Facts {
    /// These, and figures beyond their thresholds.
    pub fn alerting(self, alerts: &[ResourceAlert]) -> Self {
        Self { alerts: findings(alerts), ..self }
    }
}

#[cfg(test)]
mod tests;
